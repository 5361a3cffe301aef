"""Claims about bench export: what other programs read back is what was written, and nothing beside it is touched."""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from bench.base.errors import SuiteError, UsageError
from bench.base.registry import listing, module_of
from bench.cli.main import main
from bench.evaluation.evaluate import Evaluator
from bench.evaluation.measure import measure
from bench.interop.exports.beir import export_beir, split_names
from bench.interop.exports.model_card import export_model_card, with_results
from bench.suites import suite as suite_module

needs_mteb = pytest.mark.skipif(find_spec("mteb") is None, reason="mteb is not installed")
needs_hub = pytest.mark.skipif(find_spec("huggingface_hub") is None, reason="huggingface_hub is not installed")


# --- beir ---------------------------------------------------------------------------------------------


def test_suite_comes_back_from_its_beir_folder(tiny_suite, tmp_path):
    suite = tiny_suite.suite
    assert export_beir(suite, tmp_path / "beir") == [tmp_path / "beir"]
    again = suite_module.load(tmp_path / "beir")
    (corpus,) = again.corpora.values()
    assert corpus.digest == suite.corpora["manual"].digest
    names = {"train": "train", "dev": "dev", "test": "shop", "phone": "phone"}
    assert set(again.query_sets) == set(names)
    for split, name in names.items():
        assert again.query_sets[split].digest == suite.query_sets[name].digest
        # Judgements, clusters, slices and pins.
        assert again.labels[split].digest == suite.labels[name].digest


@pytest.mark.skipif(find_spec("beir") is None, reason="beir is not installed")
@pytest.mark.filterwarnings("ignore")
def test_loader_and_measures_of_beir_agree(tiny_suite, tmp_path, store, hash_encoder, dense_system):
    from beir.datasets.data_loader import GenericDataLoader
    from beir.retrieval.evaluation import EvaluateRetrieval

    suite = tiny_suite.suite
    export_beir(suite, tmp_path)
    corpus, queries, qrels = GenericDataLoader(str(tmp_path)).load("test")
    assert {i: f"{d['title']} {d['text']}".strip() for i, d in corpus.items()} == dict(
        zip(suite.corpora["manual"].ids, suite.corpora["manual"].texts, strict=True)
    )
    shop = suite.query_sets["shop"]
    assert queries == dict(zip(shop.ids, shop.texts, strict=True))
    assert qrels == suite.qrels("shop")
    run = Evaluator(suite, {"hash": dense_system(hash_encoder, store)}, store).run("hash", shop)
    rankings = {
        query_id: {run.doc_ids[d]: float(s) for d, s in zip(run.docs[row], run.scores[row], strict=True) if d >= 0}
        for row, query_id in enumerate(run.query_ids)
    }
    ndcg, mean_precision, recall, precision = EvaluateRetrieval.evaluate(qrels, rankings, [1, 10])
    theirs = {k.lower(): v for found in (ndcg, mean_precision, recall, precision) for k, v in found.items()}
    ours = measure(run, suite.qrels("shop"), ["ndcg@1", "ndcg@10", "map@10", "recall@10", "precision@10"]).means()
    for name, value in ours.items():
        # beir rounds to five digits.
        assert value == pytest.approx(theirs[name.replace("precision", "p")], abs=1e-5)


def test_split_takes_a_role_of_its_own_and_else_keeps_its_name(tiny_suite):
    toml = (tiny_suite.folder / "suite.toml").read_text()
    (tiny_suite.folder / "suite.toml").write_text(toml.replace('role = "dev"', 'role = "held-out"'))
    suite = suite_module.load(tiny_suite.folder)
    assert split_names(list(suite.query_sets.values())) == {
        "train": "train",
        "dev": "dev",
        "shop": "shop",
        "phone": "phone",
    }


def test_one_query_id_with_two_texts_is_refused_and_can_be_written_apart(tiny_suite, tmp_path):
    (tiny_suite.folder / "qrels/phone.tsv").write_text("query-id\tcorpus-id\tscore\nh1\td13\t1\n")
    (tiny_suite.folder / "queries/phone.jsonl").write_text('{"_id": "h1", "text": "dark lamp"}\n')
    suite = suite_module.load(tiny_suite.folder)
    with pytest.raises(SuiteError, match='query "h1" differs between "shop" and "phone"'):
        export_beir(suite, tmp_path / "both")
    assert not (tmp_path / "both").exists()
    export_beir(suite, tmp_path / "phone", query_sets=["phone"])
    assert suite_module.load(tmp_path / "phone").query_sets["phone"].texts == ("dark lamp",)
    with pytest.raises(UsageError, match=r'no query set "phon".*Did you mean "phone"'):
        export_beir(suite, tmp_path / "x", query_sets=["phon"])


def test_each_corpus_of_a_suite_gets_a_folder_of_its_own(tmp_path):
    suite = suite_module.load(suite_module.find("clinic"))
    used = {q.corpus for q in suite.query_sets.values()}
    assert len(used) > 1
    assert {path.name for path in export_beir(suite, tmp_path)} == used
    for name in used:
        (corpus,) = suite_module.load(tmp_path / name).corpora.values()
        assert corpus.digest == suite.corpora[name].digest


def test_beir_folder_that_is_there_is_replaced_only_by_force_and_then_whole(tiny_suite, tmp_path, capsys):
    out = tmp_path / "beir"
    export = ["export", "beir", "--suite", str(tiny_suite.folder), "--out", str(out)]
    assert main(export) == 0
    (out / "notes.txt").write_text("mine", encoding="utf-8")
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert main([*export, "--query-set", "shop"]) == 2
    assert "has corpus.jsonl, queries.jsonl, qrels already" in " ".join(capsys.readouterr().err.split())
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    # Splits of the first export would otherwise be read as sets of this one.
    assert main([*export, "--query-set", "shop", "--force"]) == 0
    assert list(suite_module.load(out).query_sets) == ["test"]
    assert (out / "notes.txt").read_text(encoding="utf-8") == "mine"
    # Some other file in the folder is in nobody's way.
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine", encoding="utf-8")
    assert main([*export[:-1], str(tmp_path / "other")]) == 0


def test_suite_is_never_exported_over_itself(tiny_suite, capsys):
    corpus = (tiny_suite.folder / "corpus.jsonl").read_bytes()
    place = str(tiny_suite.folder)
    assert main(["export", "beir", "--suite", place, "--out", place, "--force"]) == 2
    assert "own folder" in capsys.readouterr().err
    assert (tiny_suite.folder / "corpus.jsonl").read_bytes() == corpus


@pytest.mark.parametrize("option", ["--system", "--model-name"])
def test_options_about_results_are_refused_for_a_beir_folder(tiny_suite, tmp_path, capsys, option):
    arguments = ["export", "beir", "--suite", str(tiny_suite.folder), "--out", str(tmp_path / "x"), option, "a/b"]
    assert main(arguments) == 2
    assert f"{option} is about results" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "x").exists()


def test_queries_that_beir_cannot_hold_are_counted(tiny_suite, tmp_path, capsys):
    path = tiny_suite.folder / "queries/phone.jsonl"
    path.write_text(path.read_text() + '{"_id": "p9", "text": "x", "answerable": false}\n')
    arguments = ["export", "beir", "--suite", str(tiny_suite.folder), "--out", str(tmp_path / "x"), "--json"]
    assert main(arguments) == 0
    (note,) = json.loads(capsys.readouterr().out)["notes"]
    assert note.startswith("1 queries without an answer")


# --- mteb results --------------------------------------------------------------------------------------


@pytest.fixture
def project(tiny_suite, tmp_path, monkeypatch):
    """A folder with a config of one system, in which nothing has run yet."""
    monkeypatch.chdir(tmp_path)
    Path("bench.toml").write_text(
        'suites = ["tiny"]\n[systems.bm25]\nkind = "bm25"\n[gate]\nsystem = "bm25"\n', encoding="utf-8"
    )
    return tmp_path


@needs_mteb
def test_named_query_sets_are_mteb_tasks_of_their_own(project, capsys):
    from mteb.results import TaskResult

    assert main(["run", "--json"]) == 0
    capsys.readouterr()
    export = ["export", "mteb-results", "--out", "results", "--query-set", "phone", "shop", "--json"]
    assert main(export) == 0
    written = [Path(path) for path in json.loads(capsys.readouterr().out)["written"]]
    found = [TaskResult.from_disk(path) for path in written]
    assert [one.task_name.rsplit("-", 1)[0] for one in found] == ["tiny-phone", "tiny-shop"]
    assert [[row["hf_subset"] for row in one.scores["test"]] for one in found] == [["phone"], ["shop"]]
    # Once more: nothing is overwritten unless it is said.
    before = [path.read_bytes() for path in written]
    assert main(export) == 2
    assert "exists already" in json.loads(capsys.readouterr().out)["error"]["message"]
    assert [path.read_bytes() for path in written] == before
    assert main([*export, "--force"]) == 0
    capsys.readouterr()
    assert main(["export", "mteb-results", "--out", "results", "--query-set", "phnoe", "--json"]) == 2
    assert 'Did you mean "phone"' in json.loads(capsys.readouterr().out)["error"]["message"]


@needs_hub
def test_card_takes_the_named_query_sets_alone(project, capsys):
    import yaml

    assert main(["run", "--json"]) == 0
    assert main(["export", "model-card", "--out", "card.md", "--query-set", "phone"]) == 0
    card = yaml.safe_load(Path("card.md").read_text(encoding="utf-8").split("---")[1])
    assert {row["dataset"]["config"] for row in card["model-index"][0]["results"]} == {"phone"}
    capsys.readouterr()
    assert main(["export", "model-card", "--out", "card.md", "--query-set", "train", "--json"]) == 2
    assert "expected one of shop, phone" in json.loads(capsys.readouterr().out)["error"]["message"]


@needs_mteb
def test_mteb_reads_its_result_file_and_would_have_written_the_same(project, tiny_suite, capsys):
    import mteb
    from mteb.cache import ResultCache
    from mteb.results import TaskResult

    import bench

    assert main(["run", "--json"]) == 0
    capsys.readouterr()
    assert main(["export", "mteb-results", "--out", "results", "--json"]) == 0
    (written,) = json.loads(capsys.readouterr().out)["written"]
    found = TaskResult.from_disk(Path(written))
    workspace = bench.project.workspace.Workspace.open()
    model, task = bench.to_mteb_model(workspace, "bm25"), bench.to_mteb_task(workspace.suite())
    (theirs,) = mteb.evaluate(model, task, cache=None, co2_tracker=False, show_progress_bar=False).task_results
    assert found.task_name == theirs.task_name
    assert found.dataset_revision == theirs.dataset_revision
    assert found.get_score() == pytest.approx(theirs.get_score(), abs=1e-5)
    for mine, row in zip(found.scores["test"], theirs.scores["test"], strict=True):
        assert {k: v for k, v in mine.items() if isinstance(v, str | list)} == {
            k: v for k, v in row.items() if isinstance(v, str | list)
        }
        for name, value in mine.items():
            if isinstance(value, float):
                assert value == pytest.approx(row[name], abs=1.01e-5), name
        assert {name for name in row if name not in mine} == {n for n in row if n.startswith("nauc_")} | {"accuracy"}
    # As a cache, it spares mteb the evaluation.
    assert ResultCache(Path("results")).load_task_result(task.metadata.name, model.mteb_model_meta) == found


@needs_mteb
def test_result_file_bears_the_models_own_name(project, capsys):
    assert main(["run", "--json"]) == 0
    assert main(["export", "mteb-results", "--out", "results", "--model-name", "acme/finder"]) == 0
    (described,) = Path("results").rglob("model_meta.json")
    assert json.loads(described.read_text())["name"] == "acme/finder"
    capsys.readouterr()
    assert main(["export", "mteb-results", "--out", "results", "--model-name", "finder"]) == 2
    assert "expects organization/model" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("kind", [pytest.param("mteb-results", marks=needs_mteb), "model-card"])
def test_nothing_is_evaluated_for_an_export(project, capsys, kind):
    assert main(["export", kind, "--out", "out"]) == 2
    assert "bench run --suite" in " ".join(capsys.readouterr().err.split())
    assert not Path("out").exists()


def test_command_line_writes_a_beir_folder_with_and_without_a_config(project, capsys, monkeypatch):
    assert main(["export", "beir", "--out", "a", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"format": 1, "written": ["a"], "notes": []}
    Path("bench.toml").unlink()
    assert main(["export", "beir", "--suite", "tiny", "--out", "b"]) == 0
    assert Path("a/corpus.jsonl").read_bytes() == Path("b/corpus.jsonl").read_bytes()


def test_every_kind_of_export_is_a_file_and_another_one_is_named(project, capsys):
    assert listing("exports") == ["beir", "model-card", "mteb-results"]
    assert {module_of("exports", kind).WHAT for kind in listing("exports")} == {"suite", "results"}
    assert main(["export", "bier", "--out", "x"]) == 2
    assert 'No kind of export "bier"; expected one of beir' in capsys.readouterr().err


# --- model card ----------------------------------------------------------------------------------------

CARD = """\
---
# what the card's owner wrote
license:   mit   # spacing kept
tags: [search, "bicycle"]
model-index:
- name: acme/finder
  results:
  - task:
      type: text-retrieval
      name: Retrieval
    dataset:
      name: tiny shop (held-out)
      type: tiny
      config: shop
      split: test
      revision: older
    metrics:
    - type: ndcg_at_10
      value: 0.1
  - task:
      type: text-retrieval
    dataset:
      name: Another
      type: acme/another
    metrics:
    - type: ndcg_at_10
      value: 0.25

# about the language
language: en
---

# Finder

A body with --- dashes, trailing blanks\x20\x20
and no line end"""


@pytest.fixture
def two(make_result):
    """Results of one system on two query sets."""
    return [
        make_result({"ndcg@10": [1, 0.5], "mrr": [1, 1]}, system="hash"),
        make_result(
            {"ndcg@10": [0.5, 0.25], "mrr": [1, 0]}, system="hash", query_set="phone", role="out-of-distribution"
        ),
    ]


@needs_hub
def test_new_card_comes_back_from_the_hubs_own_reader(two, tmp_path):
    from huggingface_hub import ModelCard

    export_model_card(two, tmp_path / "card" / "README.md")
    card = ModelCard.load(tmp_path / "card" / "README.md")
    assert card.data.model_name == "hash"
    found = {(e.dataset_config, e.metric_type): e for e in card.data.eval_results}
    assert {key: e.metric_value for key, e in found.items()} == {
        ("shop", "ndcg_at_10"): 0.75,
        ("shop", "mrr"): 1.0,
        ("phone", "ndcg_at_10"): 0.375,
        ("phone", "mrr"): 0.5,
    }
    first = found["phone", "mrr"]
    assert (first.dataset_type, first.dataset_revision, first.metric_name) == ("tiny", "suite", "mrr")
    assert first.dataset_args == {"n_queries": 2, "role": "out-of-distribution"}


@needs_hub
def test_card_keeps_every_character_outside_of_its_results(two):
    new = with_results(CARD, two)
    before, _, after = CARD.partition("model-index:")
    assert new.startswith(f"{before}model-index:")
    assert new.endswith(after[after.index("\n# about the language") :])
    # A second time nothing changes.
    assert with_results(new, two) == new


@needs_hub
def test_result_takes_the_place_of_an_older_one_and_of_no_other(two):
    from huggingface_hub import ModelCard

    card = ModelCard(with_results(CARD, two))
    assert card.data.model_name == "acme/finder"
    found = {(e.dataset_type, e.dataset_config, e.metric_type): e.metric_value for e in card.data.eval_results}
    assert found["acme/another", None, "ndcg_at_10"] == 0.25
    assert found["tiny", "shop", "ndcg_at_10"] == 0.75
    assert len(card.data.eval_results) == 5


@needs_hub
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_card_without_results_and_text_without_metadata_get_them(two, line_end):
    card = "---\nlicense: mit\n---\n# Finder\n".replace("\n", line_end)
    new = with_results(card, two)
    assert new.startswith(f"---{line_end}license: mit{line_end}model-index:{line_end}")
    assert new.endswith(f"{line_end}---{line_end}# Finder{line_end}")
    assert ("\r\n" in new) == (line_end == "\r\n")
    assert new.count("\n") == new.count(line_end)
    assert with_results("# Finder\n", two).endswith("\n---\n\n# Finder\n")


@needs_hub
@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ("model-index: [\n]\n", "has a form that cannot be changed in place"),
        ('"model-index":\n- name: a\n  results: []\n', "has a form that cannot be changed in place"),
        ("model-index: 3\n", "model-index is no list of models"),
        ("a: [\n", "its metadata is not YAML"),
        ("- a\n", "no table of keys"),
    ],
)
def test_card_that_cannot_be_changed_in_place_is_refused_and_left_alone(two, tmp_path, metadata, expected):
    path = tmp_path / "README.md"
    path.write_text(f"---\n{metadata}---\n# Finder\n")
    with pytest.raises(UsageError, match=expected):
        export_model_card(two, path)
    assert path.read_text() == f"---\n{metadata}---\n# Finder\n"


@needs_hub
def test_command_line_writes_a_card_from_stored_results(project, capsys):
    from huggingface_hub import ModelCard

    assert main(["run", "--json"]) == 0
    ran = json.loads(capsys.readouterr().out)["results"]
    assert main(["export", "model-card", "--out", "README.md", "--model-name", "acme/finder"]) == 0
    found = {(e.dataset_config, e.metric_name): e.metric_value for e in ModelCard.load("README.md").data.eval_results}
    for row in ran:
        for name, value in row["measures"].items():
            assert found[row["query_set"], name] == pytest.approx(value, abs=1e-5)
