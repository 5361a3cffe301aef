"""Paired tests, intervals, power and families of tests: arrays in, numbers out.

A difference is candidate minus baseline, one per query, so a loss of quality is negative. One-sided
tests ask "is the candidate worse?", and a lower bound is what the true mean is not below. What has no
value (a standard error from one query) is None, never NaN. Input that cannot be used (NaN, a wrong shape,
a level outside its range) raises BenchError, no query at all TooFewQueries.

SciPy is imported inside the functions and only scipy.special is: scipy.stats costs half a second, which
a gate would pay on every run. The tests hold both to the same numbers.
"""

from __future__ import annotations

from bench.stats._inputs import MINIMUM_QUERIES, ROUNDOFF
from bench.stats.cells import Estimate, cell_outcome, clustered_t, estimate, paired_t
from bench.stats.families import holm
from bench.stats.power import mde, mde80, power_paired_t, queries_needed, queries_to_rule_out
from bench.stats.proportions import mcnemar_midp, tango_interval
from bench.stats.ratios import RatioInterval, percentile_ratio, ratio_interval
from bench.stats.recipes import MINIMUM_SEEDS, recipe_interval, recipe_standard_error
from bench.stats.simulation import Calibration, calibrate, tilted_chances

__all__ = [
    "MINIMUM_QUERIES",
    "MINIMUM_SEEDS",
    "ROUNDOFF",
    "Calibration",
    "Estimate",
    "RatioInterval",
    "calibrate",
    "cell_outcome",
    "clustered_t",
    "estimate",
    "holm",
    "mcnemar_midp",
    "mde",
    "mde80",
    "paired_t",
    "percentile_ratio",
    "power_paired_t",
    "queries_needed",
    "queries_to_rule_out",
    "ratio_interval",
    "recipe_interval",
    "recipe_standard_error",
    "tango_interval",
    "tilted_chances",
]
