"""Whether documents, queries, the base model or recall have moved: when to re-train."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.verbs._options import below, config_options, form_options, json_option

if TYPE_CHECKING:
    from bench.base.progress import Progress
    from bench.project.answers import Answer

HELP = "say whether data, base model or recall have moved: when to re-train"


def options(parser: ArgumentParser) -> None:
    """What it takes."""
    config_options(parser)
    parser.add_argument("--system", metavar="N", help="whose model is asked (default: [gate] system)")
    parser.add_argument("--documents", metavar="F", help="the corpus of now: JSON lines, or a suite's folder")
    parser.add_argument("--queries", metavar="F", help="a log of now: a query a line, JSON lines, CSV, TSV, Parquet")
    text = "a snapshot, JSON lines or a suite's folder (default: what the model was trained on, else the suite)"
    parser.add_argument("--reference", metavar="F", help=text)
    parser.add_argument("--snapshot", metavar="F", help="write the reference that was used, to be used again")
    parser.add_argument(
        "--alpha", metavar="A", type=below(0.5), default=0.01, help="error rate of all tests (default: 0.01)"
    )
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="of the permutations (default: 0)")
    form_options(parser, "json-out", "markdown", "html")
    parser.add_argument("--private", action="store_true", help="no texts or words of documents and queries in any form")
    json_option(parser)


def run(options: Namespace, told: Progress) -> Answer:
    """0 where no drift is shown, 1 where some is."""
    from bench.project.api import open_project

    def path(name: str) -> Path | None:
        given = getattr(options, name)
        return Path(given) if given else None

    return open_project(options.config).drift(
        suite=options.suite,
        system=options.system,
        documents=path("documents"),
        queries=path("queries"),
        reference=path("reference"),
        snapshot=path("snapshot"),
        alpha=options.alpha,
        seed=options.seed,
        private=options.private,
        progress=told,
    )
