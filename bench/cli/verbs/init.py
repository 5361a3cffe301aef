"""What a project needs to begin with; says what was written, what was there, and what to do next."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from bench.cli.verbs._options import json_option, positive, print_json

HELP = "scaffold bench.toml, a suite and the workflow"


def options(parser: ArgumentParser) -> None:
    """What it takes."""
    parser.add_argument("folder", metavar="DIR", nargs="?", default=".", help="the project (default: this folder)")
    parser.add_argument("--from", dest="from_", metavar="FOLDER", help="text and Markdown files, cut into documents")
    parser.add_argument("--name", metavar="N", help="the suite's name (default: that of FOLDER, or of the project)")
    text = "with --from: the most a document holds (default: 200)"
    parser.add_argument("--words", metavar="N", type=positive, help=text)
    json_option(parser)


def run(options: Namespace) -> int:
    """What a project needs to begin with; says what was written, what was there, and what to do next."""
    from bench.base.errors import UsageError
    from bench.report.forms import terminal
    from bench.suites.scaffold import WORDS, scaffold

    source = Path(options.from_) if options.from_ is not None else None
    if source is None and options.words is not None:
        raise UsageError("bench init: --words is about cutting documents; it goes with --from FOLDER.")
    made = scaffold(Path(options.folder), name=options.name, source=source, words=options.words or WORDS)
    if options.json:
        print_json({"format": 1, **made.to_json()})
        return 0
    for path in made.written:
        terminal.say(f"wrote {path}", "green")
    for path in made.kept:
        terminal.say(f"kept  {path}, as it was")
    terminal.say(f"{made.n_documents} documents from {made.n_files} files." if source else "No documents yet.")
    for number, step in enumerate(made.next_steps, 1):
        terminal.say(f"{number}. {step}")
    return 0
