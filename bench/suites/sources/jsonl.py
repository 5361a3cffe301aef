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
from bench.suites.sources import Collection, Document, Judgement, Part, Query

_HALF = re.compile("[\ud800-\udfff]")


def _is_names(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(v, str) and v for v in value))


_KINDS: dict[str, Callable[[Any], bool]] = {
    "a string": lambda value: isinstance(value, str),
    "true or false": lambda value: isinstance(value, bool),
    "one name or a list of names": _is_names,
}
"""What the value of an optional key may be, in words, and how that is told."""


def _objects(
    path: Place, optional: Mapping[str, str], *, any_id: bool = False, progress: Progress = no_progress
) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number, object with the strings "_id" and "text"); `optional` keys are of their kind, or null."""
    for number, line, row in read_objects(path, shape='with "_id" and "text"', progress=progress):
        for key in ("_id", "text"):
            if key not in row:
                found = excerpt(", ".join(sorted(row))) or "nothing"
                raise SuiteError(f'{path}:{number}: no "{key}" (found: {found}); expected "_id" and "text".')
            if not isinstance(row[key], str):
                raise SuiteError(
                    f'{path}:{number}: "{key}" is {json.dumps(row[key])[:60]}; expected a string. '
                    "Put it in quotation marks."
                )
        if not row["_id"].strip() or (not any_id and row["_id"].split() != [row["_id"]]):
            raise SuiteError(
                f'{path}:{number}: "_id" is "{excerpt(row["_id"])}"; expected an id without white space '
                "(run and judgement files are separated by it)."
            )
        for key, kind in optional.items():
            if row.get(key) is not None and not _KINDS[kind](row[key]):
                raise SuiteError(
                    f'{path}:{number}: "{key}" of "{excerpt(row["_id"])}" is {json.dumps(row[key])[:60]}; expected '
                    f"{kind}."
                )
        # Only an escape can bring one in: UTF-8 has none. No tokenizer takes it, and no file can be written with it.
        if "\\ud" in line or "\\uD" in line:
            for key in ("_id", "text", *optional):
                value = row.get(key)
                if any(isinstance(text, str) and _HALF.search(text) for text in _listed(value)):
                    raise SuiteError(
                        f'{path}:{number}: "{key}" holds half of a surrogate pair; expected whole characters. '
                        "The text may have been cut within one."
                    )
        yield number, row


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _unique(path: Place, rows: Iterator[tuple[int, dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    seen: dict[str, int] = {}
    for number, row in rows:
        first = seen.setdefault(row["_id"], number)
        if first != number:
            raise SuiteError(
                f'{path}:{number}: id "{excerpt(row["_id"])}" stands already in line {first}; ids must be unique.'
            )
        yield row


def read_documents(path: Place, *, any_id: bool = False, progress: Progress = no_progress) -> Iterator[dict[str, Any]]:
    """Documents as {"_id", "title", "text", …}, in file order. `any_id`: ids may hold white space.

    Raises:
        SuiteError: with file and line, for anything that is not such a document.
    """
    for row in _unique(path, _objects(path, {"title": "a string"}, any_id=any_id, progress=progress)):
        row["title"] = row.get("title") or ""
        yield row


def read_queries(path: Place, *, any_id: bool = False) -> Iterator[dict[str, Any]]:
    """Queries as {"_id", "text"} with optional "slice", "cluster", "pinned", "answerable", in file order.

    "slice" is one name or a list of names. `any_id`: ids may hold white space.

    Raises:
        SuiteError: with file and line, for anything that is not such a query.
    """
    optional = {
        "slice": "one name or a list of names",
        "cluster": "a string",
        "pinned": "true or false",
        "answerable": "true or false",
    }
    yield from _unique(path, _objects(path, optional, any_id=any_id))


# --- for import ------------------------------------------------------------------------------------


class Fields(Strict):
    """What the lines hold beside ids and texts: names of fields, in the line or in its "metadata"."""

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
    """Files of the folder, and what is in them."""

    corpus: str = "corpus.jsonl"
    queries: str = "queries.jsonl"
    qrels: str = "qrels.tsv"
    split: str = "test"
    answerable: bool = True


def collection(location: str, options: Options) -> Collection:
    """A folder of one corpus, one file of queries and one of judgements; with `answerable` false, of none.

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

    part = Part(
        options.split, queries, partial(judgements, folder / options.qrels) if options.answerable else lambda: ()
    )
    return Collection(
        folder.resolve().name,
        lambda: (as_document(row, options) for row in read_documents(folder / options.corpus, any_id=True)),
        (part,),
        {"kind": "jsonl", "location": location},
    )


def as_document(row: dict[str, Any], fields: Fields) -> Document:
    """One line of documents."""
    group, time = _field(row, fields.group), _field(row, fields.time)
    return Document(row["_id"], row["text"], row["title"], group, time)


def as_query(row: dict[str, Any], fields: Fields) -> Query:
    """One line of queries."""
    cluster = row.get("cluster")
    if cluster is None and fields.cluster_by and (found := re.search(fields.cluster_by, row["_id"])):
        cluster = found[1] if found.re.groups else found[0]
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


def judgements(path: Place) -> Iterator[Judgement]:
    """Judgements of a file, in its order by query; ids may hold white space."""
    for query_id, grades in read_qrels(path, any_id=True).items():
        for doc_id, grade in grades.items():
            yield query_id, doc_id, grade


def _field(row: dict[str, Any], name: str) -> str | None:
    if not name:
        return None
    metadata = row.get("metadata")
    value = row.get(name, metadata.get(name) if isinstance(metadata, dict) else None)
    return None if value in (None, "") else str(value)
