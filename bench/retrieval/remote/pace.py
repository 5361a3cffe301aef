"""When the next request may go, and when to give up on a server: exponential backoff, Retry-After, circuit breaker."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from bench.retrieval.remote.client import Fault


class Stopped(Exception):
    """The batch is over; the text says why."""


class Pace:
    """Shared by all requests of a batch.

    Failures are counted one after the other: one that began before the last counted failure came back tells nothing
    new, so that a rate limit met by eight requests at once counts as one. A success sets the count to 0. From the
    second failure on nobody sends for a while; after `give_up_after` the batch is over. A Retry-After holds for
    everybody, because limits are an account's; one of more than `longest_s` ends the batch.

    Args:
        first_s: backoff after the first failure; doubles with each, up to `cap_s`.
        seed: of the jitter, a factor between .5 and 1.
        now, wall, sleep: the clocks and the way to wait; for tests.
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
        """End the batch; the first reason stays. Requests under way are waited for, since they are paid for."""
        self.why = self.why or why
        self._stopped.set()

    async def ready(self) -> float:
        """Wait until a request may go; returns the time at which it does.

        Raises:
            Stopped: no more may.
        """
        while not self.why and (wait := self._not_before - self.now()) > 0:
            await self._sleep(wait)
        if self.why:
            raise Stopped(self.why)
        return self.now()

    def succeeded(self) -> None:
        """The server has answered."""
        self.failures = 0

    def failed(self, fault: Fault, began: float) -> None:
        """The server has not."""
        if fault.fatal:
            self.stop(str(fault))
        elif fault.after_s is not None and fault.after_s > self.longest_s:
            self.stop(f"the server asks to wait {fault.after_s:.0f} s ({fault.reason})")
        if fault.after_s is not None:
            # Nobody comes back at the very second at which everybody may.
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
        """How long to wait after the n-th failure, n from 1."""
        return min(self.cap_s, self.first_s * 2.0 ** min(attempt - 1, 30)) * (0.5 + 0.5 * self._random.random())

    async def pause(self, attempt: int) -> None:
        """Wait after a request's own n-th failure."""
        await self._sleep(self.backoff_s(attempt))

    async def _wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopped.wait()
