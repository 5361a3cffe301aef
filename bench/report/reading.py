"""What sections read from the material: systems, query sets, and the differences between results.

A difference is "shown" if its two-sided p is below alpha after Holm over its family. A family is all systems that are
compared with the same system by one measure, on one query set or on all query sets of both roles together.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from bench.base import words
from bench.base.errors import BenchError
from bench.base.names import SystemName
from bench.gate.compare import Difference, check_comparable, corrected, difference, require_measure
from bench.records import EVALUATION_ROLES, ROLES, Result, Verdict
from bench.report import Material
from bench.report.text import plain

MOST_MAIN = 16
"""With more systems than these, smaller copies of a model are folded away."""


@dataclass(frozen=True)
class Task:
    """One query set with every system's result on it, in the material's order."""

    suite: str
    name: str
    role: str
    results: Mapping[str, Result] = field(repr=False)

    @property
    def first(self) -> Result:
        """The first result; all comparable results have the same suite, queries and protocol."""
        return next(iter(self.results.values()))

    @property
    def title(self) -> str:
        """The query set's name and role."""
        return f"{plain(self.name, 40)} ({words.ROLES.get(self.role, plain(self.role, 40))})"

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
        measured = dict.fromkeys(m for result in self.results.values() for m in result.scores.measures)
        return [m for m in dict.fromkeys([*self.first.protocol.measures, *measured]) if m in measured]

    def by_mean(self, systems: Iterable[str]) -> list[str]:
        """Systems from the highest mean of the primary measure to the lowest."""
        return sorted(systems, key=lambda system: -(self.mean(system, self.primary) or 0.0))


def systems(material: Material) -> list[str]:
    """All systems, in the order of their first result."""
    return list(dict.fromkeys(result.system for result in material.results))


def is_smaller(system: str, names: Collection[str]) -> bool:
    """Whether a system is a shorter or coarser copy of another of these: `minilm@128` or `minilm/int8` of `minilm`."""
    return any(name in names for name in SystemName.parse(system).larger)


def main_systems(material: Material, names: Iterable[str]) -> list[str]:
    """All systems; if there are more than `MOST_MAIN`, without smaller copies of others.

    The reference, baselines and candidates are always among them.
    """
    everything = list(names)
    if len(everything) <= MOST_MAIN:
        return everything
    always = {material.reference, *judged_systems(material)}
    known = {*everything, material.reference}
    main = [name for name in everything if name in always or not is_smaller(name, known)]
    return main if len(main) > 1 else everything


def judged_systems(material: Material) -> list[str]:
    """Baseline and candidate of each verdict."""
    return [system for verdict in material.verdicts for system in (verdict.baseline, verdict.candidate)]


def tasks(material: Material) -> list[Task]:
    """All query sets with their results: held-out, then out-of-distribution, then others."""
    results: dict[tuple[str, str], dict[str, Result]] = {}
    for result in material.results:
        results.setdefault((result.suite, result.query_set), {})[result.system] = result
    order = (*EVALUATION_ROLES, *ROLES)
    return sorted(
        (Task(suite, name, next(iter(of.values())).role, of) for (suite, name), of in results.items()),
        key=lambda task: order.index(task.role) if task.role in order else len(order),
    )


def tasks_by_role(material: Material) -> dict[str, list[Task]]:
    """Evaluation role → its query sets, for roles that have one."""
    every = tasks(material)
    by_role = {role: [task for task in every if task.role == role] for role in EVALUATION_ROLES}
    return {role: of_role for role, of_role in by_role.items() if of_role}


# --- differences on one query set ------------------------------------------------------------------


def differences(
    material: Material, task: Task, against: str, *, measures: Sequence[str] | None = None
) -> dict[str, dict[str, Difference]]:
    """System → measure → difference to `against`, for all other systems that can be compared with it.

    Empty where `against` has no result; `comparison_errors` says why a system is left out.
    """
    reference = task.results.get(against)
    if reference is None:
        return {}
    by_system: dict[str, dict[str, Difference]] = {}
    for measure in measures or task.measures:
        family: dict[str, Difference] = {}
        for system, result in task.results.items():
            if system != against:
                with contextlib.suppress(BenchError):
                    family[system] = difference([reference], [result], measure, alpha=material.alpha)
        for system, adjusted in zip(family, corrected(list(family.values())), strict=True):
            by_system.setdefault(system, {})[measure] = adjusted
    return by_system


def comparison_errors(material: Material, task: Task) -> list[str]:
    """Why systems are not compared with the reference, a sentence for each error."""
    reference = task.results.get(material.reference)
    if reference is None:
        return []
    errors = set()
    for result in task.results.values():
        for measure in task.measures if result is not reference else ():
            try:
                check_comparable(reference, result)
                for side in (reference, result):
                    require_measure(side, measure, "result of")
            except BenchError as error:
                errors.add(str(error))
    return sorted(errors)


# --- all query sets of a role ----------------------------------------------------------------------


@dataclass(frozen=True)
class Pooled:
    """All queries of a role, each counted once: a system's mean and its difference to the reference."""

    n: int
    mean: float
    difference: Difference | None

    @property
    def shown(self) -> str:
        """ "better" or "worse" where that is shown, else ""."""
        return self.difference.shown if self.difference else ""


def pooled(material: Material, measure: str, against: str) -> dict[str, dict[str, Pooled]]:
    """Role → system → mean over all queries of the role, for systems that were measured on all of them.

    Intervals treat queries of different sets as independent; within a set, clusters count as they do there.
    """
    pools: dict[tuple[str, str], Pooled] = {}
    for role, of_role in tasks_by_role(material).items():
        sets = [task for task in of_role if measure in task.measures]
        references = [task.results[against] for task in sets if against in task.results]
        for system in systems(material) if sets else ():
            results = [task.results[system] for task in sets if task.mean(system, measure) is not None]
            if len(results) < len(sets):
                continue
            values = np.concatenate([result.scores.column(measure) for result in results])
            pools[role, system] = Pooled(len(values), float(values.mean()), None)
            if system != against and len(references) == len(sets):
                with contextlib.suppress(BenchError):
                    compared = difference(references, results, measure, alpha=material.alpha)
                    pools[role, system] = replace(pools[role, system], difference=compared)
    family = {key: pool.difference for key, pool in pools.items() if pool.difference is not None}
    for key, adjusted in zip(family, corrected(list(family.values())), strict=True):
        pools[key] = replace(pools[key], difference=adjusted)
    roles = dict.fromkeys(role for role, _ in pools)
    return {role: {system: pool for (of, system), pool in pools.items() if of == role} for role in roles}


def by_mean(numbers: Mapping[str, Pooled]) -> list[str]:
    """Systems from the highest pooled mean to the lowest."""
    return sorted(numbers, key=lambda system: -numbers[system].mean)


# --- verdicts --------------------------------------------------------------------------------------


def judged_result(material: Material, verdict: Verdict, query_set: str, side: str) -> Result | None:
    """One side's result behind a verdict; None where the material lacks it.

    Args:
        material: what the report may show.
        verdict: one of its verdicts.
        query_set: name of a query set of the verdict.
        side: "baseline", "merge-base" or "candidate".

    A baseline and a candidate may have the same name, so the means decide. Accepted results come first.
    """
    reference = "merge-base" if side == "merge-base" else "baseline"
    means = {
        cell.measure: cell.candidate if side == "candidate" else cell.baseline
        for cell in verdict.cells
        if (cell.query_set, cell.reference, cell.variant, cell.slice) == (query_set, reference, "", None)
    }
    system = verdict.merge_base if side == "merge-base" else getattr(verdict, side)
    for result in (*material.baselines, *material.results):
        if (result.system, result.query_set, result.variant) == (system, query_set, ""):
            measured = result.scores.means()
            same = all(abs(measured.get(measure, 2.0) - mean) < 1e-9 for measure, mean in means.items())
            if same and verdict.suite in (None, result.suite):
                return result
    return None


Runs = Mapping[tuple[str, str], Mapping[str, Result]]
"""(suite, query set) → label → result."""


def labelled_results(material: Material) -> Runs:
    """All results with rankings, the accepted ones too.

    A label is the system's name; an accepted result of a system that is measured anew has "(accepted)" after it.
    """
    suffixes: dict[int, str] = {}
    for verdict in material.verdicts:
        sides = (("merge-base", verdict.merge_base, " (merge base)"), ("baseline", verdict.baseline, " (accepted)"))
        for query_set in dict.fromkeys(cell.query_set for cell in verdict.cells):
            candidate = judged_result(material, verdict, query_set, "candidate")
            for side, system, suffix in sides:
                result = judged_result(material, verdict, query_set, side)
                if system == verdict.candidate and result is not None and result is not candidate:
                    suffixes[id(result)] = suffix
    runs: dict[tuple[str, str], dict[str, Result]] = {(task.suite, task.name): {} for task in tasks(material)}
    for result in (*material.results, *material.baselines):
        of_set = runs.setdefault((result.suite, result.query_set), {})
        first = next(iter(of_set.values()), result)
        if result.variant or not result.top_ids or first.scores.query_ids != result.scores.query_ids:
            continue
        run = (result.system, result.run_digest, result.labels_digest)
        if not any((r.system, r.run_digest, r.labels_digest) == run for r in of_set.values()):
            of_set.setdefault(f"{result.system}{suffixes.get(id(result), '')}", result)
    return runs
