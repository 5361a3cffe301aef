"""Steps in a series of evaluations of the same queries: arrays in, places and sizes out.

A change-point method finds the places. It must not report a step that the choice of queries can explain. All points of
a series have the same queries, so what all points share cancels in their differences, and only each query's own
deviations remain. They are drawn anew with random signs, one sign for all deviations of a query (or cluster), and the
penalty of the change-point method is the one that such series without a step reach in a share alpha of the draws. So a
series without a step shows none with chance 1 − alpha, however its points depend on one another in time.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import stats
from bench.base.errors import MissingExtra

MOST_POINTS = 200
"""Only the latest points are tested: the method's cost grows with the square of their number."""

MOST_CHANGES = 20
"""Most changes of level in one series while the penalty is computed."""

DRAWS = 999
BLOCK = 100
EXCEEDED = 25
"""Draws that reach the observed value, after which no step is shown (Besag & Clifford 1991): most series stop here."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Step:
    """A lasting change of level.

    Attributes:
        at: the first point of the new level.
        start: the first point of the level before.
        end: one past the last point of the new level.
        before: mean of the level before.
        after: mean of the new level.
        delta: after − before.
        ci: two-sided interval of `delta` at 1 − alpha, paired by query.
        p: chance that a series without a step reaches the value of this one; adjusted for the family of series.
        test: the test that gives `ci`.
    """

    at: int
    start: int
    end: int
    before: float
    after: float
    delta: float
    ci: tuple[float, float] | None
    p: float
    test: str


def find_steps(
    series: Sequence[Floats],
    clusters: Sequence[Sequence[Hashable | None] | None],
    *,
    alpha: float = 0.05,
    seed: int = 0,
) -> list[list[Step]]:
    """The steps of each series of a family; alpha is the chance that any series shows a step where there is none.

    Series are tested in the order of their p, each at its level by Holm's method.

    Args:
        series: float64[n_points, n_queries] each, rows in time, columns the same queries.
        clusters: for each series a label per query; None where queries are independent.
        alpha: error rate of the whole family.
        seed: of the draws.

    Raises:
        MissingExtra: ruptures is not installed.

    Source: change points by penalised least squares, Killick, Fearnhead & Eckley 2012, by ruptures (Truong, Oudre &
    Vayatis 2020); the null by sign multipliers, Yu & Chen 2021, section 2.2; the family by Holm 1979.
    """
    _detector()
    # A single point or a constant mean has no step; both have a range of 0.
    tested = [
        k
        for k, table in enumerate(series)
        if table.shape[1] >= stats.MINIMUM_QUERIES and np.ptp(table.mean(axis=1)) > stats.ROUNDOFF
    ]
    draws = max(DRAWS, math.ceil(max(1, len(tested)) / alpha) + 1)
    evidence = {k: _Evidence.of(series[k], clusters[k], draws, np.random.default_rng([seed, k])) for k in tested}
    steps: list[list[Step]] = [[] for _ in series]
    p = 0.0
    for rank, k in enumerate(sorted(tested, key=lambda k: evidence[k].p)):
        p = max(p, min(1.0, evidence[k].p * (len(tested) - rank)))
        if p > alpha:
            break
        penalty = evidence[k].penalty(alpha / (len(tested) - rank))
        steps[k] = _steps(series[k], clusters[k], penalty, p=p, alpha=alpha)
    return steps


@dataclass(frozen=True)
class _Evidence:
    """The `reach` of a series, and of series without a step, ascending."""

    observed: float
    null: Floats

    @classmethod
    def of(
        cls, table: Floats, clusters: Sequence[Hashable | None] | None, draws: int, rng: np.random.Generator
    ) -> _Evidence:
        means = table.mean(axis=1)
        # Each query's deviations from its own mean and from the mean of all queries: a step that all share is gone.
        residuals = table - table.mean(axis=0) - (means - means.mean())[:, None]
        if clusters is not None:
            # Queries of one cluster are added up: they move together.
            columns: dict[Any, int] = {}
            unit_of = [columns.setdefault(("", i) if c is None else c, len(columns)) for i, c in enumerate(clusters)]
            sums = np.zeros((len(columns), len(table)))
            np.add.at(sums, unit_of, residuals.T)
            residuals = sums.T
        units = residuals / table.shape[1]
        n_units = units.shape[1]
        # Centring takes a degree of freedom; uncorrected, few queries would seem to vary less than they do.
        freedom = max(1, n_units - 1)
        units = units * math.sqrt(n_units / freedom)
        observed = float(reach(means[None])[0])
        null = np.empty(0)
        while len(null) < draws and (null >= observed - stats.ROUNDOFF).sum() < EXCEEDED:
            signs = 2.0 * rng.integers(0, 2, (min(BLOCK, draws - len(null)), n_units)) - 1
            # The spread is estimated from these same queries. Without Student's correction the far tail, which decides
            # for a family of series, is too thin.
            spread = freedom / rng.chisquare(freedom, len(signs))
            null = np.concatenate([null, reach(signs @ units.T) * spread])
        return cls(observed, np.sort(null))

    @property
    def p(self) -> float:
        """The chance that a series without a step reaches the observed value; stopping early makes it no smaller."""
        return (1 + int((self.null >= self.observed - stats.ROUNDOFF).sum())) / (1 + len(self.null))

    def penalty(self, level: float) -> float:
        """The value that a series without a step reaches with this chance."""
        place = math.ceil((1 - level) * (len(self.null) + 1)) - 1
        return float(self.null[min(place, len(self.null) - 1)])


def _detector() -> Any:
    try:
        from ruptures import KernelCPD
    except ImportError:
        raise MissingExtra("Searching for steps", "ruptures", "history") from None
    return KernelCPD


def reach(means: Floats) -> Floats:
    """float64[n_series]: the largest penalty per change at which least squares still cuts each series.

    That is the largest fall of squared error per change, over all numbers of changes up to `MOST_CHANGES`: the
    recursion that ruptures runs for one series, here for all draws at once.

    Args:
        means: float64[n_series, n_points].
    """
    n_series, n_points = means.shape
    cost = _costs(means)
    best = cost[:, 0, :].copy()  # the first t points as one piece
    whole = best[:, -1].copy()
    largest = np.zeros(n_series)
    for changes in range(1, min(n_points - 1, MOST_CHANGES) + 1):
        # The last piece begins at s: the points before it have one change less.
        best = np.concatenate(
            [np.full((n_series, 1), np.inf), (best[:, :-1, None] + cost[:, 1:, 1:]).min(axis=1)], axis=1
        )
        largest = np.maximum(largest, (whole - best[:, -1]) / changes)
    return largest


def _costs(means: Floats) -> Floats:
    """float64[n_series, n_points, n_points]: squared error of the piece from row s to row t, both in it."""
    n_series, n_points = means.shape
    shifted = means - means.mean(axis=1, keepdims=True)
    sums, squares = (
        np.concatenate([np.zeros((n_series, 1)), np.cumsum(x, axis=1)], axis=1) for x in (shifted, shifted**2)
    )
    start, end = np.arange(n_points)[:, None], np.arange(1, n_points + 1)[None]
    length = np.maximum(end - start, 1)
    total, square = (x[:, None, 1:] - x[:, :-1, None] for x in (sums, squares))
    cost: Floats = np.maximum(square - total**2 / length, 0.0)
    cost[:, end <= start] = np.inf
    return cost


def _steps(
    table: Floats, clusters: Sequence[Hashable | None] | None, penalty: float, *, p: float, alpha: float
) -> list[Step]:
    """The cuts at a penalty, without those whose difference in level has an interval that includes 0."""
    means = table.mean(axis=1)
    # Scaled to deviations of order one: the library compares costs without scaling.
    scale = 1 / means.std()
    detector = _detector()(kernel="linear", min_size=1, jump=1).fit(((means - means.mean()) * scale)[:, None])
    cuts = [0, *(int(end) for end in detector.predict(pen=max(penalty * scale**2, stats.ROUNDOFF)))]
    while len(cuts) > 2:
        steps = [
            _step(table, clusters, *bounds, p=p, alpha=alpha) for bounds in zip(cuts, cuts[1:], cuts[2:], strict=False)
        ]
        doubtful = [step for step in steps if step.ci is None or step.ci[0] <= 0 <= step.ci[1]]
        if not doubtful:
            return steps
        # One at a time: without a cut, the levels on both sides of it become one.
        cuts.remove(min(doubtful, key=lambda step: abs(step.delta)).at)
    return []


def _step(
    table: Floats,
    clusters: Sequence[Hashable | None] | None,
    start: int,
    at: int,
    end: int,
    *,
    p: float,
    alpha: float,
) -> Step:
    before, after = table[start:at].mean(axis=0), table[at:end].mean(axis=0)
    delta = stats.estimate(after - before, clusters=clusters, alpha=alpha)
    ci = None if delta.low is None or delta.high is None else (delta.low, delta.high)
    return Step(at, start, end, float(before.mean()), float(after.mean()), delta.mean, ci, p, delta.test)
