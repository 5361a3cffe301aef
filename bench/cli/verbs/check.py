"""Findings of a suite; 2 where one is an error."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from bench.cli.verbs._options import json_option

if TYPE_CHECKING:
    from bench.base.progress import Progress
    from bench.project.answers import Answer

HELP = "look for what makes a suite lie"


def options(parser: ArgumentParser) -> None:
    """What it takes."""
    parser.add_argument("suite", metavar="SUITE", help="a suite's folder, a BEIR folder, or a bundled suite's name")
    parser.add_argument("--model", metavar="N", nargs="+", action="extend", help="was it trained on this? (asks mteb)")
    text = "where vectors may be stored that tell how far sets are apart; none is made (default: .bench)"
    parser.add_argument("--store", metavar="DIR", default=".bench", help=text)
    json_option(parser)


def run(options: Namespace, told: Progress) -> Answer:
    """Findings of a suite; 2 where one is an error."""
    from bench.project.suites import checked

    return checked(options.suite, models=options.model or (), store=options.store, progress=told)
