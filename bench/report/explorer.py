"""The data of a page's explorer, which shows every query under any two systems, as one JSON document in the page.

Texts are in it once. Rankings and values are base64: two thousand queries, twelve systems and ten documents each are
240,000 numbers, and as JSON they would be the larger part of the page. Texts stay readable, so that people who may not
pass them on can search for them.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from bench.report import Material
from bench.report.reading import Runs, is_smaller, judged_systems, labelled_results, tasks
from bench.report.text import visible

TOP = 10
"""Documents of each ranking."""

MOST_RANKINGS = 36_000
"""Rankings of ten documents, 1 MB of the page; above it, the worst systems are left out."""

MOST_RELEVANT = 12
"""Relevant documents of a query; the others are only counted."""

TEXT_BUDGET = 1_600_000
"""Characters of all documents together; each gets an equal share, between the two limits below."""

SHORTEST_TEXT, LONGEST_TEXT = 80, 320
QUERY_LIMIT = 300
ID_LIMIT = 80
SCALE = 60_000
"""Steps of a value between 0 and 1; finer than any difference that a page shows."""


def runs(material: Material) -> Runs:
    """Query sets with the results that have rankings, as many as fit."""
    sets = {key: results for key, results in labelled_results(material).items() if results}
    sizes = [len(next(iter(results.values())).scores.query_ids) for results in sets.values()]
    if sum(n * len(results) for n, results in zip(sizes, sets.values(), strict=True)) <= MOST_RANKINGS:
        return sets
    # The reference and both sides of the verdicts, then whole systems before smaller copies, the best first.
    means: dict[str, float] = {}
    for results in sets.values():
        for label, result in results.items():
            means[label] = max(means.get(label, 0.0), float(result.scores.values[:, 0].mean()))
    ranked = sorted(means, key=lambda label: (is_smaller(label, means), -means[label]))
    room = max(2, MOST_RANKINGS // max(1, sum(sizes)))
    shown = list(dict.fromkeys([material.reference, *judged_systems(material), *ranked]))[:room]
    sets = {key: {label: r for label, r in results.items() if label in shown} for key, results in sets.items()}
    return {key: results for key, results in sets.items() if results}


def document(material: Material, sets: Runs) -> dict[str, Any]:
    """The explorer's data for these runs.

    `documents` are [id, text]; elsewhere a document is its place in that list. `ranks` is uint16 or uint32, little
    endian, [run][query][10], all ones after the end of a ranking. `values` is uint16 [run][measure][query], with
    `scale` steps between 0 and 1. `grades` is [document, grade, …] for each query, relevant ones first.
    """
    places: dict[tuple[str, str], int] = {}
    data = [_set(material, query_set, results, places) for (_, query_set), results in sets.items()]
    texts: dict[str, Mapping[str, str]] = {}
    for (_, query_set), results in sets.items():
        if documents := material.documents.get(query_set):
            texts.setdefault(next(iter(results.values())).corpus_digest, documents)
    limit = max(SHORTEST_TEXT, min(LONGEST_TEXT, TEXT_BUDGET // max(1, len(places))))
    shown = [[visible(doc, ID_LIMIT), visible(texts.get(corpus, {}).get(doc, ""), limit)] for corpus, doc in places]
    return {"documents": shown, "sets": data, "pair": [visible(part, ID_LIMIT) for part in _pair(material, sets)]}


def _pair(material: Material, sets: Runs) -> tuple[str, str, str]:
    """The first query set, and the two sides of the first verdict, else the reference and the best system."""
    query_set, labels = next((key[1], list(results)) for key, results in sets.items())
    for verdict in material.verdicts[:1]:
        accepted = f"{verdict.baseline} (accepted)"
        before = accepted if verdict.baseline == verdict.candidate and accepted in labels else verdict.baseline
        if before in labels and verdict.candidate in labels:
            return query_set, before, verdict.candidate
    before = material.reference if material.reference in labels else labels[0]
    best = [system for task in tasks(material) if task.name == query_set for system in task.by_mean(task.results)][:1]
    others = [label for label in (*best, *labels) if label in labels and label != before]
    return query_set, before, next(iter(others), before)


def _set(
    material: Material, name: str, results: Mapping[str, Any], places: dict[tuple[str, str], int]
) -> dict[str, Any]:
    """One query set: its runs, queries and judgements; `places` numbers the documents."""
    first = next(iter(results.values()))
    level, query_ids = first.protocol.relevance_level, first.scores.query_ids
    measures = [m for m in first.scores.measures if all(m in r.scores.measures for r in results.values())]
    texts, qrels = material.texts.get(name, {}), material.qrels.get(name, {})

    def place(doc: str) -> int:
        return places.setdefault((first.corpus_digest, doc), len(places))

    ranks = np.full((len(results), len(query_ids), TOP), -1, dtype=np.int64)
    for r, result in enumerate(results.values()):
        for q, ids in enumerate(result.top_ids):
            ranks[r, q, : len(ids[:TOP])] = [place(doc) for doc in ids[:TOP]]
    grades, more = [], []
    for q, query_id in enumerate(query_ids):
        graded = qrels.get(query_id, {})
        ranked = {doc for result in results.values() for doc in result.top_ids[q][:TOP]}
        relevant = sorted((doc for doc in graded if graded[doc] >= level), key=lambda doc: (-graded[doc], doc))
        irrelevant = sorted(doc for doc in ranked if graded.get(doc, level) < level)
        shown = dict.fromkeys([*relevant[:MOST_RELEVANT], *(doc for doc in relevant if doc in ranked), *irrelevant])
        grades.append([number for doc in shown for number in (place(doc), graded[doc])])
        more.append(len(relevant) + len(irrelevant) - len(shown))
    values = np.asarray([[r.scores.column(m) for m in measures] for r in results.values()], dtype=np.float64)
    scale = SCALE / max(1.0, float(values.max(initial=0.0)))
    width = 2 if len(places) < 0xFFFF else 4
    return {
        "name": visible(name, ID_LIMIT),
        "measures": [visible(measure, 40) for measure in measures],
        "level": level,
        "runs": [visible(label, ID_LIMIT) for label in results],
        "ids": [visible(query_id, ID_LIMIT) for query_id in query_ids],
        "texts": [visible(texts.get(query_id, ""), QUERY_LIMIT) for query_id in query_ids] if texts else [],
        "slices": [visible(", ".join(names), 120) for names in first.slices] if any(first.slices) else [],
        "pinned": [q for q, pinned in enumerate(first.pinned) if pinned],
        "grades": grades,
        "more": [[q, count] for q, count in enumerate(more) if count],
        "width": width,
        "ranks": _packed(ranks, "<u2" if width == 2 else "<u4"),
        "scale": scale,
        "values": _packed(np.rint(np.clip(values, 0.0, None) * scale), "<u2"),
    }


def _packed(array: Any, kind: str) -> str:
    return base64.b64encode(array.astype(np.int64).astype(kind).tobytes()).decode("ascii")


def script_json(value: Any) -> str:
    """JSON that is safe inside a script element, and in which a search for addresses finds none."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    # "</script>" and "<!--" would end the element; U+2028 and U+2029 end lines in old readers.
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.replace("://", ":\\u002f/")
