"""From a workspace to what a report may show: stored results, verdict, lineage, texts."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from bench import __version__
from bench.base.errors import BenchError, ConfigError, StoreError, UsageError, did_you_mean
from bench.base.store import Store, read_json
from bench.decide.records import Recommendation
from bench.evaluation.evaluate import Evaluator, Missing
from bench.evaluation.latency import records_of
from bench.evaluation.measure import recall_by_depth
from bench.project.decide import decided
from bench.project.gate import judged
from bench.project.workspace import Workspace
from bench.records import EVALUATION_ROLES, Finding, Qrels, Result, Suite, Verdict
from bench.report import Fusion, Material, Times
from bench.report.reading import is_smaller
from bench.suites import checks
from bench.train.models import lineage


def material(
    workspace: Workspace, suite: Suite, *, reference: str | None = None, private: bool = False
) -> tuple[Material, list[str]]:
    """What the report of a suite shows, from stored results alone; and the systems that have none.

    Raises:
        UsageError: there is no stored result at all, or the reference is none of the systems.
    """
    from bench.retrieval import systems

    results: list[Result] = []
    curves = Curves()
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
            else:
                curves.add(evaluator, name)
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
    decision = _decision(workspace, suite, private=private)
    in_use = decision.current if decision else None
    timed = times(workspace.store, results)
    commands = [f"bench finetune {name}" for name in workspace.config.finetune if _used(workspace, name)]
    commands += ["bench run --latency" if timed else "bench run", "bench report"]
    found = assemble(
        suite,
        results,
        # Others are compared with what is in use, so that no section contradicts the decision; else the first system.
        reference=reference or next(name for name in (in_use, accepted, names[0]) if name in names),
        verdicts=verdicts,
        baselines=before,
        findings=findings,
        training=lineages(workspace),
        loops=loops(workspace, suite),
        curves=curves,
        times=timed,
        commands=commands,
        private=private,
        alpha=workspace.config.gate.alpha,
    )
    return replace(found, recommendation=decision), left_out


def _decision(workspace: Workspace, suite: Suite, *, private: bool) -> Recommendation | None:
    """What `bench decide` answers; None where it is not known what is in use, or nothing is stored beside it."""
    with contextlib.suppress(ConfigError, UsageError):
        found = decided(workspace, suite, private=private)
        return found if found.family else None
    return None


def _used(workspace: Workspace, recipe: str) -> bool:
    """Whether a system of the config is made of a recipe's model."""
    return any(f"finetune:{recipe}" in str(table) for table in workspace.config.systems.values())


def assemble(
    suite: Suite | None,
    results: Sequence[Result],
    *,
    reference: str,
    verdicts: Sequence[Verdict] = (),
    baselines: Sequence[Result] = (),
    findings: Sequence[Finding] = (),
    training: Sequence[dict[str, Any]] = (),
    loops: Sequence[dict[str, Any]] = (),
    curves: Curves | None = None,
    times: Sequence[Times] = (),
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
        loops=tuple(loops),
        texts={q.name: dict(zip(q.ids, q.texts, strict=True)) for q in shown},
        documents={q.name: dict(zip(corpora[q.corpus].ids, corpora[q.corpus].texts, strict=True)) for q in shown},
        qrels=qrels or ({q.name: suite.qrels(q.name) for q in sets} if suite else {}),
        depths=curves.depths if curves else {},
        fusions=tuple(curves.fusions) if curves else (),
        times=tuple(times),
        commands=tuple(commands),
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        version=__version__,
        alpha=alpha,
    )


@dataclass
class Curves:
    """What only the stored runs tell: recall at every depth, and the fusion weights that were tried on dev."""

    depths: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    fusions: list[Fusion] = field(default_factory=list)

    def add(self, evaluator: Evaluator, name: str) -> None:
        """Take in one system, as far as the evaluator's store holds its runs; smaller copies of a model have none."""
        system, suite = evaluator.systems[name], evaluator.suite
        tried = evaluator.weights_tried(name)
        if tried:
            evaluator.system_digest(name)  # reads the weight that was chosen
            chosen = float(getattr(system, "weight", 0.5))
            measure = suite.protocol.measures[0]
            self.fusions.append(Fusion(name, tuple(system.parts), measure, tried, chosen))
        if is_smaller(name, evaluator.systems):
            return
        for query_set in suite.of_role(*EVALUATION_ROLES):
            if evaluator.takes(name, query_set):
                with contextlib.suppress(BenchError):
                    run = evaluator.run(name, query_set)
                    level = suite.protocol.relevance_level
                    curve = recall_by_depth(run, suite.qrels(query_set.name), relevance_level=level)
                    self.depths.setdefault(query_set.name, {})[name] = [round(float(value), 6) for value in curve]


def times(store: Store, results: Sequence[Result]) -> list[Times]:
    """What the store's latency records say about these systems as they are now."""
    return [
        Times(
            record.query_set,
            record.n_queries,
            {timing.system: (timing.p50, timing.p95) for timing in record.systems},
            record.made_at,
        )
        for record in records_of(store, results)
    ]


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
    """The lineages of the models that each recipe of the config made last, one for each of its seeds."""
    found: list[dict[str, Any]] = []
    for name, recipe in workspace.config.finetune.items():
        folder = workspace.store.path("models", name)
        made: dict[str, dict[str, Any]] = {}
        for pointer in (folder / "current", *(folder / f"seed-{seed}" for seed in recipe.seeds)):
            if pointer.exists():
                target = pointer.read_text(encoding="utf-8").strip()
                document = lineage(folder / target)
                if document is not None:
                    made.setdefault(target, document)
        found += made.values()
    return found


def loops(workspace: Workspace, suite: Suite) -> list[dict[str, Any]]:
    """What `bench loop` found out last about each recipe, on this suite as it is now."""
    found: list[dict[str, Any]] = []
    for name in workspace.config.finetune:
        with contextlib.suppress(StoreError):
            document = read_json(workspace.store.path("loops", f"{name}.json"))
            if isinstance(document, dict) and document.get("suite_digest") == suite.digest:
                found.append(document)
    return found
