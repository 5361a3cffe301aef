"""An explorer's data as one JSON document inside the page: texts once, rankings and values as base64.

Two thousand queries, twelve systems and ten documents each are 240,000 numbers; as JSON they would be the larger part
of the page. Texts stay readable, so that whoever may not pass them on can look for them.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from bench.report.blocks import Explorer, ExplorerSet, visible

TOP = 10
"""Documents of each ranking."""

MOST_RELEVANT = 12
"""Relevant documents of a query; the rest is a number."""

QUERY_LIMIT = 300
ID_LIMIT = 80
SCALE = 60_000
"""Steps of a value between 0 and 1: finer than any difference between two rankings that a page shows."""


def document(block: Explorer) -> dict[str, Any]:
    """The explorer's data.

    `documents` are [id, text]; everywhere else a document is its place there. `ranks` is uint16 or uint32, little
    endian, [run][query][10], all ones where a ranking has ended. `values` is uint16 [run][measure][query], `scale`
    steps to one. `grades` is [document, grade, …] for each query, relevant ones first.
    """
    places: dict[tuple[str, str], int] = {}
    sets = [_set(one, places) for one in block.sets]
    texts = [
        [visible(doc, ID_LIMIT), visible(block.documents.get(corpus, {}).get(doc, ""), block.text_limit)]
        for corpus, doc in places
    ]
    return {"documents": texts, "sets": sets, "pair": [visible(part, ID_LIMIT) for part in block.pair]}


def _set(one: ExplorerSet, places: dict[tuple[str, str], int]) -> dict[str, Any]:
    def place(doc: str) -> int:
        return places.setdefault((one.corpus, doc), len(places))

    n = len(one.query_ids)
    ranks = np.full((len(one.runs), n, TOP), -1, dtype=np.int64)
    for r, run in enumerate(one.runs):
        for q, ids in enumerate(run.tops):
            ranks[r, q, : len(ids[:TOP])] = [place(doc) for doc in ids[:TOP]]
    shown = [{doc for run in one.runs for doc in run.tops[q][:TOP]} for q in range(n)]
    grades, more = [], []
    for held, seen in zip(one.grades, shown, strict=True):
        relevant = sorted((d for d, g in held.items() if g >= one.relevance_level), key=lambda d: (-held[d], d))
        judged = sorted(d for d, g in held.items() if g < one.relevance_level and d in seen)
        kept = dict.fromkeys([*relevant[:MOST_RELEVANT], *(d for d in relevant if d in seen), *judged])
        grades.append([number for doc in kept for number in (place(doc), held[doc])])
        more.append(len(relevant) - sum(held[doc] >= one.relevance_level for doc in kept))
    values = np.asarray([run.values for run in one.runs], dtype=np.float64).reshape(len(one.runs), n, -1)
    scale = SCALE / max(1.0, float(values.max(initial=0.0)))
    width = 2 if not places or len(places) < 0xFFFF else 4
    return {
        "name": visible(one.name, ID_LIMIT),
        "measures": [visible(measure, 40) for measure in one.measures],
        "level": one.relevance_level,
        "runs": [visible(run.label, ID_LIMIT) for run in one.runs],
        "ids": [visible(query_id, ID_LIMIT) for query_id in one.query_ids],
        "texts": [visible(text, QUERY_LIMIT) for text in one.texts],
        "slices": [visible(names, 120) for names in one.slices] if any(one.slices) else [],
        "pinned": list(one.pinned),
        "grades": grades,
        "more": [[q, count] for q, count in enumerate(more) if count],
        "width": width,
        "ranks": _packed(ranks, "<u2" if width == 2 else "<u4"),
        "scale": scale,
        "values": _packed(np.rint(np.clip(values, 0.0, None).transpose(0, 2, 1) * scale), "<u2"),
    }


def _packed(array: Any, kind: str) -> str:
    return base64.b64encode(array.astype(np.int64).astype(kind).tobytes()).decode("ascii")


def decoded(packed: str, kind: str, shape: Sequence[int]) -> Any:
    """An array as the page's script reads it."""
    return np.frombuffer(base64.b64decode(packed), dtype=kind).reshape(shape)


def script_json(value: Any) -> str:
    """JSON that is safe inside a script element, with no address that a search would find."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    # "</script>" and "<!--" would end the element; U+2028 and U+2029 end lines in old readers.
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.replace("://", ":\\u002f/")
