"""The report on mined negatives: counts by system and reason, score histograms, likely false negatives, examples."""

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
    "by_reranker": "scored like a positive by the cross-encoder",
}
"""Why a candidate is no negative, in words."""

SUSPECTS, EXAMPLES = 50, 20
"""Suspects reported for each reason, the strongest first; queries reported as examples."""

WIDTH, MOST_BINS = 0.01, 40


class Histogram:
    """Counts of scores in bins of `WIDTH`, from any number of scores in little memory."""

    def __init__(self) -> None:
        self.bins: Counter[int] = Counter()

    def add(self, scores: Iterable[float]) -> None:
        """Count some scores."""
        bins = np.floor(np.asarray(list(scores), dtype=np.float64) / WIDTH).astype(np.int64)
        self.bins.update(bins.tolist())


def _on_one_axis(histograms: dict[str, Histogram]) -> dict[str, Any] | None:
    """Several histograms in the same bins, at most `MOST_BINS`; None where nothing was scored."""
    numbers = [number for histogram in histograms.values() for number in histogram.bins]
    if not numbers:
        return None
    together = -(-(max(numbers) - min(numbers) + 1) // MOST_BINS)
    first = math.floor(min(numbers) / together)
    n_bins = math.floor(max(numbers) / together) - first + 1
    counts = {name: [0] * n_bins for name in histograms}
    for name, histogram in histograms.items():
        for number, count in histogram.bins.items():
            counts[name][math.floor(number / together) - first] += count
    edges = [round((first + i) * together * WIDTH, 6) for i in range(n_bins + 1)]
    return {"edges": edges, **counts}


@dataclass(frozen=True, order=True)
class Suspect:
    """A rejected candidate that may answer its query: `excess` is how far its score lies above the limit."""

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
        """As a JSON object, with excerpts of the texts where wanted."""
        row = {"query_id": self.query_id, "doc_id": self.doc_id, "reason": self.reason}
        numbers = {"score": round(self.score, 4), "weakest_positive": round(self.weakest, 4)}
        excerpts = {"query": self.query, "text": self.text, "positive": self.positive}
        return {**row, **numbers, **(excerpts if texts else {})}


@dataclass
class MiningReport:
    """Counts by which a reader can judge the negatives.

    A candidate is a document at a rank of one system's list: a document that two systems rank counts twice. What the
    cross-encoder rejects, and what is chosen, counts once, for the system that is credited.
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

    def count_candidate(self, system: str, reason: str | None) -> None:
        """Count a candidate of a system, and why it is no negative."""
        self.by_system.setdefault(system, {"candidates": 0})["candidates"] += 1
        self.candidates += 1
        if reason:
            self.count_rejected(system, reason)

    def count_rejected(self, system: str, reason: str) -> None:
        """Count why a candidate is no negative."""
        row = self.by_system.setdefault(system, {"candidates": 0})
        row[reason] = row.get(reason, 0) + 1
        setattr(self, reason, getattr(self, reason) + 1)

    def count_negative(self, system: str) -> None:
        """Count a negative for the system that is credited."""
        self.from_system[system] = self.from_system.get(system, 0) + 1

    def add_suspect(self, suspect: Suspect) -> None:
        """Count a suspect; it is reported if it is among the strongest of its reason."""
        self.suspects += 1
        strongest = self.strongest.setdefault(suspect.reason, [])
        heapq.heappush(strongest, suspect)
        if len(strongest) > SUSPECTS:
            heapq.heappop(strongest)

    def to_json(self, *, texts: bool = False) -> dict[str, Any]:
        """As a JSON object, with texts of queries and documents where wanted.

        `scores` has `edges`, float[n_bins + 1], and for positives, negatives and rejected candidates int[n_bins].
        """
        names = ["queries", "candidates", *REASONS, "filled_at_random", "random", "suspects"]
        document: dict[str, Any] = {name: getattr(self, name) for name in names}
        document |= {"reference": self.reference, "ranks": list(self.ranks) if self.ranks else None}
        document |= {"from_system": self.from_system, "by_system": self.by_system}
        if self.file:
            document["file"] = self.file
        document["scores"] = _on_one_axis(self.scores)
        suspects = [suspect for reason in REASONS for suspect in sorted(self.strongest.get(reason, ()), reverse=True)]
        document["suspected"] = [suspect.to_json(texts=texts) for suspect in suspects]
        hidden = () if texts else ("query", "positive_text", "negative_texts")
        document["examples"] = [{k: v for k, v in row.items() if k not in hidden} for row in self.examples]
        return document
