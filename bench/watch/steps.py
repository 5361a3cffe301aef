"""Steps in a series of evaluations of the same queries: arrays in, places and sizes out.

A change-point method finds places; what it must not call a step is what the choice of queries can explain. All points
of a series hold the same queries, so the noise of its means is not that of one mean: what all points share cancels, and
only each query's own ups and downs are left. They are drawn anew with random signs, a query's (or cluster's) whole
course at once, and the penalty of the change-point method is the one that such series without a step reach in a share
alpha of the draws. So a series without a step shows none with chance 1 − alpha, whichever way its points depend on one
another in time.
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

FEWEST_POINTS = 2
MOST_POINTS = 200
"""Points that are looked at, the latest: the method's cost grows with their square."""

MOST_CHANGES = 20
"""Changes of level that one series may be cut at while the penalty is sought."""

DRAWS = 999
BLOCK = 100
EXCEEDED = 25
"""Draws that reach what was observed, from which on the answer is no (Besag & Clifford 1991): most series end here."""

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
        p: chance that a series without a step reaches what this one does; adjusted for the family of series.
        test: how `ci` was made.
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
    """The steps of each series of a family; alpha is the family's: the chance that any of them shows one without cause.

    Series are taken in the order of their evidence, each at the level that Holm's method leaves it.

    Args:
        series: float64[n_points, n_queries] each, rows in time, columns the same queries.
        clusters: for each series a label per query; None where queries are independent.
        alpha: error rate of the whole family.
        seed: of the draws.

    Raises:
        MissingExtra: ruptures is not installed.

    Source: change points by penalised least squares, Killick, Fearnhead & Eckley 2012, as ruptures has them (Truong,
    Oudre & Vayatis 2020); the null by sign multipliers, Yu & Chen 2021, section 2.2; the family by Holm 1979.
    """
    _detector()
    tested = [k for k, table in enumerate(series) if _may_step(table)]
    family = max(1, len(tested))
    draws = max(DRAWS, math.ceil(family / alpha) + 1)
    evidence = {}
    for k in tested:
        rng = np.random.default_rng([seed, k])
        evidence[k] = _Evidence.of(series[k], clusters[k], draws, rng)
    found: list[list[Step]] = [[] for _ in series]
    worst = 0.0
    for rank, k in enumerate(sorted(tested, key=lambda k: evidence[k].p)):
        level = alpha / (family - rank)
        worst = max(worst, min(1.0, evidence[k].p * (family - rank)))
        if worst > alpha:
            break
        penalty = evidence[k].penalty(level)
        found[k] = _steps(series[k], clusters[k], penalty, p=worst, alpha=alpha)
    return found


def _may_step(table: Floats) -> bool:
    n_points, n_queries = table.shape
    moved = n_points >= FEWEST_POINTS and bool(np.ptp(table.mean(axis=1)) > stats.ROUNDOFF)
    return moved and n_queries >= stats.MINIMUM_QUERIES


@dataclass(frozen=True)
class _Evidence:
    """What a series reaches, and what series without a step reach."""

    observed: float
    null: Floats

    @classmethod
    def of(
        cls, table: Floats, clusters: Sequence[Hashable | None] | None, draws: int, rng: np.random.Generator
    ) -> _Evidence:
        means = table.mean(axis=1)
        # Each query's course around its own mean and around the course of all: what a step shares out is gone.
        residuals = table - table.mean(axis=0) - (means - means.mean())[:, None]
        units = _summed(residuals, clusters) / table.shape[1]
        n_units = units.shape[1]
        # Centring takes a degree of freedom away; without it few queries look quieter than they are.
        freedom = max(1, n_units - 1)
        units = units * math.sqrt(n_units / freedom)
        observed = float(reach(means[None])[0])
        null = np.empty(0)
        while len(null) < draws and (null >= observed - stats.ROUNDOFF).sum() < EXCEEDED:
            signs = 2.0 * rng.integers(0, 2, (min(BLOCK, draws - len(null)), n_units)) - 1
            # The spread was estimated from these very queries: Student's correction, without which the far tail, where
            # a family of series is judged, is too thin.
            spread = freedom / rng.chisquare(freedom, len(signs))
            null = np.concatenate([null, reach(signs @ units.T) * spread])
        return cls(observed, np.sort(null))

    @property
    def p(self) -> float:
        """The chance that a series without a step reaches this; an early end makes it no smaller."""
        return (1 + int((self.null >= self.observed - stats.ROUNDOFF).sum())) / (1 + len(self.null))

    def penalty(self, level: float) -> float:
        """What series without a step reach with this chance."""
        place = math.ceil((1 - level) * (len(self.null) + 1)) - 1
        return float(self.null[min(place, len(self.null) - 1)])


def _summed(residuals: Floats, clusters: Sequence[Hashable | None] | None) -> Floats:
    """float64[n_points, n_units]: queries of one cluster added up, since they move together."""
    if clusters is None:
        return residuals
    places: dict[Any, int] = {}
    unit = [places.setdefault(("", i) if name is None else name, len(places)) for i, name in enumerate(clusters)]
    summed = np.zeros((residuals.shape[0], len(places)))
    np.add.at(summed.T, unit, residuals.T)
    return summed


def _detector() -> Any:
    try:
        from ruptures import KernelCPD
    except ImportError:
        raise MissingExtra("Looking for steps", "ruptures", "history") from None
    return KernelCPD


def reach(means: Floats) -> Floats:
    """float64[n_series]: the largest penalty a change under which least squares still cuts each series.

    That is the largest fall of squared error a change, over all numbers of changes up to a most: the recursion that
    ruptures runs for one series, here for all draws at once.

    Args:
        means: float64[n_series, n_points].
    """
    n_series, n_points = means.shape
    cost = _costs(means)
    best = cost[:, 0, :].copy()  # of the first t points in one piece
    whole = best[:, -1].copy()
    found = np.zeros(n_series)
    for changes in range(1, min(n_points - 1, MOST_CHANGES) + 1):
        # The last piece begins at s: what stands before it has one change less.
        best = np.concatenate(
            [np.full((n_series, 1), np.inf), (best[:, :-1, None] + cost[:, 1:, 1:]).min(axis=1)], axis=1
        )
        found = np.maximum(found, (whole - best[:, -1]) / changes)
    return found


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
    """Where the method cuts at a penalty, without the cuts that the queries on both sides do not bear out."""
    means = table.mean(axis=1)
    # In units in which deviations are of order one: the library compares costs as they are.
    scale = 1 / means.std()
    detector = _detector()(kernel="linear", min_size=1, jump=1).fit(((means - means.mean()) * scale)[:, None])
    cuts = [0, *(int(end) for end in detector.predict(pen=max(penalty * scale**2, stats.ROUNDOFF)))]
    while len(cuts) > 2:
        made = [_step(table, clusters, cuts[i - 1], cuts[i], cuts[i + 1], p, alpha) for i in range(1, len(cuts) - 1)]
        doubtful = [step for step in made if step.ci is None or step.ci[0] <= 0 <= step.ci[1]]
        if not doubtful:
            return made
        # One at a time: what is left of a level changes with its neighbours.
        cuts.remove(min(doubtful, key=lambda step: abs(step.delta)).at)
    return []


def _step(
    table: Floats,
    clusters: Sequence[Hashable | None] | None,
    start: int,
    at: int,
    end: int,
    p: float,
    alpha: float,
) -> Step:
    before, after = table[start:at].mean(axis=0), table[at:end].mean(axis=0)
    found = stats.estimate(after - before, clusters=clusters, alpha=alpha)
    ci = None if found.low is None or found.high is None else (found.low, found.high)
    return Step(at, start, end, float(before.mean()), float(after.mean()), found.mean, ci, p, found.test)
