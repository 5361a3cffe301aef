"""What a batch may cost, and what it has cost: requests, tokens, money."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Price:
    """US dollars per million tokens; `source` and `date` say who asked for it and when."""

    input: float
    output: float
    source: str
    date: str


@dataclass(frozen=True)
class Spent:
    """Requests, tokens and dollars. `estimated_tokens` are those among the tokens that no server counted."""

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    estimated_tokens: int = 0
    price_usd: float = 0.0

    @property
    def tokens(self) -> int:
        """Prompt and completion together."""
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: Spent) -> Spent:
        return Spent(*(a + b for a, b in zip(asdict(self).values(), asdict(other).values(), strict=True)))

    def __sub__(self, other: Spent) -> Spent:
        return Spent(*(a - b for a, b in zip(asdict(self).values(), asdict(other).values(), strict=True)))

    @classmethod
    def of(cls, prompt: int, completion: int, estimated: int, price: Price | None) -> Spent:
        """One request's."""
        usd = (prompt * price.input + completion * price.output) / 1e6 if price else 0.0
        return cls(1, prompt, completion, estimated, usd)


@dataclass(frozen=True)
class Budget:
    """Limits; None where there is none."""

    requests: int | None = None
    tokens: int | None = None
    usd: float | None = None

    def exceeded_by(self, spent: Spent) -> str:
        """Which limit this would exceed, in words; empty where none."""
        if self.requests is not None and spent.requests > self.requests:
            return f"{self.requests} requests"
        if self.tokens is not None and spent.tokens > self.tokens:
            return f"{self.tokens} tokens"
        # A sum of many small prices may end a hair above what it should be.
        if self.usd is not None and spent.price_usd > self.usd * (1 + 1e-9):
            return f"{self.usd:g} US dollars"
        return ""


def estimated_tokens(text: str) -> int:
    """Tokens where nobody has counted: one for four ASCII characters, one for each other character.

    A rule of thumb for English prose and the byte-pair vocabularies in use; other alphabets are overestimated, code
    and numbers underestimated. It serves until a server's own count is there.
    """
    plain = sum(map(str.isascii, text))
    return math.ceil(plain / 4) + len(text) - plain
