"""What sections ask of the material: who was measured on what, and which differences the numbers show.

"Shown" means one thing in the whole report: a two-sided p under alpha after Holm over its family. A family is all
systems compared with the same one by one measure on one query set (or, pooled, on all query sets of both roles).
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from bench.base.errors import BenchError
from bench.base.names import SystemName
from bench.gate.compare import Difference, check_comparable, corrected, difference, require_measure
from bench.records import EVALUATION_ROLES, ROLES, Result, Verdict
from bench.report import Material

MOST_OPEN = 16
"""Systems that are read one by one; past it, shorter and coarser copies of a model are looked up."""


@dataclass(frozen=True)
class Task:
    """One query set with every system's result on it, in the material's order."""

    suite: str
    name: str
    role: str
    results: Mapping[str, Result] = field(repr=False)

    @property
    def first(self) -> Result:
        """Any result: headers are the same for all that can be compared."""
        return next(iter(self.results.values()))

    @property
    def n(self) -> int:
        """Queries that were measured."""
        return len(self.first.scores.query_ids)

    @property
    def primary(self) -> str:
        """The measure that the suite names first."""
        return self.first.protocol.measures[0]

    def mean(self, system: str, measure: str) -> float | None:
        """A system's mean; None where it was not measured."""
        result = self.results.get(system)
        if result is None or measure not in result.scores.measures:
            return None
        return float(result.scores.column(measure).mean())

    @property
    def measures(self) -> list[str]:
        """All measures that any system has here, the suite's first."""
        found = dict.fromkeys(self.first.protocol.measures)
        for result in self.results.values():
            found |= dict.fromkeys(result.scores.measures)
        return [m for m in found if any(m in r.scores.measures for r in self.results.values())]


def systems(material: Material) -> list[str]:
    """All systems, in the order of their first result."""
    return list(dict.fromkeys(result.system for result in material.results))


def is_smaller(system: str, names: Collection[str]) -> bool:
    """Whether a system is a shorter or coarser copy of another of these: `minilm@128` or `minilm/int8` of `minilm`."""
    return any(name in names for name in SystemName.parse(system).larger)


def prominent(material: Material, names: Iterable[str]) -> list[str]:
    """Systems that stand in the open: all, or past `MOST_OPEN` those that are no smaller copy of another one.

    The reference and what was judged always do.
    """
    held = list(names)
    if len(held) <= MOST_OPEN:
        return held
    judged = {name for verdict in material.verdicts for name in (verdict.baseline, verdict.candidate)}
    everyone = {*held, material.reference}
    kept = [name for name in held if not is_smaller(name, everyone) or name in judged or name == material.reference]
    return kept if len(kept) > 1 else held


def tasks(material: Material) -> list[Task]:
    """All query sets, held-out before out-of-distribution, each with its results."""
    found: dict[tuple[str, str], dict[str, Result]] = {}
    for result in material.results:
        found.setdefault((result.suite, result.query_set), {})[result.system] = result
    made = [Task(suite, name, next(iter(results.values())).role, results) for (suite, name), results in found.items()]
    order = (*EVALUATION_ROLES, *ROLES)
    return sorted(made, key=lambda task: order.index(task.role) if task.role in order else len(order))


def roles(material: Material) -> dict[str, list[Task]]:
    """Evaluation roles that have a query set, with their query sets."""
    found: dict[str, list[Task]] = {}
    for task in tasks(material):
        if task.role in EVALUATION_ROLES:
            found.setdefault(task.role, []).append(task)
    return found


def best_system(task: Task, measure: str) -> str | None:
    """The system with the highest mean; the earlier one of equals."""
    means = {system: task.mean(system, measure) for system in task.results}
    held = {system: mean for system, mean in means.items() if mean is not None}
    return max(held, key=lambda system: held[system]) if held else None


# --- differences on one query set ------------------------------------------------------------------


def differences(
    material: Material, task: Task, against: str, *, measures: Sequence[str] | None = None
) -> dict[str, dict[str, Difference]]:
    """System → measure → difference to `against`, over all other systems that can be compared with it.

    Empty where `against` has no result; `refusals` says why a system is left out.
    """
    reference = task.results.get(against)
    if reference is None:
        return {}
    found: dict[str, dict[str, Difference]] = {}
    for measure in measures or task.measures:
        made: dict[str, Difference] = {}
        for system, result in task.results.items():
            if system != against:
                with contextlib.suppress(BenchError):
                    made[system] = difference([reference], [result], measure, alpha=material.alpha)
        for system, one in zip(made, corrected(list(made.values())), strict=True):
            found.setdefault(system, {})[measure] = one
    return found


def refusals(material: Material, task: Task) -> list[str]:
    """Why systems are not compared with the material's reference, a sentence each."""
    reference = task.results.get(material.reference)
    found: dict[str, None] = {}
    if reference is None:
        return []
    for result in task.results.values():
        for measure in task.measures if result is not reference else ():
            try:
                check_comparable(reference, result)
                for one in (reference, result):
                    require_measure(one, measure, "result of")
            except BenchError as error:
                found[str(error)] = None
    return sorted(found)


# --- all query sets of a role ----------------------------------------------------------------------


@dataclass(frozen=True)
class Pooled:
    """All queries of a role, each counted once: a system's mean and its difference to another system."""

    role: str
    n: int
    mean: float
    difference: Difference | None


def pooled(material: Material, measure: str, against: str) -> dict[str, dict[str, Pooled]]:
    """Role → system → mean over all the role's queries, for systems that were measured on all of them.

    Intervals treat queries of different sets as independent; within a set, clusters count as they do there.
    """
    made: dict[tuple[str, str], Pooled] = {}
    for role, held in roles(material).items():
        sets = [task for task in held if measure in task.measures]
        for system in systems(material):
            if sets and all(task.mean(system, measure) is not None for task in sets):
                made[role, system] = _pool(sets, role, system, against, measure, material.alpha)
    compared = [key for key, one in made.items() if one.difference is not None]
    differing = [one.difference for one in made.values() if one.difference is not None]
    for key, one in zip(compared, corrected(differing), strict=True):
        made[key] = replace(made[key], difference=one)
    found: dict[str, dict[str, Pooled]] = {}
    for (role, system), pool in made.items():
        found.setdefault(role, {})[system] = pool
    return found


def _pool(sets: Sequence[Task], role: str, system: str, against: str, measure: str, alpha: float) -> Pooled:
    """One system's pooled numbers."""
    mine = [task.results[system] for task in sets]
    theirs = [task.results[against] for task in sets if against in task.results]
    values = np.concatenate([result.scores.column(measure) for result in mine])
    one = None
    if system != against and len(theirs) == len(sets):
        with contextlib.suppress(BenchError):
            one = difference(theirs, mine, measure, alpha=alpha)
    return Pooled(role, len(values), float(values.mean()), one)


def leaders(numbers: Mapping[str, Pooled]) -> list[str]:
    """Systems from the highest pooled mean to the lowest."""
    return sorted(numbers, key=lambda system: -numbers[system].mean)


# --- verdicts --------------------------------------------------------------------------------------


def judged_result(material: Material, verdict: Verdict, query_set: str, side: str) -> Result | None:
    """The result that a verdict speaks of; None where the material does not hold it.

    Args:
        material: what the report may show.
        verdict: one of its verdicts.
        query_set: name of a query set that it judged.
        side: "baseline", "merge-base" or "candidate".

    A baseline and a candidate may share their name, so the means decide, and what was accepted is looked at first.
    """
    reference = "merge-base" if side == "merge-base" else "baseline"
    wanted = {
        cell.measure: cell.candidate if side == "candidate" else cell.baseline
        for cell in verdict.cells
        if (cell.query_set, cell.reference, cell.variant, cell.slice) == (query_set, reference, "", None)
    }
    name = verdict.merge_base if side == "merge-base" else getattr(verdict, side)
    for result in (*material.baselines, *material.results):
        if result.system != name or result.query_set != query_set or result.variant:
            continue
        if verdict.suite is not None and result.suite != verdict.suite:
            continue
        means = result.scores.means()
        if all(abs(means.get(measure, 2.0) - mean) < 1e-9 for measure, mean in wanted.items()):
            return result
    return None


def labelled(material: Material) -> dict[tuple[str, str], dict[str, Result]]:
    """(suite, query set) → label → result; what was accepted under a name that is measured anew says so."""
    found: dict[tuple[str, str], dict[str, Result]] = {}
    order = {(task.suite, task.name): place for place, task in enumerate(tasks(material))}
    suffixes = _suffixes(material)
    for result in (*material.results, *material.baselines):
        runs = found.setdefault((result.suite, result.query_set), {})
        first = next(iter(runs.values()), result)
        if result.variant or not result.top_ids or first.scores.query_ids != result.scores.query_ids:
            continue
        if not any(_same(one, result) for one in runs.values()):
            runs.setdefault(f"{result.system}{suffixes.get(id(result), '')}", result)
    return dict(sorted(found.items(), key=lambda pair: order.get(pair[0], len(order))))


def _suffixes(material: Material) -> dict[int, str]:
    """What tells a verdict's references from a candidate of the same name, by the result's identity."""
    found: dict[int, str] = {}
    for verdict in material.verdicts:
        for query_set in dict.fromkeys(cell.query_set for cell in verdict.cells):
            candidate = judged_result(material, verdict, query_set, "candidate")
            sides = (("merge-base", verdict.merge_base, " (merge base)"), ("baseline", verdict.baseline, " (accepted)"))
            for side, system, suffix in sides:
                result = judged_result(material, verdict, query_set, side)
                if system == verdict.candidate and result is not None and result is not candidate:
                    found[id(result)] = suffix
    return found


def _same(one: Result, other: Result) -> bool:
    """Whether two results are one run, measured alike."""
    return (one.system, one.run_digest, one.labels_digest) == (other.system, other.run_digest, other.labels_digest)
