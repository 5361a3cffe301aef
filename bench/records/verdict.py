"""Verdicts of the gate, and findings on suites, each in one plain sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bench.base.json_records import JsonRecord
from bench.records.comparison import Cell, Change, Limit
from bench.records.policy import Policy


@dataclass(frozen=True)
class Finding(JsonRecord):
    """One plain sentence with its severity: `error`, `warning` or `info`."""

    severity: str
    code: str
    where: str
    message: str
    value: float | int | str | None = None


@dataclass(frozen=True)
class Verdict(
    JsonRecord,
    keys="outcome exit_code suite baseline candidate merge_base policy cells checks=limits pinned findings",
    format=1,
):
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
    limits: tuple[Limit, ...] = ()
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

    @property
    def pinned(self) -> dict[str, Any]:
        """How many queries are pinned, and which of them were lost, as `gate --json` has them."""
        lost = [{"query_set": query_set} | change.to_json() for query_set, change in self.pinned_lost]
        return {"n": self.n_pinned, "lost": lost}
