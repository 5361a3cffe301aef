"""Claims about bench.retrieval.systems: one contract for every kind, names, parts, and what each kind refuses."""

import math
import re

import numpy as np
import pytest

from bench.base.errors import ConfigError, RunError, SystemFailed, UsageError
from bench.base.registry import table_problems
from bench.base.store import Store
from bench.config import load_bench
from bench.project.workspace import Workspace
from bench.records import Run
from bench.records.run_files import write_run
from bench.retrieval import systems
from bench.retrieval.systems import Context, bm25, hybrid, python, rerank, trec_run

# --- the contract that every kind keeps ---

CORPUS = {
    "d1": "oil the chain and wipe it",
    "d2": "the brake squeaks",
    "d3": "chain chain chain",
    "d4": "die Größe der Rahmenhöhe 自転車",
    "d5": "oil the chain and wipe it",
    "d6": "",
}
QUERIES = {"q1": "oil chain", "q2": "", "q3": "Größe 自転車", "q4": "zebra"}


class LengthScorer:
    """A reranker without a model: prefers documents whose length is near the query's."""

    def fingerprint(self):
        return {"kind": "length"}

    def score(self, pairs):
        return np.asarray([-abs(len(q) - len(d)) for q, d in pairs], dtype=np.float32)


def overlap(texts, query, k):
    """{id: number of query words in the document}, at most k of them."""
    counts = {doc_id: len(set(query.split()) & set(text.split())) for doc_id, text in texts.items()}
    best = sorted(counts, key=lambda doc_id: (counts[doc_id], doc_id), reverse=True)
    return {doc_id: counts[doc_id] for doc_id in best[:k]}


def as_run(system, ranked, corpus, queries, depth):
    return Run.build(
        system=system.name, system_digest="", query_set=queries.name, query_set_digest="", corpus_digest="",
        query_ids=queries.ids, doc_ids=corpus.ids, docs=ranked.docs, scores=ranked.scores, depth=depth,
    )  # fmt: skip


@pytest.fixture(
    params=[
        "dense",
        "dense int8",
        "dense binary",
        "bm25",
        "hybrid rrf",
        "hybrid convex",
        "python",
        "rerank",
        "trec-run",
    ]
)
def searching(request, tmp_path, hash_encoder, dense_system, make_corpus, make_queries):
    """search(texts, queries, depth) → a Run by the kind in question."""
    context = Context(tmp_path, Store(tmp_path / "store"))
    dense = dense_system(hash_encoder, context.store)
    words = bm25.BM25("bm25", bm25.Config(kind="bm25"))

    def search(texts=CORPUS, asked=QUERIES, depth=3):
        corpus, queries = make_corpus(texts), make_queries(asked)

        def one(system, parts=()):
            return as_run(system, system.search(corpus, queries, depth=depth, parts=parts), corpus, queries, depth)

        kind, _, rest = request.param.partition(" ")
        if kind == "dense":
            return one(dense_system(hash_encoder, context.store, precision=rest or "float32"))
        if kind == "bm25":
            return one(words)
        if kind == "hybrid":
            fusion = hybrid.Fusion(method=rest, weight=0.5)
            config = hybrid.Config(kind="hybrid", of=["bm25", "hash"], fusion=fusion)
            return one(hybrid.Hybrid("hybrid", config), [one(words), one(dense)])
        if kind == "rerank":
            system = rerank.Rerank.__new__(rerank.Rerank)
            system.name, system.store, system.parts = "rerank", context.store, ("bm25",)
            system.scorer, system.progress = LengthScorer(), lambda *_: None
            system.config = rerank.Config(
                kind="rerank", first="bm25", reranker={"kind": "cross-encoder", "model": "m"}, depth=2
            )
            return one(system, [one(dense)])
        if kind == "python":
            return one(python.Python("mine", lambda text, k: overlap(texts, text, k)))
        path = tmp_path / "run.trec"
        path.write_text("".join(write_run(one(dense))), encoding="utf-8")
        config = trec_run.Config(kind="trec-run", runs={"shop": "run.trec"})
        return one(trec_run.TrecRun("engine", config, context))

    return search


def test_same_question_gets_the_same_answer_twice(searching):
    assert searching().digest == searching().digest


def test_empty_query_is_answered_or_passed_over_and_never_an_error(searching):
    run = searching(asked={"q1": "oil chain", "q2": "", "q3": "   "})
    assert run.query_ids == ("q1", "q2", "q3")
    assert run.ranking(0)


def test_depth_above_corpus_size_ranks_each_document_at_most_once(searching):
    run = searching(depth=500)
    for row in range(len(run.query_ids)):
        found = run.ranking(row)
        assert len(found) == len(set(found)) <= len(CORPUS)


def test_equal_documents_tie_and_the_higher_id_comes_first(searching):
    # d1 and d5 have one text, so that every kind scores them alike, or ranks them next to one another.
    found = searching(depth=6).ranking(0)
    assert found.index("d5") < found.index("d1")


def test_non_ascii_text_finds_its_document(searching):
    assert "d4" in searching().ranking(2)


@pytest.mark.parametrize(
    "searching", ["dense", "dense int8", "dense binary", "bm25", "python", "trec-run"], indirect=True
)  # a fused or reranked head depends on how deep its parts look
def test_deeper_ranking_begins_with_the_shallower(searching):
    shallow, deep = searching(depth=2), searching(depth=5)
    for row in range(len(QUERIES)):
        assert deep.ranking(row)[:2] == shallow.ranking(row)


# --- BM25 ---


def test_bm25_agrees_with_the_formula_worked_out_on_three_documents(make_corpus, make_queries):
    texts = {"d1": "chain oil", "d2": "chain chain brake lever", "d3": "saddle"}
    k1, b = 1.5, 0.75
    # Lucene's: idf = ln(1 + (N − df + .5) / (df + .5)); tf part = tf / (tf + k1 (1 − b + b len/avglen)); N = 3.
    # chain: df 2, idf ln(1 + 1.5/2.5) = .470004; oil: df 1, idf ln(1 + 2.5/1.5) = .980829; avglen 7/3.
    idf_chain, idf_oil = math.log(1 + 1.5 / 2.5), math.log(1 + 2.5 / 1.5)
    norm = {n: k1 * (1 - b + b * n / (7 / 3)) for n in (2, 4)}
    wanted = {"d1": idf_chain / (1 + norm[2]) + idf_oil / (1 + norm[2]), "d2": idf_chain * 2 / (2 + norm[4])}
    corpus, queries = make_corpus(texts), make_queries({"q": "chain oil"})
    ranked = bm25.BM25("bm25", bm25.Config(kind="bm25", language=None)).search(corpus, queries, depth=10, parts=[])
    found = {
        corpus.ids[d]: s for d, s in zip(ranked.docs[0].tolist(), ranked.scores[0].tolist(), strict=True) if d >= 0
    }
    # d3 shares no term with the query and is not ranked.
    assert found == pytest.approx(wanted, rel=1e-6)
    assert list(found) == ["d1", "d2"]


@pytest.mark.parametrize("variant", ["lucene", "robertson", "atire", "bm25+", "bm25l"])
def test_bm25_ranks_no_document_that_shares_no_term(make_corpus, make_queries, variant):
    corpus = make_corpus({"d1": "chain oil", "d2": "brake lever pad", "d3": "saddle post", "d4": "bell lamp"})
    config = bm25.Config(kind="bm25", variant=variant)
    ranked = bm25.BM25("bm25", config).search(corpus, make_queries({"q": "oil"}), depth=10, parts=[])
    assert [corpus.ids[d] for d in ranked.docs[0] if d >= 0] == ["d1"]


def test_bm25_matches_stems_and_passes_over_stop_words(make_corpus, make_queries):
    corpus = make_corpus({"d1": "oiling chains", "d2": "the and of", "d3": "brakes"})
    system = bm25.BM25("bm25", bm25.Config(kind="bm25"))
    run = system.search(corpus, make_queries({"q": "the chain"}), depth=10, parts=[])
    assert [corpus.ids[d] for d in run.docs[0] if d >= 0] == ["d1"]


@pytest.mark.parametrize("language", ["english", "german", "spanish", "dutch", "swedish", "portuguese", None])
def test_bm25_reads_the_languages_that_its_stemmer_knows(make_corpus, make_queries, language):
    corpus = make_corpus({"d1": "kette bremse", "d2": "sattel"})
    system = bm25.BM25("bm25", bm25.Config(kind="bm25", language=language))
    ranked = system.search(corpus, make_queries({"q": "bremse"}), depth=2, parts=[])
    assert [corpus.ids[d] for d in ranked.docs[0] if d >= 0] == ["d1"]


def test_bm25_takes_a_corpus_of_stop_words(make_corpus, make_queries):
    corpus, queries = make_corpus({"d1": "the", "d2": ""}), make_queries({"q": "chain"})
    ranked = bm25.BM25("bm25", bm25.Config(kind="bm25")).search(corpus, queries, depth=2, parts=[])
    assert (ranked.docs < 0).all()


def test_bm25_fingerprint_covers_its_parameters():
    base = bm25.BM25("a", bm25.Config(kind="bm25")).fingerprint()
    assert bm25.BM25("b", bm25.Config(kind="bm25", roles=["held-out"])).fingerprint() == base
    for change in ({"k1": 1.2}, {"b": 0.5}, {"variant": "bm25+"}, {"language": None}):
        assert bm25.BM25("a", bm25.Config(kind="bm25", **change)).fingerprint() != base


# --- dense ---


def test_dense_fingerprint_covers_encoder_dimension_precision_and_similarity(store, new_hash_encoder, dense_system):
    base = dense_system(new_hash_encoder(), store).fingerprint()
    assert dense_system(new_hash_encoder(), store, name="other name").fingerprint() == base
    for system in (
        dense_system(new_hash_encoder("w1"), store),
        dense_system(new_hash_encoder(query_prompt="query: "), store),
        dense_system(new_hash_encoder(), store, dim=32),
        dense_system(new_hash_encoder(), store, precision="int8"),
        dense_system(new_hash_encoder(), store, similarity="dot"),
    ):
        assert system.fingerprint() != base


def test_query_prompt_is_part_of_what_is_encoded(store, new_hash_encoder, dense_system, make_corpus, make_queries):
    corpus, queries = make_corpus({"d1": "chain", "d2": "find"}), make_queries({"q": "chain"})
    plain = dense_system(new_hash_encoder(), store).search(corpus, queries, depth=1, parts=[])
    prompted = dense_system(new_hash_encoder(query_prompt="find find find "), store)
    assert corpus.ids[plain.docs[0, 0]] == "d1"
    assert corpus.ids[prompted.search(corpus, queries, depth=1, parts=[]).docs[0, 0]] == "d2"


# --- rerank ---


def test_rerank_reorders_the_head_and_keeps_the_tail(store, make_corpus, make_queries, make_run):
    corpus = make_corpus({"a": "xxxxx", "b": "xx", "c": "x", "d": "xxx"})
    queries = make_queries({"q": "x"})
    system = rerank.Rerank.__new__(rerank.Rerank)
    system.name, system.store, system.scorer = "r", store, LengthScorer()
    system.progress = lambda *_: None
    system.config = rerank.Config(kind="rerank", first="f", reranker={"kind": "cross-encoder", "model": "m"}, depth=3)
    first = make_run({"q": [("a", 9.0), ("d", 8.0), ("b", 7.0), ("c", 6.0)]})
    ranked = system.search(corpus, queries, depth=4, parts=[first])
    # Lengths 5, 3, 2 against 1: b, d, a. c would be best, and lies below the head.
    assert as_run(system, ranked, corpus, queries, 4).ranking(0) == ["b", "d", "a", "c"]


def test_rerank_scores_each_pair_once(store, make_corpus, make_queries, make_run):
    calls = []

    class Counting(LengthScorer):
        def score(self, pairs):
            calls.append(len(pairs))
            return super().score(pairs)

    system = rerank.Rerank.__new__(rerank.Rerank)
    system.name, system.store, system.scorer, system.progress = "r", store, Counting(), lambda *_: None
    system.config = rerank.Config(kind="rerank", first="f", reranker={"kind": "cross-encoder", "model": "m"}, depth=3)
    corpus, queries = make_corpus({"a": "xxxxx", "b": "xx"}), make_queries({"q": "x"})
    first = make_run({"q": [("a", 9.0), ("b", 8.0)]})
    for _ in range(2):
        system.search(corpus, queries, depth=2, parts=[first])
    assert calls == [2]


# --- run files ---


def engine(tmp_path, lines, runs=None):
    (tmp_path / "shop.run").write_text("".join(f"{line}\n" for line in lines))
    config = trec_run.Config(kind="trec-run", runs=runs or {"shop": "shop.run"})
    return trec_run.TrecRun("engine", config, Context(tmp_path, Store(tmp_path / "store")))


def test_run_file_is_read_in_the_order_of_the_query_set(tmp_path, make_corpus, make_queries):
    system = engine(tmp_path, ["q2 Q0 a 1 1 t", "q1 Q0 b 1 2 t", "q9 Q0 a 1 1 t"])
    corpus, queries = make_corpus({"a": "1", "b": "2"}), make_queries({"q1": "x", "q2": "y"})
    ranked = system.search(corpus, queries, depth=10, parts=[])
    assert [corpus.ids[d] for d in ranked.docs[:, 0]] == ["b", "a"]


def test_run_file_that_lacks_a_query_is_refused(tmp_path, make_corpus, make_queries):
    system = engine(tmp_path, ["q1 Q0 a 1 1 t"])
    with pytest.raises(RunError, match=r'lacks 1 of 2 queries of "shop" \(first: "q2"\); a missing query would count'):
        system.search(make_corpus({"a": "1"}), make_queries({"q1": "x", "q2": "y"}), depth=10, parts=[])


def test_run_file_that_ranks_an_unknown_document_is_refused(tmp_path, make_corpus, make_queries):
    system = engine(tmp_path, ["q1 Q0 a 1 1 t", "q1 Q0 z 2 .5 t"])
    with pytest.raises(RunError, match=r'ranks 1 documents that corpus "corpus" lacks \(first: "z"\)'):
        system.search(make_corpus({"a": "1"}), make_queries({"q1": "x"}), depth=10, parts=[])


def test_query_set_without_a_run_file_is_refused(tmp_path, make_corpus, make_queries):
    system = engine(tmp_path, ["q1 Q0 a 1 1 t"])
    with pytest.raises(RunError, match=r'has no run file for query set "phone" \(has: shop\)'):
        system.search(make_corpus({"a": "1"}), make_queries({"q1": "x"}, name="phone"), depth=10, parts=[])


def test_run_file_that_is_absent_is_named(tmp_path):
    with pytest.raises(RunError, match=r"none\.run cannot be read: No such file"):
        engine(tmp_path, [], {"shop": "none.run"}).fingerprint()


def test_run_file_fingerprint_is_its_content(tmp_path):
    before = engine(tmp_path, ["q1 Q0 a 1 1 t"]).fingerprint()
    assert engine(tmp_path, ["q1 Q0 a 1 1 t"]).fingerprint() == before
    assert engine(tmp_path, ["q1 Q0 a 1 2 t"]).fingerprint() != before


# --- Python functions ---


@pytest.fixture
def asked(make_corpus, make_queries):
    """asked(function) → {query id: [(document id, score), …]} of two queries against documents a, b and c."""

    def ask(function, *, depth=7, **more):
        corpus, queries = make_corpus({"a": "1", "b": "2", "c": "3"}), make_queries({"q1": "x", "q2": "y"})
        ranked = python.Python("mine", function, **more).search(corpus, queries, depth=depth, parts=[])
        return {
            query_id: [(corpus.ids[d], float(s)) for d, s in zip(docs, scores, strict=True) if d >= 0]
            for query_id, docs, scores in zip(queries.ids, ranked.docs, ranked.scores, strict=True)
        }

    return ask


def test_order_without_scores_gets_falling_ranks(asked):
    found = asked(lambda text: ["b", "c", "a"] if text == "x" else [])
    assert found == {"q1": [("b", 0.0), ("c", -1.0), ("a", -2.0)], "q2": []}


@pytest.mark.parametrize(
    "answer", [[("c", 2), ("a", 1.5)], {"c": 2, "a": 1.5}, [["c", np.float32(2)], ("a", np.float64(1.5))]]
)
def test_scores_are_taken_as_they_are(asked, answer):
    assert asked(lambda text: answer)["q1"] == [("c", 2.0), ("a", 1.5)]


def test_generator_and_array_are_answers(asked):
    assert asked(lambda text: (i for i in "ab"))["q1"] == [("a", 0.0), ("b", -1.0)]
    assert asked(lambda text: np.asarray(["b"]))["q1"] == [("b", 0.0)]


def test_depth_is_handed_over_where_the_signature_asks_for_it():
    class Engine:
        def find(self, text, top_k=3):
            return top_k

        __call__ = find

    def keyword(text, *, rerank=False, depth=3):
        return depth if not rerank else None

    def second(text, n, /):
        return n

    for function in (Engine().find, Engine(), keyword, second, lambda text, k=1: k, lambda text, limit: limit):
        positional, named = python._depth_argument(function, 7)
        assert function("x", *positional, **named) == 7


@pytest.mark.parametrize("function", [lambda text: 1, lambda text, rerank=False: 1, lambda *a, **k: len(a) + len(k)])
def test_depth_is_not_forced_on_a_parameter_that_means_something_else(function):
    assert python._depth_argument(function, 7) == ((), {})


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (["a", "z"], 'on query "q1" of "shop" ranks document "z", which corpus "corpus" lacks'),
        (["a", "b", "a"], 'on query "q1" of "shop" ranks document "a" more than once'),
        ([("a", float("nan"))], "gives document \"a\" the score 'nan' (float); expected a finite float32 number"),
        ([("a", 1e39)], "the score '1e+39' (float)"),
        ({"a": None}, 'gives document "a" the score None'),
        ([("a", "1")], "the score '1' (str)"),
        ([1, 2], "returned '1' (int) at rank 1; expected document ids"),
        ([("a", 1, 2)], "(tuple) at rank 1"),
        ([(b"a", 1)], "(tuple) at rank 1"),
        ([("a", 1), "b"], "returned some ids with scores and some without"),
        (None, "returned None; expected document ids, (id, score) pairs, or a mapping"),
        ("a", "returned 'a' (str)"),
        (7, "returned '7' (int)"),
    ],
)
def test_answer_that_is_no_ranking_is_refused_with_its_query(asked, answer, sentence):
    with pytest.raises(RunError, match=re.escape(sentence)) as caught:
        asked(lambda text: answer)
    assert 'System "mine" on query "q1"' in str(caught.value)


def test_exception_inside_the_function_is_the_systems_failure_and_names_the_query(asked):
    def search(text):
        yield "a"
        if text == "y":
            raise ValueError("no index")

    with pytest.raises(SystemFailed, match=r'on query "q2" of "shop" failed: ValueError: no index') as caught:
        asked(search)
    assert caught.value.exit_code == 4


def function_system(tmp_path, place, source="def search(text):\n    return ['a']\n", **more):
    module = place.partition(":")[0].partition(".")[0]
    (tmp_path / f"{module}.py").write_text(source)
    config = python.Config(kind="python", function=place, **more)
    return python.build("mine", config, Context(tmp_path, Store(tmp_path / "store")))[0]


@pytest.fixture
def _modules(monkeypatch):
    """What a test imports is forgotten after it."""
    import sys

    monkeypatch.setattr(sys, "modules", sys.modules.copy())


@pytest.mark.usefixtures("_modules")
def test_function_is_imported_from_the_configs_folder_and_the_path_is_as_before(tmp_path, make_corpus, make_queries):
    import sys

    path = list(sys.path)
    (tmp_path / "found_while_running.py").write_text("answer = ['a']\n")
    source = "def search(text):\n    from found_while_running import answer\n    return answer\n"
    system = function_system(tmp_path, "bench_test_app:search", source)
    corpus, queries = make_corpus({"a": "1"}), make_queries({"q1": "x"})
    assert as_run(system, system.search(corpus, queries, depth=3, parts=[]), corpus, queries, 3).ranking(0) == ["a"]
    assert sys.path == path


@pytest.mark.usefixtures("_modules")
def test_function_fingerprint_covers_name_version_and_the_code_beside_the_config(tmp_path):
    import sys

    def fingerprint(place="bench_test_app:search", source="def search(text): return []\nfind = search\n", **more):
        sys.modules.pop("bench_test_app", None)
        return function_system(tmp_path, place, source, **more).fingerprint()

    base = fingerprint()
    assert base == fingerprint()
    assert base["function"] == "bench_test_app:search"
    assert len(base["source"]) == 32
    assert fingerprint(version="index of May") != base
    assert fingerprint("bench_test_app:find") != base
    assert fingerprint(source="def search(text): return [ ]\nfind = search\n") != base


@pytest.mark.usefixtures("_modules")
def test_function_fingerprint_covers_what_its_file_imports_without_importing_it(tmp_path):
    import sys

    (tmp_path / "bench_test_inner.py").write_text("def search(text): return []\n")
    outer = "from bench_test_inner import search\n"
    before = function_system(tmp_path, "bench_test_app:search", outer).fingerprint()
    (tmp_path / "bench_test_inner.py").write_text("def search(text): return [text]\n")
    assert not {"bench_test_app", "bench_test_inner"} & set(sys.modules), "nothing is imported for it"
    assert function_system(tmp_path, "bench_test_app:search", outer).fingerprint() != before


@pytest.mark.usefixtures("_modules")
@pytest.mark.parametrize(
    ("place", "source", "error", "sentence"),
    [
        ("bench_test_app:serch", "def search(text): ...", ConfigError, 'has no serch. Did you mean "search"?'),
        ("bench_test_app:search", "search = 3", ConfigError, "is a int; expected a function"),
        ("bench_test_app.x:search", "", ConfigError, "there is no module bench_test_app.x, neither in "),
        ("bench_test_app:search", "import bench_test_none", SystemFailed, "No module named 'bench_test_none'"),
        ("bench_test_app:search", "1 / 0", SystemFailed, "importing it failed: ZeroDivisionError"),
    ],
)
def test_function_that_cannot_be_had_is_told_in_a_sentence(tmp_path, place, source, error, sentence):
    with pytest.raises(error, match=re.escape(sentence)):
        _ = function_system(tmp_path, place, source).function


@pytest.mark.parametrize("place", ["app.search", "app:", ":search", "app search:find", "../app:search"])
def test_place_of_a_function_is_checked_before_anything_runs(place):
    (sentence,) = table_problems("systems", {"kind": "python", "function": place}, "bench.toml: systems.mine")
    assert sentence.startswith(f"bench.toml: systems.mine: function is {place!r}; ")
    assert 'expected "module:attribute", such as "app.search:search"' in sentence


# --- names and parts ---


@pytest.fixture
def built(tmp_path, monkeypatch, new_hash_encoder):
    """built(toml, only=…) → systems, with the hash encoder in the place of every model."""
    from bench.retrieval import encoders

    monkeypatch.setattr(encoders, "build", lambda table, place, **_: new_hash_encoder(table.get("model", "w0")))

    def build(text, *, only=None):
        path = tmp_path / "bench.toml"
        path.write_text('suites = ["x"]\n' + text)
        config = load_bench(path)
        return systems.build(config, Context(tmp_path, Store(tmp_path / "store")), only=only)

    return build


SWEEP = """
[systems.hybrid]
kind = "hybrid"
of = ["bm25", "mini@32"]

[systems.mini]
kind = "dense"
encoder = { kind = "local", model = "m" }
dims = [64, 32]
precision = ["float32", "int8"]

[systems.bm25]
kind = "bm25"
"""


def test_dimensions_and_precisions_expand_to_one_system_each(built):
    found = built(SWEEP)
    assert set(found) == {"hybrid", "mini", "mini/int8", "mini@32", "mini@32/int8", "bm25"}
    assert found["mini"].dim == 64
    assert (found["mini@32/int8"].dim, found["mini@32/int8"].precision) == (32, "int8")
    assert all(name == system.name for name, system in found.items())
    assert found["mini"].encoder is found["mini@32"].encoder


def test_parts_come_before_what_is_made_of_them(built):
    names = list(built(SWEEP))
    assert names.index("hybrid") > max(names.index("bm25"), names.index("mini@32"))


def test_only_brings_the_parts_along(built):
    assert set(built(SWEEP, only=["hybrid"])) >= {"hybrid", "bm25", "mini@32"}
    assert set(built(SWEEP, only=["bm25"])) == {"bm25"}


def test_selected_takes_a_table_for_all_that_it_expands_to(built):
    found = built(SWEEP)
    assert sorted(systems.selected(found, ["mini"])) == ["mini", "mini/int8", "mini@32", "mini@32/int8"]
    assert systems.selected(found, ["mini@32", "bm25"]) == ["mini@32", "mini@32/int8", "bm25"]
    assert systems.selected(found, None) == list(found)
    with pytest.raises(UsageError, match=r'No system "min"; expected one of .* Did you mean "mini"\?'):
        systems.selected(found, ["min"])


def test_name_that_is_none_is_refused_with_the_nearest(built):
    with pytest.raises(UsageError, match=r'No system "bm52" in the config; .*Did you mean "bm25"\?'):
        built(SWEEP, only=["bm52"])


def test_part_that_does_not_expand_is_refused(built):
    with pytest.raises(ConfigError, match=r'is made of "mini@16"; expected one of .*Did you mean "mini'):
        built(SWEEP.replace('"mini@32"', '"mini@16"'))


def test_systems_made_of_one_another_are_refused(built):
    circle = '[systems.a]\nkind = "hybrid"\nof = ["b", "c"]\n[systems.b]\nkind = "hybrid"\nof = ["a", "c"]\n'
    with pytest.raises(ConfigError, match="made of one another: a → b → a"):
        built(circle + '[systems.c]\nkind = "bm25"\n')
    with pytest.raises(ConfigError, match="made of one another: a → a"):
        built('[systems.a]\nkind = "hybrid"\nof = ["a", "a"]\n')


def test_unknown_kind_names_the_nearest():
    (sentence,) = table_problems("systems", {"kind": "hybird"}, "bench.toml: systems.x")
    assert sentence == (
        'bench.toml: systems.x.kind is "hybird"; expected one of bm25, dense, hybrid, python, rerank, trec-run. '
        'Did you mean "hybrid"?'
    )


def test_unknown_encoder_kind_names_the_nearest_and_leaves_out_rerankers(tmp_path):
    path = tmp_path / "bench.toml"
    path.write_text('suites = ["x"]\n[systems.m]\nkind = "dense"\nencoder = { kind = "locl" }\n')
    sentence = 'systems.m.encoder.kind is "locl"; expected one of local, mteb, openai. Did you mean "local"?'
    with pytest.raises(ConfigError, match=re.escape(sentence)):
        load_bench(path)


def test_unknown_reranker_kind_and_key_are_found_before_anything_is_built(tmp_path):
    def problems(table):
        return table_problems("systems", {"kind": "rerank", "first": "f", "reranker": table}, "bench.toml: systems.r")

    assert problems({"kind": "late", "model": "m"}) == [
        'bench.toml: systems.r.reranker.kind is "late"; expected one of cohere, cross-encoder, late-interaction. '
        "If it is a kind of another package, install that package."
    ]
    assert problems({"kind": "cross-encoder", "model": "m", "max_lenght": 3}) == [
        "bench.toml: systems.r.reranker: unknown key max_lenght; expected one of model, revision, max_length, device, "
        'batch_size, kind. Did you mean "max_length"?'
    ]
    assert problems({"kind": "late-interaction"}) == ["bench.toml: systems.r.reranker: model is missing."]


def test_unknown_reranker_of_a_recipe_is_found_when_the_config_is_read(tmp_path):
    path = tmp_path / "bench.toml"
    path.write_text(
        'suites = ["x"]\n[systems.bm25]\nkind = "bm25"\n[finetune.r]\nbase = "bm25"\n[finetune.r.negatives]\n'
        'from = ["bm25"]\ncheck = { reranker = { kind = "llm", model = "m" } }\n'
    )
    with pytest.raises(ConfigError) as caught:
        Workspace.open(path)
    assert 'finetune.r.negatives.check.reranker.kind is "llm"; expected one of cohere' in str(caught.value)


def test_dimension_beyond_the_encoder_is_refused(built):
    with pytest.raises(ConfigError, match=r"systems\.mini\.dims: 128 exceeds the encoder's 64 dimensions"):
        built(SWEEP.replace("[64, 32]", "[128, 32]"))


@pytest.mark.parametrize("dim", [0, -3])
def test_dimension_below_one_is_refused_before_anything_is_encoded(built, dim):
    with pytest.raises(ConfigError, match="dims"):
        built(SWEEP.replace("[64, 32]", f"[64, 32, {dim}]"))
