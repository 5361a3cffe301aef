"""Copy a suite and add altered queries to it."""

from __future__ import annotations

from pathlib import Path

from bench.cli.parser import Answer, Namespace, Parser, Progress


def options(parser: Parser) -> None:
    parser.option("suite", "SUITE", "a suite's folder, a BEIR folder, or a bundled suite's name")
    parser.option("--query-set", "Q", "the evaluation set whose queries are altered", required=True)
    text = "typos, casing, keywords, abbreviations[=FILE], dictionary=FILE, python=module:function"
    parser.option("--with", "T", text, dest="with_", action="append", required=True)
    parser.option("--seed", "N", "random seed (default: 0)", type=int, default=0)
    parser.option("--out", "DIR", "a new folder", required=True)
    parser.json()


def run(options: Namespace, progress: Progress) -> Answer:
    from bench.project.suites import perturbed

    out, query_set = Path(options.out), options.query_set
    return perturbed(options.suite, out, query_set=query_set, transformations=options.with_, seed=options.seed)
