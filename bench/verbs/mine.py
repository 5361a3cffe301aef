"""Hard negatives as a JSON-lines file."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from pathlib import Path

from bench.verbs._options import config_options, flat, json_option, positive, print_json

__all__ = ["HELP", "options", "run"]

HELP = "mine hard negatives for the training queries"


def options(parser: ArgumentParser) -> None:
    """What it takes."""
    config_options(parser)
    parser.add_argument(
        "--from", dest="from_", metavar="N", nargs="+", required=True, help="systems that rank candidates"
    )
    parser.add_argument("--query-set", metavar="N", nargs="+", help="training sets (default: all of role train)")
    parser.add_argument("--per-query", metavar="K", type=positive, default=1, help="negatives per query (default: 1)")
    parser.add_argument("--depth", metavar="K", type=positive, default=50, help="ranks looked at (default: 50)")
    parser.add_argument(
        "--relative-margin", metavar="M", type=float, default=0.05, help="distance from the weakest positive"
    )
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="for what is filled up at random (default: 0)")
    parser.add_argument("--out", metavar="F", default="negatives.jsonl", help="default: negatives.jsonl")
    json_option(parser)


def run(options: Namespace) -> int:
    """Hard negatives as a JSON-lines file."""
    from bench import terminal
    from bench.config import NegativesConfig
    from bench.store import write_text
    from bench.train.mine import mine
    from bench.train.pairs import from_suite
    from bench.workspace import Workspace

    workspace = Workspace.open(options.config)
    suite = workspace.suite(options.suite)
    settings = NegativesConfig.model_validate(
        {
            "from": flat(options.from_),
            "per_query": options.per_query,
            "depth": options.depth,
            "relative_margin": options.relative_margin,
        }
    )
    with terminal.progress(quiet=options.json) as told:
        evaluator = workspace.evaluator(suite, settings.from_, progress=told)
        pairs = from_suite(suite, options.query_set)
        negatives = mine(evaluator, pairs, settings, seed=options.seed, progress=told)
    lines = []
    for pair in pairs.pairs:
        corpus = suite.corpora[pair.corpus]
        ids = negatives.doc_ids[pair.key]
        row = {
            "query_id": pair.query_id,
            "query": pair.query,
            "positive_id": pair.doc_id,
            "positive": pair.document,
            "negative_ids": list(ids),
            "negatives": [corpus.texts[corpus.row_of[doc_id]] for doc_id in ids],
        }
        lines.append(json.dumps(row, ensure_ascii=False) + "\n")
    write_text(Path(options.out), "".join(lines))
    report = negatives.report.to_json()
    if options.json:
        print_json({"format": 1, "rows": len(lines), "out": options.out, "mining": report})
    else:
        rows = [[key.replace("_", " "), str(value)] for key, value in report.items() if isinstance(value, int)]
        rows += [[f"taken from {name}", str(count)] for name, count in report["from_system"].items()]
        terminal.table(["mining", "count"], rows)
        terminal.say(f"{len(lines)} triples in {options.out}")
    return 0
