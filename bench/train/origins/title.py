"""Titles: a document's title as the query, its body as the document.

A title that several documents share does not tell them apart; such documents are counted and left out.
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
from bench.train.origins._shared import chosen_lines
from bench.train.pairs import Pair


class Config(Strict):
    """Corpora, the most documents of all, and the weight of a pair."""

    kind: Literal["title"]
    corpora: list[str] = Field(default=[])
    most: int | None = Field(default=None, ge=1)
    weight: float = Field(default=1.0, gt=0, le=1)


def pairs(config: Config, context: Context) -> Iterator[Pair]:
    """One pair for each document with a body and a title of its own, in the order of the corpus' file."""
    n_documents = {
        corpus.name: Counter(normalized(row["title"]) for row in documents(context.suite, corpus.name))
        for corpus in context.corpora(config.corpora)
    }
    for corpus, row in chosen_lines(context, config.corpora, config.most):
        doc_id, title, body = row["_id"], row["title"].strip(), row["text"].strip()
        if not title or not body:
            context.count("documents left out: no title or no body")
        elif n_documents[corpus][normalized(title)] > 1:
            context.count("documents left out: another bears the same title")
        else:
            provenance = {"document": doc_id, "rule": "title → body"}
            yield Pair("", title, doc_id, body, corpus, "title", weight=config.weight, provenance=provenance)
