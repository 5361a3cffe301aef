"""Writes stats.json: what SciPy and statsmodels say about generated data, for tests/test_stats.py.

Run by hand, in an environment of its own (statsmodels is no dependency of this project):

    pip install numpy==2.4.6 scipy==1.17.1 statsmodels==0.15.0
    python tests/golden/make_stats.py

Nothing of `bench` is imported: golden numbers come from other people's programs.
"""

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
import statsmodels.api as sm
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

HEADER = {
    "tool": "SciPy and statsmodels",
    "version": f"scipy {version('scipy')}, statsmodels {version('statsmodels')}, numpy {version('numpy')}",
    "command": "python tests/golden/make_stats.py",
    "date": "2026-11-20",
    "tolerance": 1e-9,
    "why": "the same formulas in float64; what differs is the order of summation and the quantile routine",
    "tolerance_mde": 1e-5,
    "why_mde": "statsmodels stops its own search for the root there",
    "tolerance_bootstrap": 0.03,
    "why_bootstrap": "as a share of the width: Monte Carlo error of an end of a 9,999-resample percentile, three times",
}


def paired(rng: np.random.Generator) -> list[dict]:
    baseline_and_candidate = {
        "five queries": (rng.uniform(size=5), rng.uniform(size=5)),
        "skewed": ((base := rng.beta(0.5, 1, 50)), np.clip(base + rng.exponential(0.1, 50) - 0.13, 0, 1)),
        "mostly zero": ((base := rng.uniform(size=200)), base - 0.3 * (rng.uniform(size=200) < 0.06)),
    }
    cases = []
    for name, (baseline, candidate) in baseline_and_candidate.items():
        two_sided = stats.ttest_rel(candidate, baseline).confidence_interval(0.95)
        cases.append(
            {
                "name": name,
                "baseline": baseline.tolist(),
                "candidate": candidate.tolist(),
                "p": stats.ttest_rel(candidate, baseline, alternative="less").pvalue,
                "low": two_sided.low,
                "high": two_sided.high,
                "lower": stats.ttest_rel(candidate, baseline, alternative="greater").confidence_interval(0.95).low,
                "standard_error": stats.sem(candidate - baseline),
            }
        )
    return cases


def clustered(rng: np.random.Generator) -> list[dict]:
    cases = []
    for n_clusters, n in ((6, 20), (40, 200)):
        labels = rng.integers(0, n_clusters, n)
        delta = rng.normal(size=n_clusters)[labels] * 0.1 + rng.normal(size=n) * 0.1
        fit = sm.OLS(delta, np.ones(n)).fit(cov_type="cluster", cov_kwds={"groups": labels}, use_t=True)
        low, high = fit.conf_int(0.05)[0]
        cases.append(
            {
                "labels": labels.tolist(),
                "delta": delta.tolist(),
                "standard_error": fit.bse[0],
                "low": low,
                "high": high,
                "p": stats.t.cdf(fit.tvalues[0], len(set(labels)) - 1),
            }
        )
    return cases


def changed_counts() -> list[dict]:
    return [
        {
            "gains": gains,
            "losses": losses,
            "exact_worse": stats.binomtest(losses, gains + losses, alternative="greater").pvalue,
            "exact_two_sided": mcnemar([[0, gains], [losses, 0]], exact=True).pvalue,
            "midp_worse": stats.binom.sf(losses - 1, gains + losses, 0.5)
            - stats.binom.pmf(losses, gains + losses, 0.5) / 2,
        }
        for gains, losses in ((0, 1), (1, 7), (7, 1), (6, 16), (5, 5), (120, 155), (0, 30))
    ]


def power() -> list[dict]:
    return [
        {
            "dz": dz,
            "n": n,
            "worse": 1 - stats.nct.cdf(stats.t.ppf(0.95, n - 1), n - 1, dz * n**0.5),
            "two_sided": TTestPower().power(dz, n, 0.05, alternative="two-sided"),
            "mde80": TTestPower().solve_power(nobs=n, alpha=0.05, power=0.8, alternative="larger"),
        }
        for dz, n in ((0.5, 27), (0.5, 34), (0.1, 500), (1.2, 5), (0.05, 2000))
    ]


def main() -> None:
    rng = np.random.default_rng(20261120)
    small = rng.normal(-0.1, 0.2, 12)
    skewed = rng.exponential(size=60) - 0.7
    p_values = rng.uniform(size=12) ** 3
    flips = {"permutation_type": "samples", "n_resamples": np.inf}
    interval = stats.bootstrap((skewed,), np.mean, method="BCa", rng=np.random.default_rng(1)).confidence_interval
    golden = {
        "header": HEADER,
        "paired": paired(rng),
        "clustered": clustered(rng),
        "counts": changed_counts(),
        "power": power(),
        "holm": {"p": p_values.tolist(), "adjusted": multipletests(p_values, method="holm")[1].tolist()},
        "flips": {
            "delta": small.tolist(),
            "worse": stats.permutation_test((small,), np.mean, alternative="less", **flips).pvalue,
            "two_sided": stats.permutation_test((small,), np.mean, **flips).pvalue,
        },
        "bca": {"delta": skewed.tolist(), "low": interval.low, "high": interval.high},
    }
    path = Path(__file__).with_name("stats.json")
    lines = ",\n".join(f" {json.dumps(part)}: {json.dumps(content)}" for part, content in golden.items())
    path.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
