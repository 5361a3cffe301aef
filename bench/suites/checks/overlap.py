"""What query sets share with one another, and what evaluation queries share with the documents that answer them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import numpy as np

from bench.records import EVALUATION_ROLES, Finding, Suite
from bench.suites.checks.counted import counted
from bench.suites.checks.near import SIMILAR, Near
from bench.suites.suite import relevant_documents, titles
from bench.suites.text import normalized

GIVEN_AWAY = 0.05
"""Share of queries that give their answer away from which this is a warning; people sometimes ask like that."""

SHORTEST = 3
"""Words from which a query can be quoted from a document; one or two occur in any."""


def check_overlap(suite: Suite) -> Iterator[Finding]:
    """Equal queries, documents and clusters in training and evaluation, and equal queries in two evaluation sets."""
    evaluation = suite.of_role(*EVALUATION_ROLES)
    evaluated = {normalized(text) for query_set in evaluation for text in query_set.texts}
    what = "Queries that are also evaluation queries, word for word"
    advice = "Training drops them, since they show what is measured. Remove them from one of the sets."
    for query_set in suite.of_role("train", "dev"):
        rows = zip(query_set.ids, query_set.texts, strict=True)
        leaked = [query_id for query_id, text in rows if normalized(text) in evaluated]
        yield from counted("error", "query-leak", query_set, what, leaked, advice)
    what = "Queries answered by a document that answers training queries too"
    advice = "A gain may be memory. Split by document."
    for query_set in evaluation:
        trained = _trained_documents(suite, query_set.corpus)
        shared = [q for q, docs in relevant_documents(suite, query_set).items() if not trained.isdisjoint(docs)]
        yield from counted("warning", "shared-documents", query_set, what, shared, advice)
    yield from _repeated_queries(suite)
    clusters = {c for query_set in suite.of_role("train") for c in suite.labels[query_set.name].clusters.values()}
    for query_set in evaluation:
        if both := clusters & set(suite.labels[query_set.name].clusters.values()):
            message = (
                f"Clusters with queries here and in training: {len(both)} (first: {min(both)}). Training shows "
                "paraphrases of what is measured. Split by cluster."
            )
            yield Finding("warning", "cluster-leak", query_set.name, message, len(both))


def check_near_overlap(suite: Suite, queries: Near, documents: Mapping[str, Near]) -> Iterator[Finding]:
    """Evaluation queries and their documents that are near-duplicates, but not copies, of those of training.

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
            equal = np.isin(queries.hashes[here], queries.hashes[role == other])  # an error of its own
            rows = np.flatnonzero(queries.similar_to(role == other)[here] & ~equal)
            what = f"Near-duplicates of a {other} query (Jaccard similarity of content words ≥ {SIMILAR})"
            advice = "Models have seen part of what is measured. Split by group or cluster."
            ids = [query_set.ids[row] for row in rows]
            yield from counted("warning", "near-query-leak", query_set, what, ids, advice, as_share=True)
        corpus = suite.corpora[query_set.corpus]
        trained = _trained_documents(suite, corpus.name)
        similar = documents[corpus.name].similar_to(np.asarray([doc_id in trained for doc_id in corpus.ids]))
        copies = [
            query_id
            for query_id, docs in relevant_documents(suite, query_set).items()
            if trained.isdisjoint(docs) and any(similar[corpus.row_of[doc_id]] for doc_id in docs)
        ]
        what = "Queries answered by a near-duplicate of a document that answers training queries"
        advice = "It is one document under two ids, and a gain may be memory. Split by groups of documents."
        yield from counted("warning", "near-shared-documents", query_set, what, copies, advice)


def check_giveaways(suite: Suite) -> Iterator[Finding]:
    """Evaluation queries that are quoted from a relevant document, or contain its title."""
    for corpus in suite.corpora.values():
        plain: dict[str, str] = {}
        query_sets = [query_set for query_set in suite.of_role(*EVALUATION_ROLES) if query_set.corpus == corpus.name]
        answers = {query_set.name: relevant_documents(suite, query_set) for query_set in query_sets}
        wanted = {doc_id for relevant in answers.values() for docs in relevant.values() for doc_id in docs}
        title_of = {d: _spaced(title) for d, title in titles(suite, corpus.name, wanted).items()} if wanted else {}
        for query_set in query_sets:
            quoted, titled = [], []
            for query_id, text in zip(query_set.ids, query_set.texts, strict=True):
                query, spaced, docs = normalized(text), _spaced(text), answers[query_set.name][query_id]
                if len(spaced.split()) >= SHORTEST:
                    for doc_id in docs:
                        if doc_id not in plain:
                            plain[doc_id] = normalized(corpus.texts[corpus.row_of[doc_id]])
                    if any(query in plain[doc_id] for doc_id in docs):
                        quoted.append(query_id)
                if any(title.strip() and title in spaced for title in (title_of.get(d, "") for d in docs)):
                    titled.append(query_id)
            what = "Queries that occur word for word in a relevant document"
            advice = "Matching words answers them. Paraphrase them, or compare lexical systems only."
            yield from counted(GIVEN_AWAY, "verbatim-queries", query_set, what, quoted, advice, as_share=True)
            what = "Queries that contain the title of a relevant document"
            advice = "Matching titles answers them. Compare systems by recall@1 to @5 and ndcg, or leave titles out."
            yield from counted(GIVEN_AWAY, "title-leak", query_set, what, titled, advice, as_share=True)


def _spaced(text: str) -> str:
    """Words between spaces, with one before the first and one after the last, so that `in` matches whole words."""
    return " ".join(["", *re.findall(r"\w+", normalized(text)), ""])


def _trained_documents(suite: Suite, corpus: str) -> set[str]:
    """Ids of a corpus' documents that answer a training query."""
    answers = [relevant_documents(suite, each) for each in suite.of_role("train") if each.corpus == corpus]
    return {doc_id for relevant in answers for docs in relevant.values() for doc_id in docs}


def _repeated_queries(suite: Suite) -> Iterator[Finding]:
    """Evaluation queries that an earlier evaluation set has too.

    A set derived from another may leave a query as it was: under the original's id, the copy is no repetition.
    """
    # text → origin → the first set that asks it, and its ids there
    earlier: dict[str, dict[str, tuple[str, set[str]]]] = {}
    for query_set in suite.of_role(*EVALUATION_ROLES):
        origin = suite.origin(query_set.name)
        rows = [(query_id, normalized(text)) for query_id, text in zip(query_set.ids, query_set.texts, strict=True)]
        repeated = []
        for query_id, text in rows:
            others = [n for root, (n, ids) in earlier.get(text, {}).items() if root != origin or query_id not in ids]
            if others:
                repeated.append(f"{query_id}, also in {others[0]}")
        what = "Queries of an earlier evaluation set"
        advice = "Sets that share queries are not independent evidence. Keep each query in one set."
        yield from counted("warning", "repeated-across-sets", query_set, what, repeated, advice)
        for query_id, text in rows:
            earlier.setdefault(text, {}).setdefault(origin, (query_set.name, set()))[1].add(query_id)
