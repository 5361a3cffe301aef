"""Per-query numbers of a run, and what a score threshold does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Scores:
    """Per-query numbers: `values` is float64[n_queries, n_measures], rows as `query_ids`.

    `judged` is float64[n_queries]: the share of the first ten ranks that people judged. `left_out` counts
    queries without a positive judgement, which no recall is defined for. `lists` holds, per measure, a digest
    of what that measure can see of the rankings: equal digests mean identical input. `missing` names judged queries
    that the run lacks; they count 0.
    """

    measures: tuple[str, ...]
    query_ids: tuple[str, ...] = field(repr=False)
    values: NDArray[np.float64] = field(repr=False)
    judged: NDArray[np.float64] = field(repr=False)
    lists: Mapping[str, str] = field(repr=False)
    left_out: int = 0
    missing: tuple[str, ...] = ()
    tie_spread: Mapping[str, float] = field(default_factory=dict, repr=False)
    condensed: NDArray[np.float64] | None = field(default=None, repr=False)

    def column(self, measure: str) -> NDArray[np.float64]:
        """float64[n_queries] of one measure."""
        return self.values[:, self.measures.index(measure)]

    def means(self) -> dict[str, float]:
        """Measure → mean over queries."""
        return {measure: float(self.values[:, i].mean()) for i, measure in enumerate(self.measures)}


@dataclass(frozen=True)
class NoAnswer:
    """What a score threshold does where some queries have no answer.

    `threshold` is the score that the share `keeps` of answerable queries of the sets `chosen_on` reaches. Rates are
    shares: of unanswerable queries with a top score at or above it (`false_positive_rate`), of answerable ones likewise
    (`answered`). `value_at_threshold` is the measure's mean when a query below the threshold finds nothing.
    """

    chosen_on: tuple[str, ...]
    keeps: float
    threshold: float
    n_unanswerable: int
    false_positive_rate: float
    n_answerable: int
    answered: float
    measure: str
    value: float
    value_at_threshold: float
