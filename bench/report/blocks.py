"""What a section returns: small frozen blocks that `render` turns into HTML and `markdown` into Markdown.

Every string in a block may be hostile: ids, texts and names come from files that somebody else wrote. Blocks carry
them as they are (shortened); making them inert is the business of the two renderers, in one place each.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

NAME_LIMIT = 60
"""Characters of a name or an id in a table: longer ones push every other column off the page."""

TEXT_LIMIT = 2000
"""Characters of any one string on the page; nothing that a person reads in one go is longer."""

# Not the narrow and the no-break space, which hold a number and its unit together.
_SPACE = re.compile("[ \t\n\r\f\v\x1c-\x1f\x85\u2028\u2029]+")
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)", re.DOTALL)
# C0, DEL, C1; bidirectional overrides, which let a name read as another one; lone surrogates, which UTF-8 refuses.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufffe\uffff\ud800-\udfff]"
)


def shortened(text: str, limit: int) -> str:
    """At most `limit` characters, the last one an ellipsis where something was cut."""
    return text if len(text) <= limit else text[: max(0, limit - 1)].rstrip() + "…"


def visible(text: object, limit: int = TEXT_LIMIT) -> str:
    """Text on one line without escape sequences, control or direction characters; spaces at its ends stay."""
    # Cut generously first, so that a text of a gigabyte costs nothing.
    cleaned = _INVISIBLE.sub("", _SPACE.sub(" ", _ANSI.sub("", str(text)[: 4 * limit])))
    return shortened(cleaned, limit)


def plain(text: object, limit: int = TEXT_LIMIT) -> str:
    """As `visible`, without spaces at the ends: for names, ids and whole texts."""
    return visible(str(text).strip(), limit).strip(" ")


# --- text ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Span:
    """A stretch of a sentence: `kind` is "strong" or "name" (a system, query set, id or other literal)."""

    text: str
    kind: str


Text = Sequence["str | Span"]
"""A sentence in stretches."""


def name(text: str, limit: int = NAME_LIMIT) -> Span:
    """A literal that people chose, set apart from the sentence."""
    return Span(plain(text, limit), "name")


def strong(text: str) -> Span:
    """What the eye should find first."""
    return Span(text, "strong")


@dataclass(frozen=True)
class Block:
    """Anything a section may return; `kind` names its template."""

    kind: ClassVar[str] = ""


@dataclass(frozen=True)
class Heading(Block):
    """A heading below the section's own; `level` is 3 or 4, `anchor` an id on the page."""

    kind: ClassVar[str] = "heading"
    text: Text
    level: int = 3
    anchor: str = ""


@dataclass(frozen=True)
class Prose(Block):
    """A paragraph; `style` is "text", "answer" (the one sentence), "lead" (read next) or "note" (the small print)."""

    kind: ClassVar[str] = "prose"
    parts: Text
    style: str = "text"


@dataclass(frozen=True)
class Bullets(Block):
    """A list of sentences; `style` is "text" or "lead"."""

    kind: ClassVar[str] = "bullets"
    items: Sequence[Text]
    style: str = "text"


@dataclass(frozen=True)
class Banner(Block):
    """A verdict or a warning at a glance; `tone` is an outcome or a severity, `label` the word shown for it.

    `link` is an anchor on the page where more is said, `anchor` the banner's own id.
    """

    kind: ClassVar[str] = "banner"
    tone: str
    label: str
    title: Text
    sentence: Text = ()
    link: str = ""
    anchor: str = ""


@dataclass(frozen=True)
class Code(Block):
    """Lines to be copied into a terminal, or a document to be read literally."""

    kind: ClassVar[str] = "code"
    lines: Sequence[str]


@dataclass(frozen=True)
class Folded(Block):
    """Blocks behind a line that opens them."""

    kind: ClassVar[str] = "folded"
    summary: str
    blocks: Sequence[Block]


# --- tables ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Range:
    """An interval on a scale that all rows of a column share; `margin` is drawn as a mark at −margin."""

    low: float
    middle: float
    high: float
    least: float
    most: float
    margin: float | None = None

    def at(self, value: float) -> float:
        """Where a value lies on a strip 100 units wide, two decimals."""
        share = (value - self.least) / ((self.most - self.least) or 1.0)
        return round(2 + 96 * min(1.0, max(0.0, share)), 2)


@dataclass(frozen=True)
class Datum:
    """One cell of a table.

    Attributes:
        text: what is read.
        sort: what the column is sorted by; the text where None.
        kind: "text", "name", "number", "outcome", "heat" or "range".
        note: a second, smaller line.
        tone: "better", "worse", "best", an outcome, a severity, or a heat step "0" … "6".
        label: what a screen reader says besides.
        range: the interval to draw, for kind "range".
    """

    text: str
    sort: float | str | None = None
    kind: str = "text"
    note: str = ""
    tone: str = ""
    label: str = ""
    range: Range | None = None


@dataclass(frozen=True)
class Column:
    """A column's heading; `hint` explains it, `numeric` aligns it to the right, `minor` ones Markdown leaves out."""

    title: str
    hint: str = ""
    numeric: bool = False
    minor: bool = False


@dataclass(frozen=True)
class Table(Block):
    """Rows of data; the first cell of each row names it. `sortable` by click or keyboard."""

    kind: ClassVar[str] = "table"
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Datum]]
    sortable: bool = False
    note: str = ""


# --- figures ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Panel:
    """One chart of a figure: `svg` is made by `charts` and safe to embed as it is."""

    title: str
    svg: str


@dataclass(frozen=True)
class Figure(Block):
    """Charts side by side with a caption, and their numbers as a table that opens; `wide` gives each a whole row."""

    kind: ClassVar[str] = "figure"
    panels: Sequence[Panel]
    caption: str
    table: Table | None = None
    wide: bool = False


# --- queries ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RelevantDocument:
    """A judged document with its ranks in both runs, None where it is not among the first ten."""

    doc_id: str
    grade: int
    snippet: str
    before: int | None
    after: int | None


@dataclass(frozen=True)
class QueryEntry:
    """One query that changed. `before` and `after` are the first ten document ids, empty where unknown."""

    query_set: str
    query_id: str
    text: str
    lost: bool
    pinned: bool
    changes: Sequence[tuple[str, float, float]]
    relevant: Sequence[RelevantDocument] = ()
    before: Sequence[str] = ()
    after: Sequence[str] = ()


@dataclass(frozen=True)
class QueryGroup:
    """The changed queries of one verdict, `total` before any were left out."""

    title: str
    before_name: str
    after_name: str
    entries: Sequence[QueryEntry]
    n_lost: int
    n_gained: int


@dataclass(frozen=True)
class QueryList(Block):
    """The queries that verdicts turned on, as a list that needs no script."""

    kind: ClassVar[str] = "queries"
    groups: Sequence[QueryGroup]


@dataclass(frozen=True)
class ExplorerRun:
    """One system on a query set: `values` float[n_queries][n_measures], `tops` the first documents of each ranking."""

    label: str
    values: Sequence[Sequence[float]] = field(repr=False)
    tops: Sequence[Sequence[str]] = field(repr=False)


@dataclass(frozen=True)
class ExplorerSet:
    """A query set with every run on it. `grades` are judgements, a mapping for each query; texts may be missing."""

    name: str
    corpus: str
    measures: Sequence[str]
    relevance_level: int
    runs: Sequence[ExplorerRun]
    query_ids: Sequence[str] = field(repr=False)
    texts: Sequence[str] = field(repr=False)
    slices: Sequence[str] = field(repr=False)
    pinned: Sequence[int] = field(repr=False)
    grades: Sequence[Mapping[str, int]] = field(repr=False)


@dataclass(frozen=True)
class Explorer(Block):
    """Every query under any two systems. `documents` maps corpus → document id → text, which is cut to `text_limit`.

    `pair` is what is shown first: (query set, before, now). `changes` says in a list what mattered most, where there
    is no script.
    """

    kind: ClassVar[str] = "explorer"
    sets: Sequence[ExplorerSet]
    documents: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)
    text_limit: int = 0
    pair: tuple[str, str, str] = ("", "", "")
    changes: QueryList | None = None
