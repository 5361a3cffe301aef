"""What the gate demands."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from bench.base.errors import UsageError, excerpt
from bench.base.json_records import JsonRecord
from bench.base.names import SystemName
from bench.records.digests import digest_of

ON_INCONCLUSIVE = ("warn", "block")


@dataclass(frozen=True)
class Rule:
    """Which cells are gated, and what each must hold: exactly one of the four thresholds is a number.

    Attributes:
        role: of the query sets it is for.
        measures: names.
        margin: the drop tolerated against a reference, in the measure's unit.
        query_set: None means every set of the role.
        slice: None means the whole set, "*" each of its slices.
        dim: of the gated system's table; None means the one that is gated.
        precision: likewise.
        relative_margin: the drop tolerated, as a share of the reference's mean.
        minimum: the mean may not be shown to lie below this.
        keeps: the share of the gated system's own quality that the `dim` or `precision` of this rule must keep.
        floor: the least observed drop that may fail; half the margin where None.
    """

    role: str
    measures: tuple[str, ...]
    margin: float | None = None
    query_set: str | None = None
    slice: str | None = None
    dim: int | None = None
    precision: str | None = None
    relative_margin: float | None = None
    minimum: float | None = None
    keeps: float | None = None
    floor: float | None = None

    @property
    def kind(self) -> str:
        """Which threshold it has: "margin" for both margins, else its name."""
        return "minimum" if self.minimum is not None else "keeps" if self.keeps is not None else "margin"

    @property
    def variant(self) -> str:
        """The dimension and precision asked for, as a system's name would end."""
        return SystemName("", self.dim, self.precision).variant


@dataclass(frozen=True)
class Ceiling:
    """What the candidate may cost: `at_most` times `of`, or an index of at most so many bytes.

    `what` is "index_bytes" or "latency_ms_p95". `of` names a system that was measured in the same run, or
    "baseline" for the accepted index; "" where `at_most` is bytes. A time is always relative: no number of
    milliseconds means the same on two machines.
    """

    what: str
    at_most: float
    of: str = ""

    @property
    def name(self) -> str:
        """What no other ceiling is called."""
        return f"{self.what} of {self.of}" if self.of else self.what


@dataclass(frozen=True)
class Policy(JsonRecord, keys="rules alpha on_inconclusive system ceilings digest"):
    """What the gate demands."""

    rules: tuple[Rule, ...] = (
        Rule("held-out", ("recall@10", "ndcg@10"), 0.02),
        Rule("out-of-distribution", ("recall@10", "ndcg@10"), 0.03),
    )
    alpha: float = 0.05
    on_inconclusive: str = "warn"
    system: str | None = None
    ceilings: tuple[Ceiling, ...] = ()

    def __post_init__(self) -> None:
        # Any other word would count as "warn", and let pass what should be blocked.
        if self.on_inconclusive not in ON_INCONCLUSIVE:
            raise UsageError(
                f"on_inconclusive is {excerpt(repr(self.on_inconclusive))}; expected {' or '.join(ON_INCONCLUSIVE)}."
            )

    @property
    def digest(self) -> str:
        """32 hex digits over every rule and threshold."""
        return digest_of(asdict(self))

    @property
    def variants(self) -> tuple[tuple[str, int | None, str | None], ...]:
        """(label, dimension, precision) of every variant that a rule names, the gated system itself first."""
        variants = {"": (None, None)} | {rule.variant: (rule.dim, rule.precision) for rule in self.rules}
        return tuple((label, *variants[label]) for label in variants)
