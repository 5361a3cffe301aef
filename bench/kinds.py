"""A folder is a registry: a file's name is the kind's name in a config, and each file has its own `Config`."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from bench.config import listing, problems_of
from bench.errors import did_you_mean, excerpt

__all__ = ["module_of", "table_problems"]


def module_of(package: str, kind: str) -> Any:
    """The module of a kind; `package` is a folder of bench, such as "systems" or "train/origins"."""
    return importlib.import_module(f"bench.{package.replace('/', '.')}.{kind.replace('-', '_')}")


def table_problems(package: str, table: Mapping[str, Any], file: str, place: str) -> list[str]:
    """What is wrong with a table that has a `kind`, a sentence each; `place` is its name in the file."""
    kind, known = table.get("kind"), listing(package)
    if kind not in known:
        found = f'"{excerpt(kind)}"' if isinstance(kind, str) else "missing"
        hint = did_you_mean(str(kind), known)
        return [f"{file}: {place}.kind is {found}; expected one of {', '.join(known)}.{hint}"]
    config = module_of(package, str(kind)).Config
    try:
        config.model_validate(dict(table))
    except ValidationError as error:
        return problems_of(error, config, f"{file}: {place}")
    return []
