"""Questions with their answers: a file of them, or documents of the suite that are such.

A file is CSV, TSV, JSON lines or Parquet. Documents are taken where a stated field of their line holds a question, told
by its question mark.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field, model_validator

from bench.base.errors import PairsError
from bench.base.files.rows import text_of
from bench.config import Strict
from bench.suites.suite import documents
from bench.train.origins import Context
from bench.train.origins._shared import opened, rows, stated
from bench.train.pairs import Pair

_MARKS = ("?", "？", "؟", "՞", "፧", "⁇")


class Config(Strict):
    """A file by `path`, or a corpus by name; the fields of question and answer."""

    kind: Literal["faq"]
    path: str | None = None
    corpus: str | None = None
    question: str = ""
    answer: str = ""
    any_text: bool = Field(default=False, description="of documents: take questions without a question mark too")

    @model_validator(mode="after")
    def _one(self) -> Config:
        if (self.path is None) == (self.corpus is None):
            raise ValueError("a faq has either path, a file, or corpus, whose documents are questions with answers")
        return self


def pairs(config: Config, context: Context) -> Iterator[Pair]:
    """One pair for each question.

    Raises:
        PairsError: with file and line, for a row without question or answer.
        HeldOutError: a file of evaluation data.
    """
    yield from _of_file(config, context) if config.path is not None else _of_corpus(config, context)


def _of_file(config: Config, context: Context) -> Iterator[Pair]:
    path = opened(context, config.path or "")
    for place, provenance, row in rows(path, "A file of questions in Parquet"):
        context.count("questions read")
        texts = []
        for name in (config.question or "question", config.answer or "answer"):
            with stated():
                texts.append(text_of(place, row, name).strip())
            if not texts[-1]:
                raise PairsError(f'{place}: "{name}" is empty; expected a text.')
        yield Pair("", texts[0], "", texts[1], "", "faq", provenance=provenance)


def _of_corpus(config: Config, context: Context) -> Iterator[Pair]:
    (corpus,) = context.corpora([config.corpus or ""])
    question, answer = config.question or "title", config.answer or "text"
    for row in documents(context.suite, corpus.name):
        asked, said = row.get(question), row.get(answer)
        if not isinstance(asked, str) or not asked.strip() or not isinstance(said, str) or not said.strip():
            context.count(f'documents left out: no "{question}" or no "{answer}"')
        elif not config.any_text and not asked.strip().endswith(_MARKS):
            context.count(f'documents left out: "{question}" is no question')
        else:
            provenance = {"document": row["_id"], "question": question, "answer": answer}
            yield Pair("", asked.strip(), row["_id"], said.strip(), corpus.name, "faq", provenance=provenance)
