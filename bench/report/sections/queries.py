"""Every query under any two systems; and, in a list, those that a verdict turned on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.base import words
from bench.records import Result, Verdict
from bench.report import Material, sentences
from bench.report.blocks import (
    Block,
    Explorer,
    ExplorerRun,
    ExplorerSet,
    Prose,
    QueryEntry,
    QueryGroup,
    QueryList,
    RelevantDocument,
    plain,
)
from bench.report.embedded import TOP
from bench.report.reading import best_system, is_smaller, judged_result, labelled, tasks
from bench.report.sections.verdicts import changed_queries, shown_reference

ORDER = 70
TITLE = "Queries"

MOST_QUERIES = 60
"""Per verdict; past it a page is scrolled, not read."""

LEAST_GAINED = 20
"""Places kept for gains, so that a bad verdict still shows what got better."""

MOST_RELEVANT = 12
SNIPPET_LIMIT = 150
QUERY_LIMIT = 300

MOST_RANKINGS = 36_000
"""Rankings of ten documents in the explorer, 1 MB of the page; systems past it are left out, the worst first."""

TEXT_BUDGET = 1_600_000
"""Characters that all documents together may take; each is cut to its share, between the two limits below."""

SHORTEST_TEXT, LONGEST_TEXT = 80, 320

Change = tuple[str, float, float]


def build(material: Material) -> list[Block]:
    """An explorer over all results, with the queries of the verdicts for a reader without a script."""
    sets = _sets(material)
    listed = changes(material)
    if not sets:
        return [listed] if listed else []
    runs = {run.label for one in sets for run in one.runs}
    left_out = sorted({result.system for result in material.results} - runs)
    sentence = (
        f"Choose two systems and read what each finds: open a query to see its relevant passages and the first {TOP} "
        "of both rankings side by side."
    )
    if left_out:
        sentence += (
            f" {words.count(len(left_out), 'system')} with the lowest means are left out to keep the page small."
        )
    documents, limit = _documents(material, sets)
    return [Prose([sentence]), Explorer(sets, documents, limit, _pair(material, sets), listed)]


# --- the explorer ----------------------------------------------------------------------------------


def _sets(material: Material) -> list[ExplorerSet]:
    """Query sets with the runs whose rankings are known, as many as fit."""
    held = labelled(material)
    n_rankings = sum(len(result.scores.query_ids) for runs in held.values() for result in runs.values())
    if n_rankings > MOST_RANKINGS:
        kept = _best(material, held)
        held = {key: {label: r for label, r in runs.items() if label in kept} for key, runs in held.items()}
    return [_set(material, key[1], runs) for key, runs in held.items() if runs]


def _best(material: Material, held: Mapping[tuple[str, str], Mapping[str, Result]]) -> set[str]:
    """Labels to keep: the reference and what was judged, then whole systems before smaller copies, the best first."""
    n_queries = sum(len(next(iter(runs.values())).scores.query_ids) for runs in held.values())
    room = max(2, MOST_RANKINGS // max(1, n_queries))
    judged = [name for verdict in material.verdicts for name in (verdict.baseline, verdict.candidate)]
    means: dict[str, float] = {}
    for runs in held.values():
        for label, result in runs.items():
            means[label] = max(means.get(label, 0.0), float(result.scores.values[:, 0].mean()))
    ranked = sorted(means, key=lambda label: (is_smaller(label, means), -means[label]))
    return set(list(dict.fromkeys([material.reference, *judged, *ranked]))[:room])


def _set(material: Material, query_set: str, runs: Mapping[str, Result]) -> ExplorerSet:
    first = next(iter(runs.values()))
    measures = [m for m in first.scores.measures if all(m in r.scores.measures for r in runs.values())]
    texts, qrels = material.texts.get(query_set, {}), material.qrels.get(query_set, {})
    return ExplorerSet(
        name=query_set,
        corpus=first.corpus_digest,
        measures=measures,
        relevance_level=first.protocol.relevance_level,
        runs=[
            ExplorerRun(
                label,
                [[float(value) for value in row] for row in zip(*map(result.scores.column, measures), strict=True)],
                result.top_ids,
            )
            for label, result in runs.items()
        ],
        query_ids=first.scores.query_ids,
        texts=[texts.get(query_id, "") for query_id in first.scores.query_ids] if texts else [],
        slices=[", ".join(names) for names in first.slices],
        pinned=[place for place, pinned in enumerate(first.pinned) if pinned],
        grades=[qrels.get(query_id, {}) for query_id in first.scores.query_ids],
    )


def _documents(material: Material, sets: Sequence[ExplorerSet]) -> tuple[dict[str, dict[str, str]], int]:
    """Corpus → document id → text of every document that is shown, and the length that each is cut to."""
    found: dict[str, dict[str, str]] = {}
    for one in sets:
        texts = material.documents.get(one.name, {})
        held = found.setdefault(one.corpus, {})
        if texts:
            ids = dict.fromkeys(doc for run in one.runs for ids in run.tops for doc in ids[:TOP])
            ids |= dict.fromkeys(doc for grades in one.grades for doc in grades)
            held |= {doc: texts.get(doc, "") for doc in ids}
    n = sum(map(len, found.values()))
    return found, max(SHORTEST_TEXT, min(LONGEST_TEXT, TEXT_BUDGET // n)) if n else 0


def _pair(material: Material, sets: Sequence[ExplorerSet]) -> tuple[str, str, str]:
    """What is shown first: the first verdict's two, else the reference and the best system."""
    one = sets[0]
    labels = [run.label for run in one.runs]
    if material.verdicts:
        verdict = material.verdicts[0]
        accepted = f"{verdict.baseline} (accepted)"
        before = accepted if verdict.baseline == verdict.candidate and accepted in labels else verdict.baseline
        if before in labels and verdict.candidate in labels:
            return one.name, before, verdict.candidate
    before = material.reference if material.reference in labels else labels[0]
    held = next((task for task in tasks(material) if task.name == one.name), None)
    best = best_system(held, held.primary) if held else None
    if best in labels and best != before:
        return one.name, before, best
    return one.name, before, next((label for label in labels if label != before), before)


# --- the list --------------------------------------------------------------------------------------


def changes(material: Material) -> QueryList | None:
    """The largest changes of every verdict in which a query moved."""
    groups = [group for verdict in material.verdicts if (group := _group(material, verdict)) is not None]
    return QueryList(groups) if groups else None


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
    title = "".join(part if isinstance(part, str) else part.text for part in sentences.verdict_title(verdict))
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
