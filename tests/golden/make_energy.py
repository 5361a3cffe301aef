"""Writes energy.json: energy distances and their permutation p, by the package dcor. Run by hand: pip install dcor."""

from __future__ import annotations

import json
from pathlib import Path

import dcor
import numpy as np
from scipy.spatial.distance import cdist

RESAMPLES = 20_000


def main() -> None:
    """Three pairs of samples on the unit sphere: alike, shifted, and a mixture."""
    rng = np.random.default_rng(2026)
    cases = []
    for name, n, m, moved in (("alike", 30, 40, 0), ("shifted", 25, 40, 25), ("mixture", 40, 40, 8)):
        x, y = rng.normal(size=(n, 5)), rng.normal(size=(m, 5))
        x[:moved] += [1.0, 0.5, 0, 0, 0]
        x, y = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (x, y))
        test = dcor.homogeneity.energy_test(x, y, num_resamples=RESAMPLES, random_state=1)
        cases.append(
            {
                "name": name,
                "sample": x.tolist(),
                "reference": y.tolist(),
                "energy_distance": float(dcor.energy_distance(x, y)),
                "mean_distance_across": float(cdist(x, y).mean()),
                "p": float(test.pvalue),
            }
        )
    header = {
        "tool": f"dcor {dcor.__version__}, scipy.spatial.distance.cdist",
        "command": "python tests/golden/make_energy.py",
        "date": "2026-11-25",
        "tolerance": "1e-5 relative, float32 distances; p within three Monte Carlo standard errors of both",
        "resamples": RESAMPLES,
    }
    path = Path(__file__).with_name("energy.json")
    path.write_text(json.dumps({"header": header, "cases": cases}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
