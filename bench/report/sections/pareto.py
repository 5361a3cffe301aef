"""Quality against the size of the index and against time: which systems nobody beats on all three."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from bench.base import words
from bench.report import Material, Times, charts
from bench.report.blocks import Block, Column, Datum, Figure, Panel, Prose, Table, name, plain
from bench.report.reading import Task, is_smaller, prominent, tasks

ORDER = 50
TITLE = "Quality, size, latency"

MOST_NAMED = 12
"""Points that are all named; where there are more, smaller copies of a model off the frontier have no name."""

Points = Mapping[str, tuple[float, float]]


def build(material: Material) -> list[Block]:
    """A frontier per query set where at least two systems state their size; the same by latency where timed."""
    held = tasks(material)
    by_size = {task.name: _by_size(task) for task in held}
    by_size = {place: points for place, points in by_size.items() if len({size for size, _ in points.values()}) > 1}
    by_time = {task.name: points for task in held if len(points := _by_time(material, task)) > 1}
    blocks: list[Block] = []
    if by_size:
        panels = [
            Panel(_title(task), _chart(material, position, task, by_size[task.name], "index size"))
            for position, task in enumerate(held)
            if task.name in by_size
        ]
        caption = (
            "Means against the bytes of the index, on a logarithmic axis. The line joins systems that no smaller or "
            "equal one beats; it is drawn through means, so small steps in it need not be real."
        )
        blocks.append(Figure(panels, caption, _table(material, [task for task in held if task.name in by_size])))
        unsized = sorted(
            {s for task in held if task.name in by_size for s in task.results if s not in by_size[task.name]}
        )
        if unsized:
            listed = words.listed(map(name, unsized))
            blocks.append(Prose(["Not drawn, because no size is known: ", *listed, "."], style="note"))
    timed = [task for task in held if task.name in by_time]
    if timed:
        blocks.append(_latency(material, timed, by_time, numbers=not by_size))
    return blocks


def _latency(material: Material, timed: Sequence[Task], by_time: Mapping[str, Points], *, numbers: bool) -> Figure:
    panels = []
    for position, task in enumerate(timed):
        points = by_time[task.name]
        drawn = {system: points[system] for system in (*prominent(material, points), *frontier(points))}
        panels.append(Panel(_title(task), _chart(material, position, task, drawn, "latency")))
    n_queries = sum(record.n_queries for record in material.times if record.query_set in by_time)
    caption = (
        f"Means against the 95th percentile of {words.count(n_queries, 'query')} asked one at a time, all systems side "
        "by side in one process; the larger the mark, the larger the index. Milliseconds hold on that machine alone, "
        "their ratios elsewhere too."
    )
    return Figure(panels, caption, _table(material, timed) if numbers else None)


def _title(task: Task) -> str:
    return f"{plain(task.name, 40)} ({words.ROLES.get(task.role, '')})"


def _by_size(task: Task) -> dict[str, tuple[float, float]]:
    """System → (bytes, mean of the primary measure)."""
    found = {}
    for system, result in task.results.items():
        mean = task.mean(system, task.primary)
        if result.index_bytes and mean is not None:
            found[system] = (float(result.index_bytes), mean)
    return found


def _record(material: Material, task: Task) -> Times | None:
    return next((record for record in material.times if record.query_set == task.name), None)


def _by_time(material: Material, task: Task) -> dict[str, tuple[float, float]]:
    """System → (p95 in ms, mean of the primary measure)."""
    record = _record(material, task)
    ms = record.ms if record else {}
    means = {system: task.mean(system, task.primary) for system in task.results}
    return {s: (ms[s][1], mean) for s, mean in means.items() if s in ms and mean is not None}


def frontier(points: Points) -> list[str]:
    """Systems that none of the same cost or cheaper beats, from the cheapest up."""
    kept: list[str] = []
    for system in sorted(points, key=lambda s: (points[s][0], -points[s][1])):
        if not kept or points[system][1] > points[kept[-1]][1]:
            kept.append(system)
    return kept


def unbeaten(points: Mapping[str, tuple[float, ...]]) -> set[str]:
    """Systems whom no other one equals in everything and beats in something; all numbers are better when smaller."""

    def beats(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
        return a != b and all(x <= y for x, y in zip(a, b, strict=True))

    return {s for s, mine in points.items() if not any(beats(other, mine) for other in points.values())}


def _chart(material: Material, position: int, task: Task, points: Points, axis: str) -> str:
    best = frontier(points)
    marks = [
        charts.Mark(
            system,
            cost,
            mean,
            tone="reference" if system == material.reference else "front" if system in best else "",
            weight=_weight(material, system, best, points),
            size=_size(task, system) if axis == "latency" else 7.0,
        )
        for system, (cost, mean) in points.items()
    ]
    costs = [cost for cost, _ in points.values()]
    ticks = _ticks(costs, axis)
    return charts.scatter(
        f"pareto-{axis.partition(' ')[0]}-{position}",
        f"{plain(task.primary, 40)} on {plain(task.name, 40)} by {axis}",
        marks,
        x_axis=axis if axis != "latency" else "latency, 95th percentile",
        y_axis=plain(task.primary, 40),
        x_ticks=ticks,
        front=[points[s] for s in best] + [(max(costs), points[best[-1]][1])],
        height=260,
    )


def _weight(material: Material, system: str, best: Sequence[str], points: Points) -> int:
    if system == material.reference:
        return 100
    if system in best:
        return 50 + best.index(system)
    return -1 if len(points) > MOST_NAMED and is_smaller(system, points) else 0


def _size(task: Task, system: str) -> float:
    """A mark's width: 5 units for the smallest index of the set, 13 for the largest, by its logarithm."""
    sizes = [result.index_bytes for result in task.results.values() if result.index_bytes]
    mine = task.results[system].index_bytes
    if not mine or min(sizes) == max(sizes):
        return 7.0
    return 5 + 8 * math.log(mine / min(sizes)) / math.log(max(sizes) / min(sizes))


def _ticks(costs: Sequence[float], axis: str) -> list[tuple[float, str]]:
    """Powers of ten; between them where there are fewer than two."""
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


def _table(material: Material, held: Sequence[Task]) -> Table:
    columns = [Column("System")]
    records = [_record(material, task) for task in held]
    for task, record in zip(held, records, strict=True):
        columns += [
            Column(f"{plain(task.name, 40)} {plain(task.primary, 40)}", numeric=True),
            Column("Index", numeric=True),
        ]
        if record:
            columns += [Column("p50", "Median over queries", numeric=True), Column("p95", numeric=True)]
    fronts = [unbeaten(_costs(material, task)) for task in held]
    rows = []
    for system in dict.fromkeys(s for task in held for s in task.results):
        row = [Datum(plain(system, 60), kind="name")]
        for task, record, front in zip(held, records, fronts, strict=True):
            mean, result = task.mean(system, task.primary), task.results.get(system)
            size = result.index_bytes if result else None
            tone, label = ("best", "nobody beats it on all of these") if system in front else ("", "")
            row += [
                Datum(words.number(mean), -1 if mean is None else mean, "number", tone=tone, label=label),
                Datum(words.size(size), -1 if size is None else size, "number"),
            ]
            if record:
                row += [_time(ms) for ms in record.ms.get(system, (None, None))]
        rows.append(row)
    note = "Underlined: no other system is at least as good on every one of the set's numbers and better on one."
    return Table("Quality, index size and latency", columns, rows, sortable=True, note=note)


def _time(ms: float | None) -> Datum:
    text = "–" if ms is None else f"{ms:.1f}\u202fms" if ms < 100 else f"{ms:.0f}\u202fms"
    return Datum(text, -1 if ms is None else ms, "number")


def _costs(material: Material, task: Task) -> dict[str, tuple[float, ...]]:
    """System → what is better when smaller: quality with its sign turned, bytes, and p95 where it was timed."""
    times = _by_time(material, task)
    found: dict[str, tuple[float, ...]] = {}
    for system, (size, mean) in _by_size(task).items():
        if not times or system in times:
            found[system] = (-mean, size, times[system][0]) if times else (-mean, size)
    return found
