"""What stored results show: paired gains over all held-out queries, families of tests, losses out of distribution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench import stats
from bench.base.json_records import JsonRecord
from bench.gate.compare import Difference, difference
from bench.records import Result

Results = Mapping[str, Mapping[str, Result]]
"""System → query set → result."""


@dataclass(frozen=True)
class Bound(JsonRecord, keys="query_set role n delta lower margin holds shown_to_lose=lost queries_needed"):
    """How much a system may lose on one query set: the one-sided lower bound of its difference against a margin.

    `holds` is True where a loss of the margin is ruled out, `lost` where a loss is shown.
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


def gain(
    results: Results, system: str, against: str, *, measure: str, query_sets: Sequence[str], alpha: float
) -> Difference | None:
    """One system minus another over the queries of these sets; None where either lacks a result on any of them.

    Raises:
        NotComparable: results of different tasks, or without this measure.
    """
    ours, theirs = results.get(system, {}), results.get(against, {})
    if not query_sets or any(name not in ours or name not in theirs for name in query_sets):
        return None
    before, after = ([held[name] for name in query_sets] for held in (theirs, ours))
    return difference(before, after, measure, alpha=alpha, who="reference")


def bounds(
    results: Results, system: str, against: str, *, measure: str, margins: Mapping[str, float], alpha: float
) -> list[Bound] | None:
    """A bound for each query set of `margins`; None where a result is missing. Without any set, an empty list.

    Each bound is one-sided at 1 − alpha. All must hold, so none needs a correction.
    """
    ours, theirs = results.get(system, {}), results.get(against, {})
    if any(name not in ours or name not in theirs for name in margins):
        return None
    found = []
    for name, margin in margins.items():
        one = difference([theirs[name]], [ours[name]], measure, alpha=alpha)
        # Under five queries an interval would only look like evidence.
        enough = one.n >= stats.MINIMUM_QUERIES
        lower = one.lower if enough or one.test == "identical" else None
        lost = enough and one.p_worse is not None and one.p_worse < alpha and one.delta < 0
        needed, role = one.queries_for(margin), ours[name].role
        found.append(Bound(name, role, one.n, one.delta, lower, margin, one.within(margin), lost, needed))
    return found


def mean_of(results: Results, system: str, measure: str, query_sets: Sequence[str]) -> float | None:
    """A system's mean over all queries of these sets; None where it was not measured."""
    mine = results.get(system, {})
    columns = [mine[q].scores.column(measure) for q in query_sets if q in mine and measure in mine[q].scores.measures]
    return float(np.concatenate(columns).mean()) if columns and len(columns) == len(query_sets) else None


def queries_to_show(found: Difference, *, effect: float) -> int | None:
    """Held-out queries with which a gain of this size would be shown four times in five, at the family's level.

    None where no query changed, so that nothing is known of the spread.
    """
    if not found.spread:
        return None
    level = found.alpha / max(1, found.family)
    return stats.queries_needed(effect, found.spread, alpha=level, alternative="two-sided")
