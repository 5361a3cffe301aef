"""Claims about what a policy asks: which rule holds where two meet, what gates nothing, checks beside cells."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench.base.errors import ConfigError, NotComparable
from bench.gate.compare import rows_of
from bench.gate.limits import latency_limit, size_limit
from bench.gate.rules import gated_cells, keyed
from bench.gate.verdict import judge
from bench.records import Ceiling, Policy, Rule
from bench.report.sentences import verdict_banner

RECALL = ("recall@10",)


def results(make_result, n=40, *, system="new", slices=None, values=None, **more):
    """One held-out and one out-of-distribution result, without a loss unless `values` says so."""
    found = [
        make_result({"recall@10": np.ones(n) if values is None else values}, system=system, **more),
        make_result({"recall@10": np.ones(n)}, system=system, query_set="phone", role="out-of-distribution", **more),
    ]
    return [replace(result, slices=tuple((name,) for name in slices)) if slices else result for result in found]


def margins(policy, found):
    return {(one.key, one.slice): one.rule.margin for one in gated_cells(policy, keyed(found, "candidate"))}


def test_rule_for_a_query_set_outranks_one_for_its_role_and_the_smaller_margin_holds(make_result):
    found = results(make_result)
    policy = Policy(
        (
            Rule("held-out", RECALL, 0.01),
            Rule("held-out", RECALL, 0.04, query_set="shop"),
            Rule("out-of-distribution", RECALL, 0.05),
            Rule("out-of-distribution", RECALL, 0.03),
        )
    )
    assert margins(policy, found) == {(("", "shop"), None): 0.04, (("", "phone"), None): 0.03}


def test_star_stands_for_every_slice_and_a_named_slice_outranks_it(make_result):
    found = results(make_result, slices=["a"] * 20 + ["b"] * 20)
    rules = (Rule("held-out", RECALL, 0.05, slice="*"), Rule("held-out", RECALL, 0.02, slice="b"))
    assert margins(Policy(rules), found) == {(("", "shop"), "a"): 0.05, (("", "shop"), "b"): 0.02}


def test_slice_is_judged_on_its_own_queries(make_result):
    slices = ["a"] * 60 + ["b"] * 140
    after = np.ones(200)
    after[:20] = 0  # every loss is in slice a: .33 of it, .1 of the whole
    before = results(make_result, 200, system="old", slices=slices)
    now = results(make_result, slices=slices, values=after, n=200)
    now[0] = replace(now[0], top_ids=tuple(("d3",) for _ in slices))
    rules = (Rule("held-out", RECALL, 0.05, slice="*"),)
    cells = {cell.slice: cell for cell in judge(before, now, Policy(rules)).cells}
    assert (cells["a"].n, cells["a"].outcome) == (60, "fail")
    assert cells["a"].delta == pytest.approx(-1 / 3)
    assert (cells["b"].n, cells["b"].delta) == (140, 0)
    assert "recall@10 on shop (slice a)" in cells["a"].reason


def test_slice_whose_first_ranks_did_not_move_is_identical(make_result):
    slices = ["a"] * 60 + ["b"] * 140
    after = np.ones(200)
    after[:20] = 0
    before = results(make_result, 200, system="old", slices=slices)
    now = results(make_result, slices=slices, values=after, n=200)
    # The fixture gives every query the same first documents; here slice a gets others.
    tops = tuple(("d9",) if name == "a" else ids for name, ids in zip(slices, now[0].top_ids, strict=True))
    now[0] = replace(now[0], top_ids=tops)
    cells = {c.slice: c for c in judge(before, now, Policy((Rule("held-out", RECALL, 0.05, slice="*"),))).cells}
    assert (cells["a"].test, cells["b"].test) == ("tango + mcnemar mid-p", "identical")


@pytest.mark.parametrize(("n", "gated"), [(132, False), (133, True)])
def test_slice_too_small_for_its_margin_is_reported_not_gated(make_result, n, gated):
    # A drop of .02 is ruled out without any change from z² (1 / .02 − 1) = 132.57 queries on.
    slices = ["a"] * n + ["b"] * 200
    after = np.ones(n + 200)
    after[:3] = 0
    before = results(make_result, n + 200, system="old", slices=slices)
    now = results(make_result, n + 200, slices=slices, values=after)
    now[0] = replace(now[0], top_ids=(("d9",),) * (n + 200))
    verdict = judge(before, now, Policy((Rule("held-out", RECALL, 0.02, slice="*"),)))
    assert [cell.slice for cell in verdict.cells] == (["a", "b"] if gated else ["b"])
    found = [finding for finding in verdict.findings if finding.code == "slice-too-small"]
    if gated:
        assert found == []
    else:
        assert (found[0].severity, found[0].where, found[0].value) == ("info", "shop", 132)
        assert "with fewer than 133 even" in found[0].message
        assert f"recall@10 1.000 → {1 - 3 / 132:.3f}" in found[0].message


def test_small_slice_that_a_rule_names_stays_gated(make_result):
    slices = ["a"] * 20 + ["b"] * 180
    before = results(make_result, 200, system="old", slices=slices)
    now = results(make_result, 200, slices=slices, values=[0.0] * 20 + [1.0] * 180)
    now[0] = replace(now[0], top_ids=(("d9",),) * 200)
    verdict = judge(before, now, Policy((Rule("held-out", RECALL, 0.02, slice="a"),)))
    assert [(cell.slice, cell.outcome) for cell in verdict.cells] == [("a", "fail")]


def test_rules_that_leave_nothing_to_gate_are_refused(make_result):
    before = results(make_result, 40, system="old", slices=["a"] * 20 + ["b"] * 20)
    now = results(make_result, 40, slices=["a"] * 20 + ["b"] * 20)
    with pytest.raises(
        ConfigError, match=r"none is large enough: the largest has 20 queries, and with fewer than 133 even"
    ):
        judge(before, now, Policy((Rule("held-out", RECALL, 0.02, slice="*"),)))


def test_query_in_several_slices_counts_in_each(make_result):
    names = [("a", "b")] * 30 + [("a",)] * 30 + [()] * 10
    found = [replace(result, slices=tuple(names)) for result in results(make_result, 70)]
    rows = {name: len(rows_of(found[0], name)) for name in ("a", "b")}
    assert rows == {"a": 60, "b": 30}
    assert {key[1] for key in margins(Policy((Rule("held-out", RECALL, 0.05, slice="*"),)), found)} == {"a", "b"}


def test_relative_margin_is_a_share_of_the_references_mean(make_result):
    values = np.tile([0.4, 0.6], 100)
    before = [make_result({"recall@10": values}, system="old")]
    now = [make_result({"recall@10": values - 0.02}, system="new")]
    strict, lax = (Policy((Rule("held-out", RECALL, relative_margin=share),)) for share in (0.02, 0.06))
    assert judge(before, now, strict).cells[0].margin == pytest.approx(0.01)
    assert judge(before, now, strict).outcome == "fail"
    assert judge(before, now, lax).outcome == "pass"


def test_floor_is_the_least_drop_that_fails(make_result):
    values = np.tile([0.4, 0.6], 100)
    before = [make_result({"recall@10": values}, system="old")]
    now = [make_result({"recall@10": values - 0.02}, system="new")]
    rule = Rule("held-out", RECALL, 0.015)
    assert judge(before, now, Policy((rule,))).outcome == "fail"
    assert judge(before, now, Policy((replace(rule, floor=0.03),))).outcome == "inconclusive"


# --- variants --------------------------------------------------------------------------------------


def test_variant_is_compared_with_the_same_variant(make_result):
    whole, small = np.ones(200), np.ones(200)
    small[:30] = 0
    before = [make_result({"recall@10": whole}, system="m"), replace(make_result({"recall@10": whole}), variant="@128")]
    now = [
        make_result({"recall@10": whole}, system="m"),
        replace(make_result({"recall@10": small}, system="m@128"), variant="@128"),
    ]
    policy = Policy((Rule("held-out", RECALL, 0.02), Rule("held-out", RECALL, 0.02, dim=128)))
    verdict = judge(before, now, policy)
    assert {cell.variant: cell.outcome for cell in verdict.cells} == {"": "pass", "@128": "fail"}
    assert "recall@10 on shop (@128)" in verdict.worst.reason
    with pytest.raises(NotComparable, match=r'no result of "@128" on query set "shop"'):
        judge(before[:1], now, policy)


def test_variant_that_was_not_evaluated_is_refused(make_result):
    policy = Policy((Rule("held-out", RECALL, 0.02), Rule("held-out", RECALL, 0.02, dim=128)))
    found = results(make_result)
    with pytest.raises(ConfigError, match=r'asks for "@128" of the gated system, which was not evaluated'):
        judge(found, found, policy)


@pytest.mark.parametrize(("lost", "outcome"), [(0, "pass"), (3, "inconclusive"), (30, "fail")])
def test_kept_share_is_told_in_three_ways(make_result, lost, outcome):
    whole, small = np.ones(200), np.ones(200)
    small[:lost] = 0
    now = [
        make_result({"recall@10": whole}, system="m", lists={"recall@10": "same"}),
        replace(make_result({"recall@10": small}, system="m@128"), variant="@128"),
    ]
    policy = Policy((Rule("held-out", RECALL, 0.02), Rule("held-out", RECALL, keeps=0.98, dim=128)))
    verdict = judge(now[:1], now, policy)
    (check,) = verdict.limits
    assert (check.kind, check.outcome, verdict.outcome) == ("keeps", outcome, outcome)
    assert check.value == pytest.approx((200 - lost) / 200)
    assert "required at least 98 %" in check.reason


@pytest.mark.parametrize(("found", "outcome"), [(150, "pass"), (136, "inconclusive"), (110, "fail")])
def test_minimum_fails_only_where_the_mean_is_shown_to_lie_below(make_result, found, outcome):
    values = np.zeros(200)
    values[:found] = 1
    now = [make_result({"recall@10": values}, lists={"recall@10": "same"})]
    policy = Policy((Rule("held-out", RECALL, 0.02), Rule("held-out", RECALL, minimum=0.70)))
    verdict = judge(now, now, policy)
    (check,) = verdict.limits
    assert (check.outcome, verdict.outcome) == (outcome, outcome)
    assert f"{found / 200:.3f}, required at least 0.7, n = 200." in check.reason


def test_checks_share_alpha_with_the_cells(make_result):
    # 128 of 200 lie below .70 with p = .039 taken alone; beside a cell Holm asks for half of alpha.
    values = np.zeros(200)
    values[:128] = 1
    now = [make_result({"recall@10": values}, system="new")]
    alone = judge(now, now, Policy((Rule("held-out", RECALL, minimum=0.70),)))
    beside = judge(now, now, Policy((Rule("held-out", RECALL, 0.02), Rule("held-out", RECALL, minimum=0.70))))
    assert alone.limits[0].p == beside.limits[0].p
    assert 0.025 < alone.limits[0].p < 0.05
    assert (alone.limits[0].outcome, beside.limits[0].outcome) == ("fail", "inconclusive")


# --- ceilings --------------------------------------------------------------------------------------


def test_ceiling_without_a_measurement_is_refused(make_result):
    found = results(make_result)
    policy = Policy(Policy().rules[:1], ceilings=(Ceiling("index_bytes", 2.0, "baseline"),))
    policy = replace(policy, rules=(Rule("held-out", RECALL, 0.02),))
    with pytest.raises(ConfigError, match="ceiling for index_bytes of baseline, and nothing was measured"):
        judge(found, found, policy)


@pytest.mark.parametrize(
    ("ceiling", "value", "outcome"),
    [
        (Ceiling("index_bytes", 1_000_000), 900_000, "pass"),
        (Ceiling("index_bytes", 1_000_000), 1_000_001, "fail"),
        (Ceiling("index_bytes", 1.5, "baseline"), 1.5, "pass"),
        (Ceiling("index_bytes", 1.5, "bm25"), 1.501, "fail"),
    ],
)
def test_size_is_exact(make_result, ceiling, value, outcome):
    check = size_limit(ceiling, value)
    found = results(make_result)
    verdict = judge(found, found, Policy((Rule("held-out", RECALL, 0.02),), ceilings=(ceiling,)), ceilings=[check])
    assert check.outcome == outcome
    assert (verdict.outcome == "fail") is (outcome == "fail")
    assert "allowed" in verdict.limits[0].reason


def test_a_verdict_that_fails_by_a_ceiling_alone_is_not_called_a_regression(make_result):
    ceiling = Ceiling("index_bytes", 1_000_000)
    policy, too_large = Policy((Rule("held-out", RECALL, 0.02),), ceilings=(ceiling,)), size_limit(ceiling, 2e6)
    before = results(make_result)
    assert verdict_banner(judge(before, before, policy, ceilings=[too_large])).label == "Fail"
    dropped = [make_result({"recall@10": [1.0] * 40 + [0.0] * 40}, system="new")]
    kept = [make_result({"recall@10": [1.0] * 80}, system="old")]
    worse = judge(kept, dropped, policy, ceilings=[too_large])
    assert (worse.outcome, verdict_banner(worse).label) == ("fail", "Regression")


def test_unknown_size_is_refused():
    with pytest.raises(ConfigError, match="not every index that it is about has a known size"):
        size_limit(Ceiling("index_bytes", 1.5, "bm25"), None)


@pytest.mark.parametrize(
    ("ratio", "lower", "outcome"), [(1.9, 1.8, "pass"), (2.1, 1.9, "inconclusive"), (2.4, 2.1, "fail")]
)
def test_latency_fails_only_where_it_is_shown(ratio, lower, outcome):
    ceiling = Ceiling("latency_ms_p95", 2.0, "bm25")
    assert latency_limit(ceiling, ratio, lower, ratio + 0.3, n=50).outcome == outcome


# --- rules that gate nothing -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        (Rule("held-out", RECALL, 0.02, query_set="shp"), 'names query set "shp".*Did you mean "shop"'),
        (Rule("held-out", RECALL, 0.02, query_set="phone"), "whose role is out-of-distribution"),
        (Rule("held-out", RECALL, 0.02, slice="brake"), 'names slice "brake".*Did you mean "brakes"'),
    ],
)
def test_rule_that_gates_nothing_is_refused_beside_one_that_does(make_result, rule, sentence):
    found = results(make_result, slices=["brakes"] * 40)
    with pytest.raises(ConfigError, match=sentence):
        judge(found, found, Policy((Rule("held-out", RECALL, 0.02), rule)))


def test_rule_for_a_role_that_the_suite_lacks_is_told(make_result):
    found = results(make_result)[:1]
    rules = (Rule("held-out", RECALL, 0.02), Rule("out-of-distribution", RECALL, 0.05))
    codes = [finding.code for finding in judge(found, found, Policy(rules)).findings]
    assert "rule-unused" in codes


# --- two references --------------------------------------------------------------------------------


def ndcg(make_result, shift, system, seed):
    """ndcg@10 of 400 queries around .5, moved by `shift`."""
    rng = np.random.default_rng(7)
    values = rng.uniform(0.3, 0.7, 400) + shift + np.random.default_rng(seed).normal(0, 0.01, 400)
    return [make_result({"ndcg@10": values}, system=system)]


def test_small_losses_pass_against_the_merge_base_and_fail_against_the_anchor(make_result):
    rules = Policy((Rule("held-out", ("ndcg@10",), 0.02),))
    accepted, started, now = (
        ndcg(make_result, shift, name, seed)
        for shift, name, seed in ((0, "old", 1), (-0.095, "base", 2), (-0.1, "new", 3))
    )
    assert judge(started, now, rules).outcome == "pass"
    verdict = judge(accepted, now, rules, merge_base=started)
    assert {cell.reference: cell.outcome for cell in verdict.cells} == {"baseline": "fail", "merge-base": "pass"}
    assert (verdict.outcome, verdict.exit_code, verdict.merge_base) == ("fail", 1, "base")
    assert "against the merge base" in next(c.reason for c in verdict.cells if c.reference == "merge-base")


def test_loss_of_this_change_fails_although_the_anchor_is_still_reached(make_result):
    rules = Policy((Rule("held-out", ("ndcg@10",), 0.02),))
    accepted, started, now = (
        ndcg(make_result, shift, name, seed) for shift, name, seed in ((0, "old", 1), (0.1, "base", 2), (0, "new", 1))
    )
    verdict = judge(accepted, now, rules, merge_base=started)
    assert {cell.reference: cell.outcome for cell in verdict.cells} == {"baseline": "pass", "merge-base": "fail"}
    assert verdict.outcome == "fail"


def test_improved_means_by_this_change_where_the_merge_base_is_known(make_result):
    rules = Policy((Rule("held-out", ("ndcg@10",), 0.02),))
    accepted, started, now = (
        ndcg(make_result, shift, name, seed) for shift, name, seed in ((0, "old", 1), (0.1, "base", 2), (0.1, "new", 3))
    )
    assert judge(accepted, now, rules).outcome == "improved"
    assert judge(accepted, now, rules, merge_base=started).outcome == "pass"


def test_merge_base_of_another_suite_is_refused(make_result):
    found = results(make_result)
    other = [replace(result, labels_digest="other") for result in found]
    with pytest.raises(NotComparable, match="the judgements differ"):
        judge(found, found, Policy((Rule("held-out", RECALL, 0.02),)), merge_base=other)
    with pytest.raises(NotComparable, match='The candidate holds query set "phone" and the merge base does not'):
        judge(found, found, Policy((Rule("held-out", RECALL, 0.02),)), merge_base=found[:1])


def test_pinned_query_lost_against_either_reference_fails(make_result):
    values = np.ones(40)
    lost = values.copy()
    lost[3] = 0
    accepted = results(make_result, values=lost, pinned=[3], system="old")
    started = results(make_result, pinned=[3], system="base")
    now = results(make_result, values=lost, pinned=[3])
    policy = Policy((Rule("held-out", RECALL, 0.5),))
    assert judge(accepted, now, policy).outcome == "pass"
    verdict = judge(accepted, now, policy, merge_base=started)
    assert verdict.outcome == "fail"
    assert [change.query_id for _, change in verdict.pinned_lost] == ["q003"]


def test_verdict_names_its_worst_cell_and_its_sharpness(make_result):
    lost = np.ones(200)
    lost[:20] = 0
    before, now = (results(make_result, n=200, values=v, system=s) for v, s in ((None, "old"), (lost, "new")))
    verdict = judge(before, now, Policy((Rule("held-out", RECALL, 0.02), Rule("out-of-distribution", RECALL, 0.03))))
    assert verdict.worst.query_set == "shop"
    assert verdict.mde80 == verdict.worst.mde80 > 0
    assert verdict.to_json()["cells"][0]["reference"] == "baseline"
