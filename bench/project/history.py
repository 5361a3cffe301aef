"""Results over time: `bench history`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import __version__
from bench.base.errors import UsageError
from bench.project.answers import Answer
from bench.report import history as page
from bench.report.blocks import Block
from bench.watch.history import History, history
from bench.watch.log import read_log


@dataclass(frozen=True)
class OverTime(Answer):
    """Series of results, accepted baselines, and steps."""

    history: History

    def to_json(self) -> dict[str, Any]:
        """The document of `bench history --json`."""
        return self.history.to_json()

    def blocks(self) -> list[Block]:
        """Steps, then a table per query set."""
        return page.blocks(self.history)

    def html(self) -> str:
        """The dashboard, with charts."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return page.render(self.history, made=now, version=__version__)

    def rows(self) -> list[dict[str, Any]]:
        """A row per point of a series."""
        return [
            {
                "system": series.system,
                "suite": series.suite,
                "query_set": series.query_set,
                "measure": series.measure,
                "time": point.time,
                "commit": point.commit,
                "value": point.mean.value,
                "accepted": point.accepted,
            }
            for series in self.history.series
            for segment in series.segments
            for point in segment.points
        ]


def over_time(
    log: Path,
    *,
    suite: str | None = None,
    systems: Sequence[str] | None = None,
    measures: Sequence[str] | None = None,
    since: str | None = None,
    alpha: float = 0.05,
) -> OverTime:
    """The series of a history log, of these systems and measures on the suite of this name; of all where None.

    `since` is a date or a time, in UTC where it has no zone; `alpha` is the error rate of all steps together.

    Raises:
        UsageError: no log, an invalid date, or an alpha out of range.
    """
    if not 0 < alpha < 0.5:
        raise UsageError(f"alpha is {alpha:g}; expected a number between 0 and 0.5.")
    start = None
    if since:
        try:
            start = datetime.fromisoformat(since)
        except ValueError:
            raise UsageError(f'bench history: --since is "{since}"; expected a date such as 2026-01-31.') from None
        start = start if start.tzinfo else start.replace(tzinfo=UTC)
    return OverTime(history(read_log(log), suite=suite, systems=systems, measures=measures, since=start, alpha=alpha))
