"""Records of a decision: reasons, options, and the recommendation."""

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
    """A rule, and whether a measured value meets it.

    `holds` is None where nothing was measured; `asked` is False where the suite has no query set for the rule.
    `subject` is the system that the rule is about, "" where it is about the suite; `says` is the advice that follows
    where it holds, or for a condition of an option, what it demands. `unit` says how the numbers are written:
    "measure", "count", "share", "pieces" or "p". `queries_needed` is how many held-out queries would show a rule that
    compares two systems.
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
    """A possible change. `system` is "" where no system of the config is this option.

    Attributes:
        name: "hybrid", "fine-tune+rerank", …; see `options.KINDS`.
        label: the same in words.
        known_from: where the config says that the system is this option.
        gain: difference in the primary measure from the current system over all held-out queries; None if not measured.
        others: differences in the other measures, uncorrected.
        losses: a bound for each out-of-distribution query set; None where one was not measured.
        eligible: whether all conditions hold, so that the option may be chosen.
        conditions: the first that does not hold is the reason given.
        trained: recipes that its models came from.
        latency: 95th percentile of a query's time over the current system's, both timed in one process.
        settle: what would make it conclusive, one sentence; "" where nothing is open.
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
    eligible: bool = False
    conditions: tuple[Reason, ...] = ()
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
    """The smallest index of the chosen system for which a drop of the margin is ruled out on every query set."""

    system: str
    of: str
    index_bytes: float
    of_bytes: float
    bounds: tuple[Bound, ...]
    level: float
    n_sizes: int


@dataclass(frozen=True)
class Scenario(JsonRecord, keys="what once_usd=once monthly_usd=monthly total_usd=total payback_months=payback choice"):
    """The cost of the choice, and what would be chosen, if one assumption is changed."""

    what: str
    once: float
    monthly: float
    total: float
    payback: float | None
    choice: str


@dataclass(frozen=True, kw_only=True)
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
        sentences: the answer, then what a reader needs next.
        family: number of systems whose gains were tested together (Holm).
        cheapest_by: "cost" or "effort": what the eligible options were ordered by.
        smaller: a size that saves space without a drop; None where none is shown.
        upgrade: what a more expensive option is shown to add to the choice; "" where none is.
        vocabulary: of the suite's largest corpus, or why it is not known.
        curves: a forecast, or the reason for none, for each recipe with a learning curve.
        plan: what the costs are for: documents, queries a month, months.
        prices: name → price, source, date.
        missing: system → the command that makes its result.
        doubts: what would change this, a sentence each.
    """

    suite: str
    current: str
    current_from: str
    choice: str
    system: str
    outcome: str
    sentences: tuple[str, ...]
    measure: str
    alpha: float
    minimum_gain: float
    family: int
    cheapest_by: str
    n_held_out: int
    options: tuple[Option, ...]
    reasons: tuple[Reason, ...]
    smaller: Smaller | None = None
    upgrade: str = ""
    headroom: Mapping[str, float | None] = field(default_factory=dict)
    pairs: int | None = None
    vocabulary: Vocabulary | str = ""
    curves: tuple[Forecast, ...] = ()
    plan: Mapping[str, float | None]
    prices: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    scenarios: tuple[Scenario, ...] = ()
    missing: Mapping[str, str] = field(default_factory=dict)
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
