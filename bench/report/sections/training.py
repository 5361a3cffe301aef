"""Fine-tuned models: data, loss, time and lineage; and the learning curve and the gain over seeds of `bench loop`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.base import words
from bench.report import Material, charts, datum
from bench.report.blocks import Block, Column, Datum, Figure, Folded, Panel, Table
from bench.report.text import plain, written

ORDER = 80
TITLE = "Training"

MOST_LINES = 8

CURVES = {
    "loss": "Training loss by step, a line for each seed. It falls while a model learns its training pairs; it says "
    "nothing about other queries.",
    "dev": "Measure on the dev sets by step, a line for each seed. The ring marks the step whose weights are kept. "
    "Held-out queries were not used.",
}
LINEAGE = (
    ("base", "weights"), ("weights",), ("suite", "name"), ("suite", "digest"), ("data", "sources"), ("data", "origins"),
    ("best",), ("padding",), ("data", "pairs_digest"), ("data", "negatives_digest"), ("commit",), ("rows_per_second",),
    ("environment", "python"), ("environment", "packages"),
)  # fmt: skip
"""Parts of a lineage that are needed, with its recipe, to train the model again."""

Document = Mapping[str, Any]
"""A lineage document, or part of a document of `bench loop`. Any key may be missing or of another type."""


def build(material: Material) -> list[Block]:
    """A table of models, their loss curves, what seeds and more pairs change, and each lineage."""
    models = [model for model in material.training if isinstance(model, Mapping)]
    blocks: list[Block] = [_table(models)] if models else []
    by_recipe: dict[str, list[Document]] = {}
    for model in models:
        by_recipe.setdefault(_name(model), []).append(model)
    for key, caption in CURVES.items():
        panels = []
        for position, (recipe, of_recipe) in enumerate(by_recipe.items()):
            curves = [(model, points) for model in of_recipe if len(points := _points(model, key)) > 1]
            if curves:
                panels.append(Panel(recipe, _chart(f"training-{key}-{position}", recipe, curves[:MOST_LINES], key)))
        if panels:
            blocks.append(Figure(panels, caption))
    for position, loop in enumerate(loop for loop in material.loops if isinstance(loop, Mapping)):
        blocks += _loop(position, loop)
    for model in models:
        if lineage := _lineage(model):
            seed = "" if model.get("seed") is None else f", seed {plain(model['seed'], 12)}"
            title = f"Lineage of {_name(model)}{seed}"
            rows = [[datum.text(key), datum.sentence(written(value))] for key, value in lineage.items()]
            blocks.append(Folded(title, [Table.grid(title, ["Part", "Value"], rows)]))
    return blocks


def _name(model: Document) -> str:
    return plain(model.get("name") or "unnamed model", 60)


def _part(model: Document, *path: str) -> Any:
    """A value inside nested documents; None where any step is missing."""
    value: Any = model
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _documents(document: Document, key: str) -> list[Document]:
    value = document.get(key)
    return [part for part in value if isinstance(part, Mapping)] if isinstance(value, (list, tuple)) else []


def _number(document: Document, key: str) -> float | None:
    value = document.get(key)
    return value if isinstance(value, (int, float)) else None


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


def _table(models: Sequence[Document]) -> Table:
    def count(*values: Any) -> Datum:
        value = _first(*values)
        n = len(value) if isinstance(value, (list, tuple)) else value
        return datum.integer(n if isinstance(n, int) else None)

    def base(model: Document) -> Any:
        return _first(_part(model, "base", "name"), model["base"] if isinstance(model.get("base"), str) else None, "–")

    def loss(model: Document) -> float | None:
        return next((value for _, value in reversed(_points(model, "loss"))), None)

    def seeds(model: Document) -> str:
        value = _first(model.get("seed"), model.get("seeds"), "–")
        return ", ".join(plain(seed, 12) for seed in (value if isinstance(value, (list, tuple)) else [value]))

    pairs = Column("Pairs", "Query with a relevant document")
    rows = Column("Rows", "Training examples, negatives included")
    leaks = Column("Dropped as leaks", "Training queries that are also in an evaluation set")
    return Table.of(
        "Models",
        models,
        {
            "Model": lambda model: datum.name(_name(model)),
            "Kind": lambda model: datum.text(_first(model.get("kind"), "–"), 40),
            "Base": lambda model: datum.name(base(model)),
            pairs: lambda model: count(_part(model, "data", "pairs"), model.get("n_pairs")),
            rows: lambda model: count(_part(model, "data", "rows"), model.get("n_negatives")),
            leaks: lambda model: count(_part(model, "data", "dropped_as_leaks")),
            "Final loss": lambda model: datum.number(loss(model)),
            "Time": lambda model: datum.seconds(_number(model, "seconds")),
            "Seeds": lambda model: Datum(seeds(model), kind="number"),
        },
    )


def _points(model: Document, key: str) -> list[tuple[float, float]]:
    """(step, value) of a curve, where both are numbers."""
    points = [(_number(point, "step"), _number(point, key)) for point in _documents(model, "history")]
    # A loss may become NaN or infinite in training.
    return [(x, y) for x, y in points if x is not None and y is not None and abs(y) < float("inf")]


def _chart(uid: str, recipe: str, curves: Sequence[tuple[Document, list[tuple[float, float]]]], key: str) -> str:
    measure = plain(_first(_part(curves[0][0], "recipe", "eval", "measure"), key), 40) if key == "dev" else key
    lines = []
    for place, (model, points) in enumerate(curves):
        steps, values = zip(*points, strict=True)
        best = _part(model, "best", "step")
        chosen = steps.index(best) if key == "dev" and best in steps else None
        label = measure if len(curves) == 1 else f"seed {plain(model.get('seed'), 12)}"
        lines.append(charts.Line(label, steps, values, group=place, style=place, chosen=chosen))
    title = f"Loss of {recipe}" if key == "loss" else f"{measure} of {recipe} on dev"
    return charts.lines(uid, title, lines, x_axis="step", y_axis=measure)


def _lineage(model: Document) -> dict[str, Any]:
    """Name → setting; a part of a nested document has its path as a name."""
    recipe = model.get("recipe")
    settings = {str(key): value for key, value in recipe.items()} if isinstance(recipe, Mapping) else {}
    parts = {" ".join(path).replace("_", " "): _part(model, *path) for path in LINEAGE}
    return settings | {key: value for key, value in parts.items() if value is not None and value != ""}


# --- bench loop ------------------------------------------------------------------------------------


def _loop(position: int, loop: Document) -> list[Block]:
    """The learning curve of a recipe with several shares of the pairs, and its gain over several seeds."""
    recipe = plain(loop.get("recipe") or "unnamed recipe", 60)
    types: dict[str, Any] = {"pairs": (int, float), "mean": (int, float), "query_set": str, "measure": str}
    points = [p for p in _documents(loop, "points") if all(isinstance(p.get(key), types[key]) for key in types)]
    points = [point for point in points if point["measure"] == points[0]["measure"]]
    blocks: list[Block] = []
    if len({point["pairs"] for point in points}) > 1:
        blocks.append(_learning_curve(position, recipe, points, loop))
    gains = _documents(loop, "gains")
    if any((gain.get("n_seeds") or 0) > 1 for gain in gains):
        blocks.append(_gains(recipe, gains))
    return blocks


def _learning_curve(position: int, recipe: str, points: Sequence[Document], loop: Document) -> Figure:
    measure, shown = points[0]["measure"], plain(points[0]["measure"], 40)
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
    known = {s: mean for s, mean in before.items() if s in means and isinstance(mean, (int, float))}
    if known:
        untrained = ", ".join(f"{plain(query_set, 40)} {words.number(mean)}" for query_set, mean in known.items())
        caption += f" Before training: {untrained}."
    title, ticks = f"{recipe}: {shown} by training pairs", sorted({int(point["pairs"]) for point in points})
    svg = charts.lines(f"learning-{position}", title, lines, x_axis="training pairs", y_axis=shown, ticks=ticks)
    table = Table.of(
        f"Learning curve of {recipe}",
        points,
        {
            "Query set": lambda point: datum.name(point["query_set"], 40),
            "Pairs": lambda point: datum.integer(point["pairs"]),
            "Seed": lambda point: Datum(plain(point.get("seed", "–"), 12), kind="number"),
            shown: lambda point: datum.number(point["mean"]),
        },
        sortable=True,
    )
    return Figure([Panel(title, svg)], caption, table)


def _gains(recipe: str, gains: Sequence[Document]) -> Table:
    def gain(row: Document) -> Datum:
        ends = row.get("ci")
        ci = (float(ends[0]), float(ends[1])) if isinstance(ends, (list, tuple)) and len(ends) == 2 else None
        delta = _number(row, "delta")
        return datum.difference(delta, ci) if ci else datum.number(delta, words.signed(delta))

    def query_set(row: Document) -> Datum:
        return datum.name(row.get("query_set"), 40, note=words.ROLES.get(str(row.get("role")), ""))

    spread = Column("Spread of seeds", "Standard deviation of the means of single seeds")
    return Table.of(
        f"Gain of recipe {recipe} over its seeds",
        gains,
        {
            "Query set": query_set,
            "Measure": lambda row: datum.text(row.get("measure"), 40),
            "Seeds": lambda row: Datum(plain(row.get("n_seeds"), 12), kind="number"),
            "Gain": gain,
            spread: lambda row: datum.number(_number(row, "seed_sd")),
        },
        sortable=True,
        note=(
            "Gain of the recipe over its base model, averaged over seeds. An interval needs at least five seeds: with "
            "fewer, the spread between seeds is not known well enough to make a claim about the recipe."
        ),
    )
