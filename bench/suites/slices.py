"""Slices computed from texts and judgements, such as short queries."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from bench.records import Corpus, Qrels, QuerySet

SHORT, LONG = 4, 10
"""A short query has at most four words (typed into a search box), a long one at least ten (a sentence)."""

LOW, HIGH = 1 / 3, 2 / 3
"""Shares of a query's content words in its best relevant document: below `LOW` the overlap is low, from `HIGH` high."""

MANY = 6
"""Relevant documents from which there are many; fewer, but more than one, are few."""

_STOP = """
a about all am an and any are as at be been but by can could did do does for from get had has have how i if in into is
it its may me my no not of on or our please should so some than that the their them then there these they this to too up
us was we were what when where which while who whom why will with would you your
"""
STOP_WORDS = frozenset(_STOP.split())
"""English words that carry no content."""


def content_words(text: str) -> set[str]:
    """Words of a text without stop words; all words of a text that has no other."""
    words = _words(text)
    return words - STOP_WORDS or words


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.casefold()))


def computed_slices(
    kinds: Sequence[str],
    queries: QuerySet,
    qrels: Qrels,
    corpus: Corpus,
    *,
    fields: Mapping[str, Mapping[str, Any]],
    relevance_level: int = 1,
) -> dict[str, tuple[str, ...]]:
    """Query id → slice names such as "length:short", one for each kind that applies to the query.

    Args:
        kinds: of "length" (words), "overlap" (with the relevant document that shares most), "judgements" (number of
            relevant documents) and "field:NAME".
        queries: ids and texts.
        qrels: judgements.
        corpus: the judged documents.
        fields: each query's line.
        relevance_level: lowest grade that is relevant.
    """
    slices = {}
    for query_id, text in zip(queries.ids, queries.texts, strict=True) if kinds else ():
        relevant = [doc_id for doc_id, grade in qrels.get(query_id, {}).items() if grade >= relevance_level]
        names: list[str] = []
        for kind in kinds:
            if kind == "length":
                n_words = len(text.split())
                names.append(f"length:{'short' if n_words <= SHORT else 'long' if n_words >= LONG else 'medium'}")
            elif kind == "overlap" and relevant:
                query = content_words(text)
                shared = max(len(query & _words(corpus.texts[corpus.row_of[doc_id]])) for doc_id in relevant)
                share = shared / len(query) if query else 0.0
                names.append(f"overlap:{'low' if share < LOW else 'high' if share >= HIGH else 'medium'}")
            elif kind == "judgements" and relevant:
                n = len(relevant)
                names.append(f"judgements:{'one' if n == 1 else 'many' if n >= MANY else 'few'}")
            elif kind.startswith("field:"):
                field = kind.removeprefix("field:")
                value = fields[query_id].get(field)
                values = value if isinstance(value, list) else [value]
                names += [f"{field}:{value}" for value in values if value not in (None, "")]
        if names:
            slices[query_id] = tuple(dict.fromkeys(names))
    return slices
