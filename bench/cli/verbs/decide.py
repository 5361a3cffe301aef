"""Recommend what to do: nothing, hybrid, rerank or fine-tune, with evidence and cost."""

from __future__ import annotations

from bench.cli.parser import Answer, Namespace, Parser, Progress


def options(parser: Parser) -> None:
    parser.config()
    parser.option("--current", "N", "the system in use (default: [decide] current, else the accepted baseline's)")
    parser.forms("html", "markdown")
    parser.flag("--private", "no words of the documents in any form")
    parser.json()


def run(options: Namespace, progress: Progress) -> Answer:
    from bench.project.api import open_project

    return open_project(options.config).decide(current=options.current, suite=options.suite, private=options.private)
