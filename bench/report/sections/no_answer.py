"""Queries that no document answers, at a score threshold chosen on dev."""

from __future__ import annotations

from bench.base import words
from bench.report import Material
from bench.report.blocks import Block, Column, Datum, Prose, Table, plain

ORDER = 65
TITLE = "No answer"


def build(material: Material) -> list[Block]:
    """A row per system and query set with unanswerable queries."""
    held = [(result, result.no_answer) for result in material.results if result.no_answer is not None]
    if not held:
        return []
    keeps = held[0][1].keeps
    sentence = (
        "Some queries are answered by no document; a good system says so instead of showing its best guess. The "
        f"threshold is the score that {keeps:.0%} of the answerable dev queries reach. A false positive is an "
        "unanswerable query whose best document scores at least as much."
    )
    columns = [
        Column("System"),
        Column("Query set"),
        Column("Unanswerable", numeric=True),
        Column("False positives", numeric=True),
        Column("Answered", "of the answerable", numeric=True),
        Column("Measure"),
        Column("Without", "threshold", numeric=True),
        Column("With", "threshold", numeric=True),
    ]
    rows = []
    for result, found in held:
        row = [Datum(plain(result.system, 60), kind="name"), Datum(plain(result.query_set, 40))]
        row += [Datum(f"{found.n_unanswerable:,}", found.n_unanswerable, "number")]
        row += [Datum(f"{100 * share:.1f} %", share, "number") for share in (found.false_positive_rate, found.answered)]
        row += [Datum(plain(found.measure, 40))]
        row += [Datum(words.number(value), value, "number") for value in (found.value, found.value_at_threshold)]
        rows.append(row)
    return [Prose([sentence]), Table("Unanswerable queries", columns, rows, sortable=True)]
