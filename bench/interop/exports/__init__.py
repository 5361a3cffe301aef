"""Suites and results in the formats of other programs. A file's name is the kind's name in `bench export KIND`.

Each has `WHAT`, "suite" or "results", and `export(request)`, which writes files and returns their paths.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from bench.base.errors import UsageError, did_you_mean
from bench.evaluation.evaluate import Evaluator
from bench.records import Result, Suite


class Exported(NamedTuple):
    """Files or folders that were written, and notes for the reader, a sentence each."""

    written: Sequence[Path]
    notes: Sequence[str] = ()


class Request(Protocol):
    """What to write, and where. `system` is the system whose results are exported; "" for an export of the suite."""

    suite: Suite
    system: str
    out: Path
    query_sets: Sequence[str] | None
    model_name: str | None
    force: bool

    def results(self) -> list[Result]:
        """The system's stored results."""

    def evaluator(self) -> Evaluator:
        """An evaluator of the system that only reads stored results."""


def refuse_unknown(query_sets: Sequence[str] | None, known: Collection[str], problem: str) -> None:
    """Raise a UsageError for the first query set that is not known; `problem` begins the sentence."""
    for name in query_sets or ():
        if name not in known:
            raise UsageError(f'{problem} "{name}"; expected one of {", ".join(known)}.{did_you_mean(name, known)}')
