"""What people see: tables, verdicts and progress on standard error. Ids and texts appear inert."""

from __future__ import annotations

import contextlib
import re
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from bench.base.progress import Progress

if TYPE_CHECKING:
    from rich.console import Console

    from bench.report.blocks import Block, Table

LONGEST = 200
LONGEST_LINE = 2000
SILENT_S = 30.0
"""Without a terminal, a stage that takes longer is heard of this often."""
GAP = 3
"""Columns between two of a table's."""
_COMMAND = re.compile(r"(?<=^:)(?=:)|(?<=#)(?=#\[)")
_COMMAND_ANYWHERE = re.compile(r"(?<=:)(?=:)|(?<=#)(?=#\[)")
_OUTCOME_STYLE = {"pass": "green", "improved": "bold green", "inconclusive": "yellow", "fail": "bold red"}
_PROSE_STYLE = {"error": "bold red", "warning": "yellow", "note": "dim", "good": "green", "answer": "bold"}


def inert(text: str, longest: int = LONGEST, *, folded: bool = False) -> str:
    """One line of text without control characters (escape sequences among them), cut to `longest`.

    `folded` where the line may be broken anywhere: GitHub's log reader obeys "::" at the start of a line, and "##["
    anywhere. Elsewhere "::" stays as it is, since test ids are copied from here.
    """
    clean = "".join(c if c.isprintable() else " " for c in text[: longest + 1])
    clean = clean if len(clean) <= longest else clean[: longest - 1] + "…"
    indent = len(clean) - len(clean.lstrip())
    command = _COMMAND_ANYWHERE if folded else _COMMAND
    return clean[:indent] + command.sub("\u200b", clean[indent:])


def _console() -> Console:
    from rich.console import Console

    return Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=not sys.stderr.isatty())


def console_width() -> int:
    """Columns of the terminal; of a log file, enough for everything."""
    console = _console()
    return console.width if console.is_terminal else 160


def say(text: str = "", style: str | None = None) -> None:
    """One line (or several) for people."""
    console = _console()
    lines = [inert(line, LONGEST_LINE, folded=console.is_terminal) for line in text.split("\n")]
    console.print("\n".join(lines), style=style)


def table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str | tuple[str, ...]]],
    *,
    title: str | None = None,
    left: int = 1,
    numeric: Sequence[bool] | None = None,
    widths: Sequence[int] | None = None,
) -> None:
    """A table; the first `left` columns are text, the rest numbers, unless `numeric` says so of each.

    A cell is a text, or several that stand below each other.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    grid = Table(
        title=title and inert(title, folded=True),
        title_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    for i, column in enumerate(columns):
        right = i >= left if numeric is None else numeric[i]
        grid.add_column(
            Text(inert(column, folded=True)),
            justify="right" if right else "left",
            overflow="fold",
            width=widths[i] if widths else None,
        )
    for row in rows:
        cells = ((cell,) if isinstance(cell, str) else cell for cell in row)
        grid.add_row(*(Text("\n".join(inert(line, folded=True) for line in lines)) for lines in cells))
    console = _console()
    # A log file has no width; a table must not be folded to eighty columns there.
    console.width = console_width()
    console.print(grid)


def blocks(found: Sequence[Block]) -> None:
    """A report's blocks as plain text: what a page folds away, and columns that Markdown leaves out, are left out."""
    from bench.report.blocks import Banner, Bullets, Code, Heading, Prose, Table

    for block in found:
        if isinstance(block, Banner):
            say()
            say(
                f"{block.label.upper()}. {_spoken([*block.title, '. ' if block.sentence else '', *block.sentence])}",
                _OUTCOME_STYLE.get(block.tone),
            )
        elif isinstance(block, Heading) and block.level < 4:  # a table below it bears its own title
            say()
            say(_spoken(block.text), "bold")
        elif isinstance(block, Prose):
            say(_spoken(block.parts), _PROSE_STYLE.get(block.style))
        elif isinstance(block, Bullets):
            for item in block.items:
                say(f"- {_spoken(item)}")
        elif isinstance(block, Code):
            for line in block.lines:
                say(f"  {inert(line, LONGEST_LINE)}")
        elif isinstance(block, Table):
            _block_table(block)


def _block_table(block: Table) -> None:
    """A table of a page; columns that find no room are left out from the right, and named."""
    shown = [place for place, column in enumerate(block.columns) if not column.minor]
    texts = {place: [_datum(row[place]) for row in block.rows] for place in shown}
    lines = {place: [block.columns[place].title, *(line for cell in texts[place] for line in cell)] for place in shown}
    kept = list(shown)
    least = {
        # A number is not broken; words and notes may be.
        place: _longest([word for line in lines[place] for word in line.split()])
        if not block.columns[place].numeric
        else _longest([row[place].text for row in block.rows] + [w for line in lines[place] for w in line.split()])
        for place in shown
    }
    while len(kept) > 2 and sum(least[place] + GAP for place in kept) - 1 > console_width():
        kept.pop()
    widths = {place: _longest(lines[place]) for place in kept}
    while sum(widths[place] + GAP for place in kept) - 1 > console_width():
        # The widest gives way, as long as it can be broken between words.
        widest = max(kept, key=lambda place: (widths[place] > least[place], widths[place]))
        if widths[widest] <= least[widest]:
            break
        widths[widest] -= 1
    table(
        [block.columns[place].title for place in kept],
        [[texts[place][i] for place in kept] for i in range(len(block.rows))],
        title=block.caption,
        numeric=[block.columns[place].numeric for place in kept],
        widths=[widths[place] for place in kept],
    )
    if block.note:
        say(f"  {inert(block.note, LONGEST_LINE)}", "dim")
    if len(kept) < len(shown):
        missing = ", ".join(block.columns[place].title for place in shown if place not in kept)
        say(f"  No room for {inert(missing)}: widen the terminal, or write a page.", "dim")


def _longest(texts: Sequence[str]) -> int:
    return max(map(len, texts), default=1)


def _spoken(parts: Sequence[Any]) -> str:
    return inert("".join(part if isinstance(part, str) else part.text for part in parts).strip(), LONGEST_LINE)


def _datum(datum: Any) -> tuple[str, ...]:
    """A cell's text, and its note on a line of its own."""
    return (str(datum.text), str(datum.note)) if datum.note else (str(datum.text),)


@contextlib.contextmanager
def progress(*, quiet: bool = False) -> Iterator[Progress]:
    """A progress callback: bars on a terminal, a line per finished stage elsewhere, nothing when quiet."""
    if quiet:
        yield lambda stage, done, total: None
    elif sys.stderr.isatty():
        yield from _bars()
    else:
        yield _lines()


def _bars() -> Iterator[Progress]:
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns: list[Any] = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()]
    with Bars(*columns, console=_console(), transient=True) as bars:
        tasks: dict[str, Any] = {}

        def told(stage: str, done: int, total: int) -> None:
            label = inert(stage, 60)
            if label not in tasks:
                tasks[label] = bars.add_task(label, total=total or None)
            bars.update(tasks[label], completed=done, total=total or None)
            if done >= total > 0:
                bars.remove_task(tasks.pop(label))

        yield told


def _lines() -> Progress:
    started: dict[str, float] = {}
    said: dict[str, float] = {}

    def told(stage: str, done: int, total: int) -> None:
        if stage == "evaluate":
            return
        now = time.perf_counter()
        if not done and not total and stage not in started:
            say(f"  {stage} …")
        began = started.setdefault(stage, now)
        if done >= total and total:
            say(f"  {stage}: {total} in {now - began:.1f} s")
            started.pop(stage)
            said.pop(stage, None)
        elif total and now - said.setdefault(stage, began) > SILENT_S:
            say(f"  {stage}: {done} of {total} …")
            said[stage] = now

    return told
