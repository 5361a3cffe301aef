"""Precisions of stored vectors, one row each: bits and bytes, encoding and comparison."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float32]

OVERSAMPLE = 4
"""A precision that rescores takes this many times the depth as candidates (common practice: 2–4)."""


def _same(rows: Rows) -> Rows:
    return rows


def _levels(levels: int) -> Callable[[Rows], Rows]:
    def encode(rows: Rows) -> Rows:
        # Ranges come from the documents, once: ranges per batch would give queries another scale.
        low, high = rows.min(axis=0), rows.max(axis=0)
        step = (high - low) / np.float32(levels)
        step = np.where(step == 0, np.float32(1), step)
        codes = np.rint((rows - low) / step)
        decoded: Rows = (low + codes * step).astype(np.float32)
        return decoded

    return encode


def _signs(rows: Rows) -> Rows:
    return np.where(rows > 0, np.float32(1), np.float32(-1))


class Precision(NamedTuple):
    """One precision.

    Attributes:
        bits: of one dimension that a search may read; orders precisions by size.
        vector_bytes: number of dimensions → bytes of one vector.
        encode: float32[n_docs, dim] by which a query is multiplied: for int8 and int4 the decoded
            codes (as in FAISS' scalar quantiser: query in float32, document decoded), for binary the signs ±1, with
            which the product is dim − 2 × Hamming distance.
        encode_query: the same of queries.
        rescores: whether the best `OVERSAMPLE` × depth documents are compared again in float32.
        ranges: bytes per dimension and index for the ranges of its codes.
    """

    bits: float
    vector_bytes: Callable[[int], int]
    encode: Callable[[Rows], Rows]
    encode_query: Callable[[Rows], Rows] = _same
    rescores: bool = False
    ranges: int = 0

    def index_bytes(self, n_docs: float, dim: int, *, beside: float = 0.0) -> float:
        """Bytes of an index of `n_docs` vectors, each with `beside` further bytes, such as a graph's edges."""
        return n_docs * (self.vector_bytes(dim) + beside) + self.ranges * dim


PRECISIONS: Mapping[str, Precision] = {
    "float32": Precision(32, lambda dim: 4 * dim, _same),
    "float16": Precision(16, lambda dim: 2 * dim, lambda rows: rows.astype(np.float16).astype(np.float32)),
    "int8": Precision(8, lambda dim: dim, _levels(255), ranges=8),
    "int4": Precision(4, lambda dim: (dim + 1) // 2, _levels(15), ranges=8),
    "binary": Precision(1, lambda dim: (dim + 7) // 8, _signs, _signs),
    "binary-rescore": Precision(33, lambda dim: (dim + 7) // 8 + 4 * dim, _signs, _signs, rescores=True),
}
"""By name, in the order in which tables and charts show them."""
