"""Encoders and rerankers of other packages: their package and its version are part of what tells their output apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.base.errors import SystemFailed
from bench.base.registry import blamed, origin, settled


def built(group: str, table: Mapping[str, Any], place: str, *, base: Path, models: Path) -> Any:
    """The encoder or reranker that a table describes.

    Args:
        group: "encoders" or "rerankers".
        table: has a `kind`.
        place: the table's name in its file, for errors.
        base: folder of the file that names the model.
        models: the store's folder of fine-tuned models.

    Raises:
        ConfigError: what is wrong with the table, or no such model.
    """
    module, config = settled(group, table, place)
    kind = str(table["kind"])
    with blamed(group, kind, f"failed when {place} was built"):
        part = module.build(config, base=base, models=models)
    package = origin(group, kind)
    return part if package is None else _Packaged(part, group, kind, package)


class _Packaged:
    """Another package's part: what is kept of its output is kept under its version, and what it raises names it."""

    def __init__(self, part: Any, group: str, kind: str, package: str) -> None:
        self._part, self._group, self._kind, self._package = part, group, kind, package

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # a copy that is being made has no part yet
            raise AttributeError(name)
        return getattr(self._part, name)

    def fingerprint(self) -> Mapping[str, Any]:
        """The part's own, and its package."""
        return {**self._called("fingerprint"), "package": self._package}

    def prompted(self, texts: Sequence[str], kind: str) -> Any:
        """As the encoder has it."""
        return self._called("prompted", texts, kind)

    def encode(self, texts: Sequence[str]) -> Any:
        """As the encoder has it."""
        return self._called("encode", texts)

    def score(self, pairs: Sequence[tuple[str, str]]) -> Any:
        """As the reranker has it."""
        return self._called("score", pairs)

    def _called(self, name: str, *arguments: Any) -> Any:
        with blamed(self._group, self._kind, f"failed in {name}", SystemFailed):
            return getattr(self._part, name)(*arguments)
