"""Claims about bench.gate.compare: what cannot be compared is refused by name; deltas, wins, losses, pinned losses."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.base.errors import NotComparable
from bench.decide.case import Case
from bench.gate.compare import check_comparable, compare, corrected, difference, pinned_losses
from bench.records import EvalProtocol
from bench.report import Material
from bench.report.groups import significance_groups
from bench.report.reading import differences, pooled, tasks


def pair(make_result, before, after, *, measure="recall@10", **more):
    return (
        make_result({measure: before}, system="old", **more),
        make_result({measure: after}, system="new", **more),
    )


# --- refused ---


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"corpus_digest": "other corpus"}, r"the corpus differs \(corpus… then, other co… now\)"),
        ({"query_set_digest": "other queries"}, "the queries differ "),
        ({"labels_digest": "other labels"}, "the judgements differ "),
        ({"protocol": EvalProtocol(("recall@10",), 50)}, "depth, relevance level, drop_self or tie rule differ "),
        ({"protocol": EvalProtocol(("recall@10",), 100, 2)}, "depth, relevance level, drop_self or tie rule differ "),
        ({"protocol": EvalProtocol(("recall@10",), 100, 1, True)}, "depth, relevance level, drop_self or tie rule"),
    ],
)
def test_results_of_different_tasks_are_refused_and_told_what_differs(make_result, change, sentence):
    baseline = make_result({"recall@10": [1.0] * 6}, system="old")
    candidate = make_result({"recall@10": [1.0] * 6}, system="new", **change)
    with pytest.raises(NotComparable, match=sentence) as found:
        compare(baseline, candidate, margin=0.02)
    message = str(found.value)
    assert 'Query set "shop": baseline "old" and candidate "new" cannot be compared' in message
    # The command that mends it.
    assert "bench run" in message
    assert 'bench baseline accept --reason "…"' in message


def test_results_with_other_queries_are_refused(make_result):
    baseline = make_result({"recall@10": [1.0, 0.0]}, query_ids=["a", "b"])
    candidate = make_result({"recall@10": [1.0, 0.0]}, query_ids=["a", "c"])
    with pytest.raises(NotComparable, match="they hold different queries"):
        check_comparable(baseline, candidate)


@pytest.mark.parametrize(
    ("before", "after", "who"), [((), ("q001", "q003"), "candidate"), (("q001", "q003"), (), "baseline")]
)
def test_query_missing_from_only_one_run_is_refused(make_result, before, after, who):
    baseline = make_result({"recall@10": [0.0] * 6}, missing=before)
    candidate = make_result({"recall@10": [0.0] * 6}, missing=after)
    with pytest.raises(NotComparable, match=rf'the {who} run lacks 2 judged queries .*\(first: "q001"\)'):
        compare(baseline, candidate, margin=0.02)


def test_query_missing_from_both_runs_is_comparable(make_result):
    (cell,) = compare(*pair(make_result, [0.0] * 6, [0.0] * 6, missing=("q001",)), margin=0.02).cells
    assert cell.n == 6


@pytest.mark.parametrize("who", ["baseline", "candidate"])
def test_measure_that_one_result_lacks_is_refused(make_result, who):
    both, one = make_result({"recall@10": [1.0], "map": [1.0]}), make_result({"recall@10": [1.0]})
    sides = {"baseline": (one, both), "candidate": (both, one)}[who]
    with pytest.raises(NotComparable, match=rf'The {who} "system" on "shop" has no map \(has: recall@10\)'):
        compare(*sides, measures=["map"], margin=0.02)


# --- numbers ---


def test_cell_worked_by_hand(make_result):
    baseline, candidate = pair(make_result, [1, 1, 0, 0, 1, 0, 1, 0], [1, 0, 1, 0, 0, 0, 0, 0])
    (cell,) = compare(baseline, candidate, margin=0.02).cells
    # Lost q001, q004, q006, gained q002.
    assert (cell.wins, cell.ties, cell.losses, cell.n) == (1, 4, 3, 8)
    assert (cell.baseline, cell.candidate, cell.delta) == (0.5, 0.25, -0.25)
    assert [(c.query_id, c.baseline, c.candidate) for c in cell.lost] == [
        ("q001", 1, 0), ("q004", 1, 0), ("q006", 1, 0),
    ]  # fmt: skip
    assert [c.query_id for c in cell.gained] == ["q002"]
    # McNemar mid-p of 3 against 1: P(X > 3) + ½ P(X = 3) of Binomial(4, ½) = 1/16 + ½ · 4/16.
    assert cell.p == pytest.approx(1 / 16 + 2 / 16)
    assert cell.test == "tango + mcnemar mid-p"
    assert cell.p_adjusted is None
    assert cell.outcome is None


def test_largest_losses_come_first(make_result):
    baseline, candidate = pair(make_result, [1, 1, 1, 1], [0.9, 0.2, 1.0, 0.5], measure="ndcg@10")
    (cell,) = compare(baseline, candidate, margin=0.02).cells
    assert [c.query_id for c in cell.lost] == ["q001", "q003", "q000"]


def test_difference_below_rounding_is_a_tie(make_result):
    baseline, candidate = pair(make_result, [0.1 + 0.2, 0.5], [0.3, 0.4], measure="ndcg@10")
    (cell,) = compare(baseline, candidate, margin=0.02).cells
    assert (cell.wins, cell.ties, cell.losses) == (0, 1, 1)


def test_method_follows_the_data(make_result):
    rng = np.random.default_rng(1)
    before = rng.random(20)
    clusters = [f"c{i // 2}" for i in range(20)]

    def method(after, **more):
        return compare(*pair(make_result, before, after, measure="ndcg@10", **more), margin=0.02).cells[0].test

    assert method(rng.random(20)) == "paired t"
    assert method(rng.random(20), clusters=clusters) == "cluster-robust t"
    assert method(rng.random(20), clusters=[f"c{i}" for i in range(20)]) == "paired t"
    assert method(before) == "tango + mcnemar mid-p"
    assert method(before, lists={"ndcg@10": "same"}) == "identical"


def test_rankings_that_differ_without_changing_a_number_are_not_identical(make_result):
    baseline, candidate = pair(make_result, [1.0] * 100, [1.0] * 100)
    (cell,) = compare(baseline, candidate, margin=0.02).cells
    # gate.md: p = 1 and L = −z²/(n + z²), −.026 at n = 100.
    assert cell.test != "identical"
    assert cell.p == 1
    assert cell.lower == pytest.approx(-(1.6448536269514722**2) / (100 + 1.6448536269514722**2))
    assert cell.lower == pytest.approx(-0.026, abs=5e-4)


def test_all_measures_are_compared_unless_some_are_named(make_result):
    values = {"recall@10": [1.0, 0.0], "map": [1.0, 0.5]}
    baseline, candidate = make_result(values, system="a"), make_result(values, system="b")
    assert [cell.measure for cell in compare(baseline, candidate, margin=0.02).cells] == ["recall@10", "map"]
    assert [cell.measure for cell in compare(baseline, candidate, measures=["map"], margin=0.02).cells] == ["map"]


def test_judged_drop_and_condensed_delta_are_of_the_candidate(make_result):
    baseline = make_result({"recall@10": [1.0] * 5}, judged=0.9, condensed={"recall@10": [1.0] * 5}, system="old")
    candidate = make_result({"recall@10": [0.5] * 5}, judged=0.6, condensed={"recall@10": [0.9] * 5}, system="new")
    (cell,) = compare(baseline, candidate, margin=0.02).cells
    assert cell.judged_drop == pytest.approx(0.3)
    assert cell.condensed_delta == pytest.approx(-0.1)
    bare = replace(candidate, scores=replace(candidate.scores, condensed=None))
    assert compare(baseline, bare, margin=0.02).cells[0].condensed_delta is None


def test_number_of_queries_that_would_settle_it_is_told(make_result):
    rng = np.random.default_rng(2)
    before = rng.random(50)
    (cell,) = compare(
        *pair(make_result, before, before - 0.01 + 0.2 * rng.normal(size=50), measure="map"), margin=0.02
    ).cells
    assert cell.mde80 > 0.02
    assert cell.queries_for_margin > 50


@settings(max_examples=50)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_run_against_itself_has_delta_zero_and_no_losses(make_result, values):
    lists = {"map": "same"}
    baseline, candidate = pair(make_result, values, values, measure="map", lists=lists)
    (cell,) = compare(baseline, candidate, margin=0.02).cells
    assert (cell.delta, cell.wins, cell.losses, cell.lower) == (0, 0, 0, 0)


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=30), st.randoms(use_true_random=False)
)
def test_order_of_queries_changes_no_number(make_result, values, random):
    mixed = random.sample(range(len(values)), len(values))

    def cell(order):
        ids = [f"q{i}" for i in order]
        return compare(
            *pair(
                make_result, [values[i][0] for i in order], [values[i][1] for i in order], measure="map", query_ids=ids
            ),
            margin=0.02,
        ).cells[0]

    plain, other = cell(range(len(values))), cell(mixed)
    assert other.delta == pytest.approx(plain.delta, abs=1e-12)
    assert (other.lower or 0) == pytest.approx(plain.lower or 0, abs=1e-9)
    assert (other.p or 0) == pytest.approx(plain.p or 0, abs=1e-9)
    assert other.lost == plain.lost


# --- pinned ---


def test_pinned_loss_is_a_fall_of_recall_at_the_first_measures_cutoff(make_result):
    values = {"ndcg@10": [1.0, 1.0, 1.0], "recall@10": [1.0, 1.0, 0.5]}
    after = {"ndcg@10": [0.1, 1.0, 1.0], "recall@10": [1.0, 0.5, 0.0]}
    baseline, candidate = make_result(values, pinned=[0, 1]), make_result(after, pinned=[0, 1])
    # q000 falls in ndcg alone, q002 is not pinned.
    (change,) = pinned_losses(baseline, candidate)
    assert (change.query_id, change.baseline, change.candidate) == ("q001", 1, 0.5)


def test_pinned_gain_is_no_loss(make_result):
    baseline = make_result({"recall@10": [0.5, 1.0]}, pinned=[0, 1])
    candidate = make_result({"recall@10": [1.0, 1.0]}, pinned=[0, 1])
    assert pinned_losses(baseline, candidate) == []


def test_pinned_falls_back_to_the_first_measure_where_no_recall_is_measured(make_result):
    baseline, candidate = make_result({"mrr": [1.0]}, pinned=[0]), make_result({"mrr": [0.5]}, pinned=[0])
    assert len(pinned_losses(baseline, candidate)) == 1


def test_changed_role_is_refused_because_another_margin_would_apply(make_result):
    values = {"recall@10": [1.0] * 6, "ndcg@10": [1.0] * 6}
    before = make_result(values, role="held-out")
    after = make_result(values, role="out-of-distribution", system="other")
    with pytest.raises(NotComparable, match="its role was held-out and is out-of-distribution"):
        compare(before, after, margin=0.02)


# --- one difference, whoever asks ------------------------------------------------------------------


def graded(rng, n=40):
    return np.round(rng.random(n), 2)


@pytest.mark.parametrize("kind", ["graded", "0/1", "clusters"])
def test_two_sided_p_is_both_tails_and_the_same_from_either_side(make_result, kind):
    rng = np.random.default_rng(3)
    before, after = (graded(rng) if kind != "0/1" else rng.integers(0, 2, 40).astype(float) for _ in range(2))
    clusters = [f"c{i // 4}" for i in range(40)] if kind == "clusters" else None
    one, other = (make_result({"recall@10": v}, system=s, clusters=clusters) for v, s in ((before, "a"), (after, "b")))
    there, back = difference([one], [other], "recall@10"), difference([other], [one], "recall@10")
    assert there.p == pytest.approx(back.p)
    assert there.p == pytest.approx(2 * min(there.p_worse, back.p_worse))
    if kind == "graded":
        assert there.p == pytest.approx(scipy.stats.ttest_rel(after, before).pvalue)


def test_six_equal_gains_have_the_p_of_six_flips_of_sign(make_result):
    # 2 × 2⁻⁶: the sign-flip test of six equal differences, two-sided.
    before, after = make_result({"ndcg@10": [0.2] * 6}, system="a"), make_result({"ndcg@10": [0.3] * 6}, system="b")
    assert difference([before], [after], "ndcg@10").p == 0.03125
    assert difference([after], [before], "ndcg@10").p == 0.03125


@pytest.mark.parametrize(("n", "shown"), [(4, ""), (6, "better")])
def test_under_five_queries_nothing_is_shown(make_result, n, shown):
    before = make_result({"recall@10": [0.1] * n, "ndcg@10": [0.1] * n}, system="a")
    after = make_result({"recall@10": [0.8] * n, "ndcg@10": [0.8] * n}, system="b")
    (one,) = corrected([difference([before], [after], "ndcg@10")])
    assert (one.p is None) == (n < 5)
    assert one.shown == shown


def test_page_letters_decision_and_loop_ask_the_same_difference(make_result):
    rng = np.random.default_rng(7)
    values = {"a": graded(rng, 12)}
    values["b"] = np.clip(values["a"] + 0.06 + 0.2 * rng.standard_normal(12), 0, 1)
    results = {name: make_result({"ndcg@10": v}, system=name) for name, v in values.items()}
    expected = scipy.stats.ttest_rel(values["b"], values["a"]).pvalue
    material = Material("t", tuple(results.values()), "a")
    (task,) = tasks(material)
    page = differences(material, task, "a")["b"]["ndcg@10"]
    role = pooled(material, "ndcg@10", "a")["held-out"]["b"].difference
    stored = {name: {"shop": result} for name, result in results.items()}
    decided = Case("s", "a", "", stored, {}).gain("b", "a", "ndcg@10")
    assert [one.p for one in (page, role, decided)] == pytest.approx([expected] * 3)
    assert 0.05 < expected < 0.45
    # Two systems share a letter exactly where this p is not below alpha.
    for alpha in (expected * 0.99, expected * 1.01):
        letters = significance_groups(task, "ndcg@10", ["a", "b"], alpha=alpha)
        assert (len(set(letters.values())) == 2) == (expected < alpha)
