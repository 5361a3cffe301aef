"""`[gate]`: rules and ceilings."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from bench.config.base import Strict
from bench.records import Ceiling, Policy, Rule


class RuleConfig(Strict):
    """One gate rule: its scope, and exactly one threshold."""

    role: Literal["held-out", "out-of-distribution"]
    measures: list[str] = Field(default=["recall@10", "ndcg@10"], min_length=1)
    query_set: str | None = None
    slice: str | None = None
    dim: int | None = Field(default=None, ge=1)
    precision: str | None = None
    margin: float | None = Field(default=None, gt=0, lt=1)
    relative_margin: float | None = Field(default=None, gt=0, lt=1)
    minimum: float | None = Field(default=None, gt=0, lt=1)
    keeps: float | None = Field(default=None, gt=0, le=1)
    floor: float | None = Field(default=None, gt=0, lt=1)

    @model_validator(mode="after")
    def _one_threshold(self) -> RuleConfig:
        given = [key for key in ("margin", "relative_margin", "minimum", "keeps") if getattr(self, key) is not None]
        if len(given) != 1:
            raise ValueError(
                f"a rule has exactly one of margin, relative_margin, minimum and keeps; found "
                f"{' and '.join(given) or 'none'}"
            )
        if self.keeps is not None and self.dim is None and self.precision is None:
            raise ValueError("keeps is about a smaller variant of the gated system: name its dim or precision")
        if self.floor is not None and given[0] not in ("margin", "relative_margin"):
            raise ValueError("floor is the least drop that may fail; it stands beside margin or relative_margin")
        if self.floor is not None and self.margin is not None and self.floor > self.margin:
            raise ValueError("floor is larger than margin; a drop beyond the margin could never fail")
        return self


class CeilingConfig(Strict):
    """One ceiling on a cost of the candidate."""

    what: Literal["index_bytes", "latency_ms_p95"]
    at_most: float = Field(gt=0)
    of: str = ""

    @model_validator(mode="after")
    def _relative(self) -> CeilingConfig:
        if self.what == "latency_ms_p95" and self.of in ("", "baseline"):
            raise ValueError(
                'times of different machines or days cannot be compared: at_most is a ratio, and the key "of" names '
                "the system that is timed beside the candidate"
            )
        return self


class GateConfig(Strict):
    """`[gate]`."""

    system: str | None = None
    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    on_inconclusive: Literal["warn", "block"] = "warn"
    baseline: str | None = None
    rules: list[RuleConfig] | None = None
    ceilings: list[CeilingConfig] = []

    def policy(self) -> Policy:
        """The policy that this table states, defaults filled in."""
        rules = Policy().rules
        if self.rules is not None:
            rules = tuple(Rule(**{**dict(rule), "measures": tuple(rule.measures)}) for rule in self.rules)
        ceilings = tuple(Ceiling(**dict(ceiling)) for ceiling in self.ceilings)
        return Policy(rules, self.alpha, self.on_inconclusive, self.system, ceilings)
