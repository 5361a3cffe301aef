"""Texts × encoder → cached float32 rows. The only door to an encoder.

The cache is keyed by the encoder's fingerprint (its weights, not its name) and by the final text, so that a
changed document costs one encoding, and a changed weight costs all of them.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.base.errors import SystemFailed
from bench.base.progress import Progress, no_progress
from bench.base.store import RowCache, Store
from bench.records import Encoder, PairScorer, digest_of

CHUNK = 1024
"""Texts encoded between two writes: what a kill can cost."""

LEAST_COSINE = 0.999
"""Of a server's vectors of one text, then and now: servers round, and batch by load."""

SCORE_DRIFT = 0.01
"""Likewise of a reranker's score of one pair, of its size where that is above 1."""

ENOUGH = 20
"""Different texts or pairs from which on equal output is no accident."""


@dataclass(frozen=True)
class Embedded:
    """Rows in the order asked for; `n_new` of them had to be made, in `seconds`."""

    rows: NDArray[np.float32]
    n_new: int
    seconds: float


def embed(
    encoder: Encoder, texts: Sequence[str], *, kind: str, store: Store | None, progress: Progress = no_progress
) -> Embedded:
    """Full-dimension float32 rows as the encoder gives them, not normalised.

    Args:
        encoder: who turns final texts into vectors.
        texts: raw texts, without prompt.
        kind: "query" or "document"; decides the prompt.
        store: where rows are kept; None encodes every text anew and keeps nothing.
        progress: told after every chunk.

    Raises:
        SystemFailed: the encoder returned NaN, rows of another size, one vector for all texts, or zeros for most.
    """
    final = encoder.prompted(texts, kind)
    stage = {"query": "encode queries", "document": "encode documents"}[kind]

    def make(positions: Sequence[int]) -> NDArray[np.float32]:
        rows = _finite(encoder.encode([final[i] for i in positions]), stage)
        if rows.shape != (len(positions), encoder.dim):
            raise SystemFailed(
                f"The encoder returned an array {rows.shape} for {len(positions)} texts of dimension {encoder.dim}."
            )
        _refuse_constant(
            rows, [texts[i] for i in positions], f"encoder returned one and the same vector for all {kind}s"
        )
        return rows

    if store is None:
        return _made(make, len(final))
    cache = RowCache.open(store.path("embeddings", digest_of(encoder.fingerprint())))
    keys = [RowCache.key(text) for text in final]
    # Like lengths together, longest first: little padding, and memory runs out at once or never.
    order = [-len(text) for text in final]
    if (canary := getattr(encoder, "canary", None)) and cache.missing(keys):
        _refuse_changed(cache, RowCache.key(canary), _finite(encoder.encode([canary]), stage), store)
    found = _filled(cache, keys, order, make, stage, store, progress)
    _refuse_zeros(found.rows, texts, kind)
    return found


def _refuse_constant(rows: NDArray[np.float32], made_from: Sequence[Any], what: str) -> None:
    """Refuse equal rows for different input, before they are kept. Compares only until two rows differ."""
    tolerance = 1e-5 * np.abs(rows[0]).max()  # one text alone and in a batch differ in the last digits
    if all(np.abs(row - rows[0]).max() <= tolerance for row in rows) and len(set(made_from)) >= ENOUGH:
        raise SystemFailed(
            f"The {what} ({len(set(made_from))} different ones); expected output that tells them apart. "
            "Is the model damaged, or does an endpoint answer without it?"
        )


def _refuse_zeros(rows: NDArray[np.float32], texts: Sequence[str], kind: str) -> None:
    """Refuse vectors without content for most texts that have some. Looks at the first column, seldom at more."""
    suspects = np.flatnonzero(rows[:, 0] == 0)
    zero = suspects[~rows[suspects].any(axis=1)].tolist()
    if zero:
        worded = {text for text in texts if text.strip()}
        lost = {texts[i] for i in zero} & worded
        if len(worded) >= ENOUGH and 2 * len(lost) > len(worded):
            raise SystemFailed(
                f"The encoder returned nothing but zeros for {len(lost)} of {len(worded)} different {kind} texts "
                f'(one: "{min(lost)[:60]}"); such a vector finds nothing. Does the model know this language?'
            )


def score_pairs(
    scorer: PairScorer, pairs: Sequence[tuple[str, str]], *, store: Store | None, progress: Progress = no_progress
) -> Embedded:
    """Reranker scores of (query, document) pairs: `rows` is float32[n_pairs, 1]; `store` as in `embed`.

    Raises:
        SystemFailed: the reranker returned NaN, or one score for all pairs.
    """

    def make(positions: Sequence[int]) -> NDArray[np.float32]:
        wanted = [pairs[i] for i in positions]
        rows = _finite(scorer.score(wanted), "rerank pairs").reshape(-1, 1)
        _refuse_constant(rows, wanted, "reranker gave one and the same score to all pairs")
        return rows

    if store is None:
        return _made(make, len(pairs))
    cache = RowCache.open(store.path("pairs", digest_of(scorer.fingerprint())))
    keys = [RowCache.key(query, document) for query, document in pairs]
    if getattr(scorer, "by_query", False):
        place = {query: i for i, query in enumerate(dict.fromkeys(query for query, _ in pairs))}
        order = [place[query] for query, _ in pairs]
    else:
        # By the document alone: queries are short, and pairs of one document come together, to be encoded once.
        order = [-len(document) for _, document in pairs]
    if (canary := getattr(scorer, "canary", None)) and cache.missing(keys):
        now = _finite(scorer.score([canary]), "rerank pairs").reshape(-1, 1)
        _refuse_changed(cache, RowCache.key(*canary), now, store)
    return _filled(cache, keys, order, make, "rerank pairs", store, progress)


def _refuse_changed(cache: RowCache, key: bytes, now: NDArray[np.float32], store: Store) -> None:
    """Refuse a server that answers otherwise than when the kept rows were made: they would mix two models' numbers."""
    if cache.missing([key]):
        store.prepare()
        cache.put([key], now)
        return
    then = cache.get([key])
    if then.shape[1] == 1:
        same = abs(float(then[0, 0] - now[0, 0])) <= SCORE_DRIFT * max(1.0, abs(float(then[0, 0])))
        found = f"its score was {then[0, 0]:.4g} and is {now[0, 0]:.4g}"
    else:
        lengths = float(np.linalg.norm(then) * np.linalg.norm(now))
        cosine = float(then[0] @ now[0]) / lengths if then.shape == now.shape and lengths else 0.0
        same, found = cosine >= LEAST_COSINE, f"cosine of then and now {cosine:.4f}"
    if not same:
        raise SystemFailed(
            f"The server answers the same text otherwise than when the stored rows were made ({found}): there is "
            'another model under the name. Set or change revision = "…" in its table, to evaluate it as a new one.'
        )


def _finite(rows: Any, stage: str) -> NDArray[np.float32]:
    found = np.asarray(rows, dtype=np.float32)
    if not np.isfinite(found).all():
        raise SystemFailed(f"The model returned NaN or infinite numbers ({stage}); is it damaged?")
    return found


def _made(make: Any, n: int) -> Embedded:
    """All rows made at once, as a serving process makes them."""
    started = time.perf_counter()
    rows = make(range(n)) if n else np.empty((0, 1), dtype=np.float32)
    return Embedded(rows, n, time.perf_counter() - started)


def _filled(
    cache: RowCache,
    keys: list[bytes],
    order: list[int],
    make: Any,
    stage: str,
    store: Store,
    progress: Progress,
) -> Embedded:
    missing = cache.missing(keys)
    started = time.perf_counter()
    if missing:
        store.prepare()
        missing.sort(key=lambda i: (order[i], i))
        progress(stage, 0, len(missing))
        for start in range(0, len(missing), CHUNK):
            positions = missing[start : start + CHUNK]
            rows = make(positions)
            cache.put([keys[i] for i in positions], rows)
            progress(stage, start + len(positions), len(missing))
    seconds = time.perf_counter() - started if missing else 0.0
    return Embedded(cache.get(keys), len(missing), seconds)
