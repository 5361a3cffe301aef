"""Systems, one file a kind. A file's name is the kind's name in `bench.toml`; listing them imports nothing.

Each file has a `Config` (a `SystemConfig` with the kind's own keys) and `build(name, config, context)`, which
returns one system, or several where a config names several dimensions and precisions. Keys that name parts have the
type `bench.config.Part`; keys that hold a table with a kind of its own are marked `KindTable`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.base.errors import ConfigError, UsageError, did_you_mean
from bench.base.names import SystemName, table_of
from bench.base.registry import blamed, origin, settled
from bench.base.store import Store
from bench.config import BenchConfig, SystemConfig
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
        systems |= {system.name: system for system in _of_table(table_name, table, context)}
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


def _of_table(name: str, table: Mapping[str, Any], context: Context) -> list[System]:
    """The systems of one table.

    Raises:
        PluginError: another package's kind failed, or what it built is no system of this table.
    """
    module, settings = settled("systems", table, f"systems.{name}")
    kind = str(table["kind"])
    with blamed("systems", kind, f"failed when systems.{name} was built"):
        made: list[System] = list(module.build(name, settings, context))
        if origin("systems", kind) is not None:
            _refuse_misfits(made, name, settings)
    return made


def _refuse_misfits(made: Sequence[System], name: str, settings: SystemConfig) -> None:
    """Refuse systems that would be evaluated otherwise than their table says."""
    if not made or len({system.name for system in made}) < len(made):
        raise ValueError(f"build returned systems {[system.name for system in made]}; expected one or more, by name")
    for system in made:
        wanted = {"kind": settings.kind, "parts": settings.parts, "roles": settings.roles}
        held = {key: getattr(system, key, None) for key in wanted}
        held["parts"] = tuple(held["parts"] or ())
        if table_of(system.name) != name:
            raise ValueError(f'a system\'s name is "{system.name}"; expected "{name}", or "{name}@…" for a size of it')
        for key, value in wanted.items():
            if held[key] != value:
                raise ValueError(f"{type(system).__name__}.{key} is {held[key]!r}; its table says {value!r}")
        for method in ("fingerprint", "search"):
            if not callable(getattr(system, method, None)):
                raise TypeError(f"{type(system).__name__} has no method {method}")


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
