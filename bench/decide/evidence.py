"""Bounds of the drop on single query sets, the queries that would show a gain, and records as JSON values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from typing import Any

from bench import stats
from bench.gate.compare import Difference


def as_document(record: Any, **renamed: str) -> dict[str, Any]:
    """A record as JSON values, one key per field; `renamed` gives another key for a field."""
    return {renamed.get(name, name): _as_json(value) for name, value in vars(record).items()}


def _as_json(value: Any) -> Any:
    if hasattr(value, "to_json"):
        return value.to_json()
    if is_dataclass(value):
        return as_document(value)
    if isinstance(value, (list, tuple)):
        return [_as_json(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _as_json(item) for key, item in value.items()}
    return value


@dataclass(frozen=True)
class Bound:
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

    def to_json(self) -> dict[str, Any]:
        """The bound as numbers."""
        return as_document(self, lost="shown_to_lose")


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
