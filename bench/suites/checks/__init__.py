"""What makes a suite lie: integrity, leakage, ceilings, size against power. Findings, not opinions.

One file a family. `docs/checks.md` lists every code with what to do about it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bench.base.errors import MeasureError, MissingExtra
from bench.base.progress import Progress, no_progress
from bench.records import EVALUATION_ROLES, Finding, Suite
from bench.records.measures import parse
from bench.suites.checks.contamination import contamination
from bench.suites.checks.judgements import (
    check_clusters,
    check_judgements,
    check_power,
    check_slices,
    check_unjudged_copies,
)
from bench.suites.checks.leakage import check_giveaways, check_leakage, check_near_leakage, leaked_queries
from bench.suites.checks.leaks import LEAK_RULES, Leak, leaks
from bench.suites.checks.near import SIMILAR, Near, near_duplicates
from bench.suites.checks.saturation import check_saturation
from bench.suites.checks.texts import check_texts, normalized

__all__ = [
    "CODES",
    "LEAK_RULES",
    "Leak",
    "check",
    "contamination",
    "leaked_queries",
    "leaks",
    "near_duplicates",
    "normalized",
]

CODES = (
    # what cannot be read or measured at all
    *("unreadable", "unknown-measure", "no-held-out", "no-out-of-distribution", "no-dev", "nothing-to-measure"),
    # texts
    *("empty-documents", "empty-queries", "duplicate-documents", "duplicate-queries"),
    *("near-duplicate-documents", "near-duplicate-queries", "near-duplicates-not-checked"),
    *("truncated", "ellipsis", "long-documents"),
    *("replacement-characters", "mojibake", "control-characters", "invisible-characters", "html-remains"),
    # leakage
    *("query-leak", "near-query-leak", "shared-documents", "near-shared-documents", "cluster-leak"),
    *("repeated-across-sets", "verbatim-queries", "title-leak"),
    # judgements
    *("no-positives", "pinned-without-positives", "answerable-after-all", "contradicting-judgements"),
    *("dominant-document", "unjudged-copies", "pool", "judgement-holes", "absent-field"),
    # what the set can show
    *("too-few-queries", "power", "queries-needed", "ceiling", "small-corpus", "pinned"),
    *("clusters", "undeclared-clusters", "shared-answers"),
    *("saturated", "no-shared-words", "saturation-not-checked"),
    # models
    *("contaminated", "not-contaminated", "training-data-unknown"),
)
"""Every code that a finding may bear."""

REPEATED = 0.05
"""Share of near-duplicates from which they are a warning."""


def check(suite: Suite, *, thorough: bool = True, progress: Progress = no_progress) -> list[Finding]:
    """Everything found, errors first; an error means that results on this suite should not be believed.

    Args:
        suite: what is looked at.
        thorough: also look for near-duplicates and run BM25, which takes seconds on thousands of texts and finds
            no error, only warnings.
        progress: told what is being done.
    """
    order = {"error": 0, "warning": 1, "info": 2}
    found = [*_measures(suite), *_roles(suite), *check_slices(suite), *check_leakage(suite), *check_giveaways(suite)]
    for name, corpus in suite.corpora.items():
        found += check_texts(name, "documents", corpus.ids, corpus.texts, progress)
    near = None
    if thorough:
        try:
            near = _NearTexts(suite, progress)
        except MissingExtra as error:
            message = f"Near-duplicates were not looked for. {error}"
            found.append(Finding("info", "near-duplicates-not-checked", suite.name, message))
    for name, query_set in suite.query_sets.items():
        found += check_texts(name, "queries", query_set.ids, query_set.texts, progress)
        found += check_judgements(suite, query_set)
        if query_set.role in EVALUATION_ROLES:
            found += check_power(suite, query_set)
            found += check_clusters(suite, query_set, near.of_set[name] if near else None)
    if near:
        found += near.findings(suite)
    if thorough:
        found += check_saturation(suite, progress)
    return sorted(found, key=lambda finding: order[finding.severity])


class _NearTexts:
    """Near-duplicates of a suite: among all its queries, and within each corpus."""

    def __init__(self, suite: Suite, progress: Progress) -> None:
        texts = [text for query_set in suite.query_sets.values() for text in query_set.texts]
        self.queries = near_duplicates(texts, what="queries", progress=progress)
        self.documents = {
            name: near_duplicates(corpus.texts, what=name, progress=progress) for name, corpus in suite.corpora.items()
        }
        self.of_set: dict[str, Near] = {}
        start = 0
        for name, query_set in suite.query_sets.items():
            here = slice(start, start := start + len(query_set.ids))
            self.of_set[name] = self.queries.part(here)

    def findings(self, suite: Suite) -> Iterator[Finding]:
        """Near-duplicates within each corpus and set, and across training and evaluation."""
        parts = [
            *(("documents", name, corpus.ids, self.documents[name]) for name, corpus in suite.corpora.items()),
            *(("queries", name, query_set.ids, self.of_set[name]) for name, query_set in suite.query_sets.items()),
        ]
        for kind, where, ids, near in parts:
            rows = np.flatnonzero(near.resembling())
            if len(rows):
                share = len(rows) / len(ids)
                message = (
                    f"{len(rows)} {kind} of {len(ids)} ({share:.1%}) are near-duplicates of another (Jaccard of "
                    f"content words ≥ {SIMILAR}; first: {ids[rows[0]]})."
                )
                severity = "warning" if share >= REPEATED else "info"
                yield Finding(severity, f"near-duplicate-{kind}", where, message, round(share, 4))
        yield from check_near_leakage(suite, self.queries, self.documents)
        for query_set in suite.of_role(*EVALUATION_ROLES):
            yield from check_unjudged_copies(suite, query_set, self.documents[query_set.corpus])


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
