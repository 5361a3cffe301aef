"""Measure a TREC run file."""

from __future__ import annotations

from bench.cli.parser import Answer, Namespace, Parser, Progress, keywords, positive


def options(parser: Parser) -> None:
    parser.option("--qrels", "Q", "judgements, TREC or BEIR", required=True)
    parser.option("--run", "R", "a TREC run file, plain or gzip", required=True)
    parser.measures()
    parser.option("--relevance-level", "L", "lowest relevant grade (default: 1)", type=positive, default=1)
    parser.option("--depth", "K", "ranks that count (default: all)", type=positive)
    parser.flag("--per-query", "every query's numbers too")
    parser.json()


def run(options: Namespace, progress: Progress) -> Answer:
    from bench.project.api import measure

    settings = keywords(options, "depth", "relevance_level", "per_query")
    return measure(options.run, options.qrels, options.measures, **settings)
