"""Paired tests, intervals, power and families of tests: arrays in, numbers out.

A difference is candidate minus baseline, one per query, so a loss of quality is negative. One-sided
tests ask "is the candidate worse?", and a lower bound is what the true mean is not below. What has no
value (a standard error from one query) is None, never NaN. Input that cannot be used (NaN, a wrong shape,
a level outside its range) raises BenchError, no query at all TooFewQueries.

SciPy is imported inside the functions and only scipy.special is: scipy.stats costs half a second, which
a gate would pay on every run. The tests hold both to the same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.errors import BenchError, TooFewQueries

__all__ = [
    "MINIMUM_QUERIES",
    "ROUNDOFF",
    "Calibration",
    "Estimate",
    "RatioInterval",
    "bca_interval",
    "bpref",
    "calibrate",
    "cell_outcome",
    "clustered_t",
    "condense",
    "estimate",
    "holm",
    "mcnemar_exact",
    "mcnemar_midp",
    "mde",
    "mde80",
    "paired_t",
    "percentile_ratio",
    "power_paired_t",
    "queries_needed",
    "queries_to_rule_out",
    "randomization_test",
    "randomized_tukey_hsd",
    "ratio_interval",
    "recipe_interval",
    "recipe_standard_error",
    "tango_interval",
    "tilted_chances",
]

Alternative = Literal["worse", "two-sided"]
Floats = NDArray[np.float64]
Labels = Sequence[Hashable | None] | NDArray[np.intp]
Outcome = Literal["improved", "pass", "fail", "inconclusive"]

MINIMUM_QUERIES = 5
"""Below this no verdict is drawn: four losses out of four are still p = 1/16 by their signs, five are 1/32."""

MINIMUM_SEEDS = 5
"""Below this the spread between seeds is itself too poorly known to carry a claim about a recipe."""

# Scores are of order one, so a difference of two carries about 1e-16 of rounding. Anything this small is
# that rounding, and a test of it (0.3 - 0.2 against 0.4 - 0.3) would find certainty in noise.
ROUNDOFF = 1e-12

# 2**20 sums of sign flips are 8 MB and some milliseconds: up to here every flip is counted, none is sampled.
ENUMERATED_FLIPS = 20

# Numbers in memory at a time while resampling (8 bytes each).
BLOCK = 2_000_000

# A query set nobody can collect: past it "how many queries would settle it" has no useful answer.
MOST_QUERIES = 10**9


# ---- records -------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What one cell (query set x measure) says about the mean difference, and by which test.

    Attributes:
        test: "paired t", "cluster-robust t", "tango + mcnemar mid-p" or "identical".
        n: number of queries.
        mean: mean difference, in the measure's unit.
        low: lower end of the two-sided interval of level 1 - alpha; None where undefined.
        high: upper end of the same interval.
        lower: one-sided lower bound of level 1 - alpha.
        p: one-sided p-value of "the candidate is worse".
        standard_error: of the mean; None where the differences show no spread to take it from.
        n_clusters: clusters, singletons included, when the test uses them; else None.
    """

    test: str
    n: int
    mean: float
    low: float | None
    high: float | None
    lower: float | None
    p: float | None
    standard_error: float | None
    n_clusters: int | None = None


@dataclass(frozen=True, kw_only=True)
class RatioInterval:
    """A ratio and its interval, as the function that returns it defines them; None where undefined."""

    ratio: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """How often each verdict is drawn for one cell whose true mean difference is `shift`.

    Attributes:
        n: queries drawn per repetition (their expected number where clusters are drawn).
        repetitions: simulated gates.
        shift: the true mean difference simulated.
        improved: rate, 0 to 1, as are the three below; the four add up to 1.
        passed: rate.
        failed: rate; the false alarm rate at shift 0, the detection rate below it.
        inconclusive: rate.
    """

    n: int
    repetitions: int
    shift: float
    improved: float
    passed: float
    failed: float
    inconclusive: float


# ---- one cell: estimate and verdict --------------------------------------------------------------


def estimate(
    delta: ArrayLike,
    *,
    clusters: Labels | None = None,
    alpha: float = 0.05,
    identical: bool = False,
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
    delta = _differences(delta)
    _check_alpha(alpha)
    repeated = np.bincount(_cluster_labels(clusters, len(delta))).max() > 1
    if identical:
        if delta.any():
            raise BenchError(
                f"Rankings are said to be identical but {np.count_nonzero(delta)} of {len(delta)} queries differ in "
                "score; expected none. Were the two runs measured against the same judgements? Measure both again."
            )
        n = len(delta)
        return Estimate(test="identical", n=n, mean=0.0, low=0.0, high=0.0, lower=0.0, p=1.0, standard_error=0.0)
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
        margin: the largest loss that is accepted, positive.
        floor: the smallest observed drop that may fail; margin / 2 unless given.
        alpha: level of the failing test.
    """
    _check_alpha(alpha)
    _require(margin > 0, f"margin is {margin}; expected a positive number, the largest loss you accept, such as 0.02.")
    floor = margin / 2 if floor is None else floor
    if cell.test == "identical":
        return "pass"
    if cell.n < MINIMUM_QUERIES:
        return "inconclusive"
    if cell.lower is not None and cell.lower > 0:
        return "improved"
    if cell.lower is not None and cell.lower > -margin:
        return "pass"
    if p_adjusted is not None and p_adjusted < alpha and -cell.mean >= floor - ROUNDOFF:
        return "fail"
    return "inconclusive"


# ---- paired tests and intervals ------------------------------------------------------------------


def paired_t(delta: ArrayLike, *, alpha: float = 0.05) -> Estimate:
    """Student's paired t for the mean difference; see `clustered_t` for differences without spread.

    Source: Student 1908; the same numbers as scipy.stats.ttest_rel(candidate, baseline, alternative="less").
    """
    delta = _differences(delta)
    _check_alpha(alpha)
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
    delta = _differences(delta)
    _check_alpha(alpha)
    labels = _cluster_labels(clusters, len(delta))
    residuals = np.bincount(labels, weights=delta - delta.mean())
    n_clusters = len(residuals)
    correction = n_clusters / (n_clusters - 1) if n_clusters > 1 else 0.0
    standard_error = math.sqrt(correction * float(residuals @ residuals)) / len(delta)
    return _student("cluster-robust t", delta, standard_error, units=n_clusters, alpha=alpha, n_clusters=n_clusters)


def _student(
    test: str,
    delta: Floats,
    standard_error: float,
    *,
    units: int,
    alpha: float,
    n_clusters: int | None = None,
) -> Estimate:
    """The estimate whose mean has this standard error, from `units` independent queries or clusters."""
    from scipy.special import stdtr, stdtrit

    mean = float(delta.mean())
    low: float | None
    high: float | None
    lower: float | None
    p: float | None
    if units > 1 and standard_error > ROUNDOFF:
        two_sided, one_sided = stdtrit(units - 1, [1 - alpha / 2, 1 - alpha]) * standard_error
        low, high, lower = float(mean - two_sided), float(mean + two_sided), float(mean - one_sided)
        p = float(stdtr(units - 1, mean / standard_error))
    else:  # no spread: the exact sign-flip test, as clustered_t says
        chance = 2.0**-units
        low = high = mean if 2 * chance < alpha else None
        lower = mean if chance < alpha else None
        p = None if units == 1 else chance if mean < -ROUNDOFF else 1.0
    return Estimate(
        test=test,
        n=len(delta),
        mean=mean,
        low=low,
        high=high,
        lower=lower,
        p=p,
        standard_error=standard_error if standard_error > ROUNDOFF else None,
        n_clusters=n_clusters,
    )


def _tango_and_mcnemar(delta: Floats, alpha: float) -> Estimate:
    n, gains, losses = len(delta), int((delta > 0).sum()), int((delta < 0).sum())
    low, high = tango_interval(gains, losses, n, level=1 - alpha)
    spread = float(delta.std(ddof=1)) if n > 1 else 0.0
    return Estimate(
        test="tango + mcnemar mid-p",
        n=n,
        mean=(gains - losses) / n,
        low=low,
        high=high,
        lower=tango_interval(gains, losses, n, level=1 - 2 * alpha)[0],
        p=mcnemar_midp(gains, losses),
        standard_error=spread / math.sqrt(n) if spread > ROUNDOFF else None,
    )


@lru_cache(maxsize=4096)  # simulations meet the same few counts thousands of times
def tango_interval(gains: int, losses: int, n: int, *, level: float = 0.95) -> tuple[float, float]:
    """Two-sided score interval (low, high) for the difference of two paired proportions, in -1 to 1.

    Its low end at level 1 - 2 alpha is the one-sided bound of level 1 - alpha.

    Source: Tango 1998, Statistics in Medicine 17, equation 6: the differences that the score test accepts.
    Checked against Tango's and Fagerland's (2013) worked examples.
    """
    from scipy.special import ndtri

    _check_counts(gains, losses, n)
    _require(n >= 1, "n is 0; expected one query or more.")
    _check_share("level", level)
    z_squared = float(ndtri(0.5 + level / 2)) ** 2

    def accepted(difference: float) -> bool:
        # q is the maximum-likelihood chance of a loss given the difference; names as in gate.md and Tango.
        a = 2 * n
        b = -gains - losses + (2 * n - gains + losses) * difference
        c = -losses * difference * (1 - difference)
        q = (math.sqrt(max(b * b - 4 * a * c, 0.0)) - b) / (2 * a)
        variance = n * (2 * q + difference * (1 - difference))
        # squared instead of divided: the variance is 0 at the ends of the range
        return (gains - losses - n * difference) ** 2 <= z_squared * variance

    mean = (gains - losses) / n
    return _edge(accepted, mean, -1.0), _edge(accepted, mean, 1.0)


def mcnemar_midp(gains: int, losses: int, *, alternative: Alternative = "worse") -> float:
    """Mid-p value of McNemar's test: half the chance of the observed split counts; 1 if nothing changed.

    Two-sided it is twice the smaller tail, 1 where gains equal losses.

    Source: Fagerland, Lydersen and Laake 2013, BMC Medical Research Methodology 13:91.
    """
    return (_mcnemar_tail(gains, losses, alternative, 0) + _mcnemar_tail(gains, losses, alternative, 1)) / 2


def mcnemar_exact(gains: int, losses: int, *, alternative: Alternative = "worse") -> float:
    """P-value of the exact McNemar (sign) test of gains against losses; 1 if nothing changed.

    Source: McNemar 1947; the same numbers as scipy.stats.binomtest(losses, gains + losses).
    """
    return min(1.0, _mcnemar_tail(gains, losses, alternative, 0))


def _mcnemar_tail(gains: int, losses: int, alternative: Alternative, beyond: int) -> float:
    """Chance of at least (beyond 0) or of more than (beyond 1) the observed losses, doubled if two-sided."""
    from scipy.special import bdtrc

    _check_alternative(alternative)
    _check_counts(gains, losses, gains + losses)
    if gains + losses == 0:
        return 1.0
    extreme = losses if alternative == "worse" else max(gains, losses)
    sides = 1 if alternative == "worse" else 2
    return sides * float(bdtrc(extreme - 1 + beyond, int(gains + losses), 0.5))


def randomization_test(
    delta: ArrayLike,
    *,
    n_resamples: int = 10_000,
    rng: np.random.Generator,
    alternative: Alternative = "worse",
) -> float:
    """P-value of the mean difference under random flips of sign; (1 + count) / (n_resamples + 1).

    With up to 20 differences that are not 0 every flip is enumerated, the p-value is exact and `rng` is
    not used. On differences of -1, 0 and 1 that is the exact McNemar test.

    Source: Fisher 1935; Smucker, Allan and Carterette 2007; the count as in Phipson and Smyth 2010.
    """
    delta = _differences(delta)
    _check_alternative(alternative)
    _check_resamples(n_resamples)
    moved = delta[delta != 0]
    total = moved.sum()
    # flips that tie with the data must count although they are summed in another order
    slack = ROUNDOFF * np.abs(moved).sum()

    def as_extreme(sums: Floats) -> int:
        extreme = sums <= total + slack if alternative == "worse" else np.abs(sums) >= abs(total) - slack
        return int(np.count_nonzero(extreme))

    if len(moved) <= ENUMERATED_FLIPS:
        sums = np.zeros(1)
        for difference in moved:
            sums = np.concatenate([sums + difference, sums - difference])
        return as_extreme(sums) / len(sums)
    count = 0
    n_bytes = math.ceil(len(moved) / 8)
    for size in _blocks(n_resamples, len(moved)):
        flips = np.unpackbits(rng.integers(0, 256, (size, n_bytes), dtype=np.uint8), axis=1, count=len(moved))
        count += as_extreme(total - 2 * (flips @ moved))
    return (1 + count) / (n_resamples + 1)


def ratio_interval(candidate: ArrayLike, baseline: ArrayLike, *, level: float = 0.95) -> RatioInterval:
    """Mean of the candidate over mean of the baseline ("retains 99 %"), paired by query; a two-sided interval.

    The ratio is None unless both means are positive; its interval is None with one query.

    Args:
        candidate: float64[n_queries], scores.
        baseline: float64[n_queries], scores of the same queries in the same order.
        level: coverage, 0 < level < 1.

    Source: delta method on the log ratio, e.g. Casella and Berger 2002, 5.5.4; t quantile with n - 1 df.
    """
    from scipy.special import stdtrit

    candidate, baseline = _differences(candidate, "candidate"), _differences(baseline, "baseline")
    _check_share("level", level)
    n = len(candidate)
    paired = n == len(baseline)
    _require(paired, f"candidate has {n} scores and baseline {len(baseline)}; expected one of each per query.")
    top, bottom = float(candidate.mean()), float(baseline.mean())
    if top <= 0 or bottom <= 0:
        return RatioInterval(ratio=None, low=None, high=None)
    if n == 1:
        return RatioInterval(ratio=top / bottom, low=None, high=None)
    # v_b/b^2 + v_a/a^2 - 2c/(ab) is the variance of b_i/b - a_i/a; summed so, it cannot go below 0
    half = stdtrit(n - 1, 0.5 + level / 2) * (candidate / top - baseline / bottom).std(ddof=1) / math.sqrt(n)
    ratio = top / bottom
    return RatioInterval(ratio=ratio, low=float(ratio * np.exp(-half)), high=float(ratio * np.exp(half)))


def percentile_ratio(
    candidate_ms: ArrayLike,
    reference_ms: ArrayLike,
    *,
    percentile: float = 95,
    alpha: float = 0.05,
    rng: np.random.Generator,
    n_resamples: int = 2_000,
) -> RatioInterval:
    """A percentile of the candidate's times over that of the reference's, with one-sided bounds of level 1 - alpha.

    Queries are drawn again with both their times, so that what makes a query slow for both cancels. Covers 93 to
    99 % for 95 % at 20 to 200 queries of log-normal times; under 100 / (100 - percentile) queries, whose
    percentile is their largest value, 87 to 92 %: there the bounds are None, as they are under MINIMUM_QUERIES.

    Args:
        candidate_ms: float64[n_queries], positive times in any unit.
        reference_ms: float64[n_queries], times of the same queries in the same order, unit and process.
        percentile: 0 < percentile < 100; between two queries it is interpolated (Hyndman and Fan's type 7).
        alpha: of each bound alone.
        rng: source of the draws.
        n_resamples: draws.

    Returns:
        `low` and `high` bound the ratio from one side each; together they are an interval of level 1 - 2 alpha.

    Source: the percentile bootstrap, Efron and Tibshirani 1993, chapter 13. Measured in tests/test_stats.py.
    """
    candidate, reference = _differences(candidate_ms, "candidate_ms"), _differences(reference_ms, "reference_ms")
    _check_alpha(alpha)
    _check_share("percentile / 100", percentile / 100)
    _check_resamples(n_resamples)
    n = len(candidate)
    paired = n == len(reference)
    _require(paired, f"candidate_ms has {n} times and reference_ms {len(reference)}; expected one of each per query.")
    smallest = float(min(candidate.min(), reference.min()))
    _require(smallest > 0, f"The shortest time is {smallest:g}; expected times above 0.")
    ratio = float(np.percentile(candidate, percentile) / np.percentile(reference, percentile))
    if n < max(MINIMUM_QUERIES, 100 / (100 - percentile)):
        return RatioInterval(ratio=ratio, low=None, high=None)
    ratios = []
    for size in _blocks(n_resamples, n):
        drawn = rng.integers(0, n, (size, n))
        above, below = (np.percentile(times[drawn], percentile, axis=1) for times in (candidate, reference))
        ratios.append(above / below)
    low, high = np.quantile(np.concatenate(ratios), [alpha, 1 - alpha])
    return RatioInterval(ratio=ratio, low=float(low), high=float(high))


def bca_interval(
    delta: ArrayLike, *, level: float = 0.95, rng: np.random.Generator, n_resamples: int = 9_999
) -> tuple[float, float] | None:
    """Bootstrap interval (low, high) of the mean, bias-corrected and accelerated; None without spread.

    For reports, never for a verdict: it covers 93.0 % at n = 50 where t covers 94.6 % (gate.md).

    Source: Efron 1987, JASA 82; the same numbers as scipy.stats.bootstrap(method="BCa").
    """
    from scipy.special import ndtr, ndtri

    delta = _differences(delta)
    _check_share("level", level)
    _check_resamples(n_resamples)
    n, mean = len(delta), delta.mean()
    if np.ptp(delta) <= ROUNDOFF:
        return None
    means = np.concatenate([delta[rng.integers(0, n, (size, n))].mean(axis=1) for size in _blocks(n_resamples, n)])
    # resamples that equal the data's mean, common with few distinct differences, count half
    bias = ndtri(((means < mean).mean() + (means <= mean).mean()) / 2)
    if not np.isfinite(bias):
        return None
    residuals = delta - mean  # the jackknife of a mean leaves residual / (n - 1), the divisor cancels
    acceleration = (residuals**3).sum() / (6 * (residuals**2).sum() ** 1.5)
    z = bias + ndtri(np.array([1 - level, 1 + level]) / 2)
    low, high = np.quantile(means, ndtr(bias + z / (1 - acceleration * z)))
    return float(low), float(high)


# ---- families of tests ---------------------------------------------------------------------------


def holm(p_values: Sequence[float | None] | Floats) -> Floats:
    """P-values adjusted for their number, in the order given; None (no p could be had) counts as 1.

    Source: Holm 1979: adjusted p_(j) = max over i <= j of min(1, (k - i + 1) p_(i)).
    """
    p = np.array([1.0 if value is None else value for value in p_values], dtype=np.float64)
    _require(bool(((p >= 0) & (p <= 1)).all()), f"p-values are {p}; expected numbers from 0 to 1, or None.")
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1.0)
    return adjusted


def randomized_tukey_hsd(values: ArrayLike, *, n_resamples: int = 10_000, rng: np.random.Generator) -> Floats:
    """Two-sided p-values of all pairs of systems, adjusted for their number; 1 on the diagonal.

    Args:
        values: float64[n_queries, n_systems], scores.
        n_resamples: permutations of every query's row; p is (1 + count) / (n_resamples + 1).
        rng: source of the permutations.

    Returns:
        float64[n_systems, n_systems], symmetric.

    Source: Carterette 2012, TOIS 30(1), algorithm 1. scipy.stats.tukey_hsd is unpaired: another test.
    """
    values = np.asarray(values, dtype=np.float64)
    matrix = values.ndim == 2 and values.shape[1] >= 2
    _require(matrix, f"Scores have shape {values.shape}; expected queries x systems with two systems or more.")
    _differences(values.ravel(), "Scores")
    _check_resamples(n_resamples)
    means = values.mean(axis=0)
    observed = np.abs(means[:, None] - means[None, :])
    ranges = np.concatenate(
        [
            np.ptp(rng.permuted(np.broadcast_to(values, (size, *values.shape)), axis=2).mean(axis=1), axis=1)
            for size in _blocks(n_resamples, values.size)
        ]
    )
    ranges.sort()
    slack = ROUNDOFF * max(1.0, float(np.abs(values).max()))
    p: Floats = (1.0 + n_resamples - np.searchsorted(ranges, observed - slack)) / (n_resamples + 1)
    return p


# ---- power ---------------------------------------------------------------------------------------


def power_paired_t(
    effect: float, sd: float, n: int, *, alpha: float = 0.05, alternative: Alternative = "worse"
) -> float | None:
    """Chance that a paired t of n queries rejects when the true drop is `effect`; None if n < 2 or sd is 0.

    Args:
        effect: the true drop as a positive number, in the measure's unit.
        sd: standard deviation of the differences.
        n: number of queries.
        alpha: level of the test.
        alternative: "worse" for the one-sided test, "two-sided".

    Source: noncentral t, exact under normal differences; Cohen 1988, chapter 2.
    """
    _check_effect(effect, sd)
    if n < 2 or sd <= ROUNDOFF:
        return None
    return _rejection_rate(effect * math.sqrt(n) / sd, n - 1, alpha, alternative)


def mde(standard_error: float, df: float, *, power: float = 0.8, alpha: float = 0.05) -> float | None:
    """The smallest true drop that a one-sided t with this standard error detects with this power.

    About 2.486 standard errors for large df. Takes the cluster-robust standard error with G - 1 as df.
    None where there is no spread or no degree of freedom to work from.
    """
    _check_share("power", power)
    _check_effect(0.0, standard_error)
    if df < 1 or standard_error <= ROUNDOFF:
        return None
    if power <= alpha:
        return 0.0
    most = 1.0
    while _rejection_rate(most, df, alpha, "worse") < power:
        most *= 2
    return standard_error * _edge(lambda drop: _rejection_rate(drop, df, alpha, "worse") < power, 0.0, most)


def mde80(sd: float, n: int, *, alpha: float = 0.05) -> float | None:
    """The smallest true drop that n queries whose differences have this sd detect with power 0.8."""
    return None if n < 2 else mde(sd / math.sqrt(n), n - 1, power=0.8, alpha=alpha)


def queries_needed(
    effect: float, sd: float, *, power: float = 0.8, alpha: float = 0.05, alternative: Alternative = "worse"
) -> int | None:
    """The fewest queries with which a paired t detects a true drop of `effect`, positive, with this power.

    None where no number would do: no effect, no spread known, or more than a billion queries.
    """
    _check_share("power", power)
    _check_effect(effect, sd)
    if effect <= 0 or sd <= ROUNDOFF:
        return None

    def enough(n: int) -> bool:
        return _rejection_rate(effect * math.sqrt(n) / sd, n - 1, alpha, alternative) >= power

    most = 2
    while not enough(most):
        if most > MOST_QUERIES:
            return None
        most *= 2
    least = max(2, most // 2)
    while least < most:
        middle = (least + most) // 2
        least, most = (least, middle) if enough(middle) else (middle + 1, most)
    return most


def queries_to_rule_out(margin: float, *, alpha: float = 0.05) -> int:
    """Queries of which none may move so that a drop of the margin is ruled out.

    Solves z^2 / (n + z^2) < margin, Tango's bound at no gain and no loss.
    """
    from scipy.special import ndtri

    _check_alpha(alpha)
    _check_share("margin", margin)
    z_squared = float(ndtri(1 - alpha)) ** 2
    return math.floor(z_squared * (1 / margin - 1)) + 1


def _rejection_rate(noncentrality: float, df: float, alpha: float, alternative: Alternative) -> float:
    from scipy.special import nctdtr, stdtrit

    _check_alpha(alpha)
    _check_alternative(alternative)
    critical = float(stdtrit(df, 1 - (alpha if alternative == "worse" else alpha / 2)))

    def at_most(t: float) -> float:
        # SciPy 1.17's nctdtr answers NaN where the tail underflows (noncentrality 30, t = -2): that tail is 0
        tail = float(nctdtr(df, noncentrality, t))
        return 0.0 if math.isnan(tail) else tail

    far = 0.0 if alternative == "worse" else at_most(-critical)
    return 1.0 - at_most(critical) + far


# ---- recipes: several seeds per system -----------------------------------------------------------


def recipe_standard_error(delta_sd: float, n: int, *, seed_sd: float, k_candidate: int, k_baseline: int) -> float:
    """Standard error of the mean difference between two recipes, each trained with several seeds.

    Args:
        delta_sd: standard deviation over queries of the difference of seed means.
        n: number of queries.
        seed_sd: standard deviation over seeds of a recipe's mean score, pooled over both recipes.
        k_candidate: seeds of the candidate.
        k_baseline: seeds of the baseline.

    Source: gate.md: Var = s_d^2 / n + sigma_s^2 (1/K_A + 1/K_B), the two sources taken as independent.
    """
    _check_effect(0.0, delta_sd)
    _check_effect(0.0, seed_sd)
    seeds = f"{k_candidate} and {k_baseline} seeds"
    _require(min(n, k_candidate, k_baseline) >= 1, f"Recipes have {n} queries, {seeds}; expected 1 or more of each.")
    return math.sqrt(delta_sd**2 / n + seed_sd**2 * (1 / k_candidate + 1 / k_baseline))


def recipe_interval(
    mean: float,
    delta_sd: float,
    *,
    n: int,
    seed_sd: float,
    k_candidate: int,
    k_baseline: int,
    level: float = 0.95,
) -> tuple[float, float]:
    """Two-sided interval (low, high) for the mean difference between recipes; arguments as `recipe_standard_error`.

    Source: t quantile with the degrees of freedom of Satterthwaite 1946: n - 1 for the queries, K_A + K_B - 2
    for the seeds.
    """
    from scipy.special import stdtrit

    _check_share("level", level)
    _require(
        min(k_candidate, k_baseline) >= MINIMUM_SEEDS,
        f"Recipes have {k_candidate} and {k_baseline} seeds; expected {MINIMUM_SEEDS} or more of each. "
        "Train more seeds, or compare single checkpoints, which needs none.",
    )
    if n < 2:
        raise TooFewQueries(f"Recipes were compared on {n} query; expected two or more, for a spread between queries.")
    standard_error = recipe_standard_error(delta_sd, n, seed_sd=seed_sd, k_candidate=k_candidate, k_baseline=k_baseline)
    if standard_error <= ROUNDOFF:
        return mean, mean
    queries, seeds = delta_sd**2 / n, seed_sd**2 * (1 / k_candidate + 1 / k_baseline)
    df = (queries + seeds) ** 2 / (queries**2 / (n - 1) + seeds**2 / (k_candidate + k_baseline - 2))
    half = float(stdtrit(df, 0.5 + level / 2)) * standard_error
    return mean - half, mean + half


# ---- incomplete judgements -----------------------------------------------------------------------


def bpref(ranked_grades: ArrayLike, n_relevant: int, n_nonrelevant: int, *, relevance_level: int = 1) -> float:
    """Share of judged non-relevant documents that relevant ones are ranked above, 0 to 1; unjudged skipped.

    0 for a query without a relevant judgement, as in trec_eval.

    Args:
        ranked_grades: [n_ranked], grades in rank order; negative or NaN is unjudged.
        n_relevant: judged relevant documents of the query, retrieved or not.
        n_nonrelevant: judged non-relevant ones (grade 0 up to the relevance level).
        relevance_level: the least grade that counts as relevant.

    Source: Buckley and Voorhees 2004, as trec_eval's m_bpref.c has it: the first min(R, N) non-relevant
    documents count, and those of later ones change nothing.
    """
    grades = condense(ranked_grades)
    relevant = grades >= relevance_level
    if n_relevant == 0:
        return 0.0
    above = np.minimum(np.cumsum(~relevant)[relevant], n_relevant)
    return float((1 - above / max(1, min(n_nonrelevant, n_relevant))).sum() / n_relevant)


def condense(ranked_grades: ArrayLike) -> Floats:
    """The ranking without its unjudged documents (negative or NaN), order kept.

    A measure of it is the judged-only score of the ranking.

    Source: Sakai 2007, "Alternatives to bpref".
    """
    grades = np.asarray(ranked_grades, dtype=np.float64)
    _require(grades.ndim == 1, f"Grades have shape {grades.shape}; expected one grade per ranked document.")
    return grades[grades >= 0]


# ---- calibration ---------------------------------------------------------------------------------


def calibrate(
    deltas: ArrayLike,
    *,
    clusters: Labels | None = None,
    n: int | None = None,
    margin: float,
    alpha: float = 0.05,
    floor: float | None = None,
    repetitions: int = 2_000,
    shift: float = 0.0,
    rng: np.random.Generator,
) -> Calibration:
    """How often one cell fails, passes and so on when the true mean difference is `shift`.

    Differences seen before are drawn again, whole clusters at a time, with the chances tilted
    exponentially so that their mean is exactly `shift`: zeros stay zeros and -1, 0, 1 stay so, so the
    same test runs as in the gate. Where all lie on one side of `shift`, their mirror images join first.
    A single cell: no adjustment for several. Costs about a tenth of a millisecond per repetition.

    Args:
        deltas: float64[n_queries], differences seen in an earlier comparison.
        clusters: one label per query; None (or NaN) is a cluster of its own.
        n: queries per repetition; as many as `deltas` unless given.
        margin: as in `cell_outcome`, like the two below.
        alpha: level.
        floor: smallest observed drop that may fail.
        repetitions: simulated gates; a rate has a standard error of at most 0.5 / sqrt(repetitions).
        shift: the true mean difference; 0 for the false alarm rate, negative for the detection rate.
        rng: source of the draws.

    Source: exponential tilting, Efron 1981, Canadian Journal of Statistics 9; cluster bootstrap, Davison
    and Hinkley 1997, 3.8.
    """
    deltas = _differences(deltas)
    labels = _cluster_labels(clusters, len(deltas))
    _check_resamples(repetitions)
    n = len(deltas) if n is None else n
    if n < 1:
        raise TooFewQueries(f"n is {n}; expected the number of queries to draw, 1 or more.")
    values, chances = _units(deltas, labels, shift)
    n_drawn = max(1, round(n * (int(labels.max()) + 1) / len(deltas)))
    outcomes: list[Outcome] = []
    for _ in range(repetitions):
        drawn = [values[unit] for unit in rng.choice(len(values), n_drawn, p=chances)]
        sizes = [len(value) for value in drawn]
        drawn_clusters = np.repeat(np.arange(n_drawn), sizes) if max(sizes) > 1 else None
        cell = estimate(np.concatenate(drawn), clusters=drawn_clusters, alpha=alpha)
        outcomes.append(cell_outcome(cell, p_adjusted=cell.p, margin=margin, floor=floor, alpha=alpha))
    return Calibration(
        n=n,
        repetitions=repetitions,
        shift=shift,
        improved=outcomes.count("improved") / repetitions,
        passed=outcomes.count("pass") / repetitions,
        failed=outcomes.count("fail") / repetitions,
        inconclusive=outcomes.count("inconclusive") / repetitions,
    )


def _units(deltas: Floats, labels: NDArray[np.intp], shift: float) -> tuple[list[Floats], Floats]:
    """The clusters' differences, mirrored too if need be, and chances under which the mean is `shift`."""
    members = np.split(np.argsort(labels, kind="stable"), np.cumsum(np.bincount(labels))[:-1])
    values = [deltas[member] for member in members]
    means = [value.mean() for value in values]
    if not min(means) < shift < max(means):
        values += [-value for value in values]
    return values, tilted_chances([value.sum() for value in values], [len(value) for value in values], shift=shift)


def tilted_chances(sums: ArrayLike, sizes: ArrayLike, *, shift: float) -> Floats:
    """float64[n_clusters], chances of drawing each cluster under which the true mean difference is `shift`.

    Proportional to exp(t (sum - shift * size)): of all chances with that mean, the nearest to equal ones.

    Args:
        sums: float64[n_clusters], each cluster's differences added up.
        sizes: int[n_clusters], how many they are.
        shift: the mean wanted; some clusters' means must lie on each side of it, else BenchError.

    Source: exponential tilting, Efron 1981, Canadian Journal of Statistics 9.
    """
    excess = np.asarray(sums, dtype=np.float64) - shift * np.asarray(sizes, dtype=np.float64)
    _require(
        bool(excess.min() < 0 < excess.max()),
        f"Differences cannot be drawn with a true mean of {shift}: none lies beyond it. Expected a smaller shift, "
        "or differences from a comparison in which more queries changed.",
    )
    excess = excess / np.abs(excess).max()

    def chances(tilt: float) -> Floats:
        weights: Floats = np.exp(tilt * excess - (tilt * excess).max())
        weights /= weights.sum()
        return weights

    # 1e6: past it float64 sees only the largest excess anyway
    return chances(_edge(lambda tilt: bool(chances(tilt) @ excess < 0), -1e6, 1e6, halvings=80))


# ---- checks and small tools ----------------------------------------------------------------------


def _edge(holds: Callable[[float], bool], inside: float, outside: float, *, halvings: int = 60) -> float:
    """Where `holds` stops between `inside`, where it does, and `outside`; `outside` itself if it never stops."""
    for _ in range(halvings):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if holds(middle) else (inside, middle)
    return outside


def _blocks(total: int, width: int) -> list[int]:
    """Sizes that add up to `total`, each at most BLOCK numbers when a row has `width`."""
    size = max(1, BLOCK // max(1, width))
    return [min(size, total - start) for start in range(0, total, size)]


def _differences(values: ArrayLike, name: str = "Differences") -> Floats:
    array = np.asarray(values, dtype=np.float64)
    _require(array.ndim == 1, f"{name} have shape {array.shape}; expected one number per query.")
    if not len(array):
        raise TooFewQueries(f"{name} hold no query; expected one number per query. Is the query set or slice empty?")
    wrong = np.flatnonzero(~np.isfinite(array))
    if len(wrong):
        raise BenchError(
            f"{name} hold {array[wrong[0]]} at position {wrong[0]} ({len(wrong)} of {len(array)} are not finite); "
            "expected a number for every query. Score a query without results as 0, or leave it out of both runs."
        )
    return np.where(np.abs(array) <= ROUNDOFF, 0.0, array)


def _cluster_labels(clusters: Labels | None, n: int) -> NDArray[np.intp]:
    """Cluster numbers 0..G-1, one per query; None and NaN (pandas' None) get one each."""
    if clusters is None:
        return np.arange(n)
    fits = len(clusters) == n
    _require(fits, f"clusters has {len(clusters)} labels for {n} queries; expected one per query, None for none.")
    numbers: dict[Hashable, int] = {}
    codes = np.empty(n, dtype=np.intp)
    for row, label in enumerate(clusters):
        alone = label is None or label != label
        codes[row] = numbers.setdefault((row,) if alone else ("cluster", label), len(numbers))
    return codes


def _check_alpha(alpha: float) -> None:
    _require(0 < alpha < 0.5, f"alpha is {alpha}; expected a number between 0 and 0.5, such as 0.05.")


def _check_share(name: str, value: float) -> None:
    _require(0 < value < 1, f"{name} is {value}; expected a number between 0 and 1, such as 0.8 or 0.95.")


def _check_alternative(alternative: str) -> None:
    known = alternative in ("worse", "two-sided")
    _require(known, f'alternative is "{alternative}"; expected "worse" or "two-sided".')


def _check_counts(gains: int, losses: int, n: int) -> None:
    possible = min(gains, losses) >= 0 and gains + losses <= n
    _require(possible, f"{gains} gains and {losses} losses of {n} queries; expected counts of 0 or more within n.")


def _check_effect(effect: float, sd: float) -> None:
    possible = 0 <= effect < math.inf and 0 <= sd < math.inf
    _require(possible, f"effect {effect}, standard deviation {sd}; expected 0 or more (a drop is positive here).")


def _check_resamples(n: int) -> None:
    _require(n >= 1, f"{n} resamples were asked for; expected 1 or more, and 10,000 for two steady digits.")


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise BenchError(message)
