"""Write JSON Schema of bench.toml and suite.toml, for editors."""

from __future__ import annotations

from pathlib import Path

from bench.cli.parser import Answer, Namespace, Parser, Progress


def options(parser: Parser) -> None:
    parser.option("--out", "DIR", "the folder (default: this one)", default=".")
    parser.json()


def run(options: Namespace, progress: Progress) -> Answer:
    from bench.project.editor import schemas_written

    return schemas_written(Path(options.out))
