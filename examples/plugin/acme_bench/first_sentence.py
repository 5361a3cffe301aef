"""A document's first sentence as the query, the rest of it as the document."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from bench.config import Strict
from bench.train.origins import Context, Pair


class Config(Strict):
    """`{ kind = "first-sentence" }` under `from`."""

    kind: str
    corpora: list[str] = Field(default=[])


def pairs(config: Config, context: Context) -> Iterator[Pair]:
    """One pair for each document of several sentences, in the order of the corpora."""
    for corpus in context.corpora(config.corpora):
        for doc_id, text in zip(corpus.ids, corpus.texts, strict=True):
            first, _, rest = text.partition(". ")
            if not rest:
                context.count("documents left out: one sentence")
                continue
            provenance = {"document": doc_id, "rule": "first sentence → rest"}
            yield Pair("", first, doc_id, rest, corpus.name, "first-sentence", provenance=provenance)
