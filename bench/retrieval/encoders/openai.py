"""Any server with OpenAI's embeddings API: POST {base_url}/embeddings. A vendor, vLLM, TEI, Ollama, a hosted model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bench.base.errors import SystemFailed
from bench.retrieval.remote.many import RemoteConfig


class Config(RemoteConfig):
    """`encoder = { kind = "openai", base_url = …, model = …, dim = … }`."""

    kind: Literal["openai"]
    dim: int = Field(ge=1)
    query_prompt: str = ""
    document_prompt: str = ""
    batch_size: int = Field(default=64, ge=1, le=2048)


def build(config: Config, *, base: Path, models: Path) -> OpenAIEncoder:
    """The encoder that a config's table describes."""
    return OpenAIEncoder(config)


class OpenAIEncoder:
    """Texts to vectors by a server. Its weights are unknown: the vector of `canary` shows whether they have changed."""

    canary = "The quick brown fox jumps over the lazy dog."
    paid_by_token = True

    def __init__(self, config: Config) -> None:
        self.config, self.dim = config, config.dim
        self.prompts = {"query": config.query_prompt, "document": config.document_prompt}
        self.server = config.server()

    def fingerprint(self) -> Mapping[str, Any]:
        """Everything known that changes a vector."""
        return {"kind": "openai", **self.config.identity(), "prompts": self.prompts}

    def prompted(self, texts: Sequence[str], kind: str) -> list[str]:
        """The final texts: prompt and text, cut to `max_chars`; a space for an empty one, which servers refuse."""
        return [(self.prompts[kind] + text)[: self.config.max_chars] or " " for text in texts]

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """float32[n_texts, dim] of final texts.

        Raises:
            SystemFailed: the server returns no vectors, or vectors of another size.
        """
        size = self.config.batch_size
        batches = [list(texts[start : start + size]) for start in range(0, len(texts), size)]
        head = {"encoding_format": "float", **self.config.parameters, "model": self.config.model}
        answers = self.server.ask("embeddings", [head | {"input": batch} for batch in batches], rows_of)
        for rows, batch in zip(answers, batches, strict=True):
            if rows.shape != (len(batch), self.dim):
                raise SystemFailed(
                    f"The server at {self.config.base_url} returned {rows.shape[0]} vectors of {rows.shape[1]} numbers "
                    f"for {len(batch)} texts; expected one of {self.dim} each, as its table says: dim = {self.dim}."
                )
        return np.concatenate(answers) if answers else np.empty((0, self.dim), dtype=np.float32)


def rows_of(document: Any) -> NDArray[np.float32]:
    """float32[n, size] from the JSON of an answer, in the order of its indices.

    Raises:
        NO_ANSWER: it has none.
    """
    items = sorted(document["data"], key=lambda item: item["index"])
    if [item["index"] for item in items] != list(range(len(items))) or not items:
        raise ValueError("its indices are not 0, 1, 2 …")
    rows = np.asarray([item["embedding"] for item in items], dtype=np.float32)
    if rows.ndim != 2 or not np.isfinite(rows).all():
        raise ValueError("its vectors are not lists of finite numbers, all as long")
    return rows
