"""The parser of a verb: options in one line each, the options that several verbs share, and errors as sentences."""

from __future__ import annotations

import argparse
import re
from argparse import Namespace as Namespace
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from bench.base.errors import UsageError, did_you_mean
from bench.base.progress import Progress as Progress

if TYPE_CHECKING:
    from bench.project.answers import Answer as Answer
else:
    Answer = Any  # heavy; verbs need the name for their annotations only

FORMS = {
    "json-out": "write the JSON document to a file; an error too",
    "junit": "write JUnit XML, one test case per rule",
    "markdown": "write Markdown, for a job summary or an issue",
    "comment": "write a short comment, for a pull request",
    "metrics": "write the numbers as OpenMetrics, for GitLab",
    "html": "write a page",
}
"""Option that writes an answer to a file → its help."""


class Parser(argparse.ArgumentParser):
    """Argument errors as one sentence with the nearest known word."""

    commands: Mapping[str, Parser] = {}
    """Of a verb that has some."""

    def option(self, name: str, metavar: str, text: str, **more: Any) -> None:
        """Add an option with a value, or an argument."""
        self.add_argument(name, metavar=metavar, help=text, **more)

    def names(self, name: str, metavar: str, text: str, **more: Any) -> None:
        """Add an option that takes several values and may be repeated."""
        self.add_argument(name, metavar=metavar, help=text, nargs="+", action="extend", **more)

    def flag(self, name: str, text: str, **more: Any) -> None:
        """Add an option without a value."""
        self.add_argument(name, action="store_true", help=text, **more)

    def config(self) -> None:
        """Add the options that choose a config and one of its suites."""
        self.option("--config", "F", "the config file (default: bench.toml)")
        self.option("--suite", "S", "a suite of the config, or a path")

    def json(self) -> None:
        """Add `--json`."""
        self.flag("--json", "one JSON document on standard output")

    def measures(self) -> None:
        """Add `--measures`: one value at a time, or it would swallow the two names of `bench compare`."""
        self.option("--measures", "M", "measures, such as ndcg@10; repeated or separated by commas", action="append")

    def policy(self) -> None:
        """Add the options that replace values of the config's policy."""
        self.measures()
        self.option("--margin", "M", "the tolerated drop (default: the config's, else 0.02)", type=below(1))
        self.option("--alpha", "A", "one-sided error rate (default: the config's, else 0.05)", type=below(0.5))

    def forms(self, *names: str) -> None:
        """Add options that write the answer to files."""
        for name in names:
            self.option(f"--{name}", "F", FORMS[name])

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse does, and an option may stand before the command: `bench models --json list`."""
        actions = [action for command in self.commands.values() for action in command._actions]
        valued = {name for action in actions if action.nargs != 0 for name in action.option_strings}
        for place, word in enumerate(args or () if self.commands else ()):
            if word in self.commands and (place == 0 or args[place - 1] not in valued):
                args = [word, *args[:place], *args[place + 1 :]]
                break
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Raise a `UsageError`; argparse would print and exit."""
        hint = ""
        if "invalid choice: '" in message:
            name = message.removeprefix("argument ").split(":")[0]
            word = message.split("invalid choice: '")[1].split("'")[0]
            # argparse names an argument by its options, its metavar or its destination.
            named = [a for a in self._actions if name in ("/".join(a.option_strings), str(a.metavar), a.dest)]
            choices = next((list(map(str, a.choices)) for a in named if a.choices), [])
            what = "verb" if name == "VERB" else name
            message = f'{what} is "{word}"; expected one of {", ".join(choices)}'
            hint = did_you_mean(word, choices)
        message = re.sub(r"^argument (\S+): is ", r"\1 is ", message)
        raise UsageError(f"{self.prog}: {message}.{hint} See: {self.prog} --help")


class Command(NamedTuple):
    """One command of a verb that has several."""

    help: str
    options: Callable[[Parser], None]
    run: Callable[[Namespace, Progress], Answer | None]


def positive(text: str) -> int:
    """An argument's type: a whole number above 0."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"is {text}; expected a whole number above 0")
    return value


def below(limit: float) -> Callable[[str], float]:
    """An argument's type: a number above 0 and below a limit."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not 0 < value < limit:
            raise argparse.ArgumentTypeError(f"is {text}; expected a number between 0 and {limit:g}")
        return value

    return read


def flat(names: Sequence[str] | None) -> list[str] | None:
    """Names from options that may be repeated, take several values, or hold commas."""
    return [part for name in names or () for part in name.split(",") if part] or None


def keywords(options: Namespace, *names: str) -> dict[str, Any]:
    """Options as keyword arguments of the same names."""
    return {name: getattr(options, name) for name in names}


def policy_changes(options: Namespace) -> dict[str, Any]:
    """The values that a command line puts in place of the policy's."""
    names = ("measures", "margin", "alpha", "on_inconclusive")
    return {name: getattr(options, name) for name in names if getattr(options, name, None) is not None}
