"""What was mined, told: counts by system and reason, score histograms, suspected false negatives, examples."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

REASONS = {
    "known_positives": "known positive of the query",
    "copies_of_positives": "same text as a positive",
    "near_copies": "nearly the same words as a positive",
    "too_close": "scored within the margin of the weakest positive",
    "over_max_score": "scored above the maximum",
    "by_reranker": "as good as a positive, says the cross-encoder",
}
"""Why a candidate is no negative, in words."""

SUSPECTS, EXAMPLES = 50, 20
"""Kept of each kind of suspicion, the strongest first; examples spread over the queries."""

MOST_BINS = 40


class Histogram:
    """Counts of scores in bins of one width, from any number of scores in little memory."""

    def __init__(self, width: float = 0.01) -> None:
        self.width = width
        self.bins: Counter[int] = Counter()

    def add(self, scores: Iterable[float]) -> None:
        """Count some scores."""
        numbers, counts = np.unique(
            np.floor(np.asarray(list(scores), dtype=np.float64) / self.width).astype(np.int64), return_counts=True
        )
        self.bins.update(dict(zip(numbers.tolist(), counts.tolist(), strict=True)))


def _shared(histograms: dict[str, Histogram]) -> dict[str, Any] | None:
    """Several histograms on one axis of at most `MOST_BINS` bins; None where nothing was scored."""
    known = [number for histogram in histograms.values() for number in histogram.bins]
    if not known:
        return None
    width = next(iter(histograms.values())).width
    together = -(-(max(known) - min(known) + 1) // MOST_BINS)
    first = math.floor(min(known) / together)
    n_bins = math.floor(max(known) / together) - first + 1
    counts = {}
    for name, histogram in histograms.items():
        row = [0] * n_bins
        for number, count in histogram.bins.items():
            row[math.floor(number / together) - first] += count
        counts[name] = row
    edges = [round((first + i) * together * width, 6) for i in range(n_bins + 1)]
    return {"edges": edges, **counts}


@dataclass(frozen=True, order=True)
class Suspect:
    """A candidate that may well answer its query: `excess` is how far it lies above what was allowed."""

    excess: float
    query_id: str
    doc_id: str
    reason: str = field(compare=False)
    score: float = field(compare=False)
    weakest: float = field(compare=False)
    query: str = field(compare=False)
    text: str = field(compare=False)
    positive: str = field(compare=False)

    def to_json(self, *, texts: bool) -> dict[str, Any]:
        """As a JSON object; texts are shortened to what a reader needs to judge."""
        found: dict[str, Any] = {
            "query_id": self.query_id,
            "doc_id": self.doc_id,
            "reason": self.reason,
            "score": round(self.score, 4),
            "weakest_positive": round(self.weakest, 4),
        }
        return found | ({"query": self.query, "text": self.text, "positive": self.positive} if texts else {})


@dataclass
class MiningReport:
    """What was mined: counts a reader can judge the negatives by.

    A candidate is a document at a rank of one system's list, so that two systems that find the same document name
    two; what the cross-encoder rejects, and what is chosen, is counted once, for the system that is credited.
    """

    queries: int = 0
    candidates: int = 0
    known_positives: int = 0
    copies_of_positives: int = 0
    near_copies: int = 0
    too_close: int = 0
    over_max_score: int = 0
    by_reranker: int = 0
    filled_at_random: int = 0
    random: int = 0
    suspects: int = 0
    reference: str | None = None
    ranks: tuple[int, int] | None = None
    from_system: dict[str, int] = field(default_factory=dict)
    by_system: dict[str, dict[str, int]] = field(default_factory=dict)
    file: dict[str, int] = field(default_factory=dict)
    examples: list[dict[str, Any]] = field(default_factory=list)
    scores: dict[str, Histogram] = field(
        default_factory=lambda: {name: Histogram() for name in ("positives", "negatives", "rejected")}, repr=False
    )
    strongest: dict[str, list[Suspect]] = field(default_factory=dict, repr=False)

    def looked_at(self, system: str, reason: str | None, n: int = 1) -> None:
        """Count candidates of a system, and why they are no negatives."""
        row = self.by_system.setdefault(system, {"candidates": 0})
        self.candidates += n
        row["candidates"] += n
        if reason:
            self.rejected(system, reason, n)

    def rejected(self, system: str, reason: str, n: int = 1) -> None:
        """Count candidates that are no negatives."""
        row = self.by_system.setdefault(system, {"candidates": 0})
        row[reason] = row.get(reason, 0) + n
        setattr(self, reason, getattr(self, reason) + n)

    def chosen(self, system: str) -> None:
        """Count a negative."""
        self.from_system[system] = self.from_system.get(system, 0) + 1

    def suspected(self, suspect: Suspect) -> None:
        """Keep a suspect, if it is among the strongest of its reason."""
        self.suspects += 1
        kept = self.strongest.setdefault(suspect.reason, [])
        if len(kept) < SUSPECTS:
            heapq.heappush(kept, suspect)
        else:
            heapq.heappushpop(kept, suspect)

    def example(self, query_id: str, query: str, positive: tuple[str, str], negatives: list[tuple[str, str]]) -> None:
        """Keep a query with its negatives, each an id and a text."""
        self.examples.append(
            {
                "query_id": query_id,
                "positive": positive[0],
                "negatives": [doc_id for doc_id, _ in negatives],
                "query": query,
                "positive_text": positive[1],
                "negative_texts": [text for _, text in negatives],
            }
        )

    def to_json(self, *, texts: bool = False) -> dict[str, Any]:
        """As a JSON object; with texts of queries and documents only where asked for.

        `scores` has `edges`, float[n_bins + 1], and for positives, negatives and rejected candidates int[n_bins].
        """
        names = ["queries", "candidates", *REASONS, "filled_at_random", "random", "suspects"]
        found: dict[str, Any] = {name: getattr(self, name) for name in names}
        found |= {"reference": self.reference, "ranks": list(self.ranks) if self.ranks else None}
        found |= {"from_system": self.from_system, "by_system": self.by_system}
        if self.file:
            found["file"] = self.file
        found["scores"] = _shared(self.scores)
        kept = [suspect for reason in REASONS for suspect in sorted(self.strongest.get(reason, ()), reverse=True)]
        found["suspected"] = [suspect.to_json(texts=texts) for suspect in kept]
        hidden = () if texts else ("query", "positive_text", "negative_texts")
        found["examples"] = [{k: v for k, v in row.items() if k not in hidden} for row in self.examples]
        return found
