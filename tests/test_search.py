"""Claims about bench.retrieval.search: exact under every precision, ties by the rule, fusion as its papers have it."""

from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bench.base.errors import ConfigError
from bench.retrieval.indexes import exact
from bench.retrieval.indexes.exact import DenseIndex
from bench.retrieval.precisions import OVERSAMPLE, PRECISIONS
from bench.retrieval.search import convex, padded, rrf, top_k, truncated


def by_rule(scores, k):
    """The tie rule in plain Python: score descending as float32, then row descending."""
    return [
        sorted(range(len(row)), key=lambda i: (np.float32(row[i]), i), reverse=True)[:k] for row in np.asarray(scores)
    ]


# --- top_k ---


def test_ties_at_the_cut_go_to_the_higher_rows():
    docs, scores = top_k(np.float32([[1, 2, 1, 1, 0, 1]]), 3)
    assert docs.tolist() == [[1, 5, 3]]
    assert scores.tolist() == [[2, 1, 1]]


def test_depth_above_the_number_of_columns_gives_all():
    docs, scores = top_k(np.float32([[1, 3, 2]]), 10)
    assert docs.tolist() == [[1, 2, 0]]
    assert scores.shape == (1, 3)


_TIED = hnp.arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(1, 30)), elements=st.integers(-2, 2).map(float))


@given(_TIED, st.integers(1, 35))
def test_top_k_is_sorting_by_the_tie_rule(scores, k):
    docs, best = top_k(scores, k)
    assert docs.tolist() == by_rule(scores, k)
    assert np.array_equal(best, np.take_along_axis(scores, docs, axis=1))


# --- cutting ---


def test_truncated_rows_are_cut_and_made_of_length_one_again():
    rows = np.float32([[3, 4, 12], [0, 0, 5]])
    cut = truncated(rows, 2, normalize=True)
    assert cut == pytest.approx(np.array([[0.6, 0.8], [0, 0]]))
    assert truncated(rows, 2, normalize=False).tolist() == [[3, 4], [0, 0]]
    assert np.linalg.norm(truncated(rows, 3, normalize=True), axis=1) == pytest.approx([1, 1])
    assert rows[0, 0] == 3


@pytest.mark.parametrize("dim", [0, -1, 4])
def test_dimension_that_the_encoder_lacks_is_refused(dim):
    with pytest.raises(ConfigError, match=f"dims: {dim} is not between 1 and the encoder's 3 dimensions"):
        truncated(np.zeros((1, 3), dtype=np.float32), dim, normalize=True)


# --- precisions, each against a plain reference ---


@pytest.fixture(scope="module")
def vectors():
    rng = np.random.default_rng(7)
    documents = truncated(rng.normal(size=(300, 24)).astype(np.float32), 24, normalize=True)
    queries = truncated(rng.normal(size=(40, 24)).astype(np.float32), 24, normalize=True)
    return documents, queries


def reference_scores(documents, queries, precision):
    """Scores in float64, document by document, straight from the definition."""
    documents64, queries64 = documents.astype(np.float64), queries.astype(np.float64)
    if precision == "float16":
        documents64 = documents.astype(np.float16).astype(np.float64)
    elif precision in ("int8", "int4"):
        levels = {"int8": 2**8 - 1, "int4": 2**4 - 1}[precision]
        decoded = np.empty_like(documents64)
        for column in range(documents.shape[1]):
            low, high = documents64[:, column].min(), documents64[:, column].max()
            code = np.round((documents64[:, column] - low) / (high - low) * levels)
            decoded[:, column] = low + code / levels * (high - low)
        documents64 = decoded
    elif precision == "binary":
        distance = ((queries[:, None, :] > 0) != (documents[None, :, :] > 0)).sum(axis=2)
        return documents.shape[1] - 2.0 * distance
    return queries64 @ documents64.T


@pytest.mark.parametrize("precision", ["float32", "float16", "int8", "int4", "binary"])
def test_precision_agrees_with_its_definition(vectors, precision):
    documents, queries = vectors
    reference = reference_scores(documents, queries, precision)
    docs, scores = DenseIndex.build(documents, precision).search(queries, 10)
    assert scores == pytest.approx(np.take_along_axis(reference, docs, axis=1), abs=2e-6)
    # Nothing better was left out; what lies within rounding of the tenth may take its place.
    tenth = np.sort(reference, axis=1)[:, -10]
    assert (np.take_along_axis(reference, docs, axis=1).min(axis=1) >= tenth - 2e-6).all()
    if precision == "binary":
        assert docs.tolist() == by_rule(reference, 10)


def test_binary_score_is_dimension_minus_twice_the_hamming_distance():
    documents = np.float32([[0.3, -0.1, 0.2, 0.9], [-1, -1, -1, -1], [0, 0.5, 0.5, 0.5]])
    # A zero counts as negative: signs + - + +, - - - -, - + + +; the query's are + + - -.
    docs, scores = DenseIndex.build(documents, "binary").search(np.float32([[0.2, 0.1, -3, 0]]), 3)
    # Distances 3, 2, 3.
    assert docs.tolist() == [[1, 2, 0]]
    assert scores.tolist() == [[0, -2, -2]]


def test_binary_rescore_orders_the_best_by_sign_with_full_vectors(vectors):
    documents, queries = vectors
    k = 5
    signs = reference_scores(documents, queries, "binary")
    exact = reference_scores(documents, queries, "float32")
    docs, scores = DenseIndex.build(documents, "binary-rescore").search(queries, k)
    for row, candidates in enumerate(by_rule(signs, k * OVERSAMPLE)):
        wanted = sorted(candidates, key=lambda i: exact[row, i], reverse=True)[:k]
        assert docs[row].tolist() == wanted
        assert scores[row] == pytest.approx(exact[row, wanted], abs=2e-6)


def test_binary_rescore_breaks_ties_by_the_rule():
    documents = np.float32([[1, 1], [1, 1], [1, 1], [1, -1]])
    docs, _ = DenseIndex.build(documents, "binary-rescore").search(np.float32([[1, 1]]), 2)
    assert docs.tolist() == [[2, 1]]


@pytest.mark.parametrize("precision", ["int8", "int4"])
def test_ranges_come_from_documents_and_not_from_queries(vectors, precision):
    documents, queries = vectors
    index = DenseIndex.build(documents, precision)
    alone, _ = index.search(queries[:1], 10)
    # A query far outside every document's range changes nobody else's scores, and is itself not clipped.
    outlier = np.full((1, 24), 100, dtype=np.float32)
    docs, scores = index.search(np.concatenate([queries[:1], outlier]), 10)
    assert docs[0].tolist() == alone[0].tolist()
    assert scores[1] == pytest.approx((outlier @ index.vectors.T)[0, docs[1]], rel=1e-5)


@pytest.mark.parametrize("precision", ["int8", "int4"])
def test_column_without_a_range_is_kept(precision):
    documents = np.float32([[0.5, 1], [0.5, 0], [0.5, 0.25]])
    index = DenseIndex.build(documents, precision)
    assert index.vectors[:, 0].tolist() == [0.5, 0.5, 0.5]
    assert index.vectors[:, 1].min() == 0
    assert index.vectors[:, 1].max() == 1


@pytest.mark.parametrize("precision", ["int8", "int4"])
def test_quantised_vectors_lie_within_half_a_step(vectors, precision):
    documents, _ = vectors
    step = (documents.max(axis=0) - documents.min(axis=0)) / {"int8": 255, "int4": 15}[precision]
    error = np.abs(DenseIndex.build(documents, precision).vectors - documents)
    assert (error <= step / 2 + 1e-6).all()
    assert len(np.unique(DenseIndex.build(documents, precision).vectors[:, 0])) <= {"int8": 256, "int4": 16}[precision]


@pytest.mark.parametrize(
    ("precision", "size"),
    [
        ("float32", 300 * 24 * 4), ("float16", 300 * 24 * 2), ("int8", 300 * 24 + 24 * 8), ("int4", 300 * 12 + 24 * 8),
        ("binary", 300 * 3), ("binary-rescore", 300 * 3 + 300 * 24 * 4),
    ],
)  # fmt: skip
def test_index_bytes_are_those_of_the_codes(vectors, precision, size):
    assert DenseIndex.build(vectors[0], precision).bytes == size


def test_unknown_precision_is_refused(vectors):
    with pytest.raises(ConfigError, match='precision is "int9"; expected one of float32, float16'):
        DenseIndex.build(vectors[0], "int9")


@pytest.mark.parametrize("precision", PRECISIONS)
def test_depth_above_corpus_size_gives_every_document_once(vectors, precision):
    docs, scores = DenseIndex.build(vectors[0][:7], precision).search(vectors[1], 100)
    assert docs.shape == scores.shape == (40, 7)
    assert all(sorted(row) == list(range(7)) for row in docs.tolist())


# --- blocks ---


@settings(max_examples=60)
@given(
    st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(1, 40), st.integers(1, 45), st.integers(1, 5),
    st.integers(1, 13), st.sampled_from(list(PRECISIONS)),
)  # fmt: skip
def test_blocks_change_nothing(seed, n_queries, n_docs, k, query_block, doc_block, precision):
    rng = np.random.default_rng(seed)
    # Small whole numbers: products are exact, so that equal means equal, and ties are everywhere.
    documents = rng.integers(-2, 3, size=(n_docs, 6)).astype(np.float32)
    queries = rng.integers(-2, 3, size=(n_queries, 6)).astype(np.float32)
    index = DenseIndex.build(documents, precision)
    if precision in ("int8", "int4"):
        index = replace(index, vectors=np.round(index.vectors * 4) / 4)
    whole_docs, whole_scores = index.search(queries, k)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exact, "_BLOCK_QUERIES", query_block)
        patch.setattr(exact, "_BLOCK_DOCS", doc_block)
        docs, scores = index.search(queries, k)
    assert docs.tolist() == whole_docs.tolist()
    assert scores.tolist() == whole_scores.tolist()
    if precision == "float32":
        assert docs.tolist() == by_rule(queries @ documents.T, k)


# --- rankings of unequal length ---


def test_padded_fills_with_minus_one():
    docs, scores = padded([(np.array([3, 1]), np.array([2.0, 1.0])), (np.array([], int), np.array([]))])
    assert docs.tolist() == [[3, 1], [-1, -1]]
    assert scores.tolist() == [[2, 1], [0, 0]]


def test_padded_takes_a_query_set_that_finds_nothing():
    docs, _ = padded([(np.array([], int), np.array([]))])
    assert docs.tolist() == [[-1]]


# --- fusion ---

IDS = ["a", "b", "c", "d"]
ROW_OF = {doc_id: row for row, doc_id in enumerate(IDS)}


def as_dicts(fused):
    return [
        {IDS[d]: float(s) for d, s in zip(docs, scores, strict=True) if d >= 0}
        for docs, scores in zip(*(part.tolist() for part in fused), strict=True)
    ]


def test_rrf_worked_by_hand(make_run):
    first = make_run({"q": [("a", 9.0), ("b", 8.0), ("c", 7.0)]})
    second = make_run({"q": [("c", 0.3), ("a", 0.2)]})
    # a: 1/61 + 1/62; b: 1/62; c: 1/63 + 1/61
    (found,) = as_dicts(rrf([first, second], ROW_OF))
    assert found == pytest.approx({"a": 1 / 61 + 1 / 62, "b": 1 / 62, "c": 1 / 63 + 1 / 61}, rel=1e-6)
    (found,) = as_dicts(rrf([first, second], ROW_OF, k=1))
    assert found == pytest.approx({"a": 1 / 2 + 1 / 3, "b": 1 / 3, "c": 1 / 4 + 1 / 2}, rel=1e-6)


def test_convex_worked_by_hand(make_run):
    first = make_run({"q": [("a", 10.0), ("b", 6.0), ("c", 2.0)]})
    second = make_run({"q": [("c", 0.9), ("d", 0.5), ("a", 0.1)]})
    # first scaled: a 1, b .5, c 0; second scaled: c 1, d .5, a 0
    (found,) = as_dicts(convex([first, second], ROW_OF, weight=0.25))
    assert found == pytest.approx({"a": 0.75, "b": 0.375, "c": 0.25, "d": 0.125})


def test_convex_weight_is_the_share_of_the_second(make_run):
    first, second = make_run({"q": [("a", 2.0), ("b", 1.0)]}), make_run({"q": [("b", 2.0), ("a", 1.0)]})
    assert as_dicts(convex([first, second], ROW_OF, weight=0.0)) == [{"a": 1.0, "b": 0.0}]
    assert as_dicts(convex([first, second], ROW_OF, weight=1.0)) == [{"a": 0.0, "b": 1.0}]


def test_list_of_equal_scores_counts_as_found(make_run):
    first = make_run({"q": [("a", 3.0), ("b", 3.0)]})
    second = make_run({"q": [("c", 1.0)]})
    assert as_dicts(convex([first, second], ROW_OF, weight=0.5)) == [{"a": 0.5, "b": 0.5, "c": 0.5}]


def test_query_that_one_system_finds_nothing_for_keeps_the_others_ranking(make_run):
    first = make_run({"q": [("a", 3.0), ("b", 1.0)], "p": [("a", 1.0)]})
    second = make_run({"q": [], "p": [("d", 1.0)]})
    assert as_dicts(convex([first, second], ROW_OF, weight=0.5))[0] == {"a": 0.5, "b": 0.0}
    assert set(as_dicts(rrf([first, second], ROW_OF))[0]) == {"a", "b"}


def test_query_that_nobody_finds_anything_for_stays_empty(make_run):
    runs = [make_run({"q": [], "p": [("a", 1.0)]}), make_run({"q": [], "p": [("b", 1.0)]})]
    assert as_dicts(rrf(runs, ROW_OF))[0] == {}
    assert as_dicts(convex(runs, ROW_OF, weight=0.5))[0] == {}


def test_equal_sums_in_another_order_tie(make_run):
    # a has ranks 1, 2, 3 and b 3, 1, 2: the same three summands, added in another order.
    rankings = ["acb", "bac", "cba"]
    runs = [make_run({"q": [(d, 9.0 - i) for i, d in enumerate(r)]}) for r in rankings]
    (found,) = as_dicts(rrf(runs, ROW_OF, k=7))
    assert len(set(found.values())) == 1


_RANKINGS = st.lists(
    st.dictionaries(st.sampled_from(IDS), st.integers(-3, 3).map(float), max_size=4), min_size=3, max_size=3
)


def _with_anchor(rankings):
    # One query that finds something: a run that ranks nothing at all is refused.
    return {**{f"q{i}": list(pairs.items()) for i, pairs in enumerate(rankings)}, "anchor": [("a", 1.0)]}


def ranked(pairs):
    return sorted(pairs, key=lambda pair: (pair[1], pair[0]), reverse=True)


@given(_RANKINGS, _RANKINGS, st.integers(1, 80))
def test_rrf_agrees_with_dictionaries(make_run, one, other, k):
    sides = [_with_anchor(one), _with_anchor(other)]
    found = as_dicts(rrf([make_run(side) for side in sides], ROW_OF, k=k))
    for query, scores in zip(sides[0], found, strict=True):
        wanted = defaultdict(float)
        for side in sides:
            for rank, (doc_id, _) in enumerate(ranked(side[query]), 1):
                wanted[doc_id] += 1 / (k + rank)
        assert scores == pytest.approx(dict(wanted), rel=1e-5)


@given(_RANKINGS, _RANKINGS, st.sampled_from([0.0, 0.05, 0.3, 0.5, 0.95, 1.0]))
def test_convex_agrees_with_dictionaries(make_run, one, other, weight):
    sides = [_with_anchor(one), _with_anchor(other)]
    found = as_dicts(convex([make_run(side) for side in sides], ROW_OF, weight=weight))
    for query, scores in zip(sides[0], found, strict=True):
        wanted = defaultdict(float)
        for side, share in zip(sides, (1 - weight, weight), strict=True):
            values = [score for _, score in side[query]]
            for doc_id, score in side[query]:
                span = max(values) - min(values)
                wanted[doc_id] += share * ((score - min(values)) / span if span else 1.0)
        assert scores == pytest.approx(dict(wanted), abs=1e-6)
