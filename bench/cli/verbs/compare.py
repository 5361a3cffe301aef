"""Two results or runs; informs, so never fails."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from bench.base.errors import UsageError
from bench.cli.verbs._options import config_options, json_option, policy_options
from bench.cli.verbs._verdicts import file_policy, results_of_name, say_verdict, trec_results

HELP = "compare two results, or two TREC runs with --qrels; informs, never fails"


def options(parser: ArgumentParser) -> None:
    """What it takes."""
    config_options(parser)
    parser.add_argument("baseline", metavar="A", help="baseline: a result file, a TREC run, or a system of the config")
    parser.add_argument("candidate", metavar="B", help="candidate, likewise")
    parser.add_argument("--qrels", metavar="Q", help="judgements, for TREC runs")
    policy_options(parser)
    json_option(parser)
    parser.add_argument("--html", metavar="F", help="write a page")
    parser.add_argument("--markdown", metavar="F", help="write the verdict as Markdown")


def run(options: Namespace) -> int:
    """Two results or runs; informs, so never fails."""
    from bench.gate.verdict import judge

    policy, notes = file_policy(options)
    qrels = None
    if options.qrels:
        before, after, qrels = trec_results(options, Path(options.baseline), Path(options.candidate), policy)
    else:
        before, after = results_of_name(options.baseline, options), results_of_name(options.candidate, options)
        names = {result.query_set for result in before} & {result.query_set for result in after}
        if not names:
            raise UsageError(f"{options.baseline} and {options.candidate} share no query set; nothing to compare.")
        before = [result for result in before if result.query_set in names]
        after = [result for result in after if result.query_set in names]
    say_verdict(judge(before, after, policy, findings=notes), options, [*before, *after], qrels=qrels)
    return 0
