"""What the judgements of a query set can bear: holes, ceilings, clusters, and the drop that its size can show."""

from __future__ import annotations

import contextlib
import math
import re
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from bench.base.errors import MeasureError
from bench.records import EVALUATION_ROLES, Finding, QuerySet, Suite
from bench.records.measures import Measure, parse
from bench.stats import MINIMUM_QUERIES, mde, mde80, queries_needed
from bench.suites.checks.near import Near
from bench.suites.checks.texts import normalized

POWER_CHURN = 0.10
"""Share of queries assumed to change by a whole unit, for the drop that a set can notice."""

MARGINS = {"held-out": 0.02, "out-of-distribution": 0.03}
"""The gate's default margins."""

DOMINANT = 0.2
"""Share of queries that one document may answer before a system that always returns it looks able."""

CHANCE = 0.5
"""Recall of a random ranking from which a measure says little."""


@dataclass(frozen=True)
class Size:
    """How much evidence a query set holds: its measured queries, and the needs (clusters) that they stand for.

    `effective` is how many independent queries they are worth where the queries of a need move together, n² / Σ m² for
    needs of m queries; where each moves on its own they are worth all n. What holds is between the two, and is known
    only from differences.

    Source: Kish 1965, Survey Sampling, 8.2: the design effect 1 + (m − 1) ρ, at ρ = 1 and with unequal m.
    """

    n: int
    needs: int
    effective: float

    @property
    def clustered(self) -> bool:
        """Whether some need has several queries."""
        return self.needs < self.n

    @property
    def noticed(self) -> float | None:
        """The drop of a mean that is noticed four times in five under `POWER_CHURN`; None with a single need."""
        # The gate's test has as many degrees of freedom as needs, less one.
        return mde(math.sqrt(POWER_CHURN / self.effective), self.needs - 1) if self.needs > 1 else None

    def needed(self, margin: float) -> int | None:
        """Needs of the present sizes with which a drop of the margin is noticed four times in five; None: no number."""
        return queries_needed(margin, math.sqrt(POWER_CHURN * self.needs / self.effective))


def size_of(suite: Suite, query_set: QuerySet) -> Size:
    """The size of a query set; queries without a positive judgement are not measured."""
    level, labels = suite.protocol.relevance_level, suite.labels[query_set.name]
    measured = [q for q in query_set.ids if any(g >= level for g in labels.qrels.get(q, {}).values())]
    # A query without a cluster is a need of its own, whatever clusters are called.
    sizes = np.asarray(
        list(Counter(("cluster", c) if (c := labels.clusters.get(q)) else ("query", q) for q in measured).values())
    )
    n = len(measured)
    return Size(n, len(sizes), n**2 / float((sizes**2).sum()) if n else 0.0)


def check_judgements(suite: Suite, query_set: QuerySet) -> Iterator[Finding]:
    """Queries without an answer, contradictions, and documents that answer too much."""
    labels, level, name = suite.labels[query_set.name], suite.protocol.relevance_level, query_set.name
    relevant = {q: {d for d, g in labels.qrels.get(q, {}).items() if g >= level} for q in query_set.ids}
    without = [q for q in query_set.ids if not relevant[q] and q not in labels.unanswerable]
    if without:
        message = f"{len(without)} queries have no document judged {level} or higher; they are left out of every mean."
        yield Finding("warning", "no-positives", name, message, len(without))
    lost = sorted(labels.pinned & {q for q in query_set.ids if not relevant[q]})
    if lost:
        message = f"{len(lost)} pinned queries have no relevant document (first: {lost[0]}); they can never be lost."
        yield Finding("warning", "pinned-without-positives", name, message, len(lost))
    answered = sorted(q for q in labels.unanswerable if relevant.get(q))
    if answered:
        message = (
            f"{len(answered)} queries are marked unanswerable and have a relevant document (first: {answered[0]}). "
            "Remove the mark or the judgement."
        )
        yield Finding("warning", "answerable-after-all", name, message, len(answered))
    first: dict[str, str] = {}
    torn = [
        query_id
        for query_id, text in zip(query_set.ids, query_set.texts, strict=True)
        if relevant[query_id] != relevant[first.setdefault(normalized(text), query_id)]
    ]
    if torn:
        message = (
            f"{len(torn)} queries repeat another's text with other relevant documents (first: {torn[0]}); no system "
            "can satisfy both. Merge their judgements."
        )
        yield Finding("warning", "contradicting-judgements", name, message, len(torn))
    if query_set.role in EVALUATION_ROLES:
        yield from _pools(suite, query_set, {q: docs for q, docs in relevant.items() if docs})


def _pools(suite: Suite, query_set: QuerySet, relevant: dict[str, set[str]]) -> Iterator[Finding]:
    labels, name, n = suite.labels[query_set.name], query_set.name, len(relevant)
    if not n:
        return
    judged_negative = sum(len(labels.qrels[q]) > len(docs) for q, docs in relevant.items()) / n
    per_query = float(np.median([len(labels.qrels[q]) for q in relevant]))
    message = (
        f"{per_query:g} judgements per query (median); {judged_negative:.0%} of queries have judged non-relevant "
        "documents. "
        + (
            "Label holes can be told from misses."
            if judged_negative >= 0.5
            else "What is unjudged counts as not relevant."
        )
    )
    yield Finding("info", "pool", name, message, round(judged_negative, 4))
    documents = Counter(doc_id for docs in relevant.values() for doc_id in docs)
    doc_id, most = min(documents.items(), key=lambda item: (-item[1], item[0]))
    if n >= MINIMUM_QUERIES and len(documents) > 1 and most >= DOMINANT * n and most > 2:
        message = f"Document {doc_id} answers {most} of {n} queries: a system that always returns it looks able."
        yield Finding("warning", "dominant-document", name, message, round(most / n, 4))


def check_slices(suite: Suite) -> Iterator[Finding]:
    """Slices by a field that no evaluation query has."""
    computed = {
        name
        for query_set in suite.of_role(*EVALUATION_ROLES)
        for names in suite.labels[query_set.name].computed_slices.values()
        for name in names
    }
    for kind in suite.slices:
        field = kind.removeprefix("field:")
        if kind != field and not any(name.startswith(f"{field}:") for name in computed):
            message = (
                f'slices asks for "{kind}", and no evaluation query has a "{field}": there is no such slice. Add the '
                "key to the lines of queries, or remove it from slices."
            )
            yield Finding("warning", "absent-field", suite.name, message, field)


def check_unjudged_copies(suite: Suite, query_set: QuerySet, near: Near) -> Iterator[Finding]:
    """Queries with one relevant document of which the corpus holds a near-duplicate that nobody judged."""
    corpus, level = suite.corpora[query_set.corpus], suite.protocol.relevance_level
    order = np.argsort(near.word_set, kind="stable")
    ends = np.cumsum(np.bincount(near.word_set + 1, minlength=near.n_sets + 1))
    found = []
    for query_id, grades in suite.qrels(query_set.name).items():
        relevant = [doc_id for doc_id, grade in grades.items() if grade >= level]
        if len(relevant) != 1 or (number := int(near.word_set[corpus.row_of[relevant[0]]])) < 0:
            continue
        alike = (
            row
            for same in (number, *near.neighbours.get(number, ()))
            for row in order[ends[same] : ends[same + 1]].tolist()
        )
        if any(corpus.ids[row] not in grades for row in alike):
            found.append(query_id)
    if found:
        message = (
            f"{len(found)} queries have one relevant document, and a near-duplicate of it is not judged (first: "
            f"{found[0]}); finding that one counts as a miss. Judge the copies alike, or drop them."
        )
        yield Finding("warning", "unjudged-copies", query_set.name, message, len(found))


def check_clusters(suite: Suite, query_set: QuerySet, near: Near | None) -> Iterator[Finding]:
    """Clusters that are declared, and those that should be.

    Args:
        suite: the suite.
        query_set: one of its sets.
        near: near-duplicates among its texts; None where nobody looked.
    """
    labels, level, name = suite.labels[query_set.name], suite.protocol.relevance_level, query_set.name
    clusters = [labels.clusters[q] for q in query_set.ids if q in labels.clusters]
    if len(set(clusters)) < len(clusters):
        groups = len(set(clusters)) + len(query_set.ids) - len(clusters)
        message = f"{len(query_set.ids)} queries stand for {groups} needs; intervals are widened for it."
        yield Finding("info", "clusters", name, message, groups)
    if clusters:
        return
    relevant = {q: frozenset(d for d, g in labels.qrels.get(q, {}).items() if g >= level) for q in query_set.ids}
    groups_of_ids = _groups((_prefix(query_id), row) for row, query_id in enumerate(query_set.ids))
    tied = 0
    for rows in groups_of_ids:
        answers = Counter(doc_id for row in rows for doc_id in relevant[query_set.ids[row]])
        sharing = sum(any(answers[d] > 1 for d in relevant[query_set.ids[row]]) for row in rows)
        sharing = max(sharing, near.alike(rows) if near is not None else 0)
        tied += sharing
    if len(groups_of_ids) > 1 and tied >= len(query_set.ids) / 2:
        message = (
            f"{tied} of {len(query_set.ids)} queries share their answer or their words with others of the same id "
            f'prefix (first: "{_prefix(query_set.ids[groups_of_ids[0][0]])}"): {len(groups_of_ids)} needs, '
            f'not {len(query_set.ids)}. Give them "cluster"; without it, intervals are too narrow.'
        )
        yield Finding("warning", "undeclared-clusters", name, message, len(groups_of_ids))
        return
    same = _groups((relevant[q], row) for row, q in enumerate(query_set.ids) if relevant[q])
    together = sum(len(rows) for rows in same if len(rows) > 1)
    if together >= len(query_set.ids) / 2:
        message = (
            f"{together} of {len(query_set.ids)} queries have exactly the relevant documents of another; {len(same)} "
            'different answers in all. Where they are paraphrases, give them "cluster".'
        )
        yield Finding("info", "shared-answers", name, message, len(same))


def check_power(suite: Suite, query_set: QuerySet) -> Iterator[Finding]:
    """The drop that a query set can show, and how high its measures can rise."""
    name, labels = query_set.name, suite.labels[query_set.name]
    size = size_of(suite, query_set)
    if not size.n:
        level = suite.protocol.relevance_level
        message = (
            f"None of {len(query_set.ids)} queries has a document judged {level} or higher: every mean would be one of "
            "nothing, and bench run refuses. Judge documents, or put the queries into a set that has answers."
        )
        yield Finding("error", "nothing-to-measure", name, message, 0)
        return
    if size.n < MINIMUM_QUERIES:
        message = (
            f"{size.n} queries can be measured; under five, every verdict is inconclusive. Pin them, or add queries."
        )
        yield Finding("warning", "too-few-queries", name, message, size.n)
        return
    yield from _noticed(size, query_set)
    measures = []
    for text in suite.protocol.measures:
        with contextlib.suppress(MeasureError):  # a finding of its own
            measures.append(parse(text))
    for measure in measures:
        highest = ceiling(suite, query_set, measure)
        if highest < 0.999:
            cutoff = measure.cutoff or suite.protocol.depth
            if 0 < suite.protocol.depth < cutoff:
                why = f"the suite's depth is {suite.protocol.depth}"
            elif measure.engine == "precision":
                why = f"some queries have fewer than {cutoff} relevant documents"
            else:
                why = f"some queries have more than {cutoff} relevant documents"
            yield Finding(
                "warning", "ceiling", name, f"{measure.name} cannot exceed {highest:.3f}: {why}.", round(highest, 4)
            )
    n_docs = len(suite.corpora[query_set.corpus].ids)
    for measure in measures:
        if measure.engine == "recall" and measure.cutoff >= CHANCE * n_docs:
            chance = min(1.0, measure.cutoff / n_docs)
            message = f"A random ranking reaches {measure.name} of {chance:.2f}: the corpus has {n_docs} documents."
            severity = "warning" if measure is measures[0] else "info"
            yield Finding(severity, "small-corpus", name, message, round(chance, 4))
    if labels.pinned:
        yield Finding(
            "info", "pinned", name, f"{len(labels.pinned)} queries are pinned: none may lose.", len(labels.pinned)
        )


def _noticed(size: Size, query_set: QuerySet) -> Iterator[Finding]:
    """The drop that the set's size shows, and what would show the gate's margin."""
    name, margin, drop = query_set.name, MARGINS[query_set.role], size.noticed
    if drop is None:
        message = (
            f"All {size.n} queries are of one cluster: one need, of which nothing can be inferred; every loss is "
            "inconclusive. Add queries of other needs."
        )
        yield Finding("warning", "too-few-queries", name, message, size.needs)
        return
    change = f"is noticed four times in five when {POWER_CHURN:.0%} of them change"
    message = f"{size.n} queries: a drop of about {drop:.3f} {change}."
    if size.clustered:
        message = (
            f"{size.n} queries of {size.needs} needs: a drop of about {drop:.3f} {change}, the queries of a need "
            f"together: they are worth {size.effective:.0f} queries (design effect {size.n / size.effective:.1f}). "
            f"Were all {size.n} independent, {mde80(math.sqrt(POWER_CHURN), size.n):.3f} would be."
        )
    yield Finding("info", "power", name, message, round(drop, 4))
    needed = size.needed(margin)
    if needed is None or needed <= size.needs:
        return
    more = needed - size.needs
    what = f"needs (clusters) with {size.n / size.needs:.1f} queries each" if size.clustered else "queries"
    message = f"{more} more {what} would make a drop of {margin} noticed four times in five under the same assumption "
    yield Finding("info", "queries-needed", name, f"{message}({needed} in all).", more)


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
            discounts = 1 / np.log2(np.arange(2, len(gains) + 2))
            worth = np.asarray(gains) * discounts
            values.append(float(worth[:seen].sum() / worth[:cutoff].sum()))
        else:
            values.append(1.0)
    return float(np.mean(values)) if values else 0.0


def _groups(keyed: Iterable[tuple[Hashable, int]]) -> list[list[int]]:
    """Rows by key, in the order of first appearance."""
    groups: dict[Hashable, list[int]] = {}
    for key, row in keyed:
        groups.setdefault(key, []).append(row)
    return list(groups.values())


def _prefix(query_id: str) -> str:
    """An id without its last part ("t3" for "t3-q0"); the id itself where it has but one."""
    found = re.fullmatch(r"(.+)[-_.:/#][^-_.:/#]+", query_id)
    return found[1] if found else query_id
