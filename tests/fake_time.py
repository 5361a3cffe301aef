"""A clock for what waits."""

import asyncio

from bench.retrieval.remote import Pace


class FakeTime:
    """A clock that waiting moves, and nothing else."""

    def __init__(self):
        self.t, self.waits = 0.0, []

    def pace(self, **settings):
        return Pace(now=lambda: self.t, wall=lambda: 1_000_000.0 + self.t, sleep=self.sleep, **settings)

    async def sleep(self, seconds):
        self.waits.append(seconds)
        self.t += seconds
        await asyncio.sleep(0)
