"""Cropping: two random spans of one document, the shorter one as the query.

Source: Izacard et al. 2022, "Unsupervised Dense Information Retrieval with Contrastive Learning", section 3.1:
independent cropping, spans of 5 % to 50 % of the document; they may overlap.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field, model_validator

from bench.config import Strict
from bench.suites.sources.folder import WORD
from bench.train.origins import Context
from bench.train.origins._shared import chosen_documents, rng_of
from bench.train.pairs import Pair


class Config(Strict):
    """Corpora, the most documents of all, pairs of each, and the share of a document in a span."""

    kind: Literal["crop"]
    corpora: list[str] = Field(default=[])
    most: int | None = Field(default=None, ge=1)
    per_document: int = Field(default=1, ge=1)
    shares: list[float] = Field(default=[0.05, 0.5])
    least_words: int = Field(default=5, ge=1)
    weight: float = Field(default=1.0, gt=0, le=1)

    @model_validator(mode="after")
    def _two_shares(self) -> Config:
        if len(self.shares) != 2 or not 0 < self.shares[0] <= self.shares[1] <= 1:
            raise ValueError("shares: expected the least and the most share of a document, such as [0.05, 0.5]")
        return self


def pairs(config: Config, context: Context) -> Iterator[Pair]:
    """`per_document` pairs for each document that is long enough, documents in the corpus' order."""
    least, most = config.shares
    for corpus, doc_id, text in chosen_documents(context, config.corpora, config.most):
        words = [match.span() for match in WORD.finditer(text)]
        if most * len(words) < config.least_words:
            context.count("documents left out: too short to crop")
            continue
        rng = rng_of(context, "crop", corpus, doc_id)
        for _ in range(config.per_document):
            spans = []
            for share in rng.uniform(least, most, size=2):
                n = min(len(words), max(config.least_words, round(share * len(words))))
                first = int(rng.integers(0, len(words) - n + 1))
                spans.append((words[first][0], words[first + n - 1][1]))
            (a, b), (c, d) = sorted(spans, key=lambda span: span[1] - span[0])
            provenance = {"document": doc_id, "rule": f"span {a}-{b} → span {c}-{d}", "seed": str(context.seed)}
            yield Pair("", text[a:b], doc_id, text[c:d], corpus, "crop", weight=config.weight, provenance=provenance)
