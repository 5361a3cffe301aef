"""The protocols of encoders, systems and pair scorers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bench.records.run import Run
from bench.records.suite import Corpus, QuerySet


@dataclass(frozen=True)
class Ranked:
    """What a system returns: `docs` int[n_queries, k] rows of the corpus (−1 pads), `scores` float[n_queries, k]."""

    docs: NDArray[Any]
    scores: NDArray[Any]
    seconds: Mapping[str, float] = field(default_factory=dict)
    index_bytes: int | None = None


Search = Callable[..., Ranked]
"""`search(queries, *, depth, parts)`: a system's `search` whose corpus is already indexed. See `System`."""


class Encoder(Protocol):
    """Texts in, vectors out. Everything that changes a vector is in `fingerprint`.

    An encoder whose weights are not accessible also has `canary`, a text whose vector is
    compared with that of earlier runs.
    """

    @property
    def dim(self) -> int:
        """Columns of a full-size vector."""

    def fingerprint(self) -> Mapping[str, Any]:
        """Weights digest, pooling, prompts, maximum length, library version; JSON values only."""

    def prompted(self, texts: Sequence[str], kind: str) -> list[str]:
        """The final texts, prompt included; `kind` is "query" or "document"."""

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """float32[n_texts, dim] of final texts."""


class PairScorer(Protocol):
    """A reranker: (query, document) pairs in, one score each out. Everything that changes one is in `fingerprint`.

    It may have `canary`, a pair, as an encoder has a text; and `by_query`, True where a query's pairs belong together.
    """

    def fingerprint(self) -> Mapping[str, Any]:
        """Weights digest, maximum length, library version; JSON values only."""

    def score(self, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float32]:
        """float32[n_pairs]; higher is more relevant."""


class System(Protocol):
    """A way to rank documents for queries. It sees texts and never judgements.

    `name` as in the config; `kind` the file's name; `parts` the systems whose runs it wants as input.

    A system whose `search` indexes the corpus, or remembers answers, also has `warm(corpus) -> Search`: a search over
    the finished index that remembers nothing, so that one query can be timed. Of the others, `search` itself is timed.
    """

    name: str
    kind: str
    parts: tuple[str, ...]

    def fingerprint(self) -> Mapping[str, Any]:
        """Everything of its own that changes a ranking (parts not included); JSON values only."""

    def search(self, corpus: Corpus, queries: QuerySet, *, depth: int, parts: Sequence[Run]) -> Ranked:
        """At least the `depth` best documents of each query, where the corpus has as many."""
