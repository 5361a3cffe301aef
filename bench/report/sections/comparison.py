"""Every system against the reference, query set by query set, and the systems that may be as good as the best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from bench.base import words
from bench.gate.compare import Difference
from bench.report import Material, charts, datum
from bench.report.blocks import Block, Column, Datum, Figure, Folded, Head, Heading, Panel, Prose, Table
from bench.report.groups import significance_groups
from bench.report.reading import Task, comparison_errors, differences, main_systems, tasks
from bench.report.text import Parts, name, plain, strong

ORDER = 20
TITLE = "Model comparison"

MOST_ROWS = 24
"""Rows of a forest plot; the tables hold all systems."""

Differences = Mapping[str, Mapping[str, Difference]]


def build(material: Material) -> list[Block]:
    """A forest plot over all query sets, then a table for each."""
    sets = [task for task in tasks(material) if len(task.results) > 1]
    compared = [(task, differences(material, task, material.reference)) for task in sets]
    blocks: list[Block] = _figure(material, compared)
    for position, (task, by_system) in enumerate(compared):
        main = task.by_mean(main_systems(material, task.results))
        table = _table(material, task, by_system, main)
        errors = " ".join(f"Not compared: {plain(error, 300)}" for error in comparison_errors(material, task)[:3])
        # The signs are explained once, below the first table.
        note = f"{table.note} {errors}".strip() if position == 0 else errors
        role = words.ROLES.get(task.role, plain(task.role, 40))
        heading = Heading([name(task.name), f": {words.count(task.n, f'{role} query')}"])
        blocks += [heading, Prose(_as_good_as_the_best(material, task, main)), replace(table, note=note)]
        if len(main) < len(task.results):
            # Without letters, which would count other pairs than the table above.
            everything = _table(material, task, by_system, list(task.results), letters=False)
            caption = f"All systems on {plain(task.name, 40)}"
            folded = [replace(everything, note="", caption=caption)]
            blocks.append(Folded(f"All {len(task.results)} systems on {plain(task.name, 40)}", folded))
    return blocks


def _figure(material: Material, compared: Sequence[tuple[Task, Differences]]) -> list[Block]:
    """Differences of the primary measure, one panel per query set, on one scale and in one order."""
    order: dict[str, float] = {}
    rows: list[tuple[Task, dict[str, Difference]]] = []
    for task, by_system in compared:
        main = main_systems(material, task.results)
        deltas = {s: by[task.primary] for s, by in by_system.items() if s in main and task.primary in by}
        best = sorted(deltas, key=lambda system: -deltas[system].delta)[:MOST_ROWS]
        for system in deltas:
            order.setdefault(system, deltas[system].delta)
        rows.append((task, {system: deltas[system] for system in sorted(best, key=lambda s: -order[s])}))
    ends = [end for _, row in rows for d in row.values() for end in (d.ci or (d.delta,))]
    if not ends:
        return []
    least, most = min(*ends, 0.0), max(*ends, 0.0)
    room = 0.04 * ((most - least) or 0.1)
    panels = []
    for position, (task, row) in enumerate(rows):
        if row:
            marks = [charts.Mark(system, d.delta, 0, x_range=d.ci, tone=d.shown) for system, d in row.items()]
            axis = f"difference in {plain(task.primary, 20)}"
            title, limits = f"{task.title}, n = {task.n}", (least - room, most + room)
            svg = charts.forest(f"comparison-{position}", f"{title}: {axis}", marks, axis=axis, limits=limits)
            panels.append(Panel(title, svg))
    caption = (
        f"Difference to {plain(material.reference, 40)} with {words.confidence(material.alpha)} intervals. Triangles "
        "that point up are shown to be better, those that point down to be worse, counting all systems of a query set "
        "(Holm). Circles are not shown to differ, even where the line does not cross zero."
    )
    if any(len(row) < len(by_system) for (_, row), (_, by_system) in zip(rows, compared, strict=True)):
        caption += f" Smaller copies of a model, and systems after the best {MOST_ROWS}, are only in the tables."
    return [Figure(panels, caption)]


def _table(
    material: Material, task: Task, by_system: Differences, shown: Sequence[str], *, letters: bool = True
) -> Table:
    """Systems by measures, with the difference to the reference below each mean."""
    groups = significance_groups(task, task.primary, shown, alpha=material.alpha) if letters else {}
    best = {measure: max(task.mean(s, measure) or 0.0 for s in task.results) for measure in task.measures}

    def mean(system: str, measure: str) -> Datum:
        value, d = task.mean(system, measure), by_system.get(system, {}).get(measure)
        cell = datum.mean(value, d.delta, d.ci, d.shown) if d else datum.number(value)
        if value is None or abs(value - best[measure]) >= 1e-12:
            return cell
        label = "; ".join(filter(None, (cell.label, "best of this column")))
        return replace(cell, tone=f"{cell.tone} best".strip(), label=label)

    columns: list[Head] = ["System"]
    for measure in task.measures:
        columns.append(Column(plain(measure, 40), words.meaning(measure)))
        if measure == task.primary and groups:
            columns.append(Column("Group", f"Systems that share a letter are not shown to differ in {measure}"))
    columns.append(Column("Index", "Size of the index"))
    rows = []
    for system in shown:
        result = task.results[system]
        row = [datum.name(system, note="reference" if system == material.reference else plain(result.kind, 40))]
        for measure in task.measures:
            row.append(mean(system, measure))
            if measure == task.primary and groups:
                row.append(Datum(groups.get(system, "–"), kind="letters"))
        rows.append([*row, datum.size(result.index_bytes)])
    note = (
        f"Small print: difference to {plain(material.reference, 40)} with its {words.confidence(material.alpha)} "
        f"interval. ▲ shown to be better, ▼ shown to be worse, counting the {words.count(len(by_system), 'system')} "
        "compared here (two-sided, Holm); no mark: not shown to differ. The best of each column is underlined."
    )
    if groups:
        note += (
            f" Group: systems that share a letter are not shown to differ in {plain(task.primary, 40)}; paired tests "
            "of all pairs in this table, Holm-adjusted together."
        )
    return Table.grid(f"Systems on {plain(task.name, 40)}", columns, rows, sortable=True, note=note)


def _as_good_as_the_best(material: Material, task: Task, main: Sequence[str]) -> Parts:
    """The best system, and those that are not shown to differ from it, as a family of tests of their own."""
    measure = task.primary
    if measure not in task.measures:
        return []
    best = task.by_mean(task.results)[0]
    by_system = differences(material, task, best, measures=[measure])
    equals = task.by_mean(system for system, by in by_system.items() if measure in by and not by[measure].shown)
    parts: Parts = ["Highest ", strong(plain(measure, 40)), ": ", name(best), "; "]
    if not equals:
        n = len(by_system)
        others = {1: "the other system is", 2: "both other systems are"}.get(n, f"all {n} other systems are")
        return [*parts, others, " shown to be worse."]
    named: Parts = [name(system) for system in equals if system in main]
    if folded := len(equals) - len(named):
        named.append(words.count(folded, "smaller copy", "smaller copies") + " of a model")
    return [*parts, *words.join(named, most=8), f" {'is' if len(equals) == 1 else 'are'} not shown to differ from it."]
