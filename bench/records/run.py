"""Rankings of one system for one query set."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.base.errors import RunError, excerpt
from bench.records.digests import digest_texts
from bench.records.suite import Corpus


@dataclass(frozen=True)
class Run:
    """Rankings of one system for one query set.

    `docs` is int32[n_queries, depth] and points into `doc_ids` (ascending; −1 pads); `scores` is
    float32[n_queries, depth] (−inf pads). Rows follow `query_ids`. Built only by `Run.build`.
    """

    system: str
    system_digest: str
    query_set: str
    query_set_digest: str
    corpus_digest: str
    query_ids: tuple[str, ...] = field(repr=False)
    doc_ids: tuple[str, ...] = field(repr=False)
    docs: NDArray[np.int32] = field(repr=False)
    scores: NDArray[np.float32] = field(repr=False)
    seconds: Mapping[str, float] = field(default_factory=dict)
    index_bytes: int | None = None
    environment: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def build(
        cls,
        *,
        system: str,
        system_digest: str,
        query_set: str,
        query_set_digest: str,
        corpus_digest: str,
        query_ids: Sequence[str],
        doc_ids: Sequence[str],
        docs: NDArray[Any],
        scores: NDArray[Any],
        depth: int,
        seconds: Mapping[str, float] | None = None,
        index_bytes: int | None = None,
        environment: Mapping[str, Any] | None = None,
        drop_self: bool = False,
        empty: bool = False,
    ) -> Run:
        """Check, order by the tie rule, cut to `depth`, and keep only the documents that are ranked.

        Args:
            doc_ids: ids that `docs` points into, in any order.
            docs: int[n_queries, k]; −1 where a query has fewer documents.
            scores: float[n_queries, k]; ignored where `docs` is −1.
            drop_self: leave out a document whose id equals the query's id.
            empty: accept that no document is ranked at all, as for a single query.

        Raises:
            RunError: NaN or infinite scores, a document twice under one query, a row that points nowhere,
                or no document at all.
        """
        docs = np.asarray(docs, dtype=np.int64)
        with np.errstate(over="ignore"):  # what overflows is infinite, and refused below
            scores = np.asarray(scores, dtype=np.float32)
        if docs.shape != scores.shape or docs.ndim != 2 or len(docs) != len(query_ids):
            raise RunError(
                f'Run "{system}" on "{query_set}": docs {docs.shape} and scores {scores.shape} do not describe '
                f"{len(query_ids)} queries; expected two arrays [n_queries, k] of one shape."
            )
        ranked = docs >= 0
        if not ranked.any() and not empty:
            raise RunError(f'Run "{system}" on "{query_set}" ranks no document for any of {len(query_ids)} queries.')
        bad = ranked & ~np.isfinite(scores)
        if bad.any():
            row = int(np.flatnonzero(bad.any(axis=1))[0])
            raise RunError(
                f'Run "{system}" on "{query_set}": {int(bad.sum())} scores are NaN or infinite '
                f'(first: query "{query_ids[row]}"); expected finite numbers.'
            )
        beyond = docs[(docs >= len(doc_ids)) | (docs < -1)]
        if len(beyond):
            raise RunError(f'Run "{system}" on "{query_set}" points at document {beyond[0]} of {len(doc_ids)}.')

        used = np.unique(docs[ranked])
        # Compact ids, ascending: from here on a row number stands for the id in the tie rule.
        used = used[np.argsort(np.asarray([doc_ids[i] for i in used], dtype=object), kind="stable")]
        kept_ids = tuple(doc_ids[i] for i in used)
        rank = np.full(len(doc_ids) + 1, -1, dtype=np.int64)
        rank[used] = np.arange(len(used))
        docs = np.where(ranked, rank[np.where(ranked, docs, -1)], -1)

        ordered = np.sort(docs, axis=1)
        twice = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)
        if twice.any():
            row = int(np.flatnonzero(twice.any(axis=1))[0])
            column = int(np.flatnonzero(twice[row])[0])
            raise RunError(
                f'Run "{system}" on "{query_set}": document "{kept_ids[ordered[row, column]]}" stands twice under '
                f'query "{query_ids[row]}"; expected each document at most once.'
            )
        if drop_self:
            row_of = {doc_id: row for row, doc_id in enumerate(kept_ids)}
            own = np.asarray([row_of.get(query_id, -2) for query_id in query_ids])
            docs = np.where(docs == own[:, None], -1, docs)

        scores = np.where(docs >= 0, scores, np.float32(-np.inf))
        order = np.lexsort((-docs, -scores), axis=1)[:, :depth]
        docs = np.take_along_axis(docs, order, axis=1)
        scores = np.take_along_axis(scores, order, axis=1)
        return cls(
            system,
            system_digest,
            query_set,
            query_set_digest,
            corpus_digest,
            tuple(query_ids),
            kept_ids,
            frozen(docs, np.int32),
            frozen(scores, np.float32),
            dict(seconds or {}),
            index_bytes,
            dict(environment or {}),
        )

    @classmethod
    def of(cls, rankings: Mapping[str, Mapping[str, float]], *, name: str = "run") -> Run:
        """A run from query id → document id → score, as other libraries hold one.

        Raises:
            RunError: no query, or a score that is no finite number.
        """
        if not rankings:
            raise RunError(f'Run "{name}" holds no query.')
        for query_id, ranked in rankings.items():
            if not isinstance(ranked, Mapping) or not all(isinstance(score, Real) for score in ranked.values()):
                raise RunError(
                    f'Run "{name}", query "{query_id}": {excerpt(repr(ranked))}; expected document id → score, '
                    "a number."
                )
        doc_ids = list(dict.fromkeys(str(doc_id) for ranked in rankings.values() for doc_id in ranked))
        place = {doc_id: number for number, doc_id in enumerate(doc_ids)}
        width = max(1, *(len(ranked) for ranked in rankings.values()))
        docs, scores = np.full((len(rankings), width), -1), np.zeros((len(rankings), width))
        for row, ranked in enumerate(rankings.values()):
            docs[row, : len(ranked)] = [place[str(doc_id)] for doc_id in ranked]
            scores[row, : len(ranked)] = [float(score) for score in ranked.values()]
        query_ids = [str(query_id) for query_id in rankings]
        return cls.build(
            system=name,
            system_digest="",
            query_set=name,
            query_set_digest=digest_texts([query_ids]),
            corpus_digest="",
            query_ids=query_ids,
            doc_ids=doc_ids,
            docs=docs,
            scores=scores,
            depth=width,
        )

    @property
    def depth(self) -> int:
        """Columns of `docs`: the longest ranking that could be held."""
        return int(self.docs.shape[1])

    @cached_property
    def digest(self) -> str:
        """32 hex digits over the rankings and their scores."""
        state = hashlib.blake2b(digest_size=16)
        state.update(digest_texts([self.query_ids, self.doc_ids]).encode())
        state.update(self.docs.tobytes())
        state.update(self.scores.tobytes())
        return state.hexdigest()

    def ranking(self, row: int, depth: int | None = None) -> list[str]:
        """Document ids of one query, best first."""
        return [self.doc_ids[d] for d in self.docs[row, :depth] if d >= 0]

    def rows(self, corpus: Corpus) -> NDArray[np.int64]:
        """int64[n_queries, depth]: the rankings as rows of the corpus that has their documents; −1 pads."""
        places = np.asarray([*(corpus.row_of[doc_id] for doc_id in self.doc_ids), -1], dtype=np.int64)
        rows: NDArray[np.int64] = places[self.docs]
        return rows

    def of_rows(self, rows: Sequence[int]) -> Run:
        """The rankings of some of its queries, by their rows."""
        chosen = list(rows)
        ids = tuple(self.query_ids[row] for row in chosen)
        return replace(
            self,
            query_ids=ids,
            docs=frozen(self.docs[chosen], np.int32),
            scores=frozen(self.scores[chosen], np.float32),
        )

    def renamed(self, system: str) -> Run:
        """The same rankings under another system's name."""
        return replace(self, system=system)


def frozen(array: NDArray[Any], dtype: Any) -> NDArray[Any]:
    """The array, contiguous, of this dtype and never written again; a view is copied, its owner might write."""
    array = np.ascontiguousarray(array, dtype=dtype)
    if array.flags.writeable:
        array = array.copy() if array.base is not None else array
        array.flags.writeable = False
    return array
