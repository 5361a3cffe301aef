"""What makes a suite lie: integrity, leakage, ceilings, size against power. Findings, not opinions."""

from __future__ import annotations

import hashlib
import math
import re
import unicodedata
from collections.abc import Iterator

from bench.errors import MeasureError
from bench.measure import parse
from bench.records import EVALUATION_ROLES, Finding, Progress, QuerySet, Suite, no_progress

__all__ = ["check", "leaked_queries", "normalized"]

POWER_CHURN = 0.10
"""Share of queries assumed to change by a whole unit, for the drop that a set can notice."""

BLOCK_DOCUMENTS = 20_000
"""Documents between two words to a progress callback."""

Z_POWER = 2.486
"""z(.95) + z(.80): one-sided α = .05 at 80 % power (gate's MDE80)."""


def normalized(text: str) -> str:
    """Text as compared for equality: compatibility forms folded, case and white space levelled."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _key(text: str) -> bytes:
    """16 bytes that equal texts share."""
    return hashlib.blake2b(normalized(text).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def check(suite: Suite, *, progress: Progress = no_progress) -> list[Finding]:
    """Everything found, errors first; an error means that results on this suite should not be believed."""
    order = {"error": 0, "warning": 1, "info": 2}
    found = [
        *_measures(suite),
        *_roles(suite),
        *_documents(suite, progress),
        *_leakage(suite),
        *(finding for query_set in suite.query_sets.values() for finding in _query_set(suite, query_set)),
    ]
    return sorted(found, key=lambda finding: order[finding.severity])


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


def _measures(suite: Suite) -> Iterator[Finding]:
    for name in suite.protocol.measures:
        try:
            parse(name)
        except MeasureError as error:
            yield Finding("error", "unknown-measure", suite.name, str(error), name)


def _roles(suite: Suite) -> Iterator[Finding]:
    if not suite.of_role("held-out"):
        yield Finding(
            "error", "no-held-out", suite.name, "No query set has the role held-out; there is nothing to judge by."
        )
    if not suite.of_role("out-of-distribution"):
        yield Finding(
            "warning",
            "no-out-of-distribution",
            suite.name,
            "No query set has the role out-of-distribution; a model that gains at home and loses abroad goes unseen.",
        )
    if not suite.of_role("dev"):
        yield Finding(
            "info", "no-dev", suite.name, "No query set has the role dev; fusion weights cannot be tuned on this suite."
        )


def _documents(suite: Suite, progress: Progress) -> Iterator[Finding]:
    for name, corpus in suite.corpora.items():
        empty = [doc_id for doc_id, text in zip(corpus.ids, corpus.texts, strict=True) if not text.strip()]
        if empty:
            message = (
                f"{len(empty)} documents of {len(corpus.ids)} have no text (first: {empty[0]}); nothing finds them."
            )
            yield Finding("warning", "empty-documents", name, message, len(empty))
        first: dict[bytes, str] = {}
        copies = []
        for row, (doc_id, text) in enumerate(zip(corpus.ids, corpus.texts, strict=True)):
            # The digest of a text, not the text: a second copy of every text would double the memory.
            if text.strip() and (other := first.setdefault(_key(text), doc_id)) != doc_id:
                copies.append((doc_id, other))
            if row and row % BLOCK_DOCUMENTS == 0:
                progress(f"compare texts of {name}", row, len(corpus.ids))
        if len(corpus.ids) > BLOCK_DOCUMENTS:
            progress(f"compare texts of {name}", len(corpus.ids), len(corpus.ids))
        if copies:
            message = (
                f"{len(copies)} documents repeat another's text (first: {copies[0][0]} is {copies[0][1]}); "
                "they tie, and a judgement on one is missing on the other."
            )
            yield Finding("warning", "duplicate-documents", name, message, len(copies))


def _leakage(suite: Suite) -> Iterator[Finding]:
    for name, leaked in leaked_queries(suite).items():
        if leaked:
            message = (
                f"{len(leaked)} queries of {name} stand word for word in an evaluation set (first: {leaked[0]}). "
                "Remove them there or here; training drops them."
            )
            yield Finding("error", "query-leak", name, message, len(leaked))
    level = suite.protocol.relevance_level
    trained: dict[str, set[str]] = {}
    for query_set in suite.of_role("train"):
        for grades in suite.qrels(query_set.name).values():
            trained.setdefault(query_set.corpus, set()).update(d for d, g in grades.items() if g >= level)
    for query_set in suite.of_role(*EVALUATION_ROLES):
        seen = trained.get(query_set.corpus, set())
        answered = [
            query_id
            for query_id, grades in suite.qrels(query_set.name).items()
            if any(g >= level and d in seen for d, g in grades.items())
        ]
        if answered:
            message = (
                f"{len(answered)} of {len(query_set.ids)} queries of {query_set.name} are answered by a document that "
                "training queries point at too: gains here may be memory, not understanding."
            )
            yield Finding("warning", "shared-documents", query_set.name, message, len(answered))


def _query_set(suite: Suite, query_set: QuerySet) -> Iterator[Finding]:
    labels, level = suite.labels[query_set.name], suite.protocol.relevance_level
    name = query_set.name
    empty = [i for i, text in zip(query_set.ids, query_set.texts, strict=True) if not text.strip()]
    if empty:
        yield Finding(
            "error", "empty-queries", name, f"{len(empty)} queries have no text (first: {empty[0]}).", len(empty)
        )
    seen: dict[str, str] = {}
    repeated = []
    for query_id, text in zip(query_set.ids, query_set.texts, strict=True):
        if seen.setdefault(normalized(text), query_id) != query_id:
            repeated.append(query_id)
    if repeated:
        message = f"{len(repeated)} queries repeat another's text (first: {repeated[0]}); they count twice."
        yield Finding("warning", "duplicate-queries", name, message, len(repeated))
    relevant = [sum(g >= level for g in labels.qrels.get(q, {}).values()) for q in query_set.ids]
    without = sum(count == 0 for q, count in zip(query_set.ids, relevant, strict=True) if q not in labels.unanswerable)
    if without:
        message = f"{without} queries have no document judged {level} or higher; they are left out of every mean."
        yield Finding("warning", "no-positives", name, message, without)
    if query_set.role in EVALUATION_ROLES:
        yield from _power(suite, query_set, [count for count in relevant if count])


def _power(suite: Suite, query_set: QuerySet, relevant: list[int]) -> Iterator[Finding]:
    name, n = query_set.name, len(relevant)
    if n < 5:
        message = f"{n} queries can be measured; under five, every verdict is inconclusive. Pin them, or add queries."
        yield Finding("warning", "too-few-queries", name, message, n)
        return
    drop = Z_POWER * math.sqrt(POWER_CHURN / n)
    message = (
        f"{n} queries: a drop of about {drop:.3f} is noticed four times in five when {POWER_CHURN:.0%} of them change."
    )
    yield Finding("info", "power", name, message, round(drop, 4))
    for measure in suite.protocol.measures:
        if recall := re.fullmatch(r"recall@([1-9][0-9]*)", measure):
            cutoff = int(recall[1])
            ceiling = sum(min(cutoff, count) / count for count in relevant) / n
            if ceiling < 0.999:
                message = (
                    f"{measure} cannot exceed {ceiling:.3f}: some queries have more than {cutoff} relevant documents."
                )
                yield Finding("warning", "ceiling", name, message, round(ceiling, 4))
    labels = suite.labels[name]
    clusters = [labels.clusters[q] for q in query_set.ids if q in labels.clusters]
    if len(set(clusters)) < len(clusters):
        groups = len(set(clusters)) + len(query_set.ids) - len(clusters)
        message = f"{len(query_set.ids)} queries stand for {groups} needs; intervals are widened for it."
        yield Finding("info", "clusters", name, message, groups)
    if labels.pinned:
        yield Finding(
            "info", "pinned", name, f"{len(labels.pinned)} queries are pinned: none may lose.", len(labels.pinned)
        )
