"""Means by slice, as a heat table: described, not tested."""

from __future__ import annotations

import numpy as np

from bench.base import words
from bench.report import Material
from bench.report.blocks import Block, Column, Datum, Heading, Prose, Table, name, plain
from bench.report.reading import Task, is_smaller, tasks

ORDER = 60
TITLE = "Slices"

MOST_SYSTEMS = 6
STEPS = 7
"""Steps of the heat scale, as the style sheet has them."""


def build(material: Material) -> list[Block]:
    """A table per query set whose queries carry slices."""
    blocks: list[Block] = []
    for task in tasks(material):
        labels = sorted({label for names in task.first.slices for label in names})
        if len(labels) > 1 and task.primary in task.measures:
            blocks += [
                Heading([name(task.name), f" by slice, {plain(task.primary, 40)}"]),
                _table(material, task, labels),
            ]
    if not blocks:
        return []
    sentence = (
        "Slices are parts of a query set: named by the people who wrote it, or told by the program from texts and "
        "judgements (length:…, overlap:…, judgements:…). A query may be in several. These are means of few queries and "
        "are only described: nothing here is tested, and neighbouring colours need not differ."
    )
    return [Prose([sentence]), *blocks]


def _chosen(material: Material, task: Task) -> list[str]:
    """The reference, what was judged, and the best of the rest."""
    judged = [verdict.candidate for verdict in material.verdicts]
    ranked = sorted(task.results, key=lambda system: -(task.mean(system, task.primary) or 0))
    # A model's smaller copies rank nearly as it does: they would crowd out what differs.
    best = sorted(ranked, key=lambda system: is_smaller(system, task.results))
    wanted = dict.fromkeys([material.reference, *best[:3], *judged, *best])
    return [system for system in wanted if system in task.results][:MOST_SYSTEMS]


def _table(material: Material, task: Task, labels: list[str]) -> Table:
    chosen = _chosen(material, task)
    rows_of = {label: np.asarray([label in names for names in task.first.slices]) for label in labels}
    means = {
        (label, system): float(task.results[system].scores.column(task.primary)[rows_of[label]].mean())
        for label in labels
        for system in chosen
        if task.primary in task.results[system].scores.measures
        and task.results[system].scores.query_ids == task.first.scores.query_ids
    }
    least, most = min(means.values(), default=0.0), max(means.values(), default=1.0)
    columns = [Column("Slice"), Column("n", "Queries", numeric=True)]
    columns += [
        Column(plain(system, 60), "reference" if system == material.reference else "", numeric=True)
        for system in chosen
    ]
    rows = []
    for label in labels:
        n = int(rows_of[label].sum())
        row = [Datum(plain(label, 60), kind="name"), Datum(f"{n:,}", n, "number")]
        for system in chosen:
            mean = means.get((label, system))
            step = 0 if mean is None or most == least else min(STEPS - 1, int(STEPS * (mean - least) / (most - least)))
            row.append(
                Datum(words.number(mean), -1 if mean is None else mean, "heat", tone="" if mean is None else str(step))
            )
        rows.append(row)
    return Table(f"Slices of {plain(task.name, 40)}", columns, rows, sortable=True)
