"""The table at the top of a report: the main systems on both roles, with their uncertainty."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from bench.base import words
from bench.report import Material, datum
from bench.report.blocks import Column, Datum, Head, Range, Table
from bench.report.reading import Pooled, by_mean, main_systems
from bench.report.text import plain

MOST_ROWS = 10


def glance(
    material: Material,
    numbers: Mapping[str, Mapping[str, Pooled]],
    measure: str,
    *,
    worse_on: Callable[[str], Sequence[str]],
) -> list[Table]:
    """The main systems on all queries of each role: means, differences, and the size of the index.

    Args:
        material: what the report may show.
        numbers: role → system → pooled numbers.
        measure: what was pooled.
        worse_on: system → out-of-distribution sets on which it is shown to be worse, which a mean over sets may hide.
    """
    reference = plain(material.reference, 40)
    roles = {role: numbers[role] for role in words.ROLES if material.reference in numbers.get(role, {})}
    first = next(iter(roles.values()), {})
    main = main_systems(material, first)
    ranked = [system for system in by_mean(first) if system in main]
    if len(ranked) < 2:
        return []
    rows = list(dict.fromkeys([*ranked[:MOST_ROWS], material.reference]))
    differences = [pools[system].difference for pools in roles.values() for system in rows if system in pools]
    ends = [0.0, *(end for d in differences if d and d.ci for end in d.ci)]
    sizes = {s: max((r.index_bytes or -1 for r in material.results if r.system == s), default=-1) for s in rows}

    def cells(pool: Pooled | None) -> list[Datum]:
        """A mean with its difference, and the difference drawn."""
        d = pool.difference if pool else None
        if pool is None or d is None:
            return [datum.number(pool.mean if pool else None), Datum("", datum.LAST if pool is None else 0.0)]
        drawn = Range(d.ci[0], d.delta, d.ci[1], min(ends), max(ends)) if d.ci else None
        interval = Datum(words.interval(d.ci), d.delta, "range", tone=d.shown, range=drawn)
        return [datum.mean(pool.mean, d.delta, d.ci, d.shown), interval]

    def worse(system: str) -> Datum:
        sets = worse_on(system) if system != material.reference else []
        more = f"and {len(sets) - 1} more" if len(sets) > 1 else ""
        return datum.text(sets[0] if sets else "", 20, note=more, tone="worse" if sets else "")

    columns: list[Head] = ["System"]
    for role, pools in roles.items():
        n = words.count(pools[material.reference].n, "query")
        columns += [Column(f"{words.ROLES[role].capitalize()} {plain(measure, 40)}", f"Mean over {n}")]
        columns += [Column("Difference", f"To {reference}; the line is zero", minor=True)]
    other = "out-of-distribution" in roles
    hint = "Out-of-distribution query sets on which it is shown to be worse, each taken alone"
    columns += [*([Column("Worse on", hint)] if other else []), Column("Index", "Size of its largest index")]
    table = []
    for system in rows:
        row = [datum.name(system, note="reference" if system == material.reference else "")]
        row += [cell for pools in roles.values() for cell in cells(pools.get(system))]
        row += [worse(system)] if other else []
        table.append([*row, datum.size(sizes[system] if sizes[system] >= 0 else None)])
    note = (
        f"Below each mean: the difference to {reference} with its {words.confidence(material.alpha)} interval. "
        "▲ shown to be better, ▼ shown to be worse, counting every system of both roles (two-sided, Holm)."
    )
    if len(ranked) > len(rows):
        note += f" These are the best {len(rows)}; Model comparison has all."
    return [Table.grid(f"At a glance: {plain(measure, 40)}", columns, table, sortable=True, note=note)]
