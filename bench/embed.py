"""Texts × encoder → cached float32 rows. The only door to an encoder.

The cache is keyed by the encoder's fingerprint (its weights, not its name) and by the final text, so that a
changed document costs one encoding, and a changed weight costs all of them.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bench.errors import SystemFailed
from bench.records import Encoder, Progress, digest_of, no_progress
from bench.store import RowCache, Store

__all__ = ["Embedded", "embed", "score_pairs"]

CHUNK = 1024
"""Texts encoded between two writes: what a kill can cost."""


class PairScorer(Protocol):
    """Scores (query, document) pairs."""

    def fingerprint(self) -> Any:
        """Everything that changes a score."""

    def score(self, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float32]:
        """float32[n_pairs]."""


@dataclass(frozen=True)
class Embedded:
    """Rows in the order asked for; `n_new` of them had to be made, in `seconds`."""

    rows: NDArray[np.float32]
    n_new: int
    seconds: float


def embed(
    encoder: Encoder, texts: Sequence[str], *, kind: str, store: Store, progress: Progress = no_progress
) -> Embedded:
    """Full-dimension float32 rows as the encoder gives them, not normalised.

    Args:
        encoder: who turns final texts into vectors.
        texts: raw texts, without prompt.
        kind: "query" or "document"; decides the prompt.
        store: where rows are kept.
        progress: told after every chunk.

    Raises:
        SystemFailed: the encoder returned NaN, or rows of another size.
    """
    final = encoder.prompted(texts, kind)
    cache = RowCache(store.path("embeddings", digest_of(encoder.fingerprint())))
    keys = [RowCache.key(text) for text in final]

    def make(positions: Sequence[int]) -> NDArray[np.float32]:
        rows = encoder.encode([final[i] for i in positions])
        if rows.shape != (len(positions), encoder.dim):
            raise SystemFailed(
                f"The encoder returned an array {rows.shape} for {len(positions)} texts of dimension {encoder.dim}."
            )
        return rows

    return _filled(
        cache,
        keys,
        [len(text) for text in final],
        make,
        {"query": "encode queries", "document": "encode documents"}[kind],
        store,
        progress,
    )


def score_pairs(
    scorer: PairScorer, pairs: Sequence[tuple[str, str]], *, store: Store, progress: Progress = no_progress
) -> Embedded:
    """Reranker scores of (query, document) pairs: `rows` is float32[n_pairs, 1]."""
    cache = RowCache(store.path("pairs", digest_of(scorer.fingerprint())))
    keys = [RowCache.key(query, document) for query, document in pairs]
    lengths = [len(query) + len(document) for query, document in pairs]

    def make(positions: Sequence[int]) -> NDArray[np.float32]:
        return scorer.score([pairs[i] for i in positions]).reshape(-1, 1)

    return _filled(cache, keys, lengths, make, "rerank pairs", store, progress)


def _filled(
    cache: RowCache,
    keys: list[bytes],
    lengths: list[int],
    make: Any,
    stage: str,
    store: Store,
    progress: Progress,
) -> Embedded:
    missing = cache.missing(keys)
    started = time.perf_counter()
    if missing:
        store.prepare()
        # Like lengths together, longest first: little padding, and memory runs out at once or never.
        missing.sort(key=lambda i: (-lengths[i], i))
        progress(stage, 0, len(missing))
        for start in range(0, len(missing), CHUNK):
            positions = missing[start : start + CHUNK]
            rows = np.asarray(make(positions), dtype=np.float32)
            if not np.isfinite(rows).all():
                raise SystemFailed(f"The model returned NaN or infinite numbers ({stage}); is it damaged?")
            cache.put([keys[i] for i in positions], rows)
            progress(stage, start + len(positions), len(missing))
    seconds = time.perf_counter() - started if missing else 0.0
    return Embedded(cache.get(keys), len(missing), seconds)
