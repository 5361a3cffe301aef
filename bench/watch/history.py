"""Trends from a history log: each system over time, where its numbers stop being comparable, where a level changes.

Reads files only; evaluates nothing and loads no model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from typing import Any

import numpy as np

from bench import stats
from bench.base.errors import MissingExtra, UsageError, did_you_mean, excerpt
from bench.base.json_records import JsonRecord, as_json
from bench.records import Finding, Result
from bench.watch.log import Event, Log
from bench.watch.steps import MOST_POINTS, Step, find_steps


@dataclass(frozen=True)
class Mean:
    """A mean over queries with its own two-sided interval; None without one."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Point(JsonRecord, keys="time commit digest system_digest suite_digest mean=value n accepted ci"):
    """One system's mean at one time; `accepted` is the reason where it became the baseline, else None."""

    time: datetime
    commit: str | None
    digest: str
    system_digest: str
    suite_digest: str
    mean: Mean
    n: int
    accepted: str | None = None

    @property
    def value(self) -> float:
        """The mean itself."""
        return self.mean.value

    @property
    def ci(self) -> tuple[float, float] | None:
        """The mean's interval."""
        return None if self.mean.low is None or self.mean.high is None else (self.mean.low, self.mean.high)


@dataclass(frozen=True)
class Segment(JsonRecord, keys="began marks points steps"):
    """Points whose numbers compare: the same suite version, corpus, queries, judgements and measuring rules.

    `began` says why a new segment begins; `marks` are points at which another part of the suite changed, so that this
    set's numbers still compare. `steps` is None where no search was made.
    """

    points: tuple[Point, ...]
    began: str
    marks: tuple[int, ...] = ()
    steps: tuple[Step, ...] | None = None

    def to_json(self) -> dict[str, Any]:
        """The segment; a step has the time and the commit of its point."""
        steps = [
            as_json(step) | {"time": as_json(self.points[step.at].time), "commit": self.points[step.at].commit}
            for step in self.steps or ()
        ]
        return super().to_json() | {"steps": None if self.steps is None else steps}


@dataclass(frozen=True)
class Series(JsonRecord):
    """One system on one query set by one measure."""

    suite: str
    query_set: str
    role: str
    system: str
    measure: str
    segments: tuple[Segment, ...]

    @property
    def latest(self) -> Point:
        """The last point."""
        return self.segments[-1].points[-1]


@dataclass(frozen=True)
class History(JsonRecord, keys="log=path events=n_events alpha series findings", format=1):
    """Trends with their steps; `alpha` is the chance that any step is shown where only the choice of queries varies."""

    path: str
    n_events: int
    series: tuple[Series, ...]
    alpha: float
    findings: tuple[Finding, ...] = ()

    def steps(self) -> list[tuple[Series, Segment, Step]]:
        """Every step, the latest first."""
        steps = [(s, g, step) for s in self.series for g in s.segments for step in g.steps or ()]
        return sorted(steps, key=lambda item: item[1].points[item[2].at].time, reverse=True)


def history(
    log: Log,
    *,
    suite: str | None = None,
    systems: Sequence[str] | None = None,
    measures: Sequence[str] | None = None,
    since: datetime | None = None,
    alpha: float = 0.05,
    seed: int = 0,
) -> History:
    """The trends of a log, with their steps.

    Args:
        log: events and results.
        suite: only this suite, by name.
        systems: only these systems, by their full names.
        measures: only these measures.
        since: only events at this time or later.
        alpha: error rate of all steps together.
        seed: of the draws that steps are tested against.

    Raises:
        UsageError: no event is left; or a name that the log lacks, with the nearest known one.
    """
    for kind, names, known in (
        ("suite", [suite] if suite else [], {r.suite for r in log.results.values()}),
        ("system", systems or [], {r.system for r in log.results.values()}),
        ("measure", measures or [], {m for r in log.results.values() for m in r.scores.measures}),
    ):
        for name in names:
            if name not in known:
                listed = ", ".join(sorted(known)[:12]) or "none"
                raise UsageError(
                    f'{log.path} has no {kind} "{excerpt(name)}" (has: {listed}).{did_you_mean(name, known)}'
                )
    pairs = [
        (event, result)
        for event in log.events
        if (result := log.results[event.digest])
        and (since is None or event.time >= since)
        and (suite is None or result.suite == suite)
        and (systems is None or result.system in systems)
    ]
    if not pairs:
        after = f" since {since.date()}" if since else ""
        raise UsageError(f"{log.path} has no result{after} for this selection; widen it, or run: bench run")
    groups: dict[tuple[str, str, str], list[tuple[Event, Result]]] = {}
    for event, result in sorted(pairs, key=lambda pair: pair[0].time):
        groups.setdefault((result.suite, result.query_set, result.system), []).append((event, result))
    series = []
    for (suite_name, query_set, system), group in groups.items():
        role = group[-1][1].role
        for measure in dict.fromkeys(m for _, result in group for m in result.scores.measures):
            if measures is None or measure in measures:
                measured = [pair for pair in group if measure in pair[1].scores.measures]
                runs = [list(run) for _, run in groupby(measured, key=lambda pair: _task(pair[1]))]
                before = [None, *(run[-1][1] for run in runs)]
                segments = tuple(_segment(run, measure, last, alpha) for run, last in zip(runs, before, strict=False))
                series.append(Series(suite_name, query_set, role, system, measure, segments))
    findings = list(log.findings)
    try:
        series = _with_steps(series, log.results, alpha, seed)
    except MissingExtra as error:
        findings.append(Finding("warning", "no-steps", str(log.path), f"Steps are not searched for. {error}"))
    return History(str(log.path), len(pairs), tuple(series), alpha, tuple(findings))


def _task(result: Result) -> tuple[Any, ...]:
    """What must agree for two results' numbers to compare; the version is the statement of the suite's author."""
    return (
        result.suite_version,
        result.corpus_digest,
        result.query_set_digest,
        result.labels_digest,
        result.protocol.digest,
        result.scores.query_ids,
    )


_PARTS = ("the suite's version", "the corpus", "the queries", "the judgements", "depth, relevance level or drop_self")


def _segment(run: Sequence[tuple[Event, Result]], measure: str, before: Result | None, alpha: float) -> Segment:
    points: list[Point] = []
    marks = []
    for event, result in run:
        if event.kind == "accepted" and points and points[-1].digest == event.digest:
            points[-1] = replace(points[-1], accepted=event.reason)
            continue
        if points and points[-1].suite_digest != result.suite_digest:
            marks.append(len(points))
        points.append(
            Point(
                event.time,
                event.commit,
                event.digest,
                result.system_digest,
                result.suite_digest,
                _mean(result, measure, alpha),
                len(result.scores.query_ids),
                event.reason if event.kind == "accepted" else None,
            )
        )
    began = ""
    if before is not None:
        tasks = zip(_PARTS, _task(before), _task(run[0][1]), strict=False)
        changed = [part for part, then, now in tasks if then != now]
        began = f"{', '.join(changed) or 'the queries'} changed"
    return Segment(tuple(points), began, tuple(marks))


def _mean(result: Result, measure: str, alpha: float) -> Mean:
    values = result.scores.column(measure)
    if len(values) < stats.MINIMUM_QUERIES:
        return Mean(float(values.mean()), None, None)
    clusters = result.clusters if any(result.clusters) else None
    interval = stats.clustered_t(values, clusters, alpha=alpha) if clusters else stats.paired_t(values, alpha=alpha)
    # A mean of shares cannot lie beyond them, as the ends of a t interval may.
    low, high = (None if end is None else min(max(end, 0.0), 1.0) for end in (interval.low, interval.high))
    return Mean(interval.mean, low, high)


def _with_steps(series: Sequence[Series], results: Mapping[str, Result], alpha: float, seed: int) -> list[Series]:
    """The series with their steps: all segments are one family."""
    tables, clusters = [], []
    for measure, segment in ((s.measure, g) for s in series for g in s.segments):
        tested = [results[point.digest] for point in segment.points[-MOST_POINTS:]]
        tables.append(np.stack([result.scores.column(measure) for result in tested]))
        clusters.append(tested[-1].clusters if any(tested[-1].clusters) else None)
    steps_of = iter(find_steps(tables, clusters, alpha=alpha, seed=seed))

    def with_steps(segment: Segment) -> Segment:
        skipped = max(0, len(segment.points) - MOST_POINTS)
        steps = (replace(s, at=s.at + skipped, start=s.start + skipped, end=s.end + skipped) for s in next(steps_of))
        return replace(segment, steps=tuple(steps))

    return [replace(s, segments=tuple(with_steps(segment) for segment in s.segments)) for s in series]
