"""A suite, or a system's stored results, in another program's format."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.verbs._options import config_options, json_option

if TYPE_CHECKING:
    from bench.base.progress import Progress
    from bench.project.answers import Answer

HELP = "write a suite or stored results in another program's format"


def options(parser: ArgumentParser) -> None:
    """What it takes."""
    config_options(parser)
    parser.add_argument("kind", metavar="KIND", help="beir, mteb-results, model-card, or another package's")
    parser.add_argument("--out", metavar="PATH", required=True, help="a folder; a model card's file")
    parser.add_argument("--system", metavar="N", help="whose results (default: [gate] system); not for beir")
    text = "what it is called there (default: the system's name); not for beir"
    parser.add_argument("--model-name", metavar="M", help=text)
    text = "only these (default: all of them in beir, else all that are evaluated)"
    parser.add_argument("--query-set", metavar="N", nargs="+", action="extend", help=text)
    parser.add_argument(
        "--force", action="store_true", help="replace files that are there; a card keeps its other text"
    )
    json_option(parser)


def run(options: Namespace, told: Progress) -> Answer:
    """A suite, or a system's stored results, in another program's format."""
    from bench.project.suites import exported

    return exported(
        options.kind,
        Path(options.out),
        config=options.config,
        suite_name=options.suite,
        system=options.system,
        query_sets=options.query_set,
        model_name=options.model_name,
        force=options.force,
    )
