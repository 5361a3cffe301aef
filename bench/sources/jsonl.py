"""JSON lines: {"_id", "title", "text"} per document, {"_id", "text"} per query, tab-separated judgements."""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from bench.errors import SuiteError
from bench.records import Progress, no_progress

__all__ = ["read_documents", "read_lines", "read_qrels", "read_queries"]

BLOCK_LINES = 20_000
"""Lines between two words to a progress callback; a shorter file is read before anyone could read them."""


def read_lines(path: Path, *, progress: Progress = no_progress) -> Iterator[tuple[int, str]]:
    """(line number, line) of a UTF-8 text file, gzip told by content; blank lines are passed over.

    `progress` is told of lines; their total is estimated from the bytes read so far, and exact at the end.

    Raises:
        SuiteError: no such file, not UTF-8, or a gzip stream that ends early.
    """
    number = 0
    try:
        with path.open("rb") as raw:
            size = os.fstat(raw.fileno()).st_size
            packed = raw.peek(2)[:2] == b"\x1f\x8b"
            stream: Iterable[bytes] = gzip.GzipFile(fileobj=raw) if packed else raw
            for number, data in enumerate(stream, 1):
                if number % BLOCK_LINES == 0:
                    # A pipe has neither size nor place.
                    estimate = number * size // raw.tell() if size else 0
                    progress(f"read {path.name}", number, max(number + 1, estimate))
                line = data.decode("utf-8-sig" if number == 1 else "utf-8")
                if "\x00" in line:
                    raise SuiteError(f"{path}:{number}: a NUL byte; expected text. The file may be damaged.")
                if line.strip():
                    yield number, line
        if number >= BLOCK_LINES:
            progress(f"read {path.name}", number, number)
    except FileNotFoundError:
        raise SuiteError(f"{path} does not exist; expected a file there.") from None
    except IsADirectoryError:
        raise SuiteError(f"{path} is a folder; expected a file.") from None
    except UnicodeDecodeError as error:
        raise SuiteError(f"{path}:{number}: not UTF-8 ({error.reason}); save the file as UTF-8.") from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise SuiteError(f"{path}: the gzip stream ends early after line {number} ({error}); copy it again.") from error
    except OSError as error:
        raise SuiteError(f"{path} cannot be read: {error.strerror or error}.") from error


def _objects(
    path: Path, required: tuple[str, ...], progress: Progress = no_progress
) -> Iterator[tuple[int, dict[str, Any]]]:
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
        if row["_id"].split() != [row["_id"]]:
            raise SuiteError(
                f'{path}:{number}: "_id" is "{row["_id"][:60]}"; expected an id without white space '
                "(run and judgement files are separated by it)."
            )
        yield number, row


def _unique(path: Path, rows: Iterator[tuple[int, dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    seen: dict[str, int] = {}
    for number, row in rows:
        first = seen.setdefault(row["_id"], number)
        if first != number:
            raise SuiteError(f'{path}:{number}: id "{row["_id"]}" stands already in line {first}; ids must be unique.')
        yield row


def read_documents(path: Path, *, progress: Progress = no_progress) -> Iterator[dict[str, Any]]:
    """Documents as {"_id", "title", "text", …}, in file order.

    Raises:
        SuiteError: with file and line, for anything that is not such a document.
    """
    for row in _unique(path, _objects(path, ("_id", "text"), progress)):
        if not isinstance(row.setdefault("title", ""), str):
            raise SuiteError(f'{path}: document "{row["_id"]}" has a title that is not a string.')
        yield row


def read_queries(path: Path) -> Iterator[dict[str, Any]]:
    """Queries as {"_id", "text"} with optional "slice", "cluster", "pinned", "answerable", in file order.

    Raises:
        SuiteError: with file and line, for anything that is not such a query.
    """
    kinds: dict[str, type] = {"slice": str, "cluster": str, "pinned": bool, "answerable": bool}
    for row in _unique(path, _objects(path, ("_id", "text"))):
        for key, kind in kinds.items():
            if row.get(key) is not None and not isinstance(row[key], kind):
                raise SuiteError(
                    f'{path}: query "{row["_id"]}" has {key} = {json.dumps(row[key])[:60]}; expected a {kind.__name__}.'
                )
        yield row


def read_qrels(path: Path) -> dict[str, dict[str, int]]:
    """Judgements: query id → document id → grade.

    Reads BEIR's three columns (query, document, grade; a header line told by its words, not by its place) and
    TREC's four (query, iteration, document, grade).

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
        query_id, doc_id = query_id.strip(), doc_id.strip()
        if not query_id or not doc_id:
            raise SuiteError(f"{path}:{number}: an empty id; expected query, document, grade.")
        if qrels.setdefault(query_id, {}).setdefault(doc_id, grade) != grade:
            raise SuiteError(
                f'{path}:{number}: query "{query_id}", document "{doc_id}" is judged {grade} here and '
                f"{qrels[query_id][doc_id]} above; keep one line."
            )
    if not qrels:
        raise SuiteError(f"{path} holds no judgement.")
    return qrels
