"""Judge stored results, or TREC runs, against the accepted baseline."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from bench.base.errors import BenchError, UsageError
from bench.cli.parser import Answer, Namespace, Parser, Progress, keywords, policy_changes, positive

if TYPE_CHECKING:
    from bench.project.answers import Judged


def options(parser: Parser) -> None:
    parser.config()
    parser.option("--system", "N", "the candidate (default: [gate] system)")
    parser.option("--baseline", "F", "the baseline file (default: the suite's baseline.json)")
    parser.option("--base-ref", "REF", "take baseline and rules from this git ref, such as origin/main")
    parser.names("--merge-base-result", "F", "results of the merge base")
    parser.option("--candidate-result", "F", "a file of results instead of stored ones")
    parser.option("--after", "F", "JSON document of the preceding bench run: if that run failed, the gate fails too")
    parser.option("--qrels", "Q", "judgements, for run files of any engine")
    parser.option("--baseline-run", "A", "TREC run of the baseline")
    parser.option("--candidate-run", "B", "TREC run of the candidate")
    parser.add_argument("--on-inconclusive", choices=["warn", "block"], help="what an inconclusive result does")
    text = "no verdict: how often this gate would err, from N draws of the queries (default: 2000)"
    parser.option("--calibrate", "N", text, type=positive, nargs="?", const=2_000)
    parser.option("--seed", "N", "random seed of --calibrate (default: 0)", type=int, default=0)
    parser.policy()
    parser.json()
    parser.forms("json-out", "junit", "markdown", "comment", "metrics", "html")
    parser.flag("--github", "write job summary, step outputs and annotations too")
    parser.flag("--private", "no query or document texts in any of these")
    parser.option("--link", "URL", "address of the page, for the comment")
    parser.option("--comment-key", "K", "tells apart several gates on one pull request")


def run(options: Namespace, progress: Progress) -> Answer:
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
    return calibrate(judged, repetitions=options.calibrate, seed=options.seed, progress=progress)


def _runs(options: Namespace) -> Judged:
    from bench.project.compare import judged_runs

    if not (options.qrels and options.baseline_run and options.candidate_run):
        raise UsageError("bench gate: --qrels, --baseline-run and --candidate-run go together.")
    for option in ("system", "suite", "baseline", "base_ref", "merge_base_result", "candidate_result"):
        if getattr(options, option):
            flag = option.replace("_", "-")
            raise UsageError(f"bench gate: --{flag} belongs to stored results, not to run files; leave it out.")
    runs = (options.baseline_run, options.candidate_run, options.qrels)
    settings = keywords(options, "config", "private") | policy_changes(options)
    return judged_runs(*runs, commands=_commands(options), **settings)


def _stored(options: Namespace) -> Judged:
    from bench.project.api import open_project

    return open_project(options.config, base_ref=options.base_ref).gate(
        merge_base=options.merge_base_result or (),
        candidate=options.candidate_result,
        commands=["bench run --gated", *_commands(options)],
        # A calibration draws queries, not costs, and these may not have been measured.
        ceilings=not options.calibrate,
        **keywords(options, "system", "suite", "baseline", "private"),
        **policy_changes(options),
    )


def _commands(options: Namespace) -> list[str]:
    """The command line that gives the same verdict."""
    line = ["bench", "gate"]
    stored = ("config", "suite", "system", "baseline", "base_ref", "candidate_result")
    for name in (*stored, "qrels", "baseline_run", "candidate_run"):
        value = getattr(options, name)
        line += [f"--{name.replace('_', '-')}", str(value)] if value else []
    return [shlex.join(line)]


def _raise_again(path: Path) -> None:
    """Raise the error of the `bench run` before; return where it did not fail.

    Raises:
        BenchError: the same sentence, code and exit code.
        UsageError: the file is no document of such a run.
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
