"""What a decision is made of: reasons, options, and the recommendation itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.base.json_records import JsonRecord
from bench.decide.costs import Benefit, Cost
from bench.decide.curve import Forecast
from bench.decide.evidence import Bound
from bench.decide.vocabulary import Vocabulary
from bench.gate.compare import Difference
from bench.stats import RatioInterval


@dataclass(frozen=True)
class Reason(JsonRecord):
    """One rule held against one measured value.

    `holds` is None where nothing was measured; `asked` is False where the suite has nothing to measure it on.
    `subject` is the system that the rule was held against, "" where it is about the suite; `says`
    what follows where it holds, or for a condition of an option, what it asks. `unit` tells how the numbers are
    written: "measure", "count", "share", "pieces" or "p". `queries_needed` is how many held-out queries would show a
    rule that compares two systems.
    """

    rule: str
    subject: str
    value: float | None
    threshold: float | None
    source: str
    holds: bool | None
    says: str
    unit: str = "measure"
    note: str = ""
    asked: bool = True
    queries_needed: int | None = None


@dataclass(frozen=True)
class Option(
    JsonRecord,
    keys="option=name label system? known_from? mean gain other_measures=others out_of_distribution=losses eligible "
    "conditions trained cost benefit latency_p95_ratio=latency index_bytes effort settle? todo?",
):
    """One way to go. `system` is "" for what no system of the config stands for.

    Attributes:
        name: "hybrid", "fine-tune+rerank", …; see `options.KINDS`.
        label: the same in words.
        known_from: how the system is known to be this option.
        gain: primary measure against the current system over all held-out queries; None where not measured.
        others: the other measures, likewise, uncorrected.
        losses: a bound for each out-of-distribution query set; None where one was not measured.
        conditions: what the option must hold to be chosen; the first that does not hold is why it was not.
        eligible: whether all hold.
        trained: recipes that its models came from.
        latency: 95th percentile of a query's time over the current system's, both timed in one process.
        settle: what would tell, one sentence; "" where nothing is open.
        todo: what to run, or to configure, where there is no result.
    """

    name: str
    label: str
    system: str
    known_from: str = ""
    work: str = ""
    effort: float = 0.0
    mean: float | None = None
    gain: Difference | None = None
    others: tuple[Difference, ...] = ()
    losses: tuple[Bound, ...] | None = ()
    conditions: tuple[Reason, ...] = ()
    eligible: bool = False
    trained: tuple[str, ...] = ()
    cost: Cost | None = None
    benefit: Benefit | None = None
    latency: RatioInterval | None = None
    settle: str = ""
    todo: str = ""

    @property
    def failed(self) -> Reason | None:
        """The first condition that does not hold; None where all do, or nothing was measured."""
        return next((reason for reason in self.conditions if reason.asked and reason.holds is not True), None)

    @property
    def index_bytes(self) -> float | None:
        """Size of its index."""
        return self.cost.index_bytes if self.cost else None

    def to_json(self) -> dict[str, Any]:
        """The option; null where nothing is known."""
        return super().to_json() | {"effort": {"rank": self.effort, "work": self.work}}


@dataclass(frozen=True)
class Smaller(JsonRecord):
    """The smallest index of the chosen system for which a loss beyond the margin is ruled out on every query set."""

    system: str
    of: str
    index_bytes: float
    of_bytes: float
    bounds: tuple[Bound, ...]
    level: float
    n_sizes: int


@dataclass(frozen=True)
class Scenario(JsonRecord, keys="what once_usd=once monthly_usd=monthly total_usd=total payback_months=payback choice"):
    """One assumption changed: what the choice then costs, and what would be chosen."""

    what: str
    once: float
    monthly: float
    total: float
    payback: float | None
    choice: str


@dataclass(frozen=True)
class Recommendation(
    JsonRecord,
    keys="suite current choice system outcome sentences measure alpha minimum_gain correction=family cheapest_by "
    "n_held_out options reasons smaller upgrade? headroom pairs vocabulary learning_curves=curves plan prices "
    "sensitivity=scenarios missing settle doubts",
    format=1,
):
    """What to do, why, at what cost, and what would change it.

    Attributes:
        choice: the option's name; "stay" where nothing is shown to help.
        system: the chosen system.
        outcome: "recommended" or "not shown to help".
        sentences: what a reader needs first; the first one alone is the answer.
        cheapest_by: "cost" or "effort": by what the eligible options were put in order, and why not by cost.
        family: systems whose gains were tested together (Holm).
        plan: what the costs are for: documents, queries a month, months.
        prices: name → price, source, date.
        missing: system → the line that makes what is missing.
        vocabulary: of the suite's largest corpus, or why it is not known.
        curves: a forecast, or a refusal, for each recipe with a learning curve.
        smaller: a size that saves without a loss; None where none is shown.
        upgrade: what a dearer option is shown to add to the choice; "" where none is.
        doubts: what would change this, a sentence each.
    """

    suite: str
    current: str
    current_from: str
    measure: str
    alpha: float
    minimum_gain: float
    choice: str
    system: str
    outcome: str
    sentences: tuple[str, ...]
    options: tuple[Option, ...]
    reasons: tuple[Reason, ...]
    cheapest_by: str
    family: int
    n_held_out: int
    plan: Mapping[str, float | None]
    prices: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    pairs: int | None = None
    headroom: Mapping[str, float | None] = field(default_factory=dict)
    vocabulary: Vocabulary | str = ""
    curves: tuple[Forecast, ...] = ()
    smaller: Smaller | None = None
    upgrade: str = ""
    scenarios: tuple[Scenario, ...] = ()
    settle: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()

    @property
    def chosen(self) -> Option:
        """The chosen option."""
        return next(option for option in self.options if option.name == self.choice and option.system == self.system)

    @property
    def stay(self) -> Option:
        """The current system as an option."""
        return next(option for option in self.options if option.name == "stay")

    def to_json(self) -> dict[str, Any]:
        """The document of `decide --json`."""
        document = super().to_json()
        document["current"] = {"system": self.current, "known_from": self.current_from}
        document["correction"] = {"method": "Holm", "family": self.family}
        if isinstance(self.vocabulary, str):
            document["vocabulary"] = {"unknown_because": self.vocabulary}
        return document
