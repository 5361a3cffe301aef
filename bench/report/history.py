"""The page of a history: the steps, then each query set over time."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter

from bench.base import words
from bench.report import Material, datum
from bench.report.blocks import Banner, Block, Bullets, Code, Column, Datum, Figure, Head, Heading, Panel, Prose, Table
from bench.report.forms.html import Section, composed
from bench.report.text import Parts, fill, name, plain, strong
from bench.report.trend import trend
from bench.watch.history import History, Point, Segment, Series
from bench.watch.steps import Step

MOST_LINES = 8
"""Systems in one chart; the table has all."""

MOST_SERIES = 30
"""Rows without charts; above it, only each suite's first measure."""

MOST_BANNERS = 3
"""Steps at the top of the page; the table has all."""


def render(history: History, *, title: str = "Retrieval over time", made: str = "", version: str = "") -> str:
    """The dashboard as one HTML document."""
    sections = [Section("summary", "Summary", _summary(history))]
    for place, (heading, group) in enumerate(_query_sets(history.series)):
        sections.append(Section(f"set-{place}", heading, _query_set(group, place, history)))
    source = [Prose(["Source: ", name(history.path), ". This command writes the page again:"])]
    sections.append(Section("log", "The log", [*source, Code(["bench history --html reports/history.html"])]))
    n_systems = words.count(len({series.system for series in history.series}), "system")
    events = words.count(history.n_events, "event")
    subtitle: Parts = [f"{n_systems}, {events} in ", name(history.path), "."]
    return composed(Material(title, (), "", made=made, version=version), sections, subtitle)


def blocks(history: History) -> list[Block]:
    """The same without charts, for Markdown and terminals."""
    content = _summary(history)
    first = {series.suite: series.measure for series in reversed(history.series)}
    few = len(history.series) <= MOST_SERIES
    shown = [series for series in history.series if few or series.measure == first[series.suite]]
    for heading, group in _query_sets(shown):
        content += [Heading([heading]), _table(group, history)]
    if left_out := len(history.series) - len(shown):
        more = words.count(left_out, "more row")
        content.append(Prose([f"{more} by other measures: --measure NAME, --json or --html FILE. Steps cover all."]))
    return content


def _query_sets(every: Sequence[Series]) -> list[tuple[str, list[Series]]]:
    """(heading, series) of each query set."""
    key = attrgetter("suite", "query_set")
    groups = groupby(sorted(every, key=key), key=key)
    return [(f"{plain(query_set, 60)} ({plain(suite, 40)})", list(group)) for (suite, query_set), group in groups]


def _summary(history: History) -> list[Block]:
    steps = history.steps()
    content: list[Block] = [_banner(*step) for step in steps[:MOST_BANNERS]]
    note = (
        f"A step that is chance alone is shown in at most {words.percent(history.alpha)} of histories, over all series "
        "together."
    )
    if steps:
        content += [_steps(steps), Prose([note], style="note")]
    elif any(segment.steps is not None for series in history.series for segment in series.segments):
        title = "No change of level beyond what the choice of queries explains"
        content.append(Banner("pass", "No step", [title], [note]))
    else:
        reason = next((plain(f.message, 300) for f in history.findings if f.code == "no-steps"), "")
        content.append(Banner("inconclusive", "Not tested", ["Steps"], [reason]))
    labels, findings = words.SEVERITIES, [finding for finding in history.findings if finding.code != "no-steps"]
    items = [[f"{labels.get(f.severity, f.severity)}: {plain(f.message, 400)}"] for f in findings]
    return [*content, Bullets(items)] if items else content


def _banner(series: Series, segment: Segment, step: Step) -> Banner:
    tone, label = ("fail", "Step down") if step.delta < 0 else ("improved", "Step up")
    first = segment.points[step.at]
    means = f"{plain(series.measure, 40)} {words.number(step.before)} → {words.number(step.after)}"
    since = f"{words.interval(step.ci)}, since {first.time:%Y-%m-%d}"
    commit = fill(" at commit {}", name(first.commit[:12])) if first.commit else []
    delta, p = strong(words.signed(step.delta)), words.p_value(step.p)
    sentence = fill("{}, {} {}{} (p = {}).", means, delta, since, commit, p)
    return Banner(tone, label, [name(series.system), f" on {plain(series.query_set, 60)}"], sentence)


def _steps(steps: Sequence[tuple[Series, Segment, Step]]) -> Table:
    def change(row: tuple[Series, Point, Step]) -> Datum:
        return datum.difference(row[2].delta, row[2].ci, shown="worse" if row[2].delta < 0 else "better")

    return Table.of(
        "Steps, the latest first",
        [(series, segment.points[step.at], step) for series, segment, step in steps],
        {
            "System": lambda row: datum.name(row[0].system),
            "Query set": lambda row: datum.text(row[0].query_set, 40),
            "Measure": lambda row: datum.text(row[0].measure, 40),
            "Since": lambda row: datum.time(row[1].time, "%Y-%m-%d %H:%M"),
            Column("Commit", minor=True): lambda row: datum.digest(row[1].commit or "–"),
            Column("Before", "Mean of the level before"): lambda row: datum.number(row[2].before),
            Column("After", "Mean of the new level"): lambda row: datum.number(row[2].after),
            Column("Change", "With its interval, paired by query"): change,
            Column("p", "Adjusted over all series (Holm)"): lambda row: datum.p_value(row[2].p),
        },
        sortable=True,
    )


def _query_set(group: Sequence[Series], place: int, history: History) -> list[Block]:
    cuts = {(segment.points[0].time, segment.began) for series in group for segment in series.segments[1:]}
    marks = {segment.points[i].time for series in group for segment in series.segments for i in segment.marks}
    changes = [(time, f"{plain(why, 200)}; do not compare with numbers before it.") for time, why in cuts]
    changes += [(time, "another part of the suite changed; numbers of this set stay comparable.") for time in marks]

    def weight(series: Series) -> tuple[bool, bool, float, str]:
        """The order of drawing: series with steps, then accepted ones, then the best."""
        steps = any(segment.steps for segment in series.segments)
        accepted = any(point.accepted is not None for segment in series.segments for point in segment.points)
        return not steps, not accepted, -series.latest.mean.value, series.system

    panels = []
    for i, measure in enumerate(dict.fromkeys(series.measure for series in group)):
        title = f"{plain(measure, 40)} on {plain(group[0].query_set, 60)}"
        svg = trend(
            f"trend-{place}-{i}",
            title,
            sorted((series for series in group if series.measure == measure), key=weight)[:MOST_LINES],
            cuts=sorted({time for time, _ in cuts}),
            marks=sorted(marks),
        )
        panels.append(Panel(plain(measure, 40), svg))
    caption = (
        "Rings are accepted baselines, triangles are steps. A line breaks where the query set changed (dashed line); a "
        "dotted line is a change of another part of the suite. A bar, where drawn, is the interval of a mean. All "
        "points have the same queries, so steps are tested by paired differences, whose intervals are narrower."
    )
    left_out = len({series.system for series in group}) - MOST_LINES
    if left_out > 0:
        caption += f" {words.count(left_out, 'system')} more in the table."
    role = Prose([f"{words.ROLES.get(group[0].role, plain(group[0].role, 40)).capitalize()} queries."])
    changed = Bullets([[f"{time:%Y-%m-%d}: {text}"] for time, text in sorted(changes)])
    return [role, *([changed] if changes else []), Figure(panels, caption), _table(group, history)]


def _table(group: Sequence[Series], history: History) -> Table:
    rows = []
    for series in group:
        accepted = [point for point in series.segments[-1].points if point.accepted is not None]
        change = series.latest.mean.value - accepted[-1].mean.value if accepted else None
        searched = all(segment.steps is not None for segment in series.segments)
        n_steps = sum(len(segment.steps or ()) for segment in series.segments)
        mean = series.latest.mean
        ends = "" if mean.low is None else f"{words.number(mean.low)} … {words.number(mean.high)}"
        rows.append(
            [
                datum.name(series.system),
                datum.text(series.measure, 40),
                datum.number(mean.value, note=ends),
                datum.number(change, words.signed(change)),
                datum.integer(sum(len(segment.points) for segment in series.segments)),
                datum.integer(len(series.segments)),
                datum.integer(n_steps if searched else None),
                datum.time(series.latest.time),
            ]
        )
    segments = Column("Segments", minor=True)
    columns: list[Head] = ["System", "Measure", "Latest", "Since accepted", "Points", segments, "Steps", "Last result"]
    note = f"Small print: the mean's own {words.confidence(history.alpha)} interval."
    return Table.grid(f"Systems on {plain(group[0].query_set, 60)}", columns, rows, sortable=True, note=note)
