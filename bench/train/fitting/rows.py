"""Training rows and their batches. A row is what a loss compares at once, as numbers of texts."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bench.config import FinetuneConfig
from bench.records import digest_of
from bench.train.fitting.losses import LOSSES
from bench.train.negatives import Negatives
from bench.train.pairs import Pairs

POOL = 16
"""Batches' worth of rows sorted by length together: large enough to level padding, small enough to stay random."""


@dataclass(frozen=True)
class Rows:
    """Rows of equal width; `columns[i]` are numbers of texts in `queries` (first column) and `documents` (others).

    `labels` are empty unless the loss needs one for each row; `weights` are the probabilities of a row in an epoch.
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
        """Number of different (query, positive) pairs."""
        labels = self.labels or (1.0,) * len(self.columns)
        return len({column[:2] for column, label in zip(self.columns, labels, strict=True) if label > 0})

    @property
    def digest(self) -> str:
        """32 hex digits over texts, rows, labels and weights."""
        return digest_of([self.queries, self.documents, self.columns, self.labels, self.weights])


def build_rows(recipe: FinetuneConfig, pairs: Pairs, negatives: Negatives | None, seed: int) -> Rows:
    """A recipe's rows in the shape of its loss.

    Args:
        recipe: has the loss, and `max_pairs`: the most rows, drawn with the seed.
        negatives: documents that answer no pair of the query.
    """
    shape = LOSSES[recipe.loss_name].rows
    negative_texts = [negatives.texts(pair.key) if negatives else [] for pair in pairs.pairs]
    most = max(map(len, negative_texts))
    rows_of_pair = {"group": 1, "triple": most, "labelled": 1 + most}[shape]
    chosen: Sequence[int] = range(len(negative_texts))
    if recipe.max_pairs is not None and len(negative_texts) * rows_of_pair > recipe.max_pairs:
        order = np.random.default_rng(seed).permutation(len(negative_texts))
        chosen = sorted(order[: max(1, recipe.max_pairs // rows_of_pair)].tolist())
    queries: dict[str, int] = {}
    documents: dict[str, int] = {}
    columns: list[tuple[int, ...]] = []
    labels: list[float] = []
    weights: list[float] = []
    for i in chosen:
        pair = pairs.pairs[i]
        query = queries.setdefault(pair.query, len(queries))
        texts = [documents.setdefault(text, len(documents)) for text in (pair.document, *negative_texts[i])]
        rows: list[tuple[int, ...]] = [(query, *texts)]
        if shape == "triple":
            rows = [(query, texts[0], negative) for negative in texts[1:]]
        elif shape == "labelled":
            rows = [(query, text) for text in texts]
            labels += [1.0] + [0.0] * (len(texts) - 1)
        columns += rows
        weights += [pair.weight] * len(rows)
    return Rows(tuple(queries), tuple(documents), tuple(columns), tuple(labels), tuple(weights))


def length_batches(
    rows: Sequence[tuple[Hashable, ...]],
    batch_size: int,
    generator: Any,
    *,
    lengths: Sequence[int],
    distinct: bool = True,
    among: Sequence[int] | None = None,
) -> Iterator[list[int]]:
    """Row numbers in batches of like length; each row once, and no text twice within a batch where `distinct`.

    Rows are shuffled, taken in pools of `POOL` batches, and sorted by length within the pool; a row with a text of the
    open batch waits for a later one. Batches of a pool come in random order, so that lengths do not rise and fall with
    the steps.

    Args:
        rows: each row's texts, or what stands for them.
        batch_size: rows in a batch; the last ones may be smaller.
        lengths: of every row, such as its tokens.
        distinct: a contrastive loss takes the batch's other documents as negatives, so none may stand twice.
        among: the rows to take; all where None.
    """
    numbers = range(len(rows)) if among is None else among
    order = [int(numbers[i]) for i in generator.permutation(len(numbers))]
    waiting: list[int] = []
    for start in range(0, len(order), POOL * batch_size):
        pool = sorted([*waiting, *order[start : start + POOL * batch_size]], key=lambda i: lengths[i])
        last = start + POOL * batch_size >= len(order)
        batches: list[list[int]] = []
        waiting = []
        while pool:
            batch: list[int] = []
            left: list[int] = []
            texts: set[Hashable] = set()
            for row in pool:
                if len(batch) < batch_size and (not distinct or texts.isdisjoint(rows[row])):
                    batch.append(row)
                    texts.update(rows[row])
                else:
                    left.append(row)
            if len(batch) < batch_size and not last:
                # Too few for a batch: they go with the next pool.
                waiting = [*batch, *left]
                break
            batches.append(batch)
            pool = left
        for i in generator.permutation(len(batches)):
            yield batches[i]
