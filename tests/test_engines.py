"""The example scripts for other engines, against a local server that speaks `_msearch`, and their runs in the gate."""

from __future__ import annotations

import base64
import importlib.util
import json
import math
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bench.base.files.judgements import read_qrels
from bench.cli.main import main as bench
from bench.records.run_files import read_run

ROOT = Path(__file__).parent.parent
ENGINES = ROOT / "examples" / "engines"
CLINIC = ROOT / "suites" / "clinic"
N_QUERIES = 60

spec = importlib.util.spec_from_file_location("search_engine", ENGINES / "search_engine.py")
search_engine = importlib.util.module_from_spec(spec)
sys.modules["search_engine"] = search_engine
spec.loader.exec_module(search_engine)

HOSTILE = [
    'say "pink" or \'gold\'', "{{query}} {{vector}}", "line one\nline two\r\nthree", "w" * 10_000,
    "$HOME `id` $(id) ${x}", "back\\slash \\n \\", '"}}\n{"query":{"match_all":{}}}', "-n --help", "tab\there",
    "*; rm -rf / #", "% %s %d", "é 自転車 \u202e", "",
]  # fmt: skip


# --- a small engine --------------------------------------------------------------------------------


def words(text):
    return re.findall(r"\w+", text.lower())


class Scorer:
    """BM25 over the clinic's passages; `k1` is what a candidate may change."""

    def __init__(self):
        rows = [json.loads(line) for line in (CLINIC / "corpus.jsonl").read_text(encoding="utf-8").splitlines()]
        self.ids = [row["_id"] for row in rows]
        self.counts = [Counter(words(f"{row.get('title', '')} {row['text']}")) for row in rows]
        self.lengths = [sum(count.values()) for count in self.counts]
        self.mean = sum(self.lengths) / len(rows)
        self.n_with = Counter(word for count in self.counts for word in count)

    def best(self, text, size, k1=1.2):
        found = []
        asked = [word for word in words(text) if word in self.n_with]
        for doc_id, count, length in zip(self.ids, self.counts, self.lengths, strict=True):
            norm = k1 * (0.25 + 0.75 * length / self.mean)
            score = sum(
                math.log(1 + len(self.ids) / self.n_with[w]) * count[w] * (k1 + 1) / (count[w] + norm)
                for w in asked
                if w in count
            )
            if score:
                found.append((score, doc_id))
        return sorted(found, reverse=True)[:size]


class Server:
    """An engine on loopback. `seen` holds (path, headers, searches); `spoil` may change each answer."""

    def __init__(self, scorer):
        self.scorer, self.seen, self.rank = scorer, [], lambda hits: hits
        self.spoil, self.refusals, self.raw = lambda items: items, [], None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                data = self.rfile.read(int(self.headers["Content-Length"]))
                status, headers, body = outer.answer(self.path, dict(self.headers), data)
                self.send_response(status)
                for key, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(key, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def answer(self, path, headers, data):
        assert data.endswith(b"\n")
        lines = [json.loads(line) for line in data.decode().splitlines()]
        assert len(lines) % 2 == 0 and headers["Content-Type"] == "application/x-ndjson"
        searches = lines[1::2]
        self.seen.append((path, headers, searches))
        if self.refusals:
            status, more, said = self.refusals.pop(0)
            return status, more, said.encode()
        body = json.dumps({"took": 1, "responses": self.spoil([self.item(search) for search in searches])}).encode()
        return (200, {}, body) if self.raw is None else self.raw(body)

    def item(self, search):
        text = search["query"]["multi_match"]["query"]
        hits = [
            {"_index": "docs", "_id": doc_id, "_score": score, "_source": {"doc": {"id": doc_id}}}
            for score, doc_id in self.rank(self.scorer.best(text, search["size"]))
        ]
        shards = {"total": 2, "successful": 2, "skipped": 0, "failed": 0}
        return {"took": 1, "timed_out": False, "_shards": shards, "hits": {"hits": hits}, "status": 200}


@pytest.fixture(scope="module")
def scorer():
    return Scorer()


@pytest.fixture
def engine(scorer, monkeypatch):
    for name in ("ENGINE_API_KEY", "ENGINE_USER", "ENGINE_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Server(scorer)
    yield server
    server.close()


@pytest.fixture
def queries(tmp_path):
    path = tmp_path / "queries.jsonl"
    lines = (CLINIC / "queries" / "staff.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[:N_QUERIES]), encoding="utf-8")
    return path


@pytest.fixture
def qrels(tmp_path, queries):
    ids = {json.loads(line)["_id"] for line in queries.read_text(encoding="utf-8").splitlines()}
    lines = (CLINIC / "qrels" / "staff.tsv").read_text(encoding="utf-8").splitlines(keepends=True)
    path = tmp_path / "qrels.tsv"
    path.write_text("".join(line for i, line in enumerate(lines) if not i or line.split()[0] in ids), encoding="utf-8")
    return path


@pytest.fixture
def ask(engine, queries, tmp_path):
    """ask("--size", "5", out="x.run") → (exit code, path of the run)."""

    def call(*more, out="branch.run", url=None, body=ENGINES / "bm25.json", file=queries):
        path = tmp_path / out
        arguments = ["--url", url or engine.url, "--index", "docs", "--queries", file, "--body", body, "--out", path]
        return search_engine.main([*map(str, arguments), *more]), path

    return call


def ask_these(ask, tmp_path, texts, *more, **others):
    path = tmp_path / "these.jsonl"
    path.write_text("".join(json.dumps({"_id": f"q{i}", "text": t}) + "\n" for i, t in enumerate(texts)))
    return ask(*more, file=path, **others)


def no_file_is_left(path):
    return not path.exists() and not list(path.parent.glob(f".{path.name}*")) and not list(path.parent.glob("*.part*"))


# --- a good run ------------------------------------------------------------------------------------


def test_run_holds_every_query_with_the_engines_scores(ask, engine, scorer, queries, capsys):
    code, path = ask("--size", "20", "--batch", "7")
    assert code == 0
    run = read_run(path)
    first = json.loads(queries.read_text(encoding="utf-8").splitlines()[0])
    assert len(run.query_ids) == N_QUERIES and run.query_ids[0] == first["_id"]
    expected = scorer.best(first["text"], 20)
    assert run.ranking(0) == [doc_id for _, doc_id in expected]
    assert run.scores[0, 0] == pytest.approx(expected[0][0])
    assert [len(searches) for _, _, searches in engine.seen] == [7] * 8 + [4]
    assert {path for path, _, _ in engine.seen} == {"/docs/_msearch"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert f"{N_QUERIES} queries" in capsys.readouterr().err


def test_run_passes_the_gate_against_itself_and_fails_when_the_engine_got_worse(ask, engine, qrels, tmp_path):
    _, main_run = ask(out="main.run")
    _, same = ask(out="same.run")
    # As if the best half were ranked behind the rest.
    engine.rank = lambda hits: [(score - 100 * (i < 50), doc_id) for i, (score, doc_id) in enumerate(hits)]
    _, worse = ask(out="worse.run")
    gate = ["gate", "--qrels", str(qrels), "--baseline-run", str(main_run), "--junit", str(tmp_path / "gate.xml")]
    assert bench([*gate, "--candidate-run", str(same)]) == 0
    assert bench([*gate, "--candidate-run", str(worse)]) == 1
    assert bench(["measure", "--qrels", str(qrels), "--run", str(main_run)]) == 0


def test_hostile_query_texts_arrive_as_they_are(ask, engine, tmp_path):
    code, path = ask_these(ask, tmp_path, HOSTILE, "--no-hit-id", "none")
    assert code == 0
    sent = [search["query"]["multi_match"]["query"] for _, _, searches in engine.seen for search in searches]
    assert sent == HOSTILE
    assert read_run(path).query_ids == tuple(f"q{i}" for i in range(len(HOSTILE)))


def test_placeholder_inside_a_longer_string_is_filled_once(tmp_path):
    query = search_engine.Query("q", 'a {{query}} "b"', [0.5, 1])
    template = {"q": ["title:({{query}}) x", {"v": "{{vector}}", "n": 3}]}
    assert search_engine.filled(template, query) == {"q": ['title:(a {{query}} "b") x', {"v": [0.5, 1], "n": 3}]}


def test_query_without_a_hit_is_counted_aloud(ask, tmp_path, capsys):
    texts = ["zzzz", "pink", "qqqq"]
    code, path = ask_these(ask, tmp_path, texts)
    assert code == 0 and read_run(path).query_ids == ("q1",)
    assert '2 queries without a hit, not in the file (first: "q0")' in capsys.readouterr().err
    _, path = ask_these(ask, tmp_path, texts, "--no-hit-id", "no-document")
    assert read_run(path).ranking(0) == ["no-document"]


def test_of_several_passages_of_a_document_the_best_counts(ask, engine, capsys):
    engine.rank = lambda hits: [(score, doc_id.rsplit("-", 1)[0]) for score, doc_id in hits]
    code, path = ask("--id-field", "doc.id", "--size", "30")
    assert code == 0
    assert all(len(set(read_run(path).ranking(row))) == len(read_run(path).ranking(row)) for row in range(5))
    assert "hits were further parts of a document" in capsys.readouterr().err
    assert engine.seen[0][2][0]["_source"] == ["doc.id"]


def test_only_judged_queries_are_asked(ask, tmp_path, capsys):
    judged = tmp_path / "some.tsv"
    judged.write_text("query-id\tcorpus-id\tscore\nst-0002\tpa-ct-1\t1\nst-0001\tpa-ct-1\t1\n")
    code, path = ask("--qrels", str(judged))
    assert code == 0 and read_run(path).query_ids == ("st-0001", "st-0002")
    judged.write_text("absent 0 d 1\n")
    assert ask("--qrels", str(judged))[0] == 2
    assert "lacks 1 queries that are judged" in capsys.readouterr().err


@pytest.mark.parametrize("body", ["knn-elasticsearch.json", "knn-opensearch.json", "hybrid-opensearch.json"])
def test_vectors_and_pipeline_reach_the_engine(ask, engine, tmp_path, body):
    vectors = tmp_path / "vectors.jsonl"
    vectors.write_text('{"_id": "q1", "vector": [0, 1]}\n{"_id": "q0", "vector": [0.25, -1e-3]}\n')
    engine.item = lambda search: Server.item(
        engine, {"query": {"multi_match": {"query": "pink gold"}}, "size": search["size"]}
    )
    more = ["--vectors", str(vectors), "--search-pipeline", "norm"]
    code, _ = ask_these(ask, tmp_path, ["one", "two"], *more, body=ENGINES / body)
    assert code == 0
    sent = engine.seen[0][2]
    assert json.dumps([0.25, -1e-3]) in json.dumps(sent[0]) and "[0, 1]" in json.dumps(sent[1])
    assert sent[0]["search_pipeline"] == "norm" and sent[0]["size"] == 100
    assert ("one" in json.dumps(sent[0])) == body.startswith("hybrid")


def test_scores_may_come_from_ranks(ask, engine, capsys):
    engine.rank = lambda hits: [(None, doc_id) for _, doc_id in hits]
    assert ask()[0] == 4
    assert "use --rank-scores" in capsys.readouterr().err
    code, path = ask("--rank-scores", "--size", "5")
    assert code == 0 and read_run(path).scores[0].tolist() == [5, 4, 3, 2, 1]


# --- an engine that fails --------------------------------------------------------------------------


def _broken(**changes):
    def spoil(items):
        items[-1] = items[-1] | changes
        return items

    return spoil


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (_broken(error={"type": "rejected", "reason": "\x1b[31mred"}, status=429), 'Query "st-0060": status 429'),
        (_broken(status=500), "status 500"),
        (_broken(timed_out=True), "timed out"),
        (_broken(terminated_early=True), "ended early"),
        (_broken(_shards={"total": 2, "successful": 1, "failed": 1}), "not every shard"),
        (_broken(_shards={"total": 0, "successful": 0, "failed": 0}), "not every shard"),
        (_broken(_clusters={"total": 2, "successful": 1, "skipped": 1}), "not every cluster"),
        (_broken(hits={}), "no list of hits"),
        (_broken(hits={"hits": [{"_id": "d", "_score": math.nan}]}), "expected a finite number"),
        (lambda items: items[:-1], "9 answers to 10 queries"),
        (lambda items: None, "no answers to 10 queries"),
        (lambda items: [None] * len(items), "expected an object"),
        (lambda items: [_broken(hits={"hits": []})([i])[0] for i in items], "None of 60 queries has a hit"),
    ],
)
def test_answer_that_is_not_whole_leaves_no_run(ask, engine, tmp_path, capsys, spoil, sentence):
    engine.spoil = lambda items: spoil(items) if len(engine.seen) == 6 or "None of" in sentence else items
    (tmp_path / "branch.run").write_text("st-0001 Q0 old 1 1 earlier\n")
    code, path = ask("--batch", "10")
    said = capsys.readouterr().err
    assert code == 4 and no_file_is_left(path)
    assert sentence in said and "No run was written" in said and "\x1b" not in said


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (lambda body: (200, {}, body[: len(body) // 2]), "not JSON, or cut off"),
        (lambda body: (200, {"Content-Length": str(len(body) + 9)}, body), "no whole answer"),
        (lambda body: (200, {}, b"[]"), "no answers"),
        (lambda body: (200, {}, b"\xff\xfe\xff"), "not JSON"),
        (lambda body: (302, {"Location": "/elsewhere"}, b""), "answered 302"),
    ],
)
def test_answer_that_cannot_be_read_leaves_no_run(ask, engine, capsys, raw, sentence):
    engine.raw = raw
    code, path = ask("--timeout", "3")
    assert code == 4 and no_file_is_left(path)
    assert sentence in capsys.readouterr().err
    assert len(engine.seen) == 1


def test_busy_engine_is_asked_again(ask, engine, monkeypatch):
    pauses = []
    monkeypatch.setattr(search_engine.time, "sleep", pauses.append)
    engine.refusals = [(429, {"Retry-After": "3"}, "busy"), (503, {}, "busy"), (429, {"Retry-After": "999"}, "")]
    code, path = ask()
    assert code == 0 and len(read_run(path).query_ids) == N_QUERIES
    assert pauses == [3.0, 1.0, 30.0]


def test_engine_that_stays_busy_fails(ask, engine, monkeypatch, capsys):
    monkeypatch.setattr(search_engine.time, "sleep", lambda _: None)
    engine.refusals = [(429, {}, "too many")] * 9
    code, path = ask("--retries", "2")
    assert code == 4 and no_file_is_left(path) and len(engine.seen) == 3
    assert "answered 429" in (said := capsys.readouterr().err) and "too many" in said


def test_refused_credentials_fail_at_once_and_are_not_shown(ask, engine, monkeypatch, capsys):
    monkeypatch.setenv("ENGINE_USER", "ann")
    monkeypatch.setenv("ENGINE_PASSWORD", "hush-hush\n")
    engine.refusals = [(401, {}, "who are you")] * 9
    code, path = ask()
    said = capsys.readouterr().err
    assert code == 4 and no_file_is_left(path) and len(engine.seen) == 1
    assert "answered 401" in said and "hush" not in said
    assert base64.b64decode(engine.seen[0][1]["Authorization"].removeprefix("Basic ")) == b"ann:hush-hush"
    monkeypatch.setenv("ENGINE_API_KEY", "a2V5")
    ask()
    assert engine.seen[1][1]["Authorization"] == "ApiKey a2V5"


def test_nobody_listening_is_a_sentence(ask, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        code, path = ask(url=f"http://127.0.0.1:{taken.getsockname()[1]}")
    assert code == 4 and no_file_is_left(path)
    assert "no whole answer" in capsys.readouterr().err


# --- input that cannot be used ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("{", "is no JSON file"),
        ("[]", "expected an object"),
        ('{"query": {"match_all": {}}}', "no placeholder"),
        ('{"query": "{{text}}"}', "placeholder {{text}}"),
        ('{"query": "{{query}}", "size": 3}', "--size"),
        ('{"query": "{{query}}", "from": 10}', "best document"),
        ('{"knn": "{{vector}}"}', "--vectors go together"),
    ],
)
def test_body_that_makes_no_run_is_refused(ask, engine, tmp_path, capsys, body, sentence):
    path = tmp_path / "body.json"
    path.write_text(body)
    assert ask(body=path)[0] == 2
    assert sentence in capsys.readouterr().err
    assert not engine.seen


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ('{"_id": "two words", "text": "x"}', "without white space"),
        ('{"_id": 7, "text": "x"}', "expected a string"),
        ('{"_id": "q"}', 'no "text"'),
        ('{"_id": "a", "text": "x"}\n{"_id": "a", "text": "y"}', "stands twice"),
        ("{", "not JSON"),
        ("", "holds no query"),
    ],
)
def test_queries_that_cannot_be_used_are_named(ask, tmp_path, capsys, line, sentence):
    path = tmp_path / "bad.jsonl"
    path.write_text(line)
    earlier = tmp_path / "branch.run"
    earlier.write_text("kept")
    assert ask(file=path)[0] == 2
    assert sentence in capsys.readouterr().err
    assert earlier.read_text() == "kept"


def test_document_id_with_white_space_is_refused(ask, engine, capsys):
    engine.rank = lambda hits: [(score, f"{doc_id} x") for score, doc_id in hits]
    code, path = ask()
    assert code == 2 and no_file_is_left(path)
    assert "white space" in capsys.readouterr().err


@pytest.mark.parametrize(
    "url", ["http://ann:secret@127.0.0.1:9", "file:///etc/passwd", "localhost:9200", "http://[", ""]
)
def test_address_that_is_none_or_holds_a_secret_is_refused(ask, capsys, url):
    assert ask(url=url or " ")[0] == 2
    assert "--url" in capsys.readouterr().err


def test_script_needs_the_standard_library_alone(queries, tmp_path):
    out = tmp_path / "x.run"
    command = [sys.executable, "-I", "-S", ENGINES / "search_engine.py", "--url", "http://127.0.0.1:1", "--index", "d"]
    done = subprocess.run(
        [*command, "--queries", queries, "--body", ENGINES / "bm25.json", "--out", out], capture_output=True, text=True
    )
    assert done.returncode == 4 and "Traceback" not in done.stderr and not out.exists()


# --- any command -----------------------------------------------------------------------------------

SEARCH = """\
import json, os, sys
folder, text = sys.argv[1], os.fsencode(sys.argv[2])
with open(folder + "/asked", "ab") as log:
    log.write(text + b"\\0")
answers = json.load(open(folder + "/answers.json"))
print("\\n".join(answers.get(sys.argv[2], ["d1", "d2"])))
"""


@pytest.fixture
def shell(tmp_path):
    """shell(tsv, …options, answers={text: ids}, command=…) → what the script did; its run is "branch.run"."""
    program = tmp_path / "search.py"
    program.write_text(SEARCH)

    def call(tsv, *options, answers=None, command=None, **environment):
        (tmp_path / "answers.json").write_text(json.dumps(answers or {}))
        (tmp_path / "queries.tsv").write_bytes(tsv if isinstance(tsv, bytes) else tsv.encode())
        script = [str(ENGINES / "any-engine.sh"), "-q", "queries.tsv", "-o", "branch.run", *options, "--"]
        asked = command or [sys.executable, "-I", "-S", program, tmp_path]
        return subprocess.run(
            [*script, *asked], cwd=tmp_path, capture_output=True, text=True, env=os.environ | environment
        )

    return call


def test_any_command_becomes_a_run_and_the_gate_judges_it(shell, scorer, queries, qrels, tmp_path):
    rows = [json.loads(line) for line in queries.read_text(encoding="utf-8").splitlines()][:20]
    tsv = "".join(f"{row['_id']}\t{row['text']}\n" for row in rows)
    ids = {row["_id"] for row in rows}
    lines = qrels.read_text(encoding="utf-8").splitlines(keepends=True)
    qrels.write_text("".join(line for line in lines if line.split()[0] in ids), encoding="utf-8")
    answers = {row["text"]: [doc_id for _, doc_id in scorer.best(row["text"], 30)] for row in rows}
    done = shell(tsv, "-n", "20", answers=answers)
    assert done.returncode == 0, done.stderr
    run = read_run(tmp_path / "branch.run")
    assert run.query_ids == tuple(row["_id"] for row in rows)
    assert run.ranking(3) == answers[rows[3]["text"]][:20]
    assert run.scores[0].tolist() == list(range(20, 0, -1))
    (tmp_path / "branch.run").rename(tmp_path / "main.run")
    gate = ["-r", str(qrels), "-b", "main.run"]
    with_bench = {"BENCH": f"{sys.executable} -m bench", "PYTHONPATH": str(ROOT)}
    done = shell(tsv, "-n", "20", *gate, answers=answers, **with_bench)
    assert done.returncode == 0 and "PASS" in done.stderr
    done = shell(tsv, *gate, answers={text: found[::-1] for text, found in answers.items()}, **with_bench)
    assert done.returncode == 1 and "REGRESSION" in done.stderr


def test_hostile_texts_reach_the_command_as_they_are(shell, tmp_path):
    texts = [re.sub(r"[\r\n]+", " ", text) for text in HOSTILE]
    tsv = "".join(f"q{i}\t{text}\n" for i, text in enumerate(texts)).encode()
    done = shell(tsv.removesuffix(b"\n"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "asked").read_bytes() == b"".join(text.encode() + b"\0" for text in texts)
    assert (tmp_path / "branch.run").read_text().splitlines()[:2] == [
        "q0 Q0 d1 1 100 any-engine", "q0 Q0 d2 2 99 any-engine",
    ]  # fmt: skip
    assert len(read_run(tmp_path / "branch.run").query_ids) == len(HOSTILE)


def test_hostile_ids_stay_themselves(shell, tmp_path):
    done = shell("q\\n$(id)\tx\n", answers={"x": ["a\\tb", "$HOME", "`id`", "%s", "a\\tb"]})
    assert done.returncode == 0, done.stderr
    run = read_run(tmp_path / "branch.run")
    assert run.query_ids == ("q\\n$(id)",) and run.ranking(0) == ["a\\tb", "$HOME", "`id`", "%s"]


def test_query_without_a_hit_is_counted_by_the_shell_script(shell, tmp_path):
    tsv, answers = "q1\tnone\r\nq2\tsome\r\n", {"none": []}
    command = ["sh", "-c", 'test "$1" = none || echo d1', "sh"]
    done = shell(tsv, answers=answers, command=command)
    assert done.returncode == 0 and "2 queries, 1 of them without a hit" in done.stderr
    assert read_run(tmp_path / "branch.run").query_ids == ("q2",)
    shell(tsv, "-e", "no-document", command=command)
    assert read_run(tmp_path / "branch.run").ranking(0) == ["no-document"]


@pytest.mark.parametrize(
    ("tsv", "command", "code", "sentence"),
    [
        ("q1\ta\nq2\tb\n", ["sh", "-c", 'echo d1; test "$1" = a', "sh"], 4, 'ended with 1 on query "q2"'),
        ("q1\ta\n", ["no-such-command-here"], 4, 'no command "no-such-command-here"'),
        ("q1\ta\n", ["printf", "two words\\n"], 4, 'printed "two words"'),
        ("q1\ta\n", ["printf", "d1\\n\\nd2\\n"], 4, 'printed ""'),
        ("q1\ta\n", ["true"], 4, "none of 1 queries has a hit"),
        ("q1\ta\nb\n", ["echo"], 2, "a line without a tab"),
        ("q 1\ta\n", ["echo"], 2, "holds white space"),
        ("\ta\n", ["echo"], 2, "is empty"),
        ("", ["echo"], 2, "holds no query"),
        ("q\x1b[31m 1\ta\n", ["echo"], 2, "holds white space"),
    ],
)
def test_shell_script_leaves_no_run_when_something_fails(shell, tmp_path, tsv, command, code, sentence):
    (tmp_path / "branch.run").write_text("q1 Q0 old 1 1 earlier\n")
    done = shell(tsv, command=command)
    assert done.returncode == code and sentence in done.stderr and "\x1b" not in done.stderr
    assert no_file_is_left(tmp_path / "branch.run")


@pytest.mark.parametrize(
    "options", [["-n", "0"], ["-n", "ten"], ["-e", "a b"], ["-r", "q.tsv"], ["-b", "a.run"], ["-z"]]
)
def test_shell_script_refuses_options_that_make_no_sense(shell, options):
    assert shell("q1\ta\n", *options).returncode == 2


def test_shell_script_is_clean():
    if not shutil.which("shellcheck"):
        pytest.skip("shellcheck is not installed")
    done = subprocess.run(["shellcheck", ENGINES / "any-engine.sh"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_bodies_and_their_placeholders_are_sound():
    bodies = sorted(ENGINES.glob("*.json"))
    assert len(bodies) == 4
    for path in bodies:
        text = path.read_text(encoding="utf-8")
        search_engine.read_body(path, has_vectors="{{vector}}" in text)


def test_judgements_are_read_as_the_gate_reads_them(qrels):
    assert search_engine.read_judged(qrels) == set(read_qrels(qrels))
