"""Two systems on one task: their difference, asked here and nowhere else; what cannot be compared is refused.

The gate's cells, the report's comparisons and letters, the decision's gains and the loop's seeds are all `difference`;
families of tests (Holm) stay with whoever asks several.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import stats
from bench.base.errors import NotComparable, TooFewQueries, did_you_mean
from bench.evaluation.measure import TOP_IDS
from bench.records import Cell, Change, Comparison, Result
from bench.records.measures import parse


def check_comparable(baseline: Result, candidate: Result, *, reference: str = "baseline") -> None:
    """Pass if both results answer the same question; `reference` is what the first of them is.

    Raises:
        NotComparable: says what differs and what mends it.
    """
    who = reference.replace("-", " ")
    mend = (
        'and if the suite was changed on purpose, accept a new baseline: bench baseline accept --reason "…"'
        if reference == "baseline"
        else f"or leave the {who} out."
    )
    what = (
        f'Query set "{candidate.query_set}": {who} "{baseline.system}" and candidate "{candidate.system}" '
        "cannot be compared:"
    )
    if baseline.role != candidate.role:
        raise NotComparable(
            f"{what} its role was {baseline.role} and is {candidate.role}, so another margin would apply. "
            'If that was meant, accept a new baseline: bench baseline accept --reason "…"'
        )
    for part, ours, theirs in (
        ("the corpus", baseline.corpus_digest, candidate.corpus_digest),
        ("the queries", baseline.query_set_digest, candidate.query_set_digest),
        ("the judgements", baseline.labels_digest, candidate.labels_digest),
        ("depth, relevance level, drop_self or tie rule", baseline.protocol.digest, candidate.protocol.digest),
    ):
        if ours != theirs:
            plural = "s" if part in ("the queries", "the judgements") else ""
            verb = "differ" if plural or "," in part else "differs"
            raise NotComparable(
                f"{what} {part} {verb} ({ours[:8]}… then, {theirs[:8]}… now). A difference in scores would say "
                f"nothing about the systems. Evaluate both on the same suite (bench run), {mend}"
            )
    if baseline.scores.query_ids != candidate.scores.query_ids:
        raise NotComparable(f"{what} they hold different queries.")
    absent_before, absent_now = set(baseline.scores.missing), set(candidate.scores.missing)
    if absent_before != absent_now:
        newly = absent_now - absent_before
        lacking, whose = (newly, "candidate") if newly else (absent_before - absent_now, who)
        raise NotComparable(
            f'{what} the {whose} run lacks {len(lacking)} judged queries that the other has (first: "{min(lacking)}"). '
            "Make both runs whole; a missing query would count as a loss or hide one."
        )


@dataclass(frozen=True)
class Difference:
    """A system minus a reference, paired by query, over one query set or several of one kind.

    Attributes:
        system: whose mean is `mean`.
        against: the reference, whose mean is `reference`.
        before: float64[n], the reference's values; `after` the system's, in the same order of queries.
        query_ids: of the rows.
        ci: two-sided interval of `delta` at 1 − alpha; `lower` its one-sided bound.
        p_worse: one-sided, "the system is worse".
        p: two-sided; None under five queries, where nothing is shown.
        by_set: query set → difference of its means.
        p_adjusted: p after Holm over the family that the difference was tested in, `family` its size.
    """

    system: str
    against: str
    measure: str
    before: NDArray[np.float64] = field(repr=False)
    after: NDArray[np.float64] = field(repr=False)
    query_ids: tuple[str, ...] = field(repr=False)
    estimate: stats.Estimate
    by_set: Mapping[str, float]
    alpha: float = 0.05
    p_adjusted: float | None = None
    family: int = 1

    @property
    def n(self) -> int:
        """Queries."""
        return self.estimate.n

    @property
    def mean(self) -> float:
        """The system's mean."""
        return float(self.after.mean())

    @property
    def reference(self) -> float:
        """The reference's mean."""
        return float(self.before.mean())

    @property
    def delta(self) -> float:
        """The mean difference."""
        return float((self.after - self.before).mean())

    @property
    def ci(self) -> tuple[float, float] | None:
        """Two-sided interval of the mean difference; None where undefined."""
        low, high = self.estimate.low, self.estimate.high
        return None if low is None or high is None else (low, high)

    @property
    def lower(self) -> float | None:
        """One-sided lower bound of the mean difference."""
        return self.estimate.lower

    @property
    def p_worse(self) -> float | None:
        """One-sided p, "the system is worse"."""
        return self.estimate.p

    @property
    def p(self) -> float | None:
        """Two-sided p; None under five queries, where no verdict is drawn either."""
        return self.estimate.p_two_sided if self.n >= stats.MINIMUM_QUERIES else None

    @property
    def test(self) -> str:
        """The method that gave interval, bound and p."""
        return self.estimate.test

    @property
    def spread(self) -> float | None:
        """Standard deviation of a query's difference, clusters allowed for; None where nothing tells it."""
        error = self.estimate.standard_error
        return error * math.sqrt(self.n) if error else None

    @property
    def shown(self) -> str:
        """ "better" or "worse" where that is shown after correction, else empty."""
        if self.p_adjusted is None or self.p_adjusted >= self.alpha or self.spans_zero:
            return ""
        return "better" if self.delta > 0 else "worse"

    @property
    def spans_zero(self) -> bool:
        """Whether the interval leaves both signs open; so does having none."""
        return self.ci is None or self.ci[0] <= 0 <= self.ci[1]

    def within(self, margin: float) -> bool:
        """Whether a loss of the margin is ruled out."""
        return self.estimate.within(margin)

    @property
    def mde80(self) -> float | None:
        """The drop that these queries would show four times in five; None where nothing tells it."""
        error, degrees = self.estimate.standard_error, (self.estimate.n_clusters or self.n) - 1
        return stats.mde(error, degrees, alpha=self.alpha) if error and degrees > 0 else None

    def queries_for(self, margin: float) -> int | None:
        """Queries with which this margin could be told; where no query moved, as many as rule out such a drop."""
        if margin <= 0 or self.test == "identical":
            return None
        if self.spread:
            return stats.queries_needed(margin, self.spread, alpha=self.alpha)
        return stats.queries_to_rule_out(margin, alpha=self.alpha)

    @cached_property
    def changes(self) -> list[Change]:
        """Queries whose value moved, the largest difference first."""
        moved = np.flatnonzero(np.abs(self.after - self.before) > 1e-12)
        found = [Change(self.query_ids[i], float(self.before[i]), float(self.after[i])) for i in moved]
        return sorted(found, key=lambda c: (-abs(c.candidate - c.baseline), c.query_id))

    def to_json(self) -> dict[str, Any]:
        """The difference as numbers; null, never NaN, where undefined."""
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


def difference(
    reference: Sequence[Result],
    system: Sequence[Result],
    measure: str,
    *,
    slice: str | None = None,
    alpha: float = 0.05,
    who: str = "baseline",
) -> Difference:
    """A system minus a reference over all queries of these results, each counted once.

    Queries of different sets are independent; within a set, clusters count.

    Args:
        reference: one result a query set.
        system: results of the same query sets, in the same order.
        measure: one that all of them have.
        slice: only its queries; all where None.
        alpha: one minus the level of the interval; also the one-sided level of the bound.
        who: what the reference is called in a refusal.

    Raises:
        NotComparable: results of different tasks, or without this measure.
        TooFewQueries: the slice is empty.
    """
    before: list[NDArray[np.float64]] = []
    after: list[NDArray[np.float64]] = []
    query_ids: list[str] = []
    clusters: list[str | None] = []
    identical = True
    for theirs, ours in zip(reference, system, strict=True):
        check_comparable(theirs, ours, reference=who)
        require_measure(theirs, measure, who)
        require_measure(ours, measure, "candidate")
        _require_one_package(theirs, ours, measure, who)
        rows = rows_of(ours, slice)
        before.append(theirs.scores.column(measure)[rows])
        after.append(ours.scores.column(measure)[rows])
        query_ids += [ours.scores.query_ids[row] for row in rows]
        # A cluster's name means nothing outside its query set.
        labels = (ours.clusters[row] for row in rows)
        clusters += [None if label is None else f"{ours.query_set}\x1f{label}" for label in labels]
        identical = identical and _identical(theirs, ours, measure, rows)
    old, new = np.concatenate(before), np.concatenate(after)
    return Difference(
        system[0].system,
        reference[0].system,
        measure,
        old,
        new,
        tuple(query_ids),
        stats.estimate(new - old, clusters=clusters, alpha=alpha, identical=identical),
        {ours.query_set: float((a - b).mean()) for ours, a, b in zip(system, after, before, strict=True)},
        alpha,
    )


def corrected(differences: Sequence[Difference], *, family: int | None = None) -> list[Difference]:
    """The differences with p after Holm over all of them: at most alpha of such families show something false."""
    held = [d.p for d in differences if d.p is not None]
    adjusted = iter(stats.holm(held).tolist())
    size = len(differences) if family is None else family
    return [replace(d, p_adjusted=None if d.p is None else next(adjusted), family=size) for d in differences]


def require_measure(result: Result, measure: str, who: str) -> None:
    """Pass if a result has a measure.

    Raises:
        NotComparable: says which it has.
    """
    if measure not in result.scores.measures:
        raise NotComparable(
            f'The {who.replace("-", " ")} "{result.system}" on "{result.query_set}" has no {measure} '
            f"(has: {', '.join(result.scores.measures)}). Add it to the suite's measures and run anew."
        )


def _require_one_package(baseline: Result, candidate: Result, measure: str, who: str) -> None:
    """Pass if both results have a measure from one version of the package that computes it."""
    then, now = baseline.measured_by.get(measure), candidate.measured_by.get(measure)
    if then != now:
        raise NotComparable(
            f'{measure} was computed by {then or "retrieval-gate"} for the {who.replace("-", " ")} "{baseline.system}" '
            f'and by {now or "retrieval-gate"} for the candidate "{candidate.system}"; another version may compute '
            'another number. Measure both with one: bench run, then bench baseline accept --reason "…"'
        )


def compare(
    baseline: Result,
    candidate: Result,
    *,
    measures: Sequence[str] | None = None,
    margin: float,
    relative: bool = False,
    slice: str | None = None,
    reference: str = "baseline",
    alpha: float = 0.05,
) -> Comparison:
    """A cell per measure: candidate − baseline, paired by query, by the method that the data call for.

    Args:
        baseline: the accepted result.
        candidate: the result under judgement.
        measures: names; those of the baseline where None.
        margin: the drop that would be tolerated; decides nothing here, but how many queries would settle it.
        relative: `margin` is a share of the baseline's mean.
        slice: only its queries; all where None.
        reference: what the baseline is, kept with the cell.
        alpha: one-sided level of `lower` and `p`; `ci` is two-sided at 1 − alpha.

    Raises:
        NotComparable: different tasks, or a measure that one of the two lacks.
        TooFewQueries: the slice is empty.
    """
    cells = []
    for measure in measures or baseline.scores.measures:
        one = difference([baseline], [candidate], measure, slice=slice, alpha=alpha, who=reference)
        tolerated = margin * one.reference if relative else margin
        cell = _cell(one, baseline, candidate, rows_of(candidate, slice), tolerated)
        cells.append(replace(cell, slice=slice, reference=reference, variant=candidate.variant))
    return Comparison(baseline.system, candidate.system, candidate.query_set, alpha, tuple(cells))


def rows_of(result: Result, slice: str | None) -> NDArray[np.intp]:
    """int[n]: the places of a slice's queries; of all where None.

    Raises:
        TooFewQueries: no query has this slice.
    """
    if slice is None:
        return np.arange(len(result.slices))
    rows = np.flatnonzero([slice in names for names in result.slices])
    if not len(rows):
        known = sorted({name for names in result.slices for name in names})
        raise TooFewQueries(
            f'No query of "{result.query_set}" has slice "{slice}" (slices: {", ".join(known) or "none"}).'
            f"{did_you_mean(slice, known)}"
        )
    return rows


def _cell(one: Difference, baseline: Result, candidate: Result, rows: NDArray[np.intp], margin: float) -> Cell:
    wins = tuple(c for c in one.changes if c.candidate > c.baseline)
    losses = tuple(c for c in one.changes if c.candidate < c.baseline)
    both = [result.scores.tie_spread.get(one.measure, 0.0) for result in (baseline, candidate)]
    return Cell(
        query_set=candidate.query_set,
        role=candidate.role,
        slice=None,
        measure=one.measure,
        n=one.n,
        baseline=one.reference,
        candidate=one.mean,
        delta=one.delta,
        ci=one.ci,
        lower=one.lower,
        p=one.p_worse,
        test=one.test,
        margin=margin,
        mde80=one.mde80,
        queries_for_margin=one.queries_for(margin),
        wins=len(wins),
        ties=one.n - len(one.changes),
        losses=len(losses),
        n_clusters=one.estimate.n_clusters,
        judged_drop=float(baseline.scores.judged[rows].mean() - candidate.scores.judged[rows].mean()),
        condensed_delta=_condensed_delta(baseline, candidate, one.measure, rows),
        tie_spread=max(both),
        lost=losses,
        gained=wins,
    )


def _identical(baseline: Result, candidate: Result, measure: str, rows: NDArray[np.intp]) -> bool:
    """Whether a measure sees the same of both rankings: the same set down to its cutoff, or the same order."""
    seen = baseline.scores.lists.get(measure)
    if seen is not None and seen == candidate.scores.lists.get(measure):
        return True
    asked = parse(measure)
    if len(rows) == len(baseline.scores.query_ids) or not 0 < asked.cutoff <= TOP_IDS:
        return False
    # Of a slice there is no digest, but of the first ranks there are the ids.
    ours, theirs = ([result.top_ids[row][: asked.cutoff] for row in rows] for result in (baseline, candidate))
    return ours == theirs if asked.ordered else [set(ids) for ids in ours] == [set(ids) for ids in theirs]


def _condensed_delta(baseline: Result, candidate: Result, measure: str, rows: NDArray[np.intp]) -> float | None:
    """The difference on rankings from which unjudged documents are removed; None where that was not measured."""
    columns = []
    for result in (baseline, candidate):
        if result.scores.condensed is None:
            return None
        columns.append(result.scores.condensed[rows, result.scores.measures.index(measure)])
    return float((columns[1] - columns[0]).mean())


def pinned_measure(baseline: Result, candidate: Result) -> str:
    """The measure by which pinned queries are held, see `pinned_losses`."""
    first = baseline.protocol.measures[0]
    wanted = f"recall@{first.split('@')[1]}" if "@" in first else first
    return wanted if wanted in candidate.scores.measures and wanted in baseline.scores.measures else first


def pinned_losses(baseline: Result, candidate: Result) -> list[Change]:
    """Pinned queries whose recall at the first measure's cutoff fell: a must-not-lose list, no statistics.

    The recall is the first measure where that is a recall, else recall at the same cutoff if it was measured,
    else the first measure itself. Which is first, the baseline says: another order in the suite must not unpin.

    Raises:
        NotComparable: there are pinned queries, and the candidate lacks that measure.
    """
    if not any(candidate.pinned):
        return []
    measure = pinned_measure(baseline, candidate)
    require_measure(baseline, measure, "baseline")
    require_measure(candidate, measure, "candidate")
    before, after = baseline.scores.column(measure), candidate.scores.column(measure)
    return [
        Change(candidate.scores.query_ids[i], float(before[i]), float(after[i]))
        for i, pinned in enumerate(candidate.pinned)
        if pinned and after[i] < before[i] - 1e-12
    ]
