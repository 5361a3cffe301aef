"""Many requests to one server from synchronous code: a few at once, each repeated until it is answered."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar

from pydantic import Field

from bench.base.errors import SystemFailed
from bench.config import Strict
from bench.retrieval.remote.client import MOST_BYTES, Client, Endpoint, Fault, api_key
from bench.retrieval.remote.pace import Pace, Stopped

Answer = TypeVar("Answer")

NO_ANSWER = (KeyError, TypeError, ValueError, IndexError, OverflowError, AttributeError)
"""Errors of reading an answer from any JSON."""

ANSWER_BYTES = 64 * 2**20
"""Most bytes of an answer: above 2,048 vectors of 1,024 numbers of 20 digits; some rerankers return all documents."""


@cache
def _loop() -> asyncio.AbstractEventLoop:
    """One event loop in its own thread: connections outlive a call, and a caller may run a loop too."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="bench.retrieval.remote", daemon=True).start()
    return loop


@dataclass(eq=False)
class Server:
    """A model behind an address, for many requests.

    Args:
        endpoint: address, name of the key's variable, deadline.
        concurrency: requests at once; the first is sent alone, so that a wrong key costs one request.
        attempts: most requests for one answer while the server fails.
        most_bytes: most bytes of an answer.
        pace: returns the backoff and circuit breaker of one call of `ask`.
    """

    endpoint: Endpoint
    concurrency: int = 4
    attempts: int = 6
    most_bytes: int = MOST_BYTES
    pace: Callable[[], Pace] = Pace
    _client: Client | None = field(default=None, init=False, repr=False)
    _known: bool = field(default=False, init=False, repr=False)

    def ask(self, path: str, bodies: Sequence[dict[str, Any]], read: Callable[[Any], Answer]) -> list[Answer]:
        """One answer for each body, in their order.

        Args:
            path: of the requests, after the base address.
            bodies: the requests' JSON.
            read: the server's JSON → an answer; raises one of NO_ANSWER where it has none.

        Raises:
            SystemFailed: a request was not answered; the others are cancelled.
            ConfigError: the key's environment variable is not set.
        """
        future = asyncio.run_coroutine_threadsafe(self._all(path, bodies, read), _loop())
        try:
            return future.result()
        except (Fault, Stopped) as problem:
            raise SystemFailed(
                f'The server at {self.endpoint.base_url} did not answer for model "{self.endpoint.model}": {problem}. '
                "Its answers so far are kept; run the command again to go on."
            ) from None
        finally:
            future.cancel()

    async def _all(self, path: str, bodies: Sequence[dict[str, Any]], read: Callable[[Any], Answer]) -> list[Answer]:
        if self._client is None:
            client = Client(self.endpoint, api_key(self.endpoint), self.most_bytes)
            self._client = await client.__aenter__()
            weakref.finalize(
                self, lambda: asyncio.run_coroutine_threadsafe(client.__aexit__(None, None, None), _loop())
            )
        pace, answers = self.pace(), {}
        waiting = iter(enumerate(bodies))

        async def work() -> None:
            for position, body in waiting:
                answers[position] = await self._one(path, body, read, pace)

        if not self._known:
            for position, body in waiting:
                answers[position] = await self._one(path, body, read, pace)
                break
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self.concurrency, len(bodies) - len(answers))):
                    group.create_task(work())
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from None
        return [answers[position] for position in range(len(bodies))]

    async def _one(self, path: str, body: dict[str, Any], read: Callable[[Any], Answer], pace: Pace) -> Answer:
        client, attempt = self._client, 0
        if client is None:
            raise RuntimeError("the client has not been entered")
        while True:
            began = await pace.ready()
            try:
                document = client.read(await client.exchange(path, body, wall=pace.wall()))
                try:
                    answer = read(document)
                except NO_ANSWER as problem:
                    # The error's text may quote the server, and the server the key.
                    detail = client.shown(str(problem))
                    raise Fault("the server's answer has another form", detail, retry=True, billed=True) from None
            except Fault as fault:
                pace.failed(fault, began)
                attempt += 1
                if not fault.retry or fault.fatal or attempt >= self.attempts:
                    raise
            else:
                pace.succeeded()
                self._known = True
                return answer
            await pace.pause(attempt)


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
        return Server(endpoint, self.concurrency, most_bytes=ANSWER_BYTES)

    def identity(self) -> Mapping[str, Any]:
        """Everything known that changes an answer: address, model, the user's revision, parameters."""
        return {
            "base_url": self.base_url.rstrip("/"),
            "model": self.model,
            "revision": self.revision,
            "max_chars": self.max_chars,
            "parameters": self.parameters,
        }
