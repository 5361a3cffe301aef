"""What the gate says, and what the checks of a suite do: findings in one plain sentence each."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from bench.records.comparison import Cell, Change, Check
from bench.records.policy import Policy


@dataclass(frozen=True)
class Finding:
    """One plain sentence with its severity: `error`, `warning` or `info`."""

    severity: str
    code: str
    where: str
    message: str
    value: float | int | str | None = None

    def to_json(self) -> dict[str, Any]:
        """The finding as the contract of `check --json` has it."""
        return asdict(self)


@dataclass(frozen=True)
class Verdict:
    """What the gate says: an outcome, an exit code, the cells, and a sentence per finding."""

    outcome: str
    exit_code: int
    cells: tuple[Cell, ...]
    findings: tuple[Finding, ...]
    baseline: str
    candidate: str
    policy: Policy
    suite: str | None = None
    pinned_lost: tuple[tuple[str, Change], ...] = ()
    n_pinned: int = 0
    checks: tuple[Check, ...] = ()
    merge_base: str | None = None

    def __repr__(self) -> str:
        return f"Verdict({self.outcome}: {self.candidate} against {self.baseline}, {len(self.cells)} cells)"

    @property
    def worst(self) -> Cell | None:
        """The cell to look at first: by outcome, then by how much of its margin is used up."""
        order = {"fail": 0, "inconclusive": 1, "pass": 2, "improved": 3}
        ranked = sorted(self.cells, key=lambda cell: (order.get(cell.outcome or "", 4), cell.delta + cell.margin))
        return ranked[0] if ranked else None

    @property
    def mde80(self) -> float | None:
        """The drop that every held-out set's first gated measure would show four times in five; None if unknown."""
        first: dict[tuple[str, str], Cell] = {}
        for cell in self.cells:
            if cell.role == "held-out" and cell.slice is None and not cell.variant:
                first.setdefault((cell.query_set, cell.reference), cell)
        known = [cell.mde80 for cell in first.values() if cell.mde80 is not None]
        return max(known, default=None)

    def to_json(self) -> dict[str, Any]:
        """The document of `gate --json`."""
        return {
            "format": 1,
            "outcome": self.outcome,
            "exit_code": self.exit_code,
            "suite": self.suite,
            "baseline": self.baseline,
            "candidate": self.candidate,
            "merge_base": self.merge_base,
            "policy": asdict(self.policy) | {"digest": self.policy.digest},
            "cells": [cell.to_json() for cell in self.cells],
            "checks": [check.to_json() for check in self.checks],
            "pinned": {
                "n": self.n_pinned,
                "lost": [{"query_set": query_set, **asdict(change)} for query_set, change in self.pinned_lost],
            },
            "findings": [finding.to_json() for finding in self.findings],
        }
