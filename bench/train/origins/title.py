"""Titles: a document's title as the query, its body as the document.

A title that several documents bear tells none of them from the others; such documents are counted and left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from bench.config import Strict
from bench.suites.suite import documents
from bench.suites.text import normalized
from bench.train.origins import Context
from bench.train.origins._shared import chosen_documents
from bench.train.pairs import Pair


class Config(Strict):
    """Which corpora, how many documents of all, and how far such a pair is believed."""

    kind: Literal["title"]
    corpora: list[str] = Field(default=[])
    most: int | None = Field(default=None, ge=1)
    weight: float = Field(default=1.0, gt=0, le=1)


def pairs(config: Config, context: Context) -> Iterator[Pair]:
    """One pair for each document with a title of its own and a body, in the order of the corpus' file."""
    keep = {(corpus, doc_id) for corpus, doc_id, _ in chosen_documents(context, config.corpora, config.most)}
    for corpus in context.corpora(config.corpora):
        bearers = Counter(normalized(row["title"]) for row in documents(context.suite, corpus.name))
        for row in documents(context.suite, corpus.name):
            title, body = row["title"].strip(), row["text"].strip()
            if (corpus.name, row["_id"]) not in keep:
                continue
            if not title or not body:
                context.count("documents left out: no title or no body")
            elif bearers[normalized(title)] > 1:
                context.count("documents left out: another bears the same title")
            else:
                provenance = {"document": row["_id"], "rule": "title → body"}
                yield Pair(
                    "", title, row["_id"], body, corpus.name, "title", weight=config.weight, provenance=provenance
                )
