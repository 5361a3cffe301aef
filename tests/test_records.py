"""Claims about bench.records: what a Run refuses, the tie rule, digests, results as JSON."""

import contextlib
import copy
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.base.errors import BaselineError, RunError, SuiteError
from bench.records import (
    Cell,
    Corpus,
    EvalProtocol,
    Labels,
    Policy,
    QuerySet,
    Result,
    Rule,
    Run,
    digest_of,
    digest_texts,
    document_text,
)


def built(docs, scores, *, query_ids=("q1",), doc_ids=("a", "b", "c"), depth=100, **more):
    return Run.build(
        system="s", system_digest="", query_set="set", query_set_digest="", corpus_digest="",
        query_ids=query_ids, doc_ids=doc_ids, docs=np.asarray(docs), scores=np.asarray(scores), depth=depth, **more,
    )  # fmt: skip


# --- what Run.build refuses ---


@pytest.mark.parametrize("score", [np.nan, np.inf, -np.inf])
def test_run_refuses_scores_that_are_no_finite_numbers(score):
    with pytest.raises(RunError, match=r'1 scores are NaN or infinite \(first: query "q2"\); expected finite'):
        built([[0, 1], [0, 1]], [[2.0, 1.0], [2.0, score]], query_ids=["q1", "q2"])


def test_run_refuses_scores_too_large_for_float32_without_a_warning():
    with pytest.raises(RunError, match="NaN or infinite"):
        built([[0, 1]], [[1e39, 1.0]])


def test_run_refuses_a_document_twice_under_one_query():
    with pytest.raises(RunError, match='document "b" stands twice under query "q2"; expected each document at most'):
        built([[0, 1], [1, 1]], [[2.0, 1.0], [2.0, 1.0]], query_ids=["q1", "q2"])


def test_run_refuses_a_row_beyond_the_corpus():
    with pytest.raises(RunError, match="points at document 3 of 3"):
        built([[0, 3]], [[2.0, 1.0]])


def test_run_refuses_a_negative_row_that_is_no_padding():
    with pytest.raises(RunError):
        built([[0, -2]], [[2.0, 1.0]])


def test_run_refuses_to_rank_nothing():
    with pytest.raises(RunError, match="ranks no document for any of 2 queries"):
        built([[-1], [-1]], [[0.0], [0.0]], query_ids=["q1", "q2"])


@pytest.mark.parametrize(("docs", "scores"), [([[0, 1]], [[1.0]]), ([0, 1], [1.0, 2.0]), ([[0], [1]], [[1.0], [2.0]])])
def test_run_refuses_arrays_of_another_shape(docs, scores):
    with pytest.raises(RunError, match="do not describe 1 queries"):
        built(docs, scores)


def test_scores_of_padding_are_ignored():
    run = built([[0, -1]], [[1.0, np.nan]])
    assert run.ranking(0) == ["a"]


# --- the tie rule ---


def test_tie_is_broken_by_descending_doc_id():
    assert built([[0, 1, 2]], [[1.0, 1.0, 1.0]]).ranking(0) == ["c", "b", "a"]


def test_tie_is_broken_by_id_and_not_by_the_order_of_doc_ids():
    run = built([[0, 1, 2]], [[1.0, 1.0, 1.0]], doc_ids=["b", "c", "a"])
    assert run.ranking(0) == ["c", "b", "a"]


def test_scores_that_differ_below_float32_tie():
    # 1 + 1e-9 is 1 as float32, so the document that came first as float64 comes second by its id.
    assert built([[0, 1]], [[1.0 + 1e-9, 1.0]]).ranking(0) == ["b", "a"]


def test_ids_are_compared_as_text_and_not_as_numbers():
    run = built([[0, 1, 2]], [[0.0, 0.0, 0.0]], doc_ids=["2", "10", "1"])
    assert run.ranking(0) == ["2", "10", "1"]


def test_depth_cuts_after_ordering():
    run = built([[0, 1, 2]], [[1.0, 3.0, 2.0]], depth=2)
    assert run.ranking(0) == ["b", "c"]
    assert run.depth == 2


def test_run_keeps_only_ranked_documents_in_ascending_order():
    run = built([[3, 1]], [[1.0, 2.0]], doc_ids=["d", "c", "b", "a"])
    assert run.doc_ids == ("a", "c")
    assert run.docs.tolist() == [[1, 0]]


def test_short_rankings_are_padded_at_the_end():
    run = built([[-1, 0, -1], [2, 1, 0]], [[0, 5, 0], [1, 2, 3]], query_ids=["q1", "q2"])
    assert run.docs.tolist() == [[0, -1, -1], [0, 1, 2]]
    assert run.scores[0].tolist() == [5.0, -np.inf, -np.inf]


def test_drop_self_leaves_out_the_document_with_the_query_id():
    run = built([[0, 1, 2]], [[3.0, 2.0, 1.0]], query_ids=["b"], depth=2, drop_self=True)
    assert run.ranking(0) == ["a", "c"]


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_order_of_the_input_changes_nothing(values, random):
    places = list(range(len(values)))
    random.shuffle(places)
    ids = [f"d{i:02}" for i in range(len(values))]
    plain = built([list(range(len(values)))], [values], doc_ids=ids)
    shuffled_ids = list(reversed(ids))
    shuffled = built([[len(ids) - 1 - p for p in places]], [[values[p] for p in places]], doc_ids=shuffled_ids)
    assert plain.ranking(0) == shuffled.ranking(0)
    assert plain.digest == shuffled.digest
    # The rule itself, in plain Python.
    assert plain.ranking(0) == [d for _, d in sorted(zip(values, ids, strict=True), reverse=True)]


def test_arrays_of_a_run_cannot_be_written():
    run = built([[0, 1]], [[2.0, 1.0]])
    with pytest.raises(ValueError, match="read-only"):
        run.docs[0, 0] = 1
    with pytest.raises(ValueError, match="read-only"):
        run.scores[0, 0] = 1


def test_build_leaves_its_input_alone():
    docs, scores = np.asarray([[0, 1]]), np.asarray([[1.0, 2.0]], dtype=np.float32)
    built(docs, scores)
    assert docs.tolist() == [[0, 1]]
    assert scores.tolist() == [[1.0, 2.0]]
    docs[0, 0] = 1
    scores[0, 0] = 1


# --- digests ---


def test_run_digest_covers_documents_and_scores_and_queries(make_run):
    base = {"q": [("a", 2.0), ("b", 1.0)]}
    digest = make_run(base).digest
    assert make_run(dict(base), system="another name").digest == digest
    assert make_run({"q": [("a", 2.0), ("c", 1.0)]}).digest != digest
    assert make_run({"q": [("a", 2.0), ("b", 1.5)]}).digest != digest
    assert make_run({"p": base["q"]}).digest != digest


def test_digest_of_equal_values_is_equal_whatever_the_order_of_keys():
    assert digest_of({"a": 1, "b": [1, 2]}) == digest_of({"b": [1, 2], "a": 1})
    assert digest_of({"a": 1}) != digest_of({"a": 2})
    assert digest_of([1, 2]) != digest_of([2, 1])


def test_digest_of_nan_is_refused():
    with pytest.raises(ValueError, match="JSON compliant"):
        digest_of({"a": float("nan")})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([["ab", "c"]], [["a", "bc"]]),
        ([["a"]], [["a", ""]]),
        ([["a", "b"]], [["b", "a"]]),
        ([["a"], ["b", "c"]], [["a", "b"], ["c"]]),
    ],
)
def test_no_two_splits_of_texts_look_alike(one, other):
    assert digest_texts(one) != digest_texts(other)


def test_digest_takes_any_text_that_json_can_hold():
    assert digest_texts([["\ud800"]]) != digest_texts([["\ud801"]])


def test_document_text_joins_title_and_text_by_one_space():
    assert document_text("Title", "text") == "Title text"
    assert document_text("", "text") == "text"
    assert document_text("Title", "") == "Title"


# --- corpora, queries, labels ---


def test_corpus_is_in_ascending_id_order_whatever_the_input():
    pairs = [("b", "2"), ("a", "1"), ("c", "3")]
    corpus = Corpus.build("kb", pairs)
    assert corpus.ids == ("a", "b", "c")
    assert corpus.texts == ("1", "2", "3")
    assert corpus.row_of == {"a": 0, "b": 1, "c": 2}
    assert corpus.digest == Corpus.build("kb", reversed(pairs)).digest


def test_corpus_refuses_a_repeated_id_and_emptiness():
    with pytest.raises(SuiteError, match='Corpus "kb" has document id "a" twice'):
        Corpus.build("kb", [("a", "1"), ("b", "2"), ("a", "3")])
    with pytest.raises(SuiteError, match="is empty"):
        Corpus.build("kb", [])


def test_query_set_refuses_an_unknown_role_and_names_the_nearest():
    with pytest.raises(SuiteError, match=r'role is "heldout"; expected one of train, .*Did you mean "held-out"\?'):
        QuerySet.build("s", "heldout", "kb", [("q", "text")])


def test_query_set_refuses_a_repeated_id_and_emptiness():
    with pytest.raises(SuiteError, match='query id "q" twice'):
        QuerySet.build("s", "dev", "kb", [("q", "a"), ("q", "b")])
    with pytest.raises(SuiteError, match="is empty"):
        QuerySet.build("s", "dev", "kb", [])


@pytest.mark.parametrize(
    "change",
    [
        {"qrels": {"q": {"a": 2}}},
        {"clusters": {"q": "other"}},
        {"slices": {"q": ("other",)}},
        {"pinned": frozenset()},
        {"unanswerable": frozenset(["u"])},
    ],
)
def test_labels_digest_covers_every_part(change):
    labels = Labels({"q": {"a": 1}}, {"q": "c"}, {"q": ("s",)}, frozenset(["q"]))
    assert replace(labels, **change).digest != labels.digest


def test_labels_digest_ignores_the_order_of_lines():
    one = Labels({"q": {"a": 1, "b": 0}, "p": {"a": 1}})
    other = Labels({"p": {"a": 1}, "q": {"b": 0, "a": 1}})
    assert one.digest == other.digest


def test_protocol_digest_covers_what_must_agree_and_not_the_measures():
    protocol = EvalProtocol(("recall@10",))
    assert EvalProtocol(("ndcg@10",)).digest == protocol.digest
    for change in ({"depth": 10}, {"relevance_level": 2}, {"drop_self": True}):
        assert replace(protocol, **change).digest != protocol.digest


def test_policy_digest_covers_every_threshold():
    policy = Policy()
    assert replace(policy, alpha=0.01).digest != policy.digest
    assert replace(policy, on_inconclusive="block").digest != policy.digest
    assert replace(policy, rules=(Rule("held-out", ("recall@10",), 0.02),)).digest != policy.digest
    assert Policy().digest == policy.digest


# --- results as JSON ---


@pytest.fixture
def result(make_result):
    rng = np.random.default_rng(0)
    return make_result(
        {"recall@10": rng.random(6), "ndcg@10": rng.random(6)},
        judged=rng.random(6),
        condensed={"recall@10": rng.random(6), "ndcg@10": rng.random(6)},
        clusters=["c", "c", None, None, "ü", None],
        pinned=[1, 3],
        missing=["q001"],
        left_out=2,
        tie_spread={"ndcg@10": 0.1},
        judged_negative_share=1 / 3,
        environment={"python": "3.11"},
        protocol=EvalProtocol(("recall@10", "ndcg@10"), 50, 2, True),
    )


def test_result_survives_json_without_loss(result):
    document = json.loads(json.dumps(result.to_json(), allow_nan=False))
    back = Result.from_json(document)
    assert back.to_json() == result.to_json()
    # Bit for bit, not nearly.
    assert np.array_equal(back.scores.values, result.scores.values)
    assert np.array_equal(back.scores.judged, result.scores.judged)
    assert np.array_equal(back.scores.condensed, result.scores.condensed)
    arrays = {"scores": result.scores}
    assert replace(back, **arrays) == result


def test_result_begins_with_its_format_number(result):
    assert next(iter(result.to_json().items())) == ("format", 1)


@pytest.mark.parametrize("number", [0, 2, "1", None, 1.5])
def test_result_of_another_format_is_refused(result, number):
    with pytest.raises(BaselineError, match=r"base\.json has format .*; this version reads format 1\. Use the version"):
        Result.from_json(result.to_json() | {"format": number}, where="base.json")


@pytest.mark.parametrize("document", [None, [], "text", 3, {}, {"queries": {}}])
def test_document_that_is_no_result_is_refused(document):
    with pytest.raises(BaselineError, match=r"base.json is not a result"):
        Result.from_json(document, where="base.json")


def _paths(value, prefix=()):
    if isinstance(value, dict):
        for key, item in value.items():
            yield (*prefix, key)
            yield from _paths(item, (*prefix, key))


# Keys that from_json has no use for, or that older writers may leave out.
OPTIONAL = {
    ("digest",),
    ("means",),
    ("system", "variant"),
    ("queries", "condensed"),
    ("protocol", "tie_rule"),
    ("protocol", "digest"),
    ("format",),
}


def test_result_without_any_one_of_its_keys_is_refused(result):
    document = result.to_json()
    free = ("system", "recipe"), ("environment",), ("seconds",), ("tie_spread",), ("lists",), ("means",)
    for path in _paths(document):
        if path in OPTIONAL or any(path[: len(f)] == f and len(path) > len(f) for f in free):
            continue
        if path[:2] == ("queries", "values") and len(path) == 3:
            continue
        broken = copy.deepcopy(document)
        place = broken
        for key in path[:-1]:
            place = place[key]
        del place[path[-1]]
        with pytest.raises(BaselineError, match="is not a whole result"):
            Result.from_json(broken)


@pytest.mark.parametrize("key", ["ids", "judged", "top_ids", "clusters", "slices", "condensed"])
def test_result_with_a_list_cut_off_is_refused(result, key):
    document = result.to_json()
    document["queries"][key] = document["queries"][key][:-1]
    with pytest.raises(BaselineError, match="is not a whole result"):
        Result.from_json(document)


def test_result_with_one_measure_cut_off_is_refused(result):
    document = result.to_json()
    document["queries"]["values"]["ndcg@10"] = document["queries"]["values"]["ndcg@10"][:-1]
    with pytest.raises(BaselineError, match="is not a whole result"):
        Result.from_json(document)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, "x"])
def test_result_with_a_value_that_is_no_number_is_refused(result, value):
    document = result.to_json()
    document["queries"]["values"]["ndcg@10"][0] = value
    with pytest.raises(BaselineError, match="is not a whole result"):
        Result.from_json(document)


@pytest.mark.parametrize("value", [float("nan"), None])
def test_result_with_a_condensed_value_that_is_no_number_is_refused(result, value):
    document = result.to_json()
    document["queries"]["condensed"][0][0] = value
    with pytest.raises(BaselineError, match="is not a whole result"):
        Result.from_json(document)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_result_with_one_part_replaced_is_read_or_refused_and_never_a_traceback(make_result, data):
    document = make_result({"recall@10": [1.0, 0.0, 0.5]}).to_json()
    path = data.draw(st.sampled_from(list(_paths(document))))
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = data.draw(
        st.one_of(st.none(), st.integers(-2, 2), st.text(max_size=3), st.lists(st.integers(), max_size=3), st.just({}))
    )
    with contextlib.suppress(BaselineError):
        Result.from_json(document)


def test_cell_json_has_null_where_a_number_is_undefined():
    cell = Cell("s", "held-out", None, "ndcg@10", 1, 0.5, 0.5, 0.0, None, None, None, "paired t", 0.02, float("nan"),
                None, 0, 1, 0)  # fmt: skip
    document = json.loads(json.dumps(cell.to_json(), allow_nan=False))
    contract = ["query_set", "role", "slice", "measure", "n", "baseline", "candidate", "delta", "ci", "lower", "p",
                "p_adjusted", "test", "margin", "mde80", "wins", "ties", "losses", "outcome", "reason"]  # fmt: skip
    assert set(contract) <= set(document)
    assert document["ci"] is document["lower"] is document["p"] is document["mde80"] is None


def test_result_reads_slices_of_older_files_and_writes_a_list_only_for_several(make_result):
    made = replace(make_result({"recall@10": [1, 0, 1]}), slices=((), ("a",), ("a", "b")))
    document = made.to_json()
    assert document["queries"]["slices"] == [None, "a", ["a", "b"]]
    assert Result.from_json(json.loads(json.dumps(document))).slices == made.slices
    document["queries"]["slices"] = [None, "a", 3]
    with pytest.raises(BaselineError, match="not a whole result"):
        Result.from_json(document)


def test_labels_digest_of_single_slices_is_what_it_was_before_several_were_possible():
    # Made by the version that held one name per query.
    labels = Labels({"q": {"a": 1}}, {"q": "c"}, {"q": ("s",)}, frozenset(["q"]))
    assert labels.digest == "f338b7d676abc99f99a8ca3343fef664"
    assert replace(labels, computed_slices={"q": ("length:short",)}).digest == labels.digest
    assert replace(labels, slices={"q": ("s", "t")}).digest == replace(labels, slices={"q": ("t", "s")}).digest
