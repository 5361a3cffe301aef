"""The table on top of a report: every system that is read, on both roles, with its doubt."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from bench.base import words
from bench.report import Material
from bench.report.blocks import Block, Column, Datum, Range, Table, plain
from bench.report.reading import Pooled, leaders, prominent

MOST_ROWS = 10


def glance(
    material: Material,
    numbers: Mapping[str, Mapping[str, Pooled]],
    measure: str,
    *,
    losses: Callable[[str], Sequence[str]],
) -> list[Block]:
    """The systems that are read, on all queries of each role: means, differences, and what the index takes.

    Args:
        material: what the report may show.
        numbers: role → system → pooled numbers.
        measure: what was pooled.
        losses: the out-of-distribution sets on which a system is shown to lose, which a mean over several sets hides.
    """
    held = {role: numbers[role] for role in words.ROLES if role in numbers and material.reference in numbers[role]}
    if not held:
        return []
    first = next(iter(held.values()))
    shown = [system for system in leaders(first) if system in prominent(material, first)]
    if len(shown) < 2:
        return []
    kept = shown[:MOST_ROWS]
    kept += [material.reference] if material.reference not in kept else []
    differences = [one[s].difference for one in held.values() for s in kept if s in one]
    ends = [0.0, *(end for d in differences if d is not None and d.ci for end in d.ci)]
    columns = [Column("System")]
    for role, one in held.items():
        n = words.count(first[material.reference].n if one is first else one[material.reference].n, "query")
        columns += [Column(f"{words.ROLES[role].capitalize()} {plain(measure, 40)}", f"Mean over {n}", numeric=True)]
        columns += [Column("Difference", f"To {plain(material.reference, 40)}; the line is zero", minor=True)]
    if "out-of-distribution" in held:
        columns.append(Column("Loses on", "Out-of-distribution query sets on which a loss is shown, each taken alone"))
    columns.append(Column("Index", "The largest of its indexes", numeric=True))
    sizes: dict[str, int] = {}
    for result in material.results:
        sizes[result.system] = max(
            sizes.get(result.system, -1), -1 if result.index_bytes is None else result.index_bytes
        )
    rows = []
    for system in kept:
        row = [Datum(plain(system, 60), kind="name", note="reference" if system == material.reference else "")]
        for one in held.values():
            row += _glanced(one.get(system), min(ends), max(ends))
        if "out-of-distribution" in held:
            lost = losses(system) if system != material.reference else []
            rest = f"and {len(lost) - 1} more" if len(lost) > 1 else ""
            row.append(Datum(plain(lost[0], 20) if lost else "", tone="worse" if lost else "", note=rest))
        size = sizes.get(system, -1)
        rows.append([*row, Datum(words.size(size if size >= 0 else None), size, "number")])
    note = (
        f"Differences to {plain(material.reference, 40)} with {words.level(material.alpha)} intervals. ▲ shown to be "
        "better, ▼ shown to be worse, counting every system of both roles (two-sided, Holm)."
    )
    if len(shown) > len(kept):
        note += f" The best {len(kept)}; Model comparison holds all."
    return [Table(f"At a glance: {plain(measure, 40)}", columns, rows, sortable=True, note=note)]


def _glanced(one: Pooled | None, least: float, most: float) -> list[Datum]:
    """A mean with its difference, and the difference drawn."""
    if one is None:
        return [Datum("–", -1, "number"), Datum("", -9.0)]
    d = one.difference
    if d is None:
        return [Datum(words.number(one.mean), one.mean, "number"), Datum("", 0.0)]
    mark = {"better": " ▲", "worse": " ▼"}.get(d.shown, "")
    label = f"shown to be {d.shown}" if d.shown else "not shown to differ"
    note = f"{words.signed(d.delta)} {words.interval(d.ci)}{mark}"
    drawn = Range(*(d.ci[0], d.delta, d.ci[1]), least, most) if d.ci else None
    return [
        Datum(words.number(one.mean), one.mean, "number", note=note, tone=d.shown, label=label),
        Datum(words.interval(d.ci), d.delta, "range", tone=d.shown, range=drawn),
    ]
