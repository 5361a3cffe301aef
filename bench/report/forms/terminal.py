"""Tables, verdicts and progress on standard error, for people; no id or text controls the terminal."""

from __future__ import annotations

import contextlib
import re
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

from bench.base.progress import Progress

if TYPE_CHECKING:
    from rich.console import Console

    from bench.report.blocks import Block, Table
    from bench.report.text import Text as Sentence

LONGEST = 200
LONGEST_LINE = 2000
SILENT_S = 30.0
"""Without a terminal, seconds between two lines about a stage that takes longer."""
GAP = 3
"""Characters between two columns of a table."""
LONGEST_WORD = 60
"""Characters of a word that a table breaks only if nothing else makes room."""
_COMMAND = re.compile(r"(?<=^:)(?=:)|(?<=#)(?=#\[)")
_COMMAND_ANYWHERE = re.compile(r"(?<=:)(?=:)|(?<=#)(?=#\[)")
_OUTCOME_STYLE = {"pass": "green", "improved": "bold green", "inconclusive": "yellow", "fail": "bold red"}
_PROSE_STYLE = {"error": "bold red", "warning": "yellow", "note": "dim", "good": "green", "answer": "bold"}


def inert(text: str, longest: int = LONGEST, *, folded: bool = False) -> str:
    """One line of text without control characters (escape sequences among them), cut to `longest`.

    GitHub's log reader obeys "::" at the start of a line, and "##[" anywhere; `folded` is for a line that may be broken
    anywhere. Otherwise "::" inside a line stays, because test ids are copied from here.
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
    """Characters in a line of the terminal; 160 for a log file."""
    console = _console()
    return console.width if console.is_terminal else 160


def say(text: str = "", style: str | None = None) -> None:
    """One or several lines."""
    console = _console()
    lines = [inert(line, LONGEST_LINE, folded=console.is_terminal) for line in text.split("\n")]
    console.print("\n".join(lines), style=style)


def blocks(content: Sequence[Block]) -> None:
    """A report's blocks as plain text, without what a page folds away and columns that Markdown leaves out."""
    from bench.report.blocks import Banner, Bullets, Code, Heading, Prose, Table

    for block in content:
        match block:
            case Banner():
                text = _joined([*block.title, ". " if block.sentence else "", *block.sentence])
                say()
                say(f"{block.label.upper()}. {text}", _OUTCOME_STYLE.get(block.tone))
            case Heading() if block.level < 4:  # a table below a smaller one has its own title
                say()
                say(_joined(block.text), "bold")
            case Prose():
                say(_joined(block.parts), _PROSE_STYLE.get(block.style))
            case Bullets():
                for item in block.items:
                    say(f"- {_joined(item)}")
            case Code():
                for line in block.lines:
                    say(f"  {inert(line, LONGEST_LINE)}")
            case Table():
                _table(block)


def _table(block: Table) -> None:
    """A table of a page; columns that do not fit are left out from the right, and named."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table as Grid
    from rich.text import Text

    def longest(texts: Iterable[str]) -> int:
        return max(map(len, texts), default=1)

    shown, limit = [place for place, column in enumerate(block.columns) if not column.minor], console_width()
    cells, least, widths = {}, {}, {}
    for place in shown:
        column, data = block.columns[place], [row[place] for row in block.rows]
        cells[place] = [[datum.text, *([datum.note] if datum.note else [])] for datum in data]
        lines = [column.title, *(line for cell in cells[place] for line in cell)]
        # Words and notes may be broken at spaces, a number may not.
        number = longest(datum.text for datum in data) if column.numeric else 0
        least[place] = max(number, min(longest(" ".join(lines).split()), LONGEST_WORD))
        widths[place] = longest(lines)
    fitting = list(shown)
    while len(fitting) > 2 and sum(least[place] + GAP for place in fitting) - 1 > limit:
        fitting.pop()
    while sum(widths[place] + GAP for place in fitting) - 1 > limit:
        widest = max(fitting, key=lambda place: (widths[place] > least[place], widths[place]))
        if widths[widest] <= least[widest]:
            break
        widths[widest] -= 1
    title = inert(block.caption, folded=True) or None
    grid = Grid(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    for place in fitting:
        side: Literal["left", "right"] = "right" if block.columns[place].numeric else "left"
        head = Text(inert(block.columns[place].title, folded=True))
        grid.add_column(head, justify=side, overflow="fold", width=widths[place])
    for i in range(len(block.rows)):
        grid.add_row(*(Text("\n".join(inert(line, folded=True) for line in cells[place][i])) for place in fitting))
    console = _console()
    # Rich assumes 80 characters for a log file.
    console.width = limit
    console.print(grid)
    if block.note:
        say(f"  {inert(block.note, LONGEST_LINE)}", "dim")
    if len(fitting) < len(shown):
        missing = ", ".join(block.columns[place].title for place in shown if place not in fitting)
        say(f"  No room for {inert(missing)}: widen the terminal, or write a page.", "dim")


def _joined(parts: Sentence) -> str:
    return inert("".join(part if isinstance(part, str) else part.text for part in parts).strip(), LONGEST_LINE)


@contextlib.contextmanager
def progress(*, quiet: bool = False) -> Iterator[Progress]:
    """A progress callback: bars on a terminal, a line per finished stage in a log file, nothing when quiet."""
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

        def update(stage: str, done: int, total: int) -> None:
            label = inert(stage, 60)
            if label not in tasks:
                tasks[label] = bars.add_task(label, total=total or None)
            bars.update(tasks[label], completed=done, total=total or None)
            if done >= total > 0:
                bars.remove_task(tasks.pop(label))

        yield update


def _lines() -> Progress:
    started: dict[str, float] = {}
    last_line: dict[str, float] = {}

    def update(stage: str, done: int, total: int) -> None:
        if stage == "evaluate":
            return
        now = time.perf_counter()
        if not done and not total and stage not in started:
            say(f"  {stage} …")
        began = started.setdefault(stage, now)
        if done >= total and total:
            say(f"  {stage}: {total} in {now - began:.1f} s")
            started.pop(stage)
            last_line.pop(stage, None)
        elif total and now - last_line.setdefault(stage, began) > SILENT_S:
            say(f"  {stage}: {done} of {total} …")
            last_line[stage] = now

    return update
