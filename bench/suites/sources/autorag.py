"""AutoRAG's data: qa.parquet (`qid`, `query`, `retrieval_gt`) and corpus.parquet (`doc_id`, `contents`) in one folder.

`retrieval_gt` is a list of lists: every inner list holds documents that answer one part of the question alike. Each of
them is judged 1; which part it answers is not kept. A query that names none is one that no document answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import Field

from bench.base.errors import SuiteError
from bench.base.files.rows import field_of, id_of, read_rows, text_of
from bench.config import Strict
from bench.suites.sources import Collection, Document, Judgement, Part, Query


class Options(Strict):
    """What may be said about AutoRAG's files."""

    qa: str = Field(default="qa.parquet", description="the file of questions")
    corpus: str = Field(default="corpus.parquet", description="the file of passages")
    split: str = Field(default="test", description="the split that the queries become")
    license: str = ""


def collection(location: str, options: Options) -> Collection:
    """The passages and questions of a folder; a passage's `path` is its group, its last change its time.

    Raises:
        SuiteError: a file is missing.
    """
    folder = Path(location)
    qa, corpus = folder / options.qa, folder / options.corpus
    for path in (qa, corpus):
        if not path.is_file():
            raise SuiteError(
                f"{path} does not exist; expected a folder with AutoRAG's {options.qa} and {options.corpus}. "
                "Name other files with --set qa=… and --set corpus=…"
            )

    def documents() -> Iterator[Document]:
        for place, row in _read(corpus):
            metadata = row.get("metadata") or {}
            group = row.get("path") or (metadata.get("path") if isinstance(metadata, dict) else None)
            changed = metadata.get("last_modified_datetime") if isinstance(metadata, dict) else None
            yield Document(
                id_of(place, row, "doc_id"),
                text_of(place, row, "contents"),
                group=group if isinstance(group, str) else None,
                time=changed.isoformat() if isinstance(changed, date) else None,
            )

    def queries() -> Iterator[Query]:
        for place, row in _read(qa):
            answered = any(True for _ in _leaves(place, field_of(place, row, "retrieval_gt")))
            yield Query(id_of(place, row, "qid"), text_of(place, row, "query"), answerable=answered)

    def judgements() -> Iterator[Judgement]:
        for place, row in _read(qa):
            query_id = id_of(place, row, "qid")
            for doc_id in dict.fromkeys(_leaves(place, field_of(place, row, "retrieval_gt"))):
                yield query_id, doc_id, 1

    origin = {
        "kind": "autorag",
        "location": folder.resolve().name,
        "license": options.license,
        "judgements": "every id in retrieval_gt has grade 1",
    }
    return Collection(folder.resolve().name, documents, (Part(options.split, queries, judgements),), origin)


def _read(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    return read_rows(path, part="AutoRAG's files")


def _leaves(place: str, value: Any) -> Iterator[str]:
    """The ids of a nested list, in its order; one alone where AutoRAG wrote no list, none for nothing."""
    if isinstance(value, list):
        for item in value:
            yield from _leaves(place, item)
    elif isinstance(value, str) and value:
        yield value
    elif value not in (None, ""):
        raise SuiteError(f'{place}: "retrieval_gt" holds {str(value)[:60]}; expected lists of document ids.')
