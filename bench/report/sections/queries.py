"""Every query under any two systems; and, as a list, the queries behind each verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.base import words
from bench.records import Verdict
from bench.report import Material, explorer, sentences
from bench.report.blocks import Block, Explorer, Prose, QueryEntry, QueryGroup, QueryList, RelevantDocument
from bench.report.explorer import MOST_RELEVANT, QUERY_LIMIT, TOP
from bench.report.reading import judged_result
from bench.report.text import plain

ORDER = 70
TITLE = "Queries"

MOST_QUERIES = 60
"""Per verdict; a longer list is not read."""

LEAST_GAINED = 20
"""Places for gains, so that a bad verdict also shows what improved."""

SNIPPET_LIMIT = 150

Change = tuple[str, float, float]
"""(measure, before, after)."""


def build(material: Material) -> list[Block]:
    """An explorer over all results, with the queries of the verdicts for a reader without a script."""
    sets, changed = explorer.runs(material), changes(material)
    if not sets:
        return [changed] if changed else []
    sentence = (
        "Choose two systems to see which queries they answer differently. Open a query to see its relevant passages "
        f"and the first {TOP} documents of both rankings."
    )
    labels = {label for results in sets.values() for label in results}
    if left_out := len({result.system for result in material.results} - labels):
        sentence += f" The {words.count(left_out, 'system')} with the lowest means are left out to keep the page small."
    return [Prose([sentence]), Explorer(lambda: explorer.document(material, sets), changed)]


def changes(material: Material) -> QueryList | None:
    """The largest changes of every verdict in which a query changed."""
    groups = [group for verdict in material.verdicts if (group := _group(material, verdict)) is not None]
    return QueryList(groups) if groups else None


def _group(material: Material, verdict: Verdict) -> QueryGroup | None:
    # Single queries are shown against what this change started from, where that is known.
    reference = "merge-base" if any(cell.reference == "merge-base" for cell in verdict.cells) else "baseline"
    changed = _changed_queries(verdict, reference)
    if not changed:
        return None
    lost = [key for key, moves in changed.items() if _lost(moves)]
    gained = [key for key, moves in changed.items() if not _lost(moves)]
    shown = lost[: max(MOST_QUERIES - len(gained), MOST_QUERIES - LEAST_GAINED)]
    shown += gained[: MOST_QUERIES - len(shown)]
    pinned = {(query_set, change.query_id) for query_set, change in verdict.pinned_lost}

    def tops_of(query_set: str, side: str) -> dict[str, tuple[str, ...]]:
        """Query id → the first documents of its ranking."""
        result = judged_result(material, verdict, query_set, side)
        rankings = zip(result.scores.query_ids, result.top_ids, strict=True) if result else ()
        return {query_id: ids[:TOP] for query_id, ids in rankings}

    tops = {query_set: [tops_of(query_set, side) for side in (reference, "candidate")] for query_set, _ in shown}

    def entry(query_set: str, query_id: str) -> QueryEntry:
        moves, (before, after) = changed[query_set, query_id], (top.get(query_id, ()) for top in tops[query_set])
        text = plain(material.texts.get(query_set, {}).get(query_id, ""), QUERY_LIMIT)
        relevant, is_pinned = _relevant(material, query_set, query_id, before, after), (query_set, query_id) in pinned
        return QueryEntry(query_set, query_id, text, _lost(moves), is_pinned, moves, relevant, before, after)

    entries = [entry(*key) for key in shown]
    title = "".join(part if isinstance(part, str) else part.text for part in sentences.verdict_title(verdict))
    before_name = "accepted baseline" if verdict.baseline == verdict.candidate else verdict.baseline
    before_name = "merge base" if reference == "merge-base" else before_name
    return QueryGroup(title, before_name, verdict.candidate, entries, len(lost), len(gained))


def _changed_queries(verdict: Verdict, reference: str) -> dict[tuple[str, str], list[Change]]:
    """(query set, query id) → its changes, for every query that changed, largest changes first.

    A query counts by its largest change; of equals, a loss comes first, then the order of the cells.
    """
    changed: dict[tuple[str, str], list[Change]] = {}
    for cell in verdict.cells:
        if cell.reference == reference and cell.slice is None:  # a slice's queries are among its set's
            measure = f"{cell.measure} {cell.variant}".rstrip()
            for change in (*cell.lost, *cell.gained):
                moves = changed.setdefault((cell.query_set, change.query_id), [])
                moves.append((measure, change.baseline, change.candidate))
    for query_set, change in verdict.pinned_lost:
        changed.setdefault((query_set, change.query_id), [("pinned", change.baseline, change.candidate)])
    sets = list(dict.fromkeys(cell.query_set for cell in verdict.cells))

    def order(key: tuple[str, str]) -> tuple[float, bool, int, str, str]:
        _, before, after = _largest(changed[key])
        return -abs(after - before), after > before, sets.index(key[0]) if key[0] in sets else len(sets), *key

    return {key: changed[key] for key in sorted(changed, key=order)}


def _largest(moves: Sequence[Change]) -> Change:
    return max(moves, key=lambda change: abs(change[2] - change[1]))


def _lost(moves: Sequence[Change]) -> bool:
    _, before, after = _largest(moves)
    return after < before


def _relevant(
    material: Material, query_set: str, query_id: str, before: Sequence[str], after: Sequence[str]
) -> list[RelevantDocument]:
    """Relevant documents, the best grade first."""
    results = (*material.results, *material.baselines)
    level = next((r.protocol.relevance_level for r in results if r.query_set == query_set), 1)
    grades: Mapping[str, int] = material.qrels.get(query_set, {}).get(query_id, {})
    documents = material.documents.get(query_set, {})
    relevant = sorted((doc for doc, grade in grades.items() if grade >= level), key=lambda doc: (-grades[doc], doc))
    return [
        RelevantDocument(
            doc,
            grades[doc],
            plain(documents.get(doc, ""), SNIPPET_LIMIT),
            before.index(doc) + 1 if doc in before else None,
            after.index(doc) + 1 if doc in after else None,
        )
        for doc in relevant[:MOST_RELEVANT]
    ]
