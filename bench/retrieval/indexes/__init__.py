"""Indexes over vectors, one file each. A file's name is its kind: `index = { kind = "exact" }` in a dense system.

Each has a `Config` and `build(config, rows, precision)`, which returns an `Index` of float32[n_docs, dim] rows that are
cut and normalised already.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Index"]


class Index(Protocol):
    """Document vectors that can be searched. Rows come in ascending order of document ids."""

    @property
    def bytes(self) -> int:
        """What the index occupies."""

    def search(self, queries: NDArray[np.float32], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The k best rows of float32[n_queries, dim] queries and their scores, −1 where there are fewer."""
