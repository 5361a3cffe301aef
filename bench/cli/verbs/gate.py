"""The verdict; its exit code."""

from __future__ import annotations

import shlex
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.base.errors import BenchError, UsageError
from bench.cli.verbs._options import config_options, form_options, json_option, policy_changes, policy_options, positive

if TYPE_CHECKING:
    from bench.base.progress import Progress
    from bench.project.answers import Answer, Judged

HELP = "judge stored results, or TREC runs, against the accepted baseline"


def options(parser: ArgumentParser) -> None:
    """What it takes."""
    config_options(parser)
    parser.add_argument("--system", metavar="N", help="the candidate (default: [gate] system)")
    parser.add_argument("--baseline", metavar="F", help="the baseline file (default: the suite's baseline.json)")
    parser.add_argument(
        "--base-ref", metavar="REF", help="take baseline and rules from this git ref, such as origin/main"
    )
    parser.add_argument(
        "--merge-base-result", metavar="F", nargs="+", action="extend", help="results of the merge base"
    )
    parser.add_argument("--candidate-result", metavar="F", help="a file of results instead of stored ones")
    parser.add_argument(
        "--after", metavar="F", help="JSON of the bench run before: where that failed, so does the gate"
    )
    parser.add_argument("--qrels", metavar="Q", help="judgements, for run files of any engine")
    parser.add_argument("--baseline-run", metavar="A", help="TREC run of the baseline")
    parser.add_argument("--candidate-run", metavar="B", help="TREC run of the candidate")
    parser.add_argument("--on-inconclusive", choices=["warn", "block"], help="what an inconclusive cell does")
    text = "no verdict: how often this gate would err, from N draws of the queries (default: 2000)"
    parser.add_argument("--calibrate", metavar="N", type=positive, nargs="?", const=2_000, help=text)
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="of the draws of --calibrate (default: 0)")
    policy_options(parser)
    json_option(parser)
    form_options(parser, "json-out", "junit", "markdown", "comment", "metrics", "html")
    parser.add_argument("--github", action="store_true", help="write job summary, step outputs and annotations too")
    parser.add_argument("--private", action="store_true", help="no query or document texts in any of them")
    parser.add_argument("--link", metavar="URL", help="where the page will be found; for the comment")
    parser.add_argument("--comment-key", metavar="K", help="tells apart several gates on one pull request")


def run(options: Namespace, told: Progress) -> Answer:
    """The verdict, or how often the gate would err."""
    from bench.project.api import calibrate

    if options.after:
        _raise_again(Path(options.after))
    judged = _runs(options) if options.qrels or options.baseline_run or options.candidate_run else _stored(options)
    if not options.calibrate:
        return judged
    for option in ("json_out", "junit", "markdown", "html", "comment", "metrics", "github"):
        if getattr(options, option):
            named = option.replace("_", "-")
            raise UsageError(f"bench gate: --{named} writes a verdict and --calibrate draws none; leave one out.")
    return calibrate(judged, repetitions=options.calibrate, seed=options.seed, progress=told)


def _runs(options: Namespace) -> Judged:
    from bench.project.compare import judged_runs

    if not (options.qrels and options.baseline_run and options.candidate_run):
        raise UsageError("bench gate: --qrels, --baseline-run and --candidate-run go together.")
    for option in ("system", "suite", "baseline", "base_ref", "merge_base_result", "candidate_result"):
        if getattr(options, option):
            flag = option.replace("_", "-")
            raise UsageError(f"bench gate: --{flag} belongs to stored results, not to run files; leave it out.")
    return judged_runs(
        options.baseline_run,
        options.candidate_run,
        options.qrels,
        config=options.config,
        commands=_commands(options),
        private=options.private,
        **policy_changes(options),
    )


def _stored(options: Namespace) -> Judged:
    from bench.project.api import open_project

    return open_project(options.config, base_ref=options.base_ref).gate(
        options.system,
        suite=options.suite,
        baseline=options.baseline,
        merge_base=options.merge_base_result or (),
        candidate=options.candidate_result,
        commands=["bench run --gated", *_commands(options)],
        private=options.private,
        # Costs are not drawn anew, and may not have been measured.
        ceilings=not options.calibrate,
        **policy_changes(options),
    )


def _commands(options: Namespace) -> list[str]:
    """The line that comes to the same verdict."""
    names = ["config", "suite", "system", "baseline", "base_ref", "candidate_result"]
    line = ["bench", "gate"]
    for name in [*names, "qrels", "baseline_run", "candidate_run"]:
        value = getattr(options, name)
        line += [f"--{name.replace('_', '-')}", str(value)] if value else []
    return [shlex.join(line)]


def _raise_again(path: Path) -> None:
    """Raise what a `bench run` before this failed with; nothing where it did not fail.

    Raises:
        BenchError: the same sentence, code and exit code.
        UsageError: no document of such a run.
    """
    from bench.base.store import read_json

    try:
        document = read_json(path)
    except BenchError as error:
        raise UsageError(f"{error} Expected what bench run --json-out wrote; was the run killed?") from None
    if not isinstance(document, dict) or not {"error", "results"} & document.keys():
        raise UsageError(f"{path} is not the JSON of a bench run; expected what bench run --json-out wrote.")
    failed = document.get("error")
    if failed is None and not document.get("results"):
        raise UsageError(f"{path} holds no result: the run before this measured nothing. Name a system: --system N")
    if failed is not None:
        failed = failed if isinstance(failed, dict) else {"message": failed}
        again = BenchError(f"bench run failed before: {failed.get('message')}")
        again.code, again.exit_code = str(failed.get("code")), 4 if document.get("exit_code") == 4 else 2
        raise again
