"""Queries that no document answers, at a score threshold chosen on dev."""

from __future__ import annotations

from bench.report import Material, datum
from bench.report.blocks import Block, Column, Prose, Table

ORDER = 65
TITLE = "Queries without an answer"


def build(material: Material) -> list[Block]:
    """A row per system and query set with unanswerable queries."""
    rows = [(result, result.no_answer) for result in material.results if result.no_answer is not None]
    if not rows:
        return []
    sentence = (
        "No document answers these queries. A good system says so instead of showing its best guess. It refuses below "
        f"a score threshold, which {rows[0][1].keeps:.0%} of the answerable dev queries reach. A false positive is an "
        "unanswerable query whose best document reaches the threshold."
    )
    table = Table.of(
        "Unanswerable queries",
        rows,
        {
            "System": lambda row: datum.name(row[0].system),
            "Query set": lambda row: datum.text(row[0].query_set, 40),
            "Unanswerable": lambda row: datum.integer(row[1].n_unanswerable),
            "False positives": lambda row: datum.percent(row[1].false_positive_rate, 1),
            Column("Answered", "Of the answerable queries"): lambda row: datum.percent(row[1].answered, 1),
            "Measure": lambda row: datum.text(row[1].measure, 40),
            "Without threshold": lambda row: datum.number(row[1].value),
            "With threshold": lambda row: datum.number(row[1].value_at_threshold),
        },
        sortable=True,
    )
    return [Prose([sentence]), table]
