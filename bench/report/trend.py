"""A chart of means over time: lines that break where the question changed, marks for baselines and steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bench.report import charts
from bench.report.blocks import plain
from bench.report.labels import width_of
from bench.report.svg import COLOURS, SERIES

SHORTEST = timedelta(hours=12)
MOST_INTERVALS = 2
"""Systems up to which every point is drawn with its interval: more of them hide one another."""


@dataclass(frozen=True)
class Spot:
    """A mean at one time. `step` is −1 or 1 where a level begins that is lower or higher than the one before."""

    time: datetime
    value: float
    ends: tuple[float, float] | None = None
    accepted: bool = False
    step: int = 0


@dataclass(frozen=True)
class Course:
    """A system's means in pieces: between two pieces the question changed, and no line joins them."""

    label: str
    pieces: Sequence[Sequence[Spot]]


def trend(
    uid: str,
    title: str,
    courses: Sequence[Course],
    *,
    y_axis: str,
    cuts: Sequence[datetime] = (),
    marks: Sequence[datetime] = (),
) -> str:
    """Means over time as SVG.

    Args:
        uid: unique on the page.
        title: what the panel shows.
        courses: at least one, each with at least one spot.
        y_axis: what is measured, written above the axis.
        cuts: times at which the question changed, drawn as upright lines.
        marks: times at which another part of the suite changed, drawn more faintly.
    """
    labels = [plain(course.label, charts.LABEL_LIMIT) for course in courses]

    def paint(figure: Any, axes: Any) -> None:
        from matplotlib import dates

        made: Any = dates  # its classes carry no types

        charts._inset(figure, left=42, right=14 + max(map(width_of, labels)), top=28)
        axes.grid(axis="y")
        for when, dashes in [*((cut, (4, 2)) for cut in cuts), *((mark, (1, 2)) for mark in marks)]:
            axes.axvline(when, color=COLOURS["quiet"], linewidth=1, linestyle=(0, dashes))
        for i, course in enumerate(courses):
            _painted(axes, course, i, intervals=len(courses) <= MOST_INTERVALS)
        times = [spot.time for course in courses for piece in course.pieces for spot in piece]
        if max(times) - min(times) < SHORTEST:
            # One night alone would be drawn on an axis of years.
            axes.set_xlim(min(times) - SHORTEST, max(times) + SHORTEST)
        locator = made.AutoDateLocator(minticks=2, maxticks=5)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(made.ConciseDateFormatter(locator))
        axes.yaxis.set_major_locator(charts._few_ticks())
        axes.set_title(y_axis, loc="left", fontsize=11, color=COLOURS["quiet"], pad=10)
        ends = [charts.Line("", (0.0,), (course.pieces[-1][-1].value,), group=i) for i, course in enumerate(courses)]
        charts._end_labels(axes, ends, labels)

    return charts._drawn(uid, title, _description(courses, labels), paint, height=250.0)


def _painted(axes: Any, course: Course, i: int, *, intervals: bool) -> None:
    colour = SERIES[i % len(SERIES)]
    for piece in course.pieces:
        times, values = [spot.time for spot in piece], [spot.value for spot in piece]
        axes.plot(
            times,
            values,
            color=colour,
            linestyle=charts._DASHES[(i // len(SERIES)) % len(charts._DASHES)],
            marker=charts._SHAPES[i % len(charts._SHAPES)] if len(piece) < 40 else None,
            markersize=4,
        )
        for spot in piece:
            if spot.ends and intervals:
                axes.plot((spot.time, spot.time), spot.ends, color=colour, linewidth=1, alpha=0.35)
            if spot.accepted:
                axes.plot([spot.time], [spot.value], "o", color=COLOURS["ink"], markersize=10, fillstyle="none")
            if spot.step:
                shape, tone = ("^", "better") if spot.step > 0 else ("v", "worse")
                axes.plot(
                    [spot.time], [spot.value], shape, color=COLOURS[tone], markersize=9, linestyle="none", zorder=4
                )


def _description(courses: Sequence[Course], labels: Sequence[str]) -> str:
    told = []
    for course, label in zip(courses, labels, strict=True):
        spots = [spot for piece in course.pieces for spot in piece]
        steps = [f"{'up' if s.step > 0 else 'down'} on {s.time:%Y-%m-%d}" for s in spots if s.step]
        told.append(
            f"{label}: {spots[0].value:.3f} on {spots[0].time:%Y-%m-%d}, {spots[-1].value:.3f} on "
            f"{spots[-1].time:%Y-%m-%d}" + (f", steps {', '.join(steps)}" if steps else ", no step")
        )
    return "; ".join(told)
