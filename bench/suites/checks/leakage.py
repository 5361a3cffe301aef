"""What evaluation shares with training, and answers that a query gives away."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from bench.records import EVALUATION_ROLES, Corpus, Finding, QuerySet, Suite
from bench.suites.checks.near import SIMILAR, Near
from bench.suites.checks.texts import normalized
from bench.suites.suite import titles

GIVEN_AWAY = 0.05
"""Share of queries from which a giveaway is a warning; below, it is what people sometimes ask like."""


SHORTEST = 3
"""Words from which a query can stand in a document word for word; one or two are found in any."""


def leaked_queries(suite: Suite) -> dict[str, list[str]]:
    """Training set → ids of its queries whose text is also an evaluation query's: what `train` must drop."""
    evaluated = {normalized(text) for query_set in suite.of_role(*EVALUATION_ROLES) for text in query_set.texts}
    return {
        query_set.name: [
            query_id
            for query_id, text in zip(query_set.ids, query_set.texts, strict=True)
            if normalized(text) in evaluated
        ]
        for query_set in suite.of_role("train", "dev")
    }


def check_leakage(suite: Suite) -> Iterator[Finding]:
    """Queries and judged documents that training and evaluation share as they stand, and sets that share queries."""
    for name, leaked in leaked_queries(suite).items():
        if leaked:
            message = (
                f"{len(leaked)} queries of {name} stand word for word in an evaluation set (first: {leaked[0]}). "
                "Remove them there or here; training drops them."
            )
            yield Finding("error", "query-leak", name, message, len(leaked))
    for query_set in suite.of_role(*EVALUATION_ROLES):
        seen = _trained(suite, query_set.corpus)
        answered = [q for q, docs in _positives(suite, query_set).items() if not seen.isdisjoint(docs)]
        if answered:
            message = (
                f"{len(answered)} of {len(query_set.ids)} queries of {query_set.name} are answered by a document that "
                "training queries point at too: gains here may be memory, not understanding."
            )
            yield Finding("warning", "shared-documents", query_set.name, message, len(answered))
    yield from _repeated_sets(suite)
    yield from _spread_clusters(suite)


def check_near_leakage(suite: Suite, queries: Near, documents: Mapping[str, Near]) -> Iterator[Finding]:
    """Queries and judged documents of evaluation that resemble, without being, those of training.

    Args:
        suite: the suite.
        queries: near-duplicates among all query texts, set after set in the suite's order.
        documents: near-duplicates within each corpus.
    """
    role = np.concatenate([np.full(len(q.ids), q.role, dtype=object) for q in suite.query_sets.values()])
    start = 0
    for query_set in suite.query_sets.values():
        here = slice(start, start := start + len(query_set.ids))
        if query_set.role not in EVALUATION_ROLES:
            continue
        for other in ("train", "dev"):
            # What is equal is an error of its own.
            equal = np.isin(queries.prints[here], queries.prints[role == other])
            resembling = int((queries.beside(role == other)[here] & ~equal).sum())
            if resembling:
                share = resembling / len(query_set.ids)
                message = (
                    f"{resembling} of {len(query_set.ids)} queries ({share:.1%}) are near-duplicates of a {other} "
                    f"query (Jaccard of content words ≥ {SIMILAR}): part of what is measured was shown. Split by group."
                )
                yield Finding("warning", "near-query-leak", query_set.name, message, round(share, 4))
        corpus = suite.corpora[query_set.corpus]
        seen = _trained(suite, query_set.corpus)
        beside = documents[query_set.corpus].beside(_rows(corpus, seen))
        positives = _positives(suite, query_set)
        copies = [
            q
            for q, docs in positives.items()
            if seen.isdisjoint(docs) and any(beside[corpus.row_of[doc_id]] for doc_id in docs)
        ]
        if copies:
            message = (
                f"{len(copies)} of {len(query_set.ids)} queries are answered by a near-duplicate of a document that "
                f"training queries point at (first: {copies[0]}): the same document under another id."
            )
            yield Finding("warning", "near-shared-documents", query_set.name, message, len(copies))


def check_giveaways(suite: Suite) -> Iterator[Finding]:
    """Evaluation queries that stand word for word in their relevant document, or hold its title."""
    for corpus in suite.corpora.values():
        mine = [query_set for query_set in suite.of_role(*EVALUATION_ROLES) if query_set.corpus == corpus.name]
        wanted = {d for query_set in mine for docs in _positives(suite, query_set).values() for d in docs}
        if wanted:
            title_words = {doc_id: _words(title) for doc_id, title in titles(suite, corpus.name, wanted).items()}
            for query_set in mine:
                yield from _given_away(suite, query_set, title_words)


def _given_away(suite: Suite, query_set: QuerySet, title_words: Mapping[str, str]) -> Iterator[Finding]:
    corpus, positives = suite.corpora[query_set.corpus], _positives(suite, query_set)
    plain: dict[str, str] = {}
    quoted, titled = [], []
    for query_id, text in zip(query_set.ids, query_set.texts, strict=True):
        query, words = normalized(text), _words(text)
        docs = positives.get(query_id, ())
        if len(words.split()) >= SHORTEST:
            for doc_id in docs:
                if doc_id not in plain:
                    plain[doc_id] = normalized(corpus.texts[corpus.row_of[doc_id]])
            if any(query in plain[doc_id] for doc_id in docs):
                quoted.append(query_id)
        if any(len(title) > 2 and title in words for title in (title_words.get(d, "") for d in docs)):
            titled.append(query_id)
    for code, found, what in (
        ("verbatim-queries", quoted, "stand word for word in a relevant document; matching words is enough for them"),
        ("title-leak", titled, "are or hold the title of a relevant document; matching titles is enough for them"),
    ):
        if found:
            share = len(found) / len(query_set.ids)
            message = f"{len(found)} of {len(query_set.ids)} queries ({share:.1%}) {what} (first: {found[0]})."
            severity = "warning" if share >= GIVEN_AWAY else "info"
            yield Finding(severity, code, query_set.name, message, round(share, 4))


def _words(text: str) -> str:
    """Words between blanks, one before the first and one after the last, so that `in` respects their ends."""
    return " ".join(["", *re.findall(r"\w+", normalized(text)), ""])


def _positives(suite: Suite, query_set: QuerySet) -> dict[str, list[str]]:
    level = suite.protocol.relevance_level
    return {
        query_id: [doc_id for doc_id, grade in grades.items() if grade >= level]
        for query_id, grades in suite.qrels(query_set.name).items()
    }


def _trained(suite: Suite, corpus: str) -> set[str]:
    """Ids of a corpus' documents that a training query points at."""
    trained = [query_set for query_set in suite.of_role("train") if query_set.corpus == corpus]
    return {doc_id for query_set in trained for docs in _positives(suite, query_set).values() for doc_id in docs}


def _rows(corpus: Corpus, doc_ids: set[str]) -> NDArray[np.bool_]:
    chosen = np.zeros(len(corpus.ids), dtype=bool)
    chosen[[corpus.row_of[doc_id] for doc_id in doc_ids]] = True
    return chosen


def _repeated_sets(suite: Suite) -> Iterator[Finding]:
    """Evaluation sets that ask what an earlier one asks already.

    A set that says what it was made of may leave a query as it was: the copy stands for its original, by its id.
    """
    asked: dict[str, dict[str, tuple[str, set[str]]]] = {}  # text → origin → the first set that asks it, ids
    for query_set in suite.of_role(*EVALUATION_ROLES):
        origin = suite.origin(query_set.name)
        again = []
        for query_id, text in zip(query_set.ids, query_set.texts, strict=True):
            before = asked.get(normalized(text), {})
            again += [name for root, (name, ids) in before.items() if root != origin or query_id not in ids][:1]
        if again:
            message = (
                f"{len(again)} queries stand in {again[0]} too: two query sets that share queries are no two proofs."
            )
            yield Finding("warning", "repeated-across-sets", query_set.name, message, len(again))
        for query_id, text in zip(query_set.ids, query_set.texts, strict=True):
            asked.setdefault(normalized(text), {}).setdefault(origin, (query_set.name, set()))[1].add(query_id)


def _spread_clusters(suite: Suite) -> Iterator[Finding]:
    """Clusters of which one part is trained on and another is judged by."""
    trained = {c for query_set in suite.of_role("train") for c in suite.labels[query_set.name].clusters.values()}
    for query_set in suite.of_role(*EVALUATION_ROLES):
        both = trained & set(suite.labels[query_set.name].clusters.values())
        if both:
            message = (
                f"{len(both)} clusters have queries here and in training (first: {min(both)}): paraphrases of what is "
                "measured were shown. Split by cluster."
            )
            yield Finding("warning", "cluster-leak", query_set.name, message, len(both))
