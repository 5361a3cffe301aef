"""A fine-tuned model: what it was made from, and what was measured of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.base.json_records import JsonRecord


@dataclass(frozen=True)
class ModelScores:
    """One system's means on one query set, from a stored result; `system` is the one that the model works in."""

    suite: str
    suite_digest: str
    query_set: str
    role: str
    system: str
    n: int
    means: Mapping[str, float]


@dataclass(frozen=True)
class ModelRecord(JsonRecord):
    """A fine-tuned model and its lineage.

    Attributes:
        id: digest of its weights, 32 hex digits: the model itself, whatever it is called.
        name: its recipe's name.
        seed: of the training.
        kind: "bi-encoder" or "cross-encoder".
        base: what the recipe called the model that training started from, and `base_digest`, its weights.
        parent: id of that model where it is a fine-tuned one of the same store, else None.
        recipe: the settings.
        data: digests and counts of what it was trained on.
        suite: name, version and digest of the suite that the pairs came from.
        versions: library → version.
        commit: of the repository, with "+" where files differed from it.
        seconds: of training; `loss`, the last one of the training.
        folder: where it lies.
        status: "current" (`finetune:NAME` means it), "seed" (`finetune:NAME/seed-N` does), "promoted"
            (`promoted:NAME` does).
        results: what was measured of it.
    """

    id: str
    name: str
    seed: int | None
    kind: str
    base: str
    base_digest: str
    parent: str | None
    recipe: Mapping[str, Any] = field(repr=False)
    data: Mapping[str, Any] = field(repr=False)
    suite: Mapping[str, Any] = field(repr=False)
    versions: Mapping[str, str] = field(repr=False)
    commit: str | None
    seconds: float | None
    loss: float | None
    folder: str
    status: tuple[str, ...] = ()
    results: tuple[ModelScores, ...] = field(default=(), repr=False)

    @property
    def by_suite(self) -> dict[str, list[ModelScores]]:
        """Suite digest → what was measured on it."""
        by_suite: dict[str, list[ModelScores]] = {}
        for one in self.results:
            by_suite.setdefault(one.suite_digest, []).append(one)
        return by_suite
