"""From a workspace to what a report may show: stored results, verdict, lineage, texts."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench.base.errors import BenchError, ConfigError, StoreError, UsageError, did_you_mean
from bench.base.store import Store, read_json, write_text
from bench.decide.records import Recommendation
from bench.evaluation.evaluate import Missing
from bench.evaluation.latency import records_of
from bench.project.answers import Answer, query_rows
from bench.project.decide import decided
from bench.project.gate import judged
from bench.project.material import Curves, assemble
from bench.project.workspace import Workspace
from bench.records import Finding, Result, Suite, Verdict
from bench.report import Material, Times
from bench.report.blocks import Block, Prose
from bench.report.forms import html
from bench.suites import checks
from bench.train.models import lineage


@dataclass(frozen=True)
class Reported(Answer):
    """A report that was written, and what it shows."""

    shown: Material = field(repr=False)
    path: Path
    left_out: Sequence[str] = ()

    def to_json(self) -> dict[str, Any]:
        """The document of `bench report --json`: every section's blocks."""
        head = {"format": 1, "report": str(self.path), "left_out": list(self.left_out)}
        return {**head, **html.whole_json(self.shown)}

    def blocks(self) -> list[Block]:
        """Where the report is, and which systems are not in it."""
        absent = "{0} has no stored result and is left out; make it with: bench run --system {0}"
        return [*(Prose([absent.format(name)], "warning") for name in self.left_out), Prose([f"Report: {self.path}"])]

    def html(self) -> str:
        """The page."""
        return html.render(self.shown)

    def markdown(self) -> str:
        """The page's sentences and tables."""
        return html.whole_markdown(self.shown)

    def rows(self) -> list[dict[str, Any]]:
        """A row per system, query and measure."""
        return [row for result in self.shown.results for row in query_rows(result)]

    def _repr_html_(self) -> str:
        summary = next((section.blocks for section in html.sections(self.shown)), [])
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

    Args:
        workspace: config and store.
        out: the page; SUITE.html in the config's folder of reports where None.
        suite: which suite, where the config has several.
        reference: the system that others are compared with.
        private: no texts of queries and documents.
        markdown: write the same as Markdown too, without charts.
        latex: write every table for LaTeX too.

    Raises:
        UsageError: there is no stored result at all, or the reference is none of the systems.
    """
    loaded = workspace.suite(suite)
    shown, left_out = material(workspace, loaded, reference=reference, private=private)
    path = html.write(shown, out or workspace.reports / f"{loaded.name}.html")
    if markdown:
        write_text(markdown, html.whole_markdown(shown))
    if latex:
        write_text(latex, html.whole_latex(shown))
    return Reported(shown, path, left_out)


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


def times(store: Store, results: Sequence[Result]) -> list[Times]:
    """What the store's latency records say about these systems as they are now."""
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
