"""Power of a paired t: the drop that a number of queries detects, and the queries that a drop needs."""

from __future__ import annotations

import math

from bench.stats._inputs import ROUNDOFF, Alternative, check_alpha, check_alternative, check_effect, check_share, edge

# More queries than anyone can collect: beyond this a number of queries needed is of no use.
MOST_QUERIES = 10**9


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
    check_effect(effect, sd)
    if n < 2 or sd <= ROUNDOFF:
        return None
    return _rejection_rate(effect * math.sqrt(n) / sd, n - 1, alpha, alternative)


def mde(standard_error: float, df: float, *, power: float = 0.8, alpha: float = 0.05) -> float | None:
    """The smallest true drop that a one-sided t with this standard error detects with this power.

    About 2.486 standard errors for large df. Takes the cluster-robust standard error with G - 1 as df.
    None where there is no spread or no degree of freedom.
    """
    check_share("power", power)
    check_effect(0.0, standard_error)
    if df < 1 or standard_error <= ROUNDOFF:
        return None
    if power <= alpha:
        return 0.0
    most = 1.0
    while _rejection_rate(most, df, alpha, "worse") < power:
        most *= 2
    return standard_error * edge(lambda drop: _rejection_rate(drop, df, alpha, "worse") < power, 0.0, most)


def mde80(sd: float, n: int, *, alpha: float = 0.05) -> float | None:
    """The smallest true drop that n queries whose differences have this sd detect with power 0.8."""
    return None if n < 2 else mde(sd / math.sqrt(n), n - 1, power=0.8, alpha=alpha)


def queries_needed(
    effect: float, sd: float, *, power: float = 0.8, alpha: float = 0.05, alternative: Alternative = "worse"
) -> int | None:
    """The fewest queries with which a paired t detects a true drop of `effect`, positive, with this power.

    None where no number is enough: no effect, no spread, or more than a billion queries.
    """
    check_share("power", power)
    check_effect(effect, sd)
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
    """Queries that rule out a drop of the margin if none of them changes.

    Solves z^2 / (n + z^2) < margin, Tango's bound at no gain and no loss.
    """
    from scipy.special import ndtri

    check_alpha(alpha)
    check_share("margin", margin)
    z_squared = float(ndtri(1 - alpha)) ** 2
    return math.floor(z_squared * (1 / margin - 1)) + 1


def _rejection_rate(noncentrality: float, df: float, alpha: float, alternative: Alternative) -> float:
    from scipy.special import nctdtr, stdtrit

    check_alpha(alpha)
    check_alternative(alternative)
    critical = float(stdtrit(df, 1 - (alpha if alternative == "worse" else alpha / 2)))

    def at_most(t: float) -> float:
        # SciPy 1.17's nctdtr answers NaN where the tail underflows (noncentrality 30, t = -2): that tail is 0
        tail = float(nctdtr(df, noncentrality, t))
        return 0.0 if math.isnan(tail) else tail

    far = 0.0 if alternative == "worse" else at_most(-critical)
    return 1.0 - at_most(critical) + far
