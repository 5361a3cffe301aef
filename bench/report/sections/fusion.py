"""Fusion weights that were tried on dev: whether a hybrid leans on one part, and how much its weight matters."""

from __future__ import annotations

from bench.report import Fusion, Material, charts, datum
from bench.report.blocks import Block, Datum, Figure, Panel, Prose, Table
from bench.report.text import Parts, fill, name, plain, strong

ORDER = 45
TITLE = "Fusion weights"

FLAT = 0.01
"""Means this close to the best count as equal to it: dev sets are too small to tell such weights apart."""


def build(material: Material) -> list[Block]:
    """A curve per hybrid whose weight was tuned."""
    fusions = [fusion for fusion in material.fusions if len(fusion.tried) > 1 and len(fusion.parts) == 2]
    if not fusions:
        return []
    panels = [
        Panel(f"{plain(fusion.system, 40)}: {plain(fusion.measure, 40)} on dev", _chart(position, fusion))
        for position, fusion in enumerate(fusions)
    ]
    caption = (
        "Mean on the dev queries by the second part's share: 0 is the first part alone, 1 the second alone. The ring "
        "marks the chosen weight: the best on dev, and of equals the one nearest to a half. Held-out queries were not "
        "used."
    )
    weights = sorted({weight for fusion in fusions for weight in fusion.tried})

    def mean(fusion: Fusion, weight: float) -> Datum:
        chosen = {"tone": "best", "label": "chosen"} if abs(weight - fusion.chosen) < 1e-9 else {}
        return datum.number(fusion.tried.get(weight), **chosen)

    rows = [[datum.number(w, f"{w:g}"), *(mean(fusion, w) for fusion in fusions)] for w in weights]
    columns = ["Share of the second part", *(plain(fusion.system, 40) for fusion in fusions)]
    table = Table.grid("Fusion weights tried on dev", columns, rows, note="Underlined: the chosen weight.")
    return [*(Prose(_sentence(fusion)) for fusion in fusions), Figure(panels, caption, table)]


def _sentence(fusion: Fusion) -> Parts:
    best = max(fusion.tried.values())
    flat = sorted(weight for weight, value in fusion.tried.items() if value >= best - FLAT)
    first, second = map(name, fusion.parts)
    text = "{} gives {} a share of {} and {} the rest."
    parts = fill(text, name(fusion.system), second, strong(f"{fusion.chosen:g}"), first)
    if flat[-1] > flat[0]:
        parts += [f" Shares from {flat[0]:g} to {flat[-1]:g} are within {FLAT:g} of the best on dev."]
    return parts


def _chart(position: int, fusion: Fusion) -> str:
    weights = sorted(fusion.tried)
    chosen = min(range(len(weights)), key=lambda i: abs(weights[i] - fusion.chosen))
    line = charts.Line("", weights, [fusion.tried[weight] for weight in weights], chosen=chosen)
    first, second = (plain(part, charts.LABEL_LIMIT) for part in fusion.parts)
    return charts.lines(
        f"fusion-{position}",
        f"{plain(fusion.measure, 40)} of {plain(fusion.system, 40)} on dev by weight",
        [line],
        x_axis=f"{first}  \u2190  share of the second part  \u2192  {second}",
        y_axis=plain(fusion.measure, 40),
    )
