"""Claims about bench.gate.verdict: three ways of a verdict, what overrules them, and what cannot be judged at all."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.base.errors import BaselineError, ConfigError, NotComparable
from bench.gate.verdict import EXIT_CODES, baseline_document, judge, read_baseline, write_baseline
from bench.records import EvalProtocol, Finding, Policy, Rule

HELD_OUT = Policy((Rule("held-out", ("recall@10",), 0.02),))


def cells_of(lost=0, gained=0, n=200):
    """Recall before and after: `lost` queries fall from 1 to 0, `gained` rise, the rest are found by both."""
    before, after = np.ones(n), np.ones(n)
    after[:lost] = 0
    before[lost : lost + gained] = 0
    return before, after


def verdict_of(make_result, before, after, policy=HELD_OUT, *, measure="recall@10", old=None, new=None, **more):
    baseline = make_result({measure: before}, system="old", **more, **(old or {}))
    candidate = make_result({measure: after}, system="new", **more, **(new or {}))
    return judge([baseline], [candidate], policy)


# --- the three ways, constructed by hand ---


@pytest.mark.parametrize(
    ("lost", "gained", "n", "outcome", "exit_code"),
    [
        # Nothing lost, 12 of 200 gained: the interval lies above zero.
        (0, 12, 200, "improved", 0),
        # One lost, one gained among 1000: a drop of .02 is ruled out.
        (1, 1, 1000, "pass", 0),
        # 20 of 200 lost, two gained: mid-p is far below .05 and the drop .09.
        (20, 2, 200, "fail", 1),
        # Three lost, two gained among 50: neither shown.
        (3, 2, 50, "inconclusive", 0),
        # Significant (mid-p of 0/5 is 1/64) but a drop of .005, below the floor of .01: no fail; L > −.02: pass.
        (5, 0, 1000, "pass", 0),
    ],
)
def test_outcome_follows_interval_and_test(make_result, lost, gained, n, outcome, exit_code):
    verdict = verdict_of(make_result, *cells_of(lost, gained, n))
    assert (verdict.outcome, verdict.exit_code) == (outcome, exit_code)
    assert [cell.outcome for cell in verdict.cells] == [outcome]


def test_significant_drop_below_the_floor_is_inconclusive_and_no_fail(make_result):
    # Every query drops by nearly .004 of a margin of .01: p is tiny, the floor is .005, and L > −m: that passes.
    rng = np.random.default_rng(0)
    policy = Policy((Rule("held-out", ("ndcg@10",), 0.01),))
    before = rng.random(400)
    after = before - 0.004 + 0.01 * rng.normal(size=400)
    assert verdict_of(make_result, before, after, policy, measure="ndcg@10").outcome == "pass"
    # Widely spread, the same drop cannot be told from the margin: neither pass nor fail.
    noise = rng.normal(size=400)
    after = before - 0.004 + 0.2 * (noise - noise.mean())
    verdict = verdict_of(make_result, before, after, policy, measure="ndcg@10")
    assert verdict.outcome == "inconclusive"
    assert "Inconclusive: a drop of 0.01 is neither shown nor ruled out." in verdict.cells[0].reason
    assert "queries would settle it" in verdict.cells[0].reason


def test_identical_rankings_pass_even_with_few_queries(make_result):
    verdict = verdict_of(make_result, [0.5, 1.0], [0.5, 1.0], lists={"recall@10": "same"})
    assert (verdict.outcome, verdict.exit_code) == ("pass", 0)
    assert verdict.cells[0].test == "identical"
    assert "identical down to the cutoff" in verdict.cells[0].reason


@settings(max_examples=40)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_run_against_itself_passes(make_result, values):
    assert verdict_of(make_result, values, values, lists={"recall@10": "same"}).outcome == "pass"


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_under_five_queries_is_always_inconclusive(make_result, n):
    for before, after in ((np.ones(n), np.zeros(n)), (np.zeros(n), np.ones(n)), (np.ones(n), np.ones(n))):
        verdict = verdict_of(make_result, before, after)
        assert verdict.outcome == "inconclusive"
        assert f"{n} {'query is' if n == 1 else 'queries are'} too few" in verdict.cells[0].reason


def test_reason_is_one_plain_sentence_with_the_numbers(make_result):
    cell = verdict_of(make_result, *cells_of(20, 2, 200)).cells[0]
    assert cell.reason.startswith("recall@10 on shop: 0.990 → 0.900, −0.090 [−0.")
    assert "p < 0.001, one-sided, after Holm" in cell.reason
    assert cell.reason.endswith("and the observed drop is at least 0.01: a regression.")


def test_inconclusive_blocks_where_the_policy_says_so(make_result):
    policy = Policy(HELD_OUT.rules, on_inconclusive="block")
    verdict = verdict_of(make_result, *cells_of(3, 2, 50), policy)
    assert (verdict.outcome, verdict.exit_code) == ("inconclusive", 3)
    assert verdict_of(make_result, *cells_of(1, 1, 1000), policy).exit_code == 0
    assert verdict_of(make_result, *cells_of(20, 2, 200), policy).exit_code == 1


def test_exit_codes_are_the_contracts():
    assert EXIT_CODES == {"pass": 0, "improved": 0, "fail": 1, "inconclusive": 0}


# --- Holm over all gated cells ---


def sets(make_result, splits, system):
    side = 0 if system == "old" else 1
    return [
        make_result({"recall@10": cells_of(*split)[side]}, system=system, query_set=f"set{i}")
        for i, split in enumerate(splits)
    ]


def test_p_is_adjusted_over_all_gated_cells(make_result):
    # 8 lost and 2 gained of 200: mid-p .033 alone fails; as one of four cells it does not.
    alone = [(8, 2, 200)]
    verdict = judge(sets(make_result, alone, "old"), sets(make_result, alone, "new"), HELD_OUT)
    (cell,) = verdict.cells
    assert cell.p == cell.p_adjusted < 0.05
    assert verdict.outcome == "fail"
    four = [*alone, (0, 0, 400), (0, 0, 400), (0, 0, 400)]
    verdict = judge(sets(make_result, four, "old"), sets(make_result, four, "new"), HELD_OUT)
    assert verdict.cells[0].p == cell.p
    assert verdict.cells[0].p_adjusted == pytest.approx(4 * cell.p)
    assert [c.outcome for c in verdict.cells] == ["inconclusive", "pass", "pass", "pass"]
    assert verdict.outcome == "inconclusive"


def test_one_failing_cell_fails_the_whole(make_result):
    splits = [(0, 12, 200), (40, 0, 200), (3, 2, 50)]
    verdict = judge(sets(make_result, splits, "old"), sets(make_result, splits, "new"), HELD_OUT)
    assert [c.outcome for c in verdict.cells] == ["improved", "fail", "inconclusive"]
    assert (verdict.outcome, verdict.exit_code) == ("fail", 1)


def test_whole_is_improved_only_if_every_held_out_set_is(make_result):
    splits = [(0, 12, 200), (1, 1, 1000)]
    verdict = judge(sets(make_result, splits, "old"), sets(make_result, splits, "new"), HELD_OUT)
    assert verdict.outcome == "pass"


def test_improved_on_the_first_measure_is_what_counts(make_result):
    policy = Policy((Rule("held-out", ("recall@10", "ndcg@10"), 0.02),))
    before, after = cells_of(0, 12, 200)
    protocol = EvalProtocol(("recall@10", "ndcg@10"))

    def outcome(first, second):
        old = make_result({"recall@10": first[0], "ndcg@10": second[0]}, system="old", protocol=protocol)
        new = make_result({"recall@10": first[1], "ndcg@10": second[1]}, system="new", protocol=protocol)
        return judge([old], [new], policy).outcome

    still = cells_of(0, 0, 200)
    assert outcome((before, after), still) == "improved"
    assert outcome(still, (before, after)) == "pass"


# --- rules ---


def test_margin_is_that_of_the_sets_role(make_result):
    # 8 of 600 lost, 4 gained: between the two margins.
    policy = Policy((Rule("held-out", ("recall@10",), 0.005), Rule("out-of-distribution", ("recall@10",), 0.05)))
    before, after = cells_of(8, 4, 600)
    assert verdict_of(make_result, before, after, policy).outcome != "pass"
    assert verdict_of(make_result, before, after, policy, role="out-of-distribution").outcome == "pass"


def test_rule_that_names_a_set_outranks_the_rule_of_its_role(make_result):
    for rules in (
        (Rule("held-out", ("recall@10",), 0.02), Rule("held-out", ("recall@10",), 0.3, "shop")),
        (Rule("held-out", ("recall@10",), 0.3, "shop"), Rule("held-out", ("recall@10",), 0.02)),
    ):
        (cell,) = verdict_of(make_result, *cells_of(20, 2, 200), Policy(rules)).cells
        assert cell.margin == 0.3
        assert cell.outcome == "pass"


def test_stricter_of_two_equal_rules_holds(make_result):
    rules = (Rule("held-out", ("recall@10",), 0.01), Rule("held-out", ("recall@10",), 0.5))
    (cell,) = verdict_of(make_result, *cells_of(), Policy(rules)).cells
    assert cell.margin == 0.01


def test_rule_for_an_unknown_set_is_refused_with_the_nearest(make_result):
    policy = Policy((Rule("held-out", ("recall@10",), 0.02, "shp"),))
    with pytest.raises(ConfigError, match=r'names query set "shp", which was not evaluated .*Did you mean "shop"\?'):
        verdict_of(make_result, *cells_of(), policy)


def test_rule_that_names_a_set_of_another_role_is_refused(make_result):
    # Else it would silently gate nothing.
    policy = Policy((*HELD_OUT.rules, Rule("out-of-distribution", ("recall@10",), 0.001, "shop")))
    with pytest.raises(ConfigError, match="shop"):
        verdict_of(make_result, *cells_of(), policy)


def test_policy_whose_rules_apply_to_nothing_is_refused(make_result):
    with pytest.raises(
        ConfigError, match=r"No gate rule applies: rules are for held-out, evaluated sets are out-of-dis"
    ):
        verdict_of(make_result, *cells_of(), role="out-of-distribution")
    with pytest.raises(ConfigError, match="rules are for nothing"):
        verdict_of(make_result, *cells_of(), Policy(()))


def test_rule_for_a_measure_that_was_not_measured_is_refused(make_result):
    with pytest.raises(NotComparable, match="has no map"):
        verdict_of(make_result, *cells_of(), Policy((Rule("held-out", ("map",), 0.02),)))


# --- pinned queries ---


def test_one_pinned_loss_fails_whatever_the_statistics_say(make_result):
    before, after = cells_of(1, 12, 1000)
    assert verdict_of(make_result, before, after).outcome == "improved"
    verdict = verdict_of(make_result, before, after, pinned=[0, 500])
    assert (verdict.outcome, verdict.exit_code) == ("fail", 1)
    assert [(name, change.query_id) for name, change in verdict.pinned_lost] == [("shop", "q000")]
    (finding,) = [f for f in verdict.findings if f.code == "pinned-lost"]
    assert finding.message == "1 of 2 pinned queries lost relevant documents: q000. Any such loss fails."


def test_query_that_is_lost_at_two_sizes_counts_once(make_result):
    before, after = cells_of(1, 0, 40)
    pairs = [
        [replace(make_result({"recall@10": v}, system=s, pinned=[0, 30]), variant=size) for size in ("", "@64")]
        for s, v in (("old", before), ("new", after))
    ]
    (finding,) = [f for f in judge(*pairs, HELD_OUT).findings if f.code == "pinned-lost"]
    assert finding.message.startswith("1 of 2 pinned queries lost relevant documents: q000.")


def test_kept_pinned_queries_are_said_to_be_kept(make_result):
    verdict = verdict_of(make_result, *cells_of(1, 1, 1000), pinned=[5])
    assert verdict.outcome == "pass"
    assert "No relevant document of 1 pinned query was lost." in [f.message for f in verdict.findings]


# --- holes in the judgements ---


def hole(make_result, before, after, *, share=0.5, judged=(0.9, 0.8), condensed=None, policy=HELD_OUT):
    more = {"judged_negative_share": share}
    condensed = before if condensed is None else condensed
    return verdict_of(
        make_result, before, after, policy,
        old={"judged": judged[0], "condensed": {"recall@10": before}, **more},
        new={"judged": judged[1], "condensed": {"recall@10": condensed}, **more},
    )  # fmt: skip


@pytest.mark.parametrize("split", [(0, 12, 200), (1, 1, 1000)])
def test_fall_of_judged_turns_a_pass_into_inconclusive(make_result, split):
    verdict = hole(make_result, *cells_of(*split))
    assert (verdict.outcome, verdict.exit_code) == ("inconclusive", 0)
    assert "judged@10 fell by 0.100" in verdict.cells[0].reason
    assert not verdict.cells[0].softened


def test_fail_that_holes_may_explain_is_inconclusive_with_exit_code_3_whatever_the_policy(make_result):
    verdict = hole(make_result, *cells_of(20, 2, 200))
    assert (verdict.outcome, verdict.exit_code) == ("inconclusive", 3)
    assert verdict.cells[0].softened
    assert "On judged documents alone the difference is 0.000." in verdict.cells[0].reason


def test_fail_that_stands_on_judged_documents_alone_stays_a_fail(make_result):
    before, after = cells_of(20, 2, 200)
    verdict = hole(make_result, before, after, condensed=after)
    assert (verdict.outcome, verdict.exit_code) == ("fail", 1)


def test_hole_rule_needs_judged_negatives_in_half_of_the_queries(make_result):
    # With positives alone judged@k is precision@k, and every real regression lowers it.
    verdict = hole(make_result, *cells_of(20, 2, 200), share=0.49)
    assert (verdict.outcome, verdict.exit_code) == ("fail", 1)
    assert hole(make_result, *cells_of(1, 1, 1000), share=0.49).outcome == "pass"


def test_hole_rule_needs_a_fall_of_more_than_five_points(make_result):
    assert hole(make_result, *cells_of(1, 1, 1000), judged=(0.75, 0.70)).outcome == "pass"
    assert hole(make_result, *cells_of(1, 1, 1000), judged=(0.75, 0.69)).outcome == "inconclusive"
    assert hole(make_result, *cells_of(1, 1, 1000), judged=(0.5, 0.9)).outcome == "pass"


def test_another_cells_fail_outranks_a_softened_one(make_result):
    before, after = cells_of(20, 2, 200)
    old, new = [], []
    for name, share in (("holes", 1.0), ("plain", 0.0)):
        more = {"query_set": name, "judged_negative_share": share, "condensed": {"recall@10": before}}
        old.append(make_result({"recall@10": before}, system="old", judged=0.9, **more))
        new.append(make_result({"recall@10": after}, system="new", judged=0.5, **more))
    verdict = judge(old, new, HELD_OUT)
    assert [c.outcome for c in verdict.cells] == ["inconclusive", "fail"]
    assert (verdict.outcome, verdict.exit_code) == ("fail", 1)


# --- what cannot be judged ---


def test_query_set_missing_on_one_side_is_refused(make_result):
    one, two = (make_result({"recall@10": [1.0] * 6}, query_set=name) for name in ("shop", "phone"))
    with pytest.raises(NotComparable, match='The baseline holds query set "phone" and the candidate does not'):
        judge([one, two], [one], HELD_OUT)
    with pytest.raises(NotComparable, match='The candidate holds query set "phone" and the baseline does not'):
        judge([one], [one, two], HELD_OUT)


def test_two_results_on_one_set_and_no_result_are_refused(make_result):
    one = make_result({"recall@10": [1.0] * 6})
    with pytest.raises(NotComparable, match='The baseline holds two results on query set "shop"'):
        judge([one, one], [one], HELD_OUT)
    with pytest.raises(NotComparable, match="The candidate holds no result"):
        judge([one], [], HELD_OUT)


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        ("corpus_digest", "the corpus differs"),
        ("query_set_digest", "the queries differ"),
        ("labels_digest", "the judgements differ"),
    ],
)
def test_changed_task_is_refused_and_named(make_result, key, sentence):
    with pytest.raises(NotComparable, match=sentence):
        verdict_of(make_result, *cells_of(), new={key: "changed"})


def test_changed_protocol_is_refused_and_named(make_result):
    with pytest.raises(NotComparable, match="depth, relevance level, drop_self or tie rule differ"):
        verdict_of(make_result, *cells_of(), new={"protocol": EvalProtocol(("recall@10",), 10)})


def test_query_missing_from_one_run_is_refused_and_from_both_is_a_finding(make_result):
    with pytest.raises(NotComparable, match=r'the candidate run lacks 1 judged queries .*"q007"'):
        verdict_of(make_result, *cells_of(), new={"missing": ["q007"]})
    verdict = verdict_of(make_result, *cells_of(), missing=["q007"])
    assert "Both runs lack 1 judged query, counted as 0 on both sides." in [f.message for f in verdict.findings]


# --- circumstances ---


def codes(verdict):
    return [finding.code for finding in verdict.findings]


def test_different_environments_are_noted(make_result):
    verdict = verdict_of(
        make_result, *cells_of(), old={"environment": {"python": "3.11", "cores": 2}},
        new={"environment": {"python": "3.12", "cores": 2}},
    )  # fmt: skip
    (finding,) = verdict.findings
    assert finding.code == "environment"
    assert "(python: 3.11 then, 3.12 now)" in finding.message
    assert verdict.outcome == "pass" or verdict.exit_code == 0


def test_equal_environments_are_not_noted(make_result):
    assert codes(verdict_of(make_result, *cells_of(), environment={"python": "3.11"})) == []


def test_ties_that_move_a_measure_are_noted(make_result):
    noted = verdict_of(make_result, *cells_of(), new={"tie_spread": {"recall@10": 0.006}})
    assert codes(noted) == ["ties"]
    sentence = "recall@10 on shop changes by 0.006 if equal scores are ordered otherwise."
    assert noted.findings[0].message == sentence
    assert codes(verdict_of(make_result, *cells_of(), new={"tie_spread": {"recall@10": 0.005}})) == []


def test_few_clusters_and_left_out_queries_are_noted(make_result):
    before, after = cells_of(20, 2, 200)
    few = [f"c{i % 10}" for i in range(200)]
    assert "few-clusters" in codes(verdict_of(make_result, before, after, clusters=few))
    enough = [f"c{i % 100}" for i in range(200)]
    assert codes(verdict_of(make_result, before, after, clusters=enough, left_out=3)) == ["left-out"]


def test_findings_that_are_known_already_come_first(make_result):
    known = Finding("warning", "baseline-changed", "baseline.json", "The head changes the baseline.")
    one = make_result({"recall@10": [1.0] * 6}, left_out=1)
    assert [f.code for f in judge([one], [one], HELD_OUT, findings=[known]).findings] == [
        "baseline-changed",
        "left-out",
    ]


def test_verdict_is_json_without_nan(make_result):
    for before, after in (cells_of(20, 2, 200), ([1.0], [0.0]), ([1.0] * 6, [0.5] * 6)):
        document = verdict_of(make_result, before, after, pinned=[0]).to_json()
        text = json.loads(json.dumps(document, allow_nan=False))
        assert text["format"] == 1
        assert text["exit_code"] == 1 or text["outcome"] != "fail"
        assert text["policy"]["digest"] == HELD_OUT.digest


def test_judging_leaves_the_results_alone(make_result):
    one = make_result({"recall@10": [1.0] * 6})
    before = json.dumps(one.to_json())
    judge([one], [one], HELD_OUT)
    assert json.dumps(one.to_json()) == before


# --- baselines ---


def accepted(make_result, tmp_path):
    results = [make_result({"recall@10": [1.0, 0.5, 0.25]}, query_set=name) for name in ("shop", "phone")]
    document = baseline_document(results, reason=" first ", when="2026-11-20", commit=None, version="0.1.0")
    return write_baseline(tmp_path / "baseline.json", document), results


def test_baseline_comes_back_whole(make_result, tmp_path):
    path, results = accepted(make_result, tmp_path)
    header, back = read_baseline(path)
    assert header["reason"] == "first"
    assert header["accepted"] == "2026-11-20"
    assert [r.to_json() for r in back] == [r.to_json() for r in results]
    assert path.read_text().startswith('{\n "format": 1,')


@pytest.mark.parametrize("reason", ["", "  \n"])
def test_baseline_changes_only_with_a_reason(make_result, reason):
    with pytest.raises(BaselineError, match="changes only with a reason: bench baseline accept --reason"):
        baseline_document([make_result({"recall@10": [1.0]})], reason=reason, when="", commit=None, version="")


def test_absent_baseline_says_how_to_accept_one(tmp_path):
    with pytest.raises(BaselineError, match=r"No baseline at .*then bench baseline accept --system NAME --reason"):
        read_baseline(tmp_path / "baseline.json")


@pytest.mark.parametrize("keep", [0, 1, 20, 0.5, -3])
def test_truncated_baseline_is_refused(make_result, tmp_path, keep):
    path, _ = accepted(make_result, tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep) if isinstance(keep, float) else keep])
    with pytest.raises(BaselineError, match=r"may be cut off.*Restore it from version control"):
        read_baseline(path)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"format": 2}, r"has format 2; this version reads format 1\. .* accept a new baseline"),
        ({"format": None}, "has format None"),
        ({"results": []}, "holds no result"),
        ({"results": {}}, "holds no result"),
        ({"results": [{}]}, r"results\[0\] is not a result"),
        ({"results": [{"format": 2}]}, r"results\[0\] has format 2"),
        ({"results": [{"format": 1}]}, r"results\[0\] is not a whole result"),
        ({"baseline": None}, "is not a baseline"),
    ],
)
def test_baseline_that_cannot_be_read_says_why(make_result, tmp_path, change, sentence):
    path, _ = accepted(make_result, tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(BaselineError, match=sentence):
        read_baseline(path)


@pytest.mark.parametrize("content", ["[]", "3", '"x"', "null"])
def test_file_that_is_no_baseline_is_refused(tmp_path, content):
    path = tmp_path / "baseline.json"
    path.write_text(content)
    with pytest.raises(BaselineError, match='is not a baseline: expected a JSON object with "baseline" and "results"'):
        read_baseline(path)


def test_folder_in_the_place_of_a_baseline_is_refused(tmp_path):
    with pytest.raises(BaselineError, match="cannot be read"):
        read_baseline(tmp_path)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[" * 100_000])
def test_damaged_baseline_is_refused(tmp_path, content):
    path = tmp_path / "baseline.json"
    path.write_bytes(content)
    with pytest.raises(BaselineError):
        read_baseline(path)
