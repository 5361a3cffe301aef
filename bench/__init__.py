"""Evaluate retrieval on held-out and out-of-distribution queries, and gate changes by paired statistics.

Five records in one line: Suite → Run → Scores → Comparison → Verdict. Names load on first use, so that
`import bench` is light.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_PLACES = {
    "BenchError": "base.errors",
    "Comparison": "records",
    "Evaluator": "evaluation.evaluate",
    "Manifest": "retrieval.manifest",
    "ModelRecord": "records",
    "Policy": "records",
    "Result": "records",
    "Rule": "records",
    "Run": "records",
    "Scores": "records",
    "Store": "base.store",
    "Suite": "records",
    "Verdict": "records",
    "calibrate": "gate.calibration",
    "compare": "gate.compare",
    "judge": "gate.verdict",
    "load_suite": "suites.suite",
    "measure": "evaluation.measure",
    "read_run": "records.run_files",
    "to_mteb_model": "interop.mteb_model",
    "to_mteb_task": "interop.mteb_task",
}
_OTHER_NAMES = {"load_suite": "load"}

__all__ = ["__version__", *sorted(_PLACES)]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'bench' has no attribute {name!r}")
    return getattr(import_module(f"bench.{_PLACES[name]}"), _OTHER_NAMES.get(name, name))
