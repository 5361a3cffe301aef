"""Rules of a policy applied to results: which cells they gate, and comparisons with a reference.."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bench import stats
from bench.base.errors import ConfigError, NotComparable, UsageError, did_you_mean, excerpt
from bench.gate.compare import compare, rows_of
from bench.records import Cell, Finding, Policy, Result, Rule
from bench.records.measures import parse_list

Key = tuple[str, str]
"""(variant, query set): identifies one result of a system."""

LEAST_MARGIN = 1e-9
"""A relative margin of a mean of 0 is no margin; this is used instead."""


@dataclass(frozen=True)
class GatedCell:
    """A rule for one measure of one query set, or of one of its slices."""

    key: Key
    slice: str | None
    measure: str
    rule: Rule

    @property
    def compares(self) -> bool:
        """Whether the rule is about a difference from a reference."""
        return self.rule.kind == "margin"

    @property
    def place(self) -> str:
        """The query set, with variant and slice in brackets."""
        parts = [self.key[0]] if self.key[0] else []
        parts += [f"slice {self.slice}"] if self.slice is not None else []
        return f"{self.key[1]} ({', '.join(parts)})" if parts else self.key[1]


def keyed(results: Iterable[Result], owner: str) -> dict[Key, Result]:
    """Results by variant and query set; `owner` names them in an error.

    Raises:
        NotComparable: no result, or two for one key.
    """
    by_key: dict[Key, Result] = {}
    for result in results:
        key = (result.variant, result.query_set)
        if key in by_key:
            raise NotComparable(
                f'The {owner} holds two results on query set "{result.query_set}"; expected one. Take one out.'
            )
        by_key[key] = result
    if not by_key:
        raise NotComparable(f"The {owner} holds no result; nothing can be judged.")
    return by_key


def gated_cells(policy: Policy, results: Mapping[Key, Result]) -> list[GatedCell]:
    """Every cell that the rules gate, in the order of the results, then of the rules.

    Where two margins apply to one cell, a rule that names the query set takes precedence over one that names its role,
    then the smaller margin.

    Raises:
        ConfigError: a rule that applies to nothing, or no rule that applies.
    """
    cells: dict[tuple[Key, str | None, str, str], GatedCell] = {}
    used: set[int] = set()
    for key, result in results.items():
        rules = [
            (place, rule)
            for place, rule in enumerate(policy.rules)
            if rule.role == result.role and rule.variant == key[0] and rule.query_set in (None, key[1])
        ]
        for place, rule in sorted(rules, key=lambda item: rank(item[1]), reverse=True):
            known = dict.fromkeys(name for names in result.slices for name in names)
            slices = [rule.slice] if rule.slice is None or rule.slice in known else []
            for slice in known if rule.slice == "*" else slices:
                used.add(place)
                for measure in rule.measures:
                    cells[key, slice, measure, rule.kind] = GatedCell(key, slice, measure, rule)
    for place, rule in enumerate(policy.rules):
        if place not in used:
            _explain_unused(rule, results)
    if not cells:
        roles = ", ".join(sorted({result.role for result in results.values()}))
        raise ConfigError(
            f"No gate rule applies: rules are for {', '.join(sorted({r.role for r in policy.rules})) or 'nothing'}, "
            f"evaluated sets are {roles}. A gate without a rule would pass everything."
        )
    keys, ordered = list(results), list(policy.rules)
    return sorted(cells.values(), key=lambda cell: (keys.index(cell.key), ordered.index(cell.rule)))


def rank(rule: Rule) -> tuple[bool, bool, float]:
    """Sort key of a rule: of two rules for one cell, the one that sorts first applies."""
    threshold = next(t for t in (rule.margin, rule.relative_margin, rule.minimum, rule.keeps) if t is not None)
    return rule.query_set is None, rule.slice == "*", threshold


def _explain_unused(rule: Rule, results: Mapping[Key, Result]) -> None:
    """Raise for a rule that gates nothing, unless only its role is absent: the default policy has a rule for each."""
    evaluated = [result for key, result in results.items() if key[0] == rule.variant]
    if not evaluated:
        raise ConfigError(
            f'A gate rule asks for "{rule.variant}" of the gated system, which was not evaluated. Its kind must have '
            "dimensions or precisions, and its table must list this one (dims, precision)."
        )
    roles = {result.query_set: result.role for result in evaluated}
    if rule.query_set is not None and rule.query_set not in roles:
        raise ConfigError(
            f'A gate rule names query set "{rule.query_set}", which was not evaluated (evaluated: '
            f"{', '.join(roles)}).{did_you_mean(rule.query_set, roles)}"
        )
    if rule.query_set is not None and roles[rule.query_set] != rule.role:
        raise ConfigError(
            f'A gate rule for role {rule.role} names query set "{rule.query_set}", whose role is '
            f"{roles[rule.query_set]}; it would gate nothing."
        )
    matching = [r for r in evaluated if r.role == rule.role and rule.query_set in (None, r.query_set)]
    if rule.slice is not None and matching:
        known = sorted({name for result in matching for names in result.slices for name in names})
        raise ConfigError(
            f'A gate rule names slice "{rule.slice}", which no {rule.role} query has (slices: '
            f"{', '.join(known) or 'none'}); it would gate nothing.{did_you_mean(rule.slice, known)}"
        )


def without_small_slices(
    cells: Sequence[GatedCell], baseline: Mapping[Key, Result], candidate: Mapping[Key, Result], *, alpha: float
) -> tuple[list[GatedCell], list[Finding]]:
    """The cells whose slices are large enough to be gated, and a finding for each slice that is too small.

    A slice is too small where even a candidate without any change could not pass, so that every verdict would be
    inconclusive. Only rules for every slice ("*") leave slices out; a slice that a rule names stays.

    Args:
        cells: from `gated_cells`.
        baseline: results; a relative margin is a share of their means.
        candidate: results; their slices count.
        alpha: one-sided level.

    Raises:
        ConfigError: no cell is left, so that everything would pass.
    """
    kept: list[GatedCell] = []
    small: dict[tuple[Key, str], tuple[int, int, str]] = {}
    for cell in cells:
        before, after = baseline.get(cell.key), candidate[cell.key]
        if cell.rule.slice != "*" or cell.slice is None or not cell.compares:
            kept.append(cell)
            continue
        rows = rows_of(after, cell.slice)
        needed = _queries_needed(cell, before, after, rows, alpha)
        if len(rows) >= needed:
            kept.append(cell)
            continue
        means, measure = "", cell.measure
        same_queries = before is not None and before.scores.query_ids == after.scores.query_ids
        if before is not None and same_queries and measure in before.scores.measures:
            then, now = (result.scores.column(measure)[rows].mean() for result in (before, after))
            means = f" {measure} {then:.3f} → {now:.3f}."
        small.setdefault((cell.key, cell.slice), (len(rows), needed, means))
    if not kept:
        raise ConfigError(
            'The gate rules ask for every slice ("*"), and none is large enough: the largest has '
            f"{max(n for n, _, _ in small.values())} queries, and with fewer than "
            f"{min(needed for _, needed, _ in small.values())} even a candidate without any change could not pass. "
            "Gate the whole set too, widen the margin, or name the slices to gate."
        )
    findings = [
        Finding(
            "info",
            "slice-too-small",
            query_set,
            f"Slice {slice} of {query_set}{f' ({variant})' if variant else ''} is reported but not gated: it has {n} "
            f"queries, and with fewer than {needed} even a candidate without any change could not pass.{means}",
            n,
        )
        for ((variant, query_set), slice), (n, needed, means) in small.items()
    ]
    return kept, findings


def _queries_needed(cell: GatedCell, before: Result | None, after: Result, rows: np.ndarray, alpha: float) -> int:
    """Queries with which a candidate without any change passes; 0 where that cannot be computed yet."""
    if cell.measure not in after.scores.measures:
        return 0
    margin, share = cell.rule.margin or 0.0, cell.rule.relative_margin
    # Results that cannot be compared are refused later, in `compare`, with a better message.
    if share is not None and before is not None and cell.measure in before.scores.measures:
        values = before.scores.column(cell.measure)
        margin = share * float(values[rows].mean()) if rows.max() < len(values) else 0.0
    return stats.queries_to_rule_out(margin, alpha=alpha) if margin > LEAST_MARGIN else 0


def comparisons(
    cells: Sequence[GatedCell],
    references: Mapping[str, Mapping[Key, Result]],
    candidate: Mapping[Key, Result],
    *,
    alpha: float,
) -> list[Cell]:
    """A comparison for each reference and each rule with a margin; outcomes are still open.

    Args:
        cells: from `gated_cells`.
        references: "baseline" and perhaps "merge-base" → results.
        candidate: results.
        alpha: one-sided level.

    Raises:
        NotComparable: different tasks, or a variant that a reference lacks.
    """
    rows = []
    for reference, results in references.items():
        for cell in cells:
            if not cell.compares:
                continue
            if cell.key not in results:
                raise NotComparable(
                    f'The {reference} holds no result of "{cell.key[0]}" on query set "{cell.key[1]}", which a gate '
                    "rule compares. "
                    + (
                        'Accept a new baseline that has it: bench baseline accept --reason "…"'
                        if reference == "baseline"
                        else "Evaluate it there with the same rules: bench run --gated --out DIR"
                    )
                )
            share = cell.rule.relative_margin
            (row,) = compare(
                results[cell.key],
                candidate[cell.key],
                measures=[cell.measure],
                margin=(cell.rule.margin if share is None else share) or 0.0,
                relative=share is not None,
                slice=cell.slice,
                reference=reference,
                alpha=alpha,
            ).cells
            rows.append(replace(row, margin=max(row.margin, LEAST_MARGIN), floor=cell.rule.floor))
    return rows


def changed(
    policy: Policy,
    *,
    measures: Sequence[str] | str | None = None,
    margin: float | None = None,
    alpha: float | None = None,
    on_inconclusive: str | None = None,
) -> Policy:
    """The policy with these values in place of its own; None leaves a value as it is.

    Raises:
        UsageError: a number out of range.
        MeasureError: an unknown measure.
    """
    for name, value, most in (("alpha", alpha, 0.5), ("margin", margin, 1)):
        if value is not None and not (isinstance(value, int | float) and 0 < value < most):
            raise UsageError(f"{name} is {excerpt(repr(value))}; expected a number between 0 and {most}.")
    names = parse_list([measures] if isinstance(measures, str) else measures) if measures else None
    rules = tuple(
        replace(rule, measures=names or rule.measures, margin=margin if margin and rule.margin else rule.margin)
        for rule in policy.rules
    )
    level = policy.alpha if alpha is None else alpha
    answer = policy.on_inconclusive if on_inconclusive is None else on_inconclusive
    return replace(policy, rules=rules, alpha=level, on_inconclusive=answer)
