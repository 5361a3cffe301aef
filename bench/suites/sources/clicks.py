"""Click logs: pages of results as they were shown, and what was clicked, as graded judgements.

A line is one page: a query, the documents in the order in which they stood, those that were clicked. A click says that
the document was looked at *and* taken for relevant, and what stands low is looked at less. So each click counts
1 / P(looked at), with P(looked at | rank) = (1 / rank)^eta, and the mean over all pages that showed the document is an
unbiased estimate of how often a reader who sees it takes it for relevant, as far as eta is true of this log.

Clicks validate what synthetic pairs have trained; such a set is held-out or dev, never train.

Source: Joachims, Swaminathan & Schnabel 2017, "Unbiased Learning-to-Rank with Biased Feedback", WSDM: inverse
propensity weights, and this model of examination, whose eta is 1 where nothing better is known.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
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
from bench.suites.sources import Collection, Document, Judgement, Part, Query, jsonl


class Options(Strict):
    """What may be said about a click log."""

    corpus: str = Field(description="the documents: JSON lines with _id, title, text")
    eta: float = Field(default=1.0, ge=0, le=5, strict=False, description="0: every rank is looked at alike")
    max_weight: float = Field(default=20.0, ge=1, strict=False, description="the most that one click counts")
    min_impressions: int = Field(default=5, ge=1, strict=False, description="pages that must have shown a document")
    min_looks: float = Field(default=1.0, ge=0, strict=False, description="expected looks that it must have had")
    grades: list[float] = Field(
        default=[0.1, 0.3], min_length=1, description="estimates from which grades 1, 2 … begin"
    )
    query: str = Field(default="query", description="name of the column")
    shown: str = Field(default="shown", description="name of the column")
    clicked: str = Field(default="clicked", description="name of the column")
    time: str = Field(default="time", description="name of the column, ISO 8601, if there is one")
    separator: str = Field(default="", description="between ids where a column is text; white space unless named")
    role: Literal["held-out", "dev"] = "held-out"
    split: str = Field(default="clicks", description="name of the query set")
    license: str = ""

    @field_validator("grades")
    @classmethod
    def _rising(cls, grades: list[float]) -> list[float]:
        if grades != sorted(set(grades)) or grades[0] <= 0:
            raise ValueError("expected rising numbers above 0, such as [0.1, 0.3]")
        return grades


@dataclass(slots=True)
class _Shown:
    """What the log says of one document under one query."""

    impressions: int = 0
    looks: float = 0.0
    weight: float = 0.0


@dataclass(slots=True)
class _Asked:
    """What the log says of one query, however it was spelled."""

    spellings: Counter[str] = field(default_factory=Counter)
    shown: defaultdict[str, _Shown] = field(default_factory=lambda: defaultdict(_Shown))
    time: str | None = None


def collection(location: str, options: Options) -> Collection:
    """The log's queries with judgements from its clicks; documents come from `options.corpus`.

    Memory grows with the distinct pairs of query and document, not with the lines. Queries of which no document reaches
    grade 1 are left out: the log does not say what would answer them. The same log in another order gives the same.

    Raises:
        SuiteError: the log or the corpus is missing.
    """
    path, corpus = Path(location), Path(options.corpus)
    for file in (path, corpus):
        if not file.is_file():
            raise SuiteError(f"{file} is no file; expected a click log, and its documents under corpus.")

    @cache
    def judged() -> dict[str, tuple[Query, dict[str, int]]]:
        found = {}
        for text, asked in _read(path, options).items():
            grades = _grades(asked, options)
            if any(grades.values()):
                query_id = "q-" + hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
                found[query_id] = (Query(query_id, _spelling(asked), time=asked.time), grades)
        if not found:
            raise SuiteError(
                f"{path}: no document was shown {options.min_impressions} times under one query and clicked often "
                f"enough for grade 1 ({options.grades[0]}). Take a longer log, or lower min_impressions or grades."
            )
        return dict(sorted(found.items()))

    def documents() -> Iterator[Document]:
        for row in jsonl.read_documents(corpus):
            yield Document(row["_id"], row["text"], row["title"])

    def queries() -> Iterator[Query]:
        for query, _ in judged().values():
            yield query

    def judgements() -> Iterator[Judgement]:
        for query_id, (_, grades) in judged().items():
            for doc_id, grade in sorted(grades.items()):
                yield query_id, doc_id, grade

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


def attractions(path: Path, options: Options) -> dict[str, dict[str, float]]:
    """Query text (levelled) → document id → estimated share of readers who, seeing it, take it for relevant; 0 to 1.

    Only documents that were shown, and by expectation looked at, often enough.

    Raises:
        SuiteError: with file and line, for a page that cannot be read.
    """
    return {text: _estimates(asked, options) for text, asked in _read(path, options).items()}


def asked_for(path: Path, options: Options) -> dict[str, dict[str, float]]:
    """As `attractions`, each query in its commonest spelling, in the order of the levelled texts.

    Raises:
        SuiteError: with file and line, for a page that cannot be read.
    """
    return {_spelling(asked): _estimates(asked, options) for _, asked in sorted(_read(path, options).items())}


def grade_of(estimate: float, options: Options) -> int:
    """The grade that an estimate reaches; 0 below the first."""
    return sum(estimate >= grade for grade in options.grades)


def _spelling(asked: _Asked) -> str:
    # The commonest; of equals, the first in the alphabet.
    return min(asked.spellings, key=lambda s: (-asked.spellings[s], s))


def _read(path: Path, options: Options) -> dict[str, _Asked]:
    found: defaultdict[str, _Asked] = defaultdict(_Asked)
    for place, row in read_rows(path, part="A click log in Parquet"):
        text = text_of(place, row, options.query)
        levelled = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
        if not levelled:
            raise SuiteError(f'{place}: "{options.query}" is empty; expected what was searched for.')
        shown, clicked = _ids(place, row, options.shown, options), _ids(place, row, options.clicked, options)
        if len(set(shown)) < len(shown):
            twice = next(doc_id for doc_id in shown if shown.count(doc_id) > 1)
            raise SuiteError(f'{place}: document "{twice}" is shown twice on one page; expected a ranking.')
        if strange := [doc_id for doc_id in clicked if doc_id not in shown]:
            raise SuiteError(f'{place}: document "{strange[0]}" was clicked but is not among those shown.')
        asked = found[levelled]
        asked.spellings[" ".join(text.split())] += 1
        if (time := row.get(options.time)) and isinstance(time, str):
            asked.time = min(asked.time or time, time)
        taken = set(clicked)
        for rank, doc_id in enumerate(shown, 1):
            looked = rank**-options.eta
            entry = asked.shown[doc_id]
            entry.impressions += 1
            entry.looks += looked
            if doc_id in taken:
                # A weight without bound lets one click at rank 50 decide a judgement.
                entry.weight += min(1 / looked, options.max_weight)
    return found


def _estimates(asked: _Asked, options: Options) -> dict[str, float]:
    return {
        # The mean of few weights may exceed 1, which no share does. Rounded, so that the order of the lines, in which
        # the sums were made, does not show.
        doc_id: round(min(1.0, entry.weight / entry.impressions), 9)
        for doc_id, entry in asked.shown.items()
        if entry.impressions >= options.min_impressions and round(entry.looks, 9) >= options.min_looks
    }


def _grades(asked: _Asked, options: Options) -> dict[str, int]:
    """Document id → grade; 0 is a judgement too: it was looked at and passed over."""
    return {doc_id: grade_of(estimate, options) for doc_id, estimate in _estimates(asked, options).items()}


def _ids(place: str, row: dict[str, Any], name: str, options: Options) -> list[str]:
    value = field_of(place, row, name)
    if isinstance(value, str):
        parts = value.split(options.separator) if options.separator else value.split()
        return [part.strip() for part in parts if part.strip()]
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(doc_id, str) and doc_id for doc_id in value):
        raise SuiteError(f'{place}: "{name}" is {json.dumps(value, default=str)[:60]}; expected a list of ids.')
    return value
