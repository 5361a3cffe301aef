"""Two results of one task → cells of a comparison. Refuses what cannot be compared, and says why."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

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
    check_comparable(baseline, candidate, reference=reference)
    rows = rows_of(candidate, slice)
    cells = []
    for measure in measures or baseline.scores.measures:
        for who, result in (("baseline", baseline), ("candidate", candidate)):
            if measure not in result.scores.measures:
                raise NotComparable(
                    f'The {who} "{result.system}" on "{result.query_set}" has no {measure} '
                    f"(has: {', '.join(result.scores.measures)}). Add it to the suite's measures and run anew."
                )
        tolerated = margin * float(baseline.scores.column(measure)[rows].mean()) if relative else margin
        cell = _cell(baseline, candidate, measure, rows, tolerated, alpha)
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


def _cell(
    baseline: Result, candidate: Result, measure: str, rows: NDArray[np.intp], margin: float, alpha: float
) -> Cell:
    before, after = baseline.scores.column(measure)[rows], candidate.scores.column(measure)[rows]
    delta = after - before
    clusters = [candidate.clusters[row] for row in rows]
    identical = _identical(baseline, candidate, measure, rows)
    estimate = stats.estimate(delta, clusters=clusters, alpha=alpha, identical=identical)
    error, n = estimate.standard_error, estimate.n
    degrees = (estimate.n_clusters or n) - 1
    # The spread per query that the standard error stands for, clusters included.
    spread = error * math.sqrt(n) if error else None
    moved = np.flatnonzero(np.abs(delta) > 1e-12)
    changes = [Change(baseline.scores.query_ids[rows[i]], float(before[i]), float(after[i])) for i in moved]
    by_size = sorted(changes, key=lambda c: (-abs(c.candidate - c.baseline), c.query_id))
    losses = tuple(c for c in by_size if c.candidate < c.baseline)
    wins = tuple(c for c in by_size if c.candidate > c.baseline)
    both = [result.scores.tie_spread.get(measure, 0.0) for result in (baseline, candidate)]
    return Cell(
        query_set=candidate.query_set,
        role=candidate.role,
        slice=None,
        measure=measure,
        n=n,
        baseline=float(before.mean()),
        candidate=float(after.mean()),
        delta=float(delta.mean()),
        ci=(estimate.low, estimate.high) if estimate.low is not None and estimate.high is not None else None,
        lower=estimate.lower,
        p=estimate.p,
        test=estimate.test,
        margin=margin,
        mde80=stats.mde(error, degrees, alpha=alpha) if error and degrees > 0 else None,
        queries_for_margin=_queries_for(margin, spread, alpha) if not identical else None,
        wins=len(wins),
        ties=n - len(changes),
        losses=len(losses),
        n_clusters=estimate.n_clusters,
        judged_drop=float(baseline.scores.judged[rows].mean() - candidate.scores.judged[rows].mean()),
        condensed_delta=_condensed_delta(baseline, candidate, measure, rows),
        tie_spread=max(both),
        lost=losses,
        gained=wins,
    )


def _queries_for(margin: float, spread: float | None, alpha: float) -> int | None:
    """Queries with which this margin could be told; where no query moved, as many as rule out such a drop."""
    if margin <= 0:
        return None
    return (
        stats.queries_needed(margin, spread, alpha=alpha) if spread else stats.queries_to_rule_out(margin, alpha=alpha)
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
    for who, result in (("baseline", baseline), ("candidate", candidate)):
        if measure not in result.scores.measures:
            raise NotComparable(
                f'The {who} "{result.system}" on "{result.query_set}" has no {measure}, by which pinned queries are '
                f"held (has: {', '.join(result.scores.measures)}). Add it to the suite's measures and run anew."
            )
    before, after = baseline.scores.column(measure), candidate.scores.column(measure)
    return [
        Change(candidate.scores.query_ids[i], float(before[i]), float(after[i]))
        for i, pinned in enumerate(candidate.pinned)
        if pinned and after[i] < before[i] - 1e-12
    ]
