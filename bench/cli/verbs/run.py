"""Evaluate systems on suites."""

from __future__ import annotations

from bench.base.errors import UsageError
from bench.cli.parser import Answer, Namespace, Parser, Progress, flat, keywords


def options(parser: Parser) -> None:
    parser.config()
    parser.names("--system", "N", "only these systems")
    parser.flag("--gated", "only what the gate needs: its system, variants, ceilings")
    parser.option("--base-ref", "REF", "with --gated: suites, store and gate of this git ref")
    parser.option("--out", "DIR", "also write results: one file per system; gated.json with --gated")
    parser.forms("json-out")
    parser.flag("--latency", "also time single queries, systems side by side")
    parser.json()


def run(options: Namespace, progress: Progress) -> Answer:
    from bench.project.api import open_project

    if options.base_ref and not options.gated:
        raise UsageError("bench run: --base-ref says what is gated; it goes with --gated.")
    project = open_project(options.config, base_ref=options.base_ref)
    settings = keywords(options, "suite", "gated", "latency", "out")
    return project.run(flat(options.system), progress=progress, **settings)
