"""A run and judgements → a number for every query and measure. The only user of ranx.

ranx gets plain arrays with strictly falling ranks, never scores: it orders tied scores arbitrarily, and its
dictionaries compile for half a minute. With ranks it agrees with trec_eval on every query.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.base.errors import MeasureError, RunError
from bench.base.registry import module_of, origin, plugin_errors
from bench.evaluation.measures import JudgedRanking
from bench.records import EvalProtocol, Labels, Qrels, QuerySet, Result, Run, Scores
from bench.records.measures import Measure, parse, relevant_queries
from bench.stats import MINIMUM_QUERIES

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

JUDGED_CUTOFF = 10
"""Ranks that judged@10 covers."""

TOP_IDS = 10
"""Document ids of each query that a result keeps."""


def recall_by_depth(run: Run, qrels: Qrels, *, relevance_level: int = 1) -> Floats:
    """Mean recall@k for every k from 1 to the run's depth, float64[depth], in one pass over the run.

    Judged queries that the run lacks count 0, as in `measure`; empty where no query has a relevant document.
    """
    judged = relevant_queries(qrels, relevance_level=relevance_level)
    row_of = {query_id: row for row, query_id in enumerate(run.query_ids)}
    number_of = {doc_id: number for number, doc_id in enumerate(run.doc_ids)}
    recall = np.zeros(run.docs.shape[1])
    for query_id in judged:
        relevant = [doc_id for doc_id, grade in qrels[query_id].items() if grade >= relevance_level]
        if query_id in row_of:
            # -2 stands for a relevant document that no query of the run retrieves; -1 pads.
            numbers = [number_of.get(doc_id, -2) for doc_id in relevant]
            recall += np.isin(run.docs[row_of[query_id]], numbers) / len(relevant)
    curve: Floats = np.cumsum(recall) / len(judged) if judged else np.zeros(0)
    return curve


def measure(
    run: Run,
    qrels: Qrels,
    measures: Sequence[str],
    *,
    depth: int | None = None,
    relevance_level: int = 1,
    query_ids: Sequence[str] | None = None,
    condensed: bool = False,
    zero_if_unjudged: bool = False,
) -> Scores:
    """Scores of every judged query.

    A judged query that the run lacks counts 0 (`missing`); a query without a relevant document is left out
    (`left_out`): recall is not defined for it, and a 0 would only dilute the mean.

    Args:
        run: rankings.
        qrels: graded judgements.
        measures: names, such as "ndcg@10".
        depth: ranks that count; all of the run's where None.
        relevance_level: the lowest grade that is relevant.
        query_ids: order of the rows; the judgements' order where None.
        condensed: also measure rankings from which unjudged documents are removed.
        zero_if_unjudged: a run without one judged document counts 0. It is refused otherwise: most often the run and
            the judgements are of two collections.

    Raises:
        MeasureError: an unknown measure, or a cutoff below 1.
        RunError: no judged query is in the run, or no document of the run is judged.
    """
    parsed = [parse(name) for name in measures]
    order = list(query_ids) if query_ids is not None else list(qrels)
    relevant = set(relevant_queries(qrels, relevance_level=relevance_level))
    judged_ids = [query_id for query_id in order if query_id in relevant]
    if not judged_ids:
        raise RunError(
            f"No query of {len(order)} has a document judged {relevance_level} or higher; nothing can be measured."
        )
    row_of = {query_id: row for row, query_id in enumerate(run.query_ids)}
    missing = [query_id for query_id in judged_ids if query_id not in row_of]
    if len(missing) == len(judged_ids):
        raise RunError(
            f'Run "{run.system}" has none of the {len(judged_ids)} judged queries (first judged: "{judged_ids[0]}", '
            f'first in the run: "{run.query_ids[0]}"). Do both files belong to one collection?'
        )
    width = min(depth or run.depth, run.depth)
    docs = np.full((len(judged_ids), width), -1, dtype=np.int64)
    scores = np.full((len(judged_ids), width), -np.inf, dtype=np.float32)
    for row, query_id in enumerate(judged_ids):
        if query_id in row_of:
            docs[row] = run.docs[row_of[query_id], :width]
            scores[row] = run.scores[row_of[query_id], :width]

    truth, grades = _judgements(run, qrels, judged_ids, docs)
    if not (zero_if_unjudged or (grades >= 0).any()):
        raise RunError(
            f'Run "{run.system}": none of its documents is judged (first: "{run.doc_ids[0]}"; judged: '
            f'"{next(iter(qrels[judged_ids[0]]))}"). Do both files belong to one collection?'
        )

    def values_of(docs: Integers) -> Floats:
        return _values(truth, docs, parsed, relevance_level)

    n_ranked = (docs[:, :JUDGED_CUTOFF] >= 0).sum(axis=1)
    return Scores(
        measures=tuple(m.name for m in parsed),
        query_ids=tuple(judged_ids),
        values=values_of(docs),
        judged=((grades[:, :JUDGED_CUTOFF] >= 0).sum(axis=1) / np.maximum(n_ranked, 1)).astype(np.float64),
        lists={m.name: _list_digest(m, run, docs) for m in parsed},
        left_out=len(order) - len(judged_ids),
        missing=tuple(missing),
        tie_spread=_tie_spread(values_of, docs, scores, grades, parsed),
        condensed=values_of(_without_unjudged(docs, grades)) if condensed else None,
    )


def _judgements(run: Run, qrels: Qrels, query_ids: Sequence[str], docs: Integers) -> tuple[Floats, Integers]:
    """ranx' judgement array float64[n_queries, n_judged, 2], grades falling; and each ranked document's grade.

    A grade of −1 means unjudged.
    """
    number = {doc_id: i for i, doc_id in enumerate(run.doc_ids)}
    width = max(len(qrels[query_id]) for query_id in query_ids)
    truth = np.zeros((len(query_ids), width, 2), dtype=np.float64)
    truth[:, :, 0] = -2
    grades = np.full(docs.shape, -1, dtype=np.int64)
    for row, query_id in enumerate(query_ids):
        pairs = sorted(qrels[query_id].items(), key=lambda pair: -pair[1])
        # Documents that the run never ranks count among the relevant too: they get numbers of their own.
        known = {number.setdefault(doc_id, len(number)): max(grade, 0) for doc_id, grade in pairs}
        truth[row, : len(known)] = list(known.items())
        grades[row] = [known.get(doc, -1) for doc in docs[row].tolist()]
    return truth, grades


# numba's default threading layer aborts the whole process when two threads enter it at once.
_RANX_LOCK = threading.Lock()

_MIN_ROWS = 10  # below this, ranx.evaluate sets numba to one thread and never sets it back


def _values(truth: Floats, docs: Integers, measures: Sequence[Measure], relevance_level: int) -> Floats:
    """float64[n_queries, n_measures], read-only."""
    values = np.empty((len(docs), len(measures)))
    by_ranx = [column for column, m in enumerate(measures) if m.engine]
    if by_ranx:
        values[:, by_ranx] = _ranx_values(truth, docs, [measures[column] for column in by_ranx], relevance_level)
    if len(by_ranx) < len(measures):
        queries = []
        for judgements, ranked in zip(truth, docs, strict=True):
            grades = {int(doc): int(grade) for doc, grade in judgements if doc >= 0}
            ranked_grades = np.asarray([grades.get(doc, -1) for doc in ranked.tolist() if doc >= 0], dtype=np.int64)
            queries.append(JudgedRanking(ranked_grades, np.asarray(list(grades.values()), dtype=np.int64)))
        for column, m in enumerate(measures):
            if not m.engine:
                values[:, column] = _kind_values(m, queries, relevance_level)
    values.flags.writeable = False
    return values


def packages_of(measures: Iterable[str]) -> dict[str, str]:
    """Measure → the package that computes it, for measures of other packages."""
    parsed = [parse(name) for name in measures]
    return {m.name: package for m in parsed if not m.engine and (package := origin("measures", m.kind)) is not None}


def _kind_values(m: Measure, queries: Sequence[JudgedRanking], relevance_level: int) -> Floats:
    """float64[n_queries] of a measure that ranx lacks."""
    compute = module_of("measures", m.kind).value
    with plugin_errors("measures", m.kind, f"failed when it computed {m.name}"):
        values = np.asarray(
            [compute(query, cutoff=m.cutoff, relevance_level=relevance_level) for query in queries], dtype=np.float64
        )
    if values.shape != (len(queries),) or not ((values >= 0) & (values <= 1 + 1e-9)).all():
        package = origin("measures", m.kind)
        raise MeasureError(
            f'Measure "{m.name}"{f" of {package}" if package else ""} gave {values.tolist()[:3]}…; expected a number '
            "from 0 to 1 per query."
        )
    return values


def _ranx_values(truth: Floats, docs: Integers, measures: Sequence[Measure], relevance_level: int) -> Floats:
    """float64[n_queries, n_measures]."""
    from ranx import evaluate

    n_queries, width = docs.shape
    rows = max(n_queries, _MIN_ROWS)
    ranked = np.full((rows, width, 2), -1.0)
    ranked[:n_queries, :, 0] = docs
    ranked[:, :, 1] = np.arange(width, 0, -1)
    padded = np.zeros((rows, *truth.shape[1:]))
    padded[:, :, 0] = -2
    padded[:n_queries] = truth
    level = f"-l{relevance_level}" if relevance_level != 1 else ""
    names = []
    for m in measures:
        # trec_eval's ndcg takes every grade as its gain, regardless of the level that -l sets.
        suffix = "" if m.engine == "ndcg" else level
        names.append(f"{m.engine}@{m.cutoff}{suffix}" if m.cutoff else f"{m.engine}{suffix}")
    # The first name twice: for a single measure, ranx 0.3.21 looks its scores up under another name.
    with _RANX_LOCK:
        scores = evaluate(padded, ranked, [*names, names[0]], return_mean=False, save_results_in_run=False)
    return np.stack([np.asarray(scores[name], dtype=np.float64)[:n_queries] for name in names], axis=1)


def _tie_spread(
    values_of: Callable[[Integers], Floats],
    docs: Integers,
    scores: NDArray[np.float32],
    grades: Integers,
    measures: Sequence[Measure],
) -> dict[str, float]:
    """Measure → mean under the best order of tied documents minus mean under the worst; empty without ties."""
    tied = (scores[:, 1:] == scores[:, :-1]) & (docs[:, 1:] >= 0)
    if not tied.any():
        return {}
    best, worst = (
        values_of(np.take_along_axis(docs, np.lexsort((key, -scores), axis=1), axis=1)) for key in (-grades, grades)
    )
    return {m.name: float((best[:, i] - worst[:, i]).mean()) for i, m in enumerate(measures)}


def _without_unjudged(docs: Integers, grades: Integers) -> Integers:
    """Condensed rankings, −1 padded: unjudged documents removed (Sakai 2007)."""
    unjudged = grades < 0
    order = np.argsort(unjudged, axis=1, kind="stable")
    return np.where(np.take_along_axis(unjudged, order, axis=1), -1, np.take_along_axis(docs, order, axis=1))


def _list_digest(m: Measure, run: Run, docs: Integers) -> str:
    """Digest of the part of the rankings that a measure depends on: the set down to its cutoff, or the order."""
    state = hashlib.blake2b(digest_size=16)
    cut = docs[:, : m.cutoff or None]
    if not m.ordered and m.cutoff:
        cut = np.sort(cut, axis=1)
    used = np.unique(cut[cut >= 0])
    # A document's number differs between runs; its place among the ids in use does not, given those ids.
    place = np.full(len(run.doc_ids) + 1, -1, dtype=np.int64)
    place[used] = np.arange(len(used))
    state.update("\0".join(run.doc_ids[i] for i in used).encode("utf-8", "surrogatepass"))
    state.update(np.where(cut >= 0, place[cut], -1).tobytes())
    return state.hexdigest()


def _refuse_constant(run: Run) -> None:
    """Refuse a run without an order: the tie rule alone would rank it, by document id."""
    filled = run.docs >= 0
    first, several = run.scores[:, :1], filled.sum(axis=1) > 1
    # With fewer queries equal scores may be an accident, and the gate reaches no verdict anyway.
    if several.sum() >= MINIMUM_QUERIES and (np.where(filled, run.scores, first) == first).all():
        raise RunError(
            f'Run "{run.system}" on "{run.query_set}": scores are constant under every one of {len(filled)} queries '
            f"({int(several.sum())} rank several documents); nothing is ranked. Expected scores that fall with the "
            "rank: write each document's score, or the depth minus its rank."
        )


def result(
    run: Run,
    labels: Labels,
    *,
    protocol: EvalProtocol,
    query_set: QuerySet | None = None,
    role: str = "held-out",
    suite: tuple[str, int, str] = ("", 0, ""),
    kind: str = "trec-run",
    recipe: Mapping[str, Any] | None = None,
) -> Result:
    """A run's headers with its scores, on which baselines, comparisons and reports are built.

    Args:
        run: rankings.
        labels: judgements, clusters, slices and pinned queries.
        protocol: measures, depth, relevance level.
        query_set: gives name, role and digest; those of the run where None.
        role: the role where there is no query set.
        suite: (name, version, digest).
        kind: the system's kind.
        recipe: the system's fingerprint, kept for the reader.

    Raises:
        RunError: see `measure`; or scores that are constant under every query.
    """
    _refuse_constant(run)
    level = protocol.relevance_level
    judged = relevant_queries(labels.qrels, relevance_level=level)
    with_negatives = sum(any(grade < level for grade in labels.qrels[q].values()) for q in judged)
    share = with_negatives / len(judged) if judged else 0.0
    scores = measure(
        run,
        labels.qrels,
        protocol.measures,
        depth=protocol.depth,
        relevance_level=level,
        query_ids=query_set.ids if query_set is not None else None,
        condensed=share >= 0.5,
        # A system's documents are those of the query set's corpus, so there can be no mistake about the collection.
        zero_if_unjudged=query_set is not None,
    )
    row_of = {query_id: row for row, query_id in enumerate(run.query_ids)}
    return Result(
        system=run.system,
        system_digest=run.system_digest,
        kind=kind,
        suite=suite[0],
        suite_version=suite[1],
        suite_digest=suite[2],
        query_set=query_set.name if query_set else run.query_set,
        role=query_set.role if query_set else role,
        query_set_digest=run.query_set_digest,
        corpus_digest=run.corpus_digest,
        labels_digest=labels.digest,
        protocol=protocol,
        run_digest=run.digest,
        scores=scores,
        top_ids=tuple(tuple(run.ranking(row_of[q], TOP_IDS)) if q in row_of else () for q in scores.query_ids),
        clusters=tuple(labels.clusters.get(q) for q in scores.query_ids),
        slices=tuple(labels.slices_of(q) for q in scores.query_ids),
        pinned=tuple(q in labels.pinned for q in scores.query_ids),
        judged_negative_share=share,
        recipe=dict(recipe or {}),
        seconds=dict(run.seconds),
        index_bytes=run.index_bytes,
        environment=dict(run.environment),
        measured_by=packages_of(protocol.measures),
    )
