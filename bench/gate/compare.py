"""The difference of two systems on one task, as gate, report, decision and loop use it; refuses different tasks.

A family of tests (Holm) belongs to whoever makes several comparisons; `corrected` adjusts them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bench import stats
from bench.base.errors import NotComparable, TooFewQueries, did_you_mean
from bench.base.json_records import JsonRecord
from bench.evaluation.measure import TOP_IDS
from bench.records import Cell, Change, Comparison, Result
from bench.records.measures import parse


def check_comparable(baseline: Result, candidate: Result, *, reference: str = "baseline") -> None:
    """Raise if two results are not of the same task; `reference` says what the first one is in the message.

    Raises:
        NotComparable: says what differs and what to do.
    """
    name = reference.replace("-", " ")
    accept = 'accept a new baseline: bench baseline accept --reason "…"'
    mend = (
        f"and if the suite was changed on purpose, {accept}" if reference == "baseline" else f"or leave the {name} out."
    )
    subject = (
        f'Query set "{candidate.query_set}": {name} "{baseline.system}" and candidate "{candidate.system}" '
        "cannot be compared:"
    )
    if baseline.role != candidate.role:
        raise NotComparable(
            f"{subject} its role was {baseline.role} and is {candidate.role}, so another margin would apply. "
            f"If that is intended, {accept}"
        )
    for part, then, now in (
        ("the corpus", baseline.corpus_digest, candidate.corpus_digest),
        ("the queries", baseline.query_set_digest, candidate.query_set_digest),
        ("the judgements", baseline.labels_digest, candidate.labels_digest),
        ("depth, relevance level, drop_self or tie rule", baseline.protocol.digest, candidate.protocol.digest),
    ):
        if then != now:
            verb = "differs" if part == "the corpus" else "differ"
            raise NotComparable(
                f"{subject} {part} {verb} ({then[:8]}… then, {now[:8]}… now). A difference in scores would say "
                f"nothing about the systems. Evaluate both on the same suite (bench run), {mend}"
            )
    if baseline.scores.query_ids != candidate.scores.query_ids:
        raise NotComparable(f"{subject} they hold different queries.")
    before, after = set(baseline.scores.missing), set(candidate.scores.missing)
    if before != after:
        newly = after - before
        missing, owner = (newly, "candidate") if newly else (before - after, name)
        raise NotComparable(
            f"{subject} the {owner} run lacks {len(missing)} judged queries that the other has (first: "
            f'"{min(missing)}"). Complete both runs; a missing query would count as a loss or hide one.'
        )


@dataclass(frozen=True)
class Difference(JsonRecord, keys="against measure n mean reference delta ci p p_adjusted family test shown? by_set"):
    """A system minus a reference, paired by query, over one query set or several of one role.

    Attributes:
        system: its mean is `mean`.
        against: the reference; its mean is `reference`.
        before: float64[n], the reference's values; `after` the system's, in the same order of queries.
        query_ids: of the rows.
        by_set: query set → difference of its means.
        p_adjusted: p after Holm over the family that the difference was tested in; `family` is its size.
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
        """Number of queries."""
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
        """Two-sided interval of the mean difference at 1 − alpha; None where undefined."""
        low, high = self.estimate.low, self.estimate.high
        return None if low is None or high is None else (low, high)

    @property
    def lower(self) -> float | None:
        """One-sided lower bound of the mean difference at 1 − alpha."""
        return self.estimate.lower

    @property
    def p_worse(self) -> float | None:
        """One-sided p-value of "the system is worse"."""
        return self.estimate.p

    @property
    def p(self) -> float | None:
        """Two-sided p-value; None under five queries, which show nothing."""
        return self.estimate.p_two_sided if self.n >= stats.MINIMUM_QUERIES else None

    @property
    def test(self) -> str:
        """The method of interval, bound and p."""
        return self.estimate.test

    @property
    def spread(self) -> float | None:
        """Standard deviation of a query's difference, with clusters taken into account; None where unknown."""
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
        """Whether the interval leaves both signs open, or there is none."""
        return self.ci is None or self.ci[0] <= 0 <= self.ci[1]

    def within(self, margin: float) -> bool:
        """Whether a drop of the margin is ruled out."""
        return self.estimate.within(margin)

    @property
    def mde80(self) -> float | None:
        """The drop that these queries would show four times in five; None where the spread is unknown."""
        error, degrees = self.estimate.standard_error, (self.estimate.n_clusters or self.n) - 1
        return stats.mde(error, degrees, alpha=self.alpha) if error and degrees > 0 else None

    def queries_for(self, margin: float) -> int | None:
        """Queries that would show a drop of this margin; where no query changed, as many as would rule it out."""
        if margin <= 0 or self.test == "identical":
            return None
        if self.spread:
            return stats.queries_needed(margin, self.spread, alpha=self.alpha)
        return stats.queries_to_rule_out(margin, alpha=self.alpha)

    @cached_property
    def changes(self) -> list[Change]:
        """Queries whose value changed, the largest difference first."""
        rows = np.flatnonzero(np.abs(self.after - self.before) > 1e-12)
        changes = [Change(self.query_ids[i], float(self.before[i]), float(self.after[i])) for i in rows]
        return sorted(changes, key=lambda c: (-abs(c.candidate - c.baseline), c.query_id))


def difference(
    reference: Sequence[Result],
    system: Sequence[Result],
    measure: str,
    *,
    slice: str | None = None,
    alpha: float = 0.05,
    label: str = "baseline",
) -> Difference:
    """A system minus a reference over all queries of these results, each counted once.

    Queries of different sets are independent; within a set, clusters are taken into account.

    Args:
        reference: one result a query set.
        system: results of the same query sets, in the same order.
        measure: one that all of them have.
        slice: only its queries; all where None.
        alpha: one minus the level of the interval; also the one-sided level of the bound.
        label: name of the reference in an error.

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
        check_comparable(theirs, ours, reference=label)
        require_measure(theirs, measure, label)
        require_measure(ours, measure, "candidate")
        then, now = theirs.measured_by.get(measure), ours.measured_by.get(measure)
        if then != now:
            raise NotComparable(
                f"{measure} was computed by {then or 'retrieval-gate'} for the {label.replace('-', ' ')} "
                f'"{theirs.system}" and by {now or "retrieval-gate"} for the candidate "{ours.system}"; another '
                "version may compute another number. Measure both with one: bench run, then "
                'bench baseline accept --reason "…"'
            )
        rows = rows_of(ours, slice)
        before.append(theirs.scores.column(measure)[rows])
        after.append(ours.scores.column(measure)[rows])
        query_ids += [ours.scores.query_ids[row] for row in rows]
        # A cluster's name is unique only within its query set.
        names = (ours.clusters[row] for row in rows)
        clusters += [None if name is None else f"{ours.query_set}\x1f{name}" for name in names]
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
    adjusted = iter(stats.holm([d.p for d in differences if d.p is not None]).tolist())
    size = len(differences) if family is None else family
    return [replace(d, p_adjusted=None if d.p is None else next(adjusted), family=size) for d in differences]


def require_measure(result: Result, measure: str, label: str) -> None:
    """Raise if a result lacks a measure; `label` names the result in the message.

    Raises:
        NotComparable: says which measures it has.
    """
    if measure not in result.scores.measures:
        raise NotComparable(
            f'The {label.replace("-", " ")} "{result.system}" on "{result.query_set}" has no {measure} '
            f"(has: {', '.join(result.scores.measures)}). Add it to the suite's measures and run anew."
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
    """A cell per measure: candidate − baseline, paired by query, by the method that fits the data.

    Args:
        baseline: the accepted result.
        candidate: the result to judge.
        measures: names; those of the baseline where None.
        margin: the tolerated drop; here it only gives the number of queries that would settle it.
        relative: `margin` is a share of the baseline's mean.
        slice: only its queries; all where None.
        reference: what the baseline is, "baseline" or "merge-base"; stored in the cell.
        alpha: one-sided level of `lower` and `p`; `ci` is two-sided at 1 − alpha.

    Raises:
        NotComparable: different tasks, or a measure that one of the two lacks.
        TooFewQueries: the slice is empty.
    """
    cells = []
    results = (baseline, candidate)
    for measure in measures or baseline.scores.measures:
        change = difference([baseline], [candidate], measure, slice=slice, alpha=alpha, label=reference)
        tolerated = margin * change.reference if relative else margin
        rows = rows_of(candidate, slice)
        then, now = (result.scores.judged[rows].mean() for result in results)
        gained = tuple(c for c in change.changes if c.candidate > c.baseline)
        lost = tuple(c for c in change.changes if c.candidate < c.baseline)
        cell = Cell(
            query_set=candidate.query_set,
            role=candidate.role,
            slice=slice,
            measure=measure,
            n=change.n,
            baseline=change.reference,
            candidate=change.mean,
            delta=change.delta,
            ci=change.ci,
            lower=change.lower,
            p=change.p_worse,
            test=change.test,
            margin=tolerated,
            mde80=change.mde80,
            queries_for_margin=change.queries_for(tolerated),
            wins=len(gained),
            ties=change.n - len(change.changes),
            losses=len(lost),
            n_clusters=change.estimate.n_clusters,
            judged_drop=float(then - now),
            condensed_delta=_condensed_delta(baseline, candidate, measure, rows),
            tie_spread=max(result.scores.tie_spread.get(measure, 0.0) for result in results),
            lost=lost,
            gained=gained,
            variant=candidate.variant,
            reference=reference,
        )
        cells.append(cell)
    return Comparison(baseline.system, candidate.system, candidate.query_set, alpha, tuple(cells))


def rows_of(result: Result, slice: str | None) -> NDArray[np.intp]:
    """int[n]: rows of the queries of a slice; of all queries where None.

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


def _identical(baseline: Result, candidate: Result, measure: str, rows: NDArray[np.intp]) -> bool:
    """Whether both rankings are the same to a measure: the same set down to its cutoff, or the same order."""
    digest = baseline.scores.lists.get(measure)
    if digest is not None and digest == candidate.scores.lists.get(measure):
        return True
    parsed = parse(measure)
    if len(rows) == len(baseline.scores.query_ids) or not 0 < parsed.cutoff <= TOP_IDS:
        return False
    # A slice has no digest, but the ids of the first ranks are stored.
    before, after = ([result.top_ids[row][: parsed.cutoff] for row in rows] for result in (baseline, candidate))
    return before == after if parsed.ordered else list(map(set, before)) == list(map(set, after))


def _condensed_delta(baseline: Result, candidate: Result, measure: str, rows: NDArray[np.intp]) -> float | None:
    """The difference on rankings without their unjudged documents; None where that was not measured."""
    if baseline.scores.condensed is None or candidate.scores.condensed is None:
        return None
    before = baseline.scores.condensed[rows, baseline.scores.measures.index(measure)]
    after = candidate.scores.condensed[rows, candidate.scores.measures.index(measure)]
    return float((after - before).mean())


def pinned_measure(baseline: Result, candidate: Result) -> str:
    """The measure that must not fall for a pinned query, see `pinned_losses`."""
    first = baseline.protocol.measures[0]
    wanted = f"recall@{first.split('@')[1]}" if "@" in first else first
    return wanted if wanted in candidate.scores.measures and wanted in baseline.scores.measures else first


def pinned_losses(baseline: Result, candidate: Result) -> list[Change]:
    """Pinned queries whose recall at the first measure's cutoff fell: a must-not-lose list, no statistics.

    The recall is the first measure where that is a recall, else recall at the same cutoff if it was measured,
    else the first measure itself. The first measure is the baseline's: another order in the suite must not unpin.

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
