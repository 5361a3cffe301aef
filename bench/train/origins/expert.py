"""Pairs that people wrote down: a CSV, TSV, JSON-lines or Parquet file of queries and documents.

A row has a query and either a document's id in the suite's corpus or its text. A text that a corpus of the suite has
is that document. Rows of grade 0 or below are no pairs; they are counted and left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import Field

from bench.base.errors import ConfigError, PairsError, did_you_mean, excerpt
from bench.base.files.rows import id_of, text_of
from bench.config import Strict
from bench.records import Corpus
from bench.suites.text import normalized
from bench.train.origins import Context
from bench.train.origins._shared import opened, pairs_errors, rows
from bench.train.pairs import Pair

_WHOLE = re.compile(r"[+-]?[0-9]{1,9}")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")


class Config(Strict):
    """The file, and the names of its columns; grade, weight and query_id may be absent."""

    kind: Literal["expert"]
    path: str
    corpus: str | None = None
    query: str = "query"
    document: str = "document"
    doc_id: str = "doc_id"
    query_id: str = "query_id"
    grade: str = "grade"
    weight: str = "weight"
    default_weight: float = Field(default=1.0, gt=0, le=1)


def pairs(config: Config, context: Context) -> Iterator[Pair]:
    """One pair a row, in the file's order.

    Raises:
        PairsError: with file and line, for a row that is no pair.
        HeldOutError: a file of evaluation data.
        ConfigError: an id that several corpora have.
    """
    path = opened(context, config.path)
    corpora = context.corpora([config.corpus] if config.corpus else [])
    place_of: dict[str, tuple[str, str]] = {}
    for place, provenance, row in rows(path, "A pair file in Parquet"):
        context.count("rows read")
        with pairs_errors():
            query = text_of(place, row, config.query)
        grade, weight = _grade(place, row, config.grade), _weight(place, row, config)
        if grade < 1:
            context.count("rows left out: grade 0")
            continue
        with pairs_errors():
            if row.get(config.doc_id) not in (None, ""):
                doc_id = id_of(place, row, config.doc_id)
                corpus = _corpus_of(place, doc_id, corpora)
                name, document = corpus.name, corpus.texts[corpus.row_of[doc_id]]
            else:
                document = text_of(place, row, config.document)
                place_of = place_of or {
                    normalized(text): (c.name, d) for c in corpora for d, text in zip(c.ids, c.texts, strict=True)
                }
                name, doc_id = place_of.get(normalized(document), ("", ""))
        for column, text in ((config.query, query), (config.document, document)):
            if not text.strip():
                raise PairsError(f'{place}: "{column}" is empty; expected a text.')
        query_id = "" if row.get(config.query_id) is None else str(row[config.query_id])
        yield Pair(query_id, query, doc_id, document, name, "expert", grade, weight, provenance)


def _corpus_of(place: str, doc_id: str, corpora: list[Corpus]) -> Corpus:
    having = [corpus for corpus in corpora if doc_id in corpus.row_of]
    if len(having) > 1:
        raise ConfigError(
            f'{place}: document "{excerpt(doc_id)}" stands in {" and ".join(c.name for c in having)}; say which is '
            'meant: corpus = "…".'
        )
    if not having:
        known = [doc_id for corpus in corpora for doc_id in corpus.ids]
        raise PairsError(
            f'{place}: no document "{excerpt(doc_id)}" in {", ".join(c.name for c in corpora)}.'
            f"{did_you_mean(doc_id, known)}"
        )
    return having[0]


def _grade(place: str, row: Mapping[str, Any], name: str) -> int:
    """A grade; 1 where there is none."""
    value = row.get(name)
    if value is None or value == "":
        return 1
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise PairsError(f'{place}: "{name}" is {excerpt(repr(value))}; expected a whole number.')


def _weight(place: str, row: Mapping[str, Any], config: Config) -> float:
    """A weight above 0, at most 1; the default where there is none."""
    value = row.get(config.weight)
    if value is None or value == "":
        return config.default_weight
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 1:
        raise PairsError(f'{place}: "{config.weight}" is {excerpt(repr(value))}; expected a number above 0, at most 1.')
    return float(value)
