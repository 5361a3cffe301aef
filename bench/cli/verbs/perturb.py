"""A copy of a suite with altered queries beside the others."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from bench.cli.verbs._options import json_option, print_json

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


def run(options: Namespace) -> int:
    """A copy of a suite with altered queries beside the others."""
    from bench.report.forms import terminal
    from bench.suites import suite
    from bench.suites.perturb import parse_transformations, perturb_suite

    made = perturb_suite(
        suite.find(options.suite),
        Path(options.out),
        query_set=options.query_set,
        transformations=parse_transformations(options.with_),
        seed=options.seed,
    )
    if options.json:
        print_json({"format": 1, "suite": options.out, "query_sets": [one.to_json() for one in made]})
        return 0
    rows = [[one.query_set, one.transformation, str(one.n_queries), str(one.unchanged)] for one in made]
    terminal.table(["query set", "transformation", "queries", "unchanged"], rows, title=options.out, left=2)
    terminal.say(f"Look at some of them, then: bench check {options.out}")
    return 0
