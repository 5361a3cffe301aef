"""Prints how often the gate errs: on the synthetic cases of its rules, on real scores, and where it is weak.

    python docs/calibration/simulate.py --data DATASETS > docs/calibration/result.txt

DATASETS holds cranfield, medquad and stackfaq in BEIR's layout; without it, the parts on real scores are left out.
Every test is the package's own, except Wilcoxon's, which the package does not have.
"""

from __future__ import annotations

import argparse
import math
import platform
import sys
import time
from functools import cache
from pathlib import Path

import numpy as np
from real import results
from scipy.stats import binom, wilcoxon

from bench import __version__, stats
from bench.gate.calibration import GateCalibration, Replay, calibrate
from bench.records import Policy, Result

ALPHA, MARGIN = 0.05, 0.02
TABLE_REPETITIONS = 4_000
REAL_REPETITIONS = 4_000

# n -> rule -> (false alarm % at true drop 0, detection % at true drop .05), as the rules' own table has them
STATED = {
    50: {"mean > .01": (40, 79), "mean > .02": (24, 65), "paired t": (4.6, 26), "exact": (1.2, 12), "mid-p": (2.7, 20)},
    100: {
        "mean > .01": (32, 84),
        "mean > .02": (21, 77),
        "paired t": (5.2, 44),
        "exact": (2.2, 32),
        "mid-p": (4.1, 41),
    },
    200: {
        "mean > .01": (28, 94),
        "mean > .02": (15, 87),
        "paired t": (4.9, 66),
        "exact": (3.2, 59),
        "mid-p": (4.9, 66),
    },
    500: {
        "mean > .01": (22, 99),
        "mean > .02": (7, 97),
        "paired t": (4.8, 95),
        "exact": (3.8, 94),
        "mid-p": (4.8, 95),
    },
    1000: {
        "mean > .01": (14, 100),
        "mean > .02": (2, 100),
        "paired t": (4.7, 100),
        "exact": (4.0, 100),
        "mid-p": (4.6, 100),
    },
}

PAIRS = {
    "cranfield": [("bm25", "bm25-k09"), ("minilm", "minilm@128"), ("minilm", "minilm/int8")],
    "stackfaq": [("bm25", "bm25-robertson"), ("minilm", "minilm@128"), ("minilm", "minilm/binary")],
    "medquad": [("bm25", "bm25-k09"), ("minilm", "minilm@128"), ("minilm", "minilm/binary")],
}


def sign_test(gains: int, losses: int) -> float:
    """One-sided p of the exact McNemar (sign) test; 1 where nothing changed."""
    return float(binom.sf(losses - 1, gains + losses, 0.5)) if gains + losses else 1.0


def limit(repetitions: int) -> float:
    """The largest false alarm rate that alpha explains: three binomial standard errors above it."""
    return ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / repetitions)


def holds(rate: float, repetitions: int) -> str:
    """Whether a false alarm rate keeps to `limit`."""
    return "ok" if rate <= limit(repetitions) else "ABOVE"


def heading(text: str) -> None:
    """A line of its own, underlined."""
    print(f"\n{text}\n{'-' * len(text)}")


def percent(rate: float | None) -> str:
    """A rate in per cent; a dash where there is none."""
    return "-" if rate is None else f"{100 * rate:.1f}"


# --- a: one relevant document --------------------------------------------------------------------------


@cache
def rejections(gains: int, losses: int, n: int) -> tuple[bool, ...]:
    """What each rule of the table says to so many gains and losses: thresholds, paired t, exact McNemar, mid-p."""
    drop = (losses - gains) / n
    delta = np.repeat([1.0, -1.0, 0.0], [gains, losses, n - gains - losses])
    return (
        drop > 0.01 + stats.ROUNDOFF,
        drop > 0.02 + stats.ROUNDOFF,
        (stats.paired_t(delta).p or 0.0) < ALPHA,
        sign_test(gains, losses) < ALPHA,
        stats.mcnemar_midp(gains, losses) < ALPHA,
    )


def answered_anew(share: float, recall: float, drop: float) -> tuple[float, float]:
    """Chances of a gain and of a loss where `share` of the queries is answered anew and mean recall falls by `drop`."""
    chance = recall - drop / share
    return share * (1 - recall) * chance, share * recall * (1 - chance)


def stated_table() -> None:
    """The rules' table, simulated again."""
    share = 0.10 / (2 * 0.7 * 0.3)
    gains, losses = answered_anew(share, 0.7, 0.05)
    heading("a. recall@10 with one relevant document: false alarms at no drop, detection at a true drop of .05, in %")
    print(
        f"{TABLE_REPETITIONS} repetitions a row. Measured, and in brackets the difference from the stated number.\n"
        "Reading: the baseline finds 70 % of the queries. A change answers 23.8 % of the queries anew, of which\n"
        "2 x .7 x .3 come out differently: 10 % of the queries change, 5 % gained, 5 % lost. At a true drop of .05\n"
        f"the same share is answered anew with a chance of .49: {100 * gains:.1f} % gained, {100 * losses:.1f} % lost, "
        f"{100 * (gains + losses):.0f} % change."
    )
    readings = {
        "no drop, 5.0 / 5.0 %": (0, 0.05, 0.05),
        f"drop .05, {100 * gains:.1f} / {100 * losses:.1f} %": (1, gains, losses),
        "drop .05, 2.5 / 7.5 % (10 % changing): for comparison": (1, 0.025, 0.075),
        "drop .05, 5.0 / 10.0 % (drop on top of 10 %): for comparison": (1, 0.05, 0.10),
    }
    for number, (title, (column, won, lost)) in enumerate(readings.items()):
        rng = np.random.default_rng([1, number])
        print(f"\n{title}\n{'n':>6} " + "".join(f"{rule:>16}" for rule in STATED[50]))
        worst = 0.0
        for n, rules in STATED.items():
            counts = rng.multinomial(n, [won, lost, 1 - won - lost], TABLE_REPETITIONS)
            rates = 100 * np.mean([rejections(int(g), int(b), n) for g, b, _ in counts], axis=0)
            differences = rates - [stated[column] for stated in rules.values()]
            worst = max(worst, float(np.abs(differences).max()))
            cells = (f"{rate:.1f} ({more:+.1f})" for rate, more in zip(rates, differences, strict=True))
            print(f"{n:>6} " + "".join(f"{cell:>16}" for cell in cells))
        print(f"largest difference: {worst:.1f} points: {'ok' if worst <= 3 else 'more than 3'}")


# --- b: real scores ------------------------------------------------------------------------------------


def real_scores(data: Path, work: Path) -> None:
    """False alarms and detection where the differences are those of real systems."""
    heading("b. real scores: margin .02, floor .01, recall@10 and ndcg@10, queries drawn anew")
    top = 100 * limit(REAL_REPETITIONS)
    print(
        f"{REAL_REPETITIONS} repetitions a row. False alarms are ok up to {top:.2f} %: 5 % and three binomial errors.\n"
        "gate: all cells, Holm. Cells: each alone. mirrored: every query's differences with random sign. skewed: the\n"
        "queries' chances tilted until the mean is 0. at m, at 2m: detection at a true drop of .02 and .04, seen /\n"
        "predicted from the standard error. The model is all-MiniLM-L6-v2, documents cut at 128 tokens."
    )
    above = rows = 0
    joint: list[tuple[Result, Result]] = []
    for name, pairs in PAIRS.items():
        found = results(name, list(dict.fromkeys(system for pair in pairs for system in pair)), data=data, work=work)
        for before, after in pairs:
            seen = calibrate([found[before]], [found[after]], Policy(), repetitions=REAL_REPETITIONS)
            gained = found[after].scores.values.mean(axis=0) - found[before].scores.values.mean(axis=0)
            observed = ", ".join(f"{m} {d:+.3f}" for m, d in zip(found[after].scores.measures, gained, strict=True))
            counts = print_calibration(name, seen, f"; observed {observed}")
            above, rows = above + counts[0], rows + counts[1]
        joint.append((found["minilm"], found["minilm@128"]))
    together = calibrate([b for b, _ in joint], [c for _, c in joint], Policy(), repetitions=REAL_REPETITIONS)
    counts = print_calibration("all three", together)
    above, rows = above + counts[0], rows + counts[1]
    print(f"\n{rows - above} of {rows} false alarm rates are within the limit.")


def print_calibration(name: str, seen: GateCalibration, observed: str = "") -> tuple[int, int]:
    """Print one gate's rates; how many false alarm rates are above the limit, and how many there are."""
    rates = [seen.harmless.failed]
    first = seen.cells[0]
    clusters = f" in {first.n_clusters} clusters" if first.n_clusters else ""
    size = f"n = {first.n}{clusters}" if len({cell.query_set for cell in seen.cells}) == 1 else "three query sets"
    print(f"\n{name}: {seen.baseline} -> {seen.candidate}, {size}{observed}")
    drops = ", ".join(f"{rates.drop:g}: {percent(rates.failed)}" for rates in seen.drops)
    beyond = "".join(f", {drop:g}: cannot be drawn" for drop in seen.beyond_reach)
    print(
        f"  gate: fails {percent(seen.harmless.failed)} {holds(seen.harmless.failed, seen.repetitions)}, "
        f"inconclusive {percent(seen.harmless.inconclusive)}; fails at a true drop of {drops}{beyond}"
    )
    print(f"  {'cell':24}{'test':22}{'mirrored':>11}{'skewed':>11}{'at m':>14}{'at 2m':>14}")
    for cell in seen.cells:
        alarms = []
        for rate in (cell.false_alarm, cell.false_alarm_skewed):
            alarms.append("-" if rate is None else f"{percent(rate)} {holds(rate, seen.repetitions)}")
            rates += [] if rate is None else [rate]
        place = f"{cell.query_set} {cell.measure}"
        at_margin = f"{percent(cell.at_margin)} / {percent(cell.at_margin_predicted)}"
        at_twice = f"{percent(cell.at_twice)} / {percent(cell.at_twice_predicted)}"
        print(f"  {place:24}{cell.test:22}{alarms[0]:>11}{alarms[1]:>11}{at_margin:>14}{at_twice:>14}")
    return sum(rate > limit(seen.repetitions) for rate in rates), len(rates)


# --- c: where it is weak, and what its parts are for ---------------------------------------------------


def skewed() -> None:
    """Rare large gains against many small losses, true mean 0."""
    gain, won, lost = 0.20, 0.06, 0.30
    loss = gain * won / lost
    heading("c1. skewed differences, true mean 0: false alarms in %")
    repetitions = 2_000
    print(
        f"{100 * won:.0f} % of queries gain {gain:g}, {100 * lost:.0f} % lose {loss:g}, the rest is equal; "
        f"{repetitions} repetitions. cell: the gate's, margin .02.\n"
        "Paired t does not depend on the size of the differences; the floor does. In the last column they are\n"
        "2.5 times as large: gains of .5, losses of .1."
    )
    columns = ("paired t", "stated", "and floor .01", "cell", "Wilcoxon", "sign test", "cell, x 2.5")
    print(f"{'n':>6} " + "".join(f"{column:>15}" for column in columns))
    for n, stated in ((50, 12), (100, 8), (200, 8), (500, 7)):
        rng = np.random.default_rng([3, n])
        counts = dict.fromkeys(columns, 0)
        for _ in range(repetitions):
            delta = rng.choice([gain, -loss, 0.0], n, p=[won, lost, 1 - won - lost])
            cell = stats.estimate(delta, alpha=ALPHA)
            large = stats.estimate(2.5 * delta, alpha=ALPHA)
            rejected = cell.p is not None and cell.p < ALPHA
            counts["paired t"] += rejected
            counts["and floor .01"] += rejected and -cell.mean >= 0.01
            counts["cell"] += stats.cell_outcome(cell, p_adjusted=cell.p, margin=MARGIN, alpha=ALPHA) == "fail"
            counts["Wilcoxon"] += bool(delta.any()) and wilcoxon(delta, alternative="less").pvalue < ALPHA
            counts["sign test"] += sign_test(int((delta > 0).sum()), int((delta < 0).sum())) < ALPHA
            counts["cell, x 2.5"] += stats.cell_outcome(large, p_adjusted=large.p, margin=MARGIN, alpha=ALPHA) == "fail"
        cells = [f"{100 * counts[column] / repetitions:.1f}" for column in columns]
        cells[1] = str(stated)
        print(f"{n:>6} " + "".join(f"{cell:>15}" for cell in cells))


def clusters_ignored() -> None:
    """Five paraphrases of each need, and what becomes of alpha if nobody says so."""
    heading("c2. clusters: five paraphrases each, intra-cluster correlation .5, true mean 0: false alarms in %")
    repetitions, n_clusters, size = 4_000, 40, 5
    rng = np.random.default_rng(4)
    labels = np.repeat(np.arange(n_clusters), size).tolist()
    ignored = kept = 0
    for _ in range(repetitions):
        delta = np.repeat(rng.normal(size=n_clusters), size) + rng.normal(size=n_clusters * size)
        ignored += (stats.estimate(delta, alpha=ALPHA).p or 0.0) < ALPHA
        kept += (stats.estimate(delta, clusters=labels, alpha=ALPHA).p or 0.0) < ALPHA
    print(
        f"{n_clusters} clusters, {repetitions} repetitions. Ignored: {100 * ignored / repetitions:.1f} (stated 17). "
        f"Kept: {100 * kept / repetitions:.1f}."
    )


def real_clusters_ignored(data: Path, work: Path) -> None:
    """The same on StackFAQ's threads, drawn whole and mirrored."""
    repetitions = 2_000
    found = results("stackfaq", ["minilm", "minilm@128"], data=data, work=work)
    replay = Replay([found["minilm"]], [found["minilm@128"]], Policy())
    chances = [query_set.chances(0.0) for query_set in replay.query_sets]
    rng = np.random.default_rng(5)
    rejected = np.zeros((2, len(replay.cells)))
    for _ in range(repetitions):
        (deltas,), (labels,) = replay.draw(chances, rng)
        for row, clusters in enumerate((None, labels)):
            rejected[row] += [
                (stats.estimate(delta, clusters=clusters, alpha=ALPHA).p or 0.0) < ALPHA for delta in deltas.T
            ]
    print(f"StackFAQ, minilm -> minilm@128, threads drawn whole and mirrored, p < .05, {repetitions} repetitions:")
    for number, cell in enumerate(replay.cells):
        ignored, kept = 100 * rejected[:, number] / repetitions
        print(f"  {cell.measure}: ignored {ignored:.1f}, kept {kept:.1f}")


def twelve_tests() -> None:
    """One harmless change, twelve cells."""
    heading("c3. twelve cells, true means 0: at least one p < .05, in %")
    repetitions, n_sets, n_measures, n, correlation = 4_000, 4, 3, 200, 0.7
    rng = np.random.default_rng(6)
    unadjusted = adjusted = 0
    for _ in range(repetitions):
        common, own = rng.normal(size=(n_sets, n, 1)), rng.normal(size=(n_sets, n, n_measures))
        deltas = math.sqrt(correlation) * common + math.sqrt(1 - correlation) * own
        p = [stats.paired_t(deltas[i, :, j]).p for i in range(n_sets) for j in range(n_measures)]
        unadjusted += min(value or 0.0 for value in p) < ALPHA
        adjusted += float(stats.holm(p).min()) < ALPHA
    print(
        f"{n_sets} query sets of {n} x {n_measures} measures that correlate at {correlation:g} within a query, "
        f"{repetitions} repetitions.\nUnadjusted: {100 * unadjusted / repetitions:.1f} (stated 35). "
        f"Holm: {100 * adjusted / repetitions:.1f} (stated 4)."
    )


def small_losses() -> None:
    """Twenty changes in a row, against the last accepted system and against the first."""
    heading("c4. twenty changes in a row: rolling baseline and anchor, in %")
    repetitions, changes, recall = 600, 20, 0.7
    share = 0.10 / (2 * recall * (1 - recall))
    print(
        f"recall@10 with one relevant document, recall .7 at first, a tenth of the queries changes at each step (as in "
        f"a),\none cell, margin .02, {repetitions} histories. rolling: against the step before; anchor: against the "
        "first."
    )
    print(
        f"{'n':>6}{'loss a step':>13}{'rolling, a step':>17}{'rolling, any':>14}{'anchor, at the end':>20}"
        f"{'anchor, any':>13}"
    )
    for n in (200, 500):
        for drop in (0.005, 0.0):
            rng = np.random.default_rng([7, n, int(1000 * drop)])
            rolling = np.zeros((repetitions, changes), dtype=bool)
            anchored = np.zeros((repetitions, changes), dtype=bool)
            for history in range(repetitions):
                first = before = (rng.random(n) < recall).astype(float)
                for step in range(changes):
                    anew = rng.random(n) < share
                    found = rng.random(n) < recall - step * drop - drop / share
                    after = np.where(anew, found, before)
                    for table, reference in ((rolling, before), (anchored, first)):
                        cell = stats.estimate(after - reference, alpha=ALPHA)
                        outcome = stats.cell_outcome(cell, p_adjusted=cell.p, margin=MARGIN, alpha=ALPHA)
                        table[history, step] = outcome == "fail"
                    before = after
            rates = (rolling.mean(), rolling.any(axis=1).mean(), anchored[:, -1].mean(), anchored.any(axis=1).mean())
            columns = zip(rates, (17, 14, 20, 13), strict=True)
            print(f"{n:>6}{drop:>13g}" + "".join(f"{100 * rate:>{width}.1f}" for rate, width in columns))
    print("Stated: the anchor catches 85, and false-alarms less than the rolling baseline.")


def main() -> None:
    """Print everything."""
    parser = argparse.ArgumentParser(description="How often the gate errs.")
    parser.add_argument("--data", type=Path, help="folder with cranfield, medquad and stackfaq in BEIR's layout")
    parser.add_argument("--work", type=Path, default=Path(".bench/calibration"), help="where encodings are kept")
    options = parser.parse_args()
    started = time.perf_counter()
    packages = f"numpy {np.__version__}, Python {platform.python_version()}"
    print(f"retrieval-gate {__version__}, {packages}, {time.strftime('%Y-%m-%d', time.gmtime())}")
    parts = [stated_table, skewed, clusters_ignored, twelve_tests, small_losses]
    if options.data:
        parts.insert(1, lambda: real_scores(options.data, options.work))
        parts.insert(4, lambda: real_clusters_ignored(options.data, options.work))
    for part in parts:
        began = time.perf_counter()
        part()
        print(f"({time.perf_counter() - began:.0f} s)", flush=True)
    print(f"\n{time.perf_counter() - started:.0f} s in all", file=sys.stdout)


if __name__ == "__main__":
    main()
