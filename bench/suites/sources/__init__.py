"""Sources, one file a format. A file's name is the kind's name in `bench import KIND`; listing them imports nothing.

A file that can be imported from has `Options` (a `Strict` model of what may be said about it) and
`collection(location, options)`, which returns a `Collection`: what is there, read when it is asked for and not before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

__all__ = ["Collection", "Document", "Judgement", "Part", "Query"]


@dataclass(frozen=True, slots=True)
class Document:
    """One document as its source has it. `group` and `time` (ISO 8601) are what splits may go by."""

    doc_id: str
    text: str
    title: str = ""
    group: str | None = None
    time: str | None = None


@dataclass(frozen=True, slots=True)
class Query:
    """One query as its source has it; the flags are those of a suite's queries file."""

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
    """The queries of one split with what people said about them; each call reads them anew.

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
