"""Answers that were paid for, by the digest of what was asked; and a ledger of every request, answered or not.

One folder a job (model, prompt, parameters): `job.json`, one file an answer, `ledger.jsonl`. Failures are in the ledger
alone, so that a later run asks again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.base.errors import StoreError
from bench.base.store import Store, read_json, write_json
from bench.records import digest_of
from bench.train.llm.budget import Spent

FORMAT = 1


class Answers:
    """What one job has brought so far. `spec` is all that an answer depends on beside the passage."""

    def __init__(self, store: Store, spec: Mapping[str, Any]) -> None:
        self.store, self.spec = store, dict(spec)
        self.digest = digest_of(self.spec)
        self.folder: Path = store.path("llm", self.digest)

    def prepare(self) -> None:
        """Make the folder, with what is asked in full."""
        self.store.prepare()
        if not (self.folder / "job.json").exists():
            write_json(self.folder / "job.json", {"format": FORMAT, **self.spec}, indent=1)

    def read(self, key: str) -> dict[str, Any] | None:
        """The answer to `key`; None where there is none, or where its file is damaged."""
        try:
            found = read_json(self.folder / f"{key}.json")
        except StoreError:
            return None
        whole = isinstance(found, dict) and found.get("format") == FORMAT and found.get("key") == key
        return found if whole and isinstance(found.get("text"), str) and isinstance(found.get("model"), str) else None

    def write(self, key: str, answer: Mapping[str, Any], spent: Spent) -> None:
        """Keep an answer and what it cost, at once."""
        write_json(self.folder / f"{key}.json", {"format": FORMAT, "key": key, **answer, "spent": asdict(spent)})

    def record(self, outcome: str, spent: Spent, guessed_prompt_tokens: int) -> None:
        """Add one request to the ledger. Its line begins with a line break, so that one cut by a kill spoils none."""
        row = {"format": FORMAT, "outcome": outcome, "guessed_prompt_tokens": guessed_prompt_tokens, **asdict(spent)}
        line = json.dumps(row, ensure_ascii=True)
        with (self.folder / "ledger.jsonl").open("a", encoding="ascii") as stream:
            stream.write(f"\n{line}")

    def spent(self) -> Spent:
        """All that was ever spent on this job, failures included."""
        return sum((spent for _, _, spent in self._ledger()), Spent())

    def measured(self) -> tuple[int, float, float]:
        """(answers, prompt tokens per guessed one, mean completion tokens), where the server counted tokens."""
        rows = [
            (guessed, spent)
            for outcome, guessed, spent in self._ledger()
            if outcome == "answered" and not spent.estimated_tokens and guessed and spent.prompt_tokens
        ]
        if not rows:
            return 0, 1.0, 0.0
        prompts = sum(spent.prompt_tokens for _, spent in rows)
        return (
            len(rows),
            prompts / sum(guessed for guessed, _ in rows),
            sum(spent.completion_tokens for _, spent in rows) / len(rows),
        )

    def _ledger(self) -> Iterator[tuple[str, int, Spent]]:
        """(outcome, guessed prompt tokens, spent) a request; lines that a kill has cut are passed over."""
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
