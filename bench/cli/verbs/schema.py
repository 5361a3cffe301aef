"""JSON Schema for editors."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.verbs._options import json_option

if TYPE_CHECKING:
    from bench.base.progress import Progress
    from bench.project.answers import Answer

HELP = "write JSON Schema of bench.toml and suite.toml, for editors"


def options(parser: ArgumentParser) -> None:
    """What it takes."""
    parser.add_argument("--out", metavar="DIR", default=".", help="the folder (default: this one)")
    json_option(parser)


def run(options: Namespace, told: Progress) -> Answer:
    """Write both schemas."""
    from bench.project.editor import schemas_written

    return schemas_written(Path(options.out))
