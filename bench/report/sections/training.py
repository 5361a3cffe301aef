"""Fine-tuned models: what they were made from, how the loss fell, how long it took."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.report import Material, charts, words
from bench.report.blocks import Block, Column, Datum, Figure, Folded, Panel, Table, plain

__all__ = ["ORDER", "TITLE", "build"]

ORDER = 80
TITLE = "Training"


def build(material: Material) -> list[Block]:
    """A table of models, their loss curves, and each recipe."""
    models = [model for model in material.training if isinstance(model, Mapping)]
    if not models:
        return []
    blocks: list[Block] = [_table(models)]
    panels = [
        Panel(_title(model), _chart(position, model, points))
        for position, model in enumerate(models)
        if len(points := _losses(model)) > 1
    ]
    if panels:
        caption = (
            "Training loss by step. It falls while a model learns its training pairs; "
            "it says nothing about other queries."
        )
        blocks.append(Figure(panels, caption))
    blocks += [Folded(f"Recipe of {_title(model)}", [_recipe(model)]) for model in models if _settings(model)]
    return blocks


def _part(model: Mapping[str, Any], *path: str) -> Any:
    """A value inside nested documents; None where any step is missing."""
    found: Any = model
    for key in path:
        if not isinstance(found, Mapping):
            return None
        found = found.get(key)
    return found


def _title(model: Mapping[str, Any]) -> str:
    seed = model.get("seed")
    name = plain(model.get("name") or "unnamed model", 60)
    return name if seed is None else f"{name}, seed {plain(seed, 12)}"


def _count(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return f"{len(value):,}"
    return f"{value:,}" if isinstance(value, int) else "–"


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


def _table(models: list[Mapping[str, Any]]) -> Table:
    columns = [
        Column("Model"),
        Column("Kind"),
        Column("Made from"),
        Column("Pairs", "Query with a relevant document", numeric=True),
    ]
    columns += [
        Column("Rows", "Training examples, negatives included", numeric=True),
        Column("Dropped as leaks", "Training queries that also stand in an evaluation set", numeric=True),
        Column("Final loss", numeric=True),
        Column("Time", numeric=True),
        Column("Seeds", numeric=True),
    ]
    rows = []
    for model in models:
        base = _first(_part(model, "base", "name"), model.get("base") if isinstance(model.get("base"), str) else None)
        losses, took = _losses(model), model.get("seconds")
        final = losses[-1][1] if losses else None
        seeds = _first(model.get("seed"), model.get("seeds"))
        rows.append(
            [
                Datum(plain(model.get("name") or "unnamed model", 60), kind="name"),
                Datum(plain(_first(model.get("kind"), "–"), 40)),
                Datum(plain(_first(base, "–"), 60), kind="name"),
                Datum(_count(_first(_part(model, "data", "pairs"), model.get("n_pairs"))), kind="number"),
                Datum(_count(_first(_part(model, "data", "rows"), model.get("n_negatives"))), kind="number"),
                Datum(_count(_part(model, "data", "dropped_as_leaks")), kind="number"),
                Datum(words.number(final), -1 if final is None else final, "number"),
                Datum(words.seconds(took) if isinstance(took, (int, float)) else "–", kind="number"),
                Datum(
                    ", ".join(plain(s, 12) for s in seeds)
                    if isinstance(seeds, (list, tuple))
                    else plain(_first(seeds, "–"), 12),
                    kind="number",
                ),
            ]
        )
    return Table("Models", columns, rows)


def _losses(model: Mapping[str, Any]) -> list[tuple[float, float]]:
    """(step, loss) where both are numbers."""
    history = model.get("history")
    found = []
    for point in history if isinstance(history, (list, tuple)) else ():
        step, loss = _part(point, "step"), _part(point, "loss")
        # NaN and infinite losses happen in training; they are no points of a curve.
        if isinstance(step, (int, float)) and isinstance(loss, (int, float)) and abs(loss) < float("inf"):
            found.append((float(step), float(loss)))
    return found


def _chart(position: int, model: Mapping[str, Any], points: list[tuple[float, float]]) -> str:
    line = charts.Line("loss", [step for step, _ in points], [loss for _, loss in points])
    return charts.lines(f"training-{position}", f"Loss of {_title(model)}", [line], x_axis="step", y_axis="loss")


def _settings(model: Mapping[str, Any]) -> dict[str, Any]:
    recipe = model.get("recipe")
    found = dict(recipe) if isinstance(recipe, Mapping) else {}
    for key in ("commit", "rows_per_second"):
        if model.get(key) is not None:
            found[key] = model[key]
    for key in ("pairs_digest", "negatives_digest", "query_sets"):
        if _part(model, "data", key):
            found[key] = _part(model, "data", key)
    return found


def _recipe(model: Mapping[str, Any]) -> Table:
    rows = [[Datum(plain(key, 60)), Datum(plain(value, 300), kind="name")] for key, value in _settings(model).items()]
    return Table(f"Settings of {_title(model)}", [Column("Setting"), Column("Value")], rows)
