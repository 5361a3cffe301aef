"""Forecast of what more labels would add: a power law fitted to measured points, with an interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.base.errors import StoreError
from bench.base.json_records import JsonRecord

Floats = NDArray[np.float64]

LEAST_SIZES = 4
"""Different numbers of pairs: a curve of three parameters fits any three points."""

AHEAD = 2
"""The forecast is for this many times the largest number of pairs."""

RESAMPLES = 1000

EXPONENTS = np.geomspace(0.02, 3.0, 120)
"""Of the power law: from nearly a logarithm to a curve that is flat after the first points."""


@dataclass(frozen=True)
class Point:
    """One trained model: its number of training pairs, and its mean over evaluation queries.

    `values` are float64[n_queries], the values of single queries, where results with them are stored.
    """

    pairs: int
    seed: int
    query_set: str
    measure: str
    mean: float
    n_queries: int
    weights: str = ""
    values: Floats | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Forecast(JsonRecord):
    """A learning curve with a forecast, or with the reason why there is none (`refusal`, a sentence).

    Attributes:
        sizes: pairs → mean over seeds, as measured.
        n_queries: evaluation queries behind each point.
        pairs: number of pairs that the forecast is for.
        now: the fitted curve at the largest measured size.
        expected: the fitted curve at `pairs`.
        gain: expected − now.
        interval: 95 % bootstrap interval of `gain`.
        method: how the interval was computed.
        refusal: why there is no forecast; "" where there is one.
    """

    recipe: str
    measure: str
    query_set: str
    sizes: Mapping[int, float]
    n_queries: int
    pairs: int = 0
    now: float | None = None
    expected: float | None = None
    gain: float | None = None
    interval: tuple[float, float] | None = None
    method: str = ""
    refusal: str = ""


def read_points(document: Any, *, where: str) -> list[Point]:
    """Held-out points from the file of a `bench loop`, of all query sets and measures.

    Raises:
        StoreError: another format, or no list of points.
    """
    if not isinstance(document, dict) or document.get("format") != 1 or not isinstance(document.get("points"), list):
        raise StoreError(
            f'{where} is not a learning curve of format 1 (expected "format" and "points"); run the loop anew.'
        )
    try:
        return [
            Point(
                pairs=int(row["pairs"]),
                seed=int(row["seed"]),
                query_set=str(row["query_set"]),
                measure=str(row["measure"]),
                mean=float(row["mean"]),
                n_queries=int(row["n_queries"]),
                weights=str(row.get("weights", "")),
            )
            for row in document["points"]
            if row["role"] == "held-out"
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(f"{where}: a point has no valid {error}; run the loop anew.") from None


def forecast(recipe: str, points: Sequence[Point], *, measure: str, least_queries: int, seed: int = 0) -> Forecast:
    """The learning curve of one recipe in one measure, on the query set with the most queries.

    There is no forecast under `least_queries` evaluation queries or under four different numbers of pairs.

    The curve is a − b·n^(−c) with b, c > 0: Hestness et al. 2017, "Deep Learning Scaling is Predictable, Empirically"
    (arXiv 1712.00409), for quality instead of error; a drop is therefore never forecast. The interval refits it to
    resampled seeds and, where every point has its single queries, to queries resampled for all points alike.
    """
    points = [point for point in points if point.measure == measure and point.pairs > 0]
    if not points:
        return Forecast(recipe, measure, "", {}, 0, refusal=f"No point of {recipe} is about {measure}.")
    name = max(points, key=lambda point: point.n_queries).query_set
    points = [point for point in points if point.query_set == name]
    n_queries = min(point.n_queries for point in points)
    sizes = {n: float(np.mean([p.mean for p in points if p.pairs == n])) for n in sorted({p.pairs for p in points})}
    curve = Forecast(recipe, measure, name, sizes, n_queries)
    if n_queries < least_queries:
        why = f"{n_queries:,} evaluation queries are too few to forecast from; {least_queries:,} are asked for."
        return replace(curve, refusal=why)
    if len(sizes) < LEAST_SIZES:
        why = f"{len(sizes)} different numbers of pairs are too few for a curve; {LEAST_SIZES} are asked for."
        return replace(curve, refusal=why)
    ns = np.asarray(list(sizes), dtype=np.float64)
    at = (max(sizes), AHEAD * max(sizes))
    now, expected = _heights(ns, np.asarray([list(sizes.values())]), at)[0]
    means, method = _resampled(points, ns, np.random.default_rng(seed))
    ends = _heights(ns, means, at)
    low, high = np.percentile(ends[:, 1] - ends[:, 0], [2.5, 97.5])
    return replace(
        curve,
        pairs=at[1],
        now=float(now),
        expected=float(expected),
        gain=float(expected - now),
        interval=(float(low), float(high)),
        method=method,
    )


def _heights(ns: Floats, means: Floats, at: tuple[int, int]) -> Floats:
    """float64[n_curves, 2]: power laws fitted to means float64[n_curves, n_sizes], evaluated at two numbers of pairs.

    For a given exponent the best a and b are those of a straight line in n^(−c), so only c is searched, on a grid
    (variable projection: Golub & Pereyra 1973). b is at least 0, and no height is above 1.
    """
    best = np.full(len(means), np.inf)
    heights = np.zeros((len(means), 2))
    middle = means.mean(axis=1, keepdims=True)
    for c in EXPONENTS:
        # In units of the smallest size, so that n^(−c) neither vanishes nor overflows.
        x = (ns / ns[0]) ** -c
        spread = x - x.mean()
        b = np.maximum(0.0, -((means - middle) @ spread) / (spread @ spread))
        a = middle[:, 0] + b * x.mean()
        error = ((a[:, None] - b[:, None] * x - means) ** 2).sum(axis=1)
        better = error < best
        best[better] = error[better]
        ahead = (np.asarray(at) / ns[0]) ** -c
        heights[better] = (a[:, None] - b[:, None] * ahead)[better]
    return np.minimum(heights, 1.0)


def _resampled(points: Sequence[Point], ns: Floats, rng: np.random.Generator) -> tuple[Floats, str]:
    """float64[RESAMPLES, n_sizes] means of resampled curves, and what was resampled."""
    tables = [point.values for point in points if point.values is not None]
    has_values = len(tables) == len(points) and len({len(values) for values in tables}) == 1
    # One draw of queries for all points: all were evaluated on the same queries, so most of the noise is shared.
    if has_values:
        # How often each query is drawn; the mean over drawn queries is then a product.
        table = np.stack(tables, axis=1)
        n = len(table)
        draws = (np.bincount(rng.integers(0, n, n), minlength=n) for _ in range(RESAMPLES))
        drawn = np.stack([times @ table / n for times in draws])
    else:
        # Without single queries: the largest variance that the mean of values between 0 and 1 can have.
        n_queries = min(point.n_queries for point in points)
        at = np.asarray([point.mean for point in points])
        drawn = at + rng.normal(size=(RESAMPLES, len(at))) * np.sqrt(np.maximum(at * (1 - at), 0.0) / n_queries)
    means = np.empty((RESAMPLES, len(ns)))
    for place, n in enumerate(ns):
        group = np.flatnonzero([point.pairs == n for point in points])
        seeds = rng.choice(group, size=(RESAMPLES, len(group)))
        means[:, place] = np.take_along_axis(drawn, seeds, axis=1).mean(axis=1)
    how = "queries and seeds resampled" if has_values else "seeds resampled, each mean with the largest possible noise"
    return means, f"power law, {RESAMPLES} refits: {how}"
