"""Signals of drift and what they add up to: re-train, refresh the suite, look at something, or nothing.

Every test that was made shares one error rate (Holm), and a signal is shown only where its size matters, too: with
many texts, differences that nobody would act on are significant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from bench.base import words
from bench.base.json_records import JsonRecord
from bench.records import Verdict
from bench.stats import holm
from bench.watch.shift import FEWEST, NewWords, Shift

LEAST_NEW = 0.05
"""Share of new texts from which a difference between them and the rest is one of the whole."""

FLOORS = {"vectors": 0.05, "far": 0.05, "words": 0.01}
"""Sizes from which a shift matters; docs/watch.md has what real corpora measure. Vectors: energy coefficient beyond
chance (new topics of one forum .01 to .02, another field .07). Far: share of all texts there are now, beyond chance.
Words: share of all running words, beyond chance."""

RECOMMENDATIONS = ("re-train", "refresh the suite", "look at", "nothing to do", "cannot tell")

SHOWN, NOT_SHOWN, DOUBTFUL, UNKNOWN = "shown", "not shown", "doubtful", "unknown"


@dataclass(frozen=True)
class Signal:
    """One thing that was looked at.

    Attributes:
        name: such as "documents: vectors".
        about: "documents", "queries", "recall" or "base model".
        status: "shown", "not shown", "doubtful" (worth a look, and no more than that) or "unknown".
        sentence: what was found, with its numbers.
        size: how much, in the unit of `floor`; None where nothing was measured.
        floor: the size from which it matters; None where the signal has none.
        p: of the test, None where none was made.
        p_adjusted: after Holm over all tests made.
        numbers: whatever else was measured.
        examples: texts, words or ids that show it; they may be anybody's.
    """

    name: str
    about: str
    status: str
    sentence: str
    size: float | None = None
    floor: float | None = None
    p: float | None = None
    p_adjusted: float | None = None
    numbers: Mapping[str, float | int | str | None] = field(default_factory=dict)
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class Side:
    """What was compared: where it comes from, how much of it there is, and a digest to tell it again."""

    source: str
    digest: str
    n: int
    n_looked_at: int
    note: str = ""


@dataclass(frozen=True)
class Drift(
    JsonRecord,
    keys="recommendation subject sentence exit_code alpha seed suite system model signals sides",
    format=1,
):
    """Signals, one recommendation, and an exit code for a nightly job: 1 where a signal is shown, else 0."""

    recommendation: str
    subject: str
    sentence: str
    signals: tuple[Signal, ...]
    alpha: float
    system: str
    suite: str
    model: str
    sides: Mapping[str, Side] = field(default_factory=dict)
    seed: int = 0

    @property
    def shown(self) -> tuple[Signal, ...]:
        """Signals that are shown."""
        return tuple(signal for signal in self.signals if signal.status == SHOWN)

    @property
    def exit_code(self) -> int:
        """1 where drift is shown, else 0."""
        return 1 if self.shown else 0

    @property
    def title(self) -> str:
        """The recommendation in words."""
        return f"{self.recommendation} {self.subject}".strip()


# --- from measurements to signals ------------------------------------------------------------------


def too_few(about: str, n: int, n_reference: int) -> Signal:
    """The signal where nothing can be tested."""
    sentence = f"Too few to tell: {n} new against {n_reference} of the reference; expected {FEWEST} of either."
    return Signal(f"{about}: texts", about, UNKNOWN, sentence, numbers={"new": n, "reference": n_reference})


def vector_signal(about: str, found: Shift, *, share_new: float) -> Signal:
    """The energy test: whether new texts as a whole lie elsewhere."""
    size = max(0.0, found.energy - found.energy_expected)
    enough = share_new >= LEAST_NEW
    sentence = (
        f"Energy coefficient {found.energy:.4f} between {found.n} new {about} and {found.n_reference} of the "
        f"reference, {found.energy_expected:.4f} by chance"
        + ("" if enough else f"; new ones are {share_new:.1%} of all, too few to change the whole")
        + "."
    )
    numbers = {"energy": found.energy, "expected": found.energy_expected, "share_new": share_new}
    return Signal(
        f"{about}: vectors", about, NOT_SHOWN, sentence, size if enough else 0.0, FLOORS["vectors"], found.energy_p,
        numbers=numbers,
    )  # fmt: skip


def far_signal(about: str, found: Shift, *, share_new: float, examples: Sequence[str] = ()) -> Signal:
    """The nearest-neighbour test: how many texts have nothing like them in the reference."""
    size = max(0.0, found.far - found.far_expected) * share_new
    sentence = (
        f"{found.far:.1%} of the new {about} are farther from the reference than 99 % of it is from itself, "
        f"{found.far_expected:.1%} by chance: {size:.1%} of all {about} there are now."
    )
    numbers = {"far": found.far, "expected": found.far_expected, "share_new": share_new}
    return Signal(
        f"{about}: far away", about, NOT_SHOWN, sentence, size, FLOORS["far"], found.far_p,
        numbers=numbers, examples=tuple(examples),
    )  # fmt: skip


def word_signal(about: str, found: NewWords, *, share_new: float) -> Signal:
    """The vocabulary test: how much of the wording is new."""
    size = max(0.0, found.share - found.expected) * share_new
    sentence = (
        f"{found.share:.1%} of the words in new {about} are in no text of the reference, {found.expected:.1%} by "
        f"chance: {size:.1%} of all words there are now, beyond chance."
    )
    numbers = {"share": found.share, "expected": found.expected, "share_new": share_new}
    examples = tuple(f"{word} ({n})" for word, n in found.words)
    return Signal(
        f"{about}: words", about, NOT_SHOWN, sentence, size, FLOORS["words"], found.p,
        numbers=numbers, examples=examples,
    )  # fmt: skip


def recall_signal(verdict: Verdict) -> Signal:
    """What the gate says of stored results against the accepted baseline.

    Its p is the smallest that the gate has after its own correction over cells: a valid p of "any cell fell". A verdict
    that fails without a test (a pinned query lost, a minimum broken) is shown as it is.
    """
    tested = [cell for cell in verdict.cells if cell.p_adjusted is not None and cell.reference == "baseline"]
    worst = verdict.worst
    said = f"The gate says {verdict.outcome}."
    if worst is not None:
        signed = words.signed(worst.delta)
        said += f" Worst: {worst.name} {worst.baseline:.3f} → {worst.candidate:.3f} ({signed}). {worst.reason}"
    fails = verdict.outcome == "fail"
    untested = fails and not any(cell.outcome == "fail" for cell in verdict.cells)
    status = SHOWN if untested else DOUBTFUL if fails else NOT_SHOWN
    p = None if untested or not tested else min(cell.p_adjusted or 0.0 for cell in tested)
    drop = max((-cell.delta for cell in verdict.cells), default=None)
    lost = tuple(f"{change.query_id}" for _, change in verdict.pinned_lost[:5])
    numbers: dict[str, float | int | str | None] = {"outcome": verdict.outcome, "cells": len(verdict.cells)}
    # The floor of a drop is the gate's own business: a cell that fails has passed it.
    return Signal("recall against the baseline", "recall", status, said, drop, None, p, numbers=numbers, examples=lost)


# --- what they add up to ---------------------------------------------------------------------------


def conclude(
    signals: Sequence[Signal],
    *,
    alpha: float,
    fine_tuned: bool,
    system: str,
    suite: str,
    model: str = "",
    sides: Mapping[str, Side] | None = None,
    seed: int = 0,
) -> Drift:
    """Signals with their adjusted p and status, and one recommendation.

    Args:
        signals: as measured; "not shown" and "doubtful" ones with a p may become "shown".
        alpha: the chance that anything is shown where nothing drifts.
        fine_tuned: whether the model was trained on the reference; one that was not cannot be trained anew on it.
        system: what was looked at, as `suite` and `model`.
        suite: its name.
        model: what the config calls it.
        sides: what was compared.
        seed: of samples and permutations.
    """
    tested = [signal for signal in signals if signal.p is not None]
    adjusted = dict(zip((id(s) for s in tested), holm([s.p for s in tested]) if tested else [], strict=True))
    judged = tuple(_judged(signal, adjusted.get(id(signal)), alpha) for signal in signals)
    recommendation, subject, sentence = _recommended(judged, fine_tuned)
    return Drift(recommendation, subject, sentence, judged, alpha, system, suite, model, dict(sides or {}), seed)


def _judged(signal: Signal, p_adjusted: float | None, alpha: float) -> Signal:
    if p_adjusted is None:
        return signal
    significant = p_adjusted < alpha
    if signal.about == "recall":
        # Only a verdict that fails is doubtful, and it failed at the gate's own rate: the shared one decides here.
        status = SHOWN if signal.status == DOUBTFUL and significant else signal.status
    else:
        large = signal.size is not None and signal.floor is not None and signal.size >= signal.floor
        status = SHOWN if significant and large else NOT_SHOWN
    return replace(signal, status=status, p_adjusted=float(p_adjusted))


def _recommended(signals: Sequence[Signal], fine_tuned: bool) -> tuple[str, str, str]:
    """(recommendation, subject, sentence); the first rule that holds."""

    def is_shown(about: str) -> bool:
        return any(signal.about == about and signal.status == SHOWN for signal in signals)

    recall, documents, queries = (is_shown(about) for about in ("recall", "documents", "queries"))
    moved = " and ".join(name for name, held in (("documents", documents), ("queries", queries)) if held)
    if recall and moved:
        return (
            "re-train",
            "",
            f"Recall fell against the accepted baseline, and the {moved} are no longer what they were.",
        )
    if recall:
        return (
            "look at",
            "recall",
            "Recall fell on the same documents and questions, so no new data explains it: look at what changed in the "
            "system, its model or its index.",
        )
    if documents and queries and fine_tuned:
        return (
            "re-train",
            "",
            "Documents and queries have both left what the model was trained on. Refresh the suite with them as well: "
            "without that, no recall on what is new is measured.",
        )
    if moved:
        return (
            "refresh the suite",
            "",
            f"The {moved} have moved away from the reference, and the suite does not measure what is new. Add some of "
            "it with judgements, then let the gate say whether recall holds there; if not, re-train.",
        )
    if is_shown("base model"):
        return "look at", "the base model", "A newer revision of the base model is there; nothing else has moved."
    if any(signal.status == DOUBTFUL for signal in signals):
        return (
            "look at",
            "recall",
            "The gate alone fails; among all tests made here, which share one error rate, that is not enough.",
        )
    unknown = [signal.name for signal in signals if signal.status == UNKNOWN]
    if all(signal.status == UNKNOWN or signal.about == "base model" for signal in signals):
        return "cannot tell", "", "Nothing could be tested: give documents or queries of now, or accept a baseline."
    missing = f" Not known: {', '.join(unknown)}." if unknown else ""
    return "nothing to do", "", f"No drift is shown.{missing}"
