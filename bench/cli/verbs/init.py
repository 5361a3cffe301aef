"""Scaffold bench.toml, a suite and the workflow."""

from __future__ import annotations

from pathlib import Path

from bench.cli.parser import Answer, Namespace, Parser, Progress, positive


def options(parser: Parser) -> None:
    parser.option("folder", "DIR", "the project (default: this folder)", nargs="?", default=".")
    parser.option("--from", "FOLDER", "text and Markdown files, to be cut into documents", dest="from_")
    parser.option("--name", "N", "the suite's name (default: that of FOLDER, or of the project)")
    parser.option("--words", "N", "with --from: the most words of a document (default: 200)", type=positive)
    parser.json()


def run(options: Namespace, progress: Progress) -> Answer:
    from bench.project.suites import initialised

    source = Path(options.from_) if options.from_ else None
    return initialised(Path(options.folder), name=options.name, source=source, most_words=options.words)
