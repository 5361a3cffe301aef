"""Paired gains over all held-out queries, and bounds of the drop on single query sets, from stored results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from typing import Any

import numpy as np

from bench import stats
from bench.gate.compare import Difference, difference
from bench.records import Result

Results = Mapping[str, Mapping[str, Result]]
"""System → query set → result."""


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


def gain(
    results: Results, system: str, against: str, *, measure: str, query_sets: Sequence[str], alpha: float
) -> Difference | None:
    """A system minus a reference over the queries of these sets; None where either lacks a result on any of them.

    Raises:
        NotComparable: results of different tasks, or without this measure.
    """
    pairs = _pairs(results, system, against, query_sets)
    if not pairs:
        return None
    references, candidates = zip(*pairs, strict=True)
    return difference(references, candidates, measure, alpha=alpha, label="reference")


def _pairs(results: Results, system: str, against: str, names: Iterable[str]) -> list[tuple[Result, Result]] | None:
    """(reference, system) of each query set; None where a result is missing."""
    ours, theirs = results.get(system, {}), results.get(against, {})
    if any(name not in ours or name not in theirs for name in names):
        return None
    return [(theirs[name], ours[name]) for name in names]


def bounds(
    results: Results, system: str, against: str, *, measure: str, margins: Mapping[str, float], alpha: float
) -> list[Bound] | None:
    """A bound for each query set of `margins`; None where a result is missing.

    Each bound is one-sided at 1 − alpha. All must hold, so none needs a correction.
    """
    pairs = _pairs(results, system, against, margins)
    if pairs is None:
        return None
    rows = []
    for (reference, candidate), (name, margin) in zip(pairs, margins.items(), strict=True):
        change = difference([reference], [candidate], measure, alpha=alpha)
        # Under five queries an interval would only look like evidence.
        enough = change.n >= stats.MINIMUM_QUERIES
        lower = change.lower if enough or change.test == "identical" else None
        lost = enough and change.p_worse is not None and change.p_worse < alpha and change.delta < 0
        needed, holds = change.queries_for(margin), change.within(margin)
        rows.append(Bound(name, candidate.role, change.n, change.delta, lower, margin, holds, lost, needed))
    return rows


def worst_of(bounds: Sequence[Bound]) -> Bound | None:
    """The bound of the query set that may drop most; one without a lower bound comes first."""
    return min(bounds, key=lambda bound: -2.0 if bound.lower is None else bound.lower, default=None)


def mean_of(results: Results, system: str, measure: str, query_sets: Sequence[str]) -> float | None:
    """A system's mean over all queries of these sets; None where it was not measured."""
    ours = results.get(system, {})
    columns = [ours[q].scores.column(measure) for q in query_sets if q in ours and measure in ours[q].scores.measures]
    return float(np.concatenate(columns).mean()) if columns and len(columns) == len(query_sets) else None


def queries_to_show(gain: Difference, *, effect: float) -> int | None:
    """Held-out queries that would show a gain of this size four times in five, at the family's level.

    None where no query changed, so that the spread is not known.
    """
    if not gain.spread:
        return None
    level = gain.alpha / max(1, gain.family)
    return stats.queries_needed(effect, gain.spread, alpha=level, alternative="two-sided")
