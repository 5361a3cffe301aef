"""All that a decision is made from, and the two questions that are asked of it again and again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bench.config import DecideConfig
from bench.decide.costs import Cost, Measured, cost_of
from bench.decide.curve import Forecast
from bench.decide.evidence import Results, gain
from bench.decide.options import Facts
from bench.decide.vocabulary import Vocabulary
from bench.gate.compare import Difference
from bench.stats import RatioInterval


@dataclass(frozen=True)
class Case:
    """Records, quantities and the config of one decision. Nothing in it needs a model.

    Attributes:
        suite: its name.
        current: the system in use, and `current_from`, how that is known.
        results: system → query set → stored result.
        facts: every configured system, in the config's order.
        config: the table `[decide]`.
        measured: quantities for the costs.
        recalls: system → k → recall@k over the held-out queries, from stored rankings.
        latencies: system → its 95th percentile over the current system's.
        missing: system → the line that makes what is missing.
        vocabulary: of the largest corpus of held-out queries, or why it is not known.
        curves: learning curves, or why nothing is forecast.
        doubts: what else makes these numbers doubtful, a sentence each.
    """

    suite: str
    current: str
    current_from: str
    results: Results = field(repr=False)
    facts: Mapping[str, Facts] = field(repr=False)
    config: DecideConfig = field(default_factory=DecideConfig)
    measured: Measured = field(default_factory=Measured)
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
        """Held-out queries that were measured."""
        return sum(len(self.results[self.current][name].scores.query_ids) for name in self.sets("held-out"))

    @property
    def abroad(self) -> dict[str, float]:
        """Out-of-distribution query sets, each with the loss that is tolerated there."""
        return dict.fromkeys(self.sets("out-of-distribution"), self.config.out_of_distribution_margin)

    def gain(self, system: str, against: str, measure: str | None = None) -> Difference | None:
        """One system minus another over all held-out queries, by the suite's first measure where none is named."""
        return gain(
            self.results,
            system,
            against,
            measure=measure or self.measure,
            query_sets=self.sets("held-out"),
            alpha=self.config.alpha,
        )

    def cost(self, system: str, option: str, config: DecideConfig | None = None) -> Cost:
        """What a system takes beside the one in use; under other assumptions where a config is given."""
        return cost_of(
            system,
            option,
            current=self.current,
            facts=self.facts,
            config=config or self.config,
            measured=self.measured,
        )
