"""Any server with Cohere's rerank API: POST {base_url}/rerank. Cohere, Jina, vLLM, Infinity, a gateway."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bench.base.errors import SystemFailed
from bench.retrieval.remote.many import RemoteConfig


class Config(RemoteConfig):
    """`reranker = { kind = "cohere", base_url = …, model = … }`."""

    kind: Literal["cohere"]
    batch_size: int = Field(default=100, ge=1, le=1000)


def build(config: Config, *, base: Path, models: Path) -> CohereScorer:
    """The reranker that a config's table describes."""
    return CohereScorer(config)


class CohereScorer:
    """Scores of pairs by a server; a query and all its documents are one request, because vendors bill by query."""

    by_query = True
    canary = ("What does the fox jump over?", "The quick brown fox jumps over the lazy dog.")

    def __init__(self, config: Config) -> None:
        self.config = config
        self.server = config.server()

    def fingerprint(self) -> Mapping[str, Any]:
        """Everything known that changes a score."""
        return {"kind": "cohere", **self.config.identity()}

    def score(self, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float32]:
        """float32[n_pairs]; the server's relevance scores.

        Raises:
            SystemFailed: the server returns none.
        """
        by_query: dict[str, list[int]] = {}
        for place, (query, _) in enumerate(pairs):
            by_query.setdefault(query, []).append(place)
        size = self.config.batch_size
        parts = [
            (query, places[start : start + size])
            for query, places in by_query.items()
            for start in range(0, len(places), size)
        ]
        bodies = [
            {
                **self.config.parameters,
                "model": self.config.model,
                "query": query or " ",
                "documents": [pairs[place][1][: self.config.max_chars] or " " for place in places],
            }
            for query, places in parts
        ]
        scores = np.empty(len(pairs), dtype=np.float32)
        answers = self.server.ask("rerank", bodies, scores_of)
        for (_, places), answer in zip(parts, answers, strict=True):
            if set(answer) != set(range(len(places))):
                raise SystemFailed(
                    f"The server at {self.config.base_url} scored {len(answer)} of a query's {len(places)} documents; "
                    "expected a score for each. Does a parameter such as top_n cut its answer?"
                )
            scores[places] = [answer[i] for i in range(len(places))]
        return scores


def scores_of(document: Any) -> dict[int, float]:
    """Position of a document in the request → relevance score, from the JSON of an answer.

    Raises:
        NO_ANSWER: it has none.
    """
    items = document["results"] if "results" in document else document["data"]
    scores = {item["index"]: float(item["relevance_score"]) for item in items}
    if len(scores) < len(items) or not scores or not all(isinstance(place, int) for place in scores):
        raise ValueError("its indices are not 0, 1, 2 …, each once")
    if not all(map(math.isfinite, scores.values())):
        raise ValueError("its scores are not finite numbers")
    return scores
