"""Kinds that other packages offer by entry points, and what is wrong with them, in sentences that name the package.

An entry point of the group `bench.GROUP` (such as `bench.systems`) offers a kind: its name is the kind's, its object a
module, or a class, with the names that a built-in kind's file has. Entry points are read where a kind is asked for that
is not built in, and a kind's code is imported where it is used.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Collection, Iterator, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any, NamedTuple

from pydantic import BaseModel

from bench.base.errors import BenchError, PluginError

PREFIX = "bench."
"""Of every group of entry points."""


class Shape(NamedTuple):
    """What a kind must have.

    `call` is a function with the arguments that it gets, such as "build(config, *, base, models)". `config` is the
    class of its table or options, and the class of `bench.config` that it derives from. `constants` are its other
    names, each with its type, or with the values that it may have.
    """

    call: str
    config: tuple[str, str] | None = None
    constants: Mapping[str, type | tuple[str, ...]] = {}

    def names(self) -> list[str]:
        """All that a kind must have, as its author writes it."""
        return [*([self.config[0]] if self.config else []), *self.constants, self.call]


@functools.cache
def offers(group: str) -> dict[str, list[EntryPoint]]:
    """Kind → what offers it, one entry point unless packages are at odds."""
    found: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=PREFIX + group):
        found.setdefault(point.name, []).append(point)
    return dict(sorted(found.items()))


def unknown_groups(known: Collection[str]) -> dict[str, str]:
    """Groups of entry points that begin as ours do and are none of these → the packages that have them."""
    strange = sorted(group for group in entry_points().groups if group.startswith(PREFIX) and group not in known)
    return {group: ", ".join({package_of(point): "" for point in entry_points(group=group)}) for group in strange}


def package_of(point: EntryPoint) -> str:
    """The package and version that an entry point belongs to."""
    return f"{point.dist.name} {point.dist.version}" if point.dist else "an unknown package"


def described(group: str, point: EntryPoint) -> str:
    """A kind of another package, for the beginning of a sentence."""
    return f'Kind "{point.name}" of {package_of(point)} ({PREFIX}{group}: {point.value})'


def failed(group: str, point: EntryPoint, doing: str, problem: BaseException) -> str:
    """The sentence for what another package's code raised."""
    said = str(problem) if isinstance(problem, BenchError) else f"{type(problem).__name__}: {problem}"
    return f"{described(group, point)} {doing}: {said.rstrip('.')}. {_mend(point)}"


def _mend(point: EntryPoint) -> str:
    name = point.dist.name if point.dist else "NAME"
    return f"Mend or update that package, or remove it: pip uninstall {name}"


def loaded(group: str, kind: str, shape: Shape) -> Any:
    """The object that offers a kind.

    Raises:
        PluginError: two packages offer it, it cannot be imported, or it is not what a kind of this group is.
    """
    points = offers(group)[kind]
    if len(points) > 1:
        raise PluginError(at_odds(group, points))
    (point,) = points
    try:
        found = point.load()
    except (Exception, SystemExit) as problem:
        raise PluginError(failed(group, point, "cannot be loaded", problem)) from problem
    if wrong := list(_misfits(found, shape)):
        raise PluginError(
            f"{described(group, point)} is not what {PREFIX}{group} asks for: {'; '.join(wrong)}. "
            f"It needs {', '.join(shape.names())} (docs/plugins.md). {_mend(point)}"
        )
    return found


def at_odds(group: str, points: Sequence[EntryPoint]) -> str:
    """The sentence for several packages that offer one kind."""
    packages = " and ".join(f"{package_of(point)} ({PREFIX}{group}: {point.value})" for point in points)
    return f'Kind "{points[0].name}" is offered by {packages}; which is meant cannot be said. Uninstall one of them.'


def _misfits(offered: Any, shape: Shape) -> Iterator[str]:
    """What an object lacks to be a kind, each the middle of a sentence."""
    if shape.config:
        name, base = shape.config
        model, wanted = getattr(offered, name, None), getattr(importlib.import_module("bench.config"), base)
        if model is None:
            yield f"it has no {name}"
        elif not (isinstance(model, type) and issubclass(model, wanted)):
            yield f"its {name} is no subclass of bench.config.{base}"
        elif name == "Config" and issubclass(model, BaseModel) and "kind" not in model.model_fields:
            yield "its Config has no field kind (kind: str)"
    for name, allowed in shape.constants.items():
        value = getattr(offered, name, None)
        if value is None:
            yield f"it has no {name}"
        elif isinstance(allowed, tuple):
            if value not in allowed:
                yield f"its {name} is {value!r}, and not {' or '.join(map(repr, allowed))}"
        elif not isinstance(value, allowed):
            yield f"its {name} is {value!r}, and no {allowed.__name__}"
    yield from _uncallable(offered, shape.call)


def _uncallable(offered: Any, call: str) -> Iterator[str]:
    """Why an object's function cannot be called as it will be."""
    name, _, arguments = call.removesuffix(")").partition("(")
    function = getattr(offered, name, None)
    if not callable(function):
        yield f"it has no function {name}"
        return
    by_place, _, by_name = arguments.partition("*, ")
    places = [word for word in by_place.split(", ") if word]
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # compiled code may not say
        return
    try:
        signature.bind(*places, **dict.fromkeys(by_name.split(", ") if by_name else ()))
    except TypeError as problem:
        yield f"its {name}{signature} cannot be called as {call} ({problem})"
