"""Rows of JSON lines, CSV, TSV and Parquet files, each with the place where it stands: no kind of its own."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import json
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.base.errors import MissingExtra, SuiteError, did_you_mean, excerpt
from bench.base.files.lines import read_objects

TAB = "\t"
DELIMITERS = {",": "commas", TAB: "tabs", ";": "semicolons", "|": "vertical bars"}
"""What tables are separated by, in words."""

LONGEST_HEADER = 100_000

SUFFIXES = (".jsonl", ".ndjson", ".csv", ".tsv", ".parquet")
"""What a file of rows may be called, `.gz` after any but the last."""


def read_rows(path: Path, *, part: str, extra: str = "parquet") -> Iterator[tuple[str, dict[str, Any]]]:
    """(place, row) of a file of rows, its format recognised by its name; a place is `path:line`, or `path, row n`.

    Args:
        path: the file.
        part: who asks, for the sentence that names a missing library.
        extra: the extra that brings pyarrow.

    Raises:
        SuiteError: a file that cannot be read or is no such file; names the line where there is one.
        MissingExtra: a Parquet file without pyarrow.
    """
    suffix = (path.with_suffix("") if path.suffix == ".gz" else path).suffix.lower()
    if suffix == ".parquet":
        yield from parquet(path, part, extra)
    elif suffix in (".csv", ".tsv"):
        yield from separated(path, "\t" if suffix == ".tsv" else ",")
    elif suffix in (".jsonl", ".ndjson", ".json"):
        yield from ((f"{path}:{number}", row) for number, _, row in read_objects(path))
    else:
        raise SuiteError(f'{path}: a file of rows may be called {", ".join(SUFFIXES)}; found "{path.suffix}".')


def read_json(path: Path) -> Any:
    """The one JSON document of a UTF-8 file, gzip recognised by content.

    Raises:
        SuiteError: no file, no JSON, or a key that stands twice in one object.
    """
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode("utf-8-sig")
        return json.loads(text, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        raise SuiteError(f"{path}:{error.lineno}: not JSON ({error.msg} at column {error.colno}).") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise SuiteError(f"{path}:{line}: not UTF-8 ({error.reason}); save the file as UTF-8.") from None
    except _Twice as error:
        raise SuiteError(f'{path}: key "{error}" stands twice in one object; ids must be unique.') from None
    except RecursionError:
        raise SuiteError(f"{path}: nested too deeply.") from None
    except ValueError as error:
        raise SuiteError(f"{path}: not JSON ({error}).") from None
    except FileNotFoundError:
        raise SuiteError(f"{path} does not exist; expected a file there.") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise SuiteError(f"{path}: the gzip stream ends early ({error}); copy it again.") from None
    except OSError as error:
        raise SuiteError(f"{path} cannot be read: {error.strerror or error}.") from None


class _Twice(Exception):
    """A key that an object has twice."""


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        keys = [key for key, _ in pairs]
        raise _Twice(next(key for key in keys if keys.count(key) > 1))
    return values


def separated(path: Path, delimiter: str, *, option: str = "") -> Iterator[tuple[str, dict[str, str]]]:
    """(path:line, row) of a table with a header, gzip recognised by content.

    Args:
        path: the file.
        delimiter: between fields.
        option: how the caller would be told of another, such as "--set delimiter="; "" where only the name decides.

    Raises:
        SuiteError: with file and line: not UTF-8, a row of another length than the header, a column named twice, a
            single column where another delimiter would make several.
    """
    # The library's limit of 131,072 characters is shorter than documents are.
    csv.field_size_limit(sys.maxsize)
    line = 0
    try:
        with _text(path) as stream:
            reader = csv.reader(stream, delimiter=delimiter, strict=True)
            header: list[str] | None = None
            for fields in reader:
                line = reader.line_num
                if not fields or fields == [""]:
                    continue
                if header is None:
                    header = [name.strip() for name in fields]
                    twice = [name for name in header if header.count(name) > 1]
                    if twice:
                        raise SuiteError(f'{path}:{line}: column "{twice[0]}" stands twice; names must be unique.')
                    if len(header) == 1 and (hint := _delimiter_hint(path, delimiter, option)):
                        raise SuiteError(f'{path}:{line}: one column, "{excerpt(header[0])}"; expected several.{hint}')
                    continue
                if len(fields) != len(header):
                    raise SuiteError(
                        f"{path}:{line}: {len(fields)} fields; expected {len(header)}: {', '.join(header)[:80]}."
                        f"{_delimiter_hint(path, delimiter, option)}"
                    )
                yield f"{path}:{line}", dict(zip(header, fields, strict=True))
    except csv.Error as error:
        hint = _delimiter_hint(path, delimiter, option)
        raise SuiteError(f"{path}:{line + 1}: not such a table ({error}).{hint}") from None
    except UnicodeDecodeError as error:
        raise SuiteError(f"{path}: after line {line}: not UTF-8 ({error.reason}); save the file as UTF-8.") from None
    except FileNotFoundError:
        raise SuiteError(f"{path} does not exist; expected a file there.") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise SuiteError(f"{path}: the gzip stream ends early after line {line} ({error}); copy it again.") from None
    except OSError as error:
        raise SuiteError(f"{path} cannot be read: {error.strerror or error}.") from None


@contextlib.contextmanager
def _text(path: Path) -> Iterator[io.TextIOWrapper]:
    with path.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
    with (
        gzip.open(path, "rb") if packed else path.open("rb") as data,
        # Line ends are left to csv: a quoted field may hold them.
        io.TextIOWrapper(data, encoding="utf-8-sig", newline="") as stream,
    ):
        yield stream


def _delimiter_hint(path: Path, delimiter: str, option: str) -> str:
    """' Its first line looks separated by …' where it holds another delimiter more often; else an empty text."""
    with _text(path) as stream:
        first = next((line for line in iter(lambda: stream.readline(LONGEST_HEADER), "") if line.strip()), "")
    likely = max(DELIMITERS, key=first.count)
    if first.count(likely) <= first.count(delimiter):
        return ""
    what = f" Its first line looks separated by {DELIMITERS[likely]}"
    if option:
        return f"{what}: {option}{'tab' if likely == TAB else repr(likely)}"
    return f"{what}" + (
        ": name it .tsv." if likely == TAB else ": name it .csv." if likely == "," else ": save it as CSV."
    )


def parquet(path: Path, part: str, extra: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(path, row n; row) of a Parquet file, a batch in memory at a time; see `read_rows`."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingExtra(part, "pyarrow", extra) from None
    if not path.is_file():
        raise SuiteError(f"{path} does not exist; expected a file there.")
    number = 0
    try:
        with pyarrow.parquet.ParquetFile(path) as table:
            for batch in table.iter_batches(batch_size=1024):
                for row in batch.to_pylist():
                    number += 1
                    yield f"{path}, row {number}", row
    # A text that is not UTF-8 and a date that no calendar has are found only when they become values.
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as error:
        cause = str(error).splitlines()[0]
        raise SuiteError(f"{path}: after row {number}: not a Parquet file that can be read ({cause}).") from None


# --- one value of a row ------------------------------------------------------------------------------


def field_of(place: str, row: Mapping[str, Any], *names: str) -> Any:
    """The value of the first of `names` that the row has.

    Raises:
        SuiteError: it has none of them.
    """
    for name in names:
        if name in row:
            return row[name]
    columns = ", ".join(map(str, row)) or "nothing"
    raise SuiteError(f'{place}: no "{names[0]}" (found: {columns[:120]}).{did_you_mean(names[0], map(str, row))}')


def text_of(place: str, row: Mapping[str, Any], *names: str) -> str:
    """A text among the row's values.

    Raises:
        SuiteError: absent, or not a text.
    """
    value = field_of(place, row, *names)
    if not isinstance(value, str):
        raise SuiteError(f'{place}: "{names[0]}" is {_shown(value)}; expected a text.')
    return value


def id_of(place: str, row: Mapping[str, Any], *names: str) -> str:
    """An id among the row's values; a whole number, as tables have them, is written out.

    Raises:
        SuiteError: absent, empty, or neither a text nor a whole number.
    """
    value = field_of(place, row, *names)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value.strip():
        raise SuiteError(f'{place}: "{names[0]}" is {_shown(value)}; expected an id.')
    return value


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)[:60]
