"""List what is installed and what is missing."""

from __future__ import annotations

from pathlib import Path

from bench.cli.parser import Answer, Namespace, Parser, Progress


def options(parser: Parser) -> None:
    parser.option("--config", "F", "the config file (default: bench.toml)", default="bench.toml")
    parser.json()


def run(options: Namespace, progress: Progress) -> Answer:
    from bench.project.doctor import examined

    return examined(Path(options.config))
