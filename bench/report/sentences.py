"""A verdict in sentences, each computed from its cells."""

from __future__ import annotations

from collections.abc import Sequence

from bench.base.words import OUTCOMES, count, interval, signed, whole
from bench.records import Cell, Verdict
from bench.report.blocks import Span, name, plain, strong


def verdict_title(verdict: Verdict) -> list[str | Span]:
    """Who was judged against what."""
    if verdict.candidate == verdict.baseline:
        which = "its accepted baseline" if verdict.suite else "the run it is compared with"
        return [name(verdict.candidate), f" against {which}"]
    return [name(verdict.candidate), " against ", name(verdict.baseline)]


def verdict_sentence(verdict: Verdict) -> list[str | Span]:
    """What a verdict says, in one or two plain sentences computed from its cells."""
    cells = verdict.cells
    of = {outcome: [cell for cell in cells if cell.outcome == outcome] for outcome in OUTCOMES}
    pinned: list[str | Span] = []
    if verdict.pinned_lost:
        lost = f"{len(verdict.pinned_lost)} of {count(verdict.n_pinned, 'pinned query')}"
        pinned = [f"{lost} lost relevant documents."]
    broken: list[str | Span] = [f"{plain(check.reason, 300)} " for check in verdict.checks if check.outcome == "fail"]
    if of["fail"]:
        parts: list[str | Span] = [f"Worse in {_of_checks(of['fail'], cells)}"]
        parts += [", most on ", *_largest(of["fail"]), *_whose(verdict), ". "]
        return [*parts, *broken, *pinned]
    if pinned:
        return [*broken, *pinned, " Any such loss fails, whatever the averages say."]
    if broken:
        return broken
    unclear = [check for check in verdict.checks if check.outcome == "inconclusive"]
    if unclear and not of["inconclusive"]:
        return [f"No regression is shown. {plain(unclear[0].reason, 300)}"]
    if of["inconclusive"]:
        softened = any(cell.softened for cell in of["inconclusive"])
        why = (
            "documents that nobody judged may explain the drop"
            if softened
            else "neither a drop beyond the margin nor its absence is shown"
        )
        return [
            f"No regression is shown, but in {_of_checks(of['inconclusive'], cells)} {why}.",
            *_would_settle(of["inconclusive"]),
        ]
    if cells and all(cell.test == "identical" for cell in cells):
        return ["Every ranking is identical to the baseline's down to the cutoffs that are checked."]
    better = f" {_of_checks(of['improved'], cells).capitalize()} improved." if of["improved"] else ""
    return [f"A drop beyond the margin is ruled out in all {count(len(cells), 'check')}.{better}"]


def _would_settle(cells: Sequence[Cell]) -> list[str | Span]:
    """How many queries the cell that is farthest from an answer would need."""
    open_cells = [cell for cell in cells if (cell.queries_for_margin or 0) > cell.n]
    if not open_cells:
        return []
    worst = max(open_cells, key=lambda cell: (cell.queries_for_margin or 0) / cell.n)
    needed = whole(worst.queries_for_margin or 0)
    return [
        " About ",
        strong(needed),
        f" queries would settle {plain(worst.measure, 40)} on ",
        name(worst.place),
        f" (it has {worst.n}).",
    ]


def _whose(verdict: Verdict) -> list[str | Span]:
    """Whose loss it is, where the merge base tells: this change's, or that of changes before it."""
    failed = {cell.reference for cell in verdict.cells if cell.outcome == "fail"}
    if verdict.merge_base is None or failed != {"baseline"}:
        return []
    return ["; not shown for this change alone, but for all changes since the baseline together"]


def _of_checks(some: Sequence[Cell], cells: Sequence[Cell]) -> str:
    return f"{len(some)} of {count(len(cells), 'check')}"


def _largest(cells: Sequence[Cell]) -> list[str | Span]:
    worst = min(cells, key=lambda cell: cell.delta)
    return [
        name(worst.place),
        f": {plain(worst.measure, 40)} ",
        strong(signed(worst.delta)),
        f" {interval(worst.ci)}",
    ]
