"""Write a suite or stored results in another program's format."""

from __future__ import annotations

from pathlib import Path

from bench.cli.parser import Answer, Namespace, Parser, Progress, keywords


def options(parser: Parser) -> None:
    parser.config()
    parser.option("kind", "KIND", "beir, mteb-results, model-card, or another package's")
    parser.option("--out", "PATH", "a folder; a model card's file", required=True)
    parser.option("--system", "N", "the system whose results are written (default: [gate] system); not for beir")
    parser.option("--model-name", "M", "the system's name in the output (default: its name here); not for beir")
    text = "only these query sets (default: all of them in beir, else all that are evaluated)"
    parser.names("--query-set", "N", text)
    parser.flag("--force", "replace files that are there; a card keeps its other text")
    parser.json()


def run(options: Namespace, progress: Progress) -> Answer:
    from bench.project.suites import exported

    settings = keywords(options, "config", "system", "model_name", "force")
    out = Path(options.out)
    return exported(options.kind, out, suite_name=options.suite, query_sets=options.query_set, **settings)
