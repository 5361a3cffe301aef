"""What is searched, with what, and what people said about it: Corpus, QuerySet, Labels, EvalProtocol, Suite."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from itertools import pairwise

from bench.base.errors import SuiteError, did_you_mean
from bench.base.json_records import JsonRecord
from bench.records.digests import digest_of, digest_texts

ROLES = ("train", "dev", "held-out", "out-of-distribution")
EVALUATION_ROLES = ("held-out", "out-of-distribution")

# trec_eval sorts by score, then by document id descending, and pytrec_eval compares float32.
# Any other rule moves ndcg@10 on quantised runs, where ties are the normal case.
TIE_RULE = "score descending as float32, then document id descending"

Qrels = Mapping[str, Mapping[str, int]]
"""Judgements: query id → document id → grade. Grades at or above the relevance level are relevant."""


def document_text(title: str, text: str) -> str:
    """What every system sees of a document: title, one space, text (BEIR's and mteb's rule)."""
    return f"{title} {text}".strip()


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
class EvalProtocol(JsonRecord, keys="measures depth relevance_level drop_self tie_rule digest"):
    """How rankings are turned into numbers: measures (the first is primary), depth, relevance level."""

    measures: tuple[str, ...]
    depth: int = 100
    relevance_level: int = 1
    drop_self: bool = False

    @property
    def tie_rule(self) -> str:
        """In which order documents of equal scores are counted."""
        return TIE_RULE

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

    No part of the digest are `why`, which says of an out-of-distribution set, by name, why it is one; `derived`, which
    names for a set of altered queries the set they were made of; `slices`, the kinds of computed slices asked for; and
    `share_documents`: training may learn from documents that are judged in evaluation, because both are asked about one
    and the same collection. Evaluation's queries are kept from training whatever it says.
    """

    name: str
    version: int
    path: str
    protocol: EvalProtocol
    corpora: Mapping[str, Corpus] = field(repr=False)
    query_sets: Mapping[str, QuerySet] = field(repr=False)
    labels: Mapping[str, Labels] = field(repr=False)
    why: Mapping[str, str] = field(default_factory=dict, repr=False)
    share_documents: bool = False
    derived: Mapping[str, str] = field(default_factory=dict, repr=False)
    slices: tuple[str, ...] = ()

    def origin(self, query_set: str) -> str:
        """The set that a query set was made of, by whatever steps; itself where it was made of none."""
        while query_set in self.derived:
            query_set = self.derived[query_set]
        return query_set

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
