"""Two results or runs; informs, so never fails."""

from __future__ import annotations

import shlex
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from bench.cli.verbs._options import config_options, form_options, json_option, policy_changes, policy_options

if TYPE_CHECKING:
    from bench.base.progress import Progress
    from bench.project.answers import Answer

HELP = "compare two results, or two TREC runs with --qrels; informs, never fails"


def options(parser: ArgumentParser) -> None:
    """What it takes."""
    config_options(parser)
    parser.add_argument("baseline", metavar="A", help="baseline: a result file, a TREC run, or a system of the config")
    parser.add_argument("candidate", metavar="B", help="candidate, likewise")
    parser.add_argument("--qrels", metavar="Q", help="judgements, for TREC runs")
    policy_options(parser)
    json_option(parser)
    form_options(parser, "html", "markdown")


def run(options: Namespace, told: Progress) -> Answer:
    """Two results or runs; informs, so never fails."""
    from bench.project.api import compare

    line = ["bench", "compare", options.baseline, options.candidate]
    for name in ("qrels", "config", "suite"):
        line += [f"--{name}", getattr(options, name)] if getattr(options, name) else []
    return compare(
        options.baseline,
        options.candidate,
        qrels=options.qrels,
        config=options.config,
        suite=options.suite,
        commands=[shlex.join(line)],
        **policy_changes(options),
    )
