"""Compare two results, or two TREC runs with --qrels; informs, never fails."""

from __future__ import annotations

import shlex

from bench.cli.parser import Answer, Namespace, Parser, Progress, keywords, policy_changes


def options(parser: Parser) -> None:
    parser.config()
    parser.option("baseline", "A", "baseline: a result file, a TREC run, or a system of the config")
    parser.option("candidate", "B", "candidate, likewise")
    parser.option("--qrels", "Q", "judgements, for TREC runs")
    parser.policy()
    parser.json()
    parser.forms("html", "markdown")


def run(options: Namespace, progress: Progress) -> Answer:
    from bench.project.api import compare

    line = ["bench", "compare", options.baseline, options.candidate]
    for name in ("qrels", "config", "suite"):
        line += [f"--{name}", getattr(options, name)] if getattr(options, name) else []
    settings = keywords(options, "qrels", "config", "suite") | policy_changes(options)
    return compare(options.baseline, options.candidate, commands=[shlex.join(line)], **settings)
