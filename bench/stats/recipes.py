"""The difference of two training recipes, several seeds each, with an interval."""

from __future__ import annotations

import math

from bench.base.errors import TooFewQueries
from bench.stats._inputs import ROUNDOFF, check_effect, check_share, require

MINIMUM_SEEDS = 5
"""With fewer seeds the spread between them is too uncertain for a claim about a recipe."""


def recipe_interval(
    mean: float,
    delta_sd: float,
    *,
    n: int,
    seed_sd: float,
    k_candidate: int,
    k_baseline: int | None,
    level: float = 0.95,
) -> tuple[float, float]:
    """Two-sided interval (low, high) for the mean difference between two recipes, each trained with several seeds.

    Args:
        mean: mean difference of seed means.
        delta_sd: standard deviation over queries of the difference of seed means. Where queries come in clusters, the
            cluster-robust standard error times the square root of `n`.
        n: number of queries, or of clusters.
        seed_sd: standard deviation over seeds of a recipe's mean score, pooled over both recipes.
        k_candidate: seeds of the candidate.
        k_baseline: seeds of the baseline; None for one that was not trained, such as the base model or BM25.
        level: coverage, 0 < level < 1.

    Source: gate.md: Var = s_d^2 / n + sigma_s^2 (1/K_A + 1/K_B), the two sources taken as independent; t quantile with
    the degrees of freedom of Satterthwaite 1946: n - 1 for the queries, K_A + K_B - 2 for the seeds (K_A - 1 where the
    baseline was not trained).
    """
    from scipy.special import stdtrit

    check_share("level", level)
    require(
        min(k_candidate, MINIMUM_SEEDS if k_baseline is None else k_baseline) >= MINIMUM_SEEDS,
        f"Recipes have {k_candidate} and {k_baseline} seeds; expected {MINIMUM_SEEDS} or more of each. "
        "Train more seeds, or compare single checkpoints, which needs none.",
    )
    if n < 2:
        raise TooFewQueries(f"Recipes were compared on {n} query; expected two or more, for a spread between queries.")
    check_effect(0.0, delta_sd)
    check_effect(0.0, seed_sd)
    queries = delta_sd**2 / n
    seeds = seed_sd**2 * (1 / k_candidate + (1 / k_baseline if k_baseline is not None else 0.0))
    standard_error = math.sqrt(queries + seeds)
    if standard_error <= ROUNDOFF:
        return mean, mean
    seed_df = k_candidate - 1 + (k_baseline - 1 if k_baseline is not None else 0)
    df = (queries + seeds) ** 2 / (queries**2 / (n - 1) + seeds**2 / seed_df)
    half = float(stdtrit(df, 0.5 + level / 2)) * standard_error
    return mean - half, mean + half
