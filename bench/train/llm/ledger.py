"""Answers that were paid for, by the digest of the question; what they cost; and what a job may cost.

One folder for each job (model, prompt, parameters): `job.json`, a file for each answer, and `ledger.jsonl` with every
request, answered or not. Failures are in the ledger alone, so a later run asks again.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from bench.base.errors import StoreError
from bench.base.store import Store, read_json, write_json
from bench.config import Strict
from bench.records import digest_of

FORMAT = 1


class Price(Strict):
    """US dollars per million tokens, the source of the price, and its date."""

    input: float = Field(ge=0)
    output: float = Field(ge=0)
    source: str = Field(min_length=1)
    date: str = Field(pattern=r"^\d{4}-\d{2}-\d{2}$")


@dataclass(frozen=True)
class Spent:
    """Requests, tokens and dollars; `estimated_tokens` are tokens that no server counted."""

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
        """The cost of one request."""
        usd = (prompt * price.input + completion * price.output) / 1e6 if price else 0.0
        return cls(1, prompt, completion, estimated, usd)


class Budget(Strict):
    """Limits on all runs of a job together; None where there is none."""

    requests: Annotated[int, Field(ge=1)] | None = None
    tokens: Annotated[int, Field(ge=1)] | None = None
    usd: float | None = Field(default=None, gt=0)

    def exceeded_by(self, spent: Spent) -> str:
        """The limit that this would exceed, in words; empty where none."""
        if self.requests is not None and spent.requests > self.requests:
            return f"{self.requests} requests"
        if self.tokens is not None and spent.tokens > self.tokens:
            return f"{self.tokens} tokens"
        # A sum of many small prices may end a hair above what it should be.
        if self.usd is not None and spent.price_usd > self.usd * (1 + 1e-9):
            return f"{self.usd:g} US dollars"
        return ""


def estimated_tokens(text: str) -> int:
    """Tokens of a text, where no server has counted: one for four ASCII characters, one for each other character.

    A rule of thumb for English prose and the byte-pair vocabularies in use; other alphabets are overestimated, code
    and numbers underestimated. A server's own count replaces it.
    """
    ascii_characters = sum(map(str.isascii, text))
    return math.ceil(ascii_characters / 4) + len(text) - ascii_characters


class AnswerStore:
    """The answers and the ledger of one job. `spec` is all that an answer depends on beside the passage."""

    def __init__(self, store: Store, spec: Mapping[str, Any]) -> None:
        self.store, self.spec = store, dict(spec)
        self.digest = digest_of(self.spec)
        self.folder: Path = store.path("llm", self.digest)

    def prepare(self) -> None:
        """Make the folder, with the job in full."""
        self.store.prepare()
        if not (self.folder / "job.json").exists():
            write_json(self.folder / "job.json", {"format": FORMAT, **self.spec}, indent=1)

    def read(self, key: str) -> dict[str, Any] | None:
        """The answer to the question `key`; None where there is none, or where its file is damaged."""
        try:
            answer = read_json(self.folder / f"{key}.json")
        except StoreError:
            return None
        if not isinstance(answer, dict) or answer.get("format") != FORMAT or answer.get("key") != key:
            return None
        return answer if isinstance(answer.get("text"), str) and isinstance(answer.get("model"), str) else None

    def write(self, key: str, answer: Mapping[str, Any], spent: Spent) -> None:
        """Keep an answer with its cost."""
        write_json(self.folder / f"{key}.json", {"format": FORMAT, "key": key, **answer, "spent": asdict(spent)})

    def record(self, outcome: str, spent: Spent, guessed_prompt_tokens: int) -> None:
        """Add one request to the ledger. It begins with a line break: a line cut by a kill damages no other."""
        row = {"format": FORMAT, "outcome": outcome, "guessed_prompt_tokens": guessed_prompt_tokens, **asdict(spent)}
        with (self.folder / "ledger.jsonl").open("a", encoding="ascii") as stream:
            stream.write("\n" + json.dumps(row, ensure_ascii=True))

    def spent(self) -> Spent:
        """The cost of all requests of this job in all runs, failures included."""
        return sum((spent for _, _, spent in self._ledger()), Spent())

    def measured(self) -> tuple[int, float, float]:
        """(answers, prompt tokens per guessed token, mean completion tokens) where the server counted tokens."""
        rows = [
            (guessed, spent)
            for outcome, guessed, spent in self._ledger()
            if outcome == "answered" and not spent.estimated_tokens and guessed and spent.prompt_tokens
        ]
        if not rows:
            return 0, 1.0, 0.0
        ratio = sum(spent.prompt_tokens for _, spent in rows) / sum(guessed for guessed, _ in rows)
        return len(rows), ratio, sum(spent.completion_tokens for _, spent in rows) / len(rows)

    def _ledger(self) -> Iterator[tuple[str, int, Spent]]:
        """(outcome, guessed prompt tokens, spent) of each request; lines cut by a kill are skipped."""
        try:
            lines = (self.folder / "ledger.jsonl").read_text(encoding="utf-8", errors="replace").split("\n")
        except OSError:
            return
        for line in lines:
            try:
                row = json.loads(line)
                spent = Spent(**{name: row[name] for name in asdict(Spent())})
                yield str(row["outcome"]), int(row["guessed_prompt_tokens"]), spent + Spent()
            except (ValueError, KeyError, TypeError, RecursionError):
                continue
