"""Error rates of a configured gate: how often it fails a harmless change, and how often it detects a drop.

The queries of a comparison are drawn again many times under a true difference that is known, and each time the gate's
own functions decide. A team sees the error rates of its gate before it relies on it.
"""

from __future__ import annotations

import math
from collections import Counter
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
from bench.gate.rules import keyed
from bench.gate.verdict import judge, overall_outcome
from bench.records import Cell, Policy, Result

Floats = NDArray[np.float64]

PROGRESS_EVERY = 100
"""Repetitions between two progress reports."""

USUAL_DROPS = (0.05, 0.10)
"""True drops that are simulated besides the margin and twice the margin."""

OUTCOMES = {"fail": "failed", "inconclusive": "inconclusive", "pass": "passed", "improved": "improved"}
"""Outcome of the gate → its rate in `Rates`."""


@dataclass(frozen=True, kw_only=True)
class Rates:
    """Rates of the whole gate's outcomes at one true drop; the first four, 0 to 1, add up to 1.

    Attributes:
        drop: true drop of the first gated measure of every query set; 0 is a harmless change.
        failed: rate of "fail".
        inconclusive: rate.
        passed: rate of "pass", without "improved".
        improved: rate.
        blocked: rate of an exit code other than 0, by the policy's `on_inconclusive`.
    """

    drop: float
    failed: float
    inconclusive: float
    passed: float
    improved: float
    blocked: float


@dataclass(frozen=True, kw_only=True)
class CellRates:
    """Rates at which one cell alone (without Holm) fails; None where its differences allow no such drop.

    Attributes:
        name: unique among the cells.
        query_set: name.
        measure: name.
        margin: the tolerated drop.
        n: queries.
        n_clusters: where the test uses clusters, else None.
        test: of the comparison.
        false_alarm: rate at true difference 0, differences mirrored at random (drawn jointly with all cells).
        false_alarm_skewed: rate at true difference 0, chances of the queries tilted so that the differences keep
            their skewness.
        at_margin: rate at a true drop of the margin, tilted likewise.
        at_margin_predicted: that rate, predicted from the standard error of the comparison: the smallest of the power
            of the t test, the chance that the floor is reached, and the chance that L <= -margin.
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
    """Error rates of a whole gate and of each of its cells, measured by drawing queries again.

    `beyond_reach` holds the drops that are too large for the given differences; they are not in `drops`.
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


# --- the gate over drawn differences ---------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _QuerySet:
    """The gated differences of one query set.

    `deltas` is float64[n_queries, n_cells], a column per cell, NaN where a cell's slice does not contain the query;
    `members` the rows of each cluster; `first` the column that gets the true drop.
    """

    cells: tuple[Cell, ...]
    deltas: Floats
    members: tuple[NDArray[np.intp], ...]
    first: int

    @property
    def clustered(self) -> bool:
        return len(self.members) < len(self.deltas)

    @property
    def changed(self) -> bool:
        """Whether any query differs in any cell."""
        return bool(np.nan_to_num(self.deltas).any())

    @property
    def labels(self) -> list[int] | None:
        """One cluster number per row; None where every query is a cluster of its own."""
        if not self.clustered:
            return None
        numbers = np.empty(len(self.deltas), dtype=np.intp)
        for number, rows in enumerate(self.members):
            numbers[rows] = number
        labels: list[int] = numbers.tolist()
        return labels

    def chances(self, drop: float) -> Floats:
        """float64[2 n_clusters], chances of the clusters and of their mirror images: the first cell's mean is -drop.

        Equal chances at drop 0, and for a set in which no query differs. BenchError where no cluster drops by as much.
        """
        n_clusters = len(self.members)
        if drop == 0 or not self.changed:
            return np.full(2 * n_clusters, 0.5 / n_clusters)
        values = [self.deltas[rows, self.first] for rows in self.members]
        sums = np.array([np.nansum(value) for value in values])
        sizes = np.array([np.count_nonzero(~np.isnan(value)) for value in values])
        return stats.tilted_chances([*sums, *-sums], [*sizes, *sizes], shift=-drop)


class Replay:
    """The gate's decisions on drawn differences.

    Only chance is simulated: pinned queries count as kept, and judgements as complete. Rules without a reference count
    as met; they keep their place in Holm's family.

    Args:
        baseline: accepted results.
        candidate: results of a system that differs from it.
        policy: as in `gate.judge`.

    Raises:
        NotComparable: as `gate.judge`; and ConfigError likewise.
        UsageError: the two differ in no gated cell.
    """

    def __init__(self, baseline: Sequence[Result], candidate: Sequence[Result], policy: Policy) -> None:
        # The verdict gives the cells; its outcomes are not used.
        verdict = judge(baseline, candidate, replace(policy, ceilings=()))
        self.baseline, self.candidate, self.policy = verdict.baseline, verdict.candidate, policy
        self._before, self._after = keyed(baseline, "baseline"), keyed(candidate, "candidate")
        self._n_limits = len(verdict.limits)
        self.query_sets = tuple(
            self._query_set(name, [cell for cell in verdict.cells if cell.query_set == name])
            for name in dict.fromkeys(cell.query_set for cell in verdict.cells)
        )
        # The order of all results below: the cells of a query set are adjacent.
        self.cells = tuple(cell for query_set in self.query_sets for cell in query_set.cells)
        self._overall: dict[tuple[str, ...], str] = {}
        if not any(query_set.changed for query_set in self.query_sets):
            raise UsageError(
                f'"{self.candidate}" and the baseline "{self.baseline}" differ on no query in any of '
                f"{len(self.cells)} gated cells, so there is no difference to draw from. Name another candidate, one "
                "that changes rankings as your changes do: --system N, or another --candidate-run."
            )

    def _query_set(self, name: str, cells: Sequence[Cell]) -> _QuerySet:
        after = self._after[cells[0].variant, name]
        deltas = np.full((len(after.scores.query_ids), len(cells)), np.nan)
        for column, cell in enumerate(cells):
            key = (cell.variant, name)
            rows = rows_of(self._after[key], cell.slice)
            then, now = (results[key].scores.column(cell.measure) for results in (self._before, self._after))
            deltas[rows, column] = (now - then)[rows]
        deltas[np.abs(deltas) <= stats.ROUNDOFF] = 0
        members: dict[Any, list[int]] = {}
        for row, label in enumerate(after.clusters):
            members.setdefault((row,) if label is None else label, []).append(row)
        # The first measure of the whole set; of a slice or a smaller variant where nothing else is gated.
        measures = after.protocol.measures
        places = [measures.index(cell.measure) if cell.measure in measures else len(measures) for cell in cells]
        ranks = [(c.slice is not None, bool(c.variant), place) for c, place in zip(cells, places, strict=True)]
        rows_of_clusters = tuple(np.array(rows) for rows in members.values())
        return _QuerySet(cells=tuple(cells), deltas=deltas, members=rows_of_clusters, first=ranks.index(min(ranks)))

    def outcomes(
        self, deltas: Sequence[Floats], labels: Sequence[Sequence[int] | None]
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Outcomes of the cells after Holm, and of each cell alone without it.

        Args:
            deltas: for each query set, float64[n_queries, n_cells of it].
            labels: for each query set, one cluster number per query; None where each is a cluster of its own.
        """
        alpha = self.policy.alpha
        estimates = [
            _estimate(part[:, i], clusters, cell, alpha)
            for query_set, part, clusters in zip(self.query_sets, deltas, labels, strict=True)
            for i, cell in enumerate(query_set.cells)
        ]
        family = [estimate.p if estimate else 1.0 for estimate in estimates]
        adjusted = stats.holm([*family, *([1.0] * self._n_limits)])[: len(family)].tolist()

        def outcome(cell: Cell, estimate: stats.Estimate | None, p: float | None) -> str:
            if estimate is None:
                return "inconclusive"
            return stats.cell_outcome(estimate, p_adjusted=p, margin=cell.margin, floor=cell.floor, alpha=alpha)

        rows = list(zip(self.cells, estimates, adjusted, strict=True))
        together = tuple(outcome(cell, estimate, p) for cell, estimate, p in rows)
        return together, tuple(outcome(cell, estimate, estimate.p if estimate else None) for cell, estimate, _ in rows)

    def overall(self, outcomes: tuple[str, ...]) -> str:
        """The outcome of the whole gate, from those of its cells in the order of `cells`."""
        if outcomes not in self._overall:
            cells = [replace(cell, outcome=outcome) for cell, outcome in zip(self.cells, outcomes, strict=True)]
            self._overall[outcomes] = overall_outcome(cells, self._after)
        return self._overall[outcomes]

    def draw(self, chances: Sequence[Floats], rng: np.random.Generator) -> tuple[list[Floats], list[list[int] | None]]:
        """One resample of every query set, as many clusters as it has: the arguments of `outcomes`."""
        deltas: list[Floats] = []
        labels: list[list[int] | None] = []
        for query_set, weights in zip(self.query_sets, chances, strict=True):
            n_clusters = len(query_set.members)
            drawn = rng.choice(2 * n_clusters, n_clusters, p=weights)
            signs = np.where(drawn < n_clusters, 1.0, -1.0)
            chosen = [query_set.members[cluster] for cluster in drawn % n_clusters]
            sizes = [len(rows) for rows in chosen]
            deltas.append(query_set.deltas[np.concatenate(chosen)] * np.repeat(signs, sizes)[:, None])
            labels.append(np.repeat(np.arange(n_clusters), sizes).tolist() if query_set.clustered else None)
        return deltas, labels


def _without_nan(column: Floats, clusters: Sequence[int] | None) -> tuple[Floats, Sequence[int] | None]:
    """A cell's own queries, with their cluster numbers."""
    own = ~np.isnan(column)
    if own.all():
        return column, clusters
    return column[own], None if clusters is None else [c for c, keep in zip(clusters, own, strict=True) if keep]


def _estimate(column: Floats, clusters: Sequence[int] | None, cell: Cell, alpha: float) -> stats.Estimate | None:
    """A cell's estimate from its own queries; None where none of them was drawn."""
    column, clusters = _without_nan(column, clusters)
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

    Preserved: which differences belong together in one query and one cluster, their sizes (-1, 0 and 1 stay so, and
    so the test), numbers of queries and clusters. Not preserved: skewness (mirroring makes every difference
    symmetric before it is tilted; `CellRates.false_alarm_skewed` keeps it) and the share of queries that change,
    which grows with the drop. Other measures drop as far as they correlate with the first. A set whose rankings
    do not differ at all stays as it is. Query sets are drawn independently of each other.

    Args:
        baseline: accepted results.
        candidate: results of a system whose differences are like those of the changes to come.
        policy: as in `gate.judge`.
        drops: true drops, positive; the first cell's margin, twice that, .05 and .10 where None.
        repetitions: simulated gates at each drop; a rate has a standard error of at most 0.5 / sqrt(repetitions).
        seed: of the draws.
        progress: receives the number of finished repetitions.

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

    def advance(more: int) -> None:
        nonlocal done
        done += more
        progress("calibrate", done, steps)

    # A random stream for every scenario and cell: another drop changes no other number.
    equal = [query_set.chances(0.0) for query_set in replay.query_sets]
    harmless, alone = _rates(replay, 0.0, equal, repetitions, np.random.default_rng([seed, 0]), advance)
    rates, beyond_reach, cells = [], [], []
    for drop in drops:
        try:
            chances = [query_set.chances(drop) for query_set in replay.query_sets]
        except BenchError:
            beyond_reach.append(drop)
            advance(repetitions)
            continue
        rng = np.random.default_rng([seed, 1, int(1e9 * drop)])
        rates.append(_rates(replay, drop, chances, repetitions, rng, advance)[0])
    for number, (query_set, column) in enumerate((q, i) for q in replay.query_sets for i in range(len(q.cells))):
        rng = np.random.default_rng([seed, 2, number])
        cells.append(_cell_rates(query_set, column, alone[number], policy.alpha, repetitions, rng))
        advance(repetitions)
    return GateCalibration(
        baseline=replay.baseline,
        candidate=replay.candidate,
        policy=policy,
        repetitions=repetitions,
        seed=seed,
        harmless=harmless,
        drops=tuple(rates),
        beyond_reach=tuple(beyond_reach),
        cells=tuple(cells),
    )


def _rates(
    replay: Replay,
    drop: float,
    chances: Sequence[Floats],
    repetitions: int,
    rng: np.random.Generator,
    advance: Callable[[int], None],
) -> tuple[Rates, list[float]]:
    """The whole gate's rates at the true drop that the chances produce, and how often each cell alone fails."""
    outcomes: Counter[str] = Counter()
    failed = np.zeros(len(replay.cells))
    for repetition in range(repetitions):
        together, alone = replay.outcomes(*replay.draw(chances, rng))
        outcomes[replay.overall(together)] += 1
        failed += [outcome == "fail" for outcome in alone]
        if repetition % PROGRESS_EVERY == PROGRESS_EVERY - 1:
            advance(PROGRESS_EVERY)
    advance(repetitions % PROGRESS_EVERY)
    blocks = replay.policy.on_inconclusive == "block"
    blocked = (outcomes["fail"] + blocks * outcomes["inconclusive"]) / repetitions
    shares = {name: outcomes[outcome] / repetitions for outcome, name in OUTCOMES.items()}
    return Rates(drop=drop, blocked=blocked, **shares), (failed / repetitions).tolist()


def _cell_rates(
    query_set: _QuerySet, column: int, false_alarm: float, alpha: float, repetitions: int, rng: np.random.Generator
) -> CellRates:
    from scipy.special import stdtr, stdtrit

    cell = query_set.cells[column]
    deltas, labels = _without_nan(query_set.deltas[:, column], query_set.labels)
    identical = cell.test == "identical"
    observed = stats.estimate(deltas, clusters=labels, alpha=alpha, identical=identical)
    units = observed.n_clusters or observed.n

    def failed(drop: float) -> float | None:
        try:
            return stats.outcome_rates(
                deltas,
                clusters=labels,
                margin=cell.margin,
                floor=cell.floor,
                alpha=alpha,
                repetitions=repetitions,
                shift=-drop,
                rng=rng,
            )["fail"]
        except BenchError:
            return None

    def predicted(drop: float) -> float | None:
        error, df = observed.standard_error, units - 1
        if not error or not df:
            return None
        # In terms of clusters: degrees of freedom and standard error are then the cell's own.
        power = stats.power_paired_t(drop, error * math.sqrt(units), units, alpha=alpha) or 0.0
        floor = cell.margin / 2 if cell.floor is None else cell.floor
        # L > -margin where the observed drop is below this.
        passing = cell.margin - float(stdtrit(df, 1 - alpha)) * error
        return min(power, *(float(stdtr(df, (drop - least) / error)) for least in (floor, passing)))

    return CellRates(
        name=cell.name,
        query_set=cell.query_set,
        measure=cell.measure,
        margin=cell.margin,
        n=cell.n,
        n_clusters=observed.n_clusters,
        test=cell.test,
        false_alarm=false_alarm,
        false_alarm_skewed=0.0 if identical else failed(0.0),
        at_margin=failed(cell.margin),
        at_margin_predicted=predicted(cell.margin),
        at_twice=failed(2 * cell.margin),
        at_twice_predicted=predicted(2 * cell.margin),
    )
