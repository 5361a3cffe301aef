"""`bench.toml`: what is under test."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from bench.config.base import Strict
from bench.config.decide import DecideConfig
from bench.config.finetune import FinetuneConfig
from bench.config.gate import GateConfig
from bench.config.pairs import PairsConfig


class Demands(BaseModel):
    """What of `bench.toml` says by what a change is judged; the rest says what the change is."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    suites: list[str] = Field(min_length=1)
    store: str = ".bench"
    gate: GateConfig = GateConfig()


class BenchConfig(Strict):
    """`bench.toml`. Tables under `systems`, and under `from` in `pairs`, are checked by the file of their kind."""

    suites: list[str] = Field(min_length=1)
    store: str = ".bench"
    reports: str = "reports"
    history: str | None = None
    systems: dict[str, dict[str, Any]] = Field(min_length=1)
    pairs: dict[str, PairsConfig] = {}
    finetune: dict[str, FinetuneConfig] = {}
    gate: GateConfig = GateConfig()
    decide: DecideConfig = DecideConfig()


class SystemConfig(Strict):
    """Keys that every system knows beside its own. `roles`: query sets it is evaluated on; None means all."""

    kind: str
    roles: list[Literal["held-out", "out-of-distribution"]] | None = Field(default=None, min_length=1)
