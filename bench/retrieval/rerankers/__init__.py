"""Scorers of (query, document) pairs, one file each. A file's name is the reranker's kind.

Each file has a `Config` and `build(config, *, base, models)`, which returns a `PairScorer`. Used by systems of kind
`rerank` and, where a recipe says so, by the check of mined negatives.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import Field

from bench.config import Strict
from bench.records import PairScorer
from bench.retrieval.encoders import find_model, weights_digest
from bench.retrieval.encoders.local import library_version, read_settings
from bench.retrieval.packaged import built


def build(table: Mapping[str, Any], place: str, *, base: Path, models: Path) -> PairScorer:
    """The reranker that a table describes; arguments and errors as in `bench.retrieval.encoders.build`."""
    scorer: PairScorer = built(
        "rerankers", table, place, lambda kind, config: kind.build(config, base=base, models=models)
    )
    return scorer


class LocalConfig(Strict):
    """Keys of every reranker by a local model; each kind adds its `kind`."""

    model: str
    revision: str | None = None
    max_length: int | None = Field(default=None, ge=1)
    device: str | None = None
    batch_size: int = Field(default=32, ge=1)


class LocalScorer:
    """The folder of a local model and its fingerprint; nothing is loaded yet."""

    def __init__(self, config: Any, *, base: Path, models: Path) -> None:
        self.config = config
        self.folder = find_model(config.model, base=base, models=models, revision=config.revision)

    def settings(self, name: str) -> Any:
        """A JSON file of the model's folder."""
        return read_settings(self.folder, name)

    def fingerprint(self) -> Mapping[str, Any]:
        """Everything that changes a score."""
        return {
            "kind": self.config.kind,
            "weights": self._weights,
            "max_length": self.config.max_length,
            "library": ["sentence-transformers", library_version("sentence-transformers")],
        }

    @cached_property
    def _weights(self) -> str:
        return weights_digest(self.folder)
