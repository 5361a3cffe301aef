"""What a project needs to begin with: bench.toml, a suite, the workflow. Nothing that is there is overwritten."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from bench.base.errors import SuiteError, UsageError
from bench.base.json_records import JsonRecord
from bench.base.store import replacing_folder, write_text
from bench.config import schema
from bench.suites.sources import Document
from bench.suites.sources.folder import Options, passages

WORDS = 200
"""The most that a passage holds unless said otherwise: what small models read at once, with room for subwords."""

QUERY_SET = "questions"
_SUITE_FILES = ("suite.toml", "corpus.jsonl", f"queries/{QUERY_SET}.jsonl", f"qrels/{QUERY_SET}.tsv", "README.md")


@dataclass(frozen=True)
class Scaffold(JsonRecord):
    """What was written, what was kept as it was, and what is left to do."""

    suite: Path
    written: tuple[Path, ...]
    kept: tuple[Path, ...]
    n_documents: int
    n_files: int
    next_steps: tuple[str, ...]


def scaffold(folder: Path, *, name: str | None = None, source: Path | None = None, words: int = WORDS) -> Scaffold:
    """Write what is missing of a project.

    Args:
        folder: the project; made where it does not exist.
        name: the suite's; from the source's folder, or else the project's, where None.
        source: a folder of text and Markdown files whose passages become the suite's documents; none where None.
        words: the most that a passage holds; 10 or more.

    Raises:
        UsageError: a name or number of words that cannot be, or a suite of that name is there.
        SuiteError: the source cannot be read.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; expected a folder for the project.")
    if words < 10:
        raise UsageError(f"--words is {words}; expected 10 or more.")
    if name is None:
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", (source or folder).resolve().name).strip("-._") or "documents"
    elif not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise UsageError(f'--name is "{name}"; expected letters, digits, ".", "_" and "-", a letter or digit first.')
    suite = folder / "suites" / name
    if suite.exists():
        raise UsageError(f"{suite} is there already; choose another name with --name, or remove it.")

    first, n_documents, n_files = _write_suite(suite, name, source, words)
    written, kept = [suite / file for file in _SUITE_FILES], []
    schemas = schema.schemas()
    for path, text in (
        (folder / "bench.toml", _BENCH.replace("NAME", name)),
        *((folder / schema.FILES[of], schema.schema_text(schemas[of])) for of in schemas),
        (folder / ".github" / "workflows" / "gate.yml", _workflow()),
    ):
        if path.exists():
            kept.append(path)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            written.append(write_text(path, text))
    ignored = folder / ".gitignore"
    lines = ignored.read_text(encoding="utf-8") if ignored.exists() else ""
    there = {line.strip().strip("/") for line in lines.splitlines()}
    missing = [
        line for line in (".bench/", "reports/history.jsonl") if not {line.strip("/"), line.split("/")[0]} & there
    ]
    if missing:
        # Lines more; those that are there stay.
        more = "".join(f"{line}\n" for line in missing)
        written.append(write_text(ignored, lines + ("\n" if lines and not lines.endswith("\n") else "") + more))
    else:
        kept.append(ignored)

    steps = [
        f"Write queries into {suite / 'queries' / f'{QUERY_SET}.jsonl'}, as people typed them: "
        + _query_line("q1", "…"),
        f"Judge them in {suite / 'qrels' / f'{QUERY_SET}.tsv'}: query, document, grade, such as q1, {first or 'd1'}, 1",
        f"bench check {suite}",
    ]
    if not n_documents:
        steps.insert(0, f"Put documents into {suite / 'corpus.jsonl'}, or begin anew with --from FOLDER")
    if folder / "bench.toml" in kept:
        steps.append(f'Add "suites/{name}" to suites in {folder / "bench.toml"}')
    place = "" if folder.resolve() == Path.cwd() else f" (in {folder})"
    steps.append(f'bench run, then bench baseline accept --reason "first"{place}; docs/ci.md has the rest')
    return Scaffold(suite, tuple(written), tuple(kept), n_documents, n_files, tuple(steps))


def _write_suite(suite: Path, name: str, source: Path | None, words: int) -> tuple[str | None, int, int]:
    """The suite's folder, whole or not at all: (first document's id, number of documents, of files)."""
    origin: dict[str, str] = {}
    n_documents, first = 0, None
    found = passages(str(source), Options(words=words)) if source is not None else None
    with replacing_folder(suite) as staged:
        (staged / "queries").mkdir()
        (staged / "qrels").mkdir()
        with (staged / "corpus.jsonl").open("w", encoding="utf-8", newline="\n") as stream:
            for document in found.documents() if found else ():
                stream.write(_document_line(document))
                first = first or document.doc_id
                n_documents += 1
        if found:
            origin = dict(found.origin)
            if not n_documents:
                raise SuiteError(f"{source} holds {origin['files']} files and no text in any of them.")
        (staged / "queries" / f"{QUERY_SET}.jsonl").write_text("", encoding="utf-8")
        write_text(staged / "qrels" / f"{QUERY_SET}.tsv", "query-id\tcorpus-id\tscore\n")
        write_text(staged / "suite.toml", _suite_toml(name, origin))
        write_text(staged / "README.md", _readme(name, origin, first, n_documents))
    return first, n_documents, int(origin.get("files", 0))


def _document_line(document: Document) -> str:
    row = {"_id": document.doc_id, "title": document.title, "text": document.text, "group": document.group}
    return json.dumps(row, ensure_ascii=False).encode("utf-8", "replace").decode("utf-8") + "\n"


def _query_line(query_id: str, text: str) -> str:
    return json.dumps({"_id": query_id, "text": text}, ensure_ascii=False)


def _workflow() -> str:
    here = Path(__file__).parents[1]
    # The wheel carries it inside the package; a checkout has it among the examples.
    for path in (here / "_ci" / "github.yml", here.parent / "examples" / "ci" / "github.yml"):
        if path.exists():
            return path.read_text(encoding="utf-8")
    raise UsageError("The workflow github.yml is missing from this installation; install the package again.")


def _toml(text: str) -> str:
    # What JSON escapes, TOML reads alike; it also refuses DEL, and a file name may hold what no UTF-8 file can.
    clean = text.encode("utf-8", "replace").decode("utf-8")
    return json.dumps(clean, ensure_ascii=False).replace("\x7f", "\\u007f")


def _suite_toml(name: str, origin: dict[str, str]) -> str:
    text = _SUITE.replace("NAME", name)
    if origin:
        text += "\n[origin]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in origin.items())
    return text


def _readme(name: str, origin: dict[str, str], first: str | None, n_documents: int) -> str:
    if origin:
        made = (
            f"{n_documents} documents, cut from {origin['files']} files of `{origin['location']}` by the chunker "
            f"`{origin['chunker']}`: at most {origin['words']} words each, overlap {origin['overlap']}. An id is the "
            "file's path and the headings above the passage; editing one section leaves all other ids as they are."
        )
    else:
        made = f"No documents yet: write them into `corpus.jsonl`, one a line, {_DOCUMENT_EXAMPLE}."
    return (
        _README.replace("NAME", name)
        .replace("MADE", made)
        .replace("QUERY", _query_line("q1", "what somebody typed"))
        .replace("DOCUMENT", first or "d1")
    )


_DOCUMENT_EXAMPLE = '`{"_id": "d1", "title": "…", "text": "…"}`'

_BENCH = """\
#:schema ./bench.schema.json
# What is under test. Every key: docs/config.md of retrieval-gate.
suites = ["suites/NAME"]

[systems.bm25]
kind = "bm25"

# An embedding model, and both together (pip install 'retrieval-gate[local]'):
# [systems.minilm]
# kind = "dense"
# encoder = { kind = "local", model = "sentence-transformers/all-MiniLM-L6-v2" }
#
# [systems.hybrid]
# kind = "hybrid"
# of = ["bm25", "minilm"]
# fusion = { method = "rrf" }
#
# [systems.reranked]
# kind = "rerank"
# first = "hybrid"
# reranker = { kind = "late-interaction", model = "sentence-transformers/all-MiniLM-L6-v2" }

[gate]
system = "bm25"
"""

_SUITE = f"""\
#:schema ../../suite.schema.json
name = "NAME"
version = 1
measures = ["recall@10", "ndcg@10", "mrr@10", "recall@100"]

[corpora.documents]
source = "jsonl"
path = "corpus.jsonl"

# More sets: role = "train", "dev", "held-out" or "out-of-distribution".
[[query_sets]]
name = "{QUERY_SET}"
role = "held-out"
corpus = "documents"
queries = "queries/{QUERY_SET}.jsonl"
qrels = "qrels/{QUERY_SET}.tsv"
"""

_README = f"""\
# NAME

MADE

## Queries are missing

`queries/{QUERY_SET}.jsonl` is empty. One line a query:

```json
QUERY
```

`qrels/{QUERY_SET}.tsv` says what answers it: query, document, grade, with tabs between them. 1 and above is relevant,
0 was looked at and is not, a document that is not named is unjudged:

```text
q1	DOCUMENT	1
```

Take queries as people typed them, from a search log if there is one: those that are written while looking at a document
share its words and flatter word search. Fifty are a start; with two hundred the gate notices drops of .03 to .08.
Add a set of role `out-of-distribution` too: other people, other words, other documents. Then: `bench check`.
"""
