"""How often the gate, as it is configured, would alarm at nothing, and how often it would notice a loss.

The queries of a comparison are drawn anew many times, under a true difference that is known because it was put
there, and each time the gate's own functions decide. A team sees its gate's error rates before trusting it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import stats
from bench.base.errors import BenchError, UsageError
from bench.base.json_records import JsonRecord, as_json
from bench.base.progress import Progress, no_progress
from bench.gate.compare import rows_of
from bench.gate.rules import Key, keyed
from bench.gate.verdict import judge, overall_outcome
from bench.records import Cell, Policy, Result

Floats = NDArray[np.float64]

TOLD_EVERY = 100
"""Repetitions between two words of progress."""

USUAL_DROPS = (0.05, 0.10)
"""True drops that are looked at beside the margin and twice the margin."""


# --- records ---------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Rates:
    """How often the whole gate says what, at one true drop; the four rates, 0 to 1, add up to 1.

    Attributes:
        drop: true drop of the first gated measure of every query set; 0 is a harmless change.
        failed: rate of "fail".
        inconclusive: rate.
        passed: rate of "pass", without "improved".
        improved: rate.
        blocked: rate of an exit code other than 0, by what the policy says of inconclusive.
    """

    drop: float
    failed: float
    inconclusive: float
    passed: float
    improved: float
    blocked: float


@dataclass(frozen=True, kw_only=True)
class CellRates:
    """How often one cell, judged alone (no Holm), fails; None where its differences cannot be drawn so.

    Attributes:
        name: what no other cell is called.
        query_set: name.
        measure: name.
        margin: the drop tolerated.
        n: queries.
        n_clusters: where the test uses clusters, else None.
        test: that of the comparison that was given.
        false_alarm: rate at true difference 0, differences mirrored at random (drawn jointly with all cells).
        false_alarm_skewed: rate at true difference 0, chances of the queries tilted so that the differences keep
            their skewness.
        at_margin: rate at a true drop of the margin, tilted likewise.
        at_margin_predicted: that rate from the standard error of the comparison: the power of the t test, or where
            these are less, the chance that the floor is reached, or that L <= -margin.
        at_twice: rate at twice the margin.
        at_twice_predicted: predicted likewise.
    """

    name: str
    query_set: str
    measure: str
    margin: float
    n: int
    n_clusters: int | None
    test: str
    false_alarm: float
    false_alarm_skewed: float | None
    at_margin: float | None
    at_margin_predicted: float | None
    at_twice: float | None
    at_twice_predicted: float | None


@dataclass(frozen=True, kw_only=True)
class GateCalibration(JsonRecord, format=1):
    """Error rates of a whole gate and of each of its cells, as measured by drawing queries anew.

    `drops` leaves out what the differences cannot carry: `beyond_reach` holds those drops.
    """

    baseline: str
    candidate: str
    policy: Policy
    repetitions: int
    seed: int
    harmless: Rates
    drops: tuple[Rates, ...]
    beyond_reach: tuple[float, ...]
    cells: tuple[CellRates, ...] = field(repr=False)

    def standard_error(self, rate: float) -> float:
        """Monte Carlo standard error of a rate measured here, sqrt(r (1 - r) / repetitions)."""
        return math.sqrt(rate * (1 - rate) / self.repetitions)

    def to_json(self) -> dict[str, Any]:
        """The document of `gate --calibrate --json`, with the Monte Carlo error of each rate of a gate."""

        def with_errors(rates: Rates) -> dict[str, Any]:
            document: dict[str, Any] = as_json(rates)
            errors = {name: self.standard_error(rate) for name, rate in document.items() if name != "drop"}
            return document | {"standard_errors": errors}

        drops = [with_errors(rates) for rates in self.drops]
        return super().to_json() | {"harmless": with_errors(self.harmless), "drops": drops}


# --- the gate over differences ---------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _QuerySet:
    """One query set's gated differences.

    `deltas` is float64[n_queries, n_cells], a column per cell, NaN where a cell's slice does not hold the query;
    `members` the rows of each cluster; `first` the column on which a drop is imposed.
    """

    cells: tuple[Cell, ...]
    deltas: Floats
    members: tuple[NDArray[np.intp], ...]
    first: int

    @property
    def clustered(self) -> bool:
        return len(self.members) < len(self.deltas)

    @property
    def moved(self) -> bool:
        """Whether any query differs in any cell."""
        return bool(np.nan_to_num(self.deltas).any())

    @property
    def labels(self) -> list[int] | None:
        """One cluster number per row; None where every query is its own."""
        if not self.clustered:
            return None
        numbers = np.empty(len(self.deltas), dtype=np.intp)
        for number, rows in enumerate(self.members):
            numbers[rows] = number
        found: list[int] = numbers.tolist()
        return found

    def chances(self, drop: float) -> Floats:
        """float64[2 n_clusters], clusters as seen and then mirrored, such that the first measure's mean is -drop.

        Equal chances at drop 0, and for a set that nothing can be imposed on because no ranking of it differs.
        BenchError where no cluster, mirrored or not, drops by as much.
        """
        n_clusters = len(self.members)
        if drop == 0 or not self.moved:
            return np.full(2 * n_clusters, 0.5 / n_clusters)
        held = [self.deltas[rows, self.first] for rows in self.members]
        sums = np.array([np.nansum(values) for values in held])
        sizes = np.array([np.count_nonzero(~np.isnan(values)) for values in held])
        return stats.tilted_chances([*sums, *-sums], [*sizes, *sizes], shift=-drop)


class Replay:
    """The gate's own decisions over differences that stand for a candidate's.

    What chance has no part in stays out: pinned queries count as kept and holes in the judgements as absent. Rules that
    compare with no reference count as held; they keep their place in Holm's family.

    Args:
        baseline: accepted results.
        candidate: results of a system that differs from it.
        policy: as in `gate.judge`.

    Raises:
        NotComparable: as `gate.judge`; and ConfigError likewise.
        UsageError: the two differ in no gated cell.
    """

    def __init__(self, baseline: Sequence[Result], candidate: Sequence[Result], policy: Policy) -> None:
        # Rules become cells in one place only; what it decided about them is not used.
        judged = judge(baseline, candidate, replace(policy, ceilings=()))
        self.baseline, self.candidate, self.policy = judged.baseline, judged.candidate, policy
        self._before, self._after = keyed(baseline, "baseline"), keyed(candidate, "candidate")
        self._n_checks = len(judged.checks)
        names = dict.fromkeys(cell.query_set for cell in judged.cells)
        self.query_sets = tuple(
            self._query_set(name, [cell for cell in judged.cells if cell.query_set == name]) for name in names
        )
        # In this order everywhere: a query set's cells stand together.
        self.cells = tuple(cell for query_set in self.query_sets for cell in query_set.cells)
        self._variants = [
            {outcome: replace(cell, outcome=outcome) for outcome in ("fail", "inconclusive", "pass", "improved")}
            for cell in self.cells
        ]
        self._known: dict[tuple[str, ...], str] = {}
        if not any(query_set.moved for query_set in self.query_sets):
            raise UsageError(
                f'"{self.candidate}" and the baseline "{self.baseline}" differ on no query in any of '
                f"{len(self.cells)} gated cells, so there is no difference to draw from. Name another candidate, one "
                "that changes rankings as your changes do: --system N, or another --candidate-run."
            )

    def _query_set(self, name: str, cells: Sequence[Cell]) -> _QuerySet:
        deltas = np.stack([self._column((cell.variant, name), cell) for cell in cells], axis=1)
        deltas[np.abs(deltas) <= stats.ROUNDOFF] = 0
        result = self._after[cells[0].variant, name]
        members: dict[Any, list[int]] = {}
        for row, label in enumerate(result.clusters):
            members.setdefault((row,) if label is None else label, []).append(row)
        # The first measure of the whole set; of a slice or a smaller variant where nothing else is gated.
        order = {measure: place for place, measure in enumerate(result.protocol.measures)}

        def rank(column: int) -> tuple[bool, bool, int]:
            cell = cells[column]
            return cell.slice is not None, bool(cell.variant), order.get(cell.measure, len(order))

        return _QuerySet(
            cells=tuple(cells),
            deltas=deltas,
            members=tuple(np.array(rows) for rows in members.values()),
            first=min(range(len(cells)), key=rank),
        )

    def _column(self, key: Key, cell: Cell) -> Floats:
        """float64[n_queries]: one cell's differences, NaN outside of its slice."""
        before, after = self._before[key], self._after[key]
        column = np.full(len(after.scores.query_ids), np.nan)
        rows = rows_of(after, cell.slice)
        column[rows] = (after.scores.column(cell.measure) - before.scores.column(cell.measure))[rows]
        return column

    def outcomes(
        self, deltas: Sequence[Floats], labels: Sequence[Sequence[int] | None]
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """What each cell says, and what each would say alone, without Holm.

        Args:
            deltas: for each query set, float64[n_queries, n_cells of it].
            labels: for each query set, one cluster number per query; None where each is its own.
        """
        alpha = self.policy.alpha
        estimates = [
            _estimate(part[:, i], clusters, cell, alpha)
            for query_set, part, clusters in zip(self.query_sets, deltas, labels, strict=True)
            for i, cell in enumerate(query_set.cells)
        ]
        family = [estimate.p if estimate else 1.0 for estimate in estimates]
        adjusted = stats.holm([*family, *([1.0] * self._n_checks)])[: len(family)]
        together: list[str] = []
        alone: list[str] = []
        for cell, estimate, p in zip(self.cells, estimates, adjusted, strict=True):
            for p_value, said in ((float(p), together), (estimate.p if estimate else None, alone)):
                said.append(
                    stats.cell_outcome(estimate, p_adjusted=p_value, margin=cell.margin, floor=cell.floor, alpha=alpha)
                    if estimate
                    else "inconclusive"
                )
        return tuple(together), tuple(alone)

    def overall(self, outcomes: tuple[str, ...]) -> str:
        """What the whole gate says where its cells, in the order of `cells`, say this."""
        if outcomes not in self._known:
            cells = [variants[outcome] for variants, outcome in zip(self._variants, outcomes, strict=True)]
            self._known[outcomes] = overall_outcome(cells, self._after)
        return self._known[outcomes]

    def draw(self, chances: Sequence[Floats], rng: np.random.Generator) -> tuple[list[Floats], list[list[int] | None]]:
        """One resample of every query set, in the form that `outcomes` takes: as many clusters as there are."""
        deltas: list[Floats] = []
        labels: list[list[int] | None] = []
        for query_set, weights in zip(self.query_sets, chances, strict=True):
            n_clusters = len(query_set.members)
            drawn = rng.choice(2 * n_clusters, n_clusters, p=weights)
            signs = np.where(drawn < n_clusters, 1.0, -1.0)
            chosen = [query_set.members[cluster] for cluster in drawn % n_clusters]
            sizes = [len(rows) for rows in chosen]
            deltas.append(query_set.deltas[np.concatenate(chosen)] * np.repeat(signs, sizes)[:, None])
            numbered = np.repeat(np.arange(n_clusters), sizes).tolist() if query_set.clustered else None
            labels.append(numbered)
        return deltas, labels


def _estimate(column: Floats, clusters: Sequence[int] | None, cell: Cell, alpha: float) -> stats.Estimate | None:
    """A cell's estimate from its own queries; None where none of them was drawn."""
    held = ~np.isnan(column)
    if not held.all():
        clusters = None if clusters is None else [c for c, kept in zip(clusters, held, strict=True) if kept]
        column = column[held]
    if not len(column):
        return None
    return stats.estimate(column, clusters=clusters, alpha=alpha, identical=cell.test == "identical")


# --- rates -----------------------------------------------------------------------------------------


def calibrate(
    baseline: Sequence[Result],
    candidate: Sequence[Result],
    policy: Policy,
    *,
    drops: Sequence[float] | None = None,
    repetitions: int = 2_000,
    seed: int = 0,
    progress: Progress = no_progress,
) -> GateCalibration:
    """How often this gate fails, passes and so on, for a harmless change and for true drops.

    Each repetition draws as many queries as each set has, with replacement, whole clusters at a time, each as
    it is or mirrored (all its differences with the other sign), for all measures of the set at once; then the
    gate decides over all cells. For a harmless change a query and its mirror image are equally likely, so every
    true difference is 0. For a drop the chances are tilted exponentially until the first gated measure of every
    query set has exactly that true mean; of all chances that do so they are nearest to equal ones.

    Preserved: which differences go together in one query and one cluster, their sizes (-1, 0 and 1 stay so, and
    so the test), numbers of queries and clusters. Not preserved: skewness (mirroring makes every difference
    symmetric before it is tilted; `CellRates.false_alarm_skewed` keeps it) and the share of queries that change,
    which grows with the drop. Other measures drop as far as they go along with the first. A set whose rankings
    do not differ at all stays as it is. Query sets are drawn independently of each other.

    Args:
        baseline: accepted results.
        candidate: results of a system whose differences are like those of the changes to come.
        policy: as in `gate.judge`.
        drops: true drops, positive; the first cell's margin, twice that, .05 and .10 where None.
        repetitions: simulated gates at each drop; a rate has a standard error of at most 0.5 / sqrt(repetitions).
        seed: of the draws.
        progress: told of finished repetitions.

    Raises:
        NotComparable: as `gate.judge`; and ConfigError likewise.
        UsageError: the two differ in no gated cell, no repetition, or a drop outside (0, 1).
    """
    if repetitions < 1:
        raise UsageError(f"{repetitions} repetitions were asked for; expected 1 or more, such as 2000.")
    replay = Replay(baseline, candidate, policy)
    if drops is None:
        margin = replay.cells[0].margin
        drops = sorted(drop for drop in {margin, 2 * margin, *USUAL_DROPS} if drop < 1)
    for drop in drops:
        if not 0 < drop < 1:
            raise UsageError(f"A drop of {drop:g} was asked for; expected numbers between 0 and 1, such as 0.05.")
    if seed < 0:
        raise UsageError(f"The seed is {seed}; expected a whole number of 0 or more.")
    steps = (1 + len(drops) + len(replay.cells)) * repetitions
    done = 0

    def told(more: int) -> None:
        nonlocal done
        done += more
        progress("calibrate", done, steps)

    # A stream for every scenario and cell: asking for another drop moves no other number.
    equal = [query_set.chances(0.0) for query_set in replay.query_sets]
    harmless, alone = _rates(replay, 0.0, equal, repetitions, np.random.default_rng([seed, 0]), told)
    found, beyond_reach = [], []
    for drop in drops:
        try:
            chances = [query_set.chances(drop) for query_set in replay.query_sets]
        except BenchError:
            beyond_reach.append(drop)
            told(repetitions)
            continue
        rng = np.random.default_rng([seed, 1, int(1e9 * drop)])
        found.append(_rates(replay, drop, chances, repetitions, rng, told)[0])
    cells = []
    for number, (query_set, column) in enumerate((q, i) for q in replay.query_sets for i in range(len(q.cells))):
        rng = np.random.default_rng([seed, 2, number])
        cells.append(_cell_rates(query_set, column, alone[number], policy.alpha, repetitions, rng))
        told(repetitions)
    return GateCalibration(
        baseline=replay.baseline,
        candidate=replay.candidate,
        policy=policy,
        repetitions=repetitions,
        seed=seed,
        harmless=harmless,
        drops=tuple(found),
        beyond_reach=tuple(beyond_reach),
        cells=tuple(cells),
    )


def _rates(
    replay: Replay,
    drop: float,
    chances: Sequence[Floats],
    repetitions: int,
    rng: np.random.Generator,
    told: Callable[[int], None],
) -> tuple[Rates, list[float]]:
    """The whole gate's rates at one true drop, which the chances bring about, and how often each cell alone fails."""
    said: list[str] = []
    failed = np.zeros(len(replay.cells))
    for repetition in range(repetitions):
        together, alone = replay.outcomes(*replay.draw(chances, rng))
        said.append(replay.overall(together))
        failed += [outcome == "fail" for outcome in alone]
        if repetition % TOLD_EVERY == TOLD_EVERY - 1:
            told(TOLD_EVERY)
    told(repetitions % TOLD_EVERY)
    shares = {outcome: said.count(outcome) / repetitions for outcome in ("fail", "inconclusive", "pass", "improved")}
    blocks = replay.policy.on_inconclusive == "block"
    rates = Rates(
        drop=drop,
        failed=shares["fail"],
        inconclusive=shares["inconclusive"],
        passed=shares["pass"],
        improved=shares["improved"],
        blocked=(said.count("fail") + blocks * said.count("inconclusive")) / repetitions,
    )
    return rates, (failed / repetitions).tolist()


def _cell_rates(
    query_set: _QuerySet, column: int, false_alarm: float, alpha: float, repetitions: int, rng: np.random.Generator
) -> CellRates:
    from scipy.special import stdtr, stdtrit

    cell, deltas, labels = query_set.cells[column], query_set.deltas[:, column], query_set.labels
    held = ~np.isnan(deltas)
    labels = None if labels is None else [label for label, kept in zip(labels, held, strict=True) if kept]
    deltas = deltas[held]
    identical = cell.test == "identical"
    seen = stats.estimate(deltas, clusters=labels, alpha=alpha, identical=identical)
    units = seen.n_clusters or seen.n

    def failed(drop: float) -> float | None:
        try:
            return stats.calibrate(
                deltas,
                clusters=labels,
                margin=cell.margin,
                floor=cell.floor,
                alpha=alpha,
                repetitions=repetitions,
                shift=-drop,
                rng=rng,
            ).failed
        except BenchError:
            return None

    def predicted(drop: float) -> float | None:
        error, df = seen.standard_error, units - 1
        if not error or not df:
            return None

        def reaches(least: float) -> float:
            return float(stdtr(df, (drop - least) / error))

        # in terms of clusters: degrees of freedom and standard error come out as the cell's own
        power = stats.power_paired_t(drop, error * math.sqrt(units), units, alpha=alpha) or 0.0
        # L > -margin where the observed drop is below this
        passing = cell.margin - float(stdtrit(df, 1 - alpha)) * error
        return min(power, reaches(cell.margin / 2 if cell.floor is None else cell.floor), reaches(passing))

    return CellRates(
        name=cell.name,
        query_set=cell.query_set,
        measure=cell.measure,
        margin=cell.margin,
        n=cell.n,
        n_clusters=seen.n_clusters,
        test=cell.test,
        false_alarm=false_alarm,
        false_alarm_skewed=0.0 if identical else failed(0.0),
        at_margin=failed(cell.margin),
        at_margin_predicted=predicted(cell.margin),
        at_twice=failed(2 * cell.margin),
        at_twice_predicted=predicted(2 * cell.margin),
    )
