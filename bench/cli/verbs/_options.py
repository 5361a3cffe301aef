"""Options that several verbs share, and what they mean."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bench.base.errors import UsageError

if TYPE_CHECKING:
    from bench.project.workspace import Workspace
    from bench.records import Result, Suite


def print_json(document: Any) -> None:
    """One document on standard output, and nothing else."""
    from bench.base.store import json_text

    sys.stdout.write(json_text(document) + "\n")
    sys.stdout.flush()


def config_options(parser: ArgumentParser) -> None:
    """Which config, and which of its suites."""
    parser.add_argument("--config", metavar="F", help="the config file (default: bench.toml)")
    parser.add_argument("--suite", metavar="S", help="a suite of the config, or a path")


def positive(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise ArgumentTypeError(f'"{text}" is not a whole number above 0')
    return value


def json_option(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")


def measures_option(parser: ArgumentParser) -> None:
    # One value at a time: taking several, it would swallow the two names of `bench compare`.
    text = "such as ndcg@10; repeated or separated by commas"
    parser.add_argument("--measures", metavar="M", action="append", help=text)


def policy_options(parser: ArgumentParser) -> None:
    measures_option(parser)
    parser.add_argument("--margin", metavar="M", type=float, help="the drop that is tolerated (default: 0.02)")
    parser.add_argument("--alpha", metavar="A", type=float, help="one-sided error rate (default: 0.05)")


def name_values(option: str, given: Sequence[str]) -> dict[str, str]:
    for text in given:
        if "=" not in text:
            raise UsageError(f'bench import: {option} "{text}"; expected NAME=VALUE.')
    pairs = [text.split("=", 1) for text in given]
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f'bench import: {option} gives "{name}" twice; expected one value.')
    return dict(pairs)


def flat(names: Sequence[str] | None) -> list[str] | None:
    """Names from options that may be repeated, take several values, or hold commas."""
    found = [part for name in names or () for part in name.split(",") if part]
    return found or None


def workspace_suite(options: Namespace) -> Suite:
    from bench.project.workspace import Workspace

    return Workspace.open(options.config).suite(options.suite)


def remember(workspace: Workspace, results: Sequence[Result], *, accepted: str | None = None) -> None:
    """Append results to the history log; one that cannot be written is told, and stops nothing."""
    from datetime import UTC, datetime

    from bench import __version__
    from bench.base import git
    from bench.base.errors import BenchError
    from bench.report.forms import terminal
    from bench.watch import log

    now, commit = datetime.now(UTC), git.commit(workspace.base)
    try:
        log.append(workspace.history, results, when=now, commit=commit, version=__version__, accepted=accepted)
    except (OSError, BenchError) as error:
        terminal.say(f"These results are not in the history ({workspace.history}): {error}", "yellow")
