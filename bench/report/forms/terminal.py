"""What people see: tables, verdicts and progress on standard error. Ids and texts appear inert."""

from __future__ import annotations

import contextlib
import re
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from bench.base import words
from bench.base.progress import Progress
from bench.records import Finding, Result, Verdict

if TYPE_CHECKING:
    from rich.console import Console

    from bench.evaluation.latency import Latency
    from bench.gate.calibration import GateCalibration
    from bench.report.blocks import Block, Table
    from bench.watch.drift import Drift
    from bench.watch.history import History

LONGEST = 200
LONGEST_LINE = 2000
SILENT_S = 30.0
"""Without a terminal, a stage that takes longer is heard of this often."""
MOST_SERIES = 30
"""Rows of `bench history`; above it, each suite's first measure alone."""
WIDE = 112
"""Columns that a verdict's whole table needs."""
GAP = 3
"""Columns between two of a table's."""
_COMMAND = re.compile(r"(?<=^:)(?=:)|(?<=#)(?=#\[)")
_COMMAND_ANYWHERE = re.compile(r"(?<=:)(?=:)|(?<=#)(?=#\[)")
_OUTCOME_STYLE = {"pass": "green", "improved": "bold green", "inconclusive": "yellow", "fail": "bold red"}
_SEVERITY_STYLE = {"error": "bold red", "warning": "yellow", "info": "dim"}


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
    rows: Sequence[Sequence[str]],
    *,
    title: str | None = None,
    left: int = 1,
    numeric: Sequence[bool] | None = None,
    widths: Sequence[int] | None = None,
) -> None:
    """A table; the first `left` columns are text, the rest numbers, unless `numeric` says so of each."""
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
        grid.add_row(*(Text(inert(cell, folded=True)) for cell in row))
    console = _console()
    # A log file has no width; a table must not be folded to eighty columns there.
    console.width = console_width()
    console.print(grid)


def findings(found: Sequence[Finding]) -> None:
    """Findings, one a line, severity first."""
    for finding in found:
        # Cut to one line here: `say` takes line breaks for ours.
        said = inert(f"{finding.severity:7}  {finding.where}: {finding.message}", LONGEST_LINE)
        say(said, _SEVERITY_STYLE.get(finding.severity))


def results(found: Sequence[Result]) -> None:
    """One table per query set: systems by measures."""
    several = len({result.suite for result in found}) > 1
    for suite, query_set in dict.fromkeys((result.suite, result.query_set) for result in found):
        mine = [result for result in found if (result.suite, result.query_set) == (suite, query_set)]
        measures = mine[0].scores.measures
        rows = [
            [result.system, *(words.number(result.scores.means()[m]) for m in measures), words.size(result.index_bytes)]
            for result in mine
        ]
        title = (
            f"{suite + ': ' if several else ''}{query_set} ({mine[0].role}, {len(mine[0].scores.query_ids)} queries)"
        )
        table(["system", *measures, "index"], rows, title=title)
        answers = [(result.system, result.no_answer) for result in mine if result.no_answer is not None]
        if answers:
            first = answers[0][1]
            columns = ["system", "false positives", "answered", f"{first.measure} without", "with threshold"]
            rows = [
                [
                    name,
                    *(words.number(share) for share in (found.false_positive_rate, found.answered)),
                    words.number(found.value),
                    words.number(found.value_at_threshold),
                ]
                for name, found in answers
            ]
            title = (
                f"{query_set}: {first.n_unanswerable} queries without an answer, at the score that {first.keeps:.0%} "
                f"of {', '.join(first.chosen_on)} reach"
            )
            table(columns, rows, title=title)


def latency(record: Latency) -> None:
    """Milliseconds a query, and how many times the first system's."""
    rows = [
        [
            timing.system,
            f"{timing.p50:.2f}",
            f"{timing.p95:.2f}",
            f"{ratio.ratio:.2f}",
            "–" if ratio.low is None else f"{ratio.low:.2f} … {ratio.high:.2f}",
        ]
        for timing, ratio in zip(record.systems, record.ratios(), strict=True)
    ]
    title = (
        f"latency on {record.query_set} ({record.n_queries} queries, median of {record.repetitions}, "
        f"{record.n_docs} documents)"
    )
    first = f"p95 / {record.systems[0].system}"
    table(["system", "p50 ms", "p95 ms", first, "bounds, 95 % each"], rows, title=title)


def verdict(judged: Verdict) -> None:
    """A verdict: its outcome, its cells, its reasons."""
    say()
    where = f" on {inert(judged.suite)}" if judged.suite else ""
    say(
        f"{judged.outcome.upper()}  {inert(judged.candidate)} against {inert(judged.baseline)}{where}",
        _OUTCOME_STYLE[judged.outcome],
    )
    rows = [
        [
            cell.place + (" vs merge base" if cell.reference == "merge-base" else ""),
            cell.measure,
            (cell.outcome or "") + (", identical" if cell.test == "identical" else ""),
            words.number(cell.baseline),
            words.number(cell.candidate),
            words.signed(cell.delta),
            f"[{words.signed(cell.ci[0])}, {words.signed(cell.ci[1])}]" if cell.ci else "–",
            words.p_value(cell.p_adjusted),
            f"{cell.wins}/{cell.ties}/{cell.losses}",
        ]
        for cell in judged.cells
    ]
    percent = f"{100 * (1 - judged.policy.alpha):g} % interval"
    columns = ["query set", "measure", "outcome", "baseline", "candidate", "delta", percent, "p (Holm)", "+/=/−"]
    if console_width() < WIDE:
        # What decides stays: a table folded to fit is read by nobody.
        kept = [0, 1, 2, 4, 5, 6]
        columns, rows = [columns[i] for i in kept], [[row[i] for i in kept] for row in rows]
    table(columns, rows, left=3)
    for cell in judged.cells:
        if cell.outcome in ("fail", "inconclusive"):
            say(f"  {inert(cell.reason, LONGEST_LINE)}")
    for check in judged.checks:
        say(f"  {check.outcome}: {inert(check.reason, LONGEST_LINE)}", _OUTCOME_STYLE[check.outcome or "inconclusive"])
    findings([finding for finding in judged.findings if finding.severity != "info"])


def blocks(found: Sequence[Block]) -> None:
    """A report's blocks as plain text: what a page folds away, and columns that Markdown leaves out, are left out."""
    from bench.report.blocks import Banner, Bullets, Code, Heading, Prose, Table

    for block in found:
        if isinstance(block, Banner):
            say()
            say(
                f"{block.label.upper()}. {_spoken([*block.title, ' ', *block.sentence])}",
                _OUTCOME_STYLE.get(block.tone),
            )
        elif isinstance(block, Heading) and block.level < 4:  # a table below it bears its own title
            say()
            say(_spoken(block.text), "bold")
        elif isinstance(block, Prose):
            say(_spoken(block.parts), "dim" if block.style == "note" else None)
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
    kept = list(shown)
    least = {p: _longest([word for t in (block.columns[p].title, *texts[p]) for word in t.split()]) for p in shown}
    while len(kept) > 2 and sum(least[place] + GAP for place in kept) > console_width():
        kept.pop()
    widths = {place: _longest([block.columns[place].title, *texts[place]]) for place in kept}
    while sum(widths[place] + GAP for place in kept) > console_width():
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


def _datum(datum: Any) -> str:
    between = " " if datum.kind == "number" else ": "
    return f"{datum.text}{between}{datum.note}" if datum.note else str(datum.text)


def calibration(found: GateCalibration) -> None:
    """Error rates of a gate: one sentence, then the whole gate's and the cells' rates in per cent."""
    harmless = found.harmless
    clearest = next((rates for rates in found.drops if rates.failed >= 0.8), found.drops[-1] if found.drops else None)
    notices = (
        f" It would notice a drop of {clearest.drop:g} on every query set in "
        f"{words.per_hundred(clearest.failed)} of 100."
        if clearest
        else ""
    )
    say()
    say(
        f"Of 100 harmless changes this gate would block about {words.per_hundred(harmless.blocked)} and "
        f"call {words.per_hundred(harmless.inconclusive)} inconclusive.{notices}",
        "bold",
    )
    rows = [
        [
            f"{rates.drop:g}" if rates.drop else "none",
            *(
                f"{words.per_hundred(rate)} ± {words.per_hundred(found.standard_error(rate))}"
                for rate in (rates.failed, rates.inconclusive, rates.passed, rates.improved, rates.blocked)
            ),
        ]
        for rates in (harmless, *found.drops)
    ]
    title = f"The whole gate, % of {found.repetitions} draws (± Monte Carlo standard error)"
    table(["true drop", "fail", "inconclusive", "pass", "improved", "blocked"], rows, title=title)
    if found.beyond_reach:
        drops = ", ".join(f"{drop:g}" for drop in found.beyond_reach)
        say(f"  No such drop can be drawn from these differences: {drops}.", "yellow")
    rows = [
        [
            cell.name.partition(" on ")[2],
            cell.measure,
            str(cell.n) if cell.n_clusters is None else f"{cell.n} ({cell.n_clusters})",
            words.per_hundred(cell.false_alarm),
            words.per_hundred(cell.false_alarm_skewed),
            f"{cell.margin:g}",
            f"{words.per_hundred(cell.at_margin)} / {words.per_hundred(cell.at_margin_predicted)}",
            f"{words.per_hundred(cell.at_twice)} / {words.per_hundred(cell.at_twice_predicted)}",
        ]
        for cell in found.cells
    ]
    columns = ["query set", "measure", "n", "alarm", "skewed", "margin m", "at m", "at 2m"]
    title = "Each cell alone, % failing: without a drop; at a drop of m, 2m (seen / predicted)"
    table(columns, rows, title=title, left=2)


def history(found: History) -> None:
    """One row per system, query set and measure, then the steps, the latest first."""
    several = len({one.suite for one in found.series}) > 1
    first_measure: dict[str, str] = {}
    for one in found.series:
        first_measure.setdefault(one.suite, one.measure)
    shown = list(found.series)
    if len(shown) > MOST_SERIES:
        shown = [one for one in shown if one.measure == first_measure[one.suite]]
    rows = []
    for one in shown:
        points = [point for segment in one.segments for point in segment.points]
        accepted = [point for point in one.segments[-1].points if point.accepted is not None]
        steps = [segment.steps for segment in one.segments]
        rows.append(
            [
                one.system,
                f"{one.suite + ': ' if several else ''}{one.query_set}",
                one.measure,
                words.number(one.latest.mean.value),
                words.signed(one.latest.mean.value - accepted[-1].mean.value) if accepted else "–",
                str(len(points)),
                "–" if None in steps else str(sum(len(each or ()) for each in steps)),
                f"{one.latest.time:%Y-%m-%d}",
            ]
        )
    columns = ["system", "query set", "measure", "latest", "since accepted", "points", "steps", "last seen"]
    table(columns, rows, left=3)
    if hidden := len(found.series) - len(shown):
        say(f"{hidden} more rows by other measures: --measure NAME, --json or --html FILE. Steps below are of all.")
    for series, segment, step in found.steps():
        first = segment.points[step.at]
        ends = f" [{words.signed(step.ci[0])}, {words.signed(step.ci[1])}]" if step.ci else ""
        commit = f" at {inert(first.commit, 12)}" if first.commit else ""
        say(
            f"  {'down' if step.delta < 0 else 'up'} since {first.time:%Y-%m-%d}{commit}: {inert(series.system, 60)} "
            f"on {inert(series.query_set, 60)}, {inert(series.measure, 40)} {words.number(step.before)} → "
            f"{words.number(step.after)}, {words.signed(step.delta)}{ends}, p {words.p_value(step.p)}",
            "bold red" if step.delta < 0 else "green",
        )
    findings(found.findings)


def drift(found: Drift) -> None:
    """The recommendation, then a row for every signal with its numbers."""
    style = {"re-train": "bold red", "refresh the suite": "bold red", "nothing to do": "bold green"}
    say()
    say(
        f"{inert(found.title).upper()}  {inert(found.system)} on {inert(found.suite)}",
        style.get(found.recommendation, "yellow"),
    )
    say(f"  {inert(found.sentence, LONGEST_LINE)}")
    rows = [
        [
            signal.name,
            signal.status,
            words.number(signal.size),
            words.number(signal.floor),
            words.p_value(signal.p_adjusted),
        ]
        for signal in found.signals
    ]
    table(["signal", "finding", "size", "floor", "p (Holm)"], rows, left=2)
    for signal in found.signals:
        say(f"  {inert(signal.name, 60)}: {inert(signal.sentence, LONGEST_LINE)}")
        if signal.examples and signal.status == "shown":
            say(f"    such as: {inert('; '.join(inert(text, 80) for text in signal.examples), 500)}")


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
