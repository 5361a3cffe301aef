"""One banner per verdict, then the checks it rests on: difference, interval, margin, test, p and the reason."""

from __future__ import annotations

from collections.abc import Sequence

from bench.base import words
from bench.records import Cell, Finding, Verdict
from bench.report import Material, sentences
from bench.report.blocks import (
    Banner,
    Block,
    Bullets,
    Column,
    Datum,
    Folded,
    Prose,
    Range,
    Span,
    Table,
    plain,
    strong,
)

ORDER = 10
TITLE = "Verdicts"

SEVERITY_ORDER = {"error": 0, "warning": 1, "info": 2}


def build(material: Material) -> list[Block]:
    """Every verdict in full, in the material's order."""
    blocks: list[Block] = []
    for position, verdict in enumerate(material.verdicts, start=1):
        blocks += verdict_blocks(verdict, anchor=f"verdict-{position}")
    return blocks


def verdict_blocks(verdict: Verdict, *, anchor: str = "") -> list[Block]:
    """The banner, the cells, the pinned queries, and what else was found."""
    banner = Banner(
        verdict.outcome,
        words.OUTCOMES.get(verdict.outcome, verdict.outcome),
        sentences.verdict_title(verdict),
        sentences.verdict_sentence(verdict),
        anchor=anchor,
    )
    blocks: list[Block] = [banner, _cells_table(verdict)]
    if verdict.checks:
        blocks.append(_checks_table(verdict))
    blocks += _pinned(verdict)
    if verdict.findings:
        blocks.append(Bullets([_finding(finding) for finding in _sorted(verdict.findings)]))
    open_ones = [cell for cell in verdict.cells if cell.outcome in ("fail", "inconclusive")]
    if open_ones:
        blocks.append(Bullets([[plain(cell.reason)] for cell in open_ones]))
    others = [cell for cell in verdict.cells if cell.reason and cell not in open_ones]
    if others:
        reasons = Bullets([[plain(cell.reason)] for cell in others])
        blocks.append(Folded("Why the other checks came out as they did", [reasons]))
    return blocks


def _sorted(findings: Sequence[Finding]) -> list[Finding]:
    return sorted(findings, key=lambda finding: SEVERITY_ORDER.get(finding.severity, 3))


def _finding(finding: Finding) -> list[str | Span]:
    label = words.SEVERITIES.get(finding.severity, plain(finding.severity, 20))
    return [strong(f"{label}: "), plain(finding.message)]


def _cells_table(verdict: Verdict) -> Table:
    """One row per cell, all intervals drawn on one scale."""
    ends = [0.0]
    for cell in verdict.cells:
        ends += [*(cell.ci or (cell.delta,)), -cell.margin, cell.delta]
    least, most = min(ends), max(max(ends), 0.02)
    coverage = words.level(verdict.policy.alpha)
    columns = [
        Column("Query set"),
        Column("Measure"),
        Column("Outcome"),
        Column("Baseline → candidate", "Means over the queries; below, how many queries won and lost", numeric=True),
        Column("Difference", f"Candidate minus baseline, with its {coverage} interval", numeric=True),
        Column("Interval", "The line is zero, the tick the margin: the largest drop that is tolerated", minor=True),
        Column(
            "p (worse)",
            "One-sided, the candidate is worse; after Holm over all checks. Below it, the test",
            numeric=True,
        ),
    ]
    rows = [_cell_row(cell, least, most) for cell in verdict.cells]
    margins = sorted({(plain(cell.place, 60), f"{cell.margin:.3g}") for cell in verdict.cells})
    note = (
        f"{coverage} intervals, two-sided. A check passes when its one-sided bound, which lies inside that interval, "
        "rules out a drop beyond the margin; it fails when the drop is shown "
        f"(p < {verdict.policy.alpha:g} after Holm) and at least half the margin. "
        f"Margins: {', '.join(f'{query_set} {margin}' for query_set, margin in margins)}."
    )
    return Table("Checks of this verdict", columns, rows, sortable=True, note=note)


def _checks_table(verdict: Verdict) -> Table:
    """Rules that compare with nothing but a number, or with what was measured beside the candidate."""
    columns = [Column("Rule"), Column("Outcome"), Column("What was found")]
    rows = [
        [
            Datum(plain(check.name, 80)),
            Datum(words.OUTCOMES.get(check.outcome or "", "–"), kind="outcome", tone=check.outcome or ""),
            Datum(plain(check.reason, 300)),
        ]
        for check in verdict.checks
    ]
    return Table("Other rules", columns, rows)


def _cell_row(cell: Cell, least: float, most: float) -> list[Datum]:
    outcome = cell.outcome or ""
    middle = {"improved": "better", "fail": "worse"}.get(outcome, "")
    low, high = cell.ci or (cell.delta, cell.delta)
    drawn = Range(low, cell.delta, high, least, most, cell.margin)
    return [
        Datum(plain(cell.query_set, 40), kind="name", note=_role(cell)),
        Datum(plain(cell.measure, 40), note=f"n = {cell.n:,}"),
        Datum(words.OUTCOMES.get(outcome, "–"), kind="outcome", tone=outcome),
        Datum(
            f"{words.number(cell.baseline)} → {words.number(cell.candidate)}",
            cell.candidate,
            "number",
            note=f"{cell.wins:,} won, {cell.losses:,} lost",
        ),
        Datum(words.signed(cell.delta), cell.delta, "number", note=words.interval(cell.ci), tone=middle),
        Datum(words.interval(cell.ci), cell.delta, "range", tone=middle, range=drawn, note=f"margin {cell.margin:g}"),
        Datum(words.p_value(cell.p_adjusted), _or(cell.p_adjusted, 2.0), "number", note=plain(cell.test, 40)),
    ]


def _role(cell: Cell) -> str:
    role = words.ROLES.get(cell.role, plain(cell.role, 40))
    parts = [role, cell.variant, plain(cell.slice or "", 40)]
    parts += ["against the merge base"] if cell.reference == "merge-base" else []
    return ", ".join(part for part in parts if part)


def _or(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value


def _pinned(verdict: Verdict) -> list[Block]:
    """Pinned queries that were lost; each of them fails the verdict by itself."""
    if not verdict.pinned_lost:
        return []
    columns = [Column("Pinned query"), Column("Query set"), Column("Before", numeric=True), Column("Now", numeric=True)]
    rows = [
        [
            Datum(plain(change.query_id, 60), kind="name"),
            Datum(plain(query_set, 40)),
            Datum(words.number(change.baseline), change.baseline, "number"),
            Datum(words.number(change.candidate), change.candidate, "number"),
        ]
        for query_set, change in verdict.pinned_lost
    ]
    caption = f"Pinned queries that lost relevant documents: {len(rows)} of {verdict.n_pinned}"
    table = Table(caption, columns, rows[:200], sortable=True)
    return [Folded(caption, [Prose([_PINNED]), table])]


_PINNED = "Pinned queries must never lose a relevant document from the first ranks; there are no statistics to it."


def shown_reference(verdict: Verdict) -> str:
    """What single queries are shown against: what this change started from, where that is known."""
    return "merge-base" if any(cell.reference == "merge-base" for cell in verdict.cells) else "baseline"


def changed_queries(verdict: Verdict) -> dict[tuple[str, str], list[tuple[str, float, float]]]:
    """(query set, query id) → (measure, before, after) for every query that moved, largest changes first.

    A query moves as far as its largest change; among equals a loss comes first, then the order of the cells.
    """
    moved: dict[tuple[str, str], list[tuple[str, float, float]]] = {}
    reference = shown_reference(verdict)
    for cell in verdict.cells:
        if cell.reference != reference or cell.slice is not None:
            # A slice's queries are its set's queries.
            continue
        measure = f"{cell.measure} {cell.variant}".rstrip()
        for change in (*cell.lost, *cell.gained):
            key = (cell.query_set, change.query_id)
            moved.setdefault(key, []).append((measure, change.baseline, change.candidate))
    for query_set, change in verdict.pinned_lost:
        moved.setdefault((query_set, change.query_id), [("pinned", change.baseline, change.candidate)])

    sets = list(dict.fromkeys(cell.query_set for cell in verdict.cells))

    def order(key: tuple[str, str]) -> tuple[float, bool, tuple[int, str, str]]:
        largest = max(moved[key], key=lambda change: abs(change[2] - change[1]))
        place = sets.index(key[0]) if key[0] in sets else len(sets)
        return -abs(largest[2] - largest[1]), largest[2] > largest[1], (place, *key)

    return {key: moved[key] for key in sorted(moved, key=order)}
