"""Several tests at once: p-values adjusted for their number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.stats._inputs import Floats, require


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
