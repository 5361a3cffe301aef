"""Evaluate retrieval on held-out and out-of-distribution queries, and gate changes by paired statistics.

Five records in one line: Suite → Run → Scores → Comparison → Verdict. Names load on first use, so that `import bench`
is light. docs/python.md shows them at work.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_PLACES = {
    # questions
    "open": "project.api:open_project",
    "load_suite": "project.api",
    "evaluate": "project.api",
    "measure": "project.api",
    "compare": "project.api",
    "judge": "project.api",
    "calibrate": "project.api",
    "read_run": "project.api",
    "read_qrels": "project.api",
    "Project": "project.api",
    # records
    "Suite": "records",
    "Corpus": "records",
    "QuerySet": "records",
    "Run": "records",
    "Scores": "records",
    "Result": "records",
    "Comparison": "records",
    "Verdict": "records",
    "Policy": "records",
    "Rule": "records",
    "ModelRecord": "records",
    "Manifest": "retrieval.manifest",
    # errors
    "BaselineError": "base.errors",
    "BenchError": "base.errors",
    "ConfigError": "base.errors",
    "HeldOutError": "base.errors",
    "MeasureError": "base.errors",
    "MissingExtra": "base.errors",
    "NotComparable": "base.errors",
    "PairsError": "base.errors",
    "PluginError": "base.errors",
    "RunError": "base.errors",
    "StoreError": "base.errors",
    "SuiteError": "base.errors",
    "SuitesFailed": "base.errors",
    "SystemFailed": "base.errors",
    "TooFewQueries": "base.errors",
    "UsageError": "base.errors",
    # other programs
    "to_mteb_model": "interop.mteb_model",
    "to_mteb_task": "interop.mteb_task",
}

__all__ = ["__version__", *sorted(_PLACES)]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'bench' has no attribute {name!r}")
    place, _, known_as = _PLACES[name].partition(":")
    return getattr(import_module(f"bench.{place}"), known_as or name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
