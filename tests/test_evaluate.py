"""Claims about evaluation: exactly what a change touches is made again, and nothing stale is ever read."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest

from bench.base.errors import BenchError, ConfigError, HeldOutError, MeasureError, RunError, SystemFailed, UsageError
from bench.base.store import Store
from bench.evaluation.evaluate import Evaluator, Missing, environment
from bench.records import Labels, QuerySet, Ranked
from bench.retrieval.embed import score_pairs
from bench.retrieval.search import top_k
from bench.retrieval.systems import Context
from bench.retrieval.systems.bm25 import BM25
from bench.retrieval.systems.bm25 import Config as BM25Config
from bench.retrieval.systems.hybrid import Config as HybridConfig
from bench.retrieval.systems.hybrid import Fusion, Hybrid
from bench.retrieval.systems.trec_run import Config as TrecConfig
from bench.retrieval.systems.trec_run import TrecRun
from bench.suites import suite as suite_module

N_DOCS, N_SHOP, N_PHONE = 20, 8, 3


class Counted:
    """A system that counts its searches."""

    def __init__(self, system):
        self._system, self.searches = system, []

    def __getattr__(self, name):
        if name.startswith("_"):  # a copy asks before there is a system to ask
            raise AttributeError(name)
        return getattr(self._system, name)

    def search(self, corpus, queries, **more):
        self.searches.append(queries.name)
        return self._system.search(corpus, queries, **more)


class Fixed:
    """A system that ranks by a function of (query id, document id)."""

    kind, parts, roles = "fixed", (), None

    def __init__(self, name, score, version=1):
        self.name, self.score, self.version = name, score, version

    def fingerprint(self):
        return {"kind": "fixed", "name": self.name, "version": self.version}

    def search(self, corpus, queries, *, depth, parts):
        scores = np.asarray([[self.score(q, d) for d in corpus.ids] for q in queries.ids], dtype=np.float32)
        # No deeper than asked for.
        return Ranked(*top_k(scores, depth))


def numbers(results):
    """What a result says, without how long it took and where."""
    found = []
    for result in results:
        document = result.to_json()
        for key in ("seconds", "environment"):
            del document[key]
        found.append(document)
    return found


@pytest.fixture
def fresh(tmp_path_factory, new_hash_encoder, dense_system):
    """fresh(suite, weights) → the results of a dense system in a store that nothing was ever written to."""

    def results(suite, weights="w0"):
        store = Store(tmp_path_factory.mktemp("fresh") / "store")
        return Evaluator(suite, {"hash": dense_system(new_hash_encoder(weights), store)}, store).results()

    return results


@pytest.fixture
def dense(store, dense_system):
    """dense(suite, encoder) → (evaluator, counted system) over the test's own store."""

    def build(suite, encoder, **more):
        system = Counted(dense_system(encoder, store))
        return Evaluator(suite, {"hash": system}, store, **more), system

    return build


# --- exactly what depends on a change is made again ---


def test_first_run_encodes_every_text_once_and_the_second_nothing(tiny_suite, dense, new_hash_encoder, fresh):
    encoder = new_hash_encoder()
    evaluator, system = dense(tiny_suite.suite, encoder)
    first = evaluator.results()
    assert encoder.encoded == N_DOCS + N_SHOP + N_PHONE
    assert system.searches == ["shop", "phone"]
    # Another process: another encoder, another evaluator, the same store.
    encoder = new_hash_encoder()
    evaluator, system = dense(tiny_suite.suite, encoder)
    second = evaluator.results()
    assert encoder.encoded == 0
    assert system.searches == []
    assert numbers(second) == numbers(first) == numbers(fresh(tiny_suite.suite))


def test_one_changed_weight_makes_everything_of_the_model_again(tiny_suite, dense, new_hash_encoder, fresh):
    before = dense(tiny_suite.suite, new_hash_encoder("w0"))[0].results()
    encoder = new_hash_encoder("w1")
    evaluator, system = dense(tiny_suite.suite, encoder)
    after = evaluator.results()
    assert encoder.encoded == N_DOCS + N_SHOP + N_PHONE
    assert system.searches == ["shop", "phone"]
    assert numbers(after) == numbers(fresh(tiny_suite.suite, "w1"))
    assert numbers(after) != numbers(before)
    # And back: the old rows and runs are still there.
    encoder = new_hash_encoder("w0")
    evaluator, system = dense(tiny_suite.suite, encoder)
    assert numbers(evaluator.results()) == numbers(before)
    assert (encoder.encoded, system.searches) == (0, [])


def test_one_changed_character_of_a_document_encodes_one_text_and_ranks_anew(
    tiny_suite, dense, new_hash_encoder, fresh
):
    before = dense(tiny_suite.suite, new_hash_encoder())[0].results()
    changed = tiny_suite.edit("corpus.jsonl", "wipe the rest off", "wipe the rest of")
    encoder = new_hash_encoder()
    evaluator, system = dense(changed, encoder)
    after = evaluator.results()
    assert encoder.encoded == 1
    assert system.searches == ["shop", "phone"]
    assert numbers(after) == numbers(fresh(changed))
    assert after[0].corpus_digest != before[0].corpus_digest


def test_one_changed_character_of_a_query_encodes_one_text_and_ranks_its_set_anew(
    tiny_suite, dense, new_hash_encoder, fresh
):
    dense(tiny_suite.suite, new_hash_encoder())[0].results()
    changed = tiny_suite.edit("queries/phone.jsonl", "bike in winter", "bike in winters")
    encoder = new_hash_encoder()
    evaluator, system = dense(changed, encoder)
    after = evaluator.results()
    assert encoder.encoded == 1
    assert system.searches == ["phone"]
    assert numbers(after) == numbers(fresh(changed))


@pytest.mark.parametrize(
    ("part", "old", "new"),
    [
        ("qrels/shop.tsv", "h7\td18\t1", "h7\td18\t2"),
        ("qrels/shop.tsv", "h7\td06\t2", "h7\td07\t2"),
        ("queries/shop.jsonl", '"slice": "tyres"', '"slice": "wheels"'),
        ("suite.toml", 'measures = ["recall@10",', 'measures = ["map", "recall@10",'),
        ("suite.toml", "relevance_level", "relevance_level"),
    ],
)
def test_changed_judgement_or_measure_costs_a_measuring_and_no_search(
    tiny_suite, dense, new_hash_encoder, fresh, part, old, new
):
    before = dense(tiny_suite.suite, new_hash_encoder())[0].results()
    if old == new:
        protocol = replace(tiny_suite.suite.protocol, relevance_level=2)
        changed = replace(tiny_suite.suite, protocol=protocol)
        # Grade 2 is held by the held-out set alone.
        wanted = ["shop"]
    else:
        changed, wanted = tiny_suite.edit(part, old, new), None
    encoder = new_hash_encoder()
    evaluator, system = dense(changed, encoder)
    after = evaluator.results(query_sets=wanted)
    assert (encoder.encoded, system.searches) == (0, [])
    if wanted is None:
        assert numbers(after) == numbers(fresh(changed))
    assert numbers(after) != numbers(before)


def test_changed_depth_ranks_anew_from_the_same_vectors(tiny_suite, dense, new_hash_encoder, fresh):
    dense(tiny_suite.suite, new_hash_encoder())[0].results()
    changed = tiny_suite.edit("suite.toml", "depth = 100", "depth = 3")
    encoder = new_hash_encoder()
    evaluator, system = dense(changed, encoder)
    after = evaluator.results()
    assert encoder.encoded == 0
    assert system.searches == ["shop", "phone"]
    assert numbers(after) == numbers(fresh(changed))


def test_renamed_system_is_not_evaluated_again_and_bears_its_new_name(
    tiny_suite, dense, store, new_hash_encoder, dense_system
):
    dense(tiny_suite.suite, new_hash_encoder())[0].results()
    encoder = new_hash_encoder()
    results = Evaluator(tiny_suite.suite, {"other": dense_system(encoder, store, name="other")}, store).results()
    assert encoder.encoded == 0
    assert [r.system for r in results] == ["other", "other"]


def test_five_dimensions_share_one_encoding(tiny_suite, store, hash_encoder, dense_system):
    systems = {f"hash@{d}": dense_system(hash_encoder, store, name=f"hash@{d}", dim=d) for d in (64, 32, 16, 8, 4)}
    results = Evaluator(tiny_suite.suite, systems, store).results()
    assert hash_encoder.encoded == N_DOCS + N_SHOP + N_PHONE
    assert len(results) == 10
    assert len({r.run_digest for r in results}) == 10


def test_every_precision_shares_one_encoding(tiny_suite, store, hash_encoder, dense_system):
    names = ("float32", "float16", "int8", "int4", "binary", "binary-rescore")
    systems = {p: dense_system(hash_encoder, store, name=p, precision=p) for p in names}
    Evaluator(tiny_suite.suite, systems, store).results()
    assert hash_encoder.encoded == N_DOCS + N_SHOP + N_PHONE


# --- results ---


def test_result_says_what_was_measured(tiny_suite, dense, new_hash_encoder):
    shop, phone = dense(tiny_suite.suite, new_hash_encoder())[0].results()
    assert (shop.query_set, shop.role, phone.query_set, phone.role) == (
        "shop", "held-out", "phone", "out-of-distribution",
    )  # fmt: skip
    assert shop.suite_digest == tiny_suite.suite.digest
    assert shop.scores.measures == tiny_suite.suite.protocol.measures
    assert shop.pinned[0]
    assert shop.clusters[3:5] == ("gears", "gears")
    assert shop.kind == "dense"
    assert shop.recipe["fingerprint"]["encoder"]["weights"] == "w0"
    assert shop.index_bytes == N_DOCS * 64 * 4
    assert {"encode_documents", "encode_queries", "search", "total"} <= set(shop.seconds)
    assert shop.environment["packages"]["numpy"] == np.__version__


def test_only_evaluation_sets_are_evaluated(tiny_suite, dense, new_hash_encoder):
    evaluator, system = dense(tiny_suite.suite, new_hash_encoder())
    evaluator.results()
    assert set(system.searches) == {"shop", "phone"}
    with pytest.raises(UsageError, match='no evaluation query set "dev"; expected one of shop, phone'):
        evaluator.results(query_sets=["dev"])
    with pytest.raises(UsageError, match='Did you mean "phone"'):
        evaluator.results(query_sets=["phon"])


def test_suite_without_evaluation_sets_is_refused(tiny_suite, dense, new_hash_encoder):
    suite = tiny_suite.suite
    training = replace(suite, query_sets={n: q for n, q in suite.query_sets.items() if q.role in ("train", "dev")})
    with pytest.raises(UsageError, match="has no held-out and no out-of-distribution query set"):
        dense(training, new_hash_encoder())[0].results()


def test_system_with_roles_is_evaluated_on_those_only(tiny_suite, store):
    system = Fixed("fixed", lambda q, d: int(d[1:]))
    system.roles = ["out-of-distribution"]
    assert [r.query_set for r in Evaluator(tiny_suite.suite, {"fixed": system}, store).results()] == ["phone"]


def test_misspelt_measure_is_refused_before_anything_is_encoded(tiny_suite, dense, new_hash_encoder):
    encoder = new_hash_encoder()
    changed = tiny_suite.edit("suite.toml", '"ndcg@10"', '"ndgc@10"')
    with pytest.raises(MeasureError, match='Did you mean "ndcg@10"'):
        dense(changed, encoder)[0].results()
    assert encoder.encoded == 0


def test_document_with_the_querys_id_is_dropped_where_the_suite_says_so(tiny_suite, store):
    path = tiny_suite.folder / "corpus.jsonl"
    path.write_text(
        path.read_text(encoding="utf-8") + '{"_id": "h1", "text": "the question itself"}\n', encoding="utf-8"
    )
    plain = suite_module.load(tiny_suite.folder)
    best = {"fixed": Fixed("fixed", lambda q, d: 100 if q == d else int(d[1:]))}
    assert Evaluator(plain, best, store).results()[0].top_ids[0][:2] == ("h1", "d20")
    dropping = tiny_suite.edit("suite.toml", "depth = 100", "depth = 20\ndrop_self = true")
    result = Evaluator(dropping, best, store).results()[0]
    assert result.top_ids[0][:2] == ("d20", "d19")
    # Asked for one more, so that the ranking is as deep as it would be without the drop.
    run = Evaluator(dropping, best, store).run("fixed", dropping.query_sets["shop"])
    assert len(run.ranking(0)) == 20
    assert "h1" in run.ranking(1)


# --- crashes, kills and damage ---


class Crashing(Fixed):
    def search(self, corpus, queries, *, depth, parts):
        raise ValueError("out of cheese")


def test_system_that_breaks_is_exit_code_4_and_earlier_results_are_kept(tiny_suite, store):
    good = Counted(Fixed("good", lambda q, d: int(d[1:])))
    systems = {"good": good, "bad": Crashing("bad", None)}
    sentence = 'System "bad" failed on query set "shop": ValueError: out of cheese'
    with pytest.raises(SystemFailed, match=sentence) as found:
        Evaluator(tiny_suite.suite, systems, store).results()
    assert found.value.exit_code == 4
    assert good.searches == ["shop", "phone"]
    Evaluator(tiny_suite.suite, systems, store).results(["good"])
    assert good.searches == ["shop", "phone"]


def test_encoder_that_returns_nan_is_exit_code_4_and_nothing_is_kept(tiny_suite, store, new_hash_encoder, dense_system):
    class Broken(type(new_hash_encoder())):
        def encode(self, texts):
            rows = super().encode(texts)
            rows[0, 0] = np.nan
            return rows

    with pytest.raises(SystemFailed, match=r"NaN or infinite numbers \(encode documents\)"):
        Evaluator(tiny_suite.suite, {"hash": dense_system(Broken(), store)}, store).results()
    assert not list(store.root.glob("runs/*"))
    assert not list(store.root.glob("embeddings/*/*.npz"))


def test_encoder_that_returns_another_size_is_exit_code_4(tiny_suite, store, new_hash_encoder, dense_system):
    class Short(type(new_hash_encoder())):
        def encode(self, texts):
            return super().encode(texts)[:, :32]

    with pytest.raises(SystemFailed, match=r"array \(20, 32\) for 20 texts of dimension 64"):
        Evaluator(tiny_suite.suite, {"hash": dense_system(Short(), store)}, store).results()


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_system_that_returns_no_numbers_is_an_error_and_nothing_is_kept(tiny_suite, store, score):
    with pytest.raises(BenchError, match="NaN or infinite"):
        Evaluator(tiny_suite.suite, {"fixed": Fixed("fixed", lambda q, d: score)}, store).results()
    assert not list(store.root.glob("runs/*"))


def test_system_that_ranks_nothing_is_refused(tiny_suite, store):
    class Silent(Fixed):
        def search(self, corpus, queries, *, depth, parts):
            return Ranked(np.full((len(queries.ids), 1), -1), np.zeros((len(queries.ids), 1)))

    with pytest.raises(RunError, match="ranks no document for any of 8 queries"):
        Evaluator(tiny_suite.suite, {"silent": Silent("silent", None)}, store).results()


def _truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


DAMAGE = {
    "truncated result": ("results/*.json", _truncate),
    "empty result": ("results/*.json", lambda p: p.write_bytes(b"")),
    "result of another format": ("results/*.json", lambda p: p.write_text(json.dumps({"format": 0}))),
    "result that is a list": ("results/*.json", lambda p: p.write_text("[]")),
    "truncated arrays": ("runs/*/arrays.npz", _truncate),
    "empty arrays": ("runs/*/arrays.npz", lambda p: p.write_bytes(b"")),
    "no arrays": ("runs/*/arrays.npz", lambda p: p.unlink()),
    "truncated record": ("runs/*/record.json", _truncate),
    "record that is a list": ("runs/*/record.json", lambda p: p.write_text("[]")),
    "record without ids": ("runs/*/record.json", lambda p: p.write_text('{"format": 1}')),
    "record with no ids": (
        "runs/*/record.json",
        lambda p: p.write_text(json.dumps(json.loads(p.read_text()) | {"doc_ids": []})),
    ),
    "record with null ids": (
        "runs/*/record.json",
        lambda p: p.write_text(json.dumps(json.loads(p.read_text()) | {"doc_ids": None})),
    ),
    "truncated vectors": ("embeddings/*/*.npz", _truncate),
    "empty vectors": ("embeddings/*/*.npz", lambda p: p.write_bytes(b"")),
}


@pytest.mark.parametrize("damage", list(DAMAGE))
def test_damaged_file_of_the_store_is_made_again(tiny_suite, dense, store, new_hash_encoder, damage):
    before = dense(tiny_suite.suite, new_hash_encoder())[0].results()
    pattern, spoil = DAMAGE[damage]
    paths = list(store.root.glob(pattern))
    assert paths
    for path in paths:
        spoil(path)
    if not pattern.startswith("results"):
        # Results would answer without a look at what they were made from.
        for path in store.root.glob("results/*.json"):
            path.unlink()
    if pattern.startswith("embeddings"):
        for path in store.root.glob("runs/*/record.json"):
            path.unlink()
    after = dense(tiny_suite.suite, new_hash_encoder())[0].results()
    assert numbers(after) == numbers(before)


# --- a retriever that fell back in silence ---


def asked_of_every_document(suite):
    """The suite with 20 held-out queries, each the beginning of the document that answers it."""
    corpus = suite.corpora["manual"]
    texts = [" ".join(text.split()[:5]) for text in corpus.texts]
    asked = QuerySet.build("shop", "held-out", "manual", zip([f"h{i}" for i in range(20)], texts, strict=True))
    qrels = {query_id: {doc_id: 1} for query_id, doc_id in zip(asked.ids, corpus.ids, strict=True)}
    return replace(
        suite, query_sets={**suite.query_sets, "shop": asked}, labels={**suite.labels, "shop": Labels(qrels)}
    )


def scattered(salt):
    """Another order for every query, the same each time."""
    return lambda q, d: int(hashlib.blake2b(f"{salt}{q}{d}".encode(), digest_size=3).hexdigest(), 16)


class Echo(Fixed):
    """A composed system that answers with its first part's ranking, and one query turned round if asked to."""

    def __init__(self, parts, kind="echo", *, turned=0, **more):
        super().__init__("echo", None, version=turned)
        self.parts, self.kind, self.turned = tuple(parts), kind, turned
        self.__dict__.update(more)

    def search(self, corpus, queries, *, depth, parts):
        rows = np.asarray([corpus.row_of[doc_id] for doc_id in parts[0].doc_ids])
        scores = parts[0].scores.copy()
        scores[: self.turned] *= -1
        return Ranked(rows[parts[0].docs], scores)


def answered(suite, store, system, *parts):
    run = Evaluator(suite, {part.name: part for part in parts} | {"echo": system}, store).run(
        "echo", suite.query_sets["shop"]
    )
    # Not refused means ranked: every query has its documents.
    assert run.query_ids == suite.query_sets["shop"].ids
    assert (run.docs[:, 0] >= 0).all()
    return run


def test_hybrid_that_ranks_as_one_part_is_exit_code_4_made_or_stored(tiny_suite, store):
    suite = asked_of_every_document(tiny_suite.suite)
    parts = Fixed("a", scattered("a")), Fixed("b", scattered("b"))
    sentence = (
        'System "echo" ranks exactly as its part "a" on every one of 20 queries of "shop": the other part contributed '
        "nothing. Check what b ranks alone"
    )
    counted = Counted(Echo(["a", "b"]))
    for _ in range(2):
        with pytest.raises(SystemFailed, match=sentence) as found:
            answered(suite, store, counted, *parts)
        assert found.value.exit_code == 4
    assert counted.searches == ["shop"], "the second time the stored run was looked at"


def test_one_query_ranked_otherwise_is_no_fallback(tiny_suite, store):
    suite = asked_of_every_document(tiny_suite.suite)
    answered(suite, store, Echo(["a", "b"], turned=1), Fixed("a", scattered("a")), Fixed("b", scattered("b")))
    answered(suite, store, Echo(["a"], turned=1), Fixed("a", scattered("a")))


@pytest.mark.parametrize("weight", [0, 1.0])
def test_hybrid_whose_weight_wants_one_part_alone_may_rank_as_it(tiny_suite, store, weight):
    suite = asked_of_every_document(tiny_suite.suite)
    answered(suite, store, Echo(["a", "b"], weight=weight), Fixed("a", scattered("a")), Fixed("b", scattered("b")))


def test_hybrid_of_parts_that_agree_is_refused_only_where_they_are_of_two_kinds(tiny_suite, store):
    suite = asked_of_every_document(tiny_suite.suite)
    first, second = Fixed("a", scattered("a")), Fixed("b", scattered("a"))
    answered(suite, store, Echo(["a", "b"]), first, second)
    second.kind = "python"  # such as an endpoint that answers from the index of words
    with pytest.raises(SystemFailed, match="the other part contributed nothing"):
        answered(suite, store, Echo(["a", "b"]), first, second)


def test_reranker_that_changes_no_order_is_exit_code_4(tiny_suite, store):
    suite = asked_of_every_document(tiny_suite.suite)
    with pytest.raises(SystemFailed, match='as its part "a" on every one of 20 queries of "shop": it changed no order'):
        answered(suite, store, Echo(["a"]), Fixed("a", scattered("a")))
    # Two documents a query are 20 chances to agree: too few to say.
    answered(suite, store, Echo(["a"], reorders=2), Fixed("a", scattered("a")))


def test_few_queries_prove_no_fallback(tiny_suite, store):
    answered(tiny_suite.suite, store, Echo(["a"]), Fixed("a", scattered("a")))


def test_fused_and_reranked_systems_that_work_pass_the_guard(tiny_suite, store, hash_encoder, dense_system):
    suite = asked_of_every_document(tiny_suite.suite)
    systems = hybrid(words(), dense_system(hash_encoder, store), weight=0.5)
    assert len(Evaluator(suite, systems, store).results()) == 6


def test_system_that_does_not_look_at_the_query_is_exit_code_4(tiny_suite, store):
    suite = asked_of_every_document(tiny_suite.suite)
    with pytest.raises(SystemFailed, match="same documents in the same order on every one of 20 queries"):
        Evaluator(suite, {"fixed": Fixed("fixed", lambda q, d: int(d[1:]))}, store).results()


@pytest.mark.parametrize(
    ("encode", "sentence"),
    [
        (lambda n: np.ones((n, 64)), r"one and the same vector for all documents \(20 different ones\)"),
        (lambda n: np.eye(n, 64) * (np.arange(n) < 9)[:, None], "nothing but zeros for 11 of 20 different document"),
    ],
)
def test_encoder_without_content_is_exit_code_4(tiny_suite, store, new_hash_encoder, dense_system, encode, sentence):
    class Empty(type(new_hash_encoder())):
        def encode(self, texts):
            return encode(len(texts)).astype(np.float32)

    with pytest.raises(SystemFailed, match=sentence) as found:
        Evaluator(tiny_suite.suite, {"hash": dense_system(Empty(), store)}, store).results()
    assert found.value.exit_code == 4


def test_reranker_that_gives_every_pair_one_score_is_exit_code_4(store):
    class Constant:
        def fingerprint(self):
            return {"kind": "constant"}

        def score(self, pairs):
            return np.full(len(pairs), 0.5, dtype=np.float32)

    pairs = [("query", f"document {i}") for i in range(20)]
    with pytest.raises(SystemFailed, match=r"one and the same score to all pairs \(20 different ones\)"):
        score_pairs(Constant(), pairs, store=store)
    assert not list(store.root.glob("pairs/*/*.npz"))
    assert len(score_pairs(Constant(), pairs[:19], store=store).rows) == 19


def test_run_with_constant_scores_is_refused(tiny_suite, store):
    with pytest.raises(RunError, match='"fixed" on "shop": scores are constant under every one of 8 queries'):
        Evaluator(tiny_suite.suite, {"fixed": Fixed("fixed", lambda q, d: int(q[1:]))}, store).results()


# --- only stored ones ---


def test_missing_result_names_the_line_that_makes_it(tiny_suite, dense, new_hash_encoder):
    encoder = new_hash_encoder()
    evaluator, system = dense(tiny_suite.suite, encoder, make=False)
    with pytest.raises(Missing) as found:
        evaluator.results()
    assert f"bench run --suite {tiny_suite.folder.as_posix()} --system hash" in str(found.value)
    assert found.value.exit_code == 2
    assert (encoder.encoded, system.searches) == (0, [])


def test_stored_results_are_enough_where_nothing_may_be_made(tiny_suite, dense, new_hash_encoder):
    made = dense(tiny_suite.suite, new_hash_encoder())[0].results()
    encoder = new_hash_encoder()
    evaluator, system = dense(tiny_suite.suite, encoder, make=False)
    assert numbers(evaluator.results()) == numbers(made)
    # A changed judgement needs no new run either.
    changed = tiny_suite.edit("qrels/shop.tsv", "h7\td18\t1", "h7\td18\t2")
    evaluator, system = dense(changed, encoder, make=False)
    assert evaluator.results()[0].labels_digest != made[0].labels_digest
    assert (encoder.encoded, system.searches) == (0, [])


def test_stored_ranking_is_reused_where_documents_were_cut_off(tiny_suite, store):
    shallow = tiny_suite.edit("suite.toml", "depth = 100", "depth = 3")

    class Deep(Fixed):
        """Ranks twice as many documents as it is asked for, as another engine's run file may."""

        def search(self, corpus, queries, *, depth, parts):
            searches.append(queries.name)
            return super().search(corpus, queries, depth=2 * depth, parts=parts)

    searches = []
    deep = {"deep": Deep("deep", lambda q, d: (hash((q, d)) % 997) / 997)}
    first = Evaluator(shallow, deep, store).results()
    assert searches == ["shop", "phone"]
    # Another judgement: what is measured changes, the rankings do not.
    changed = tiny_suite.edit("qrels/shop.tsv", "h7\td18\t1", "h7\td18\t2")
    second = Evaluator(changed, deep, store, make=False).results()
    assert [result.run_digest for result in second] == [result.run_digest for result in first]
    assert searches == ["shop", "phone"]


def test_changed_model_has_no_stored_result(tiny_suite, dense, new_hash_encoder):
    dense(tiny_suite.suite, new_hash_encoder("w0"))[0].results()
    with pytest.raises(Missing):
        dense(tiny_suite.suite, new_hash_encoder("w1"), make=False)[0].results()


# --- fusion: the weight is tuned on dev, and on nothing else ---


def hybrid(first, second, **fusion):
    config = HybridConfig(kind="hybrid", of=[first.name, second.name], fusion=Fusion(method="convex", **fusion))
    return {first.name: first, second.name: second, "hybrid": Hybrid("hybrid", config)}


def words():
    return BM25("bm25", BM25Config(kind="bm25"))


GOOD_ON_DEV = {"v1": "d14", "v2": "d16", "v3": "d05"}


def _good(q, d):
    return 1000 if GOOD_ON_DEV.get(q) == d else int(d[1:])


def _bad(q, d):
    return -1000 if GOOD_ON_DEV.get(q) == d else int(d[1:])


def by_mrr(suite):
    """The suite measured by mrr@10 alone, which one document's place decides."""
    return replace(suite, protocol=replace(suite.protocol, measures=("mrr@10",)))


def tuned(suite, systems, store):
    """The weight that the hybrid's results were made with."""
    found = {r.recipe["fingerprint"]["weight"] for r in Evaluator(suite, systems, store).results(["hybrid"])}
    assert len(found) == 1
    return found.pop()


@pytest.mark.parametrize(("first", "second", "side"), [(_good, _bad, "first"), (_bad, _good, "second")])
def test_weight_goes_to_the_system_that_is_better_on_dev(tiny_suite, store, first, second, side):
    weight = tuned(by_mrr(tiny_suite.suite), hybrid(Fixed("a", first), Fixed("b", second)), store)
    assert (weight < 0.5) if side == "first" else (weight > 0.5)


def test_weights_tried_are_told_from_the_store(tiny_suite, store):
    suite, systems = by_mrr(tiny_suite.suite), hybrid(Fixed("a", _good), Fixed("b", _bad))
    assert Evaluator(suite, systems, store, make=False).weights_tried("hybrid") == {}
    chosen = tuned(suite, systems, store)
    tried = Evaluator(suite, hybrid(Fixed("a", _good), Fixed("b", _bad)), store, make=False).weights_tried("hybrid")
    assert len(tried) == 21 and tried[0.0] == 1.0 and tried[chosen] == max(tried.values())
    assert Evaluator(suite, systems, store).weights_tried("a") == {}
    fixed = hybrid(Fixed("a", _good), Fixed("b", _bad), weight=0.25)
    assert Evaluator(suite, fixed, store).weights_tried("hybrid") == {}


def test_equal_systems_share_equally(tiny_suite, store):
    assert tuned(tiny_suite.suite, hybrid(Fixed("a", _good), Fixed("b", _good)), store) == 0.5


def test_weight_is_tuned_on_dev_even_where_the_held_out_judgements_ask_for_another(tiny_suite, tmp_path):
    asked = tiny_suite.suite.qrels("shop")

    def bad_on_dev_good_on_held_out(q, d):
        return 1000 if asked.get(q, {}).get(d) else _bad(q, d)

    def good_on_dev_bad_on_held_out(q, d):
        return -1000 if asked.get(q, {}).get(d) else _good(q, d)

    def weight(suite, place):
        systems = hybrid(Fixed("a", bad_on_dev_good_on_held_out), Fixed("b", good_on_dev_bad_on_held_out))
        return tuned(by_mrr(suite), systems, Store(tmp_path / place))

    before = weight(tiny_suite.suite, "one")
    # Eight held-out queries would say "all to the first", three dev queries say the opposite.
    assert before > 0.5
    path = tiny_suite.folder / "qrels" / "shop.tsv"
    path.write_text("query-id\tcorpus-id\tscore\n" + "".join(f"h{i}\td20\t1\n" for i in range(1, 9)))
    changed = suite_module.load(tiny_suite.folder)
    assert changed.labels["shop"].digest != tiny_suite.suite.labels["shop"].digest
    assert weight(changed, "two") == weight(changed, "one") == before


def test_changed_dev_judgements_tune_the_weight_anew(tiny_suite, store):
    def weight(suite):
        return tuned(by_mrr(suite), hybrid(Fixed("a", _bad), Fixed("b", _good)), store)

    before = weight(tiny_suite.suite)
    path = tiny_suite.folder / "qrels" / "dev.tsv"
    path.write_text("query-id\tcorpus-id\tscore\nv1\td20\t1\nv2\td20\t1\nv3\td20\t1\n")
    assert weight(suite_module.load(tiny_suite.folder)) != before


def test_tuning_without_a_dev_set_is_refused(tiny_suite, store):
    suite = tiny_suite.suite
    bare = replace(suite, query_sets={n: q for n, q in suite.query_sets.items() if q.role != "dev"})
    with pytest.raises(ConfigError, match=r"has no query set of role dev.*fusion.weight = 0.5"):
        Evaluator(bare, hybrid(Fixed("a", _good), Fixed("b", _bad)), store).results(["hybrid"])


def test_stated_weight_is_not_tuned(tiny_suite, store):
    assert tuned(tiny_suite.suite, hybrid(Fixed("a", _good), Fixed("b", _bad), weight=0.3), store) == 0.3


def test_changed_part_changes_the_hybrid(tiny_suite, store):
    def run(version):
        systems = hybrid(Fixed("a", _good, version), Fixed("b", _bad), weight=0.3)
        evaluator = Evaluator(tiny_suite.suite, systems, store)
        return evaluator.run_key("hybrid", tiny_suite.suite.query_sets["shop"])

    assert run(1) == run(1) != run(2)


def test_missing_hybrid_names_the_hybrid_and_not_a_part_on_dev(tiny_suite, store):
    systems = hybrid(Fixed("a", _good), Fixed("b", _bad))
    with pytest.raises(Missing, match="--system hybrid"):
        # `bench run --system a` evaluates no dev set, and so would never mend it.
        Evaluator(tiny_suite.suite, systems, store, make=False).results(["hybrid"])


def test_systems_shared_by_two_suites_keep_each_suites_own_weight(tiny_suite, store, tmp_path):
    first = by_mrr(tiny_suite.suite)
    path = tiny_suite.folder / "qrels" / "dev.tsv"
    path.write_text("query-id\tcorpus-id\tscore\nv1\td20\t1\nv2\td20\t1\nv3\td20\t1\n")
    second = by_mrr(suite_module.load(tiny_suite.folder))

    def score(q, d):
        return int(d[1:])

    def alone(suite, place):
        systems = hybrid(Fixed("a", _good), Fixed("b", lambda q, d: -score(q, d)))
        return Evaluator(suite, systems, Store(tmp_path / place)).run("hybrid", suite.query_sets["shop"]).digest

    wanted = alone(first, "one")
    systems = hybrid(Fixed("a", _good), Fixed("b", lambda q, d: -score(q, d)))
    one, two = Evaluator(first, systems, store), Evaluator(second, systems, store)
    keys = [one.run_key("hybrid", first.query_sets["shop"]), two.run_key("hybrid", second.query_sets["shop"])]
    assert keys[0] != keys[1], "both suites tune to one weight; the test needs two"
    # The second suite has tuned in between; the first one's run is still made with the first one's weight.
    assert one.run("hybrid", first.query_sets["shop"]).digest == wanted


def test_hybrid_of_run_files_is_made_for_each_query_set(tiny_suite, store, tmp_path):
    suite = tiny_suite.suite
    again = replace(suite.query_sets["shop"], name="again")
    suite = replace(
        suite,
        query_sets={**suite.query_sets, "again": again},
        labels={**suite.labels, "again": suite.labels["shop"]},
    )
    # Two sets with the same queries, and two files that answer them in opposite ways.
    for name, sign in (("shop", 1), ("again", -1)):
        lines = [f"{q} Q0 {d} 1 {sign * int(d[1:])} t\n" for q in again.ids for d in suite.corpora["manual"].ids]
        (tmp_path / f"{name}.run").write_text("".join(lines))
    config = TrecConfig(kind="trec-run", runs={"shop": "shop.run", "again": "again.run"})
    engine = TrecRun("engine", config, Context(tmp_path, store))
    both = Hybrid("hybrid", HybridConfig(kind="hybrid", of=["engine", "engine"], fusion=Fusion(method="rrf")))
    evaluator = Evaluator(suite, {"engine": engine, "hybrid": both}, store)
    shop, other = (evaluator.run("hybrid", suite.query_sets[name]) for name in ("shop", "again"))
    assert shop.ranking(0)[0] == "d20"
    assert other.ranking(0)[0] == "d01"


def test_bm25_and_a_dense_system_fuse_from_the_suites_own_files(tiny_suite, store, hash_encoder, dense_system):
    systems = hybrid(words(), dense_system(hash_encoder, store))
    results = {(r.system, r.query_set): r for r in Evaluator(tiny_suite.suite, systems, store).results()}
    assert len(results) == 6
    assert results["bm25", "shop"].scores.means()["recall@10"] > 0.8
    assert results["hybrid", "shop"].recipe["parts"] == ["bm25", "hash"]
    assert 0 <= results["hybrid", "shop"].recipe["fingerprint"]["weight"] <= 1


def test_training_code_cannot_reach_what_the_evaluator_measures(tiny_suite):
    with pytest.raises(HeldOutError):
        suite_module.training_set(tiny_suite.suite, "shop")


def test_environment_names_versions_without_importing_models():
    found = environment()
    assert found["packages"]["numpy"] == np.__version__
    assert json.loads(json.dumps(found)) == found
