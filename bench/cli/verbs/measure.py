"""One TREC run against judgements."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from bench.cli.verbs._options import json_option, measures_option, positive, print_json

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


def run(options: Namespace) -> int:
    """One TREC run against judgements."""
    from bench.base.files.judgements import read_qrels
    from bench.evaluation.measure import measure
    from bench.records.measures import parse_list
    from bench.records.run_files import read_run
    from bench.report.forms import terminal

    measures = parse_list(options.measures)
    qrels = read_qrels(Path(options.qrels))
    run = read_run(Path(options.run))
    scores = measure(run, qrels, measures, depth=options.depth, relevance_level=options.relevance_level)
    ignored = sum(query_id not in qrels for query_id in run.query_ids)
    if options.json:
        document: dict[str, Any] = {
            "format": 1,
            "n_queries": len(scores.query_ids),
            "measures": scores.means(),
            "missing_queries": len(scores.missing),
            "ignored_queries": ignored,
            "queries_without_positives": scores.left_out,
            "judged@10": float(scores.judged.mean()),
            "tie_spread": dict(scores.tie_spread),
        }
        if options.per_query:
            document["per_query"] = {
                query_id: dict(zip(scores.measures, row, strict=True))
                for query_id, row in zip(scores.query_ids, scores.values.tolist(), strict=True)
            }
        print_json(document)
        return 0
    rows = [[name, f"{value:.4f}"] for name, value in scores.means().items()]
    if options.per_query:
        per_query = [[q, *(f"{v:.4f}" for v in row)] for q, row in zip(scores.query_ids, scores.values, strict=True)]
        terminal.table(["query", *scores.measures], per_query)
    terminal.table(["measure", "mean"], rows, title=f"{run.system}, {len(scores.query_ids)} queries")
    for count, text in (
        (len(scores.missing), "judged queries are missing from the run and count 0"),
        (ignored, "queries of the run have no judgement and are ignored"),
        (scores.left_out, "judged queries have no relevant document and are left out"),
    ):
        if count:
            terminal.say(f"{count} {text}.", "yellow")
    return 0
