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
from bench.suites.sources import Collection, Document, Judgement, Part, Query, distinct, jsonl


class Options(Strict):
    """Names of columns; a column with an option's own name need not be named.

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


def collection(location: str, options: Options) -> Collection:
    """Documents, queries and judgements of one table; with `corpus`, the documents of another file.

    That file has JSON lines, or is a table with the document's columns. Without `grade`, every row is relevant.

    Raises:
        SuiteError: no such column; names the nearest.
    """
    path = Path(location)
    _, first = next(read_rows(path, options), ("", {}))
    columns = ["query_id", "document_id", "grade", "split", "slice", "cluster"]
    # Columns of documents in another file are that file's.
    columns += [] if options.corpus else ["title", "group", "time"]
    default = {key: key for key in columns if not getattr(options, key) and key in first}
    options = options.model_copy(update=default)
    corpus = path.parent / options.corpus
    if options.corpus and not options.document_id:
        raise SuiteError(
            f"{path}: corpus is {options.corpus}, but no column says which document: --set document_id=COLUMN."
        )
    json_lines = bool(options.corpus and {".jsonl", ".json"} & set(corpus.suffixes))
    for key in ("document", "title") if json_lines else ():
        if key in options.model_fields_set:
            raise SuiteError(
                f'{path}: {key} names a column, and {options.corpus} is JSON lines, which hold "_id", "title" and '
                f'"text"; leave {key} out.'
            )
    keys = ["query", "query_id", "grade", "split", "slice", "cluster", "document_id"]
    keys += [] if options.corpus else ["document", "title", "group", "time"]
    table = _Table(path, options, tuple(keys))
    documents: Callable[[], Iterator[Document]] = table.documents
    if json_lines:
        documents = partial(jsonl.documents, corpus, jsonl.Fields(group=options.group, time=options.time))
    elif options.corpus:
        keys = ["document", "document_id", "title", "group", "time"]
        documents = partial(_Table(corpus, options, tuple(keys), empty=True).documents, repeated=False)
    names = list(dict.fromkeys(row[options.split] for _, row in table.rows())) if options.split else ["test"]
    parts = [Part(name or "test", partial(table.queries, name), partial(table.judgements, name)) for name in names]
    return Collection(path.name.split(".")[0], documents, tuple(parts), {"kind": "table", "location": location})


def read_rows(path: Path, options: Options) -> Iterator[tuple[str, Row]]:
    """(place, values by column) of each row, as text; a missing value is an empty text.

    Raises:
        SuiteError: with file and line: not UTF-8, a row of another length than the header, a column named twice.
        MissingExtra: Parquet, and pyarrow is not installed.
    """
    try:
        with path.open("rb") as raw:
            magic = raw.read(4)
    except OSError as error:
        raise SuiteError(f"{path} cannot be read: {error.strerror or error}.") from None
    if magic != b"PAR1":
        by_name = TAB if {".tsv", ".tab"} & set(path.suffixes) else ","
        yield from separated(path, options.delimiter or by_name, option="--set delimiter=")
        return
    if options.delimiter:
        raise SuiteError(f"{path} is Parquet, whose columns no delimiter separates; leave delimiter out.")
    for place, row in parquet(path, "Reading Parquet", "parquet"):
        yield place, {name: _text(value) for name, value in row.items()}


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _digest(*texts: str) -> str:
    return hashlib.blake2b("\x1f".join(texts).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


class _Table:
    """A table whose columns `keys` of the options must exist; `empty` accepts one without rows."""

    def __init__(self, path: Path, options: Options, keys: tuple[str, ...], *, empty: bool = False) -> None:
        self.path, self.options, self.empty = path, options, empty
        self.columns = {key: name for key in keys if (name := getattr(options, key))}

    def rows(self, split: str | None = None) -> Iterator[tuple[str, Row]]:
        """(place, row) of the table, or of one split."""
        first = True
        for place, row in read_rows(self.path, self.options):
            for key, name in self.columns.items() if first else ():
                if name not in row:
                    raise SuiteError(
                        f'{self.path} has no column "{name}"; it has {", ".join(row)}. Name the right one: '
                        f"--set {key}=COLUMN.{did_you_mean(name, row)}"
                    )
            first = False
            if split is None or not self.options.split or row[self.options.split] == split:
                yield place, row
        if first and not self.empty:
            raise SuiteError(f"{self.path} holds no row; expected a header and judgements.")

    def value(self, row: Row, key: str) -> str:
        """The row's value of an option's column; empty without such a column."""
        name = getattr(self.options, key)
        return row.get(name, "") if name else ""

    def optional(self, row: Row, *keys: str) -> dict[str, Any]:
        """Values of options' columns by option; None for an empty one."""
        return {key: self.value(row, key) or None for key in keys}

    def query_id(self, row: Row) -> str:
        """The query's id, or a digest of its text."""
        return row[self.options.query_id] if self.options.query_id else f"q{_digest(row[self.options.query])}"

    def doc_id(self, row: Row) -> str:
        """The document's id, or a digest of its title and text."""
        if self.options.document_id:
            return row[self.options.document_id]
        return f"d{_digest(self.value(row, 'title'), row[self.options.document])}"

    def documents(self, *, repeated: bool = True) -> Iterator[Document]:
        """The documents, each once; with `repeated` false, one per row."""

        def document(row: Row) -> Document:
            text, title = row[self.options.document], self.value(row, "title")
            return Document(self.doc_id(row), text, title, **self.optional(row, "group", "time"))

        if not repeated:
            return (document(row) for _, row in self.rows())
        return distinct((place, document(row)) for place, row in self.rows())

    def queries(self, split: str) -> Iterator[Query]:
        """The queries of a split, each once."""

        def query(row: Row) -> Query:
            flags = self.optional(row, "slice", "cluster", "group", "time")
            return Query(self.query_id(row), row[self.options.query], **flags)

        return distinct((place, query(row)) for place, row in self.rows(split))

    def judgements(self, split: str) -> Iterator[Judgement]:
        """The judgements of a split, one per row."""
        for place, row in self.rows(split):
            text = self.value(row, "grade") if self.options.grade else "1"
            try:
                number = float(text)
                grade = int(number)
            except (ValueError, OverflowError):
                number, grade = float("nan"), 0
            if grade != number:
                name = self.options.grade
                raise SuiteError(f'{place}: {name} is "{text[:40]}"; expected a whole number as the grade.')
            yield self.query_id(row), self.doc_id(row), grade
