"""How often bench history calls noise a step, and finds a step that is there: python docs/calibration/steps.py

Histories of 20 evaluations of 200 queries that are found with chance .7; each evaluation decides one query in ten anew,
either starting from the same system ("independent") or from the evaluation before ("drifting"). Takes five minutes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.watch.steps import find_steps

POINTS, QUERIES, FOUND, TURNOVER, PLACE = 20, 200, 0.7, 0.1, 12


def course(seed: int, *, drifting: bool = False, drop: float = 0.0) -> NDArray[np.float64]:
    """float64[n_points, n_queries] of 0 and 1; from PLACE on, queries are lost so that the mean falls by `drop`."""
    rng = np.random.default_rng(seed)
    base = rng.random(QUERIES) < FOUND
    lost = rng.random(QUERIES) < drop / FOUND
    rows = []
    for at in range(POINTS):
        row = base.copy()
        anew = rng.random(QUERIES) < TURNOVER
        row[anew] = rng.random(int(anew.sum())) < FOUND
        base = row.copy() if drifting else base
        rows.append(row & ~lost if at >= PLACE else row)
    return np.asarray(rows, dtype=float)


def main() -> None:
    """Prints the tables of docs/watch.md."""
    for drifting in (False, True):
        alarms = [bool(find_steps([course(s, drifting=drifting)], [None], seed=s)[0]) for s in range(1_000)]
        print(f"no step, {'drifting' if drifting else 'independent'}: {100 * np.mean(alarms):.1f} % of 1000 show one")
    alarms = []
    for seed in range(1_000):
        family = [course(1_000 * seed + i) for i in range(12)]
        alarms.append(any(find_steps(family, [None] * 12, seed=seed)))
    print(f"no step in 12 series at once: {100 * np.mean(alarms):.1f} % of 1000 show any")
    for drop in (0.02, 0.03, 0.05, 0.08):
        found = [find_steps([course(s, drop=drop)], [None], seed=s)[0] for s in range(300)]
        hit = np.mean([any(step.at == PLACE for step in steps) for steps in found])
        near = np.mean([any(abs(step.at - PLACE) <= 1 for step in steps) for steps in found])
        some = np.mean([bool(steps) for steps in found])
        more = np.mean([len(steps) > 1 for steps in found])
        print(
            f"a drop of {drop:g}: {100 * some:.0f} % found, {100 * hit:.0f} % at its place, {100 * near:.0f} % within "
            f"one, {100 * more:.1f} % with another step beside"
        )


if __name__ == "__main__":
    main()
