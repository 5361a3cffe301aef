"""Accept, show or list baselines."""

from __future__ import annotations

from bench.cli.parser import Answer, Command, Namespace, Parser, Progress


def _options(parser: Parser) -> None:
    parser.config()
    parser.option("--baseline", "F", "the baseline file (default: the suite's baseline.json)")
    parser.json()


def _accept_options(parser: Parser) -> None:
    _options(parser)
    parser.option("--system", "N", "the system to accept (default: [gate] system)")
    parser.option("--reason", "TEXT", "why; required", default="")
    parser.flag("--allow-worse", "accept a failing or inconclusive candidate")


def _run(options: Namespace, progress: Progress) -> Answer:
    from bench.project.api import open_project

    project, place = open_project(options.config), {"suite": options.suite, "baseline": options.baseline}
    if options.action == "accept":
        return project.accept(options.reason, system=options.system, allow_worse=options.allow_worse, **place)
    return project.baselines(whole=options.action == "show", **place)


COMMANDS = {
    "accept": Command("make stored results the accepted baseline", _accept_options, _run),
    "show": Command("show the accepted baselines with their numbers", _options, _run),
    "list": Command("list the accepted baselines", _options, _run),
}
