"""Parts of systems from other packages: their errors and their fingerprints name the package."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bench.base.errors import SystemFailed
from bench.base.registry import load_kind, origin, plugin_errors


def built(group: str, table: Mapping[str, Any], place: str, build: Callable[[Any, Any], Any]) -> Any:
    """The encoder, index or reranker that a table describes.

    Args:
        group: of the table's kind.
        table: has a `kind`.
        place: the table's name in its file, for errors.
        build: (the kind's module, the table as the module's Config) → the part.

    Raises:
        ConfigError: the table has mistakes, or names no model.
    """
    module, config = load_kind(group, table, place)
    kind = str(table["kind"])
    with plugin_errors(group, kind, f"failed when {place} was built"):
        part = build(module, config)
    return part if origin(group, kind) is None else _Packaged(part, group, kind)


class _Packaged:
    """Another package's part. Its fingerprint has the package's version: stored output belongs to one version."""

    def __init__(self, part: Any, group: str, kind: str) -> None:
        self._part, self._group, self._kind = part, group, kind

    def fingerprint(self) -> Mapping[str, Any]:
        """The part's own, and its package."""
        return {**self.__getattr__("fingerprint")(), "package": origin(self._group, self._kind)}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # a copy that is being made has no part yet
            raise AttributeError(name)
        value = getattr(self._part, name)
        if not callable(value):
            return value

        def call(*arguments: Any, **named: Any) -> Any:
            with plugin_errors(self._group, self._kind, f"failed in {name}", SystemFailed):
                return value(*arguments, **named)

        return call
