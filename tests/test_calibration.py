"""Claims about bench.gate.calibration: it decides as the gate does, and its rates are what was put in."""

import json
from pathlib import Path

import numpy as np
import pytest

from bench.base.errors import UsageError
from bench.cli.main import main
from bench.gate.calibration import Replay, calibrate
from bench.gate.verdict import judge
from bench.records import Policy, Rule
from bench.report import tables
from bench.report.forms import terminal

RECALL = Policy((Rule("held-out", ("recall@10",), 0.02),))


def scores(rng, n, *, churn=0.1, drop=0.0):
    """Recall of one relevant document, and an ndcg that goes along with it, before and after a change."""
    before = (rng.random(n) < 0.7).astype(float)
    share = churn / (2 * 0.7 * 0.3)
    anew = rng.random(n) < share
    after = np.where(anew, rng.random(n) < 0.7 - drop / share, before).astype(float)
    rank = rng.uniform(0.3, 1, n)
    moved = np.clip(rank + rng.normal(0, 0.15, n), 0.1, 1)
    return {"recall@10": before, "ndcg@10": before * rank}, {"recall@10": after, "ndcg@10": after * moved}


@pytest.fixture(scope="module")
def two_sets(make_result):
    """A held-out set of 150 queries, and an out-of-distribution set of 120 queries in 40 clusters."""
    rng = np.random.default_rng(0)
    old, new = [], []
    for name, role, n, size in (("shop", "held-out", 150, 1), ("phone", "out-of-distribution", 120, 3)):
        before, after = scores(rng, n)
        clusters = [f"c{i // size}" if size > 1 else None for i in range(n)]
        old.append(make_result(before, system="old", query_set=name, role=role, clusters=clusters))
        new.append(make_result(after, system="new", query_set=name, role=role, clusters=clusters))
    return old, new


@pytest.fixture(scope="module")
def found(two_sets):
    return calibrate(*two_sets, Policy(), drops=(0.02, 0.05, 0.10), repetitions=500)


def within(rate, expected, trials, errors=3.0):
    return abs(rate - expected) <= errors * np.sqrt(expected * (1 - expected) / trials)


# --- it decides as the gate does ---


@pytest.mark.parametrize("seed", range(6))
def test_undrawn_differences_are_judged_as_the_gate_judges_them(make_result, seed):
    rng = np.random.default_rng(seed)
    old, new = [], []
    for name, role, size in (("a", "held-out", 1), ("b", "out-of-distribution", 3), ("c", "held-out", 1)):
        before, after = scores(rng, 90, churn=0.2, drop=(0.1, 0.0, -0.1)[seed % 3])
        more = {"query_set": name, "role": role, "clusters": [f"{i // size}" if size > 1 else None for i in range(90)]}
        if name == "c" and seed > 2:  # the same rankings on one set
            after, more["lists"] = before, dict.fromkeys(before, "same")
        old.append(make_result(before, system="old", **more))
        new.append(make_result(after, system="new", **more))
    verdict = judge(old, new, Policy())
    replay = Replay(old, new, Policy())
    together, alone = replay.outcomes(
        [query_set.deltas for query_set in replay.query_sets], [query_set.labels for query_set in replay.query_sets]
    )
    assert together == tuple(cell.outcome for cell in verdict.cells)
    assert [(c.query_set, c.measure) for c in replay.cells] == [(c.query_set, c.measure) for c in verdict.cells]
    assert replay.overall(together) == verdict.outcome
    assert len(alone) == len(together)


# --- what is drawn ---


def test_chances_give_the_first_measure_exactly_the_true_drop(two_sets):
    for query_set in Replay(*two_sets, Policy()).query_sets:
        sums = np.array([query_set.deltas[rows].sum(axis=0) for rows in query_set.members])
        sizes = np.array([len(rows) for rows in query_set.members])
        for drop in (0.0, 0.02, 0.1):
            chances = query_set.chances(drop)
            means = chances @ np.concatenate([sums, -sums]) / (chances @ np.tile(sizes, 2))
            assert chances.sum() == pytest.approx(1)
            assert means[0] == pytest.approx(-drop, abs=1e-12)
            if not drop:
                assert means == pytest.approx([0, 0], abs=1e-12)


def test_a_drawn_query_keeps_what_goes_together_and_a_cluster_stays_whole(two_sets):
    replay = Replay(*two_sets, Policy())
    deltas, labels = replay.draw([q.chances(0.05) for q in replay.query_sets], np.random.default_rng(1))
    for query_set, drawn, numbers in zip(replay.query_sets, deltas, labels, strict=True):
        seen = {tuple(sign * row) for row in query_set.deltas for sign in (1, -1)}
        assert {tuple(row) for row in drawn} <= seen
        assert len(drawn) == len(query_set.deltas)
        if numbers is None:
            assert len(query_set.members) == len(drawn)
            continue
        whole = [query_set.deltas[rows] for rows in query_set.members]
        for number in set(numbers):
            mine = drawn[np.array(numbers) == number]
            assert any(np.array_equal(mine, cluster) or np.array_equal(mine, -cluster) for cluster in whole)


# --- rates ---


def test_whole_gate_blocks_a_harmless_change_at_most_as_often_as_alpha_says(found):
    limit = 0.05 + 3 * np.sqrt(0.05 * 0.95 / found.repetitions)
    assert 0 < found.harmless.failed <= limit
    for cell in found.cells:
        assert cell.false_alarm <= limit
        assert cell.false_alarm_skewed <= limit


def test_detection_rises_with_the_drop(found):
    rates = [found.harmless.failed, *(rates.failed for rates in found.drops)]
    assert rates == sorted(rates)
    assert rates[-1] > 0.9
    assert [rates.drop for rates in found.drops] == [0.02, 0.05, 0.10]


def test_rates_add_up_to_1(found):
    for rates in (found.harmless, *found.drops):
        assert rates.failed + rates.inconclusive + rates.passed + rates.improved == pytest.approx(1)


def test_detection_of_a_cell_is_near_what_its_standard_error_predicts(found):
    recall = [cell for cell in found.cells if cell.measure == "recall@10"]
    assert [(cell.n, cell.n_clusters, cell.test) for cell in recall] == [
        (150, None, "tango + mcnemar mid-p"),
        (120, 40, "cluster-robust t"),
    ]
    for cell in recall:
        assert cell.at_twice == pytest.approx(cell.at_twice_predicted, abs=0.12)
        assert cell.at_margin < cell.at_twice


def test_known_churn_alarms_and_detects_as_computed(make_result):
    # 10 gained and 10 lost of 200: drawn anew, a harmless change is a tenth of the queries. Mid-p's rejection rate at
    # 5 % / 5 % is 4.9 %; tilted to a drop of .05 the chances are 3.04 % / 8.04 %, where it is 69.7 % (both exact).
    before = np.r_[np.zeros(10), np.ones(190)]
    after = np.r_[np.ones(10), np.zeros(10), np.ones(180)]
    old, new = make_result({"recall@10": before}, system="old"), make_result({"recall@10": after}, system="new")
    seen = calibrate([old], [new], RECALL, drops=(0.05,), repetitions=1_000)
    # the floor of .01 asks for 2 losses more than gains, which p < .05 implies
    assert within(seen.harmless.failed, 0.049, 1_000)
    assert within(seen.drops[0].failed, 0.697, 1_000)


def test_rare_large_gains_against_many_small_losses_alarm_more_often_than_their_mirror_images(make_result):
    # 3 of 50 gain .5, 15 lose .1: mean 0. Tilting keeps the skewness, for which paired t is not made.
    delta = np.r_[np.full(3, 0.5), np.full(15, -0.1), np.zeros(32)]
    old = make_result({"recall@10": np.full(50, 0.5)}, system="old")
    new = make_result({"recall@10": 0.5 + delta}, system="new")
    (cell,) = calibrate([old], [new], RECALL, drops=(), repetitions=1_000).cells
    assert within(cell.false_alarm_skewed, 0.120, 1_000, errors=4)  # 12.0 %: all counts of gains and losses, weighed
    assert cell.false_alarm < 0.06


def test_blocked_counts_inconclusive_only_where_the_policy_blocks_it(two_sets):
    options = {"drops": (), "repetitions": 60}
    warned = calibrate(*two_sets, Policy(), **options).harmless
    stopped = calibrate(*two_sets, Policy(on_inconclusive="block"), **options).harmless
    assert warned.inconclusive == stopped.inconclusive > 0
    assert warned.blocked == warned.failed
    assert stopped.blocked == pytest.approx(stopped.failed + stopped.inconclusive)


def test_a_seed_gives_the_same_numbers_and_another_drop_moves_no_other_number(two_sets):
    one = calibrate(*two_sets, Policy(), drops=(0.05,), repetitions=40, seed=3)
    other = calibrate(*two_sets, Policy(), drops=(0.02, 0.05), repetitions=40, seed=3)
    assert one.harmless == other.harmless
    assert one.drops[0] == other.drops[1]
    assert one.cells == other.cells
    assert calibrate(*two_sets, Policy(), drops=(0.05,), repetitions=40, seed=4).cells != one.cells


def test_usual_drops_are_the_margin_twice_the_margin_5_and_10_points(two_sets):
    assert [r.drop for r in calibrate(*two_sets, Policy(), repetitions=2).drops] == [0.02, 0.04, 0.05, 0.10]


def test_a_set_without_any_difference_stays_as_it_is(make_result):
    before, after = scores(np.random.default_rng(2), 100)
    same = dict.fromkeys(before, "same")
    old = [make_result(before, system="old"), make_result(before, query_set="calm", lists=same)]
    new = [make_result(after, system="new"), make_result(before, query_set="calm", lists=same)]
    seen = calibrate(old, new, Policy(), drops=(0.1,), repetitions=100)
    calm = [cell for cell in seen.cells if cell.query_set == "calm"]
    assert [(cell.test, cell.false_alarm, cell.at_margin) for cell in calm] == [("identical", 0.0, None)] * 2
    assert seen.drops[0].failed > 0.5


def test_a_drop_beyond_every_difference_is_said_and_not_drawn(make_result):
    delta = np.tile([0.03, -0.03, 0.0], 20)
    old = make_result({"recall@10": np.full(60, 0.5)}, system="old")
    new = make_result({"recall@10": 0.5 + delta}, system="new")
    seen = calibrate([old], [new], RECALL, drops=(0.02, 0.05), repetitions=20)
    assert [rates.drop for rates in seen.drops] == [0.02]
    assert seen.beyond_reach == (0.05,)
    assert seen.cells[0].at_margin is not None
    assert seen.cells[0].at_twice is None


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"repetitions": 0}, "0 repetitions"),
        ({"drops": (0.0,)}, "A drop of 0 "),
        ({"drops": (1.5,)}, "A drop of 1.5 "),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_unusable_options_raise_a_sentence(two_sets, options, sentence):
    with pytest.raises(UsageError, match=sentence):
        calibrate(*two_sets, Policy(), **options)


def test_a_candidate_without_a_difference_is_refused(make_result):
    same = make_result({"recall@10": [1.0, 0.0] * 20}, system="old", lists={"recall@10": "same"})
    with pytest.raises(UsageError, match=r"no difference to draw from\. Name another candidate"):
        calibrate([same], [same], RECALL, repetitions=10)


# --- what is printed ---


def test_the_page_shows_the_result_as_it_was_printed():
    folder = Path(__file__).parents[1] / "docs" / "calibration"
    result = (folder / "result.txt").read_text(encoding="utf-8")
    assert result in (folder / "README.md").read_text(encoding="utf-8")
    assert "ABOVE" not in result


def test_json_holds_no_nan(found):
    document = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert document["harmless"]["standard_errors"].keys() == {"failed", "inconclusive", "passed", "improved", "blocked"}
    assert len(document["cells"]) == 4
    assert document["policy"]["digest"] == Policy().digest


def test_terminal_begins_with_one_plain_sentence(found, capsys):
    terminal.blocks(tables.calibration(found))
    said = capsys.readouterr().err
    assert said.startswith("Of 100 harmless changes this gate would block about ")
    assert "It would notice a drop of 0.1 on every query set 100 times in 100." in said
    assert "shop" in said
    assert "120 (40)" in said


@pytest.fixture
def run_files(tmp_path):
    """Judgements and two runs of 60 queries; every fifth query is answered by only one of them."""
    qrels, first, second = [], [], []
    for i in range(60):
        qrels.append(f"q{i} 0 right 1")
        found_by = {0: "first", 1: "second"}.get(i % 10, "both")
        for lines, name in ((first, "first"), (second, "second")):
            hit = "right" if found_by in (name, "both") else "wrong"
            lines.append(f"q{i} Q0 {hit} 1 1.0 {name}")
    paths = []
    for name, lines in (("qrels", qrels), ("first.run", first), ("second.run", second)):
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        paths.append(str(path))
    return paths


def test_gate_calibrate_prints_rates_in_place_of_a_verdict(run_files, capsys):
    qrels, first, second = run_files
    arguments = ["gate", "--qrels", qrels, "--baseline-run", first, "--candidate-run", second, "--calibrate"]
    assert main([*arguments, "50", "--seed", "7", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["repetitions"], document["seed"]) == (50, 7)
    assert [cell["measure"] for cell in document["cells"]] == ["recall@10", "ndcg@10"]
    assert "outcome" not in document
    assert main([*arguments, "20"]) == 0
    assert "Of 100 harmless changes" in capsys.readouterr().err


def test_gate_calibrate_refuses_what_it_would_not_write(run_files, tmp_path, capsys):
    qrels, first, second = run_files
    arguments = ["gate", "--qrels", qrels, "--baseline-run", first, "--candidate-run", second, "--calibrate"]
    assert main([*arguments, "--json-out", str(tmp_path / "gate.json")]) == 2
    assert "--json-out writes a verdict" in capsys.readouterr().err
    assert "error" in json.loads((tmp_path / "gate.json").read_text())


def test_gate_calibrate_refuses_a_run_against_itself(run_files, capsys):
    qrels, first, _ = run_files
    assert main(["gate", "--qrels", qrels, "--baseline-run", first, "--candidate-run", first, "--calibrate"]) == 2
    assert "Name another candidate" in capsys.readouterr().err


def test_slices_variants_and_other_rules_are_drawn_as_they_are_judged(make_result):
    from dataclasses import replace

    rng = np.random.default_rng(5)
    before = rng.integers(0, 2, 120).astype(float)
    flips = rng.random(120) < 0.2
    after = np.where(flips, 1 - before, before)
    slices = (("a",),) * 30 + (("b",),) * 90
    old = replace(make_result({"recall@10": before}, system="old"), slices=slices)
    new = replace(make_result({"recall@10": after}, system="new"), slices=slices, top_ids=(("d9",),) * 120)
    held = ("recall@10",)
    policy = Policy(
        (
            Rule("held-out", held, 0.02),
            Rule("held-out", held, 0.05, slice="*"),
            Rule("held-out", held, 0.02, dim=64, floor=0.04),
            Rule("held-out", held, minimum=0.2),
        )
    )
    both = [[result, replace(result, variant="@64")] for result in (old, new)]
    replay = Replay(*both, policy)
    verdict = judge(*both, policy)
    assert [cell.name for cell in replay.cells] == [cell.name for cell in verdict.cells]
    together, _ = replay.outcomes([q.deltas for q in replay.query_sets], [q.labels for q in replay.query_sets])
    assert list(together) == [cell.outcome for cell in verdict.cells]
    rates = calibrate(*both, policy, drops=[0.1], repetitions=200)
    assert [cell.n for cell in rates.cells] == [120, 90, 120]  # 30 queries bear no margin of .05
    assert rates.harmless.failed <= 0.05 + 3 * (0.05 * 0.95 / 200) ** 0.5
    assert rates.drops[0].failed > rates.harmless.failed
