"""The inputs of a decision, and the gains and costs that follow from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from bench.config import DecideConfig
from bench.decide.costs import Cost, Quantities, cost_of
from bench.decide.curve import Forecast
from bench.decide.evidence import Bound
from bench.decide.options import Facts
from bench.decide.vocabulary import Vocabulary
from bench.gate.compare import Difference, difference
from bench.records import Result
from bench.stats import MINIMUM_QUERIES, RatioInterval


@dataclass(frozen=True)
class Case:
    """Results, quantities and the config of one decision; no model is needed.

    Attributes:
        suite: its name.
        current: the system in use, and `current_from`, where that is stated.
        results: system → query set → stored result.
        facts: every configured system, in the config's order.
        config: the table `[decide]`.
        measured: quantities for the costs.
        recalls: system → k → recall@k over the held-out queries, from stored rankings.
        latencies: system → its 95th percentile over the current system's.
        missing: system → the command that makes its result.
        vocabulary: of the largest corpus of held-out queries, or why it is not known.
        curves: learning curves with a forecast, or with the reason for none.
        doubts: further reasons to doubt these numbers, a sentence each.
    """

    suite: str
    current: str
    current_from: str
    results: Mapping[str, Mapping[str, Result]] = field(repr=False)
    facts: Mapping[str, Facts] = field(repr=False)
    config: DecideConfig = field(default_factory=DecideConfig)
    measured: Quantities = field(default_factory=Quantities)
    recalls: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    latencies: Mapping[str, RatioInterval] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    vocabulary: Vocabulary | str = "not looked at"
    curves: tuple[Forecast, ...] = ()
    doubts: tuple[str, ...] = ()

    def sets(self, role: str) -> list[str]:
        """Query sets of a role on which the current system was measured."""
        return [name for name, result in self.results.get(self.current, {}).items() if result.role == role]

    @property
    def measure(self) -> str:
        """The suite's first measure."""
        return next(iter(self.results[self.current].values())).protocol.measures[0]

    @property
    def n_held_out(self) -> int:
        """Held-out queries of the current system's results."""
        return sum(len(self.results[self.current][name].scores.query_ids) for name in self.sets("held-out"))

    @property
    def headroom(self) -> dict[str, float | None]:
        """The current system's recall@10 and recall@100, and their difference."""
        recalls = self.recalls.get(self.current, {})
        ten, hundred = recalls.get(10), recalls.get(100)
        between = None if ten is None or hundred is None else hundred - ten
        return {"recall@10": ten, "recall@100": hundred, "between": between}

    def mean(self, system: str) -> float | None:
        """A system's mean over all held-out queries; None where it was not measured on all of them."""
        pairs = self._pairs(system, self.current, self.sets("held-out"))
        if not pairs or any(self.measure not in result.scores.measures for _, result in pairs):
            return None
        return float(np.concatenate([result.scores.column(self.measure) for _, result in pairs]).mean())

    def gain(self, system: str, against: str, measure: str | None = None) -> Difference | None:
        """A system minus another over all held-out queries, in the suite's first measure unless one is named.

        None where either lacks a result on any of the query sets.

        Raises:
            NotComparable: results of different tasks, or without this measure.
        """
        pairs = self._pairs(system, against, self.sets("held-out"))
        if not pairs:
            return None
        references, systems = zip(*pairs, strict=True)
        return difference(references, systems, measure or self.measure, alpha=self.config.alpha, label="reference")

    def bounds(
        self, system: str, against: str, margins: Mapping[str, float] | None = None, alpha: float | None = None
    ) -> list[Bound] | None:
        """A bound of the drop for each query set of `margins`, else of those out of distribution.

        None where a result is missing. Each bound is one-sided at 1 − alpha. All must hold, so none needs a correction.
        """
        margins = self.out_of_distribution if margins is None else margins
        alpha = alpha or self.config.alpha
        pairs = self._pairs(system, against, margins)
        if pairs is None:
            return None
        rows = []
        for (reference, candidate), (name, margin) in zip(pairs, margins.items(), strict=True):
            change = difference([reference], [candidate], self.measure, alpha=alpha)
            # Under five queries an interval would only look like evidence.
            enough = change.n >= MINIMUM_QUERIES
            lower = change.lower if enough or change.test == "identical" else None
            lost = enough and change.p_worse is not None and change.p_worse < alpha and change.delta < 0
            needed, holds = change.queries_for(margin), change.within(margin)
            rows.append(Bound(name, candidate.role, change.n, change.delta, lower, margin, holds, lost, needed))
        return rows

    def _pairs(self, system: str, against: str, query_sets: Iterable[str]) -> list[tuple[Result, Result]] | None:
        """(reference, system) of each query set; None where a result is missing."""
        ours, theirs = self.results.get(system, {}), self.results.get(against, {})
        if any(name not in ours or name not in theirs for name in query_sets):
            return None
        return [(theirs[name], ours[name]) for name in query_sets]

    @property
    def out_of_distribution(self) -> dict[str, float]:
        """Out-of-distribution query sets, each with the drop that is tolerated there."""
        return dict.fromkeys(self.sets("out-of-distribution"), self.config.out_of_distribution_margin)

    def cost(self, system: str, option: str, config: DecideConfig | None = None) -> Cost:
        """Cost of a system as an option, under other assumptions where a config is given."""
        config = config or self.config
        return cost_of(system, option, current=self.current, facts=self.facts, config=config, measured=self.measured)
