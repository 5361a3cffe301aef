"""A suite from data in another format."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from bench.errors import UsageError
from bench.verbs._options import json_option, name_values, print_json

__all__ = ["HELP", "options", "run"]

HELP = "make a suite from data in another format"


def options(parser: ArgumentParser) -> None:
    """What it takes."""
    parser.add_argument("kind", metavar="KIND", help="a file of bench/sources, such as beir, jsonl, trec, table")
    parser.add_argument("source", metavar="SOURCE", help="a folder, a file, or a name that the kind knows")
    parser.add_argument("--out", metavar="DIR", required=True, help="the suite's folder; new or empty")
    parser.add_argument(
        "--set", metavar="KEY=VALUE", nargs="+", action="extend", default=[], help="options of the kind"
    )
    parser.add_argument("--name", metavar="N", help="the suite's name (default: the source's)")
    text = "what a split is for (default: train, dev and test are train, dev and held-out)"
    parser.add_argument("--role", metavar="SPLIT=ROLE", nargs="+", action="extend", default=[], help=text)
    text = "divide the queries anew, by what must stay together (default: the source's splits)"
    parser.add_argument("--split", choices=["query", "document", "group", "time"], help=text)
    parser.add_argument("--group-by", metavar="REGEX", help="the group in a query's or document's id; implies group")
    parser.add_argument("--held-out", metavar="SHARE", type=float, default=0.15, help="default: 0.15")
    parser.add_argument("--dev", metavar="SHARE", type=float, default=0.1, help="default: 0.1")
    parser.add_argument("--held-out-from", metavar="TIME", help="by time: where held-out begins, instead of a share")
    parser.add_argument("--dev-from", metavar="TIME", help="by time: where dev begins")
    parser.add_argument("--share-documents", action="store_true", help="splits may be judged on the same documents")
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="another seed, another split (default: 0)")
    parser.add_argument("--force", action="store_true", help="replace the suite that is there; keeps its other files")
    json_option(parser)


def run(options: Namespace) -> int:
    """A suite from data in another format."""
    from bench import terminal
    from bench.importing import import_collection, open_source
    from bench.splits import SplitPlan

    plan = None
    by: Any = options.split or ("group" if options.group_by else None)
    if by is None and (options.share_documents or options.held_out_from or options.dev_from):
        raise UsageError(
            "bench import: --share-documents, --held-out-from and --dev-from are about a new division; add --split."
        )
    if by is not None:
        plan = SplitPlan(
            by,
            held_out=options.held_out,
            dev=options.dev,
            seed=options.seed,
            group_by=options.group_by,
            share_documents=options.share_documents,
            dev_from=options.dev_from,
            held_out_from=options.held_out_from,
        )
    collection = open_source(options.kind, options.source, name_values("--set", options.set))
    with terminal.progress(quiet=options.json) as told:
        made = import_collection(
            collection,
            Path(options.out),
            name=options.name,
            roles=name_values("--role", options.role),
            split=plan,
            force=options.force,
            progress=told,
        )
    if options.json:
        print_json(made.to_json())
        return 0
    rows = [[q.name, q.role, str(q.n_queries), str(q.n_judgements)] for q in made.query_sets]
    title = f"{made.name}: {made.n_docs} documents"
    terminal.table(["query set", "role", "queries", "judgements"], rows, title=title, left=2)
    for sentence in made.sentences():
        terminal.say(sentence, "yellow")
    terminal.say(f"Suite: {made.folder}. Next: bench check {options.out}")
    return 0
