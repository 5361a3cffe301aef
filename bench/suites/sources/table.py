"""Tables of judgements, CSV, TSV or Parquet: a row is a query, a document and perhaps a grade; columns are named."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import field_validator

from bench.base.errors import SuiteError, did_you_mean
from bench.base.files.rows import TAB, parquet, separated
from bench.config import Strict
from bench.suites.sources import Collection, Document, Judgement, Part, Query, jsonl


class Options(Strict):
    """Names of columns; one that bears an option's own name is taken without being named.

    Without id columns, ids are digests of the texts, so that equal texts are one.
    """

    query: str = "query"
    query_id: str = ""
    document: str = "document"
    document_id: str = ""
    title: str = ""
    grade: str = ""
    split: str = ""
    slice: str = ""
    cluster: str = ""
    group: str = ""
    time: str = ""
    corpus: str = ""
    delimiter: str = ""

    @field_validator("delimiter")
    @classmethod
    def _one_character(cls, text: str) -> str:
        # A tab is hard to type, and harder to see.
        text = TAB if text in ("tab", "\\t") else text
        if len(text) > 1 or text in ('"', "\r", "\n"):
            raise ValueError('expected one character, such as ";", or tab')
        return text


Row = Mapping[str, str]


def read_rows(path: Path, *, delimiter: str = "") -> Iterator[tuple[str, Row]]:
    """(where it stands, values by column) of each row, as text; an absent value is an empty text.

    Raises:
        SuiteError: with file and line: not UTF-8, a row of another length than the header, a column named twice.
        MissingExtra: Parquet, and pyarrow is not installed.
    """
    try:
        with path.open("rb") as raw:
            magic = raw.read(4)
    except OSError as error:
        raise SuiteError(f"{path} cannot be read: {error.strerror or error}.") from None
    if magic == b"PAR1":
        if delimiter:
            raise SuiteError(f"{path} is Parquet, whose columns no delimiter separates; leave delimiter out.")
        for where, row in parquet(path, "Reading Parquet", "parquet"):
            yield where, {name: _text(value) for name, value in row.items()}
        return
    by_name = TAB if {".tsv", ".tab"} & set(path.suffixes) else ","
    yield from separated(path, delimiter or by_name, option="--set delimiter=")


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def collection(location: str, options: Options) -> Collection:
    """Documents, queries and judgements of one table; with `corpus`, documents of a file of their own.

    That file holds JSON lines, or is a table with the document's columns. Without `grade`, every row is relevant.

    Raises:
        SuiteError: no such column; names the nearest.
    """
    path = Path(location)
    options = _found(path, options)
    rows = partial(_rows, path, options)
    apart = path.parent / options.corpus if options.corpus else None
    if apart is not None and not options.document_id:
        raise SuiteError(
            f"{path}: corpus is {options.corpus}, but no column says which document: --set document_id=COLUMN."
        )
    if apart is not None and {".jsonl", ".json"} & set(apart.suffixes):
        for key in ("document", "title"):
            if key in options.model_fields_set:
                raise SuiteError(
                    f'{path}: {key} names a column, and {options.corpus} is JSON lines, which hold "_id", "title" and '
                    f'"text"; leave {key} out.'
                )
    names = list(dict.fromkeys(row[options.split] for _, row in rows())) if options.split else ["test"]
    parts = tuple(
        Part(name or "test", partial(_queries, rows, name, options), partial(_judgements, rows, name, options))
        for name in names
    )
    documents = partial(_documents, rows, options) if apart is None else partial(_documents_apart, apart, options)
    return Collection(path.name.split(".")[0], documents, parts, {"kind": "table", "location": location})


def _rows(path: Path, options: Options) -> Iterator[tuple[str, Row]]:
    needed = {key: getattr(options, key) for key in ("query_id", "title", "grade", "split", "slice", "cluster")}
    needed["query"] = options.query
    if not options.corpus:
        needed |= {key: getattr(options, key) for key in ("document", "document_id", "group", "time")}
    else:
        needed["document_id"], needed["title"] = options.document_id, ""
    checked = False
    for where, row in read_rows(path, delimiter=options.delimiter):
        if not checked:
            _columns(path, row, needed)
            checked = True
        yield where, row
    if not checked:
        raise SuiteError(f"{path} holds no row; expected a header and judgements.")


def _columns(path: Path, row: Row, needed: Mapping[str, str]) -> None:
    for key, name in needed.items():
        if name and name not in row:
            raise SuiteError(
                f'{path} has no column "{name}"; it has {", ".join(row)}. Name the right one: --set {key}=COLUMN.'
                f"{did_you_mean(name, row)}"
            )


def _digest(*texts: str) -> str:
    return hashlib.blake2b("\x1f".join(texts).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def _found(path: Path, options: Options) -> Options:
    """The options with every column that bears an option's own name and was given no other."""
    _, first = next(read_rows(path, delimiter=options.delimiter), ("", {}))
    keys = ["query_id", "document_id", "grade", "split", "slice", "cluster"]
    # With documents apart, what they hold is for their own file to say.
    keys += [] if options.corpus else ["title", "group", "time"]
    return options.model_copy(update={key: key for key in keys if not getattr(options, key) and key in first})


def _query_id(row: Row, options: Options) -> str:
    return row[options.query_id] if options.query_id else f"q{_digest(row[options.query])}"


def _doc_id(row: Row, options: Options) -> str:
    if options.document_id:
        return row[options.document_id]
    return f"d{_digest(row[options.title] if options.title else '', row[options.document])}"


def _queries(rows: Callable[[], Iterator[tuple[str, Row]]], split: str, options: Options) -> Iterator[Query]:
    seen: dict[str, str] = {}
    for where, row in rows():
        if options.split and row[options.split] != split:
            continue
        query_id, text = _query_id(row, options), row[options.query]
        known = query_id in seen
        _same(where, "query", query_id, _digest(text), seen)
        if not known:
            yield Query(
                query_id,
                text,
                slice=row[options.slice] or None if options.slice else None,
                cluster=row[options.cluster] or None if options.cluster else None,
                group=row.get(options.group) or None,
                time=row.get(options.time) or None,
            )


def _documents(rows: Callable[[], Iterator[tuple[str, Row]]], options: Options) -> Iterator[Document]:
    seen: dict[str, str] = {}
    for where, row in rows():
        document = _document(row, options)
        known = document.doc_id in seen
        _same(where, "document", document.doc_id, _digest(document.title, document.text), seen)
        if not known:
            yield document


def _documents_apart(path: Path, options: Options) -> Iterator[Document]:
    if {".jsonl", ".json"} & set(path.suffixes):
        for row in jsonl.read_documents(path, any_id=True):
            yield jsonl.as_document(row, jsonl.Fields(group=options.group, time=options.time))
        return
    needed = {key: getattr(options, key) for key in ("document", "document_id", "title", "group", "time")}
    checked = False
    for _, values in read_rows(path, delimiter=options.delimiter):
        if not checked:
            _columns(path, values, needed)
            checked = True
        yield _document(values, options)


def _document(row: Row, options: Options) -> Document:
    return Document(
        _doc_id(row, options),
        row[options.document],
        row[options.title] if options.title else "",
        group=row.get(options.group) or None,
        time=row.get(options.time) or None,
    )


def _same(where: str, what: str, identifier: str, digest: str, seen: dict[str, str]) -> None:
    if seen.setdefault(identifier, digest) != digest:
        raise SuiteError(
            f'{where}: {what} "{identifier}" has another text than in a row above; expected one text an id.'
        )


def _judgements(rows: Callable[[], Iterator[tuple[str, Row]]], split: str, options: Options) -> Iterator[Judgement]:
    for where, row in rows():
        if options.split and row[options.split] != split:
            continue
        grade = 1
        if options.grade:
            try:
                number = float(row[options.grade])
                grade = int(number)
            except (ValueError, OverflowError):
                number = float("nan")
            if grade != number:
                raise SuiteError(
                    f'{where}: {options.grade} is "{row[options.grade][:40]}"; expected a whole number as the grade.'
                )
        yield _query_id(row, options), _doc_id(row, options), grade
