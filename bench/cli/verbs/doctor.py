"""What is installed."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from bench.cli.verbs._options import json_option, print_json

HELP = "say what is installed and what is not"


def options(parser: ArgumentParser) -> None:
    """What it takes."""
    parser.add_argument("--config", metavar="F", help="the config file (default: bench.toml)")
    json_option(parser)


def run(options: Namespace) -> int:
    """What is installed."""
    from bench.project.doctor import examine

    rows = examine(Path(options.config or "bench.toml"))
    if options.json:
        print_json({"format": 1, "doctor": rows})
    else:
        from bench.report.forms import terminal

        terminal.table(["part", "state"], [[row["part"], row["state"]] for row in rows], left=2)
    return 0
