"""AutoRAG's data: qa.parquet (`qid`, `query`, `retrieval_gt`) and corpus.parquet (`doc_id`, `contents`) in one folder.

`retrieval_gt` is a list of lists: each inner list has documents that equally answer one part of the question. Every
document gets grade 1; the part that it answers is not kept. A query without documents is unanswerable.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

from bench.base.errors import SuiteError
from bench.base.files.rows import field_of, id_of, read_rows, text_of
from bench.config import Strict
from bench.suites.sources import Collection, Document, Judgement, Part, Query

_read = partial(read_rows, part="AutoRAG's files")


class Options(Strict):
    """Settings of AutoRAG's files."""

    qa: str = "qa.parquet"
    corpus: str = "corpus.parquet"
    split: str = "test"  # the split that the queries become
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
            metadata = row.get("metadata")
            metadata = metadata if isinstance(metadata, dict) else {}
            group, changed = row.get("path") or metadata.get("path"), metadata.get("last_modified_datetime")
            yield Document(
                id_of(place, row, "doc_id"),
                text_of(place, row, "contents"),
                group=group if isinstance(group, str) else None,
                time=changed.isoformat() if isinstance(changed, date) else None,
            )

    def queries() -> Iterator[Query]:
        for place, row in _read(qa):
            yield Query(id_of(place, row, "qid"), text_of(place, row, "query"), answerable=bool(_doc_ids(place, row)))

    def judgements() -> Iterator[Judgement]:
        for place, row in _read(qa):
            query_id = id_of(place, row, "qid")
            yield from ((query_id, doc_id, 1) for doc_id in _doc_ids(place, row))

    origin = {
        "kind": "autorag",
        "location": folder.resolve().name,
        "license": options.license,
        "judgements": "every id in retrieval_gt has grade 1",
    }
    return Collection(folder.resolve().name, documents, (Part(options.split, queries, judgements),), origin)


def _doc_ids(place: str, row: dict[str, Any]) -> list[str]:
    return list(dict.fromkeys(_leaves(place, field_of(place, row, "retrieval_gt"))))


def _leaves(place: str, value: Any) -> Iterator[str]:
    """The ids of a nested list, in its order; a text is an id itself, null and an empty text are none."""
    if isinstance(value, list):
        for item in value:
            yield from _leaves(place, item)
    elif isinstance(value, str) and value:
        yield value
    elif value not in (None, ""):
        raise SuiteError(f'{place}: "retrieval_gt" holds {str(value)[:60]}; expected lists of document ids.')
