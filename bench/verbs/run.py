"""Suites × systems, evaluated."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import UsageError
from bench.verbs._options import config_options, flat, json_option, print_json

if TYPE_CHECKING:
    from bench.evaluate import Evaluator
    from bench.latency import Latency
    from bench.records import Policy, Result, Suite
    from bench.workspace import Workspace

__all__ = ["HELP", "options", "run"]

HELP = "evaluate systems on suites"


def options(parser: ArgumentParser) -> None:
    """What it takes."""
    config_options(parser)
    parser.add_argument("--system", metavar="N", nargs="+", action="extend", help="only these systems")
    parser.add_argument("--gated", action="store_true", help="only what the gate needs: its system, variants, ceilings")
    parser.add_argument("--base-ref", metavar="REF", help="with --gated: suites, store and gate of this git ref")
    parser.add_argument("--out", metavar="DIR", help="also write results: one file per system; gated.json with --gated")
    parser.add_argument("--json-out", metavar="F", help="write the JSON document to a file; an error too")
    parser.add_argument("--latency", action="store_true", help="also time single queries, systems side by side")
    json_option(parser)


def run(options: Namespace) -> int:
    """Suites × systems, evaluated."""
    from bench import checks, systems, terminal
    from bench.store import write_json
    from bench.workspace import Workspace

    if options.base_ref and not options.gated:
        raise UsageError("bench run: --base-ref says what is gated; it goes with --gated.")
    workspace = Workspace.open(options.config, base_ref=options.base_ref)
    names = flat(options.system)
    found, doubts, timed = [], [], []
    policy = workspace.config.gate.policy()
    gated, beside = "", []
    if options.gated:
        if names and len(names) > 1:
            raise UsageError(f"bench run: --gated is about one system; found {', '.join(names)}.")
        gated = workspace.gated_system(names[0] if names else None)
        beside = [of for of in dict.fromkeys(c.of for c in policy.ceilings) if of not in ("", "baseline", gated)]
        names = [gated, *beside]
    several = options.suite is None and len(workspace.config.suites) > 1
    with terminal.progress(quiet=options.json) as told:
        for loaded in workspace.suites(options.suite):
            evaluator = workspace.evaluator(loaded, names, progress=told)
            if options.gated:
                judged = workspace.gated(loaded, gated, policy, evaluator)
                found += judged + evaluator.results(beside)
                timed += _timed_ceilings(evaluator, gated, policy)
                if options.out:
                    folder = Path(options.out) / (loaded.name if several else "")
                    write_json(folder / "gated.json", _gated_document(workspace, loaded, gated, policy, judged))
            else:
                # Only what was asked for: parts come along, but are not results unless named.
                selected = systems.selected(evaluator.systems, names)
                found += evaluator.results(selected)
                if options.latency:
                    timed.append(_timed(evaluator, selected, quiet=options.json))
            doubts += [finding for finding in checks.check(loaded, thorough=False) if finding.severity == "error"]
    if options.out and not options.gated:
        for system in dict.fromkeys(result.system for result in found):
            mine = {"format": 1, "results": [r.to_json() for r in found if r.system == system]}
            write_json(Path(options.out) / f"{system.replace('/', '_')}.json", mine)
    rows = [_result_row(result) for result in found]
    document = {"format": 1, "results": rows, "findings": [finding.to_json() for finding in doubts]}
    if timed or options.latency:
        document["latency"] = [_latency_row(record) for record in timed]
    if options.json_out:
        write_json(Path(options.json_out), document)
    if options.json:
        print_json(document)
    else:
        terminal.results(found)
        for record in timed:
            terminal.latency(record)
        if doubts:
            terminal.say("The suite has errors; do not rely on these numbers (bench check):", "bold red")
            terminal.findings(doubts)
    return 0


def _timed(evaluator: Evaluator, names: Sequence[str], *, quiet: bool) -> Latency:
    from bench import terminal
    from bench.latency import measure_latency, timed_query_set, untimed

    query_set = timed_query_set(evaluator)
    without = untimed(evaluator, names, query_set)
    kept = [name for name in names if name not in without]
    for name, reason in without.items() if kept and not quiet else ():
        terminal.say(f'System "{name}" has no latency on "{query_set}": {reason}.', "yellow")
    return measure_latency(evaluator, kept or names, query_set=query_set)


def _gated_document(
    workspace: Workspace, suite: Suite, gated: str, policy: Policy, results: Sequence[Result]
) -> dict[str, Any]:
    """What a gate elsewhere needs of this run: `--candidate-result` and `--merge-base-result` read it."""
    from bench.gating import measured_beside

    measured = {
        name: dict(zip(("ratio", "lower", "upper", "n"), ratio, strict=True))
        for name, ratio in measured_beside(workspace, suite, gated, policy).items()
    }
    return {"format": 1, "results": [result.to_json() for result in results], "measured": measured}


def _timed_ceilings(evaluator: Evaluator, gated: str, policy: Policy) -> list[Latency]:
    """The gated system beside those that ceilings on time name; nothing where such times are stored."""
    from bench.latency import measure_latency, stored_latency, timed_query_set

    beside = list(dict.fromkeys(c.of for c in policy.ceilings if c.what == "latency_ms_p95"))
    if not beside:
        return []
    query_set = timed_query_set(evaluator)
    if all(stored_latency(evaluator, gated, of, query_set) for of in beside):
        return []
    return [measure_latency(evaluator, [gated, *beside], query_set=query_set)]


def _latency_row(record: Latency) -> dict[str, Any]:
    """The record's document, with each system's ratio to the first."""
    document = record.to_json()
    for row, ratio in zip(document["systems"], record.ratios(), strict=True):
        row["p95_ratio"] = {"to": record.systems[0].system, **asdict(ratio)}
    return document


def _result_row(result: Result) -> dict[str, Any]:
    no_answer = {} if result.no_answer is None else {"no_answer": asdict(result.no_answer)}
    return {
        "system": result.system,
        "suite": result.suite,
        "query_set": result.query_set,
        "role": result.role,
        "n_queries": len(result.scores.query_ids),
        "measures": result.scores.means(),
        "seconds": dict(result.seconds),
        "index_bytes": result.index_bytes,
        "judged@10": float(result.scores.judged.mean()),
        "system_digest": result.system_digest,
        "suite_digest": result.suite_digest,
    } | no_answer
