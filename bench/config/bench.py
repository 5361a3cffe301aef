"""`bench.toml`: what is under test."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from bench.base.names import ModelName
from bench.base.registry import KindTable, PartName, load_kind, replace_marked
from bench.config.base import Strict
from bench.config.decide import DecideConfig
from bench.config.finetune import FinetuneConfig
from bench.config.gate import GateConfig
from bench.config.pairs import PairsConfig


class Demands(BaseModel):
    """The keys of `bench.toml` that judge a change, and that a gate takes from the base branch."""

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
        """A table of `[systems]` as its kind's model."""
        config: SystemConfig = load_kind("systems", self.systems[table], f"systems.{table}")[1]
        return config


Part = Annotated[str, PartName()]
"""The type of a key that names a part of a system, itself a system; `list[Part]` for several."""


@dataclass(frozen=True)
class DecideOption:
    """An option of `bench decide` that a kind of system stands for, and its costs.

    `name` is an option that `bench decide` knows ("bm25", "embedding", "hybrid", "rerank", …), or a new one, which has
    a `label`, `work` (the necessary work, in words) and `effort` (a rank: hybrid 3, rerank 5, fine-tune 10).

    `stores` names what is stored of the documents. `per_query` maps the stages of a run's seconds that every query
    costs to what they do. `beats` names the parts that the system must be shown to beat: all of them, or the first,
    whose list it starts from.
    """

    name: str = "other"
    label: str = ""
    work: str = "what that system takes"
    effort: float = 7
    stores: str = "index"
    per_query: Mapping[str, str] = field(default_factory=dict)
    beats: Literal["parts", "first"] = "parts"


class SystemConfig(Strict):
    """Keys that every system has beside its own. `roles`: query sets it is evaluated on; None means all.

    A kind says in `option` what it is to `bench decide`.
    """

    option: ClassVar[DecideOption] = DecideOption()

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        """Refuse a kind whose `option` is another object, such as a key of its table."""
        if not isinstance(getattr(cls, "option", None), DecideOption):
            raise TypeError(f"{cls.__name__}.option is no bench.config.DecideOption, which bench decide asks for")

    kind: str
    roles: list[Literal["held-out", "out-of-distribution"]] | None = Field(default=None, min_length=1)

    @property
    def parts(self) -> tuple[str, ...]:
        """Systems that are parts of this one, in the order of the keys that name them."""
        parts: list[str] = []
        replace_marked(type(self), self.model_dump(by_alias=True), PartName, lambda _, part, __: parts.append(part))
        return tuple(parts)

    def rebuilt(self, swap: Callable[[str], str]) -> dict[str, Any]:
        """The table with every part exchanged for another one."""
        table = self.model_dump(by_alias=True, exclude_unset=True)
        return replace_marked(type(self), table, PartName, lambda _, part, __: swap(part))

    @property
    def recipes(self) -> tuple[str, ...]:
        """Recipes whose fine-tuned or promoted models the table itself names, not through a part."""
        recipes = (ModelName.parse(text).recipe for text in texts(self.model_dump(by_alias=True)))
        return tuple(dict.fromkeys(filter(None, recipes)))


def texts(value: Any) -> Iterator[str]:
    """Every text in a table's values, at any depth."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (Mapping, list, tuple)):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from texts(inner)
