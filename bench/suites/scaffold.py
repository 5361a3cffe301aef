"""The files that a project begins with: bench.toml, a suite, a workflow. Existing files are never overwritten."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from bench.base.errors import SuiteError, UsageError
from bench.base.json_records import JsonRecord
from bench.base.store import replacing_folder, write_text
from bench.config import schema
from bench.suites.sources.folder import Options, passages
from bench.suites.suite import toml_lines

WORDS = 200
"""Default for the most words of a passage: as many as small models read at once, with room for subwords."""

QUERY_SET = "questions"
_SUITE_FILES = ("suite.toml", "corpus.jsonl", f"queries/{QUERY_SET}.jsonl", f"qrels/{QUERY_SET}.tsv", "README.md")


@dataclass(frozen=True)
class Scaffold(JsonRecord):
    """Files written, files that existed and were kept, and the next steps in sentences."""

    suite: Path
    written: tuple[Path, ...]
    kept: tuple[Path, ...]
    n_documents: int
    n_files: int
    next_steps: tuple[str, ...]


def scaffold(folder: Path, *, name: str | None = None, source: Path | None = None, words: int = WORDS) -> Scaffold:
    """Write the files that a project lacks.

    Args:
        folder: the project's folder; created if it does not exist.
        name: the suite's name; None takes it from the source's folder, or else from the project's.
        source: a folder of text and Markdown files whose passages become the suite's documents; None for no documents.
        words: the most words of a passage; 10 or more.

    Raises:
        UsageError: an invalid name or number of words, or a suite of that name exists.
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
        raise UsageError(f"{suite} exists already; choose another name with --name, or remove it.")
    first, n_documents, n_files = _write_suite(suite, name, source, words)
    written, kept = [suite / file for file in _SUITE_FILES], []
    for path, text in (
        (folder / "bench.toml", _BENCH.replace("NAME", name)),
        *((folder / schema.FILES[of], schema.schema_text(content)) for of, content in schema.schemas().items()),
        (folder / ".github" / "workflows" / "gate.yml", _workflow()),
    ):
        if path.exists():
            kept.append(path)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            written.append(write_text(path, text))
    gitignore = folder / ".gitignore"
    text = gitignore.read_text(encoding="utf-8") if gitignore.exists() else ""
    ignored = {line.strip().strip("/") for line in text.splitlines()}
    missing = [path for path in (".bench/", "reports/history.jsonl") if ignored.isdisjoint({path, path.split("/")[0]})]
    if missing:
        text += "\n" if text and not text.endswith("\n") else ""
        written.append(write_text(gitignore, text + "".join(f"{path}\n" for path in missing)))
    else:
        kept.append(gitignore)
    queries, qrels = suite / "queries" / f"{QUERY_SET}.jsonl", suite / "qrels" / f"{QUERY_SET}.tsv"
    place = "" if folder.resolve() == Path.cwd() else f" (in {folder})"
    add_suite = f'Add "suites/{name}" to suites in {folder / "bench.toml"}'
    steps = [
        *([] if n_documents else [f"Put documents into {suite / 'corpus.jsonl'}, or begin anew with --from FOLDER"]),
        f"Write queries into {queries}, as people typed them: {_query_line('…')}",
        f"Judge them in {qrels}: query, document, grade, such as q1, {first or 'd1'}, 1",
        f"bench check {suite}",
        *([add_suite] if folder / "bench.toml" in kept else []),
        f'bench run, then bench baseline accept --reason "first"{place}; docs/ci.md has the rest',
    ]
    return Scaffold(suite, tuple(written), tuple(kept), n_documents, n_files, tuple(steps))


def _write_suite(suite: Path, name: str, source: Path | None, words: int) -> tuple[str | None, int, int]:
    """Write the suite's folder whole or not at all; return the first document's id, and n_documents and n_files."""
    origin: dict[str, str] = {}
    n_documents, first = 0, None
    with replacing_folder(suite) as scratch:
        (scratch / "queries").mkdir()
        (scratch / "qrels").mkdir()
        with (scratch / "corpus.jsonl").open("wb") as stream:
            if source is not None:
                collection = passages(str(source), Options(words=words))
                for doc in collection.documents():
                    row = {"_id": doc.doc_id, "title": doc.title, "text": doc.text, "group": doc.group}
                    stream.write(json.dumps(row, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
                    first = first or doc.doc_id
                    n_documents += 1
                origin = dict(collection.origin)
                if not n_documents:
                    raise SuiteError(f"{source} holds {origin['files']} files and no text in any of them.")
        # A file name may hold characters that no UTF-8 file can.
        lines = toml_lines({"origin": origin}) if origin else []
        toml = _SUITE.replace("NAME", name) + "".join(f"{line}\n" for line in lines)
        write_text(scratch / "suite.toml", toml.encode("utf-8", "replace").decode())
        (scratch / "queries" / f"{QUERY_SET}.jsonl").write_text("", encoding="utf-8")
        write_text(scratch / "qrels" / f"{QUERY_SET}.tsv", "query-id\tcorpus-id\tscore\n")
        documents = _NO_DOCUMENTS if not origin else _DOCUMENTS.format(n_documents=n_documents, **origin)
        values = {"NAME": name, "DOCUMENTS": documents, "QUERY": _query_line("what somebody typed"), "DOCUMENT": first}
        readme = re.sub(r"\b(NAME|DOCUMENTS|QUERY|DOCUMENT)\b", lambda key: values[key[0]] or "d1", _README)
        write_text(scratch / "README.md", readme)
    return first, n_documents, int(origin.get("files", 0))


def _query_line(text: str) -> str:
    return json.dumps({"_id": "q1", "text": text}, ensure_ascii=False)


def _workflow() -> str:
    here = Path(__file__).parents[1]
    # The wheel carries it inside the package; a checkout has it among the examples.
    for path in (here / "_ci" / "github.yml", here.parent / "examples" / "ci" / "github.yml"):
        if path.exists():
            return path.read_text(encoding="utf-8")
    raise UsageError("The workflow github.yml is missing from this installation; install the package again.")


_DOCUMENTS = """\
{n_documents} documents, cut from {files} files of `{location}` by the chunker `{chunker}`: at most {words} words \
each, overlap {overlap}. An id is the file's path and the headings above the passage. Editing one section \
leaves all other ids as they are."""

_NO_DOCUMENTS = """\
No documents yet: write them into `corpus.jsonl`, one a line, `{"_id": "d1", "title": "…", "text": "…"}`."""

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

DOCUMENTS

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
share its words, and word search looks better than it is. Fifty are a start; with two hundred the gate detects drops
of .03 to .08. Add a set of role `out-of-distribution` too: other people, other words, other documents. Then run
`bench check`.
"""
