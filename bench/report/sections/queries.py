"""The queries behind a verdict: what was asked, what should have been found, and what was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.records import Result, Verdict
from bench.report import Material, words
from bench.report.blocks import Block, Prose, QueryEntry, QueryGroup, QueryList, RelevantDocument, plain
from bench.report.reading import judged_result
from bench.report.sections.verdicts import changed_queries, shown_reference

__all__ = ["ORDER", "TITLE", "build"]

ORDER = 70
TITLE = "Queries lost and gained"

MOST_QUERIES = 60
"""Per verdict; past it a page is scrolled, not read."""

LEAST_GAINED = 20
"""Places kept for gains, so that a bad verdict still shows what got better."""

MOST_RELEVANT = 12
TOP = 10
SNIPPET_LIMIT = 150
QUERY_LIMIT = 300

Change = tuple[str, float, float]


def build(material: Material) -> list[Block]:
    """An explorer over all verdicts in which a query moved."""
    groups = [group for verdict in material.verdicts if (group := _group(material, verdict)) is not None]
    if not groups:
        return []
    sentence = (
        f"The largest changes of each verdict, at most {MOST_QUERIES}. Open a query to see its relevant documents and "
        f"the first {TOP} of both rankings side by side."
    )
    return [Prose([sentence]), QueryList(groups, _snippets(material, groups))]


def _group(material: Material, verdict: Verdict) -> QueryGroup | None:
    moved = changed_queries(verdict)
    if not moved:
        return None
    lost = [key for key, changes in moved.items() if _lost(changes)]
    gained = [key for key, changes in moved.items() if not _lost(changes)]
    kept = lost[: max(MOST_QUERIES - len(gained), MOST_QUERIES - LEAST_GAINED)]
    kept += gained[: MOST_QUERIES - len(kept)]
    pinned = {(query_set, change.query_id) for query_set, change in verdict.pinned_lost}
    reference = shown_reference(verdict)
    tops = {
        query_set: (
            _tops(judged_result(material, verdict, query_set, reference)),
            _tops(judged_result(material, verdict, query_set, "candidate")),
        )
        for query_set, _ in kept
    }
    entries = [
        QueryEntry(
            query_set=query_set,
            query_id=query_id,
            text=plain(material.texts.get(query_set, {}).get(query_id, ""), QUERY_LIMIT),
            lost=_lost(moved[query_set, query_id]),
            pinned=(query_set, query_id) in pinned,
            changes=moved[query_set, query_id],
            before=(before := tops[query_set][0].get(query_id, ())),
            after=(after := tops[query_set][1].get(query_id, ())),
            relevant=_relevant(material, query_set, query_id, before, after),
        )
        for query_set, query_id in kept
    ]
    title = "".join(part if isinstance(part, str) else part.text for part in words.verdict_title(verdict))
    before_name = "accepted baseline" if verdict.baseline == verdict.candidate else verdict.baseline
    before_name = "merge base" if reference == "merge-base" else before_name
    return QueryGroup(title, before_name, verdict.candidate, entries, len(lost), len(gained))


def _lost(changes: Sequence[Change]) -> bool:
    """Whether the query's largest change is a loss."""
    largest = max(changes, key=lambda change: abs(change[2] - change[1]))
    return largest[2] < largest[1]


def _tops(result: Result | None) -> dict[str, tuple[str, ...]]:
    """Query id → the first documents of its ranking."""
    if result is None:
        return {}
    return {q: ids[:TOP] for q, ids in zip(result.scores.query_ids, result.top_ids, strict=True)}


def _relevant(
    material: Material, query_set: str, query_id: str, before: Sequence[str], after: Sequence[str]
) -> list[RelevantDocument]:
    """Relevant documents, the best grade first."""
    known = (*material.results, *material.baselines)
    level = next((r.protocol.relevance_level for r in known if r.query_set == query_set), 1)
    grades: Mapping[str, int] = material.qrels.get(query_set, {}).get(query_id, {})
    positive = sorted((doc for doc, grade in grades.items() if grade >= level), key=lambda doc: (-grades[doc], doc))
    documents = material.documents.get(query_set, {})
    return [
        RelevantDocument(
            doc_id=doc,
            grade=grades[doc],
            snippet=plain(documents.get(doc, ""), SNIPPET_LIMIT),
            before=before.index(doc) + 1 if doc in before else None,
            after=after.index(doc) + 1 if doc in after else None,
        )
        for doc in positive[:MOST_RELEVANT]
    ]


def _snippets(material: Material, groups: Sequence[QueryGroup]) -> dict[str, dict[str, str]]:
    """The first words of every document that a shown ranking names."""
    found: dict[str, dict[str, str]] = {}
    for group in groups:
        for entry in group.entries:
            documents = material.documents.get(entry.query_set, {})
            held = found.setdefault(entry.query_set, {})
            for doc in (*entry.before, *entry.after):
                if doc not in held:
                    held[doc] = plain(documents.get(doc, ""), SNIPPET_LIMIT)
    return found
