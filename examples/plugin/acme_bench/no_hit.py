"""Queries that a system answers with nothing relevant at all."""

from __future__ import annotations

from bench.report import Material
from bench.report.blocks import Block, Column, Datum, Prose, Table

ORDER = 66
TITLE = "Nothing relevant"


def build(material: Material) -> list[Block]:
    """A row for each result; nothing where there is none, as on the page of a verdict from run files."""
    rows = []
    for result in material.results:
        share = float((result.scores.column(result.protocol.measures[0]) == 0).mean())
        row = [Datum(result.system, kind="name"), Datum(result.query_set)]
        rows.append([*row, Datum(f"{share:.0%}", share, "number")])
    if not rows:
        return []
    columns = [Column("System"), Column("Query set"), Column("Queries at 0", numeric=True)]
    return [Prose(["The suite's first measure is 0 for these queries."]), Table("Nothing relevant", columns, rows)]
