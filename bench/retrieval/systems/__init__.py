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
from bench.base.registry import load_kind, origin, plugin_errors
from bench.base.store import Store
from bench.config import BenchConfig, SystemConfig
from bench.records import System


@dataclass(frozen=True)
class Context:
    """What `build` of a kind gets besides its config: the config's folder and the store."""

    base: Path
    store: Store

    @property
    def models(self) -> Path:
        """The folder of fine-tuned models."""
        return self.store.root / "models"


def build(config: BenchConfig, context: Context, *, only: Sequence[str] | None = None) -> dict[str, System]:
    """Systems by name, one for each dimension and precision; parts come before the systems made of them.

    Args:
        config: a checked config.
        context: folders.
        only: names of systems, or of tables for all their systems; their parts are built too. All where None.

    Raises:
        UsageError: an unknown name.
        ConfigError: an unknown part, or systems that are made of one another.
        PluginError: another package's kind failed, or what it built is no system of its table.
    """
    systems: dict[str, System] = {}
    wanted = config.systems if only is None else tables(config, only)
    for table_name, table in config.systems.items():
        if table_name not in wanted:
            continue
        module, settings = load_kind("systems", table, f"systems.{table_name}")
        kind = str(table["kind"])
        with plugin_errors("systems", kind, f"failed when systems.{table_name} was built"):
            built: list[System] = list(module.build(table_name, settings, context))
            if origin("systems", kind) is not None:
                _refuse_misfits(built, table_name, settings)
        systems |= {system.name: system for system in built}
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


def _refuse_misfits(systems: Sequence[System], name: str, settings: SystemConfig) -> None:
    """Refuse systems of another package that differ from their table."""
    names = [system.name for system in systems]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"build returned systems {names}; expected one or more, each with its own name")
    for system in systems:
        if table_of(system.name) != name:
            raise ValueError(f'a system\'s name is "{system.name}"; expected "{name}", or "{name}@…" for a size of it')
        for key in ("kind", "parts", "roles"):
            value, expected = getattr(system, key, None), getattr(settings, key)
            value = tuple(value or ()) if key == "parts" else value
            if value != expected:
                raise ValueError(f"{type(system).__name__}.{key} is {value!r}; its table says {expected!r}")
        for method in ("fingerprint", "search"):
            if not callable(getattr(system, method, None)):
                raise TypeError(f"{type(system).__name__} has no method {method}")


def tables(config: BenchConfig, only: Sequence[str]) -> set[str]:
    """Tables of the named systems and of their parts."""
    todo, needed = [table_of(name) for name in only], set()
    while todo:
        name = todo.pop()
        if name not in config.systems:
            raise UsageError(
                f'No system "{name}" in the config; expected one of {", ".join(config.systems)}.'
                f"{did_you_mean(name, config.systems)}"
            )
        if name not in needed:
            needed.add(name)
            todo += [table_of(part) for part in config.system(name).parts]
    return needed


def selected(systems: Mapping[str, System], only: Sequence[str] | None) -> list[str]:
    """Names of the systems in `only`, in which a table's name stands for all its systems; all where None.

    Raises:
        UsageError: an unknown name.
    """
    if only is None:
        return list(systems)
    names = []
    for name in only:
        matches = [s for s in systems if name in (s, *SystemName.parse(s).larger)]
        if not matches:
            raise UsageError(
                f'No system "{name}"; expected one of {", ".join(systems)}.{did_you_mean(name, list(systems))}'
            )
        names += [s for s in matches if s not in names]
    return names


def variant(systems: Mapping[str, System], name: str, dim: int | None, precision: str | None) -> str:
    """The system that differs from the named one in dimension or precision only.

    Raises:
        ConfigError: its kind has neither, or its table does not list this one.
    """
    system = systems[name]
    table = table_of(name)
    own = (getattr(system, "dim", None), getattr(system, "precision", None))
    wanted = (dim or own[0], precision or own[1])
    for other_name, other in systems.items():
        size = (getattr(other, "dim", None), getattr(other, "precision", None))
        if table_of(other_name) == table and size == wanted:
            return other_name
    rule = " and ".join(f"{k} {v}" for k, v in (("dimension", dim), ("precision", precision)) if v)
    if own[0] is None:
        raise ConfigError(
            f'A gate rule names {rule} of system "{name}", whose kind ({system.kind}) has neither. '
            "Leave it out of the rule, or gate a dense system."
        )
    raise ConfigError(
        f'A gate rule names {rule} of system "{name}", which systems.{table} does not list; add it to its dims or '
        "precision."
    )
