"""Click logs: result pages and the clicks on them, as graded judgements.

A line is one page: a query, the documents in the order shown, and those that were clicked. A click says that the reader
looked at the document *and* took it for relevant, and readers look less at lower ranks. So each click counts
1 / P(look), with P(look | rank) = (1 / rank)^eta, and the mean over all pages that showed the document is an unbiased
estimate of the share of readers who, looking at it, take it for relevant, as far as eta is true of this log.

Clicks validate models that synthetic pairs have trained, so such a set is held-out or dev, never train.

Source: Joachims, Swaminathan & Schnabel 2017, "Unbiased Learning-to-Rank with Biased Feedback", WSDM: inverse
propensity weights, and this model of examination, with eta 1 unless a better value is known.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from bench.base.errors import SuiteError
from bench.base.files.rows import field_of, read_rows, text_of
from bench.config import Strict
from bench.suites.sources import Collection, Document, Judgement, Part, Query, jsonl, judgements_of
from bench.suites.text import normalized, text_hash


class Options(Strict):
    """Settings of a click log."""

    corpus: str  # the documents: JSON lines with _id, title, text
    eta: float = Field(default=1.0, ge=0, le=5, strict=False)  # with 0, readers look at every rank alike
    max_weight: float = Field(default=20.0, ge=1, strict=False)  # the most that one click counts
    min_impressions: int = Field(default=5, ge=1, strict=False)  # pages that must have shown a document
    min_looks: float = Field(default=1.0, ge=0, strict=False)  # expected looks that it must have had
    grades: list[float] = Field(default=[0.1, 0.3], min_length=1)  # estimates from which grades 1, 2 … begin
    query: str = "query"  # names of columns
    shown: str = "shown"
    clicked: str = "clicked"
    time: str = "time"  # ISO 8601, if there is such a column
    separator: str = ""  # between ids where a column is text; empty for white space
    role: Literal["held-out", "dev"] = "held-out"
    split: str = "clicks"  # name of the query set
    license: str = ""

    @field_validator("grades")
    @classmethod
    def _rising(cls, grades: list[float]) -> list[float]:
        if grades != sorted(set(grades)) or grades[0] <= 0:
            raise ValueError("expected rising numbers above 0, such as [0.1, 0.3]")
        return grades


@dataclass(slots=True)
class _Clicks:
    """Sums over the pages that show one document under one query."""

    impressions: int = 0
    looks: float = 0.0
    weight: float = 0.0


@dataclass(slots=True)
class _LoggedQuery:
    """One query of the log in all its spellings."""

    spellings: Counter[str] = field(default_factory=Counter)
    clicks: defaultdict[str, _Clicks] = field(default_factory=lambda: defaultdict(_Clicks))
    time: str | None = None

    def spelling(self) -> str:
        """The commonest spelling; of equally common ones, the first in the alphabet."""
        return min(self.spellings, key=lambda spelling: (-self.spellings[spelling], spelling))

    def estimates(self, options: Options) -> dict[str, float]:
        """Document id → estimated share of readers who, looking at it, take it for relevant; 0 to 1."""
        return {
            # The mean of few weights may exceed 1, which no share does. Rounded, so that the order of the lines, in
            # which the sums were added up, does not matter.
            doc_id: round(min(1.0, sums.weight / sums.impressions), 9)
            for doc_id, sums in self.clicks.items()
            if sums.impressions >= options.min_impressions and round(sums.looks, 9) >= options.min_looks
        }


def collection(location: str, options: Options) -> Collection:
    """The log's queries with judgements from its clicks; documents come from `options.corpus`.

    Memory grows with the distinct pairs of query and document, not with the lines. Queries without a document of grade
    1 are left out, since the log does not say what answers them. The order of the log's lines does not matter.

    Raises:
        SuiteError: the log or the corpus is missing.
    """
    path, corpus = Path(location), Path(options.corpus)
    for file in (path, corpus):
        if not file.is_file():
            raise SuiteError(f"{file} is no file; expected a click log, and its documents under corpus.")

    @cache
    def judged() -> dict[str, tuple[Query, dict[str, int]]]:
        rows = {}
        for text, logged in _read(path, options).items():
            # Grade 0 is a judgement too: readers looked and passed over it.
            grades = {d: grade_of(estimate, options) for d, estimate in sorted(logged.estimates(options).items())}
            if any(grades.values()):
                query_id = f"q-{text_hash(text).hex()}"
                rows[query_id] = (Query(query_id, logged.spelling(), time=logged.time), grades)
        if not rows:
            raise SuiteError(
                f"{path}: no document was shown {options.min_impressions} times under one query and clicked often "
                f"enough for grade 1 ({options.grades[0]}). Take a longer log, or lower min_impressions or grades."
            )
        return dict(sorted(rows.items()))

    def documents() -> Iterator[Document]:
        for row in jsonl.read_documents(corpus):
            yield Document(row["_id"], row["text"], row["title"])

    def queries() -> Iterator[Query]:
        return (query for query, _ in judged().values())

    def judgements() -> Iterator[Judgement]:
        return judgements_of({query_id: grades for query_id, (_, grades) in judged().items()})

    origin = {
        "kind": "clicks",
        "location": path.name,
        "license": options.license,
        "estimate": "clicks / (1/rank)^eta, per page shown (Joachims, Swaminathan & Schnabel 2017)",
        "eta": f"{options.eta:g}",
        "max_weight": f"{options.max_weight:g}",
        "min_impressions": str(options.min_impressions),
        "min_looks": f"{options.min_looks:g}",
        "grades": ", ".join(f"{grade:g}" for grade in options.grades),
    }
    return Collection(path.stem, documents, (Part(options.split, queries, judgements, options.role),), origin)


def asked_for(path: Path, options: Options) -> dict[str, dict[str, float]]:
    """Query → document id → estimated share of readers who, looking at it, take it for relevant; 0 to 1.

    Each query is in its commonest spelling; they are in the order of the normalized texts. Documents that were shown
    or, by expectation, looked at too seldom are left out.

    Raises:
        SuiteError: with file and line, for a page that cannot be read.
    """
    return {logged.spelling(): logged.estimates(options) for _, logged in sorted(_read(path, options).items())}


def grade_of(estimate: float, options: Options) -> int:
    """The grade that an estimate reaches; 0 below the first."""
    return sum(estimate >= grade for grade in options.grades)


def _read(path: Path, options: Options) -> dict[str, _LoggedQuery]:
    """Normalized text → the query's pages, summed up."""
    queries: defaultdict[str, _LoggedQuery] = defaultdict(_LoggedQuery)
    for place, row in read_rows(path, part="A click log in Parquet"):
        text = text_of(place, row, options.query)
        if not normalized(text):
            raise SuiteError(f'{place}: "{options.query}" is empty; expected the text of a search.')
        shown, clicked = _ids(place, row, options.shown, options), _ids(place, row, options.clicked, options)
        if len(set(shown)) < len(shown):
            twice = next(doc_id for doc_id in shown if shown.count(doc_id) > 1)
            raise SuiteError(f'{place}: document "{twice}" is shown twice on one page; expected a ranking.')
        if unknown := [doc_id for doc_id in clicked if doc_id not in shown]:
            raise SuiteError(f'{place}: document "{unknown[0]}" was clicked but is not among those shown.')
        query = queries[normalized(text)]
        query.spellings[" ".join(text.split())] += 1
        if (time := row.get(options.time)) and isinstance(time, str):
            query.time = min(query.time or time, time)
        clicks = set(clicked)
        for rank, doc_id in enumerate(shown, 1):
            look = rank**-options.eta
            sums = query.clicks[doc_id]
            sums.impressions += 1
            sums.looks += look
            if doc_id in clicks:
                # A weight without bound lets one click at rank 50 decide a judgement.
                sums.weight += min(1 / look, options.max_weight)
    return queries


def _ids(place: str, row: dict[str, Any], name: str, options: Options) -> list[str]:
    value = field_of(place, row, name)
    if isinstance(value, str):
        return [part.strip() for part in value.split(options.separator or None) if part.strip()]
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(doc_id, str) and doc_id for doc_id in value):
        raise SuiteError(f'{place}: "{name}" is {json.dumps(value, default=str)[:60]}; expected a list of ids.')
    return value
