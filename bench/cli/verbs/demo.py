"""The whole loop on the bundled suite."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

HELP = "run the whole loop on the bundled suite, offline"


def options(parser: ArgumentParser) -> None:
    """What it takes."""
    parser.add_argument("--out", metavar="DIR", default="reports/demo", help="where results go (default: reports/demo)")


def run(options: Namespace) -> int:
    """The whole loop on the bundled suite."""
    from bench.project.demo import demo

    return demo(Path(options.out))
