"""What stored results show: paired gains over all held-out queries, families of tests, losses out of distribution."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import stats
from bench.base.errors import NotComparable
from bench.gate.compare import check_comparable, compare
from bench.records import Result

Results = Mapping[str, Mapping[str, Result]]
"""System → query set → result."""


@dataclass(frozen=True)
class Gain:
    """One system minus another over all queries of a role, each counted once; `p` is two-sided.

    `p_adjusted` is p after Holm over the family that the gain was tested in, `family` its size. `spread` is the
    standard deviation of a query's difference, clusters allowed for. None where undefined.
    """

    system: str
    against: str
    measure: str
    n: int
    mean: float
    reference: float
    delta: float
    ci: tuple[float, float] | None
    p: float | None
    test: str
    spread: float | None
    by_set: Mapping[str, float]
    p_adjusted: float | None = None
    family: int = 1
    alpha: float = 0.05

    @property
    def shown(self) -> str:
        """ "better" or "worse" where that is shown after correction, else empty."""
        if self.p_adjusted is None or self.p_adjusted >= self.alpha or self.ci is None:
            return ""
        return "better" if self.ci[0] > 0 else "worse" if self.ci[1] < 0 else ""

    def to_json(self) -> dict[str, Any]:
        """The gain; null, never NaN, where undefined."""
        return {
            "against": self.against,
            "measure": self.measure,
            "n": self.n,
            "mean": self.mean,
            "reference": self.reference,
            "delta": self.delta,
            "ci": list(self.ci) if self.ci else None,
            "p": self.p,
            "p_adjusted": self.p_adjusted,
            "family": self.family,
            "test": self.test,
            "shown": self.shown or None,
            "by_set": dict(self.by_set),
        }


@dataclass(frozen=True)
class Bound:
    """How much a system may lose on one query set: the one-sided lower bound of its difference against a margin."""

    query_set: str
    role: str
    n: int
    delta: float
    lower: float | None
    margin: float
    lost: bool
    queries_needed: int | None

    @property
    def holds(self) -> bool:
        """Whether a loss of the margin is ruled out."""
        return self.lower is not None and self.lower > -self.margin

    def to_json(self) -> dict[str, Any]:
        """The bound, with whether it holds."""
        return {
            "query_set": self.query_set,
            "role": self.role,
            "n": self.n,
            "delta": self.delta,
            "lower": self.lower,
            "margin": self.margin,
            "holds": self.holds,
            "shown_to_lose": self.lost,
            "queries_needed": self.queries_needed,
        }


def gain(
    results: Results, system: str, against: str, *, measure: str, query_sets: Sequence[str], alpha: float
) -> Gain | None:
    """One system minus another over the queries of these sets; None where either lacks a result on any of them.

    Raises:
        NotComparable: results of different tasks, or without this measure.
    """
    ours, theirs = results.get(system, {}), results.get(against, {})
    if not query_sets or any(name not in ours or name not in theirs for name in query_sets):
        return None
    before: list[NDArray[np.float64]] = []
    after: list[NDArray[np.float64]] = []
    clusters: list[Any] = []
    identical = True
    for name in query_sets:
        reference, mine = theirs[name], ours[name]
        check_comparable(reference, mine, reference="reference")
        for result in (reference, mine):
            if measure not in result.scores.measures:
                raise NotComparable(
                    f'The result of "{result.system}" on "{name}" has no {measure} (has: '
                    f"{', '.join(result.scores.measures)}). Add it to the suite's measures and run anew: bench run"
                )
        before.append(reference.scores.column(measure))
        after.append(mine.scores.column(measure))
        # A cluster's name means nothing outside its query set.
        clusters += [None if label is None else (name, label) for label in mine.clusters]
        seen = reference.scores.lists.get(measure)
        identical &= seen is not None and seen == mine.scores.lists.get(measure)
    old, new = np.concatenate(before), np.concatenate(after)
    found = stats.estimate(new - old, clusters=_numbered(clusters), alpha=alpha, identical=identical)
    error = found.standard_error
    p = found.p
    if p is not None:
        # Both tails; the smaller one is asked for, since 1 − p would round it away. 1 where nothing differs.
        other = stats.estimate(old - new, clusters=_numbered(clusters), alpha=alpha, identical=identical).p
        p = 1.0 if found.mean == 0 or other is None else min(1.0, 2 * min(p, other))
    return Gain(
        system=system,
        against=against,
        measure=measure,
        n=found.n,
        mean=float(new.mean()),
        reference=float(old.mean()),
        delta=found.mean,
        ci=(found.low, found.high) if found.low is not None and found.high is not None else None,
        # Below five queries nothing is shown.
        p=None if found.n < stats.MINIMUM_QUERIES else p,
        test=found.test,
        spread=error * math.sqrt(found.n) if error else None,
        by_set={name: float((a - b).mean()) for name, a, b in zip(query_sets, after, before, strict=True)},
        alpha=alpha,
    )


def _numbered(labels: Sequence[Any]) -> list[str | None]:
    return [None if label is None else "\x1f".join(label) for label in labels]


def corrected(gains: Sequence[Gain]) -> list[Gain]:
    """The gains with p after Holm over all of them: at most alpha of such families show something false."""
    held = [one.p for one in gains if one.p is not None]
    adjusted = iter(stats.holm(held).tolist())
    return [replace(g, p_adjusted=None if g.p is None else next(adjusted), family=len(gains)) for g in gains]


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
        (cell,) = compare(theirs[name], ours[name], measures=[measure], margin=margin, alpha=alpha).cells
        # Under five queries an interval would only look like evidence.
        lower = cell.lower if cell.n >= stats.MINIMUM_QUERIES or cell.test == "identical" else None
        lost = cell.p is not None and cell.p < alpha and cell.delta < 0 and cell.n >= stats.MINIMUM_QUERIES
        found.append(Bound(name, cell.role, cell.n, cell.delta, lower, margin, lost, cell.queries_for_margin))
    return found


def mean_of(results: Results, system: str, measure: str, query_sets: Sequence[str]) -> float | None:
    """A system's mean over all queries of these sets; None where it was not measured."""
    mine = results.get(system, {})
    columns = [mine[q].scores.column(measure) for q in query_sets if q in mine and measure in mine[q].scores.measures]
    return float(np.concatenate(columns).mean()) if columns and len(columns) == len(query_sets) else None


def queries_to_show(found: Gain, *, effect: float) -> int | None:
    """Held-out queries with which a gain of this size would be shown four times in five, at the family's level.

    None where no query changed, so that nothing is known of the spread.
    """
    if not found.spread:
        return None
    level = found.alpha / max(1, found.family)
    return stats.queries_needed(effect, found.spread, alpha=level, alternative="two-sided")
