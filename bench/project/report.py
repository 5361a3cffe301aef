"""The report of a suite from a workspace: stored results, verdict, decision, lineages, texts."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench.base.errors import BenchError, ConfigError, StoreError, UsageError, did_you_mean
from bench.base.store import Store, read_json, write_text
from bench.evaluation.evaluate import Missing
from bench.evaluation.latency import records_of
from bench.project.answers import Answer, query_rows
from bench.project.decide import decided
from bench.project.gate import judged
from bench.project.material import Curves, assemble
from bench.project.workspace import Workspace
from bench.records import Finding, Result, Suite
from bench.report import Material, Times
from bench.report.blocks import Block, Prose
from bench.report.forms import html
from bench.retrieval.systems import selected
from bench.suites import checks
from bench.train.models import lineage


@dataclass(frozen=True)
class Reported(Answer):
    """A report that was written; `left_out` are the systems without a stored result."""

    material: Material = field(repr=False)
    path: Path
    left_out: Sequence[str] = ()

    def to_json(self) -> dict[str, Any]:
        """The document of `bench report --json`: every section's blocks."""
        head = {"format": 1, "report": str(self.path), "left_out": list(self.left_out)}
        return {**head, **html.whole_json(self.material)}

    def blocks(self) -> list[Block]:
        """Where the report is, and which systems are not in it."""
        absent = "{0} has no stored result and is left out; make it with: bench run --system {0}"
        return [*(Prose([absent.format(name)], "warning") for name in self.left_out), Prose([f"Report: {self.path}"])]

    def html(self) -> str:
        """The page."""
        return html.render(self.material)

    def markdown(self) -> str:
        """The page's sentences and tables."""
        return html.whole_markdown(self.material)

    def rows(self) -> list[dict[str, Any]]:
        """A row per system, query and measure."""
        return [row for result in self.material.results for row in query_rows(result)]

    def _repr_html_(self) -> str:
        summary = next((section.blocks for section in html.sections(self.material)), [])
        return html.fragment(summary)


def reported(
    workspace: Workspace,
    out: Path | None = None,
    *,
    suite: str | None = None,
    reference: str | None = None,
    private: bool = False,
    markdown: Path | None = None,
    latex: Path | None = None,
) -> Reported:
    """Write the report of a suite from stored results.

    `out` is SUITE.html in the config's folder of reports where None; `markdown` and `latex` are further files: the same
    without charts, and every table. `private` leaves out texts of queries and documents.

    Raises:
        UsageError: no stored result at all, or the reference is none of the systems.
    """
    loaded = workspace.suite(suite)
    material, left_out = _material(workspace, loaded, reference, private)
    path = html.write(material, out or workspace.reports / f"{loaded.name}.html")
    if markdown:
        write_text(markdown, html.whole_markdown(material))
    if latex:
        write_text(latex, html.whole_latex(material))
    return Reported(material, path, left_out)


def _material(workspace: Workspace, suite: Suite, reference: str | None, private: bool) -> tuple[Material, list[str]]:
    """The material of a suite's report, from stored results alone; and the systems that have none."""
    results: list[Result] = []
    curves, left_out = Curves(), []
    for table in workspace.config.systems:
        try:
            evaluator = workspace.evaluator(suite, [table], make=False)
        except ConfigError:
            # A model that has not been made yet: its systems have no results either.
            left_out.append(table)
            continue
        for name in selected(evaluator.systems, [table]):
            try:
                results += evaluator.results([name])
                curves.add(evaluator, name)
            except Missing:
                left_out.append(name)
    if not results:
        raise UsageError(f'No stored result on suite "{suite.name}" fits the config as it is now. Make some: bench run')
    names = list(dict.fromkeys(result.system for result in results))
    if reference is not None and reference not in names:
        listed = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
        raise UsageError(f'No results of "{reference}" (has: {listed}).{did_you_mean(reference, names)}')
    accepted, verdicts, baselines = None, [], list[Result]()
    findings = checks.check(suite)
    if workspace.config.gate.system in names and workspace.baseline_path(suite).exists():
        try:
            gate = judged(workspace, suite)
            accepted, baselines, verdicts = gate.accepted.get("system"), [*gate.baseline], [gate.verdict]
        except BenchError as error:
            findings.append(Finding("error", error.code, "gate", str(error)))
    decision = None
    # Without a system in use, or without another option, there is nothing to decide.
    with contextlib.suppress(ConfigError, UsageError):
        recommendation = decided(workspace, suite, private=private)
        decision = recommendation if recommendation.family else None
    in_use = decision.current if decision else None
    timed = times(workspace.store, results)
    systems = str([*workspace.config.systems.values()])
    commands = [f"bench finetune {name}" for name in workspace.config.finetune if f"finetune:{name}" in systems]
    commands += ["bench run --latency" if timed else "bench run", "bench report"]
    material = assemble(
        suite,
        results,
        # The reference is the system in use, as in the decision, so that no section contradicts it.
        reference=reference or next(name for name in (in_use, accepted, names[0]) if name in names),
        verdicts=verdicts,
        baselines=baselines,
        findings=findings,
        training=lineages(workspace),
        loops=_loops(workspace, suite),
        curves=curves,
        times=timed,
        commands=commands,
        private=private,
        alpha=workspace.config.gate.alpha,
    )
    return replace(material, recommendation=decision), left_out


def times(store: Store, results: Sequence[Result]) -> list[Times]:
    """The store's latency records of these systems as they are now."""
    return [
        Times(
            record.query_set,
            record.n_queries,
            {timing.system: (timing.p50, timing.p95) for timing in record.systems},
        )
        for record in records_of(store, results)
    ]


def lineages(workspace: Workspace) -> list[dict[str, Any]]:
    """The lineages of the models that each recipe of the config made last, one for each of its seeds."""
    documents: list[dict[str, Any]] = []
    for name, recipe in workspace.config.finetune.items():
        folder = workspace.store.path("models", name)
        pointers = (folder / "current", *(folder / f"seed-{seed}" for seed in recipe.seeds))
        targets = [pointer.read_text(encoding="utf-8").strip() for pointer in pointers if pointer.exists()]
        models = [lineage(folder / target) for target in dict.fromkeys(targets)]
        documents += [document for document in models if document is not None]
    return documents


def _loops(workspace: Workspace, suite: Suite) -> list[dict[str, Any]]:
    """The last result of `bench loop` for each recipe, on this suite as it is now."""
    documents: list[dict[str, Any]] = []
    for name in workspace.config.finetune:
        with contextlib.suppress(StoreError):
            document = read_json(workspace.store.path("loops", f"{name}.json"))
            if isinstance(document, dict) and document.get("suite_digest") == suite.digest:
                documents.append(document)
    return documents
