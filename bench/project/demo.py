"""The whole loop on the bundled suite, offline: check, evaluate, fine-tune, evaluate again, gate, report."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench import __version__
from bench.base import words
from bench.base.errors import SystemFailed
from bench.base.progress import Progress
from bench.base.store import write_json, write_text
from bench.gate.compare import compare
from bench.gate.verdict import baseline_document, judge, read_baseline, write_baseline
from bench.project.workspace import Workspace
from bench.records import Cell, Finding, Result, Suite, Verdict
from bench.report.forms import terminal
from bench.suites import checks, suite

SUITE = "clinic"
BASELINE, CANDIDATE, DAMAGED = "minilm", "tuned", "tuned@64/binary"
BEFORE = ("bm25", "minilm", "hybrid", "hybrid-rrf", "minilm-late")
AFTER = ("tuned", "tuned-hybrid", "tuned-rrf", "tuned-late", "tuned-reranked")
REORDERED = {"minilm-late": "minilm", "tuned-late": "tuned", "tuned-reranked": "tuned"}
RECIPES = ("clinic", "clinic-reranker")


def demo(out: Path) -> int:
    """Run the loop, tell what happens, and say how it ended.

    Returns:
        0 if the damaged candidate failed at the gate as it should; 4 if it did not.

    Raises:
        SystemFailed: the gate let the damaged candidate through.
    """
    started = time.perf_counter()
    folder = suite.find(SUITE)
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / "bench.toml", (folder / "bench.toml").read_text(encoding="utf-8"))
    workspace = Workspace.open(out / "bench.toml")
    loaded = suite.load(folder)

    _step(1, f"Check the suite: {loaded.name}, {len(loaded.query_sets)} query sets, {_documents(loaded)} documents")
    findings = checks.check(loaded)
    terminal.findings([finding for finding in findings if finding.severity != "info"])

    with terminal.progress() as told:
        _step(2, "Evaluate BM25, the base model at five dimensions and four precisions, two hybrids, a reranker")
        results = _evaluate(workspace, loaded, BEFORE, told)
        _step(3, "Fine-tune the model on the training queries, with mined hard negatives, and train a reranker")
        _finetune(workspace, loaded, told)
        _step(4, "Evaluate the fine-tuned model, its hybrids and the reranker")
        results += _evaluate(workspace, loaded, AFTER, told)

    _step(5, f"Gate: {CANDIDATE} against {BASELINE}, then a deliberately damaged candidate, {DAMAGED}")
    verdicts = _judge(workspace, results)
    _step(6, "Report")
    report = _report(workspace, loaded, results, verdicts, findings)
    _summary(results, verdicts, report, time.perf_counter() - started)
    damaged = verdicts[1]
    if damaged.outcome != "fail":
        raise SystemFailed(
            f"The damaged candidate was judged {damaged.outcome}; expected fail. The gate is not to be trusted."
        )
    return 0


def _step(number: int, text: str) -> None:
    terminal.say(f"\n[{number}/6] {text}", "bold")


def _documents(loaded: Suite) -> int:
    return sum(len(corpus.ids) for corpus in loaded.corpora.values())


def _evaluate(workspace: Workspace, loaded: Suite, tables: Sequence[str], told: Progress) -> list[Result]:
    from bench.retrieval import systems

    evaluator = workspace.evaluator(loaded, tables, progress=told)
    results = evaluator.results(systems.selected(evaluator.systems, tables))
    _headline(results)
    return results


def _headline(results: Sequence[Result]) -> None:
    """The primary measure of the full-size systems, a row a system and a column a query set."""
    measure = results[0].protocol.measures[0]
    query_sets = list(dict.fromkeys(result.query_set for result in results))
    rows = []
    for system in dict.fromkeys(result.system for result in results):
        mine = {r.query_set: r for r in results if r.system == system}
        rows.append(
            [system, *(words.number(mine[q].scores.means()[measure] if q in mine else None) for q in query_sets)]
        )
    roles = {result.query_set: result.role for result in results}
    columns = ["system", *(f"{q} ({'held-out' if roles[q] == 'held-out' else 'ood'})" for q in query_sets)]
    terminal.table(columns, rows, title=measure)


def _finetune(workspace: Workspace, loaded: Suite, told: Progress) -> None:
    from bench.train.fitting.finetune import finetune

    for name in RECIPES:
        recipe = workspace.config.finetune[name]
        evaluator = workspace.trainer(loaded, recipe, progress=told)
        for model in finetune(name, recipe, evaluator=evaluator, base=workspace.base, progress=told):
            state = f"trained in {model.lineage['seconds']:.0f} s" if model.made else "unchanged, not trained again"
            terminal.say(f"  {name}: {state}, {model.lineage['data']['rows']} rows")


def _judge(workspace: Workspace, results: Sequence[Result]) -> list[Verdict]:
    """The fine-tuned model and the damaged candidate, each against the accepted base model."""
    path = workspace.base / "baseline.json"
    accepted = [result for result in results if result.system == BASELINE]
    write_baseline(
        path,
        baseline_document(
            accepted,
            reason="The base model, before fine-tuning.",
            when=datetime.now(UTC).isoformat(timespec="seconds"),
            commit=None,
            version=__version__,
        ),
    )
    _, before = read_baseline(path)
    policy = workspace.config.gate.policy()
    verdicts = []
    for system in (CANDIDATE, DAMAGED):
        verdict = judge(before, [result for result in results if result.system == system], policy)
        terminal.verdict(verdict)
        write_json(workspace.base / f"verdict-{system.replace('/', '_')}.json", verdict.to_json(), indent=1)
        verdicts.append(verdict)
    return verdicts


def _report(
    workspace: Workspace,
    loaded: Suite,
    results: Sequence[Result],
    verdicts: Sequence[Verdict],
    findings: Sequence[Finding],
) -> Path:
    from bench.project.report import Curves, assemble, lineages, times
    from bench.report.forms.html import write
    from bench.retrieval import systems

    curves = Curves()
    evaluator = workspace.evaluator(loaded, make=False)
    for name in systems.selected(evaluator.systems, [*BEFORE, *AFTER]):
        curves.add(evaluator, name)
    material = assemble(
        loaded,
        results,
        reference=BASELINE,
        verdicts=verdicts,
        findings=findings,
        training=lineages(workspace),
        curves=curves,
        times=times(workspace.store, results),
        commands=("make demo", f"bench run --config {workspace.path}", f"bench report --config {workspace.path}"),
        alpha=workspace.config.gate.alpha,
        title="Does fine-tuning help this clinic's search?",
    )
    return write(material, workspace.base / "report.html")


def _against(
    results: Sequence[Result], reference: str, system: str, query_set: str, measure: str | None = None
) -> Cell | None:
    by_name = {(result.system, result.query_set): result for result in results}
    if (system, query_set) not in by_name:
        return None
    (cell,) = compare(
        by_name[reference, query_set],
        by_name[system, query_set],
        measures=[measure or by_name[reference, query_set].protocol.measures[0]],
        margin=0.02,
    ).cells
    return cell


def _effect(cell: Cell) -> str:
    low, high = cell.ci or (0.0, 0.0)
    word = "helps" if low > 0 else "hurts" if high < 0 else "is not shown to differ"
    delta, low_text, high_text = (words.signed(value) for value in (cell.delta, low, high))
    return f"{words.number(cell.candidate)}  {delta} [{low_text}, {high_text}]  {word}"


def _summary(results: Sequence[Result], verdicts: Sequence[Verdict], report: Path, seconds: float) -> None:
    """What helped, what did not, both verdicts, the report's place."""
    held_out = next(result.query_set for result in results if result.role == "held-out")
    measure = results[0].protocol.measures[0]
    terminal.say(f"\nAgainst {BASELINE}, {measure} on the held-out queries ({held_out}), each taken alone:", "bold")
    for system in (*BEFORE, *AFTER):
        cell = _against(results, BASELINE, system, held_out)
        if system == BASELINE or cell is None:
            continue
        terminal.say(f"  {system:15} {_effect(cell)}")
    terminal.say("Rerankers against the lists that they reorder, ndcg@10:", "bold")
    for system, first in REORDERED.items():
        cell = _against(results, first, system, held_out, "ndcg@10")
        if cell is not None:
            terminal.say(f"  {system:15} {_effect(cell)}")
    worse = []
    for system in (*BEFORE, *AFTER):
        for query_set in dict.fromkeys(result.query_set for result in results if result.role != "held-out"):
            cell = _against(results, BASELINE, system, query_set)
            if system != BASELINE and cell is not None and cell.ci and cell.ci[1] < 0:
                worse.append(f"  {system} on {query_set}: {words.signed(cell.delta)}")
    if worse:
        terminal.say("Out of distribution, shown to hurt:", "bold")
        terminal.say("\n".join(worse))
    terminal.say("")
    for verdict, note in zip(verdicts, ("", " (as it should: this candidate was damaged on purpose)"), strict=True):
        terminal.say(
            f"Gate: {verdict.candidate} → {verdict.outcome}{note if verdict.outcome == 'fail' else ''}", "bold"
        )
    terminal.say(f"Report: {report.resolve()}", "bold")
    terminal.say(f"Done in {seconds:.0f} s.")
