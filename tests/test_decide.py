"""Claims about bench.decide: a planted case for every branch of the choice, worked out on paper."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from bench.base.errors import ConfigError, NotComparable, UsageError
from bench.config import DecideConfig, DecideOption, PriceConfig, PricesConfig, ThresholdConfig
from bench.decide.case import Case
from bench.decide.choose import decide
from bench.decide.costs import Quantities
from bench.decide.options import KINDS, Facts, effort_of, kind_of, kinds_of, label_of, rivals
from bench.decide.rules import THRESHOLDS
from bench.records import EvalProtocol
from bench.report import Material
from bench.report.sections import decision as section
from bench.retrieval.systems.rerank import Config as Rerank
from bench.stats import RatioInterval

N = 400
"""Held-out queries. One more hit is .0025; 8 hits are the .02 that counts; 12 wins without a loss have p = .0002."""

FACTS = {
    facts.system: facts
    for facts in (
        Facts("minilm", DecideOption("embedding"), dim=384, precision="float32", weights="base"),
        Facts("minilm@128", DecideOption("embedding"), dim=128, precision="float32", weights="base"),
        Facts("minilm/int8", DecideOption("embedding"), dim=384, precision="int8", weights="base"),
        Facts("bm25", DecideOption("bm25", stores="term index")),
        Facts("hybrid", DecideOption("hybrid"), parts=("bm25", "minilm")),
        Facts("tuned", DecideOption("embedding"), dim=384, precision="float32", weights="new", trained=("r",)),
        Facts("tuned@128", DecideOption("embedding"), dim=128, precision="float32", weights="new", trained=("r",)),
        Facts("tuned-hybrid", DecideOption("hybrid"), parts=("bm25", "tuned")),
        Facts("reranked", Rerank.option, parts=("minilm",), reorders=50),
        Facts("tuned-reranked", Rerank.option, parts=("tuned",), reorders=50),
    )
}


def hits(n_hits, n=N):
    """The first n_hits of n queries are answered: of two systems, one never loses what the other finds."""
    return [1.0] * n_hits + [0.0] * (n - n_hits)


@pytest.fixture
def a_case(make_result):
    """a_case(minilm=200, hybrid=240, …) → a Case; a number is hits of N, a pair (hits at home, hits of 400 abroad)."""

    def build(*, current="minilm", n=N, n_abroad=400, config=None, facts=None, abroad=False, **systems):
        results = {}
        for name, found in systems.items():
            system = name.replace("__", "/").replace("_at_", "@").replace("_", "-")
            home, away = found if isinstance(found, tuple) else (found, None)
            sets = {}
            if home is not None:
                values = home if isinstance(home, list) else hits(home, n)
                sets["home"] = make_result({"recall@10": values}, system=system, query_set="home")
            if away is not None:
                values = away if isinstance(away, list) else hits(away, n_abroad)
                sets["away"] = make_result(
                    {"recall@10": values}, system=system, query_set="away", role="out-of-distribution"
                )
            results[system] = sets
        held = {name: FACTS[name] for name in FACTS if name in results} if facts is None else facts
        for one in list(held.values()):
            held |= {part: FACTS[part] for part in one.parts if part in FACTS and part not in held}
        return Case("planted", current, "said", results, held, config or DecideConfig(), Quantities(documents=1000))

    return build


def chosen(case):
    found = decide(case)
    return found.choice, found.system, found.outcome


def option(found, system):
    return next(one for one in found.options if one.system == system)


# --- nothing helps ---


def test_without_a_gain_nothing_is_shown_to_help(a_case):
    found = decide(a_case(minilm=200, bm25=150, hybrid=201))
    assert (found.choice, found.system, found.outcome) == ("stay", "minilm", "not shown to help")
    assert found.sentences[0].startswith("Leave minilm as it is: none of the 2 measured options is shown to help.")
    assert "hybrid" in found.sentences[0]


def test_nothing_measured_is_told_apart_from_nothing_helps(a_case):
    found = decide(a_case(minilm=200))
    assert found.outcome == "not shown to help"
    assert "no other option has been measured" in found.sentences[0]


def test_gain_that_is_shown_but_small_is_not_chosen(a_case):
    # 20 wins of 2,000 without a loss: .01, p < .001, and half of what counts.
    found = decide(a_case(n=2000, minilm=1000, hybrid=1020, bm25=900))
    assert found.outcome == "not shown to help"
    assert option(found, "hybrid").failed.rule == "gain-is-enough"
    assert "smaller than the 0.02 that counts" in found.sentences[0]


def test_gain_that_is_large_but_not_shown_says_how_many_queries_would_settle_it(a_case):
    # 3 wins, 1 loss of 50: +.04, mid-p far above .05.
    values = hits(25, 50)
    values[25:28], values[0] = [1.0] * 3, 0.0
    found = decide(a_case(n=50, minilm=25, bm25=values))
    bm25 = option(found, "bm25")
    assert (found.outcome, bm25.failed.rule) == ("not shown to help", "gain-is-shown")
    # Spread of a difference: 4 of 50 move, so s² = (.08 − .0016)·50/49 = .0800; two-sided t at .05, power .8:
    # n ≈ (1.96 + .8416)² · .08 / .04² = 392.
    assert "about 39" in bm25.settle
    assert "(there are 50)" in bm25.settle
    assert any(bm25.settle == doubt for doubt in found.doubts)


def test_ruled_out_gain_is_said_to_be_ruled_out(a_case):
    found = decide(a_case(n=2000, minilm=1000, hybrid=1001, bm25=900))
    assert "a gain of 0.02 is ruled out" in option(found, "hybrid").settle


def test_system_that_hurts_is_told_so(a_case):
    found = decide(a_case(minilm=200, bm25=100))
    assert option(found, "bm25").gain.shown == "worse"
    assert found.outcome == "not shown to help"


def test_little_room_is_said_where_the_base_is_good(a_case):
    case = replace(a_case(minilm=390, hybrid=391), recalls={"minilm": {10: 0.975, 100: 0.98}})
    found = decide(case)
    assert any("little room" in sentence and "0.975" in sentence for sentence in found.sentences)


# --- each option can win ---


def test_bm25_alone_wins_where_the_fusion_adds_nothing(a_case):
    found = decide(a_case(minilm=200, bm25=260, hybrid=261))
    assert (found.choice, found.system) == ("bm25", "bm25")
    assert option(found, "hybrid").failed.rule == "beats-its-parts"


def test_hybrid_wins_where_it_beats_both_parts(a_case):
    assert chosen(a_case(minilm=200, bm25=190, hybrid=240)) == ("hybrid", "hybrid", "recommended")


def test_fusion_that_cannot_lead_its_part_says_so_and_one_that_may_says_what_would_show_it(a_case):
    # One win more than BM25 of 2,000: a lead of .02 is ruled out.
    found = decide(a_case(n=2000, minilm=1000, bm25=1300, hybrid=1301))
    assert "not shown to beat its parts" in option(found, "hybrid").settle
    assert option(found, "hybrid").failed.queries_needed is None
    # Five wins, three losses of 100: a lead is open, and queries would show it.
    hybrid = hits(65, 100)
    hybrid[65:70], hybrid[:3] = [1.0] * 5, [0.0] * 3
    found = decide(a_case(n=100, minilm=40, bm25=65, hybrid=hybrid))
    # s² = (.08 − .0004) · 100/99 = .0804; (1.96 + .8416)² · .0804 / .02² = 1,578.
    assert option(found, "hybrid").failed.queries_needed == pytest.approx(1578, abs=5)
    assert "held-out queries would show whether it is better (so far over bm25 [−" in option(found, "hybrid").settle


def test_hybrid_without_its_part_measured_is_not_chosen(a_case):
    found = decide(a_case(minilm=200, hybrid=240))
    reason = option(found, "hybrid").failed
    assert (found.outcome, reason.rule, reason.holds) == ("not shown to help", "beats-its-parts", None)
    assert "bm25" in reason.note


def test_reranker_wins_where_it_beats_its_first_stage(a_case):
    assert chosen(a_case(minilm=200, reranked=240)) == ("rerank", "reranked", "recommended")


def test_reranker_that_owes_its_gain_to_the_first_stage_is_not_chosen(a_case):
    found = decide(a_case(minilm=200, tuned=(240, None), tuned_reranked=(238, None)))
    assert option(found, "tuned-reranked").failed.rule == "beats-what-it-reorders"
    assert found.system == "tuned"


def test_fine_tuning_wins_where_it_beats_the_best_without_training(a_case):
    found = decide(a_case(minilm=200, bm25=190, hybrid=201, tuned=260))
    assert (found.choice, found.outcome) == ("fine-tune", "recommended")
    assert any("one training run" in doubt for doubt in found.doubts)


def test_fine_tuning_loses_against_a_hybrid_that_gains_as_much(a_case):
    found = decide(a_case(minilm=200, bm25=190, hybrid=258, tuned=260))
    assert (found.choice, found.system) == ("hybrid", "hybrid")
    assert option(found, "tuned").failed.rule == "beats-the-best-untrained"
    assert any(sentence.startswith("Fine-tuning is not shown to be worth it") for sentence in found.sentences)


def test_hybrid_that_loses_elsewhere_need_not_be_beaten(a_case):
    # The hybrid is as good at home and loses 100 of 400 abroad: it is no alternative to training.
    found = decide(a_case(minilm=(200, 300), bm25=(190, 200), hybrid=(258, 200), tuned=(260, 300)))
    assert found.system == "tuned"
    assert option(found, "tuned").conditions[-1].note.startswith("over minilm")


def test_fine_tuning_and_hybrid_wins_where_only_both_together_help(a_case):
    found = decide(a_case(minilm=200, bm25=190, tuned=203, tuned_hybrid=260))
    assert (found.choice, found.system) == ("fine-tune+hybrid", "tuned-hybrid")


def test_fine_tuned_hybrid_must_beat_the_untrained_hybrid(a_case):
    found = decide(a_case(minilm=200, bm25=190, hybrid=250, tuned=203, tuned_hybrid=252))
    assert found.system == "hybrid"
    assert option(found, "tuned-hybrid").failed.rule == "beats-the-best-untrained"


# --- out of distribution ---


def test_option_that_is_shown_to_lose_elsewhere_is_not_chosen(a_case):
    found = decide(a_case(minilm=(200, 300), bm25=(260, 200)))
    bm25 = option(found, "bm25")
    assert (found.outcome, bm25.failed.rule) == ("not shown to help", "loss-is-bounded")
    assert bm25.losses[0].lost
    assert "more queries would not change that" in bm25.settle
    assert "a drop on out-of-distribution queries is shown (−0.250 on away)" in found.sentences[0]


def test_loss_that_too_few_queries_leave_open_is_not_bounded(a_case):
    # No query of ten moves: z²/(n + z²) = 2.7055/12.7055 = .213, far beyond .03.
    found = decide(a_case(n_abroad=10, minilm=(200, 5), bm25=(260, 5)))
    bm25 = option(found, "bm25")
    assert found.outcome == "not shown to help"
    assert bm25.losses[0].lower == pytest.approx(-0.21294, abs=1e-4)
    # 2.7055 · (1/.03 − 1) = 87.5: 88 queries of which none moves rule out a loss of .03.
    assert "about 88 queries would show whether it drops by 0.03 on away (there are 10)" in bm25.settle


def test_shown_drop_within_the_margin_is_not_what_leaves_an_option_open(a_case):
    # 6 losses of 4,000 without a win: −.0015, shown (p = 2⁻⁷), and far above −.03. At home 3 wins and 1 loss of 50.
    values = hits(25, 50)
    values[25:28], values[0] = [1.0] * 3, 0.0
    bm25 = option(decide(a_case(n=50, n_abroad=4000, minilm=(25, 2000), bm25=(values, 1994))), "bm25")
    assert [(bound.lost, bound.holds) for bound in bm25.losses] == [(True, True)]
    assert bm25.failed.rule == "gain-is-shown"
    assert "held-out queries would show a gain of 0.040 (there are 50)" in bm25.settle


def test_option_without_an_out_of_distribution_result_says_so(a_case):
    bm25 = option(decide(a_case(minilm=(200, 300), bm25=(260, None))), "bm25")
    assert bm25.settle == "bm25: it was not measured on every out-of-distribution query set."


def test_gain_at_home_is_told_beside_a_larger_one_that_is_not_shown(a_case):
    noisy = [0.0] * 100 + [1.0] * 220 + [0.0] * 80  # 120 wins and 100 losses against the first 200: +.05, not shown
    found = decide(a_case(minilm=(200, 300), bm25=(215, 200), hybrid=(noisy, 300)))
    assert option(found, "hybrid").gain.delta > option(found, "bm25").gain.delta
    assert option(found, "hybrid").gain.shown != "better"
    assert "1 of 2 measured options is shown to help, but a drop on out-of-distribution" in found.sentences[0]
    assert "The strongest option is BM25 alone (bm25)" in found.sentences[0]
    banner = section.build(Material("x", (), "", recommendation=found))[0]
    assert banner.label == "Gain shown, but a drop is not ruled out"


def test_option_that_was_not_measured_elsewhere_is_not_chosen(a_case):
    found = decide(a_case(minilm=(200, 300), bm25=(260, None)))
    assert (found.outcome, option(found, "bm25").failed.holds) == ("not shown to help", None)


def test_without_any_set_elsewhere_the_choice_says_that_it_was_not_asked(a_case):
    found = decide(a_case(minilm=200, bm25=260))
    reason = next(r for r in option(found, "bm25").conditions if r.rule == "loss-is-bounded")
    assert (found.outcome, reason.holds, reason.asked) == ("recommended", None, False)
    assert "its effect on out-of-distribution queries was not measured" in found.sentences[1]
    assert any("no out-of-distribution query set" in doubt for doubt in found.doubts)


def test_small_loss_elsewhere_is_bounded(a_case):
    # One of 1,000 lost: the bound is far above −.03.
    found = decide(a_case(n_abroad=1000, minilm=(200, 500), bm25=(260, 499)))
    assert (found.system, found.chosen.losses[0].holds) == ("bm25", True)


# --- families ---


def test_gain_that_one_comparison_would_show_is_not_shown_as_one_of_many(a_case):
    # Six wins without a loss: mid-p two-sided 2 · ½ · 2⁻⁶ = .0156; over four options .0625.
    alone = decide(a_case(n=100, minilm=50, bm25=56))
    assert (alone.system, alone.chosen.gain.p_adjusted) == ("bm25", pytest.approx(1 / 64))
    # As the smallest of four it is multiplied by four; the others do not move.
    among = decide(a_case(n=100, minilm=50, bm25=56, hybrid=50, tuned=50, reranked=50))
    assert among.outcome == "not shown to help"
    assert option(among, "bm25").gain.p_adjusted == pytest.approx(4 / 64)
    assert option(among, "bm25").gain.family == 4
    assert "with 4 options tested the gain may be chance (p = 0.062 after Holm)" in among.sentences[0]


def test_sizes_of_the_current_table_do_not_take_part_in_the_family(a_case):
    found = decide(a_case(minilm=200, minilm_at_128=199, minilm__int8=200, bm25=260))
    assert found.chosen.gain.family == 1


def test_without_any_true_gain_something_is_recommended_at_most_at_alpha(make_result):
    # 400 draws of five options that swap hits at random. A false choice needs a gain and p < .05 over the family:
    # at most 2.5 %, ten of 400; more than 20 would happen once in 700 such tests.
    rng = np.random.default_rng(5)
    names = ["minilm", "bm25", "reranked", "a", "b", "c"]
    facts = {
        name: FACTS.get(name, Facts(name, DecideOption("embedding"), dim=384, precision="float32", weights=name))
        for name in names
    }
    wrong = 0
    for _ in range(400):
        base = (rng.random(80) < 0.5).astype(float)
        results = {}
        for name in names:
            moved = rng.random(80) < 0.3
            values = np.where(moved & (name != "minilm"), rng.random(80) < 0.5, base).astype(float)
            results[name] = {"home": make_result({"recall@10": values}, system=name, query_set="home")}
        wrong += decide(Case("null", "minilm", "said", results, facts)).outcome == "recommended"
    assert wrong <= 20


def test_clusters_widen_the_interval(a_case, make_result):
    case = a_case(minilm=200, bm25=230)
    clusters = [f"c{i // 40}" for i in range(N)]
    case.results["minilm"]["home"] = replace(case.results["minilm"]["home"], clusters=tuple(clusters))
    case.results["bm25"]["home"] = replace(case.results["bm25"]["home"], clusters=tuple(clusters))
    found = decide(case)
    # All 30 wins lie in one cluster of ten: no longer shown.
    assert (option(found, "bm25").gain.test, found.outcome) == ("cluster-robust t", "not shown to help")


def test_several_held_out_sets_are_pooled_each_query_once(make_result):
    results = {
        name: {
            "small": make_result({"recall@10": hits(small, 10)}, system=name, query_set="small"),
            "large": make_result({"recall@10": hits(large, 390)}, system=name, query_set="large"),
        }
        for name, small, large in (("minilm", 5, 195), ("bm25", 5, 255))
    }
    found = decide(Case("two", "minilm", "said", results, {n: FACTS[n] for n in results}))
    assert found.chosen.gain.delta == pytest.approx(60 / 400)
    assert found.chosen.gain.by_set == {"small": 0.0, "large": pytest.approx(60 / 390)}


def test_results_of_different_tasks_are_refused(a_case):
    case = a_case(minilm=200, bm25=260)
    case.results["bm25"]["home"] = replace(case.results["bm25"]["home"], corpus_digest="another")
    with pytest.raises(NotComparable, match="the corpus differs"):
        decide(case)


def test_current_system_without_a_held_out_result_is_refused(a_case):
    with pytest.raises(UsageError, match="bench run --system minilm"):
        decide(a_case(minilm=(None, 300), bm25=260))


# --- cheapest ---


def test_cheapest_goes_by_effort_where_prices_are_missing(a_case):
    found = decide(a_case(minilm=200, bm25=190, hybrid=240, reranked=250))
    assert (found.system, found.cheapest_by) == ("hybrid", "effort")
    assert any("was chosen by effort, not by cost" in doubt for doubt in found.doubts)


def test_dearer_option_that_is_shown_to_add_is_told(a_case):
    found = decide(a_case(minilm=200, bm25=190, hybrid=240, reranked=290))
    assert found.system == "hybrid"
    assert "For more money or effort" in found.upgrade
    assert "+0.125" in found.upgrade


def test_of_two_hybrids_with_equal_effort_the_better_one_is_chosen(a_case):
    facts = {name: FACTS[name] for name in ("minilm", "bm25", "hybrid")}
    facts["other"] = replace(FACTS["hybrid"], system="other")
    assert decide(a_case(facts=facts, minilm=200, bm25=190, hybrid=240, other=250)).system == "other"


def price(usd):
    return PriceConfig(usd=usd, source="a price list", date=date(2026, 1, 1))


def test_cheapest_goes_by_cost_where_all_is_priced(a_case):
    # Reranking costs nothing here and the hybrid's second index a fortune: effort would have chosen the hybrid.
    config = DecideConfig(
        queries_per_month=1000,
        documents=10**9,
        prices=PricesConfig(storage_gib_month=price(100), rerank_thousand_queries=price(0), machine_hour=price(0)),
    )
    measured = Quantities(
        documents=1000, index={"bm25": (10**6, 1000)}, query_rate={"base": 100.0}, encode_rate={"base": 100.0}
    )
    case = a_case(config=config, minilm=200, bm25=190, hybrid=240, reranked=240)
    found = decide(replace(case, measured=measured))
    assert (found.system, found.cheapest_by) == ("reranked", "cost")
    assert option(found, "hybrid").eligible
    # And the sensitivity table knows that nothing changes while storage has a price.
    assert {row.choice for row in found.scenarios} == {"reranked"}
    dearer = decide(
        replace(
            case,
            measured=measured,
            config=config.model_copy(
                update={"prices": PricesConfig(storage_gib_month=price(0.0001), rerank_thousand_queries=price(50),
                                               machine_hour=price(0))}
            ),
        )
    )  # fmt: skip
    assert dearer.system == "hybrid"


# --- smaller ---


def test_smaller_vectors_are_advised_where_a_loss_is_ruled_out(a_case):
    found = decide(a_case(n=2000, minilm=1000, minilm_at_128=999, minilm__int8=1000))
    # 128 dimensions in float32 are 512 bytes, 384 in int8 are 384: int8 is the smaller one.
    assert (found.smaller.system, found.outcome) == ("minilm/int8", "not shown to help")
    assert found.smaller.index_bytes == 1000 * 384 + 8 * 384
    assert any("4.0 times smaller" in sentence for sentence in found.sentences)


def test_smaller_vectors_are_not_advised_where_a_loss_is_open(a_case):
    # None of 100 moves: the bound at .05/2 is z²/(n + z²) = 3.8415/103.8415 = −.037 < −.02.
    assert decide(a_case(n=100, minilm=50, minilm_at_128=50, minilm__int8=50)).smaller is None


def test_larger_vectors_can_win_and_are_never_called_smaller(a_case):
    found = decide(a_case(current="minilm@128", minilm=260, minilm_at_128=200, minilm__int8=255))
    assert (found.choice, found.system) == ("larger", "minilm")
    # 128 float32 dimensions are 4,096 bits, 384 in int8 only 3,072: that one is smaller, and finds more.
    assert option(found, "minilm/int8").name == "smaller"


def test_smaller_vectors_must_hold_elsewhere_as_well(a_case):
    found = decide(a_case(n=2000, minilm=(1000, 300), minilm_at_128=(1000, 200)))
    assert found.smaller is None


# --- which system is which option ---


def test_options_follow_from_the_config():
    kinds = {name: kind_of(name, FACTS, "minilm", DecideConfig())[0] for name in FACTS}
    assert kinds == {
        "minilm": "stay", "minilm@128": "smaller", "minilm/int8": "smaller", "bm25": "bm25", "hybrid": "hybrid",
        "tuned": "fine-tune", "tuned@128": "fine-tune", "tuned-hybrid": "fine-tune+hybrid", "reranked": "rerank",
        "tuned-reranked": "fine-tune+rerank",
    }  # fmt: skip


def test_rerankers_are_named_after_what_they_reorder():
    facts = FACTS | {
        "x": Facts("x", Rerank.option, parts=("bm25",), reorders=50),
        "y": Facts("y", Rerank.option, parts=("tuned-hybrid",), reorders=50),
        "z": Facts("z", DecideOption("other")),
    }
    config = DecideConfig()
    assert [kind_of(n, facts, "minilm", config)[0] for n in "xyz"] == [
        "bm25+rerank",
        "fine-tune+hybrid+rerank",
        "other",
    ]


def test_kind_may_be_an_option_of_its_own():
    own = DecideOption("cascade", label="Cascade", work="two searches", effort=2.5)
    facts = FACTS | {"x": Facts("x", own, parts=("bm25", "tuned")), "y": Facts("y", Rerank.option, parts=("x",))}
    facts |= {"z": Facts("z", DecideOption("plain"))}
    assert [kind_of(n, facts, "minilm", DecideConfig())[0] for n in "xyz"] == ["cascade", "cascade+rerank", "plain"]
    kinds = kinds_of(facts)
    assert (label_of("cascade+rerank", kinds), effort_of("cascade+rerank", DecideConfig(), kinds)) == (
        "Cascade and reranking",
        7.5,
    )
    assert (label_of("plain", kinds), effort_of("plain", DecideConfig(), kinds)) == ("plain", 7)
    # What ours are called and take is ours to say.
    assert label_of("hybrid", kinds_of({"h": Facts("h", DecideOption("hybrid", label="Mine"))})) == "Hybrid retrieval"
    with pytest.raises(ConfigError, match=r'"cascad"; expected one of .* Did you mean "cascade"'):
        kind_of("bm25", facts, "minilm", DecideConfig(options={"bm25": "cascad"}))


def test_config_may_say_otherwise():
    config = DecideConfig(options={"hybrid": "query-rewriting", "tuned": "contextual-chunks+rerank"})
    assert kind_of("hybrid", FACTS, "minilm", config) == ("query-rewriting", "[decide] options")
    assert kind_of("tuned@128", FACTS, "minilm", config)[0] == "contextual-chunks+rerank"
    with pytest.raises(
        ConfigError, match=r'decide.options.hybrid is "hybird"; expected one of .* Did you mean "hybrid"'
    ):
        kind_of("hybrid", FACTS, "minilm", DecideConfig(options={"hybrid": "hybird"}))
    with pytest.raises(ConfigError, match="collect-labels"):
        kind_of("hybrid", FACTS, "minilm", DecideConfig(options={"hybrid": "collect-labels"}))


def test_like_is_compared_with_like():
    # At 128 dimensions the fine-tuned model competes with its 128 dimensions.
    assert rivals(FACTS, "minilm", DecideConfig()) == [
        "bm25", "hybrid", "tuned", "tuned-hybrid", "reranked", "tuned-reranked",
    ]  # fmt: skip
    assert "tuned@128" in rivals(FACTS, "minilm@128", DecideConfig())
    assert "tuned" not in rivals(FACTS, "minilm@128", DecideConfig())
    # The whole vectors of the system in use compete where it is cut, and nowhere else.
    assert "minilm" in rivals(FACTS, "minilm@128", DecideConfig())
    assert kind_of("minilm", FACTS, "minilm@128", DecideConfig())[0] == "larger"
    assert kind_of("minilm/int8", FACTS, "minilm", DecideConfig())[0] == "smaller"
    assert rivals(FACTS, "minilm", DecideConfig(systems=["tuned@128", "minilm"])) == ["tuned@128"]
    with pytest.raises(ConfigError, match='Did you mean "tuned"'):
        rivals(FACTS, "minilm", DecideConfig(systems=["tunde"]))


def test_effort_is_a_rank_that_the_config_may_change():
    config = DecideConfig(effort={"fine-tune": 1.5})
    assert effort_of("fine-tune+rerank", config) == 6.5
    assert effort_of("bm25", config) < effort_of("hybrid", config) < effort_of("rerank", config)
    with pytest.raises(ConfigError, match='Did you mean "fine-tune"'):
        effort_of("bm25", DecideConfig(effort={"fine-tuen": 1}))


def test_every_option_has_a_row(a_case):
    found = decide(a_case(minilm=200, bm25=190))
    assert {one.name for one in found.options} == set(KINDS) - {"embedding", "other", "larger"}
    assert all(one.todo for one in found.options if not one.system)


def test_configured_system_without_a_result_is_named_with_its_line(a_case):
    case = a_case(minilm=200, bm25=260, facts={n: FACTS[n] for n in ("minilm", "bm25", "tuned")})
    found = decide(replace(case, missing={"tuned": "bench finetune r"}))
    assert option(found, "tuned").todo == "bench finetune r"
    assert any("Not measured, so not considered: tuned" in doubt for doubt in found.doubts)
    assert any("bench finetune r" in sentence for sentence in found.sentences)


# --- rules of thumb ---


def rule(found, name):
    return next(reason for reason in found.reasons if reason.rule == name)


@pytest.mark.parametrize(
    ("name", "changes", "holds"),
    [
        ("few-pairs", {"pairs": 999}, True),
        ("few-pairs", {"pairs": 1000}, False),
        ("few-pairs", {"pairs": None}, None),
        ("base-is-good", {"recall": 0.90}, True),
        ("base-is-good", {"recall": 0.899}, False),
        ("room-to-gain", {"recall": 0.699}, True),
        ("room-to-gain", {"recall": 0.70}, False),
        ("room-to-gain", {"recall": None}, None),
        ("little-headroom", {"recall": 0.70, "deep": 0.715}, True),
        ("little-headroom", {"recall": 0.70, "deep": 0.75}, False),
        ("fast-corpus", {"config": {"changed_per_month": 0.05, "retrain_months": 6}}, True),
        ("fast-corpus", {"config": {"changed_per_month": 0.02, "retrain_months": 6}}, False),
        ("fast-corpus", {}, None),
        ("enough-to-forecast", {}, False),
    ],
)
def test_rules_hold_at_their_thresholds(a_case, name, changes, holds):
    case = a_case(minilm=200, bm25=190, config=DecideConfig(**changes.get("config", {})))
    recalls = {10: changes.get("recall", 0.5), 100: changes.get("deep", 0.9)}
    if changes.get("recall", 0.5) is None:
        recalls = {}
    case = replace(case, measured=Quantities(documents=1000, pairs=changes.get("pairs")), recalls={"minilm": recalls})
    found = rule(decide(case), name)
    assert found.holds is holds
    assert found.source
    assert found.threshold == THRESHOLDS[name].value


def test_hybrid_closes_the_gap_where_fine_tuning_adds_little(a_case):
    closed = rule(decide(a_case(minilm=200, bm25=190, hybrid=258, tuned=260)), "hybrid-closes-the-gap")
    assert (closed.holds, closed.value) == (True, pytest.approx(2 / 400))
    open_gap = rule(decide(a_case(minilm=200, bm25=190, hybrid=220, tuned=260)), "hybrid-closes-the-gap")
    assert (open_gap.holds, open_gap.value) == (False, pytest.approx(40 / 400))
    assert rule(decide(a_case(minilm=200, hybrid=220, bm25=190)), "hybrid-closes-the-gap").holds is None


def test_threshold_of_the_config_comes_with_its_source(a_case):
    config = DecideConfig(thresholds={"few-pairs": ThresholdConfig(value=500, source="our own trials")})
    found = rule(decide(replace(a_case(minilm=200, config=config), measured=Quantities(pairs=700))), "few-pairs")
    assert (found.threshold, found.source, found.holds) == (500, "our own trials", False)
    with pytest.raises(ConfigError, match='Did you mean "few-pairs"'):
        decide(a_case(minilm=200, config=DecideConfig(thresholds={"few-pair": ThresholdConfig(value=1, source="x")})))


def test_reranker_ceiling_is_the_recall_of_what_it_is_given(a_case):
    case = replace(a_case(minilm=200, reranked=210), recalls={"minilm": {10: 0.5, 50: 0.515, 100: 0.6}})
    found = rule(decide(case), "reranker-ceiling")
    # .50 + .02 cannot be reached from a list that holds .515.
    assert (found.subject, found.value, found.threshold, found.holds) == ("reranked", 0.515, 0.52, False)


# --- the record ---


def test_document_has_what_the_contract_says(a_case):
    case = replace(
        a_case(minilm=(200, 300), bm25=(260, 300)), latencies={"bm25": RatioInterval(ratio=0.1, low=0.08, high=0.12)}
    )
    document = json.loads(json.dumps(decide(case).to_json(), allow_nan=False))
    assert document["format"] == 1
    assert document["choice"] == "bm25"
    assert all({"rule", "value", "threshold", "source", "holds"} <= set(reason) for reason in document["reasons"])
    bm25 = next(one for one in document["options"] if one["system"] == "bm25")
    assert bm25["gain"]["delta"] == pytest.approx(0.15)
    assert bm25["latency_p95_ratio"]["ratio"] == 0.1
    assert document["correction"] == {"method": "Holm", "family": 1}


def test_other_measures_are_shown_and_decide_nothing(make_result):
    protocol = EvalProtocol(("recall@10", "ndcg@10"))
    results = {
        name: {"home": make_result({"recall@10": hits(200), "ndcg@10": hits(k)}, system=name, query_set="home",
                                   protocol=protocol)}
        for name, k in (("minilm", 200), ("bm25", 300))
    }  # fmt: skip
    found = decide(Case("s", "minilm", "said", results, {n: FACTS[n] for n in results}))
    assert found.outcome == "not shown to help"
    assert [(one.measure, one.delta) for one in option(found, "bm25").others] == [("ndcg@10", pytest.approx(0.25))]
