"""What is installed."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.verbs._options import json_option

if TYPE_CHECKING:
    from bench.base.progress import Progress
    from bench.project.answers import Answer

HELP = "say what is installed and what is not"


def options(parser: ArgumentParser) -> None:
    """What it takes."""
    parser.add_argument("--config", metavar="F", help="the config file (default: bench.toml)")
    json_option(parser)


def run(options: Namespace, told: Progress) -> Answer:
    """What is installed."""
    from bench.project.doctor import examined

    return examined(Path(options.config or "bench.toml"))
