"""Whatever a file holds: it is read as stated here, or refused in one sentence that names the file and, where there is
one, the line, with exit code 2; never a traceback, a warning or a wait.

A case is one row: what is read, a name, the bytes, and what becomes of them.
"""

from __future__ import annotations

import copy
import gzip
import io
import json
import os
import re
import time
import unicodedata
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from conftest import build_result
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bench.base.files.judgements import read_qrels
from bench.cli.main import main
from bench.gate.verdict import baseline_document
from bench.records.run_files import read_run
from bench.suites import suite
from bench.suites.sources.jsonl import read_documents, read_queries

UNITS = 8
"""Most that any case may take, in times of `unit`; the longest, a text of 50 MB, takes four."""
LONGEST_SENTENCE = 600
MEGABYTES_50 = 50 * 1024 * 1024

DOCUMENTS = b'{"_id": "d1", "title": "T", "text": "one"}\n{"_id": "d2", "title": "", "text": "zwei \xc3\xbc"}\n'
QUERIES = b'{"_id": "q1", "text": "first"}\n{"_id": "q2", "text": "second"}\n'
QRELS = b"query-id\tcorpus-id\tscore\nq1\td1\t2\nq2\td2\t1\n"
RUN = b"q1 Q0 d1 1 2.5 tag\nq1 Q0 d2 2 1.5 tag\nq2 Q0 d2 1 0.5 tag\n"
SUITE = b"""name = "s"
measures = ["recall@10"]

[corpora.c]
path = "corpus.jsonl"

[[query_sets]]
name = "test"
role = "held-out"
corpus = "c"
queries = "queries.jsonl"
qrels = "qrels.tsv"
"""
BENCH = b"""suites = ["."]

[systems.old]
kind = "bm25"

[gate]
system = "old"
"""


def _result(system: str, values: list[float]) -> Any:
    return build_result({"recall@10": values}, system=system)


def _results() -> bytes:
    return json.dumps({"format": 1, "results": [_result("new", [1.0, 0.0] * 5).to_json()]}).encode()


def _baseline() -> bytes:
    found = [_result("old", [1.0] * 10)]
    return json.dumps(baseline_document(found, reason="first", when="2025-01-01", commit=None, version="0")).encode()


GOOD = {
    "corpus.jsonl": DOCUMENTS,
    "queries.jsonl": QUERIES,
    "qrels.tsv": QRELS,
    "run": RUN,
    "suite.toml": SUITE,
    "bench.toml": BENCH,
    "baseline.json": _baseline(),
    "results.json": _results(),
}
LINES = ("corpus.jsonl", "queries.jsonl", "qrels.tsv", "run")


def command(file: str, folder: Path) -> list[str]:
    """The command line that reads the file."""
    if file in ("corpus.jsonl", "queries.jsonl", "suite.toml", "qrels.tsv"):
        return ["check", str(folder), "--json"]
    if file == "run":
        paths = ["--qrels", str(folder / "qrels.tsv"), "--run", str(folder / "run")]
        return ["measure", *paths, "--measures", "recall@10", "--json"]
    if file == "bench.toml":
        return ["baseline", "list", "--config", str(folder / "bench.toml"), "--json"]
    if file == "baseline.json":
        return ["baseline", "show", "--config", str(folder / "bench.toml"), "--json"]
    return [
        "compare",
        *(str(folder / name) for name in ("baseline.json", "results.json")),
        "--measures",
        "recall@10",
        "--json",
    ]


def lay(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in GOOD.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture(scope="module", autouse=True)
def _compiled(tmp_path_factory):
    """Measuring compiles on first use, which may take longer than any case."""
    main(command("run", lay(tmp_path_factory.mktemp("compiled"))))


@pytest.fixture
def folder(tmp_path):
    return lay(tmp_path / "f")


def put(path: Path, content: bytes | Callable[[Path], None]) -> None:
    """The content at a path: bytes, or what a function makes of the path."""
    if callable(content):
        path.unlink()
        content(path)
    else:
        path.write_bytes(content)


def unit() -> float:
    """Seconds of the processor that 5 MB of text take to be read as JSON, levelled and cut into words.

    The same kinds of work as in a case: a slower processor, or one that others keep busy, is slower in both.
    """
    line = json.dumps({"text": "a few words of text " * 250_000})
    began = time.process_time()
    for _ in range(3):
        text = " ".join(unicodedata.normalize("NFKC", json.loads(line)["text"]).casefold().split())
        assert len(set(re.findall(r"\w+", text))) == 5
    return time.process_time() - began


def told(file: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What the command line says of the file: no sentence where it reads it, else the sentences of exit code 2."""
    capsys.readouterr()
    # Of the processor, not of the clock: other tests run beside these.
    began = time.process_time()
    code = main(command(file, folder))
    seconds = time.process_time() - began
    printed = capsys.readouterr()
    # In units of this machine as it is now: seconds of the processor double when others keep it busy.
    assert seconds < 1 or seconds < UNITS * unit()
    assert printed.err == ""
    document = json.loads(printed.out)
    if "error" in document:
        assert code == 2
        return str(document["error"]["message"]).split("\n")
    found = [f["message"] for f in document.get("findings", []) if f["code"] == "unreadable"]
    assert code == 2 if found else code in (0, 2)
    return found


def check_sentences(sentences: list[str], folder: Path) -> None:
    """Each is short, ends as a sentence, and shows nothing of the program's inside."""
    for sentence in sentences:
        assert sentence.strip() == sentence != ""
        assert len(sentence.replace(str(folder), "")) <= LONGEST_SENTENCE
        assert sentence[-1] in '.?"', sentence
        for inside in ("Traceback", "<class", "object at 0x", "errors.pydantic.dev"):
            assert inside not in sentence


# --- the list -----------------------------------------------------------------------------------------


class Case(NamedTuple):
    file: str
    name: str
    content: bytes | Callable[[Path], None]
    read: Any = None  # what is read; None where it is refused
    says: str = ""
    line: int | None = None
    named: bool = True  # the sentence names the file


def document(text: str = "one", doc_id: str = "d1", **more: Any) -> bytes:
    return json.dumps({"_id": doc_id, "text": text, **more}).encode() + b"\n"


def zipped(content: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inside", content)
    return stream.getvalue()


def linked_to_itself(path: Path) -> None:
    path.symlink_to(path)


def linked(path: Path) -> None:
    other = path.with_name("elsewhere")
    other.write_bytes(GOOD[path.name])
    path.symlink_to(other)


def forbidden(path: Path) -> None:
    path.write_bytes(b"")
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")


def saved_otherwise(file: str) -> Iterator[Case]:
    """Ways to save the same text that change nothing."""
    good = GOOD[file]
    yield Case(file, "as it is", good, read=good)
    yield Case(file, "byte order mark", b"\xef\xbb\xbf" + good, read=good)
    yield Case(file, "CRLF", good.replace(b"\n", b"\r\n"), read=good)
    yield Case(file, "no last newline", good.rstrip(b"\n"), read=good)
    yield Case(file, "symbolic link", linked, read=good)
    yield Case(file, "blank lines around", b"\n \n" * (file != "qrels.tsv") + good + b"\n\t\n\n", read=good)
    if file in LINES:
        yield Case(file, "gzip", gzip.compress(good), read=good)
        yield Case(file, "gzip of two members", gzip.compress(good[:20]) + gzip.compress(good[20:]), read=good)
        yield Case(file, "gzip with zeros behind", gzip.compress(good) + bytes(512), read=good)


def damaged(file: str) -> Iterator[Case]:
    """Damage that any file may take."""
    good = GOOD[file]
    lines = file in LINES
    yield Case(file, "absent", lambda path: None, says="does not exist" if lines else "")
    yield Case(file, "folder", Path.mkdir, says="is a folder" if lines else "")
    yield Case(file, "link to itself", linked_to_itself)
    yield Case(file, "link to nothing", lambda path: path.symlink_to("nothing"))
    yield Case(file, "forbidden", forbidden, says="ermission")
    yield Case(file, "UTF-16", good.decode().encode("utf-16"), says="UTF-8" if lines else "", line=1 if lines else None)
    yield Case(file, "UTF-16 without mark", good.decode().encode("utf-16-le"))
    yield Case(file, "UTF-32", good.decode().encode("utf-32"))
    yield Case(file, "zip", zipped(good), says="zip" if lines else "")
    yield Case(file, "random bytes", bytes(range(255, 127, -1)) * 8, says="UTF-8" if lines else "")
    yield Case(file, "zeros", bytes(4096), says="NUL" if lines else "", line=1 if lines else None)
    yield Case(file, "cut in a character", good[:10] + b"\xc3")
    yield Case(file, "Latin-1", good + b"\xe9\xe8\n", line=good.count(b"\n") + 1 if lines else None)
    yield Case(file, "surrogate in UTF-8", good + b"\xed\xa0\x80\n", line=good.count(b"\n") + 1 if lines else None)
    yield Case(file, "NUL in the last line", good + b"\x00\n", line=good.count(b"\n") + 1 if lines else None)
    yield Case(file, "mark in the last line", good + b"\xef\xbb\xbf\n", line=good.count(b"\n") + 1 if lines else None)
    cr = good.replace(b"\n", b"\r")
    # White space in JSON; in TOML, a line end as Python reads text.
    yield Case(file, "lone CR", cr, says="carriage return", line=1) if lines else Case(file, "lone CR", cr, read=good)
    yield Case(file, "brackets without end", b"[" * 200_000)
    yield Case(file, "HTML page", b"<!DOCTYPE html>\n<html><body>404 Not Found</body></html>\n")
    yield Case(file, "merge conflict", b"<<<<<<< HEAD\n" + good + b"=======\n" + good + b">>>>>>> other\n")
    yield Case(file, "large-file pointer", b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n")
    if lines:
        packed = gzip.compress(good)
        for end in (len(packed) // 2, len(packed) - 8, len(packed) - 1, 11, 10, 3):
            yield Case(file, f"gzip cut at {end}", packed[:end], says="gzip")
        yield Case(file, "gzip with text behind", packed + b"and more", says="gzip")
        yield Case(file, "gzip with a wrong sum", packed[:-8] + bytes(4) + packed[-4:], says="gzip")
        yield Case(file, "gzip of gzip", gzip.compress(packed), says="UTF-8")
        yield Case(file, "one line of 50 MB", b"x" * MEGABYTES_50, line=1)
    for name, content in {"empty": b"", "blank lines": b"\n \n\t\n", "mark alone": b"\xef\xbb\xbf"}.items():
        yield Case(file, name, content)


def objects(file: str) -> Iterator[Case]:
    """Lines of JSON that are no document or no query."""
    good = GOOD[file]

    def line(name: str, content: str | bytes, says: str = "") -> Case:
        data = content if isinstance(content, bytes) else content.encode()
        return Case(file, name, good + data + b"\n", says=says, line=3)

    yield line("array", '["d3", "text"]', "list")
    yield line("array of all", "[" + good.decode().replace("\n", ",").rstrip(",") + "]", "list")
    yield line("number", "3", "int")
    yield line("null", "null", "NoneType")
    yield line("string", '"d3"', "str")
    yield line("NaN", "NaN", "float")
    yield line("cut off", '{"_id": "d3", "te', "not JSON")
    yield line("two on a line", '{"_id": "d3", "text": "a"}{"_id": "d4", "text": "b"}', "not JSON")
    yield line("comma at the end", '{"_id": "d3", "text": "a"},', "not JSON")
    yield line("single quotes", "{'_id': 'd3', 'text': 'a'}", "not JSON")
    yield line("comment", "# a comment", "not JSON")
    yield line("control character", b'{"_id": "d3", "text": "a\x01b"}', "not JSON")
    yield line("number of 5,000 digits", '{"_id": "d3", "text": "a", "n": ' + "9" * 5_000 + "}", "not JSON")
    yield line("nested deeply", '{"_id": "d3", "text": ' + '{"a":' * 100_000 + "1" + "}" * 100_001, "deep")
    yield line("no id", '{"text": "a"}', '"_id"')
    yield line("id and no underscore", '{"id": "d3", "text": "a"}', '"_id"')
    yield line("no text", '{"_id": "d3"}', '"text"')
    yield line("text is null", '{"_id": "d3", "text": null}', "null")
    yield line("text is a list", '{"_id": "d3", "text": ["a"]}', "string")
    yield line("text is NaN", '{"_id": "d3", "text": NaN}', "NaN")
    yield line("integer id", '{"_id": 3, "text": "a"}', "quotation marks")
    yield line("float id", '{"_id": 3.0, "text": "a"}', "string")
    yield line("true id", '{"_id": true, "text": "a"}', "string")
    yield line("null id", '{"_id": null, "text": "a"}', "string")
    yield line("empty id", '{"_id": "", "text": "a"}', "white space")
    for name, space in {
        "tab": "\\t", "space": " ", "newline": "\\n", "no-break space": "\u00a0", "line separator": "\\u2028",
        "unit separator": "\\u001f", "ideographic space": "\u3000",
    }.items():  # fmt: skip
        yield line(f"id with {name}", f'{{"_id": "d{space}3", "text": "a"}}', "white space")
        yield line(f"id with {name} at its end", f'{{"_id": "d3{space}", "text": "a"}}', "white space")
    yield line("id again", good.splitlines()[0], "line 1")
    yield line("half a pair in the text", '{"_id": "d3", "text": "a \\ud83d"}', "surrogate")
    yield line("half a pair in the id", '{"_id": "\\uDE00", "text": "a"}', "surrogate")
    yield line("long word for a key", json.dumps({"k" * 10_000: 1}), '"_id"')
    yield line("long id of the wrong type", json.dumps({"_id": ["d" * 10_000], "text": "a"}), "string")
    yield line("long id with a space", json.dumps({"_id": "d d" * 10_000, "text": "a"}), "white space")
    yield line("many keys", json.dumps({f"k{i}": 1 for i in range(10_000)}), '"_id"')


def read_ids(*more: str) -> list[str]:
    return ["d1", "d2", *more]


def documents() -> Iterator[Case]:
    """Documents that are odd and read all the same, and what only documents can get wrong."""
    for name, doc_id in {
        "id in another case": "D1", "composed id": "caf\u00e9", "decomposed id": "cafe\u0301", "id in Arabic": "وثيقة",
        "id with a zero-width space": "d\u200b1", "id of a quotation mark": '"', "id of a backslash": "\\",
        "id as a number": "007", "id as a path": "../../etc/passwd", "id of 100,000 letters": "d" * 100_000,
        "emoji id": "\U0001f600", "id of markup": "<b>", "id as a formula": "=1+1",
    }.items():  # fmt: skip
        yield Case("corpus.jsonl", name, DOCUMENTS + document(doc_id=doc_id), read=read_ids(doc_id))
    both = document(doc_id="caf\u00e9") + document(doc_id="cafe\u0301")
    yield Case("corpus.jsonl", "both forms", DOCUMENTS + both, read=read_ids("caf\u00e9", "cafe\u0301"))
    escaped = b'{"_id": "d3", "text": "\\ud83d\\ude00 \\u0000 \\u001b"}\n'
    yield Case("corpus.jsonl", "escaped pair and controls", DOCUMENTS + escaped, read=read_ids("d3"))
    # As everywhere JSON is read.
    twice = b'{"_id": "d9", "_id": "d3", "text": "a", "text": "b"}\n'
    yield Case("corpus.jsonl", "key twice: the last counts", DOCUMENTS + twice, read=read_ids("d3"))
    yield Case("corpus.jsonl", "other keys", DOCUMENTS + document(doc_id="d3", n=[1, {}]), read=read_ids("d3"))
    yield Case("corpus.jsonl", "NaN beside", DOCUMENTS + b'{"_id":"d3","text":"","n":NaN}\n', read=read_ids("d3"))
    large = DOCUMENTS + b'{"_id": "d3", "text": "' + b"x " * (MEGABYTES_50 // 2) + b'"}\n'
    yield Case("corpus.jsonl", "text of 50 MB", large, read=read_ids("d3"))
    for name, title in {"number": 3, "list": ["T"], "true": True}.items():
        content = DOCUMENTS + document(doc_id="d3", title=title)
        yield Case("corpus.jsonl", f"title is {name}", content, says="title", line=3)
    yield Case("corpus.jsonl", "a judged document is gone", document(doc_id="d1"), says='"d2"')
    for key, value in {"slice": 3, "cluster": [1], "pinned": "yes", "answerable": 0}.items():
        content = QUERIES + json.dumps({"_id": "q3", "text": "a", key: value}).encode()
        yield Case("queries.jsonl", f"{key} of another type", content, says=key, line=3)
    yield Case("queries.jsonl", "query without judgement", QUERIES + b'{"_id":"q3","text":"a"}\n', says='"q3"')
    long = b'{"_id":"' + b"q" * 100_000 + b'","text":"a"}\n'
    yield Case("queries.jsonl", "long query without judgement", QUERIES + long, says='"qqq')
    yield Case("queries.jsonl", "judged query gone", QUERIES.splitlines(keepends=True)[0], says='"q2"')
    free = b'{"_id":"q3","text":"a","answerable":false,"slice":null,"pinned":null}\n'
    yield Case("queries.jsonl", "query without answer", QUERIES + free, read=["q1", "q2", "q3"])


def judgements() -> Iterator[Case]:
    """Judgements by whitespace, tabs and words."""
    same = {"q1": {"d1": 2}, "q2": {"d2": 1}}

    def reads(name: str, text: str, read: dict[str, dict[str, int]] | None = None) -> Case:
        return Case("qrels.tsv", name, text.encode(), read=read or same)

    def refused(name: str, row: str, says: str = "") -> Case:
        return Case("qrels.tsv", name, QRELS + row.encode() + b"\n", says=says, line=4)

    yield reads("no header", "q1\td1\t2\nq2\td2\t1\n")
    yield reads("spaces", "q1 d1 2\nq2   d2 1\n")
    yield reads("TREC's four columns", "q1 0 d1 2\nq2 0 d2 1\n")
    yield reads("TREC with tabs", "q1\t0\td1\t2\nq2\t0\td2\t1\n")
    yield reads("odd iterations", "q1 Q0 d1 2\nq2 iter-7 d2 1\n")
    yield reads("empty iteration", "q1\t\td1\t2\nq2\t\td2\t1\n")
    yield reads("three columns and four", "q1 d1 2\nq2 0 d2 1\n")
    yield reads("blanks at the ends", " q1\td1\t2  \nq2\td2 \t1 \r\n")
    yield reads("the same line twice", "q1 d1 2\nq1 d1 2\nq2 d2 1\n")
    yield reads("queries apart", "q1 d1 2\nq2 d2 1\nq1 d2 0\n", {"q1": {"d1": 2, "d2": 0}, "q2": {"d2": 1}})
    yield reads("negative grade", "q1 d1 2\nq1 d2 -1\nq2 d2 1\n", {"q1": {"d1": 2, "d2": -1}, "q2": {"d2": 1}})
    yield reads("grade with plus and zeros", "q1 d1 +2\nq2 d2 001\n")
    yield reads("grade of a billion", "q1 d1 1000000000\nq2 d2 1\n", {"q1": {"d1": 10**9}, "q2": {"d2": 1}})
    for name, grade in {
        "float": "1.0", "word": "high", "NaN": "NaN", "infinity": "inf", "exponent": "1e9", "empty": "", "hex": "0x1",
        "underscore": "1_0", "other digits": "\u0661", "fraction": "\u00bd", "true": "true", "minus alone": "-",
        "10**30": str(10**30), "-10**30": str(-(10**30)), "5,000 digits": "9" * 5_000,
    }.items():  # fmt: skip
        yield refused(f"grade is {name}", f"q1\td2\t{grade}", "grade")
    for grade in ("NaN", "inf", "1.0", "1e5", "1_0", "\u0661"):
        # A header has words for grades; these are no words, and dropping the line would lose a judgement.
        content = f"q1\td1\t{grade}\nq2\td2\t1\n".encode()
        yield Case("qrels.tsv", f"first grade is {grade}", content, says="grade", line=1)
    yield refused("one field", "q1")
    yield refused("two fields", "q1\td2")
    yield refused("five fields", "q1 0 d2 1 x")
    yield refused("commas", "q1,d2,1")
    yield refused("comment", "# made by hand")
    yield refused("header below", "query-id\tcorpus-id\tscore", "grade")
    yield refused("query id with a space", "q 1\td2\t1", "white space")
    yield refused("document id with a space", "q1\td 2\t1", "white space")
    yield refused("document id with a no-break space", "q1\td\u00a02\t1", "white space")
    yield refused("tabs and spaces mixed", "q1 0\td2\t1", "white space")
    yield refused("empty query", "\td2\t1", "empty id")
    yield refused("empty document", "q1\t\t1")
    yield refused("tab at the end", "q1\td2\t1\t")
    yield refused("another grade below", "q1\td1\t1", "judged")
    yield refused("fields of 100,000 letters", "x" * 100_000, "fields")
    yield refused("long ids with another grade", f"{'q' * 9_000}\td1\t1\n{'q' * 9_000}\td1\t2", "judged")._replace(
        line=5
    )
    yield Case("qrels.tsv", "tab at the end of the first line", b"q1\td1\t1\t\nq2\td2\t1\n", line=1)
    yield Case("qrels.tsv", "header alone", b"query-id\tcorpus-id\tscore\n", says="no judgement")
    yield Case("qrels.tsv", "unknown query", QRELS + b"q9\td1\t1\n", says='"q9"')
    yield Case("qrels.tsv", "unknown document", QRELS + b"q1\td9\t1\n", says='"d9"')
    yield Case("qrels.tsv", "document in another case", QRELS + b"q1\tD1\t1\n", says='"D1"')
    yield Case("qrels.tsv", "long unknown query", QRELS + b"q" * 100_000 + b"\td1\t1\n", says="lacks")
    yield Case("qrels.tsv", "long unknown document", QRELS + b"q1\t" + b"d" * 100_000 + b"\t1\n", says="lacks")


def rankings() -> Iterator[Case]:
    """Run files of six fields, and others."""
    same = {"q1": ["d1", "d2"], "q2": ["d2"]}

    def reads(name: str, text: str, read: dict[str, list[str]] | None = None) -> Case:
        return Case("run", name, text.encode(), read=read or same)

    def refused(name: str, row: str, says: str = "") -> Case:
        return Case("run", name, RUN + row.encode() + b"\n", says=says, line=4)

    text = RUN.decode()
    yield reads("tabs", text.replace(" ", "\t"))
    yield reads("tabs and spaces mixed", text.replace("Q0 ", "Q0\t"))
    yield reads("blanks at the ends", text.replace("tag\n", "tag  \r\n"))
    yield reads("tag of two words", text.replace("tag", "my tag"))
    yield reads("ranks that are no numbers", text.replace(" 1 ", " first ").replace(" 2 ", " - "))
    yield reads("scores with exponents", text.replace("2.5", "2.5E+0").replace("1.5", "15e-1"))
    yield reads("unjudged documents", text + "q2 Q0 \u00fcber 2 0.25 tag\n", same | {"q2": ["d2", "\u00fcber"]})
    yield reads("ids that look alike", text + "q2 Q0 D2 2 0.25 tag\n", same | {"q2": ["d2", "D2"]})
    yield reads("long id", text + f"q2 Q0 {'d' * 100_000} 2 0.25 tag\n", same | {"q2": ["d2", "d" * 100_000]})
    yield reads("queries apart", text + "q1 Q0 d3 3 0.25 tag\n", same | {"q1": ["d1", "d2", "d3"]})
    for name, score in {
        "NaN": "nan", "infinity": "inf", "minus infinity": "-inf", "too large": "1e39", "huge": "1e999",
        "word": "high", "comma": "1,5", "underscore": "1_0", "other digits": "\u0661", "hex": "0x1p3", "a tag": "tag",
    }.items():  # fmt: skip
        yield refused(f"score is {name}", f"q1 Q0 d3 3 {score} tag", "score")
    yield refused("no score", "q1 Q0 d3 3 tag", "fields")
    yield refused("no tag", "q1 Q0 d3 3 0.5", "fields")
    yield refused("judgement in its place", "q1 0 d3 1", "fields")
    yield refused("comment", "# made by hand", "fields")
    yield refused("comment of six words", "# this line says nothing much", "score")
    yield refused("document id with a space", "q1 Q0 my doc 3 0.5 tag", "white space")
    yield refused("document twice", "q1 Q0 d1 3 0.1 tag", '"d1"')
    yield refused("long document twice", f"q1 Q0 {'d' * 9_000} 3 .1 t\nq1 Q0 {'d' * 9_000} 4 .1 t")._replace(line=5)
    yield refused("header below", "query_id iteration doc_id rank score tag", "score")
    yield refused("JSON", '{"q1": {"d1": 1.0}}', "fields")
    yield Case("run", "header", b"query_id iteration doc_id rank score tag\n" + RUN, says="score", line=1)
    yield Case("run", "nothing judged", b"q1 Q0 d8 1 1.0 tag\n", says="judged", named=False)


def declarations() -> Iterator[Case]:
    """TOML: values and paths that a suite or a config cannot bear."""

    def changed(file: str, name: str, old: str, new: str, says: str = "") -> Case:
        assert GOOD[file].count(old.encode()) == 1, old
        return Case(file, name, GOOD[file].replace(old.encode(), new.encode()), says=says)

    path = 'path = "corpus.jsonl"'
    for name, value in {
        "NUL in a path": '"a\\u0000b"', "path of 300 letters": f'"{"a" * 300}"', "empty path": '""', "path is 3": "3",
        "path is a folder": '"."', "path is absent": '"/nowhere/corpus.jsonl"', "path is NaN": "nan",
        "path is an array": '["corpus.jsonl"]', "path is a date": "1979-05-27",
    }.items():  # fmt: skip
        yield changed("suite.toml", name, path, f"path = {value}")._replace(named="nowhere" not in value)
    for name, value in {
        "number": "3", "unknown": '["ndgc@10"]', "empty": "[]", "mixed": '["recall@10", 3]',
        "long": f'["{"m" * 9_000}"]',
    }.items():  # fmt: skip
        case = changed("suite.toml", f"measures: {name}", '["recall@10"]', value)
        # An unknown measure is a finding of its own: the file could be read.
        yield case if name not in ("unknown", "long") else case._replace(read=case.content)
    for key, value in {
        "version": "0", "depth": "-1", "relevance_level": "nan",
        "drop_self": '"yes"', "description": "[]", "dept": "10",
        "license": "1" + "0" * 5_000, "name ": '"again"', "depth ": "1e999", '"\\u0000"': "1",
    }.items():  # fmt: skip
        yield changed("suite.toml", f"{key} = {value[:9]}", 'name = "s"', f'name = "s"\n{key} = {value}')
    yield changed("suite.toml", "name with a space", 'name = "s"', 'name = "s s"', "name")
    yield changed("suite.toml", "role misspelt", '"held-out"', '"heldout"', 'Did you mean "held-out"?')
    yield changed("suite.toml", "role of 9,000 letters", '"held-out"', f'"{"r" * 9_000}"', "role")
    yield changed("suite.toml", "corpus unknown", 'corpus = "c"', 'corpus = "d"', "corpus")
    yield changed("suite.toml", "no judgements", 'qrels = "qrels.tsv"', "", "qrels")
    yield changed("suite.toml", "unknown source", path, f'{path}\nsource = "csv"', "source")
    yield changed(
        "suite.toml",
        "the same set twice",
        "[[query_sets]]",
        SUITE.decode()[SUITE.index(b"[[") :] + "[[query_sets]]",
        "unique",
    )
    yield changed("suite.toml", "unclosed string", '"s"', '"s', "TOML")
    for name, value in {
        "string": '"."', "number": "3", "empty": "[]", "absent suite": '["nowhere"]', "NUL": '["a\\u0000b"]',
        "long": f'["{"s" * 300}"]', "a file": '["corpus.jsonl"]', "nested": '[["."]]', "twice": '[".", "."]',
    }.items():  # fmt: skip
        yield changed("bench.toml", f"suites: {name}", '["."]', value)
    for name, value in {
        "unknown": '"bm52"', "number": "3", "NUL": '"a\\u0000b"', "path": '"../bm25"', "empty": '""',
        "dunder": '"__init__"', "long": f'"{"k" * 9_000}"',
    }.items():  # fmt: skip
        yield changed("bench.toml", f"kind: {name}", '"bm25"', value)
    for name, value in {
        "alpha": "nan", "alpha ": "0.9", "on_inconclusive": '"pass"', "rules": "[]", "rules ": "[{}]",
        "ceilings": "[[]]", "sytem": '"old"', "baseline": "3", "margin": "0.1",
    }.items():  # fmt: skip
        yield changed("bench.toml", f"gate.{name} = {value}", 'system = "old"', f'system = "old"\n{name} = {value}')
    yield changed("bench.toml", "system is a number", 'kind = "bm25"', 'kind = "bm25"\nk1 = "much"')


def results() -> Iterator[Case]:
    """JSON documents that are no baseline or no result."""
    for file in ("baseline.json", "results.json"):
        good = json.loads(GOOD[file])
        for name, content in {
            "null": None, "array": [], "number": 3, "string": "x", "object": {}, "format 2": good | {"format": 2},
            "format true": good | {"format": [1]}, "no results": good | {"results": []},
            "results null": good | {"results": None},
            "results of null": good | {"results": [None]}, "results an object": good | {"results": {}},
            "header null": good | {"baseline": None},
        }.items():  # fmt: skip
            if not (file == "results.json" and name in ("format 2", "format true", "header null")):
                yield Case(file, name, json.dumps(content).encode())
        text = GOOD[file]
        if file == "results.json":
            twice = json.dumps(good | {"results": good["results"] * 2}).encode()
            yield Case(file, "result twice", twice, says="two results", named=False)
        yield Case(file, "NaN for a value", text.replace(b"[1.0,", b"[NaN,", 1).replace(b"[1.0, ", b"[NaN, ", 1))
        yield Case(file, "number of 5,000 digits", text.replace(b"1.0", b"1" * 5_000, 1), says="JSON")
        yield Case(file, "single quotes", text.replace(b'"', b"'"), says="JSON")
        yield Case(file, "gzip", gzip.compress(text))
        for part in (0.1, 0.5, 0.99):
            yield Case(file, f"cut at {part}", text[: int(len(text) * part)], says="JSON")


CASES = [
    *(case for file in GOOD for case in saved_otherwise(file)),
    *(case for file in GOOD for case in damaged(file)),
    *(case for file in ("corpus.jsonl", "queries.jsonl") for case in objects(file)),
    *documents(),
    *judgements(),
    *rankings(),
    *declarations(),
    *results(),
]


def read(file: str, folder: Path) -> Any:
    """What the file's reader makes of it, in the form that a case states."""
    if file == "corpus.jsonl":
        return [row["_id"] for row in read_documents(folder / file)]
    if file == "queries.jsonl":
        return [row["_id"] for row in read_queries(folder / file)]
    if file == "qrels.tsv":
        return read_qrels(folder / file)
    if file == "run":
        run = read_run(folder / file)
        return {q: [run.doc_ids[d] for d in run.docs[i] if d >= 0] for i, q in enumerate(run.query_ids)}
    return None


def test_cases_are_many_and_have_names_of_their_own():
    assert len(CASES) >= 200
    assert len({(case.file, case.name) for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.file}-{case.name}")
def test_file_is_read_or_refused_in_one_sentence(case, folder, capsys):
    expected = read(case.file, folder) if isinstance(case.read, bytes) else case.read
    digest = suite.load(folder).digest
    put(folder / case.file, case.content)
    sentences = told(case.file, folder, capsys)
    if case.read is not None:
        assert sentences == []
        assert read(case.file, folder) == expected
        if case.read == GOOD[case.file]:
            assert suite.load(folder).digest == digest
        return
    assert sentences, "read without a word"
    check_sentences(sentences, folder)
    assert str(folder) in sentences[0] or not case.named
    assert len(sentences) == 1 or case.file.endswith("toml")
    assert case.says in sentences[0]
    if case.line is not None:
        assert f"{folder / case.file}:{case.line}: " in sentences[0]


# --- good files, changed at random ---------------------------------------------------------------------

ODD = [
    b"\x00", b"\xff", b"\xed\xa0\x80", b"\r", b"\n", b"\t", b" ", b'"', b"\\", b"\\ud800", b"[", b"{", b"}", b"#", b"-",
    b"1e999", b"NaN", b"\xef\xbb\xbf", b"\x1f\x8b", b"PK\x03\x04", b"\xc2\x85", b"\xe2\x80\xa8", b"null", b"true",
    b"9" * 400,
]  # fmt: skip


@st.composite
def mutations(draw: st.DrawFn) -> tuple[str, bytes]:
    """A file's name, and its good bytes after one to three accidents."""
    file = draw(st.sampled_from(sorted(GOOD)))
    data = GOOD[file]
    for _ in range(draw(st.integers(1, 3))):
        start, end = sorted(draw(st.tuples(*[st.integers(0, len(data))] * 2)))
        accident = draw(st.sampled_from(["cut", "drop", "flip", "put", "swap", "repeat", "encode", "pack"]))
        if accident == "cut":
            data = data[:start]
        elif accident == "drop":
            data = data[:start] + data[end:]
        elif accident == "flip" and start < len(data):
            data = data[:start] + bytes([data[start] ^ 1 << draw(st.integers(0, 7))]) + data[start + 1 :]
        elif accident == "put":
            data = data[:start] + draw(st.sampled_from(ODD)) + data[start:]
        elif accident == "swap":
            lines = data.splitlines(keepends=True)
            data = b"".join(draw(st.permutations(lines))) if len(lines) < 40 else data
        elif accident == "repeat":
            data = data[:end] + data[start:]
        elif accident == "encode":
            data = data.decode("latin-1").encode(draw(st.sampled_from(["utf-8-sig", "utf-16", "utf-16-be", "utf-32"])))
        elif accident == "pack":
            data = gzip.compress(data)
    return file, data


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changed=mutations())
@example(changed=("bench.toml", b"9" * 700 + GOOD["bench.toml"]))
def test_changed_file_is_read_or_refused_in_sentences(changed, tmp_path_factory, capsys):
    file, data = changed
    folder = lay(tmp_path_factory.getbasetemp() / "changed")
    (folder / file).write_bytes(data)
    check_sentences(told(file, folder, capsys), folder)


def leaves(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths to every value of a JSON document, and to the first of every list."""
    yield path
    inner = (
        document.items()
        if isinstance(document, dict)
        else list(enumerate(document))[:1]
        if isinstance(document, list)
        else ()
    )
    for key, value in inner:
        yield from leaves(value, (*path, key))


WRONG = [
    None,
    True,
    3,
    -1,
    10**30,
    1.5,
    float("nan"),
    "x",
    "",
    "\ud800",
    [],
    [None],
    ["x", "y"],
    [[]],
    {},
    {"x": None},
    "long" * 5_000,
]
ABSENT = object()


PLACES = [(file, path) for file in ("baseline.json", "results.json") for path in leaves(json.loads(GOOD[file]))]


@pytest.mark.parametrize(("file", "path"), PLACES, ids=[".".join(map(str, (file, *path))) for file, path in PLACES])
@pytest.mark.parametrize("digest", [True, False], ids=["with its digest", "without"])
def test_result_with_one_wrong_value_is_read_or_refused_in_sentences(digest, file, path, folder, capsys):
    good = json.loads(GOOD[file])
    for result in good["results"]:
        # With a digest any change is told; without, the value itself must be.
        if not digest and path[-1:] != ("digest",):
            del result["digest"]
    for wrong in (*WRONG, ABSENT):
        document = copy.deepcopy(good)
        parent, place = {"whole": document}, "whole"
        for step in path:
            parent, place = parent[place], step
        parent[place] = wrong
        if wrong is ABSENT:
            del parent[place]
        (folder / file).write_text(json.dumps(document if path else parent.get("whole")))
        for shown in {file, "results.json"}:
            check_sentences(told(shown, folder, capsys), folder)
