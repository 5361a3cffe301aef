"""Claims about sources behind a library: Hugging Face, mteb, ir_datasets. A local server stands for the hub."""

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from bench.base.errors import MissingExtra, SuiteError
from bench.suites.sources import Document, Query, hf
from bench.suites.sources.hf import grade_of

COMMIT = "d56462d0e63a25450459c4f213e49ffdb866f7f9"  # the one that mteb pins for SciFact

CARD = """---
license: cc-by-4.0
configs:
- config_name: default
  data_files:
  - split: train
    path: qrels/train.jsonl
  - split: test
    path: qrels/test.jsonl
- config_name: corpus
  data_files:
  - split: corpus
    path: corpus.jsonl
- config_name: queries
  data_files:
  - split: queries
    path: queries.jsonl
---
# Words that nobody reads
"""

DOCUMENTS = [{"_id": f"d{i}", "title": f"Title {i}", "text": f"passage {i}"} for i in range(20)]
QUERIES = [{"_id": f"q{i}", "text": f"question {i}"} for i in range(14)]
TRAIN = [{"query-id": f"q{i}", "corpus-id": f"d{i}", "score": 1} for i in range(2)]
TEST = [{"query-id": f"q{i}", "corpus-id": f"d{i}", "score": 1 + i % 2} for i in range(2, 13)]


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def repository(folder, *, card=CARD):
    """The data set's folder: 20 documents, 14 queries of which one is not judged, 2 + 11 judgements."""
    (folder / "qrels").mkdir(parents=True)
    (folder / "README.md").write_text(card)
    (folder / "corpus.jsonl").write_text(lines(DOCUMENTS))
    (folder / "queries.jsonl").write_text(lines(QUERIES))
    (folder / "qrels" / "train.jsonl").write_text(lines(TRAIN))
    (folder / "qrels" / "test.jsonl").write_text(lines(TEST))
    return folder


def everything(found):
    """A collection as plain rows."""
    return {
        "origin": dict(found.origin),
        "documents": [[d.doc_id, d.title, d.text] for d in found.documents()],
        "parts": {
            p.split: [[[q.query_id, q.text] for q in p.queries()], [list(row) for row in p.judgements()]]
            for p in found.parts
        },
    }


def expected_parts(*splits):
    rows = {"train": (range(2), TRAIN), "test": (range(2, 13), TEST)}
    return {
        split: [
            [[f"q{i}", f"question {i}"] for i in rows[split][0]],
            [[row["query-id"], row["corpus-id"], row["score"]] for row in rows[split][1]],
        ]
        for split in splits
    }


# --- a folder in mteb's layout ---


def test_data_set_folder_gives_its_counts_and_its_first_tenth_and_last_record(tmp_path):
    found = hf.collection(str(repository(tmp_path / "small")), hf.Options())
    assert found.name == "small"
    assert found.origin == {"kind": "hf", "location": "small", "revision": "", "license": "cc-by-4.0"}
    documents = list(found.documents())
    assert len(documents) == 20
    assert [documents[i] for i in (0, 9, -1)] == [Document(f"d{i}", f"passage {i}", f"Title {i}") for i in (0, 9, 19)]
    train, test = found.parts
    assert (train.split, test.split) == ("train", "test")
    queries, judgements = list(test.queries()), list(test.judgements())
    assert (len(list(train.queries())), len(queries), len(judgements)) == (2, 11, 11)
    assert [queries[i] for i in (0, 9, -1)] == [Query(f"q{i}", f"question {i}") for i in (2, 11, 12)]
    assert [judgements[i] for i in (0, 9, -1)] == [("q2", "d2", 1), ("q11", "d11", 2), ("q12", "d12", 1)]


def test_data_set_folder_without_a_card_is_read_by_the_names_of_its_files(tmp_path):
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    plain = repository(tmp_path / "plain", card="# No configurations\n")
    tables = tmp_path / "tables"
    for part, rows in (
        ("corpus/corpus-00000-of-00002", DOCUMENTS[:12]),
        ("corpus/corpus-00001-of-00002", DOCUMENTS[12:]),
        ("queries/queries-00000-of-00001", QUERIES),
        ("data/test-00000-of-00001", TEST),
        ("data/train-00000-of-00001", TRAIN),
    ):
        (tables / part).parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(pyarrow.Table.from_pylist(rows), tables / f"{part}.parquet")
    separated = repository(tmp_path / "separated", card="")
    for split, rows in (("train", TRAIN), ("test", TEST)):
        (separated / "qrels" / f"{split}.jsonl").unlink()
        table = "".join(f"{row['query-id']}\t{row['corpus-id']}\t{row['score']}.0\n" for row in rows)
        (separated / "qrels" / f"{split}.tsv").write_text("query-id\tcorpus-id\tscore\n" + table)
    for folder in (plain, tables, separated):
        found = everything(hf.collection(str(folder), hf.Options()))
        assert found["documents"] == [[d["_id"], d["title"], d["text"]] for d in DOCUMENTS]
        assert found["parts"] == expected_parts("train", "test")


def test_one_language_of_many_is_chosen_and_its_instructions_follow_the_queries(tmp_path):
    folder = tmp_path / "many"
    parts = ("corpus", "queries", "qrels", "instruction")
    configs = "".join(
        f"- config_name: {lang}-{part}\n  data_files:\n  - split: test\n    path: {lang}/{part}*.jsonl\n"
        for lang in ("de", "en")
        for part in parts
    )
    for lang in ("de", "en"):
        (folder / lang).mkdir(parents=True)
        (folder / lang / "corpus.jsonl").write_text(lines({**d, "text": f"{lang} {d['text']}"} for d in DOCUMENTS))
        (folder / lang / "queries.jsonl").write_text(lines(QUERIES))
        (folder / lang / "qrels.jsonl").write_text(lines(TEST))
        (folder / lang / "instruction.jsonl").write_text(lines([{"query-id": "q3", "instruction": "briefly"}]))
    (folder / "README.md").write_text(f"---\nconfigs:\n{configs}---\n")
    found = hf.collection(str(folder), hf.Options(subset="de"))
    assert next(iter(found.documents())).text == "de passage 0"
    assert [q.text for q in found.parts[0].queries()][:3] == ["question 2", "question 3 briefly", "question 4"]
    with pytest.raises(SuiteError, match=r"no configuration 'default' or 'qrels'.*--set subset="):
        hf.collection(str(folder), hf.Options())


def test_splits_with_a_corpus_each_tell_a_document_once_and_refuse_two_texts_under_one_id(tmp_path):
    card = CARD.replace(
        "- split: corpus\n    path: corpus.jsonl",
        "- split: train\n    path: a.jsonl\n  - split: test\n    path: b.jsonl",
    )
    folder = repository(tmp_path / "two", card=card)
    (folder / "a.jsonl").write_text(lines(DOCUMENTS[:12]))
    (folder / "b.jsonl").write_text(lines(DOCUMENTS[10:]))
    found = hf.collection(str(folder), hf.Options())
    assert [d.doc_id for d in found.documents()] == [f"d{i}" for i in range(20)]
    assert len(list(hf.collection(str(folder), hf.Options(splits=["test"])).documents())) == 10
    (folder / "b.jsonl").write_text(lines([{**DOCUMENTS[11], "text": "other"}]))
    with pytest.raises(SuiteError, match=r'b\.jsonl:1: document "d11" has another text than in a row above'):
        list(found.documents())


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda f: (f / "queries.jsonl").write_text('{"_id": "q2"}\n'), 'queries.jsonl:1: no "text"'),
        (lambda f: (f / "corpus.jsonl").write_text('{"_id": "d"\n'), "corpus.jsonl:1: not JSON"),
        (lambda f: (f / "corpus.jsonl").unlink(), "configuration 'corpus' names files for split 'corpus'"),
        (lambda f: (f / "qrels" / "test.jsonl").write_text(lines([{"query-id": "q", "corpus-id": "d"}])), 'no "score"'),
        (lambda f: (f / "README.md").write_text("---\na: [\n---\n"), "are not YAML"),
        (lambda f: (f / "README.md").write_text("---\nconfigs:\n- config_name: x\n---\n"), "found: x"),
    ],
)
def test_data_set_that_cannot_be_read_is_one_sentence_with_the_line(tmp_path, change, sentence):
    folder = repository(tmp_path / "broken")
    change(folder)
    with pytest.raises(SuiteError) as refused:  # noqa: PT012
        found = hf.collection(str(folder), hf.Options())
        everything(found)
    assert sentence in str(refused.value)


def test_unknown_split_is_named_with_the_nearest(tmp_path):
    folder = repository(tmp_path / "small")
    with pytest.raises(SuiteError, match=r"no judgements for split 'tset' \(found: train, test\).* \"test\""):
        hf.collection(str(folder), hf.Options(splits=["tset"]))


def test_grades_are_whole_numbers_however_they_are_written():
    assert [grade_of("f:1", value) for value in (1, 1.0, "2", "3.0", -1)] == [1, 1, 2, 3, -1]
    for value in (0.5, "x", None, True, float("inf"), float("nan")):
        with pytest.raises(SuiteError, match=r"f:1: .*expected a whole number"):
            grade_of("f:1", value)


# --- the hub ---


class _Hub(BaseHTTPRequestHandler):
    """As much of the hub's interface as fetching a data set takes; `root` is the one repository's folder."""

    root: Path
    asked: list[str]

    def log_message(self, *_):
        pass

    def _json(self, document):
        self._send(json.dumps(document).encode(), {"Content-Type": "application/json"})

    def _send(self, data, headers):
        self.send_response(200)
        for name, value in {"X-Repo-Commit": COMMIT, "Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _entry(self, path):
        data = (self.root / path).read_bytes()
        return {"type": "file", "path": path, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}

    def do_GET(self):
        path = unquote(urlsplit(self.path).path)
        self.asked.append(path)
        files = sorted(p.relative_to(self.root).as_posix() for p in self.root.rglob("*") if p.is_file())
        if path.startswith("/datasets/mteb/scifact/resolve/"):
            name = path.split("/", 6)[6]
            if name in files:
                data = (self.root / name).read_bytes()
                return self._send(data, {"ETag": f'"{hashlib.sha1(data).hexdigest()}"'})
        elif path.startswith("/api/datasets/mteb/scifact/tree/"):
            below = path.split("/", 7)[7] if path.count("/") > 6 else ""
            return self._json([self._entry(name) for name in files if name.startswith(below)])
        elif path.startswith("/api/datasets/mteb/scifact/paths-info/"):
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length).decode()
            return self._json([self._entry(name) for name in files if name in unquote(body)])
        elif path in (
            "/api/datasets/mteb/scifact",
            f"/api/datasets/mteb/scifact/revision/{COMMIT}",
            "/api/datasets/mteb/scifact/revision/main",
        ):
            siblings = [{"rfilename": name} for name in files]
            return self._json({"id": "mteb/scifact", "sha": COMMIT, "siblings": siblings, "private": False, "tags": []})
        self.send_response(404)
        self.send_header("X-Error-Code", "EntryNotFound")
        self.send_header("Content-Length", "0")
        self.end_headers()
        return None

    do_HEAD = do_POST = do_GET


@contextlib.contextmanager
def hub(folder):
    handler = type("Hub", (_Hub,), {"root": folder, "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", handler.asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


SCRIPT = """
import importlib, json, sys
sys.path.insert(0, {tests!r})
from test_sources_libraries import everything
from bench.base.errors import BenchError
source = importlib.import_module("bench.suites.sources.{kind}")
try:
    print("found", json.dumps(everything(source.collection({location!r}, source.Options(**{options!r})))))
except BenchError as error:
    print("error", str(error))
"""


def elsewhere(kind, location, home, *, endpoint=None, **options):
    """What a fresh process finds, with the libraries' caches under `home`: ("found", rows) or ("error", sentence)."""
    code = SCRIPT.format(kind=kind, location=location, options=options, tests=str(Path(__file__).parent))
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "IR_DATASETS"))}
    environment = clean | {"HF_HOME": str(home), "IR_DATASETS_HOME": str(home), "IR_DATASETS_DL_TRIES": "1"}
    # The server that stands for the hub is this machine: no proxy is to be asked.
    environment |= {"NO_PROXY": "*", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_XET": "1"}
    environment |= {"HF_ENDPOINT": endpoint} if endpoint else {"HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    kind, rest = done.stdout.strip().splitlines()[-1].split(" ", 1)
    return kind, json.loads(rest) if kind == "found" else rest


def test_data_set_is_fetched_from_the_hub_once_at_its_revision_and_is_there_offline(tmp_path):
    pytest.importorskip("huggingface_hub")
    folder = repository(tmp_path / "remote")
    (folder / "huge.parquet").write_text("not to be fetched")
    with hub(folder) as (endpoint, asked):
        kind, found = elsewhere("hf", "mteb/scifact", tmp_path / "home", endpoint=endpoint)
    assert kind == "found", found
    assert found["origin"] == {"kind": "hf", "location": "mteb/scifact", "revision": COMMIT, "license": "cc-by-4.0"}
    assert found["documents"] == [[d["_id"], d["title"], d["text"]] for d in DOCUMENTS]
    assert found["parts"] == expected_parts("train", "test")
    assert not any("huge" in path for path in asked)
    again = elsewhere("hf", "mteb/scifact", tmp_path / "home", revision=COMMIT)
    assert again == (kind, found)


def test_data_set_that_is_not_to_be_had_offline_says_which_command_fetches_it(tmp_path):
    pytest.importorskip("huggingface_hub")
    kind, sentence = elsewhere("hf", "mteb/nfcorpus", tmp_path, revision="abc")
    assert kind == "error"
    assert "is no folder, and the hub does not give it" in sentence
    assert "hf download mteb/nfcorpus --repo-type dataset --revision abc --local-dir nfcorpus" in sentence
    assert elsewhere("hf", "./nowhere", tmp_path)[1].startswith('"./nowhere" is no folder')


# --- mteb ---


def test_task_of_mteb_is_fetched_at_the_revision_that_mteb_pins(tmp_path):
    pytest.importorskip("mteb")
    with hub(repository(tmp_path / "remote")) as (endpoint, asked):
        kind, found = elsewhere("mteb", "SciFact", tmp_path / "home", endpoint=endpoint)
    assert kind == "found", found
    assert found["origin"]["revision"] == COMMIT
    assert found["origin"]["dataset"] == "mteb/scifact"
    assert found["documents"] == [[d["_id"], d["title"], d["text"]] for d in DOCUMENTS]
    (queries, judgements) = found["parts"]["test"]
    assert queries == expected_parts("test")["test"][0]
    assert sorted(judgements) == sorted(expected_parts("test")["test"][1])
    assert any(COMMIT in path for path in asked)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("SciFactt", 'no task "SciFactt". Did you mean "SciFact"?'),
        ("Banking77Classification", "a task of Classification; expected retrieval or reranking"),
        ("MIRACLRetrieval", "expected one of them: --set subset="),
    ],
)
def test_task_of_mteb_that_cannot_be_imported_is_one_sentence(name, sentence):
    pytest.importorskip("mteb")
    from bench.suites.sources import mteb as source

    with pytest.raises(SuiteError) as refused:
        source.collection(name, source.Options())
    assert sentence in str(refused.value)


def test_task_of_mteb_that_is_not_to_be_had_offline_says_which_command_fetches_it(tmp_path):
    pytest.importorskip("mteb")
    kind, found = elsewhere("mteb", "SciFact", tmp_path)
    assert kind == "error"
    assert "Where there is a network, run: bench import mteb SciFact --out DIR" in found
    assert f"hf download mteb/scifact --repo-type dataset --revision {COMMIT}" in found


def test_reranking_task_of_mteb_gives_its_candidates_as_corpus_and_instructions_with_the_queries(monkeypatch):
    mteb = pytest.importorskip("mteb")
    from datasets import Dataset

    from bench.suites.sources import mteb as source

    task = mteb.get_task("AskUbuntuDupQuestions")
    revision = task.metadata.dataset["revision"]

    def load_data(self, **_):
        queries = [{"id": "q0", "text": "slow boot", "instruction": "find duplicates"}, {"id": "q1", "text": "x"}]
        self.dataset = {
            "default": {
                "test": {
                    "corpus": Dataset.from_list([{"id": f"d{i}", "text": f"candidate {i}"} for i in range(3)]),
                    "queries": Dataset.from_list(queries),
                    "relevant_docs": {"q0": {"d0": 1, "d1": 0}, "q1": {}},
                    "top_ranked": {"q0": ["d1", "d0"]},
                }
            }
        }

    monkeypatch.setattr(type(task), "load_data", load_data)
    found = source.collection("AskUbuntuDupQuestions", source.Options(revision="other"))
    assert found.origin["task_type"] == "Reranking"
    assert found.origin["revision"] == "other"
    # Another user of the same task in this process sees the revision that mteb pins.
    assert mteb.get_task("AskUbuntuDupQuestions").metadata.dataset["revision"] == revision
    assert list(found.documents()) == [Document(f"d{i}", f"candidate {i}") for i in range(3)]
    assert list(found.parts[0].queries()) == [Query("q0", "slow boot find duplicates")]
    assert list(found.parts[0].judgements()) == [("q0", "d0", 1), ("q0", "d1", 0)]


# --- ir_datasets ---

CRANFIELD = {
    "docs.txt": "".join(
        f".I {i}\n.T\ntitle {i} .\n.A\nauthor\n.B\nj. ae. sc.\n.W\ntitle {i} .\nabstract {i} .\n" for i in range(1, 13)
    ),
    "queries.txt": "".join(f".I {i * 7:03}\n.W\nwhat flow\nis number {i} .\n" for i in range(1, 12)),
    "qrels.txt": "".join(f"{i} {i + 1} {(-1, 1, 2, 3, 4)[i % 5]}\n" for i in range(1, 11)),
}


def test_ir_datasets_id_gives_its_counts_and_its_first_tenth_and_last_record(tmp_path):
    pytest.importorskip("ir_datasets")
    (tmp_path / "cranfield").mkdir()
    for name, text in CRANFIELD.items():
        (tmp_path / "cranfield" / name).write_text(text)
    kind, found = elsewhere("ir_datasets", "cranfield", tmp_path)
    assert kind == "found", found
    assert found["origin"]["revision"].startswith("ir_datasets ")
    assert len(found["documents"]) == 12
    assert [found["documents"][i] for i in (0, 9, -1)] == [
        [str(i), f"title {i} .", f"title {i} .\nabstract {i} ."] for i in (1, 10, 12)
    ]
    queries, judgements = found["parts"]["test"]
    # Query 11 is not judged.
    assert [queries[i] for i in (0, 9, -1)] == [[str(i), f"what flow\nis number {i} ."] for i in (1, 10, 10)]
    assert [judgements[i] for i in (0, 3, 9)] == [["1", "2", 1], ["4", "5", 4], ["10", "11", -1]]


@pytest.mark.parametrize(
    ("location", "sentence"),
    [
        ("cranfeild", 'has no data set "cranfeild". Did you mean "cranfield"?'),
        ("beir/scifact", "has no qrels. Judged: beir/scifact/test, beir/scifact/train."),
        ("vaswani", "Where there is a network, run: bench import ir_datasets vaswani --out DIR"),
        ("beir/scifact/test,beir/nfcorpus/test", "import them as suites of their own"),
    ],
)
def test_ir_datasets_id_that_cannot_be_had_is_one_sentence(tmp_path, location, sentence):
    pytest.importorskip("ir_datasets")
    kind, found = elsewhere("ir_datasets", location, tmp_path)
    assert kind == "error"
    assert sentence in found


def test_several_ids_of_one_collection_are_its_splits(tmp_path):
    pytest.importorskip("ir_datasets")
    from bench.suites.sources import ir_datasets as source

    found = source.collection("beir/scifact/train, beir/scifact/test", source.Options())
    assert found.name == "beir-scifact"
    assert [part.split for part in found.parts] == ["train", "test"]


@pytest.mark.parametrize(("kind", "library"), [("mteb", "mteb"), ("ir_datasets", "ir_datasets")])
def test_missing_library_names_the_extra(monkeypatch, kind, library):
    import importlib

    source = importlib.import_module(f"bench.suites.sources.{kind}")
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtra, match=rf"retrieval-gate\[{kind}\]"):
        source.collection("cranfield", source.Options())


# --- real data ---


def test_beir_folders_are_read_with_the_counts_that_are_known_of_them(bench_data):
    known = {
        "cranfield": (1398, {"test": 225}),
        "cacm": (3204, {"test": 52}),
        "stackfaq": (719, {"train": 1011, "dev": 120, "test": 210}),
        "covidqa": (2061, {"train": 982, "dev": 135, "test": 263}),
    }
    for name, (n_docs, n_queries) in known.items():
        found = hf.collection(str(bench_data / name), hf.Options())
        assert len(list(found.documents())) == n_docs
        assert {part.split: len(list(part.queries())) for part in found.parts} == n_queries
