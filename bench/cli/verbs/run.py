"""Suites × systems, evaluated."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.base.errors import UsageError
from bench.cli.verbs._options import config_options, flat, json_option, print_json, remember

if TYPE_CHECKING:
    from bench.base.progress import Progress
    from bench.evaluation.evaluate import Evaluator
    from bench.evaluation.latency import Latency
    from bench.project.workspace import Workspace
    from bench.records import Finding, Policy, Result, Suite

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


@dataclass(frozen=True)
class _Asked:
    """What is asked of every suite: systems by name, all where None; with --gated, the gated one and those beside."""

    workspace: Workspace
    policy: Policy
    systems: list[str] | None
    gated: str = ""
    beside: tuple[str, ...] = ()
    latency: bool = False
    out: Path | None = None
    quiet: bool = False
    several: bool = False


@dataclass
class _Found:
    """What the suites gave so far."""

    results: list[Result] = field(default_factory=list)
    doubts: list[Finding] = field(default_factory=list)
    timed: list[Latency] = field(default_factory=list)

    def document(self, *, latency: bool) -> dict[str, Any]:
        """The document of `bench run --json`."""
        rows = [_result_row(result) for result in self.results]
        document = {"format": 1, "results": rows, "findings": [finding.to_json() for finding in self.doubts]}
        if self.timed or latency:
            document["latency"] = [_latency_row(record) for record in self.timed]
        return document


def run(options: Namespace) -> int:
    """Suites × systems, evaluated; what stops one suite is told when the others are done."""
    from bench.base.errors import BenchError, SuitesFailed
    from bench.base.store import write_json
    from bench.report.forms import terminal

    asked, found = _asked(options), _Found()
    with terminal.progress(quiet=options.json) as told:
        suites, failed = asked.workspace.readable_suites(options.suite)
        for loaded in suites:
            try:
                _evaluate(loaded, asked, found, told)
            except BenchError as error:
                failed[loaded.name] = error
    if found.results:
        remember(asked.workspace, found.results)
    if failed and (not asked.several or (not found.results and len({str(error) for error in failed.values()}) == 1)):
        # The only suite's error, or what every suite says alike, such as that there is no such system.
        raise next(iter(failed.values()))
    if options.out and not options.gated:
        for system in dict.fromkeys(result.system for result in found.results):
            mine = {"format": 1, "results": [r.to_json() for r in found.results if r.system == system]}
            write_json(Path(options.out) / f"{system.replace('/', '_')}.json", mine)
    document = found.document(latency=options.latency)
    if not options.json:
        _show(found)
    if failed:
        raise SuitesFailed(failed, document)
    if options.json_out:
        write_json(Path(options.json_out), document)
    if options.json:
        print_json(document)
    return 0


def _asked(options: Namespace) -> _Asked:
    from bench.project.workspace import Workspace

    if options.base_ref and not options.gated:
        raise UsageError("bench run: --base-ref says what is gated; it goes with --gated.")
    workspace = Workspace.open(options.config, base_ref=options.base_ref)
    names, policy = flat(options.system), workspace.config.gate.policy()
    gated, beside = "", []
    if options.gated:
        if names and len(names) > 1:
            raise UsageError(f"bench run: --gated is about one system; found {', '.join(names)}.")
        gated = workspace.gated_system(names[0] if names else None)
        beside = [of for of in dict.fromkeys(c.of for c in policy.ceilings) if of not in ("", "baseline", gated)]
        names = [gated, *beside]
    return _Asked(
        workspace,
        policy,
        names,
        gated,
        tuple(beside),
        options.latency,
        Path(options.out) if options.out else None,
        options.json,
        options.suite is None and len(workspace.config.suites) > 1,
    )


def _evaluate(loaded: Suite, asked: _Asked, found: _Found, told: Progress) -> None:
    """One suite's results, latencies and errors, put to those of the suites before it."""
    from bench.base.store import write_json
    from bench.retrieval import systems
    from bench.suites import checks

    workspace = asked.workspace
    evaluator = workspace.evaluator(loaded, asked.systems, progress=told)
    if asked.gated:
        judged = workspace.gated(loaded, asked.gated, asked.policy, evaluator)
        results = judged + evaluator.results(asked.beside)
        timed = _timed_ceilings(evaluator, asked.gated, asked.policy)
        if asked.out:
            folder = asked.out / (loaded.name if asked.several else "")
            write_json(folder / "gated.json", _gated_document(workspace, loaded, asked.gated, asked.policy, judged))
    else:
        # Only what was asked for: parts come along, but are not results unless named.
        selected = systems.selected(evaluator.systems, asked.systems)
        results = evaluator.results(selected)
        timed = [_timed(evaluator, selected, quiet=asked.quiet)] if asked.latency else []
    found.doubts += [finding for finding in checks.check(loaded, thorough=False) if finding.severity == "error"]
    found.results += results
    found.timed += timed


def _show(found: _Found) -> None:
    from bench.report.forms import terminal

    if found.results:
        terminal.results(found.results)
    for record in found.timed:
        terminal.latency(record)
    if found.doubts:
        terminal.say("The suite has errors; do not rely on these numbers (bench check):", "bold red")
        terminal.findings(found.doubts)


def _timed(evaluator: Evaluator, names: Sequence[str], *, quiet: bool) -> Latency:
    from bench.evaluation.latency import measure_latency, timed_query_set, untimed
    from bench.report.forms import terminal

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
    from bench.project.gate import measured_beside

    measured = {
        name: dict(zip(("ratio", "lower", "upper", "n"), ratio, strict=True))
        for name, ratio in measured_beside(workspace, suite, gated, policy).items()
    }
    return {"format": 1, "results": [result.to_json() for result in results], "measured": measured}


def _timed_ceilings(evaluator: Evaluator, gated: str, policy: Policy) -> list[Latency]:
    """The gated system beside those that ceilings on time name; nothing where such times are stored."""
    from bench.evaluation.latency import measure_latency, stored_latency, timed_query_set

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
