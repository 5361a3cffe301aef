"""Kinds: a file of a folder, or an entry point of another package; each has its own `Config`.

A built-in kind's name is its file's name. A package offers a kind by an entry point of the group `bench.GROUP` (such as
`bench.systems`) whose name is the kind's and whose object is a module or class with the same attributes. Listing kinds
imports none of them.
"""

from __future__ import annotations

import functools
import importlib
import types
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from bench.base.errors import BenchError, ConfigError, did_you_mean, excerpt


class Group(NamedTuple):
    """Where the built-in kinds of a group lie, and what a kind must have."""

    folder: str
    needs: tuple[str, ...]


GROUPS: Mapping[str, Group] = {
    "systems": Group("retrieval.systems", ("Config", "build")),
    "encoders": Group("retrieval.encoders", ("Config", "build")),
    "indexes": Group("retrieval.indexes", ("Config", "build")),
    "rerankers": Group("retrieval.rerankers", ("Config", "build")),
    "sources": Group("suites.sources", ("Options", "collection")),
    "measures": Group("evaluation.measures", ("ORDERED", "NEEDS_CUTOFF", "value")),
    "sections": Group("report.sections", ("ORDER", "TITLE", "build")),
    "exports": Group("interop.exports", ("WHAT", "export")),
    "origins": Group("train.origins", ("Config", "pairs")),
}


class Plugin(NamedTuple):
    """A kind that another package offers; `problem` says why it cannot be used, "" where it can."""

    group: str
    kind: str
    package: str
    problem: str


@functools.cache
def _built_in(group: str) -> tuple[str, ...]:
    folder = Path(__file__).parents[1].joinpath(*GROUPS[group].folder.split("."))
    return tuple(sorted(p.stem.replace("_", "-") for p in folder.glob("*.py") if not p.stem.startswith("_")))


@functools.cache
def _entry_points(group: str) -> dict[str, EntryPoint]:
    """Kinds of other packages; a built-in kind of the same name wins."""
    return {point.name: point for point in entry_points(group=f"bench.{group}") if point.name not in _built_in(group)}


def listing(group: str) -> list[str]:
    """Kinds of a group, by name. Imports none of them."""
    return [*_built_in(group), *sorted(_entry_points(group))]


def module_of(group: str, kind: str) -> Any:
    """The module of a kind; of another package's, whatever its entry point names.

    Raises:
        ConfigError: the other package's kind cannot be loaded, or lacks what a kind of this group has.
    """
    if kind in _built_in(group):
        return importlib.import_module(f"bench.{GROUPS[group].folder}.{kind.replace('-', '_')}")
    point = _entry_points(group)[kind]
    where = f'Kind "{kind}" comes from {_package(point)} (entry point bench.{group}: {point.value})'
    try:
        module = point.load()
    except BenchError:
        raise
    except (Exception, SystemExit) as error:
        raise ConfigError(
            f"{where}, which cannot be loaded: {type(error).__name__}: {error}. Mend or remove that package."
        ) from error
    lacking = [name for name in GROUPS[group].needs if not hasattr(module, name)]
    if lacking:
        raise ConfigError(f"{where}, which has no {', '.join(lacking)}; expected {', '.join(GROUPS[group].needs)}.")
    return module


def _package(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "an unknown package"


def origin(group: str, kind: str) -> str | None:
    """The package and version that a kind comes from; None where it is no entry point's.

    It is part of a system's digest: another version of a package may rank otherwise.
    """
    point = None if kind in _built_in(group) else _entry_points(group).get(kind)
    return None if point is None else _package(point)


def plugins() -> list[Plugin]:
    """Every kind that other packages offer, loaded to see whether it works."""
    found = []
    for group in GROUPS:
        for point in entry_points(group=f"bench.{group}"):
            problem = ""
            if point.name in _built_in(group):
                problem = f'not used: "{point.name}" is a built-in kind'
            else:
                try:
                    module_of(group, point.name)
                except BenchError as error:
                    problem = str(error)
            found.append(Plugin(group, point.name, _package(point), problem))
    return found


# --- tables of a config ------------------------------------------------------------------------------


def settled(group: str, table: Mapping[str, Any], place: str) -> tuple[Any, Any]:
    """The module of a table's kind, and the table as this module's `Config`.

    Raises:
        ConfigError: all that is wrong with it, one a line.
    """
    if problems := table_problems(group, table, place):
        raise ConfigError("\n".join(problems))
    module = module_of(group, str(table["kind"]))
    return module, module.Config.model_validate(dict(table))


def table_problems(group: str, table: Mapping[str, Any], place: str) -> list[str]:
    """What is wrong with a table that has a `kind`, and with tables in it that have one, a sentence each.

    Args:
        group: of the kind.
        table: as the file has it.
        place: the file and the table's name there.
    """
    kind, known = table.get("kind"), listing(group)
    if kind not in known:
        shown = f'"{excerpt(kind)}"' if isinstance(kind, str) else "missing"
        hint = did_you_mean(str(kind), known)
        return [f"{place}.kind is {shown}; expected one of {', '.join(known)}.{hint}"]
    try:
        config = module_of(group, str(kind)).Config
    except ConfigError as error:
        return [f"{place}: {error}"]
    try:
        config.model_validate(dict(table))
    except ValidationError as error:
        return problems_of(error, config, place)
    inner = {key: marker.group for key, marker in _marked(config, KindTable) if key in table}
    return [problem for key, of in inner.items() for problem in table_problems(of, table[key], f"{place}.{key}")]


class KindTable(NamedTuple):
    """Marks a key of a `Config` that holds a table with a kind of its own: `Annotated[dict, KindTable("encoders")]`."""

    group: str

    def __get_pydantic_json_schema__(self, core_schema: Any, handler: Any) -> dict[str, Any]:
        """Any object of one of the group's kinds; `bench.config.schema` puts in what they are."""
        return {"kinds-of": self.group}


class PartName:
    """Marks a key of a `Config` that names a part, or a list of parts; see `bench.config.Part`."""


def _marked(config: type[BaseModel], marker: type) -> list[tuple[str, Any]]:
    """(key, marker) of every field that bears a marker, itself or in the items of its list."""
    return [
        (field.alias or name, found)
        for name, field in config.model_fields.items()
        for found in (*field.metadata, *_markers(field.annotation))
        if isinstance(found, marker)
    ]


def _markers(annotation: Any) -> list[Any]:
    return [*getattr(annotation, "__metadata__", ()), *(m for inner in get_args(annotation) for m in _markers(inner))]


def part_keys(config: type[BaseModel]) -> list[str]:
    """Keys of a `Config` that name parts, in the order of its fields."""
    return [key for key, _ in _marked(config, PartName)]


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
