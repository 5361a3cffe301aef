"""What the project knows, in the formats of other programs. A file's name is the kind's name in `bench export KIND`.

Each has `WHAT`, "suite" or "results", and `export(request)`, which writes and returns what it wrote.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from bench.evaluation.evaluate import Evaluator
from bench.records import Result, Suite

__all__ = ["Exported", "Request"]


class Exported(NamedTuple):
    """Files or folders that were written, and what a reader must know of them, a sentence each."""

    written: Sequence[Path]
    notes: Sequence[str] = ()


class Request(Protocol):
    """What is to be written, and where. `system` is whose results are meant, "" for an export of the suite."""

    suite: Suite
    system: str
    out: Path
    query_sets: Sequence[str] | None
    model_name: str | None
    force: bool

    def results(self) -> list[Result]:
        """The system's stored results."""

    def evaluator(self) -> Evaluator:
        """An evaluator of the system that makes nothing."""
