"""Means by slice, as a heat table: described, not tested."""

from __future__ import annotations

import numpy as np

from bench.base import words
from bench.report import Material, datum
from bench.report.blocks import Block, Column, Datum, Head, Heading, Prose, Table
from bench.report.reading import Task, is_smaller, tasks
from bench.report.text import name, plain

ORDER = 60
TITLE = "Slices"

MOST_SYSTEMS = 6
STEPS = 7
"""Steps of the heat scale; the style sheet has a colour for each."""


def build(material: Material) -> list[Block]:
    """A table per query set whose queries carry slices."""
    blocks: list[Block] = []
    for task in tasks(material):
        labels = sorted({label for names in task.first.slices for label in names})
        if len(labels) > 1 and task.primary in task.measures:
            heading = Heading([name(task.name), f" by slice, {plain(task.primary, 40)}"])
            blocks += [heading, _table(material, task, labels)]
    sentence = (
        "A slice is a part of a query set. Its name comes from the authors of the suite, or from the program where it "
        "begins with length:, overlap: or judgements:. A query may be in several slices. A mean of few queries is "
        "uncertain, and nothing here is tested: neighbouring colours need not differ."
    )
    return [Prose([sentence]), *blocks] if blocks else []


def _table(material: Material, task: Task, labels: list[str]) -> Table:
    # Smaller copies of a model rank nearly as it does: they would crowd out what differs.
    best = sorted(task.by_mean(task.results), key=lambda system: is_smaller(system, task.results))
    judged = [verdict.candidate for verdict in material.verdicts]
    ordered = dict.fromkeys([material.reference, *best[:3], *judged, *best])
    systems = [system for system in ordered if system in task.results][:MOST_SYSTEMS]
    members = {label: np.asarray([label in names for names in task.first.slices]) for label in labels}
    means: dict[tuple[str, str], float] = {}
    for system in systems:
        scores = task.results[system].scores
        if task.primary in scores.measures and scores.query_ids == task.first.scores.query_ids:
            column = scores.column(task.primary)
            means |= {(label, system): float(column[members[label]].mean()) for label in labels}
    least, most = min(means.values(), default=0.0), max(means.values(), default=1.0)

    def heat(mean: float | None) -> Datum:
        if mean is None:
            return Datum("–", datum.LAST, "heat")
        step = 0 if most == least else min(STEPS - 1, int(STEPS * (mean - least) / (most - least)))
        return Datum(words.number(mean), mean, "heat", tone=str(step))

    heads = [Column(plain(system, 60), "reference" if system == material.reference else "") for system in systems]
    rows = []
    for label in labels:
        cells = (heat(means.get((label, system))) for system in systems)
        rows.append([datum.name(label), datum.integer(int(members[label].sum())), *cells])
    columns: list[Head] = ["Slice", Column("n", "Queries"), *heads]
    return Table.grid(f"Slices of {plain(task.name, 40)}", columns, rows, sortable=True)
