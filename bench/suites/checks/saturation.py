"""What BM25 alone shows about a query set: saturated measures, no words shared with the answers, missing judgements."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from bench.base import words
from bench.base.errors import MissingExtra
from bench.base.progress import Progress, no_progress
from bench.records import EVALUATION_ROLES, Corpus, Finding, QuerySet, Search, Suite
from bench.records.measures import parse
from bench.retrieval.systems.bm25 import BM25, Config
from bench.stats import MINIMUM_QUERIES
from bench.suites.checks.judgements import CHANCE, MARGINS, ceiling, size_of
from bench.suites.checks.texts import BLOCK_TEXTS
from bench.suites.suite import relevant_documents

HEADROOM = 2 * MARGINS["out-of-distribution"]
"""Room under the ceiling below which a measure is saturated: halving the misses would gain less than a margin."""

LARGEST = 50_000
"""Documents up to which BM25 is run by a check."""

MOST_QUERIES = 2_000
"""Most queries of a set that are searched for, taken evenly from all."""

USUAL = ("recall@1", "recall@3", "recall@5", "ndcg@10", "mrr@10")
"""Measures to turn to where the suite's own are saturated."""

DEPTH = 10


def check_saturation(suite: Suite, progress: Progress = no_progress) -> Iterator[Finding]:
    """Findings from one BM25 search per evaluation set, or one that says why none was possible."""
    for corpus in suite.corpora.values():
        query_sets = [query_set for query_set in suite.of_role(*EVALUATION_ROLES) if query_set.corpus == corpus.name]
        samples = [sample for query_set in query_sets if (sample := _sample(suite, query_set))]
        if not samples:
            continue
        n_docs = len(corpus.ids)
        try:
            problem = (
                f"The check runs BM25 on up to {words.count(LARGEST, 'document')}, and there are {n_docs} documents."
            )
            search = BM25("bm25", Config(kind="bm25")).warm(corpus) if n_docs <= LARGEST else None
        except MissingExtra as error:
            search, problem = None, str(error)
        if search is None:
            message = f"Saturation was not checked. {problem}"
            yield Finding("info", "saturation-not-checked", corpus.name, message)
            continue
        for n_done, sample in enumerate(samples):
            if n_docs >= BLOCK_TEXTS:
                progress(f"BM25 {corpus.name}", n_done, len(samples))
            yield from _check_rankings(suite, sample, bm25_docs(suite, sample, search), corpus)
        if n_docs >= BLOCK_TEXTS:
            progress(f"BM25 {corpus.name}", len(samples), len(samples))


def bm25_docs(suite: Suite, query_set: QuerySet, search: Search) -> NDArray[np.int64]:
    """int[n_queries, up to 10] rows of the corpus, best first, −1 pads; `drop_self` is applied."""
    docs = search(query_set, depth=DEPTH + suite.protocol.drop_self, parts=[]).docs
    if suite.protocol.drop_self:
        corpus = suite.corpora[query_set.corpus]
        own = np.asarray([corpus.row_of.get(query_id, -1) for query_id in query_set.ids])
        docs = np.where(docs == own[:, None], -1, docs)
        # Padding moves to the end, and the rest keeps its order.
        docs = np.take_along_axis(docs, np.argsort(docs < 0, axis=1, kind="stable"), axis=1)
    return docs[:, :DEPTH]


def bm25_measures(suite: Suite, query_set: QuerySet, docs: NDArray[np.int64], corpus: Corpus) -> Mapping[str, float]:
    """`USUAL` measures and recall@10 of ten-deep rankings, without the compiled library that `measure` starts.

    Args:
        suite: for judgements and relevance level.
        query_set: queries in the rows of `docs`, each with a relevant document.
        docs: int[n_queries, up to 10] rows of the corpus, −1 pads.
        corpus: the corpus of these rows.
    """
    level, qrels = suite.protocol.relevance_level, suite.qrels(query_set.name)
    discounts = 1 / np.log2(np.arange(2, DEPTH + 2))
    values: dict[str, list[float]] = {name: [] for name in (*USUAL, "recall@10")}
    for query_id, row in zip(query_set.ids, docs.tolist(), strict=True):
        grades = {doc_id: grade for doc_id, grade in qrels[query_id].items() if grade >= level}
        gains = np.zeros(DEPTH)
        gains[: len(row)] = [grades.get(corpus.ids[doc], 0) if doc >= 0 else 0 for doc in row]
        hits = gains > 0
        for cutoff in (1, 3, 5, 10):
            values[f"recall@{cutoff}"].append(float(hits[:cutoff].sum() / len(grades)))
        values["mrr@10"].append(float(1 / (1 + hits.argmax())) if hits.any() else 0.0)
        ideal = np.asarray(sorted(grades.values(), reverse=True)[:DEPTH], dtype=float)
        values["ndcg@10"].append(float((gains * discounts).sum() / (ideal * discounts[: len(ideal)]).sum()))
    return {name: float(np.mean(per_query)) for name, per_query in values.items()}


def _sample(suite: Suite, query_set: QuerySet) -> QuerySet | None:
    """At most `MOST_QUERIES` queries with a relevant document, taken evenly; None for fewer than the minimum."""
    relevant = relevant_documents(suite, query_set)
    rows = [row for row in zip(query_set.ids, query_set.texts, strict=True) if relevant[row[0]]]
    if len(rows) < MINIMUM_QUERIES:
        return None
    if len(rows) > MOST_QUERIES:
        rows = [rows[i * len(rows) // MOST_QUERIES] for i in range(MOST_QUERIES)]
    return QuerySet.build(query_set.name, query_set.role, query_set.corpus, rows)


def _check_rankings(suite: Suite, sample: QuerySet, docs: NDArray[np.int64], corpus: Corpus) -> Iterator[Finding]:
    name, n_docs, n_queries = sample.name, len(corpus.ids), len(sample.ids)
    query_set, qrels = suite.query_sets[name], suite.qrels(name)
    means = bm25_measures(suite, sample, docs, corpus)
    recall = means["recall@10"]
    room = {measure: ceiling(suite, query_set, parse(measure)) - value for measure, value in means.items()}
    # A gain smaller than the drop that the set detects cannot be shown either.
    least = max(HEADROOM, size_of(suite, query_set).detectable or 0.0)
    chance = DEPTH / n_docs
    if room["recall@10"] < least and chance < CHANCE:
        usable = ", ".join(f"{measure} ({means[measure]:.3f})" for measure in USUAL if room[measure] >= 2 * least)
        advice = (
            f"Use a measure with more room: {usable}."
            if usable
            else "No usual measure has room left; add harder queries."
        )
        message = (
            f"BM25 alone reaches recall@10 of {recall:.3f}. The room left, {room['recall@10']:.3f}, is too small to "
            f"show progress. {advice}"
        )
        yield Finding("warning", "saturated", name, message, round(recall, 4))
    if recall <= 2 * chance and n_docs >= 100 and n_queries >= 20:
        message = (
            f"BM25 does hardly better than chance: recall@10 is {recall:.3f}, and {chance:.3f} at random. See whether "
            "queries and documents are in one language, and whether the judgements belong to these documents."
        )
        yield Finding("warning", "no-shared-words", name, message, round(recall, 4))
    level = suite.protocol.relevance_level
    if 2 * sum(any(grade < level for grade in qrels[q].values()) for q in sample.ids) < n_queries:
        return
    rankings = zip(sample.ids, docs.tolist(), strict=True)
    judged = [corpus.ids[doc] in qrels[query_id] for query_id, row in rankings for doc in row if doc >= 0]
    share = float(np.mean(judged)) if judged else 0.0
    if share < 0.5:
        message = (
            f"Only {words.percent(share)} of BM25's first {DEPTH} are judged, although documents were judged not "
            "relevant too. Relevant documents that a new system ranks there may count as misses. Judge them before you "
            "trust a drop."
        )
        yield Finding("info", "judgement-holes", name, message, round(share, 4))
