"""The comparison report from stored results."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from bench.cli.verbs._options import config_options, json_option

if TYPE_CHECKING:
    from bench.base.progress import Progress
    from bench.project.answers import Answer

HELP = "write the model-comparison report from stored results"


def options(parser: ArgumentParser) -> None:
    """What it takes."""
    config_options(parser)
    parser.add_argument("--reference", metavar="N", help="the system that others are compared with")
    parser.add_argument("--private", action="store_true", help="no query or document texts in any of the forms")
    parser.add_argument("--out", metavar="F", help="the page; default: reports/SUITE.html")
    # Not `form_options`: on an error, an old report may stay.
    parser.add_argument(
        "--markdown", dest="as_markdown", metavar="F", help="write the same as Markdown, without charts"
    )
    parser.add_argument("--latex", metavar="F", help="write every table for LaTeX, with booktabs")
    json_option(parser)


def run(options: Namespace, told: Progress) -> Answer:
    """The comparison report from stored results."""
    from bench.project.api import open_project

    return open_project(options.config).report(
        options.out,
        suite=options.suite,
        reference=options.reference,
        private=options.private,
        markdown=options.as_markdown,
        latex=options.latex,
    )
