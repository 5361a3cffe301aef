"""How near a document is to a query: by a model's vectors, and by a reranker."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.base.progress import Progress
from bench.config import CheckConfig
from bench.evaluation.evaluate import Evaluator
from bench.retrieval import rerankers
from bench.retrieval.embed import embed, score_pairs
from bench.retrieval.search import truncated
from bench.train.answers import Known


class Similarity:
    """Scores of texts for queries by a dense system's encoder, at its dimension."""

    def __init__(
        self, system: Any, queries: Sequence[str], texts: Sequence[str], evaluator: Evaluator, progress: Progress
    ) -> None:
        options: dict[str, Any] = {"store": evaluator.store, "progress": progress}
        unit = system.similarity == "cosine"
        self._place = {text: place for place, text in enumerate(texts)}
        self._texts = truncated(
            embed(system.encoder, texts, kind="document", **options).rows, system.dim, normalize=unit
        )
        self._queries = truncated(
            embed(system.encoder, queries, kind="query", **options).rows, system.dim, normalize=unit
        )

    def scores(self, number: int, texts: Sequence[str]) -> list[float]:
        """One for each text; each must be among those that were given."""
        rows = self._texts[[self._place[text] for text in texts]]
        found: list[float] = (rows @ self._queries[number]).tolist()
        return found


class Judge:
    """A reranker's scores of positives and candidates; raw, so that margins are on its own scale."""

    def __init__(self, config: CheckConfig, evaluator: Evaluator, base: Path, progress: Progress) -> None:
        self._config, self._evaluator, self._progress = config, evaluator, progress
        models = evaluator.store.root / "models"
        self._scorer = rerankers.build(config.reranker, "negatives.check.reranker", base=base, models=models)
        self.weakest: list[float] = []

    def scores(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """One for each (query, document)."""
        if not pairs:
            return []
        found: list[float] = (
            score_pairs(self._scorer, pairs, store=self._evaluator.store, progress=self._progress).rows[:, 0].tolist()
        )
        return found

    def positives(self, queries: Sequence[tuple[str, Known]]) -> None:
        """Score all positives; a query's weakest is what candidates are held against."""
        asked = [(i, query, text) for i, (query, known) in enumerate(queries) for _, text in known.texts]
        self.weakest = [np.inf] * len(queries)
        scores = self.scores([(query, text) for _, query, text in asked])
        for (i, _, _), score in zip(asked, scores, strict=True):
            self.weakest[i] = min(self.weakest[i], score)

    def excess(self, number: int, score: float) -> float | None:
        """How far a candidate's score lies above what is allowed; None where it is allowed."""
        over = [score - (self.weakest[number] - self._config.margin)]
        if self._config.threshold is not None:
            over.append(score - self._config.threshold)
        return max(over) if max(over) >= 0 else None
