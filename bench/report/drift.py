"""A drift report in blocks: the recommendation first, then every signal with its numbers, then what was compared."""

from __future__ import annotations

from bench.base import words
from bench.report import Material
from bench.report.blocks import Banner, Block, Bullets, Column, Datum, Folded, Prose, Span, Table, name, plain, strong
from bench.report.forms.comment import LONGEST, marker
from bench.report.forms.html import Section, composed
from bench.report.forms.markdown import markdown
from bench.watch.drift import Drift, Signal

KEY = "drift"
"""Of the marker by which an issue is found again."""

TONES = {"shown": "fail", "not shown": "pass", "doubtful": "inconclusive", "unknown": "inconclusive"}
WORDS = {"shown": "Shown", "not shown": "Not shown", "doubtful": "Doubtful", "unknown": "Unknown"}
_RESULT = {
    "re-train": "fail",
    "refresh the suite": "fail",
    "look at": "inconclusive",
    "nothing to do": "pass",
    "cannot tell": "inconclusive",
}


def render(found: Drift, *, made: str = "", version: str = "") -> str:
    """The report as one HTML document."""
    sections = [
        Section("summary", "Summary", [_banner(found)]),
        Section("signals", "Signals", _signals(found)),
        Section("compared", "What was compared", [_sides(found)]),
    ]
    subtitle: list[str | Span] = ["System ", name(found.system), " on suite ", name(found.suite), "."]
    return composed(Material("Drift", (), "", made=made, version=version), sections, subtitle)


def blocks(found: Drift) -> list[Block]:
    """The report for Markdown."""
    return [_banner(found), *_signals(found), Folded("What was compared", [_sides(found)])]


def issue(found: Drift, *, key: str = KEY) -> str:
    """The report as the body of an issue: its first line is the marker by which it is found again."""
    text = f"{marker(key)}\n{markdown(blocks(found))}"
    # Examples are what may be long, and they are the least of it.
    return text if len(text) <= LONGEST else f"{marker(key)}\n{markdown([_banner(found), _table(found)])}"


def _banner(found: Drift) -> Banner:
    label = found.recommendation[:1].upper() + found.recommendation[1:]
    title: list[str | Span] = [f"{found.subject}: " if found.subject else "", name(found.system)]
    return Banner(_RESULT[found.recommendation], label, title, [plain(found.sentence, 600)])


def _signals(found: Drift) -> list[Block]:
    made: list[Block] = [_table(found)]
    made.append(Bullets([[strong(plain(s.name, 60)), f": {plain(s.sentence, 600)}"] for s in found.signals]))
    for signal in found.signals:
        if signal.examples and signal.status != "unknown":
            what = {"documents: words": "New words, with the number of texts", "queries: words": "New words, likewise"}
            title = what.get(
                signal.name, f"The farthest: {signal.name}" if signal.about != "recall" else "Pinned, lost"
            )
            made.append(Folded(plain(title, 80), [Bullets([[plain(text, 300)] for text in signal.examples])]))
    n_tested = sum(signal.p is not None for signal in found.signals)
    made.append(
        Prose(
            [
                f"{words.count(n_tested, 'test')} share one error rate (Holm): where nothing drifts, any of them is "
                f"shown with a chance of {found.alpha:g} at most. A shift must also reach its floor to be shown."
            ],
            style="note",
        )
    )
    return made


def _table(found: Drift) -> Table:
    columns = [Column("Signal"), Column("Finding"), Column("Size", "What is held against the floor", numeric=True)]
    columns += [Column("Floor", numeric=True), Column("p", "Adjusted over all tests (Holm)", numeric=True)]
    return Table("Signals", columns, [_row(signal) for signal in found.signals])


def _row(signal: Signal) -> list[Datum]:
    p = signal.p_adjusted
    return [
        Datum(plain(signal.name, 60)),
        Datum(WORDS[signal.status], kind="outcome", tone=TONES[signal.status]),
        Datum(words.number(signal.size), -1 if signal.size is None else signal.size, "number"),
        Datum(words.number(signal.floor), -1 if signal.floor is None else signal.floor, "number"),
        Datum(words.p_value(p), 2 if p is None else p, "number"),
    ]


def _sides(found: Drift) -> Table:
    columns = [Column("Side"), Column("From"), Column("Texts", numeric=True), Column("Looked at", numeric=True)]
    columns += [Column("Digest"), Column("Note")]
    rows = [
        [
            Datum(plain(which, 40)),
            Datum(plain(side.source, 200), kind="sentence"),
            Datum(f"{side.n:,}", side.n, "number"),
            Datum(f"{side.n_looked_at:,}", side.n_looked_at, "number"),
            Datum(plain(side.digest[:12]), kind="name"),
            Datum(plain(side.note, 300), kind="sentence"),
        ]
        for which, side in found.sides.items()
    ]
    return Table("What was compared", columns, rows)
