"""The nearest by the first numbers of a vector, ranked anew by all of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bench import ConfigError
from bench.config import Strict
from bench.retrieval.search import top_k


class Config(Strict):
    """`index = { kind = "funnel", lead = 16, keep = 50 }`."""

    kind: str
    lead: int = Field(default=16, ge=1)
    keep: int = Field(default=50, ge=1)


def build(config: Config, rows: NDArray[np.float32], precision: str) -> Funnel:
    """The index of float32[n_docs, dim] rows."""
    if precision != "float32":
        raise ConfigError(f'Index "funnel" keeps float32 vectors; found precision = "{precision}".')
    return Funnel(rows, config)


class Funnel:
    """Approximate: what the first `lead` numbers do not bring among the best `keep` is not seen."""

    def __init__(self, rows: NDArray[np.float32], config: Config) -> None:
        self.rows, self.lead, self.keep = rows, config.lead, config.keep

    @property
    def bytes(self) -> int:
        """What the vectors occupy."""
        return int(self.rows.nbytes)

    def search(self, queries: NDArray[np.float32], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The k best rows of each query and their scores."""
        near, _ = top_k(queries[:, : self.lead] @ self.rows[:, : self.lead].T, max(k, self.keep))
        near = np.sort(near, axis=1)  # ascending rows: among equal scores, top_k's columns then go by document id
        exact = np.einsum("qd,qkd->qk", queries, self.rows[near]).astype(np.float32)
        columns, scores = top_k(exact, k)
        return np.take_along_axis(near, columns, axis=1), scores
