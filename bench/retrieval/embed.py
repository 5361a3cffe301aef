"""Texts × encoder → cached float32 rows. Everything else calls encoders and rerankers through this module.

The cache is keyed by the encoder's fingerprint (its weights, not its name) and by the final text, so that a
changed document costs one encoding, and a changed weight costs all of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.base.errors import SystemFailed
from bench.base.progress import Progress, no_progress
from bench.base.store import RowCache, Store
from bench.records import Encoder, PairScorer, digest_of

CHUNK = 1024
"""Texts encoded between two writes: the most that a kill can cost."""

LEAST_COSINE = 0.999
"""Least cosine of a server's vectors of one text at two times: servers round, and batch by load."""

SCORE_DRIFT = 0.01
"""Most change of a reranker's score of one pair between two times, relative to its size where that is above 1."""

ENOUGH = 20
"""Different texts or pairs from which on equal output is no accident."""

Rows = NDArray[np.float32]


@dataclass(frozen=True)
class Embedded:
    """Rows in the order of the input; `n_new` of them were not in the cache and took `seconds`."""

    rows: Rows
    n_new: int
    seconds: float


def embed(
    encoder: Encoder, texts: Sequence[str], *, kind: str, store: Store | None, progress: Progress = no_progress
) -> Embedded:
    """Full-dimension float32 rows as the encoder returns them, not normalised.

    Args:
        encoder: turns final texts into vectors.
        texts: raw texts, without prompt.
        kind: "query" or "document"; decides the prompt.
        store: keeps the rows; None encodes every text anew and keeps nothing.
        progress: called after every chunk.

    Raises:
        SystemFailed: the encoder returned NaN, rows of another size, one vector for all texts, or zeros for most.
    """
    final = encoder.prompted(texts, kind)
    stage = {"query": "encode queries", "document": "encode documents"}[kind]

    def encode(batch: Sequence[str]) -> Rows:
        rows = _finite(encoder.encode(batch), stage)
        if rows.shape != (len(batch), encoder.dim):
            raise SystemFailed(
                f"The encoder returned an array {rows.shape} for {len(batch)} texts of dimension {encoder.dim}."
            )
        _refuse_constant(rows, batch, f"encoder returned one and the same vector for all {kind}s")
        return rows

    # Texts of similar length together, the longest first: little padding, and memory runs out at once or never.
    order = [-len(text) for text in final]
    embedded = _rows(encoder, encode, final, RowCache.key, order, "embeddings", stage, store, progress)
    if store is not None:
        _refuse_zeros(embedded.rows, texts, kind)
    return embedded


def score_pairs(
    scorer: PairScorer, pairs: Sequence[tuple[str, str]], *, store: Store | None, progress: Progress = no_progress
) -> Embedded:
    """Reranker scores of (query, document) pairs: `rows` is float32[n_pairs, 1]; `store` as in `embed`.

    Raises:
        SystemFailed: the reranker returned NaN, or one score for all pairs.
    """
    if getattr(scorer, "by_query", False):
        place = {query: i for i, query in enumerate(dict.fromkeys(query for query, _ in pairs))}
        order = [place[query] for query, _ in pairs]
    else:
        # By the document alone: queries are short, and pairs of one document come together, to be encoded once.
        order = [-len(document) for _, document in pairs]

    def score(batch: Sequence[tuple[str, str]]) -> Rows:
        rows = _finite(scorer.score(batch), "rerank pairs").reshape(-1, 1)
        _refuse_constant(rows, batch, "reranker gave one and the same score to all pairs")
        return rows

    return _rows(
        scorer, score, pairs, lambda pair: RowCache.key(*pair), order, "pairs", "rerank pairs", store, progress
    )


def _rows(
    model: Encoder | PairScorer,
    compute: Callable[[Sequence[Any]], Rows],
    inputs: Sequence[Any],
    key: Callable[[Any], bytes],
    order: Sequence[int],
    folder: str,
    stage: str,
    store: Store | None,
    progress: Progress,
) -> Embedded:
    """Rows of all inputs: the stored ones, and the others computed in chunks, in ascending `order`."""
    started = time.perf_counter()
    if store is None:
        rows = compute(inputs) if inputs else np.empty((0, 1), dtype=np.float32)
        return Embedded(rows, len(inputs), time.perf_counter() - started)
    cache = RowCache.open(store.path(folder, digest_of(model.fingerprint())))
    keys = [key(one) for one in inputs]
    if (canary := getattr(model, "canary", None)) and cache.missing(keys):
        _refuse_changed(cache, key(canary), compute([canary]), store)
    missing = cache.missing(keys)
    if not missing:
        return Embedded(cache.get(keys), 0, 0.0)
    started = time.perf_counter()
    store.prepare()
    missing.sort(key=lambda i: (order[i], i))
    progress(stage, 0, len(missing))
    for start in range(0, len(missing), CHUNK):
        chunk = missing[start : start + CHUNK]
        cache.put([keys[i] for i in chunk], compute([inputs[i] for i in chunk]))
        progress(stage, start + len(chunk), len(missing))
    seconds = time.perf_counter() - started
    return Embedded(cache.get(keys), len(missing), seconds)


def _finite(rows: Any, stage: str) -> Rows:
    array: Rows = np.asarray(rows, dtype=np.float32)
    if not np.isfinite(array).all():
        raise SystemFailed(f"The model returned NaN or infinite numbers ({stage}); is it damaged?")
    return array


def _refuse_constant(rows: Rows, inputs: Sequence[Any], problem: str) -> None:
    """Refuse equal rows of different inputs, before they are kept. Compares only until two rows differ."""
    tolerance = 1e-5 * np.abs(rows[0]).max()  # one text alone and in a batch differ in the last digits
    if all(np.abs(row - rows[0]).max() <= tolerance for row in rows) and len(set(inputs)) >= ENOUGH:
        raise SystemFailed(
            f"The {problem} ({len(set(inputs))} different ones); expected output that differs between them. "
            "Is the model damaged, or does an endpoint answer without using the model?"
        )


def _refuse_zeros(rows: Rows, texts: Sequence[str], kind: str) -> None:
    """Refuse zero vectors for most of the texts that are not empty. Reads the first column, seldom more."""
    suspects = np.flatnonzero(rows[:, 0] == 0)
    zero = suspects[~rows[suspects].any(axis=1)].tolist()
    if zero:
        worded = {text for text in texts if text.strip()}
        lost = {texts[i] for i in zero} & worded
        if len(worded) >= ENOUGH and 2 * len(lost) > len(worded):
            raise SystemFailed(
                f"The encoder returned nothing but zeros for {len(lost)} of {len(worded)} different {kind} texts "
                f'(one: "{min(lost)[:60]}"); no search can use such a vector. Does the model know this language?'
            )


def _refuse_changed(cache: RowCache, key: bytes, now: Rows, store: Store) -> None:
    """Refuse a server whose answer differs from the one before the stored rows: they would mix two models' numbers."""
    if cache.missing([key]):
        store.prepare()
        cache.put([key], now)
        return
    then = cache.get([key])
    if then.shape[1] == 1:
        same = abs(float(then[0, 0] - now[0, 0])) <= SCORE_DRIFT * max(1.0, abs(float(then[0, 0])))
        change = f"its score was {then[0, 0]:.4g} and is {now[0, 0]:.4g}"
    else:
        lengths = float(np.linalg.norm(then) * np.linalg.norm(now))
        cosine = float(then[0] @ now[0]) / lengths if then.shape == now.shape and lengths else 0.0
        same, change = cosine >= LEAST_COSINE, f"cosine of then and now {cosine:.4f}"
    if not same:
        raise SystemFailed(
            f"The server's answer to the same text has changed since the stored rows were made ({change}): another "
            'model has the name now. Set or change revision = "…" in its table, to evaluate it as a new one.'
        )
