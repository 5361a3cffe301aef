"""When the next request may be sent, and when to give up: exponential backoff, Retry-After, circuit breaker."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from bench.retrieval.remote.client import Fault


class Stopped(Exception):
    """The batch has ended; the text says why."""


class Pace:
    """The pace that all requests of a batch share.

    A failure is counted if its request began after the last counted failure: a rate limit that eight requests meet at
    once counts as one. A success sets the count to 0. From the second failure on all requests wait; after
    `give_up_after` failures the batch ends. A Retry-After applies to all requests, because limits belong to an account;
    one of more than `longest_s` ends the batch.

    Args:
        first_s: backoff after the first failure; doubles with each, up to `cap_s`.
        seed: of the jitter, a factor between .5 and 1.
        now, wall, sleep: clocks and sleep; tests replace them.
    """

    def __init__(
        self,
        *,
        first_s: float = 0.5,
        cap_s: float = 30.0,
        longest_s: float = 120.0,
        give_up_after: int = 8,
        seed: int = 0,
        now: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] | None = None,
    ) -> None:
        self.first_s, self.cap_s, self.longest_s, self.give_up_after = first_s, cap_s, longest_s, give_up_after
        self.now, self.wall = now, wall
        self._sleep = sleep or self._wait
        self._random = random.Random(seed)  # noqa: S311 (jitter, not a secret)
        self._stopped = asyncio.Event()
        self._not_before = self._last_failure = float("-inf")
        self.failures = 0
        self.why = ""

    def stop(self, why: str) -> None:
        """End the batch; the first reason stays. Requests already sent are awaited, because they are paid for."""
        self.why = self.why or why
        self._stopped.set()

    async def ready(self) -> float:
        """Wait until a request may be sent, and return the time.

        Raises:
            Stopped: the batch has ended.
        """
        while not self.why and (wait := self._not_before - self.now()) > 0:
            await self._sleep(wait)
        if self.why:
            raise Stopped(self.why)
        return self.now()

    def succeeded(self) -> None:
        """Count an answer."""
        self.failures = 0

    def failed(self, fault: Fault, began: float) -> None:
        """Count a failure of a request that began at `began`."""
        if fault.fatal:
            self.stop(str(fault))
        elif fault.after_s is not None and fault.after_s > self.longest_s:
            self.stop(f"the server demands a wait of {fault.after_s:.0f} s ({fault.reason})")
        if fault.after_s is not None:
            # Jitter: not all requests return at the same second.
            self._not_before = max(self._not_before, self.now() + fault.after_s + self.first_s * self._random.random())
        if began < self._last_failure:
            return
        self.failures += 1
        self._last_failure = self.now()
        if self.failures >= self.give_up_after:
            self.stop(f"the server failed {self.failures} times in a row, last with: {fault}")
        elif self.failures > 1:
            self._not_before = max(self._not_before, self.now() + self.backoff_s(self.failures))

    def backoff_s(self, attempt: int) -> float:
        """Seconds to wait after the n-th failure, n from 1."""
        return min(self.cap_s, self.first_s * 2.0 ** min(attempt - 1, 30)) * (0.5 + 0.5 * self._random.random())

    async def pause(self, attempt: int) -> None:
        """Wait after the n-th failure of one request."""
        await self._sleep(self.backoff_s(attempt))

    async def _wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopped.wait()
