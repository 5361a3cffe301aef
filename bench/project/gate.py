"""From a workspace to a verdict: the candidate as stored, the baseline as the base branch has it, the merge base."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from bench.base import git
from bench.base.errors import BaselineError, NotComparable
from bench.base.store import read_json
from bench.gate.limits import latency_limit, size_limit
from bench.gate.verdict import judge, read_baseline, read_results, same_file
from bench.project.answers import Judged
from bench.project.workspace import Workspace
from bench.records import Ceiling, Finding, Limit, Policy, Result, Suite
from bench.report.forms.github import Place, changed_line
from bench.suites import checks

TARGET_BRANCH = ("GITHUB_BASE_REF", "CI_MERGE_REQUEST_TARGET_BRANCH_NAME")
"""Variables in which GitHub and GitLab name the target branch of a change."""


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
    """The verdict on a workspace's gated system, from stored results alone. Arguments as `bench.Project.gate`.

    Opened with a git ref, the workspace has that commit's rules and baseline. `changed` changes the config's policy.

    Raises:
        Missing: a result that is not stored.
        BaselineError, ConfigError, NotComparable: see `bench.gate.verdict.judge`.
        UsageError: git does not know the ref.
    """
    name = workspace.gated_system(system)
    path, text, findings = _accepted_file(workspace, suite, baseline)
    stated = workspace.config.gate.policy()
    policy = changed(stated)
    header, before = read_baseline(path, text)
    after = read_results(candidate) if candidate else workspace.gated(suite, name, policy)
    if candidate:
        _check_suite(after, suite, candidate)
    started = [result for path in merge_base for result in read_results(path)]
    ratios = _read_ratios(candidate) if candidate else measured_ratios(workspace, suite, name, policy)
    findings = [*_baseline_findings(header, suite), *findings, *_other_system(after, name, "candidate")]
    findings += _other_system(started, name, "merge base")
    findings += [finding for finding in checks.check(suite, thorough=False) if finding.severity == "error"]
    if policy != stated:
        sentence = (
            "The command line changes alpha, margins, measures or on_inconclusive; judged by these, not by [gate]."
        )
        findings.append(Finding("warning", "policy-options", "command line", sentence))
    if candidate:
        sentence = f"The candidate's numbers were read from {candidate}; they are as reliable as that file."
        findings.append(Finding("info", "candidate-file", "candidate", sentence))
        findings += [finding for path in merge_base for finding in same_file(path, candidate)]
    if not started:
        sentence = (
            "No results of the merge base were given, so the verdict is on all changes since the baseline together, "
            "not on this one alone (--merge-base-result F)."
        )
        findings.append(Finding("info", "merge-base-absent", "merge base", sentence))
    ceilings = _ceiling_limits(policy, before, after, ratios)
    verdict = judge(before, after, policy, merge_base=started, ceilings=ceilings, findings=findings)

    def place() -> Place | None:
        """The line of the config that the change touched, for annotations."""
        ref = workspace.base_ref
        return changed_line(workspace.path, ref, workspace.tables(verdict.candidate)) if ref else None

    return Judged(
        verdict, before, after, started, header, suite=suite, commands=commands, find_place=place, private=private
    )


def _check_suite(results: Sequence[Result], suite: Suite, path: Path) -> None:
    """Refuse a file of results that were not measured on the suite as it is now.

    Raises:
        NotComparable: names the query set and the difference.
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


def _accepted_file(workspace: Workspace, suite: Suite, file: Path | None) -> tuple[Path, bytes | None, list[Finding]]:
    """The baseline's path, its text where that is another commit's, and findings about it."""
    path = workspace.baseline_path(suite, str(file) if file else None)
    branch = next((os.environ[name] for name in TARGET_BRANCH if os.environ.get(name)), None)
    findings = list(workspace.notes)
    accepted, sentence = None, ""
    if workspace.commit is None:
        sentence = "Baseline and rules are taken from the change itself, which may have edited them. Take them from"
    else:
        accepted = git.read(workspace.commit, path)
        if accepted is None:
            raise BaselineError(
                f"{workspace.base_ref} has no accepted baseline at {path}, and a change cannot be judged by a baseline "
                "that it adds. Merge the baseline first, in a change of its own that people review."
            )
        if branch and workspace.commit == git.resolve("HEAD", workspace.base):
            sentence = (
                f"{workspace.base_ref} is the commit that is checked out, so the change is judged by its own baseline "
                "and rules. Name"
            )
    if branch and sentence:
        sentence += f" the target branch: --base-ref origin/{branch}"
        findings.append(Finding("warning", "baseline-from-head", "baseline", sentence))
    here = path.read_bytes() if path.is_file() else None
    if accepted is not None and here != accepted:
        verb = "edits" if here is not None else "removes"
        sentence = f"This change {verb} the accepted baseline {path}; judged against the one of {workspace.base_ref}."
        findings.append(Finding("warning", "baseline-changed", str(path), sentence))
    return path, accepted, findings


def _other_system(results: Sequence[Result], name: str, which: str) -> list[Finding]:
    others = sorted({result.system for result in results if not result.variant} - {name})
    sentence = f'The results of the {which} are of system {", ".join(others)}; judged is "{name}".'
    return [Finding("warning", "other-system", which, sentence)] if others else []


def _baseline_findings(header: Mapping[str, Any], suite: Suite) -> Iterator[Finding]:
    at = f" at commit {str(header['commit'])[:12]}" if header.get("commit") else ""
    when, outcome, reason = str(header.get("accepted"))[:10], header.get("outcome"), header.get("reason")
    yield Finding("info", "baseline", "baseline", f"Baseline {header.get('system')}, accepted {when}{at}: {reason}")
    if outcome == "not compared":
        sentence = "The baseline was accepted without a comparison with the one before it: the suite had changed."
        yield Finding("info", "accepted-uncompared", "baseline", sentence)
    if outcome in ("fail", "inconclusive"):
        sentence = f"The baseline was accepted although its own verdict was {outcome}: {reason}"
        yield Finding("warning", "accepted-worse", "baseline", sentence)
    name, version = header.get("suite"), header.get("suite_version")
    if (name, version) != (suite.name, suite.version):
        sentence = (
            f"The baseline was accepted on suite {name} version {version}, and this is {suite.name} version "
            f"{suite.version}: the same corpus, queries and judgements under another name."
        )
        yield Finding("warning", "suite-version", "baseline", sentence)


def succession(
    workspace: Workspace, suite: Suite, name: str, policy: Policy, path: Path, results: Sequence[Result]
) -> tuple[str | None, str]:
    """The outcome of results against the baseline that they would replace; or None, and why there is none.

    Rules for a dimension or precision that the old baseline lacks are left out: they have nothing to compare with.

    Raises:
        BaselineError: the file there is damaged.
        Missing: a ceiling on time, and no times.
    """
    if not path.exists():
        return None, ""
    _, before = read_baseline(path)
    variants = {result.variant for result in before}
    rules = tuple(rule for rule in policy.rules if rule.variant in variants or rule.kind != "margin")
    variants |= {rule.variant for rule in rules}
    after = [result for result in results if result.variant in variants]
    try:
        ratios = measured_ratios(workspace, suite, name, policy)
        ceilings = _ceiling_limits(policy, before, results, ratios)
        return judge(before, after, replace(policy, rules=rules), ceilings=ceilings).outcome, ""
    except NotComparable as error:
        # A changed suite is the usual reason to accept anew; the baseline records that nothing was compared.
        return None, str(error)


# --- ceilings --------------------------------------------------------------------------------------


class Ratio(NamedTuple):
    """The candidate's cost over that of a ceiling's system, one-sided bounds, and the number of timed queries."""

    ratio: float | None
    lower: float | None = None
    upper: float | None = None
    n: int = 0


def measured_ratios(workspace: Workspace, suite: Suite, name: str, policy: Policy) -> dict[str, Ratio]:
    """Ceiling → the ratio measured here, for ceilings that name another system.

    Raises:
        Missing: the two were never timed together as they are now, or the other was not evaluated.
    """
    ratios: dict[str, Ratio] = {}
    for ceiling in policy.ceilings:
        if ceiling.what == "latency_ms_p95":
            ratios[ceiling.name] = _time_ratio(workspace, suite, name, ceiling, policy.alpha)
        elif ceiling.of not in ("", "baseline"):
            ratio = _size_ratio(workspace.stored(suite, name), workspace.stored(suite, ceiling.of))
            ratios[ceiling.name] = Ratio(ratio)
    return ratios


def _ceiling_limits(
    policy: Policy, baseline: Sequence[Result], candidate: Sequence[Result], ratios: Mapping[str, Ratio]
) -> list[Limit]:
    results = []
    for ceiling in policy.ceilings:
        if ceiling.name in ratios:
            ratio, lower, upper, n = ratios[ceiling.name]
            timed = ceiling.what == "latency_ms_p95"
            results.append(latency_limit(ceiling, ratio, lower, upper, n=n) if timed else size_limit(ceiling, ratio))
        elif ceiling.of == "baseline":
            results.append(size_limit(ceiling, _size_ratio(candidate, baseline)))
        elif not ceiling.of:
            sizes = list(_sizes(candidate).values())
            results.append(size_limit(ceiling, None if None in sizes else float(sum(size or 0 for size in sizes))))
    return results


def _read_ratios(path: Path) -> dict[str, Ratio]:
    """The ratios in a file of results."""
    document = read_json(path)
    rows = document.get("measured", {}) if isinstance(document, dict) else {}
    ratios: dict[str, Ratio] = {}
    for name, row in rows.items() if isinstance(rows, dict) else ():
        row = row if isinstance(row, dict) else {}
        numbers = [row.get(key) for key in ("ratio", "lower", "upper")]
        for value in numbers:
            if value is not None and (
                not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value)
            ):
                raise BaselineError(
                    f'{path}: measured["{name}"] holds something that is no number; run bench run --gated.'
                )
        ratio, lower, upper = (None if value is None else float(value) for value in numbers)
        ratios[str(name)] = Ratio(ratio, lower, upper, int(row.get("n") or 0))
    return ratios


def _time_ratio(workspace: Workspace, suite: Suite, name: str, ceiling: Ceiling, alpha: float) -> Ratio:
    """The candidate's 95th percentile over that of the ceiling's system, both timed in one process."""
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
    return Ratio(ratio.ratio, ratio.low, ratio.high, len(times[0]))


def _sizes(results: Sequence[Result]) -> dict[str, int | None]:
    """Corpus digest → bytes of a system's index."""
    return {result.corpus_digest: result.index_bytes for result in results if not result.variant}


def _size_ratio(candidate: Sequence[Result], reference: Sequence[Result]) -> float | None:
    """The candidate's bytes over the reference's, on the corpora that both searched; None where a size is unknown."""
    ours, theirs = _sizes(candidate), _sizes(reference)
    pairs = [(ours[corpus], theirs[corpus]) for corpus in ours if corpus in theirs]
    if not pairs or any(not size for pair in pairs for size in pair):
        return None
    return sum(size or 0 for size, _ in pairs) / sum(size or 0 for _, size in pairs)
