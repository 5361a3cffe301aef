"""Parts of systems that other packages make: what they raise names their package, and so does their fingerprint."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bench.base.errors import SystemFailed
from bench.base.registry import blamed, origin, settled


def built(group: str, table: Mapping[str, Any], place: str, build: Callable[[Any, Any], Any]) -> Any:
    """The encoder, index or reranker that a table describes.

    Args:
        group: of the table's kind.
        table: has a `kind`.
        place: the table's name in its file, for errors.
        build: (the kind's module, the table as it reads it) → the part.

    Raises:
        ConfigError: what is wrong with the table, or no such model.
    """
    module, config = settled(group, table, place)
    kind = str(table["kind"])
    with blamed(group, kind, f"failed when {place} was built"):
        part = build(module, config)
    return part if origin(group, kind) is None else _Packaged(part, group, kind)


class _Packaged:
    """Another package's part. What is kept of its output is kept under the package's version."""

    def __init__(self, part: Any, group: str, kind: str) -> None:
        self._part, self._group, self._kind = part, group, kind

    def fingerprint(self) -> Mapping[str, Any]:
        """The part's own, and its package."""
        return {**self.__getattr__("fingerprint")(), "package": origin(self._group, self._kind)}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # a copy that is being made has no part yet
            raise AttributeError(name)
        found = getattr(self._part, name)
        if not callable(found):
            return found

        def called(*arguments: Any, **named: Any) -> Any:
            with blamed(self._group, self._kind, f"failed in {name}", SystemFailed):
                return found(*arguments, **named)

        return called
