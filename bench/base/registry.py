"""Kinds: a file of a folder, or an entry point of another package; each has its own `Config`.

A built-in kind has the name of its file, and precedes a kind of another package (`bench.base.plugins`) with that name.
Listing kinds imports none of them.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import types
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from bench.base import plugins
from bench.base.errors import BenchError, ConfigError, PluginError, did_you_mean, excerpt
from bench.base.plugins import Shape


class Group(NamedTuple):
    """The folder of a group's built-in kinds, and the shape of a kind."""

    folder: str
    shape: Shape


_TABLE, _SYSTEM = ("Config", "Strict"), ("Config", "SystemConfig")

GROUPS: Mapping[str, Group] = {
    "systems": Group("retrieval.systems", Shape("build(name, config, context)", _SYSTEM)),
    "encoders": Group("retrieval.encoders", Shape("build(config, *, base, models)", _TABLE)),
    "indexes": Group("retrieval.indexes", Shape("build(config, rows, precision)", _TABLE)),
    "rerankers": Group("retrieval.rerankers", Shape("build(config, *, base, models)", _TABLE)),
    "sources": Group("suites.sources", Shape("collection(location, options)", ("Options", "Strict"))),
    "measures": Group(
        "evaluation.measures",
        Shape("value(query, *, cutoff, relevance_level)", None, {"ORDERED": bool, "NEEDS_CUTOFF": bool}),
    ),
    "sections": Group("report.sections", Shape("build(material)", None, {"ORDER": int, "TITLE": str})),
    "exports": Group("interop.exports", Shape("export(request)", None, {"WHAT": ("suite", "results")})),
    "origins": Group("train.origins", Shape("pairs(config, context)", _TABLE)),
}


class Plugin(NamedTuple):
    """A kind of another package; `problem` says why it cannot be used, "" where it can."""

    group: str
    kind: str
    package: str
    problem: str


@functools.cache
def _built_in(group: str) -> tuple[str, ...]:
    folder = Path(__file__).parents[1].joinpath(*GROUPS[group].folder.split("."))
    return tuple(sorted(p.stem.replace("_", "-") for p in folder.glob("*.py") if not p.stem.startswith("_")))


def is_kind(group: str, kind: object) -> bool:
    """Whether there is such a kind. Entry points are read only where it is not built in."""
    return isinstance(kind, str) and (kind in _built_in(group) or kind in plugins.offers(group))


def listing(group: str) -> list[str]:
    """Kinds of a group, by name. Imports none of them."""
    built_in = _built_in(group)
    return [*built_in, *(kind for kind in plugins.offers(group) if kind not in built_in)]


def module_of(group: str, kind: str) -> Any:
    """The module of a kind, or the object that another package's entry point names.

    Raises:
        PluginError: the other package's kind cannot be loaded, or lacks something that a kind of this group needs.
    """
    if kind in _built_in(group):
        return importlib.import_module(f"bench.{GROUPS[group].folder}.{kind.replace('-', '_')}")
    return plugins.loaded(group, kind, GROUPS[group].shape)


def origin(group: str, kind: str) -> str | None:
    """The package and version that a kind comes from; None where it is built in, or no kind.

    It is part of a system's digest: another version of a package may rank otherwise.
    """
    points = [] if kind in _built_in(group) else plugins.offers(group).get(kind, [])
    return " and ".join(plugins.package_of(point) for point in points) or None


@contextlib.contextmanager
def plugin_errors(group: str, kind: str, doing: str, error: type[BenchError] = PluginError) -> Iterator[None]:
    """Turn an exception of another package's code into an error that names the package; errors of ours pass unchanged.

    Args:
        group: of the kind.
        kind: whose code runs inside.
        doing: the middle of the sentence, such as "failed when it was built".
        error: the class of the error.
    """
    try:
        yield
    except BenchError:
        raise
    except (Exception, SystemExit) as problem:
        if origin(group, kind) is None:
            raise
        (point, *_) = plugins.offers(group)[kind]
        raise error(plugins.failed(group, point, doing, problem)) from problem


def offered(taken: Mapping[str, Collection[str]]) -> Iterator[Plugin]:
    """Every kind that other packages offer, loaded to see whether it works.

    Args:
        taken: group → names that are reserved although they are no kinds.
    """
    for group in GROUPS:
        for kind, points in plugins.offers(group).items():
            problem = ""
            if kind in _built_in(group) or kind in taken.get(group, ()):
                name = plugins.described(group, points[0])
                problem = f'{name} is not used: "{kind}" is built in. Offer it by another name.'
            else:
                try:
                    module_of(group, kind)
                except PluginError as error:
                    problem = str(error)
            yield from (Plugin(group, kind, plugins.package_of(point), problem) for point in points)


# --- tables of a config ------------------------------------------------------------------------------


def load_kind(group: str, table: Mapping[str, Any], place: str) -> tuple[Any, Any]:
    """The module of a table's kind, and the table as this module's `Config`.

    Raises:
        ConfigError: all errors of the table, one a line.
    """
    if problems := table_problems(group, table, place):
        raise ConfigError("\n".join(problems))
    module = module_of(group, str(table["kind"]))
    return module, module.Config.model_validate(dict(table))


def table_problems(group: str, table: Mapping[str, Any], place: str) -> list[str]:
    """The errors of a table with a `kind`, and of tables in it that have one, a sentence each.

    Args:
        group: of the kind.
        table: from the file.
        place: the file and the table's name in it.
    """
    kind = table.get("kind")
    if not is_kind(group, kind):
        kinds = listing(group)
        known = f"expected one of {', '.join(kinds)}."
        if not isinstance(kind, str):
            return [f"{place}.kind is missing; {known}{did_you_mean(str(kind), kinds)}"]
        hint = did_you_mean(kind, kinds) or " If it is a kind of another package, install that package."
        return [f'{place}.kind is "{excerpt(kind)}"; {known}{hint}']
    try:
        config = module_of(group, str(kind)).Config
        with plugin_errors(group, str(kind), "failed when it read its table"):
            try:
                config.model_validate(dict(table))
            except ValidationError as error:
                return problems_of(error, config, place)
    except PluginError as error:
        return [f"{place}: {error}"]
    problems: list[str] = []

    def look(marker: KindTable, inner: Any, where: str) -> Any:
        problems.extend(table_problems(marker.group, inner, f"{place}.{where}"))
        return inner

    replace_marked(config, table, KindTable, look)
    return problems


class KindTable(NamedTuple):
    """Marks a key of a `Config` that holds a table with a kind of its own: `Annotated[dict, KindTable("encoders")]`."""

    group: str

    def __get_pydantic_json_schema__(self, core_schema: Any, handler: Any) -> dict[str, Any]:
        """A placeholder for the group's kinds, which `bench.config.schema` replaces."""
        return {"kinds-of": self.group}


class PartName:
    """Marks a key of a `Config` that names a part, or a list of parts; see `bench.config.Part`."""


def replace_marked(
    model: type[BaseModel], table: Mapping[str, Any], marker: type, change: Callable[[Any, Any, str], Any], at: str = ""
) -> dict[str, Any]:
    """A table with every marked value exchanged, at any depth: in lists, in tables, in tables of tables.

    Args:
        model: the table's model.
        table: from the file.
        marker: the class of the marker, such as `PartName`.
        change: (the marker, the value, its place in the table) → the new value.
        at: the place of the table itself.
    """
    fields = _fields(model)

    def walk(annotation: Any, value: Any, place: str) -> Any:
        mark = next((mark for mark in getattr(annotation, "__metadata__", ()) if isinstance(mark, marker)), None)
        if mark is not None:
            if isinstance(value, (list, tuple)):
                return [change(mark, part, f"{place}[{i}]") for i, part in enumerate(value)]
            return change(mark, value, place)
        inner = get_args(annotation)
        if get_origin(annotation) is Annotated:
            return walk(inner[0], value, place)
        if get_origin(annotation) in (Union, types.UnionType):
            member = next((member for member in inner if _fits(member, value)), None)
            return value if member is None else walk(member, value, place)
        if isinstance(value, Mapping):
            if isinstance(annotation, type) and issubclass(annotation, BaseModel):
                return replace_marked(annotation, value, marker, change, f"{place}.")
            return {k: walk(inner[1], v, f"{place}.{k}") for k, v in value.items()} if len(inner) == 2 else value
        if isinstance(value, (list, tuple)) and inner:
            return [walk(inner[0], v, f"{place}[{i}]") for i, v in enumerate(value)]
        return value

    return {
        key: value if key not in fields or value is None else walk(fields[key], value, f"{at}{key}")
        for key, value in table.items()
    }


def _fields(model: type[BaseModel]) -> dict[str, Any]:
    """Key of a table → the annotation of its value, with markers."""
    return {
        field.alias or name: Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
        for name, field in model.model_fields.items()
    }


def _fits(annotation: Any, value: Any) -> bool:
    """Whether a value can be of this member of a union."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) is Literal:
        return value in get_args(annotation)
    kind = get_origin(annotation) or annotation
    if isinstance(value, Mapping) and isinstance(kind, type) and issubclass(kind, BaseModel):
        return value.keys() <= _fields(kind).keys()
    return isinstance(kind, type) and isinstance(value, kind)


def _place(location: tuple[int | str, ...]) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f"{'.' if text else ''}{excerpt(part)}"
    return text or "the file"


def _known_keys(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Keys of the model at a location, to suggest the nearest."""
    current: Any = model
    for part in location[:-1]:
        if isinstance(current, type) and issubclass(current, BaseModel):
            current = _fields(current).get(str(part))
        elif get_args(current):
            current = get_args(current)[-1]
        if get_origin(current) is Annotated:
            current = get_args(current)[0]
        if get_origin(current) in (Union, types.UnionType):
            current = next((a for a in get_args(current) if a is not type(None)), None)
    return list(_fields(current)) if isinstance(current, type) and issubclass(current, BaseModel) else []


def problems_of(error: ValidationError, model: type[BaseModel], where: str) -> list[str]:
    """One sentence per error of a table: its key, its value, the expected value, the nearest known name."""
    sentences = []
    for item in error.errors():
        location, value, place = item["loc"], item["input"], _place(item["loc"])
        if item["type"] == "extra_forbidden":
            known = _known_keys(model, location)
            sentence = f"unknown key {place}; expected one of {', '.join(known)}."
            sentence += did_you_mean(str(location[-1]), known)
        elif item["type"] == "missing":
            sentence = f"{place} is missing."
        elif item["type"] == "literal_error":
            expected = item["ctx"]["expected"].replace("'", "").replace(" or ", ", ")
            sentence = f'{place} is "{excerpt(str(value))}"; expected one of {expected}.'
            sentence += did_you_mean(str(value), expected.split(", "))
        elif item["type"] == "too_short":
            sentence = f"{place} is empty; expected at least one."
        else:
            message = item["msg"].removeprefix("Value error, ")
            message = message[:1].lower() + message[1:]
            # The message on a table names the keys that matter; the table itself would bury them.
            subject = f"{place}:" if isinstance(value, dict) else f"{place} is {str(value)[:60]!r};"
            sentence = f"{subject} {message}."
        sentences.append(f"{where}: {sentence}")
    return sentences
