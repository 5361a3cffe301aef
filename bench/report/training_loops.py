"""The part of the training section that `bench loop` provides: what more pairs bring, and the gain over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.base import words
from bench.report import charts, datum
from bench.report.blocks import Block, Column, Datum, Figure, Panel, Table
from bench.report.text import plain

MOST_LINES = 8

Document = Mapping[str, Any]
"""Part of a document of `bench loop`. Any key may be missing or of another type."""


def build(loops: Sequence[Document]) -> list[Block]:
    """A learning curve for each recipe with several shares of the pairs, and its gain over several seeds."""
    blocks: list[Block] = []
    for position, loop in enumerate(loops):
        recipe = plain(loop.get("recipe") or "unnamed recipe", 60)
        points = [point for point in _documents(loop, "points") if _is_point(point)]
        points = [point for point in points if point["measure"] == points[0]["measure"]]
        if len({point["pairs"] for point in points}) > 1:
            blocks.append(_curve(position, recipe, points, loop))
        gains = _documents(loop, "gains")
        if any((gain.get("n_seeds") or 0) > 1 for gain in gains):
            blocks.append(_gains(recipe, gains))
    return blocks


def _documents(loop: Document, key: str) -> list[Document]:
    value = loop.get(key)
    return [part for part in value if isinstance(part, Mapping)] if isinstance(value, (list, tuple)) else []


def _is_point(point: Document) -> bool:
    numbers = all(isinstance(point.get(key), (int, float)) for key in ("pairs", "mean"))
    return numbers and all(isinstance(point.get(key), str) for key in ("query_set", "measure"))


def _curve(position: int, recipe: str, points: Sequence[Document], loop: Document) -> Figure:
    measure = points[0]["measure"]
    means: dict[str, dict[int, list[float]]] = {}
    for point in points:
        means.setdefault(point["query_set"], {}).setdefault(int(point["pairs"]), []).append(float(point["mean"]))
    lines = []
    for place, (query_set, by_pairs) in enumerate(list(means.items())[:MOST_LINES]):
        xs = sorted(by_pairs)
        ys = [sum(by_pairs[x]) / len(by_pairs[x]) for x in xs]
        lines.append(charts.Line(plain(query_set, 40), xs, ys, group=place, style=place))
    caption = (
        "Mean on each query set by the number of training pairs, averaged over seeds; every doubling is equally wide. "
        "A smaller share is part of each larger one. Where a curve is flat, more pairs of this kind bring little."
    )
    # The baseline of the recipe's first system is its base model.
    cells = next((_documents(compared, "cells") for compared in _documents(loop, "compared")), [])
    before = {str(cell.get("query_set")): cell.get("baseline") for cell in cells if cell.get("measure") == measure}
    untrained = [
        f"{plain(query_set, 40)} {words.number(mean)}"
        for query_set, mean in before.items()
        if query_set in means and isinstance(mean, (int, float))
    ]
    if untrained:
        caption += f" Before training: {', '.join(untrained)}."
    title = f"{recipe}: {plain(measure, 40)} by training pairs"
    svg = charts.lines(
        f"learning-{position}",
        title,
        lines,
        x_axis="training pairs",
        y_axis=plain(measure, 40),
        ticks=sorted({int(point["pairs"]) for point in points}),
    )
    table = Table.of(
        f"Learning curve of {recipe}",
        points,
        {
            "Query set": lambda point: datum.name(point["query_set"], 40),
            "Pairs": lambda point: datum.integer(point["pairs"]),
            "Seed": lambda point: Datum(plain(point.get("seed", "–"), 12), kind="number"),
            plain(measure, 40): lambda point: datum.number(point["mean"]),
        },
        sortable=True,
    )
    return Figure([Panel(title, svg)], caption, table)


def _gains(recipe: str, gains: Sequence[Document]) -> Table:
    def gain(row: Document) -> Datum:
        ends = row.get("ci")
        ci = (float(ends[0]), float(ends[1])) if isinstance(ends, (list, tuple)) and len(ends) == 2 else None
        delta = row.get("delta") if isinstance(row.get("delta"), (int, float)) else None
        return datum.difference(delta, ci) if ci else datum.number(delta, words.signed(delta))

    def role(row: Document) -> str:
        return words.ROLES.get(str(row.get("role")), "")

    spread = Column("Spread of seeds", "Standard deviation of the means of single seeds")
    return Table.of(
        f"Gain of recipe {recipe} over its seeds",
        gains,
        {
            "Query set": lambda row: datum.name(row.get("query_set"), 40, note=role(row)),
            "Measure": lambda row: datum.text(row.get("measure"), 40),
            "Seeds": lambda row: Datum(plain(row.get("n_seeds"), 12), kind="number"),
            "Gain": gain,
            spread: lambda row: datum.number(row["seed_sd"] if isinstance(row.get("seed_sd"), (int, float)) else None),
        },
        sortable=True,
        note=(
            "Gain of the recipe over its base model, averaged over seeds. An interval needs at least five seeds: with "
            "fewer, the spread between seeds is not known well enough to make a claim about the recipe."
        ),
    )
