"""Paired tests, intervals, power and families of tests.

In: arrays with one difference a query, candidate minus baseline, so a drop is negative.
Out: numbers; None, never NaN, where a value is undefined. Unusable input raises `BenchError`.
Never imports records; of SciPy only `scipy.special`, inside the functions, because `scipy.stats` takes half a second.
"""

from __future__ import annotations

from bench.stats._inputs import MINIMUM_QUERIES, ROUNDOFF
from bench.stats.cells import Estimate, cell_outcome, clustered_t, estimate, holm, paired_t
from bench.stats.power import mde, mde80, power_paired_t, queries_needed, queries_to_rule_out
from bench.stats.proportions import mcnemar_midp, tango_interval
from bench.stats.ratios import RatioInterval, percentile_ratio, ratio_interval
from bench.stats.recipes import MINIMUM_SEEDS, recipe_interval
from bench.stats.simulation import outcome_rates, tilted_chances

__all__ = [
    "MINIMUM_QUERIES",
    "MINIMUM_SEEDS",
    "ROUNDOFF",
    "Estimate",
    "RatioInterval",
    "cell_outcome",
    "clustered_t",
    "estimate",
    "holm",
    "mcnemar_midp",
    "mde",
    "mde80",
    "outcome_rates",
    "paired_t",
    "percentile_ratio",
    "power_paired_t",
    "queries_needed",
    "queries_to_rule_out",
    "ratio_interval",
    "recipe_interval",
    "tango_interval",
    "tilted_chances",
]
