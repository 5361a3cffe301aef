"""What a policy asks of two sets of results: cells to compare, and checks that are no comparison. Decides nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from bench import stats
from bench.base.errors import ConfigError, NotComparable, UsageError, did_you_mean
from bench.gate.compare import compare, rows_of
from bench.records import Ceiling, Cell, Check, Finding, Policy, Result, Rule
from bench.records.measures import parse_list

Key = tuple[str, str]
"""(variant, query set): what one system has one result of."""

LEAST_MARGIN = 1e-9
"""A share of a mean that is 0 is no margin; this much of a drop is none either."""


@dataclass(frozen=True)
class Asked:
    """One rule brought down to one measure of one query set (or of one of its slices)."""

    key: Key
    slice: str | None
    measure: str
    rule: Rule

    @property
    def compares(self) -> bool:
        """Whether the rule is about a difference from a reference."""
        return self.rule.kind == "margin"


def keyed(results: Iterable[Result], who: str) -> dict[Key, Result]:
    """Results by variant and query set.

    Raises:
        NotComparable: none, or two of one kind.
    """
    found: dict[Key, Result] = {}
    for result in results:
        key = (result.variant, result.query_set)
        if key in found:
            raise NotComparable(
                f'The {who} holds two results on query set "{result.query_set}"; expected one. Take one out.'
            )
        found[key] = result
    if not found:
        raise NotComparable(f"The {who} holds no result; nothing can be judged.")
    return found


def asked(policy: Policy, results: Mapping[Key, Result]) -> list[Asked]:
    """Every cell and check that the rules ask of these results, in the results' order, then the rules'.

    Where two margins meet on one cell, a rule that names the query set outranks one that names its role, then the
    smaller margin holds.

    Raises:
        ConfigError: a rule that applies to nothing, or none at all.
    """
    found: dict[tuple[Key, str | None, str, str], Asked] = {}
    used: set[int] = set()
    for key, result in results.items():
        mine = [
            (place, rule)
            for place, rule in enumerate(policy.rules)
            if rule.role == result.role and rule.variant == key[0] and rule.query_set in (None, key[1])
        ]
        for place, rule in sorted(mine, key=lambda item: rank(item[1]), reverse=True):
            for slice in _slices(rule, result):
                used.add(place)
                for measure in rule.measures:
                    one = Asked(key, slice, measure, rule)
                    found[key, slice, measure, rule.kind] = one
    for place, rule in enumerate(policy.rules):
        if place not in used:
            _explain(rule, results)
    if not found:
        roles = ", ".join(sorted({result.role for result in results.values()}))
        raise ConfigError(
            f"No gate rule applies: rules are for {', '.join(sorted({r.role for r in policy.rules})) or 'nothing'}, "
            f"evaluated sets are {roles}. A gate without a rule would pass everything."
        )
    # As people wrote them: the order in which rules were weighed is nobody's business.
    sets, rules = list(results), list(policy.rules)
    return sorted(found.values(), key=lambda one: (sets.index(one.key), rules.index(one.rule)))


def rank(rule: Rule) -> tuple[bool, bool, float]:
    """Of two rules for one cell, the one that ranks lower holds."""
    threshold = next(t for t in (rule.margin, rule.relative_margin, rule.minimum, rule.keeps) if t is not None)
    return rule.query_set is None, rule.slice == "*", threshold


def _slices(rule: Rule, result: Result) -> list[str | None]:
    if rule.slice is None:
        return [None]
    known: list[str | None] = [*dict.fromkeys(name for names in result.slices for name in names)]
    return known if rule.slice == "*" else [rule.slice] if rule.slice in known else []


def _explain(rule: Rule, results: Mapping[Key, Result]) -> None:
    """Raise for a rule that gates nothing, unless only its role is absent: the default policy has a rule for each."""
    sets = [result for key, result in results.items() if key[0] == rule.variant]
    if not sets:
        raise ConfigError(
            f'A gate rule asks for "{rule.variant}" of the gated system, which was not evaluated. Its kind must have '
            "dimensions or precisions, and its table must list this one (dims, precision)."
        )
    names = [result.query_set for result in sets]
    if rule.query_set is not None and rule.query_set not in names:
        raise ConfigError(
            f'A gate rule names query set "{rule.query_set}", which was not evaluated (evaluated: '
            f"{', '.join(names)}).{did_you_mean(rule.query_set, names)}"
        )
    if rule.query_set is not None:
        role = next(result.role for result in sets if result.query_set == rule.query_set)
        if role != rule.role:
            raise ConfigError(
                f'A gate rule for role {rule.role} names query set "{rule.query_set}", whose role is {role}; '
                "it would gate nothing."
            )
    if rule.slice is not None:
        mine = [r for r in sets if r.role == rule.role and rule.query_set in (None, r.query_set)]
        known = sorted({name for result in mine for names in result.slices for name in names})
        if mine:
            raise ConfigError(
                f'A gate rule names slice "{rule.slice}", which no {rule.role} query has (slices: '
                f"{', '.join(known) or 'none'}); it would gate nothing.{did_you_mean(rule.slice, known)}"
            )


class _TooSmall(NamedTuple):
    """A slice's queries, as many as its margin needs, and its means in words."""

    n: int
    needed: int
    means: str


def bearable(
    wanted: Sequence[Asked], baseline: Mapping[Key, Result], candidate: Mapping[Key, Result], *, alpha: float
) -> tuple[list[Asked], list[Finding]]:
    """What is gated of what the rules ask, and a finding for each slice that is too small to be.

    A rule for every slice ("*") takes in what people or the program happened to name. Where not even a candidate whose
    every number stays could pass, a slice would make every verdict inconclusive. A slice that a rule names stays.

    Args:
        wanted: from `asked`.
        baseline: results; a margin that is a share is a share of their means.
        candidate: results; their slices count.
        alpha: one-sided level.

    Raises:
        ConfigError: nothing is left, so that everything would pass.
    """
    kept: list[Asked] = []
    small: dict[tuple[Key, str], _TooSmall] = {}
    for one in wanted:
        n, needed = 0, 0
        measured = one.measure in candidate[one.key].scores.measures
        if one.rule.slice == "*" and one.slice is not None and one.compares and measured:
            rows = rows_of(candidate[one.key], one.slice)
            n, margin = len(rows), one.rule.margin or 0.0
            before = baseline.get(one.key)
            # What cannot be compared is refused where it is compared, in better words than ours.
            if one.rule.relative_margin is not None and before is not None and one.measure in before.scores.measures:
                values = before.scores.column(one.measure)
                margin = one.rule.relative_margin * float(values[rows].mean()) if rows.max() < len(values) else 0.0
            needed = stats.queries_to_rule_out(margin, alpha=alpha) if margin > LEAST_MARGIN else 0
        if n < needed and one.slice is not None:
            after = candidate[one.key]
            told = ""
            same = before is not None and before.scores.query_ids == after.scores.query_ids
            if before is not None and same and one.measure in before.scores.measures:
                means = [result.scores.column(one.measure)[rows].mean() for result in (before, after)]
                told = f" {one.measure} {means[0]:.3f} → {means[1]:.3f}."
            small.setdefault((one.key, one.slice), _TooSmall(n, needed, told))
        else:
            kept.append(one)
    if not kept:
        most = max(slice.n for slice in small.values())
        needed = min(slice.needed for slice in small.values())
        raise ConfigError(
            f'The gate rules ask for every slice ("*"), and none is large enough: the largest has {most} queries, and '
            f"under {needed} not even a candidate that changes no number could pass. Gate the whole set too, widen the "
            "margin, or name the slices that must be looked at."
        )
    findings = [
        Finding(
            "info",
            "slice-too-small",
            key[1],
            f"Slice {name} of {key[1]}{f' ({key[0]})' if key[0] else ''} is reported, not gated: it has {slice.n} "
            f"queries, and under {slice.needed} not even a candidate that changes no number could pass.{slice.means}",
            slice.n,
        )
        for (key, name), slice in small.items()
    ]
    return kept, findings


# --- comparisons -----------------------------------------------------------------------------------


def cells(
    wanted: Sequence[Asked],
    references: Mapping[str, Mapping[Key, Result]],
    candidate: Mapping[Key, Result],
    *,
    alpha: float,
) -> list[Cell]:
    """One cell for each reference and each rule that compares; outcomes are still open.

    Args:
        wanted: from `asked`.
        references: "baseline" and perhaps "merge-base" → results.
        candidate: results.
        alpha: one-sided level.

    Raises:
        NotComparable: different tasks, or a variant that a reference lacks.
    """
    found = []
    for reference, results in references.items():
        for one in wanted:
            if not one.compares:
                continue
            if one.key not in results:
                raise NotComparable(
                    f'The {reference} holds no result of "{one.key[0]}" on query set "{one.key[1]}", which a gate rule '
                    "compares. "
                    + (
                        'Accept a new baseline that has it: bench baseline accept --reason "…"'
                        if reference == "baseline"
                        else "Evaluate it there with the same rules: bench run --gated --out DIR"
                    )
                )
            rule = one.rule
            relative = rule.relative_margin is not None
            margin = rule.relative_margin if rule.relative_margin is not None else rule.margin
            (cell,) = compare(
                results[one.key],
                candidate[one.key],
                measures=[one.measure],
                margin=margin or 0.0,
                relative=relative,
                slice=one.slice,
                reference=reference,
                alpha=alpha,
            ).cells
            found.append(replace(cell, margin=max(cell.margin, LEAST_MARGIN), floor=rule.floor))
    return found


# --- checks ----------------------------------------------------------------------------------------


def checks(wanted: Sequence[Asked], candidate: Mapping[Key, Result], *, alpha: float) -> list[Check]:
    """One check for each rule that is no comparison with a reference; outcomes are still open.

    Raises:
        NotComparable: a measure that was not measured.
    """
    found = []
    for one in wanted:
        if one.compares:
            continue
        result = candidate[one.key]
        if one.measure not in result.scores.measures:
            raise NotComparable(
                f'The candidate "{result.system}" on "{result.query_set}" has no {one.measure} '
                f"(has: {', '.join(result.scores.measures)}). Add it to the suite's measures and run anew."
            )
        rows = rows_of(result, one.slice)
        values = result.scores.column(one.measure)[rows]
        clusters = [result.clusters[row] for row in rows]
        place = _place(one)
        if one.rule.minimum is not None:
            # Its p asks: were the mean the minimum, how likely would so low a mean be?
            least = one.rule.minimum
            estimate = stats.estimate(values - least, clusters=clusters, alpha=alpha)
            found.append(
                Check(
                    kind="minimum",
                    name=f"minimum of {one.measure} on {place}",
                    value=float(values.mean()),
                    threshold=least,
                    p=estimate.p,
                    interval=_shifted(estimate, least, alpha, values - least, clusters),
                    n=len(rows),
                    query_set=one.key[1],
                    measure=one.measure,
                    variant=one.key[0],
                    slice=one.slice,
                )
            )
        else:
            found.append(_keeps(one, values, candidate, clusters, alpha, place))
    return found


def _place(one: Asked) -> str:
    variant, query_set = one.key
    narrowed = [variant] if variant else []
    narrowed += [f"slice {one.slice}"] if one.slice is not None else []
    return f"{query_set} ({', '.join(narrowed)})" if narrowed else query_set


def _shifted(
    estimate: stats.Estimate, by: float, alpha: float, values: np.ndarray, clusters: Sequence[str | None]
) -> tuple[float | None, float | None]:
    """One-sided bounds of the mean: the lower as estimated, the upper as the lower of the mirrored values."""
    mirrored = stats.estimate(-values, clusters=clusters, alpha=alpha)
    low = None if estimate.lower is None else estimate.lower + by
    high = None if mirrored.lower is None else by - mirrored.lower
    return low, high


def _keeps(
    one: Asked,
    values: np.ndarray,
    candidate: Mapping[Key, Result],
    clusters: Sequence[str | None],
    alpha: float,
    place: str,
) -> Check:
    """How much of the gated system's own quality its smaller variant keeps, as a ratio of means."""
    whole = candidate["", one.key[1]]
    full = whole.scores.column(one.measure)[rows_of(whole, one.slice)]
    share = one.rule.keeps or 0.0
    # Fieller's way round a ratio: it keeps the share exactly where the mean of v − share × f is not below 0.
    short = stats.estimate(values - share * full, clusters=clusters, alpha=alpha)
    bounds = stats.ratio_interval(values, full, level=1 - 2 * alpha)
    return Check(
        kind="keeps",
        name=f"share of {one.measure} kept on {place}",
        value=bounds.ratio,
        threshold=share,
        p=short.p,
        interval=(bounds.low, bounds.high) if short.n_clusters is None else (None, None),
        n=len(values),
        # Decided here by its own bound, since the bound is of another unit than `value`.
        outcome="pass" if short.lower is not None and short.lower >= 0 else None,
        query_set=one.key[1],
        measure=one.measure,
        variant=one.key[0],
        slice=one.slice,
    )


def size_check(ceiling: Ceiling, value: float | None) -> Check:
    """The check of a ceiling on the index; sizes are exact, so it passes or fails.

    Args:
        ceiling: what was asked.
        value: bytes, or the ratio to what the ceiling names; None where a size is not known.

    Raises:
        ConfigError: a size that nobody measured.
    """
    if not value:
        raise ConfigError(
            f"The gate has a ceiling for {ceiling.name}, and not every index it is about tells its size. "
            "Leave the ceiling out, or gate a system that does."
        )
    return Check(
        "ceiling", ceiling.name, value, ceiling.at_most, outcome="pass" if value <= ceiling.at_most else "fail"
    )


def latency_check(ceiling: Ceiling, ratio: float | None, lower: float | None, upper: float | None, *, n: int) -> Check:
    """The check of a ceiling on time: fails where the ratio is shown to lie above it, passes where it does not.

    Args:
        ceiling: what was asked.
        ratio: of the two systems' times.
        lower: one-sided bound of the ratio; None where too few queries were timed for one, as is `upper`.
        upper: likewise.
        n: queries timed.
    """
    if ratio is not None and ratio <= ceiling.at_most:
        outcome = "pass"
    else:
        outcome = "fail" if lower is not None and lower > ceiling.at_most else "inconclusive"
    return Check("ceiling", ceiling.name, ratio, ceiling.at_most, interval=(lower, upper), n=n, outcome=outcome)


# --- what a caller says instead ----------------------------------------------------------------------


def changed(
    policy: Policy,
    *,
    measures: Sequence[str] | str | None = None,
    margin: float | None = None,
    alpha: float | None = None,
    on_inconclusive: str | None = None,
) -> Policy:
    """The policy with what is said instead of it; None leaves a part as it is.

    Raises:
        UsageError: a number out of range.
        MeasureError: an unknown measure.
    """
    if alpha is not None and not 0 < alpha < 0.5:
        raise UsageError(f"alpha is {alpha:g}; expected a number between 0 and 0.5.")
    if margin is not None and not 0 < margin < 1:
        raise UsageError(f"margin is {margin:g}; expected a number between 0 and 1.")
    names = parse_list([measures] if isinstance(measures, str) else measures) if measures else None
    rules = tuple(
        replace(rule, measures=names or rule.measures, margin=margin if margin and rule.margin else rule.margin)
        for rule in policy.rules
    )
    return replace(
        policy,
        rules=rules,
        alpha=alpha or policy.alpha,
        on_inconclusive=on_inconclusive or policy.on_inconclusive,
    )
