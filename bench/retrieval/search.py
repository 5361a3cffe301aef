"""Exact top-k over every dimension and precision, and fusion of rankings.

Documents come in ascending id order, so a row number stands for the id in the tie rule: score descending, then
row descending. Dimensions and precisions are applied to cached full-size rows; nothing is encoded again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.base.errors import ConfigError
from bench.records import Run

Rankings = tuple[NDArray[np.int64], NDArray[np.float32]]
"""Documents and scores, each [n_queries, k]."""


def truncated(rows: NDArray[np.float32], dim: int, *, normalize: bool) -> NDArray[np.float32]:
    """The first `dim` columns; `normalize` scales rows to length one, which a cut vector no longer has."""
    if not 1 <= dim <= rows.shape[1]:
        raise ConfigError(f"dims: {dim} is not between 1 and the encoder's {rows.shape[1]} dimensions.")
    rows = rows[:, :dim]
    if normalize:
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        rows = (rows / np.where(norms == 0, np.float32(1), norms)).astype(np.float32)
    return np.ascontiguousarray(rows, dtype=np.float32)


def top_k(scores: NDArray[np.float32], k: int) -> Rankings:
    """The k best columns of each row by the tie rule, ties at the cut included: int[n, k], float32[n, k]."""
    n_columns = scores.shape[1]
    k = min(k, n_columns)
    docs = np.empty((len(scores), k), dtype=np.int64)
    best = np.empty((len(scores), k), dtype=np.float32)
    for i, row in enumerate(scores):
        if k < n_columns:
            # argpartition would choose arbitrarily among documents tied at the cut.
            threshold = np.partition(row, n_columns - k)[n_columns - k]
            candidates = np.flatnonzero(row >= threshold)
        else:
            candidates = np.arange(n_columns)
        order = candidates[np.lexsort((-candidates, -row[candidates]))[:k]]
        docs[i], best[i] = order, row[order]
    return docs, best


def padded(rankings: Sequence[tuple[NDArray[Any], NDArray[Any]]]) -> Rankings:
    """Rankings of unequal length as two rectangles, −1 where there is no document."""
    width = max(1, *(len(docs) for docs, _ in rankings))
    all_docs = np.full((len(rankings), width), -1, dtype=np.int64)
    all_scores = np.zeros((len(rankings), width), dtype=np.float32)
    for i, (docs, scores) in enumerate(rankings):
        all_docs[i, : len(docs)] = docs
        all_scores[i, : len(scores)] = scores
    return all_docs, all_scores


def _fused(runs: Sequence[Run], row_of: dict[str, int], weights: Sequence[NDArray[np.float64]]) -> Rankings:
    """Sum of `weights` (one array like `docs` per run) by document, as padded corpus rows and scores."""
    rows = [np.asarray([row_of[doc_id] for doc_id in run.doc_ids] + [-1]) for run in runs]
    rankings = []
    for query in range(len(runs[0].query_ids)):
        docs = np.concatenate([rows[i][run.docs[query]] for i, run in enumerate(runs)])
        gain = np.concatenate([weight[query] for weight in weights])
        ranked, place = np.unique(docs[docs >= 0], return_inverse=True)
        # Rounded before ranking: the same sum in another order must tie, not differ in the last bit.
        total = np.round(np.bincount(place, weights=gain[docs >= 0], minlength=len(ranked)), 9)
        rankings.append((ranked, total.astype(np.float32)))
    return padded(rankings)


def rrf(runs: Sequence[Run], row_of: dict[str, int], *, k: int = 60) -> Rankings:
    """Reciprocal rank fusion: the sum over rankings of 1 / (k + rank).

    Source: Cormack, Clarke & Büttcher 2009, "Reciprocal rank fusion outperforms Condorcet", section 2; k = 60.
    """
    gains = [np.broadcast_to(1 / (k + np.arange(1, run.depth + 1, dtype=np.float64)), run.docs.shape) for run in runs]
    return _fused(runs, row_of, gains)


def convex(runs: Sequence[Run], row_of: dict[str, int], *, weight: float) -> Rankings:
    """(1 − weight) × first + weight × second, each scaled to 0–1 per query over its own list; absent counts 0.

    Source: Bruch, Gai & Ingber 2023, "An analysis of fusion functions for hybrid retrieval", section 3 (min-max).
    """
    gains = []
    for run, share in zip(runs, (1 - weight, weight), strict=True):
        ranked = run.docs >= 0
        scores = np.where(ranked, run.scores, 0).astype(np.float64)
        low = np.where(ranked, run.scores, np.inf).min(axis=1, keepdims=True)
        high = np.where(ranked, run.scores, -np.inf).max(axis=1, keepdims=True)
        span = high - low
        # In a list of equal scores every document gets 1.
        scaled = np.where(span > 0, (scores - low) / np.where(span > 0, span, 1), 1.0)
        gains.append(share * np.where(ranked, scaled, 0.0))
    return _fused(runs, row_of, gains)
