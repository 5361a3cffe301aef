"""Fine-tuned models: what they were made from, how the loss fell, how long it took."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.base import words
from bench.report import Material, charts, training_loops
from bench.report.blocks import Block, Column, Datum, Figure, Folded, Panel, Table, plain

ORDER = 80
TITLE = "Training"

CURVES = {
    "loss": "Training loss by step, a line for each seed. It falls while a model learns its training pairs; "
    "it says nothing about other queries.",
    "dev": "The dev sets' measure by step, a line for each seed. The ringed step is the model; held-out sets had no "
    "say.",
}


def build(material: Material) -> list[Block]:
    """A table of models, their loss curves, what seeds and more pairs change, and each lineage."""
    models = [model for model in material.training if isinstance(model, Mapping)]
    loops = [loop for loop in material.loops if isinstance(loop, Mapping)]
    blocks: list[Block] = [_table(models)] if models else []
    by_recipe: dict[str, list[Mapping[str, Any]]] = {}
    for model in models:
        by_recipe.setdefault(plain(model.get("name") or "unnamed model", 60), []).append(model)
    for key, caption in CURVES.items():
        panels = [
            Panel(recipe, _chart(f"training-{key}-{position}", recipe, held, key))
            for position, (recipe, held) in enumerate(by_recipe.items())
            if any(len(_points(model, key)) > 1 for model in held)
        ]
        if panels:
            blocks.append(Figure(panels, caption))
    blocks += training_loops.build(loops)
    blocks += [Folded(f"Lineage of {_title(model)}", [_lineage(model)]) for model in models if _settings(model)]
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
        losses, took = _points(model, "loss"), model.get("seconds")
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


def _points(model: Mapping[str, Any], key: str) -> list[tuple[float, float]]:
    """(step, value) of a curve, where both are numbers."""
    history = model.get("history")
    found = []
    for point in history if isinstance(history, (list, tuple)) else ():
        step, value = _part(point, "step"), _part(point, key)
        # NaN and infinite losses happen in training; they are no points of a curve.
        if isinstance(step, (int, float)) and isinstance(value, (int, float)) and abs(value) < float("inf"):
            found.append((float(step), float(value)))
    return found


def _chart(name: str, recipe: str, models: list[Mapping[str, Any]], key: str) -> str:
    held = [(model, points) for model in models if len(points := _points(model, key)) > 1]
    measure = plain(_first(_part(held[0][0], "recipe", "eval", "measure"), key), 40) if key == "dev" else key
    lines = [
        charts.Line(
            measure if len(held) == 1 else f"seed {plain(model.get('seed'), 12)}",
            [step for step, _ in points],
            [value for _, value in points],
            group=place,
            style=place,
            chosen=_kept(model, points) if key == "dev" else None,
        )
        for place, (model, points) in enumerate(held[:8])
    ]
    title = f"Loss of {recipe}" if key == "loss" else f"{measure} of {recipe} on dev"
    return charts.lines(name, title, lines, x_axis="step", y_axis=measure)


def _kept(model: Mapping[str, Any], points: list[tuple[float, float]]) -> int | None:
    """Which point is the step whose weights were kept."""
    best = _part(model, "best", "step")
    return next((place for place, (step, _) in enumerate(points) if step == best), None)


def _settings(model: Mapping[str, Any]) -> dict[str, Any]:
    """What somebody needs to make the model again, by name; parts of nested documents have their path as a name."""
    recipe = model.get("recipe")
    found = {str(key): value for key, value in recipe.items()} if isinstance(recipe, Mapping) else {}
    for path in (
        ("base", "weights"),
        ("weights",),
        ("suite", "name"),
        ("suite", "digest"),
        ("data", "sources"),
        ("data", "origins"),
        ("best",),
        ("padding",),
        ("data", "pairs_digest"),
        ("data", "negatives_digest"),
        ("commit",),
        ("rows_per_second",),
        ("environment", "python"),
        ("environment", "packages"),
    ):
        value = _part(model, *path)
        if value is not None and value != "":
            found[" ".join(path).replace("_", " ")] = value
    return found


def _lineage(model: Mapping[str, Any]) -> Table:
    rows = [
        [Datum(plain(key, 60)), Datum(plain(_shown(value), 600), kind="sentence")]
        for key, value in _settings(model).items()
    ]
    return Table(f"Lineage of {_title(model)}", [Column("What"), Column("Value")], rows)


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_shown(held)}" for key, held in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_shown, value))
    return "–" if value is None else str(value)
