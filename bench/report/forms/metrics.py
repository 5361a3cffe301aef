"""A verdict as OpenMetrics text, which GitLab shows beside a merge request and Prometheus reads."""

from __future__ import annotations

from collections.abc import Iterable

from bench.records import Verdict
from bench.report.blocks import visible

OUTCOMES = {"fail": -1, "inconclusive": 0, "pass": 1, "improved": 2}
"""A number per outcome, the worse the lower."""


def document(verdict: Verdict) -> str:
    """One line a number: the outcome, and for each cell both means, the difference, its bound and the drop it shows."""
    lines = [
        f"retrieval_gate_outcome {OUTCOMES[verdict.outcome]}",
        f"retrieval_gate_exit_code {verdict.exit_code}",
    ]
    for cell in verdict.cells:
        labels = _labels(
            (
                ("query_set", cell.query_set),
                ("measure", cell.measure),
                ("slice", cell.slice),
                ("variant", cell.variant),
                ("reference", cell.reference),
            )
        )
        for name, value in (
            ("baseline", cell.baseline),
            ("candidate", cell.candidate),
            ("delta", cell.delta),
            ("lower", cell.lower),
            ("mde80", cell.mde80),
        ):
            if value is not None:
                lines.append(f"retrieval_gate_{name}{labels} {value:.6g}")
    for check in verdict.checks:
        if check.value is not None:
            lines.append(f"retrieval_gate_check{_labels((('rule', check.name),))} {check.value:.6g}")
    return "\n".join(lines) + "\n# EOF\n"


def _labels(pairs: Iterable[tuple[str, str | None]]) -> str:
    parts = []
    for name, value in pairs:
        if value:
            escaped = visible(value, 200).replace("\\", "\\\\").replace('"', '\\"')
            parts.append(f'{name}="{escaped}"')
    return "{" + ",".join(parts) + "}"
