"""Show results over time: trends, accepted baselines, steps."""

from __future__ import annotations

from pathlib import Path

from bench.cli.parser import Answer, Namespace, Parser, Progress, below, flat, keywords


def options(parser: Parser) -> None:
    parser.option("--config", "F", "the config file (default: bench.toml)")
    parser.option("--log", "F", "the history log (default: the config's)")
    parser.option("--suite", "S", "only this suite, by name")
    parser.names("--system", "N", "only these systems")
    parser.names("--measure", "M", "only these measures")
    parser.option("--since", "DATE", "only results of this day or later, such as 2026-01-31")
    parser.option("--alpha", "A", "error rate of all steps together (default: 0.05)", type=below(0.5), default=0.05)
    parser.forms("html")
    parser.json()


def run(options: Namespace, progress: Progress) -> Answer:
    from bench.project.api import open_project
    from bench.project.history import over_time

    log = Path(options.log) if options.log else open_project(options.config).workspace.history
    settings = keywords(options, "suite", "since", "alpha")
    return over_time(log, systems=flat(options.system), measures=flat(options.measure), **settings)
