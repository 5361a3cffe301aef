"""The verdict on a candidate, and baseline files. Works on stored results and evaluates nothing.

The verdict has three outcomes, because a bare threshold on the mean blocks one harmless change in three at a hundred
queries, and a proof of non-inferiority blocks nearly nine in ten at fifty.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench import stats
from bench.base import words
from bench.base.errors import BaselineError, ConfigError, NotComparable, StoreError, excerpt
from bench.base.store import parse_json, read_json, write_json
from bench.evaluation.measure import TOP_IDS
from bench.gate.compare import pinned_losses, pinned_measure
from bench.gate.limits import decided_limit, limits
from bench.gate.rules import GatedCell, Key, comparisons, gated_cells, keyed, without_small_slices
from bench.records import Cell, Change, Finding, Limit, Policy, Result, Verdict

BASELINE_FORMAT = 1

HOLE_DROP = 0.05
"""If judged@10 drops by more than this, the judgements no longer cover the candidate's results."""

TIE_SPREAD = 0.005
"""A measure that the order of tied documents changes by more than this gets a warning."""

FEW_CLUSTERS = 20
"""Below this many clusters, a cluster-robust interval is itself uncertain (Cameron & Miller 2015, section VI)."""

EXIT_CODES = {"pass": 0, "improved": 0, "fail": 1, "inconclusive": 0}

ACCEPT = 'bench baseline accept --reason "…"'


def judge(
    baseline: Sequence[Result],
    candidate: Sequence[Result],
    policy: Policy,
    *,
    merge_base: Sequence[Result] = (),
    ceilings: Sequence[Limit] = (),
    findings: Sequence[Finding] = (),
) -> Verdict:
    """The verdict on a candidate, against an accepted baseline.

    Args:
        baseline: accepted results, one per variant and query set.
        candidate: results to judge, likewise.
        policy: rules, alpha, and the exit code of an inconclusive verdict.
        merge_base: results of the commit that the change started from. They show the effect of this change; the
            baseline shows the effect of all changes since it was accepted. Neither may fail.
        ceilings: one row for each ceiling of the policy.
        findings: what is already known of the circumstances.

    Raises:
        NotComparable: a query set that only one of the two has, or results of different tasks.
        ConfigError: no rule applies to any query set, a rule names what does not exist, or a ceiling has no row.
    """
    after = keyed(candidate, "candidate")
    references = {"baseline": keyed(baseline, "baseline")}
    if merge_base:
        references["merge-base"] = keyed(merge_base, "merge base")
    for reference, before in references.items():
        _require_same_sets(before, after, reference)
    gated, too_small = without_small_slices(
        gated_cells(policy, after), references["baseline"], after, alpha=policy.alpha
    )
    compared = comparisons(gated, references, after, alpha=policy.alpha)
    others = limits(gated, after, alpha=policy.alpha)
    # A family for each reference: another reference may make a verdict stricter, but never milder.
    cells: list[Cell] = []
    for reference in references:
        rows = [cell for cell in compared if cell.reference == reference]
        family = [*(cell.p for cell in rows), *(limit.p for limit in others if reference == "baseline")]
        adjusted = stats.holm(family).tolist()
        for cell, p in zip(rows, adjusted, strict=False):
            cells.append(decided(replace(cell, p_adjusted=p), after[cell.variant, cell.query_set], policy.alpha))
        if reference == "baseline":
            adjusted = adjusted[len(rows) :]
            others = [decided_limit(limit, p, policy.alpha) for limit, p in zip(others, adjusted, strict=True)]
    others += _ceilings(policy, ceilings)
    lost = dict.fromkeys(
        (key[1], change)
        for results in references.values()
        for key, before in results.items()
        if key in after
        for change in pinned_losses(before, after[key])
    )
    n_pinned = sum(sum(result.pinned) for (variant, _), result in after.items() if not variant)
    outcome = overall_outcome(cells, after, limits=others, lost=[*lost])
    notes = [
        *findings,
        *_unused_rules(policy, after),
        *too_small,
        *_cannot_fail(cells, gated, references["baseline"], after),
        *_differences_of_runs(references, after),
        *_doubtful_cells(cells),
        *_pinned([*lost], n_pinned),
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
        limits=tuple(others),
        merge_base=_main(references["merge-base"]).system if merge_base else None,
    )


def _main(results: Mapping[Key, Result]) -> Result:
    """The result of the gated system itself, not of a variant, where there is one."""
    return next((result for (variant, _), result in results.items() if not variant), next(iter(results.values())))


def _require_same_sets(before: Mapping[Key, Result], after: Mapping[Key, Result], reference: str) -> None:
    """Refuse if one of the two lacks a query set of the gated system itself; rules name the variants."""
    name = reference.replace("-", " ")
    for variant, query_set in before:
        if not variant and (variant, query_set) not in after:
            raise NotComparable(
                f'The {name} holds query set "{query_set}" and the candidate does not; a set that is not evaluated '
                "cannot pass. Run the candidate on it, or accept a new baseline."
            )
    for variant, query_set in after:
        if not variant and (variant, query_set) not in before:
            accept = f"Accept a new baseline that has it: {ACCEPT}"
            mend = accept if reference == "baseline" else "Evaluate it there on the same suite."
            raise NotComparable(f'The candidate holds query set "{query_set}" and the {name} does not. {mend}')


def _ceilings(policy: Policy, rows: Sequence[Limit]) -> list[Limit]:
    by_name = {row.name: row for row in rows}
    for ceiling in policy.ceilings:
        if ceiling.name not in by_name:
            raise ConfigError(
                f"The policy has a ceiling for {ceiling.name}, and nothing was measured for it; the ceiling could not "
                "fail."
            )
    return [decided_limit(by_name[ceiling.name], None, policy.alpha) for ceiling in policy.ceilings]


# --- findings --------------------------------------------------------------------------------------


def _unused_rules(policy: Policy, after: Mapping[Key, Result]) -> Iterator[Finding]:
    unused = sorted({rule.role for rule in policy.rules} - {result.role for result in after.values()})
    if unused and policy.rules != Policy().rules:
        sentence = f"Rules for {' and '.join(unused)} apply to no query set; the suite has none of that role."
        yield Finding("warning", "rule-unused", "policy", sentence, len(unused))


def _cannot_fail(
    cells: Sequence[Cell], gated: Sequence[GatedCell], before: Mapping[Key, Result], after: Mapping[Key, Result]
) -> Iterator[Finding]:
    """Query sets without a rule, cells with too low a baseline to fail, pinned queries that cannot be lost."""
    main = {query_set: result for (variant, query_set), result in after.items() if not variant}
    for query_set in main:
        if not any(cell.key == ("", query_set) for cell in gated):
            sentence = f"No rule is about query set {query_set}, so it passes whatever its results are."
            yield Finding("warning", "ungated", query_set, sentence)
    for cell in cells:
        floor = _floor(cell)
        if cell.baseline < floor - stats.ROUNDOFF:
            sentence = (
                f"{cell.name} was {cell.baseline:.3f}, and only a drop of {floor:.3g} or more is a regression, so none "
                "can be shown here. Use a smaller margin, or relative_margin."
            )
            yield Finding("warning", "cannot-fail", f"{cell.place}/{cell.measure}", sentence, cell.baseline)
    for query_set, result in main.items():
        if not any(result.pinned):
            continue
        reference = before["", query_set]
        values = reference.scores.column(pinned_measure(reference, result))
        zero = [q for q, p, v in zip(result.scores.query_ids, result.pinned, values, strict=True) if p and v == 0]
        if zero:
            sentence = (
                f"{words.count(len(zero), 'pinned query')} of {query_set} scored 0 in the baseline already "
                f"(first: {zero[0]}), so no loss can be seen there."
            )
            yield Finding("warning", "pinned-idle", query_set, sentence, len(zero))


def _differences_of_runs(
    references: Mapping[str, Mapping[Key, Result]], after: Mapping[Key, Result]
) -> Iterator[Finding]:
    """Missing and left-out queries, references with shorter rankings, other environments."""
    for (variant, name), result in after.items():
        if variant:
            continue
        if n := len(result.scores.missing):
            sentence = f"Both runs lack {words.count(n, 'judged query')}, counted as 0 on both sides."
            yield Finding("warning", "missing-queries", name, sentence, n)
        if n := result.scores.left_out:
            sentence = f"Left out: {words.count(n, 'query')} of {name} without a relevant document."
            yield Finding("info", "left-out", name, sentence, n)
        for reference, results in references.items():
            label = reference.replace("-", " ")
            before, now = (max(map(len, r.top_ids), default=0) for r in (results[variant, name], result))
            if before < min(now, TOP_IDS):
                sentence = (
                    f"The {label} ranks at most {before} documents for any query of {name}, the candidate {now} or "
                    "more: where a measure's cutoff is deeper, the candidate has an advantage."
                )
                yield Finding("warning", "shallow-reference", name, sentence, before)
            then, current = results[variant, name].environment, result.environment
            differing = [
                f"{key}: {then.get(key)} then, {current.get(key)} now"
                for key in sorted(then.keys() & current.keys())
                if then[key] != current[key]
            ]
            if differing:
                sentence = f"{label.capitalize()} and candidate ran in different environments ({'; '.join(differing)})."
                yield Finding("info", "environment", name, sentence)


def _doubtful_cells(cells: Sequence[Cell]) -> Iterator[Finding]:
    for cell in cells:
        where = f"{cell.place}/{cell.measure}"
        # The spread belongs to the whole set: reported once, not for each slice and reference.
        if cell.tie_spread > TIE_SPREAD and cell.slice is None and cell.reference == "baseline":
            sentence = f"{cell.name} changes by {cell.tie_spread:.3f} if equal scores are ordered otherwise."
            yield Finding("warning", "ties", where, sentence, cell.tie_spread)
        if cell.n_clusters is not None and cell.n_clusters < FEW_CLUSTERS:
            sentence = (
                f"{cell.place} has {words.count(cell.n_clusters, 'cluster')}; with fewer than {FEW_CLUSTERS}, "
                "cluster-robust intervals are themselves uncertain."
            )
            yield Finding("warning", "few-clusters", where, sentence, cell.n_clusters)


def _pinned(lost: Sequence[tuple[str, Change]], n_pinned: int) -> Iterator[Finding]:
    # A query may be lost at several sizes of a system; it counts once.
    queries = list(dict.fromkeys((query_set, change.query_id) for query_set, change in lost))
    if queries:
        names = ", ".join(query_id for _, query_id in queries[:10]) + (", …" if len(queries) > 10 else "")
        sentence = f"{len(queries)} of {n_pinned} pinned queries lost relevant documents: {names}. Any such loss fails."
        yield Finding("error", "pinned-lost", "pinned", sentence, len(queries))
    elif n_pinned:
        sentence = f"No relevant document of {words.count(n_pinned, 'pinned query')} was lost."
        yield Finding("info", "pinned-kept", "pinned", sentence, 0)


# --- outcomes --------------------------------------------------------------------------------------


def decided(cell: Cell, result: Result, alpha: float) -> Cell:
    """The cell with its outcome and the sentence that gives the reason."""
    low, high = cell.ci or (None, None)
    estimate = stats.Estimate(cell.test, cell.n, cell.delta, low, high, cell.lower, cell.p, None, None, cell.n_clusters)
    outcome = stats.cell_outcome(
        estimate, p_adjusted=cell.p_adjusted, margin=cell.margin, floor=cell.floor, alpha=alpha
    )
    reason, softened = _reason(cell, outcome), False
    # Only where people judged what is *not* relevant does judged@10 tell a hole from a plain regression.
    if result.judged_negative_share >= 0.5 and cell.judged_drop > HOLE_DROP + 1e-9:
        hole = (
            f" judged@10 fell by {cell.judged_drop:.3f}: the candidate ranks documents without a judgement. "
            "Judge them before you rely on the difference."
        )
        if outcome in ("pass", "improved"):
            outcome, reason = "inconclusive", reason + hole
        elif outcome == "fail" and cell.condensed_delta is not None and cell.condensed_delta > -cell.margin:
            outcome, softened = "inconclusive", True
            reason += hole + f" On judged documents alone the difference is {words.signed(cell.condensed_delta)}."
    return replace(cell, outcome=outcome, reason=reason, softened=softened)


def _floor(cell: Cell) -> float:
    """The smallest observed drop that may fail."""
    return cell.margin / 2 if cell.floor is None else cell.floor


def _reason(cell: Cell, outcome: str) -> str:
    if cell.test == "identical":
        same = f"for each of {cell.n} queries the ranking is identical down to the cutoff"
        return f"{cell.name}: {cell.candidate:.3f}, and {same}."
    interval = f" {words.interval(cell.ci)}" if cell.ci else ""
    means = f"{cell.baseline:.3f} → {cell.candidate:.3f}"
    head = f"{cell.name}: {means}, {words.signed(cell.delta)}{interval}, n = {cell.n}."
    if outcome == "improved":
        return f"{head} The one-sided lower bound, {words.signed(cell.lower or 0)}, is above zero: a gain is shown."
    if outcome == "pass":
        return f"{head} A drop of {cell.margin:.3g} or more is ruled out."
    if outcome == "fail":
        p = "p < 0.001" if (cell.p_adjusted or 0) < 0.001 else f"p = {cell.p_adjusted:.3f}"
        return (
            f"{head} A drop is shown ({p}, one-sided, after Holm), and the observed drop is at least "
            f"{_floor(cell):.3g}: a regression."
        )
    if cell.n < stats.MINIMUM_QUERIES:
        few = f"{words.count(cell.n, 'query')} {'is' if cell.n == 1 else 'are'} too few for a verdict"
        return f"{head} Inconclusive: {few}; pin the queries, or add more."
    head += f" Inconclusive: a drop of {cell.margin:.3g} is neither shown nor ruled out."
    if cell.mde80 is not None:
        head += f" This set would show a drop of {cell.mde80:.3f} four times in five."
    if cell.queries_for_margin is not None and cell.queries_for_margin > cell.n:
        head += f" About {cell.queries_for_margin:,} queries would settle it."
    return head


def overall_outcome(
    cells: Sequence[Cell],
    results: Mapping[Key, Result],
    *,
    limits: Sequence[Limit] = (),
    lost: Sequence[tuple[str, Change]] = (),
) -> str:
    """The outcome of the gate, from decided cells and limits, the candidate's results, and lost pinned queries."""
    outcomes = {cell.outcome for cell in cells} | {limit.outcome for limit in limits}
    if "fail" in outcomes or lost:
        return "fail"
    if "inconclusive" in outcomes:
        return "inconclusive"
    # Improved: the first measure on every held-out set, against the merge base where it is known.
    reference = "merge-base" if any(cell.reference == "merge-base" for cell in cells) else "baseline"
    held_out = [(name, r) for (variant, name), r in results.items() if not variant and r.role == "held-out"]
    improved = {
        (cell.query_set, cell.measure)
        for cell in cells
        if (cell.reference, cell.variant, cell.slice, cell.outcome) == (reference, "", None, "improved")
    }
    every = all((name, result.protocol.measures[0]) in improved for name, result in held_out)
    return "improved" if held_out and every else "pass"


def _exit_code(outcome: str, cells: Sequence[Cell], policy: Policy) -> int:
    if outcome == "inconclusive":
        # A regression that holes in the judgements may explain must not pass.
        return 3 if any(cell.softened for cell in cells) or policy.on_inconclusive == "block" else 0
    return EXIT_CODES[outcome]


# --- baselines -------------------------------------------------------------------------------------


def baseline_document(
    results: Sequence[Result], *, reason: str, when: str, commit: str | None, version: str, outcome: str | None = None
) -> dict[str, Any]:
    """A baseline file's document: system, reason and date of acceptance, and every result in full.

    Args:
        results: of the gated system and its variants.
        reason: why it is accepted.
        when: ISO 8601.
        commit: of the repository, where known.
        version: of this program.
        outcome: of the verdict against the baseline before; None where there was none.

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
    """Write a baseline; the file is replaced only when it is complete."""
    return write_json(path, document, indent=1)


def read_baseline(path: Path, text: bytes | None = None) -> tuple[dict[str, Any], list[Result]]:
    """A baseline's header and its results.

    Args:
        path: of the file.
        text: its content, where it is not to be read from the disk.

    Raises:
        BaselineError: no file, not a baseline, or another format; says what to do.
    """
    if text is None and not path.exists():
        raise BaselineError(
            f"No baseline at {path}. Evaluate the system that is in use (not the candidate) and accept it: bench run, "
            'then bench baseline accept --system NAME --reason "first baseline"'
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
            raise BaselineError(
                f"{path}: baseline.{key} is {excerpt(repr(header.get(key)), 40)}; expected a string. "
                "Restore it from version control."
            )
    return header, results_of(document, path)


def read_results(path: Path) -> list[Result]:
    """Results from a JSON file: one result, a list of them, or a baseline.

    Raises:
        BaselineError: none of these.
    """
    if not path.is_file():
        raise BaselineError(f"No results at {path}. Write them with: bench run --gated --out DIR")
    try:
        return results_of(read_json(path), path)
    except StoreError as error:
        raise BaselineError(str(error)) from None


def same_file(baseline: Path, candidate: Path) -> list[Finding]:
    """A warning where the two files that are compared are the same, or hold the same bytes."""
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
    """The results in a document, or the one result that the document is.

    Raises:
        BaselineError: an empty list of results.
    """
    if not isinstance(document, dict) or "results" not in document:
        return [Result.from_json(document, where=str(path))]
    results = document["results"]
    if not isinstance(results, list) or not results:
        raise BaselineError(f"{path} holds no result; restore it from version control, or make it again.")
    return [Result.from_json(item, where=f"{path}: results[{i}]") for i, item in enumerate(results)]
