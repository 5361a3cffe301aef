"""Clicks: documents that readers found relevant, by a log of result pages.

The log and the estimate are those of the suite source `clicks`: a click counts 1 / P(looked at its rank). The estimate,
a share of readers, is the pair's weight. A log that a suite's dev or evaluation set was made of is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from bench.base.errors import HeldOutError
from bench.config import Strict
from bench.records import EVALUATION_ROLES
from bench.suites.sources.clicks import Options, asked_for, grade_of
from bench.suites.suite import declaration
from bench.train.origins import Context
from bench.train.origins._shared import opened, pairs_errors
from bench.train.pairs import Pair


class Config(Strict):
    """The log, its columns, and the weights of its clicks; see the source `clicks`."""

    kind: Literal["clicks"]
    path: str
    corpus: str | None = None
    eta: float = Field(default=1.0, ge=0, le=5, strict=False)
    max_weight: float = Field(default=20.0, ge=1, strict=False)
    min_impressions: int = Field(default=5, ge=1)
    min_looks: float = Field(default=1.0, ge=0, strict=False)
    grades: list[float] = Field(default=[0.1, 0.3], min_length=1)
    query: str = "query"
    shown: str = "shown"
    clicked: str = "clicked"
    separator: str = ""

    @field_validator("grades")
    @classmethod
    def _rising(cls, grades: list[float]) -> list[float]:
        if grades != sorted(set(grades)) or grades[0] <= 0:
            raise ValueError("expected rising numbers above 0, such as [0.1, 0.3]")
        return grades


def pairs(config: Config, context: Context) -> Iterator[Pair]:
    """Every document that reaches grade 1 under a query, queries in the order of their texts.

    Raises:
        HeldOutError: the suite's dev or evaluation queries were made of this log.
        PairsError: with file and line, for a page that cannot be read.
    """
    path = opened(context, config.path, roles=("dev", *EVALUATION_ROLES))
    folder = Path(context.suite.path)
    if any((folder / name).exists() for name in ("suite.toml", "corpus.jsonl")):
        origin = declaration(folder).origin
        if origin.get("kind") == "clicks" and origin.get("location") == path.name:
            raise HeldOutError(
                f'{path}: suite "{context.suite.name}" was made of a click log of this name, and judges by it. Train '
                "on another period's log, under another name."
            )
    corpora = context.corpora([config.corpus] if config.corpus else [])
    options = Options(corpus="", **config.model_dump(exclude={"kind", "path", "corpus"}))
    with pairs_errors():
        estimates_of = asked_for(path, options)
    for query, estimates in estimates_of.items():
        context.count("queries read")
        for doc_id, estimate in sorted(estimates.items(), key=lambda item: (-item[1], item[0])):
            grade = grade_of(estimate, options)
            corpus = next((corpus for corpus in corpora if doc_id in corpus.row_of), None)
            if grade < 1:
                context.count("documents left out: clicked too seldom")
            elif corpus is None:
                context.count("documents left out: in no corpus of the suite")
            else:
                document = corpus.texts[corpus.row_of[doc_id]]
                # A pair comes from all lines that show its document.
                provenance = {"file": path.name, "estimate": f"{estimate:g}", "eta": f"{config.eta:g}"}
                weight = min(1.0, estimate)
                yield Pair("", query, doc_id, document, corpus.name, "clicks", grade, weight, provenance)
