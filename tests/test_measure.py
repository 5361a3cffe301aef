"""Claims about bench.evaluation.measure: trec_eval's numbers on every query, and what cannot be measured is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.base.errors import MeasureError, RunError
from bench.base.files.judgements import read_qrels
from bench.evaluation.measure import measure, recall_by_depth, result
from bench.evaluation.measures import JudgedRanking, bpref
from bench.records import EvalProtocol, Labels, QuerySet
from bench.records.measures import DEFAULT_MEASURES, parse, parse_list, relevant_queries
from bench.records.run_files import read_run

GOLDEN = json.loads(Path(__file__).with_name("golden").joinpath("measure.json").read_text(encoding="utf-8"))


# --- worked on paper ---


def test_measures_agree_with_paper(known_runs):
    scores = measure(known_runs.run, known_runs.qrels, list(known_runs.answers))
    assert scores.query_ids == ("q1", "q2", "q3")
    for name, answers in known_runs.answers.items():
        assert scores.column(name).tolist() == pytest.approx(list(answers.values())), name


def test_judged_at_ten_is_the_share_of_ranks_that_people_judged(known_runs):
    scores = measure(known_runs.run, known_runs.qrels, ["ndcg@10"])
    assert scores.judged.tolist() == pytest.approx(list(known_runs.judged.values()))


def test_query_without_a_positive_is_left_out_and_counted(known_runs):
    scores = measure(known_runs.run, known_runs.qrels, ["ndcg@10"])
    assert scores.left_out == 1
    assert "q4" not in scores.query_ids


def test_missing_query_counts_zero_and_is_named(known_runs):
    qrels = known_runs.qrels | {"q5": {"a": 1}}
    scores = measure(known_runs.run, qrels, ["ndcg@10", "recall@2"])
    assert scores.missing == ("q5",)
    assert scores.values[scores.query_ids.index("q5")].tolist() == [0, 0]
    full = measure(known_runs.run, known_runs.qrels, ["ndcg@10"]).means()["ndcg@10"]
    assert scores.means()["ndcg@10"] == pytest.approx(full * 3 / 4)


def test_query_that_is_not_judged_is_ignored(known_runs):
    qrels = {"q1": known_runs.qrels["q1"]}
    assert measure(known_runs.run, qrels, ["map"]).query_ids == ("q1",)


def test_query_that_finds_nothing_counts_zero(make_run):
    run = make_run({"q1": [("a", 1.0)], "q2": []})
    scores = measure(run, {"q1": {"a": 1}, "q2": {"a": 1}}, ["recall@10", "mrr@10", "ndcg@10", "map"])
    assert scores.values.tolist() == [[1, 1, 1, 1], [0, 0, 0, 0]]
    assert scores.judged.tolist() == [1, 0]
    assert scores.missing == ()


def test_condensed_measures_rankings_without_unjudged_documents(make_run):
    # u1 and u2 are unjudged; without them a moves from rank 3 to rank 2, behind the judged non-relevant n.
    run = make_run({"q": [("u1", 5.0), ("n", 4.0), ("a", 3.0), ("u2", 2.0), ("b", 1.0)]})
    scores = measure(run, {"q": {"n": 0, "a": 1, "b": 1}}, ["mrr@10", "recall@2", "precision@2"], condensed=True)
    assert scores.values[0].tolist() == pytest.approx([1 / 3, 0, 0])
    assert scores.condensed[0].tolist() == pytest.approx([1 / 2, 1 / 2, 1 / 2])
    assert scores.judged[0] == pytest.approx(3 / 5)


def test_tie_spread_is_best_minus_worst_order_of_tied_documents(make_run):
    run = make_run({"q1": [("a", 1.0), ("b", 1.0)], "q2": [("a", 2.0), ("b", 1.0)]})
    scores = measure(run, {"q1": {"a": 1}, "q2": {"a": 1}}, ["mrr", "recall@1", "recall@2"])
    # q1: best 1, worst 1/2, and hit at rank 1 or not; q2 has no tie. Means over two queries.
    assert scores.tie_spread == pytest.approx({"mrr": 0.25, "recall@1": 0.5, "recall@2": 0.0})
    assert measure(run, {"q2": {"a": 1}}, ["mrr"]).tie_spread == {}


def test_depth_cuts_what_is_measured(known_runs):
    scores = measure(known_runs.run, known_runs.qrels, ["mrr", "recall@10"], depth=2)
    # q1 sees c b, q2 b c, q3 b.
    assert scores.column("mrr").tolist() == pytest.approx([1 / 2, 0, 1])
    assert scores.column("recall@10").tolist() == pytest.approx([1 / 2, 0, 1 / 2])


def test_relevance_level_moves_what_counts_and_not_the_gain_of_ndcg(known_runs):
    scores = measure(known_runs.run, known_runs.qrels, ["recall@2", "ndcg@10", "mrr"], relevance_level=2)
    assert scores.query_ids == ("q1",)
    assert scores.left_out == 3
    # Only a counts for recall and mrr; ndcg keeps b's gain of 1, as trec_eval -l2 does.
    assert scores.values[0].tolist() == pytest.approx([0, known_runs.answers["ndcg@10"]["q1"], 1 / 3])


def test_rows_come_in_the_order_asked_for(known_runs):
    scores = measure(known_runs.run, known_runs.qrels, ["map"], query_ids=["q3", "q4", "q1"])
    assert scores.query_ids == ("q3", "q1")
    assert scores.column("map").tolist() == pytest.approx([0.5, 7 / 12])


# --- trec_eval ---


@pytest.mark.parametrize("name", list(GOLDEN["cases"]))
def test_every_query_agrees_with_trec_eval_on_generated_runs(make_run, name):
    case = GOLDEN["cases"][name]
    run = make_run({q: list(pairs.items()) for q, pairs in case["run"].items()}, depth=1000)
    names = list(next(iter(case["expected"].values())))
    scores = measure(run, case["qrels"], [*names, "mrr@10"], relevance_level=case["relevance_level"])
    assert list(scores.query_ids) == list(case["expected"])
    for query, values in zip(scores.query_ids, scores.values.tolist(), strict=True):
        wanted = case["expected"][query]
        # By definition: what trec_eval finds below rank 10 does not count.
        cut = wanted["mrr"] if wanted["mrr"] > 1 / 10.5 else 0.0
        assert values == pytest.approx([*wanted.values(), cut], abs=GOLDEN["header"]["tolerance"]), query
    assert scores.missing == tuple(q for q in case["expected"] if q not in case["run"])


def test_golden_runs_hold_what_they_are_for():
    for name, case in GOLDEN["cases"].items():
        tied = sum(len(set(pairs.values())) < len(pairs) for pairs in case["run"].values())
        assert tied > len(case["run"]) / 3, name
        assert set(case["expected"]) - set(case["run"]) or len(case["qrels"]) < 4, name


TREC_NAMES = {
    "ndcg@10": "ndcg_cut_10",
    "ndcg@100": "ndcg_cut_100",
    "ndcg": "ndcg",
    "recall@10": "recall_10",
    "recall@100": "recall_100",
    "precision@10": "P_10",
    "hit@10": "success_10",
    "map": "map",
    "mrr": "recip_rank",
    "rprec": "Rprec",
}

TREC_CASES = [
    ("qrels.test", "results.test", "out.test.aq", {}, 3),
    ("qrels.rel_level", "results.test", "out.test.aql", {"relevance_level": 2}, 3),
    ("qrels.test", "results.trunc", "out.test.aqc", {}, 3),
    ("qrels.test", "results.trunc", "out.test.aqcM", {"depth": 100}, 3),
    ("cranfield/qrels.trec", "cranfield/run.bm25.trec", "cranfield/trec_eval.bm25.all.txt", {}, 225),
    ("cranfield/qrels.trec", "cranfield/run.ties.trec", "cranfield/trec_eval.ties.all.txt", {}, 225),
    ("cacm/qrels.trec", "cacm/run.bm25.trec", "cacm/trec_eval.bm25.all.txt", {}, 52),
    ("cacm/qrels.trec", "cacm/run.ties.trec", "cacm/trec_eval.ties.all.txt", {}, 52),
    ("cacm-anserini/qrels.txt", "cacm-anserini/run.txt", "cacm-anserini/trec_eval.txt", {}, 52),
]


def printed(path):
    """trec_eval's lines: query → measure → what it printed."""
    found = {}
    for line in path.read_text().splitlines():
        fields = line.split()
        if len(fields) == 3:
            found.setdefault(fields[1], {})[fields[0]] = fields[2]
    return found


@pytest.mark.parametrize(("qrels", "run", "output", "options", "n_queries"), TREC_CASES, ids=[c[2] for c in TREC_CASES])
def test_every_query_agrees_with_trec_evals_own_output(bench_data, qrels, run, output, options, n_queries):
    folder = bench_data / "trec_eval"
    scores = measure(read_run(folder / run), read_qrels(folder / qrels), list(TREC_NAMES), **options)
    reference = printed(folder / output)
    means = reference.pop("all")
    assert len(reference) == len(scores.query_ids) == n_queries
    for query, values in zip(scores.query_ids, scores.values, strict=True):
        for name, value in zip(TREC_NAMES, values, strict=True):
            text = reference[query][TREC_NAMES[name]]
            # To the last digit that trec_eval printed.
            half = 0.5 * 10 ** -len(text.split(".")[1])
            assert abs(float(text) - value) <= half + 1e-9, (query, name)
    for name, mean in scores.means().items():
        assert float(means[TREC_NAMES[name]]) == pytest.approx(mean, abs=0.5e-4 + 1e-9)


# --- names ---


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("ndgc@10", "ndcg@10"),
        ("recal@10", "recall@10"),
        ("NDCG@10", "ndcg@10"),
        ("mmr@10", "mrr@10"),
        ("ndcg_cut_10", "ndcg@10"),
        ("ndgc@7", "ndcg"),
    ],
)
def test_misspelt_measure_names_the_nearest(name, nearest):
    with pytest.raises(MeasureError, match=f'Unknown measure "{name}"; .*Did you mean "{nearest}'):
        parse(name)


@pytest.mark.parametrize("name", ["", "@10", "ndcg@", "ndcg@0", "ndcg@-1", "ndcg@1.5", "ndcg@010", "ndcg 10", "bleu@4"])
def test_measure_that_is_none_is_refused(name):
    with pytest.raises(MeasureError, match="Unknown measure"):
        parse(name)


def test_measure_without_the_cutoff_it_needs_says_so():
    for name in ("recall", "precision", "hit"):
        with pytest.raises(MeasureError, match=f'"{name}" needs a cutoff, such as "{name}@10"'):
            parse(name)
    with pytest.raises(MeasureError, match='"rprec" takes no cutoff'):
        parse("rprec@10")


def test_lists_of_measures_may_be_repeated_or_comma_separated():
    assert parse_list(["ndcg@10, recall@10", "ndcg@10", "map"]) == ("ndcg@10", "recall@10", "map")
    assert parse_list(None) == parse_list([]) == DEFAULT_MEASURES
    with pytest.raises(MeasureError, match="ndgc@10"):
        parse_list(["recall@10,ndgc@10"])


# --- what cannot be measured ---


def test_run_that_holds_no_judged_query_is_refused(known_runs):
    with pytest.raises(
        RunError, match=r'has none of the 1 judged queries \(first judged: "x", first in the run: "q1"\)'
    ):
        measure(known_runs.run, {"x": {"a": 1}}, ["map"])


def test_run_whose_documents_nobody_judged_is_refused(known_runs):
    with pytest.raises(RunError, match=r'none of its documents is judged \(first: "a"; judged: "A"\)'):
        measure(known_runs.run, {"q1": {"A": 1}}, ["map"])


def test_run_whose_documents_nobody_judged_counts_0_where_both_are_known_to_belong_together(known_runs):
    scores = measure(known_runs.run, {"q1": {"A": 1}}, ["map"], zero_if_unjudged=True)
    assert scores.means() == {"map": 0.0}


def test_judgements_without_a_positive_are_refused(known_runs):
    with pytest.raises(RunError, match="No query of 1 has a document judged 1 or higher"):
        measure(known_runs.run, {"q1": {"a": 0}}, ["map"])
    with pytest.raises(RunError, match="judged 3 or higher"):
        measure(known_runs.run, known_runs.qrels, ["map"], relevance_level=3)


def test_relevant_queries_are_those_at_or_above_the_level(known_runs):
    assert relevant_queries(known_runs.qrels) == ["q1", "q2", "q3"]
    assert relevant_queries(known_runs.qrels, relevance_level=2) == ["q1"]


# --- what a measure can see ---


def lists_of(make_run, pairs, names=("recall@2", "ndcg@2", "mrr")):
    scores = measure(make_run({"q": [(d, 9.0 - i) for i, d in enumerate(pairs)]}), {"q": {"a": 1, "b": 1}}, names)
    return [scores.lists[name] for name in names]


def test_recall_sees_the_set_down_to_its_cutoff_and_ndcg_the_order(make_run):
    plain, swapped, below = (lists_of(make_run, order) for order in ("abcd", "bacd", "abdc"))
    assert [one == other for one, other in zip(plain, swapped, strict=True)] == [True, False, False]
    assert [one == other for one, other in zip(plain, below, strict=True)] == [True, True, False]


def test_what_a_measure_sees_does_not_depend_on_what_lies_below(make_run):
    assert lists_of(make_run, "abxyz")[:2] == lists_of(make_run, "abpq")[:2]


# --- properties ---

_IDS = [f"d{i}" for i in range(8)]
_RUN = st.lists(
    st.dictionaries(st.sampled_from(_IDS), st.integers(0, 3).map(float), min_size=1, max_size=8), min_size=1, max_size=4
)
_QRELS = st.lists(
    st.dictionaries(st.sampled_from(_IDS), st.integers(0, 3), min_size=1, max_size=8), min_size=4, max_size=4
)
_NAMES = ["ndcg@5", "ndcg", "recall@3", "precision@3", "hit@2", "mrr", "map", "rprec"]


def measured(make_run, rankings, qrels, **more):
    try:
        return measure(make_run(rankings), qrels, _NAMES, **more)
    except RunError:
        return None


@settings(max_examples=100, deadline=None)
@given(_RUN, _QRELS, st.randoms(use_true_random=False))
def test_order_of_queries_and_documents_changes_nothing(make_run, rankings, qrels, random):
    rankings = {f"q{i}": list(pairs.items()) for i, pairs in enumerate(rankings)}
    qrels = {f"q{i}": grades for i, grades in enumerate(qrels)}
    plain = measured(make_run, rankings, qrels)
    mixed = {q: random.sample(pairs, len(pairs)) for q, pairs in random.sample(list(rankings.items()), len(rankings))}
    mixed_qrels = {
        q: dict(random.sample(list(grades.items()), len(grades)))
        for q, grades in random.sample(list(qrels.items()), len(qrels))
    }
    found = measured(make_run, mixed, mixed_qrels)
    if plain is None:
        assert found is None
        return
    assert sorted(found.query_ids) == sorted(plain.query_ids)
    rows = [found.query_ids.index(q) for q in plain.query_ids]
    assert np.array_equal(found.values[rows], plain.values)
    assert np.array_equal(found.judged[rows], plain.judged)
    assert found.tie_spread == pytest.approx(plain.tie_spread)


@settings(max_examples=100, deadline=None)
@given(_RUN, _QRELS)
def test_irrelevant_document_at_the_end_never_raises_a_measure(make_run, rankings, qrels):
    rankings = {f"q{i}": list(pairs.items()) for i, pairs in enumerate(rankings)}
    qrels = {f"q{i}": grades for i, grades in enumerate(qrels)}
    plain = measured(make_run, rankings, qrels)
    longer = measured(make_run, {q: [*pairs, ("noise", -1.0)] for q, pairs in rankings.items()}, qrels)
    if plain is None:
        assert longer is None
        return
    assert (longer.values <= plain.values + 1e-12).all()


@settings(max_examples=100, deadline=None)
@given(_RUN, _QRELS)
def test_measures_lie_between_zero_and_one_and_ties_move_them_no_further(make_run, rankings, qrels):
    rankings = {f"q{i}": list(pairs.items()) for i, pairs in enumerate(rankings)}
    scores = measured(make_run, rankings, {f"q{i}": grades for i, grades in enumerate(qrels)}, condensed=True)
    if scores is None:
        return
    assert ((scores.values >= 0) & (scores.values <= 1 + 1e-12)).all()
    assert ((scores.condensed >= 0) & (scores.condensed <= 1 + 1e-12)).all()
    assert all(-1e-12 <= spread <= 1 for spread in scores.tie_spread.values())


# --- results ---


def test_result_holds_the_headers_and_the_first_ten_documents(known_runs):
    labels = Labels(known_runs.qrels, {"q1": "c"}, {"q2": ("s",)}, frozenset(["q3"]))
    queries = QuerySet.build("shop", "held-out", "kb", [(f"q{i}", "") for i in (3, 1, 2, 4)])
    found = result(known_runs.run, labels, protocol=EvalProtocol(("mrr", "map")), query_set=queries)
    assert (found.query_set, found.role, found.system) == ("shop", "held-out", "by hand")
    assert found.scores.query_ids == ("q3", "q1", "q2")
    assert found.top_ids == (("b",), ("c", "b", "a"), ("b", "c", "a"))
    assert found.clusters == (None, "c", None)
    assert found.slices == ((), (), ("s",))
    assert found.pinned == (True, False, False)
    assert found.labels_digest == labels.digest
    assert found.run_digest == known_runs.run.digest
    assert found.scores.left_out == 1


def test_condensed_scores_are_kept_where_half_of_the_queries_have_judged_negatives(known_runs):
    # q1 of three has a judged non-relevant document.
    labels = Labels(known_runs.qrels)
    found = result(known_runs.run, labels, protocol=EvalProtocol(("mrr",)))
    assert found.judged_negative_share == pytest.approx(1 / 3)
    assert found.scores.condensed is None
    more = Labels({**known_runs.qrels, "q2": {"a": 1, "b": 0}})
    found = result(known_runs.run, more, protocol=EvalProtocol(("mrr",)))
    assert found.judged_negative_share == pytest.approx(2 / 3)
    assert found.scores.condensed is not None


def test_measure_alone_gives_what_it_gives_among_others(known_runs):
    together = measure(known_runs.run, known_runs.qrels, list(known_runs.answers))
    for name in known_runs.answers:
        alone = measure(known_runs.run, known_runs.qrels, [name])
        assert alone.column(name).tolist() == together.column(name).tolist()


def test_measuring_keeps_the_number_of_threads(known_runs):
    import numba

    before = numba.get_num_threads()
    measure(known_runs.run, known_runs.qrels, ["ndcg@10"])
    assert numba.get_num_threads() == before


def test_measuring_in_several_threads_does_not_abort_the_process(known_runs):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as pool:
        found = list(
            pool.map(lambda _: measure(known_runs.run, known_runs.qrels, ["ndcg@10", "map"]).means(), range(8))
        )
    assert all(means == found[0] for means in found)


# --- recall at every depth ---


def test_recall_by_depth_is_recall_at_every_cutoff(known_runs):
    curve = recall_by_depth(known_runs.run, known_runs.qrels)
    judged = ["q1", "q2", "q3"]
    for k in (1, 2, 3):
        each = measure(known_runs.run, known_runs.qrels, [f"recall@{k}"], depth=10)
        assert curve[k - 1] == pytest.approx(each.values[:, 0].mean())
        assert set(each.query_ids) == set(judged)
    # q1 finds c, b, a of which b and a are relevant; q2's a comes third; q3 finds one of two.
    assert curve[:3].tolist() == pytest.approx([0.5 / 3, 1 / 3, (1 + 1 + 0.5) / 3])


def test_recall_by_depth_counts_a_missing_query_as_nothing_and_knows_grades(known_runs):
    more = known_runs.qrels | {"q9": {"a": 1}}
    assert recall_by_depth(known_runs.run, more)[2] == pytest.approx((1 + 1 + 0.5) / 4)
    assert recall_by_depth(known_runs.run, known_runs.qrels, relevance_level=2)[:3].tolist() == [0.0, 0.0, 1.0]
    assert recall_by_depth(known_runs.run, {"q4": {"a": 0}}).size == 0


# ---- bpref, which ranx lacks -----------------------------------------------------------------------


def trec_eval_runs():
    for collection in ("cranfield", "cacm"):
        for run in ("bm25", "ties"):
            files = (
                f"{collection}/qrels.trec",
                f"{collection}/run.{run}.trec",
                f"{collection}/trec_eval.{run}.all.txt",
            )
            yield pytest.param(*files, id=f"{collection} {run}")
    yield pytest.param("qrels.test", "results.test", "out.test.aq", id="trec_eval's own test")  # mostly non-relevant


@pytest.mark.parametrize(("qrels", "run", "output"), list(trec_eval_runs()))
def test_bpref_agrees_with_trec_eval_on_every_query(bench_data, qrels, run, output):
    folder = bench_data / "trec_eval"
    lines = (line.split() for line in (folder / output).read_text(encoding="utf-8").splitlines())
    expected = {query_id: float(value) for name, query_id, value in lines if name == "bpref" and query_id != "all"}
    assert len(expected) >= 3
    scores = measure(read_run(folder / run), read_qrels(folder / qrels), ["bpref", "ndcg"])
    found = dict(zip(scores.query_ids, scores.column("bpref").tolist(), strict=True))
    # trec_eval prints four digits, and 0 for a query without a relevant document, which is left out here.
    assert {q: v for q, v in expected.items() if q not in found or abs(found[q] - v) > 5.1e-5} == dict.fromkeys(
        set(expected) - set(found), 0.0
    )


@given(st.lists(st.sampled_from([-1, 0, 1, 2]), max_size=30), st.integers(0, 5), st.integers(0, 5))
def test_bpref_skips_the_unjudged_and_stays_within_0_and_1(grades, more_relevant, more_others):
    judged = np.asarray([g for g in grades if g >= 0] + [1] * (more_relevant + 1) + [0] * more_others)

    def value(ranked):
        return bpref.value(JudgedRanking(np.asarray(ranked, dtype=int), judged), cutoff=0, relevance_level=1)

    assert 0 <= value(grades) <= 1
    assert value(grades) == value([grade for grade in grades if grade >= 0])
