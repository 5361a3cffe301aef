"""What an older version wrote still reads, says what it said, and is found instead of being made again.

The files are golden/formats/; its README says what writes and what reads each, and golden/make_formats.py wrote them.
Libraries whose versions are part of a digest are told as they were. The server that gave vectors, scores and answers
is not there, and the variable with its key is not set: whoever asks it anything fails at once.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.base.errors import SystemFailed
from bench.base.store import RowCache
from bench.cli.main import main
from bench.project.workspace import Workspace
from bench.records import digest_of, digest_texts
from bench.retrieval.embed import embed, score_pairs
from bench.suites import suite as suites

GOLDEN = Path(__file__).parent / "golden" / "formats"
KEY = "RETRIEVAL_GATE_GOLDEN_KEY"
FOUND = ("bm25", "fused", "mixed", "reranked", "late", "crossed", "engine", "small", "tuned", "served")
"""Systems whose results are stored; of `old` and `remote` what the gate asks for, and of `own` what it found once."""

Say = Callable[..., Any]
"""say("gate", …) → the JSON that the verb prints, with its exit code under "code"."""


# --- what reading gives ----------------------------------------------------------------------------
# Each function `of_…` reads one kind of file by the command line; make_formats.py kept what it returned.


def rows(document: Mapping[str, Any]) -> list[Any]:
    """Digests and numbers of `bench run`."""
    assert "error" not in document, document["error"]
    assert len({row["suite_digest"] for row in document["results"]}) == 1
    keys = ("system", "query_set", "system_digest", "n_queries", "measures", "index_bytes")
    return [[*(row[key] for key in keys), row.get("no_answer", {}).get("threshold")] for row in document["results"]]


def verdict(document: Mapping[str, Any]) -> dict[str, Any]:
    """What a verdict hangs on."""
    assert "error" not in document, document["error"]
    keys = ("query_set", "variant", "slice", "measure", "reference", "n", "baseline", "candidate", "outcome")
    lost = document["pinned"]["lost"]
    return {
        "outcome": [document["outcome"], document["code"]],
        "systems": [document["baseline"], document["candidate"]],
        "policy": document["policy"]["digest"],
        "cells": [[cell[key] for key in keys] for cell in document["cells"]],
        "checks": [
            [check["name"], check["value"], check["interval"], check["outcome"]] for check in document["checks"]
        ],
        "pinned": [document["pinned"]["n"], [change["query_id"] for change in lost]],
    }


def of_results(say: Say) -> Any:
    return rows(say("run", "--system", *FOUND))


def of_gated_results(say: Say) -> Any:
    return [rows(say("run", "--gated", *system)) for system in ((), ("--system", "old"))]


def of_results_that_are_made_anew_each_time(say: Say) -> Any:
    return verdict(say("compare", "own", "engine", "--measures", "ndcg@10"))


def of_baseline(say: Say) -> Any:
    return say("baseline", "show"), verdict(say("gate"))


def of_merge_base(say: Say) -> Any:
    return verdict(say("gate", "--merge-base-result", "merge-base/gated.json"))


def of_candidate_file(say: Say) -> Any:
    return verdict(say("gate", "--candidate-result", "gated/gated.json"))


def of_result_files(say: Say) -> Any:
    return verdict(say("compare", "results/bm25.json", "results/fused.json", "--measures", "ndcg@10"))


def of_run_documents(say: Say) -> Any:
    return say("gate", "--after", "run.json")["outcome"], say("gate", "--after", "failed.json")


def of_history(say: Say) -> Any:
    document = say("history")
    series = {
        f"{one['system']} on {one['query_set']}: {one['measure']}": [
            [point["digest"], point["mean"], point["accepted"]]
            for segment in one["segments"]
            for point in segment["points"]
        ]
        for one in document["series"]
    }
    return document["events"], series, [finding["code"] for finding in document["findings"]]


def of_models(say: Say) -> Any:
    listed = [
        {key: value for key, value in model.items() if key not in ("recipe", "versions", "data", "results")}
        | {"measured": {f"{one['system']} on {one['query_set']}": one["means"] for one in model["results"]}}
        for model in sorted(say("models", "list")["models"], key=lambda model: model["folder"])
    ]
    shown = say("models", "show", "tuned/seed-1")
    return listed, shown["model"]["id"], shown["model"]["data"], shown["model"]["recipe"]


def of_promotions(say: Say) -> Any:
    shown = say("models", "show", "promoted:tuned")
    keys = ("action", "weights", "folder", "seed", "reason", "who", "previous", "digest")
    return shown["model"]["id"], [[entry[key] for key in keys] for entry in shown["promotions"]]


def of_trained_models(say: Say) -> Any:
    made = [model for recipe in ("tuned", "judge", "swept") for model in say("finetune", recipe)["models"]]
    return [[model["folder"], model["made"], model["lineage"]["weights"]] for model in made]


def of_loop(say: Say) -> Any:
    document = say("loop", "tuned", "--share", 0.5, "--seed", 0)
    compared = {
        f"{one['system']} against {one['against']} on {cell['query_set']}: {cell['measure']}": cell["delta"]
        for one in document["compared"]
        for cell in one["cells"]
    }
    points = [list(point.values()) for point in document["points"]]
    return document["suite_digest"], document["models"], compared, points, document["verdict"]["outcome"]


def of_learning_curve(say: Say) -> Any:
    (curve,) = say("decide")["learning_curves"]
    return [curve[key] for key in ("recipe", "measure", "query_set", "sizes", "n_queries", "refusal")]


def of_pairs(say: Say) -> Any:
    return say("pairs", "show", "asked")


def of_removed_pairs(say: Say) -> Any:
    removed = say("pairs", "show", "asked", "--removed", "all")["removed"]
    return [[row["rule"], row["why"], row["query"], row["doc_id"], row["origin"]] for row in removed]


def of_answers(say: Say) -> Any:
    return say("pairs", "make", "asked", "--dry-run")


def of_audit(say: Say) -> Any:
    # A batch that no audit has accepted is not exported.
    exported = say("pairs", "export", "asked", "--format", "flagembedding", "--out", "exported.jsonl")
    return exported, say("pairs", "audit", "asked", "--answers", "answers.json")


def of_negatives(say: Say) -> Any:
    options = ("--format", "sentence-transformers", "--negatives", "negatives.jsonl", "--out", "exported.jsonl")
    return say("pairs", "export", "asked", *options)


def of_manifest(say: Say) -> Any:
    return say("models", "check-manifest", "index/manifest.json", "--system", "tuned/int8")


def of_snapshots(say: Say) -> Any:
    documents = ("--documents", "suite/corpus.jsonl")
    given = say("drift", "--system", "remote", "--reference", "snapshot.jsonl", *documents)
    beside = say("drift", "--system", "tuned", *documents)
    return [
        [drift["code"], drift["sides"], {signal["name"]: signal["status"] for signal in drift["signals"]}]
        for drift in (given, beside)
    ]


READINGS: dict[str, Callable[[Say], Any]] = {
    name.removeprefix("of_").replace("_", " "): reading
    for name, reading in list(globals().items())
    if name.startswith("of_")
}
REWRITTEN = ("loops/*.json", "models/*/sweep.json", "models/*/current", "models/*/seed-*")
"""What a verb that finds everything made writes again, with the same bytes."""

SENTENCES = rb'("(?:reason|message)": ?")(?:[^"\\]|\\.)+'
"""What a verdict says in words, in such a file."""


# --- a copy of the files ---------------------------------------------------------------------------


def expected() -> Any:
    """What the version that wrote the files made of them."""
    return json.loads((GOLDEN / "expected.json").read_text(encoding="utf-8"))


class Copy:
    """The files in a folder of their own, and which of them were written since."""

    def __init__(self, root: Path) -> None:
        self.root = Path(shutil.copytree(GOLDEN, root, copy_function=shutil.copyfile))
        self._times = self._look()

    def _look(self) -> dict[str, int]:
        """Every file but locks, and when it was written."""
        files = ((path.relative_to(self.root).as_posix(), path) for path in self.root.rglob("*") if path.is_file())
        return {name: path.stat().st_mtime_ns for name, path in files if "/locks/" not in name}

    def written(self, *kinds: str) -> list[str]:
        """What came, went or was written in the working folder since, in these parts of it; in all where None."""
        now = self._look()
        found = [name for name in sorted(self._times.keys() | now.keys()) if self._times.get(name) != now.get(name)]
        places = tuple(f"project/store/{kind}" for kind in kinds or ("",))
        both = {name for name in found if name in now and (GOLDEN / name).is_file()}
        return [name for name in found if name.startswith(places) and not (name in both and self._same(name))]

    def _same(self, name: str) -> bool:
        """Whether a file is one that is written again each time, and was, with the bytes that it had.

        The sentences of a verdict in it may be put better; whether there is one still counts.
        """
        known = any(fnmatch(name, f"project/store/{pattern}") for pattern in REWRITTEN)
        before, after = (re.sub(SENTENCES, rb"\1", (root / name).read_bytes()) for root in (GOLDEN, self.root))
        return known and before == after

    def restore(self) -> None:
        """Make everything as it was."""
        now = self._look()
        for name in now.keys() - self._times.keys():
            (self.root / name).unlink()
        for name in [name for name, written in self._times.items() if now.get(name) != written]:
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(GOLDEN / name, self.root / name)
            self._times[name] = (self.root / name).stat().st_mtime_ns
        for path in sorted(self.root.rglob("*"), reverse=True):
            if path.is_dir() and not any(path.iterdir()):
                path.rmdir()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """One copy for all tests, each of which leaves it as it was: making 350 files takes longer than most of them."""
    return Copy(tmp_path_factory.mktemp("stored") / "formats")


@pytest.fixture
def copy(files, tmp_path, monkeypatch):
    """The copy, with the libraries as they were when the files were written."""
    for name, version in expected()["written"]["libraries"].items():
        info = tmp_path / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv(KEY, raising=False)
    monkeypatch.chdir(files.root / "project")
    yield files
    files.restore()


@pytest.fixture
def project(copy):
    """The project among the files, which the test works in."""
    return copy.root / "project"


@pytest.fixture
def say(copy, capsys):
    """Runs a verb with --json."""

    def said(*arguments: object) -> Any:
        capsys.readouterr()
        code = main([*map(str, arguments), "--json"])
        return json.loads(capsys.readouterr().out) | {"code": code}

    return said


def alike(found: Any, wanted: Any, place: str) -> None:
    """Equal, but for the last digits of fractions, which another processor may compute otherwise.

    An object may have keys more than it had.
    """
    if isinstance(wanted, Mapping):
        assert isinstance(found, Mapping) and found.keys() >= wanted.keys(), place
        for key in wanted:
            alike(found[key], wanted[key], f"{place}, {key}")
    elif isinstance(wanted, list):
        assert isinstance(found, list) and len(found) == len(wanted), place
        for number, (one, other) in enumerate(zip(found, wanted, strict=True)):
            alike(one, other, f"{place}, {number}")
    elif isinstance(wanted, float):
        assert found == pytest.approx(wanted, rel=1e-9, abs=1e-12), place
    else:
        assert found == wanted, place


# --- it reads, and is found ------------------------------------------------------------------------


@pytest.mark.parametrize("name", READINGS)
def test_file_says_what_it_said_and_nothing_is_made(name, copy, say):
    alike(json.loads(json.dumps(READINGS[name](say))), expected()["readings"][name], name)
    assert copy.written() == []


def test_every_reading_was_written_down():
    assert expected()["readings"].keys() == READINGS.keys()


def test_what_was_written_down_is_no_error():
    found = expected()["readings"]
    assert len(found["results"]) == 24 and len(found["models"][0]) == 6
    assert [model[1] for model in found["trained models"]] == [False] * 4
    failed = found["run documents"][1]
    assert failed["code"] == 4 and failed["error"]["code"] == "system-failed"
    others = [reading for name, reading in found.items() if name != "run documents"]
    assert '"error":' not in json.dumps(others)


def test_results_are_measured_anew_from_stored_runs_under_the_same_names(copy, project, say):
    results = project / "store" / "results"
    # What the gate compares and a promotion kept is no part of an evaluation.
    wanted = {path.name for path in results.glob("[0-9a-f]*.json")}
    for name in wanted:
        (results / name).unlink()
    of_results(say), of_gated_results(say)
    say("loop", "tuned", "--share", 0.5, "--seed", 0)
    made = {path.name: json.loads(path.read_text()) for path in results.glob("[0-9a-f]*.json")}
    theirs = {name: json.loads((GOLDEN / "project/store/results" / name).read_text()) for name in wanted}
    # `own` is a function: its results go by its stored runs only where nothing may be made.
    left = {name for name in wanted - made.keys() if theirs[name]["system"]["name"] != "own"}
    assert (left, made.keys() - wanted) == (set(), set())
    for name, document in made.items():
        alike(document, {**theirs[name], "digest": document["digest"]}, name)
    assert copy.written("runs", "embeddings", "pairs", "models", "latency") == []


def test_rankings_are_made_anew_from_stored_vectors_and_scores_under_the_same_names(copy, project, say):
    wanted = expected()
    runs = project / "store" / "runs"
    systems = ("old", "old@8", "old/int8", "remote", "remote/int8", "small", "tuned", "reranked", "late", "crossed")
    keys = {key for name, key in wanted["runs"].items() if name.split(" on ")[0] in systems}
    assert len(keys) >= 2 * len(systems)
    for place in (project / "store/results").glob("[0-9a-f]*.json"):
        place.unlink()
    for key in keys:
        shutil.rmtree(runs / key)
    say("run", "--system", "small", "tuned", "reranked", "late", "crossed")
    of_gated_results(say)
    made = {path.name for path in runs.iterdir()}
    # Sets of training are ranked only to mine from.
    assert made >= {wanted["runs"][f"{name} on {one}"] for name in systems for one in ("shop", "phone")}
    assert made <= {path.name for path in (GOLDEN / "project/store/runs").iterdir()}
    assert copy.written("embeddings", "pairs", "latency") == []


def test_evaluation_knows_every_system_and_run_by_the_name_that_it_had(project):
    workspace, wanted = Workspace.open(), expected()
    suite = workspace.suite()
    evaluator = workspace.evaluator(suite)
    assert {name: evaluator.system_digest(name) for name in evaluator.systems} == wanted["systems"]
    keys = {
        f"{name} on {query_set.name}": evaluator.run_key(name, query_set)
        for name in evaluator.systems
        for query_set in suite.query_sets.values()
    }
    assert {name: keys[name] for name in wanted["runs"]} == wanted["runs"]
    assert workspace.config.gate.policy().digest == wanted["policy"]


def test_result_has_the_digest_that_it_had(project):
    folder = project / "store" / "results"
    found = {path.stem: json.loads(path.read_text())["digest"] for path in folder.glob("[0-9a-f]*.json")}
    assert found == expected()["results"]
    # A reader that computes another digest takes a stored result for an edited one.
    workspace = Workspace.open()
    for system in ("mixed", "remote@8", "own"):
        for result in workspace.stored(workspace.suite(), system):
            assert result.to_json()["digest"] in found.values()


def test_verdict_of_a_promotion_has_the_digest_that_names_it(project):
    (path,) = (project / "store" / "results").glob("verdict-*.json")
    digest = path.stem.removeprefix("verdict-")
    assert digest_of(json.loads(path.read_text())) == digest
    history = json.loads((project / "models" / "promoted.json").read_text())["history"]
    assert digest in [verdict["digest"] for entry in history for verdict in entry["verdicts"]]


def test_digests_of_values_and_keys_of_texts_do_not_move():
    assert expected()["plain"] == {
        "digest_of": digest_of({"b": [1, 0.5, None, True, "ä"], "a": {"z": "", "y": -0.25}}),
        "digest_texts": digest_texts([("a", "bc"), ("", "\ud800 half a pair"), ()]),
        "row key of a text": RowCache.key("Rahmenhöhe").hex(),
        "row key of a pair": RowCache.key("query", "document").hex(),
    }


# --- suites ----------------------------------------------------------------------------------------


def digests(folder: Path) -> dict[str, Any]:
    """Every digest of a suite, and what its sets are for."""
    loaded = suites.load(folder)
    return {
        "suite": loaded.digest,
        "protocol": loaded.protocol.digest,
        "corpora": {name: corpus.digest for name, corpus in loaded.corpora.items()},
        "query_sets": {name: [one.role, one.digest] for name, one in loaded.query_sets.items()},
        "labels": {name: one.digest for name, one in loaded.labels.items()},
        "derived": dict(loaded.derived),
    }


def slices(folder: Path) -> dict[str, list[str]]:
    """The slices of every held-out query."""
    loaded = suites.load(folder)
    return {query: list(loaded.labels["shop"].slices_of(query)) for query in loaded.query_sets["shop"].ids}


@pytest.mark.parametrize("name", ["project/suite", "perturbed", "imported", "beir"])
def test_suite_has_the_digests_that_it_had(name):
    assert digests(GOLDEN / name) == expected()["suites"][name]


def test_query_is_in_the_slices_that_it_was_in():
    assert slices(GOLDEN / "project/suite") == expected()["slices of shop"]


def test_started_project_is_a_suite_as_soon_as_it_has_a_query(copy, monkeypatch, say):
    monkeypatch.chdir(copy.root / "started")
    (suite,) = Path("suites").iterdir()
    with (suite / "queries/questions.jsonl").open("a") as stream:
        stream.write('{"_id": "q1", "text": "when do you open"}\n')
    with (suite / "qrels/questions.tsv").open("a") as stream:
        stream.write("q1\tshop.md#opening-hours\t1\n")
    assert digests(suite)["suite"] == expected()["started"]
    assert say("check", suite)["code"] == 0
    assert Workspace.open().suite().name == "shop-notes"


# --- written again, word for word ------------------------------------------------------------------


def test_pairs_are_made_again_word_for_word_and_no_model_is_asked(copy, project, say):
    wanted = [Path(name).read_bytes() for name in ("pairs/asked.jsonl", "pairs/asked.removed.jsonl")]
    (made,) = say("pairs", "make", "asked")["made"]
    assert [Path(name).read_bytes() for name in ("pairs/asked.jsonl", "pairs/asked.removed.jsonl")] == wanted
    assert made["this_run"] == [{"from": 0, "kind": "llm", "passages answered in an earlier run": 3}]
    assert copy.written() == []


def test_answers_about_an_earlier_file_of_pairs_hold_again_when_it_is_back(project, say):
    config = project / "bench.toml"
    config.write_text(config.read_text().replace("seed = 0\naccept", "seed = 1\naccept"))
    shutil.copy("earlier/asked.jsonl", "pairs/asked.jsonl")
    (aside,) = Path("pairs").glob("asked.audit-*.json")
    wanted = aside.read_bytes()
    found = say("pairs", "audit", "asked", "--sample", 6)
    assert found["code"] == 0 and found["digest"].startswith(aside.stem.removeprefix("asked.audit-"))
    assert Path("pairs/asked.audit.json").read_bytes() == wanted


def test_audit_and_snapshot_are_written_as_they_were(project, say):
    audit, snapshot = Path("pairs/asked.audit.json"), Path("snapshot.jsonl")
    wanted = audit.read_bytes(), snapshot.read_bytes()
    say("pairs", "audit", "asked", "--answers", "answers.json")
    say("drift", "--system", "remote", "--reference", "snapshot.jsonl", "--snapshot", "again.jsonl")
    assert (audit.read_bytes(), Path("again.jsonl").read_bytes()) == wanted


def test_negatives_are_mined_again_word_for_word(copy, project, say):
    wanted = Path("negatives.jsonl").read_bytes()
    assert say("mine", "tuned", "--from", "bm25")["code"] == 0
    assert Path("negatives.jsonl").read_bytes() == wanted
    assert copy.written() == []


def test_gated_results_are_written_as_they_were(copy, project, say):
    say("run", "--gated", "--out", "again")
    assert Path("again/gated.json").read_bytes() == Path("gated/gated.json").read_bytes()
    assert copy.written() == []


def test_manifest_is_written_as_it_was(project, say):
    say("models", "manifest", "--system", "tuned/int8", "--corpus", "manual", "--out", "again.json")
    assert Path("again.json").read_bytes() == Path("index/manifest.json").read_bytes()


def test_comment_and_issue_begin_with_the_line_by_which_they_are_found_again(project, say):
    say("gate", "--comment", "again.md", "--comment-key", "night run / 2")
    say("drift", "--system", "remote", "--markdown", "again-issue.md")
    for earlier, later in (("comment.md", "again.md"), ("issue.md", "again-issue.md")):
        assert Path(later).read_text().split("\n")[0] == Path(earlier).read_text().split("\n")[0] != ""


def test_card_that_holds_these_results_stays_as_it_was(project, say):
    wanted = Path("card.md").read_bytes()
    assert say("export", "model-card", "--system", "bm25", "--out", "card.md")["code"] == 0
    assert Path("card.md").read_bytes() == wanted


def test_log_takes_no_result_twice_that_it_holds(project, say):
    log = Path("history.jsonl")
    wanted = log.read_bytes()
    say("run", "--gated", "--system", "old")
    new = log.read_bytes().removeprefix(wanted).decode().splitlines()
    assert [json.loads(line)["result"]["system"]["name"] for line in new] == ["bm25", "bm25"]


def test_rollback_knows_which_promotions_stand(project, say):
    # Two were promoted and the second was taken back.
    assert "is promoted already" in say("models", "promote", "tuned", "--reason", "again")["error"]["message"]
    found = say("models", "rollback", "tuned", "--reason", "again")
    assert "is the first that was promoted" in found["error"]["message"]


# --- a training that was broken off ----------------------------------------------------------------


def test_training_goes_on_from_its_state(project, say):
    half = expected()["broken training"]
    (model,) = say("finetune", "broken")["models"]
    found = model["lineage"]
    assert model["made"] and found["resumed"] == 1 and found["steps"] == half["steps"]
    alike(found["history"][: len(half["history"])], half["history"], "history")
    assert found["data"]["pairs_digest"] and len(found["history"]) > len(half["history"])
    assert not list(Path("store/models/broken").glob(".training-*"))


# --- servers ---------------------------------------------------------------------------------------


def test_server_that_answers_otherwise_than_then_is_refused(project, monkeypatch):
    workspace = Workspace.open()
    systems = workspace.evaluator(workspace.suite(), ["remote", "reranked"]).systems
    encoder, scorer = systems["remote"].encoder, systems["reranked"].scorer
    monkeypatch.setattr(encoder, "encode", lambda texts: np.ones((len(texts), 16), dtype=np.float32))
    monkeypatch.setattr(scorer, "score", lambda pairs: np.full(len(pairs), 0.25, dtype=np.float32))
    for ask in (
        lambda: embed(encoder, ["new to the store"], kind="query", store=workspace.store),
        lambda: score_pairs(scorer, [("new", "to the store")], store=workspace.store),
    ):
        with pytest.raises(SystemFailed, match="answer to the same text has changed"):
            ask()


# --- other format numbers --------------------------------------------------------------------------

MANIFEST = ("models", "check-manifest", "index/manifest.json", "--system", "tuned/int8")
AUDIT = ("pairs", "audit", "asked", "--answers", "answers.json")
REFUSED = {
    "working folder": ("store/format.json", ("run", "--system", "bm25"), "has format 2; this version reads format 1"),
    "baseline": ("suite/baseline.json", ("gate",), "baseline.json has format 2; this version reads format 1"),
    "candidate": ("gated/gated.json", ("gate", "--candidate-result", "gated/gated.json"), r"results\[0\] has format 2"),
    "merge base": (
        "merge-base/gated.json", ("gate", "--merge-base-result", "merge-base/gated.json"), r"results\[0\] has format 2"
    ),
    "results": ("results/bm25.json", ("compare", "results/bm25.json", "results/fused.json"), "has format 2"),
    "history": ("history.jsonl", ("history",), r"history.jsonl:1 has format 2; this version reads format 1"),
    "promotions": ("models/promoted.json", ("models", "show", "tuned"), "is no history of promotions"),
    "promotions of a model": ("models/promoted.json", ("run", "--system", "served"), "is no history of promotions"),
    "pairs": ("pairs/asked.jsonl", ("pairs", "show", "asked"), "line 1: expected the header of a pair file"),
    "removed pairs": ("pairs/asked.removed.jsonl", ("pairs", "show", "asked", "--removed", "all"), "cannot be read"),
    "audit": ("pairs/asked.audit.json", AUDIT, "is no audit that this version reads"),
    "answers of an audit": ("answers.json", AUDIT, "expected the answers that the audit's page gives"),
    "negatives": ("negatives.jsonl", ("finetune", "tuned"), "line 1: expected the header of a file of negatives"),
    "loop": ("store/loops/tuned.json", ("decide",), "is not a learning curve of format 1"),
    "manifest": ("index/manifest.json", MANIFEST, "is no manifest of a collection"),
    "snapshot": (
        "snapshot.jsonl", ("drift", "--system", "remote", "--reference", "snapshot.jsonl"), "has format 2; this version"
    ),
    "snapshot of a model": (
        "store/models/tuned/*/reference.jsonl", ("drift", "--system", "tuned"), "has format 2; this version"
    ),
}  # fmt: skip


def renumber(project: Path, pattern: str) -> list[Path]:
    """Files of the pattern with another format number, at the top and in whatever they hold."""
    paths = sorted(project.glob(pattern))
    assert paths
    for path in paths:
        text = re.sub(r'"format": ?1\b', '"format": 2', path.read_text(encoding="utf-8"))
        assert '"format": 2' in text
        path.write_text(text, encoding="utf-8")
    return paths


@pytest.mark.parametrize("name", REFUSED)
def test_other_format_number_is_refused_in_a_sentence(name, project, capsys, say):
    pattern, command, sentence = REFUSED[name]
    paths = renumber(project, pattern)
    before = [path.read_bytes() for path in paths]
    found = say(*command)
    assert found["code"] == 2 and re.search(sentence, found["error"]["message"]), found
    assert "Traceback" not in capsys.readouterr().err
    assert [path.read_bytes() for path in paths] == before


def test_baseline_that_holds_results_of_another_format_is_refused(project, say):
    path = project / "suite/baseline.json"
    head, results = path.read_text().split('"results"')
    path.write_text(f'{head}"results"' + results.replace('"format": 1', '"format": 2'))
    found = say("gate")
    assert found["code"] == 2 and "results[0] has format 2" in found["error"]["message"]


ABSENT = {
    "lineages": ("store/models/*/*/lineage.json", ("models", "list")),
    "results": ("store/results/[0-9a-f]*.json", ("run", "--system", "fused", "mixed", "engine")),
    "latencies": ("store/latency/*.json", ("gate",)),
    "answers": ("store/llm/*/[0-9a-f]*.json", ("pairs", "make", "asked", "--dry-run")),
}


@pytest.mark.parametrize("name", ABSENT)
def test_other_format_number_in_the_working_folder_is_as_if_the_file_were_not_there(name, project, say):
    pattern, command = ABSENT[name]
    renumber(project, pattern)
    found = say(*command)
    if name == "lineages":
        assert found["models"] == []
    elif name == "results":
        # Measured anew from stored runs, to the same numbers.
        wanted = [row for row in expected()["readings"]["results"] if row[0] in command]
        alike(rows(found), wanted, name)
    elif name == "latencies":
        assert found["code"] == 2 and "were not timed together" in found["error"]["message"]
    else:
        assert [found["dry_run"][0][key] for key in ("answered", "requests")] == [0, 3]


def test_runs_of_another_format_are_ranked_anew_under_the_same_names(copy, project, say):
    renumber(project, "store/runs/*/record.json")
    for path in (project / "store/results").glob("[0-9a-f]*.json"):
        path.unlink()
    assert say("run", "--gated", "--system", "old")["code"] == 0
    written = {name.split("/")[3] for name in copy.written("runs") if name.endswith("arrays.npz")}
    assert written == {
        expected()["runs"][f"{name} on {one}"]
        for name in ("old", "old@8", "old/int8", "bm25")
        for one in ("shop", "phone", "dev")
    }
    assert copy.written("embeddings", "latency") == []
