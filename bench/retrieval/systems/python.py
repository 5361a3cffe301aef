"""Any Python search function: a text in, document ids out."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import inspect
import math
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import field_validator

from bench.base.errors import BenchError, ConfigError, RunError, SystemFailed, did_you_mean
from bench.base.progress import Progress, no_progress
from bench.config import SystemConfig
from bench.records import Corpus, QuerySet, Ranked, Run
from bench.retrieval.search import padded
from bench.retrieval.systems import Context

DEPTH_NAMES = ("k", "depth", "top_k", "limit")
"""Parameters that get the number of documents."""

EXPECTED = "expected document ids, (id, score) pairs, or a mapping of ids to scores"

NOT_SEARCHED = ("__pycache__", "node_modules", "site-packages", "venv", "tests", "test")
"""Folders whose Python code is no part of the fingerprint."""


class Config(SystemConfig):
    """`kind = "python"`: `function` is "module:attribute"; `version` stands for what no fingerprint covers."""

    function: str
    version: str = ""

    @field_validator("function")
    @classmethod
    def _place(cls, text: str) -> str:
        if not re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*", text):
            raise ValueError('expected "module:attribute", such as "app.search:search"')
        return text


def build(name: str, config: Config, context: Context) -> list[Python]:
    """One system."""
    return [Python(name, config.function, version=config.version, base=context.base, roles=config.roles)]


class Python:
    """A search function of the user: `search(text)`, or `search(text, depth)`.

    It returns document ids, best first; or (id, score) pairs or {id: score}, ordered by the scores alone.

    Args:
        name: as in the config.
        function: the function itself, or "module:attribute", imported when first needed.
        version: part of the fingerprint.
        base: the folder that comes first on the import path while the function is imported and while it runs.
        roles: roles of the query sets that it is evaluated on; None means all.
    """

    kind = "python"
    parts: tuple[str, ...] = ()
    fresh = True
    """Its rankings may change without a change of the digest (an index, a service): `bench run` never reuses them."""

    def __init__(
        self,
        name: str,
        function: Callable[..., Any] | str,
        *,
        version: str = "",
        base: Path | None = None,
        roles: Sequence[str] | None = None,
    ) -> None:
        self.name, self.version, self.base, self.roles = name, version, base, roles
        self._given = function
        self.progress: Progress = no_progress

    @functools.cached_property
    def function(self) -> Callable[..., Any]:
        """The function.

        Raises:
            ConfigError: no such module or attribute, or one that cannot be called.
            SystemFailed: the module broke while it was imported.
        """
        function = self._imported(self._given) if isinstance(self._given, str) else self._given
        if not callable(function):
            kind = type(function).__name__
            raise ConfigError(f'System "{self.name}": {self._given} is a {kind}; expected a function.')
        return function

    @functools.cached_property
    def _code(self) -> str | None:
        return None if self.base is None else _code_digest(self.base)

    def _imported(self, place: str) -> Any:
        module_name, _, attribute = place.partition(":")
        where = f'System "{self.name}": function "{place}"'
        with self._importable():
            try:
                value: Any = importlib.import_module(module_name)
            except ModuleNotFoundError as error:
                if error.name is not None and f"{module_name}.".startswith(f"{error.name}."):
                    raise ConfigError(
                        f"{where}: there is no module {error.name}, neither in {self.base} nor installed."
                    ) from None
                raise SystemFailed(f"{where}: importing it failed: {error}.") from error
            except BenchError:
                raise
            except (Exception, SystemExit) as error:
                raise SystemFailed(f"{where}: importing it failed: {type(error).__name__}: {error}") from error
        for part in attribute.split("."):
            if not hasattr(value, part):
                raise ConfigError(f"{where}: {module_name} has no {part}.{did_you_mean(part, dir(value))}")
            value = getattr(value, part)
        return value

    @contextlib.contextmanager
    def _importable(self) -> Iterator[None]:
        if self.base is None:
            yield
            return
        place = str(self.base.resolve())
        sys.path.insert(0, place)
        try:
            yield
        finally:
            with contextlib.suppress(ValueError):
                sys.path.remove(place)

    def fingerprint(self) -> Mapping[str, Any]:
        """The function's name, `version`, and a digest of the Python code beside the config (else of its own file).

        It imports nothing, so that a gate on stored results does not run the code under test. It does not cover models,
        indexes and installed packages: `version` stands for them, and `bench run` never reuses a ranking.
        """
        if isinstance(self._given, str):
            name, source = self._given, self._code
        else:
            plain = _plain(self.function)
            name, source = f"{plain.__module__}:{plain.__qualname__}", None
            # A built-in or a function of an interactive session has no file.
            with contextlib.suppress(OSError, TypeError):
                data = Path(inspect.getfile(plain)).read_bytes()
                source = hashlib.blake2b(data, digest_size=16).hexdigest()
        return {"kind": self.kind, "function": name, "version": self.version, "source": source}

    def search(self, corpus: Corpus, queries: QuerySet, *, depth: int, parts: Sequence[Run]) -> Ranked:
        """The function's ranking of each query; an order without scores gets falling scores.

        Raises:
            SystemFailed: the function raised; names the query.
            RunError: an id that is twice or not in the corpus, a score that is not a number, or another type.
        """
        function, extra = self.function, _depth_argument(self.function, depth)
        started = time.perf_counter()
        rankings = []
        with self._importable():
            for done, (query_id, text) in enumerate(zip(queries.ids, queries.texts, strict=True)):
                self.progress("search", done, len(queries.ids))
                where = f'System "{self.name}" on query "{query_id}" of "{queries.name}"'
                try:
                    returned = function(text, *extra[0], **extra[1])
                    if isinstance(returned, Iterable) and not isinstance(returned, (str, bytes)):
                        # A generator runs the user's code only now.
                        returned = list(returned.items() if isinstance(returned, Mapping) else returned)
                except BenchError:
                    raise
                except (Exception, SystemExit) as error:
                    raise SystemFailed(f"{where} failed: {type(error).__name__}: {error}") from error
                rankings.append(_ranking(returned, corpus, where))
        self.progress("search", len(queries.ids), len(queries.ids))
        docs, scores = padded(rankings)
        return Ranked(docs, scores, {"search": time.perf_counter() - started})


def _depth_argument(function: Callable[..., Any], depth: int) -> tuple[tuple[int, ...], dict[str, int]]:
    """The depth as the function takes it: under one of `DEPTH_NAMES`, or second where a second argument is required.

    A second parameter with a default and another name (`rerank=False`) means something else.
    """
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # some built-in functions have no signature
        return (), {}
    named = [p for p in parameters[1:] if p.name in DEPTH_NAMES and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    if named:
        return (), {named[0].name: depth}
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return ((depth,), {}) if len(positional) > 1 and positional[1].default is inspect.Parameter.empty else ((), {})


def _ranking(returned: Any, corpus: Corpus, where: str) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Corpus rows and scores of one query's answer."""
    if not isinstance(returned, list):
        raise RunError(f"{where} returned {_described(returned)}; {EXPECTED}.")
    ranking: dict[str, float] = {}
    for rank, item in enumerate(returned):
        doc_id, score = (item, float(-rank)) if isinstance(item, str) else _pair(item, rank, where)
        if doc_id not in corpus.row_of:
            raise RunError(
                f'{where} ranks document "{doc_id}", which corpus "{corpus.name}" lacks. Does the function search the '
                "same corpus, and return its ids?"
            )
        if isinstance(item, str) != isinstance(returned[0], str):
            raise RunError(f"{where} returned some ids with scores and some without; {EXPECTED}.")
        if doc_id in ranking:
            raise RunError(f'{where} ranks document "{doc_id}" more than once; expected each document at most once.')
        ranking[doc_id] = score
    rows = np.asarray([corpus.row_of[doc_id] for doc_id in ranking], dtype=np.int64)
    return rows, np.asarray(list(ranking.values()), dtype=np.float32)


def _pair(item: Any, rank: int, where: str) -> tuple[str, float]:
    if not isinstance(item, (tuple, list)) or len(item) != 2 or not isinstance(item[0], str):
        raise RunError(f"{where} returned {_described(item)} at rank {rank + 1}; {EXPECTED}, ids as str.")
    doc_id, score = item
    try:
        number = math.nan if isinstance(score, (str, bytes)) else float(score)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number) or abs(number) > float(np.finfo(np.float32).max):
        raise RunError(
            f'{where} gives document "{doc_id}" the score {_described(score)}; expected a finite float32 number.'
        )
    return doc_id, number


def _described(value: Any) -> str:
    return "None" if value is None else f"{str(value)[:60]!r} ({type(value).__name__})"


def _plain(function: Any) -> Any:
    """The object with the source: behind decorators, partial applications and methods; a callable object's class."""
    function = inspect.unwrap(function)
    while isinstance(function, functools.partial) or inspect.ismethod(function):
        function = inspect.unwrap(function.func if isinstance(function, functools.partial) else function.__func__)
    return function if inspect.isroutine(function) or inspect.isclass(function) else type(function)


def _code_digest(base: Path) -> str:
    """32 hex digits over every Python file of a folder, without tests, hidden and installed files."""
    state = hashlib.blake2b(digest_size=16)
    for folder, names, files in os.walk(base):
        names[:] = sorted(
            name
            for name in names
            if not name.startswith(".")
            and name not in NOT_SEARCHED
            and not (Path(folder) / name / "pyvenv.cfg").exists()
        )
        for name in sorted(files):
            if name.endswith(".py") and not re.match(r"test_|conftest\.py|.*_test\.py", name):
                path = Path(folder) / name
                with contextlib.suppress(OSError):
                    data = path.read_bytes()
                    state.update(f"{path.relative_to(base).as_posix()}\0{len(data)}\0".encode("utf-8", "surrogatepass"))
                    state.update(data)
    return state.hexdigest()
