"""JSON lines: {"_id", "title", "text"} per document, {"_id", "text"} per query, tab-separated judgements."""

from __future__ import annotations

import gzip
import json
import os
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import Any, cast

from pydantic import field_validator

from bench.config import Strict
from bench.errors import SuiteError, excerpt
from bench.records import Progress, no_progress
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
    "read_objects",
    "read_qrels",
    "read_queries",
]

Place = Path | zipfile.Path
"""A file on disk, or one inside a zip archive."""

LARGEST_GRADE = 2**31 - 1
"""What an int32 holds; engines that read the same file may hold no more, and beyond it is a slip, such as an id."""

BLOCK_LINES = 20_000
"""Lines between two words to a progress callback; a shorter file is read before anyone could read them."""

_GRADE = re.compile(r"[+-]?[0-9]+")
# Words for a grade, and no digits; NaN and infinity are neither.
_HEADER = re.compile(r"(?!(nan|inf|infinity)$)[^\W\d_][^\d]*", re.IGNORECASE)
_HALF = re.compile("[\ud800-\udfff]")


def _is_names(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(v, str) and v for v in value))


_KINDS: dict[str, Callable[[Any], bool]] = {
    "a string": lambda value: isinstance(value, str),
    "true or false": lambda value: isinstance(value, bool),
    "one name or a list of names": _is_names,
}
"""What the value of an optional key may be, in words, and how that is told."""


def read_lines(
    path: Place, *, encoding: str = "utf-8", prose: bool = False, progress: Progress = no_progress
) -> Iterator[tuple[int, str]]:
    """(line number, line) of a text file, gzip told by content; blank lines are passed over.

    `prose`: lines may hold carriage returns, as text may where no line is a record. `progress` is told of lines; their
    total is estimated from the bytes read so far, and exact at the end.

    Raises:
        SuiteError: no such file, not of this encoding, or a gzip stream that ends early.
    """
    number = 0
    first = "utf-8-sig" if encoding == "utf-8" else encoding
    try:
        # Opened once: what a pipe has given to a first reader is lost to a second.
        with path.open("rb") as opened:
            raw = cast(BufferedReader, opened)
            # A member of an archive has no file of its own.
            size = os.fstat(raw.fileno()).st_size if isinstance(path, Path) else 0
            start = raw.peek(4)[:4]
            if start == b"PK\x03\x04":
                raise SuiteError(f"{path} is a zip archive; expected a text file. Unpack it.")
            stream: Iterable[bytes] = gzip.GzipFile(fileobj=raw) if start[:2] == b"\x1f\x8b" else raw
            for number, data in enumerate(stream, 1):
                if number % BLOCK_LINES == 0:
                    # A pipe has neither size nor place.
                    estimate = number * size // raw.tell() if size else 0
                    progress(f"read {path.name}", number, max(number + 1, estimate))
                line = data.decode(first if number == 1 else encoding)
                if "\x00" in line:
                    raise SuiteError(f"{path}:{number}: a NUL byte; expected text. The file may be damaged.")
                if not prose and "\r" in line and "\r" in line.rstrip("\r\n"):
                    raise SuiteError(
                        f"{path}:{number}: a carriage return within the line; expected lines that end with LF or CRLF. "
                        "Save the file with such line ends."
                    )
                if line.strip():
                    yield number, line
        if number >= BLOCK_LINES:
            progress(f"read {path.name}", number, number)
    except FileNotFoundError:
        raise SuiteError(f"{path} does not exist; expected a file there.") from None
    except IsADirectoryError:
        raise SuiteError(f"{path} is a folder; expected a file.") from None
    except UnicodeDecodeError as error:
        name = encoding.upper()
        raise SuiteError(f"{path}:{number}: not {name} ({error.reason}); save the file as {name}.") from error
    except zipfile.BadZipFile as error:
        raise SuiteError(f"{path}: the archive is damaged after line {number} ({error}); copy it again.") from error
    except (EOFError, zlib.error) as error:
        raise SuiteError(f"{path}: the gzip stream ends early after line {number} ({error}); copy it again.") from error
    except gzip.BadGzipFile as error:
        raise SuiteError(f"{path}: the gzip stream is damaged after line {number} ({error}); copy it again.") from error
    except ValueError as error:  # a path that holds a NUL
        raise SuiteError(f'"{excerpt(str(path), 200)}" cannot be read: {error}.') from None
    except OSError as error:
        raise SuiteError(f"{path} cannot be read: {error.strerror or error}.") from error


def read_objects(
    path: Place, *, shape: str = "such as {…}", progress: Progress = no_progress
) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """(line number, line, object) of JSON lines; `shape` says in an error what an object should be like.

    Raises:
        SuiteError: with file and line: not JSON, or no object.
    """
    for number, line in read_lines(path, progress=progress):
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
            raise SuiteError(f"{path}:{number}: a {type(row).__name__}; expected an object {shape}.")
        yield number, line, row


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


def read_qrels(path: Place, *, empty: bool = False, any_id: bool = False) -> dict[str, dict[str, int]]:
    """Judgements: query id → document id → grade.

    Reads BEIR's three columns (query, document, grade; a header line told by its words, not by its place) and
    TREC's four (query, iteration, document, grade). `empty`: a file without any judgement is accepted. `any_id`: ids
    may hold white space where tabs separate the fields.

    Raises:
        SuiteError: with file and line, for a line of another shape, an id that is empty or holds white space, a grade
            that is no whole number, or one pair judged twice with different grades.
    """
    qrels: dict[str, dict[str, int]] = {}
    for number, line in read_lines(path):
        fields = [f.strip() for f in line.rstrip("\r\n").split("\t")] if "\t" in line else line.split()
        if len(fields) == 3:
            query_id, doc_id, grade_text = fields
        elif len(fields) == 4:
            query_id, _, doc_id, grade_text = fields
        else:
            raise SuiteError(
                f"{path}:{number}: {len(fields)} fields; expected query, document, grade "
                "(or TREC's query, iteration, document, grade)."
            )
        # Not `int` alone, which also reads "1_0" and the digits of other scripts, and no number of 5,000 digits.
        if not _GRADE.fullmatch(grade_text):
            # BEIR's own loader always drops the first line, header or not; we drop it only if it is one.
            if number == 1 and _HEADER.fullmatch(grade_text):
                continue
            raise SuiteError(f'{path}:{number}: grade is "{excerpt(grade_text, 40)}"; expected a whole number.')
        if len(grade_text) > 20 or abs(grade := int(grade_text)) > LARGEST_GRADE:
            raise SuiteError(
                f"{path}:{number}: grade is {excerpt(grade_text, 40)}; expected at most {LARGEST_GRADE}. Is it an id?"
            )
        for found in (query_id, doc_id):
            if not found:
                raise SuiteError(f"{path}:{number}: an empty id; expected query, document, grade.")
            if not any_id and found.split() != [found]:
                raise SuiteError(
                    f'{path}:{number}: id "{excerpt(found)}" holds white space; expected fields separated by tabs or '
                    "by spaces throughout, and ids without either."
                )
        if qrels.setdefault(query_id, {}).setdefault(doc_id, grade) != grade:
            raise SuiteError(
                f'{path}:{number}: query "{excerpt(query_id)}", document "{excerpt(doc_id)}" is judged {grade} here '
                f"and {qrels[query_id][doc_id]} above; keep one line."
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
