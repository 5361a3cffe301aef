"""Runs and stored results, measured, compared and judged without a project: `bench measure`, `bench compare`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from numbers import Real
from pathlib import Path
from typing import Any

from bench.base.errors import BenchError, UsageError, excerpt
from bench.base.files import judgements as judgement_files
from bench.base.files.frames import is_frame, qrels_of, run_of
from bench.base.progress import Progress, no_progress
from bench.base.store import read_json
from bench.evaluation import measure as measuring
from bench.evaluation.measure import result
from bench.gate import calibration
from bench.gate.rules import changed
from bench.gate.verdict import judge, results_of, same_file
from bench.project.answers import Calibrated, Judged, Measured
from bench.project.workspace import DEFAULT_CONFIG, Workspace
from bench.records import EvalProtocol, Finding, Labels, Policy, Qrels, Result, Run, run_files
from bench.records.measures import parse_list

Rankings = Any
"""A run: a `Run`, a TREC file's path, a pandas frame, or query id → document id → score."""

Judgements = Any
"""Judgements: a TREC or BEIR file's path, a pandas frame, or query id → document id → grade."""


def read_run(run: Rankings, *, name: str | None = None) -> Run:
    """A run from any of these forms.

    Raises:
        RunError: a file that is no run.
        UsageError: another type.
    """
    if isinstance(run, Run):
        return run if name is None else run.renamed(name)
    if isinstance(run, str | Path):
        return run_files.read_run(Path(run), name=name)
    if is_frame(run):
        run = run_of(run)
    if isinstance(run, Mapping):
        return Run.of(run, name=name or "run")
    raise UsageError(f"A run is a {type(run).__name__}; expected a file, a frame, or query id → document id → score.")


def read_qrels(qrels: Judgements) -> Qrels:
    """Judgements from any of these forms.

    Raises:
        SuiteError: a file without judgements.
        UsageError: another type.
    """
    if isinstance(qrels, str | Path):
        return judgement_files.read_qrels(Path(qrels))
    if is_frame(qrels):
        return qrels_of(qrels)
    if isinstance(qrels, Mapping):
        for query_id, grades in qrels.items():
            if not isinstance(grades, Mapping):
                raise UsageError(f'Judgements of query "{query_id}" are {excerpt(repr(grades))}; expected id → grade.')
            for doc_id, grade in grades.items():
                if isinstance(grade, bool) or not isinstance(grade, Real) or not float(grade).is_integer():
                    raise UsageError(
                        f'The grade of query "{query_id}", document "{doc_id}" is {excerpt(repr(grade))}; expected a '
                        "whole number."
                    )
        return {str(q): {str(d): int(grade) for d, grade in grades.items()} for q, grades in qrels.items()}
    raise UsageError(
        f"Judgements are a {type(qrels).__name__}; expected a file, a frame, or query id → document id → grade."
    )


def measure(
    run: Rankings,
    qrels: Judgements,
    measures: str | Iterable[str] | None = None,
    *,
    depth: int | None = None,
    relevance_level: int = 1,
    per_query: bool = False,
    name: str | None = None,
) -> Measured:
    """The measures of one run against judgements.

    Args:
        run: rankings.
        qrels: graded judgements.
        measures: names, such as "ndcg@10"; recall@10, ndcg@10, mrr@10 and recall@100 where None.
        depth: ranks that count; all where None.
        relevance_level: the lowest grade that is relevant.
        per_query: put every query's numbers into the document.
        name: of the run; the file's own tag where None.

    Raises:
        RunError: no judged query is in the run, or no document of it is judged.
        MeasureError: an unknown measure.
    """
    names = parse_list([measures] if isinstance(measures, str) else measures)
    judgements = read_qrels(qrels)
    rankings = read_run(run, name=name)
    scores = measuring.measure(rankings, judgements, names, depth=depth, relevance_level=relevance_level)
    ignored = sum(query_id not in judgements for query_id in rankings.query_ids)
    return Measured(rankings.system, scores, ignored, per_query)


def _policy(config: str | None, *, runs: bool, **changes: Any) -> tuple[Policy, list[Finding]]:
    """The config's policy, else the default one, with changes; and a finding on rules that do not apply.

    `runs`: run files are judged, which are one held-out set without slices, sizes and costs.
    """
    policy = Workspace.open(config).config.gate.policy() if config else Policy()
    findings = []
    if runs:
        general = tuple(
            rule
            for rule in policy.rules
            if rule.role == "held-out" and rule.slice is None and not rule.variant and rule.query_set is None
        )
        unused = len(policy.rules) - len(general) + len(policy.ceilings)
        if config and unused:
            sentence = (
                f"{unused} rules and ceilings of {config} do not apply to run files: they are about other roles, query "
                "sets, slices, sizes or costs."
            )
            findings.append(Finding("warning", "rule-unused", "policy", sentence, unused))
        policy = replace(policy, rules=general or Policy().rules[:1], ceilings=())
    return changed(policy, **changes), findings


def _run_results(
    baseline: Rankings, candidate: Rankings, qrels: Judgements, policy: Policy
) -> tuple[list[Result], list[Result], dict[str, Qrels]]:
    """Two runs as results on one held-out set, and its judgements."""
    labels = Labels(read_qrels(qrels))
    name = Path(qrels).stem if isinstance(qrels, str | Path) else "queries"
    runs = [
        read_run(run, name=Path(run).name if isinstance(run, str | Path) else who)
        for run, who in ((baseline, "baseline"), (candidate, "candidate"))
    ]
    measures = tuple(dict.fromkeys(m for rule in policy.rules if rule.role == "held-out" for m in rule.measures))
    protocol = EvalProtocol(measures, depth=max(run.depth for run in runs))
    # Two run files of one comparison share the judgements; the digest of their queries does not exist.
    before, after = (
        replace(
            result(run, labels, protocol=protocol, recipe={"file": run.system}),
            query_set=name,
            query_set_digest=labels.digest,
        )
        for run in runs
    )
    return [before], [after], {name: labels.qrels}


def _results_named(name: str, config: str | None, suite: str | None) -> list[Result]:
    """Results from a JSON file (one result, a list of them, a baseline), or of a system of the config.

    Raises:
        UsageError: neither of them.
    """
    path = Path(name)
    if path.is_file():
        try:
            document = read_json(path)
        except BenchError as error:
            raise UsageError(f"{error} To compare TREC run files, give the judgements: --qrels Q.") from None
        return results_of(document, path)
    if path.is_dir() or path.suffix == ".json":
        state = "is a folder" if path.is_dir() else "does not exist"
        raise UsageError(f"{name} {state}; expected a file of results, or the name of a system.")
    if not config and not Path(DEFAULT_CONFIG).exists():
        raise UsageError(f"{name} is no file (and there is no {DEFAULT_CONFIG} here to have a system of that name).")
    workspace = Workspace.open(config)
    return workspace.stored(workspace.suite(suite), name)


def listed(results: Any) -> list[Result]:
    """Results as a list, from one of them or several.

    Raises:
        UsageError: anything else, such as a run.
    """
    as_list = list(results) if isinstance(results, Iterable) else [results]
    if not as_list or not all(isinstance(result, Result) for result in as_list):
        raise UsageError(f"Expected results or a file of them, found a {type(results).__name__}; runs need qrels=.")
    return as_list


def compare(
    baseline: Any,
    candidate: Any,
    *,
    qrels: Judgements | None = None,
    measures: Sequence[str] | str | None = None,
    margin: float | None = None,
    alpha: float | None = None,
    config: str | None = None,
    suite: str | None = None,
    commands: Sequence[str] = (),
) -> Judged:
    """Two results, or with judgements two runs, compared query by query; it informs, so its exit code is 0.

    Args:
        baseline: results (`Results`, a list, a file), or a system of the config; with judgements, a run.
        candidate: likewise.
        qrels: judgements, for runs.
        measures, margin, alpha: instead of the policy's.
        config: the config file whose rules and systems are meant; the default rules where None.
        suite: the suite of a system's results.
        commands: command lines that give the same answer, for the page.

    Raises:
        UsageError: nothing that can be compared.
        NotComparable: results of different tasks.
    """
    policy, findings = _policy(config, runs=qrels is not None, measures=measures, margin=margin, alpha=alpha)
    judgements: dict[str, Qrels] | None = None
    if qrels is not None:
        before, after, judgements = _run_results(baseline, candidate, qrels, policy)
    else:
        before, after = (
            _results_named(str(side), config, suite) if isinstance(side, str | Path) else listed(side)
            for side in (baseline, candidate)
        )
        names = {r.query_set for r in before} & {r.query_set for r in after}
        if not names:
            sides = [side if isinstance(side, str | Path) else side[0].system for side in (baseline, candidate)]
            raise UsageError(f"{sides[0]} and {sides[1]} share no query set; nothing to compare.")
        before, after = ([r for r in results if r.query_set in names] for results in (before, after))
    verdict = judge(before, after, policy, findings=findings)
    return Judged(verdict, before, after, qrels=judgements, commands=commands, informs=True)


def judged_runs(
    baseline: Rankings,
    candidate: Rankings,
    qrels: Judgements,
    *,
    config: str | None = None,
    commands: Sequence[str] = (),
    private: bool = False,
    **policy_changes: Any,
) -> Judged:
    """The verdict on two runs of any engine: one held-out set under the default rules, or the config's.

    Raises:
        RunError, SuiteError, NotComparable: runs or judgements that cannot be judged.
    """
    policy, findings = _policy(config, runs=True, **policy_changes)
    before, after, judgements = _run_results(baseline, candidate, qrels, policy)
    if isinstance(baseline, str | Path) and isinstance(candidate, str | Path):
        findings += same_file(Path(baseline), Path(candidate))
    verdict = judge(before, after, policy, findings=findings)
    return Judged(verdict, before, after, qrels=judgements, commands=commands, private=private)


def calibrate(
    judged: Judged, *, repetitions: int = 2_000, seed: int = 0, progress: Progress = no_progress
) -> Calibrated:
    """How often the gate that gave a verdict would block a harmless change, and notice a drop; ceilings are left out.

    Args:
        judged: from `judge`, `compare` or a project's `gate`.
        repetitions: draws of the queries.
        seed: of the draws.
        progress: called during the draws.
    """
    policy = replace(judged.verdict.policy, ceilings=())
    before, after = judged.baseline, judged.candidate
    return Calibrated(
        calibration.calibrate(before, after, policy, repetitions=repetitions, seed=seed, progress=progress)
    )
