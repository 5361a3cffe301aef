"""Quality against the size of the index: which systems nobody beats on both."""

from __future__ import annotations

import math
from collections.abc import Mapping

from bench.report import Material, charts, words
from bench.report.blocks import Block, Column, Datum, Figure, Panel, Prose, Table, name, plain
from bench.report.reading import Task, tasks

__all__ = ["ORDER", "TITLE", "build", "frontier"]

ORDER = 50
TITLE = "Quality and index size"


def build(material: Material) -> list[Block]:
    """A frontier per query set, where at least two systems state their size."""
    held = [(task, _points(task)) for task in tasks(material)]
    held = [(task, points) for task, points in held if len({size for size, _ in points.values()}) > 1]
    if not held:
        return []
    panels = [
        Panel(f"{plain(task.name, 40)} ({words.ROLES.get(task.role, '')})", _chart(material, position, task, points))
        for position, (task, points) in enumerate(held)
    ]
    unsized = sorted({s for task, points in held for s in task.results if s not in points})
    blocks: list[Block] = [
        Figure(
            panels,
            "Means against the bytes of the index, on a logarithmic axis. The line joins systems that no smaller or "
            "equal one beats; it is drawn through means, so small steps in it need not be real.",
            _table(held),
        )
    ]
    if unsized:
        blocks.append(
            Prose(["Not drawn, because no size is known: ", *words.listed(map(name, unsized)), "."], style="note")
        )
    return blocks


def _points(task: Task) -> dict[str, tuple[int, float]]:
    """System → (bytes, mean of the primary measure)."""
    found = {}
    for system, result in task.results.items():
        mean = task.mean(system, task.primary)
        if result.index_bytes and mean is not None:
            found[system] = (result.index_bytes, mean)
    return found


def frontier(points: Mapping[str, tuple[int, float]]) -> list[str]:
    """Systems that none of the same size or smaller beats, from the smallest up."""
    kept: list[str] = []
    for system in sorted(points, key=lambda s: (points[s][0], -points[s][1])):
        if not kept or points[system][1] > points[kept[-1]][1]:
            kept.append(system)
    return kept


def _chart(material: Material, position: int, task: Task, points: dict[str, tuple[int, float]]) -> str:
    best = frontier(points)
    marks = [
        charts.Mark(
            system,
            size,
            mean,
            tone="reference" if system == material.reference else "better" if system in best else "",
            weight=100 if system == material.reference else 50 + best.index(system) if system in best else 0,
        )
        for system, (size, mean) in points.items()
    ]
    sizes = [size for size, _ in points.values()]
    exponents = range(math.floor(math.log10(min(sizes))), math.ceil(math.log10(max(sizes))) + 1)
    ticks = [(10.0**e, words.size(10**e).replace(".0", "").replace("\u202f", " ")) for e in exponents]
    ticks = [tick for tick in ticks if min(sizes) / 1.6 <= tick[0] <= max(sizes) * 2.6]
    return charts.scatter(
        f"pareto-{position}",
        f"{plain(task.primary, 40)} on {plain(task.name, 40)} by index size",
        marks,
        x_axis="index size",
        y_axis=plain(task.primary, 40),
        x_ticks=ticks or [(float(min(sizes)), words.size(min(sizes)))],
        front=[(float(points[s][0]), points[s][1]) for s in best] + [(float(max(sizes)), points[best[-1]][1])],
        height=260,
    )


def _table(held: list[tuple[Task, dict[str, tuple[int, float]]]]) -> Table:
    columns = [Column("System")]
    for task, _ in held:
        columns += [
            Column(f"{plain(task.name, 40)} index", numeric=True),
            Column(plain(task.primary, 40), numeric=True),
        ]
    rows = []
    fronts = [frontier(points) for _, points in held]
    for system in dict.fromkeys(s for _, points in held for s in points):
        row = [Datum(plain(system, 60), kind="name")]
        for (_, points), front in zip(held, fronts, strict=True):
            size, mean = points.get(system, (None, None))
            tone, label = ("best", "on the frontier") if system in front else ("", "")
            row += [
                Datum(words.size(size), -1 if size is None else size, "number"),
                Datum(words.number(mean), -1 if mean is None else mean, "number", tone=tone, label=label),
            ]
        rows.append(row)
    return Table("Index size and quality", columns, rows, sortable=True, note="Underlined: on the frontier.")
