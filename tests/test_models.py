"""Models: lineage, promotion past the gate and back, vectors that may not be mixed, cards. Weights are tiny."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.base import registry
from bench.base.errors import ConfigError, NotComparable, StoreError, UsageError
from bench.base.store import Store, read_json, write_json
from bench.cli.main import main
from bench.interop.exports._finetuned_card import card
from bench.project.workspace import Workspace
from bench.records import ModelRecord, digest_of
from bench.retrieval.embed import embed
from bench.retrieval.encoders import find_model, weights_digest
from bench.retrieval.encoders.local import Config, LocalEncoder
from bench.retrieval.manifest import Manifest, read_manifest, write_manifest
from bench.retrieval.promotions import PROMOTED, Promotion, append, history, standing
from bench.train.models import ancestors, find_record, recipe_settings, records, set_current, write_lineage

# --- a project whose models are folders with a lineage, and whose vectors are hashed words ---------------

TOML = """\
suites = ["tiny"]

[systems.base]
kind = "dense"
encoder = { kind = "hashed", model = "./base" }

[systems.tuned]
kind = "dense"
encoder = { kind = "hashed", model = "finetune:clinic" }

[systems.served]
kind = "dense"
encoder = { kind = "hashed", model = "promoted:clinic" }

[systems.bm25]
kind = "bm25"

[finetune.clinic]
base = "base"

[gate]
system = "tuned"
"""


@pytest.fixture(autouse=True)
def hashed_encoders(monkeypatch, new_hash_encoder, request):
    """`encoder.kind = "hashed"`: a folder's weights file salts the hash of words, so that weights change rankings."""
    import sys
    import types

    from bench.config import Strict

    class HashedConfig(Strict):
        kind: str
        model: str

    def build(config, *, base, models):
        folder = find_model(config.model, base=base, models=models)
        encoder = new_hash_encoder((folder / "model.safetensors").read_text())
        encoder.config = config
        digest = weights_digest(folder)
        encoder.fingerprint = lambda: {"kind": "hashed", "weights": digest}
        return encoder

    module = types.ModuleType("bench.retrieval.encoders.hashed")
    module.Config, module.build = HashedConfig, build
    monkeypatch.setitem(sys.modules, "bench.retrieval.encoders.hashed", module)
    built_in = registry._built_in
    monkeypatch.setattr(
        registry, "_built_in", lambda group: (*built_in(group), "hashed") if group == "encoders" else built_in(group)
    )


def write_model(folder: Path, salt: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"hidden_size": 64}')
    (folder / "model.safetensors").write_text(salt)
    return folder


def train(project: Path, salt: str, *, name="clinic", seed=0, base=None, first=True) -> Path:
    """What `bench finetune` leaves behind: a folder with its lineage, and the pointers that name it."""
    key = digest_of([name, salt, seed])[:16]
    folder = write_model(project / ".bench/models" / name / key, salt)
    base = base or project / "base"
    write_lineage(
        folder,
        {
            "name": name,
            "kind": "bi-encoder",
            "base": {"name": "base", "weights": weights_digest(base)},
            "recipe": {"epochs": 1, "matryoshka": [64, 32]},
            "seed": seed,
            "suite": {"name": "tiny", "version": 1, "digest": "s"},
            "data": {"pairs": 2, "pairs_digest": "p", "negatives_digest": None, "rows": 2, "dropped_as_leaks": []},
            "history": [{"step": 1, "loss": 0.5}, {"step": 2, "loss": 0.25}],
            "seconds": 1.5,
            "environment": {"packages": {"numpy": "2.4"}},
            "commit": "c0ffee",
            "weights": weights_digest(folder),
        },
    )
    set_current(folder, seed=seed, first=first)
    return folder


@pytest.fixture
def project(tiny_suite, monkeypatch):
    folder = tiny_suite.folder.parent
    (folder / "bench.toml").write_text(TOML)
    write_model(folder / "base", "w0")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Ada")
    monkeypatch.setenv("GIT_AUTHOR_EMAIL", "ada@example.org")
    monkeypatch.setenv("GIT_COMMITTER_NAME", "Ada")
    monkeypatch.setenv("GIT_COMMITTER_EMAIL", "ada@example.org")
    subprocess.run(["git", "init", "-q"], check=True)
    return folder


def accepted(project, system="base"):
    assert main(["run", "--system", system]) == 0
    assert main(["baseline", "accept", "--system", system, "--reason", "first"]) == 0


def said(capsys, *arguments, code=0):
    capsys.readouterr()
    assert main([*arguments, "--json"]) == code
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("action", "foreign"),
    [
        ("list", ["--corpus", "c"]),
        ("list", ["--suite", "tiny"]),
        ("list", ["clinic"]),
        ("show clinic", ["--reason", "x"]),
        ("promote clinic", ["--corpus", "c"]),
        ("promote clinic", ["--out", "f"]),
        ("rollback clinic", ["--system", "tuned"]),
        ("rollback clinic", ["--base-ref", "main"]),
        ("card clinic", ["--baseline", "f"]),
        ("manifest --system tuned --out f", ["--reason", "x"]),
        ("check-manifest f --system tuned", ["--out", "f"]),
    ],
)
def test_option_of_another_command_is_refused(project, capsys, action, foreign):
    error = said(capsys, "models", *action.split(), *foreign, code=2)["error"]
    assert error["code"] == "usage" and f"unrecognized arguments: {foreign[0]}" in error["message"]
    assert capsys.readouterr().err == ""


# --- lineage ---------------------------------------------------------------------------------------


def test_lineage_names_base_data_results_and_parents(project, capsys):
    first = train(project, "w1")
    second = train(project, "w2", name="clinic2", base=first)
    assert main(["run", "--system", "tuned"]) == 0
    store = Store(project / ".bench")
    known = records(store, project)
    assert [(one.name, one.status) for one in known] == [
        ("clinic", ("current", "seed")), ("clinic2", ("current", "seed")),
    ]  # fmt: skip
    assert known[0].parent is None
    assert known[0].base_digest == weights_digest(project / "base")
    assert known[1].parent == known[0].id == weights_digest(first)
    assert ancestors(known, known[1]) == [known[0]]
    assert known[1].id == weights_digest(second)
    shown = said(capsys, "models", "show", "clinic2")
    assert [one["name"] for one in shown["ancestors"]] == ["clinic"]
    listed = said(capsys, "models", "list")["models"]
    measured = {(one["query_set"], one["system"]) for one in listed[0]["results"]}
    assert measured == {("shop", "tuned"), ("phone", "tuned")}
    assert listed[1]["results"] == []
    assert listed[0]["loss"] == 0.25 and listed[0]["commit"] == "c0ffee"


def test_results_follow_the_weights_and_not_the_name(project, capsys):
    train(project, "w1")
    main(["run", "--system", "tuned"])
    train(project, "w2")
    old, new = sorted(said(capsys, "models", "list")["models"], key=lambda one: len(one["status"]))
    assert old["status"] == [] and len(old["results"]) == 2
    assert new["status"] == ["current", "seed"] and new["results"] == []


def test_words_for_a_model(project):
    train(project, "w1", seed=0)
    train(project, "w2", seed=1, first=False)
    known = records(Store(project / ".bench"), project)
    by_seed = {one.seed: one for one in known}
    for word, seed in (("clinic", 0), ("finetune:clinic", 0), ("clinic/seed-1", 1), ("finetune:clinic/seed-0", 0)):
        assert find_record(known, word).seed == seed
    assert find_record(known, by_seed[1].id[:8]).seed == 1
    odd = ("package:clinic", "finetune:clinic@20", f"finetune:{by_seed[1].id[:8]}")
    for word in (*odd, "clinc", "clinic/seed-7", "promoted:clinic", by_seed[1].id[:3], ""):
        with pytest.raises(UsageError, match="expected one of clinic"):
            find_record(known, word)


def test_nothing_trained_is_said_and_no_error(project, capsys):
    assert said(capsys, "models", "list") == {"format": 1, "models": []}
    assert main(["models", "list"]) == 0
    assert "bench finetune" in capsys.readouterr().err
    assert main(["models", "show", "clinic"]) == 2
    assert "there is no fine-tuned model yet" in " ".join(capsys.readouterr().err.split())


def test_people_see_tables(project, capsys):
    train(project, "w1")
    main(["run", "--system", "tuned"])
    assert main(["models", "list"]) == 0
    assert main(["models", "show", "clinic"]) == 0
    err = capsys.readouterr().err
    assert "c0ffee" in err and "0.2500" in err and "out-of-distribution" in err


def test_list_says_where_the_recipe_says_something_else_now(project, capsys):
    folder = train(project, "w1")
    recipe = Workspace.open(Path("bench.toml")).config.finetune["clinic"]
    document = read_json(folder / "lineage.json")
    write_json(folder / "lineage.json", document | {"recipe": recipe_settings(recipe)})
    main(["models", "list"])
    assert "recipe changed since" not in capsys.readouterr().err
    path = project / "bench.toml"
    path.write_text(path.read_text().replace('base = "base"', 'base = "base"\nmax_pairs = 64'))
    main(["models", "list"])
    assert "recipe changed since" in capsys.readouterr().err


def test_training_that_was_not_finished_is_said_to_be_that(project, capsys):
    (project / ".bench/models/clinic/.training-0123").mkdir(parents=True)
    found = said(capsys, "models", "show", "clinic", code=2)
    assert "not finished; it goes on with: bench finetune clinic" in found["error"]["message"]


# --- promoting -------------------------------------------------------------------------------------


def promote(capsys, *more, code=0, reason="better"):
    return said(capsys, "models", "promote", "clinic", "--reason", reason, *more, code=code)


def test_model_that_passes_is_promoted_with_its_verdict(project, capsys):
    accepted(project)
    folder = train(project, "w0")  # the base's own weights under another name: identical rankings pass
    (folder / "config.json").write_text('{"hidden_size": 64, "tuned": true}')
    document = json.loads((folder / "lineage.json").read_text())
    write_lineage(folder, document | {"weights": weights_digest(folder)})
    assert main(["run", "--system", "tuned"]) == 0
    found = promote(capsys)
    entry = found["promoted"]
    assert entry["weights"] == weights_digest(folder)
    assert entry["who"] == "Ada <ada@example.org>" and entry["reason"] == "better"
    (verdict,) = entry["verdicts"]
    assert verdict["outcome"] == "pass" and verdict["system"] == "tuned" and verdict["baseline"] == "base"
    kept = read_json(project / f".bench/results/verdict-{verdict['digest']}.json")
    assert digest_of(kept) == verdict["digest"]
    assert kept == found["verdicts"][0]
    assert find_model("promoted:clinic", base=project, models=project / ".bench/models") == folder
    assert "promoted" in find_record(records(Store(project / ".bench"), project), "promoted:clinic").status
    # What is served is the same as what was judged, vectors and all: nothing is encoded again.
    assert main(["run", "--system", "served"]) == 0
    assert "is promoted already" in promote(capsys, code=2)["error"]["message"]


def failing_suite(project):
    """60 held-out queries, each for one document; the wrong weights lose most of them."""
    words = [f"term{i:02}" for i in range(60)]
    tiny = project / "tiny"
    rows = [{"_id": f"x{i:02}", "text": f"{w} page about {w} {w}"} for i, w in enumerate(words)]
    (tiny / "corpus.jsonl").write_text(
        (tiny / "corpus.jsonl").read_text() + "".join(json.dumps(row) + "\n" for row in rows)
    )
    (tiny / "queries/shop.jsonl").write_text(
        "".join(json.dumps({"_id": f"h{i:02}", "text": w}) + "\n" for i, w in enumerate(words))
    )
    (tiny / "qrels/shop.tsv").write_text("q\td\ts\n" + "".join(f"h{i:02}\tx{i:02}\t1\n" for i in range(60)))


@pytest.fixture
def blind(monkeypatch, new_hash_encoder):
    """Weights that begin with "blind" see one word in four."""
    whole = new_hash_encoder.encode

    def encode(self, texts):
        if not self.weights.startswith("blind"):
            return whole(self, texts)
        return whole(self, [" ".join(w for w in text.split() if len(w) + ord(w[-1]) % 4 == 7) or "x" for text in texts])

    monkeypatch.setattr(new_hash_encoder, "encode", encode)


def test_regression_is_not_promoted_and_exits_1(project, capsys, blind):
    failing_suite(project)
    accepted(project)
    train(project, "blind")
    assert main(["run", "--system", "tuned"]) == 0
    found = promote(capsys, code=1)
    assert found["promoted"] is None and found["exit_code"] == 1
    assert found["verdicts"][0]["outcome"] == "fail"
    assert not (project / PROMOTED).exists()
    more = ["--baseline", "tiny/baseline.json", "--suite", "tiny"]
    assert main(["models", "promote", "clinic", "--reason", "please", *more]) == 1
    err = capsys.readouterr().err
    assert "REGRESSION" in err and "not promoted" in err


@pytest.mark.parametrize(("policy", "code"), [("block", 3), ("warn", 0)])
def test_inconclusive_verdict_promotes_only_where_the_policy_lets_it_pass(project, capsys, policy, code):
    (project / "bench.toml").write_text(TOML + f'on_inconclusive = "{policy}"\n')
    accepted(project)
    train(project, "w7")
    assert main(["run", "--system", "tuned"]) == 0
    found = promote(capsys, code=code)
    assert found["verdicts"][0]["outcome"] == "inconclusive", "eight queries and other weights tell nothing"
    assert (found["promoted"] is None) == (policy == "block")
    if policy == "warn":
        assert found["promoted"]["verdicts"][0]["outcome"] == "inconclusive"


def test_no_baseline_no_promotion(project, capsys):
    train(project, "w1")
    assert main(["run", "--system", "tuned"]) == 0
    assert "baseline" in promote(capsys, code=2)["error"]["message"]


def test_model_that_was_not_evaluated_is_not_promoted(project, capsys):
    accepted(project)
    train(project, "w1")
    assert promote(capsys, code=2)["error"]["code"] == "missing-result"


@pytest.mark.parametrize("stale", ["model", "suite", "baseline", "weights"])
def test_verdict_from_before_a_change_promotes_nothing(project, capsys, tiny_suite, stale):
    accepted(project)
    folder = train(project, "w7")
    assert main(["run", "--system", "tuned"]) == 0
    assert main(["gate", "--json-out", "verdict.json"]) == 0
    if stale == "model":
        train(project, "w8")
    elif stale == "suite":
        tiny_suite.edit("qrels/shop.tsv", "h7\td18\t1", "h7\td19\t2")
    elif stale == "baseline":
        path = project / "tiny/baseline.json"
        path.write_text(path.read_text().replace('"reason": "first"', '"reason": "other"', 1)[:-40])
    else:
        (folder / "model.safetensors").write_text("w8")
    error = promote(capsys, code=2)["error"]
    expected = {"model": "missing-result", "suite": "not-comparable", "baseline": "baseline", "weights": "store"}
    assert error["code"] == expected[stale]
    assert not (project / PROMOTED).exists()


def test_baseline_of_another_task_promotes_nothing(project, capsys, tiny_suite):
    accepted(project)
    train(project, "w7")
    tiny_suite.edit("qrels/shop.tsv", "h7\td18\t1", "h7\td19\t2")
    assert main(["run", "--system", "tuned"]) == 0
    assert promote(capsys, code=2)["error"]["code"] == "not-comparable"


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--system", "bm25"], "does not work with clinic"),
        (["--system", "base"], "those that do: tuned"),
        (["--system", "tuend"], "does not work with clinic"),
    ],
)
def test_verdict_of_another_system_promotes_nothing(project, capsys, more, says):
    accepted(project)
    train(project, "w1")
    main(["run", "--system", "tuned"])
    assert says in promote(capsys, *more, code=2)["error"]["message"]


def test_promotion_needs_a_reason_and_a_model(project, capsys):
    train(project, "w1")
    assert "only with a reason" in promote(capsys, code=2, reason=" ")["error"]["message"]
    error = said(capsys, "models", "promote", "clinik", "--reason", "x", code=2)["error"]["message"]
    assert 'Did you mean "clinic"' in error
    assert "required: MODEL" in said(capsys, "models", "promote", "--reason", "x", code=2)["error"]["message"]


def test_rollback_returns_to_the_one_before(project, capsys):
    accepted(project)
    folders = []
    for salt in ("w7", "w9"):
        folders.append(train(project, salt))
        assert main(["run", "--system", "tuned"]) == 0
        promote(capsys, reason=salt)
    models = project / ".bench/models"
    assert find_model("promoted:clinic", base=project, models=models) == folders[1]
    back = ["models", "rollback", "clinic"]
    assert "only with a reason" in said(capsys, *back, code=2)["error"]["message"]
    found = said(capsys, *back, "--reason", "complaints")
    assert found["promoted"]["weights"] == weights_digest(folders[0])
    assert find_model("promoted:clinic", base=project, models=models) == folders[0]
    error = said(capsys, *back, "--reason", "again", code=2)["error"]["message"]
    assert "is the first that was promoted" in error
    assert "was never promoted" in said(capsys, "models", "rollback", "x", "--reason", "y", code=2)["error"]["message"]
    # After a rollback the newer one may be promoted again, past the gate.
    assert promote(capsys, reason="mended")["promoted"]["weights"] == weights_digest(folders[1])
    entries = history(project / PROMOTED)
    assert [one.action for one in entries] == ["promote", "promote", "rollback", "promote"]
    assert [one.previous for one in entries] == ["", *(one.digest for one in entries[:-1])]
    shutil.rmtree(folders[0])
    gone = said(capsys, *back, "--reason", "no longer here")
    assert "bench finetune clinic --seed 0" in gone["missing"]


def test_promoted_model_is_known_by_its_weights(project, capsys):
    accepted(project)
    folder = train(project, "w7")
    main(["run", "--system", "tuned"])
    promote(capsys)
    models = project / ".bench/models"
    train(project, "w8")
    assert find_model("promoted:clinic", base=project, models=models) == folder, "a newer model is not served by itself"
    moved = folder.rename(folder.parent / "elsewhere")
    assert find_model("promoted:clinic", base=project, models=models) == moved
    (moved / "model.safetensors").write_text("other weights")
    with pytest.raises(ConfigError, match=r"Copy its folder there.*bench finetune clinic --seed 0"):
        find_model("promoted:clinic", base=project, models=models)
    with pytest.raises(ConfigError, match="promotes no model of that name"):
        find_model("promoted:clinc", base=project, models=models)


# --- the history -----------------------------------------------------------------------------------


def entry(weights="a" * 32, action="promote", name="m", **more):
    base = Promotion(action, name, weights, "folder", 0, "why", "who", "2026-01-01T00:00:00+00:00", None)
    return replace(base, **more)


def test_standing_is_a_stack_for_each_name():
    entries = [entry("1"), entry("9", name="other"), entry("2"), entry("1", "rollback"), entry("3")]
    assert [one.weights for one in standing(entries, "m")] == ["1", "3"]
    assert [one.weights for one in standing(entries[:4], "m")] == ["1"]
    assert standing(entries, "none") == []


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda d: d["history"][0].update(weights="b" * 32), "entry 1 (promote m) was changed"),
        (lambda d: d["history"][1].update(reason="a better one"), "entry 2 (promote m) was changed"),
        (lambda d: d["history"].pop(0), "entry 1 does not follow"),
        (lambda d: d["history"].pop(1), "entry 2 does not follow"),
        (lambda d: d["history"].reverse(), "entry 1 does not follow"),
        (lambda d: d["history"][0].update(action="demote"), "entry 1 is no entry"),
        (lambda d: d["history"][0].pop("who"), "entry 1 is no entry"),
        (lambda d: d["history"][0].update(extra=1), "entry 1 is no entry"),
        (lambda d: d["history"][0].update(folder="../../etc"), "entry 1 is no entry"),
        (lambda d: d["history"][0].update(seed=True), "entry 1 is no entry"),
        (lambda d: d["history"][0].update(verdicts="none"), "entry 1 is no entry"),
        (lambda d: d["history"].insert(0, "text"), "entry 1 is no entry"),
        (lambda d: d.update(history={}), "expected a list"),
        (lambda d: d.update(format=2), "is no history of promotions"),
        (lambda d: d.pop("kind"), "is no history of promotions"),
    ],
)
def test_history_that_was_edited_is_refused(tmp_path, spoil, says):
    path = tmp_path / "promoted.json"
    for weights in "abc":
        append(path, entry(weights * 32))
    document = read_json(path)
    spoil(document)
    write_json(path, document)
    with pytest.raises(StoreError) as caught:
        history(path)
    assert says in str(caught.value) and str(path) in str(caught.value)
    with pytest.raises(StoreError):
        append(path, entry())


# --- vectors of two models -------------------------------------------------------------------------


def hashed(new_hash_encoder, weights="w0", prompt=""):
    return new_hash_encoder(weights, prompt)


def test_manifest_reads_back_and_admits_the_same_model(tmp_path, new_hash_encoder, tiny_suite):
    corpus = tiny_suite.suite.corpora["manual"]
    ours = Manifest.of(hashed(new_hash_encoder), corpus=corpus, model="clinic")
    write_manifest(tmp_path / "a/manifest.json", ours)
    theirs = read_manifest(tmp_path / "a/manifest.json")
    assert theirs == ours
    assert theirs.corpus == {"name": "manual", "digest": corpus.digest, "documents": 20}
    theirs.require(Manifest.of(hashed(new_hash_encoder), model="another name"))
    theirs.require(ours, corpus=True)
    write_manifest(tmp_path / "a/manifest.json", ours)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"weights": "w1"}, 'weights digest "w0" and "w1"'),
        ({"prompt": "query: "}, "query_prompt"),
        ({"dim": 32}, "dimension 64 and 32"),
        ({"precision": "int8"}, "precision float32 and int8"),
        ({"similarity": "dot"}, "similarity cosine and dot"),
    ],
)
def test_vectors_of_another_kind_are_refused(tmp_path, new_hash_encoder, change, says):
    kept = write_manifest(tmp_path / "manifest.json", Manifest.of(hashed(new_hash_encoder), model="clinic"))
    made = {key: value for key, value in change.items() if key in ("weights", "prompt")}
    more = {key: value for key, value in change.items() if key not in made}
    other = Manifest.of(hashed(new_hash_encoder, **made), model="clinic", **more)
    with pytest.raises(NotComparable) as caught:
        read_manifest(kept).require(other, where=kept)
    assert says in str(caught.value) and "anew" in str(caught.value)
    with pytest.raises(NotComparable):
        write_manifest(kept, other)


def test_another_corpus_is_refused_only_where_it_must_be_the_same(new_hash_encoder, tiny_suite):
    encoder = hashed(new_hash_encoder)
    ours = Manifest.of(encoder, corpus=tiny_suite.suite.corpora["manual"])
    changed = tiny_suite.edit("corpus.jsonl", "Flat tyre", "Flat tire")
    other = Manifest.of(encoder, corpus=changed.corpora["manual"])
    ours.require(other)
    with pytest.raises(NotComparable, match="corpus digest"):
        ours.require(other, corpus=True)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda d: d.update(format=2),
        lambda d: d.pop("kind"),
        lambda d: d.update(dim=32),
        lambda d: d.update(dim="64"),
        lambda d: d.update(dim=0),
        lambda d: d.update(precision="float8"),
        lambda d: d.update(similarity="euclid"),
        lambda d: d.update(encoder={}),
        lambda d: d.update(encoder=["w0"]),
        lambda d: d["encoder"].update(weights="w1"),
        lambda d: d.pop("digest"),
        lambda d: d.update(corpus="manual"),
        lambda d: d.pop("model"),
    ],
)
def test_manifest_that_was_edited_is_refused(tmp_path, new_hash_encoder, spoil):
    path = write_manifest(tmp_path / "m.json", Manifest.of(hashed(new_hash_encoder)))
    document = read_json(path)
    spoil(document)
    write_json(path, document)
    with pytest.raises(StoreError, match=r"m\.json"):
        read_manifest(path)


def test_verb_writes_and_checks_a_manifest(project, capsys):
    train(project, "w7")
    found = said(capsys, "models", "manifest", "--system", "tuned", "--corpus", "manual", "--out", "index/m.json")
    assert found["manifest"]["corpus"]["documents"] == 20
    assert said(capsys, "models", "check-manifest", "index/m.json", "--system", "tuned", "--corpus", "manual")["same"]
    # The manifest names its corpus, so that documents that changed since are found without being asked for.
    corpus = project / "tiny/corpus.jsonl"
    whole = corpus.read_text()
    corpus.write_text(whole.replace("saddle", "seat", 1))
    older = said(capsys, "models", "check-manifest", "index/m.json", "--system", "tuned", code=2)
    assert "made of other documents than the corpus has now" in older["error"]["message"]
    corpus.write_text(whole)
    base = said(capsys, "models", "check-manifest", "index/m.json", "--system", "base", code=2)
    assert base["error"]["code"] == "not-comparable"
    train(project, "w8")  # the same name, other weights
    swapped = said(capsys, "models", "check-manifest", "index/m.json", "--system", "tuned", code=2)
    assert "weights digest" in swapped["error"]["message"]
    assert said(capsys, "models", "manifest", "--system", "tuned", "--out", "index/m.json", code=2)
    for arguments, says in (
        (["check-manifest", "none.json", "--system", "tuned"], "does not exist"),
        (["check-manifest", "index/m.json"], "required: --system"),
        (["check-manifest", "--system", "tuned"], "required: FILE"),
        (["manifest", "--system", "tuned"], "required: --out"),
        (["manifest", "--system", "bm25", "--out", "b.json"], "only dense ones have vectors"),
        (["manifest", "--system", "tuned", "--corpus", "manuel", "--out", "b.json"], 'Did you mean "manual"'),
    ):
        assert says in said(capsys, "models", *arguments, code=2)["error"]["message"]


def test_swapped_weights_under_one_name_are_encoded_anew_and_never_read(project, new_hash_encoder):
    """Vectors, rankings and results are kept by the weights' digest."""
    folder = train(project, "w7")
    assert main(["run", "--system", "tuned"]) == 0
    stored = {path.name for path in (project / ".bench/runs").iterdir()}
    (folder / "model.safetensors").write_text("w8")
    assert main(["gate", "--system", "tuned"]) == 2, "no stored result is of these weights"
    assert main(["run", "--system", "tuned"]) == 0
    added = {path.name for path in (project / ".bench/runs").iterdir()} - stored
    assert len(added) == 2, "one a query set: nothing of the old weights was taken"
    assert len(list((project / ".bench/embeddings").iterdir())) == 2


# --- a real folder, in plain Sentence Transformers -------------------------------------------------


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    """A two-layer BERT with random weights and a vocabulary of letters."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("models")
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{c}" for c in letters)]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    BertModel(BertConfig(vocab_size=len(vocabulary), max_position_embeddings=128, **sizes)).save_pretrained(
        folder / "bert"
    )
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder / "bert")
    return folder / "bert"


@pytest.fixture(scope="module")
def bi_encoder(bert, tmp_path_factory):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    folder = tmp_path_factory.mktemp("bi") / "tiny"
    modules = [Transformer(str(bert), max_seq_length=64), Pooling(32, pooling_mode="mean")]
    SentenceTransformer(modules=modules, device="cpu").save_pretrained(str(folder), create_model_card=False)
    return folder


def record(folder, **more):
    found = ModelRecord(
        id=weights_digest(folder), name="clinic", seed=0, kind="bi-encoder", base="minilm", base_digest="b" * 32,
        parent=None, recipe={"epochs": 1, "matryoshka": [32, 16]},
        data={"pairs": 2, "origins": {"judgements": 2}, "rows": 2, "pairs_digest": "p"},
        suite={"name": "tiny", "version": 1}, versions={"torch": "2.13"}, commit="c0ffee", seconds=3.0, loss=0.1,
        folder=str(folder),
    )  # fmt: skip
    return replace(found, **more)


def test_swapped_weights_of_a_real_model_are_encoded_anew(bi_encoder, tmp_path, store):
    folder = tmp_path / "served"
    shutil.copytree(bi_encoder, folder)
    config = Config(kind="local", model=str(folder), device="cpu")

    def rows():
        return embed(LocalEncoder(config, base=tmp_path, models=tmp_path), ["brake"], kind="query", store=store)

    first, again = rows(), rows()
    assert (first.n_new, again.n_new) == (1, 0)
    ours = Manifest.of_model(folder)
    weights = folder / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-2] ^= 8
    weights.write_bytes(bytes(data))
    assert rows().n_new == 1
    with pytest.raises(NotComparable, match="weights digest"):
        ours.require(Manifest.of_model(folder))
    assert Manifest.of_model(folder, dim=16, query_prompt="query: ").dim == 16


def test_card_is_read_by_the_hub_library_and_the_folder_loads_plainly(bi_encoder, tmp_path, make_result):
    from huggingface_hub import ModelCard
    from sentence_transformers import SentenceTransformer

    folder = tmp_path / "model"
    shutil.copytree(bi_encoder, folder)
    before = weights_digest(folder)
    values = [1.0, 0.0, 1.0, 1.0, 0.5, 1.0]
    results = [
        make_result({"ndcg@10": values}, system="tuned"),
        make_result({"ndcg@10": values[:3]}, system="tuned", query_set="phone", role="out-of-distribution"),
        make_result({"ndcg@10": values}, system="tuned@16"),
    ]
    text = card(
        record(folder), results, licenses={"tiny": "CC-BY-4.0"}, base_model="sentence-transformers/all-MiniLM-L6-v2"
    )
    (folder / "README.md").write_text(text)
    assert weights_digest(folder) == before, "a card is no part of the model"
    read = ModelCard.load(folder / "README.md")
    assert read.data.library_name == "sentence-transformers"
    assert read.data.pipeline_tag == "sentence-similarity"
    assert read.data.base_model == "sentence-transformers/all-MiniLM-L6-v2"
    assert {(one.dataset_config, one.metric_value) for one in read.data.eval_results} == {
        ("shop", 0.75), ("phone", 0.66667),
    }  # fmt: skip
    # mean .75, s .41833, n 6: .75 ± 2.5706 · .17078 = .311 … 1.189, cut at 1
    assert "| ndcg@10 | 0.750 | 0.311 to 1.000 |" in text
    assert "| ndcg@10 | 0.667 | – |" in text, "three queries have no interval"
    assert "CC-BY-4.0" in text and "32, 16 dimensions" in text
    assert "no out-of-distribution set" not in text
    loaded = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    assert loaded.encode(["brake"]).shape == (1, 32)
    plain = SentenceTransformer(str(bi_encoder), device="cpu", local_files_only=True)
    np.testing.assert_array_equal(loaded.encode(["brake"]), plain.encode(["brake"]))


def test_reranker_with_a_card_loads_plainly(bert, tmp_path):
    from huggingface_hub import ModelCard
    from sentence_transformers import CrossEncoder

    folder = tmp_path / "reader"
    CrossEncoder(str(bert), num_labels=1, local_files_only=True, device="cpu").save_pretrained(str(folder))
    text = card(record(folder, kind="cross-encoder", recipe={}), [])
    (folder / "README.md").write_text(text)
    assert ModelCard.load(folder / "README.md").data.pipeline_tag == "text-ranking"
    assert "None of its systems has been evaluated yet" in text and "no out-of-distribution set" in text
    scores = CrossEncoder(str(folder), local_files_only=True, device="cpu").predict([("brake", "pads")])
    assert scores.shape == (1,)


def test_hostile_names_stay_inside_the_card(bi_encoder, make_result):
    from huggingface_hub import ModelCard

    nasty = "x | y\n---\n<script>`# z"
    results = [make_result({"ndcg@10": [1.0] * 6}, system=nasty)]
    read = ModelCard(card(record(bi_encoder, name=nasty, base=nasty), results))
    assert read.data.model_name == nasty
    assert read.text.lstrip().startswith("# x \\| y --- \\<script\\>\\`# z\n")
    assert "<script" not in read.text.replace("\\<script", "")
    # Rows of a table keep their number of cells: two columns, eight.
    rows = [line for line in read.text.splitlines() if line.startswith("|")]
    assert {line.count("|") - line.count("\\|") for line in rows} == {3, 9}


def test_verb_writes_the_card_beside_the_weights(project, capsys):
    folder = train(project, "w7")
    (project / "tiny/suite.toml").write_text('license = "CC0-1.0"\n' + (project / "tiny/suite.toml").read_text())
    main(["run", "--system", "tuned"])
    found = said(capsys, "models", "card", "clinic")
    assert (
        Path(found["written"]) == folder.relative_to(project) / "README.md"
        or Path(found["written"]) == folder / "README.md"
    )
    text = (folder / "README.md").read_text()
    assert found["results"] == 2
    assert "CC0-1.0" in text and "out-of-distribution" in text and "model-index" in text
    assert (
        "does not work with" in said(capsys, "models", "card", "clinic", "--system", "base", code=2)["error"]["message"]
    )
