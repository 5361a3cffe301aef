"""The verdict; its exit code."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.base.errors import BenchError, UsageError
from bench.cli.verbs._options import config_options, json_option, policy_options, positive, print_json
from bench.cli.verbs._verdicts import file_policy, say_verdict, trec_results, with_options

if TYPE_CHECKING:
    from bench.records import Policy, Result

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
    for option, text in (
        ("--json-out", "write the JSON document to a file"),
        ("--junit", "write JUnit XML, one test case per rule"),
        ("--markdown", "write the verdict as Markdown, for a job summary"),
        ("--comment", "write the verdict as a short comment, for a pull request"),
        ("--metrics", "write the numbers as OpenMetrics, for GitLab"),
        ("--html", "write the verdict as a page"),
    ):
        parser.add_argument(option, metavar="F", help=text)
    parser.add_argument("--github", action="store_true", help="write job summary, step outputs and annotations too")
    parser.add_argument("--private", action="store_true", help="no query or document texts in any of them")
    parser.add_argument("--link", metavar="URL", help="where the page will be found; for the comment")
    parser.add_argument("--comment-key", metavar="K", help="tells apart several gates on one pull request")


def run(options: Namespace) -> int:
    """The verdict; its exit code."""
    from dataclasses import replace

    from bench.gate.verdict import judge, same_file

    if options.after:
        _raise_again(Path(options.after))
    if options.qrels or options.baseline_run or options.candidate_run:
        if not (options.qrels and options.baseline_run and options.candidate_run):
            raise UsageError("bench gate: --qrels, --baseline-run and --candidate-run go together.")
        for option in ("system", "suite", "baseline", "base_ref", "merge_base_result", "candidate_result"):
            if getattr(options, option):
                flag = option.replace("_", "-")
                raise UsageError(f"bench gate: --{flag} belongs to stored results, not to run files; leave it out.")
        policy, notes = file_policy(options)
        before, after, qrels = trec_results(options, Path(options.baseline_run), Path(options.candidate_run), policy)
        if options.calibrate:
            return _calibrated(before, after, policy, options)
        notes += same_file(Path(options.baseline_run), Path(options.candidate_run))
        verdict = judge(before, after, policy, findings=notes)
        say_verdict(verdict, options, [*before, *after], qrels=qrels)
        return verdict.exit_code
    from bench.project.gate import judged
    from bench.project.workspace import Workspace

    workspace = Workspace.open(options.config, base_ref=options.base_ref)
    found = judged(
        workspace,
        workspace.suite(options.suite),
        system=options.system,
        baseline=Path(options.baseline) if options.baseline else None,
        merge_base=[Path(path) for path in options.merge_base_result or ()],
        candidate=Path(options.candidate_result) if options.candidate_result else None,
        # What is drawn anew is rankings, not costs.
        changed=lambda policy: with_options(replace(policy, ceilings=()) if options.calibrate else policy, options),
    )
    if options.calibrate:
        return _calibrated(found.baseline, found.candidate, found.verdict.policy, options)
    everything = [*found.baseline, *found.merge_base, *found.candidate]
    place = None
    if options.github and options.base_ref:
        from bench.report.forms.github import touched

        place = touched(workspace.path, options.base_ref, workspace.tables(found.verdict.candidate))
    say_verdict(found.verdict, options, everything, found.suite, place=place)
    return found.verdict.exit_code


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


def _calibrated(before: Sequence[Result], after: Sequence[Result], policy: Policy, options: Namespace) -> int:
    """Error rates of the gate in place of a verdict; files asked for a verdict are refused."""
    from bench.gate.calibration import calibrate
    from bench.report.forms import terminal

    for option in ("json_out", "junit", "markdown", "html", "comment", "metrics", "github"):
        if getattr(options, option):
            named = option.replace("_", "-")
            raise UsageError(f"bench gate: --{named} writes a verdict and --calibrate draws none; leave one out.")
    with terminal.progress(quiet=options.json) as told:
        found = calibrate(before, after, policy, repetitions=options.calibrate, seed=options.seed, progress=told)
    if options.json:
        print_json(found.to_json())
    else:
        terminal.calibration(found)
    return 0
