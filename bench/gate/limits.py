"""Gate rules without a reference: a minimum mean, a share of quality to keep, a ceiling on index size or time.

Each kind has its row (`limits`, `size_limit`, `latency_limit`) and its sentence (`_reason`) here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from bench import stats
from bench.base.errors import ConfigError
from bench.gate.compare import require_measure, rows_of
from bench.gate.rules import GatedCell, Key
from bench.records import Ceiling, Limit, Result


def limits(cells: Sequence[GatedCell], candidate: Mapping[Key, Result], *, alpha: float) -> list[Limit]:
    """A row for each rule without a reference, a minimum or a share to keep. `decided_limit` adds open outcomes.

    Raises:
        NotComparable: a measure that was not measured.
    """
    rows_of_rules = []
    for cell in cells:
        if cell.compares:
            continue
        (variant, query_set), measure = cell.key, cell.measure
        result = candidate[cell.key]
        require_measure(result, measure, "candidate")
        rows = rows_of(result, cell.slice)
        values = result.scores.column(measure)[rows]
        clusters = [result.clusters[row] for row in rows]
        if (least := cell.rule.minimum) is not None:
            # p: if the true mean were the minimum, how likely would a mean this low be?
            estimate = stats.estimate(values - least, clusters=clusters, alpha=alpha)
            # The upper bound of the mean is the lower bound of the mirrored values.
            mirrored = stats.estimate(-(values - least), clusters=clusters, alpha=alpha)
            low = None if estimate.lower is None else estimate.lower + least
            high = None if mirrored.lower is None else least - mirrored.lower
            name, mean = f"minimum of {measure} on {cell.place}", float(values.mean())
            row = Limit("minimum", name, mean, least, estimate.p, (low, high))
        else:
            # A share of the quality of the gated system itself, at full size.
            full_size = candidate["", query_set]
            full = full_size.scores.column(measure)[rows_of(full_size, cell.slice)]
            share = cell.rule.keeps or 0.0
            # Fieller: the ratio of means is at least the share exactly where the mean of v − share × f is at least 0.
            estimate = stats.estimate(values - share * full, clusters=clusters, alpha=alpha)
            ratio = stats.ratio_interval(values, full, level=1 - 2 * alpha)
            interval = (ratio.low, ratio.high) if estimate.n_clusters is None else (None, None)
            # The outcome is set here because the bound is in another unit than `value`.
            outcome = "pass" if estimate.lower is not None and estimate.lower >= 0 else None
            name = f"share of {measure} kept on {cell.place}"
            row = Limit("keeps", name, ratio.ratio, share, estimate.p, interval, outcome=outcome)
        rows_of_rules.append(
            replace(row, n=len(rows), query_set=query_set, measure=measure, variant=variant, slice=cell.slice)
        )
    return rows_of_rules


def size_limit(ceiling: Ceiling, value: float | None) -> Limit:
    """The row of a ceiling on the index; sizes are exact, so it passes or fails.

    Args:
        ceiling: from the policy.
        value: bytes, or the ratio to what the ceiling names; None where a size is not known.

    Raises:
        ConfigError: a size that is not known.
    """
    if not value:
        raise ConfigError(
            f"The gate has a ceiling for {ceiling.name}, but not every index that it is about has a known size. "
            "Leave the ceiling out, or gate a system whose index size is known."
        )
    outcome = "pass" if value <= ceiling.at_most else "fail"
    return Limit("ceiling", ceiling.name, value, ceiling.at_most, outcome=outcome)


def latency_limit(ceiling: Ceiling, ratio: float | None, lower: float | None, upper: float | None, *, n: int) -> Limit:
    """The row of a ceiling on time: it fails where the ratio is shown to be above the ceiling, passes where it is not.

    Args:
        ceiling: from the policy.
        ratio: of the two systems' times.
        lower: one-sided bound of the ratio; None where too few queries were timed for one, as is `upper`.
        upper: likewise.
        n: queries timed.
    """
    within = ratio is not None and ratio <= ceiling.at_most
    above = lower is not None and lower > ceiling.at_most
    outcome = "pass" if within else "fail" if above else "inconclusive"
    return Limit("ceiling", ceiling.name, ratio, ceiling.at_most, interval=(lower, upper), n=n, outcome=outcome)


def decided_limit(limit: Limit, p_adjusted: float | None, alpha: float) -> Limit:
    """The row of a rule without a reference, with its outcome and the sentence that gives the reason."""
    outcome = limit.outcome
    if outcome is None:
        met = limit.kind == "minimum" and (limit.value or 0.0) >= limit.threshold - stats.ROUNDOFF
        shown = p_adjusted is not None and p_adjusted < alpha and (limit.n or 0) >= stats.MINIMUM_QUERIES
        outcome = "pass" if met else "fail" if shown else "inconclusive"
    return replace(limit, outcome=outcome, reason=_reason(limit, outcome))


def _reason(limit: Limit, outcome: str) -> str:
    low, high = limit.interval
    subject = limit.name.partition(" of ")[2]
    if limit.kind == "minimum":
        bound = "" if high is None else f" (one-sided upper bound {high:.3f})"
        head = f"{subject}: {limit.value:.3f}, required at least {limit.threshold:g}, n = {limit.n}."
        end = {"pass": "", "fail": f" It is shown to be lower{bound}."}
        return head + end.get(outcome, f" It is lower, but that may be chance{bound}.")
    if limit.kind == "keeps":
        share = "an unknown share" if limit.value is None else f"{100 * limit.value:.1f} %"
        bounds = "" if low is None or high is None else f" [{100 * low:.1f} %, {100 * high:.1f} %]"
        head = f"{subject}: {share}{bounds}, required at least {100 * limit.threshold:g} %, n = {limit.n}."
        end = {"pass": "", "fail": " A smaller share is shown."}
        return head + end.get(outcome, " Inconclusive: the required share is neither shown nor ruled out.")
    if not subject:
        return f"{limit.name}: {limit.value or 0:,.0f}, at most {limit.threshold:,.0f} allowed."
    bounds = "" if low is None or high is None else f" [{low:.2f}, {high:.2f}]"
    head = f"{limit.name}: {limit.value or 0:.2f} times{bounds}, at most {limit.threshold:g} times allowed."
    return head + (" It is above, but that may be timing noise." if outcome == "inconclusive" else "")
