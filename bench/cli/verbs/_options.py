"""Options that several verbs share, and what they mean."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.base.errors import UsageError

if TYPE_CHECKING:
    from bench.base.progress import Progress
    from bench.project.answers import Answer


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
        raise ArgumentTypeError(f"is {text}; expected a whole number above 0")
    return value


def below(limit: float) -> Callable[[str], float]:
    """An argument's type: a number above 0 and below a limit."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not 0 < value < limit:
            raise ArgumentTypeError(f"is {text}; expected a number between 0 and {limit:g}")
        return value

    return read


def json_option(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")


def measures_option(parser: ArgumentParser) -> None:
    # One value at a time: taking several, it would swallow the two names of `bench compare`.
    text = "such as ndcg@10; repeated or separated by commas"
    parser.add_argument("--measures", metavar="M", action="append", help=text)


def policy_options(parser: ArgumentParser) -> None:
    measures_option(parser)
    parser.add_argument("--margin", metavar="M", type=below(1), help="the drop that is tolerated (default: 0.02)")
    parser.add_argument("--alpha", metavar="A", type=below(0.5), help="one-sided error rate (default: 0.05)")


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


class Command(NamedTuple):
    """One command of a verb that has several."""

    HELP: str
    options: Callable[[ArgumentParser], None]
    run: Callable[[Namespace, Progress], Answer | None]


def form_options(parser: ArgumentParser, *names: str) -> None:
    """Files that an answer is written to."""
    texts = {
        "json-out": "write the JSON document to a file; an error too",
        "junit": "write JUnit XML, one test case per rule",
        "markdown": "write Markdown, for a job summary or an issue",
        "comment": "write a short comment, for a pull request",
        "metrics": "write the numbers as OpenMetrics, for GitLab",
        "html": "write a page",
    }
    for name in names:
        parser.add_argument(f"--{name}", metavar="F", help=texts[name])


def policy_changes(options: Namespace) -> dict[str, Any]:
    """What a command line says instead of the config's policy."""
    names = ("measures", "margin", "alpha", "on_inconclusive")
    return {name: getattr(options, name) for name in names if getattr(options, name, None) is not None}
