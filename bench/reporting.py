"""From a workspace to what a report may show: stored results, verdict, lineage, texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from bench import __version__, checks
from bench.decide.records import Recommendation
from bench.errors import BenchError, ConfigError, UsageError, did_you_mean
from bench.evaluate import Missing
from bench.gating import judged
from bench.records import EVALUATION_ROLES, Finding, Qrels, Result, Suite, Verdict
from bench.report import Material
from bench.train.models import lineage
from bench.workspace import Workspace

__all__ = ["assemble", "decision_page", "lineages", "material"]


def material(
    workspace: Workspace, suite: Suite, *, reference: str | None = None, private: bool = False
) -> tuple[Material, list[str]]:
    """What the report of a suite shows, from stored results alone; and the systems that have none.

    Raises:
        UsageError: there is no stored result at all, or the reference is none of the systems.
    """
    from bench import systems

    results: list[Result] = []
    left_out = []
    for table in workspace.config.systems:
        try:
            evaluator = workspace.evaluator(suite, [table], make=False)
        except ConfigError:
            # A model that has not been made yet: its systems have no results either.
            left_out.append(table)
            continue
        for name in systems.selected(evaluator.systems, [table]):
            try:
                results += evaluator.results([name])
            except Missing:
                left_out.append(name)
    if not results:
        raise UsageError(f'No stored result on suite "{suite.name}" fits the config as it is now. Make some: bench run')
    names = list(dict.fromkeys(result.system for result in results))
    accepted = None
    if reference is not None and reference not in names:
        listed = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
        raise UsageError(f'No results of "{reference}" (has: {listed}).{did_you_mean(reference, names)}')
    verdicts: list[Verdict] = []
    before: list[Result] = []
    findings = checks.check(suite)
    if workspace.config.gate.system in names and workspace.baseline_path(suite).exists():
        try:
            found_gate = judged(workspace, suite)
            accepted, before = found_gate.accepted.get("system"), [*found_gate.baseline]
            verdicts.append(found_gate.verdict)
        except BenchError as error:
            findings.append(Finding("error", error.code, "gate", str(error)))
    commands = ("bench run", "bench report")
    found = assemble(
        suite,
        results,
        # What is accepted is what others are compared with; else the config's first system.
        reference=reference or (accepted if accepted in names else names[0]),
        verdicts=verdicts,
        baselines=before,
        findings=findings,
        training=lineages(workspace),
        commands=commands,
        private=private,
        alpha=workspace.config.gate.alpha,
    )
    return found, left_out


def assemble(
    suite: Suite | None,
    results: Sequence[Result],
    *,
    reference: str,
    verdicts: Sequence[Verdict] = (),
    baselines: Sequence[Result] = (),
    findings: Sequence[Finding] = (),
    training: Sequence[dict[str, Any]] = (),
    commands: Sequence[str] = (),
    private: bool = False,
    alpha: float = 0.05,
    title: str | None = None,
    qrels: Mapping[str, Qrels] | None = None,
) -> Material:
    """A report's material from records; texts stay out of it where `private`, or where there is no suite."""
    sets = suite.of_role(*EVALUATION_ROLES) if suite else []
    shown = [] if private else sets
    corpora = suite.corpora if suite else {}
    return Material(
        title=title or (f"Retrieval on {suite.name}" if suite else "Retrieval"),
        results=tuple(results),
        reference=reference,
        verdicts=tuple(verdicts),
        baselines=tuple(baselines),
        findings=tuple(findings),
        training=tuple(training),
        texts={q.name: dict(zip(q.ids, q.texts, strict=True)) for q in shown},
        documents={q.name: dict(zip(corpora[q.corpus].ids, corpora[q.corpus].texts, strict=True)) for q in shown},
        qrels=qrels or ({q.name: suite.qrels(q.name) for q in sets} if suite else {}),
        commands=tuple(commands),
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        version=__version__,
        alpha=alpha,
    )


def decision_page(found: Recommendation) -> Material:
    """A page with a decision and nothing else."""
    return Material(
        title=f"What to do about retrieval on {found.suite}",
        results=(),
        reference=found.current,
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        version=__version__,
        alpha=found.alpha,
        recommendation=found,
    )


def lineages(workspace: Workspace) -> list[dict[str, Any]]:
    """The lineage of the model that each recipe of the config made last."""
    found = []
    for name in workspace.config.finetune:
        pointer = workspace.store.path("models", name) / "current"
        if pointer.exists():
            document = lineage(pointer.parent / pointer.read_text(encoding="utf-8").strip())
            if document is not None:
                found.append(document)
    return found
