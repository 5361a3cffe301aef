"""Quality against vector size: what a shorter or coarser vector costs."""

from __future__ import annotations

from collections.abc import Sequence

from bench.records import Result, digest_of
from bench.report import Material, charts, datum
from bench.report.blocks import Block, Column, Figure, Head, Panel, Prose, Table
from bench.report.reading import Task, tasks
from bench.report.text import plain
from bench.retrieval.precisions import PRECISIONS

ORDER = 40
TITLE = "Dimensions and precision"

SAME_LINE = 0.015
"""Curves closer than this look like one line, and share a label."""


def build(material: Material) -> list[Block]:
    """Curves per model and precision, where at least one has two dimensions."""
    sets = [(task, _curves(task)) for task in tasks(material)]
    sets = [(task, curves) for task, curves in sets if any(len(points) > 1 for points in curves.values())]
    if not sets:
        return []
    several = len({model for _, curves in sets for model, _ in curves}) > 1
    panels = [Panel(t.title, _chart(i, t, curves, several=several)) for i, (t, curves) in enumerate(sets)]
    sentence = (
        "Short vectors make an index smaller. A Matryoshka model packs most of its meaning into the first numbers of a "
        "vector, so the rest can be cut off. int8 and binary store each number in 8 bits or 1 bit instead of 32. Where "
        "a line is flat, little is lost."
    )
    caption = "Mean by number of dimensions, which doubles from tick to tick; one line per model and precision."
    if any(_alike(curves) for _, curves in sets):
        caption += (
            f" +1, +2 …: this many more precisions of the same model stay within {SAME_LINE:g} of the line everywhere."
        )
    return [Prose([sentence]), Figure(panels, caption, _table([task for task, _ in sets]))]


def _vector(result: Result) -> tuple[int, str, str] | None:
    """(dim, precision, digest of the rest) of a system whose fingerprint has both."""
    match result.recipe.get("fingerprint"):
        case {"dim": int(dim), "precision": str(precision), **others}:
            return dim, precision, digest_of(others)
    return None


Key = tuple[str, str]
"""(model's name, precision)."""

Curves = dict[Key, list[tuple[int, float]]]


def _curves(task: Task) -> Curves:
    """Key → (dim, mean), ascending. A model has the shortest name among its systems."""
    names: dict[str, str] = {}
    measured = []
    for system, result in task.results.items():
        vector, mean = _vector(result), task.mean(system, task.primary)
        if vector is not None and mean is not None:
            measured.append((vector, mean))
            names[vector[2]] = min(names.get(vector[2], system), system, key=len)
    curves: dict[Key, dict[int, float]] = {}
    for (dim, precision, model), mean in measured:
        # Of systems that share model, dimension and precision, the first.
        curves.setdefault((names[model], precision), {}).setdefault(dim, mean)
    return {key: sorted(points.items()) for key, points in curves.items()}


def _chart(position: int, task: Task, curves: Curves, *, several: bool) -> str:
    models = list(dict.fromkeys(model for model, _ in curves))
    precisions = sorted({precision for _, precision in curves}, key=_rank)
    alike = _alike(curves)
    series = []
    for (model, precision), points in curves.items():
        label = f"{model} {precision}" if several else precision
        others = sum(other == (model, precision) for other in alike.values())
        end = "" if (model, precision) in alike else f"{label} +{others}" if others else None
        group = models.index(model) if several else precisions.index(precision)
        dims, means = zip(*points, strict=True)
        series.append(charts.Line(label, dims, means, group=group, style=_rank(precision), end=end))
    uid, ticks = f"dimensions-{position}", sorted({dim for points in curves.values() for dim, _ in points})
    measure = plain(task.primary, 40)
    title = f"{measure} on {plain(task.name, 40)} by dimensions"
    return charts.lines(uid, title, series, x_axis="dimensions", y_axis=measure, ticks=ticks)


def _alike(curves: Curves) -> dict[Key, Key]:
    """Curve → an earlier one of the same model that it cannot be told from by eye."""
    alike: dict[Key, Key] = {}
    for place, (key, points) in enumerate(curves.items()):
        for other in [other for other in list(curves)[:place] if other[0] == key[0] and other not in alike]:
            means = dict(curves[other])
            if all(abs(mean - means.get(dim, 2.0)) <= SAME_LINE for dim, mean in points):
                alike[key] = other
                break
    return alike


def _rank(precision: str) -> int:
    return list(PRECISIONS).index(precision) if precision in PRECISIONS else len(PRECISIONS)


def _table(sets: Sequence[Task]) -> Table:
    """The numbers of the curves."""
    vectors = {s: v for task in sets for s, r in task.results.items() if (v := _vector(r)) is not None}
    rows = []
    for system, (dim, precision, _) in vectors.items():
        sizes = [r.index_bytes for task in sets if (r := task.results.get(system)) and r.index_bytes is not None]
        means = [datum.number(task.mean(system, task.primary)) for task in sets]
        head = [datum.name(system), datum.number(dim, str(dim)), datum.text(precision, 40)]
        rows.append([*head, *means, datum.size(max(sizes, default=None))])
    means_of = [Column(f"{plain(task.name, 40)} {plain(task.primary, 40)}") for task in sets]
    columns: list[Head] = ["System", "Dimensions", "Precision", *means_of, "Index"]
    return Table.grid("Quality by dimensions and precision", columns, rows, sortable=True)
