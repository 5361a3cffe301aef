"""Errors, as a tree. Each message says what to do; the branch gives the exit code.

BenchError                 exit 2: the input cannot be used
├── UsageError             a command line or an argument that makes no sense
├── ConfigError            bench.toml
│   └── PluginError        a kind of another package cannot be used
├── SuiteError             suite.toml, corpus, queries, judgements
│   └── HeldOutError       training asked for evaluation data
├── PairsError             a file of training pairs
├── RunError               a run file, or what a system returned, is not a ranking
├── MeasureError           an unknown measure, or one that this run cannot have
├── NotComparable          two results of different tasks
├── BaselineError          no baseline, or one that cannot be read
├── TooFewQueries          a statistic that would only look like evidence
├── StoreError             the working folder holds something we cannot read
├── MissingExtra           an optional dependency is absent
├── SystemFailed           exit 4: a system under test broke while running
└── SuitesFailed           some of several suites could not be evaluated; exit code and code are the gravest error's
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

MOST_NAMES, LONGEST_NAME = 10_000, 200


class BenchError(Exception):
    """A sentence for the user: what was found, where, what was expected, what to do."""

    code = "error"
    exit_code = 2
    answer: Any = None
    """What was found before it went wrong, to be shown beside the sentence."""

    def to_json(self) -> dict[str, object]:
        """The document that `--json` prints where a verb fails."""
        return {"format": 1, "error": {"code": self.code, "message": str(self)}}


class UsageError(BenchError):
    """A command line or an argument that makes no sense."""

    code = "usage"


class ConfigError(BenchError):
    """Something in bench.toml is wrong; all errors of the file stand in one message."""

    code = "config"


class PluginError(ConfigError):
    """A kind of another package that cannot be loaded, or that fails; names the package and its entry point."""

    code = "plugin"


class SuiteError(BenchError):
    """A suite's declaration, corpus, queries or judgements cannot be used."""

    code = "suite"


class HeldOutError(SuiteError):
    """Training asked for held-out or out-of-distribution data."""

    code = "held-out"


class PairsError(BenchError):
    """A file of training pairs cannot be used, or what would make one failed."""

    code = "pairs"


class RunError(BenchError):
    """A run file, or what a system returned, is not a ranking."""

    code = "run"


class MeasureError(BenchError):
    """A measure nobody knows."""

    code = "measure"


class NotComparable(BenchError):
    """Two results that answer different questions."""

    code = "not-comparable"


class BaselineError(BenchError):
    """No baseline, or one that cannot be read."""

    code = "baseline"


class TooFewQueries(BenchError):
    """A statistic that would only look like evidence."""

    code = "too-few-queries"


class StoreError(BenchError):
    """The working folder holds something we cannot read."""

    code = "store"


class MissingExtra(BenchError):
    """An optional dependency is absent; the message carries its install line."""

    code = "missing-extra"

    def __init__(self, part: str, package: str, extra: str) -> None:
        super().__init__(f"{part} needs {package}. Install with: pip install 'retrieval-gate[{extra}]'")


class SystemFailed(BenchError):
    """A system under test broke while running."""

    code = "system-failed"
    exit_code = 4


class SuitesFailed(BenchError):
    """Some of several suites could not be evaluated.

    Args:
        errors: suite → what went wrong, one or more.
        answer: what the others gave.
    """

    def __init__(self, errors: Mapping[str, BenchError], answer: Any) -> None:
        worst = max(errors.values(), key=lambda error: error.exit_code)
        self.code, self.exit_code = worst.code, worst.exit_code
        self.errors, self.answer = dict(errors), answer
        super().__init__("\n".join(f'Suite "{name}" was not evaluated: {error}' for name, error in errors.items()))

    def to_json(self) -> dict[str, object]:
        """The error, each suite's own beside it, and what the other suites gave."""
        failed = {name: error.to_json()["error"] for name, error in self.errors.items()}
        return {**self.answer.to_json(), **super().to_json(), "failed_suites": failed}


def excerpt(text: str, most: int = 60) -> str:
    """The beginning of a text on one line, as it may stand in a sentence: ids and values may be of any length."""
    cut = text if len(text) <= most else text[: most - 1] + "…"
    return json.dumps(cut, ensure_ascii=False)[1:-1].replace('\\"', '"')


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """' Did you mean "…"?' with the nearest of the first known names, or an empty string."""
    if len(word) > LONGEST_NAME:
        return ""
    # Comparing takes microseconds a name: among a million ids, the hint would keep the user waiting.
    near = difflib.get_close_matches(word, list(islice(known, MOST_NAMES)), n=1, cutoff=0.6)
    return f' Did you mean "{near[0]}"?' if near else ""
