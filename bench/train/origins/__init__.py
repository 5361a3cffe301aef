"""Where pairs come from: one file a kind, with `Config` (its table) and `pairs(config, context)`.

The file's name is the kind's name in a config, and its docstring's first line is its listing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from bench.records import Progress, Suite, no_progress
from bench.store import Store

__all__ = ["Context"]


@dataclass
class Context:
    """What an origin works with.

    `suite` has the corpora that documents stand in; `base` is the folder that paths start from; `counts` is where an
    origin says what it read, left out and lost, by reason in words.
    """

    suite: Suite
    base: Path
    store: Store
    seed: int = 0
    progress: Progress = no_progress
    counts: dict[str, int] = field(default_factory=dict)

    def count(self, what: str, n: int = 1) -> None:
        """Add to a count."""
        self.counts[what] = self.counts.get(what, 0) + n
