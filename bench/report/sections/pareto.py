"""Quality against index size and latency: the systems that no other system beats on all three."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from bench.base import words
from bench.report import Material, Times, charts, datum
from bench.report.blocks import Block, Column, Figure, Head, Panel, Prose, Table
from bench.report.reading import Task, is_smaller, main_systems, tasks
from bench.report.text import name, plain

ORDER = 50
TITLE = "Quality, size and latency"

MOST_NAMED = 12
"""Points up to which all have a name; above it, smaller copies of a model that are not on the frontier have none."""

Points = Mapping[str, tuple[float, float]]
"""System → (cost, mean of the primary measure)."""


def build(material: Material) -> list[Block]:
    """A frontier per query set where at least two systems state their size; the same by latency where timed."""
    sized, timed = (
        [(task, _points(task, costs(material, task))) for task in tasks(material)] for costs in (_bytes, _p95)
    )
    sized = [(task, points) for task, points in sized if len({size for size, _ in points.values()}) > 1]
    timed = [(task, points) for task, points in timed if len(points) > 1]
    blocks: list[Block] = []
    if sized:
        caption = (
            "Means against the bytes of the index, on a logarithmic axis. The line joins the systems that no other one "
            "of the same size or smaller beats. It is drawn through means, so a small step may be chance."
        )
        panels = [
            Panel(task.title, _chart(material, position, task, points, "index size"))
            for position, (task, points) in enumerate(sized)
        ]
        blocks.append(Figure(panels, caption, _table(material, [task for task, _ in sized])))
        if unsized := sorted({system for task, points in sized for system in task.results if system not in points}):
            listed = words.join(map(name, unsized))
            blocks.append(Prose(["Not drawn, because no size is known: ", *listed, "."], style="note"))
    if timed:
        panels = []
        for position, (task, points) in enumerate(timed):
            drawn = {system: points[system] for system in (*main_systems(material, points), *frontier(points))}
            panels.append(Panel(task.title, _chart(material, position, task, drawn, "latency")))
        n_queries = sum(times.n_queries for task, _ in timed if (times := _times(material, task)))
        caption = (
            f"Means against the 95th percentile of the time of {words.count(n_queries, 'query')}, one at a time, all "
            "systems side by side in one process. A larger mark is a larger index. Milliseconds hold for that machine "
            "only; their ratios hold on other machines too."
        )
        blocks.append(Figure(panels, caption, None if sized else _table(material, [task for task, _ in timed])))
    return blocks


def _times(material: Material, task: Task) -> Times | None:
    return next((times for times in material.times if times.query_set == task.name), None)


def _bytes(material: Material, task: Task) -> dict[str, float]:
    return {system: result.index_bytes for system, result in task.results.items() if result.index_bytes}


def _p95(material: Material, task: Task) -> dict[str, float]:
    """System → 95th percentile in ms."""
    times = _times(material, task)
    return {system: ms[1] for system, ms in times.ms.items()} if times else {}


def _points(task: Task, costs: Mapping[str, float]) -> dict[str, tuple[float, float]]:
    means = {system: task.mean(system, task.primary) for system in task.results}
    return {s: (costs[s], mean) for s, mean in means.items() if s in costs and mean is not None}


def frontier(points: Points) -> list[str]:
    """Systems that none of the same cost or cheaper beats, from the cheapest up."""
    best: list[str] = []
    for system in sorted(points, key=lambda s: (points[s][0], -points[s][1])):
        if not best or points[system][1] > points[best[-1]][1]:
            best.append(system)
    return best


def unbeaten(costs: Mapping[str, tuple[float, ...]]) -> set[str]:
    """Systems for which no other one is at least as good in everything and better in something.

    Args:
        costs: system → numbers, all of them better when smaller.
    """

    def beats(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
        return a != b and all(x <= y for x, y in zip(a, b, strict=True))

    return {system for system, cost in costs.items() if not any(beats(other, cost) for other in costs.values())}


def _chart(material: Material, position: int, task: Task, points: Points, axis: str) -> str:
    best = frontier(points)
    sizes = _bytes(material, task)
    span = math.log(max(sizes.values()) / min(sizes.values())) if sizes else 0.0

    def mark(system: str) -> charts.Mark:
        cost, mean = points[system]
        tone, weight, width = "", 0, 7.0
        if system == material.reference:
            tone, weight = "reference", 100
        elif system in best:
            tone, weight = "front", 50 + best.index(system)
        elif len(points) > MOST_NAMED and is_smaller(system, points):
            weight = -1
        if axis == "latency" and span and system in sizes:
            # 5 units for the smallest index of the query set, 13 for the largest, by the logarithm.
            width = 5 + 8 * math.log(sizes[system] / min(sizes.values())) / span
        return charts.Mark(system, cost, mean, tone=tone, weight=weight, size=width)

    costs, measure = [cost for cost, _ in points.values()], plain(task.primary, 40)
    return charts.scatter(
        f"pareto-{axis.partition(' ')[0]}-{position}",
        f"{measure} on {plain(task.name, 40)} by {axis}",
        [mark(system) for system in points],
        x_axis=axis if axis != "latency" else "latency, 95th percentile",
        y_axis=measure,
        x_ticks=_ticks(costs, axis),
        front=[*(points[system] for system in best), (max(costs), points[best[-1]][1])],
        height=260,
    )


def _ticks(costs: Sequence[float], axis: str) -> list[tuple[float, str]]:
    """Powers of ten; with steps between them where there are fewer than two."""
    low, high = min(costs) / 1.6, max(costs) * 2.6

    def text(cost: float) -> str:
        if axis == "latency":
            return f"{cost:g} ms"
        return words.size(cost).replace(".0", "").replace("\u202f", " ")

    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1,), (1, 3), (1, 2, 5)):
        ticks = [(s * 10.0**e, text(s * 10.0**e)) for e in exponents for s in steps if low <= s * 10.0**e <= high]
        if len(ticks) > 1:
            return ticks
    return [(min(costs), text(min(costs)))]


def _table(material: Material, sets: Sequence[Task]) -> Table:
    columns: list[Head] = ["System"]
    for task in sets:
        columns += [Column(f"{plain(task.name, 40)} {plain(task.primary, 40)}"), "Index"]
        if _times(material, task):
            columns += [Column("p50", "Median over queries"), Column("p95", "95th percentile over queries")]
    fronts = [unbeaten(_costs(material, task)) for task in sets]
    rows = []
    for system in dict.fromkeys(s for task in sets for s in task.results):
        row = [datum.name(system)]
        for task, front in zip(sets, fronts, strict=True):
            result, times = task.results.get(system), _times(material, task)
            best = {"tone": "best", "label": "unbeaten"} if system in front else {}
            row.append(datum.number(task.mean(system, task.primary), **best))
            row.append(datum.size(result.index_bytes if result else None))
            for ms in times.ms.get(system, (None, None)) if times else ():
                row.append(datum.number(ms, f"{ms or 0:.{1 if (ms or 0) < 100 else 0}f}\u202fms"))
        rows.append(row)
    note = "Underlined: no other system is at least as good on each of the query set's numbers and better on one."
    return Table.grid("Quality, index size and latency", columns, rows, sortable=True, note=note)


def _costs(material: Material, task: Task) -> dict[str, tuple[float, ...]]:
    """System → costs, smaller is better: the negative mean, bytes, and p95 where it was timed."""
    p95 = _p95(material, task)
    points = _points(task, _bytes(material, task))
    return {s: (-mean, size, *([p95[s]] if p95 else [])) for s, (size, mean) in points.items() if not p95 or s in p95}
