"""Recall by depth: whether what is missed lies just below the cutoff, where a reranker finds it, or nowhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.base import words
from bench.report import Material, charts
from bench.report.blocks import Block, Column, Datum, Figure, Panel, Prose, Table, plain
from bench.report.embedded import TOP
from bench.report.reading import Task, is_smaller, tasks

ORDER = 48
TITLE = "Depth"

MOST_LINES = 6
DEPTHS = (1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000)


def build(material: Material) -> list[Block]:
    """A curve per system, from stored runs, else from the first documents that every result keeps."""
    held = [(task, curves) for task in tasks(material) if (curves := _curves(material, task))]
    if not held:
        return []
    chosen = _chosen(material, [task for task, _ in held])
    panels = [
        Panel(f"{plain(task.name, 40)} ({words.ROLES.get(task.role, '')})", _chart(position, task, curves, chosen))
        for position, (task, curves) in enumerate(held)
    ]
    sentence = (
        "Where a curve still climbs after 10, relevant documents wait below the first ten, and a reranker can lift "
        "them. Where it is flat, they are not found at all."
    )
    caption = "Mean recall among the first k documents."
    if len(chosen) < len({system for _, curves in held for system in curves}):
        caption += f" The reference and the best of the others are drawn, {len(chosen)} in all; the table holds all."
    return [Prose([sentence]), Figure(panels, caption, _table(held))]


def _curves(material: Material, task: Task) -> dict[str, Sequence[float]]:
    """System → recall among the first 1, 2, 3 … documents."""
    stored = material.depths.get(task.name, {})
    found = {system: stored[system] for system in task.results if len(stored.get(system, ())) > 1}
    curves = found or _from_results(material, task)
    # Who retrieves no more documents finds no more.
    longest = max(map(len, curves.values()), default=0)
    return {system: [*curve, *[curve[-1]] * (longest - len(curve))] for system, curve in curves.items()}


def _from_results(material: Material, task: Task) -> dict[str, Sequence[float]]:
    level, judged = task.first.protocol.relevance_level, material.qrels.get(task.name, {})
    positives = [
        {doc for doc, grade in judged.get(query_id, {}).items() if grade >= level}
        for query_id in task.first.scores.query_ids
    ]
    if not positives or not all(positives):
        return {}
    found: dict[str, Sequence[float]] = {}
    for system, result in task.results.items():
        if is_smaller(system, task.results) or result.scores.query_ids != task.first.scores.query_ids:
            continue
        width = min(TOP, max(map(len, result.top_ids), default=0))
        found[system] = [
            sum(len(known & set(ids[:k])) / len(known) for known, ids in zip(positives, result.top_ids, strict=True))
            / len(positives)
            for k in range(1, width + 1)
        ]
    return {system: curve for system, curve in found.items() if len(curve) > 1}


def _chosen(material: Material, held: Sequence[Task]) -> list[str]:
    """The same systems in every panel, so that a colour means one thing."""
    judged = [name for verdict in material.verdicts for name in (verdict.baseline, verdict.candidate)]
    everyone = {system: None for task in held for system in task.results}
    names = [system for system in everyone if not is_smaller(system, everyone)]
    first = held[0]
    ranked = sorted(names, key=lambda system: -(first.mean(system, first.primary) or 0.0))
    wanted = dict.fromkeys([material.reference, *ranked[:2], *judged, *ranked])
    return [system for system in wanted if system in names][:MOST_LINES]


def _ticks(longest: int) -> list[int]:
    return [k for k in DEPTHS if k < longest] + [longest]


def _chart(position: int, task: Task, curves: Mapping[str, Sequence[float]], chosen: Sequence[str]) -> str:
    series = []
    for place, system in enumerate(chosen):
        if system in curves:
            ticks = _ticks(len(curves[system]))
            ys = [curves[system][k - 1] for k in ticks]
            series.append(charts.Line(system, ticks, ys, group=place, style=place))
    if not series:
        # None of the chosen was measured here.
        series = [
            charts.Line(s, _ticks(len(c)), [c[k - 1] for k in _ticks(len(c))]) for s, c in list(curves.items())[:1]
        ]
    longest = max(int(line.xs[-1]) for line in series)
    marked = [k for k in (1, 10, 100, 1000) if k <= longest] + ([longest] if longest not in (1, 10, 100, 1000) else [])
    return charts.lines(
        f"depth-{position}",
        f"Recall by depth on {plain(task.name, 40)}",
        series,
        x_axis="first k documents",
        y_axis="recall@k",
        ticks=marked,
    )


def _table(held: Sequence[tuple[Task, Mapping[str, Sequence[float]]]]) -> Table:
    longest = max(len(curve) for _, curves in held for curve in curves.values())
    depths = [k for k in (1, 5, 10, 20, 50, 100, 200, 500) if k < longest] + [longest]
    columns = [Column("System"), Column("Query set"), *(Column(f"recall@{k}", numeric=True) for k in depths)]
    rows = []
    for task, curves in held:
        for system, curve in curves.items():
            values = [curve[k - 1] if k <= len(curve) else None for k in depths]
            row = [Datum(plain(system, 60), kind="name"), Datum(plain(task.name, 40), kind="name")]
            rows.append([*row, *(Datum(words.number(v), -1 if v is None else v, "number") for v in values)])
    return Table("Recall by depth", columns, rows, sortable=True)
