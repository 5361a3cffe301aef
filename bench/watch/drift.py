"""Signals of drift, and one recommendation: re-train, refresh the suite, look at something, or do nothing.

All tests share one error rate (Holm). A signal is shown only where its size matters too: with many texts, even
negligible differences are significant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from bench.base.json_records import JsonRecord
from bench.base.words import signed
from bench.records import Verdict
from bench.stats import holm
from bench.watch.shift import FEWEST, NewWords, Shift

LEAST_NEW = 0.05
"""Share of new texts from which their difference from the rest changes the whole collection."""

FLOORS = {"vectors": 0.05, "far": 0.05, "words": 0.01}
"""Sizes from which a shift matters; docs/watch.md has values of real corpora. Vectors: energy coefficient beyond chance
(new topics of one forum .01 to .02, another field .07). Far: share of all current texts, beyond chance. Words: share
of all running words, beyond chance."""

SHOWN, NOT_SHOWN, DOUBTFUL, UNKNOWN = "shown", "not shown", "doubtful", "unknown"


@dataclass(frozen=True)
class Signal:
    """The outcome of one check for drift.

    Attributes:
        name: such as "documents: vectors".
        about: "documents", "queries", "recall" or "base model".
        status: "shown", "not shown", "doubtful" (worth a look, not evidence) or "unknown".
        sentence: the finding, with its numbers.
        size: of the shift, in the unit of `floor`; None where nothing was measured.
        floor: the size from which it matters; None where the signal has none.
        p: of the test; None without a test.
        p_adjusted: after Holm over all tests.
        numbers: other measurements.
        examples: texts, words or ids that show it; they may be private.
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
    """One side of the comparison: its source, a digest of it, its texts, and how many of them were tested."""

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


def too_few(about: str, n: int, n_reference: int) -> Signal:
    """The signal where nothing can be tested."""
    sentence = f"Too few texts to test: {n} new, {n_reference} in the reference; expected {FEWEST} of each."
    return Signal(f"{about}: texts", about, UNKNOWN, sentence, numbers={"new": n, "reference": n_reference})


def vector_signal(about: str, shift: Shift, *, share_new: float) -> Signal:
    """The energy test: whether the new texts as a whole differ from the reference."""
    size = max(0.0, shift.energy - shift.energy_expected)
    enough = share_new >= LEAST_NEW
    sentence = (
        f"Energy coefficient {shift.energy:.4f} between {shift.n} new {about} and {shift.n_reference} of the "
        f"reference, {shift.energy_expected:.4f} by chance"
        + ("" if enough else f"; the new ones are {share_new:.1%} of all, too few to change the whole")
        + "."
    )
    numbers = {"energy": shift.energy, "expected": shift.energy_expected, "share_new": share_new}
    return Signal(
        f"{about}: vectors", about, NOT_SHOWN, sentence, size if enough else 0.0, FLOORS["vectors"], shift.energy_p,
        numbers=numbers,
    )  # fmt: skip


def far_signal(about: str, shift: Shift, *, share_new: float, examples: Sequence[str] = ()) -> Signal:
    """The nearest-neighbour test: how many new texts have no similar text in the reference."""
    size = max(0.0, shift.far - shift.far_expected) * share_new
    sentence = (
        f"{shift.far:.1%} of the new {about} have no similar text in the reference; {shift.far_expected:.1%} would by "
        f"chance. The excess is {size:.1%} of all current {about}. (Similar: as near as 99 % of the reference is to "
        "its nearest other text.)"
    )
    numbers = {"far": shift.far, "expected": shift.far_expected, "share_new": share_new}
    return Signal(
        f"{about}: far away", about, NOT_SHOWN, sentence, size, FLOORS["far"], shift.far_p,
        numbers=numbers, examples=tuple(examples),
    )  # fmt: skip


def word_signal(about: str, words: NewWords, *, share_new: float) -> Signal:
    """The vocabulary test: how much of the wording is new."""
    size = max(0.0, words.share - words.expected) * share_new
    sentence = (
        f"{words.share:.1%} of the words in new {about} are in no text of the reference; {words.expected:.1%} would be "
        f"by chance. The excess is {size:.1%} of all words in current {about}."
    )
    numbers = {"share": words.share, "expected": words.expected, "share_new": share_new}
    examples = tuple(f"{word} ({n})" for word, n in words.words)
    return Signal(
        f"{about}: words", about, NOT_SHOWN, sentence, size, FLOORS["words"], words.p,
        numbers=numbers, examples=examples,
    )  # fmt: skip


def recall_signal(verdict: Verdict) -> Signal:
    """The gate's verdict on stored results against the accepted baseline.

    Its p is the gate's smallest after the gate's own correction over cells: a valid p of "any cell fell". A verdict
    that fails without a test (a pinned query lost, a minimum broken) is shown without one here too.
    """
    p_values = [c.p_adjusted for c in verdict.cells if c.p_adjusted is not None and c.reference == "baseline"]
    sentence = f"The gate's verdict is {verdict.outcome}."
    if (worst := verdict.worst) is not None:
        change = f"{worst.baseline:.3f} → {worst.candidate:.3f} ({signed(worst.delta)})"
        sentence += f" First to look at: {worst.name} {change}. {worst.reason}"
    fails = verdict.outcome == "fail"
    untested = fails and not any(cell.outcome == "fail" for cell in verdict.cells)
    return Signal(
        "recall against the baseline",
        "recall",
        SHOWN if untested else DOUBTFUL if fails else NOT_SHOWN,
        sentence,
        max((-cell.delta for cell in verdict.cells), default=None),
        None,  # the gate applies its own floor to a drop: a cell that fails is above it
        None if untested or not p_values else min(p_values),
        numbers={"outcome": verdict.outcome, "cells": len(verdict.cells)},
        examples=tuple(change.query_id for _, change in verdict.pinned_lost[:5]),
    )


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
        fine_tuned: whether the model was trained on the reference; only then can re-training follow the data.
        system: its name, as `suite` and `model`.
        suite: its name.
        model: its name in the config.
        sides: what was compared.
        seed: of samples and permutations.
    """
    tested = [i for i, signal in enumerate(signals) if signal.p is not None]
    final = list(signals)
    for i, p in zip(tested, holm([signals[i].p for i in tested]), strict=True) if tested else ():
        signal, significant = signals[i], p < alpha
        if signal.about == "recall":
            # Only a verdict that fails is doubtful: it failed at the gate's own error rate, and must at the shared one.
            status = SHOWN if signal.status == DOUBTFUL and significant else signal.status
        else:
            large = signal.size is not None and signal.floor is not None and signal.size >= signal.floor
            status = SHOWN if significant and large else NOT_SHOWN
        final[i] = replace(signal, status=status, p_adjusted=float(p))
    recommendation, subject, sentence = _recommendation(final, fine_tuned)
    return Drift(recommendation, subject, sentence, tuple(final), alpha, system, suite, model, dict(sides or {}), seed)


def _recommendation(signals: Sequence[Signal], fine_tuned: bool) -> tuple[str, str, str]:
    """(recommendation, subject, sentence) of the first rule that applies."""
    shown = {signal.about for signal in signals if signal.status == SHOWN}
    shifted = [about for about in ("documents", "queries") if about in shown]
    moved = " and ".join(shifted)
    if "recall" in shown and moved:
        return "re-train", "", f"Recall fell against the accepted baseline, and the {moved} have changed."
    if "recall" in shown:
        sentence = "Recall fell on the same documents and queries, so new data is not the cause: look at what changed "
        return "look at", "recall", f"{sentence}in the system, its model or its index."
    if len(shifted) == 2 and fine_tuned:
        sentence = "Documents and queries both differ from the model's training data. Add them to the suite as well: "
        return "re-train", "", f"{sentence}without them it measures no recall on new data."
    if moved:
        sentence = f"The {moved} differ from the reference, and the suite does not measure the new ones. Add some of "
        sentence += "them with judgements, then run the gate: re-train if it shows a regression."
        return "refresh the suite", "", sentence
    if "base model" in shown:
        return "look at", "the base model", "The base model has a newer revision; nothing else has changed."
    if any(signal.status == DOUBTFUL for signal in signals):
        sentence = "The gate fails, but at the error rate that all tests here share the drop is not shown."
        return "look at", "recall", sentence
    if all(signal.status == UNKNOWN or signal.about == "base model" for signal in signals):
        return "cannot tell", "", "Nothing could be tested: give current documents or queries, or accept a baseline."
    unknown = ", ".join(signal.name for signal in signals if signal.status == UNKNOWN)
    return "nothing to do", "", "No drift is shown." + (f" Unknown: {unknown}." if unknown else "")
