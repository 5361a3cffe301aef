"""What Python, the command line and the pytest plug-in call: a project, with one method a verb, and the functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from bench.base.progress import Progress, no_progress
from bench.gate.rules import changed
from bench.project import baseline as baselines
from bench.project.answers import Decided, Judged, Reply, Results
from bench.project.compare import calibrate, compare, measure, read_qrels, read_run
from bench.project.functions import evaluate, judge, load_suite, names_of, text_file
from bench.project.workspace import Workspace
from bench.records import Suite

if TYPE_CHECKING:
    from bench.config import BenchConfig
    from bench.project.drift import Drifted
    from bench.project.history import OverTime
    from bench.project.loop import Loop
    from bench.project.mine import Mined
    from bench.project.promote import Attempt
    from bench.project.report import Reported

__all__ = ["Project", "calibrate", "compare", "evaluate", "judge", "load_suite", "measure", "open_project"]
__all__ += ["read_qrels", "read_run"]


def open_project(path: Path | str | None = None, *, base_ref: str | None = None) -> Project:
    """The project of a config file.

    Args:
        path: the file, or its folder; `bench.toml` in the current folder where None.
        base_ref: a git ref, such as origin/main, that baseline, rules and suites are taken from; systems never are.

    Raises:
        ConfigError: no such file, or everything that is wrong with it.
        UsageError: git does not know the ref.
    """
    place = Path(path) / "bench.toml" if path is not None and Path(path).is_dir() else path
    return Project(Workspace.open(place, base_ref=base_ref))


class Project:
    """A config file with its suites, systems and stored results; a method for each verb of the command line.

    Where the config has several suites, `suite` says which one: by its name, as the config writes it, or by its folder.
    `progress` is called as progress(stage, done, total). Every method returns an `Answer`: it shows itself in a
    notebook, and has `to_frame()`, `to_json()`, `markdown()` and `html()`.
    """

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace

    def __repr__(self) -> str:
        return f"Project({self.path}: {', '.join(self.config.systems)} on {', '.join(self.config.suites)})"

    @property
    def path(self) -> Path:
        """The config file."""
        return self.workspace.path

    @property
    def config(self) -> BenchConfig:
        """The config as typed models."""
        return self.workspace.config

    def suite(self, name: str | None = None) -> Suite:
        """One of the config's suites; the only one where None."""
        return self.workspace.suite(name)

    def check(self, suite: str | None = None, *, models: Sequence[str] = (), progress: Progress = no_progress) -> Reply:
        """Findings: what makes a suite's numbers wrong or doubtful; `models`: were these trained on its data?"""
        from bench.project.suites import checked

        return checked(self.suite(suite).path, models=models, store=self.workspace.store.root, progress=progress)

    def run(
        self,
        systems: str | Sequence[str] | None = None,
        *,
        suite: str | None = None,
        gated: bool = False,
        latency: bool = False,
        out: Path | str | None = None,
        progress: Progress = no_progress,
    ) -> Results:
        """Evaluate systems on suites; only what changed is computed.

        Args:
            systems: one name or several; all of the config where None.
            suite: one suite; all where None.
            gated: only what the gate needs.
            latency: also time single queries, systems side by side.
            out: a folder for result files: one per system, or gated.json.
            progress: called during slow stages.

        Raises:
            SuitesFailed: some suites could not be evaluated; its `answer` has the results of the others.
            SystemFailed: a system failed; names the query.
        """
        from bench.project.run import evaluated

        place, names = None if out is None else Path(out), names_of(systems)
        return evaluated(
            self.workspace, suite=suite, systems=names, gated=gated, latency=latency, out=place, progress=progress
        )

    def results(self, system: str, *, suite: str | None = None) -> Results:
        """The stored results of one system; where there are none, the error says which run makes them."""
        return Results(tuple(self.workspace.stored(self.suite(suite), system)))

    def gate(
        self,
        system: str | None = None,
        *,
        suite: str | None = None,
        baseline: Path | str | None = None,
        merge_base: Sequence[Path | str] = (),
        candidate: Path | str | None = None,
        measures: str | Sequence[str] | None = None,
        margin: float | None = None,
        alpha: float | None = None,
        on_inconclusive: str | None = None,
        ceilings: bool = True,
        private: bool = False,
        commands: Sequence[str] = (),
    ) -> Judged:
        """Judge stored results against the accepted baseline; evaluates nothing.

        Args:
            system: the candidate; the config's where None.
            suite: which suite, where the config has several.
            baseline: the accepted baseline's file; the suite's where None.
            merge_base: result files of the commit that the change started from.
            candidate: a result file instead of stored results.
            measures, margin, alpha, on_inconclusive: instead of the config's.
            ceilings: whether index size and latency are judged too.
            private: leave texts of queries and documents out of every form.
            commands: command lines that give the same verdict, for its page.

        Raises:
            Missing: a result that is not stored.
            BaselineError: no accepted baseline.
            NotComparable: results of different tasks.
        """
        from bench.project.gate import judged

        options: dict[str, Any] = {"measures": measures, "margin": margin, "alpha": alpha}
        options["on_inconclusive"] = on_inconclusive
        return judged(
            self.workspace,
            self.suite(suite),
            system=system,
            baseline=None if baseline is None else Path(baseline),
            merge_base=[Path(path) for path in merge_base],
            candidate=None if candidate is None else Path(candidate),
            changed=lambda policy: changed(policy if ceilings else replace(policy, ceilings=()), **options),
            commands=commands,
            private=private,
        )

    def compare(
        self,
        baseline: str,
        candidate: str,
        *,
        suite: str | None = None,
        measures: str | Sequence[str] | None = None,
        margin: float | None = None,
        alpha: float | None = None,
    ) -> Judged:
        """Compare the stored results of two systems, or two result files; it informs, so its exit code is 0."""
        options: dict[str, Any] = {"measures": measures, "margin": margin, "alpha": alpha}
        return compare(baseline, candidate, config=str(self.path), suite=suite, **options)

    def accept(
        self,
        reason: str,
        *,
        system: str | None = None,
        suite: str | None = None,
        baseline: str | None = None,
        allow_worse: bool = False,
    ) -> Reply:
        """Make the stored results of a system the accepted baseline; `allow_worse`: whatever the gate says of them."""
        return baselines.accepted(
            self.workspace, reason=reason, suite=suite, system=system, baseline=baseline, allow_worse=allow_worse
        )

    def baselines(self, *, suite: str | None = None, baseline: str | None = None, whole: bool = True) -> Reply:
        """The accepted baselines, with their numbers where `whole`."""
        return baselines.shown(self.workspace, suite=suite, baseline=baseline, whole=whole)

    def decide(self, *, current: str | None = None, suite: str | None = None, private: bool = False) -> Decided:
        """Recommend, from stored results: no change, a hybrid, a reranker or fine-tuning; `current`: system in use."""
        from bench.project.decide import decided

        return Decided(decided(self.workspace, self.suite(suite), current=current, private=private))

    def report(
        self,
        out: Path | str | None = None,
        *,
        suite: str | None = None,
        reference: str | None = None,
        private: bool = False,
        markdown: Path | str | None = None,
        latex: Path | str | None = None,
    ) -> Reported:
        """Write the report of a suite from stored results; `reference` is the system that others are compared with."""
        from bench.project.report import reported

        page, text, tables = (None if path is None else Path(path) for path in (out, markdown, latex))
        return reported(
            self.workspace, page, suite=suite, reference=reference, private=private, markdown=text, latex=tables
        )

    def pairs(
        self, *names: str, suite: str | None = None, dry_run: bool = False, progress: Progress = no_progress
    ) -> Reply:
        """Make the training pairs of these tables, else of all; `dry_run`: only say what it would cost."""
        from bench.project import pairs

        make = pairs.estimated if dry_run else pairs.make_tables
        return make(self.workspace, pairs.named(self.workspace, names), suite=suite, progress=progress)

    def mine(
        self,
        name: str | None = None,
        *,
        suite: str | None = None,
        pairs: str | Sequence[str] | None = None,
        settings: Mapping[str, Any] | None = None,
        seed: int | None = None,
        out: Path | str | None = None,
        force: bool = False,
        private: bool = False,
        progress: Progress = no_progress,
    ) -> Mined:
        """Mine hard negatives for training queries, and write them to a file.

        `name` is a recipe; `settings` are keys of its table `negatives` that hold instead, such as {"from": ["bm25"]}.
        `bench.project.mine.mined` says what the others mean.
        """
        from bench.project.mine import mined

        return mined(
            self.workspace,
            name,
            suite=suite,
            pairs=names_of(pairs),
            settings=settings,
            seed=seed,
            out=out,
            force=force,
            private=private,
            progress=progress,
        )

    def finetune(
        self,
        name: str,
        *,
        suite: str | None = None,
        seeds: Sequence[int] | None = None,
        progress: Progress = no_progress,
    ) -> Reply:
        """Train a recipe of the config; a model that is there and unchanged is not trained again."""
        from bench.project.loop import trained

        return trained(self.workspace, name, suite=suite, seeds=seeds, progress=progress)

    def loop(
        self,
        name: str,
        *,
        suite: str | None = None,
        shares: Sequence[float] = (1.0,),
        seeds: Sequence[int] | None = None,
        progress: Progress = no_progress,
    ) -> Loop:
        """Train a recipe, evaluate it beside its base model, compare, judge; `shares` below 1 add a learning curve."""
        from bench.project.loop import loop

        return loop(self.workspace, self.suite(suite), name, shares=shares, seeds=seeds, progress=progress)

    def models(self, target: str | None = None) -> Reply:
        """The fine-tuned models, or one of them with what it was made from, its results and its promotions."""
        from bench.project import models

        return models.listed(self.workspace) if target is None else models.shown(self.workspace, target)

    def promote(
        self,
        target: str,
        reason: str,
        *,
        system: str | None = None,
        suite: str | None = None,
        baseline: Path | str | None = None,
    ) -> Attempt:
        """Make a model the one that promoted:NAME loads, if the gate passes it on every suite."""
        from bench.project.promote import promoted

        return promoted(self.workspace, target, reason=reason, system=system, suite=suite, baseline=baseline)

    def rollback(self, name: str, reason: str) -> Reply:
        """Let promoted:NAME load the model that it loaded before the last promotion."""
        from bench.project.promote import rolled_back

        return rolled_back(self.workspace, name, reason=reason)

    def history(
        self,
        *,
        suite: str | None = None,
        systems: str | Sequence[str] | None = None,
        measures: str | Sequence[str] | None = None,
        since: str | None = None,
        alpha: float = 0.05,
    ) -> OverTime:
        """Results over time `since` a date, with accepted baselines and steps; `alpha`: error rate of all steps."""
        from bench.project.history import over_time

        names = {"systems": names_of(systems), "measures": names_of(measures)}
        return over_time(self.workspace.history, suite=suite, since=since, alpha=alpha, **names)

    def drift(
        self,
        *,
        suite: str | None = None,
        system: str | None = None,
        documents: Any = None,
        queries: Any = None,
        reference: Path | str | None = None,
        snapshot: Path | str | None = None,
        alpha: float = 0.01,
        seed: int = 0,
        private: bool = False,
        progress: Progress = no_progress,
    ) -> Drifted:
        """Whether documents, queries, the base model or recall have changed since a system's model was trained.

        Args:
            documents: the corpus of today: JSON lines, a suite's folder, a frame, or id → text.
            queries: a log of today: a file of any form, a frame, or id → text.
            reference: a snapshot, JSON lines or a suite's folder, instead of what the model was trained on.
            snapshot: a file to write the reference to, for a later `reference`.
        """
        from bench.project.drift import drift
        from bench.suites.snapshot import write_snapshot

        with TemporaryDirectory(prefix="bench-") as folder:
            answer = drift(
                self.workspace,
                self.suite(suite),
                system=system,
                documents=None if documents is None else text_file(documents, Path(folder) / "documents.jsonl"),
                queries=None if queries is None else text_file(queries, Path(folder) / "queries.jsonl"),
                reference=None if reference is None else Path(reference),
                alpha=alpha,
                seed=seed,
                private=private,
                progress=progress,
            )
        if snapshot is not None:
            write_snapshot(Path(snapshot), answer.reference)
        return answer

    def export(
        self,
        kind: str,
        out: Path | str,
        *,
        suite: str | None = None,
        system: str | None = None,
        query_sets: str | Sequence[str] | None = None,
        model_name: str | None = None,
        force: bool = False,
    ) -> Reply:
        """Write a suite ("beir") or stored results ("mteb-results", "model-card") in another program's format."""
        from bench.project.suites import exported

        return exported(
            kind,
            Path(out),
            config=str(self.path),
            suite_name=suite,
            system=system,
            query_sets=names_of(query_sets),
            model_name=model_name,
            force=force,
        )
