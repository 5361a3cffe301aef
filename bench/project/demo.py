"""The whole loop on the bundled suite, offline: check, evaluate, fine-tune, evaluate again, gate, report."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench import __version__
from bench.base import words
from bench.base.errors import SystemFailed
from bench.base.progress import Progress, no_progress
from bench.base.store import write_json, write_text
from bench.gate.compare import compare
from bench.gate.verdict import baseline_document, judge, read_baseline, write_baseline
from bench.project.answers import Reply
from bench.project.loop import trained
from bench.project.material import Curves, assemble
from bench.project.report import lineages, times
from bench.project.workspace import Workspace
from bench.records import Cell, Result, Suite, Verdict
from bench.report import tables
from bench.report.blocks import Block, Bullets, Heading, Prose
from bench.report.forms.html import write
from bench.report.sections.verdicts import verdict_blocks
from bench.retrieval import systems
from bench.suites import checks, suite

SUITE = "clinic"
BASELINE, CANDIDATE, DAMAGED = "minilm", "tuned", "tuned@64/binary"
BEFORE = ("bm25", "minilm", "hybrid", "hybrid-rrf", "minilm-late")
AFTER = ("tuned", "tuned-hybrid", "tuned-rrf", "tuned-late", "tuned-reranked")
REORDERED = {"minilm-late": "minilm", "tuned-late": "tuned", "tuned-reranked": "tuned"}
RECIPES = ("clinic", "clinic-reranker")


Show = Callable[[Sequence[Block]], None]
"""Shows the blocks of a step as soon as there are any."""


def demo(out: Path, *, show: Show = lambda blocks: None, progress: Progress = no_progress) -> Reply:
    """Run the loop, show each step, and say how it ended.

    Raises:
        SystemFailed: the gate let the damaged candidate through.
    """
    started = time.perf_counter()
    folder = suite.find(SUITE)
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / "bench.toml", (folder / "bench.toml").read_text(encoding="utf-8"))
    workspace = Workspace.open(out / "bench.toml")
    loaded = suite.load(folder)

    def step(number: int, text: str) -> None:
        show([Heading([f"[{number}/6] {text}"])])

    n_documents = sum(len(corpus.ids) for corpus in loaded.corpora.values())
    step(1, f"Check the suite: {loaded.name}, {len(loaded.query_sets)} query sets, {n_documents} documents")
    findings = checks.check(loaded)
    show(tables.findings([finding for finding in findings if finding.severity != "info"]))
    step(2, "Evaluate BM25, the base model at five dimensions and four precisions, two hybrids, a reranker")
    results = _evaluate(workspace, loaded, BEFORE, progress, show)
    step(3, "Fine-tune the model on the training queries, with mined hard negatives, and train a reranker")
    for name in RECIPES:
        show(trained(workspace, name, progress=progress).blocks()[:1])
    step(4, "Evaluate the fine-tuned model, its hybrids and the reranker")
    results += _evaluate(workspace, loaded, AFTER, progress, show)
    step(5, f"Gate: {CANDIDATE} against {BASELINE}, then a deliberately damaged candidate, {DAMAGED}")
    verdicts = _judge(workspace, results)
    for verdict in verdicts:
        show(verdict_blocks(verdict))
    step(6, "Report")
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
    report = write(material, workspace.base / "report.html")
    if verdicts[1].outcome != "fail":
        raise SystemFailed(
            f"The damaged candidate was judged {verdicts[1].outcome}; expected fail. The gate is not to be trusted."
        )
    document = {"format": 1, "report": str(report), "verdicts": [verdict.to_json() for verdict in verdicts]}
    return Reply(document, _summary(results, verdicts, report, time.perf_counter() - started))


def _evaluate(
    workspace: Workspace, loaded: Suite, names: Sequence[str], progress: Progress, show: Show
) -> list[Result]:
    """Results; shows the primary measure, one row per system and one column per query set."""
    evaluator = workspace.evaluator(loaded, names, progress=progress)
    results = evaluator.results(systems.selected(evaluator.systems, names))
    measure = results[0].protocol.measures[0]
    roles = {result.query_set: result.role for result in results}
    rows = []
    for system in dict.fromkeys(result.system for result in results):
        means = {r.query_set: r.scores.means()[measure] for r in results if r.system == system}
        rows.append([system, *(words.number(means.get(query_set)) for query_set in roles)])
    columns = ["system", *(f"{q} ({'held-out' if role == 'held-out' else 'ood'})" for q, role in roles.items())]
    show([tables.table(measure, columns, rows)])
    return results


def _judge(workspace: Workspace, results: Sequence[Result]) -> list[Verdict]:
    """The verdicts on the fine-tuned model and the damaged candidate, each against the accepted base model."""
    path = workspace.base / "baseline.json"
    accepted = [result for result in results if result.system == BASELINE]
    now, reason = datetime.now(UTC).isoformat(timespec="seconds"), "The base model, before fine-tuning."
    write_baseline(path, baseline_document(accepted, reason=reason, when=now, commit=None, version=__version__))
    _, before = read_baseline(path)
    policy = workspace.config.gate.policy()
    verdicts = []
    for system in (CANDIDATE, DAMAGED):
        verdict = judge(before, [result for result in results if result.system == system], policy)
        write_json(workspace.base / f"verdict-{system.replace('/', '_')}.json", verdict.to_json(), indent=1)
        verdicts.append(verdict)
    return verdicts


def _difference(
    results: Sequence[Result], reference: str, system: str, query_set: str, measure: str | None = None
) -> Cell | None:
    by_name = {(result.system, result.query_set): result for result in results}
    if (system, query_set) not in by_name:
        return None
    before = by_name[reference, query_set]
    measures = [measure or before.protocol.measures[0]]
    (cell,) = compare(before, by_name[system, query_set], measures=measures, margin=0.02).cells
    return cell


def _summary(results: Sequence[Result], verdicts: Sequence[Verdict], report: Path, seconds: float) -> list[Block]:
    """The effect of each system, both verdicts, the report's path."""
    held_out = next(result.query_set for result in results if result.role == "held-out")
    measure = results[0].protocol.measures[0]
    names = [system for system in (*BEFORE, *AFTER) if system != BASELINE]
    title = f"Against {BASELINE}, {measure} on the held-out queries ({held_out}), each taken alone"
    blocks: list[Block] = [_effects(title, [(s, _difference(results, BASELINE, s, held_out)) for s in names])]
    pairs = [(s, _difference(results, first, s, held_out, "ndcg@10")) for s, first in REORDERED.items()]
    blocks.append(_effects("Rerankers against the lists that they reorder, ndcg@10", pairs))
    worse = [
        [f"{system} on {query_set}: {words.signed(cell.delta)}"]
        for system in names
        for query_set in dict.fromkeys(result.query_set for result in results if result.role != "held-out")
        if (cell := _difference(results, BASELINE, system, query_set)) is not None and cell.ci and cell.ci[1] < 0
    ]
    if worse:
        blocks += [Heading(["Out of distribution, shown to hurt"]), Bullets(worse)]
    for verdict, note in zip(verdicts, ("", " (as it should: this candidate was damaged on purpose)"), strict=True):
        why = note if verdict.outcome == "fail" else ""
        blocks.append(Prose([f"Gate: {verdict.candidate} → {verdict.outcome}{why}"], "answer"))
    blocks.append(Prose([f"Report: {report.resolve()}"], "answer"))
    return [*blocks, Prose([f"Done in {words.seconds(seconds)}."])]


def _effects(title: str, pairs: Sequence[tuple[str, Cell | None]]) -> Block:
    rows = []
    for system, cell in pairs:
        if cell is not None:
            low, high = cell.ci or (0.0, 0.0)
            effect = "helps" if low > 0 else "hurts" if high < 0 else "is not shown to differ"
            change = f"{words.signed(cell.delta)} {words.interval(cell.ci)}"
            rows.append([system, words.number(cell.candidate), change, effect])
    return tables.table(title, ["system", "mean", "difference", "effect"], rows, text=4)
