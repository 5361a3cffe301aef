"""A verdict as OpenMetrics text, which GitLab shows beside a merge request and Prometheus reads."""

from __future__ import annotations

from bench.records import Verdict
from bench.report.text import visible

OUTCOMES = {"fail": -1, "inconclusive": 0, "pass": 1, "improved": 2}
"""A number per outcome; the worse the outcome, the lower the number."""


def document(verdict: Verdict) -> str:
    """The outcome, and for each cell both means, the difference, its bound and the smallest drop it notices."""
    lines = [f"retrieval_gate_outcome {OUTCOMES[verdict.outcome]}", f"retrieval_gate_exit_code {verdict.exit_code}"]
    for cell in verdict.cells:
        labels = _labels(
            **{key: getattr(cell, key) for key in ("query_set", "measure", "slice", "variant", "reference")}
        )
        for key in ("baseline", "candidate", "delta", "lower", "mde80"):
            value = getattr(cell, key)
            if value is not None:
                lines.append(f"retrieval_gate_{key}{labels} {value:.6g}")
    for check in verdict.limits:
        if check.value is not None:
            lines.append(f"retrieval_gate_check{_labels(rule=check.name)} {check.value:.6g}")
    return "\n".join(lines) + "\n# EOF\n"


def _labels(**values: str | None) -> str:
    escaped = {
        key: visible(value, 200).replace("\\", "\\\\").replace('"', '\\"') for key, value in values.items() if value
    }
    return "{" + ",".join(f'{key}="{value}"' for key, value in escaped.items()) + "}"
