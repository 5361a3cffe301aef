"""Suites × systems, evaluated: `bench run`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from bench import __version__
from bench.base import git
from bench.base.errors import BenchError, SuitesFailed, UsageError
from bench.base.progress import Progress, no_progress
from bench.base.store import write_json
from bench.evaluation.evaluate import Evaluator
from bench.evaluation.latency import measure_latency, stored_latency, timed_query_set, untimed
from bench.project.answers import Results
from bench.project.gate import measured_ratios
from bench.project.workspace import Workspace
from bench.records import Policy, Result
from bench.retrieval import systems as kinds
from bench.suites import checks
from bench.watch import log


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
    """Results of the config's systems; an error of one suite is raised when the others are done.

    Arguments as `bench.Project.run`.

    Raises:
        SuitesFailed: some suites could not be evaluated; holds the answer of the others.
        BenchError: an error that all suites have in common.
    """
    names, policy = list(systems) if systems is not None else None, workspace.config.gate.policy()
    system, others = "", []
    if gated:
        if names and len(names) > 1:
            raise UsageError(f"bench run: --gated is about one system; found {', '.join(names)}.")
        system = workspace.gated_system(names[0] if names else None)
        others = [of for of in dict.fromkeys(c.of for c in policy.ceilings) if of not in ("", "baseline", system)]
        names = [system, *others]
    several = suite is None and len(workspace.config.suites) > 1
    answer = Results((), timed=latency)
    suites, failed = workspace.readable_suites(suite)
    for loaded in suites:
        try:
            evaluator = workspace.evaluator(loaded, names, progress=progress)
            if gated:
                results = workspace.gated(loaded, system, policy, evaluator)
                answer = replace(answer, results=(*answer.results, *results, *evaluator.results(others)))
                answer = _with_ceiling_times(answer, evaluator, system, policy)
                if out is not None:
                    ratios = measured_ratios(workspace, loaded, system, policy)
                    document = {"format": 1, "results": [result.to_json() for result in results]}
                    measured = {name: ratio._asdict() for name, ratio in ratios.items()}
                    # A gate reads it with --candidate-result or --merge-base-result.
                    write_json(out / (loaded.name if several else "") / "gated.json", document | {"measured": measured})
            else:
                # Parts of the systems are built too, but their results are left out unless they are named.
                selected = kinds.selected(evaluator.systems, names)
                answer = replace(answer, results=answer.results + tuple(evaluator.results(selected)))
                answer = _with_times(answer, evaluator, selected) if latency else answer
            errors = [f for f in checks.check(loaded, thorough=False) if f.severity == "error"]
            answer = replace(answer, findings=(*answer.findings, *errors))
        except BenchError as error:
            failed[loaded.name] = error
    if answer.results:
        answer = replace(answer, notes=(*answer.notes, *remember(workspace, answer.results)))
    if failed and (not several or (not answer.results and len({str(error) for error in failed.values()}) == 1)):
        # The only suite's error, or one that all suites have in common, such as a system that does not exist.
        raise next(iter(failed.values()))
    if out is not None and not gated:
        for name in dict.fromkeys(result.system for result in answer.results):
            rows = [result.to_json() for result in answer.results if result.system == name]
            write_json(out / f"{name.replace('/', '_')}.json", {"format": 1, "results": rows})
    if failed:
        raise SuitesFailed(failed, answer)
    return answer


def _with_ceiling_times(answer: Results, evaluator: Evaluator, system: str, policy: Policy) -> Results:
    """The answer with the times that ceilings of the policy need and the store lacks."""
    timed = list(dict.fromkeys(c.of for c in policy.ceilings if c.what == "latency_ms_p95"))
    if not timed:
        return answer
    query_set = timed_query_set(evaluator)
    if all(stored_latency(evaluator, system, of, query_set) for of in timed):
        return answer
    record = measure_latency(evaluator, [system, *timed], query_set=query_set)
    return replace(answer, latency=(*answer.latency, record))


def _with_times(answer: Results, evaluator: Evaluator, names: Sequence[str]) -> Results:
    """The answer with the times of these systems."""
    query_set = timed_query_set(evaluator)
    reasons = untimed(evaluator, names, query_set)
    timed = [name for name in names if name not in reasons]
    notes = [f'System "{name}" has no latency on "{query_set}": {reason}.' for name, reason in reasons.items() if timed]
    record = measure_latency(evaluator, timed or names, query_set=query_set)
    return replace(answer, latency=(*answer.latency, record), notes=(*answer.notes, *notes))


def remember(workspace: Workspace, results: Sequence[Result], *, accepted: str | None = None) -> list[str]:
    """Append results to the history log; returns a sentence, not an error, where it cannot be written."""
    now, commit = datetime.now(UTC), git.commit(workspace.base)
    try:
        log.append(workspace.history, results, when=now, commit=commit, version=__version__, accepted=accepted)
    except (OSError, BenchError) as error:
        return [f"These results are not in the history ({workspace.history}): {error}"]
    return []
