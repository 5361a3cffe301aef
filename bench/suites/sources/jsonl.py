"""JSON lines: {"_id", "title", "text"} per document, {"_id", "text"} per query, tab-separated judgements."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import field_validator

from bench.base.errors import SuiteError, excerpt
from bench.base.files.judgements import read_qrels
from bench.base.files.lines import Place, read_objects
from bench.base.progress import Progress, no_progress
from bench.config import Strict
from bench.suites.sources import Collection, Document, Judgement, Part, Query, judgements_of

_HALF = re.compile("[\ud800-\udfff]")


# What the value of an optional key must be, in words → its test.
_KINDS: dict[str, Callable[[Any], bool]] = {
    "a string": lambda value: isinstance(value, str),
    "true or false": lambda value: isinstance(value, bool),
    "one name or a list of names": lambda value: (
        isinstance(value, str) or (isinstance(value, list) and all(isinstance(v, str) and v for v in value))
    ),
}


def _objects(
    path: Place, optional: Mapping[str, str], *, any_id: bool = False, progress: Progress = no_progress
) -> Iterator[dict[str, Any]]:
    """Objects with the strings "_id" and "text", ids unique; `optional` keys are of their kind in `_KINDS`, or null."""
    lines: dict[str, int] = {}
    for number, line, row in read_objects(path, shape='with "_id" and "text"', progress=progress):
        for key in ("_id", "text"):
            if key not in row:
                keys = excerpt(", ".join(sorted(row))) or "nothing"
                raise SuiteError(f'{path}:{number}: no "{key}" (found: {keys}); expected "_id" and "text".')
            if not isinstance(row[key], str):
                raise SuiteError(
                    f'{path}:{number}: "{key}" is {json.dumps(row[key])[:60]}; expected a string. '
                    "Put it in quotation marks."
                )
        row_id = row["_id"]
        if not row_id.strip() or (not any_id and row_id.split() != [row_id]):
            raise SuiteError(
                f'{path}:{number}: "_id" is "{excerpt(row_id)}"; expected an id without white space '
                "(run and judgement files are separated by it)."
            )
        for key, kind in optional.items():
            if row.get(key) is not None and not _KINDS[kind](row[key]):
                raise SuiteError(
                    f'{path}:{number}: "{key}" of "{excerpt(row_id)}" is {json.dumps(row[key])[:60]}; expected {kind}.'
                )
        # Only an escape can bring one in: UTF-8 has none. No tokenizer takes it, and no file can be written with it.
        for key in ("_id", "text", *optional) if "\\ud" in line or "\\uD" in line else ():
            value = row.get(key)
            values = value if isinstance(value, list) else [value]
            if any(isinstance(text, str) and _HALF.search(text) for text in values):
                raise SuiteError(
                    f'{path}:{number}: "{key}" holds half of a surrogate pair; expected whole characters. '
                    "The text may have been cut within one."
                )
        first = lines.setdefault(row_id, number)
        if first != number:
            raise SuiteError(
                f'{path}:{number}: id "{excerpt(row_id)}" stands already in line {first}; ids must be unique.'
            )
        yield row


def read_documents(path: Place, *, any_id: bool = False, progress: Progress = no_progress) -> Iterator[dict[str, Any]]:
    """Documents as {"_id", "title", "text", …}, in file order. `any_id`: ids may hold white space.

    Raises:
        SuiteError: with file and line, for anything that is not such a document.
    """
    for row in _objects(path, {"title": "a string"}, any_id=any_id, progress=progress):
        row["title"] = row.get("title") or ""
        yield row


def read_queries(path: Place, *, any_id: bool = False) -> Iterator[dict[str, Any]]:
    """Queries as {"_id", "text"} with optional "slice", "cluster", "pinned", "answerable", in file order.

    "slice" is one name or a list of names. `any_id`: ids may hold white space.

    Raises:
        SuiteError: with file and line, for anything that is not such a query.
    """
    flags = {"pinned": "true or false", "answerable": "true or false"}
    return _objects(path, {"slice": "one name or a list of names", "cluster": "a string", **flags}, any_id=any_id)


# --- for import ------------------------------------------------------------------------------------


class Fields(Strict):
    """Names of further fields, in the line or in its "metadata"."""

    group: str = ""
    time: str = ""
    cluster_by: str = ""

    @field_validator("cluster_by")
    @classmethod
    def _pattern(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"expected a regular expression on the query id ({error})") from None
        return pattern


class Options(Fields):
    """Names of the files, and settings of their queries."""

    corpus: str = "corpus.jsonl"
    queries: str = "queries.jsonl"
    qrels: str = "qrels.tsv"
    split: str = "test"
    answerable: bool = True


def collection(location: str, options: Options) -> Collection:
    """A folder of one corpus, one file of queries and one of judgements; without judgements if `answerable` is false.

    Raises:
        SuiteError: the location is no folder.
    """
    folder = Path(location)
    if not folder.is_dir():
        raise SuiteError(f"{folder} is no folder; expected one with {options.corpus} and {options.queries}.")
    if not options.answerable and "qrels" in options.model_fields_set:
        raise SuiteError(f"{folder}: answerable is false, so {options.qrels} would not be read; leave one of them out.")

    def queries() -> Iterator[Query]:
        for row in read_queries(folder / options.queries, any_id=True):
            yield as_query(row if options.answerable else {**row, "answerable": False}, options)

    qrels = partial(judgements, folder / options.qrels) if options.answerable else lambda: iter(())
    return Collection(
        folder.resolve().name,
        partial(documents, folder / options.corpus, options),
        (Part(options.split, queries, qrels),),
        {"kind": "jsonl", "location": location},
    )


def documents(path: Place, fields: Fields) -> Iterator[Document]:
    """Documents of a file; ids may hold white space."""
    for row in read_documents(path, any_id=True):
        group, time = _field(row, fields.group), _field(row, fields.time)
        yield Document(row["_id"], row["text"], row["title"], group, time)


def judged_queries(path: Place, qrels: Place, fields: Fields) -> Iterator[Query]:
    """Queries of a file that another file judges; ids may hold white space."""
    query_ids = read_qrels(qrels, any_id=True)
    for row in read_queries(path, any_id=True):
        if row["_id"].strip() in query_ids:  # the reader of judgements strips ids too
            yield as_query(row, fields)


def judgements(path: Place) -> Iterator[Judgement]:
    """Judgements of a file, in its order by query; ids may hold white space."""
    return judgements_of(read_qrels(path, any_id=True))


def as_query(row: dict[str, Any], fields: Fields) -> Query:
    """A query from its line."""
    cluster = row.get("cluster")
    if cluster is None and fields.cluster_by and (match := re.search(fields.cluster_by, row["_id"])):
        cluster = match[1] if match.re.groups else match[0]
    return Query(
        row["_id"],
        row["text"],
        slice=row.get("slice"),
        cluster=cluster,
        pinned=bool(row.get("pinned")),
        answerable=row.get("answerable") is not False,
        group=_field(row, fields.group),
        time=_field(row, fields.time),
    )


def _field(row: dict[str, Any], name: str) -> str | None:
    if not name:
        return None
    metadata = row.get("metadata")
    value = row.get(name, metadata.get(name) if isinstance(metadata, dict) else None)
    return None if value in (None, "") else str(value)
