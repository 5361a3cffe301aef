"""Text files line by line, gzip recognised by content, and JSON lines; every error names file and line."""

from __future__ import annotations

import gzip
import json
import os
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any, cast

from bench.base.errors import SuiteError, excerpt
from bench.base.progress import Progress, no_progress

Place = Path | zipfile.Path
"""A file on disk, or one inside a zip archive."""


BLOCK_LINES = 20_000
"""Lines between two words to a progress callback; a shorter file is read before anyone could read them."""


def read_lines(
    path: Place, *, encoding: str = "utf-8", prose: bool = False, progress: Progress = no_progress
) -> Iterator[tuple[int, str]]:
    """(line number, line) of a text file, gzip recognised by content; blank lines are passed over.

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
