"""What a project needs to begin with."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.verbs._options import json_option, positive

if TYPE_CHECKING:
    from bench.base.progress import Progress
    from bench.project.answers import Answer

HELP = "scaffold bench.toml, a suite and the workflow"


def options(parser: ArgumentParser) -> None:
    """What it takes."""
    parser.add_argument("folder", metavar="DIR", nargs="?", default=".", help="the project (default: this folder)")
    parser.add_argument("--from", dest="from_", metavar="FOLDER", help="text and Markdown files, cut into documents")
    parser.add_argument("--name", metavar="N", help="the suite's name (default: that of FOLDER, or of the project)")
    text = "with --from: the most a document holds (default: 200)"
    parser.add_argument("--words", metavar="N", type=positive, help=text)
    json_option(parser)


def run(options: Namespace, told: Progress) -> Answer:
    """What a project needs to begin with; says what was written, what was there, and what to do next."""
    from bench.project.suites import initialised

    source = None if options.from_ is None else Path(options.from_)
    return initialised(Path(options.folder), name=options.name, source=source, most_words=options.words)
