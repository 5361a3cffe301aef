"""One TREC run against judgements."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from bench.cli.verbs._options import json_option, measures_option, positive

if TYPE_CHECKING:
    from bench.base.progress import Progress
    from bench.project.answers import Answer

HELP = "measure a TREC run file"


def options(parser: ArgumentParser) -> None:
    """What it takes."""
    parser.add_argument("--qrels", metavar="Q", required=True, help="judgements, TREC or BEIR")
    parser.add_argument("--run", metavar="R", required=True, help="a TREC run file, plain or gzip")
    measures_option(parser)
    parser.add_argument("--relevance-level", metavar="L", type=positive, default=1, help="lowest relevant grade")
    parser.add_argument("--depth", metavar="K", type=positive, help="ranks that count (default: all)")
    parser.add_argument("--per-query", action="store_true", help="every query's numbers too")
    json_option(parser)


def run(options: Namespace, told: Progress) -> Answer:
    """One TREC run against judgements."""
    from bench.project.api import measure

    return measure(
        options.run,
        options.qrels,
        options.measures,
        depth=options.depth,
        relevance_level=options.relevance_level,
        per_query=options.per_query,
    )
