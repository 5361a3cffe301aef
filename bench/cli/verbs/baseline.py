"""Accept, show or list baselines."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from bench import __version__
from bench.cli.verbs._options import config_options, json_option, print_json, remember

if TYPE_CHECKING:
    from bench.project.workspace import Workspace

HELP = "accept, show or list baselines"


def options(parser: ArgumentParser) -> None:
    """What it takes."""
    config_options(parser)
    parser.add_argument("action", choices=["accept", "show", "list"], help="what to do")
    parser.add_argument("--system", metavar="N", help="the system to accept (default: [gate] system)")
    parser.add_argument("--reason", metavar="TEXT", default="", help="why; required to accept")
    parser.add_argument("--baseline", metavar="F", help="the baseline file (default: the suite's baseline.json)")
    parser.add_argument("--allow-worse", action="store_true", help="accept a failing or inconclusive candidate")
    json_option(parser)


def run(options: Namespace) -> int:
    """Accept, show or list baselines."""
    from bench.project.workspace import Workspace

    workspace = Workspace.open(options.config)
    if options.action == "accept":
        return _accept(options, workspace)
    from bench.base.errors import BaselineError
    from bench.gate.verdict import read_baseline
    from bench.report.forms import terminal

    rows, documents = [], []
    for suite in workspace.suites(options.suite):
        path = workspace.baseline_path(suite, options.baseline)
        if options.action == "list" and not path.exists():
            continue
        header, found = read_baseline(path)
        documents.append(header | {"path": str(path)})
        if options.action == "show" and not options.json:
            terminal.say(f"{header['system']}, accepted {header['accepted']}: {header['reason']}")
            terminal.results(found)
        rows.append([suite.name, header["system"], header["accepted"], header["reason"], str(path)])
    if options.json:
        print_json({"format": 1, "baselines": documents})
    elif options.action == "list":
        if not rows:
            raise BaselineError('No suite of the config has a baseline. Accept one: bench baseline accept --reason "…"')
        terminal.table(["suite", "system", "accepted", "reason", "file"], rows, left=5)
    return 0


def _accept(options: Namespace, workspace: Workspace) -> int:
    from datetime import UTC, datetime

    from bench.base import git
    from bench.base.errors import BaselineError
    from bench.gate.verdict import baseline_document, read_baseline, write_baseline
    from bench.project.gate import succession
    from bench.report.forms import terminal

    if not options.reason.strip():
        raise BaselineError('A baseline changes only with a reason: bench baseline accept --reason "…"')
    suite = workspace.suite(options.suite)
    system = workspace.gated_system(options.system)
    policy = workspace.config.gate.policy()
    found = workspace.gated(suite, system, policy)
    path = workspace.baseline_path(suite, options.baseline)
    outcome, uncompared = succession(workspace, suite, system, policy, path, found)
    if outcome in ("fail", "inconclusive") and not options.allow_worse:
        raise BaselineError(
            f'"{system}" is not shown to be as good as the accepted baseline ({outcome}). See why with: '
            f"bench gate --system {system}. To accept it all the same: --allow-worse"
        )
    if uncompared:
        terminal.say(f"Not compared with the baseline that it replaces: {uncompared}", "yellow")
    document = baseline_document(
        found,
        reason=options.reason,
        when=datetime.now(UTC).isoformat(timespec="seconds"),
        commit=git.commit(workspace.base),
        version=__version__,
        outcome=outcome or ("not compared" if uncompared else None),
    )
    before = read_baseline(path)[0].get("system") if path.exists() else None
    write_baseline(path, document)
    remember(workspace, found, accepted=options.reason.strip())
    if options.json:
        print_json({"format": 1, "baseline": document["baseline"] | {"path": str(path)}})
    else:
        instead = f" in place of {before}" if before else ""
        terminal.say(f"Accepted {system} as the baseline of {suite.name}{instead}: {path}. Commit this file.", "green")
    return 0
