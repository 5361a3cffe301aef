"""Findings of the check of the suite: whether its numbers can be believed."""

from __future__ import annotations

from collections import Counter

from bench.base import words
from bench.records import Finding
from bench.report import Material, datum
from bench.report.blocks import Block, Datum, Prose, Table
from bench.report.text import plain

ORDER = 90
TITLE = "Suite check"


def build(material: Material) -> list[Block]:
    """All findings, errors first."""
    if not material.findings:
        return []
    order = list(words.SEVERITIES)

    def place(finding: Finding) -> int:
        return order.index(finding.severity) if finding.severity in order else len(order)

    def severity(finding: Finding) -> Datum:
        label = words.SEVERITIES.get(finding.severity, plain(finding.severity, 20))
        return Datum(label, place(finding), "outcome", tone=finding.severity if finding.severity in order else "info")

    n = Counter(finding.severity for finding in material.findings)
    counts = [words.count(n[key], label.lower()) for key, label in words.SEVERITIES.items() if n[key]]
    subject = "The check of the suite found" if material.results or material.verdicts else "There is no verdict:"
    table = Table.of(
        "Findings",
        sorted(material.findings, key=place),
        {
            "Severity": severity,
            "Where": lambda finding: datum.name(finding.where),
            "Finding": lambda finding: datum.sentence(finding.message),
            "Code": lambda finding: datum.name(finding.code),
        },
        sortable=True,
    )
    return [Prose([f"{subject} {', '.join(counts)}." if counts else ""]), table]
