"""The records, in the order in which they are made: Suite → Run → Scores → Comparison → Verdict.

Every record is frozen, carries the digests of what made it, and holds arrays that cannot be written.
A `Result` is a run's headers with its scores as one JSON document: what baselines and history keep.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from bench.errors import BaselineError, RunError, SuiteError, did_you_mean, excerpt

__all__ = [
    "EVALUATION_ROLES",
    "ROLES",
    "TIE_RULE",
    "Ceiling",
    "Cell",
    "Change",
    "Check",
    "Comparison",
    "Corpus",
    "Encoder",
    "EvalProtocol",
    "Finding",
    "Labels",
    "NoAnswer",
    "Policy",
    "Progress",
    "Qrels",
    "QuerySet",
    "Ranked",
    "Result",
    "Rule",
    "Run",
    "Scores",
    "Search",
    "Suite",
    "System",
    "Verdict",
    "digest_of",
    "digest_texts",
    "document_text",
    "no_progress",
]

ROLES = ("train", "dev", "held-out", "out-of-distribution")
EVALUATION_ROLES = ("held-out", "out-of-distribution")

# trec_eval sorts by score, then by document id descending, and pytrec_eval compares float32.
# Any other rule moves ndcg@10 on quantised runs, where ties are the normal case.
TIE_RULE = "score descending as float32, then document id descending"

RESULT_FORMAT = 1

Qrels = Mapping[str, Mapping[str, int]]
"""Judgements: query id → document id → grade. Grades at or above the relevance level are relevant."""

Progress = Callable[[str, int, int], None]
"""Told (stage, done, total) by work that takes longer than a second; a total of 0 is not known yet."""


def no_progress(stage: str, done: int, total: int) -> None:
    """The callback that says nothing."""


def digest_of(value: Any) -> str:
    """32 hex digits of the canonical JSON of `value`: equal values, equal digests, on any machine."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def digest_texts(rows: Iterable[Sequence[str]]) -> str:
    """32 hex digits of rows of strings, each length-prefixed so that no two splits look alike."""
    state = hashlib.blake2b(digest_size=16)
    for row in rows:
        parts = [len(row).to_bytes(8, "little")]
        for text in row:
            data = text.encode("utf-8", "surrogatepass")
            parts += (len(data).to_bytes(8, "little"), data)
        # One call a row: a call costs more than hashing a short text.
        state.update(b"".join(parts))
    return state.hexdigest()


def document_text(title: str, text: str) -> str:
    """What every system sees of a document: title, one space, text (BEIR's and mteb's rule)."""
    return f"{title} {text}".strip()


def _frozen(array: NDArray[Any], dtype: Any) -> NDArray[Any]:
    array = np.ascontiguousarray(array, dtype=dtype)
    if array.flags.writeable:
        array = array.copy() if array.base is not None else array
        array.flags.writeable = False
    return array


# --- what is searched, and with what ---------------------------------------------------------------


@dataclass(frozen=True)
class Corpus:
    """Documents in ascending id order, so that a row number breaks ties as the id would."""

    name: str
    ids: tuple[str, ...]
    texts: tuple[str, ...] = field(repr=False)
    digest: str

    @classmethod
    def build(cls, name: str, documents: Iterable[tuple[str, str]]) -> Corpus:
        """A corpus from (id, text) pairs in any order.

        Raises:
            SuiteError: an id stands twice, or there is no document.
        """
        given, texts = [], []
        for doc_id, text in documents:
            given.append(doc_id)
            texts.append(text)
        if not given:
            raise SuiteError(f'Corpus "{name}" is empty; expected at least one document.')
        # Row numbers are sorted, not pairs: a million pairs would be held as tuples beside their ids and texts.
        order = sorted(range(len(given)), key=given.__getitem__)
        ids = tuple(map(given.__getitem__, order))
        for previous, current in pairwise(ids):
            if previous == current:
                raise SuiteError(f'Corpus "{name}" has document id "{current}" twice; ids must be unique.')
        ordered = tuple(map(texts.__getitem__, order))
        return cls(name, ids, ordered, digest_texts(zip(ids, ordered, strict=True)))

    @cached_property
    def row_of(self) -> dict[str, int]:
        """Document id → row."""
        return {doc_id: row for row, doc_id in enumerate(self.ids)}


@dataclass(frozen=True)
class QuerySet:
    """Queries of one role against one corpus; no judgements. `digest` covers ids and texts."""

    name: str
    role: str
    corpus: str
    ids: tuple[str, ...]
    texts: tuple[str, ...] = field(repr=False)
    digest: str

    @classmethod
    def build(cls, name: str, role: str, corpus: str, queries: Iterable[tuple[str, str]]) -> QuerySet:
        """A query set from (id, text) pairs, kept in their order.

        Raises:
            SuiteError: an id stands twice, the role is unknown, or there is no query.
        """
        if role not in ROLES:
            raise SuiteError(
                f'Query set "{name}": role is "{role}"; expected one of {", ".join(ROLES)}.{did_you_mean(role, ROLES)}'
            )
        pairs = list(queries)
        seen: set[str] = set()
        for query_id, _ in pairs:
            if query_id in seen:
                raise SuiteError(f'Query set "{name}" has query id "{query_id}" twice; ids must be unique.')
            seen.add(query_id)
        if not pairs:
            raise SuiteError(f'Query set "{name}" is empty; expected at least one query.')
        return cls(name, role, corpus, tuple(i for i, _ in pairs), tuple(t for _, t in pairs), digest_texts(pairs))


@dataclass(frozen=True)
class Labels:
    """What people said about a query set: judgements, clusters of paraphrases, slices, pinned queries.

    No system sees any of it. `digest` covers all that people said, so that a changed judgement changes the digest.
    `slices` has each query's names; `computed_slices` those that follow from texts and judgements. These are no part
    of the digest: two results that differ in them alone hold the same numbers. What they change is what a gate rule
    for slices looks at, and there the candidate's count.
    """

    qrels: Qrels = field(repr=False)
    clusters: Mapping[str, str] = field(default_factory=dict, repr=False)
    slices: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    pinned: frozenset[str] = frozenset()
    unanswerable: frozenset[str] = frozenset()
    computed_slices: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)

    def slices_of(self, query_id: str) -> tuple[str, ...]:
        """Every slice that a query is in, people's first."""
        return tuple(dict.fromkeys((*self.slices.get(query_id, ()), *self.computed_slices.get(query_id, ()))))

    @cached_property
    def digest(self) -> str:
        """32 hex digits over grades, clusters, people's slices, pinned and unanswerable queries."""
        return digest_of(
            {
                "qrels": {q: dict(sorted(g.items())) for q, g in sorted(self.qrels.items())},
                "clusters": dict(sorted(self.clusters.items())),
                # A single name as it always was, so that baselines from before several were possible still compare.
                "slices": {
                    q: names[0] if len(names) == 1 else sorted(names) for q, names in sorted(self.slices.items())
                },
                "pinned": sorted(self.pinned),
                "unanswerable": sorted(self.unanswerable),
            }
        )


@dataclass(frozen=True)
class EvalProtocol:
    """How rankings are turned into numbers: measures (the first is primary), depth, relevance level."""

    measures: tuple[str, ...]
    depth: int = 100
    relevance_level: int = 1
    drop_self: bool = False

    @property
    def digest(self) -> str:
        """Covers the relevance level, `drop_self` and the tie rule: what must agree for two numbers to compare."""
        return digest_of(
            {
                "depth": self.depth,
                "relevance_level": self.relevance_level,
                "drop_self": self.drop_self,
                "ties": TIE_RULE,
            }
        )


@dataclass(frozen=True)
class Suite:
    """Corpora, query sets and what people said about them. `digest` covers every part that a number depends on.

    `why` says of an out-of-distribution set, by name, why it is one; words, so no part of the digest.
    """

    name: str
    version: int
    path: str
    protocol: EvalProtocol
    corpora: Mapping[str, Corpus] = field(repr=False)
    query_sets: Mapping[str, QuerySet] = field(repr=False)
    labels: Mapping[str, Labels] = field(repr=False)
    why: Mapping[str, str] = field(default_factory=dict, repr=False)

    def qrels(self, query_set: str) -> Qrels:
        """Graded judgements of one query set."""
        return self.labels[query_set].qrels

    def of_role(self, *roles: str) -> list[QuerySet]:
        """Query sets with one of the roles, in the suite's order."""
        return [query_set for query_set in self.query_sets.values() if query_set.role in roles]

    @cached_property
    def digest(self) -> str:
        """32 hex digits over name, version, protocol, and the digests of all corpora, queries and labels."""
        return digest_of(
            {
                "name": self.name,
                "version": self.version,
                "protocol": asdict(self.protocol),
                "corpora": {name: corpus.digest for name, corpus in self.corpora.items()},
                "query_sets": {
                    name: [q.role, q.corpus, q.digest, self.labels[name].digest] for name, q in self.query_sets.items()
                },
            }
        )


# --- Run -------------------------------------------------------------------------------------------


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
        held = docs >= 0
        if not held.any() and not empty:
            raise RunError(f'Run "{system}" on "{query_set}" ranks no document for any of {len(query_ids)} queries.')
        bad = held & ~np.isfinite(scores)
        if bad.any():
            row = int(np.flatnonzero(bad.any(axis=1))[0])
            raise RunError(
                f'Run "{system}" on "{query_set}": {int(bad.sum())} scores are NaN or infinite '
                f'(first: query "{query_ids[row]}"); expected finite numbers.'
            )
        beyond = docs[(docs >= len(doc_ids)) | (docs < -1)]
        if len(beyond):
            raise RunError(f'Run "{system}" on "{query_set}" points at document {beyond[0]} of {len(doc_ids)}.')

        used = np.unique(docs[held])
        # Compact ids, ascending: from here on a row number stands for the id in the tie rule.
        used = used[np.argsort(np.asarray([doc_ids[i] for i in used], dtype=object), kind="stable")]
        kept_ids = tuple(doc_ids[i] for i in used)
        rank = np.full(len(doc_ids) + 1, -1, dtype=np.int64)
        rank[used] = np.arange(len(used))
        docs = np.where(held, rank[np.where(held, docs, -1)], -1)

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
            _frozen(docs, np.int32),
            _frozen(scores, np.float32),
            dict(seconds or {}),
            index_bytes,
            dict(environment or {}),
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

    def renamed(self, system: str) -> Run:
        """The same rankings under another system's name."""
        return replace(self, system=system)


# --- Scores and Result -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Scores:
    """Per-query numbers: `values` is float64[n_queries, n_measures], rows as `query_ids`.

    `judged` is float64[n_queries]: the share of the first ten ranks that people judged. `left_out` counts
    queries without a positive judgement, which no recall is defined for. `lists` holds, per measure, a digest
    of what that measure can see of the rankings: equal digests mean identical input. `missing` names judged queries
    that the run lacks; they count 0.
    """

    measures: tuple[str, ...]
    query_ids: tuple[str, ...] = field(repr=False)
    values: NDArray[np.float64] = field(repr=False)
    judged: NDArray[np.float64] = field(repr=False)
    lists: Mapping[str, str] = field(repr=False)
    left_out: int = 0
    missing: tuple[str, ...] = ()
    tie_spread: Mapping[str, float] = field(default_factory=dict, repr=False)
    condensed: NDArray[np.float64] | None = field(default=None, repr=False)

    def column(self, measure: str) -> NDArray[np.float64]:
        """float64[n_queries] of one measure."""
        return self.values[:, self.measures.index(measure)]

    def means(self) -> dict[str, float]:
        """Measure → mean over queries."""
        return {measure: float(self.values[:, i].mean()) for i, measure in enumerate(self.measures)}


def _digest_of_numbers(document: Mapping[str, Any]) -> str:
    """32 hex digits over a result's document but for times and places: evaluated again, it has the same."""
    return digest_of({key: value for key, value in document.items() if key not in ("seconds", "environment")})


@dataclass(frozen=True)
class NoAnswer:
    """What a score threshold does where some queries have no answer.

    `threshold` is the score that the share `keeps` of answerable queries of the sets `chosen_on` reaches. Rates are
    shares: of unanswerable queries with a top score at or above it (`false_positive_rate`), of answerable ones likewise
    (`answered`). `value_at_threshold` is the measure's mean when a query below the threshold finds nothing.
    """

    chosen_on: tuple[str, ...]
    keeps: float
    threshold: float
    n_unanswerable: int
    false_positive_rate: float
    n_answerable: int
    answered: float
    measure: str
    value: float
    value_at_threshold: float


class _Each(NamedTuple):
    """A JSON object whose keys are free and whose values are of one shape."""

    shape: Any


class _Between(NamedTuple):
    """A JSON number within bounds."""

    low: float
    high: float


# A measure that is 1 by its formula may be a rounding above it.
_SHARE = _Between(0, 1 + 1e-9)
# No count or time comes near a million; a number beyond it is damage, and its square no longer a sum's business.
_AMOUNT = _Between(0, 1e6)
_SCORE = _Between(-3.4e38, 3.4e38)

# What a result's document holds: a type, a union of types, bounds, {key: shape}, a list's shape in brackets, or
# `_Each`. A whole number is 0 or more; a key that ends in "?" may be absent.
_RESULT: dict[str, Any] = {
    "system": {"name": str, "kind": str, "digest": str, "recipe": dict, "variant?": str},
    "suite": {"name": str, "version": int, "digest": str},
    "query_set": {
        "name": str,
        "role": str,
        "digest": str,
        "corpus_digest": str,
        "labels_digest": str,
        "judged_negative_share": _SHARE,
    },
    "protocol": {"measures": [str], "depth": int, "relevance_level": int, "drop_self": bool, "tie_rule?": str},
    "run_digest": str,
    "means?": _Each(_SCORE),
    "queries": {
        "ids": [str],
        "values": _Each([_SHARE]),
        "judged": [_SHARE],
        "top_ids": [[str]],
        "clusters": [str | None],
        "slices": [str | list | None],
        "pinned": [int],
    },
    "lists": _Each(str),
    "left_out": int,
    "missing": [str],
    "tie_spread": _Each(_AMOUNT),
    "seconds": _Each(_AMOUNT),
    "index_bytes": int | None,
    "environment": dict,
    "no_answer?": {
        "chosen_on": [str],
        "keeps": _SHARE,
        "threshold": _SCORE,
        "n_unanswerable": int,
        "false_positive_rate": _SHARE,
        "n_answerable": int,
        "answered": _SHARE,
        "measure": str,
        "value": _SHARE,
        "value_at_threshold": _SHARE,
    },
    "digest?": str,
}
_TYPES = {
    str: "a string",
    int: "a whole number",
    bool: "true or false",
    dict: "an object",
    str | None: "a string or null",
    int | None: "a whole number or null",
    str | list | None: "a string, a list of them or null",
}


def _misfits(value: Any, shape: Any, place: str) -> Iterator[str]:
    """What in a JSON value is not of a shape, in words: the place, what is there, what was expected."""
    wanted = ""
    if isinstance(shape, _Between):
        # True is an int to Python, and no comparison holds of NaN.
        if type(value) not in (int, float) or not shape.low <= value <= shape.high:
            wanted = f"a number from {shape.low:g} to {shape.high:g}"
    elif isinstance(shape, dict | _Each):
        if not isinstance(value, dict):
            wanted = "an object"
        elif isinstance(shape, _Each):
            for key, inner in value.items():
                yield from _misfits(inner, shape.shape, f"{place}.{excerpt(key, 40)}")
        else:
            for key, inner in shape.items():
                name = key.removesuffix("?")
                inside = f"{place}.{name}".removeprefix(".")
                if name in value:
                    yield from _misfits(value[name], inner, inside)
                elif name == key:
                    yield f"{inside} is missing"
    elif isinstance(shape, list):
        if not isinstance(value, list):
            wanted = "a list"
        else:
            for i, inner in enumerate(value):
                yield from _misfits(inner, shape[0], f"{place}[{i}]")
    elif not isinstance(value, shape) or (isinstance(value, bool) and shape is not bool):
        wanted = _TYPES[shape]
    elif isinstance(value, int) and value < 0:
        wanted = "0 or more"
    if wanted:
        yield f"{place} is {excerpt(repr(value), 40)}; expected {wanted}"


@dataclass(frozen=True)
class Result:
    """One system on one query set: who, what, how, and every query's numbers. A JSON document.

    `variant` is the dimension and precision that a gate rule asked for ("@128", "/int8", "@128/int8"); "" is the gated
    system as it is named. The document carries a digest of its content, so that an edit by hand is noticed.
    """

    system: str
    system_digest: str
    kind: str
    suite: str
    suite_version: int
    suite_digest: str
    query_set: str
    role: str
    query_set_digest: str
    corpus_digest: str
    labels_digest: str
    protocol: EvalProtocol
    run_digest: str
    scores: Scores = field(repr=False)
    top_ids: tuple[tuple[str, ...], ...] = field(repr=False)
    clusters: tuple[str | None, ...] = field(repr=False)
    slices: tuple[tuple[str, ...], ...] = field(repr=False)
    pinned: tuple[bool, ...] = field(repr=False)
    judged_negative_share: float = 0.0
    recipe: Mapping[str, Any] = field(default_factory=dict, repr=False)
    seconds: Mapping[str, float] = field(default_factory=dict)
    index_bytes: int | None = None
    environment: Mapping[str, Any] = field(default_factory=dict, repr=False)
    variant: str = ""
    no_answer: NoAnswer | None = None

    def to_json(self) -> dict[str, Any]:
        """The document that baselines and history keep; `from_json` reads it back without loss."""
        document = self._document()
        return document | {"digest": _digest_of_numbers(document)}

    def _document(self) -> dict[str, Any]:
        scores = self.scores
        return {
            "format": RESULT_FORMAT,
            "system": {
                "name": self.system,
                "kind": self.kind,
                "digest": self.system_digest,
                "variant": self.variant,
                "recipe": dict(self.recipe),
            },
            "suite": {"name": self.suite, "version": self.suite_version, "digest": self.suite_digest},
            "query_set": {
                "name": self.query_set,
                "role": self.role,
                "digest": self.query_set_digest,
                "corpus_digest": self.corpus_digest,
                "labels_digest": self.labels_digest,
                "judged_negative_share": self.judged_negative_share,
            },
            "protocol": asdict(self.protocol) | {"tie_rule": TIE_RULE, "digest": self.protocol.digest},
            "run_digest": self.run_digest,
            "means": scores.means(),
            "queries": {
                "ids": list(scores.query_ids),
                "values": {m: scores.values[:, i].tolist() for i, m in enumerate(scores.measures)},
                "judged": scores.judged.tolist(),
                "condensed": None if scores.condensed is None else scores.condensed.tolist(),
                "top_ids": [list(ids) for ids in self.top_ids],
                "clusters": list(self.clusters),
                # null, one name, or a list of several: files from before several were possible read as they did.
                "slices": [list(names) if len(names) > 1 else (names or (None,))[0] for names in self.slices],
                "pinned": [i for i, pinned in enumerate(self.pinned) if pinned],
            },
            "lists": dict(scores.lists),
            "left_out": scores.left_out,
            "missing": list(scores.missing),
            "tie_spread": dict(scores.tie_spread),
            "seconds": dict(self.seconds),
            "index_bytes": self.index_bytes,
            "environment": dict(self.environment),
        } | ({} if self.no_answer is None else {"no_answer": asdict(self.no_answer)})

    @classmethod
    def from_json(cls, document: Any, *, where: str = "result") -> Result:
        """A result from its document.

        Raises:
            BaselineError: another format number or tie rule, a document that is not a result, or one whose numbers
                were changed since it was written; the message names `where`.
        """
        if not isinstance(document, dict) or "format" not in document:
            raise BaselineError(f'{where} is not a result: expected a JSON object with "format": {RESULT_FORMAT}.')
        if document["format"] != RESULT_FORMAT:
            raise BaselineError(
                f"{where} has format {excerpt(repr(document['format']))}; this version reads format {RESULT_FORMAT}. "
                "Use the version that wrote it, or run and accept anew."
            )
        for misfit in _misfits(document, _RESULT, ""):
            raise BaselineError(f"{where} is not a whole result ({misfit}); run `bench run` anew.")
        try:
            found = cls._from_json(document)
            tie_rule, digest = document["protocol"].get("tie_rule", TIE_RULE), document.get("digest")
            # A file without a digest says at least what its values should average to.
            means, stated = found.scores.means(), document.get("means", found.scores.means())
            changed = means.keys() != stated.keys() or not all(abs(means[m] - stated[m]) <= 1e-9 for m in means)
            changed = changed or (digest is not None and digest != _digest_of_numbers(found._document()))
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise BaselineError(
                f"{where} is not a whole result ({type(error).__name__}: {excerpt(str(error), 120)}); run `bench run` "
                "anew."
            ) from error
        if tie_rule != TIE_RULE:
            raise BaselineError(
                f'{where} was measured under the tie rule "{excerpt(tie_rule)}"; expected "{TIE_RULE}". '
                "Run and accept anew."
            )
        if changed:
            raise BaselineError(
                f'{where} ("{excerpt(found.system)}" on "{excerpt(found.query_set)}") was changed after it was '
                "written: what it holds does not fit its own digest or means. Restore it from version control; numbers "
                "change only by bench run and bench baseline accept."
            )
        return found

    @classmethod
    def _from_json(cls, document: Mapping[str, Any]) -> Result:
        system, suite, query_set = document["system"], document["suite"], document["query_set"]
        queries, protocol = document["queries"], document["protocol"]
        measures = tuple(queries["values"])
        n_queries = len(queries["ids"])
        lists = [*queries["values"].values(), *(queries[k] for k in ("judged", "top_ids", "clusters", "slices"))]
        if {len(listed) for listed in lists} != {n_queries}:
            raise ValueError("per-query lists differ in length")
        values = np.asarray([queries["values"][m] for m in measures], dtype=np.float64).reshape(len(measures), -1).T
        judged = np.asarray(queries["judged"], dtype=np.float64)
        if len(set(queries["ids"])) != n_queries:
            raise ValueError("a query stands twice")
        if query_set["role"] not in ROLES:
            raise ValueError(f"role {query_set['role']}")
        if not protocol["measures"] or protocol["measures"][0] not in measures:
            raise ValueError("the first measure of the protocol has no values")
        pinned = set(queries["pinned"])
        condensed = queries.get("condensed")
        if condensed is not None:
            condensed = np.asarray(condensed, dtype=np.float64)
            if condensed.shape != values.shape or not np.isfinite(condensed).all():
                raise ValueError("condensed values differ in shape or are not numbers")
        return cls(
            system=system["name"],
            system_digest=system["digest"],
            kind=system["kind"],
            recipe=system["recipe"],
            suite=suite["name"],
            suite_version=suite["version"],
            suite_digest=suite["digest"],
            query_set=query_set["name"],
            role=query_set["role"],
            query_set_digest=query_set["digest"],
            corpus_digest=query_set["corpus_digest"],
            labels_digest=query_set["labels_digest"],
            judged_negative_share=query_set["judged_negative_share"],
            protocol=EvalProtocol(
                tuple(protocol["measures"]), protocol["depth"], protocol["relevance_level"], protocol["drop_self"]
            ),
            run_digest=document["run_digest"],
            scores=Scores(
                measures,
                tuple(queries["ids"]),
                _frozen(values, np.float64),
                _frozen(judged, np.float64),
                document["lists"],
                document["left_out"],
                tuple(document["missing"]),
                document["tie_spread"],
                None if condensed is None else _frozen(condensed, np.float64),
            ),
            top_ids=tuple(tuple(ids) for ids in queries["top_ids"]),
            clusters=tuple(queries["clusters"]),
            slices=tuple(_slice_names(names) for names in queries["slices"]),
            pinned=tuple(i in pinned for i in range(n_queries)),
            seconds=document["seconds"],
            index_bytes=document["index_bytes"],
            environment=document["environment"],
            variant=system.get("variant", ""),
            no_answer=_no_answer_of(document.get("no_answer")),
        )


def _no_answer_of(found: Any) -> NoAnswer | None:
    return None if found is None else NoAnswer(**{**found, "chosen_on": tuple(found["chosen_on"])})


def _slice_names(names: Any) -> tuple[str, ...]:
    found = () if names is None else (names,) if isinstance(names, str) else tuple(names)
    if not all(isinstance(name, str) for name in found):
        raise ValueError("slices that are no names")
    return found


# --- Comparison and Verdict ------------------------------------------------------------------------


@dataclass(frozen=True)
class Change:
    """One query whose value moved: candidate − baseline in the measure's own unit."""

    query_id: str
    baseline: float
    candidate: float


@dataclass(frozen=True)
class Cell:
    """Candidate against a reference on one query set, slice and measure; undefined numbers are None.

    `reference` is "baseline", what was accepted, or "merge-base", what the change started from. `variant` is the
    dimension and precision, "" for the system as it is named. `softened` marks a fail that holes in the judgements may
    explain: inconclusive, and never waved through. `floor` is the least observed drop that may fail.
    """

    query_set: str
    role: str
    slice: str | None
    measure: str
    n: int
    baseline: float
    candidate: float
    delta: float
    ci: tuple[float, float] | None
    lower: float | None
    p: float | None
    test: str
    margin: float
    mde80: float | None
    queries_for_margin: int | None
    wins: int
    ties: int
    losses: int
    n_clusters: int | None = None
    judged_drop: float = 0.0
    condensed_delta: float | None = None
    tie_spread: float = 0.0
    lost: tuple[Change, ...] = field(default=(), repr=False)
    gained: tuple[Change, ...] = field(default=(), repr=False)
    p_adjusted: float | None = None
    outcome: str | None = None
    reason: str = ""
    softened: bool = False
    variant: str = ""
    reference: str = "baseline"
    floor: float | None = None

    @property
    def place(self) -> str:
        """Where this is: query set, then what narrows it, in brackets."""
        narrowed = [self.variant] if self.variant else []
        narrowed += [f"slice {self.slice}"] if self.slice is not None else []
        return f"{self.query_set} ({', '.join(narrowed)})" if narrowed else self.query_set

    @property
    def name(self) -> str:
        """What no other cell of a verdict is called."""
        against = " against the merge base" if self.reference == "merge-base" else ""
        return f"{self.measure} on {self.place}{against}"

    def to_json(self) -> dict[str, Any]:
        """The cell as the contract of `compare --json` has it, with the lost and gained queries beside."""
        document = asdict(self)
        document["ci"] = list(self.ci) if self.ci else None
        return {key: _without_nan(value) for key, value in document.items()}


def _without_nan(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


@dataclass(frozen=True)
class Comparison:
    """A candidate against a reference on one query set, or a slice of it: a cell per measure, outcomes still open."""

    baseline: str
    candidate: str
    query_set: str
    alpha: float
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Check:
    """A gate rule that is no comparison with a reference: a least mean, a share kept, a ceiling.

    `kind` is "minimum", "keeps" or "ceiling"; a ceiling has no query set and no measure. `p` is one-sided ("the rule
    is broken"), None where nothing is tested. `interval` holds one-sided bounds, lower and upper, of `value`.
    """

    kind: str
    name: str
    value: float | None
    threshold: float
    p: float | None = None
    interval: tuple[float | None, float | None] = (None, None)
    n: int | None = None
    outcome: str | None = None
    reason: str = ""
    query_set: str | None = None
    measure: str | None = None
    variant: str = ""
    slice: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The check; null, never NaN, where undefined."""
        document = asdict(self)
        document["interval"] = [_without_nan(end) for end in self.interval]
        return {key: _without_nan(value) for key, value in document.items()}


@dataclass(frozen=True)
class Rule:
    """Which cells are gated, and what each must hold: exactly one of the four thresholds is a number.

    Attributes:
        role: of the query sets it is for.
        measures: names.
        margin: the drop tolerated against a reference, in the measure's unit.
        query_set: None means every set of the role.
        slice: None means the whole set, "*" each of its slices.
        dim: of the gated system's table; None means the one that is gated.
        precision: likewise.
        relative_margin: the drop tolerated, as a share of the reference's mean.
        minimum: the mean may not be shown to lie below this.
        keeps: the share of the gated system's own quality that the `dim` or `precision` of this rule must keep.
        floor: the least observed drop that may fail; half the margin where None.
    """

    role: str
    measures: tuple[str, ...]
    margin: float | None = None
    query_set: str | None = None
    slice: str | None = None
    dim: int | None = None
    precision: str | None = None
    relative_margin: float | None = None
    minimum: float | None = None
    keeps: float | None = None
    floor: float | None = None

    @property
    def kind(self) -> str:
        """Which threshold it has: "margin" for both margins, else its name."""
        return "minimum" if self.minimum is not None else "keeps" if self.keeps is not None else "margin"

    @property
    def variant(self) -> str:
        """The dimension and precision asked for, as a system's name would end."""
        return (f"@{self.dim}" if self.dim else "") + (f"/{self.precision}" if self.precision else "")


@dataclass(frozen=True)
class Ceiling:
    """What the candidate may cost: `at_most` times `of`, or an index of at most so many bytes.

    `what` is "index_bytes" or "latency_ms_p95". `of` names a system that was measured in the same run, or
    "baseline" for the accepted index; "" where `at_most` is bytes. A time is always relative: no number of
    milliseconds means the same on two machines.
    """

    what: str
    at_most: float
    of: str = ""

    @property
    def name(self) -> str:
        """What no other ceiling is called."""
        return f"{self.what} of {self.of}" if self.of else self.what


@dataclass(frozen=True)
class Policy:
    """What the gate demands."""

    rules: tuple[Rule, ...] = (
        Rule("held-out", ("recall@10", "ndcg@10"), 0.02),
        Rule("out-of-distribution", ("recall@10", "ndcg@10"), 0.03),
    )
    alpha: float = 0.05
    on_inconclusive: str = "warn"
    system: str | None = None
    ceilings: tuple[Ceiling, ...] = ()

    @property
    def digest(self) -> str:
        """32 hex digits over every rule and threshold."""
        return digest_of(asdict(self))

    @property
    def variants(self) -> tuple[tuple[str, int | None, str | None], ...]:
        """(label, dimension, precision) of every variant that a rule names, the gated system itself first."""
        found = {"": (None, None)} | {rule.variant: (rule.dim, rule.precision) for rule in self.rules}
        return tuple((label, *found[label]) for label in found)


@dataclass(frozen=True)
class Finding:
    """One plain sentence with its severity: `error`, `warning` or `info`."""

    severity: str
    code: str
    where: str
    message: str
    value: float | int | str | None = None

    def to_json(self) -> dict[str, Any]:
        """The finding as the contract of `check --json` has it."""
        return asdict(self)


@dataclass(frozen=True)
class Verdict:
    """What the gate says: an outcome, an exit code, the cells, and a sentence per finding."""

    outcome: str
    exit_code: int
    cells: tuple[Cell, ...]
    findings: tuple[Finding, ...]
    baseline: str
    candidate: str
    policy: Policy
    suite: str | None = None
    pinned_lost: tuple[tuple[str, Change], ...] = ()
    n_pinned: int = 0
    checks: tuple[Check, ...] = ()
    merge_base: str | None = None

    @property
    def worst(self) -> Cell | None:
        """The cell to look at first: by outcome, then by how much of its margin is used up."""
        order = {"fail": 0, "inconclusive": 1, "pass": 2, "improved": 3}
        ranked = sorted(self.cells, key=lambda cell: (order.get(cell.outcome or "", 4), cell.delta + cell.margin))
        return ranked[0] if ranked else None

    @property
    def mde80(self) -> float | None:
        """The drop that every held-out set's first gated measure would show four times in five; None if unknown."""
        first: dict[tuple[str, str], Cell] = {}
        for cell in self.cells:
            if cell.role == "held-out" and cell.slice is None and not cell.variant:
                first.setdefault((cell.query_set, cell.reference), cell)
        known = [cell.mde80 for cell in first.values() if cell.mde80 is not None]
        return max(known, default=None)

    def to_json(self) -> dict[str, Any]:
        """The document of `gate --json`."""
        return {
            "format": 1,
            "outcome": self.outcome,
            "exit_code": self.exit_code,
            "suite": self.suite,
            "baseline": self.baseline,
            "candidate": self.candidate,
            "merge_base": self.merge_base,
            "policy": asdict(self.policy) | {"digest": self.policy.digest},
            "cells": [cell.to_json() for cell in self.cells],
            "checks": [check.to_json() for check in self.checks],
            "pinned": {
                "n": self.n_pinned,
                "lost": [{"query_set": query_set, **asdict(change)} for query_set, change in self.pinned_lost],
            },
            "findings": [finding.to_json() for finding in self.findings],
        }


# --- protocols -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ranked:
    """What a system returns: `docs` int[n_queries, k] rows of the corpus (−1 pads), `scores` float[n_queries, k]."""

    docs: NDArray[Any]
    scores: NDArray[Any]
    seconds: Mapping[str, float] = field(default_factory=dict)
    index_bytes: int | None = None


Search = Callable[..., Ranked]
"""`search(queries, *, depth, parts)`: a system's `search` whose corpus is already indexed. See `System`."""


class Encoder(Protocol):
    """Texts in, vectors out. Everything that changes a vector is in `fingerprint`."""

    @property
    def dim(self) -> int:
        """Columns of a full-size vector."""

    def fingerprint(self) -> Mapping[str, Any]:
        """Weights digest, pooling, prompts, maximum length, library version; JSON values only."""

    def prompted(self, texts: Sequence[str], kind: str) -> list[str]:
        """The final texts, prompt included; `kind` is "query" or "document"."""

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """float32[n_texts, dim] of final texts."""


class System(Protocol):
    """A way to rank documents for queries. It sees texts and never judgements.

    `name` as in the config; `kind` the file's name; `parts` the systems whose runs it wants as input.

    A system whose `search` indexes the corpus, or remembers answers, also has `warm(corpus) -> Search`: a search over
    the finished index that remembers nothing, so that one query can be timed. Of the others, `search` itself is timed.
    """

    name: str
    kind: str
    parts: tuple[str, ...]

    def fingerprint(self) -> Mapping[str, Any]:
        """Everything of its own that changes a ranking (parts not included); JSON values only."""

    def search(self, corpus: Corpus, queries: QuerySet, *, depth: int, parts: Sequence[Run]) -> Ranked:
        """At least the `depth` best documents of each query, where the corpus has as many."""
