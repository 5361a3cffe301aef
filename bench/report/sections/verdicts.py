"""Each verdict: its banner, its comparisons with intervals, margins, tests and p, its rules, and the reasons."""

from __future__ import annotations

from bench.base import words
from bench.records import Cell, Limit, Verdict
from bench.report import Material, datum, sentences
from bench.report.blocks import Block, Bullets, Column, Columns, Datum, Folded, Prose, Range, Table
from bench.report.text import Parts, plain, strong

ORDER = 10
TITLE = "Verdicts"

MOST_PINNED = 200
TONES = {"improved": "better", "fail": "worse"}


def build(material: Material) -> list[Block]:
    """Every verdict in full, in the material's order."""
    return [
        block
        for position, verdict in enumerate(material.verdicts, start=1)
        for block in verdict_blocks(verdict, anchor=f"verdict-{position}")
    ]


def verdict_blocks(verdict: Verdict, *, anchor: str = "") -> list[Block]:
    """The banner, the comparisons, the rules, the pinned queries, the findings and the reasons."""
    blocks: list[Block] = [sentences.verdict_banner(verdict, anchor=anchor), _comparisons(verdict)]
    if verdict.limits:
        rules: Columns[Limit] = {
            "Rule": lambda check: datum.text(check.name, 80),
            "Outcome": lambda check: datum.outcome(check.outcome),
            "Reason": lambda check: datum.text(check.reason, 300),
        }
        blocks.append(Table.of("Other rules", verdict.limits, rules))
    blocks += _pinned(verdict)
    if verdict.findings:
        order, labels = list(words.SEVERITIES), words.SEVERITIES
        findings = sorted(verdict.findings, key=lambda f: order.index(f.severity) if f.severity in order else 3)
        items: list[Parts] = [
            [strong(f"{labels.get(f.severity, plain(f.severity, 20))}: "), plain(f.message)] for f in findings
        ]
        blocks.append(Bullets(items))
    open_cells = [cell for cell in verdict.cells if cell.outcome in ("fail", "inconclusive")]
    other_cells = [cell for cell in verdict.cells if cell.reason and cell not in open_cells]
    reasons, other = (Bullets([[plain(cell.reason)] for cell in cells]) for cells in (open_cells, other_cells))
    blocks += [reasons] if open_cells else []
    return [*blocks, Folded("Reasons for passes and improvements", [other])] if other_cells else blocks


def _comparisons(verdict: Verdict) -> Table:
    """One row per cell, with all intervals drawn on one scale."""
    ends = [0.0, *(end for cell in verdict.cells for end in (*(cell.ci or ()), -cell.margin, cell.delta))]
    least, most = min(ends), max(*ends, 0.02)
    coverage, alpha = words.confidence(verdict.policy.alpha), verdict.policy.alpha

    def means(cell: Cell) -> Datum:
        shown = f"{words.number(cell.baseline)} → {words.number(cell.candidate)}"
        return datum.number(cell.candidate, shown, note=f"{cell.wins:,} won, {cell.losses:,} lost")

    def interval(cell: Cell) -> Datum:
        low, high = cell.ci or (cell.delta, cell.delta)
        drawn = Range(low, cell.delta, high, least, most, cell.margin)
        note, tone = f"margin {cell.margin:g}", TONES.get(cell.outcome or "", "")
        return Datum(words.interval(cell.ci), cell.delta, "range", note, tone, range=drawn)

    moved = Column("Baseline → candidate", "Means over the queries; below, how many queries won and lost")
    change = Column("Difference", f"Candidate minus baseline, with its {coverage} interval")
    drawn = Column("Interval", "The line is zero, the tick the margin: the largest drop that is tolerated", minor=True)
    chance = Column("p (worse)", "One-sided: the candidate is worse; after Holm over all comparisons. Below, the test")
    margins = sorted({f"{plain(cell.place, 60)} {cell.margin:.3g}" for cell in verdict.cells})
    return Table.of(
        "Comparisons",
        verdict.cells,
        {
            "Query set": lambda cell: datum.name(cell.query_set, 40, note=_role(cell)),
            "Measure": lambda cell: datum.text(cell.measure, 40, note=f"n = {cell.n:,}"),
            "Outcome": lambda cell: datum.outcome(cell.outcome),
            moved: means,
            change: lambda cell: datum.difference(cell.delta, cell.ci, shown=TONES.get(cell.outcome or "", "")),
            drawn: interval,
            chance: lambda cell: datum.p_value(cell.p_adjusted, note=plain(cell.test, 40)),
        },
        sortable=True,
        note=(
            f"Brackets hold two-sided {coverage} intervals. A comparison passes when its one-sided bound, which lies "
            "inside the interval, rules out a drop beyond the margin. It is a regression when a drop is shown "
            f"(p < {alpha:g} after Holm) and the observed drop is at least half the margin. p is one-sided: close to "
            f"1, nothing points to a drop. Margins: {', '.join(margins)}."
        ),
    )


def _role(cell: Cell) -> str:
    role = words.ROLES.get(cell.role, plain(cell.role, 40))
    against = "against the merge base" if cell.reference == "merge-base" else ""
    return ", ".join(part for part in (role, cell.variant, plain(cell.slice or "", 40), against) if part)


def _pinned(verdict: Verdict) -> list[Block]:
    """Pinned queries that lost documents; each of them fails the verdict by itself."""
    if not verdict.pinned_lost:
        return []
    caption = f"Pinned queries that lost relevant documents: {len(verdict.pinned_lost)} of {verdict.n_pinned}"
    table = Table.of(
        caption,
        verdict.pinned_lost[:MOST_PINNED],
        {
            "Pinned query": lambda lost: datum.name(lost[1].query_id),
            "Query set": lambda lost: datum.text(lost[0], 40),
            "Before": lambda lost: datum.number(lost[1].baseline),
            "Now": lambda lost: datum.number(lost[1].candidate),
        },
        sortable=True,
    )
    sentence = "A pinned query must not lose a relevant document from the first ranks. No statistics are involved."
    return [Folded(caption, [Prose([sentence]), table])]
