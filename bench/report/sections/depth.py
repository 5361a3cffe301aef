"""Recall by depth: whether missed documents rank just below the cutoff, where a reranker reads them, or nowhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.report import Material, charts, datum
from bench.report.blocks import Block, Figure, Panel, Prose, Table
from bench.report.explorer import TOP
from bench.report.reading import Task, is_smaller, judged_systems, tasks
from bench.report.text import plain

ORDER = 48
TITLE = "Recall by depth"

MOST_LINES = 6
DEPTHS = (1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000)

Curves = Mapping[str, Sequence[float]]


def build(material: Material) -> list[Block]:
    """A curve per system, from stored runs, else from the first documents that every result keeps."""
    sets = [(task, curves) for task in tasks(material) if (curves := _curves(material, task))]
    if not sets:
        return []
    drawn = _drawn_systems(material, [task for task, _ in sets])
    panels = [Panel(task.title, _chart(position, task, curves, drawn)) for position, (task, curves) in enumerate(sets)]
    sentence = (
        "Where a curve still rises after 10, relevant documents rank below the first ten, and a reranker can move them "
        "up. Where it is flat, they are not retrieved at all."
    )
    caption = "Mean recall among the first k documents."
    if len(drawn) < len({system for _, curves in sets for system in curves}):
        caption += f" Drawn are the reference and the best other systems, {len(drawn)} in all; the table has all."
    return [Prose([sentence]), Figure(panels, caption, _table(sets))]


def _curves(material: Material, task: Task) -> Curves:
    """System → recall among the first 1, 2, 3 … documents."""
    stored = material.depths.get(task.name, {})
    curves = {system: stored[system] for system in task.results if len(stored.get(system, ())) > 1}
    curves = curves or _from_results(material, task)
    # Recall stays the same after the last document that a system retrieves.
    longest = max(map(len, curves.values()), default=0)
    return {system: [*curve, *[curve[-1]] * (longest - len(curve))] for system, curve in curves.items()}


def _from_results(material: Material, task: Task) -> dict[str, Sequence[float]]:
    level, qrels = task.first.protocol.relevance_level, material.qrels.get(task.name, {})
    query_ids = task.first.scores.query_ids
    relevant = [{doc for doc, grade in qrels.get(q, {}).items() if grade >= level} for q in query_ids]
    curves: dict[str, Sequence[float]] = {}
    for system, result in task.results.items() if relevant and all(relevant) else ():
        width = min(TOP, max(map(len, result.top_ids), default=0))
        if width > 1 and not is_smaller(system, task.results) and result.scores.query_ids == query_ids:
            pairs = list(zip(relevant, result.top_ids, strict=True))
            curves[system] = [
                sum(len(docs & set(ids[:k])) / len(docs) for docs, ids in pairs) / len(pairs)
                for k in range(1, width + 1)
            ]
    return curves


def _drawn_systems(material: Material, sets: Sequence[Task]) -> list[str]:
    """The same systems in every panel, so that a colour means one thing."""
    every = {system: None for task in sets for system in task.results}
    names = [system for system in every if not is_smaller(system, every)]
    ranked = sets[0].by_mean(names)
    ordered = dict.fromkeys([material.reference, *ranked[:2], *judged_systems(material), *ranked])
    return [system for system in ordered if system in names][:MOST_LINES]


def _chart(position: int, task: Task, curves: Curves, drawn: Sequence[str]) -> str:
    series = []
    # Where none of the drawn systems was measured, the first other one.
    for place, system in enumerate(drawn if any(s in curves for s in drawn) else list(curves)[:1]):
        if system in curves:
            depths = [*(k for k in DEPTHS if k < len(curves[system])), len(curves[system])]
            recall = [curves[system][k - 1] for k in depths]
            series.append(charts.Line(system, depths, recall, group=place, style=place))
    longest = max(int(line.xs[-1]) for line in series)
    return charts.lines(
        f"depth-{position}",
        f"Recall by depth on {plain(task.name, 40)}",
        series,
        x_axis="first k documents",
        y_axis="recall@k",
        ticks=[*(k for k in (1, 10, 100, 1000) if k < longest), longest],
    )


def _table(sets: Sequence[tuple[Task, Curves]]) -> Table:
    longest = max(len(curve) for _, curves in sets for curve in curves.values())
    depths = [*(k for k in (1, 5, 10, 20, 50, 100, 200, 500) if k < longest), longest]
    rows = []
    for task, system, curve in ((task, *curve) for task, curves in sets for curve in curves.items()):
        recall = (datum.number(curve[k - 1] if k <= len(curve) else None) for k in depths)
        rows.append([datum.name(system), datum.name(task.name, 40), *recall])
    columns = ["System", "Query set", *(f"recall@{k}" for k in depths)]
    return Table.grid("Recall by depth", columns, rows, sortable=True)
