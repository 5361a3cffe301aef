"""What to do about retrieval, with evidence and cost."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from bench.cli.verbs._options import config_options, form_options, json_option

if TYPE_CHECKING:
    from bench.base.progress import Progress
    from bench.project.answers import Answer

HELP = "what to do: leave it, hybrid, rerank or fine-tune, with evidence and cost"


def options(parser: ArgumentParser) -> None:
    """What it takes."""
    config_options(parser)
    text = "the system in use (default: [decide] current, else the accepted baseline's)"
    parser.add_argument("--current", metavar="N", help=text)
    form_options(parser, "html", "markdown")
    parser.add_argument("--private", action="store_true", help="no words of the documents in any form")
    json_option(parser)


def run(options: Namespace, told: Progress) -> Answer:
    """What to do about retrieval, from stored results; informs, so never fails."""
    from bench.project.api import open_project

    return open_project(options.config).decide(current=options.current, suite=options.suite, private=options.private)
