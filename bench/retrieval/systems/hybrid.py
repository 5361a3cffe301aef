"""Fusion of other systems' rankings: reciprocal ranks, or a convex combination with its weight tuned on dev."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field, model_validator

from bench.config import DecideOption, Part, Strict, SystemConfig
from bench.records import Corpus, QuerySet, Ranked, Run
from bench.retrieval.search import convex, rrf
from bench.retrieval.systems import Context


class Fusion(Strict):
    """`fusion = { method = "rrf", k = 60 }` or `{ method = "convex", weight = "tune-on-dev" }`.

    `weight` is the share of the second system of `of`; the first gets the rest.
    """

    method: Literal["rrf", "convex"] = "rrf"
    k: int = Field(default=60, ge=1)
    weight: float | Literal["tune-on-dev"] = "tune-on-dev"

    @model_validator(mode="after")
    def _share(self) -> Fusion:
        if isinstance(self.weight, float) and not 0 <= self.weight <= 1:
            raise ValueError("weight must lie between 0 and 1")
        return self


class Config(SystemConfig):
    """`kind = "hybrid"`."""

    option = DecideOption("hybrid")

    of: list[Part] = Field(min_length=2)
    fusion: Fusion = Fusion()

    @model_validator(mode="after")
    def _two(self) -> Config:
        if self.fusion.method == "convex" and len(self.of) != 2:
            raise ValueError("a convex combination takes exactly two systems; use rrf for more")
        return self


def build(name: str, config: Config, context: Context) -> list[Hybrid]:
    """One system."""
    return [Hybrid(name, config)]


class Hybrid:
    """Fused rankings. `weight` is None until the evaluator has tuned it, where the config says so."""

    kind = "hybrid"

    def __init__(self, name: str, config: Config) -> None:
        self.name, self.config, self.roles = name, config, config.roles
        self.parts = config.parts
        self.weight: float | None = None if isinstance(config.fusion.weight, str) else config.fusion.weight
        self.tunable = config.fusion.method == "convex" and self.weight is None

    def fingerprint(self) -> Mapping[str, Any]:
        """The method and its parameter."""
        fusion = self.config.fusion
        if fusion.method == "rrf":
            return {"kind": self.kind, "method": "rrf", "k": fusion.k}
        return {"kind": self.kind, "method": "convex", "weight": self.weight}

    def search(self, corpus: Corpus, queries: QuerySet, *, depth: int, parts: Sequence[Run]) -> Ranked:
        """The parts' rankings, fused."""
        started = time.perf_counter()
        if self.config.fusion.method == "rrf":
            docs, scores = rrf(parts, corpus.row_of, k=self.config.fusion.k)
        else:
            docs, scores = convex(parts, corpus.row_of, weight=0.5 if self.weight is None else self.weight)
        sizes = [part.index_bytes for part in parts if part.index_bytes is not None]
        total = sum(sizes) if len(sizes) == len(parts) else None
        return Ranked(docs, scores, {"fuse": time.perf_counter() - started}, total)
