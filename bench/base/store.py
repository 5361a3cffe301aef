"""Content-addressed folders under `.bench/`: atomic writes, locks, format numbers, pruning.

A name is the digest of what made the content, so nothing is ever stale: a changed input has another name.
Every write goes to a temporary file beside its target and is renamed, so that a kill leaves nothing half-written.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, NoReturn

import numpy as np
from numpy.typing import NDArray

from bench.base.errors import StoreError

FORMAT = 1
KEPT_BYTES = 2**29
"""Rows that a process keeps in memory between two readings of its caches."""

_ESCAPED = re.compile("[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
KINDS = ("embeddings", "llm", "pairs", "runs", "results", "latency", "models")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A binary file that takes `path`'s place when the block ends well, and vanishes when it does not."""
    if path.is_dir():
        raise StoreError(f"{path} is a folder; expected the name of a file to write.")
    if path.exists() and not path.is_file():
        # A pipe or a device such as /dev/stdout is written to; root would put a file in its place.
        with path.open("wb") as stream:
            yield stream
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        # mkstemp makes files that only their owner reads; these are ordinary files.
        mask = os.umask(0)
        os.umask(mask)
        Path(temporary).chmod(0o666 & ~mask)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def replacing_folder(folder: Path, *, written: Collection[str] = ()) -> Iterator[Path]:
    """A new folder that takes `folder`'s place when the block ends well, and vanishes when it does not.

    What stands in `folder` already is kept, but for files and folders named in `written`.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    try:
        # mkdtemp makes folders that only their owner opens; this is an ordinary one.
        mask = os.umask(0)
        os.umask(mask)
        scratch.chmod(0o777 & ~mask)
        yield scratch
        if not folder.exists():
            scratch.rename(folder)
            return
        for entry in folder.iterdir():
            if entry.name not in written:
                copy = shutil.copytree if entry.is_dir() and not entry.is_symlink() else shutil.copy2
                copy(entry, scratch / entry.name)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as aside:
            folder.rename(Path(aside) / folder.name)
            scratch.rename(folder)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise


def write_text(path: Path, text: str) -> Path:
    """Write a UTF-8 file whole or not at all."""
    with replacing(path) as stream:
        stream.write(text.encode("utf-8", "surrogatepass"))
    return path


def write_json(path: Path, document: Any, *, indent: int | None = None) -> Path:
    """Write a JSON document whole or not at all; NaN is refused, because JSON has none."""
    separators = (",", ":") if indent is None else None
    return write_text(path, json_text(document, indent=indent, separators=separators) + "\n")


def json_text(document: Any, *, indent: int | None = None, separators: tuple[str, str] | None = None) -> str:
    """JSON in which everything reads as itself but what a terminal obeys and what UTF-8 cannot hold; those are escaped.

    Raises:
        ValueError: NaN or infinity, which JSON has not.
    """
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, indent=indent, separators=separators)
    return _ESCAPED.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def read_json(path: Path) -> Any:
    """A JSON document.

    Raises:
        StoreError: no such file, or not JSON; the message names the place.
    """
    try:
        return parse_json(path.read_bytes(), path)
    except FileNotFoundError:
        raise StoreError(f"{path} does not exist.") from None
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}.") from error


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no JSON number")


def parse_json(text: bytes, path: Path) -> Any:
    """The JSON document that stands at a path.

    Raises:
        StoreError: not JSON.
    """
    try:
        return json.loads(text.decode("utf-8-sig"), parse_constant=_no_number)
    except (ValueError, RecursionError) as error:  # also a number of 5,000 digits, and brackets without end
        raise StoreError(f"{path} is not JSON ({error}); it may be cut off.") from error


_DAMAGED = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)


def _read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """Arrays by name. Opened by us: NumPy leaves a file open that turns out to be no archive."""
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


class Store:
    """The working folder. `root` is made on first write, with its format number."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)
        marker = self.root / "format.json"
        if marker.exists():
            document = read_json(marker)
            version = document.get("format") if isinstance(document, dict) else None
            if version != FORMAT:
                raise StoreError(
                    f"{self.root} has format {version!r}; this version reads format {FORMAT}. "
                    f"Delete the folder (everything in it can be made again) or use the version that wrote it."
                )

    def prepare(self) -> Store:
        """Make the folder and its format number."""
        marker = self.root / "format.json"
        if not marker.exists():
            write_json(marker, {"format": FORMAT})
            # A working folder must not be committed by accident, wherever it is made.
            write_text(self.root / ".gitignore", "*\n")
        return self

    def path(self, kind: str, digest: str) -> Path:
        """Where content of this digest lives; nothing is made."""
        return self.root / kind / digest

    @contextlib.contextmanager
    def lock(self, name: str, *, timeout_s: float = 3600, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Hold a lock among processes; released by the system when its holder dies.

        `waiting` is called once where another holds it.
        """
        import fcntl

        path = self.root / "locks" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as stream:
            deadline = time.monotonic() + timeout_s
            reported = False
            while True:
                try:
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if not reported:
                        waiting()
                        reported = True
                    if time.monotonic() > deadline:
                        raise StoreError(
                            f"{path} has been held by another process for {timeout_s:.0f} s; wait for it or end it."
                        ) from None
                    time.sleep(0.2)
            yield

    def write_arrays(self, kind: str, digest: str, document: Any, **arrays: NDArray[Any]) -> None:
        """A document with its arrays. The document is written last: it says that the arrays are whole."""
        folder = self.prepare().path(kind, digest)
        with replacing(folder / "arrays.npz") as stream:
            np.savez(stream, **arrays)  # type: ignore[arg-type]
        write_json(folder / "record.json", {"format": FORMAT, **document})

    def read_arrays(self, kind: str, digest: str) -> tuple[Any, dict[str, NDArray[Any]]] | None:
        """A document with its arrays, or None where there is none, or where it is damaged."""
        folder = self.path(kind, digest)
        try:
            document = read_json(folder / "record.json")
            arrays = _read_npz(folder / "arrays.npz")
        except (StoreError, *_DAMAGED):
            return None
        return (document, arrays) if isinstance(document, dict) and document.get("format") == FORMAT else None

    def sizes(self) -> dict[str, tuple[int, int]]:
        """Kind → (entries, bytes)."""
        sizes = {}
        for kind in KINDS:
            folder = self.root / kind
            entries = list(folder.iterdir()) if folder.is_dir() else []
            sizes[kind] = (len(entries), sum(f.stat().st_size for e in entries for f in e.rglob("*") if f.is_file()))
        return sizes


class RowCache:
    """float32 rows by the digest of the text they were made from; appended in shards, never rewritten.

    A shard is a `.npz` with `keys` (bytes of 16, one per row) and `rows` (float32[n, dim]). Two processes that
    encode the same text write two equal rows; the first found is used.
    """

    _opened: ClassVar[dict[Path, RowCache]] = {}

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._shards: dict[str, NDArray[np.float32]] = {}
        self._place: dict[bytes, tuple[str, int]] = {}
        self._known: dict[str, tuple[int, int, int]] = {}

    @classmethod
    def open(cls, folder: Path) -> RowCache:
        """The folder's rows; what this process has read of them is not read again, up to `KEPT_BYTES` in all."""
        place = folder.absolute()
        cls._opened[place] = cls._opened.pop(place) if place in cls._opened else cls(folder)
        sizes = {opened: sum(rows.nbytes for rows in cache._shards.values()) for opened, cache in cls._opened.items()}
        for oldest in list(cls._opened):
            if sum(sizes.values()) > KEPT_BYTES:
                cls._opened[oldest]._forget()
                sizes[oldest] = 0
        return cls._opened[place]

    def _forget(self) -> None:
        self._shards, self._place, self._known = {}, {}, {}

    @staticmethod
    def key(*texts: str) -> bytes:
        """16 bytes that stand for the texts."""
        state = hashlib.blake2b(digest_size=16)
        for text in texts:
            data = text.encode("utf-8", "surrogatepass")
            state.update(len(data).to_bytes(8, "little"))
            state.update(data)
        return state.digest()

    def _refresh(self) -> None:
        files = {path.name: (path, path.stat()) for path in sorted(self.folder.glob("*.npz"))}
        states = {name: (state.st_ino, state.st_size, state.st_mtime_ns) for name, (_, state) in files.items()}
        if any(states.get(name) != state for name, state in self._known.items()):
            # A shard was taken away or written anew: nothing that was read of the folder is trusted.
            self._forget()
        for path, _ in files.values():
            if path.name in self._known:
                continue
            self._known[path.name] = states[path.name]
            try:
                stored = _read_npz(path)
                keys, rows = stored["keys"], stored["rows"]
            except (AttributeError, *_DAMAGED):
                # A damaged shard is as if it were not there: its rows are made again.
                continue
            if not np.isfinite(rows).all() or keys.shape != (len(rows), 16):
                continue
            self._shards[path.name] = rows
            for row, raw in enumerate(keys):
                self._place.setdefault(raw.tobytes(), (path.name, row))

    def missing(self, keys: Sequence[bytes]) -> list[int]:
        """Positions of keys that have no row yet, one per distinct key."""
        self._refresh()
        seen: set[bytes] = set()
        wanted = []
        for position, key in enumerate(keys):
            if key not in self._place and key not in seen:
                seen.add(key)
                wanted.append(position)
        return wanted

    def put(self, keys: Sequence[bytes], rows: NDArray[np.float32]) -> None:
        """Append one shard."""
        packed = np.frombuffer(b"".join(keys), dtype=np.uint8).reshape(len(keys), 16)
        name = f"{RowCache.key(*(key.hex() for key in keys)).hex()}.npz"
        with replacing(self.folder / name) as stream:
            np.savez(stream, keys=packed, rows=np.ascontiguousarray(rows, dtype=np.float32))
        self._refresh()

    def get(self, keys: Sequence[bytes]) -> NDArray[np.float32]:
        """float32[n_keys, dim]; every key must have a row."""
        places = [self._place[key] for key in keys]
        dim = self._shards[places[0][0]].shape[1]
        out = np.empty((len(keys), dim), dtype=np.float32)
        for shard in {name for name, _ in places}:
            mine = [i for i, (name, _) in enumerate(places) if name == shard]
            out[mine] = self._shards[shard][[places[i][1] for i in mine]]
        return out
