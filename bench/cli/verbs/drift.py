"""Whether documents, queries, the base model or recall have moved: when to re-train."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from datetime import UTC, datetime
from pathlib import Path

from bench.base.errors import UsageError
from bench.cli.verbs._options import config_options, json_option, print_json

HELP = "say whether data, base model or recall have moved: when to re-train"


def options(parser: ArgumentParser) -> None:
    """What it takes."""
    config_options(parser)
    parser.add_argument("--system", metavar="N", help="whose model is asked (default: [gate] system)")
    parser.add_argument("--documents", metavar="F", help="the corpus of now: JSON lines, or a suite's folder")
    parser.add_argument("--queries", metavar="F", help="a log of now: a query a line, JSON lines, CSV, TSV, Parquet")
    text = "a snapshot, JSON lines or a suite's folder (default: what the model was trained on, else the suite)"
    parser.add_argument("--reference", metavar="F", help=text)
    parser.add_argument("--snapshot", metavar="F", help="write the reference that was used, to be used again")
    parser.add_argument(
        "--alpha", metavar="A", type=float, default=0.01, help="error rate of all tests (default: 0.01)"
    )
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="of the permutations (default: 0)")
    parser.add_argument("--json-out", metavar="F", help="write the JSON document to a file")
    parser.add_argument("--markdown", metavar="F", help="write the report as Markdown, for an issue or a job summary")
    parser.add_argument("--html", metavar="F", help="write the report as a page")
    parser.add_argument("--private", action="store_true", help="no texts or words of documents and queries in any form")
    json_option(parser)


def run(options: Namespace) -> int:
    """0 where no drift is shown, 1 where some is."""
    from dataclasses import replace

    from bench import __version__
    from bench.base.store import write_json, write_text
    from bench.project.drift import drift
    from bench.project.workspace import Workspace
    from bench.report.drift import issue, render
    from bench.report.forms import terminal
    from bench.suites.snapshot import write_snapshot

    if not 0 < options.alpha < 0.5:
        raise UsageError(f"bench drift: --alpha is {options.alpha}; expected a number between 0 and 0.5.")
    if options.seed < 0:
        raise UsageError(f"bench drift: --seed is {options.seed}; expected 0 or more.")
    workspace = Workspace.open(options.config)
    with terminal.progress(quiet=options.json) as told:
        found, reference = drift(
            workspace,
            workspace.suite(options.suite),
            system=options.system,
            documents=Path(options.documents) if options.documents else None,
            queries=Path(options.queries) if options.queries else None,
            reference=Path(options.reference) if options.reference else None,
            alpha=options.alpha,
            seed=options.seed,
            progress=told,
        )
    if options.private:
        found = replace(found, signals=tuple(replace(signal, examples=()) for signal in found.signals))
    if options.snapshot:
        write_snapshot(Path(options.snapshot), reference)
    if options.json_out:
        write_json(Path(options.json_out), found.to_json(), indent=1)
    if options.markdown:
        write_text(Path(options.markdown), issue(found))
    if options.html:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        write_text(Path(options.html), render(found, made=now, version=__version__))
    if options.json:
        print_json(found.to_json())
    else:
        terminal.drift(found)
    return found.exit_code
