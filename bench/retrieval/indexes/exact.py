"""Exhaustive search: every document is compared with every query. Other indexes approximate it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.base.errors import ConfigError
from bench.config import Strict
from bench.retrieval.precisions import OVERSAMPLE, PRECISIONS, Precision
from bench.retrieval.search import Rankings, top_k

_BLOCK_QUERIES, _BLOCK_DOCS = 256, 65_536


class Config(Strict):
    """`index = { kind = "exact" }`, the default."""

    kind: Literal["exact"] = "exact"


def build(config: Config, rows: NDArray[np.float32], precision: str) -> DenseIndex:
    """The index of these rows."""
    return DenseIndex.build(rows, precision)


@dataclass(frozen=True)
class DenseIndex:
    """Document vectors at one dimension and precision, searched exhaustively.

    `vectors` is float32[n_docs, dim], multiplied by a query. `bytes` is the size that a stored index would have. `full`
    has the rows at float32, where the precision rescores by them.
    """

    vectors: NDArray[np.float32] = field(repr=False)
    precision: Precision
    bytes: int
    full: NDArray[np.float32] | None = field(default=None, repr=False)

    @classmethod
    def build(cls, rows: NDArray[np.float32], precision: str) -> DenseIndex:
        """An index of float32[n_docs, dim] rows, already cut and normalised.

        Raises:
            ConfigError: no such precision.
        """
        if precision not in PRECISIONS:
            raise ConfigError(f'precision is "{precision}"; expected one of {", ".join(PRECISIONS)}.')
        row = PRECISIONS[precision]
        return cls(row.encode(rows), row, int(row.index_bytes(*rows.shape)), rows if row.rescores else None)

    def search(self, queries: NDArray[np.float32], k: int) -> Rankings:
        """The k best documents of float32[n_queries, dim] queries, already cut and normalised."""
        encoded = self.precision.encode_query(queries)
        if self.full is None:
            return _blocked(encoded, self.vectors, k)
        candidates, _ = _blocked(encoded, self.vectors, k * OVERSAMPLE)
        # Ascending rows, so that top_k's column order is the tie rule's.
        candidates = np.sort(candidates, axis=1)
        exact = np.einsum("qd,qkd->qk", queries, self.full[candidates], optimize=True)
        columns, scores = top_k(exact.astype(np.float32), k)
        return np.take_along_axis(candidates, columns, axis=1), scores


def _blocked(queries: NDArray[np.float32], vectors: NDArray[np.float32], k: int) -> Rankings:
    """`top_k` of the products, computed block by block."""
    rankings = []
    for start in range(0, len(queries), _BLOCK_QUERIES):
        block = queries[start : start + _BLOCK_QUERIES]
        parts = []
        for first in range(0, len(vectors), _BLOCK_DOCS):
            docs, scores = top_k(block @ vectors[first : first + _BLOCK_DOCS].T, k)
            parts.append((docs + first, scores))
        docs, scores = (np.concatenate(arrays, axis=1) for arrays in zip(*parts, strict=True))
        if len(parts) > 1:
            # The best of each block in ascending row order, then once more by the same rule.
            order = np.argsort(docs, axis=1)
            docs = np.take_along_axis(docs, order, axis=1)
            columns, scores = top_k(np.take_along_axis(scores, order, axis=1), k)
            docs = np.take_along_axis(docs, columns, axis=1)
        rankings.append((docs, scores))
    return np.concatenate([docs for docs, _ in rankings]), np.concatenate([scores for _, scores in rankings])
