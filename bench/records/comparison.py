"""Candidate against reference: a cell per query set, slice and measure, and the checks beside them."""

from __future__ import annotations

from dataclasses import dataclass, field

from bench.base.json_records import JsonRecord


@dataclass(frozen=True)
class Change(JsonRecord):
    """One query whose value moved: candidate − baseline in the measure's own unit."""

    query_id: str
    baseline: float
    candidate: float


@dataclass(frozen=True)
class Cell(JsonRecord):
    """Candidate against a reference on one query set, slice and measure; undefined numbers are None.

    Attributes:
        n: queries.
        baseline: mean of the reference, whichever it is.
        candidate: mean of the candidate; `delta` is candidate − reference.
        ci: two-sided interval of `delta`, at 1 − alpha.
        lower: one-sided lower bound of `delta`, at 1 − alpha.
        p: one-sided, "the candidate is worse"; `p_adjusted` after Holm over all gated cells.
        margin: the drop that is tolerated.
        mde80: the true drop that this cell would notice four times in five.
        queries_for_margin: queries with which a drop of the margin could be ruled out or shown.
        wins: queries on which the candidate is better; `ties` and `losses` likewise.
        judged_drop: how much less of the first ten ranks is judged for the candidate than for the reference.
        condensed_delta: the difference where documents without a judgement are left out of both rankings.
        tie_spread: how far the order of equal scores could move the mean.
        softened: a fail that missing judgements may explain: inconclusive, and `on_inconclusive` does not let it pass.
        variant: dimension and precision, "" for the system as it is named.
        reference: "baseline", what was accepted, or "merge-base", what the change started from.
        floor: the least observed drop that may fail.
    """

    query_set: str
    role: str
    slice: str | None
    measure: str
    n: int
    baseline: float
    candidate: float
    delta: float
    ci: tuple[float, float] | None
    lower: float | None
    p: float | None
    test: str
    margin: float
    mde80: float | None
    queries_for_margin: int | None
    wins: int
    ties: int
    losses: int
    n_clusters: int | None = None
    judged_drop: float = 0.0
    condensed_delta: float | None = None
    tie_spread: float = 0.0
    lost: tuple[Change, ...] = field(default=(), repr=False)
    gained: tuple[Change, ...] = field(default=(), repr=False)
    p_adjusted: float | None = None
    outcome: str | None = None
    reason: str = ""
    softened: bool = False
    variant: str = ""
    reference: str = "baseline"
    floor: float | None = None

    @property
    def place(self) -> str:
        """Where this is: query set, then what narrows it, in brackets."""
        narrowed = [self.variant] if self.variant else []
        narrowed += [f"slice {self.slice}"] if self.slice is not None else []
        return f"{self.query_set} ({', '.join(narrowed)})" if narrowed else self.query_set

    @property
    def name(self) -> str:
        """What no other cell of a verdict is called."""
        against = " against the merge base" if self.reference == "merge-base" else ""
        return f"{self.measure} on {self.place}{against}"


@dataclass(frozen=True)
class Comparison:
    """A candidate against a reference on one query set, or a slice of it: a cell per measure, outcomes still open."""

    baseline: str
    candidate: str
    query_set: str
    alpha: float
    cells: tuple[Cell, ...] = field(repr=False)


@dataclass(frozen=True)
class Limit(JsonRecord):
    """A gate rule without a reference: a minimum mean, a share of quality to keep, a ceiling on cost.

    `kind` is "minimum", "keeps" or "ceiling"; a ceiling has no query set and no measure. `p` is one-sided ("the rule
    is broken"), None where nothing is tested. `interval` holds one-sided bounds, lower and upper, of `value`.
    """

    kind: str
    name: str
    value: float | None
    threshold: float
    p: float | None = None
    interval: tuple[float | None, float | None] = (None, None)
    n: int | None = None
    outcome: str | None = None
    reason: str = ""
    query_set: str | None = None
    measure: str | None = None
    variant: str = ""
    slice: str | None = None
