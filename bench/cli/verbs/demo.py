"""The whole loop on the bundled suite."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.base.progress import Progress
    from bench.project.answers import Answer

HELP = "run the whole loop on the bundled suite, offline"


def options(parser: ArgumentParser) -> None:
    """What it takes."""
    parser.add_argument("--out", metavar="DIR", default="reports/demo", help="where results go (default: reports/demo)")


def run(options: Namespace, told: Progress) -> Answer:
    """The whole loop on the bundled suite."""
    from bench.project.demo import demo
    from bench.report.forms import terminal

    return demo(Path(options.out), show=terminal.blocks, progress=told)
