"""A copy of a suite with altered queries beside the others."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.verbs._options import json_option

if TYPE_CHECKING:
    from bench.base.progress import Progress
    from bench.project.answers import Answer

HELP = "copy a suite and add altered queries to it"


def options(parser: ArgumentParser) -> None:
    """What it takes."""
    parser.add_argument("suite", metavar="SUITE", help="a suite's folder, a BEIR folder, or a bundled suite's name")
    parser.add_argument("--query-set", metavar="Q", required=True, help="the evaluation set whose queries are altered")
    text = "typos, casing, keywords, abbreviations[=FILE], dictionary=FILE, python=module:function"
    parser.add_argument("--with", dest="with_", metavar="T", action="append", required=True, help=text)
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="of what is left to chance (default: 0)")
    parser.add_argument("--out", metavar="DIR", required=True, help="a new folder")
    json_option(parser)


def run(options: Namespace, told: Progress) -> Answer:
    """A copy of a suite with altered queries beside the others."""
    from bench.project.suites import perturbed

    return perturbed(
        options.suite,
        Path(options.out),
        query_set=options.query_set,
        transformations=options.with_,
        seed=options.seed,
    )
