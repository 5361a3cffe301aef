"""A verdict in sentences, each computed from its cells."""

from __future__ import annotations

from collections.abc import Sequence

from bench.base.words import OUTCOMES, count, integer, interval, signed
from bench.records import Cell, Verdict
from bench.report.blocks import Banner
from bench.report.text import Parts, fill, name, plain, strong


def verdict_banner(verdict: Verdict, *, link: str = "", anchor: str = "") -> Banner:
    """Outcome, systems and result of a verdict; `link` leads to more, `anchor` is the banner's own id."""
    label = OUTCOMES.get(verdict.outcome, verdict.outcome)
    if verdict.outcome == "fail" and not verdict.pinned_lost and all(cell.outcome != "fail" for cell in verdict.cells):
        label = "Fail"  # a rule without a reference, such as a ceiling on size: no quality was lost
    return Banner(verdict.outcome, label, verdict_title(verdict), verdict_sentence(verdict), link, anchor)


def verdict_title(verdict: Verdict) -> Parts:
    """The candidate and its baseline."""
    if verdict.candidate == verdict.baseline:
        return [name(verdict.candidate), f" against its {'accepted baseline' if verdict.suite else 'earlier run'}"]
    return [name(verdict.candidate), " against ", name(verdict.baseline)]


def verdict_sentence(verdict: Verdict) -> Parts:
    """The result of a verdict in a few plain sentences."""
    failed, unclear, improved = (
        [cell for cell in verdict.cells if cell.outcome == outcome] for outcome in ("fail", "inconclusive", "improved")
    )
    comparisons = count(len(verdict.cells), "comparison")
    broken: Parts = [f"{plain(check.reason, 300)} " for check in verdict.limits if check.outcome == "fail"]
    pinned: Parts = []
    if verdict.pinned_lost:
        pinned = [f"{len(verdict.pinned_lost)} of {count(verdict.n_pinned, 'pinned query')} lost relevant documents."]
    if failed:
        worst = min(failed, key=lambda cell: cell.delta)
        drop = (name(worst.place), plain(worst.measure, 40), strong(signed(worst.delta)), interval(worst.ci))
        text = "A regression is shown in {} of {}. The largest drop is on {}: {} {} {}. "
        parts = fill(text, str(len(failed)), comparisons, *drop)
        if verdict.merge_base is not None and {cell.reference for cell in failed} == {"baseline"}:
            parts += ["It is shown for all changes since the baseline together, not for this change alone. "]
        return [*parts, *broken, *pinned]
    if pinned:
        return [*broken, *pinned, " Any such loss fails the verdict, whatever the averages are."]
    if broken:
        return broken
    if unclear:
        why = "a drop beyond the margin is neither shown nor ruled out"
        if any(cell.softened for cell in unclear):
            why = "documents without a judgement may explain the drop"
        return [f"No regression is shown, but in {len(unclear)} of {comparisons} {why}.", *_queries_needed(unclear)]
    for check in verdict.limits:
        if check.outcome == "inconclusive":
            return [f"No regression is shown. {plain(check.reason, 300)}"]
    if verdict.cells and all(cell.test == "identical" for cell in verdict.cells):
        return ["Every ranking is identical to the baseline's, down to the cutoff of each measure."]
    gains = f" {len(improved)} of them {'shows' if len(improved) == 1 else 'show'} a gain." if improved else ""
    where = "the only comparison" if len(verdict.cells) == 1 else f"all {comparisons}"
    return [f"A drop beyond the margin is ruled out in {where}.{gains}"]


def _queries_needed(cells: Sequence[Cell]) -> Parts:
    """How many queries would decide the comparison that lacks most."""
    lacking = [cell for cell in cells if (cell.queries_for_margin or 0) > cell.n]
    if not lacking:
        return []
    worst = max(lacking, key=lambda cell: (cell.queries_for_margin or 0) / cell.n)
    needed = strong(integer(worst.queries_for_margin or 0))
    text = " About {} queries would settle {} on {}; there are {}."
    return fill(text, needed, plain(worst.measure, 40), name(worst.place), integer(worst.n))
