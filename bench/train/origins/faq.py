"""Questions with their answers, from a file or from documents of the suite.

A file is CSV, TSV, JSON lines or Parquet. Documents are taken where the question's field of their line ends in a
question mark.
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
from bench.train.origins._shared import opened, pairs_errors, rows
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
    def _path_or_corpus(self) -> Config:
        if (self.path is None) == (self.corpus is None):
            raise ValueError("a faq has either path, a file, or corpus, whose documents are questions with answers")
        return self


def pairs(config: Config, context: Context) -> Iterator[Pair]:
    """One pair for each question.

    Raises:
        PairsError: with file and line, for a row without question or answer.
        HeldOutError: a file of evaluation data.
    """
    if config.path is not None:
        path = opened(context, config.path)
        for place, provenance, row in rows(path, "A file of questions in Parquet"):
            context.count("questions read")
            texts = []
            for name in (config.question or "question", config.answer or "answer"):
                with pairs_errors():
                    texts.append(text_of(place, row, name).strip())
                if not texts[-1]:
                    raise PairsError(f'{place}: "{name}" is empty; expected a text.')
            yield Pair("", texts[0], "", texts[1], "", "faq", provenance=provenance)
        return
    (corpus,) = context.corpora([config.corpus or ""])
    fields = config.question or "title", config.answer or "text"
    for row in documents(context.suite, corpus.name):
        question, answer = (str(value).strip() if isinstance(value := row.get(name), str) else "" for name in fields)
        if not question or not answer:
            context.count(f'documents left out: no "{fields[0]}" or no "{fields[1]}"')
        elif not config.any_text and not question.endswith(_MARKS):
            context.count(f'documents left out: "{fields[0]}" is no question')
        else:
            provenance = {"document": row["_id"], "question": fields[0], "answer": fields[1]}
            yield Pair("", question, row["_id"], answer, corpus.name, "faq", provenance=provenance)
