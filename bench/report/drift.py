"""A drift report in blocks: the recommendation, then every signal with its numbers, then what was compared."""

from __future__ import annotations

from bench.base import words
from bench.report import Material, datum
from bench.report.blocks import Banner, Block, Bullets, Column, Datum, Folded, Prose, Table
from bench.report.forms.comment import LONGEST, marker
from bench.report.forms.html import Section, composed
from bench.report.forms.markdown import markdown
from bench.report.text import Parts, fill, name, plain, strong
from bench.watch.drift import Drift, Signal

KEY = "drift"
"""The word in an issue's first line by which the issue is recognised."""

STATUS = {
    "shown": ("fail", "Shown"),
    "not shown": ("pass", "Not shown"),
    "doubtful": ("inconclusive", "Doubtful"),
    "unknown": ("inconclusive", "Unknown"),
}
"""Status of a signal → tone and label."""

RECOMMENDATIONS = {
    "re-train": ("fail", "Re-train"),
    "refresh the suite": ("fail", "Refresh the suite"),
    "look at": ("inconclusive", "Look at"),
    "nothing to do": ("pass", "Nothing to do"),
    "cannot tell": ("inconclusive", words.OUTCOMES["inconclusive"]),
}
"""Recommendation → tone and label."""


def render(drift: Drift, *, made: str = "", version: str = "") -> str:
    """The report as one HTML document."""
    summary, signals = Section("summary", "Summary", [_banner(drift)]), Section("signals", "Signals", _signals(drift))
    sections = [summary, signals, Section("compared", "What was compared", [_sides(drift)])]
    subtitle = fill("System {} on suite {}.", name(drift.system), name(drift.suite))
    return composed(Material("Drift", (), "", made=made, version=version), sections, subtitle)


def blocks(drift: Drift) -> list[Block]:
    """The report for Markdown and terminals."""
    return [_banner(drift), *_signals(drift), Folded("What was compared", [_sides(drift)])]


def issue(drift: Drift, *, key: str = KEY) -> str:
    """The report as the body of an issue; its first line is the marker by which the issue is recognised."""
    text = f"{marker(key)}\n{markdown(blocks(drift))}"
    # Examples may be long, and are the least important part.
    return text if len(text) <= LONGEST else f"{marker(key)}\n{markdown([_banner(drift), _table(drift)])}"


def _banner(drift: Drift) -> Banner:
    tone, label = RECOMMENDATIONS[drift.recommendation]
    title: Parts = [f"{drift.subject}: " if drift.subject else "", name(drift.system)]
    return Banner(tone, label, title, [plain(drift.sentence, 600)])


def _signals(drift: Drift) -> list[Block]:
    sentences: list[Parts] = [[strong(plain(s.name, 60)), f": {plain(s.sentence, 600)}"] for s in drift.signals]
    content: list[Block] = [_table(drift), Bullets(sentences)]
    for signal in drift.signals:
        if signal.examples and signal.status != "unknown":
            title = f"Farthest from the reference: {signal.name}"
            if signal.name.endswith(": words"):
                title = f"New words in {signal.name.partition(':')[0]}, with the number of texts"
            elif signal.about == "recall":
                title = "Pinned queries that were lost"
            content.append(Folded(plain(title, 80), [Bullets([[plain(text, 300)] for text in signal.examples])]))
    n_tests = sum(signal.p is not None for signal in drift.signals)
    note = (
        f"Error rate: {drift.alpha:g}, over {words.count(n_tests, 'test')} (Holm). Without drift, the probability that "
        "any test shows a shift is at most that. To be shown, a shift must also reach its floor."
    )
    return [*content, Prose([note], style="note")]


def _table(drift: Drift) -> Table:
    def status(signal: Signal) -> Datum:
        tone, label = STATUS[signal.status]
        return Datum(label, kind="outcome", tone=tone)

    return Table.of(
        "Signals",
        drift.signals,
        {
            "Signal": lambda signal: datum.text(signal.name),
            "Finding": status,
            Column("Size", "Compared with the floor"): lambda signal: datum.number(signal.size),
            "Floor": lambda signal: datum.number(signal.floor),
            Column("p", "Adjusted over all tests (Holm)"): lambda signal: datum.p_value(signal.p_adjusted),
        },
    )


def _sides(drift: Drift) -> Table:
    return Table.of(
        "What was compared",
        drift.sides.items(),
        {
            "Side": lambda row: datum.text(row[0], 40),
            "From": lambda row: datum.sentence(row[1].source, 200),
            "Texts": lambda row: datum.integer(row[1].n),
            "Compared": lambda row: datum.integer(row[1].n_looked_at),
            "Digest": lambda row: datum.digest(row[1].digest),
            "Note": lambda row: datum.sentence(row[1].note, 300),
        },
    )
