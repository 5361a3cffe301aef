"""Embeddings compared by cosine or dot product, at every dimension and precision from one encoding."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bench.base.errors import ConfigError
from bench.base.names import SystemName
from bench.base.progress import Progress, no_progress
from bench.base.registry import origin
from bench.config import DecideOption, KindTable, SystemConfig
from bench.records import Corpus, Encoder, QuerySet, Ranked, Run, Search
from bench.retrieval import encoders, indexes
from bench.retrieval.embed import Embedded, embed
from bench.retrieval.indexes import Index
from bench.retrieval.precisions import PRECISIONS
from bench.retrieval.search import truncated
from bench.retrieval.systems import Context

if TYPE_CHECKING:
    PrecisionName = str
else:
    PrecisionName = Literal[tuple(PRECISIONS)]


class Config(SystemConfig):
    """`kind = "dense"`."""

    option = DecideOption("embedding", stores="vectors")

    encoder: Annotated[dict[str, Any], KindTable("encoders")]
    dims: list[Annotated[int, Field(ge=1)]] | None = Field(default=None, min_length=1)
    precision: list[PrecisionName] = Field(default=["float32"], min_length=1)
    similarity: Literal["cosine", "dot"] | None = None
    index: Annotated[dict[str, Any], KindTable("indexes")] = Field(default={"kind": "exact"})


def build(name: str, config: Config, context: Context) -> list[Dense]:
    """One system for each dimension and precision; they share one encoder, and so the cached rows."""
    encoder = encoders.build(config.encoder, f"systems.{name}.encoder", base=context.base, models=context.models)
    systems = []
    for dim in config.dims or [encoder.dim]:
        for precision in config.precision:
            if dim > encoder.dim:
                raise ConfigError(f"systems.{name}.dims: {dim} exceeds the encoder's {encoder.dim} dimensions.")
            size = SystemName(name, None if dim == encoder.dim else dim, None if precision == "float32" else precision)
            systems.append(Dense(str(size), encoder, dim, precision, config, context))
    return systems


class Dense:
    """One encoder at one dimension and precision."""

    kind = "dense"
    parts: tuple[str, ...] = ()

    def __init__(self, name: str, encoder: Encoder, dim: int, precision: str, config: Config, context: Context) -> None:
        self.name, self.encoder, self.dim, self.precision = name, encoder, dim, precision
        # Some encoders state how their vectors are compared.
        self.similarity = config.similarity or getattr(encoder, "similarity", "cosine")
        self.roles, self.store, self.index = config.roles, context.store, config.index
        self.progress: Progress = no_progress

    def fingerprint(self) -> Mapping[str, Any]:
        """Encoder, dimension, precision and similarity; the index where it is not exact."""
        fingerprint: dict[str, Any] = {
            "kind": self.kind,
            "encoder": dict(self.encoder.fingerprint()),
            "dim": self.dim,
            "precision": self.precision,
            "similarity": self.similarity,
        }
        if self.index == {"kind": "exact"}:
            return fingerprint
        package = origin("indexes", self.index["kind"])
        return fingerprint | {"index": self.index | ({"package": package} if package else {})}

    def _indexed(self, rows: NDArray[np.float32]) -> Index:
        return indexes.build(self.index, f"systems.{self.name}.index", self._cut(rows), self.precision)

    def _embedded(self, texts: Sequence[str], kind: str) -> Embedded:
        return embed(self.encoder, texts, kind=kind, store=self.store, progress=self.progress)

    def _cut(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        return truncated(rows, self.dim, normalize=self.similarity == "cosine")

    def warm(self, corpus: Corpus) -> Search:
        """Search over the finished index; every query is encoded anew."""
        index = self._indexed(self._embedded(corpus.texts, "document").rows)

        def search(queries: QuerySet, *, depth: int, parts: Sequence[Run]) -> Ranked:
            encoded = embed(self.encoder, queries.texts, kind="query", store=None)
            return Ranked(*index.search(self._cut(encoded.rows), depth))

        return search

    def search(self, corpus: Corpus, queries: QuerySet, *, depth: int, parts: Sequence[Run]) -> Ranked:
        """The nearest documents by the index."""
        documents = self._embedded(corpus.texts, "document")
        encoded = self._embedded(queries.texts, "query")
        started = time.perf_counter()
        index = self._indexed(documents.rows)
        indexed = time.perf_counter()
        docs, scores = index.search(self._cut(encoded.rows), depth)
        seconds = {
            "encode_documents": documents.seconds,
            "encode_queries": encoded.seconds,
            "index": indexed - started,
            "search": time.perf_counter() - indexed,
        }
        return Ranked(docs, scores, seconds, index.bytes)
