"""`bench.toml`: what is under test."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from bench.base.registry import KindTable, PartName, part_keys, settled
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
    systems: dict[str, Annotated[dict[str, Any], KindTable("systems")]] = Field(min_length=1)
    pairs: dict[str, PairsConfig] = {}
    finetune: dict[str, FinetuneConfig] = {}
    gate: GateConfig = GateConfig()
    decide: DecideConfig = DecideConfig()

    def system(self, table: str) -> SystemConfig:
        """A table of `[systems]` as its kind reads it."""
        config: SystemConfig = settled("systems", self.systems[table], f"systems.{table}")[1]
        return config


Part = Annotated[str, PartName()]
"""The type of a key that names a system of which this one is made; `list[Part]` for several."""


class SystemConfig(Strict):
    """Keys that every system has beside its own. `roles`: query sets it is evaluated on; None means all.

    A kind says here what `bench decide` needs to know: `option` is what it stands for ("bm25", "embedding", "hybrid",
    "rerank" or "other"), `stores` what is kept of the documents, and `per_query` names the stages of its seconds that
    every query costs, each with what it does, in words.
    """

    option: ClassVar[str] = "other"
    stores: ClassVar[str] = "index"
    per_query: ClassVar[Mapping[str, str]] = {}

    kind: str
    roles: list[Literal["held-out", "out-of-distribution"]] | None = Field(default=None, min_length=1)

    @property
    def parts(self) -> tuple[str, ...]:
        """Systems that this one is made of, in the order of the keys that name them."""
        table = self.model_dump(by_alias=True)
        named = [table[key] for key in part_keys(type(self)) if table[key] is not None]
        return tuple(part for value in named for part in ([value] if isinstance(value, str) else value))

    def rebuilt(self, swap: Callable[[str], str]) -> dict[str, Any]:
        """The table with every part exchanged for another one."""
        table = self.model_dump(by_alias=True, exclude_unset=True)
        for key in part_keys(type(self)):
            if table.get(key) is not None:
                table[key] = swap(table[key]) if isinstance(table[key], str) else [swap(part) for part in table[key]]
        return table
