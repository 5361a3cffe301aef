"""A folder is a registry: a file's name is the kind's name in a config, and each file has its own `Config`."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from bench.config import listing, problems_of
from bench.errors import ConfigError, did_you_mean, excerpt

__all__ = ["module_of", "nested_problems", "settled", "table_problems"]


def module_of(package: str, kind: str) -> Any:
    """The module of a kind; `package` is a folder of bench, such as "systems" or "train/origins"."""
    return importlib.import_module(f"bench.{package.replace('/', '.')}.{kind.replace('-', '_')}")


def settled(package: str, table: Mapping[str, Any], place: str) -> tuple[Any, Any]:
    """The module of a table's kind, and the table as this module's `Config`.

    Raises:
        ConfigError: all that is wrong with it, one a line.
    """
    if problems := table_problems(package, table, place):
        raise ConfigError("\n".join(problems))
    module = module_of(package, str(table["kind"]))
    return module, module.Config.model_validate(dict(table))


def nested_problems(package: str, table: Mapping[str, Any], place: str) -> list[str]:
    """`table_problems`, and those of the tables in it that have kinds of their own: the module's `TABLES` by key."""
    problems = table_problems(package, table, place)
    inner: Mapping[str, str] = {} if problems else getattr(module_of(package, str(table["kind"])), "TABLES", {})
    return problems + [
        problem for key, kinds in inner.items() for problem in table_problems(kinds, table[key], f"{place}.{key}")
    ]


def table_problems(package: str, table: Mapping[str, Any], place: str) -> list[str]:
    """What is wrong with a table that has a `kind`, a sentence each; `place` is its file and its name there."""
    kind, known = table.get("kind"), listing(package)
    if kind not in known:
        found = f'"{excerpt(kind)}"' if isinstance(kind, str) else "missing"
        hint = did_you_mean(str(kind), known)
        return [f"{place}.kind is {found}; expected one of {', '.join(known)}.{hint}"]
    config = module_of(package, str(kind)).Config
    try:
        config.model_validate(dict(table))
    except ValidationError as error:
        return problems_of(error, config, place)
    return []
