"""Shared by all statistics here: types, limits, validation of arguments, a bisection."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.base.errors import BenchError, TooFewQueries

Alternative = Literal["worse", "two-sided"]
Floats = NDArray[np.float64]
Labels = Sequence[Hashable | None] | NDArray[np.intp]
Outcome = Literal["improved", "pass", "fail", "inconclusive"]

MINIMUM_QUERIES = 5
"""Fewer queries allow no verdict: four drops of four have p = 1/16 by the sign test, five have 1/32."""

# Scores are of order one, so a difference of two has a rounding error of about 1e-16. Without this limit a test
# would be certain of a rounding error (0.3 - 0.2 against 0.4 - 0.3).
ROUNDOFF = 1e-12

# Numbers in memory at a time while resampling (8 bytes each).
BLOCK = 2_000_000


def edge(holds: Callable[[float], bool], inside: float, outside: float, *, halvings: int = 60) -> float:
    """The point between `inside`, where `holds` is true, and `outside` from which it is false; else `outside`."""
    for _ in range(halvings):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if holds(middle) else (inside, middle)
    return outside


def blocks(total: int, width: int) -> list[int]:
    """Sizes that add up to `total`, each at most BLOCK numbers when a row has `width`."""
    size = max(1, BLOCK // max(1, width))
    return [min(size, total - start) for start in range(0, total, size)]


def differences(values: ArrayLike, name: str = "Differences") -> Floats:
    array = np.asarray(values, dtype=np.float64)
    require(array.ndim == 1, f"{name} have shape {array.shape}; expected one number per query.")
    if not len(array):
        raise TooFewQueries(f"{name} hold no query; expected one number per query. Is the query set or slice empty?")
    wrong = np.flatnonzero(~np.isfinite(array))
    if len(wrong):
        raise BenchError(
            f"{name} hold {array[wrong[0]]} at position {wrong[0]} ({len(wrong)} of {len(array)} are not finite); "
            "expected a number for every query. Score a query without results as 0, or leave it out of both runs."
        )
    return np.where(np.abs(array) <= ROUNDOFF, 0.0, array)


def cluster_labels(clusters: Labels | None, n: int) -> NDArray[np.intp]:
    """Cluster numbers 0..G-1, one per query; None and NaN (pandas' None) get one each."""
    if clusters is None:
        return np.arange(n)
    fits = len(clusters) == n
    require(fits, f"clusters has {len(clusters)} labels for {n} queries; expected one per query, None for none.")
    numbers: dict[Hashable, int] = {}
    codes = np.empty(n, dtype=np.intp)
    for row, label in enumerate(clusters):
        alone = label is None or label != label
        codes[row] = numbers.setdefault((row,) if alone else ("cluster", label), len(numbers))
    return codes


def check_alpha(alpha: float) -> None:
    require(0 < alpha < 0.5, f"alpha is {alpha}; expected a number between 0 and 0.5, such as 0.05.")


def check_share(name: str, value: float) -> None:
    require(0 < value < 1, f"{name} is {value}; expected a number between 0 and 1, such as 0.8 or 0.95.")


def check_alternative(alternative: str) -> None:
    known = alternative in ("worse", "two-sided")
    require(known, f'alternative is "{alternative}"; expected "worse" or "two-sided".')


def check_counts(gains: int, losses: int, n: int) -> None:
    possible = min(gains, losses) >= 0 and gains + losses <= n
    require(possible, f"{gains} gains and {losses} losses of {n} queries; expected counts of 0 or more within n.")


def check_effect(effect: float, sd: float) -> None:
    possible = 0 <= effect < math.inf and 0 <= sd < math.inf
    require(possible, f"effect {effect}, standard deviation {sd}; expected 0 or more (a drop is positive here).")


def check_resamples(n: int) -> None:
    require(n >= 1, f"{n} resamples were asked for; expected 1 or more, and 10,000 for two steady digits.")


def require(condition: bool, message: str) -> None:
    if not condition:
        raise BenchError(message)
