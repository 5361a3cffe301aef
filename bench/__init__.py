"""Evaluate retrieval on held-out and out-of-distribution queries, and gate changes by paired statistics.

Five records in one line: Suite → Run → Scores → Comparison → Verdict. docs/python.md shows every function with an
example. Names load on first use, so that `import bench` is light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what editors and type checkers see
    from bench.base.errors import *  # noqa: F403
    from bench.interop.mteb_model import to_mteb_model as to_mteb_model
    from bench.interop.mteb_task import to_mteb_task as to_mteb_task
    from bench.project.answers import *  # noqa: F403
    from bench.project.api import *  # noqa: F403
    from bench.project.api import open_project
    from bench.records import *  # noqa: F403
    from bench.retrieval.manifest import Manifest as Manifest

    open = open_project

__version__ = "0.1.0"

_NAMES = {
    "project.api": "Project calibrate compare evaluate judge load_suite measure open read_qrels read_run",
    "project.answers": "Answer Calibrated Decided Judged Measured Results",
    "records": "Comparison Corpus ModelRecord Policy QuerySet Result Rule Run Scores Suite Verdict",
    "retrieval.manifest": "Manifest",
    "base.errors": "BaselineError BenchError ConfigError HeldOutError MeasureError MissingExtra NotComparable "
    "PairsError PluginError RunError StoreError SuiteError SuitesFailed SystemFailed TooFewQueries UsageError",
    "interop.mteb_model": "to_mteb_model",
    "interop.mteb_task": "to_mteb_task",
}
_PLACES = {name: module for module, names in _NAMES.items() for name in names.split()}

__all__ = ["__version__", *sorted(_PLACES)]


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name not in _PLACES:
            raise AttributeError(f"module 'bench' has no attribute {name!r}")
        return getattr(import_module(f"bench.{_PLACES[name]}"), "open_project" if name == "open" else name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
