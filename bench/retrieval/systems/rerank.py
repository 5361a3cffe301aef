"""A reranker reorders the first stage's best documents; those below keep their place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from bench.base.progress import Progress, no_progress
from bench.base.store import Store
from bench.config import DecideOption, KindTable, Part, SystemConfig
from bench.records import Corpus, QuerySet, Ranked, Run, Search
from bench.retrieval import rerankers
from bench.retrieval.embed import score_pairs
from bench.retrieval.systems import Context


class Config(SystemConfig):
    """`kind = "rerank"`."""

    option = DecideOption("rerank", per_query={"rerank": "rerank the first documents"}, beats="first")

    first: Part
    reranker: Annotated[dict[str, Any], KindTable("rerankers")]
    depth: int = Field(default=50, ge=1)


def build(name: str, config: Config, context: Context) -> list[Rerank]:
    """One system."""
    return [Rerank(name, config, context)]


class Rerank:
    """The first stage's ranking with its head reordered by a reranker."""

    kind = "rerank"

    def __init__(self, name: str, config: Config, context: Context) -> None:
        self.name, self.config, self.roles, self.store = name, config, config.roles, context.store
        self.parts = config.parts
        self.reorders = config.depth
        place = f"systems.{name}.reranker"
        self.scorer = rerankers.build(config.reranker, place, base=context.base, models=context.models)
        self.progress: Progress = no_progress

    def fingerprint(self) -> Mapping[str, Any]:
        """Reranker and depth."""
        return {"kind": self.kind, "reranker": dict(self.scorer.fingerprint()), "depth": self.config.depth}

    def search(self, corpus: Corpus, queries: QuerySet, *, depth: int, parts: Sequence[Run]) -> Ranked:
        """The head by reranker score; the tail below it, in first-stage order."""
        return self._reordered(corpus, queries, parts, self.store)

    def warm(self, corpus: Corpus) -> Search:
        """Reranking that scores every pair anew."""
        return lambda queries, *, depth, parts: self._reordered(corpus, queries, parts, None)

    def _reordered(self, corpus: Corpus, queries: QuerySet, parts: Sequence[Run], store: Store | None) -> Ranked:
        (first,) = parts
        head = min(self.config.depth, first.depth)
        places = np.argwhere(first.docs[:, :head] >= 0)
        rows = first.rows(corpus)
        pairs = [(queries.texts[q], corpus.texts[rows[q, column]]) for q, column in places]
        scored = score_pairs(self.scorer, pairs, store=store, progress=self.progress)
        # Falling ranks for the tail: its first-stage scores live on another scale than the reranker's.
        lowest = float(scored.rows.min()) if pairs else 0.0
        scores = np.broadcast_to(
            (lowest - 1 - np.arange(first.depth, dtype=np.float64)).astype(np.float32), first.docs.shape
        ).copy()
        scores[places[:, 0], places[:, 1]] = scored.rows[:, 0]
        return Ranked(rows, scores, {"rerank": scored.seconds}, first.index_bytes)
