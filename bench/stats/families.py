"""Several tests at once: p-values adjusted for their number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from bench.stats._inputs import ROUNDOFF, Floats, blocks, check_resamples, differences, require


def holm(p_values: Sequence[float | None] | Floats) -> Floats:
    """P-values adjusted for their number, in the order given; None (no p could be had) counts as 1.

    Source: Holm 1979: adjusted p_(j) = max over i <= j of min(1, (k - i + 1) p_(i)).
    """
    p = np.array([1.0 if value is None else value for value in p_values], dtype=np.float64)
    require(bool(((p >= 0) & (p <= 1)).all()), f"p-values are {p}; expected numbers from 0 to 1, or None.")
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
    require(matrix, f"Scores have shape {values.shape}; expected queries x systems with two systems or more.")
    differences(values.ravel(), "Scores")
    check_resamples(n_resamples)
    means = values.mean(axis=0)
    observed = np.abs(means[:, None] - means[None, :])
    ranges = np.concatenate(
        [
            np.ptp(rng.permuted(np.broadcast_to(values, (size, *values.shape)), axis=2).mean(axis=1), axis=1)
            for size in blocks(n_resamples, values.size)
        ]
    )
    ranges.sort()
    slack = ROUNDOFF * max(1.0, float(np.abs(values).max()))
    p: Floats = (1.0 + n_resamples - np.searchsorted(ranges, observed - slack)) / (n_resamples + 1)
    return p
