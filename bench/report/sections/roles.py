"""Held-out against out-of-distribution: who wins at home and loses abroad."""

from __future__ import annotations

from bench.base import words
from bench.records import EVALUATION_ROLES
from bench.report import Material, charts
from bench.report.blocks import Block, Column, Datum, Figure, Panel, Prose, Table, plain
from bench.report.reading import Pooled, differences, pooled, prominent, tasks

ORDER = 30
TITLE = "At home and abroad"


def build(material: Material) -> list[Block]:
    """Differences to the reference on both roles, as a chart and a table."""
    held = tasks(material)
    if not held:
        return []
    measure = held[0].primary
    numbers = pooled(material, measure, material.reference)
    if any(role not in numbers for role in EVALUATION_ROLES):
        return []
    home, abroad = (numbers[role] for role in EVALUATION_ROLES)
    both = {
        system: (home[system], abroad[system])
        for system in home
        if system in abroad and home[system].difference and abroad[system].difference
    }
    if not both:
        return []
    n_home, n_abroad = (next(iter(one.values())).n for one in (home, abroad))
    lost = {
        system
        for task in tasks(material)
        if task.role == "out-of-distribution"
        for system, by in differences(material, task, material.reference, measures=[measure]).items()
        if by[measure].shown == "worse"
    }
    drawn = {system: both[system] for system in prominent(material, both)}
    panel = Panel("", _chart(material, measure, drawn, lost))
    caption = (
        f"Difference of {plain(measure, 40)} to {plain(material.reference, 40)}, with {words.level(material.alpha)} "
        f"intervals: to the right, better on {words.count(n_home, 'held-out query')}; upwards, better on "
        f"{words.count(n_abroad, 'out-of-distribution query')}. Upward triangles are shown to gain and not "
        "shown to lose; downward triangles are shown to lose at home, abroad, or on one set abroad. Names that find "
        "no room"
        f"{' and smaller copies of a model' if len(drawn) < len(both) else ''} stand in the table."
    )
    sentence = (
        "A system tuned on its own kind of query can look better at home and be worse for everybody else. "
        "Such a system stands in the shaded corner."
    )
    return [Prose([sentence]), Figure([panel], caption, _table(material, both), wide=True)]


def _tone(home: Pooled, abroad: Pooled, lost: bool) -> str:
    """ "worse" where a loss at home, abroad or on one set abroad is shown, "better" where a gain and no loss is."""
    shown = {one.difference.shown for one in (home, abroad) if one.difference}
    return "worse" if lost or "worse" in shown else "better" if "better" in shown else ""


def _chart(material: Material, measure: str, both: dict[str, tuple[Pooled, Pooled]], lost: set[str]) -> str:
    marks = [charts.Mark(plain(material.reference, 24), 0.0, 0.0, tone="reference", weight=1000)]
    ranked = sorted(both, key=lambda system: both[system][0].mean + both[system][1].mean)
    for system, (home, abroad) in both.items():
        x, y = home.difference, abroad.difference
        if x is None or y is None:
            continue
        marks.append(
            charts.Mark(
                system,
                x.delta,
                y.delta,
                x.ci,
                y.ci,
                tone=_tone(home, abroad, system in lost),
                weight=ranked.index(system),
            )
        )
    return charts.scatter(
        "roles-0",
        f"{plain(measure, 40)}: held-out against out-of-distribution",
        marks,
        x_axis="held-out, difference",
        y_axis="out-of-distribution, difference",
        corner="wins at home,\nloses abroad",
        width=460,
        height=340,
    )


def _table(material: Material, both: dict[str, tuple[Pooled, Pooled]]) -> Table:
    columns = [Column("System")]
    for role in EVALUATION_ROLES:
        columns += [Column(words.ROLES[role].capitalize(), "Mean over all its queries", numeric=True)]
        columns += [Column("Difference", f"To {plain(material.reference, 40)}", numeric=True), Column("Reading")]
    rows = []
    for system, pair in both.items():
        row = [Datum(plain(system, 60), kind="name")]
        for one in pair:
            d = one.difference
            shown = d.shown if d else ""
            row += [
                Datum(words.number(one.mean), one.mean, "number"),
                Datum(
                    words.signed(d.delta if d else None),
                    d.delta if d else None,
                    "number",
                    note=words.interval(d.ci if d else None),
                ),
                Datum(f"shown {shown}" if shown else "not shown to differ", tone=shown),
            ]
        rows.append(row)
    note = "Every query counts once. Shown: two-sided, after Holm over all differences in this table."
    return Table("Differences by role", columns, rows, sortable=True, note=note)
