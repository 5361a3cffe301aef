"""The command line: the parser, where answers are printed, and what becomes of errors.

The verbs themselves are files of `bench.cli.verbs`: each says what it takes and returns an answer.
"""

from __future__ import annotations

import argparse
import contextlib
import keyword
import os
import re
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from bench import __version__
from bench.base.errors import BenchError, UsageError, did_you_mean

VERBS = (
    "demo",
    "init",
    "check",
    "import",
    "perturb",
    "run",
    "measure",
    "compare",
    "gate",
    "comment",
    "baseline",
    "pairs",
    "mine",
    "finetune",
    "loop",
    "models",
    "decide",
    "report",
    "history",
    "drift",
    "export",
    "doctor",
    "schema",
    "completion",
)
"""In the order of the listing; each is a file of `bench.cli.verbs` that imports nothing heavy before it runs."""

MAY_BE_EMPTY = ("reason", "comment_key", "link")
"""Options whose empty value is told elsewhere, or means none."""

EPILOG = """\
exit codes:
  0  pass, improved, identical, or inconclusive where the policy only warns
  1  regression
  2  unusable input (usage, config, suite, not comparable)
  3  inconclusive where the policy blocks it
  4  a system under test failed to run
  130  interrupted
"""


class _Parser(argparse.ArgumentParser):
    """Argument errors as one sentence of ours, with the nearest known word."""

    commands: Mapping[str, argparse.ArgumentParser] = {}
    """Of a verb that has some."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse does, and an option may stand before the command: `bench models --json list`."""
        valued = {
            name
            for command in self.commands.values()
            for action in command._actions
            if action.nargs != 0
            for name in action.option_strings
        }
        for place, word in enumerate(args or () if self.commands else ()):
            if word in self.commands and (place == 0 or args[place - 1] not in valued):
                args = [word, *args[:place], *args[place + 1 :]]
                break
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        hint = ""
        if "invalid choice: '" in message:
            name = message.removeprefix("argument ").split(":")[0]
            word = message.split("invalid choice: '")[1].split("'")[0]
            known = next((list(a.choices) for a in self._actions if a.choices and name in _names(a)), [])
            what = "verb" if name == "VERB" else name
            message = f'{what} is "{word}"; expected one of {", ".join(map(str, known))}'
            hint = did_you_mean(word, map(str, known))
        elif "unrecognized arguments: " in message:
            word = message.split("unrecognized arguments: ")[1].split()[0]
            hint = did_you_mean(word, _options(self))
        message = re.sub(r"^argument (\S+): is ", r"\1 is ", message)
        raise UsageError(f"{self.prog}: {message}.{hint} See: {self.prog} --help")


def _names(action: argparse.Action) -> tuple[str, ...]:
    """What argparse may call an argument in a message."""
    return ("/".join(action.option_strings), str(action.metavar), action.dest)


def _options(parser: argparse.ArgumentParser) -> list[str]:
    """Every option of a parser and of its verbs."""
    return [option for one in _all_parsers(parser) for action in one._actions for option in action.option_strings]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = _forms_only(arguments)
    for name in ("stdout", "stderr"):
        # Closed by the caller; the exit code still counts.
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 (open to the end)
    try:
        parser = _parser()
        if "_ARGCOMPLETE" in os.environ:
            _complete(parser)
        if not arguments:
            # A script whose words are all empty has asked nothing, and must not look as if it passed.
            parser.print_help()
            return UsageError.exit_code
        options = parser.parse_args(arguments)
        _no_empty_value(options, arguments)
        return _answered(options)
    except BenchError as error:
        return _failed(error, options)
    except KeyboardInterrupt:
        stopped = BenchError(
            "Interrupted. Finished encodings, rankings and models are kept; the rest is made next time."
        )
        stopped.code, stopped.exit_code = "interrupted", 130
        return _failed(stopped, options)
    except BrokenPipeError:
        # The reader has gone; nothing can be said to it. A verdict that nobody could read is none.
        _hush()
        return UsageError.exit_code if getattr(options, "verb", "") == "gate" else 0
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        return _failed(BenchError(f"{place}{error.strerror or error}."), options)
    except Exception as error:
        # A mistake of ours: the traceback is wanted, and no form may be left as an earlier run wrote it. Python's own
        # exit code would be 1, which says that a regression was found.
        traceback.print_exc()
        _publish(BenchError(f"bench itself failed ({type(error).__name__}: {error}); please report it."), options)
        return BenchError.exit_code


def _answered(options: argparse.Namespace) -> int:
    """Ask, write the forms asked for, and print the document or the blocks: the one place that prints an answer."""
    from bench.report.forms import terminal
    from bench.report.publish import Forms, publish

    with terminal.progress(quiet=options.json) as told:
        answer = options.handler(options, told)
    if answer is None:
        return 0
    forms = Forms.of(options)
    if forms != Forms():
        publish(answer, forms)
    if options.json:
        print_json(answer.to_json())
    else:
        sys.stdout.write(answer.output)
        terminal.blocks(answer.blocks())
    code: int = answer.exit_code
    return code


def print_json(document: Any) -> None:
    """One document on standard output, and nothing else."""
    from bench.base.store import json_text

    sys.stdout.write(json_text(document) + "\n")
    sys.stdout.flush()


def _no_empty_value(options: argparse.Namespace, arguments: Sequence[str]) -> None:
    """Refuse an option without a value: most often a variable that is not set, and the default is not what was meant.

    Raises:
        UsageError: names the option.
    """
    for name, value in vars(options).items():
        if "" in (value if isinstance(value, list) else [value]) and name not in MAY_BE_EMPTY:
            option = "--" + name.rstrip("_").replace("_", "-")
            what = option if any(word.split("=")[0] == option for word in arguments) else name
            raise UsageError(f"bench {options.verb}: {what} is empty; expected a value. Is a variable not set?")


def _forms_only(arguments: list[str]) -> argparse.Namespace:
    """What a command line asks to be written, however wrong the rest of it: an old verdict must not stay there."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("verb", nargs="?")
    for option in (
        "--json-out",
        "--junit",
        "--markdown",
        "--comment",
        "--metrics",
        "--html",
        "--comment-key",
        "--link",
    ):
        parser.add_argument(option)
    for option in ("--json", "--github"):
        parser.add_argument(option, action="store_true")
    try:
        return parser.parse_known_args(arguments)[0]
    except (argparse.ArgumentError, SystemExit):
        return argparse.Namespace(json="--json" in arguments)


def _failed(error: BenchError, options: argparse.Namespace) -> int:
    # A screen that cannot be written hides neither the exit code nor the forms.
    try:
        if getattr(options, "json", False):
            print_json(error.to_json())
        else:
            if error.answer is not None:
                from bench.report.forms import terminal

                terminal.blocks(error.answer.blocks())
            _say(f"error: {error}", "red")
    except OSError:
        _hush()
    _publish(error, options)
    return error.exit_code


def _publish(error: BenchError, options: argparse.Namespace) -> None:
    """Write every form of an error; one that cannot be written does not stop the next."""
    if getattr(options, "verb", "") in ("gate", "compare", "run", "drift"):
        from bench.report.publish import Forms, publish_error

        for form in Forms.of(options).each():
            try:
                publish_error(error, form)
            except (BenchError, OSError) as problem:
                _say(f"error: a form of this was not written: {problem}", "red")


def _say(text: str, style: str) -> None:
    from bench.report.forms.terminal import say

    with contextlib.suppress(OSError):
        say(text, style)


def _hush() -> None:
    """Standard output leads nowhere from now on: its reader has gone, and Python would fail on it again at its end."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


# --- the parser ------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="bench",
        description="Evaluate retrieval changes and gate them by paired statistics.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"retrieval-gate {__version__}")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True, parser_class=_Parser)

    for name in VERBS:
        module = import_module(f"bench.cli.verbs.{name}{'_' if keyword.iskeyword(name) else ''}")
        one = _added(verbs, name, module)
        one.set_defaults(verb=name, json=False)
        commands = getattr(module, "COMMANDS", {})
        if commands:
            nested = one.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=_Parser)
            for action, command in commands.items():
                _added(nested, action, command).set_defaults(action=action)
            one.commands = nested.choices
    return parser


def _added(parsers: Any, name: str, verb: Any) -> _Parser:
    """The parser of a verb or of one of its commands: what has `HELP`, and `options` and `run` or commands."""
    text: str = verb.HELP
    one: _Parser = parsers.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    if hasattr(verb, "run"):
        one.set_defaults(handler=verb.run)
        verb.options(one)
    return one


def _complete(parser: argparse.ArgumentParser) -> None:
    """Answer a shell's question for the next word, and end. Names of systems are those of this folder's config."""
    import tomllib

    import argcomplete

    def systems(**_: Any) -> list[str]:
        with contextlib.suppress(OSError, ValueError):
            return list(tomllib.loads(Path("bench.toml").read_text(encoding="utf-8")).get("systems", {}))
        return []

    for one in _all_parsers(parser):
        for action in one._actions:
            if action.dest in ("system", "systems", "reference", "current"):
                action.completer = systems  # type: ignore[attr-defined]
    argcomplete.autocomplete(parser)


def _all_parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for one in action.choices.values():
                yield from _all_parsers(one)


if __name__ == "__main__":
    sys.exit(main())
