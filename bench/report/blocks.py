"""What a section returns: small frozen blocks, which every form of a report (HTML, Markdown, terminal …) writes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, TypeVar

from bench.report.text import NAME_LIMIT, Text, plain
from bench.report.text import Span as Span  # for sections of other packages

Row = TypeVar("Row")


class Block:
    """What a section may return. `kind` names it in JSON and in the templates."""

    kind: ClassVar[str] = ""

    def __init_subclass__(cls, kind: str = "") -> None:
        cls.kind = kind or cls.__name__.lower()


@dataclass(frozen=True)
class Heading(Block):
    """A heading below the section's own; `level` is 3 or 4."""

    text: Text
    level: int = 3


@dataclass(frozen=True)
class Prose(Block):
    """A paragraph; `style` is "text", "answer" (the main sentence), "lead" (read next) or "note" (small print)."""

    parts: Text
    style: str = "text"


@dataclass(frozen=True)
class Bullets(Block):
    """A list of sentences; `style` is "text" or "lead"."""

    items: Sequence[Text]
    style: str = "text"


@dataclass(frozen=True)
class Banner(Block):
    """A verdict or a warning; `tone` is an outcome or a severity, `label` the word shown for it.

    `link` is an anchor on the page where more is said, `anchor` the banner's own id.
    """

    tone: str
    label: str
    title: Text
    sentence: Text = ()
    link: str = ""
    anchor: str = ""


@dataclass(frozen=True)
class Code(Block):
    """Lines to be copied into a terminal, or a document to be read literally."""

    lines: Sequence[str]


@dataclass(frozen=True)
class Folded(Block):
    """Blocks behind a line that opens them."""

    summary: str
    blocks: Sequence[Block]


# --- tables ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Range:
    """An interval on a scale that all rows of a column share; a mark is drawn at −margin."""

    low: float
    middle: float
    high: float
    least: float
    most: float
    margin: float | None = None

    def at(self, value: float) -> float:
        """The place of a value on a strip 100 units wide, with two decimals."""
        share = (value - self.least) / ((self.most - self.least) or 1.0)
        return round(2 + 96 * min(1.0, max(0.0, share)), 2)


@dataclass(frozen=True)
class Datum:
    """One cell of a table; `bench.report.datum` has a constructor for each kind.

    Attributes:
        text: what is read.
        sort: what the column is sorted by; the text where None.
        kind: "text", "name", "sentence", "number", "outcome", "letters", "heat" or "range".
        note: a second, smaller line.
        tone: "better", "worse", "best", an outcome, a severity, or a heat step "0" … "6".
        label: additional words for a screen reader.
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
    """A column's heading; `hint` explains it, `numeric` aligns it to the right. Markdown leaves out a `minor` one."""

    title: str
    hint: str = ""
    numeric: bool = False
    minor: bool = False


Head = str | Column
"""A heading: a title alone, or a column."""

Rows = Sequence[Sequence[Datum]]

Columns = Mapping[Head, Callable[[Row], Datum]]
"""Heading → the cell of a record, from left to right."""


@dataclass(frozen=True)
class Table(Block):
    """Rows of data; the first cell of each row names it. Readers may sort a `sortable` one by any column."""

    caption: str
    columns: Sequence[Column]
    rows: Rows
    sortable: bool = False
    note: str = ""

    @classmethod
    def of(
        cls, caption: str, records: Iterable[Row], columns: Columns[Row], *, sortable: bool = False, note: str = ""
    ) -> Table:
        """A table with a row for each record.

        Args:
            caption: the table's name.
            records: any objects.
            columns: heading → the cell of a record, from left to right.
            sortable: whether readers may sort it.
            note: small print below it.
        """
        rows = [[cell(record) for cell in columns.values()] for record in records]
        return cls.grid(caption, list(columns), rows, sortable=sortable, note=note)

    @classmethod
    def grid(
        cls, caption: str, columns: Sequence[Head], rows: Rows, *, sortable: bool = False, note: str = ""
    ) -> Table:
        """A table of cells, for columns that depend on the results. Columns of numbers are aligned to the right."""
        heads = [Column(plain(head, NAME_LIMIT)) if isinstance(head, str) else head for head in columns]
        for place, head in enumerate(heads):
            if any(row[place].kind in ("number", "heat") for row in rows):
                heads[place] = replace(head, numeric=True)
        return cls(caption, heads, rows, sortable, note)


# --- figures ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Panel:
    """One chart of a figure; `svg` comes from `charts` and is safe to embed."""

    title: str
    svg: str


@dataclass(frozen=True)
class Figure(Block):
    """Charts side by side with a caption, and their numbers as a folded table; a `wide` chart takes a whole row."""

    panels: Sequence[Panel]
    caption: str
    table: Table | None = None
    wide: bool = False


# --- queries ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RelevantDocument:
    """A relevant document with its rank in both runs; None below rank 10."""

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
    """The changed queries of one verdict; `n_lost` and `n_gained` count those that are left out too."""

    title: str
    before_name: str
    after_name: str
    entries: Sequence[QueryEntry]
    n_lost: int
    n_gained: int


@dataclass(frozen=True)
class QueryList(Block, kind="queries"):
    """The queries behind the verdicts, as a list that needs no script."""

    groups: Sequence[QueryGroup]


@dataclass(frozen=True)
class Explorer(Block):
    """Every query under any two systems; without a script, the largest `changes` alone.

    `document` makes the data of the page's script; `bench.report.explorer` says what it has.
    """

    document: Callable[[], dict[str, Any]] = field(repr=False)
    changes: QueryList | None = None
