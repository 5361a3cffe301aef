"""Training pairs from a suite's train sets: query, relevant document, and where they come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.checks import leaked_queries
from bench.errors import SuiteError
from bench.records import Suite, digest_of
from bench.suite import training_set

__all__ = ["Pair", "Pairs", "from_suite"]


@dataclass(frozen=True)
class Pair:
    """A query and a document that answers it; ids say where both stand."""

    query_set: str
    query_id: str
    query: str
    doc_id: str
    document: str
    grade: int


@dataclass(frozen=True)
class Pairs:
    """Training pairs, in the suite's order, and the queries dropped because an evaluation set holds their text."""

    pairs: tuple[Pair, ...] = field(repr=False)
    dropped: tuple[str, ...]
    query_sets: tuple[str, ...]

    @property
    def digest(self) -> str:
        """32 hex digits over every pair's texts."""
        return digest_of([[p.query, p.document, p.grade] for p in self.pairs])


def from_suite(suite: Suite, query_sets: Sequence[str] | None = None) -> Pairs:
    """Pairs from the named sets; from all of role train where None.

    Raises:
        HeldOutError: a named set is held out.
        SuiteError: there is no training set, or nothing is left of it.
    """
    names = list(query_sets) if query_sets is not None else [q.name for q in suite.of_role("train")]
    if not names:
        raise SuiteError(f'Suite "{suite.name}" has no query set of role train; there is nothing to learn from.')
    leaked = leaked_queries(suite)
    pairs, dropped = [], []
    for name in names:
        query_set, qrels = training_set(suite, name)
        corpus = suite.corpora[query_set.corpus]
        drop = set(leaked.get(name, ()))
        dropped += sorted(drop)
        for query_id, text in zip(query_set.ids, query_set.texts, strict=True):
            if query_id in drop or not text.strip():
                continue
            for doc_id, grade in sorted(qrels.get(query_id, {}).items(), key=lambda item: (-item[1], item[0])):
                document = corpus.texts[corpus.row_of[doc_id]]
                if grade >= suite.protocol.relevance_level and document:
                    pairs.append(Pair(name, query_id, text, doc_id, document, grade))
    if not pairs:
        raise SuiteError(f'Suite "{suite.name}": {", ".join(names)} hold no pair to train on.')
    return Pairs(tuple(pairs), tuple(dropped), tuple(names))
