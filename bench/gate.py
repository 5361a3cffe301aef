"""Policy, baselines, verdict. Takes stored results and evaluates nothing.

The verdict has three ways, because a bare threshold on the mean blocks one harmless change in three at a hundred
queries, and proof of non-inferiority blocks nearly nine in ten at fifty.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench import stats
from bench.compare import compare, pinned_losses
from bench.errors import BaselineError, ConfigError, NotComparable, StoreError, did_you_mean
from bench.records import Cell, Change, Finding, Policy, Result, Rule, Verdict
from bench.store import read_json, write_json

__all__ = ["EXIT_CODES", "baseline_document", "judge", "overall_outcome", "read_baseline", "write_baseline"]

BASELINE_FORMAT = 1

HOLE_DROP = 0.05
"""A fall of judged@10 by more than this, and the judgements no longer cover what the candidate finds."""

TIE_SPREAD = 0.005
"""A measure that moves by more than this with the order of tied documents is said to."""

FEW_CLUSTERS = 20
"""Below this many clusters, a cluster-robust interval is itself uncertain (Cameron & Miller 2015, section VI)."""

EXIT_CODES = {"pass": 0, "improved": 0, "fail": 1, "inconclusive": 0}


def judge(
    baseline: Sequence[Result],
    candidate: Sequence[Result],
    policy: Policy,
    *,
    findings: Sequence[Finding] = (),
) -> Verdict:
    """The verdict on a candidate, against an accepted baseline.

    Args:
        baseline: accepted results, one per query set.
        candidate: results under judgement, one per query set.
        policy: rules, alpha, what an inconclusive cell means.
        findings: what is already known of the circumstances.

    Raises:
        NotComparable: a query set that only one of the two has, or results of different tasks.
        ConfigError: no rule applies to any query set, or a rule names a set that does not exist.
    """
    before, after = _by_query_set(baseline, "baseline"), _by_query_set(candidate, "candidate")
    _same_sets(before, after)
    gated = _gated(policy, after)
    cells: list[Cell] = []
    for name, rules in gated.items():
        for measure, margin in rules.items():
            cells += compare(before[name], after[name], measures=[measure], margin=margin, alpha=policy.alpha)
    adjusted = stats.holm([cell.p for cell in cells])
    cells = [
        _decided(replace(cell, p_adjusted=float(p)), after[cell.query_set], policy.alpha)
        for cell, p in zip(cells, adjusted, strict=True)
    ]
    lost = [(name, change) for name in after for change in pinned_losses(before[name], after[name])]
    n_pinned = sum(sum(result.pinned) for result in after.values())
    outcome = overall_outcome(cells, lost, after)
    notes = [*findings, *_circumstances(before, after, cells), *_pinned_finding(lost, n_pinned)]
    return Verdict(
        outcome=outcome,
        exit_code=_exit_code(outcome, cells, policy),
        cells=tuple(cells),
        findings=tuple(notes),
        baseline=baseline[0].system,
        candidate=candidate[0].system,
        policy=policy,
        suite=candidate[0].suite or None,
        pinned_lost=tuple(lost),
        n_pinned=n_pinned,
    )


def _by_query_set(results: Sequence[Result], who: str) -> dict[str, Result]:
    if not results:
        raise NotComparable(f"The {who} holds no result; nothing can be judged.")
    found: dict[str, Result] = {}
    for result in results:
        if result.query_set in found:
            raise NotComparable(f'The {who} holds two results on query set "{result.query_set}".')
        found[result.query_set] = result
    return found


def _same_sets(before: Mapping[str, Result], after: Mapping[str, Result]) -> None:
    for name in before:
        if name not in after:
            raise NotComparable(
                f'The baseline holds query set "{name}" and the candidate does not; a set that is not evaluated '
                "cannot pass. Run the candidate on it, or accept a new baseline."
            )
    for name in after:
        if name not in before:
            raise NotComparable(
                f'The candidate holds query set "{name}" and the baseline does not. '
                'Accept a new baseline that has it: bench baseline accept --reason "…"'
            )


def _gated(policy: Policy, results: Mapping[str, Result]) -> dict[str, dict[str, float]]:
    """Query set → measure → margin. A rule that names the set outranks one that names its role."""
    gated: dict[str, dict[str, float]] = {}
    for rule in policy.rules:
        if rule.query_set is not None and rule.query_set not in results:
            raise ConfigError(
                f'A gate rule names query set "{rule.query_set}", which was not evaluated (evaluated: '
                f"{', '.join(results)}).{did_you_mean(rule.query_set, results)}"
            )
        if rule.query_set is not None and results[rule.query_set].role != rule.role:
            raise ConfigError(
                f'A gate rule for role {rule.role} names query set "{rule.query_set}", whose role is '
                f"{results[rule.query_set].role}; it would gate nothing."
            )
    for name, result in results.items():
        matching = [r for r in policy.rules if r.role == result.role and r.query_set in (None, name)]
        for rule in sorted(matching, key=lambda r: (r.query_set is None, r.margin), reverse=True):
            _apply(gated.setdefault(name, {}), rule)
    if not any(gated.values()):
        roles = ", ".join(sorted({result.role for result in results.values()}))
        raise ConfigError(
            f"No gate rule applies: rules are for {', '.join(sorted({r.role for r in policy.rules})) or 'nothing'}, "
            f"evaluated sets are {roles}. A gate without a rule would pass everything."
        )
    return gated


def _apply(measures: dict[str, float], rule: Rule) -> None:
    for measure in rule.measures:
        measures[measure] = rule.margin


# --- one cell --------------------------------------------------------------------------------------


def _decided(cell: Cell, result: Result, alpha: float) -> Cell:
    """The cell with its outcome and the sentence that gives the reason."""
    identical = cell.test == "identical"
    estimate = stats.Estimate(
        test=cell.test,
        n=cell.n,
        mean=cell.delta,
        low=cell.ci[0] if cell.ci else None,
        high=cell.ci[1] if cell.ci else None,
        lower=cell.lower,
        p=cell.p,
        standard_error=None,
        n_clusters=cell.n_clusters,
    )
    outcome = stats.cell_outcome(estimate, p_adjusted=cell.p_adjusted, margin=cell.margin, alpha=alpha)
    reason = _identical_reason(cell) if identical else _reason(cell, outcome)
    # Only where people judged what is *not* relevant does judged@10 tell a hole from a plain regression.
    if result.judged_negative_share >= 0.5 and cell.judged_drop > HOLE_DROP + 1e-9:
        hole = (
            f" judged@10 fell by {cell.judged_drop:.3f}: the candidate finds documents that nobody judged. "
            "Judge them before believing the difference."
        )
        if outcome in ("pass", "improved"):
            outcome, reason = "inconclusive", reason + hole
        elif outcome == "fail" and cell.condensed_delta is not None and cell.condensed_delta > -cell.margin:
            outcome = "inconclusive"
            reason += hole + f" On judged documents alone the difference is {_number(cell.condensed_delta)}."
            return replace(cell, outcome=outcome, reason=reason, softened=True)
    return replace(cell, outcome=outcome, reason=reason)


def _number(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")


def _reason(cell: Cell, outcome: str) -> str:
    interval = f" [{_number(cell.ci[0])}, {_number(cell.ci[1])}]" if cell.ci else ""
    head = (
        f"{cell.measure} on {cell.query_set}: {cell.baseline:.3f} → {cell.candidate:.3f}, "
        f"{_number(cell.delta)}{interval}, n = {cell.n}."
    )
    if outcome == "improved":
        return f"{head} Its one-sided lower bound, {_number(cell.lower or 0)}, lies above zero: better."
    if outcome == "pass":
        return f"{head} A drop of {cell.margin:g} or more is ruled out."
    if outcome == "fail":
        p = "p < 0.001" if (cell.p_adjusted or 0) < 0.001 else f"p = {cell.p_adjusted:.3f}"
        return f"{head} Worse ({p}, one-sided, after Holm), and by at least {cell.margin / 2:g}: a regression."
    return f"{head} {_cannot_tell(cell)}"


def _cannot_tell(cell: Cell) -> str:
    if cell.n < stats.MINIMUM_QUERIES:
        return f"Cannot tell: {cell.n} queries are too few for any interval; pin them, or add queries."
    parts = [f"Cannot tell: neither a drop of {cell.margin:g} nor its absence is shown."]
    if cell.mde80 is not None:
        parts.append(f"This set would notice a drop of {cell.mde80:.3f} four times in five.")
    if cell.queries_for_margin is not None and cell.queries_for_margin > cell.n:
        parts.append(f"About {cell.queries_for_margin:,} queries would settle it.".replace(",", "\u202f"))
    return " ".join(parts)


def _identical_reason(cell: Cell) -> str:
    return (
        f"{cell.measure} on {cell.query_set}: {cell.candidate:.3f}, and for each of {cell.n} queries the ranking is "
        "identical down to the cutoff."
    )


# --- the whole -------------------------------------------------------------------------------------


def overall_outcome(cells: Sequence[Cell], lost: Sequence[tuple[str, Change]], results: Mapping[str, Result]) -> str:
    """What the decided cells and the lost pinned queries say together; `results` are the candidate's, by query set."""
    outcomes = {cell.outcome for cell in cells}
    if "fail" in outcomes or lost:
        return "fail"
    if "inconclusive" in outcomes:
        return "inconclusive"
    held_out = [name for name, result in results.items() if result.role == "held-out"]
    first = {
        name: [cell.outcome for cell in cells if cell.query_set == name and cell.measure == result.protocol.measures[0]]
        for name, result in results.items()
    }
    if held_out and all(first[name] == ["improved"] for name in held_out):
        return "improved"
    return "pass"


def _exit_code(outcome: str, cells: Sequence[Cell], policy: Policy) -> int:
    if outcome == "inconclusive":
        # A fail that only a hole in the judgements softened must not be waved through.
        return 3 if any(cell.softened for cell in cells) or policy.on_inconclusive == "block" else 0
    return EXIT_CODES[outcome]


def _pinned_finding(lost: Sequence[tuple[str, Change]], n_pinned: int) -> list[Finding]:
    if not n_pinned:
        return []
    if not lost:
        return [Finding("info", "pinned-kept", "pinned", f"All {n_pinned} pinned queries kept their documents.", 0)]
    names = ", ".join(change.query_id for _, change in lost[:10]) + (", …" if len(lost) > 10 else "")
    sentence = f"{len(lost)} of {n_pinned} pinned queries lost relevant documents: {names}. Any such loss fails."
    return [Finding("error", "pinned-lost", "pinned", sentence, len(lost))]


def _circumstances(before: Mapping[str, Result], after: Mapping[str, Result], cells: Sequence[Cell]) -> list[Finding]:
    notes = []
    for name, result in after.items():
        if result.scores.missing:
            notes.append(
                Finding(
                    "warning",
                    "missing-queries",
                    name,
                    f"Both runs lack {len(result.scores.missing)} judged queries; they count 0 on both sides.",
                    len(result.scores.missing),
                )
            )
        if result.scores.left_out:
            notes.append(
                Finding(
                    "info",
                    "left-out",
                    name,
                    f"{result.scores.left_out} queries of {name} have no relevant document and are left out.",
                    result.scores.left_out,
                )
            )
        ours, theirs = before[name].environment, result.environment
        differing = [
            f"{key}: {ours.get(key)} then, {theirs.get(key)} now"
            for key in sorted(ours.keys() & theirs.keys())
            if ours[key] != theirs[key]
        ]
        if differing:
            notes.append(
                Finding(
                    "info",
                    "environment",
                    name,
                    f"Baseline and candidate were made in different environments ({'; '.join(differing)}).",
                )
            )
    for cell in cells:
        where = f"{cell.query_set}/{cell.measure}"
        if cell.tie_spread > TIE_SPREAD:
            sentence = (
                f"{cell.measure} on {cell.query_set} moves by {cell.tie_spread:.3f} with the order of tied documents."
            )
            notes.append(Finding("warning", "ties", where, sentence, cell.tie_spread))
        if cell.n_clusters is not None and cell.n_clusters < FEW_CLUSTERS:
            sentence = (
                f"{cell.query_set} has {cell.n_clusters} clusters; under {FEW_CLUSTERS}, cluster-robust intervals "
                "are themselves uncertain."
            )
            notes.append(Finding("warning", "few-clusters", where, sentence, cell.n_clusters))
    return notes


# --- baselines -------------------------------------------------------------------------------------


def baseline_document(
    results: Sequence[Result], *, reason: str, when: str, commit: str | None, version: str
) -> dict[str, Any]:
    """A baseline as it is committed: who, why and when, and every result whole.

    Raises:
        BaselineError: no reason, or no result.
    """
    if not reason.strip():
        raise BaselineError('A baseline changes only with a reason: bench baseline accept --reason "…"')
    _by_query_set(results, "baseline")
    first = results[0]
    return {
        "format": BASELINE_FORMAT,
        "baseline": {
            "system": first.system,
            "suite": first.suite,
            "suite_version": first.suite_version,
            "suite_digest": first.suite_digest,
            "reason": reason.strip(),
            "accepted": when,
            "commit": commit,
            "bench": version,
        },
        "results": [result.to_json() for result in results],
    }


def write_baseline(path: Path, document: Mapping[str, Any]) -> Path:
    """Write a baseline whole or not at all."""
    return write_json(path, document, indent=1)


def read_baseline(path: Path) -> tuple[dict[str, Any], list[Result]]:
    """A baseline's header and its results.

    Raises:
        BaselineError: none there, not a baseline, or another format; says what to do.
    """
    if not path.exists():
        raise BaselineError(
            f"No baseline at {path}. Evaluate the system that is in use and accept it: "
            'bench run, then bench baseline accept --reason "first baseline"'
        )
    try:
        document = read_json(path)
    except StoreError as error:
        raise BaselineError(f"{error} Restore it from version control.") from None
    if not isinstance(document, dict) or not isinstance(document.get("baseline"), dict):
        raise BaselineError(f'{path} is not a baseline: expected a JSON object with "baseline" and "results".')
    if document.get("format") != BASELINE_FORMAT:
        raise BaselineError(
            f"{path} has format {document.get('format')!r}; this version reads format {BASELINE_FORMAT}. "
            "Use the version that wrote it, or accept a new baseline."
        )
    results = document.get("results")
    if not isinstance(results, list) or not results:
        raise BaselineError(f"{path} holds no result; restore it from version control.")
    found = [Result.from_json(item, where=f"{path}: results[{i}]") for i, item in enumerate(results)]
    return document["baseline"], found
