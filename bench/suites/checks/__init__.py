"""Checks of a suite: integrity, overlap, ceilings, size and power. They return findings.

Each module has one family of checks. `docs/checks.md` lists every code with what to do about it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bench.base.errors import MeasureError, MissingExtra
from bench.base.progress import Progress, no_progress
from bench.records import EVALUATION_ROLES, Corpus, Finding, QuerySet, Suite
from bench.records.measures import parse
from bench.suites.checks.contamination import contamination
from bench.suites.checks.counted import counted, noun_of
from bench.suites.checks.judgements import (
    check_clusters,
    check_judgements,
    check_power,
    check_slices,
    check_unjudged_copies,
)
from bench.suites.checks.near import SIMILAR, Near, near_duplicates
from bench.suites.checks.overlap import check_giveaways, check_near_overlap, check_overlap
from bench.suites.checks.pair_leaks import LEAK_RULES, Leak, leaks
from bench.suites.checks.saturation import check_saturation
from bench.suites.checks.texts import check_texts

__all__ = ["LEAK_RULES", "Leak", "check", "contamination", "leaks", "near_duplicates"]

REPEATED = 0.05
"""Share of near-duplicates from which they are a warning."""


def check(suite: Suite, *, thorough: bool = True, progress: Progress = no_progress) -> list[Finding]:
    """All findings about a suite, errors first; with an error, results on this suite should not be believed.

    Args:
        suite: the suite to check.
        thorough: also search for near-duplicates and run BM25, which takes seconds on thousands of texts and gives
            warnings, never errors.
        progress: called with the name of each stage.
    """
    findings = [*_check_declaration(suite), *check_slices(suite), *check_overlap(suite), *check_giveaways(suite)]
    for corpus in suite.corpora.values():
        findings += check_texts(corpus, progress)
    near_queries, near_in_set, near_in_corpus = None, dict[str, Near](), dict[str, Near]()
    if thorough:
        try:
            texts = [text for query_set in suite.query_sets.values() for text in query_set.texts]
            near_queries = near_duplicates(texts, what="queries", progress=progress)
            for name, corpus in suite.corpora.items():
                near_in_corpus[name] = near_duplicates(corpus.texts, what=name, progress=progress)
        except MissingExtra as error:
            message = f"Near-duplicates were not searched for. {error}"
            findings.append(Finding("info", "near-duplicates-not-checked", suite.name, message))
    start = 0
    for name, query_set in suite.query_sets.items():
        rows = slice(start, start := start + len(query_set.ids))
        if near_queries:
            near_in_set[name] = near_queries.part(rows)
        findings += check_texts(query_set, progress)
        findings += check_judgements(suite, query_set)
        if query_set.role in EVALUATION_ROLES:
            findings += check_power(suite, query_set)
            findings += check_clusters(suite, query_set, near_in_set.get(name))
    if near_queries:
        parts: list[tuple[Corpus | QuerySet, Near]] = [
            *((corpus, near_in_corpus[name]) for name, corpus in suite.corpora.items()),
            *((query_set, near_in_set[name]) for name, query_set in suite.query_sets.items()),
        ]
        for part, near in parts:
            noun, ids = noun_of(part), [part.ids[row] for row in np.flatnonzero(near.near_duplicates())]
            what = f"Near-duplicates of other {noun} (Jaccard similarity of content words ≥ {SIMILAR})"
            advice = "Judge them alike, or keep one." if noun == "documents" else "Declare clusters, or keep one."
            findings += counted(REPEATED, f"near-duplicate-{noun}", part, what, ids, advice, as_share=True)
        findings += check_near_overlap(suite, near_queries, near_in_corpus)
        for query_set in suite.of_role(*EVALUATION_ROLES):
            findings += check_unjudged_copies(suite, query_set, near_in_corpus[query_set.corpus])
    if thorough:
        findings += check_saturation(suite, progress)
    return sorted(findings, key=lambda finding: ("error", "warning", "info").index(finding.severity))


def _check_declaration(suite: Suite) -> Iterator[Finding]:
    for name in suite.protocol.measures:
        try:
            parse(name)
        except MeasureError as error:
            yield Finding("error", "unknown-measure", suite.name, str(error), name)
    for severity, role, why in (
        ("error", "held-out", "No verdict is possible."),
        ("warning", "out-of-distribution", "A model that gains on held-out queries may drop on others, unseen."),
        ("info", "dev", "Fusion weights and thresholds cannot be tuned on this suite."),
    ):
        if not suite.of_role(role):
            yield Finding(severity, f"no-{role}", suite.name, f"No query set has the role {role}. {why}")
