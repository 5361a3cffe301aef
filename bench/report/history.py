"""The page of a history: what changed, then every query set's course."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from itertools import groupby

from bench.base import words
from bench.report import Material
from bench.report.blocks import (
    Banner,
    Block,
    Bullets,
    Code,
    Column,
    Datum,
    Figure,
    Heading,
    Panel,
    Prose,
    Span,
    Table,
    name,
    plain,
    strong,
)
from bench.report.forms.html import Section, composed
from bench.report.trend import Course, Spot, trend
from bench.watch.history import History, Segment, Series
from bench.watch.steps import Step

MOST_LINES = 8
"""Systems in one chart; the table has them all."""

MOST_SERIES = 30
"""Rows without charts; above it, each suite's first measure alone."""

MOST_SHOWN = 3
"""Steps told at the top."""


def render(found: History, *, title: str = "Retrieval over time", made: str = "", version: str = "") -> str:
    """The dashboard as one HTML document."""
    sections = [Section("summary", "Summary", _summary(found))]
    for place, ((suite, query_set), group) in enumerate(_sets(found)):
        sections.append(Section(f"set-{place}", _heading(suite, query_set), _set(group, place, found)))
    sections.append(Section("log", "The log", _provenance(found)))
    n_systems = len({one.system for one in found.series})
    subtitle: list[str | Span] = [
        f"{words.count(n_systems, 'system')} in {words.count(found.n_events, 'event')} of ",
        name(found.path),
        ".",
    ]
    return composed(Material(title, (), "", made=made, version=version), sections, subtitle)


def blocks(found: History) -> list[Block]:
    """The same without charts, for Markdown and terminals."""
    made = _summary(found)
    first = {one.suite: one.measure for one in reversed(found.series)}
    shown = [one for one in found.series if len(found.series) <= MOST_SERIES or one.measure == first[one.suite]]
    for key, group in _sets(replace(found, series=tuple(shown))):
        made += [Heading([_heading(*key)]), _table(group, found)]
    if hidden := len(found.series) - len(shown):
        rows = words.count(hidden, "more row")
        made.append(Prose([f"{rows} by other measures: --measure NAME, --json or --html FILE. Steps are of all."]))
    return made


def _heading(suite: str, query_set: str) -> str:
    return f"{plain(query_set, 60)} ({plain(suite, 40)})"


def _sets(found: History) -> list[tuple[tuple[str, str], list[Series]]]:
    def key(one: Series) -> tuple[str, str]:
        return one.suite, one.query_set

    return [(k, list(group)) for k, group in groupby(sorted(found.series, key=key), key=key)]


def _summary(found: History) -> list[Block]:
    made: list[Block] = []
    steps = found.steps()
    looked = any(segment.steps is not None for one in found.series for segment in one.segments)
    for series, segment, step in steps[:MOST_SHOWN]:
        worse = step.delta < 0
        made.append(
            Banner(
                "fail" if worse else "improved",
                "Step down" if worse else "Step up",
                [name(series.system), f" on {plain(series.query_set, 60)}"],
                _sentence(series, segment, step),
            )
        )
    if not looked:
        made.append(Banner("inconclusive", "Not looked for", ["Steps"], [_why_not(found)]))
    elif not steps:
        made.append(
            Banner("pass", "No step", ["No change of level beyond what the choice of queries explains"], [_rate(found)])
        )
    if steps:
        made += [_steps(steps), Prose([_rate(found)], style="note")]
    told = [finding for finding in found.findings if finding.code != "no-steps"]
    if told:
        made.append(
            Bullets([[f"{words.SEVERITIES.get(f.severity, f.severity)}: {plain(f.message, 400)}"] for f in told])
        )
    return made


def _why_not(found: History) -> str:
    return next((plain(f.message, 300) for f in found.findings if f.code == "no-steps"), "Steps were not looked for.")


def _rate(found: History) -> str:
    return (
        f"Where the choice of queries is all that moves the means, no step at all is shown with a chance of "
        f"{words.level(found.alpha)}, over all series together."
    )


def _sentence(series: Series, segment: Segment, step: Step) -> list[str | Span]:
    first = segment.points[step.at]
    commit: list[str | Span] = [" at commit ", name(first.commit[:12])] if first.commit else []
    return [
        f"{plain(series.measure, 40)} {words.number(step.before)} → {words.number(step.after)}, ",
        strong(words.signed(step.delta)),
        f" {words.interval(step.ci)}, from {first.time:%Y-%m-%d}",
        *commit,
        f" (p = {words.p_value(step.p)}).",
    ]


def _steps(steps: Sequence[tuple[Series, Segment, Step]]) -> Table:
    columns = [Column("System"), Column("Query set"), Column("Measure"), Column("Since"), Column("Commit", minor=True)]
    columns += [
        Column(title, hint, numeric=True)
        for title, hint in (
            ("Before", "Mean of the level before"),
            ("After", "Mean of the new level"),
            ("Change", "With its interval, paired by query"),
            ("p", "Adjusted over all series (Holm)"),
        )
    ]
    rows = [
        [
            Datum(plain(series.system, 60), kind="name"),
            Datum(plain(series.query_set, 40)),
            Datum(plain(series.measure, 40)),
            Datum(f"{segment.points[step.at].time:%Y-%m-%d %H:%M}", segment.points[step.at].time.timestamp()),
            Datum(plain((segment.points[step.at].commit or "–")[:12]), kind="name"),
            Datum(words.number(step.before), step.before, "number"),
            Datum(words.number(step.after), step.after, "number"),
            Datum(
                words.signed(step.delta),
                step.delta,
                "number",
                note=words.interval(step.ci),
                tone="worse" if step.delta < 0 else "better",
            ),
            Datum(words.p_value(step.p), step.p, "number"),
        ]
        for series, segment, step in steps
    ]
    return Table("Steps, the latest first", columns, rows, sortable=True)


def _set(group: Sequence[Series], place: int, found: History) -> list[Block]:
    first = group[0]
    made: list[Block] = [Prose([f"{words.ROLES.get(first.role, plain(first.role, 40)).capitalize()} queries."])]
    cuts = sorted({(segment.points[0].time, segment.began) for one in group for segment in one.segments[1:]})
    marks = sorted({segment.points[i].time for one in group for segment in one.segments for i in segment.marks})
    changes: list[tuple[datetime, str]] = [
        *((when, f"{plain(why, 200)}; numbers before it answer another question.") for when, why in cuts),
        *((when, "the suite changed elsewhere; numbers of this set still compare.") for when in marks),
    ]
    if changes:
        made.append(Bullets([[f"{when:%Y-%m-%d}: {said}"] for when, said in sorted(changes)]))
    panels = []
    measures = list(dict.fromkeys(one.measure for one in group))
    for i, measure in enumerate(measures):
        of = sorted((one for one in group if one.measure == measure), key=_weight)[:MOST_LINES]
        courses = [Course(one.system, [_spots(segment) for segment in one.segments]) for one in of]
        title = f"{plain(measure, 40)} on {plain(first.query_set, 60)}"
        svg = trend(
            f"trend-{place}-{i}",
            title,
            courses,
            y_axis="mean over queries",
            cuts=[when for when, _ in cuts],
            marks=marks,
        )
        panels.append(Panel(plain(measure, 40), svg))
    left_out = len({one.system for one in group}) - MOST_LINES
    caption = (
        "Rings are accepted baselines, triangles are steps, and lines break where the question changed (dashed "
        "upright; dotted where only another part of the suite did). Bars, where drawn, say how far a mean may lie from "
        "that of all such queries; all points share these queries, so steps are judged by paired differences, which "
        "are smaller."
    )
    if left_out > 0:
        caption += f" {words.count(left_out, 'system')} more in the table."
    made += [Figure(panels, caption), _table(group, found)]
    return made


def _weight(one: Series) -> tuple[bool, bool, float, str]:
    """What is drawn first: series with steps, then accepted ones, then the best."""
    steps = any(segment.steps for segment in one.segments)
    accepted = any(point.accepted is not None for segment in one.segments for point in segment.points)
    return not steps, not accepted, -one.latest.mean.value, one.system


def _spots(segment: Segment) -> list[Spot]:
    direction = {step.at: 1 if step.delta > 0 else -1 for step in segment.steps or ()}
    return [
        Spot(
            point.time,
            point.mean.value,
            None if point.mean.low is None or point.mean.high is None else (point.mean.low, point.mean.high),
            point.accepted is not None,
            direction.get(i, 0),
        )
        for i, point in enumerate(segment.points)
    ]


def _table(group: Sequence[Series], found: History) -> Table:
    columns = [
        Column("System"),
        Column("Measure"),
        Column("Latest", numeric=True),
        Column("Since accepted", numeric=True),
    ]
    columns += [
        Column("Points", numeric=True),
        Column("Segments", numeric=True, minor=True),
        Column("Steps", numeric=True),
    ]
    columns += [Column("Last seen")]
    rows = []
    for one in group:
        accepted = [point for point in one.segments[-1].points if point.accepted is not None]
        change = one.latest.mean.value - accepted[-1].mean.value if accepted else None
        looked = all(segment.steps is not None for segment in one.segments)
        n_steps = sum(len(segment.steps or ()) for segment in one.segments)
        ends = one.latest.mean
        interval = "" if ends.low is None else f"{words.number(ends.low)} … {words.number(ends.high)}"
        rows.append(
            [
                Datum(plain(one.system, 60), kind="name"),
                Datum(plain(one.measure, 40)),
                Datum(words.number(ends.value), ends.value, "number", note=interval),
                Datum(words.signed(change), -9 if change is None else change, "number"),
                Datum(str(n := sum(len(s.points) for s in one.segments)), n, "number"),
                Datum(str(len(one.segments)), len(one.segments), "number"),
                Datum(str(n_steps) if looked else "–", n_steps, "number"),
                Datum(f"{one.latest.time:%Y-%m-%d}", one.latest.time.timestamp()),
            ]
        )
    note = f"Small print: the mean's own {words.level(found.alpha)} interval."
    return Table(f"Systems on {plain(group[0].query_set, 60)}", columns, rows, sortable=True, note=note)


def _provenance(found: History) -> list[Block]:
    return [
        Prose(["Read from ", name(found.path), ". This page is made anew by:"]),
        Code(["bench history --html reports/history.html"]),
    ]
