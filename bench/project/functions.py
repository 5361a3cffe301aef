"""Search functions and tables evaluated and judged without a config: the pytest fixture, notebooks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.base.errors import UsageError
from bench.base.names import table_of
from bench.base.progress import Progress, no_progress
from bench.base.store import Store
from bench.config import BenchConfig
from bench.evaluation.evaluate import Evaluator
from bench.gate.verdict import judge, read_baseline, read_results
from bench.project.answers import Judged, Results
from bench.records import Policy, Result, Suite, System
from bench.records.measures import parse_list
from bench.retrieval import systems as kinds
from bench.retrieval.systems.python import Python


def evaluated(
    suite: Suite,
    systems: Mapping[str, Any],
    query_sets: Iterable[str] | None = None,
    measures: str | Sequence[str] | None = None,
    depth: int | None = None,
    store: Path | str | None = None,
    progress: Progress = no_progress,
) -> Results:
    """Results of functions and tables on a suite; arguments as `bench.evaluate`."""
    wanted = parse_list([measures] if isinstance(measures, str) else measures) if measures else ()
    protocol = replace(
        suite.protocol,
        measures=tuple(dict.fromkeys((*suite.protocol.measures, *wanted))),
        depth=depth or suite.protocol.depth,
    )
    names = None if query_sets is None else list(query_sets)
    with TemporaryDirectory(prefix="bench-") as folder:
        place = Store(store or folder)
        evaluator = Evaluator(replace(suite, protocol=protocol), _built(systems, place), place, progress=progress)
        chosen = [name for name in evaluator.systems if table_of(name) in systems]
        return Results(tuple(evaluator.results(chosen, query_sets=names)))


def _built(systems: Mapping[str, Any], store: Store) -> dict[str, System]:
    """Systems by name: functions as they are, tables by their kind."""
    tables = {name: dict(table) for name, table in systems.items() if isinstance(table, Mapping)}
    functions = {name: function for name, function in systems.items() if name not in tables}
    for name, function in functions.items():
        if not callable(function):
            raise UsageError(
                f'System "{name}" is a {type(function).__name__}; expected a search function, or a table with a kind.'
            )
    built: dict[str, System] = {name: Python(name, function) for name, function in functions.items()}
    if tables:
        config = BenchConfig.model_validate({"suites": ["."], "systems": tables})
        built |= kinds.build(config, kinds.Context(Path(), store))
    return built


def judged(
    candidate: Any, baseline: Any, suite: Suite | None, policy: Policy, query_sets: Iterable[str] | None = None
) -> Judged:
    """The verdict on a function or on results; arguments as `bench.judge`."""
    if baseline is None:
        if suite is None:
            raise UsageError("judge: nothing to judge against; give baseline=, or a suite that has an accepted one.")
        header, before = read_baseline(Path(suite.path) / "baseline.json")
    else:
        header, before = {}, _results(baseline, suite, query_sets, "baseline")
    after = _results(candidate, suite, query_sets, "candidate")
    if query_sets is not None:
        names = set(query_sets)
        before = [result for result in before if result.query_set in names]
    # A function has no dimensions, and what it costs was not measured.
    rules = tuple(
        rule
        for rule in policy.rules
        if not rule.variant and (query_sets is None or rule.query_set is None or rule.query_set in names)
    )
    verdict = judge(before, after, replace(policy, rules=rules, ceilings=()))
    return Judged(verdict, before, after, accepted=header, suite=suite)


def _results(given: Any, suite: Suite | None, query_sets: Iterable[str] | None, who: str) -> list[Result]:
    if isinstance(given, str | Path):
        return read_results(Path(given))
    if callable(given):
        if suite is None:
            raise UsageError(f"judge: the {who} is a search function; say what it is evaluated on: suite=.")
        name = getattr(given, "__qualname__", type(given).__name__)
        return list(evaluated(suite, {name: given}, query_sets))
    if isinstance(given, Result):
        return [given]
    return list(given)
