"""What compare and gate share: policy, results from files, and how a verdict is told."""

from __future__ import annotations

import shlex
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.base.errors import BenchError, UsageError
from bench.cli.verbs._options import print_json

if TYPE_CHECKING:
    from bench.records import Finding, Policy, Qrels, Result, Suite, Verdict


def file_policy(options: Namespace) -> tuple[Policy, list[Finding]]:
    """The policy for run files and stored results (the config's where one is named), and what it leaves out."""
    from bench.records import Finding, Policy

    notes: list[Finding] = []
    if options.config:
        from bench.project.workspace import Workspace

        policy = Workspace.open(options.config).config.gate.policy()
    else:
        policy = Policy()
    if options.qrels or getattr(options, "baseline_run", None):
        # Run files are one held-out set; other rules have nothing to apply to.
        held_out = [
            rule
            for rule in policy.rules
            if rule.role == "held-out" and rule.slice is None and not rule.variant and rule.query_set is None
        ]
        idle = len(policy.rules) - len(held_out) + len(policy.ceilings)
        if options.config and idle:
            sentence = (
                f"{idle} rules and ceilings of {options.config} are about other roles, query sets, slices, sizes or "
                "costs, which run files do not tell; they are not looked at."
            )
            notes.append(Finding("warning", "rule-unused", "policy", sentence, idle))
        rules = tuple(held_out) or Policy().rules[:1]
        policy = Policy(rules, policy.alpha, policy.on_inconclusive, policy.system)
    return with_options(policy, options), notes


def with_options(policy: Policy, options: Namespace) -> Policy:
    """The policy with what the command line says instead.

    Raises:
        UsageError: a number out of range.
        MeasureError: an unknown measure.
    """
    from dataclasses import replace

    from bench.records.measures import parse_list

    if options.alpha is not None and not 0 < options.alpha < 0.5:
        raise UsageError(f"--alpha is {options.alpha:g}; expected a number between 0 and 0.5.")
    if options.margin is not None and not 0 < options.margin < 1:
        raise UsageError(f"--margin is {options.margin:g}; expected a number between 0 and 1.")
    measures = parse_list(options.measures) if options.measures else None
    rules = tuple(
        replace(
            rule,
            measures=measures or rule.measures,
            margin=options.margin if options.margin and rule.margin else rule.margin,
        )
        for rule in policy.rules
    )
    inconclusive = getattr(options, "on_inconclusive", None) or policy.on_inconclusive
    return replace(policy, rules=rules, alpha=options.alpha or policy.alpha, on_inconclusive=inconclusive)


def trec_results(
    options: Namespace, baseline: Path, candidate: Path, policy: Policy
) -> tuple[list[Result], list[Result], dict[str, Qrels]]:
    """Two run files as results on one held-out set, and its judgements."""
    from bench.base.files.judgements import read_qrels
    from bench.evaluation.measure import result
    from bench.records import EvalProtocol, Labels
    from bench.records.run_files import read_run

    labels = Labels(read_qrels(Path(options.qrels)))
    runs = [read_run(path, name=path.name) for path in (baseline, candidate)]
    measures = tuple(dict.fromkeys(m for rule in policy.rules if rule.role == "held-out" for m in rule.measures))
    protocol = EvalProtocol(measures, depth=max(run.depth for run in runs))
    results = []
    for run in runs:
        document = result(run, labels, protocol=protocol, recipe={"file": run.system})
        # Two files of one comparison: what they share is the judgements, not a digest of their queries.
        results.append(_as(document, query_set=Path(options.qrels).stem, query_set_digest=labels.digest))
    return [results[0]], [results[1]], {results[0].query_set: labels.qrels}


def _as(record: Any, **changes: Any) -> Any:
    from dataclasses import replace

    return replace(record, **changes)


def results_of_name(name: str, options: Namespace) -> list[Result]:
    """Results from a JSON file (one result, a list of them, a baseline), or of a system of the config."""
    from bench.base.store import read_json
    from bench.gate.verdict import results_of

    path = Path(name)
    if path.is_file():
        try:
            document = read_json(path)
        except BenchError as error:
            raise UsageError(f"{error} To compare TREC run files, give the judgements: --qrels Q.") from None
        return results_of(document, path)
    from bench.project.workspace import DEFAULT_CONFIG, Workspace

    if path.is_dir() or path.suffix == ".json":
        state = "is a folder" if path.is_dir() else "does not exist"
        raise UsageError(f"{name} {state}; expected a file of results, or the name of a system.")
    if not options.config and not Path(DEFAULT_CONFIG).exists():
        raise UsageError(f"{name} is no file (and there is no {DEFAULT_CONFIG} here to have a system of that name).")
    workspace = Workspace.open(options.config)
    return workspace.stored(workspace.suite(options.suite), name)


def _commands(options: Namespace, suite: Suite | None) -> list[str]:
    """The lines that come to the same verdict."""
    if hasattr(options, "candidate"):
        line, names = ["bench", "compare", options.baseline, options.candidate], ["qrels", "config", "suite"]
    else:
        names = ["config", "suite", "system", "baseline", "base_ref", "candidate_result"]
        line, names = ["bench", "gate"], [*names, "qrels", "baseline_run", "candidate_run"]
    for name in names:
        value = getattr(options, name, None)
        line += [f"--{name.replace('_', '-')}", str(value)] if value else []
    return [*(["bench run --gated"] if suite else []), shlex.join(line)]


def say_verdict(
    judged: Verdict,
    options: Namespace,
    judged_results: Sequence[Result],
    suite: Suite | None = None,
    *,
    qrels: Mapping[str, Qrels] | None = None,
    place: Any = None,
) -> None:
    """Print a verdict and write the forms asked for."""
    from bench.report.publish import Forms, publish

    forms = Forms.of(options)
    if forms != Forms():
        from bench.project.report import assemble

        material = assemble(
            suite,
            (),
            reference=judged.baseline,
            verdicts=(judged,),
            baselines=judged_results,
            alpha=judged.policy.alpha,
            title=f"{judged.candidate} against {judged.baseline}",
            private=getattr(options, "private", False),
            qrels=qrels,
            commands=_commands(options, suite),
        )
        publish(material, forms, place=place)
    if options.json:
        print_json(judged.to_json())
    else:
        from bench.report.forms import terminal

        terminal.verdict(judged)
