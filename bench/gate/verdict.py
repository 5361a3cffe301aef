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
from bench.base import words
from bench.base.errors import BaselineError, ConfigError, NotComparable, StoreError, excerpt
from bench.base.store import parse_json, read_json, write_json
from bench.evaluation.measure import TOP_IDS
from bench.gate.compare import pinned_losses, pinned_measure
from bench.gate.rules import Asked, Key, asked, bearable, keyed
from bench.gate.rules import cells as policy_cells
from bench.gate.rules import checks as policy_checks
from bench.records import Cell, Change, Check, Finding, Policy, Result, Verdict

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
    merge_base: Sequence[Result] = (),
    ceilings: Sequence[Check] = (),
    findings: Sequence[Finding] = (),
) -> Verdict:
    """The verdict on a candidate, against an accepted baseline.

    Args:
        baseline: accepted results, one per variant and query set.
        candidate: results under judgement, likewise.
        policy: rules, alpha, what an inconclusive cell means.
        merge_base: results of the commit that the change started from; what the change did, where the baseline tells
            what all changes since then did. Both must hold.
        ceilings: one check for each ceiling of the policy.
        findings: what is already known of the circumstances.

    Raises:
        NotComparable: a query set that only one of the two has, or results of different tasks.
        ConfigError: no rule applies to any query set, a rule names what does not exist, or a ceiling has no check.
    """
    after = keyed(candidate, "candidate")
    references = {"baseline": keyed(baseline, "baseline")}
    if merge_base:
        references["merge-base"] = keyed(merge_base, "merge base")
    for who, results in references.items():
        _same_sets(results, after, who)
    wanted, too_small = bearable(asked(policy, after), references["baseline"], after, alpha=policy.alpha)
    cells = policy_cells(wanted, references, after, alpha=policy.alpha)
    checks = policy_checks(wanted, after, alpha=policy.alpha)
    # A family for each reference: one more reference may make a verdict stricter, and never milder.
    held_against: list[Cell] = []
    for reference in references:
        mine = [cell for cell in cells if cell.reference == reference]
        others = checks if reference == "baseline" else []
        adjusted = [float(p) for p in stats.holm([*(cell.p for cell in mine), *(check.p for check in others)])]
        held_against += [
            decided(replace(cell, p_adjusted=p), after[cell.variant, cell.query_set], policy.alpha)
            for cell, p in zip(mine, adjusted, strict=False)
        ]
        if others:
            checks = [_checked(check, p, policy.alpha) for check, p in zip(others, adjusted[len(mine) :], strict=True)]
    cells = held_against
    checks += _every_ceiling(policy, ceilings)
    lost = [
        (query_set, change)
        for results in references.values()
        for (variant, query_set), before in results.items()
        if (variant, query_set) in after
        for change in pinned_losses(before, after[variant, query_set])
    ]
    lost = list(dict.fromkeys(lost))
    n_pinned = sum(sum(result.pinned) for (variant, _), result in after.items() if not variant)
    outcome = overall_outcome(cells, after, checks=checks, lost=lost)
    notes = [
        *findings,
        *_unused_rules(policy, after),
        *too_small,
        *_ungated(cells, wanted, after),
        *_nothing_pinned(references["baseline"], after),
        *_circumstances(references, after, cells),
        *_pinned_finding(lost, n_pinned),
    ]
    return Verdict(
        outcome=outcome,
        exit_code=_exit_code(outcome, cells, policy),
        cells=tuple(cells),
        findings=tuple(notes),
        baseline=_main(references["baseline"]).system,
        candidate=_main(after).system,
        policy=policy,
        suite=_main(after).suite or None,
        pinned_lost=tuple(lost),
        n_pinned=n_pinned,
        checks=tuple(checks),
        merge_base=_main(references["merge-base"]).system if merge_base else None,
    )


def _main(results: Mapping[Key, Result]) -> Result:
    return next((result for (variant, _), result in results.items() if not variant), next(iter(results.values())))


def _same_sets(before: Mapping[Key, Result], after: Mapping[Key, Result], who: str) -> None:
    """Refuse where one of the two lacks a query set of the gated system itself; variants are looked at by rule."""
    accept = 'Accept a new baseline that has it: bench baseline accept --reason "…"'
    named = who.replace("-", " ")
    for variant, name in before:
        if not variant and (variant, name) not in after:
            raise NotComparable(
                f'The {named} holds query set "{name}" and the candidate does not; a set that is not evaluated '
                "cannot pass. Run the candidate on it, or accept a new baseline."
            )
    for variant, name in after:
        if not variant and (variant, name) not in before:
            mend = accept if who == "baseline" else "Evaluate it there on the same suite."
            raise NotComparable(f'The candidate holds query set "{name}" and the {named} does not. {mend}')


def _every_ceiling(policy: Policy, given: Sequence[Check]) -> list[Check]:
    by_name = {check.name: check for check in given}
    for ceiling in policy.ceilings:
        if ceiling.name not in by_name:
            raise ConfigError(
                f"The policy has a ceiling for {ceiling.name}, and nothing was measured for it; a ceiling that is not "
                "looked at would pass everything."
            )
    return [_checked(by_name[ceiling.name], None, policy.alpha) for ceiling in policy.ceilings]


def _unused_rules(policy: Policy, after: Mapping[Key, Result]) -> list[Finding]:
    roles = {result.role for result in after.values()}
    idle = sorted({rule.role for rule in policy.rules} - roles)
    if not idle or policy.rules == Policy().rules:
        return []
    sentence = f"Rules for {' and '.join(idle)} apply to no query set; the suite has none of that role."
    return [Finding("warning", "rule-unused", "policy", sentence, len(idle))]


def _ungated(cells: Sequence[Cell], wanted: Sequence[Asked], after: Mapping[Key, Result]) -> list[Finding]:
    """What could get worse and still pass: a query set without a rule, a reference that has too little to lose."""
    notes = []
    for variant, name in after:
        if not variant and not any(one.key == (variant, name) for one in wanted):
            sentence = f"No rule is about query set {name}; whatever happens there passes."
            notes.append(Finding("warning", "ungated", name, sentence))
    for cell in cells:
        least = cell.margin / 2 if cell.floor is None else cell.floor
        if cell.baseline < least - stats.ROUNDOFF:
            sentence = (
                f"{cell.name} was {cell.baseline:.3f}, and only a drop of {least:.3g} may fail: this cell passes "
                "whatever happens. Use a smaller margin, or relative_margin."
            )
            notes.append(Finding("warning", "cannot-fail", f"{cell.place}/{cell.measure}", sentence, cell.baseline))
    return notes


def _nothing_pinned(before: Mapping[Key, Result], after: Mapping[Key, Result]) -> list[Finding]:
    """Pinned queries for which the baseline found nothing: they cannot be lost."""
    notes = []
    for (variant, name), result in after.items():
        if variant or not any(result.pinned):
            continue
        values = before[variant, name].scores.column(pinned_measure(before[variant, name], result))
        idle = [q for q, p, v in zip(result.scores.query_ids, result.pinned, values, strict=True) if p and v == 0]
        if idle:
            sentence = (
                f"{len(idle)} pinned queries of {name} found nothing in the baseline either (first: {idle[0]}); "
                "nothing of theirs can be lost."
            )
            notes.append(Finding("warning", "pinned-idle", name, sentence, len(idle)))
    return notes


# --- one cell --------------------------------------------------------------------------------------


def decided(cell: Cell, result: Result, alpha: float) -> Cell:
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
        p_two_sided=None,
        standard_error=None,
        n_clusters=cell.n_clusters,
    )
    outcome = stats.cell_outcome(
        estimate, p_adjusted=cell.p_adjusted, margin=cell.margin, floor=cell.floor, alpha=alpha
    )
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
            reason += hole + f" On judged documents alone the difference is {words.signed(cell.condensed_delta)}."
            return replace(cell, outcome=outcome, reason=reason, softened=True)
    return replace(cell, outcome=outcome, reason=reason)


def _reason(cell: Cell, outcome: str) -> str:
    interval = f" {words.interval(cell.ci)}" if cell.ci else ""
    head = (
        f"{cell.name}: {cell.baseline:.3f} → {cell.candidate:.3f}, {words.signed(cell.delta)}{interval}, n = {cell.n}."
    )
    if outcome == "improved":
        return f"{head} Its one-sided lower bound, {words.signed(cell.lower or 0)}, lies above zero: better."
    if outcome == "pass":
        return f"{head} A drop of {cell.margin:.3g} or more is ruled out."
    if outcome == "fail":
        p = "p < 0.001" if (cell.p_adjusted or 0) < 0.001 else f"p = {cell.p_adjusted:.3f}"
        floor = cell.margin / 2 if cell.floor is None else cell.floor
        return f"{head} Worse ({p}, one-sided, after Holm), and by at least {floor:.3g}: a regression."
    return f"{head} {_cannot_tell(cell)}"


def _cannot_tell(cell: Cell) -> str:
    if cell.n < stats.MINIMUM_QUERIES:
        return f"Cannot tell: {cell.n} queries are too few for any interval; pin them, or add queries."
    parts = [f"Cannot tell: neither a drop of {cell.margin:.3g} nor its absence is shown."]
    if cell.mde80 is not None:
        parts.append(f"This set would notice a drop of {cell.mde80:.3f} four times in five.")
    if cell.queries_for_margin is not None and cell.queries_for_margin > cell.n:
        parts.append(f"About {cell.queries_for_margin:,} queries would settle it.")
    return " ".join(parts)


def _identical_reason(cell: Cell) -> str:
    return (
        f"{cell.name}: {cell.candidate:.3f}, and for each of {cell.n} queries the ranking is "
        "identical down to the cutoff."
    )


# --- one check -------------------------------------------------------------------------------------


def _checked(check: Check, p_adjusted: float | None, alpha: float) -> Check:
    """The check with its outcome and the sentence that gives the reason."""
    outcome = check.outcome
    if outcome is None:
        kept = check.kind == "minimum" and (check.value or 0.0) >= check.threshold - stats.ROUNDOFF
        proven = p_adjusted is not None and p_adjusted < alpha and (check.n or 0) >= stats.MINIMUM_QUERIES
        outcome = "pass" if kept else "fail" if proven else "inconclusive"
    return replace(check, outcome=outcome, reason=_check_reason(check, outcome))


def _check_reason(check: Check, outcome: str) -> str:
    low, high = check.interval
    where = check.name.partition(" of ")[2]
    if check.kind == "minimum":
        bound = "" if high is None else f" (one-sided upper bound {high:.3f})"
        head = f"{where}: {check.value:.3f}, at least {check.threshold:g} wanted, n = {check.n}."
        says = {"pass": "", "fail": f" Below it{bound}."}
        return head + says.get(outcome, f" The mean lies below it, but chance may explain that{bound}.")
    if check.kind == "keeps":
        kept = "an unknown share" if check.value is None else f"{100 * check.value:.1f} %"
        bounds = "" if low is None or high is None else f" [{100 * low:.1f} %, {100 * high:.1f} %]"
        head = f"{where} {kept}{bounds} of the whole, at least {100 * check.threshold:g} % wanted, n = {check.n}."
        says = {"pass": "", "fail": " It keeps less."}
        return head + says.get(outcome, " Cannot tell whether it keeps as much.")
    if " of " not in check.name:
        return f"{check.name}: {check.value or 0:,.0f}, at most {check.threshold:,.0f} allowed."
    bounds = "" if low is None or high is None else f" [{low:.2f}, {high:.2f}]"
    head = f"{check.name}: {check.value or 0:.2f} times{bounds}, at most {check.threshold:g} times allowed."
    return head + (" Above it, but timing noise may explain that." if outcome == "inconclusive" else "")


# --- the whole -------------------------------------------------------------------------------------


def overall_outcome(
    cells: Sequence[Cell],
    results: Mapping[Key, Result],
    *,
    checks: Sequence[Check] = (),
    lost: Sequence[tuple[str, Change]] = (),
) -> str:
    """What decided cells and checks, and the pinned queries that were lost, say together.

    Args:
        cells: with their outcomes.
        results: the candidate's.
        checks: with their outcomes.
        lost: pinned queries.
    """
    outcomes = {cell.outcome for cell in cells} | {check.outcome for check in checks}
    if "fail" in outcomes or lost:
        return "fail"
    if "inconclusive" in outcomes:
        return "inconclusive"
    return "improved" if _improved(cells, results) else "pass"


def _improved(cells: Sequence[Cell], results: Mapping[Key, Result]) -> bool:
    """Whether the first measure improved on every held-out set: by this change, where the merge base is known."""
    reference = "merge-base" if any(cell.reference == "merge-base" for cell in cells) else "baseline"
    held_out = {
        name: result for (variant, name), result in results.items() if not variant and result.role == "held-out"
    }
    return bool(held_out) and all(
        [
            cell.outcome
            for cell in cells
            if (cell.query_set, cell.reference, cell.variant, cell.slice) == (name, reference, "", None)
            and cell.measure == result.protocol.measures[0]
        ]
        == ["improved"]
        for name, result in held_out.items()
    )


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
    # A query may be lost at several sizes of a system; it is one query all the same.
    queries = list(dict.fromkeys((query_set, change.query_id) for query_set, change in lost))
    names = ", ".join(query_id for _, query_id in queries[:10]) + (", …" if len(queries) > 10 else "")
    sentence = f"{len(queries)} of {n_pinned} pinned queries lost relevant documents: {names}. Any such loss fails."
    return [Finding("error", "pinned-lost", "pinned", sentence, len(queries))]


def _circumstances(
    references: Mapping[str, Mapping[Key, Result]], after: Mapping[Key, Result], cells: Sequence[Cell]
) -> list[Finding]:
    notes = []
    for (variant, name), result in after.items():
        if variant:
            continue
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
        for who, results in references.items():
            before, now = (max(map(len, r.top_ids), default=0) for r in (results[variant, name], result))
            if before < min(now, TOP_IDS):
                sentence = (
                    f"The {who.replace('-', ' ')} ranks at most {before} documents for any query of {name}, the "
                    f"candidate {now} or more: what looks deeper was cut short there, and gains by that alone."
                )
                notes.append(Finding("warning", "shallow-reference", name, sentence, before))
            theirs = results[variant, name].environment
            differing = [
                f"{key}: {theirs.get(key)} then, {result.environment.get(key)} now"
                for key in sorted(theirs.keys() & result.environment.keys())
                if theirs[key] != result.environment[key]
            ]
            if differing:
                sentence = (
                    f"{who.replace('-', ' ').capitalize()} and candidate were made in different environments "
                    f"({'; '.join(differing)})."
                )
                notes.append(Finding("info", "environment", name, sentence))
    for cell in cells:
        where = f"{cell.place}/{cell.measure}"
        # The spread is that of the whole set: said once, not for each slice and reference.
        if cell.tie_spread > TIE_SPREAD and cell.slice is None and cell.reference == "baseline":
            sentence = f"{cell.name} moves by {cell.tie_spread:.3f} with the order of tied documents."
            notes.append(Finding("warning", "ties", where, sentence, cell.tie_spread))
        if cell.n_clusters is not None and cell.n_clusters < FEW_CLUSTERS:
            sentence = (
                f"{cell.place} has {cell.n_clusters} clusters; under {FEW_CLUSTERS}, cluster-robust intervals "
                "are themselves uncertain."
            )
            notes.append(Finding("warning", "few-clusters", where, sentence, cell.n_clusters))
    return notes


# --- baselines -------------------------------------------------------------------------------------


def baseline_document(
    results: Sequence[Result], *, reason: str, when: str, commit: str | None, version: str, outcome: str | None = None
) -> dict[str, Any]:
    """A baseline as it is committed: who, why and when, and every result whole.

    Args:
        results: of the gated system and its variants.
        reason: why.
        when: ISO 8601.
        commit: of the repository, where known.
        version: of this program.
        outcome: the verdict against the baseline before; None where there was none to compare with.

    Raises:
        BaselineError: no reason, or no result.
    """
    if not reason.strip():
        raise BaselineError('A baseline changes only with a reason: bench baseline accept --reason "…"')
    first = _main(keyed(results, "baseline"))
    return {
        "format": BASELINE_FORMAT,
        "baseline": {
            "system": first.system,
            "suite": first.suite,
            "suite_version": first.suite_version,
            "suite_digest": first.suite_digest,
            "reason": reason.strip(),
            "outcome": outcome,
            "accepted": when,
            "commit": commit,
            "bench": version,
        },
        "results": [result.to_json() for result in results],
    }


def write_baseline(path: Path, document: Mapping[str, Any]) -> Path:
    """Write a baseline whole or not at all."""
    return write_json(path, document, indent=1)


def read_baseline(path: Path, text: bytes | None = None) -> tuple[dict[str, Any], list[Result]]:
    """A baseline's header and its results.

    Args:
        path: where it is.
        text: what stands there, where that is not to be taken from the disk.

    Raises:
        BaselineError: none there, not a baseline, or another format; says what to do.
    """
    if text is None and not path.exists():
        raise BaselineError(
            f"No baseline at {path}. Evaluate the system that is in use and accept it: "
            'bench run, then bench baseline accept --reason "first baseline"'
        )
    try:
        document = read_json(path) if text is None else parse_json(text, path)
    except StoreError as error:
        raise BaselineError(f"{error} Restore it from version control.") from None
    if not isinstance(document, dict) or not isinstance(document.get("baseline"), dict):
        raise BaselineError(f'{path} is not a baseline: expected a JSON object with "baseline" and "results".')
    if document.get("format") != BASELINE_FORMAT:
        raise BaselineError(
            f"{path} has format {excerpt(repr(document.get('format')))}; this version reads format {BASELINE_FORMAT}. "
            "Use the version that wrote it, or accept a new baseline."
        )
    header = document["baseline"]
    for key in ("system", "accepted", "reason"):
        if not isinstance(header.get(key), str):
            found = excerpt(repr(header.get(key)), 40)
            raise BaselineError(
                f"{path}: baseline.{key} is {found}; expected a string. Restore it from version control."
            )
    return header, results_of(document, path)


def read_results(path: Path) -> list[Result]:
    """Results from a JSON file: one result, a list of them, or a baseline.

    Raises:
        BaselineError: none of these; says what was found.
    """
    if not path.is_file():
        raise BaselineError(f"No results at {path}. Write them with: bench run --gated --out DIR")
    try:
        return results_of(read_json(path), path)
    except StoreError as error:
        raise BaselineError(str(error)) from None


def same_file(baseline: Path, candidate: Path) -> list[Finding]:
    """A warning where two files that are compared are one, or hold the same bytes; nothing else can be found then."""
    if not (baseline.is_file() and candidate.is_file()):
        return []
    if baseline.samefile(candidate):
        what = "are the same file"
    elif baseline.stat().st_size == candidate.stat().st_size and baseline.read_bytes() == candidate.read_bytes():
        what = "hold the same bytes"
    else:
        return []
    sentence = f"{baseline} and {candidate} {what}; this comparison says nothing about a change."
    return [Finding("warning", "same-file", "candidate", sentence)]


def results_of(document: Any, path: Path) -> list[Result]:
    """The results in a document, which may be one itself.

    Raises:
        BaselineError: it holds none.
    """
    if not isinstance(document, dict) or "results" not in document:
        return [Result.from_json(document, where=str(path))]
    listed = document["results"]
    if not isinstance(listed, list) or not listed:
        raise BaselineError(f"{path} holds no result; restore it from version control, or make it anew.")
    return [Result.from_json(item, where=f"{path}: results[{i}]") for i, item in enumerate(listed)]
