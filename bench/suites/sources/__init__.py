"""Sources, one module a format. A module's name is the kind's name in `bench import KIND`; listing them imports none.

A source has `Options` (a `Strict` model of its settings) and `collection(location, options)`, which returns a
`Collection`: documents and queries that are read only when they are iterated.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from bench.base.errors import SuiteError

__all__ = ["Collection", "Document", "Judgement", "Part", "Query"]


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a source. A split may go by `group` or `time` (ISO 8601)."""

    doc_id: str
    text: str
    title: str = ""
    group: str | None = None
    time: str | None = None


@dataclass(frozen=True, slots=True)
class Query:
    """One query of a source; the flags are those of a suite's queries file."""

    query_id: str
    text: str
    slice: str | None = None
    cluster: str | None = None
    pinned: bool = False
    answerable: bool = True
    group: str | None = None
    time: str | None = None


Judgement = tuple[str, str, int]
"""(query id, document id, grade)."""


@dataclass(frozen=True)
class Part:
    """The queries of one split and their judgements; each call reads them anew.

    `role` is None where the split's name decides: train, dev and test become train, dev and held-out.
    """

    split: str
    queries: Callable[[], Iterable[Query]] = field(repr=False)
    judgements: Callable[[], Iterable[Judgement]] = field(repr=False)
    role: str | None = None


@dataclass(frozen=True)
class Collection:
    """Documents and judged queries before they are a suite; `origin` has kind, location, revision and license."""

    name: str
    documents: Callable[[], Iterable[Document]] = field(repr=False)
    parts: tuple[Part, ...]
    origin: Mapping[str, str] = field(default_factory=dict)


# --- for sources -----------------------------------------------------------------------------------

Record = TypeVar("Record", Document, Query)


def judgements_of(qrels: Mapping[str, Mapping[str, int]]) -> Iterator[Judgement]:
    """The judgements of a mapping query id → document id → grade, in its order."""
    return ((query_id, doc_id, grade) for query_id, grades in qrels.items() for doc_id, grade in grades.items())


def distinct(records: Iterable[tuple[str, Record]]) -> Iterator[Record]:
    """Documents or queries from (place, record) pairs, without later copies of one.

    Raises:
        SuiteError: a later record has an earlier one's id and another text; names its place.
    """
    seen: dict[str, bytes] = {}
    for place, record in records:
        if isinstance(record, Document):
            what, record_id, text = "document", record.doc_id, f"{record.title}\0{record.text}"
        else:
            what, record_id, text = "query", record.query_id, record.text
        digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        first = seen.setdefault(record_id, digest)
        if first is digest:
            yield record
        elif first != digest:
            raise SuiteError(
                f'{place}: {what} "{record_id}" has another text than in a row above; expected one text an id.'
            )
