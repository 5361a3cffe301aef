"""What each verb does: take options, call the work, print, return an exit code.

Output for people goes to standard error; `--json` prints one JSON document on standard output and nothing else.
Every verb imports what it needs when it runs, so that judging run files loads no model library.
"""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import __version__
from bench.errors import BenchError, UsageError, did_you_mean

if TYPE_CHECKING:
    from bench.evaluate import Evaluator
    from bench.latency import Latency
    from bench.records import Finding, Policy, Qrels, Result, Suite, Verdict
    from bench.workspace import Workspace

__all__ = [
    "baseline",
    "check",
    "comment",
    "compare",
    "demo",
    "doctor",
    "export",
    "finetune",
    "gate",
    "import_",
    "init",
    "measure",
    "mine",
    "perturb",
    "print_json",
    "report",
    "run",
]


def print_json(document: Any) -> None:
    """One document on standard output, and nothing else."""
    from bench.store import json_text

    sys.stdout.write(json_text(document) + "\n")
    sys.stdout.flush()


def demo(options: Namespace) -> int:
    """The whole loop on the bundled suite."""
    from bench.demo import demo

    return demo(Path(options.out))


def init(options: Namespace) -> int:
    """What a project needs to begin with; says what was written, what was there, and what to do next."""
    from bench import terminal
    from bench.scaffold import scaffold

    source = Path(options.from_) if options.from_ is not None else None
    made = scaffold(Path(options.folder), name=options.name, source=source, words=options.words)
    if options.json:
        print_json({"format": 1, **made.to_json()})
        return 0
    for path in made.written:
        terminal.say(f"wrote {path}", "green")
    for path in made.kept:
        terminal.say(f"kept  {path}, as it was")
    terminal.say(f"{made.n_documents} documents from {made.n_files} files." if source else "No documents yet.")
    for number, step in enumerate(made.next_steps, 1):
        terminal.say(f"{number}. {step}")
    return 0


def check(options: Namespace) -> int:
    """Findings of a suite; 2 where one is an error."""
    from bench import checks, suite, terminal
    from bench.distribution import distribution_findings, embedding_findings
    from bench.errors import SuiteError
    from bench.records import Finding
    from bench.store import Store

    try:
        with terminal.progress(quiet=options.json) as told:
            loaded = suite.load(suite.find(options.suite), progress=told)
            found = checks.check(loaded, progress=told)
        if options.model:
            found += checks.contamination(loaded, options.model)
        found += [*distribution_findings(loaded), *embedding_findings(loaded, Store(options.store))]
        found.sort(key=lambda finding: ("error", "warning", "info").index(finding.severity))
    except SuiteError as error:
        loaded = None
        found = [Finding("error", "unreadable", options.suite, line) for line in str(error).split("\n")]
    failed = any(finding.severity == "error" for finding in found)
    if options.json:
        print_json({"format": 1, "findings": [finding.to_json() for finding in found]})
        return 2 if failed else 0
    if loaded is not None:
        rows = [
            [q.name, q.role, q.corpus, str(len(q.ids)), str(len(loaded.corpora[q.corpus].ids)), q.digest[:12]]
            for q in loaded.query_sets.values()
        ]
        columns = ["query set", "role", "corpus", "queries", "documents", "digest"]
        terminal.table(columns, rows, title=f"{loaded.name} {loaded.version} ({loaded.digest[:12]})", left=3)
    terminal.findings(found)
    counts = {s: sum(f.severity == s for f in found) for s in ("error", "warning", "info")}
    terminal.say(", ".join(f"{n} {s}{'s' if n != 1 and s != 'info' else ''}" for s, n in counts.items()) + ".")
    return 2 if failed else 0


def import_(options: Namespace) -> int:
    """A suite from data in another format."""
    from bench import terminal
    from bench.importing import import_collection, open_source
    from bench.splits import SplitPlan

    plan = None
    by: Any = options.split or ("group" if options.group_by else None)
    if by is None and (options.share_documents or options.held_out_from or options.dev_from):
        raise UsageError(
            "bench import: --share-documents, --held-out-from and --dev-from are about a new division; add --split."
        )
    if by is not None:
        plan = SplitPlan(
            by,
            held_out=options.held_out,
            dev=options.dev,
            seed=options.seed,
            group_by=options.group_by,
            share_documents=options.share_documents,
            dev_from=options.dev_from,
            held_out_from=options.held_out_from,
        )
    collection = open_source(options.kind, options.source, _pairs("--set", options.set))
    with terminal.progress(quiet=options.json) as told:
        made = import_collection(
            collection,
            Path(options.out),
            name=options.name,
            roles=_pairs("--role", options.role),
            split=plan,
            force=options.force,
            progress=told,
        )
    if options.json:
        print_json(made.to_json())
        return 0
    rows = [[q.name, q.role, str(q.n_queries), str(q.n_judgements)] for q in made.query_sets]
    title = f"{made.name}: {made.n_docs} documents"
    terminal.table(["query set", "role", "queries", "judgements"], rows, title=title, left=2)
    for sentence in made.sentences():
        terminal.say(sentence, "yellow")
    terminal.say(f"Suite: {made.folder}. Next: bench check {options.out}")
    return 0


def _pairs(option: str, given: Sequence[str]) -> dict[str, str]:
    for text in given:
        if "=" not in text:
            raise UsageError(f'bench import: {option} "{text}"; expected NAME=VALUE.')
    return dict(text.split("=", 1) for text in given)


def perturb(options: Namespace) -> int:
    """A copy of a suite with altered queries beside the others."""
    from bench import suite, terminal
    from bench.perturb import parse_transformations, perturb_suite

    made = perturb_suite(
        suite.find(options.suite),
        Path(options.out),
        query_set=options.query_set,
        transformations=parse_transformations(options.with_),
        seed=options.seed,
    )
    if options.json:
        print_json({"format": 1, "suite": options.out, "query_sets": [one.to_json() for one in made]})
        return 0
    rows = [[one.query_set, one.transformation, str(one.n_queries), str(one.unchanged)] for one in made]
    terminal.table(["query set", "transformation", "queries", "unchanged"], rows, title=options.out, left=2)
    terminal.say(f"Look at some of them, then: bench check {options.out}")
    return 0


def run(options: Namespace) -> int:
    """Suites × systems, evaluated."""
    from bench import checks, systems, terminal
    from bench.store import write_json
    from bench.workspace import Workspace

    if options.base_ref and not options.gated:
        raise UsageError("bench run: --base-ref says what is gated; it goes with --gated.")
    workspace = Workspace.open(options.config, base_ref=options.base_ref)
    names = _flat(options.system)
    found, doubts, timed = [], [], []
    policy = workspace.config.gate.policy()
    gated, beside = "", []
    if options.gated:
        if names and len(names) > 1:
            raise UsageError(f"bench run: --gated is about one system; found {', '.join(names)}.")
        gated = workspace.gated_system(names[0] if names else None)
        beside = [of for of in dict.fromkeys(c.of for c in policy.ceilings) if of not in ("", "baseline", gated)]
        names = [gated, *beside]
    several = options.suite is None and len(workspace.config.suites) > 1
    with terminal.progress(quiet=options.json) as told:
        for loaded in workspace.suites(options.suite):
            evaluator = workspace.evaluator(loaded, names, progress=told)
            if options.gated:
                judged = workspace.gated(loaded, gated, policy, evaluator)
                found += judged + evaluator.results(beside)
                timed += _timed_ceilings(evaluator, gated, policy)
                if options.out:
                    folder = Path(options.out) / (loaded.name if several else "")
                    write_json(folder / "gated.json", _gated_document(workspace, loaded, gated, policy, judged))
            else:
                # Only what was asked for: parts come along, but are not results unless named.
                selected = systems.selected(evaluator.systems, names)
                found += evaluator.results(selected)
                if options.latency:
                    timed.append(_timed(evaluator, selected, quiet=options.json))
            doubts += [finding for finding in checks.check(loaded, thorough=False) if finding.severity == "error"]
    if options.out and not options.gated:
        for system in dict.fromkeys(result.system for result in found):
            mine = {"format": 1, "results": [r.to_json() for r in found if r.system == system]}
            write_json(Path(options.out) / f"{system.replace('/', '_')}.json", mine)
    rows = [_result_row(result) for result in found]
    document = {"format": 1, "results": rows, "findings": [finding.to_json() for finding in doubts]}
    if timed or options.latency:
        document["latency"] = [_latency_row(record) for record in timed]
    if options.json_out:
        write_json(Path(options.json_out), document)
    if options.json:
        print_json(document)
    else:
        terminal.results(found)
        for record in timed:
            terminal.latency(record)
        if doubts:
            terminal.say("The suite has errors; do not rely on these numbers (bench check):", "bold red")
            terminal.findings(doubts)
    return 0


def _timed(evaluator: Evaluator, names: Sequence[str], *, quiet: bool) -> Latency:
    from bench import terminal
    from bench.latency import measure_latency, timed_query_set, untimed

    query_set = timed_query_set(evaluator)
    without = untimed(evaluator, names, query_set)
    kept = [name for name in names if name not in without]
    for name, reason in without.items() if kept and not quiet else ():
        terminal.say(f'System "{name}" has no latency on "{query_set}": {reason}.', "yellow")
    return measure_latency(evaluator, kept or names, query_set=query_set)


def _gated_document(
    workspace: Workspace, suite: Suite, gated: str, policy: Policy, results: Sequence[Result]
) -> dict[str, Any]:
    """What a gate elsewhere needs of this run: `--candidate-result` and `--merge-base-result` read it."""
    from bench.gating import measured_beside

    measured = {
        name: dict(zip(("ratio", "lower", "upper", "n"), ratio, strict=True))
        for name, ratio in measured_beside(workspace, suite, gated, policy).items()
    }
    return {"format": 1, "results": [result.to_json() for result in results], "measured": measured}


def _timed_ceilings(evaluator: Evaluator, gated: str, policy: Policy) -> list[Latency]:
    """The gated system beside those that ceilings on time name; nothing where such times are stored."""
    from bench.latency import measure_latency, stored_latency, timed_query_set

    beside = list(dict.fromkeys(c.of for c in policy.ceilings if c.what == "latency_ms_p95"))
    if not beside:
        return []
    query_set = timed_query_set(evaluator)
    if all(stored_latency(evaluator, gated, of, query_set) for of in beside):
        return []
    return [measure_latency(evaluator, [gated, *beside], query_set=query_set)]


def _latency_row(record: Latency) -> dict[str, Any]:
    """The record's document, with each system's ratio to the first."""
    document = record.to_json()
    for row, ratio in zip(document["systems"], record.ratios(), strict=True):
        row["p95_ratio"] = {"to": record.systems[0].system, **asdict(ratio)}
    return document


def _result_row(result: Result) -> dict[str, Any]:
    no_answer = {} if result.no_answer is None else {"no_answer": asdict(result.no_answer)}
    return {
        "system": result.system,
        "suite": result.suite,
        "query_set": result.query_set,
        "role": result.role,
        "n_queries": len(result.scores.query_ids),
        "measures": result.scores.means(),
        "seconds": dict(result.seconds),
        "index_bytes": result.index_bytes,
        "judged@10": float(result.scores.judged.mean()),
        "system_digest": result.system_digest,
        "suite_digest": result.suite_digest,
    } | no_answer


def measure(options: Namespace) -> int:
    """One TREC run against judgements."""
    from bench import terminal
    from bench.measure import measure, parse_list
    from bench.sources.trec import read_qrels, read_run

    measures = parse_list(options.measures)
    qrels = read_qrels(Path(options.qrels))
    run = read_run(Path(options.run))
    scores = measure(run, qrels, measures, depth=options.depth, relevance_level=options.relevance_level)
    ignored = sum(query_id not in qrels for query_id in run.query_ids)
    if options.json:
        document: dict[str, Any] = {
            "format": 1,
            "n_queries": len(scores.query_ids),
            "measures": scores.means(),
            "missing_queries": len(scores.missing),
            "ignored_queries": ignored,
            "queries_without_positives": scores.left_out,
            "judged@10": float(scores.judged.mean()),
            "tie_spread": dict(scores.tie_spread),
        }
        if options.per_query:
            document["per_query"] = {
                query_id: dict(zip(scores.measures, row, strict=True))
                for query_id, row in zip(scores.query_ids, scores.values.tolist(), strict=True)
            }
        print_json(document)
        return 0
    rows = [[name, f"{value:.4f}"] for name, value in scores.means().items()]
    if options.per_query:
        per_query = [[q, *(f"{v:.4f}" for v in row)] for q, row in zip(scores.query_ids, scores.values, strict=True)]
        terminal.table(["query", *scores.measures], per_query)
    terminal.table(["measure", "mean"], rows, title=f"{run.system}, {len(scores.query_ids)} queries")
    for count, text in (
        (len(scores.missing), "judged queries are missing from the run and count 0"),
        (ignored, "queries of the run have no judgement and are ignored"),
        (scores.left_out, "judged queries have no relevant document and are left out"),
    ):
        if count:
            terminal.say(f"{count} {text}.", "yellow")
    return 0


def compare(options: Namespace) -> int:
    """Two results or runs; informs, so never fails."""
    from bench.gate import judge

    policy, notes = _file_policy(options)
    qrels = None
    if options.qrels:
        before, after, qrels = _trec_results(options, Path(options.baseline), Path(options.candidate), policy)
    else:
        before, after = _results_of(options.baseline, options), _results_of(options.candidate, options)
        names = {result.query_set for result in before} & {result.query_set for result in after}
        if not names:
            raise UsageError(f"{options.baseline} and {options.candidate} share no query set; nothing to compare.")
        before = [result for result in before if result.query_set in names]
        after = [result for result in after if result.query_set in names]
    _say_verdict(judge(before, after, policy, findings=notes), options, [*before, *after], qrels=qrels)
    return 0


def gate(options: Namespace) -> int:
    """The verdict; its exit code."""
    from dataclasses import replace

    from bench.gate import judge, same_file

    if options.after:
        _raise_again(Path(options.after))
    if options.qrels or options.baseline_run or options.candidate_run:
        if not (options.qrels and options.baseline_run and options.candidate_run):
            raise UsageError("bench gate: --qrels, --baseline-run and --candidate-run go together.")
        for option in ("system", "suite", "baseline", "base_ref", "merge_base_result", "candidate_result"):
            if getattr(options, option):
                flag = option.replace("_", "-")
                raise UsageError(f"bench gate: --{flag} belongs to stored results, not to run files; leave it out.")
        policy, notes = _file_policy(options)
        before, after, qrels = _trec_results(options, Path(options.baseline_run), Path(options.candidate_run), policy)
        if options.calibrate:
            return _calibrated(before, after, policy, options)
        notes += same_file(Path(options.baseline_run), Path(options.candidate_run))
        verdict = judge(before, after, policy, findings=notes)
        _say_verdict(verdict, options, [*before, *after], qrels=qrels)
        return verdict.exit_code
    from bench.gating import judged
    from bench.workspace import Workspace

    workspace = Workspace.open(options.config, base_ref=options.base_ref)
    found = judged(
        workspace,
        workspace.suite(options.suite),
        system=options.system,
        baseline=Path(options.baseline) if options.baseline else None,
        merge_base=[Path(path) for path in options.merge_base_result or ()],
        candidate=Path(options.candidate_result) if options.candidate_result else None,
        # What is drawn anew is rankings, not costs.
        changed=lambda policy: _with_options(replace(policy, ceilings=()) if options.calibrate else policy, options),
    )
    if options.calibrate:
        return _calibrated(found.baseline, found.candidate, found.verdict.policy, options)
    everything = [*found.baseline, *found.merge_base, *found.candidate]
    place = None
    if options.github and options.base_ref:
        from bench.github import touched

        place = touched(workspace.path, options.base_ref, workspace.tables(found.verdict.candidate))
    _say_verdict(found.verdict, options, everything, found.suite, place=place)
    return found.verdict.exit_code


def _raise_again(path: Path) -> None:
    """Raise what a `bench run` before this failed with; nothing where it did not fail.

    Raises:
        BenchError: the same sentence, code and exit code.
        UsageError: no document of such a run.
    """
    from bench.store import read_json

    try:
        document = read_json(path)
    except BenchError as error:
        raise UsageError(f"{error} Expected what bench run --json-out wrote; was the run killed?") from None
    if not isinstance(document, dict) or not {"error", "results"} & document.keys():
        raise UsageError(f"{path} is not the JSON of a bench run; expected what bench run --json-out wrote.")
    failed = document.get("error")
    if failed is None and not document.get("results"):
        raise UsageError(f"{path} holds no result: the run before this measured nothing. Name a system: --system N")
    if failed is not None:
        failed = failed if isinstance(failed, dict) else {"message": failed}
        again = BenchError(f"bench run failed before: {failed.get('message')}")
        again.code, again.exit_code = str(failed.get("code")), 4 if document.get("exit_code") == 4 else 2
        raise again


def comment(options: Namespace) -> int:
    """One comment on a pull request, written or changed; best effort, so that it never hides a verdict."""
    import os

    from bench import github, terminal

    path = Path(options.file)
    if not path.is_file():
        raise UsageError(f"No comment at {path}. Write one with: bench gate --comment {path}")
    number = options.pr or github.pull_request()
    repository = options.repo or os.environ.get("GITHUB_REPOSITORY", "")
    token = os.environ.get("GITHUB_TOKEN") or os.environ.get("GH_TOKEN") or ""
    if not number:
        terminal.say("This job runs for no pull request; nothing to comment on (or say which: --pr N).", "yellow")
        return 0
    if not token:
        terminal.say("GITHUB_TOKEN is not set; no comment is written. The verdict stands in the job summary.", "yellow")
        return 0
    try:
        body = path.read_text(encoding="utf-8")
        where = github.post(body, repository=repository, number=number, token=token, author=options.author)
    except OSError as error:
        terminal.say(f"No comment was written: {error}. The verdict stands in the job summary.", "yellow")
        return 0
    terminal.say(f"Comment: {where}")
    return 0


def _calibrated(before: Sequence[Result], after: Sequence[Result], policy: Policy, options: Namespace) -> int:
    """Error rates of the gate in place of a verdict; files asked for a verdict are refused."""
    from bench import terminal
    from bench.calibration import calibrate

    for option in ("json_out", "junit", "markdown", "html", "comment", "metrics", "github"):
        if getattr(options, option):
            named = option.replace("_", "-")
            raise UsageError(f"bench gate: --{named} writes a verdict and --calibrate draws none; leave one out.")
    with terminal.progress(quiet=options.json) as told:
        found = calibrate(before, after, policy, repetitions=options.calibrate, seed=options.seed, progress=told)
    if options.json:
        print_json(found.to_json())
    else:
        terminal.calibration(found)
    return 0


def _file_policy(options: Namespace) -> tuple[Policy, list[Finding]]:
    """The policy for run files and stored results (the config's where one is named), and what it leaves out."""
    from bench.records import Finding, Policy

    notes: list[Finding] = []
    if options.config:
        from bench.workspace import Workspace

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
    return _with_options(policy, options), notes


def _with_options(policy: Policy, options: Namespace) -> Policy:
    """The policy with what the command line says instead.

    Raises:
        UsageError: a number out of range.
        MeasureError: an unknown measure.
    """
    from dataclasses import replace

    from bench.measure import parse_list

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


def _trec_results(
    options: Namespace, baseline: Path, candidate: Path, policy: Policy
) -> tuple[list[Result], list[Result], dict[str, Qrels]]:
    """Two run files as results on one held-out set, and its judgements."""
    from bench.measure import result
    from bench.records import EvalProtocol, Labels
    from bench.sources.trec import read_qrels, read_run

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


def _results_of(name: str, options: Namespace) -> list[Result]:
    """Results from a JSON file (one result, a list of them, a baseline), or of a system of the config."""
    from bench.gate import results_of
    from bench.store import read_json

    path = Path(name)
    if path.is_file():
        try:
            document = read_json(path)
        except BenchError as error:
            raise UsageError(f"{error} To compare TREC run files, give the judgements: --qrels Q.") from None
        return results_of(document, path)
    from bench.workspace import DEFAULT_CONFIG, Workspace

    if path.is_dir() or path.suffix == ".json":
        state = "is a folder" if path.is_dir() else "does not exist"
        raise UsageError(f"{name} {state}; expected a file of results, or the name of a system.")
    if not options.config and not Path(DEFAULT_CONFIG).exists():
        raise UsageError(f"{name} is no file (and there is no {DEFAULT_CONFIG} here to have a system of that name).")
    workspace = Workspace.open(options.config)
    return workspace.stored(workspace.suite(options.suite), name)


def _say_verdict(
    judged: Verdict,
    options: Namespace,
    judged_results: Sequence[Result],
    suite: Suite | None = None,
    *,
    qrels: Mapping[str, Qrels] | None = None,
    place: Any = None,
) -> None:
    """Print a verdict and write the forms asked for."""
    from bench.publish import Forms, publish

    forms = Forms.of(options)
    if forms != Forms():
        from bench.reporting import assemble

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
        )
        publish(material, forms, place=place)
    if options.json:
        print_json(judged.to_json())
    else:
        from bench import terminal

        terminal.verdict(judged)


def baseline(options: Namespace) -> int:
    """Accept, show or list baselines."""
    from bench.workspace import Workspace

    workspace = Workspace.open(options.config)
    if options.action == "accept":
        return _accept(options, workspace)
    from bench import terminal
    from bench.errors import BaselineError
    from bench.gate import read_baseline

    rows, documents = [], []
    for suite in workspace.suites(options.suite):
        path = workspace.baseline_path(suite, options.baseline)
        if options.action == "list" and not path.exists():
            continue
        header, found = read_baseline(path)
        documents.append(header | {"path": str(path)})
        if options.action == "show" and not options.json:
            terminal.say(f"{header['system']}, accepted {header['accepted']}: {header['reason']}")
            terminal.results(found)
        rows.append([suite.name, header["system"], header["accepted"], header["reason"], str(path)])
    if options.json:
        print_json({"format": 1, "baselines": documents})
    elif options.action == "list":
        if not rows:
            raise BaselineError('No suite of the config has a baseline. Accept one: bench baseline accept --reason "…"')
        terminal.table(["suite", "system", "accepted", "reason", "file"], rows, left=5)
    return 0


def _accept(options: Namespace, workspace: Workspace) -> int:
    from datetime import UTC, datetime

    from bench import git, terminal
    from bench.errors import BaselineError
    from bench.gate import baseline_document, write_baseline
    from bench.gating import succession

    if not options.reason.strip():
        raise BaselineError('A baseline changes only with a reason: bench baseline accept --reason "…"')
    suite = workspace.suite(options.suite)
    system = workspace.gated_system(options.system)
    policy = workspace.config.gate.policy()
    found = workspace.gated(suite, system, policy)
    path = workspace.baseline_path(suite, options.baseline)
    outcome, uncompared = succession(workspace, suite, system, policy, path, found)
    if outcome in ("fail", "inconclusive") and not options.allow_worse:
        raise BaselineError(
            f'"{system}" is not shown to be as good as the accepted baseline ({outcome}). See why with: '
            f"bench gate --system {system}. To accept it all the same: --allow-worse"
        )
    if uncompared:
        terminal.say(f"Not compared with the baseline that it replaces: {uncompared}", "yellow")
    document = baseline_document(
        found,
        reason=options.reason,
        when=datetime.now(UTC).isoformat(timespec="seconds"),
        commit=git.commit(workspace.base),
        version=__version__,
        outcome=outcome or ("not compared" if uncompared else None),
    )
    write_baseline(path, document)
    if options.json:
        print_json({"format": 1, "baseline": document["baseline"] | {"path": str(path)}})
    else:
        terminal.say(f"Accepted {system} as the baseline of {suite.name}: {path}. Commit this file.", "green")
    return 0


def mine(options: Namespace) -> int:
    """Hard negatives as a JSON-lines file."""
    from bench import terminal
    from bench.config import NegativesConfig
    from bench.store import write_text
    from bench.train.mine import mine
    from bench.train.pairs import from_suite
    from bench.workspace import Workspace

    workspace = Workspace.open(options.config)
    suite = workspace.suite(options.suite)
    settings = NegativesConfig.model_validate(
        {
            "from": _flat(options.from_),
            "per_query": options.per_query,
            "depth": options.depth,
            "relative_margin": options.relative_margin,
        }
    )
    with terminal.progress(quiet=options.json) as told:
        evaluator = workspace.evaluator(suite, settings.from_, progress=told)
        pairs = from_suite(suite, options.query_set)
        negatives = mine(evaluator, pairs, settings, seed=options.seed, progress=told)
    lines = []
    for pair in pairs.pairs:
        corpus = suite.corpora[suite.query_sets[pair.query_set].corpus]
        ids = negatives.doc_ids[pair.query_set, pair.query_id]
        row = {
            "query_id": pair.query_id,
            "query": pair.query,
            "positive_id": pair.doc_id,
            "positive": pair.document,
            "negative_ids": list(ids),
            "negatives": [corpus.texts[corpus.row_of[doc_id]] for doc_id in ids],
        }
        lines.append(json.dumps(row, ensure_ascii=False) + "\n")
    write_text(Path(options.out), "".join(lines))
    report = negatives.report.to_json()
    if options.json:
        print_json({"format": 1, "rows": len(lines), "out": options.out, "mining": report})
    else:
        rows = [[key.replace("_", " "), str(value)] for key, value in report.items() if isinstance(value, int)]
        rows += [[f"taken from {name}", str(count)] for name, count in report["from_system"].items()]
        terminal.table(["mining", "count"], rows)
        terminal.say(f"{len(lines)} triples in {options.out}")
    return 0


def finetune(options: Namespace) -> int:
    """Train what a recipe says."""
    from bench import terminal
    from bench.train.finetune import finetune
    from bench.workspace import Workspace

    workspace = Workspace.open(options.config)
    recipes = workspace.config.finetune
    if options.name not in recipes:
        raise UsageError(
            f'{workspace.path} has no recipe "{options.name}"; expected one of {", ".join(recipes) or "none"}.'
            f"{did_you_mean(options.name, recipes)}"
        )
    recipe = recipes[options.name]
    if options.seed:
        recipe = recipe.model_copy(update={"seeds": options.seed})
    suite = workspace.suite(options.suite)
    needed = [*(recipe.negatives.from_ if recipe.negatives else []), recipe.base]
    tables = {name.split("@")[0].split("/")[0] for name in needed} & set(workspace.config.systems)
    with terminal.progress(quiet=options.json) as told:
        evaluator = workspace.evaluator(suite, sorted(tables), progress=told)
        models = finetune(options.name, recipe, evaluator=evaluator, base=workspace.base, progress=told)
    if options.json:
        rows = [{"folder": str(m.folder), "made": m.made, "lineage": dict(m.lineage)} for m in models]
        print_json({"format": 1, "models": rows})
        return 0
    for model in models:
        state = f"trained in {model.lineage['seconds']:.0f} s" if model.made else "unchanged, not trained again"
        terminal.say(f"{options.name}, seed {model.lineage['seed']}: {state}. {model.folder}")
    return 0


def report(options: Namespace) -> int:
    """The comparison report from stored results."""
    from bench import terminal
    from bench.report.render import write
    from bench.reporting import material
    from bench.workspace import Workspace

    workspace = Workspace.open(options.config)
    suite = workspace.suite(options.suite)
    found, left_out = material(workspace, suite, reference=options.reference, private=options.private)
    path = write(found, Path(options.out) if options.out else workspace.reports / f"{suite.name}.html")
    for name in left_out:
        terminal.say(f"{name} has no stored result and is left out; make it with: bench run --system {name}", "yellow")
    if options.json:
        print_json({"format": 1, "report": str(path), "left_out": left_out})
    else:
        terminal.say(f"Report: {path}")
    return 0


def export(options: Namespace) -> int:
    """A suite, or a system's stored results, in another program's format."""
    from bench import suite, terminal
    from bench.workspace import DEFAULT_CONFIG, Workspace

    out = Path(options.out)
    if options.kind == "beir":
        from bench.exports.beir import export_beir

        # A suite of its own needs no config.
        alone = options.suite and not options.config and not Path(DEFAULT_CONFIG).exists()
        loaded = suite.load(suite.find(options.suite)) if alone else _workspace_suite(options)
        written = export_beir(loaded, out, query_sets=options.query_set)
    else:
        workspace = Workspace.open(options.config)
        loaded = workspace.suite(options.suite)
        name = workspace.gated_system(options.system)
        if options.kind == "mteb-results":
            from bench.exports.mteb_results import export_mteb_results

            workspace.stored(loaded, name)  # says how to make what is not there
            evaluator = workspace.evaluator(loaded, [name], make=False)
            written = [export_mteb_results(evaluator, name, out, model_name=options.model_name)]
        else:
            from bench.exports.model_card import export_model_card

            written = [export_model_card(workspace.stored(loaded, name), out, model_name=options.model_name)]
    if options.json:
        print_json({"format": 1, "written": [str(path) for path in written]})
    else:
        terminal.say("".join(f"Written: {path}\n" for path in written).rstrip())
    return 0


def _workspace_suite(options: Namespace) -> Suite:
    from bench.workspace import Workspace

    return Workspace.open(options.config).suite(options.suite)


def doctor(options: Namespace) -> int:
    """What is installed."""
    from bench.doctor import examine

    rows = examine(Path(options.config or "bench.toml"))
    if options.json:
        print_json({"format": 1, "doctor": rows})
    else:
        from bench import terminal

        terminal.table(["part", "state"], [[row["part"], row["state"]] for row in rows], left=2)
    return 0


def _flat(names: Sequence[str] | None) -> list[str] | None:
    """Names from options that may be repeated, take several values, or hold commas."""
    found = [part for name in names or () for part in name.split(",") if part]
    return found or None
