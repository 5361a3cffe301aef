"""Claims about bench.suites.importing and the sources it reads: counts, records, splits, and what is refused."""

from __future__ import annotations

import gzip
import http.server
import json
import os
import threading
import tomllib
import tracemalloc
import zipfile
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.base.errors import BenchError, SuiteError, UsageError
from bench.cli.main import main
from bench.suites import importing
from bench.suites.importing import import_collection, open_source, write_suite
from bench.suites.sources import Collection, Document, Part, Query
from bench.suites.splits import SplitPlan
from bench.suites.suite import load

DATA = Path(os.environ.get("BENCH_DATA", "/nowhere"))


def collection(documents=None, queries=None, judged=None, *, split="test", name="small", **origin):
    documents = documents if documents is not None else [Document("d1", "one"), Document("d2", "two", "Two")]
    queries = queries if queries is not None else [Query("q1", "first"), Query("q2", "second")]
    judged = judged if judged is not None else [("q1", "d1", 1), ("q2", "d2", 2)]
    part = Part(split, lambda: iter(queries), lambda: iter(judged))
    return Collection(name, lambda: iter(documents), (part,), {"kind": "test", **origin})


def run(*arguments):
    return main(["import", *map(str, arguments)])


def refused(capsys, *arguments, sentence):
    assert run(*arguments) == 2
    message = " ".join(capsys.readouterr().err.split())
    assert sentence in message, message


def write_lines(path, *rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def beir_folder(tmp_path):
    folder = tmp_path / "forum"
    write_lines(
        folder / "corpus.jsonl",
        {"_id": "t1-a", "title": "T", "text": "über", "metadata": {"thread": "t1"}},
        {"_id": "t2 a", "text": "two", "metadata": {"thread": 2}},
        {"_id": "t3-a", "text": "three"},
    )
    write_lines(
        folder / "queries.jsonl",
        {"_id": "t1-q", "text": "first", "pinned": True},
        {"_id": "t2 q", "text": "second", "slice": "s"},
        {"_id": "t3-q", "text": "third"},
        {"_id": "none", "text": "judged nowhere"},
    )
    (folder / "qrels").mkdir()
    (folder / "qrels" / "train.tsv").write_text("query-id\tcorpus-id\tscore\nt1-q\tt1-a\t1\n")
    (folder / "qrels" / "test.tsv").write_text(
        "query-id\tcorpus-id\tscore\nt2 q\tt2 a\t2\nt3-q\tt3-a\t1\nt3-q\tgone\t1\nlost\tt1-a\t1\n"
    )
    return folder


# --- writing a suite ---


def test_import_is_a_suite_that_loads_with_everything_told(beir_folder, tmp_path, capsys):
    assert run("beir", beir_folder, "--out", tmp_path / "out") == 0
    told = capsys.readouterr().err
    assert "forum: 3 documents" in told
    assert "1 documents had white space in their ids" in told
    suite = load(tmp_path / "out")
    assert suite.name == "forum"
    assert suite.corpora["documents"].ids == ("t1-a", "t2_a", "t3-a")
    assert suite.corpora["documents"].texts[0] == "T über"
    assert [(q.name, q.role, q.ids) for q in suite.query_sets.values()] == [
        ("train", "train", ("t1-q",)),
        ("test", "held-out", ("t2_q", "t3-q")),
    ]
    assert suite.qrels("test") == {"t2_q": {"t2_a": 2}, "t3-q": {"t3-a": 1}}
    assert suite.labels["train"].pinned == {"t1-q"}
    assert suite.labels["test"].slices == {"t2_q": ("s",)}


def test_json_counts_what_was_changed(beir_folder, tmp_path, capsys):
    assert run("beir", beir_folder, "--out", tmp_path / "out", "--json", "--name", "mine") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["format"] == 1
    assert document["name"] == "mine"
    assert document["n_docs"] == 3
    assert [(q["name"], q["n_queries"], q["n_judgements"]) for q in document["query_sets"]] == [
        ("train", 1, 1),
        ("test", 2, 2),
    ]
    assert document["changes"] == {
        "renamed-documents": 1,
        "renamed-queries": 1,
        "dangling-documents": 1,
        "dangling-queries": 1,
    }
    card = (tmp_path / "out" / "README.md").read_text()
    assert "| test | held-out | 2 | 2 |" in card
    assert "- 1 judgements named a document that is not there" in card
    assert tomllib.loads((tmp_path / "out" / "suite.toml").read_text())["origin"] == document["origin"]


@pytest.mark.parametrize("split", [None, SplitPlan("query", share_documents=True), SplitPlan("group", group_by="t.")])
def test_second_import_has_equal_bytes_and_digest(beir_folder, tmp_path, split):
    source = open_source("beir", str(beir_folder))
    first, second = (write_suite(source, tmp_path / name, split=split) for name in ("one", "two"))
    assert load(first).digest == load(second).digest
    files = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(second) for path in second.rglob("*") if path.is_file())
    assert all((first / file).read_bytes() == (second / file).read_bytes() for file in files)


HOSTILE = st.text(alphabet=st.characters(), max_size=12)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(HOSTILE, HOSTILE, HOSTILE, HOSTILE)
def test_any_text_comes_back_in_whole_characters(tmp_path_factory, text, title, location, cluster):
    source = collection(
        [Document("d", text, title)], [Query("q", text, cluster=cluster or None)], [("q", "d", 1)], location=location
    )
    folder = write_suite(source, tmp_path_factory.mktemp("any") / "out")
    given = (text, title, cluster)
    text, title, cluster = (part.encode("utf-8", "replace").decode() for part in given)
    row = json.loads((folder / "corpus.jsonl").read_text(encoding="utf-8"))
    assert (row["text"], row["title"]) == (text, title)
    assert ("surrogate" in (folder / "README.md").read_text(encoding="utf-8")) == (given != (text, title, cluster))
    suite = load(folder)
    assert suite.query_sets["test"].texts == (text,)
    assert suite.labels["test"].clusters == ({"q": cluster} if cluster else {})
    origin = tomllib.loads((folder / "suite.toml").read_text(encoding="utf-8"))["origin"]
    assert origin["location"] == location.encode("utf-8", "replace").decode()


def test_folder_in_use_is_left_as_it_is_unless_forced(beir_folder, tmp_path, capsys):
    out = tmp_path / "out"
    assert run("beir", beir_folder, "--out", out) == 0
    (out / "baseline.json").write_text("{}")
    (out / "queries" / "old.jsonl").write_text("")
    before = (out / "suite.toml").read_bytes()
    refused(capsys, "beir", beir_folder, "--out", out, "--name", "new", sentence="is not empty; expected a new folder")
    assert (out / "suite.toml").read_bytes() == before
    assert run("beir", beir_folder, "--out", out, "--name", "new", "--force") == 0
    assert load(out).name == "new"
    # What an accepted baseline says about the old suite is for the gate to refuse, not for an import to delete.
    assert (out / "baseline.json").read_text() == "{}"
    assert not (out / "queries" / "old.jsonl").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["forum", "out"]


def test_force_replaces_nothing_but_a_suite(beir_folder, tmp_path, capsys):
    out = tmp_path / "home"
    write_lines(out / "precious.txt", {})
    refused(capsys, "beir", beir_folder, "--out", out, "--force", sentence="--force replaces nothing but a suite")
    assert (out / "precious.txt").exists()
    refused(
        capsys, "beir", beir_folder, "--out", out / "precious.txt", sentence="is a file; expected the name of a new"
    )


def test_import_that_fails_leaves_nothing(tmp_path):
    def broken():
        yield Document("d1", "one")
        raise SuiteError("the source broke")

    source = Collection("small", broken, collection().parts)
    with pytest.raises(SuiteError, match="the source broke"):
        write_suite(source, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"documents": [Document("a b", ""), Document("a_b", "")]}, 'two documents have the id "a_b"'),
        ({"documents": []}, "holds no document"),
        ({"documents": [Document(" ", "")]}, "A document has an empty id"),
        ({"documents": [Document("a\0", "")]}, "expected text that a file can hold"),
        ({"queries": [Query("q\ud800", "x")]}, "expected text that a file can hold"),
        ({"queries": [Query("q1", "x"), Query("q1", "x")]}, 'two queries have the id "q1"'),
        ({"judged": [("q1", "d1", 1), ("q1", "d1", 2)]}, 'query "q1", document "d1" is judged 1 and 2'),
        ({"judged": [("q1", "elsewhere", 1)]}, "no query has a judgement on a document that is there"),
        ({"judged": []}, "Do the ids of queries, documents and judgements agree?"),
    ],
)
def test_collection_that_is_no_suite_is_refused(tmp_path, changed, sentence):
    with pytest.raises(SuiteError) as found:
        write_suite(collection(**changed), tmp_path / "out")
    assert sentence in str(found.value)
    assert list(tmp_path.iterdir()) == []


def test_roles_follow_the_splits_unless_said_otherwise(beir_folder, tmp_path, capsys):
    assert run("beir", beir_folder, "--out", tmp_path / "out", "--role", "test=out-of-distribution", "train=dev") == 0
    assert [q.role for q in load(tmp_path / "out").query_sets.values()] == ["dev", "out-of-distribution"]
    again = ("beir", beir_folder, "--out", tmp_path / "again", "--role")
    refused(capsys, *again, "tset=dev", sentence='it has train, test. Did you mean "test"?')
    refused(capsys, *again, "test=heldout", sentence='Did you mean "held-out"?')
    refused(capsys, *again, "test", sentence="expected NAME=VALUE")
    refused(capsys, *again, "test=dev", "--split", "query", sentence="all queries are split anew by query")


def test_unknown_kind_and_setting_name_the_nearest(beir_folder, tmp_path, capsys):
    out = ("--out", tmp_path / "out")
    refused(capsys, "bier", beir_folder, *out, sentence='Did you mean "beir"?')
    refused(capsys, "beir", beir_folder, *out, "--set", "gruop=x", sentence='Did you mean "group"?')
    refused(capsys, "jsonl", beir_folder, *out, "--set", "answerable=perhaps", sentence="answerable is 'perhaps'")
    refused(capsys, "beir", beir_folder, *out, "--set", "cluster_by=(", sentence="expected a regular expression")
    refused(capsys, "beir", beir_folder, *out, "--name", "a b", sentence='Suite name "a b"')
    refused(capsys, "beir", tmp_path / "nowhere", *out, sentence="does not exist and is no public BEIR set")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--share-documents"], "--share-documents is about a new division"),
        (["--held-out", "0.15"], "--held-out is about a new division"),  # the default, said aloud, is no less idle
        (["--dev", "0", "--seed", "0"], "--dev, --seed is about a new division"),
        (["--held-out-from", "2024-01-01"], "--held-out-from is about a new division"),
        (["--split", "time", "--held-out-from", "2024-01-01", "--dev", "0.1"], "--dev is a share"),
        (["--split", "time", "--seed", "3"], "--seed is for random divisions"),
        (["--split", "query", "--group-by", "x"], "belongs to a split by group"),
        (["--split", "query", "--dev-from", "2024-01-01"], "belongs to a split by time"),
        (["--set", "group=thread"], "add --split group."),
        (["--group-by", "x", "--set", "group=thread"], "add --split group, without --group-by."),
        (["--split", "group", "--set", "group=thread", "time=when"], "add --split time."),
        (["--set", "inside=forum", "inside=other"], '--set gives "inside" twice'),
        (["--role", "test=dev", "test=train"], '--role gives "test" twice'),
        (["--set", "downloads=here"], "is here already, so downloads says nothing"),
    ],
)
def test_option_that_nothing_would_look_at_is_refused(beir_folder, tmp_path, capsys, arguments, sentence):
    refused(capsys, "beir", beir_folder, "--out", tmp_path / "out", *arguments, sentence=sentence)
    assert not (tmp_path / "out").exists()


def test_settings_of_a_kind_that_nothing_would_look_at_are_refused(tmp_path, capsys):
    (tmp_path / "oos").mkdir()
    write_lines(tmp_path / "docs.jsonl", {"_id": "d1", "text": "one"})
    (tmp_path / "judged.csv").write_text("query,document_id\na,d1\n", encoding="utf-8")
    out = ("--out", tmp_path / "out", "--set")
    settings = ("answerable=false", "qrels=q.tsv")
    refused(capsys, "jsonl", tmp_path / "oos", *out, *settings, sentence="q.tsv would not be read")
    settings = ("corpus=docs.jsonl", "title=headline")
    refused(capsys, "table", tmp_path / "judged.csv", *out, *settings, sentence="leave title out")
    refused(capsys, "beir", "scifact", *out, "inside=x", sentence="write its folder as NAME/FOLDER")


def test_every_kind_of_source_has_options_and_a_collection():
    import importlib

    assert {"beir", "jsonl", "table", "trec"} <= set(importing.kinds())
    for kind in importing.kinds():
        module = importlib.import_module(f"bench.suites.sources.{kind.replace('-', '_')}")
        assert module.Options.model_fields
        assert callable(module.collection)


def test_memory_does_not_grow_with_the_texts(tmp_path):
    def peak(words):
        n = 300
        source = collection((Document(f"d{i}", "word " * words) for i in range(n)), [Query("q", "x")], [("q", "d7", 1)])
        tracemalloc.start()
        write_suite(source, tmp_path / str(words))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(1)  # what is imported and cached once
    # 300 documents of 20,000 words are 30 MB.
    assert peak(20_000) - peak(2) < 3_000_000


# --- dividing anew ---


def forum(n_threads=40, per_thread=3):
    documents = [Document(f"t{i}-a", f"answer {i}", group=f"g{i}", time=f"20{i:02d}-01-01") for i in range(n_threads)]
    queries = [Query(f"t{i}-q{j}", f"question {i} {j}") for i in range(n_threads) for j in range(per_thread)]
    judged = [(query.query_id, f"{query.query_id.split('-')[0]}-a", 1) for query in queries]
    return collection(documents, queries, judged)


@pytest.mark.parametrize(
    "plan",
    [
        SplitPlan("document", held_out=0.3),
        SplitPlan("group", group_by="^([^-]+)-", held_out=0.3),
        SplitPlan("group", held_out=0.3),
        SplitPlan("time", held_out=0.3),
    ],
    ids=["document", "group by pattern", "group of the document", "time"],
)
def test_what_belongs_together_stays_together(tmp_path, plan):
    made = import_collection(forum(), tmp_path / "out", split=plan)
    suite = load(made.folder)
    assert [(q.name, q.role) for q in suite.query_sets.values()] == [
        ("train", "train"),
        ("dev", "dev"),
        ("held-out", "held-out"),
    ]
    threads = {name: {i.split("-")[0] for i in q.ids} for name, q in suite.query_sets.items()}
    assert sum(map(len, threads.values())) == 40
    assert sum(len(q.ids) for q in suite.query_sets.values()) == 120
    assert made.changes == {}
    assert all(counts.n_sharing == 0 for counts in made.query_sets)
    assert made.origin["split"].endswith("no two splits share a judged document.")
    if plan.by == "group":
        assert len(set(suite.labels["train"].clusters.values())) == len(threads["train"])


def test_queries_that_would_share_a_document_go_unless_the_plan_says_so(tmp_path):
    plan = {"by": "query", "held_out": 0.3, "seed": 1}
    made = import_collection(forum(), tmp_path / "apart", split=SplitPlan(**plan))
    gone = made.changes["sharing-queries"]
    assert gone > 0
    assert sum(q.n_queries for q in made.query_sets) == 120 - gone
    assert all(q.n_sharing == 0 for q in made.query_sets)
    shared = import_collection(forum(), tmp_path / "shared", split=SplitPlan(**plan, share_documents=True))
    assert shared.changes == {}
    train = shared.query_sets[0]
    assert train.n_sharing > 0
    # The suite says so itself.
    config = tomllib.loads((shared.folder / "suite.toml").read_text())
    assert config["query_sets"][0]["description"].startswith(
        f"{train.n_sharing} of {train.n_queries} queries are judged"
    )
    assert "splits may share judged documents" in config["description"]


def test_queries_of_equal_text_are_not_divided(tmp_path):
    queries = [Query(f"q{i}", f"  Question {i // 2}" if i % 2 else f"question {i // 2}") for i in range(80)]
    source = collection(
        [Document(f"d{i}", "x") for i in range(80)], queries, [(f"q{i}", f"d{i}", 1) for i in range(80)]
    )
    suite = load(write_suite(source, tmp_path / "out", split=SplitPlan("query", held_out=0.4)))
    for query_set in suite.query_sets.values():
        ids = set(query_set.ids)
        assert all((f"q{i}" in ids) == (f"q{i + 1}" in ids) for i in range(0, 80, 2))


def test_out_of_distribution_stays_apart_from_a_new_division(tmp_path):
    foreign = Part("foreign", lambda: [Query("f", "foreign")], lambda: [("f", "t0-a", 1)], role="out-of-distribution")
    base = forum()
    source = Collection("small", base.documents, (*base.parts, foreign))
    suite = load(write_suite(source, tmp_path / "out", split=SplitPlan("document")))
    assert suite.query_sets["foreign"].role == "out-of-distribution"
    assert suite.query_sets["foreign"].ids == ("f",)
    assert not any("f" in q.ids for name, q in suite.query_sets.items() if name != "foreign")


def test_query_of_two_splits_is_one_query_with_all_its_judgements(tmp_path):
    one = collection(judged=[("q1", "d1", 1)]).parts[0]
    other = Part("dev", one.queries, lambda: [("q1", "d2", 2), ("q2", "d2", 1)])
    source = Collection("small", collection().documents, (one, other))
    made = import_collection(source, tmp_path / "out", split=SplitPlan("query", share_documents=True))
    assert sum(q.n_queries for q in made.query_sets) == 2
    assert sum(q.n_judgements for q in made.query_sets) == 3
    clash = Part("dev", lambda: [Query("q1", "another text")], lambda: [])
    with pytest.raises(SuiteError, match='two queries have the id "q1"'):
        write_suite(Collection("small", source.documents, (one, clash)), tmp_path / "no", split=SplitPlan("query"))


def test_split_by_what_nothing_has_is_refused(tmp_path):
    with pytest.raises(SuiteError, match="none of 2 queries has a group"):
        write_suite(collection(), tmp_path / "out", split=SplitPlan("group"))
    with pytest.raises(SuiteError, match='Query "q1" and its documents have no time'):
        write_suite(collection(), tmp_path / "out", split=SplitPlan("time"))


# --- beir ---


def zipped(folder, path, prefix):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, f"{prefix}{file.relative_to(folder)}")
        archive.writestr(f"__MACOSX/{prefix}corpus.jsonl", b"\0\0")
    return path


@pytest.mark.parametrize("prefix", ["forum/", "", "deep/er/forum/"])
def test_archive_is_read_in_place_and_equals_its_folder(beir_folder, tmp_path, prefix):
    path = zipped(beir_folder, tmp_path / "forum.zip", prefix)
    before = sorted(tmp_path.iterdir())
    packed = open_source("beir", str(path))
    assert packed.name == "forum"
    assert list(packed.documents()) == list(open_source("beir", str(beir_folder)).documents())
    assert sorted(tmp_path.iterdir()) == before
    digests = {load(write_suite(open_source("beir", str(p)), tmp_path / p.stem[:1])).digest for p in [path]}
    assert digests == {load(write_suite(open_source("beir", str(beir_folder)), tmp_path / "folder")).digest}


def test_archive_that_is_none_or_holds_several_says_so(beir_folder, tmp_path):
    path = tmp_path / "cut.zip"
    path.write_bytes(zipped(beir_folder, tmp_path / "whole.zip", "a/").read_bytes()[:-40])
    with pytest.raises(SuiteError, match=r"cut.zip is neither a folder nor a whole .zip"):
        open_source("beir", str(path))
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        for name in ("set/android/corpus.jsonl", "set/unix/corpus.jsonl"):
            archive.write(beir_folder / "corpus.jsonl", name)
    with pytest.raises(SuiteError, match=r"2 folders with a corpus.jsonl \(set/android, set/unix\); expected one"):
        open_source("beir", str(tmp_path / "two.zip"))
    with pytest.raises(SuiteError, match=r"two.zip/set/unix/? has no queries.jsonl"):
        open_source("beir", str(tmp_path / "two.zip"), {"inside": "unix"})


def test_damage_inside_an_archive_is_one_sentence(beir_folder, tmp_path):
    path = zipped(beir_folder, tmp_path / "forum.zip", "")
    data = bytearray(path.read_bytes())
    data[data.index(b"corpus.jsonl") + 30] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(SuiteError, match=r"corpus.jsonl: the (archive is damaged|gzip stream ends early)"):
        list(open_source("beir", str(path)).documents())


@pytest.fixture
def mirror(tmp_path):
    """A local server of archives, in the place of BEIR's own."""
    (tmp_path / "served").mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "served")))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_public_set_is_downloaded_once_by_beir_s_own_downloader(beir_folder, tmp_path, mirror):
    pytest.importorskip("beir", reason="needs beir")
    archive = zipped(beir_folder, tmp_path / "served" / "scifact.zip", "scifact/")
    settings = {"url": mirror, "downloads": str(tmp_path / "kept")}
    first = load(write_suite(open_source("beir", "scifact", settings), tmp_path / "one"))
    assert first.name == "scifact"
    archive.unlink()
    second = load(write_suite(open_source("beir", "scifact", settings), tmp_path / "two"))
    assert first.digest == second.digest
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["scifact"]


def test_error_page_and_absent_network_say_what_to_run(tmp_path, mirror, capsys):
    pytest.importorskip("beir", reason="needs beir")
    sentence = "Where there is a network, run: bench import beir scifact --out DIR."
    kept = f"downloads={tmp_path / 'kept'}"
    # The server answers 404 with a page, which BEIR's downloader keeps as if it were the archive.
    arguments = ("beir", "scifact", "--out", tmp_path / "out", "--set", kept)
    refused(capsys, *arguments, f"url={mirror}", sentence=sentence)
    refused(capsys, *arguments, "url=http://127.0.0.1:9", sentence=sentence)
    assert list((tmp_path / "kept").iterdir()) == []


# --- jsonl ---


def test_queries_that_nothing_answers_are_a_suite_of_their_own(tmp_path):
    write_lines(tmp_path / "other" / "corpus.jsonl", {"_id": "d", "text": "one"})
    write_lines(tmp_path / "oos" / "queries.jsonl", {"_id": "a", "text": "x"}, {"_id": "b", "text": "y"})
    settings = {"corpus": "../other/corpus.jsonl", "answerable": "false", "split": "oos"}
    folder = write_suite(open_source("jsonl", str(tmp_path / "oos"), settings), tmp_path / "out")
    suite = load(folder)
    assert suite.labels["oos"].unanswerable == {"a", "b"}
    assert suite.qrels("oos") == {}
    assert main(["check", str(folder)]) == 2  # such a set is for the queries file of one that has answers


def test_group_and_time_come_from_the_line_or_its_metadata(beir_folder):
    documents = list(open_source("beir", str(beir_folder), {"group": "thread", "time": "title"}).documents())
    assert [(d.group, d.time) for d in documents] == [("t1", "T"), ("2", None), (None, None)]
    part = open_source("beir", str(beir_folder), {"cluster_by": "^(t.)"}).parts[1]
    assert [query.cluster for query in part.queries()] == ["t2", "t3"]


# --- trec ---

SGML = """<DOC>
<DOCNO> FT-1 </DOCNO>
<HEADLINE>Ships &amp; sails</HEADLINE>
<DATE>2021-03-04</DATE>
<TEXT>
Wind <b>fills</b> them.
</TEXT>
<TEXT>Twice.</TEXT>
</DOC>
<doc><docno>FT-2</docno> bare words <F>and tags</F></doc><DOC id="3"><DOCNO>FT-3</DOCNO>
<TEXT>last</TEXT></DOC>
"""

TOPICS = """<top>
<num> Number: 301
<title> Topic: sailing ships
<desc> Description:
How do ships
sail?
<narr> Narrative: &lt;none&gt;
</top>
<top><num>302</num><title>bare</title></top>
"""


@pytest.fixture
def trec_folder(tmp_path):
    folder = tmp_path / "news"
    folder.mkdir()
    (folder / "documents.sgml").write_text(SGML)
    (folder / "topics.txt").write_text(TOPICS)
    (folder / "qrels.txt").write_text("301 0 FT-1 2\n301 0 FT-2 0\n302 0 FT-3 1\n")
    return folder


def test_trec_folder_is_read_as_people_wrote_it(trec_folder, tmp_path):
    source = open_source("trec", str(trec_folder), {"time": "date"})
    assert list(source.documents()) == [
        Document("FT-1", "Wind fills them. Twice.", "Ships & sails", time="2021-03-04"),
        Document("FT-2", "bare words and tags"),
        Document("FT-3", "last"),
    ]
    assert [(q.query_id, q.text) for q in source.parts[0].queries()] == [("301", "sailing ships"), ("302", "bare")]
    suite = load(write_suite(source, tmp_path / "out"))
    assert suite.qrels("test") == {"301": {"FT-1": 2, "FT-2": 0}, "302": {"FT-3": 1}}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("topics.tsv", "301\tsailing ships\n302\tbare\n"),
        ("topics.jsonl", '{"_id": "301", "text": "sailing ships"}\n{"_id": "302", "text": "bare"}\n'),
        ("queries.gz", gzip.compress(b"301\tsailing ships\r\n302\tbare\r\n", mtime=0)),
    ],
)
def test_topics_are_told_by_content(trec_folder, name, content):
    (trec_folder / "topics.txt").unlink()
    (trec_folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    queries = open_source("trec", str(trec_folder)).parts[0].queries()
    assert [(q.query_id, q.text) for q in queries] == [("301", "sailing ships"), ("302", "bare")]


def test_documents_may_be_a_folder_of_both_formats_in_any_encoding(trec_folder):
    (trec_folder / "docs").mkdir()
    (trec_folder / "docs" / "a").write_bytes("<DOC><DOCNO>1</DOCNO>Größe</DOC>".encode("latin-1"))
    source = open_source("trec", str(trec_folder), {"documents": "docs", "encoding": "latin-1"})
    assert [d.text for d in source.documents()] == ["Größe"]
    write_lines(trec_folder / "docs" / "b.jsonl", {"_id": "2", "text": "two"})
    with pytest.raises(SuiteError, match=r"docs/a:1: not UTF-8"):
        list(open_source("trec", str(trec_folder), {"documents": "docs"}).documents())
    assert [d.doc_id for d in source.documents()] == ["1", "2"]


def test_several_judgement_files_are_several_splits(trec_folder):
    (trec_folder / "train.qrels").write_text("302 0 FT-3 1\n")
    source = open_source("trec", str(trec_folder), {"qrels": "train.qrels,qrels.txt"})
    assert [part.split for part in source.parts] == ["train", "qrels"]
    assert [q.query_id for q in source.parts[0].queries()] == ["302"]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("documents.sgml", "<DOC>\n<DOCNO>1</DOCNO>\n", "documents.sgml:1: <DOC> is never closed"),
        ("documents.sgml", "<DOC>\n<TEXT>x</TEXT>\n</DOC>\n", "documents.sgml:1: a <DOC> without <DOCNO>"),
        ("documents.sgml", "<DOC>\n<DOC>\n", "documents.sgml:2: <DOC> inside the <DOC> of line 1"),
        ("documents.sgml", "x\n</DOC>\n", "documents.sgml:2: </DOC> without <DOC>"),
        ("documents.sgml", "plain words\n", "holds no <DOC>"),
        ("documents.sgml", "", "holds no <DOC>"),
        ("topics.txt", "<top>\n<num>301\n", "topics.txt:1: <top> is never closed"),
        ("topics.txt", "<top>\n<num>1\n<top>\n", "topics.txt:3: <top> inside the <top> of line 1"),
        ("topics.txt", "<top>\n<num>1\n<desc>x\n</top>\n", "the topic has no <title>; it has desc"),
        ("topics.txt", "<top>\n<title>x\n</top>\n", "topics.txt:1: a topic without number"),
        ("topics.txt", "301 no tab\n", "topics.txt:1: no tab"),
        ("qrels.txt", "301 FT-1\n", "qrels.txt:1: 2 fields"),
    ],
)
def test_damaged_trec_files_are_named_with_their_line(trec_folder, tmp_path, name, content, sentence):
    (trec_folder / name).write_text(content)
    with pytest.raises(SuiteError) as found:
        write_suite(open_source("trec", str(trec_folder)), tmp_path / "out")
    assert sentence in str(found.value)


def test_file_that_could_be_either_is_asked_for(trec_folder):
    (trec_folder / "topics.old").write_text(TOPICS)
    with pytest.raises(SuiteError, match=r"2 files that could be its topics \(topics.old, topics.txt\)"):
        open_source("trec", str(trec_folder))


# --- tables ---

TABLE = 'query,answer,grade,kind\nhow long,"two, or\n\nthree",2,test\nhow long,none,0,test\nhow far,none,1,train\n'


def table(tmp_path, content, name="judged.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


COLUMNS = {"document": "answer", "grade": "grade", "split": "kind"}


def test_table_gives_equal_texts_one_id(tmp_path):
    source = open_source("table", table(tmp_path, TABLE), COLUMNS)
    assert source.name == "judged"
    documents = list(source.documents())
    assert [d.text for d in documents] == ["two, or\n\nthree", "none"]
    test, train = source.parts
    assert (test.split, train.split) == ("test", "train")
    assert [q.text for q in test.queries()] == ["how long"]
    ids = [d.doc_id for d in documents]
    assert [(doc_id, grade) for _, doc_id, grade in test.judgements()] == [(ids[0], 2), (ids[1], 0)]
    suite = load(write_suite(source, tmp_path / "out"))
    assert {name: q.role for name, q in suite.query_sets.items()} == {"test": "held-out", "train": "train"}


def test_table_reads_alike_from_every_format(tmp_path):
    pyarrow = pytest.importorskip("pyarrow", reason="needs pyarrow")
    from pyarrow import parquet

    csv_path = table(tmp_path, TABLE)
    rows = {
        "query": ["how long", "how long", "how far"],
        "answer": ["two, or\n\nthree", "none", "none"],
        "grade": [2, 0, 1],
        "kind": ["test", "test", "train"],
    }
    parquet.write_table(pyarrow.table(rows), tmp_path / "judged.parquet")
    tabbed = TABLE.replace(",", "\t").replace("two\t", "two,")
    paths = [
        csv_path,
        str(tmp_path / "judged.parquet"),
        table(tmp_path, tabbed, "judged.tsv"),
        table(tmp_path, gzip.compress(TABLE.encode()), "judged.csv.gz"),
        table(tmp_path, b"\xef\xbb\xbf" + TABLE.replace(",", ";").replace("two;", "two,").encode(), "judged.semi"),
    ]
    digests = set()
    for i, path in enumerate(paths):
        settings = COLUMNS | ({"delimiter": ";"} if path.endswith("semi") else {})
        digests.add(load(write_suite(open_source("table", path, settings), tmp_path / str(i))).digest)
    assert len(digests) == 1


def test_table_with_one_column_is_no_guess_where_nothing_else_separates(tmp_path):
    with pytest.raises(SuiteError, match='has no column "query"; it has question'):
        open_source("table", table(tmp_path, "question\nhow\n"), {}).parts[0].queries().__next__()


def test_tab_may_be_written_out(tmp_path):
    path = table(tmp_path, "query\tdocument\nx\ty, z\n", "judged.txt")
    for word in ("tab", "\\t", "\t"):
        assert [d.text for d in open_source("table", path, {"delimiter": word}).documents()] == ["y, z"]


def test_click_log_with_another_delimiter_says_what_to_do(tmp_path):
    write_lines(tmp_path / "docs.jsonl", {"_id": "d1", "text": "one"})
    for content, advice in (
        ("query\tshown\tclicked\nx\td1\td1\n", "name it .tsv"),
        ("query;shown\nx;d1\n", "save it as CSV"),
    ):
        path = table(tmp_path, content, "log.csv")
        source = open_source("clicks", path, {"corpus": str(tmp_path / "docs.jsonl")})
        with pytest.raises(SuiteError, match=advice):
            list(source.parts[0].judgements())


def test_table_of_ids_takes_documents_from_their_own_file(tmp_path):
    write_lines(tmp_path / "corpus.jsonl", {"_id": "7", "title": "T", "text": "seven"}, {"_id": "8", "text": "eight"})
    table(tmp_path, "doc,body\n7,seven\n8,eight\n", "corpus.csv")
    path = table(tmp_path, "query,doc\nwhat,7\n")
    source = open_source("table", path, {"document_id": "doc", "corpus": "corpus.jsonl"})
    assert [d.doc_id for d in source.documents()] == ["7", "8"]
    assert [(d, g) for _, d, g in source.parts[0].judgements()] == [("7", 1)]
    other = open_source("table", path, {"document_id": "doc", "corpus": "corpus.csv", "document": "body"})
    assert [d.text for d in other.documents()] == ["seven", "eight"]


@pytest.mark.parametrize(
    ("content", "settings", "sentence"),
    [
        ("query,text\nx,y\n", {}, 'has no column "document"; it has query, text. Name the right one: --set document='),
        ("query,document\nx\n", {}, "judged.csv:2: 1 fields; expected 2: query, document"),
        ("query,query\nx,y\n", {}, 'judged.csv:1: column "query" stands twice'),
        ("query,document\n", {}, "holds no row"),
        ("", {}, "holds no row"),
        ('query,document\nx,"y\n', {}, "judged.csv:2: not such a table (unexpected end of data)"),
        ("query,document\nx,Größe\n".encode("latin-1"), {}, "not UTF-8"),
        ("query,document,g\nx,y,high\n", {"grade": "g"}, 'judged.csv:2: g is "high"; expected a whole number'),
        ("query,document,g\nx,y,0.5\n", {"grade": "g"}, 'g is "0.5"'),
        ("query,document,g\nx,y,inf\n", {"grade": "g"}, 'g is "inf"'),
        ("query,document,id\nx,y,1\nx,z,1\n", {"document_id": "id"}, 'judged.csv:3: document "1" has another text'),
        ("query,document,id\nx,y,1\nw,y,1\n", {"query_id": "id"}, 'judged.csv:3: query "1" has another text'),
        ("query,document\nx,y\n", {"corpus": "c.jsonl"}, "no column says which document"),
        (
            "query;document\nx;y\n",
            {},
            'one column, "query;document"; expected several. Its first line looks separated '
            "by semicolons: --set delimiter=';'",
        ),
        ("query\tdocument\nx\ty\n", {}, "Its first line looks separated by tabs: --set delimiter=tab"),
        ("query|document\nx|y\n", {}, "vertical bars: --set delimiter='|'"),
        ("query,document\nx,y\n", {"delimiter": "tab"}, "looks separated by commas: --set delimiter=','"),
        (
            '"query";"document"\n"x";"y"\n',
            {},
            "not such a table (',' expected after '\"'). Its first line looks separated by semicolons",
        ),
        (
            "a;b;c, d\nx;y;z\n",
            {},
            "judged.csv:2: 1 fields; expected 2: a;b;c, d. Its first line looks separated by semi",
        ),
        ("query,document\nx,y\n", {"delimiter": "::"}, "delimiter is '::'"),
        (b"PAR1", {"delimiter": ";"}, "is Parquet, whose columns no delimiter separates"),
        (b"PAR1 and no more", {}, "after row 0: not a Parquet file that can be read"),
        (gzip.compress(TABLE.encode(), mtime=0)[:-12], COLUMNS, "the gzip stream ends early"),
    ],
)
def test_damaged_table_is_named_with_its_line(tmp_path, content, settings, sentence):
    with pytest.raises(BenchError) as found:
        write_suite(open_source("table", table(tmp_path, content), settings), tmp_path / "out")
    assert sentence in str(found.value)


def test_absent_table_is_one_sentence(tmp_path, capsys):
    refused(capsys, "table", tmp_path / "no.csv", "--out", tmp_path / "out", sentence="no.csv cannot be read: No such")


def test_whole_number_written_as_a_fraction_is_a_grade(tmp_path):
    source = open_source("table", table(tmp_path, "query,document,g\nx,y,2.0\n"), {"grade": "g"})
    assert [grade for _, _, grade in source.parts[0].judgements()] == [2]


# --- real data ---

# Documents and queries per split from the README of the data sets.
COUNTS = {
    "medquad": (10_199, {"train": 5648, "dev": 745, "test": 1522}),
    "covidqa": (2_061, {"train": 982, "dev": 135, "test": 263}),
    "stackfaq": (719, {"train": 1011, "dev": 120, "test": 210}),
    "banking77": (924, {"train": 8181, "dev": 867, "test": 3051}),
    "cranfield": (1_398, {"test": 225}),
    "cacm": (3_204, {"test": 52}),
}
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="BENCH_DATA names no folder of data sets")


@needs_data
@pytest.mark.parametrize("name", COUNTS)
def test_real_data_set_is_imported_by_one_command(tmp_path, name):
    assert run("beir", DATA / name, "--out", tmp_path / name) == 0
    suite, as_it_stands = load(tmp_path / name), load(DATA / name)
    n_docs, queries = COUNTS[name]
    assert len(suite.corpora["documents"].ids) == n_docs
    assert {split: len(q.ids) for split, q in suite.query_sets.items()} == queries
    # Nothing is lost on the way: the folder read as it stands has the same parts.
    assert suite.corpora["documents"].digest == as_it_stands.corpora[name].digest
    for split, query_set in suite.query_sets.items():
        assert query_set.digest == as_it_stands.query_sets[split].digest
        assert suite.labels[split].digest == as_it_stands.labels[split].digest


@needs_data
def test_real_queries_without_an_answer_are_imported_beside_a_corpus(tmp_path):
    settings = ("corpus=../banking77/corpus.jsonl", "answerable=false")
    assert run("jsonl", DATA / "clinc-oos", "--out", tmp_path / "oos", "--set", *settings) == 0
    suite = load(tmp_path / "oos")
    assert len(suite.query_sets["test"].ids) == len(suite.labels["test"].unanswerable) == 1_200
    assert suite.qrels("test") == {}


@needs_data
def test_stackfaq_divided_by_group_keeps_threads_whole(tmp_path):
    assert run("beir", DATA / "stackfaq", "--out", tmp_path / "s", "--group-by", "^([^-]+)-") == 0
    suite = load(tmp_path / "s")
    threads = {name: {i.split("-")[0] for i in q.ids} for name, q in suite.query_sets.items()}
    assert sum(map(len, threads.values())) == len(set.union(*threads.values())) == 125
    assert sum(len(q.ids) for q in suite.query_sets.values()) == 1011 + 120 + 210
    # 15 % of 125 threads, within two standard deviations.
    assert 11 <= len(threads["held-out"]) <= 27
    for name, query_set in suite.query_sets.items():
        assert suite.labels[name].clusters == {i: i.split("-")[0] for i in query_set.ids}


@needs_data
def test_banking77_divided_by_intent_shares_no_document_and_by_query_says_what_it_costs(tmp_path, capsys):
    intent = ("--group-by", r"^(.+)-\d+$")
    assert run("beir", DATA / "banking77", "--out", tmp_path / "intent", *intent, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert sum(q["n_queries"] for q in document["query_sets"]) == 8181 + 867 + 3051
    assert document["changes"] == {}
    # Every intent has held-out queries when divided by query: nothing is left to train on, and the import says so.
    assert run("beir", DATA / "banking77", "--out", tmp_path / "query", "--split", "query", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert [q["name"] for q in document["query_sets"]] == ["held-out"]
    assert document["changes"]["empty-sets"] == 2


def test_usage_error_of_a_plan_reaches_the_command_line(beir_folder, tmp_path, capsys):
    arguments = ("beir", beir_folder, "--out", tmp_path / "out", "--split", "query")
    refused(capsys, *arguments, "--held-out", "2", sentence="held-out is 2")
    with pytest.raises(UsageError, match="belongs to a split by group"):
        SplitPlan("query", group_by="x")


def test_columns_with_their_own_names_are_taken_without_being_named(tmp_path):
    (tmp_path / "judged.csv").write_text(
        "query,document,query_id,document_id,grade,split\nhow,so,q1,d1,0,train\nhow,thus,q1,d2,2,train\nwhy,so,q2,d1,1,test\n"
    )
    suite = load(write_suite(open_source("table", str(tmp_path / "judged.csv")), tmp_path / "out"))
    assert suite.qrels("train") == {"q1": {"d1": 0, "d2": 2}}
    assert suite.qrels("test") == {"q2": {"d1": 1}}


def test_imported_suite_can_be_perturbed(beir_folder, tmp_path):
    folder = write_suite(open_source("beir", str(beir_folder)), tmp_path / "out")
    arguments = ["--query-set", "test", "--with", "casing", "--out", str(tmp_path / "altered")]
    assert main(["perturb", str(folder), *arguments]) == 0
    assert "test-casing" in load(tmp_path / "altered").query_sets
