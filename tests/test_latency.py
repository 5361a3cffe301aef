"""Claims about latency: what is timed is one warm query, side by side, and ratios come from one process."""

import json
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from bench.base.errors import RunError, SystemFailed, UsageError
from bench.evaluation.evaluate import Evaluator
from bench.evaluation.latency import (
    Latency,
    _Clock,
    measure_latency,
    records_of,
    stored_latency,
    timed_query_set,
    untimed,
)
from bench.records import QuerySet, Ranked
from bench.retrieval.search import top_k
from bench.retrieval.systems import Context
from bench.retrieval.systems.bm25 import BM25
from bench.retrieval.systems.bm25 import Config as BM25Config
from bench.retrieval.systems.hybrid import Config as HybridConfig
from bench.retrieval.systems.hybrid import Fusion, Hybrid
from bench.retrieval.systems.rerank import Config as RerankConfig
from bench.retrieval.systems.rerank import Rerank
from bench.retrieval.systems.trec_run import Config as TrecConfig
from bench.retrieval.systems.trec_run import TrecRun


class Sleeper:
    """A system without an index of its own that takes a known time for each query."""

    kind, roles = "sleeper", None

    def __init__(self, name, ms, *, parts=(), salt=1):
        self.name, self.ms, self.parts, self.salt = name, ms, tuple(parts), salt
        self.asked = []

    def fingerprint(self):
        return {"kind": self.kind, "name": self.name, "ms": self.ms}

    def search(self, corpus, queries, *, depth, parts):
        self.asked.append(queries.ids)
        time.sleep(self.ms / 1000 * len(queries.ids))
        scores = np.asarray([[hash_of(q, d, self.salt) for d in corpus.ids] for q in queries.ids], dtype=np.float32)
        return Ranked(*top_k(scores, depth))


def hash_of(query_id, doc_id, salt):
    return (sum(map(ord, query_id)) * 31 + int(doc_id[1:]) * 17 * salt) % 101


class LengthScorer:
    """A reranker without a model: prefers documents whose length is near the query's. Counts its pairs."""

    def __init__(self):
        self.scored = 0

    def fingerprint(self):
        return {"kind": "length"}

    def score(self, pairs):
        self.scored += len(pairs)
        return np.asarray([-abs(len(q) - len(d)) for q, d in pairs], dtype=np.float32)


def bm25(**more):
    return BM25("bm25", BM25Config(kind="bm25", **more))


def fused(*of, name="hybrid"):
    return Hybrid(name, HybridConfig(kind="hybrid", of=list(of), fusion=Fusion(method="rrf")))


def reranked(first, store, *, depth=3):
    system = Rerank.__new__(Rerank)
    system.name, system.store, system.parts, system.roles = "reranked", store, (first,), None
    system.scorer, system.progress = LengthScorer(), lambda *_: None
    system.config = RerankConfig(
        kind="rerank", first=first, reranker={"kind": "cross-encoder", "model": "m"}, depth=depth
    )
    return system


@pytest.fixture
def evaluating(tiny_suite, store):
    """evaluating(system, …) → an evaluator of these systems on the tiny suite."""

    def build(*systems, suite=None):
        return Evaluator(suite or tiny_suite.suite, {system.name: system for system in systems}, store)

    return build


def by_name(record):
    return {timing.system: timing for timing in record.systems}


# --- what is timed ---


def test_ratio_of_two_systems_is_the_ratio_of_what_they_do(evaluating):
    evaluator = evaluating(Sleeper("fast", 3), Sleeper("slow", 9))
    record = measure_latency(evaluator, ["fast", "slow"], query_set="shop")
    times = by_name(record)
    assert (times["fast"].ms >= 3).all() and (times["slow"].ms >= 9).all()
    assert times["slow"].p50 / times["fast"].p50 == pytest.approx(3, rel=0.2)
    # Eight queries say nothing about a 95th percentile, and the bounds admit it.
    assert [(ratio.low, ratio.high) for ratio in record.ratios()] == [(None, None)] * 2
    slow, fast = stored_latency(evaluator, "slow", "fast", "shop")
    assert slow.tolist() == times["slow"].ms.tolist() and fast.tolist() == times["fast"].ms.tolist()


def test_records_of_results_time_most_of_them_as_they_are_now(evaluating, store):
    evaluator = evaluating(Sleeper("a", 1), Sleeper("b", 1, salt=3))
    results = evaluator.results(["a", "b"])
    assert records_of(store, results) == []
    measure_latency(evaluator, ["a", "b"], query_set="shop", n_queries=2, repetitions=1)
    # A later record of fewer systems does not hide the fuller one.
    measure_latency(evaluator, ["a"], query_set="shop", n_queries=2, repetitions=1)
    (record,) = records_of(store, results)
    assert [timing.system for timing in record.systems] == ["a", "b"]
    (record,) = records_of(store, [result for result in results if result.system == "b"])
    assert [timing.system for timing in record.systems] == ["b"]
    changed = [replace(result, system_digest="another") for result in results]
    assert records_of(store, changed) == []
    next(store.path("latency", "").glob("*.json")).write_text("{", encoding="utf-8")
    assert len(records_of(store, results)) == 1


def test_time_of_a_composed_system_includes_its_parts(evaluating):
    parts = Sleeper("a", 3), Sleeper("b", 4, salt=3)
    twice = Sleeper("on top", 2, parts=["hybrid", "a"])
    evaluator = evaluating(*parts, fused("a", "b"), twice)
    times = by_name(measure_latency(evaluator, ["hybrid", "on top", "a"], query_set="shop", repetitions=3))
    assert (times["hybrid"].ms >= 7).all()
    assert (times["on top"].ms >= 9).all()
    # Each of the three asks a once a query and repetition, and once to warm up: on top needs it twice.
    assert len([ids for ids in parts[0].asked if len(ids) == 1]) == 3 * (8 * 3 + 1)


def test_documents_come_from_the_cache_and_queries_are_encoded_each_time(evaluating, store, hash_encoder, dense_system):
    evaluator = evaluating(dense_system(hash_encoder, store))
    evaluator.results()
    before = hash_encoder.encoded
    measure_latency(evaluator, ["hash"], query_set="shop", n_queries=4, repetitions=3)
    # Four queries three times, and one to warm up.
    assert hash_encoder.encoded - before == 4 * 3 + 1


def test_pairs_are_read_each_time(evaluating, store):
    system = reranked("bm25", store)
    evaluator = evaluating(bm25(), system)
    evaluator.results()
    before = system.scorer.scored
    measure_latency(evaluator, ["reranked"], query_set="shop", n_queries=4, repetitions=2)
    held = (evaluator.run("bm25", evaluator.suite.query_sets["shop"]).docs[:, :3] >= 0).sum(axis=1)
    assert 9 * held.min() <= system.scorer.scored - before <= 9 * held.max()


@pytest.mark.parametrize("kind", ["dense", "dense int8", "dense binary-rescore", "bm25", "bm25+", "hybrid", "rerank"])
def test_one_warm_query_is_ranked_as_in_evaluation(evaluating, store, hash_encoder, dense_system, kind):
    name, _, precision = kind.partition(" ")
    # Products of whole numbers are exact, however many queries are multiplied at once.
    dense = dense_system(hash_encoder, store, precision=precision or "float32", similarity="dot")
    systems = {
        "dense": [dense],
        "bm25": [bm25()],
        "bm25+": [bm25(variant="bm25+")],
        "hybrid": [bm25(), dense, fused("bm25", "hash")],
        "rerank": [bm25(), reranked("bm25", store)],
    }[name]
    evaluator, name = evaluating(*systems), systems[-1].name
    query_set = evaluator.suite.query_sets["shop"]
    whole, clock = evaluator.run(name, query_set), _Clock(evaluator, query_set)
    for row, query_id in enumerate(query_set.ids):
        query = QuerySet.build("shop", "held-out", "manual", [(query_id, query_set.texts[row])])
        assert clock.answer(name, query)[0].ranking(0) == whole.ranking(row)


def test_query_that_finds_nothing_is_timed_too(evaluating, store, tiny_suite, hash_encoder, dense_system):
    changed = tiny_suite.edit("queries/shop.jsonl", "oil the chain", "zebra")
    systems = bm25(), dense_system(hash_encoder, store), fused("bm25", "hash"), reranked("bm25", store)
    evaluator = evaluating(*systems, suite=changed)
    record = measure_latency(evaluator, ["bm25", "hybrid", "reranked"], query_set="shop", repetitions=1)
    assert record.n_queries == 8
    assert all((timing.ms > 0).all() for timing in record.systems)


def test_systems_answer_side_by_side_and_in_changing_order(evaluating):
    log = []

    class Logged(Sleeper):
        def search(self, corpus, queries, **more):
            log.append((self.name, queries.ids))
            return super().search(corpus, queries, **more)

    evaluator = evaluating(*(Logged(name, 0) for name in "abc"))
    for name in "abc":
        evaluator.run(name, evaluator.suite.query_sets["shop"])
    log.clear()
    measure_latency(evaluator, list("abc"), query_set="shop", n_queries=6, repetitions=2)
    assert [name for name, _ in log[:3]] == list("abc"), "each answers once unmeasured"
    rounds = [log[i : i + 3] for i in range(3, len(log), 3)]
    assert len(rounds) == 12
    for answers in rounds:
        assert sorted(name for name, _ in answers) == list("abc")
        assert len({ids for _, ids in answers}) == 1
    assert [r[0][1] for r in rounds[:6]] == [r[0][1] for r in rounds[6:]], "repetitions are whole passes"
    assert len({tuple(name for name, _ in answers) for answers in rounds}) > 2


def test_same_seed_asks_the_same_queries(evaluating):
    evaluator = evaluating(Sleeper("a", 0))
    first, again, other = (
        measure_latency(evaluator, ["a"], query_set="shop", n_queries=3, repetitions=1, seed=seed).query_ids
        for seed in (0, 0, 1)
    )
    assert first == again != other


def test_torch_works_on_one_thread_while_timed_and_on_as_many_as_before_after(evaluating, monkeypatch):
    class Torch:
        threads, seen = 7, []

        def get_num_threads(self):
            return self.threads

        def set_num_threads(self, n):
            self.threads = n

    class Seeing(Sleeper):
        def search(self, corpus, queries, **more):
            torch.seen.append(torch.threads)
            return super().search(corpus, queries, **more)

    torch = Torch()
    monkeypatch.setitem(sys.modules, "torch", torch)
    record = measure_latency(evaluating(Seeing("a", 0)), ["a"], query_set="shop", n_queries=2, repetitions=2)
    # One query unmeasured, four timed, and the whole set once for evaluation.
    assert torch.seen == [7, 1, 1, 1, 1, 7]
    assert (record.torch_threads, torch.threads) == (1, 7)


# --- what is not timed ---


def test_run_files_have_no_latency_nor_what_is_made_of_them(evaluating, tmp_path, store):
    engine = TrecRun("engine", TrecConfig(kind="trec-run", runs={"shop": "shop.run"}), Context(tmp_path, store))
    evaluator = evaluating(engine, bm25(), fused("engine", "bm25"))
    assert set(untimed(evaluator, ["engine", "hybrid", "bm25"], "shop")) == {"engine", "hybrid"}
    for name in ("engine", "hybrid"):
        with pytest.raises(
            UsageError, match=rf'System "{name}" has no latency on "shop": it is, or is made of, another'
        ):
            measure_latency(evaluator, ["bm25", name], query_set="shop")


def test_system_of_other_roles_has_no_latency_there(evaluating):
    system = Sleeper("a", 0)
    system.roles = ["out-of-distribution"]
    assert untimed(evaluating(system), ["a"], "shop") == {"a": "its roles leave out held-out sets"}


def test_unknown_names_are_refused(evaluating):
    evaluator = evaluating(Sleeper("alpha", 0))
    with pytest.raises(UsageError, match=r'No system "alpa" to time; expected one of alpha\. Did you mean "alpha"'):
        measure_latency(evaluator, ["alpa"], query_set="shop")
    with pytest.raises(UsageError, match='No query set "shp" to time'):
        measure_latency(evaluator, ["alpha"], query_set="shp")
    with pytest.raises(UsageError, match="0 queries in 3 repetitions"):
        measure_latency(evaluator, ["alpha"], query_set="shop", n_queries=0)


def test_held_out_set_is_timed_where_none_is_named(evaluating, tiny_suite):
    assert timed_query_set(evaluating()) == "shop"
    phone = {"phone": tiny_suite.suite.query_sets["phone"]}
    assert timed_query_set(evaluating(suite=replace(tiny_suite.suite, query_sets=phone))) == "phone"
    with pytest.raises(UsageError, match="no held-out and no out-of-distribution"):
        timed_query_set(evaluating(suite=replace(tiny_suite.suite, query_sets={})))


def test_system_that_answers_single_queries_otherwise_is_refused(evaluating, store):
    class Lazy(Sleeper):
        def search(self, corpus, queries, **more):
            self.salt = 1 if len(queries.ids) > 1 else 7
            ranked = super().search(corpus, queries, **more)
            return ranked if self.salt == 1 else Ranked(ranked.docs[:, :2], ranked.scores[:, :2])

    with pytest.raises(SystemFailed, match="its times would be those of another system"):
        measure_latency(evaluating(Lazy("lazy", 0)), ["lazy"], query_set="shop")
    assert not list(store.root.glob("latency/*"))


def test_system_that_breaks_while_timed_is_named(evaluating):
    class Broken(Sleeper):
        def search(self, corpus, queries, **more):
            raise ValueError("out of cheese")

    with pytest.raises(SystemFailed, match='System "bad" failed on query "h1" of "shop": ValueError: out of cheese'):
        measure_latency(evaluating(Broken("bad", 0)), ["bad"], query_set="shop")


# --- what is kept ---


def quick(evaluator, *names):
    return measure_latency(evaluator, names, query_set="shop", repetitions=1)


def test_record_is_read_back_without_loss_and_cannot_be_written(evaluating, store):
    record = quick(evaluating(Sleeper("a", 0), Sleeper("b", 0)), "a", "b")
    (path,) = store.root.glob("latency/*.json")
    again = Latency.from_json(json.loads(path.read_text()))
    assert again.to_json() == record.to_json()
    assert again.environment["packages"]["numpy"] == np.__version__
    assert (again.n_docs, again.n_queries, again.depth) == (20, 8, 100)
    with pytest.raises(ValueError, match="read-only"):
        again.systems[0].ms[0] = 1


def test_times_of_two_processes_are_never_compared(evaluating):
    evaluator = evaluating(Sleeper("a", 0), Sleeper("b", 0))
    assert stored_latency(evaluator, "a", "b", "shop") is None
    quick(evaluator, "a")
    quick(evaluator, "b")
    assert stored_latency(evaluator, "a", "b", "shop") is None
    record = quick(evaluator, "a", "b")
    candidate, reference = stored_latency(evaluator, "b", "a", "shop")
    assert candidate.tolist() == by_name(record)["b"].ms.tolist()
    assert reference.tolist() == by_name(record)["a"].ms.tolist()
    assert stored_latency(evaluator, "a", "b", "phone") is None


def test_newest_record_is_used(evaluating):
    evaluator = evaluating(Sleeper("a", 0), Sleeper("b", 0), Sleeper("c", 0))
    quick(evaluator, "a", "b", "c")
    newest = quick(evaluator, "a", "b")
    assert stored_latency(evaluator, "a", "b", "shop")[0].tolist() == by_name(newest)["a"].ms.tolist()
    newest = quick(evaluator, "a", "b", "c")
    assert stored_latency(evaluator, "a", "b", "shop")[0].tolist() == by_name(newest)["a"].ms.tolist()


def test_changed_system_query_or_document_has_no_latency_and_a_changed_judgement_keeps_it(evaluating, tiny_suite):
    quick(evaluating(Sleeper("a", 0), Sleeper("b", 0)), "a", "b")

    def known(*systems, suite=None):
        return stored_latency(evaluating(*systems, suite=suite), "a", "b", "shop") is not None

    same = Sleeper("a", 0), Sleeper("b", 0)
    assert known(*same)
    assert not known(Sleeper("a", 0), Sleeper("b", 0.1))
    assert known(*same, suite=tiny_suite.edit("qrels/shop.tsv", "h7\td18\t1", "h7\td18\t2"))
    assert not known(*same, suite=tiny_suite.edit("suite.toml", "depth = 100", "depth = 3"))
    tiny_suite.edit("suite.toml", "depth = 3", "depth = 100")
    assert not known(*same, suite=tiny_suite.edit("queries/shop.jsonl", "oil the chain", "oil a chain"))
    tiny_suite.edit("queries/shop.jsonl", "oil a chain", "oil the chain")
    assert not known(*same, suite=tiny_suite.edit("corpus.jsonl", "wipe the rest off", "wipe the rest of"))


@pytest.mark.parametrize("text", ["", "[]", '{"format": 0}', '{"format": 1}', '{"format": 1, "systems": [1]}'])
def test_damaged_record_is_as_if_it_were_not_there(evaluating, store, text):
    evaluator = evaluating(Sleeper("a", 0), Sleeper("b", 0))
    quick(evaluator, "a", "b")
    (path,) = store.root.glob("latency/*.json")
    path.write_text(text)
    assert stored_latency(evaluator, "a", "b", "shop") is None


def test_empty_ranking_is_still_refused_in_evaluation(evaluating):
    evaluator = evaluating(Sleeper("a", 0))
    query_set = evaluator.suite.query_sets["shop"]
    nothing = Ranked(np.full((8, 1), -1), np.zeros((8, 1)))
    with pytest.raises(RunError, match="ranks no document for any of 8 queries"):
        evaluator.as_run("a", query_set, nothing)
    assert evaluator.as_run("a", query_set, nothing, empty=True).ranking(0) == []
