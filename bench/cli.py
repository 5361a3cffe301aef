"""The command line: the parser, and what becomes of errors. The verbs themselves are in `bench.verbs`."""

from __future__ import annotations

import argparse
import contextlib
import keyword
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from bench import __version__
from bench.errors import BenchError, UsageError, did_you_mean

__all__ = ["main"]

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
        raise UsageError(f"{self.prog}: {message}.{hint} See: {self.prog} --help")


def _names(action: argparse.Action) -> tuple[str, ...]:
    """What argparse may call an argument in a message."""
    return ("/".join(action.option_strings), str(action.metavar), action.dest)


def _options(parser: argparse.ArgumentParser) -> list[str]:
    """Every option of a parser and of its verbs."""
    found: list[str] = []
    for action in parser._actions:
        found += action.option_strings
        if isinstance(action.choices, dict):
            found += [option for verb in action.choices.values() for option in _options(verb)]
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = _forms_only(arguments)
    for name in ("stdout", "stderr"):
        # Closed by the caller; the exit code still counts.
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 (open to the end)
    try:
        options = _parser().parse_args(arguments)
        _no_empty_value(options, arguments)
        # Imported now: `bench --help` needs none of it.
        handler: Callable[[argparse.Namespace], int] = getattr(import_module("bench.verbs"), options.verb)
        return handler(options)
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
            from bench.verbs import print_json

            print_json(error.to_json())
        else:
            _say(f"error: {error}", "red")
    except OSError:
        _hush()
    _publish(error, options)
    return error.exit_code


def _publish(error: BenchError, options: argparse.Namespace) -> None:
    """Write every form of an error; one that cannot be written does not stop the next."""
    if getattr(options, "verb", "") in ("gate", "compare", "run"):
        from bench.publish import Forms, publish_error

        for form in Forms.of(options).each():
            try:
                publish_error(error, form)
            except (BenchError, OSError) as problem:
                _say(f"error: a form of this was not written: {problem}", "red")


def _say(text: str, style: str) -> None:
    from bench.terminal import say

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

    def verb(name: str, text: str, *, config: bool = True) -> argparse.ArgumentParser:
        made: argparse.ArgumentParser = verbs.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        made.set_defaults(verb=f"{name}_" if keyword.iskeyword(name) else name, json=False)
        if config:
            made.add_argument("--config", metavar="F", help="the config file (default: bench.toml)")
            made.add_argument("--suite", metavar="S", help="a suite of the config, or a path")
        return made

    one = verb("demo", "run the whole loop on the bundled suite, offline", config=False)
    one.add_argument("--out", metavar="DIR", default="reports/demo", help="where results go (default: reports/demo)")

    one = verb("init", "scaffold bench.toml, a suite and the workflow", config=False)
    one.add_argument("folder", metavar="DIR", nargs="?", default=".", help="the project (default: this folder)")
    one.add_argument("--from", dest="from_", metavar="FOLDER", help="text and Markdown files, cut into documents")
    one.add_argument("--name", metavar="N", help="the suite's name (default: that of FOLDER, or of the project)")
    one.add_argument(
        "--words", metavar="N", type=_positive, default=200, help="the most a document holds (default: 200)"
    )
    _json_option(one)

    one = verb("check", "look for what makes a suite lie", config=False)
    one.add_argument("suite", metavar="SUITE", help="a suite's folder, a BEIR folder, or a bundled suite's name")
    one.add_argument("--model", metavar="N", nargs="+", action="extend", help="was it trained on this? (asks mteb)")
    text = "where vectors may be stored that tell how far sets are apart; none is made (default: .bench)"
    one.add_argument("--store", metavar="DIR", default=".bench", help=text)
    _json_option(one)

    one = verb("import", "make a suite from data in another format", config=False)
    one.add_argument("kind", metavar="KIND", help="a file of bench/sources, such as beir, jsonl, trec, table")
    one.add_argument("source", metavar="SOURCE", help="a folder, a file, or a name that the kind knows")
    one.add_argument("--out", metavar="DIR", required=True, help="the suite's folder; new or empty")
    one.add_argument("--set", metavar="KEY=VALUE", nargs="+", action="extend", default=[], help="options of the kind")
    one.add_argument("--name", metavar="N", help="the suite's name (default: the source's)")
    text = "what a split is for (default: train, dev and test are train, dev and held-out)"
    one.add_argument("--role", metavar="SPLIT=ROLE", nargs="+", action="extend", default=[], help=text)
    text = "divide the queries anew, by what must stay together (default: the source's splits)"
    one.add_argument("--split", choices=["query", "document", "group", "time"], help=text)
    one.add_argument("--group-by", metavar="REGEX", help="the group in a query's or document's id; implies group")
    one.add_argument("--held-out", metavar="SHARE", type=float, default=0.15, help="default: 0.15")
    one.add_argument("--dev", metavar="SHARE", type=float, default=0.1, help="default: 0.1")
    one.add_argument("--held-out-from", metavar="TIME", help="by time: where held-out begins, instead of a share")
    one.add_argument("--dev-from", metavar="TIME", help="by time: where dev begins")
    one.add_argument("--share-documents", action="store_true", help="splits may be judged on the same documents")
    one.add_argument("--seed", metavar="N", type=int, default=0, help="another seed, another split (default: 0)")
    one.add_argument("--force", action="store_true", help="replace the suite that is there; keeps its other files")
    _json_option(one)

    one = verb("perturb", "copy a suite and add altered queries to it", config=False)
    one.add_argument("suite", metavar="SUITE", help="a suite's folder, a BEIR folder, or a bundled suite's name")
    one.add_argument("--query-set", metavar="Q", required=True, help="the evaluation set whose queries are altered")
    text = "typos, casing, keywords, abbreviations[=FILE], dictionary=FILE, python=module:function"
    one.add_argument("--with", dest="with_", metavar="T", action="append", required=True, help=text)
    one.add_argument("--seed", metavar="N", type=int, default=0, help="of what is left to chance (default: 0)")
    one.add_argument("--out", metavar="DIR", required=True, help="a new folder")
    _json_option(one)

    one = verb("run", "evaluate systems on suites")
    one.add_argument("--system", metavar="N", nargs="+", action="extend", help="only these systems")
    one.add_argument("--gated", action="store_true", help="only what the gate needs: its system, variants, ceilings")
    one.add_argument("--base-ref", metavar="REF", help="with --gated: suites, store and gate of this git ref")
    one.add_argument("--out", metavar="DIR", help="also write results: one file per system; gated.json with --gated")
    one.add_argument("--json-out", metavar="F", help="write the JSON document to a file; an error too")
    one.add_argument("--latency", action="store_true", help="also time single queries, systems side by side")
    _json_option(one)

    one = verb("measure", "measure a TREC run file", config=False)
    one.add_argument("--qrels", metavar="Q", required=True, help="judgements, TREC or BEIR")
    one.add_argument("--run", metavar="R", required=True, help="a TREC run file, plain or gzip")
    _measures_option(one)
    one.add_argument("--relevance-level", metavar="L", type=_positive, default=1, help="lowest relevant grade")
    one.add_argument("--depth", metavar="K", type=_positive, help="ranks that count (default: all)")
    one.add_argument("--per-query", action="store_true", help="every query's numbers too")
    _json_option(one)

    one = verb("compare", "compare two results, or two TREC runs with --qrels; informs, never fails")
    one.add_argument("baseline", metavar="A", help="baseline: a result file, a TREC run, or a system of the config")
    one.add_argument("candidate", metavar="B", help="candidate, likewise")
    one.add_argument("--qrels", metavar="Q", help="judgements, for TREC runs")
    _policy_options(one)
    _json_option(one)
    one.add_argument("--html", metavar="F", help="write a page")

    one = verb("gate", "judge stored results, or TREC runs, against the accepted baseline")
    one.add_argument("--system", metavar="N", help="the candidate (default: [gate] system)")
    one.add_argument("--baseline", metavar="F", help="the baseline file (default: the suite's baseline.json)")
    one.add_argument("--base-ref", metavar="REF", help="take baseline and rules from this git ref, such as origin/main")
    one.add_argument("--merge-base-result", metavar="F", nargs="+", action="extend", help="results of the merge base")
    one.add_argument("--candidate-result", metavar="F", help="a file of results instead of stored ones")
    one.add_argument("--after", metavar="F", help="JSON of the bench run before: where that failed, so does the gate")
    one.add_argument("--qrels", metavar="Q", help="judgements, for run files of any engine")
    one.add_argument("--baseline-run", metavar="A", help="TREC run of the baseline")
    one.add_argument("--candidate-run", metavar="B", help="TREC run of the candidate")
    one.add_argument("--on-inconclusive", choices=["warn", "block"], help="what an inconclusive cell does")
    text = "no verdict: how often this gate would err, from N draws of the queries (default: 2000)"
    one.add_argument("--calibrate", metavar="N", type=_positive, nargs="?", const=2_000, help=text)
    one.add_argument("--seed", metavar="N", type=int, default=0, help="of the draws of --calibrate (default: 0)")
    _policy_options(one)
    _json_option(one)
    for option, text in (
        ("--json-out", "write the JSON document to a file"),
        ("--junit", "write JUnit XML, one test case per rule"),
        ("--markdown", "write the verdict as Markdown, for a job summary"),
        ("--comment", "write the verdict as a short comment, for a pull request"),
        ("--metrics", "write the numbers as OpenMetrics, for GitLab"),
        ("--html", "write the verdict as a page"),
    ):
        one.add_argument(option, metavar="F", help=text)
    one.add_argument("--github", action="store_true", help="write job summary, step outputs and annotations too")
    one.add_argument("--private", action="store_true", help="no query or document texts in any of them")
    one.add_argument("--link", metavar="URL", help="where the page will be found; for the comment")
    one.add_argument("--comment-key", metavar="K", help="tells apart several gates on one pull request")

    one = verb("comment", "write or change the gate's one comment on a pull request", config=False)
    one.add_argument("file", metavar="F", help="written by bench gate --comment")
    one.add_argument("--pr", metavar="N", type=_positive, help="the pull request (default: the job's own)")
    one.add_argument("--repo", metavar="R", help="owner/name (default: GITHUB_REPOSITORY)")
    one.add_argument("--author", metavar="A", default="github-actions[bot]", help="whose comment may be changed")

    one = verb("baseline", "accept, show or list baselines")
    one.add_argument("action", choices=["accept", "show", "list"], help="what to do")
    one.add_argument("--system", metavar="N", help="the system to accept (default: [gate] system)")
    one.add_argument("--reason", metavar="TEXT", default="", help="why; required to accept")
    one.add_argument("--baseline", metavar="F", help="the baseline file (default: the suite's baseline.json)")
    one.add_argument("--allow-worse", action="store_true", help="accept a failing or inconclusive candidate")
    _json_option(one)

    one = verb("mine", "mine hard negatives for the training queries")
    one.add_argument("--from", dest="from_", metavar="N", nargs="+", required=True, help="systems that rank candidates")
    one.add_argument("--query-set", metavar="N", nargs="+", help="training sets (default: all of role train)")
    one.add_argument("--per-query", metavar="K", type=_positive, default=1, help="negatives per query (default: 1)")
    one.add_argument("--depth", metavar="K", type=_positive, default=50, help="ranks looked at (default: 50)")
    one.add_argument(
        "--relative-margin", metavar="M", type=float, default=0.05, help="distance from the weakest positive"
    )
    one.add_argument("--seed", metavar="N", type=int, default=0, help="for what is filled up at random (default: 0)")
    one.add_argument("--out", metavar="F", default="negatives.jsonl", help="default: negatives.jsonl")
    _json_option(one)

    one = verb("finetune", "train what a recipe of the config says")
    one.add_argument("name", metavar="NAME", help="the recipe")
    one.add_argument("--seed", metavar="N", type=int, nargs="+", help="instead of the recipe's seeds")
    _json_option(one)

    one = verb("report", "write the model-comparison report from stored results")
    one.add_argument("--reference", metavar="N", help="the system that others are compared with")
    one.add_argument("--private", action="store_true", help="no query or document texts in the page")
    one.add_argument("--out", metavar="F", help="default: reports/SUITE.html")
    _json_option(one)

    one = verb("export", "write a suite or stored results in another program's format")
    one.add_argument("kind", choices=["beir", "mteb-results", "model-card"], help="the format")
    one.add_argument("--out", metavar="PATH", required=True, help="a folder; a model card's file")
    one.add_argument("--system", metavar="N", help="whose results (default: [gate] system)")
    one.add_argument("--model-name", metavar="M", help="what it is called there (default: the system's name)")
    one.add_argument("--query-set", metavar="N", nargs="+", help="only these, in a BEIR folder (default: all)")
    _json_option(one)

    one = verb("doctor", "say what is installed and what is not", config=False)
    one.add_argument("--config", metavar="F", help="the config file (default: bench.toml)")
    _json_option(one)
    return parser


def _positive(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f'"{text}" is not a whole number above 0')
    return value


def _json_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")


def _measures_option(parser: argparse.ArgumentParser) -> None:
    # One value at a time: taking several, it would swallow the two names of `bench compare`.
    text = "such as ndcg@10; repeated or separated by commas"
    parser.add_argument("--measures", metavar="M", action="append", help=text)


def _policy_options(parser: argparse.ArgumentParser) -> None:
    _measures_option(parser)
    parser.add_argument("--margin", metavar="M", type=float, help="the drop that is tolerated (default: 0.02)")
    parser.add_argument("--alpha", metavar="A", type=float, help="one-sided error rate (default: 0.05)")


if __name__ == "__main__":
    sys.exit(main())
