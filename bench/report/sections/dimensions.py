"""Quality against vector size: what a shorter or coarser vector costs."""

from __future__ import annotations

from collections.abc import Sequence

from bench.base import words
from bench.records import Result, digest_of
from bench.report import Material, charts
from bench.report.blocks import Block, Column, Datum, Figure, Panel, Prose, Table, plain
from bench.report.reading import Task, tasks
from bench.retrieval.precisions import PRECISIONS

ORDER = 40
TITLE = "Dimensions, precision"

SAME_LINE = 0.015
"""Curves nearer than this are one line to the eye, and share a label."""


def build(material: Material) -> list[Block]:
    """Curves per model and precision, where at least one has two dimensions."""
    held = [(task, _curves(task)) for task in tasks(material)]
    held = [(task, curves) for task, curves in held if any(len(points) > 1 for points in curves.values())]
    if not held:
        return []
    several = len({model for _, curves in held for model, _ in curves}) > 1
    panels = [
        Panel(
            f"{plain(task.name, 40)} ({words.ROLES.get(task.role, '')})",
            _chart(position, task, curves, several=several),
        )
        for position, (task, curves) in enumerate(held)
    ]
    sentence = (
        "A Matryoshka model packs most of its meaning into the first numbers of a vector, so vectors can be cut short; "
        "int8 and binary store each number in 8 bits and 1 bit instead of 32. A flat line means that little is lost."
    )
    caption = "Mean by number of dimensions (doubling from tick to tick), one line per model and precision."
    if any(_alike(curves) for _, curves in held):
        caption += f" +1, +2 …: so many more precisions of the model lie within {SAME_LINE:g} of this line everywhere."
    return [Prose([sentence]), Figure(panels, caption, _table([task for task, _ in held]))]


def _vector(result: Result) -> tuple[int, str, str] | None:
    """(dim, precision, digest of the rest) of a system whose fingerprint has both."""
    fingerprint = result.recipe.get("fingerprint", {})
    if not isinstance(fingerprint, dict):
        return None
    dim, precision = fingerprint.get("dim"), fingerprint.get("precision")
    if not isinstance(dim, int) or not isinstance(precision, str):
        return None
    return dim, precision, digest_of(fingerprint | {"dim": None, "precision": None})


Curves = dict[tuple[str, str], list[tuple[int, float]]]


def _curves(task: Task) -> Curves:
    """(model's name, precision) → (dim, mean), ascending. A model is called as its shortest-named system."""
    names: dict[str, str] = {}
    found = []
    for system, result in task.results.items():
        vector, mean = _vector(result), task.mean(system, task.primary)
        if vector is None or mean is None:
            continue
        found.append((vector, mean))
        known = names.get(vector[2], system)
        names[vector[2]] = min(known, system, key=len)
    curves: Curves = {}
    for (dim, precision, model), mean in found:
        points = curves.setdefault((names[model], precision), [])
        # Two systems may share model, dimension and precision; a curve has one point there, the first.
        if dim not in dict(points):
            points.append((dim, mean))
    return {key: sorted(points) for key, points in curves.items()}


def _chart(position: int, task: Task, curves: Curves, *, several: bool) -> str:
    models = list(dict.fromkeys(model for model, _ in curves))
    alike = _alike(curves)
    series = []
    for model, precision in curves:
        points, label = curves[model, precision], f"{model} {precision}" if several else precision
        others = sum(of == (model, precision) for of in alike.values())
        rank = list(PRECISIONS).index(precision) if precision in PRECISIONS else len(PRECISIONS)
        series.append(
            charts.Line(
                label,
                [dim for dim, _ in points],
                [mean for _, mean in points],
                group=models.index(model) if several else sorted({p for _, p in curves}, key=_rank).index(precision),
                style=rank,
                end="" if (model, precision) in alike else f"{label} +{others}" if others else None,
            )
        )
    ticks = sorted({dim for points in curves.values() for dim, _ in points})
    title = f"{plain(task.primary, 40)} on {plain(task.name, 40)} by dimensions"
    return charts.lines(
        f"dimensions-{position}", title, series, x_axis="dimensions", y_axis=plain(task.primary, 40), ticks=ticks
    )


def _alike(curves: Curves) -> dict[tuple[str, str], tuple[str, str]]:
    """Curves that no eye tells from an earlier one of the same model → that one."""
    found: dict[tuple[str, str], tuple[str, str]] = {}
    for key in curves:
        for other in curves:
            if other == key:
                break
            near = [abs(mean - dict(curves[other]).get(dim, 2.0)) <= SAME_LINE for dim, mean in curves[key]]
            if other[0] == key[0] and other not in found and all(near):
                found[key] = other
                break
    return found


def _rank(precision: str) -> int:
    return list(PRECISIONS).index(precision) if precision in PRECISIONS else len(PRECISIONS)


def _table(held: Sequence[Task]) -> Table:
    """The numbers of the curves."""
    columns = [Column("System"), Column("Dimensions", numeric=True), Column("Precision")]
    columns += [Column(f"{plain(task.name, 40)} {plain(task.primary, 40)}", numeric=True) for task in held]
    columns += [Column("Index", numeric=True)]
    rows = []
    vectors = {s: v for task in held for s, r in task.results.items() if (v := _vector(r)) is not None}
    for system, (dim, precision, _) in vectors.items():
        means = [task.mean(system, task.primary) for task in held]
        sizes = [r.index_bytes for task in held if (r := task.results.get(system)) and r.index_bytes is not None]
        row = [Datum(plain(system, 60), kind="name"), Datum(str(dim), dim, "number"), Datum(plain(precision, 40))]
        row += [Datum(words.number(mean), -1 if mean is None else mean, "number") for mean in means]
        rows.append([*row, Datum(words.size(max(sizes, default=None)), max(sizes, default=-1), "number")])
    return Table("Quality by dimensions and precision", columns, rows, sortable=True)
