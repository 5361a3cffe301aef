"""From a workspace to a verdict: the candidate as stored, the baseline as the base branch has it, the merge base."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.base import git
from bench.base.errors import BaselineError, NotComparable
from bench.base.store import read_json
from bench.gate.rules import latency_check, size_check
from bench.gate.verdict import judge, read_baseline, read_results, same_file
from bench.project.answers import Judged
from bench.project.workspace import Workspace
from bench.records import Ceiling, Check, Finding, Policy, Result, Suite
from bench.report.forms.github import Place, changed_line
from bench.suites import checks

TARGET_BRANCH = ("GITHUB_BASE_REF", "CI_MERGE_REQUEST_TARGET_BRANCH_NAME")
"""Where GitHub and GitLab say which branch a change wants to go to."""


def judged(
    workspace: Workspace,
    suite: Suite,
    *,
    system: str | None = None,
    baseline: Path | None = None,
    merge_base: Sequence[Path] = (),
    candidate: Path | None = None,
    changed: Callable[[Policy], Policy] = lambda policy: policy,
    commands: Sequence[str] = (),
    private: bool = False,
) -> Judged:
    """The verdict on a workspace's gated system, from stored results alone.

    Args:
        workspace: config and store; opened with a git ref, it brings that commit's rules and baseline.
        suite: what is measured.
        system: the candidate; the config's where None.
        baseline: the accepted baseline's file; the config's where None.
        merge_base: files of results of the commit that the change started from.
        candidate: a file of results, instead of stored ones.
        changed: the policy with what the caller says instead.
        commands: lines that come to the same verdict, for its page.
        private: no texts of queries and documents in any form.

    Raises:
        Missing: a result that is not stored.
        BaselineError, ConfigError, NotComparable: see `bench.gate.verdict.judge`.
        UsageError: git does not know the ref.
    """
    name = workspace.gated_system(system)
    path, text, notes = _accepted_file(workspace, suite, baseline)
    stated = workspace.config.gate.policy()
    policy = changed(stated)
    header, before = read_baseline(path, text)
    after = read_results(candidate) if candidate else workspace.gated(suite, name, policy)
    if candidate:
        _of_suite(after, suite, candidate)
    started = [result for path in merge_base for result in read_results(path)]
    beside = _read_beside(candidate) if candidate else measured_beside(workspace, suite, name, policy)
    verdict = judge(
        before,
        after,
        policy,
        merge_base=started,
        ceilings=_ceilings(policy, before, after, beside),
        findings=[
            *_accepted(header),
            *notes,
            *_from_options(stated, policy),
            *_other_system(after, name, "candidate"),
            *_other_system(started, name, "merge base"),
            *(_from_a_file(candidate) if candidate else ()),
            *_other_suite(header, suite),
            *(finding for finding in checks.check(suite, thorough=False) if finding.severity == "error"),
            *_no_merge_base(started),
            *(finding for path in merge_base if candidate for finding in same_file(path, candidate)),
        ],
    )
    return Judged(
        verdict,
        before,
        after,
        started,
        header,
        suite=suite,
        commands=commands,
        find_place=lambda: _place(workspace, verdict.candidate),
        private=private,
    )


def _place(workspace: Workspace, system: str) -> Place | None:
    """The line of the config that the change touched, for annotations."""
    return changed_line(workspace.path, workspace.base_ref, workspace.tables(system)) if workspace.base_ref else None


def _of_suite(results: Sequence[Result], suite: Suite, path: Path) -> None:
    """Refuse a file of results that were not measured on the suite as it stands here.

    Raises:
        NotComparable: says which query set, and what differs.
    """
    for result in results:
        query_set = suite.query_sets.get(result.query_set)
        if query_set is None:
            differing = ["the query set"]
        else:
            pairs = {
                "role": (result.role, query_set.role),
                "corpus": (result.corpus_digest, suite.corpora[query_set.corpus].digest),
                "queries": (result.query_set_digest, query_set.digest),
                "judgements": (result.labels_digest, suite.labels[query_set.name].digest),
                "depth, relevance level or drop_self": (result.protocol.digest, suite.protocol.digest),
            }
            differing = [what for what, (theirs, ours) in pairs.items() if theirs != ours]
        if differing:
            raise NotComparable(
                f'{path} holds results on "{result.query_set}" that were not measured on suite "{suite.name}" as it is '
                f"now (other: {', '.join(differing)}). Make the file anew: bench run --gated --out DIR"
            )


def _accepted_file(workspace: Workspace, suite: Suite, given: Path | None) -> tuple[Path, bytes | None, list[Finding]]:
    """Where the baseline is, its text where that is another commit's, and what is to be said of it."""
    path = workspace.baseline_path(suite, str(given) if given else None)
    branch = next((os.environ[name] for name in TARGET_BRANCH if os.environ.get(name)), None)
    if workspace.commit is None:
        return path, None, _from_head(branch)
    accepted = git.read(workspace.commit, path)
    if accepted is None:
        raise BaselineError(
            f"{workspace.base_ref} has no accepted baseline at {path}; one that only this change brings judges "
            "nothing. Merge the baseline first, in a change of its own that people review."
        )
    findings = list(workspace.notes)
    if branch and workspace.commit == git.resolve("HEAD", workspace.base):
        sentence = (
            f"{workspace.base_ref} is the commit that is checked out, so the change is judged by its own baseline and "
            f"rules. Name the target branch: --base-ref origin/{branch}"
        )
        findings.append(Finding("warning", "baseline-from-head", "baseline", sentence))
    here = path.read_bytes() if path.is_file() else None
    if here != accepted:
        what = "edits" if here is not None else "removes"
        sentence = f"This change {what} the accepted baseline {path}; judged against the one of {workspace.base_ref}."
        findings.append(Finding("warning", "baseline-changed", str(path), sentence))
    return path, accepted, findings


def _from_head(branch: str | None) -> list[Finding]:
    if branch is None:
        return []
    sentence = (
        "Baseline and rules are taken from the change itself, which may have edited them. "
        f"Take them from the target branch: --base-ref origin/{branch}"
    )
    return [Finding("warning", "baseline-from-head", "baseline", sentence)]


def _from_options(stated: Policy, policy: Policy) -> list[Finding]:
    if policy == stated:
        return []
    sentence = "The command line changes alpha, margins, measures or on_inconclusive; judged by these, not by [gate]."
    return [Finding("warning", "policy-options", "command line", sentence)]


def _from_a_file(path: Path) -> list[Finding]:
    sentence = f"The candidate's numbers were read from {path}; whoever wrote that file answers for them."
    return [Finding("info", "candidate-file", "candidate", sentence)]


def _other_system(results: Sequence[Result], name: str, who: str) -> list[Finding]:
    others = sorted({result.system for result in results if not result.variant} - {name})
    if not others:
        return []
    sentence = f'The results of the {who} are of system {", ".join(others)}; judged is "{name}".'
    return [Finding("warning", "other-system", who, sentence)]


def _other_suite(header: Mapping[str, Any], suite: Suite) -> list[Finding]:
    then = (header.get("suite"), header.get("suite_version"))
    if then == (suite.name, suite.version):
        return []
    sentence = (
        f"The baseline was accepted on suite {then[0]} version {then[1]}, and this is {suite.name} version "
        f"{suite.version}: the same corpus, queries and judgements under another name."
    )
    return [Finding("warning", "suite-version", "baseline", sentence)]


def _accepted(header: Mapping[str, Any]) -> list[Finding]:
    at = f" at commit {str(header['commit'])[:12]}" if header.get("commit") else ""
    sentence = (
        f"Baseline {header.get('system')}, accepted {str(header.get('accepted'))[:10]}{at}: {header.get('reason')}"
    )
    found = [Finding("info", "baseline", "baseline", sentence)]
    if header.get("outcome") == "not compared":
        sentence = "The baseline was accepted without a comparison with the one before it: the suite had changed."
        found.append(Finding("info", "accepted-uncompared", "baseline", sentence))
    if header.get("outcome") in ("fail", "inconclusive"):
        sentence = f"The baseline was accepted although its own verdict was {header['outcome']}: {header.get('reason')}"
        found.append(Finding("warning", "accepted-worse", "baseline", sentence))
    return found


def _no_merge_base(results: Sequence[Result]) -> list[Finding]:
    if results:
        return []
    sentence = (
        "No results of the merge base were given, so the verdict is on all changes since the baseline together, not on "
        "this one alone (--merge-base-result F)."
    )
    return [Finding("info", "merge-base-absent", "merge base", sentence)]


# --- accepting -------------------------------------------------------------------------------------


def succession(
    workspace: Workspace, suite: Suite, name: str, policy: Policy, path: Path, results: Sequence[Result]
) -> tuple[str | None, str]:
    """The outcome of results against the baseline that they would replace, and why there is none.

    Rules for a dimension or precision that the old baseline lacks are left out: they have nothing to compare with.

    Raises:
        BaselineError: the file there is damaged.
        Missing: a ceiling on time, and nothing was timed.
    """
    if not path.exists():
        return None, ""
    _, before = read_baseline(path)
    held = {result.variant for result in before}
    rules = tuple(rule for rule in policy.rules if rule.variant in held or rule.kind != "margin")
    kept = [result for result in results if result.variant in held or result.variant in {r.variant for r in rules}]
    try:
        beside = measured_beside(workspace, suite, name, policy)
        ceilings = _ceilings(policy, before, results, beside)
        return judge(before, kept, replace(policy, rules=rules), ceilings=ceilings).outcome, ""
    except NotComparable as error:
        # A changed suite is the very reason to accept anew; that nothing was compared is kept with the baseline.
        return None, str(error)


# --- ceilings --------------------------------------------------------------------------------------

Ratio = tuple[float | None, float | None, float | None, int]
"""What a ceiling is held against: ratio, its one-sided bounds, lower and upper, and how many queries were timed."""


def measured_beside(workspace: Workspace, suite: Suite, name: str, policy: Policy) -> dict[str, Ratio]:
    """Ceiling → what was measured beside the candidate here, for ceilings that name another system.

    Raises:
        Missing: the two were never timed together as they are now, or the other was not evaluated.
    """
    found: dict[str, Ratio] = {}
    for ceiling in policy.ceilings:
        if ceiling.what == "latency_ms_p95":
            found[ceiling.name] = _timed(workspace, suite, name, ceiling, policy.alpha)
        elif ceiling.of not in ("", "baseline"):
            ratio = _size_ratio(workspace.stored(suite, name), workspace.stored(suite, ceiling.of))
            found[ceiling.name] = (ratio, None, None, 0)
    return found


def _ceilings(
    policy: Policy, baseline: Sequence[Result], candidate: Sequence[Result], beside: Mapping[str, Ratio]
) -> list[Check]:
    """The checks of a policy's ceilings."""
    found = []
    for ceiling in policy.ceilings:
        if ceiling.name in beside:
            ratio, lower, upper, n = beside[ceiling.name]
            timed = ceiling.what == "latency_ms_p95"
            found.append(latency_check(ceiling, ratio, lower, upper, n=n) if timed else size_check(ceiling, ratio))
        elif ceiling.of == "baseline":
            found.append(size_check(ceiling, _size_ratio(candidate, baseline)))
        elif not ceiling.of:
            sizes = list(_sizes(candidate).values())
            found.append(size_check(ceiling, None if None in sizes else float(sum(size or 0 for size in sizes))))
    return found


def _read_beside(path: Path) -> dict[str, Ratio]:
    """What a file of results says was measured beside the candidate; the policy's own numbers are not in it."""
    document = read_json(path)
    held = document.get("measured", {}) if isinstance(document, dict) else {}
    found: dict[str, Ratio] = {}
    for name, row in held.items() if isinstance(held, dict) else ():
        numbers = [row.get(key) if isinstance(row, dict) else None for key in ("ratio", "lower", "upper")]
        if any(number is not None and not _is_number(number) for number in numbers):
            raise BaselineError(f'{path}: measured["{name}"] holds something that is no number; run bench run --gated.')
        ratio, lower, upper = (None if number is None else float(number) for number in numbers)
        found[str(name)] = (ratio, lower, upper, int(row.get("n") or 0))
    return found


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _timed(workspace: Workspace, suite: Suite, name: str, ceiling: Ceiling, alpha: float) -> Ratio:
    """The candidate's p95 over that of the ceiling's system, both timed in one process."""
    import numpy as np

    from bench.evaluation.evaluate import Missing
    from bench.evaluation.latency import stored_latency, timed_query_set
    from bench.stats import percentile_ratio

    evaluator = workspace.evaluator(suite, [name, ceiling.of], make=False)
    times = stored_latency(evaluator, name, ceiling.of, timed_query_set(evaluator))
    if times is None:
        raise Missing(
            f'The gate has a ceiling for {ceiling.name}, and "{name}" and "{ceiling.of}" were not timed together as '
            "they are now. Time them: bench run --gated"
        )
    ratio = percentile_ratio(*times, percentile=95, alpha=alpha, rng=np.random.default_rng(0))
    return ratio.ratio, ratio.low, ratio.high, len(times[0])


def _sizes(results: Sequence[Result]) -> dict[str, int | None]:
    """Bytes of a system's index of each corpus."""
    return {result.corpus_digest: result.index_bytes for result in results if not result.variant}


def _size_ratio(candidate: Sequence[Result], reference: Sequence[Result]) -> float | None:
    """The candidate's bytes over the reference's, on the corpora that both searched; None where a size is unknown."""
    ours, theirs = _sizes(candidate), _sizes(reference)
    pairs = [(ours[corpus], theirs[corpus]) for corpus in ours if corpus in theirs]
    if not pairs or any(not size for pair in pairs for size in pair):
        return None
    return sum(size or 0 for size, _ in pairs) / sum(size or 0 for _, size in pairs)
