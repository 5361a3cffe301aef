"""Results over time: trends, accepted baselines, steps."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from datetime import UTC, datetime
from pathlib import Path

from bench.base.errors import UsageError
from bench.cli.verbs._options import flat, json_option, print_json

HELP = "show results over time: trends, accepted baselines, steps"


def options(parser: ArgumentParser) -> None:
    """What it takes."""
    parser.add_argument("--config", metavar="F", help="the config file (default: bench.toml)")
    parser.add_argument("--log", metavar="F", help="the history log (default: the config's)")
    parser.add_argument("--suite", metavar="S", help="only this suite, by name")
    parser.add_argument("--system", metavar="N", nargs="+", action="extend", help="only these systems")
    parser.add_argument("--measure", metavar="M", nargs="+", action="extend", help="only these measures")
    parser.add_argument("--since", metavar="DATE", help="only what is not older, such as 2026-01-31")
    parser.add_argument(
        "--alpha", metavar="A", type=float, default=0.05, help="error rate of all steps (default: 0.05)"
    )
    parser.add_argument("--html", metavar="F", help="write the dashboard as a page")
    json_option(parser)


def run(options: Namespace) -> int:
    """Results over time; informs, so never fails."""
    from bench import __version__
    from bench.report.forms import terminal
    from bench.watch.history import history
    from bench.watch.log import read_log

    if not 0 < options.alpha < 0.5:
        raise UsageError(f"bench history: --alpha is {options.alpha}; expected a number between 0 and 0.5.")
    if options.log:
        path = Path(options.log)
    else:
        from bench.project.workspace import Workspace

        path = Workspace.open(options.config).history
    found = history(
        read_log(path),
        suite=options.suite,
        systems=flat(options.system),
        measures=flat(options.measure),
        since=_date(options.since) if options.since else None,
        alpha=options.alpha,
    )
    if options.html:
        from bench.base.store import write_text
        from bench.report.history import render

        now = datetime.now(UTC).isoformat(timespec="seconds")
        write_text(Path(options.html), render(found, made=now, version=__version__))
    if options.json:
        print_json(found.to_json())
    else:
        terminal.history(found)
        if options.html:
            terminal.say(f"Page: {options.html}")
    return 0


def _date(text: str) -> datetime:
    """A date or a time; without a zone, UTC.

    Raises:
        UsageError: neither.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f'bench history: --since is "{text}"; expected a date such as 2026-01-31.') from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
