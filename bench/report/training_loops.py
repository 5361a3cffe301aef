"""What seeds and more pairs change: the part of the training section that `bench loop` provides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.base import words
from bench.report import charts
from bench.report.blocks import Block, Column, Datum, Figure, Panel, Table, plain

MOST_LINES = 8


def build(loops: Sequence[Mapping[str, Any]]) -> list[Block]:
    """A learning curve for each recipe with several shares, and its gain over several seeds."""
    blocks: list[Block] = []
    for position, loop in enumerate(loops):
        recipe = plain(loop.get("recipe") or "unnamed recipe", 60)
        points = [point for point in _documents(loop, "points") if _is_point(point)]
        measure = points[0]["measure"] if points else ""
        curve = [point for point in points if point["measure"] == measure]
        if len({point["pairs"] for point in curve}) > 1:
            blocks.append(_figure(position, recipe, measure, curve, _before(loop, measure)))
        gains = _documents(loop, "gains")
        if gains and any((gain.get("n_seeds") or 0) > 1 for gain in gains):
            blocks.append(_gains(recipe, gains))
    return blocks


def _documents(loop: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    found = loop.get(key)
    return [one for one in found if isinstance(one, Mapping)] if isinstance(found, (list, tuple)) else []


def _is_point(point: Mapping[str, Any]) -> bool:
    numbers = all(isinstance(point.get(key), (int, float)) for key in ("pairs", "mean"))
    return numbers and all(isinstance(point.get(key), str) for key in ("query_set", "measure"))


def _before(loop: Mapping[str, Any], measure: str) -> dict[str, float]:
    """The base model's mean on each query set: what the recipe's first system was compared with."""
    cells = next((_documents(one, "cells") for one in _documents(loop, "compared")), [])
    return {
        str(cell.get("query_set")): float(cell["baseline"])
        for cell in cells
        if cell.get("measure") == measure and isinstance(cell.get("baseline"), (int, float))
    }


def _figure(
    position: int, recipe: str, measure: str, curve: Sequence[Mapping[str, Any]], before: Mapping[str, float]
) -> Figure:
    means: dict[str, dict[int, list[float]]] = {}
    for point in curve:
        means.setdefault(point["query_set"], {}).setdefault(int(point["pairs"]), []).append(float(point["mean"]))
    lines = []
    for place, (query_set, by_pairs) in enumerate(list(means.items())[:MOST_LINES]):
        xs = sorted(by_pairs)
        ys = [sum(by_pairs[x]) / len(by_pairs[x]) for x in xs]
        lines.append(charts.Line(plain(query_set, 40), xs, ys, group=place, style=place))
    ticks = sorted({int(point["pairs"]) for point in curve})
    title = f"{recipe}: {plain(measure, 40)} by training pairs"
    svg = charts.lines(
        f"learning-{position}", title, lines, x_axis="training pairs", y_axis=plain(measure, 40), ticks=ticks
    )
    caption = (
        "Mean on each query set by the number of training pairs (a doubling is as wide everywhere), averaged over "
        "seeds; smaller shares are part of larger ones. Where a curve has flattened, more such pairs bring little."
    )
    untrained = [f"{plain(name, 40)} {words.number(mean)}" for name, mean in before.items() if name in means]
    if untrained:
        caption += f" Before training: {', '.join(untrained)}."
    return Figure([Panel(title, svg)], caption, _points(recipe, measure, curve))


def _points(recipe: str, measure: str, curve: Sequence[Mapping[str, Any]]) -> Table:
    columns = [Column("Query set"), Column("Pairs", numeric=True), Column("Seed", numeric=True)]
    columns.append(Column(plain(measure, 40), numeric=True))
    rows = [
        [
            Datum(plain(point["query_set"], 40), kind="name"),
            Datum(f"{point['pairs']:,}", point["pairs"], "number"),
            Datum(plain(point.get("seed", "–"), 12), kind="number"),
            Datum(words.number(point["mean"]), point["mean"], "number"),
        ]
        for point in curve
    ]
    return Table(f"Learning curve of {recipe}", columns, rows, sortable=True)


def _gains(recipe: str, gains: Sequence[Mapping[str, Any]]) -> Table:
    columns = [Column("Query set"), Column("Measure"), Column("Seeds", numeric=True), Column("Gain", numeric=True)]
    columns.append(Column("Spread of seeds", "Standard deviation of the means of single seeds", numeric=True))
    rows = []
    for gain in gains:
        ends, delta, spread = gain.get("ci"), gain.get("delta"), gain.get("seed_sd")
        ci = (float(ends[0]), float(ends[1])) if isinstance(ends, (list, tuple)) and len(ends) == 2 else None
        number = isinstance(delta, (int, float))
        note = words.interval(ci) if ci else ""
        rows.append(
            [
                Datum(plain(gain.get("query_set"), 40), kind="name", note=words.ROLES.get(str(gain.get("role")), "")),
                Datum(plain(gain.get("measure"), 40)),
                Datum(plain(gain.get("n_seeds"), 12), kind="number"),
                Datum(words.signed(delta) if number else "–", delta if number else None, "number", note=note),
                Datum(words.number(spread) if isinstance(spread, (int, float)) else "–", kind="number"),
            ]
        )
    note = (
        "Gain of the recipe over its base, seeds averaged. An interval needs five seeds: under that, the spread "
        "between them is itself too poorly known to carry a claim about the recipe."
    )
    return Table(f"Gain of recipe {recipe} over its seeds", columns, rows, sortable=True, note=note)
