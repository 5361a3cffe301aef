"""What the judgements of a query set can show: holes, ceilings, clusters, and the drop that its size detects."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from bench.base import words
from bench.base.errors import MeasureError
from bench.records import EVALUATION_ROLES, Finding, QuerySet, Suite
from bench.records.measures import Measure, parse
from bench.stats import MINIMUM_QUERIES, mde, mde80, queries_needed
from bench.suites.checks.counted import counted
from bench.suites.checks.near import Near
from bench.suites.suite import relevant_documents
from bench.suites.text import normalized

POWER_CHURN = 0.10
"""Share of queries assumed to change by a whole unit, for the drop that a set can detect."""

MARGINS = {"held-out": 0.02, "out-of-distribution": 0.03}
"""The gate's default margins."""

DOMINANT = 0.2
"""Share of queries that one document may answer before a system that always returns it seems good."""

CHANCE = 0.5
"""Recall of a random ranking from which a measure says little."""


@dataclass(frozen=True)
class Size:
    """The evidence in a query set: its measured queries, and the needs (clusters) that they stand for.

    `effective` is the number of independent queries that they are worth where the queries of a need change together,
    n² / Σ m² for needs of m queries; where each changes on its own they are worth all n. The truth lies between the two
    and is known only from differences.

    Source: Kish 1965, Survey Sampling, 8.2: the design effect 1 + (m − 1) ρ, at ρ = 1 and with unequal m.
    """

    n: int
    needs: int
    effective: float

    @property
    def detectable(self) -> float | None:
        """The drop of a mean detected with a power of 80 % under `POWER_CHURN`; None with a single need."""
        # The gate's test has as many degrees of freedom as needs, less one.
        return mde(math.sqrt(POWER_CHURN / self.effective), self.needs - 1) if self.needs > 1 else None


def size_of(suite: Suite, query_set: QuerySet) -> Size:
    """The size of a query set; queries without a relevant document are not measured."""
    clusters = suite.labels[query_set.name].clusters
    measured = [query_id for query_id, docs in relevant_documents(suite, query_set).items() if docs]
    # A query without a cluster is a need of its own, even where a cluster bears its id.
    needs = Counter(("cluster", clusters[q]) if clusters.get(q) else ("query", q) for q in measured)
    n = len(measured)
    return Size(n, len(needs), n**2 / sum(m**2 for m in needs.values()) if n else 0.0)


def check_judgements(suite: Suite, query_set: QuerySet) -> Iterator[Finding]:
    """Queries without an answer, contradictions, and documents that answer too many queries."""
    labels, relevant, name = suite.labels[query_set.name], relevant_documents(suite, query_set), query_set.name
    no_answer = [query_id for query_id in query_set.ids if not relevant[query_id]]
    first: dict[str, str] = {}
    contradicting = [
        query_id
        for query_id, text in zip(query_set.ids, query_set.texts, strict=True)
        if set(relevant[query_id]) != set(relevant[first.setdefault(normalized(text), query_id)])
    ]
    what = f"Queries without a document judged {suite.protocol.relevance_level} or higher"
    advice = 'They are left out of every mean. Judge them, or mark them "answerable": false.'
    ids = [q for q in no_answer if q not in labels.unanswerable]
    yield from counted("warning", "no-positives", query_set, what, ids, advice)
    what, advice = "Pinned queries without a relevant document", "They can never be lost. Judge them, or unpin them."
    ids = [q for q in no_answer if q in labels.pinned]
    yield from counted("warning", "pinned-without-positives", query_set, what, ids, advice)
    what = "Queries marked unanswerable that have a relevant document"
    advice = "Mark and judgement contradict each other. Remove one of them."
    ids = [q for q in query_set.ids if q in labels.unanswerable and relevant[q]]
    yield from counted("warning", "answerable-after-all", query_set, what, ids, advice)
    what = "Queries that repeat another's text with other relevant documents"
    advice = "No system can satisfy both. Merge their judgements."
    yield from counted("warning", "contradicting-judgements", query_set, what, contradicting, advice)
    answered = {query_id: docs for query_id, docs in relevant.items() if docs}
    if query_set.role not in EVALUATION_ROLES or not answered:
        return
    n = len(answered)
    share = sum(len(labels.qrels[query_id]) > len(docs) for query_id, docs in answered.items()) / n
    median = np.median([len(labels.qrels[query_id]) for query_id in answered])
    message = f"Judgements per query (median): {median:g}. "
    message += f"Queries with documents judged not relevant: {words.percent(share)}. "
    if share >= 0.5:
        message += "Documents without a judgement can be distinguished from those that are not relevant."
    else:
        message += "An unjudged document counts as not relevant."
    yield Finding("info", "pool", name, message, round(share, 4))
    answers = Counter(doc_id for docs in answered.values() for doc_id in docs)
    doc_id, most = min(answers.items(), key=lambda item: (-item[1], item[0]))
    if n >= MINIMUM_QUERIES and len(answers) > 1 and most >= DOMINANT * n and most > 2:
        message = (
            f"Document {doc_id} answers {most} of {n} queries ({words.percent(most / n, 1)}). A system that always "
            "returns it seems good. Add queries about other documents."
        )
        yield Finding("warning", "dominant-document", name, message, round(most / n, 4))


def check_slices(suite: Suite) -> Iterator[Finding]:
    """Slices by a key that no evaluation query has."""
    labels = [suite.labels[query_set.name] for query_set in suite.of_role(*EVALUATION_ROLES)]
    computed = {name for each in labels for names in each.computed_slices.values() for name in names}
    for kind in suite.slices:
        field = kind.removeprefix("field:")
        if kind != field and not any(name.startswith(f"{field}:") for name in computed):
            message = f'No evaluation query has the key "{field}". Add it to their lines, or drop "{kind}" from slices.'
            yield Finding("warning", "absent-field", suite.name, message, field)


def check_unjudged_copies(suite: Suite, query_set: QuerySet, near: Near) -> Iterator[Finding]:
    """Queries with one relevant document that has a near-duplicate in the corpus without a judgement."""
    corpus = suite.corpora[query_set.corpus]
    order = np.argsort(near.word_set, kind="stable")
    ends = np.cumsum(np.bincount(near.word_set + 1, minlength=near.n_sets + 1))
    unjudged = []
    for query_id, docs in relevant_documents(suite, query_set).items():
        if len(docs) != 1 or (number := int(near.word_set[corpus.row_of[docs[0]]])) < 0:
            continue
        numbers = (number, *near.neighbours.get(number, ()))
        rows = (row for other in numbers for row in order[ends[other] : ends[other + 1]].tolist())
        if any(corpus.ids[row] not in suite.qrels(query_set.name)[query_id] for row in rows):
            unjudged.append(query_id)
    what = "Queries whose only relevant document has an unjudged near-duplicate"
    advice = "Retrieving the near-duplicate counts as a miss. Judge the copies alike, or drop them."
    yield from counted("warning", "unjudged-copies", query_set, what, unjudged, advice)


def check_clusters(suite: Suite, query_set: QuerySet, near: Near | None) -> Iterator[Finding]:
    """Clusters that are declared, and those that should be.

    Args:
        suite: the suite.
        query_set: one of its sets.
        near: near-duplicates among its texts; None where they were not looked for.
    """
    name, n, clusters = query_set.name, len(query_set.ids), suite.labels[query_set.name].clusters
    declared = [clusters[q] for q in query_set.ids if q in clusters]
    if declared:
        needs = len(set(declared)) + n - len(declared)
        if needs < n:
            message = f"{n} queries stand for {needs} needs (clusters). Intervals are widened accordingly."
            yield Finding("info", "clusters", name, message, needs)
        return
    relevant = relevant_documents(suite, query_set)
    answers = [frozenset(relevant[query_id]) for query_id in query_set.ids]
    # Ids without their last part: "t3" for "t3-q0".
    prefixes = [re.sub(r"(?<=.)[-_.:/#][^-_.:/#]+\Z", "", query_id) for query_id in query_set.ids]
    same_prefix = _groups(zip(prefixes, range(n), strict=True))
    tied = 0
    for rows in same_prefix:
        counts = Counter(doc_id for row in rows for doc_id in answers[row])
        n_sharing = sum(any(counts[doc_id] > 1 for doc_id in answers[row]) for row in rows)
        tied += max(n_sharing, near.n_similar(rows) if near else 0)
    if len(same_prefix) > 1 and tied >= n / 2:
        message = (
            f"Queries that share their id's prefix and answers or words with others: {tied} of {n} queries (first "
            f'prefix: "{prefixes[0]}"), {len(same_prefix)} needs in all. Without clusters, intervals are too narrow. '
            'Give these queries "cluster".'
        )
        yield Finding("warning", "undeclared-clusters", name, message, len(same_prefix))
        return
    same_answers = _groups((docs, row) for row, docs in enumerate(answers) if docs)
    n_sharing = sum(len(rows) for rows in same_answers if len(rows) > 1)
    if n_sharing >= n / 2:
        message = (
            f"Queries with exactly the relevant documents of another: {n_sharing} of {n} queries, "
            f"{len(same_answers)} different answers in all. If they are paraphrases, intervals are too narrow. Give "
            'paraphrases one "cluster".'
        )
        yield Finding("info", "shared-answers", name, message, len(same_answers))


def check_power(suite: Suite, query_set: QuerySet) -> Iterator[Finding]:
    """The drop that a query set can detect, and how high its measures can rise."""
    name, depth, n_pinned = query_set.name, suite.protocol.depth, len(suite.labels[query_set.name].pinned)
    size = size_of(suite, query_set)
    if size.n == 0:
        message = (
            f"None of {len(query_set.ids)} queries has a document judged {suite.protocol.relevance_level} or higher: "
            "there is no mean, and bench run refuses. Judge documents, or move the queries into a set with answers."
        )
        yield Finding("error", "nothing-to-measure", name, message, 0)
        return
    if size.n < MINIMUM_QUERIES:
        n_queries = words.count(size.n, "query")
        message = f"Only {n_queries} can be measured, so every verdict is inconclusive. Pin them, or add queries."
        yield Finding("warning", "too-few-queries", name, message, size.n)
        return
    yield from check_size(size, query_set)
    n_docs = len(suite.corpora[query_set.corpus].ids)
    for text in suite.protocol.measures:
        try:
            measure = parse(text)
        except MeasureError:
            continue  # a finding of its own
        highest = ceiling(suite, query_set, measure)
        if highest < 0.999:
            cutoff = measure.cutoff or depth
            fewer = "fewer" if measure.engine == "precision" else "more"
            why = f"some queries have {fewer} than {cutoff} relevant documents"
            why = f"the suite's depth is {depth}" if 0 < depth < cutoff else why
            message = f"{measure.name} cannot exceed {highest:.3f}: {why}. Choose another cutoff, or mind this ceiling."
            yield Finding("warning", "ceiling", name, message, round(highest, 4))
        if measure.engine == "recall" and measure.cutoff >= CHANCE * n_docs:
            chance = min(1.0, measure.cutoff / n_docs)
            corpus = words.count(n_docs, "document")
            message = f"Of {corpus}, a random ranking reaches {measure.name} of {chance:.2f}. Lower the cutoff."
            severity = "warning" if text == suite.protocol.measures[0] else "info"
            yield Finding(severity, "small-corpus", name, message, round(chance, 4))
    if n_pinned:
        message = f"Pinned queries, which must keep their relevant documents: {n_pinned}."
        yield Finding("info", "pinned", name, message, n_pinned)


def check_size(size: Size, query_set: QuerySet) -> Iterator[Finding]:
    """The drop that the set's size detects, and the queries that the gate's default margin needs."""
    name, margin, drop = query_set.name, MARGINS[query_set.role], size.detectable
    if drop is None:
        message = f"All {size.n} queries are one need (cluster), so every verdict is inconclusive. Add other needs."
        yield Finding("warning", "too-few-queries", name, message, size.needs)
        return
    clustered = size.needs < size.n
    of_needs = f" of {words.count(size.needs, 'need')}" if clustered else ""
    message = (
        f"{words.count(size.n, 'query')}{of_needs}: a drop of about {drop:.3f} is detected with a power of 80\u202f%, "
        f"if {words.percent(POWER_CHURN)} of the queries change by a whole unit"
    )
    if clustered:
        message += (
            f" and those of a need change together. They are then worth {size.effective:.0f} queries (design effect "
            f"{size.n / size.effective:.1f}). If all {size.n} are independent, the drop is "
            f"{mde80(math.sqrt(POWER_CHURN), size.n):.3f}"
        )
    yield Finding("info", "power", name, f"{message}.", round(drop, 4))
    needed = queries_needed(margin, math.sqrt(POWER_CHURN * size.needs / size.effective))
    if needed is not None and needed > size.needs:
        more = needed - size.needs
        noun = f"needs (clusters) with {size.n / size.needs:.1f} queries each" if clustered else "queries"
        message = (
            f"The gate's default margin, a drop of {margin}, is detected with {words.integer(more)} more {noun} "
            f"({words.integer(needed)} in all), under the same assumption. Add them, or widen the margin."
        )
        yield Finding("info", "queries-needed", name, message, more)


def ceiling(suite: Suite, query_set: QuerySet, measure: Measure) -> float:
    """The mean of a measure over the measured queries for the best ranking that the suite's depth allows."""
    level, depth = suite.protocol.relevance_level, suite.protocol.depth
    values = []
    for grades in suite.qrels(query_set.name).values():
        gains = sorted((g for g in grades.values() if g >= level), reverse=True)
        if not gains:
            continue
        cutoff = measure.cutoff or max(depth, len(gains))
        seen = min(cutoff, depth)
        if measure.engine in ("recall", "map", "r-precision"):
            values.append(min(seen, len(gains)) / len(gains))
        elif measure.engine == "precision":
            values.append(min(seen, len(gains)) / cutoff)
        elif measure.engine == "ndcg":
            discounted = np.asarray(gains) / np.log2(np.arange(2, len(gains) + 2))
            values.append(float(discounted[:seen].sum() / discounted[:cutoff].sum()))
        else:
            values.append(1.0)
    return float(np.mean(values)) if values else 0.0


def _groups(keyed: Iterable[tuple[Hashable, int]]) -> list[list[int]]:
    """Rows by key, in the order of first appearance."""
    groups: defaultdict[Hashable, list[int]] = defaultdict(list)
    for key, row in keyed:
        groups[key].append(row)
    return list(groups.values())
