"""What the check of the suite found: whether its numbers can be believed."""

from __future__ import annotations

from bench.base import words
from bench.report import Material
from bench.report.blocks import Block, Column, Datum, Prose, Table, plain

ORDER = 90
TITLE = "Suite check"


def build(material: Material) -> list[Block]:
    """All findings, errors first."""
    if not material.findings:
        return []
    order = list(words.SEVERITIES)
    found = sorted(material.findings, key=lambda f: order.index(f.severity) if f.severity in order else len(order))
    counts = [
        words.count(n, word)
        for severity, word in (("error", "error"), ("warning", "warning"), ("info", "note"))
        if (n := sum(finding.severity == severity for finding in found))
    ]
    columns = [Column("Severity"), Column("Where"), Column("What was found"), Column("Code")]
    rows = [
        [
            Datum(
                words.SEVERITIES.get(finding.severity, plain(finding.severity, 20)),
                order.index(finding.severity) if finding.severity in order else len(order),
                "outcome",
                tone=finding.severity if finding.severity in order else "info",
            ),
            Datum(plain(finding.where, 60), kind="name"),
            Datum(plain(finding.message, 600), kind="sentence"),
            Datum(plain(finding.code, 60), kind="name"),
        ]
        for finding in found
    ]
    who = "The check of the suite found" if material.results or material.verdicts else "Nothing was judged:"
    sentence = f"{who} {', '.join(counts)}." if counts else ""
    return [Prose([sentence]), Table("Findings", columns, rows, sortable=True)]
