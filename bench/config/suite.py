"""`suite.toml`: what is measured."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator

from bench.base.errors import did_you_mean
from bench.config.base import Role, Strict

SLICES = ("length", "overlap", "judgements")
"""Slices that are computed; `field:NAME` slices by a key of the query's line."""


class CorpusConfig(Strict):
    """Where documents come from."""

    source: Literal["jsonl", "beir"] = "jsonl"
    path: str


class QuerySetConfig(Strict):
    """Queries of one role, and the judgements on them."""

    name: str
    role: Role
    corpus: str
    queries: str | None = None
    qrels: str | None = None
    split: str | None = None
    description: str = ""
    why: str = ""
    derived_from: str | None = None


class SuiteConfig(Strict):
    """`suite.toml`."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    version: int = Field(default=1, ge=1)
    description: str = ""
    license: str = ""
    origin: dict[str, str] = {}
    measures: list[str] = Field(default=["recall@10", "ndcg@10", "mrr@10", "recall@100"], min_length=1)
    depth: int = Field(default=100, ge=1)
    relevance_level: int = Field(default=1, ge=1)
    drop_self: bool = False
    share_documents: bool = False
    slices: list[str] = []
    corpora: dict[str, CorpusConfig] = Field(min_length=1)
    query_sets: list[QuerySetConfig] = Field(min_length=1)

    @field_validator("slices")
    @classmethod
    def _known_slices(cls, kinds: list[str]) -> list[str]:
        for kind in kinds:
            if kind not in SLICES and not re.fullmatch(r"field:\S+", kind):
                hint = did_you_mean(kind, SLICES)
                raise ValueError(f'"{kind}" is none of {", ".join(SLICES)}, field:NAME.{hint}')
        return kinds
