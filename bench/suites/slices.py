"""Slices that follow from texts and judgements: what a query is like, not what anybody said about it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from bench.records import Corpus, Qrels, QuerySet

SHORT, LONG = 4, 10
"""A short query has at most four words (what people type into a search box), a long one at least ten (a sentence)."""

LOW, HIGH = 1 / 3, 2 / 3
"""Shares of a query's content words that its best relevant document holds: below is low overlap, from there on high."""

MANY = 6
"""Relevant documents that are many; fewer than these and more than one are few."""

_STOP = """
a about all am an and any are as at be been but by can could did do does for from get had has have how i if in into is
it its may me my no not of on or our please should so some than that the their them then there these they this to too up
us was we were what when where which while who whom why will with would you your
"""
STOP_WORDS = frozenset(_STOP.split())
"""English words that say nothing of what is asked for."""


def content_words(text: str) -> set[str]:
    """Words of a text without stop words; all of them where nothing else is left."""
    words = set(re.findall(r"\w+", text.casefold()))
    return words - STOP_WORDS or words


def computed_slices(
    kinds: Sequence[str],
    queries: QuerySet,
    qrels: Qrels,
    corpus: Corpus,
    *,
    fields: Mapping[str, Mapping[str, Any]],
    relevance_level: int = 1,
) -> dict[str, tuple[str, ...]]:
    """Query id → names such as "length:short", one for each kind that says something of the query.

    Args:
        kinds: of "length" (words), "overlap" (with the relevant document that shares most), "judgements" (how many
            are relevant) and "field:NAME".
        queries: ids and texts.
        qrels: judgements.
        corpus: holds the judged documents.
        fields: each query's line.
        relevance_level: lowest grade that is relevant.
    """
    found = {}
    for query_id, text in zip(queries.ids, queries.texts, strict=True):
        relevant = [doc_id for doc_id, grade in qrels.get(query_id, {}).items() if grade >= relevance_level]
        names: list[str] = []
        for kind in kinds:
            if kind == "length":
                n_words = len(text.split())
                names.append(f"length:{'short' if n_words <= SHORT else 'long' if n_words >= LONG else 'medium'}")
            elif kind == "overlap" and relevant:
                share = max(_shared(text, corpus.texts[corpus.row_of[doc_id]]) for doc_id in relevant)
                names.append(f"overlap:{'low' if share < LOW else 'high' if share >= HIGH else 'medium'}")
            elif kind == "judgements" and relevant:
                count = len(relevant)
                names.append(f"judgements:{'one' if count == 1 else 'many' if count >= MANY else 'few'}")
            elif kind.startswith("field:"):
                value = fields[query_id].get(kind.removeprefix("field:"))
                values = value if isinstance(value, list) else [value]
                names += [f"{kind.removeprefix('field:')}:{one}" for one in values if one not in (None, "")]
        if names:
            found[query_id] = tuple(dict.fromkeys(names))
    return found


def _shared(query: str, document: str) -> float:
    words = content_words(query)
    return len(words & set(re.findall(r"\w+", document.casefold()))) / len(words) if words else 0.0
