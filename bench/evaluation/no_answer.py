"""Queries that no document answers: how often one gets an answer despite a score threshold chosen on dev."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.records import Labels, NoAnswer, Run, Scores

KEEPS = 0.95
"""Share of dev's answerable queries that must still be answered."""


def _top_scores(run: Run, query_ids: Sequence[str]) -> NDArray[np.float32]:
    """float32[n]: the best document's score of each query; −inf where nothing is ranked."""
    row_of = {query_id: row for row, query_id in enumerate(run.query_ids)}
    return np.asarray(
        [run.scores[row_of[q], 0] if q in row_of and run.depth else -np.inf for q in query_ids], dtype=np.float32
    )


def chosen_threshold(top_scores: NDArray[np.float32], *, keeps: float = KEEPS) -> float | None:
    """The highest score that at least the share `keeps` of the queries reach; None where there is none.

    Args:
        top_scores: float32[n] of answerable dev queries; −inf where nothing is ranked.
        keeps: 0 < keeps ≤ 1.
    """
    if not len(top_scores):
        return None
    threshold = float(np.sort(top_scores)[::-1][math.ceil(keeps * len(top_scores) - 1e-9) - 1])
    return threshold if math.isfinite(threshold) else None


def no_answer(
    run: Run, labels: Labels, scores: Scores, dev: Sequence[tuple[Run, Labels]], *, keeps: float = KEEPS
) -> NoAnswer | None:
    """The effect of a score threshold on one query set; None without unanswerable queries, or where dev gives none.

    Args:
        run: rankings of a set that has unanswerable queries.
        labels: name the unanswerable queries.
        scores: of the answerable queries; the first recall, else the first measure, shows what the threshold costs.
        dev: runs of the same system on dev sets of the same corpus, with their labels.
        keeps: share of dev's answerable queries that the threshold keeps.
    """
    unanswerable = [query_id for query_id in run.query_ids if query_id in labels.unanswerable]
    answerable = [
        _top_scores(dev_run, [q for q in dev_run.query_ids if q not in dev_labels.unanswerable])
        for dev_run, dev_labels in dev
    ]
    threshold = chosen_threshold(np.concatenate(answerable), keeps=keeps) if unanswerable and answerable else None
    if threshold is None:
        return None
    measure = next((name for name in scores.measures if name.startswith("recall@")), scores.measures[0])
    values = scores.column(measure)
    answered = _top_scores(run, scores.query_ids) >= threshold
    return NoAnswer(
        chosen_on=tuple(dev_run.query_set for dev_run, _ in dev),
        keeps=keeps,
        threshold=threshold,
        n_unanswerable=len(unanswerable),
        false_positive_rate=float((_top_scores(run, unanswerable) >= threshold).mean()),
        n_answerable=len(values),
        answered=float(answered.mean()),
        measure=measure,
        value=float(values.mean()),
        value_at_threshold=float(np.where(answered, values, 0.0).mean()),
    )
