"""Systems, one file a kind. A file's name is the kind's name in `bench.toml`; listing them imports nothing.

Each file has a `Config` (a `SystemConfig` with the kind's own keys) and `build(name, config, context)`, which
returns one system, or several where a config names several dimensions and precisions. Keys that name parts have the
type `bench.config.Part`; keys that hold a table with a kind of its own are marked `KindTable`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.base.errors import ConfigError, UsageError, did_you_mean
from bench.base.names import SystemName, table_of
from bench.base.registry import settled
from bench.base.store import Store
from bench.config import BenchConfig
from bench.records import System

__all__ = ["Context", "build", "selected", "tables", "variant"]


@dataclass(frozen=True)
class Context:
    """What a kind's file may look at: the config's folder, and the working folder."""

    base: Path
    store: Store

    @property
    def models(self) -> Path:
        """Where fine-tuned models live."""
        return self.store.root / "models"


def build(config: BenchConfig, context: Context, *, only: Sequence[str] | None = None) -> dict[str, System]:
    """Systems by name, dimensions and precisions expanded, in an order in which parts come first.

    Args:
        config: a checked config.
        context: folders.
        only: names wanted (expanded ones, or a table's name for all that it expands to); parts they need come
            along. None means all.

    Raises:
        UsageError: a wanted name that is none.
        ConfigError: a part that is none, or systems that are made of one another.
    """
    systems: dict[str, System] = {}
    wanted_tables = None if only is None else tables(config, only)
    for table_name, table in config.systems.items():
        if wanted_tables is not None and table_name not in wanted_tables:
            continue
        module, settings = settled("systems", table, f"systems.{table_name}")
        systems |= {system.name: system for system in module.build(table_name, settings, context)}
    for system in systems.values():
        for part in system.parts:
            if part not in systems:
                raise ConfigError(
                    f'System "{system.name}" is made of "{part}"; expected one of {", ".join(systems)}.'
                    f"{did_you_mean(part, systems)}"
                )
    ordered: dict[str, System] = {}

    def place(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            raise ConfigError(f"Systems are made of one another: {' → '.join((*path, name))}.")
        for part in systems[name].parts:
            place(part, (*path, name))
        ordered.setdefault(name, systems[name])

    for name in systems:
        place(name, ())
    return ordered


def tables(config: BenchConfig, only: Sequence[str]) -> set[str]:
    """Tables needed for the wanted names, their parts' tables included."""
    todo, found = [table_of(name) for name in only], set()
    while todo:
        name = todo.pop()
        if name not in config.systems:
            raise UsageError(
                f'No system "{name}" in the config; expected one of {", ".join(config.systems)}.'
                f"{did_you_mean(name, config.systems)}"
            )
        if name not in found:
            found.add(name)
            todo += [table_of(part) for part in config.system(name).parts]
    return found


def selected(systems: Mapping[str, System], only: Sequence[str] | None) -> list[str]:
    """Expanded names that `only` asks for: a table's name stands for all that it expands to.

    Raises:
        UsageError: a name that is none.
    """
    if only is None:
        return list(systems)
    names = []
    for name in only:
        found = [s for s in systems if name in (s, *SystemName.parse(s).larger)]
        if not found:
            raise UsageError(
                f'No system "{name}"; expected one of {", ".join(systems)}.{did_you_mean(name, list(systems))}'
            )
        names += [s for s in found if s not in names]
    return names


def variant(systems: Mapping[str, System], name: str, dim: int | None, precision: str | None) -> str:
    """The system that differs from the named one in dimension or precision only.

    Raises:
        ConfigError: its kind has none, or its table does not list this one.
    """
    system = systems[name]
    table = table_of(name)
    size, kept = getattr(system, "dim", None), getattr(system, "precision", None)
    wanted = (dim or size, precision or kept)
    for other_name, other in systems.items():
        theirs = (getattr(other, "dim", None), getattr(other, "precision", None))
        if table_of(other_name) == table and theirs == wanted:
            return other_name
    asked = " and ".join(f"{k} {v}" for k, v in (("dimension", dim), ("precision", precision)) if v)
    if size is None:
        raise ConfigError(
            f'A gate rule asks for {asked} of system "{name}", whose kind ({system.kind}) has neither. '
            "Leave it out of the rule, or gate a dense system."
        )
    raise ConfigError(
        f'A gate rule asks for {asked} of system "{name}", which systems.{table} does not list; add it to its dims or '
        "precision."
    )
