"""Training rows: what a loss compares at once, as numbers of texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from bench.config import FinetuneConfig
from bench.records import digest_of
from bench.train.fitting.losses import LOSSES
from bench.train.negatives import Negatives
from bench.train.pairs import Pairs


@dataclass(frozen=True)
class Rows:
    """Rows of equal width; `columns[i]` are numbers of texts in `queries` (first column) and `documents` (others).

    `labels` are empty unless the loss wants one a row. `weights` say with what probability an epoch takes the row.
    """

    queries: tuple[str, ...] = field(repr=False)
    documents: tuple[str, ...] = field(repr=False)
    columns: tuple[tuple[int, ...], ...] = field(repr=False)
    labels: tuple[float, ...] = field(repr=False)
    weights: tuple[float, ...] = field(repr=False)

    def __len__(self) -> int:
        return len(self.columns)

    @property
    def n_pairs(self) -> int:
        """Different (query, positive) pairs among them."""
        labels = self.labels or (1.0,) * len(self.columns)
        return len({column[:2] for column, label in zip(self.columns, labels, strict=True) if label > 0})

    @property
    def weighted(self) -> bool:
        """Whether a weight below 1 is among them."""
        return any(weight < 1 for weight in self.weights)

    @property
    def digest(self) -> str:
        """32 hex digits over all."""
        return digest_of([self.queries, self.documents, self.columns, self.labels, self.weights])


def build_rows(recipe: FinetuneConfig, pairs: Pairs, negatives: Negatives | None, seed: int) -> Rows:
    """A recipe's rows in the shape of its loss.

    Args:
        recipe: has the loss, and `max_pairs`: how many rows it may see at most, drawn with the seed.
        pairs: (query, positive) with weights.
        negatives: documents that answer no pair of the query.
        seed: draws the pairs kept.
    """
    shape = LOSSES[recipe.loss_name].rows
    wrong_of = [negatives.texts(pair.key) if negatives else [] for pair in pairs.pairs]
    share = {"group": 1, "triple": max(map(len, wrong_of)), "labelled": 1 + max(map(len, wrong_of))}[shape]
    chosen: Sequence[int] = range(len(wrong_of))
    if recipe.max_pairs is not None and len(wrong_of) * share > recipe.max_pairs:
        keep = np.random.default_rng(seed).permutation(len(wrong_of))[: max(1, recipe.max_pairs // share)]
        chosen = sorted(int(i) for i in keep)
    queries: dict[str, int] = {}
    documents: dict[str, int] = {}
    columns: list[tuple[int, ...]] = []
    labels: list[float] = []
    weights: list[float] = []
    for i in chosen:
        pair = pairs.pairs[i]
        query = queries.setdefault(pair.query, len(queries))
        texts = [documents.setdefault(text, len(documents)) for text in (pair.document, *wrong_of[i])]
        made: list[tuple[int, ...]] = [(query, *texts)]
        if shape == "triple":
            made = [(query, texts[0], wrong) for wrong in texts[1:]]
        elif shape == "labelled":
            made = [(query, text) for text in texts]
            labels += [1.0] + [0.0] * (len(texts) - 1)
        columns += made
        weights += [pair.weight] * len(made)
    return Rows(tuple(queries), tuple(documents), tuple(columns), tuple(labels), tuple(weights))
