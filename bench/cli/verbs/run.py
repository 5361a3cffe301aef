"""Suites × systems, evaluated."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from bench.base.errors import UsageError
from bench.cli.verbs._options import config_options, flat, form_options, json_option

if TYPE_CHECKING:
    from bench.base.progress import Progress
    from bench.project.answers import Answer

HELP = "evaluate systems on suites"


def options(parser: ArgumentParser) -> None:
    """What it takes."""
    config_options(parser)
    parser.add_argument("--system", metavar="N", nargs="+", action="extend", help="only these systems")
    parser.add_argument("--gated", action="store_true", help="only what the gate needs: its system, variants, ceilings")
    parser.add_argument("--base-ref", metavar="REF", help="with --gated: suites, store and gate of this git ref")
    parser.add_argument("--out", metavar="DIR", help="also write results: one file per system; gated.json with --gated")
    form_options(parser, "json-out")
    parser.add_argument("--latency", action="store_true", help="also time single queries, systems side by side")
    json_option(parser)


def run(options: Namespace, told: Progress) -> Answer:
    """Suites × systems, evaluated."""
    from bench.project.api import open_project

    if options.base_ref and not options.gated:
        raise UsageError("bench run: --base-ref says what is gated; it goes with --gated.")
    return open_project(options.config, base_ref=options.base_ref).run(
        flat(options.system),
        suite=options.suite,
        gated=options.gated,
        latency=options.latency,
        out=options.out,
        progress=told,
    )
