"""A folder is a registry: a file's name is the kind's name in a config, and each file has its own `Config`."""

from __future__ import annotations

import importlib
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from bench.base.errors import ConfigError, did_you_mean, excerpt

FOLDERS = {
    "systems": "retrieval.systems",
    "encoders": "retrieval.encoders",
    "rerankers": "retrieval.rerankers",
    "sources": "suites.sources",
    "origins": "train.origins",
    "sections": "report.sections",
    "exports": "interop.exports",
}
"""Group of kinds → the folder that holds a file for each."""


def listing(group: str) -> list[str]:
    """Kinds of a group, by name: the files of its folder. Imports nothing."""
    folder = Path(__file__).parents[1].joinpath(*FOLDERS[group].split("."))
    return sorted(path.stem.replace("_", "-") for path in folder.glob("*.py") if not path.stem.startswith("_"))


def module_of(group: str, kind: str) -> Any:
    """The module of a kind."""
    return importlib.import_module(f"bench.{FOLDERS[group]}.{kind.replace('-', '_')}")


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


def _place(location: tuple[int | str, ...]) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f"{'.' if text else ''}{excerpt(part)}"
    return text or "the file"


def _known_keys(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Keys that the model at a location knows, to suggest the nearest."""
    current: Any = model
    for part in location[:-1]:
        if isinstance(current, type) and issubclass(current, BaseModel):
            by_name = {field.alias or name: field.annotation for name, field in current.model_fields.items()}
            current = by_name.get(str(part))
        elif get_args(current):
            current = get_args(current)[-1]
        if get_origin(current) in (Union, types.UnionType):
            current = next((a for a in get_args(current) if a is not type(None)), None)
    if isinstance(current, type) and issubclass(current, BaseModel):
        return [field.alias or name for name, field in current.model_fields.items()]
    return []


def problems_of(error: ValidationError, model: type[BaseModel], where: str) -> list[str]:
    """One sentence per error of a table: key, what was found, what was expected, the nearest known name."""
    sentences = []
    for item in error.errors():
        location, found = item["loc"], item["input"]
        place = _place(location)
        if item["type"] == "extra_forbidden":
            known = _known_keys(model, location)
            sentence = f"unknown key {place}; expected one of {', '.join(known)}."
            sentence += did_you_mean(str(location[-1]), known)
        elif item["type"] == "missing":
            sentence = f"{place} is missing."
        elif item["type"] == "literal_error":
            expected = item["ctx"]["expected"].replace("'", "").replace(" or ", ", ")
            sentence = f'{place} is "{excerpt(str(found))}"; expected one of {expected}.'
            sentence += did_you_mean(str(found), expected.split(", "))
        elif item["type"] == "too_short":
            sentence = f"{place} is empty; expected at least one."
        else:
            message = item["msg"].removeprefix("Value error, ")
            message = message[:1].lower() + message[1:]
            # Of a whole table the keys that matter stand in the message; the table itself would bury them.
            sentence = (
                f"{place}: {message}." if isinstance(found, dict) else f"{place} is {str(found)[:60]!r}; {message}."
            )
        sentences.append(f"{where}: {sentence}")
    return sentences
