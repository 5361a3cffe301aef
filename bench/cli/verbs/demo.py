"""Run the whole loop on the bundled suite, offline."""

from __future__ import annotations

from pathlib import Path

from bench.cli.parser import Answer, Namespace, Parser, Progress


def options(parser: Parser) -> None:
    parser.option("--out", "DIR", "where results go (default: reports/demo)", default="reports/demo")


def run(options: Namespace, progress: Progress) -> Answer:
    from bench.project.demo import demo
    from bench.report.forms import terminal

    return demo(Path(options.out), show=terminal.blocks, progress=progress)
