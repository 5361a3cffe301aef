"""Held-out against out-of-distribution: systems that gain on their own kind of query and are worse on others."""

from __future__ import annotations

from bench.base import words
from bench.records import EVALUATION_ROLES
from bench.report import Material, charts, datum
from bench.report.blocks import Block, Column, Datum, Figure, Head, Panel, Prose, Table
from bench.report.reading import Pooled, differences, main_systems, pooled, tasks
from bench.report.text import plain

ORDER = 30
TITLE = "Out of distribution"

Pair = tuple[Pooled, Pooled]


def build(material: Material) -> list[Block]:
    """Differences to the reference on both roles, as a chart and a table."""
    sets = tasks(material)
    measure = sets[0].primary if sets else ""
    numbers = pooled(material, measure, material.reference)
    held_out, other = (numbers.get(role, {}) for role in EVALUATION_ROLES)
    pairs = {
        s: (pool, other[s]) for s, pool in held_out.items() if pool.difference and s in other and other[s].difference
    }
    if not pairs:
        return []
    worse = {
        system
        for task in sets
        if task.role == "out-of-distribution"
        for system, by in differences(material, task, material.reference, measures=[measure]).items()
        if by[measure].shown == "worse"
    }
    drawn = {system: pairs[system] for system in main_systems(material, pairs)}
    sentence = (
        "A system that is tuned on one kind of query can improve there and become worse on every other kind. Such a "
        "system lies in the shaded corner."
    )
    n_held_out, n_other = (next(iter(pools.values())).n for pools in (held_out, other))
    caption = (
        f"Difference of {plain(measure, 40)} to {plain(material.reference, 40)}, with "
        f"{words.confidence(material.alpha)} intervals. To the right: better on "
        f"{words.count(n_held_out, 'held-out query')}. Upwards: better on "
        f"{words.count(n_other, 'out-of-distribution query')}. Triangles that point up are shown to be better and not "
        "shown to be worse. Triangles that point down are shown to be worse on held-out queries, on "
        "out-of-distribution queries, or on one out-of-distribution query set. The table also holds the systems whose "
        f"names do not fit{' and smaller copies of a model' if len(drawn) < len(pairs) else ''}."
    )
    figure = Figure([Panel("", _chart(material, measure, drawn, worse))], caption, _table(material, pairs), wide=True)
    return [Prose([sentence]), figure]


def _chart(material: Material, measure: str, pairs: dict[str, Pair], worse: set[str]) -> str:
    marks = [charts.Mark(plain(material.reference, 24), 0.0, 0.0, tone="reference", weight=1000)]
    ranked = sorted(pairs, key=lambda system: sum(pool.mean for pool in pairs[system]))
    for system, (held_out, other) in pairs.items():
        x, y = held_out.difference, other.difference
        if x and y:
            shown = {x.shown, y.shown}
            tone = "worse" if system in worse or "worse" in shown else "better" if "better" in shown else ""
            marks.append(charts.Mark(system, x.delta, y.delta, x.ci, y.ci, tone=tone, weight=ranked.index(system)))
    return charts.scatter(
        "roles-0",
        f"{plain(measure, 40)}: held-out against out-of-distribution",
        marks,
        x_axis="held-out, difference",
        y_axis="out-of-distribution, difference",
        corner="better on held-out,\nworse out of distribution",
        width=460,
        height=340,
    )


def _table(material: Material, pairs: dict[str, Pair]) -> Table:
    columns: list[Head] = ["System"]
    for role in EVALUATION_ROLES:
        columns += [Column(words.ROLES[role].capitalize(), "Mean over all its queries")]
        columns += [Column("Difference", f"To {plain(material.reference, 40)}"), "Finding"]

    def cells(pool: Pooled) -> list[Datum]:
        d = pool.difference
        finding = f"shown {pool.shown}" if pool.shown else "not shown to differ"
        change = datum.difference(d.delta, d.ci) if d else datum.number(None)
        return [datum.number(pool.mean), change, datum.text(finding, tone=pool.shown)]

    rows = [[datum.name(system), *cells(held_out), *cells(other)] for system, (held_out, other) in pairs.items()]
    note = "Every query counts once. Shown: two-sided, after Holm over all differences in this table."
    return Table.grid("Differences by role", columns, rows, sortable=True, note=note)
