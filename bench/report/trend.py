"""A chart of means over time: lines that break where the query set changed, marks for baselines and steps."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from bench.report import charts
from bench.report.labels import width_of
from bench.report.svg import COLOURS, SERIES
from bench.report.text import plain
from bench.watch.history import Series

SHORTEST = timedelta(hours=12)
"""The least time on either side of the points; matplotlib would draw a single night on an axis of years."""
MOST_INTERVALS = 2
"""Systems up to which every point has its interval; above it, intervals would hide one another."""


def trend(
    uid: str,
    title: str,
    lines: Sequence[Series],
    *,
    cuts: Sequence[datetime] = (),
    marks: Sequence[datetime] = (),
) -> str:
    """Means over time as SVG.

    Args:
        uid: unique on the page.
        title: what the panel shows.
        lines: at least one series, each with at least one point.
        cuts: times at which the query set changed, drawn as dashed lines.
        marks: times at which another part of the suite changed, drawn as dotted lines.
    """
    labels = [plain(series.system, charts.LABEL_LIMIT) for series in lines]
    times = [point.time for series in lines for segment in series.segments for point in segment.points]
    descriptions = []
    with charts.canvas(250.0) as axes:
        from matplotlib import dates as untyped

        dates: Any = untyped
        charts.inset(axes, left=42, right=14 + max(map(width_of, labels)), top=28)
        axes.grid(axis="y")
        for when, dashes in [*((cut, (4, 2)) for cut in cuts), *((mark, (1, 2)) for mark in marks)]:
            axes.axvline(when, color=COLOURS["quiet"], linewidth=1, linestyle=(0, dashes))
        for i, (series, label) in enumerate(zip(lines, labels, strict=True)):
            steps = _paint(axes, series, i, intervals=len(lines) <= MOST_INTERVALS)
            points = [point for segment in series.segments for point in segment.points]
            first, last = (f"{point.mean.value:.3f} on {point.time:%Y-%m-%d}" for point in (points[0], points[-1]))
            descriptions.append(f"{label}: {first}, {last}, " + (f"steps {', '.join(steps)}" if steps else "no step"))
        if max(times) - min(times) < SHORTEST:
            axes.set_xlim(min(times) - SHORTEST, max(times) + SHORTEST)
        locator = dates.AutoDateLocator(minticks=2, maxticks=5)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))
        axes.yaxis.set_major_locator(charts.few_ticks())
        axes.set_title("mean over queries")
        charts.end_labels(axes, labels, [series.latest.mean.value for series in lines], range(len(lines)))
        return charts.svg(axes, uid, title, "; ".join(descriptions))


def _paint(axes: Any, series: Series, i: int, *, intervals: bool) -> list[str]:
    """Draw one system's means; returns its steps in words."""
    colour, steps = SERIES[i % len(SERIES)], []
    dashes = charts.DASHES[(i // len(SERIES)) % len(charts.DASHES)]
    for segment in series.segments:
        shape = charts.SHAPES[i % len(charts.SHAPES)] if len(segment.points) < 40 else None
        times, values = [p.time for p in segment.points], [p.mean.value for p in segment.points]
        axes.plot(times, values, color=colour, linestyle=dashes, marker=shape, markersize=4)
        for point in segment.points:
            if intervals and point.mean.low is not None and point.mean.high is not None:
                ends = (point.mean.low, point.mean.high)
                axes.plot((point.time, point.time), ends, color=colour, linewidth=1, alpha=0.35)
            if point.accepted is not None:
                at = [point.time], [point.mean.value]
                axes.plot(*at, "o", color=COLOURS["ink"], markersize=10, fillstyle="none")
        for step in segment.steps or ():
            mark, tone, way = ("^", "better", "up") if step.delta > 0 else ("v", "worse", "down")
            at = [times[step.at]], [values[step.at]]
            axes.plot(*at, mark, color=COLOURS[tone], markersize=9, linestyle="none", zorder=4)
            steps.append(f"{way} on {times[step.at]:%Y-%m-%d}")
    return steps
