"""Fine-tuned models: what they were trained on, how the loss fell, how long it took, and their lineage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.report import Material, charts, datum, training_loops
from bench.report.blocks import Block, Column, Datum, Figure, Folded, Panel, Table
from bench.report.text import plain

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
"""Parts of a lineage, beside its recipe, that somebody needs to train the model again."""

Model = Mapping[str, Any]
"""A lineage document. Any key may be missing or of another type."""


def build(material: Material) -> list[Block]:
    """A table of models, their loss curves, what seeds and more pairs change, and each lineage."""
    models = [model for model in material.training if isinstance(model, Mapping)]
    blocks: list[Block] = [_table(models)] if models else []
    by_recipe: dict[str, list[Model]] = {}
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
    blocks += training_loops.build([loop for loop in material.loops if isinstance(loop, Mapping)])
    for model in models:
        if lineage := _lineage(model):
            seed = "" if model.get("seed") is None else f", seed {plain(model['seed'], 12)}"
            title = f"Lineage of {_name(model)}{seed}"
            rows = [[datum.text(key), datum.sentence(_written(value))] for key, value in lineage.items()]
            blocks.append(Folded(title, [Table.grid(title, ["Part", "Value"], rows)]))
    return blocks


def _name(model: Model) -> str:
    return plain(model.get("name") or "unnamed model", 60)


def _part(model: Model, *path: str) -> Any:
    """A value inside nested documents; None where any step is missing."""
    value: Any = model
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


def _table(models: Sequence[Model]) -> Table:
    def count(*values: Any) -> Datum:
        value = _first(*values)
        n = len(value) if isinstance(value, (list, tuple)) else value
        return datum.integer(n if isinstance(n, int) else None)

    def base(model: Model) -> Any:
        return _first(_part(model, "base", "name"), model["base"] if isinstance(model.get("base"), str) else None, "–")

    def loss(model: Model) -> float | None:
        return next((value for _, value in reversed(_points(model, "loss"))), None)

    def seeds(model: Model) -> str:
        value = _first(model.get("seed"), model.get("seeds"), "–")
        return ", ".join(plain(seed, 12) for seed in (value if isinstance(value, (list, tuple)) else [value]))

    leaks = Column("Dropped as leaks", "Training queries that are also in an evaluation set")
    return Table.of(
        "Models",
        models,
        {
            "Model": lambda model: datum.name(_name(model)),
            "Kind": lambda model: datum.text(_first(model.get("kind"), "–"), 40),
            "Base": lambda model: datum.name(base(model)),
            Column("Pairs", "Query with a relevant document"): lambda model: count(
                _part(model, "data", "pairs"), model.get("n_pairs")
            ),
            Column("Rows", "Training examples, negatives included"): lambda model: count(
                _part(model, "data", "rows"), model.get("n_negatives")
            ),
            leaks: lambda model: count(_part(model, "data", "dropped_as_leaks")),
            "Final loss": lambda model: datum.number(loss(model)),
            "Time": lambda model: datum.seconds(
                model["seconds"] if isinstance(model.get("seconds"), (int, float)) else None
            ),
            "Seeds": lambda model: Datum(seeds(model), kind="number"),
        },
    )


def _points(model: Model, key: str) -> list[tuple[float, float]]:
    """(step, value) of a curve, where both are numbers."""
    history = model.get("history")
    points = []
    for point in history if isinstance(history, (list, tuple)) else ():
        step, value = _part(point, "step"), _part(point, key)
        # A loss may become NaN or infinite in training.
        if isinstance(step, (int, float)) and isinstance(value, (int, float)) and abs(value) < float("inf"):
            points.append((float(step), float(value)))
    return points


def _chart(uid: str, recipe: str, curves: Sequence[tuple[Model, list[tuple[float, float]]]], key: str) -> str:
    measure = plain(_first(_part(curves[0][0], "recipe", "eval", "measure"), key), 40) if key == "dev" else key
    lines = []
    for place, (model, points) in enumerate(curves):
        steps, values = zip(*points, strict=True)
        best = _part(model, "best", "step")
        lines.append(
            charts.Line(
                measure if len(curves) == 1 else f"seed {plain(model.get('seed'), 12)}",
                steps,
                values,
                group=place,
                style=place,
                chosen=steps.index(best) if key == "dev" and best in steps else None,
            )
        )
    title = f"Loss of {recipe}" if key == "loss" else f"{measure} of {recipe} on dev"
    return charts.lines(uid, title, lines, x_axis="step", y_axis=measure)


def _lineage(model: Model) -> dict[str, Any]:
    """Name → setting; a part of a nested document has its path as a name."""
    recipe = model.get("recipe")
    settings = {str(key): value for key, value in recipe.items()} if isinstance(recipe, Mapping) else {}
    parts = {" ".join(path).replace("_", " "): _part(model, *path) for path in LINEAGE}
    return settings | {key: value for key, value in parts.items() if value is not None and value != ""}


def _written(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_written(part)}" for key, part in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_written, value))
    return "–" if value is None else str(value)
