"""The config's table of a model behind an address."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from bench.config import Strict
from bench.retrieval.remote.client import Endpoint
from bench.retrieval.remote.many import Server

MOST_BYTES = 64 * 2**20
"""Most bytes of an answer: above 2,048 vectors of 1,024 numbers of 20 digits; some rerankers return all documents."""


class RemoteConfig(Strict):
    """Keys of every encoder and reranker behind an address; each kind adds its `kind`."""

    base_url: str
    model: str
    api_key_env: str = ""
    revision: str | None = None
    max_chars: int | None = Field(default=None, ge=1)
    parameters: dict[str, Any] = Field(default_factory=dict)
    concurrency: int = Field(default=4, ge=1)
    timeout_s: float = Field(default=60.0, gt=0)
    plain_http: bool = False

    def server(self) -> Server:
        """The server at this address; nothing is sent yet.

        Raises:
            ConfigError: not an address, or one that contains a secret.
        """
        endpoint = Endpoint(self.base_url, self.model, self.api_key_env, self.timeout_s, self.plain_http)
        return Server(endpoint, self.concurrency, most_bytes=MOST_BYTES)

    def identity(self) -> Mapping[str, Any]:
        """Everything known that changes an answer: address, model, the user's revision, parameters."""
        return {
            "base_url": self.base_url.rstrip("/"),
            "model": self.model,
            "revision": self.revision,
            "max_chars": self.max_chars,
            "parameters": self.parameters,
        }
