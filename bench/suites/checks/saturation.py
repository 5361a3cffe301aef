"""What plain BM25 says of a query set: measures with no room left, answers it cannot see, judgements that it leaves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from bench.base.errors import MissingExtra
from bench.base.progress import Progress, no_progress
from bench.records import EVALUATION_ROLES, Corpus, Finding, QuerySet, Search, Suite
from bench.records.measures import parse
from bench.retrieval.systems.bm25 import BM25, Config
from bench.stats import MINIMUM_QUERIES
from bench.suites.checks.judgements import CHANCE, MARGINS, ceiling, size_of
from bench.suites.checks.texts import BLOCK_TEXTS

HEADROOM = 2 * MARGINS["out-of-distribution"]
"""Room under the ceiling below which a measure is saturated: halving the misses would gain less than a margin."""

LARGEST = 50_000
"""Documents up to which BM25 is run by a check."""

MOST_QUERIES = 2_000
"""Queries of a set that are looked at; an even spread of them where there are more."""

USUAL = ("recall@1", "recall@3", "recall@5", "ndcg@10", "mrr@10")
"""Measures to turn to where the suite's own are saturated."""

DEPTH = 10


def check_saturation(suite: Suite, progress: Progress = no_progress) -> Iterator[Finding]:
    """Findings from one BM25 search per evaluation set; says so where none could be made."""
    sets = suite.of_role(*EVALUATION_ROLES)
    for corpus in suite.corpora.values():
        mine = [s for query_set in sets if query_set.corpus == corpus.name and (s := _sample(suite, query_set))]
        if not mine:
            continue
        if len(corpus.ids) > LARGEST:
            message = f"Saturation was not looked for: {len(corpus.ids)} documents, and the check stops at {LARGEST}."
            yield Finding("info", "saturation-not-checked", corpus.name, message)
            continue
        told = progress if len(corpus.ids) >= BLOCK_TEXTS else no_progress
        told(f"BM25 {corpus.name}", 0, len(mine))
        system = BM25("bm25", Config(kind="bm25"))
        try:
            search = system.warm(corpus)
        except MissingExtra as error:
            yield Finding("info", "saturation-not-checked", corpus.name, f"Saturation was not looked for. {error}")
            continue
        for done, sample in enumerate(mine, 1):
            query_set = suite.query_sets[sample.name]
            yield from _judged(suite, query_set, sample, bm25_docs(suite, sample, search), corpus)
            told(f"BM25 {corpus.name}", done, len(mine))


def bm25_docs(suite: Suite, query_set: QuerySet, search: Search) -> NDArray[np.int64]:
    """int[n_queries, up to 10] rows of the corpus, best first, −1 pads; without the queries themselves if so ruled."""
    docs = search(query_set, depth=DEPTH + suite.protocol.drop_self, parts=[]).docs
    if suite.protocol.drop_self:
        corpus = suite.corpora[query_set.corpus]
        own = np.asarray([corpus.row_of.get(query_id, -1) for query_id in query_set.ids])
        docs = np.where(docs == own[:, None], -1, docs)
        # What is dropped goes to the end, and the rest keeps its order.
        docs = np.take_along_axis(docs, np.argsort(docs < 0, axis=1, kind="stable"), axis=1)
    return docs[:, :DEPTH]


def bm25_measures(suite: Suite, query_set: QuerySet, docs: NDArray[np.int64], corpus: Corpus) -> Mapping[str, float]:
    """`USUAL` measures and recall@10 of ten-deep rankings, without the compiled library that `measure` starts.

    Args:
        suite: for judgements and relevance level.
        query_set: queries in the rows of `docs`, each with a relevant document.
        docs: int[n_queries, up to 10] rows of the corpus, −1 pads.
        corpus: what they point into.
    """
    level, qrels = suite.protocol.relevance_level, suite.qrels(query_set.name)
    discounts = 1 / np.log2(np.arange(2, DEPTH + 2))
    values: dict[str, list[float]] = {name: [] for name in (*USUAL, "recall@10")}
    for query_id, row in zip(query_set.ids, docs.tolist(), strict=True):
        grades = {doc_id: grade for doc_id, grade in qrels[query_id].items() if grade >= level}
        gains = np.zeros(DEPTH)
        for rank, doc in enumerate(row[:DEPTH]):
            gains[rank] = grades.get(corpus.ids[doc], 0) if doc >= 0 else 0
        hits = gains > 0
        for cutoff in (1, 3, 5, 10):
            values[f"recall@{cutoff}"].append(float(hits[:cutoff].sum() / len(grades)))
        values["mrr@10"].append(float(1 / (1 + hits.argmax())) if hits.any() else 0.0)
        ideal = np.asarray(sorted(grades.values(), reverse=True)[:DEPTH], dtype=float)
        values["ndcg@10"].append(float((gains * discounts).sum() / (ideal * discounts[: len(ideal)]).sum()))
    return {name: float(np.mean(found)) for name, found in values.items()}


def _sample(suite: Suite, query_set: QuerySet) -> QuerySet | None:
    """The queries that have a relevant document, evenly thinned; None where too few are left to say anything."""
    level, qrels = suite.protocol.relevance_level, suite.qrels(query_set.name)
    kept = [
        (query_id, text)
        for query_id, text in zip(query_set.ids, query_set.texts, strict=True)
        if any(grade >= level for grade in qrels.get(query_id, {}).values())
    ]
    if len(kept) < MINIMUM_QUERIES:
        return None
    if len(kept) > MOST_QUERIES:
        kept = [kept[i * len(kept) // MOST_QUERIES] for i in range(MOST_QUERIES)]
    return QuerySet.build(query_set.name, query_set.role, query_set.corpus, kept)


def _judged(
    suite: Suite, query_set: QuerySet, sample: QuerySet, docs: NDArray[np.int64], corpus: Corpus
) -> Iterator[Finding]:
    name, n_docs = query_set.name, len(corpus.ids)
    found = bm25_measures(suite, sample, docs, corpus)
    room = {measure: ceiling(suite, query_set, parse(measure)) - value for measure, value in found.items()}
    # A gain smaller than what the set notices cannot be shown either.
    least = max(HEADROOM, size_of(suite, query_set).noticed or 0.0)
    chance = DEPTH / n_docs
    if room["recall@10"] < least and chance < CHANCE:
        able = [m for m in USUAL if room[m] >= 2 * least]
        advice = (
            f"These can: {', '.join(f'{m} ({found[m]:.3f})' for m in able)}."
            if able
            else "No usual measure can: BM25 solves this set; harder queries are needed."
        )
        message = (
            f"BM25 alone reaches recall@10 of {found['recall@10']:.3f}; the room left, {room['recall@10']:.3f}, cannot "
            f"show progress. {advice}"
        )
        yield Finding("warning", "saturated", name, message, round(found["recall@10"], 4))
    if found["recall@10"] <= 2 * chance and n_docs >= 100 and len(sample.ids) >= 20:
        message = (
            f"BM25 finds as good as nothing (recall@10 {found['recall@10']:.3f}; at random {chance:.3f}): another "
            "language, or judgements that belong to other documents?"
        )
        yield Finding("warning", "no-shared-words", name, message, round(found["recall@10"], 4))
    yield from _holes(suite, sample, docs, corpus)


def _holes(suite: Suite, sample: QuerySet, docs: NDArray[np.int64], corpus: Corpus) -> Iterator[Finding]:
    """Judged share of BM25's first ten, where people judged documents that are not relevant."""
    level, qrels = suite.protocol.relevance_level, suite.qrels(sample.name)
    negative = sum(any(grade < level for grade in qrels[q].values()) for q in sample.ids)
    if 2 * negative < len(sample.ids):
        return
    judged = [
        corpus.ids[doc] in qrels[query_id]
        for query_id, row in zip(sample.ids, docs.tolist(), strict=True)
        for doc in row
        if doc >= 0
    ]
    share = float(np.mean(judged)) if judged else 0.0
    if share < 0.5:
        message = (
            f"Only {share:.0%} of BM25's first ten are judged, although non-relevant documents were judged: the pools "
            "are shallow, and a new system's finds count as misses."
        )
        yield Finding("info", "judgement-holes", sample.name, message, round(share, 4))
