"""Suites × systems, evaluated: `bench run`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import __version__
from bench.base import git
from bench.base.errors import BenchError, SuitesFailed, UsageError
from bench.base.progress import Progress, no_progress
from bench.base.store import write_json
from bench.evaluation.evaluate import Evaluator
from bench.evaluation.latency import Latency, measure_latency, stored_latency, timed_query_set, untimed
from bench.project.answers import Results
from bench.project.gate import measured_ratios
from bench.project.workspace import Workspace
from bench.records import Finding, Policy, Result, Suite
from bench.retrieval import systems as kinds
from bench.suites import checks
from bench.watch import log


@dataclass
class _Gathered:
    """What the suites gave so far."""

    results: list[Result] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    latency: list[Latency] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def evaluated(
    workspace: Workspace,
    *,
    suite: str | None = None,
    systems: Sequence[str] | None = None,
    gated: bool = False,
    latency: bool = False,
    out: Path | None = None,
    progress: Progress = no_progress,
) -> Results:
    """Results of the config's systems; what stops one suite is raised when the others are done.

    Args:
        workspace: config and store.
        suite: one suite; all of the config where None.
        systems: names; all where None.
        gated: only what the gate needs: its system, its variants, and systems that ceilings name.
        latency: also time single queries, systems side by side.
        out: a folder for results: one file per system, or gated.json.
        progress: told of slow stages.

    Raises:
        SuitesFailed: some suites could not be evaluated; holds the answer of the others.
        BenchError: what every suite says alike.
    """
    names, policy = list(systems) if systems is not None else None, workspace.config.gate.policy()
    system, beside = "", []
    if gated:
        if names and len(names) > 1:
            raise UsageError(f"bench run: --gated is about one system; found {', '.join(names)}.")
        system = workspace.gated_system(names[0] if names else None)
        beside = [of for of in dict.fromkeys(c.of for c in policy.ceilings) if of not in ("", "baseline", system)]
        names = [system, *beside]
    several = suite is None and len(workspace.config.suites) > 1
    found = _Gathered()
    suites, failed = workspace.readable_suites(suite)
    for loaded in suites:
        try:
            evaluator = workspace.evaluator(loaded, names, progress=progress)
            if gated:
                folder = None if out is None else out / (loaded.name if several else "")
                _gated(workspace, evaluator, system, beside, policy, folder, found)
            else:
                # Only what was asked for: parts come along, but are not results unless named.
                selected = kinds.selected(evaluator.systems, names)
                found.results += evaluator.results(selected)
                if latency:
                    _timed(evaluator, selected, found)
            found.findings += [f for f in checks.check(loaded, thorough=False) if f.severity == "error"]
        except BenchError as error:
            failed[loaded.name] = error
    if found.results:
        found.notes += remember(workspace, found.results)
    if failed and (not several or (not found.results and len({str(error) for error in failed.values()}) == 1)):
        # The only suite's error, or what every suite says alike, such as that there is no such system.
        raise next(iter(failed.values()))
    if out is not None and not gated:
        for name in dict.fromkeys(result.system for result in found.results):
            mine = {"format": 1, "results": [r.to_json() for r in found.results if r.system == name]}
            write_json(out / f"{name.replace('/', '_')}.json", mine)
    answer = Results(
        tuple(found.results), tuple(found.findings), tuple(found.latency), tuple(found.notes), timed=latency
    )
    if failed:
        raise SuitesFailed(failed, answer)
    return answer


def _gated(
    workspace: Workspace,
    evaluator: Evaluator,
    system: str,
    beside: Sequence[str],
    policy: Policy,
    folder: Path | None,
    found: _Gathered,
) -> None:
    """The gated system, its variants and those beside it, and their times where a ceiling asks for them."""
    judged = workspace.gated(evaluator.suite, system, policy, evaluator)
    found.results += judged + evaluator.results(beside)
    timed = list(dict.fromkeys(c.of for c in policy.ceilings if c.what == "latency_ms_p95"))
    if timed:
        query_set = timed_query_set(evaluator)
        if not all(stored_latency(evaluator, system, of, query_set) for of in timed):
            found.latency.append(measure_latency(evaluator, [system, *timed], query_set=query_set))
    if folder is not None:
        write_json(folder / "gated.json", _gated_document(workspace, evaluator.suite, system, policy, judged))


def _timed(evaluator: Evaluator, names: Sequence[str], found: _Gathered) -> None:
    query_set = timed_query_set(evaluator)
    without = untimed(evaluator, names, query_set)
    kept = [name for name in names if name not in without]
    found.notes += [
        f'System "{name}" has no latency on "{query_set}": {reason}.' for name, reason in without.items() if kept
    ]
    found.latency.append(measure_latency(evaluator, kept or names, query_set=query_set))


def _gated_document(
    workspace: Workspace, suite: Suite, gated: str, policy: Policy, results: Sequence[Result]
) -> dict[str, Any]:
    """What a gate elsewhere needs of this run: `--candidate-result` and `--merge-base-result` read it."""
    ratios = measured_ratios(workspace, suite, gated, policy)
    measured = {name: ratio._asdict() for name, ratio in ratios.items()}
    return {"format": 1, "results": [result.to_json() for result in results], "measured": measured}


def remember(workspace: Workspace, results: Sequence[Result], *, accepted: str | None = None) -> list[str]:
    """Append results to the history log; a sentence where it cannot be written, which stops nothing."""
    now, commit = datetime.now(UTC), git.commit(workspace.base)
    try:
        log.append(workspace.history, results, when=now, commit=commit, version=__version__, accepted=accepted)
    except (OSError, BenchError) as error:
        return [f"These results are not in the history ({workspace.history}): {error}"]
    return []
