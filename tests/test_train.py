"""Pairs, hard negatives and fine-tuning; models are tiny and made here, so nothing is downloaded."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from bench.base.errors import ConfigError, HeldOutError, PairsError
from bench.config import BenchConfig, FinetuneConfig, NegativesConfig
from bench.evaluation.evaluate import Evaluator
from bench.retrieval.encoders import find_model, weights_digest
from bench.retrieval.encoders.local import Config, LocalEncoder
from bench.retrieval.systems import Context
from bench.retrieval.systems.bm25 import BM25
from bench.retrieval.systems.bm25 import Config as BM25Config
from bench.retrieval.systems.rerank import Config as RerankConfig
from bench.retrieval.systems.rerank import Rerank
from bench.suites import suite as suite_module
from bench.suites.snapshot import of_suite, read_snapshot
from bench.train.fitting.finetune import finetune
from bench.train.fitting.rows import length_batches
from bench.train.loading import from_suite, load
from bench.train.mining import mine
from bench.train.models import lineage
from bench.train.pairs import Pair, Pairs, read_pairs, write_pairs


@pytest.fixture
def bm25():
    return BM25("bm25", BM25Config.model_validate({"kind": "bm25"}))


@pytest.fixture
def evaluator(tiny_suite, store, bm25, hash_encoder, dense_system):
    dense = dense_system(hash_encoder, store)
    return Evaluator(tiny_suite.suite, {"bm25": bm25, "hash": dense}, store)


T1 = "new tyre pressure"


def _settings(**more):
    return NegativesConfig.model_validate({"from": ["bm25", "hash"], **more})


# --- pairs -----------------------------------------------------------------------------------------


def test_pairs_come_from_training_sets_only(tiny_suite):
    pairs = from_suite(tiny_suite.suite)
    assert {pair.provenance["query_set"] for pair in pairs.pairs} == {"train"}
    assert {(pair.query_id, pair.doc_id) for pair in pairs.pairs} == {("t1", "d02"), ("t2", "d12")}


@pytest.mark.parametrize("name", ["shop", "phone"])
def test_held_out_sets_are_refused_by_role(tiny_suite, name):
    with pytest.raises(HeldOutError, match="training opens only train and dev"):
        load([name], tiny_suite.suite, base=tiny_suite.folder)


def test_training_query_that_is_an_evaluation_query_is_dropped(tiny_suite):
    changed = tiny_suite.edit("queries/train.jsonl", "saddle too high", "Oil  the CHAIN")
    pairs = from_suite(changed)
    assert pairs.dropped == ("t2",)
    assert {pair.query_id for pair in pairs.pairs} == {"t1"}


def test_share_takes_whole_queries_and_smaller_shares_are_nested():
    made = [Pair(f"q{i}", f"query {i // 2}", f"d{i}", "text", "c", "expert") for i in range(40)]
    whole = Pairs(tuple(made), (), ("test",))
    half, quarter = whole.part(0.5, seed=1), whole.part(0.25, seed=1)
    assert [len(part.pairs) for part in (half, quarter)] == [20, 10]
    assert {p.query_id for p in quarter.pairs} < {p.query_id for p in half.pairs}
    assert all(sum(other.key == p.key for other in half.pairs) == 2 for p in half.pairs)
    assert whole.part(0.5, seed=2).digest != half.digest


def test_pair_file_gives_back_what_was_written(tiny_suite, tmp_path):
    pairs = from_suite(tiny_suite.suite).pairs
    assert write_pairs(tmp_path / "a/pairs.jsonl", pairs, {"made_by": "test"}) == len(pairs)
    header, found = read_pairs(tmp_path / "a/pairs.jsonl")
    assert header == {"format": 1, "kind": "pairs", "pairs": len(pairs), "made_by": "test"}
    assert tuple(found) == pairs


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("nonsense", "line 2: expected a JSON object"),
        ('{"query": "q", "document": " ", "origin": "faq"}', '"document" is'),
        ('{"query": "q", "document": "d", "origin": "export"}', 'Did you mean "expert"?'),
        ('{"query": "q", "document": "d", "origin": "faq", "weight": 0}', "expected a number above 0"),
        ('{"query": "q", "document": "d", "origin": "faq", "grade": 0}', "expected a whole number above 0"),
        ('{"query": "q", "document": "d", "origin": "faq", "wieght": 1}', 'Did you mean "weight"?'),
        ('{"query": "q", "document": "d", "origin": "faq", "provenance": {"line": 3}}', "expected texts by name"),
    ],
)
def test_line_that_is_no_pair_is_refused_with_its_number(tmp_path, line, says):
    path = tmp_path / "pairs.jsonl"
    path.write_text('{"format": 1, "kind": "pairs"}\n' + line + "\n")
    with pytest.raises(PairsError, match="line 2") as caught:
        read_pairs(path)
    assert says in str(caught.value)


def test_file_without_a_header_is_no_pair_file(tmp_path):
    (tmp_path / "pairs.jsonl").write_text('{"query": "q", "document": "d", "origin": "faq"}\n')
    with pytest.raises(PairsError, match="expected the header of a pair file"):
        read_pairs(tmp_path / "pairs.jsonl")


# --- hard negatives --------------------------------------------------------------------------------


def test_no_known_positive_becomes_a_negative(evaluator):
    pairs = from_suite(evaluator.suite)
    negatives = mine(evaluator, pairs, _settings(per_query=5, relative_margin=0.0))
    assert set(negatives.doc_ids) == {pair.key for pair in pairs.pairs}
    for pair in pairs.pairs:
        doc_ids = negatives.doc_ids[pair.key]
        positives = {d for d, g in evaluator.suite.qrels("train")[pair.query_id].items() if g > 0}
        assert len(doc_ids) == len(set(doc_ids)) == 5
        assert not positives & set(doc_ids)


def test_copy_of_a_positive_under_another_id_is_no_negative(tiny_suite, store, bm25):
    corpus = tiny_suite.folder / "corpus.jsonl"
    row = next(json.loads(line) for line in corpus.read_text().splitlines() if '"d02"' in line)
    corpus.write_text(corpus.read_text() + json.dumps(row | {"_id": "copy"}) + "\n")
    evaluator = Evaluator(suite_module.load(tiny_suite.folder), {"bm25": bm25}, store)
    negatives = mine(evaluator, from_suite(evaluator.suite), NegativesConfig.model_validate({"from": ["bm25"]}))
    assert "copy" not in negatives.doc_ids["manual", T1]
    assert negatives.report.copies_of_positives >= 1


def test_margin_is_kept_to_the_weakest_positive(tiny_suite, store, hash_encoder, dense_system):
    def unit(text):
        row = hash_encoder.encode([text])[0]
        return row / np.linalg.norm(row)

    corpus, query = tiny_suite.suite.corpora["manual"], unit("new tyre pressure")
    score = {d: float(unit(t) @ query) for d, t in zip(corpus.ids, corpus.texts, strict=True)}
    best = sorted(score, key=lambda d: -score[d])
    # The fifth best is a positive too, and with d02 the weakest one: what lies between the two is too close.
    qrels = tiny_suite.folder / "qrels/train.tsv"
    qrels.write_text(qrels.read_text() + f"t1\t{best[4]}\t1\n")
    suite = suite_module.load(tiny_suite.folder)
    evaluator = Evaluator(suite, {"hash": dense_system(hash_encoder, store)}, store)
    settings = NegativesConfig.model_validate({"from": ["hash"], "per_query": 3, "relative_margin": 0.1})
    negatives = mine(evaluator, from_suite(suite), settings)
    ceiling = min(score["d02"], score[best[4]]) * 0.9
    allowed = [d for d in best if score[d] <= ceiling + 1e-6 and d not in ("d02", best[4])]
    assert negatives.report.too_close >= 3
    assert [score[d] for d in negatives.doc_ids["manual", T1]] == pytest.approx([score[d] for d in allowed[:3]])


def test_mining_twice_gives_the_same_negatives(evaluator):
    pairs = from_suite(evaluator.suite)
    first = mine(evaluator, pairs, _settings(random_per_query=2), seed=3)
    assert first.digest == mine(evaluator, pairs, _settings(random_per_query=2), seed=3).digest
    assert first.digest != mine(evaluator, pairs, _settings(random_per_query=2), seed=4).digest


def test_mining_reads_no_held_out_judgement(tiny_suite, store, bm25):
    before = mine(
        Evaluator(tiny_suite.suite, {"bm25": bm25}, store),
        from_suite(tiny_suite.suite),
        NegativesConfig.model_validate({"from": ["bm25"]}),
    )
    changed = tiny_suite.edit("qrels/shop.tsv", "h7\td18\t1", "h7\td19\t2")
    after = mine(
        Evaluator(changed, {"bm25": bm25}, store),
        from_suite(changed),
        NegativesConfig.model_validate({"from": ["bm25"]}),
    )
    assert before.digest == after.digest


# --- fine-tuning -----------------------------------------------------------------------------------


def _recipe(folder, **more):
    table = {
        "base": str(folder),
        "matryoshka": [32, 16],
        "negatives": {"from": ["bm25"]},
        "batch_size": 2,
        "learning_rate": 1e-3,
        "epochs": 2,
    }
    return FinetuneConfig.model_validate(table | more)


def test_bi_encoder_is_trained_once_and_loads_in_plain_sentence_transformers(tiny_suite, store, bm25, tiny_model):
    from sentence_transformers import SentenceTransformer

    evaluator = Evaluator(tiny_suite.suite, {"bm25": bm25}, store)
    steps = []
    (model,) = finetune(
        "tiny",
        _recipe(tiny_model),
        evaluator=evaluator,
        base=tiny_suite.folder,
        progress=lambda stage, done, total: steps.append((stage, done, total)),
    )
    assert model.made
    assert weights_digest(model.folder) != weights_digest(tiny_model)
    assert model.lineage["weights"] == weights_digest(model.folder)
    assert model.lineage["base"]["weights"] == weights_digest(tiny_model)
    assert model.lineage["data"]["pairs"] == 2
    assert model.lineage["history"]
    # What it knew is kept beside it, and is no part of its weights.
    known = read_snapshot(model.folder / "reference.jsonl")
    assert known == of_suite(tiny_suite.suite, "train")
    assert model.lineage["data"]["reference"]["digest"] == known.digest
    assert any(stage == "fine-tune bi-encoder" and done == total for stage, done, total in steps)
    assert SentenceTransformer(str(model.folder), device="cpu").encode(["brake"]).shape == (1, 32)
    assert find_model("finetune:tiny", base=tiny_suite.folder, models=store.root / "models") == model.folder
    assert find_model("finetune:tiny/seed-0", base=tiny_suite.folder, models=store.root / "models") == model.folder

    (again,) = finetune("tiny", _recipe(tiny_model), evaluator=evaluator, base=tiny_suite.folder)
    assert not again.made
    assert again.folder == model.folder


def test_same_seed_gives_the_same_weights_and_another_seed_others(tiny_suite, store, bm25, tiny_model):
    evaluator = Evaluator(tiny_suite.suite, {"bm25": bm25}, store)
    first, second = finetune("a", _recipe(tiny_model, seeds=[0, 1]), evaluator=evaluator, base=tiny_suite.folder)
    (same,) = finetune("b", _recipe(tiny_model), evaluator=evaluator, base=tiny_suite.folder)
    assert first.lineage["weights"] == same.lineage["weights"]
    assert first.lineage["weights"] != second.lineage["weights"]


def test_a_seed_tried_once_does_not_change_what_the_recipe_means(tiny_suite, store, bm25, tiny_model):
    evaluator, recipe = Evaluator(tiny_suite.suite, {"bm25": bm25}, store), _recipe(tiny_model)
    config = BenchConfig.model_validate(
        {"suites": ["tiny"], "systems": {"bm25": {"kind": "bm25"}}, "finetune": {"m": recipe}}
    )
    options = {"evaluator": evaluator, "base": tiny_suite.folder, "config": config}
    (first,) = finetune("m", recipe, **options)
    (other,) = finetune("m", recipe.model_copy(update={"seeds": [1]}), **options)
    current = (store.root / "models/m/current").read_text().strip()
    assert current == first.folder.name != other.folder.name
    assert (store.root / "models/m/seed-1").read_text().strip() == other.folder.name


def test_changed_base_weight_or_pair_trains_anew(tiny_suite, store, bm25, tiny_model, tmp_path):
    evaluator = Evaluator(tiny_suite.suite, {"bm25": bm25}, store)
    (first,) = finetune("m", _recipe(tiny_model), evaluator=evaluator, base=tiny_suite.folder)

    other = tmp_path / "other"
    shutil.copytree(tiny_model, other)
    weights = other / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-2] ^= 1
    weights.write_bytes(bytes(data))
    (second,) = finetune("m", _recipe(other), evaluator=evaluator, base=tiny_suite.folder)
    assert second.made
    assert second.folder != first.folder

    changed = tiny_suite.edit("queries/train.jsonl", "saddle too high", "saddle too low")
    (third,) = finetune(
        "m", _recipe(tiny_model), evaluator=Evaluator(changed, {"bm25": bm25}, store), base=tiny_suite.folder
    )
    assert third.made


def test_cross_encoder_is_trained_and_reranks(tiny_suite, store, bm25, tiny_model):
    evaluator = Evaluator(tiny_suite.suite, {"bm25": bm25}, store)
    recipe = _recipe(tiny_model, kind="cross-encoder", matryoshka=[], max_pairs=4)
    (model,) = finetune("reader", recipe, evaluator=evaluator, base=tiny_suite.folder)
    assert model.lineage["kind"] == "cross-encoder"
    assert model.lineage["data"]["rows"] == 4
    config = RerankConfig.model_validate(
        {
            "kind": "rerank",
            "first": "bm25",
            "depth": 3,
            "reranker": {"kind": "cross-encoder", "model": "finetune:reader", "device": "cpu"},
        }
    )
    reranked = Rerank("reranked", config, Context(tiny_suite.folder, store))
    both = Evaluator(tiny_suite.suite, {"bm25": bm25, "reranked": reranked}, store)
    query_set = tiny_suite.suite.query_sets["shop"]
    first, second = both.run("bm25", query_set), both.run("reranked", query_set)
    for row in range(len(query_set.ids)):
        assert set(first.ranking(row, 3)) == set(second.ranking(row, 3)), "the head is reordered, nothing else"
        assert first.ranking(row)[3:] == second.ranking(row)[3:], "those below keep their place"


def test_failed_training_leaves_nothing_half_written(tiny_suite, store, bm25, tiny_model):
    evaluator = Evaluator(tiny_suite.suite, {"bm25": bm25}, store)

    def dies(stage, done, total):
        if stage.startswith("fine-tune") and done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finetune("m", _recipe(tiny_model), evaluator=evaluator, base=tiny_suite.folder, progress=dies)
    assert [path.name[:10] for path in (store.root / "models/m").iterdir()] == [".training-"], "to go on from"
    with pytest.raises(ConfigError, match="bench finetune m"):
        find_model("finetune:m", base=tiny_suite.folder, models=store.root / "models")


def test_too_large_a_dimension_is_refused(tiny_suite, store, bm25, tiny_model):
    evaluator = Evaluator(tiny_suite.suite, {"bm25": bm25}, store)
    with pytest.raises(ConfigError, match="64 exceeds the base model's 32 dimensions"):
        finetune("m", _recipe(tiny_model, matryoshka=[64]), evaluator=evaluator, base=tiny_suite.folder)


def test_lineage_of_a_damaged_folder_is_none(tmp_path):
    (tmp_path / "lineage.json").write_text('{"format": 1, "na')
    assert lineage(tmp_path) is None


# --- the local encoder -----------------------------------------------------------------------------


def test_one_text_alone_equals_itself_in_a_batch(tiny_model, tmp_path):
    encoder = LocalEncoder(Config(kind="local", model=str(tiny_model), device="cpu"), base=tmp_path, models=tmp_path)
    texts = ["brake", "a much longer text about the rear light and its battery", "", "größe"]
    together = encoder.encode(texts)
    alone = np.concatenate([encoder.encode([text]) for text in texts])
    np.testing.assert_allclose(together, alone, atol=2e-6)
    assert encoder.dim == 32


def test_fingerprint_follows_weights_prompts_and_length_but_not_the_place(tiny_model, tmp_path):
    def fingerprint(folder, **more):
        config = Config(kind="local", model=str(folder), device="cpu", **more)
        return LocalEncoder(config, base=tmp_path, models=tmp_path).fingerprint()

    moved = tmp_path / "moved"
    shutil.copytree(tiny_model, moved)
    assert fingerprint(moved) == fingerprint(tiny_model)
    assert fingerprint(tiny_model, query_prompt="query: ") != fingerprint(tiny_model)
    assert fingerprint(tiny_model, max_length=16) != fingerprint(tiny_model)
    (moved / "README.md").write_text("a card")
    assert fingerprint(moved) == fingerprint(tiny_model)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("./nowhere", "is no folder"),
        ("package:no_such_package_here", "is not installed"),
        ("finetune:unmade", "bench finetune unmade"),
        ("nobody/such-model-offline", "hf download"),
    ],
)
def test_model_that_is_not_there_says_how_to_get_it(tmp_path, monkeypatch, model, expected):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ConfigError, match=expected):
        find_model(model, base=tmp_path, models=tmp_path / "models")


# --- batches ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("distinct", [True, False])
def test_batches_hold_each_row_once_and_no_text_twice(seed, distinct):
    rng = np.random.default_rng(seed)
    rows = [(f"query {i}", "document " * int(rng.integers(1, 40)) + str(rng.integers(60))) for i in range(500)]
    lengths = [sum(map(len, row)) for row in rows]
    batches = list(length_batches(rows, 16, np.random.default_rng(seed), lengths=lengths, distinct=distinct))
    assert sorted(row for batch in batches for row in batch) == list(range(500))
    for batch in batches:
        texts = [text for row in batch for text in rows[row]]
        assert len(batch) <= 16
        assert not distinct or len(texts) == len(set(texts))
    if not distinct:
        assert len(batches) == -(-500 // 16)


def test_batches_hold_like_lengths_and_come_in_random_order():
    rng = np.random.default_rng(0)
    rows = [(f"{i} " + "x" * int(n),) for i, n in enumerate(rng.integers(1, 1000, size=1024))]
    length = [len(row[0]) for row in rows]
    batches = list(length_batches(rows, 32, rng, lengths=length))
    padded = sum(len(batch) * max(length[row] for row in batch) for batch in batches)
    assert padded < 1.1 * sum(length), "random batches of 32 would pad to nearly twice the length"
    means = [np.mean([length[row] for row in batch]) for batch in batches[:16]]
    assert means != sorted(means)


def test_same_generator_gives_the_same_batches():
    rows = [(str(i),) for i in range(100)]
    options = {"lengths": [1] * 100}
    one, two, other = (list(length_batches(rows, 8, np.random.default_rng(seed), **options)) for seed in (1, 1, 2))
    assert one == two
    assert one != other


def test_models_that_would_be_encoded_wrongly_are_refused(tiny_model, tmp_path):
    def copy(name, part, change):
        folder = tmp_path / name
        shutil.copytree(tiny_model, folder)
        path = folder / part
        path.write_text(json.dumps(change(json.loads(path.read_text()))))
        return folder

    def encoder(folder, **more):
        return LocalEncoder(Config(kind="local", model=str(folder), **more), base=tmp_path, models=tmp_path)

    towers = {"type": "sentence_transformers.base.modules.Router"}
    router = copy("router", "modules.json", lambda rows: [rows[0] | towers, *rows[1:]])
    with pytest.raises(ConfigError, match="different towers"):
        encoder(router)
    pooled = copy("pooled", "1_Pooling/config.json", lambda table: table | {"include_prompt": False})
    assert encoder(pooled).dim == 32
    with pytest.raises(ConfigError, match="leaves its prompt out of pooling"):
        encoder(pooled, query_prompt="query: ")
