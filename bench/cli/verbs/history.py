"""Results over time: trends, accepted baselines, steps."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.verbs._options import below, flat, form_options, json_option

if TYPE_CHECKING:
    from bench.base.progress import Progress
    from bench.project.answers import Answer

HELP = "show results over time: trends, accepted baselines, steps"


def options(parser: ArgumentParser) -> None:
    """What it takes."""
    parser.add_argument("--config", metavar="F", help="the config file (default: bench.toml)")
    parser.add_argument("--log", metavar="F", help="the history log (default: the config's)")
    parser.add_argument("--suite", metavar="S", help="only this suite, by name")
    parser.add_argument("--system", metavar="N", nargs="+", action="extend", help="only these systems")
    parser.add_argument("--measure", metavar="M", nargs="+", action="extend", help="only these measures")
    parser.add_argument("--since", metavar="DATE", help="only what is not older, such as 2026-01-31")
    parser.add_argument(
        "--alpha", metavar="A", type=below(0.5), default=0.05, help="error rate of all steps (default: 0.05)"
    )
    form_options(parser, "html")
    json_option(parser)


def run(options: Namespace, told: Progress) -> Answer:
    """Results over time; informs, so never fails."""
    from bench.project.api import open_project
    from bench.project.history import over_time

    log = Path(options.log) if options.log else open_project(options.config).workspace.history
    return over_time(
        log,
        suite=options.suite,
        systems=flat(options.system),
        measures=flat(options.measure),
        since=options.since,
        alpha=options.alpha,
    )
