"""Accept, show or list baselines."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from bench.cli.verbs._options import Command, config_options, json_option

if TYPE_CHECKING:
    from bench.base.progress import Progress
    from bench.project.answers import Answer

HELP = "accept, show or list baselines"


def _options(parser: ArgumentParser) -> None:
    config_options(parser)
    parser.add_argument("--baseline", metavar="F", help="the baseline file (default: the suite's baseline.json)")
    json_option(parser)


def _accept_options(parser: ArgumentParser) -> None:
    _options(parser)
    parser.add_argument("--system", metavar="N", help="the system to accept (default: [gate] system)")
    parser.add_argument("--reason", metavar="TEXT", default="", help="why; required")
    parser.add_argument("--allow-worse", action="store_true", help="accept a failing or inconclusive candidate")


def _accept(options: Namespace, told: Progress) -> Answer:
    from bench.project.api import open_project

    return open_project(options.config).accept(
        options.reason,
        system=options.system,
        suite=options.suite,
        baseline=options.baseline,
        allow_worse=options.allow_worse,
    )


def _show(options: Namespace, told: Progress) -> Answer:
    from bench.project.api import open_project

    whole = options.action == "show"
    return open_project(options.config).baselines(suite=options.suite, baseline=options.baseline, whole=whole)


COMMANDS = {
    "accept": Command("make stored results the accepted baseline", _accept_options, _accept),
    "show": Command("show the accepted baselines with their numbers", _options, _show),
    "list": Command("list the accepted baselines", _options, _show),
}
