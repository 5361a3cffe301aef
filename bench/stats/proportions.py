"""Paired proportions, gains against losses: Tango's interval and McNemar's tests."""

from __future__ import annotations

import math
from functools import lru_cache

from bench.stats._inputs import Alternative, check_alternative, check_counts, check_share, edge, require


@lru_cache(maxsize=4096)  # simulations ask for the same few counts thousands of times
def tango_interval(gains: int, losses: int, n: int, *, level: float = 0.95) -> tuple[float, float]:
    """Two-sided score interval (low, high) for the difference of two paired proportions, in -1 to 1.

    Its low end at level 1 - 2 alpha is the one-sided bound of level 1 - alpha.

    Source: Tango 1998, Statistics in Medicine 17, equation 6: the differences that the score test accepts.
    Checked against Tango's and Fagerland's (2013) worked examples.
    """
    from scipy.special import ndtri

    check_counts(gains, losses, n)
    require(n >= 1, "n is 0; expected one query or more.")
    check_share("level", level)
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
    return edge(accepted, mean, -1.0), edge(accepted, mean, 1.0)


def mcnemar_midp(gains: int, losses: int, *, alternative: Alternative = "worse") -> float:
    """Mid-p value of McNemar's test: half the chance of the observed split counts; 1 if nothing changed.

    Two-sided it is twice the smaller tail, 1 where gains equal losses.

    Source: Fagerland, Lydersen and Laake 2013, BMC Medical Research Methodology 13:91.
    """
    return (_mcnemar_tail(gains, losses, alternative, 0) + _mcnemar_tail(gains, losses, alternative, 1)) / 2


def _mcnemar_tail(gains: int, losses: int, alternative: Alternative, beyond: int) -> float:
    """Chance of at least (beyond 0) or of more than (beyond 1) the observed losses, doubled if two-sided."""
    from scipy.special import bdtrc

    check_alternative(alternative)
    check_counts(gains, losses, gains + losses)
    if gains + losses == 0:
        return 1.0
    extreme = losses if alternative == "worse" else max(gains, losses)
    sides = 1 if alternative == "worse" else 2
    return sides * float(bdtrc(extreme - 1 + beyond, int(gains + losses), 0.5))
