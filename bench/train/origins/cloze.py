"""Inverse cloze: a sentence as the query, the passage without it as the document.

Source: Lee, Chang & Toutanova 2019, "Latent Retrieval for Weakly Supervised Open Domain Question Answering", section 4.
There the sentence stays in one passage of ten; here it never does, since a passage that repeats it would be a copy.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from bench.config import Strict
from bench.train.origins import Context
from bench.train.origins._shared import chosen_documents, count_words, rng_of, sentences
from bench.train.pairs import Pair


class Config(Strict):
    """Corpora, the most documents of all, sentences of each, and words of a sentence and of its passage."""

    kind: Literal["cloze"]
    corpora: list[str] = Field(default=[])
    most: int | None = Field(default=None, ge=1)
    per_document: int = Field(default=1, ge=1)
    least_words: int = Field(default=5, ge=1)
    most_words: int = Field(default=60, ge=1)
    least_rest: int = Field(default=10, ge=1)
    weight: float = Field(default=1.0, gt=0, le=1)


def pairs(config: Config, context: Context) -> Iterator[Pair]:
    """Up to `per_document` pairs for each document, sentences drawn with the seed, documents in the corpus' order."""
    for corpus, doc_id, text in chosen_documents(context, config.corpora, config.most):
        spans = [
            (start, end)
            for start, end in sentences(text)
            if config.least_words <= count_words(text[start:end]) <= config.most_words
            and count_words(text[:start]) + count_words(text[end:]) >= config.least_rest
        ]
        if not spans:
            context.count("documents left out: no sentence of that length in a passage of that length")
            continue
        drawn = rng_of(context, "cloze", corpus, doc_id).permutation(len(spans))[: config.per_document]
        for start, end in (spans[i] for i in sorted(drawn.tolist())):
            query = " ".join(text[start:end].split())
            rest = " ".join(part for part in (text[:start].strip(), text[end:].strip()) if part)
            rule = f"sentence at {start}-{end} → the rest"
            provenance = {"document": doc_id, "rule": rule, "seed": str(context.seed)}
            yield Pair("", query, doc_id, rest, corpus, "cloze", weight=config.weight, provenance=provenance)
