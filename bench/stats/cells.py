"""The estimate of a cell (a query set and a measure) by the method that fits the data, its outcome, and Holm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from bench.base.errors import BenchError
from bench.stats._inputs import (
    MINIMUM_QUERIES,
    ROUNDOFF,
    Floats,
    Labels,
    Outcome,
    check_alpha,
    cluster_labels,
    differences,
    require,
)
from bench.stats.proportions import mcnemar_midp, tango_interval


@dataclass(frozen=True)
class Estimate:
    """Mean difference of one cell (query set x measure), with interval, bound and p-values of one test.

    Attributes:
        test: "paired t", "cluster-robust t", "tango + mcnemar mid-p" or "identical".
        n: number of queries.
        mean: mean difference, in the measure's unit.
        low: lower end of the two-sided interval of level 1 - alpha; None where undefined.
        high: upper end of the same interval.
        lower: one-sided lower bound of level 1 - alpha.
        p: one-sided p-value of "the candidate is worse".
        p_two_sided: p-value of "the two differ".
        standard_error: of the mean; None where the differences have no spread.
        n_clusters: clusters, singletons included, when the test uses them; else None.
    """

    test: str
    n: int
    mean: float
    low: float | None
    high: float | None
    lower: float | None
    p: float | None
    p_two_sided: float | None
    standard_error: float | None
    n_clusters: int | None = None

    def within(self, margin: float) -> bool:
        """Whether a drop of the margin is ruled out; never under five queries, unless the rankings are identical."""
        return self.test == "identical" or (
            self.n >= MINIMUM_QUERIES and self.lower is not None and self.lower > -margin
        )


def estimate(
    delta: ArrayLike, *, clusters: Labels | None = None, alpha: float = 0.05, identical: bool = False
) -> Estimate:
    """Mean difference with interval, lower bound and p by the one method that fits the data.

    Clusters with two or more queries take the cluster-robust t; else differences that are all -1, 0
    or 1 take Tango's interval and McNemar's mid-p; else the paired t. Rankings that differ while every
    difference is 0 have p = 1 and Tango's bound -z^2/(n + z^2), whatever the measure and the clusters:
    n queries without one change bound how common changes are, they do not exclude them.

    Args:
        delta: float64[n_queries], candidate minus baseline.
        clusters: one label per query; None (or NaN) is a cluster of its own.
        alpha: one minus the level of the interval and of the lower bound.
        identical: the rankings are the same for every query down to the cutoff, so 0 is exact.
    """
    delta = differences(delta)
    check_alpha(alpha)
    repeated = np.bincount(cluster_labels(clusters, len(delta))).max() > 1
    if identical:
        if delta.any():
            raise BenchError(
                f"Rankings are marked as identical but {np.count_nonzero(delta)} of {len(delta)} queries differ in "
                "score; expected none. Were the two runs measured against the same judgements? Measure both again."
            )
        return Estimate("identical", len(delta), 0.0, 0.0, 0.0, 0.0, p=1.0, p_two_sided=1.0, standard_error=0)
    if clusters is not None and repeated and delta.any():
        return clustered_t(delta, clusters, alpha=alpha)
    if np.isin(delta, (-1.0, 0.0, 1.0)).all():
        return _tango_and_mcnemar(delta, alpha)
    return paired_t(delta, alpha=alpha)


def cell_outcome(
    cell: Estimate, *, p_adjusted: float | None, margin: float, floor: float | None = None, alpha: float = 0.05
) -> Outcome:
    """The verdict on one cell: "improved", "pass", "fail" or "inconclusive".

    Args:
        cell: the estimate, made with the same alpha.
        p_adjusted: its p after Holm over all gated cells; None never fails.
        margin: the largest drop that is tolerated, positive.
        floor: the smallest observed drop that may fail; margin / 2 unless given.
        alpha: level of the failing test.
    """
    check_alpha(alpha)
    require(margin > 0, f"margin is {margin}; expected a positive number, the largest drop you tolerate, such as 0.02.")
    floor = margin / 2 if floor is None else floor
    if cell.test == "identical":
        return "pass"
    if cell.n < MINIMUM_QUERIES:
        return "inconclusive"
    if cell.lower is not None and cell.lower > 0:
        return "improved"
    if cell.within(margin):
        return "pass"
    if p_adjusted is not None and p_adjusted < alpha and -cell.mean >= floor - ROUNDOFF:
        return "fail"
    return "inconclusive"


def paired_t(delta: ArrayLike, *, alpha: float = 0.05) -> Estimate:
    """Student's paired t for the mean difference; see `clustered_t` for differences without spread.

    Source: Student 1908; the same numbers as scipy.stats.ttest_rel(candidate, baseline, alternative="less").
    """
    delta = differences(delta)
    check_alpha(alpha)
    standard_error = delta.std(ddof=1) / math.sqrt(len(delta)) if len(delta) > 1 else 0.0
    return _student("paired t", delta, float(standard_error), units=len(delta), alpha=alpha)


def clustered_t(delta: ArrayLike, clusters: Labels, *, alpha: float = 0.05) -> Estimate:
    """Cluster-robust t for the mean difference, with one degree of freedom less than there are clusters.

    Where every cluster (for `paired_t`, every query) has the same mean, the standard error is 0 and t is
    infinite, which would make two clusters certain of anything. There the exact sign-flip test of the G
    cluster means takes over: p is 2^-G if all are negative and 1 if not. Inverting it, the interval is
    the mean itself where 2^(1-G) < alpha (one-sided bound: 2^-G < alpha) and None with fewer clusters.

    Args:
        delta: float64[n_queries], candidate minus baseline.
        clusters: one label per query; None (or NaN) is a cluster of its own.
        alpha: one minus the level of the interval and of the lower bound.

    Source: Liang and Zeger 1986; Miller 2024, "Adding error bars to evals", with the factor G / (G - 1).
    """
    delta = differences(delta)
    check_alpha(alpha)
    labels = cluster_labels(clusters, len(delta))
    residuals = np.bincount(labels, weights=delta - delta.mean())
    n_clusters = len(residuals)
    correction = n_clusters / (n_clusters - 1) if n_clusters > 1 else 0.0
    standard_error = math.sqrt(correction * float(residuals @ residuals)) / len(delta)
    return _student("cluster-robust t", delta, standard_error, units=n_clusters, alpha=alpha, n_clusters=n_clusters)


def _student(
    test: str, delta: Floats, standard_error: float, *, units: int, alpha: float, n_clusters: int | None = None
) -> Estimate:
    """The estimate whose mean has this standard error, from `units` independent queries or clusters."""
    from scipy.special import stdtr, stdtrit

    mean, n = float(delta.mean()), len(delta)
    if units > 1 and standard_error > ROUNDOFF:
        two_sided, one_sided = stdtrit(units - 1, [1 - alpha / 2, 1 - alpha]) * standard_error
        bounds = (float(mean - two_sided), float(mean + two_sided), float(mean - one_sided))
        # p_two_sided comes from the smaller tail: 1 − p would round it away.
        worse, tail = stdtr(units - 1, mean / standard_error), stdtr(units - 1, -abs(mean) / standard_error)
        return Estimate(test, n, mean, *bounds, float(worse), float(2 * tail), standard_error, n_clusters)
    # No spread: the exact sign-flip test, as clustered_t says.
    chance = 2.0**-units
    end, lower = mean if 2 * chance < alpha else None, mean if chance < alpha else None
    p = None if units == 1 else chance if mean < -ROUNDOFF else 1.0
    p_two_sided = None if units == 1 else min(1.0, 2 * chance) if abs(mean) > ROUNDOFF else 1.0
    return Estimate(test, n, mean, end, end, lower, p, p_two_sided, None, n_clusters)


def _tango_and_mcnemar(delta: Floats, alpha: float) -> Estimate:
    n, gains, losses = len(delta), int((delta > 0).sum()), int((delta < 0).sum())
    low, high = tango_interval(gains, losses, n, level=1 - alpha)
    spread = float(delta.std(ddof=1)) if n > 1 else 0.0
    return Estimate(
        "tango + mcnemar mid-p",
        n,
        (gains - losses) / n,
        low,
        high,
        lower=tango_interval(gains, losses, n, level=1 - 2 * alpha)[0],
        p=mcnemar_midp(gains, losses),
        p_two_sided=mcnemar_midp(gains, losses, alternative="two-sided"),
        standard_error=spread / math.sqrt(n) if spread > ROUNDOFF else None,
    )


def holm(p_values: Sequence[float | None] | Floats) -> Floats:
    """P-values adjusted for their number, in the order given; None (no p-value) counts as 1.

    Source: Holm 1979: adjusted p_(j) = max over i <= j of min(1, (k - i + 1) p_(i)).
    """
    p = np.array([1.0 if value is None else value for value in p_values], dtype=np.float64)
    require(bool(((p >= 0) & (p <= 1)).all()), f"p-values are {p}; expected numbers from 0 to 1, or None.")
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1.0)
    return adjusted
