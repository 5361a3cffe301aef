"""Indexes over vectors, one file each. A file's name is its kind: `index = { kind = "exact" }` in a dense system.

Each has a `Config` and `build(config, rows, precision)`. The rows, float32[n_docs, dim], are cut to the dimension and,
for cosine, normalised by the caller. An index that cannot store a precision raises ConfigError.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bench.retrieval.packaged import built


class Index(Protocol):
    """Document vectors that can be searched. Rows come in ascending order of document ids."""

    @property
    def bytes(self) -> int:
        """Size of the index."""

    def search(self, queries: NDArray[np.float32], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Row numbers and scores of the k best rows for float32[n_queries, dim] queries, the best first.

        Of equal scores the higher row comes first (the tie rule). Row −1 where there are fewer than k.
        """


def build(table: Mapping[str, Any], place: str, rows: NDArray[np.float32], precision: str) -> Index:
    """The index that a table describes, of float32[n_docs, dim] rows that are already cut and normalised.

    `place` is the table's name in its file, for errors; `precision` that of the stored vectors.

    Raises:
        ConfigError: the table has mistakes.
    """
    index: Index = built("indexes", table, place, lambda kind, config: kind.build(config, rows, precision))
    return index
