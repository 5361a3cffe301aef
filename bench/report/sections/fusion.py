"""Fusion weights that were tried on dev: whether a hybrid leans on one part, and how much its weight matters."""

from __future__ import annotations

from bench.base import words
from bench.report import Fusion, Material, charts
from bench.report.blocks import Block, Column, Datum, Figure, Panel, Prose, Span, Table, name, plain, strong

ORDER = 45
TITLE = "Fusion"

FLAT = 0.01
"""Weights whose mean lies within this of the best are named as a range; dev sets are too small to tell them apart."""


def build(material: Material) -> list[Block]:
    """A curve per hybrid whose weight was tuned."""
    held = [fusion for fusion in material.fusions if len(fusion.tried) > 1 and len(fusion.parts) == 2]
    if not held:
        return []
    panels = [
        Panel(f"{plain(fusion.system, 40)}: {plain(fusion.measure, 40)} on dev", _chart(position, fusion))
        for position, fusion in enumerate(held)
    ]
    caption = (
        "Mean on the dev queries by the second part's share; 0 is the first part alone, 1 the second alone. The ring "
        "is the weight chosen: the best on dev, among equals the nearest to a half. No held-out query had a say in it."
    )
    return [
        *(Prose(_sentence(fusion)) for fusion in held),
        Figure(panels, caption, _table(held)),
    ]


def _sentence(fusion: Fusion) -> list[str | Span]:
    best = max(fusion.tried.values())
    near = sorted(weight for weight, value in fusion.tried.items() if value >= best - FLAT)
    first, second = fusion.parts
    parts: list[str | Span] = [
        name(fusion.system),
        " gives ",
        name(second),
        " a share of ",
        strong(f"{fusion.chosen:g}"),
        " and ",
    ]
    parts += [name(first), " the rest."]
    if near[-1] > near[0]:
        parts += [f" Shares from {near[0]:g} to {near[-1]:g} are within {FLAT:g} of the best on dev."]
    return parts


def _chart(position: int, fusion: Fusion) -> str:
    weights = sorted(fusion.tried)
    chosen = min(range(len(weights)), key=lambda i: abs(weights[i] - fusion.chosen))
    line = charts.Line("", weights, [fusion.tried[w] for w in weights], chosen=chosen)
    first, second = (plain(part, charts.LABEL_LIMIT) for part in fusion.parts)
    return charts.lines(
        f"fusion-{position}",
        f"{plain(fusion.measure, 40)} of {plain(fusion.system, 40)} on dev by weight",
        [line],
        x_axis=f"{first}  \u2190  share of the second part  \u2192  {second}",
        y_axis=plain(fusion.measure, 40),
    )


def _table(held: list[Fusion]) -> Table:
    weights = sorted({weight for fusion in held for weight in fusion.tried})
    columns = [Column("Share of the second part"), *(Column(plain(f.system, 40), numeric=True) for f in held)]
    rows = []
    for weight in weights:
        row = [Datum(f"{weight:g}", weight)]
        for fusion in held:
            value, chosen = fusion.tried.get(weight), abs(weight - fusion.chosen) < 1e-9
            tone, label = ("best", "chosen") if chosen else ("", "")
            row.append(Datum(words.number(value), -1 if value is None else value, "number", tone=tone, label=label))
        rows.append(row)
    return Table("Fusion weights tried on dev", columns, rows, note="Underlined: the weight chosen.")
