"""Every system against the reference, query set by query set, and who cannot be told from the best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from bench.base import words
from bench.gate.compare import Difference
from bench.report import Material, charts
from bench.report.blocks import (
    Block,
    Column,
    Datum,
    Figure,
    Folded,
    Heading,
    Panel,
    Prose,
    Span,
    Table,
    name,
    plain,
    strong,
)
from bench.report.groups import significance_groups
from bench.report.reading import Task, best_system, differences, prominent, refusals, tasks

ORDER = 20
TITLE = "Model comparison"

MOST_ROWS = 24
"""Rows of a forest plot; the tables hold all systems."""

Differences = Mapping[str, Mapping[str, Difference]]


def build(material: Material) -> list[Block]:
    """A forest plot over all query sets, then a table for each."""
    held = [task for task in tasks(material) if len(task.results) > 1]
    if not held:
        return []
    compared = [(task, differences(material, task, material.reference)) for task in held]
    blocks: list[Block] = _figure(material, compared)
    for position, (task, found) in enumerate(compared):
        shown = _open(material, task)
        table = _table(material, task, found, shown)
        blocks += [_heading(task), Prose(_indistinguishable(material, task, shown))]
        # What the signs mean is said once; below the other tables, only what was not compared.
        blocks.append(table if position == 0 else replace(table, note=_refusals(material, task)))
        if len(shown) < len(task.results):
            # Folded, it is looked up and not read: every system, and no letters, which would count other pairs.
            everything = replace(
                _table(material, task, found, list(task.results), letters=False),
                note="",
                caption=f"All systems on {plain(task.name, 40)}",
            )
            blocks.append(Folded(f"All {len(task.results)} systems on {plain(task.name, 40)}", [everything]))
    return blocks


def _open(material: Material, task: Task) -> list[str]:
    """Systems that are read, the best first."""
    return sorted(prominent(material, task.results), key=lambda system: -(task.mean(system, task.primary) or 0.0))


def _heading(task: Task) -> Heading:
    role = words.ROLES.get(task.role, plain(task.role, 40))
    return Heading([name(task.name), f" – {role}, {words.count(task.n, 'query')}"])


def _figure(material: Material, compared: list[tuple[Task, dict[str, dict[str, Difference]]]]) -> list[Block]:
    """Differences of the primary measure, one panel per query set, on one scale and in one order."""
    shown = [(task, found, task.primary) for task, found in compared if found and task.primary in task.measures]
    order: dict[str, float] = {}
    rows = {}
    for position, (task, found, measure) in enumerate(shown):
        wanted = set(_open(material, task))
        kept = {s: d[measure] for s, d in found.items() if s in wanted and measure in d}
        for system, difference in kept.items():
            order.setdefault(system, difference.delta)
        best = sorted(kept, key=lambda system: -kept[system].delta)[:MOST_ROWS]
        rows[position] = {system: kept[system] for system in sorted(best, key=lambda s: -order[s])}
    ends = [end for held in rows.values() for d in held.values() for end in (d.ci or (d.delta,))]
    if not ends:
        return []
    ends.append(0.0)
    room = 0.04 * ((max(ends) - min(ends)) or 0.1)
    limits = (min(ends) - room, max(ends) + room)
    panels = []
    for position, (task, _, measure) in enumerate(shown):
        marks = [charts.Mark(system, d.delta, 0, x_range=d.ci, tone=d.shown) for system, d in rows[position].items()]
        if not marks:
            continue
        title = f"{plain(task.name, 40)} ({words.ROLES.get(task.role, '')}, n = {task.n})"
        axis = f"difference in {plain(measure, 20)}"
        panels.append(
            Panel(title, charts.forest(f"comparison-{position}", f"{title}: {axis}", marks, axis=axis, limits=limits))
        )
    caption = (
        f"Difference to {plain(material.reference, 40)} with {words.level(material.alpha)} intervals. Upward triangles "
        "are shown to be better, downward triangles worse, counting all systems of a set (Holm); circles are not, "
        "even where a line misses zero."
    )
    if any(len(rows[position]) < len(found) for position, (_, found, _) in enumerate(shown)):
        caption += f" Shorter and coarser copies of a model, and systems past the best {MOST_ROWS}, are in the tables."
    return [Figure(panels, caption)]


def _table(material: Material, task: Task, found: Differences, shown: Sequence[str], *, letters: bool = True) -> Table:
    """Systems by measures, the difference to the reference below each mean."""
    best = {}
    for measure in task.measures:
        leader = best_system(task, measure)
        best[measure] = task.mean(leader, measure) if leader else None
    grouped = significance_groups(task, task.primary, shown, alpha=material.alpha) if letters else {}
    columns = [Column("System")]
    for measure in task.measures:
        columns.append(Column(plain(measure, 40), words.explained(measure), numeric=True))
        if measure == task.primary and grouped:
            columns.append(Column("Group", f"Systems that share a letter are not shown to differ in {measure}"))
    columns += [Column("Index", "Size of the index", numeric=True)]
    rows = []
    for system in shown:
        result = task.results[system]
        kind = "reference" if system == material.reference else plain(result.kind, 40)
        row = [Datum(plain(system, 60), kind="name", note=kind)]
        for measure in task.measures:
            row.append(_datum(task, system, measure, found, best[measure]))
            if measure == task.primary and grouped:
                row.append(Datum(grouped.get(system, "–"), kind="letters"))
        size = -1 if result.index_bytes is None else result.index_bytes
        rows.append([*row, Datum(words.size(result.index_bytes), size, "number")])
    note = (
        f"Small print: difference to {plain(material.reference, 40)} with its {words.level(material.alpha)} interval. "
        f"▲ shown to be better, ▼ shown to be worse, counting all {words.count(len(found), 'system')} compared here "
        "(two-sided, Holm); "
        "no mark: not shown to differ. The best of each column is underlined."
    )
    if grouped:
        note += (
            f" Group: systems that share a letter are not shown to differ in {plain(task.primary, 40)}; paired tests "
            "of all pairs in this table, Holm-adjusted together."
        )
    note = f"{note} {_refusals(material, task)}".strip()
    return Table(f"Systems on {plain(task.name, 40)}", columns, rows, sortable=True, note=note)


def _refusals(material: Material, task: Task) -> str:
    """Why there are no differences, where there are none."""
    return " ".join(f"Not compared: {plain(sentence, 300)}" for sentence in refusals(material, task)[:3])


def _datum(task: Task, system: str, measure: str, found: Differences, best: float | None) -> Datum:
    mean = task.mean(system, measure)
    if mean is None:
        return Datum("–", -1, "number")
    difference = found.get(system, {}).get(measure)
    note, tone, label = "", "", ""
    if difference is not None:
        tone = difference.shown
        mark = {"better": " ▲", "worse": " ▼"}.get(tone, "")
        note = f"{words.signed(difference.delta)} {words.interval(difference.ci)}{mark}"
        label = f"shown to be {tone}" if tone else "not shown to differ"
    if best is not None and abs(mean - best) < 1e-12:
        tone, label = f"{tone} best".strip(), f"{label}; best of this column".lstrip("; ")
    return Datum(words.number(mean), mean, "number", note=note, tone=tone, label=label)


def _indistinguishable(material: Material, task: Task, shown: Sequence[str]) -> list[str | Span]:
    """Who might as well be the best: differences to the leader, with their own family."""
    measure = task.primary
    best = best_system(task, measure)
    if best is None:
        return []
    found = differences(material, task, best, measures=[measure])
    open_ones = [system for system, held in found.items() if measure in held and not held[measure].shown]
    parts: list[str | Span] = ["Highest ", strong(plain(measure, 40)), ": ", name(best)]
    if not open_ones:
        return [
            *parts,
            f"; all {len(found)} other systems are shown to be worse."
            if len(found) > 1
            else "; the other system is shown to be worse.",
        ]
    open_ones.sort(key=lambda system: -(task.mean(system, measure) or 0))
    named: list[str | Span] = [name(system) for system in open_ones if system in shown]
    folded = len(open_ones) - len(named)
    if folded:
        named.append(words.count(folded, "smaller copy", "smaller copies") + " of a model")
    verb = "is" if len(open_ones) == 1 else "are"
    return [*parts, "; ", *words.listed(named, most=8), f" {verb} not shown to differ from it."]
