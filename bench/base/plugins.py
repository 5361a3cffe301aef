"""Kinds that other packages offer by entry points, and errors in them, in sentences that name the package.

An entry point of the group `bench.GROUP` (such as `bench.systems`) offers a kind: its name is the kind's, its object a
module, or a class, with the names that a built-in kind's file has. Entry points are read where a name is no built-in
kind, and a kind's code is imported where it is used.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
from collections.abc import Collection, Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, NamedTuple

from pydantic import BaseModel

from bench.base.errors import BenchError, PluginError

PREFIX = "bench."
"""The prefix of every group of entry points."""


class Shape(NamedTuple):
    """The names that a kind must have.

    `call` is a function with its arguments, such as "build(config, *, base, models)". `config` is the class of its
    table or options, and the class of `bench.config` that it derives from. `constants` are its other names, each with
    its type, or with its possible values.
    """

    call: str
    config: tuple[str, str] | None = None
    constants: Mapping[str, type | tuple[str, ...]] = {}

    def names(self) -> list[str]:
        """All names that a kind must have, as its author writes them."""
        return [*([self.config[0]] if self.config else []), *self.constants, self.call]


@functools.cache
def offers(group: str) -> dict[str, list[EntryPoint]]:
    """Kind → its entry points, of which there should be one."""
    offers: dict[str, list[EntryPoint]] = {}
    for point in entry_points(group=PREFIX + group):
        offers.setdefault(point.name, []).append(point)
    return dict(sorted(offers.items()))


def unknown_groups(known: Collection[str]) -> dict[str, str]:
    """Groups of entry points with our prefix that are none of these → the packages that have them."""
    unknown = sorted(group for group in entry_points().groups if group.startswith(PREFIX) and group not in known)
    return {group: ", ".join({package_of(point): "" for point in entry_points(group=group)}) for group in unknown}


def package_of(point: EntryPoint) -> str:
    """The package and version that an entry point belongs to."""
    return f"{point.dist.name} {point.dist.version}" if point.dist else "an unknown package"


def described(group: str, point: EntryPoint) -> str:
    """A kind of another package, for the beginning of a sentence."""
    return f'Kind "{point.name}" of {package_of(point)} ({PREFIX}{group}: {point.value})'


def failed(group: str, point: EntryPoint, doing: str, problem: BaseException) -> str:
    """The sentence on an exception of another package's code."""
    text = str(problem) if isinstance(problem, BenchError) else f"{type(problem).__name__}: {problem}"
    return f"{described(group, point)} {doing}: {text.rstrip('.')}. {_advice(point)}"


def _advice(point: EntryPoint) -> str:
    name = point.dist.name if point.dist else "NAME"
    return f"Mend or update that package, or remove it: pip uninstall {name}"


def loaded(group: str, kind: str, shape: Shape) -> Any:
    """The object that offers a kind.

    Raises:
        PluginError: two packages offer it, it cannot be imported, or it lacks a name that a kind of this group needs.
    """
    points = offers(group)[kind]
    (point, *others) = points
    if others:
        packages = " and ".join(f"{package_of(point)} ({PREFIX}{group}: {point.value})" for point in points)
        raise PluginError(f'Kind "{kind}" is offered by {packages}; the name is ambiguous. Uninstall one of them.')
    try:
        module = point.load()
    except (Exception, SystemExit) as problem:
        raise PluginError(failed(group, point, "cannot be loaded", problem)) from problem
    if misfits := list(_misfits(module, shape)):
        raise PluginError(
            f"{described(group, point)} is not what {PREFIX}{group} asks for: {'; '.join(misfits)}. "
            f"It needs {', '.join(shape.names())} (docs/plugins.md). {_advice(point)}"
        )
    return module


def _misfits(offered: Any, shape: Shape) -> Iterator[str]:
    """The names that an object lacks to be a kind, each as the middle of a sentence."""
    if shape.config:
        name, base = shape.config
        model, parent = getattr(offered, name, None), getattr(importlib.import_module("bench.config"), base)
        if model is None:
            yield f"it has no {name}"
        elif not (isinstance(model, type) and issubclass(model, parent)):
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
    name, _, arguments = shape.call.removesuffix(")").partition("(")
    function = getattr(offered, name, None)
    if not callable(function):
        yield f"it has no function {name}"
        return
    positional, _, keywords = arguments.partition("*, ")
    words = [word for word in positional.split(", ") if word]
    with contextlib.suppress(TypeError, ValueError):  # compiled code may have no signature
        signature = inspect.signature(function)
        try:
            signature.bind(*words, **dict.fromkeys(keywords.split(", ") if keywords else ()))
        except TypeError as problem:
            yield f"its {name}{signature} cannot be called as {shape.call} ({problem})"
