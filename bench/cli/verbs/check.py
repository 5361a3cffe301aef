"""Look for faults in a suite that would make its numbers wrong."""

from __future__ import annotations

from bench.cli.parser import Answer, Namespace, Parser, Progress


def options(parser: Parser) -> None:
    parser.option("suite", "SUITE", "a suite's folder, a BEIR folder, or a bundled suite's name")
    parser.names("--model", "N", "report whether mteb says that this model was trained on the data")
    text = "a store whose vectors are used to compare query sets; none are computed (default: .bench)"
    parser.option("--store", "DIR", text, default=".bench")
    parser.json()


def run(options: Namespace, progress: Progress) -> Answer:
    from bench.project.suites import checked

    return checked(options.suite, models=options.model or (), store=options.store, progress=progress)
