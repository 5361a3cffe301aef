"""JSON lines: {"_id", "title", "text"} per document, {"_id", "text"} per query, tab-separated judgements."""

from __future__ import annotations

import contextlib
import gzip
import json
import re
import zipfile
import zlib
from collections.abc import Iterator
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import Any, cast

from pydantic import field_validator

from bench.config import Strict
from bench.errors import SuiteError
from bench.sources import Collection, Document, Judgement, Part, Query

__all__ = [
    "Fields",
    "Options",
    "Place",
    "as_document",
    "as_query",
    "collection",
    "judgements",
    "read_documents",
    "read_lines",
    "read_qrels",
    "read_queries",
]

Place = Path | zipfile.Path
"""A file on disk, or one inside a zip archive."""

LARGEST_GRADE = 2**31 - 1
"""A grade beyond this is a slip, such as an id in the wrong column."""


def read_lines(path: Place, *, encoding: str = "utf-8") -> Iterator[tuple[int, str]]:
    """(line number, line) of a text file, gzip told by content; blank lines are passed over.

    Raises:
        SuiteError: no such file, not of this encoding, or a gzip stream that ends early.
    """
    number = 0
    first = "utf-8-sig" if encoding == "utf-8" else encoding
    try:
        # Opened once: what a pipe has given to a first reader is lost to a second.
        with path.open("rb") as raw, contextlib.ExitStack() as stack:
            packed = cast(BufferedReader, raw).peek(2)[:2] == b"\x1f\x8b"
            stream = stack.enter_context(gzip.open(raw)) if packed else raw
            for number, data in enumerate(stream, 1):
                line = data.decode(first if number == 1 else encoding)
                if "\x00" in line:
                    raise SuiteError(f"{path}:{number}: a NUL byte; expected text. The file may be damaged.")
                if line.strip():
                    yield number, line
    except FileNotFoundError:
        raise SuiteError(f"{path} does not exist; expected a file there.") from None
    except IsADirectoryError:
        raise SuiteError(f"{path} is a folder; expected a file.") from None
    except UnicodeDecodeError as error:
        name = encoding.upper()
        raise SuiteError(f"{path}:{number}: not {name} ({error.reason}); save the file as {name}.") from error
    except zipfile.BadZipFile as error:
        raise SuiteError(f"{path}: the archive is damaged after line {number} ({error}); copy it again.") from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise SuiteError(f"{path}: the gzip stream ends early after line {number} ({error}); copy it again.") from error
    except OSError as error:
        raise SuiteError(f"{path} cannot be read: {error.strerror or error}.") from error


def _objects(path: Place, required: tuple[str, ...], *, any_id: bool = False) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in read_lines(path):
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise SuiteError(
                f"{path}:{number}: not JSON ({error.msg} at column {error.colno}); the line may be cut off."
            ) from None
        except ValueError as error:
            raise SuiteError(f"{path}:{number}: not JSON ({error}).") from None
        except RecursionError:
            raise SuiteError(f"{path}:{number}: nested too deeply; expected one flat object.") from None
        if not isinstance(row, dict):
            raise SuiteError(f'{path}:{number}: a {type(row).__name__}; expected an object with "_id" and "text".')
        for key in required:
            if key not in row:
                found = ", ".join(sorted(row)) or "nothing"
                raise SuiteError(f'{path}:{number}: no "{key}" (found: {found}); expected "_id" and "text".')
            if not isinstance(row[key], str):
                raise SuiteError(
                    f'{path}:{number}: "{key}" is {json.dumps(row[key])[:60]}; expected a string. '
                    "Put it in quotation marks."
                )
        if not row["_id"].strip() or (not any_id and any(c.isspace() for c in row["_id"])):
            raise SuiteError(
                f'{path}:{number}: "_id" is "{row["_id"][:60]}"; expected an id without white space '
                "(run and judgement files are separated by it)."
            )
        yield number, row


def _unique(path: Place, rows: Iterator[tuple[int, dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    seen: dict[str, int] = {}
    for number, row in rows:
        first = seen.setdefault(row["_id"], number)
        if first != number:
            raise SuiteError(f'{path}:{number}: id "{row["_id"]}" stands already in line {first}; ids must be unique.')
        yield row


def read_documents(path: Place, *, any_id: bool = False) -> Iterator[dict[str, Any]]:
    """Documents as {"_id", "title", "text", …}, in file order. `any_id`: ids may hold white space.

    Raises:
        SuiteError: with file and line, for anything that is not such a document.
    """
    for row in _unique(path, _objects(path, ("_id", "text"), any_id=any_id)):
        if not isinstance(row.setdefault("title", ""), str):
            raise SuiteError(f'{path}: document "{row["_id"]}" has a title that is not a string.')
        yield row


def read_queries(path: Place, *, any_id: bool = False) -> Iterator[dict[str, Any]]:
    """Queries as {"_id", "text"} with optional "slice", "cluster", "pinned", "answerable", in file order.

    "slice" is one name or a list of names. `any_id`: ids may hold white space.

    Raises:
        SuiteError: with file and line, for anything that is not such a query.
    """
    kinds: dict[str, type] = {"cluster": str, "pinned": bool, "answerable": bool}
    for row in _unique(path, _objects(path, ("_id", "text"), any_id=any_id)):
        for key, kind in kinds.items():
            if row.get(key) is not None and not isinstance(row[key], kind):
                raise SuiteError(
                    f'{path}: query "{row["_id"]}" has {key} = {json.dumps(row[key])[:60]}; expected a {kind.__name__}.'
                )
        names = row.get("slice")
        listed = names if isinstance(names, list) else [] if names is None else [names]
        if not all(isinstance(name, str) and (name or names == "") for name in listed):
            raise SuiteError(
                f'{path}: query "{row["_id"]}" has slice = {json.dumps(names)[:60]}; expected one name or a list.'
            )
        yield row


def read_qrels(path: Place, *, empty: bool = False) -> dict[str, dict[str, int]]:
    """Judgements: query id → document id → grade.

    Reads BEIR's three columns (query, document, grade; a header line told by its words, not by its place) and
    TREC's four (query, iteration, document, grade). `empty`: a file without any judgement is accepted.

    Raises:
        SuiteError: with file and line, for a line of another shape, a grade that is no whole number, or one
            pair judged twice with different grades.
    """
    qrels: dict[str, dict[str, int]] = {}
    for number, line in read_lines(path):
        fields = line.rstrip("\r\n").split("\t") if "\t" in line else line.split()
        if len(fields) == 3:
            query_id, doc_id, grade_text = fields
        elif len(fields) == 4:
            query_id, _, doc_id, grade_text = fields
        else:
            raise SuiteError(
                f"{path}:{number}: {len(fields)} fields; expected query, document, grade "
                "(or TREC's query, iteration, document, grade)."
            )
        try:
            grade = int(grade_text)
        except ValueError:
            # BEIR's own loader always drops the first line, header or not; we drop it only if it is one.
            if number == 1 and not any(c.isdigit() for c in grade_text):
                continue
            raise SuiteError(f'{path}:{number}: grade is "{grade_text[:40]}"; expected a whole number.') from None
        if abs(grade) > LARGEST_GRADE:
            raise SuiteError(
                f"{path}:{number}: grade is {grade_text[:40]}; expected at most {LARGEST_GRADE}. Is it an id?"
            )
        query_id, doc_id = query_id.strip(), doc_id.strip()
        if not query_id or not doc_id:
            raise SuiteError(f"{path}:{number}: an empty id; expected query, document, grade.")
        if qrels.setdefault(query_id, {}).setdefault(doc_id, grade) != grade:
            raise SuiteError(
                f'{path}:{number}: query "{query_id}", document "{doc_id}" is judged {grade} here and '
                f"{qrels[query_id][doc_id]} above; keep one line."
            )
    if not qrels and not empty:
        raise SuiteError(f"{path} holds no judgement; expected lines of query, document, grade.")
    return qrels


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
    """Judgements of a file, in its order by query."""
    for query_id, grades in read_qrels(path).items():
        for doc_id, grade in grades.items():
            yield query_id, doc_id, grade


def _field(row: dict[str, Any], name: str) -> str | None:
    if not name:
        return None
    metadata = row.get("metadata")
    value = row.get(name, metadata.get(name) if isinstance(metadata, dict) else None)
    return None if value in (None, "") else str(value)
