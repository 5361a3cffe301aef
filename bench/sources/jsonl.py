"""JSON lines: {"_id", "title", "text"} per document, {"_id", "text"} per query, tab-separated judgements."""

from __future__ import annotations

import gzip
import json
import os
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.errors import SuiteError, excerpt
from bench.records import Progress, no_progress

__all__ = ["read_documents", "read_lines", "read_qrels", "read_queries"]

BLOCK_LINES = 20_000
"""Lines between two words to a progress callback; a shorter file is read before anyone could read them."""


LARGEST_GRADE = 2**31 - 1
"""What an int32 holds; engines that read the same file may hold no more."""

_GRADE = re.compile(r"[+-]?[0-9]{1,20}")
# Words for a grade, and no digits; NaN and infinity are neither.
_HEADER = re.compile(r"(?!(nan|inf|infinity)$)[^\W\d_][^\d]*", re.IGNORECASE)
_HALF = re.compile("[\ud800-\udfff]")
_TYPES = {str: "a string", bool: "true or false"}


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
            start = raw.peek(4)[:4]
            if start == b"PK\x03\x04":
                raise SuiteError(f"{path} is a zip archive; expected a text file. Unpack it.")
            packed = start[:2] == b"\x1f\x8b"
            stream: Iterable[bytes] = gzip.GzipFile(fileobj=raw) if packed else raw
            for number, data in enumerate(stream, 1):
                if number % BLOCK_LINES == 0:
                    # A pipe has neither size nor place.
                    estimate = number * size // raw.tell() if size else 0
                    progress(f"read {path.name}", number, max(number + 1, estimate))
                line = data.decode("utf-8-sig" if number == 1 else "utf-8")
                if "\x00" in line:
                    raise SuiteError(f"{path}:{number}: a NUL byte; expected text. The file may be damaged.")
                if "\r" in line and "\r" in line.rstrip("\r\n"):
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
        raise SuiteError(f"{path}:{number}: not UTF-8 ({error.reason}); save the file as UTF-8.") from error
    except (EOFError, zlib.error) as error:
        raise SuiteError(f"{path}: the gzip stream ends early after line {number} ({error}); copy it again.") from error
    except gzip.BadGzipFile as error:
        raise SuiteError(f"{path}: the gzip stream is damaged after line {number} ({error}); copy it again.") from error
    except ValueError as error:  # a path that holds a NUL
        raise SuiteError(f'"{excerpt(str(path), 200)}" cannot be read: {error}.') from None
    except OSError as error:
        raise SuiteError(f"{path} cannot be read: {error.strerror or error}.") from error


def _objects(
    path: Path, optional: Mapping[str, type], progress: Progress = no_progress
) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number, object with the strings "_id" and "text"); `optional` keys have their type, or are null."""
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
        for key in ("_id", "text"):
            if key not in row:
                found = excerpt(", ".join(sorted(row))) or "nothing"
                raise SuiteError(f'{path}:{number}: no "{key}" (found: {found}); expected "_id" and "text".')
            if not isinstance(row[key], str):
                raise SuiteError(
                    f'{path}:{number}: "{key}" is {json.dumps(row[key])[:60]}; expected a string. '
                    "Put it in quotation marks."
                )
        if row["_id"].split() != [row["_id"]]:
            raise SuiteError(
                f'{path}:{number}: "_id" is "{excerpt(row["_id"])}"; expected an id without white space '
                "(run and judgement files are separated by it)."
            )
        for key, kind in optional.items():
            if row.get(key) is not None and not isinstance(row[key], kind):
                raise SuiteError(
                    f'{path}:{number}: "{key}" of "{excerpt(row["_id"])}" is {json.dumps(row[key])[:60]}; expected '
                    f"{_TYPES[kind]}."
                )
        # Only an escape can bring one in: UTF-8 has none. No tokenizer takes it, and no file can be written with it.
        if "\\ud" in line or "\\uD" in line:
            for key in ("_id", "text", *optional):
                if isinstance(row.get(key), str) and _HALF.search(row[key]):
                    raise SuiteError(
                        f'{path}:{number}: "{key}" holds half of a surrogate pair; expected whole characters. '
                        "The text may have been cut within one."
                    )
        yield number, row


def _unique(path: Path, rows: Iterator[tuple[int, dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    seen: dict[str, int] = {}
    for number, row in rows:
        first = seen.setdefault(row["_id"], number)
        if first != number:
            raise SuiteError(
                f'{path}:{number}: id "{excerpt(row["_id"])}" stands already in line {first}; ids must be unique.'
            )
        yield row


def read_documents(path: Path, *, progress: Progress = no_progress) -> Iterator[dict[str, Any]]:
    """Documents as {"_id", "title", "text", …}, in file order.

    Raises:
        SuiteError: with file and line, for anything that is not such a document.
    """
    for row in _unique(path, _objects(path, {"title": str}, progress)):
        row["title"] = row.get("title") or ""
        yield row


def read_queries(path: Path) -> Iterator[dict[str, Any]]:
    """Queries as {"_id", "text"} with optional "slice", "cluster", "pinned", "answerable", in file order.

    Raises:
        SuiteError: with file and line, for anything that is not such a query.
    """
    yield from _unique(path, _objects(path, {"slice": str, "cluster": str, "pinned": bool, "answerable": bool}))


def read_qrels(path: Path) -> dict[str, dict[str, int]]:
    """Judgements: query id → document id → grade.

    Reads BEIR's three columns (query, document, grade; a header line told by its words, not by its place) and
    TREC's four (query, iteration, document, grade).

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
        # Not `int`, which also reads "1_0" and the digits of other scripts.
        if not _GRADE.fullmatch(grade_text) or abs(grade := int(grade_text)) > LARGEST_GRADE:
            # BEIR's own loader always drops the first line, header or not; we drop it only if it is one.
            if number == 1 and _HEADER.fullmatch(grade_text):
                continue
            raise SuiteError(
                f'{path}:{number}: grade is "{excerpt(grade_text, 40)}"; expected a whole number'
                f"{' up to 2,147,483,647' if _GRADE.match(grade_text) else ''}."
            )
        for found in (query_id, doc_id):
            if not found:
                raise SuiteError(f"{path}:{number}: an empty id; expected query, document, grade.")
            if found.split() != [found]:
                raise SuiteError(
                    f'{path}:{number}: id "{excerpt(found)}" holds white space; expected fields separated by tabs or '
                    "by spaces throughout, and ids without either."
                )
        if qrels.setdefault(query_id, {}).setdefault(doc_id, grade) != grade:
            raise SuiteError(
                f'{path}:{number}: query "{excerpt(query_id)}", document "{excerpt(doc_id)}" is judged {grade} here '
                f"and {qrels[query_id][doc_id]} above; keep one line."
            )
    if not qrels:
        raise SuiteError(f"{path} holds no judgement.")
    return qrels
