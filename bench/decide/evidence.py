"""Bounds of the drop on single query sets, the queries that would show a gain, and records as JSON values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench import stats
from bench.base.json_records import JsonRecord
from bench.gate.compare import Difference


@dataclass(frozen=True)
class Bound(JsonRecord, keys="query_set role n delta lower margin holds shown_to_lose=lost queries_needed"):
    """The one-sided lower bound of a difference on one query set, compared with a margin.

    `holds` is True where a drop of the margin is ruled out, `lost` where a drop is shown.
    """

    query_set: str
    role: str
    n: int
    delta: float
    lower: float | None
    margin: float
    holds: bool
    lost: bool
    queries_needed: int | None


def worst_of(bounds: Sequence[Bound]) -> Bound | None:
    """The bound of the query set that may drop most; one without a lower bound comes first."""
    return min(bounds, key=lambda bound: -2.0 if bound.lower is None else bound.lower, default=None)


def queries_to_show(gain: Difference, *, effect: float) -> int | None:
    """Held-out queries that would show a gain of this size four times in five, at the family's level.

    None where no query changed, so that the spread is not known.
    """
    if not gain.spread:
        return None
    level = gain.alpha / max(1, gain.family)
    return stats.queries_needed(effect, gain.spread, alpha=level, alternative="two-sided")
