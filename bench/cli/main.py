"""The command line: parses a verb's options, runs it, and prints its answer or error.

The verbs are files of `bench.cli.verbs`.
"""

from __future__ import annotations

import argparse
import contextlib
import keyword
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from bench import __version__
from bench.base.errors import BenchError, UsageError, did_you_mean, excerpt
from bench.cli.parser import Answer, Parser

VERBS = (
    *("demo", "init", "check", "import", "perturb", "run", "measure", "compare", "gate", "comment", "baseline"),
    *("pairs", "mine", "finetune", "loop", "models", "decide", "report", "history", "drift", "export"),
    *("doctor", "schema", "completion"),
)
"""In the order of the listing; each is a file of `bench.cli.verbs` that imports nothing heavy before it runs."""

MAY_BE_EMPTY = ("reason", "comment_key", "link")
"""Options whose empty value means none, or is refused with a better message."""

EPILOG = """\
exit codes:
  0  pass, improved, identical, or inconclusive where the policy only warns
  1  regression
  2  unusable input (usage, config, suite, not comparable)
  3  inconclusive where the policy blocks it
  4  a system under test failed to run
  130  interrupted
"""


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
            # A script whose words are all empty must not look as if it passed.
            parser.print_help()
            return UsageError.exit_code
        if (first := arguments[0]).startswith("--") and first not in ("--help", "--version"):
            raise UsageError(f"bench: {excerpt(first)} stands before the verb; options follow it. See: bench --help")
        options, unknown = parser.parse_known_args(arguments)
        if unknown:
            _refuse(unknown, options, parser)
        _no_empty_value(options, arguments)
        return _answered(options)
    except BenchError as error:
        return _failed(error, options)
    except KeyboardInterrupt:
        stopped = BenchError("Interrupted. Finished encodings, rankings and models are kept; run it again to go on.")
        stopped.code, stopped.exit_code = "interrupted", 130
        return _failed(stopped, options)
    except BrokenPipeError:
        # The reader has gone, so a verdict reached nobody.
        _hush()
        return UsageError.exit_code if getattr(options, "verb", "") == "gate" else 0
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        return _failed(BenchError(f"{place}{error.strerror or error}."), options)
    except Exception as error:
        # A bug: show the traceback, and leave no form as an earlier run wrote it. Python's own exit code would be 1,
        # which means a regression.
        traceback.print_exc()
        _publish(BenchError(f"bench itself failed ({type(error).__name__}: {error}); please report it."), options)
        return BenchError.exit_code


def _refuse(unknown: Sequence[str], options: argparse.Namespace, parser: Parser) -> None:
    """Raise an error on unknown arguments, with the nearest option of the verb, or the verbs that have the option."""
    name = " ".join(filter(None, ("bench", options.verb, getattr(options, "action", ""))))
    known = {p.prog: [option for action in p._actions for option in action.option_strings] for p in _parsers(parser)}
    option = unknown[0].split("=")[0]
    others = [verb for verb, names in known.items() if option in names and verb != "bench"]
    hint = f" {option} is an option of {', '.join(others)}." if others else did_you_mean(option, known[name])
    if not option.startswith("-") and "--system" in known[name]:
        hint = f" To name a system: --system {excerpt(option)}."
    raise UsageError(f"{name}: unrecognized arguments: {' '.join(unknown)}.{hint} See: {name} --help")


def _answered(options: argparse.Namespace) -> int:
    """Run a verb, write the forms, and print the document or the blocks."""
    from bench.report.forms import terminal
    from bench.report.publish import Forms, publish

    with terminal.progress(quiet=options.json) as progress:
        answer: Answer | None = options.handler(options, progress)
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
    return answer.exit_code


def print_json(document: Any) -> None:
    """One document on standard output, and nothing else."""
    from bench.base.store import json_text

    sys.stdout.write(json_text(document) + "\n")
    sys.stdout.flush()


def _no_empty_value(options: argparse.Namespace, arguments: Sequence[str]) -> None:
    """Refuse an option with an empty value: most often it comes from a variable that is not set.

    Raises:
        UsageError: names the option.
    """
    for name, value in vars(options).items():
        if "" in (value if isinstance(value, list) else [value]) and name not in MAY_BE_EMPTY:
            option = "--" + name.rstrip("_").replace("_", "-")
            what = option if any(word.split("=")[0] == option for word in arguments) else name
            raise UsageError(f"bench {options.verb}: {what} is empty; expected a value. Is a variable not set?")


def _forms_only(arguments: list[str]) -> argparse.Namespace:
    """The forms that a command line names, even where the rest of it is wrong: no old verdict may stay there."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("verb", nargs="?")
    for name in ["json-out", "junit", "markdown", "comment", "metrics", "html", "comment-key", "link"]:
        parser.add_argument(f"--{name}")
    for name in ("json", "github"):
        parser.add_argument(f"--{name}", action="store_true")
    try:
        return parser.parse_known_args(arguments)[0]
    except (argparse.ArgumentError, SystemExit):
        return argparse.Namespace(json="--json" in arguments)


def _failed(error: BenchError, options: argparse.Namespace) -> int:
    # The exit code and the forms must not depend on whether the screen can be written.
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
    """Send standard output nowhere: its reader has gone, and Python would fail on it again when it exits."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser() -> Parser:
    parser = Parser(
        prog="bench",
        description="Evaluate retrieval changes and gate them by paired statistics.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"retrieval-gate {__version__}")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True, parser_class=Parser)
    for name in VERBS:
        module = import_module(f"bench.cli.verbs.{name}{'_' if keyword.iskeyword(name) else ''}")
        text = (module.__doc__ or "").strip().rstrip(".")
        verb: Parser = verbs.add_parser(name, help=text[:1].lower() + text[1:], description=f"{text}.")
        verb.set_defaults(verb=name, json=False)
        if not hasattr(module, "COMMANDS"):
            verb.set_defaults(handler=module.run)
            module.options(verb)
            continue
        commands = verb.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=Parser)
        for action, command in module.COMMANDS.items():
            text = command.help
            nested = commands.add_parser(action, help=text, description=f"{text[0].upper()}{text[1:]}.")
            nested.set_defaults(handler=command.run, action=action)
            command.options(nested)
        verb.commands = commands.choices
    return parser


def _complete(parser: Parser) -> None:
    """Complete a shell's line, and end. Names of systems are those of this folder's config."""
    import tomllib

    import argcomplete

    def systems(**_: Any) -> list[str]:
        with contextlib.suppress(OSError, ValueError):
            return list(tomllib.loads(Path("bench.toml").read_text(encoding="utf-8")).get("systems", {}))
        return []

    for verb in _parsers(parser):
        for action in verb._actions:
            if action.dest in ("system", "systems", "reference", "current"):
                action.completer = systems  # type: ignore[attr-defined]
    argcomplete.autocomplete(parser)


def _parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """A parser, those of its verbs and of their commands."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from _parsers(inner)


if __name__ == "__main__":
    sys.exit(main())
