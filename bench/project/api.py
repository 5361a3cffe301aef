"""What Python, the command line and the pytest plug-in call: a project, and one function a question.

project = bench.open("bench.toml")
project.run()
project.gate().outcome
bench.measure("run.trec", "qrels.tsv", "ndcg@10")
bench.judge(search, suite="suites/clinic")
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.base.errors import UsageError
from bench.base.progress import Progress, no_progress
from bench.gate.rules import changed
from bench.project import baseline as baselines
from bench.project import compare as files
from bench.project.answers import Calibrated, Decided, Judged, Measured, Results, Told
from bench.project.compare import Judgements, Rankings, as_qrels, as_run
from bench.project.workspace import Workspace
from bench.records import Policy, Suite
from bench.suites import suite as suites

if TYPE_CHECKING:
    from bench.config import BenchConfig
    from bench.project.drift import Drifted
    from bench.project.history import OverTime
    from bench.project.loop import Loop
    from bench.project.report import Reported

__all__ = [
    "Project",
    "calibrate",
    "compare",
    "evaluate",
    "judge",
    "load_suite",
    "measure",
    "open_project",
    "read_qrels",
    "read_run",
]

SearchFunction = Callable[..., Any]
"""`search(text)` or `search(text, depth)` → ids, (id, score) pairs, or id → score."""


def open_project(path: Path | str | None = None, *, base_ref: str | None = None) -> Project:
    """The project of a config file; `bench.toml` here where None.

    Args:
        path: the file, or the folder that holds it.
        base_ref: a git ref, such as origin/main, whose baseline, rules and suites judge; systems are the file's own.

    Raises:
        ConfigError: no such file, or all that is wrong with it.
        UsageError: git does not know the ref.
    """
    place = Path(path) / "bench.toml" if path is not None and Path(path).is_dir() else path
    return Project(Workspace.open(place, base_ref=base_ref))


class Project:
    """A config file with its suites, systems and stored results; every method is a question, and returns an answer."""

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
        """What the file says."""
        return self.workspace.config

    def suite(self, name: str | None = None) -> Suite:
        """One of its suites; the only one where None."""
        return self.workspace.suite(name)

    # --- evaluation ---

    def run(
        self,
        systems: Sequence[str] | str | None = None,
        *,
        suite: str | None = None,
        gated: bool = False,
        latency: bool = False,
        out: Path | str | None = None,
        progress: Progress = no_progress,
    ) -> Results:
        """Evaluate systems on suites; only what changed is computed.

        Args:
            systems: names; all of the config where None.
            suite: one suite; all where None.
            gated: only what the gate needs.
            latency: also time single queries, systems side by side.
            out: a folder for results: one file per system, or gated.json.
            progress: told of slow stages.

        Raises:
            SuitesFailed: some suites could not be evaluated; its `answer` has the others.
            SystemFailed: a system broke.
        """
        from bench.project.run import evaluated

        names = [systems] if isinstance(systems, str) else systems
        place = None if out is None else Path(out)
        return evaluated(
            self.workspace, suite=suite, systems=names, gated=gated, latency=latency, out=place, progress=progress
        )

    def results(self, system: str, *, suite: str | None = None) -> Results:
        """The stored results of one system.

        Raises:
            Missing: there is none that fits; says how to make it.
        """
        return Results(tuple(self.workspace.stored(self.workspace.suite(suite), system)))

    # --- the gate ---

    def gate(
        self,
        system: str | None = None,
        *,
        suite: str | None = None,
        baseline: Path | str | None = None,
        merge_base: Sequence[Path | str] = (),
        candidate: Path | str | None = None,
        commands: Sequence[str] = (),
        private: bool = False,
        ceilings: bool = True,
        **policy_changes: Any,
    ) -> Judged:
        """Judge stored results against the accepted baseline; evaluates nothing.

        Args:
            system: the candidate; the config's where None.
            suite: which suite, where the config has several.
            baseline: the accepted baseline's file; the suite's where None.
            merge_base: files of results of the commit that the change started from.
            candidate: a file of results instead of stored ones.
            commands: lines that come to the same, for the page.
            private: no texts of queries and documents in any form.
            ceilings: whether what the candidate costs is judged too.
            policy_changes: `measures`, `margin`, `alpha`, `on_inconclusive`, instead of the config's.

        Raises:
            Missing: a result that is not stored.
            BaselineError: no accepted baseline.
            NotComparable: results of different tasks.
        """
        from bench.project.gate import judged

        return judged(
            self.workspace,
            self.workspace.suite(suite),
            system=system,
            baseline=None if baseline is None else Path(baseline),
            merge_base=[Path(path) for path in merge_base],
            candidate=None if candidate is None else Path(candidate),
            changed=lambda policy: changed(policy if ceilings else replace(policy, ceilings=()), **policy_changes),
            commands=commands,
            private=private,
        )

    def compare(self, baseline: str, candidate: str, *, suite: str | None = None, **policy_changes: Any) -> Judged:
        """Two systems' stored results, or files of results; informs, and so never fails."""
        return files.compared(baseline, candidate, config=str(self.path), suite=suite, **policy_changes)

    def accept(
        self,
        reason: str,
        *,
        system: str | None = None,
        suite: str | None = None,
        baseline: str | None = None,
        allow_worse: bool = False,
    ) -> Told:
        """Make the stored results of a system the accepted baseline; see `bench baseline accept`."""
        return baselines.accepted(
            self.workspace, reason=reason, suite=suite, system=system, baseline=baseline, allow_worse=allow_worse
        )

    def baselines(self, *, suite: str | None = None, baseline: str | None = None, whole: bool = True) -> Told:
        """The accepted baselines; with their numbers where `whole`."""
        return baselines.shown(self.workspace, suite=suite, baseline=baseline, whole=whole)

    # --- what to do ---

    def decide(self, *, current: str | None = None, suite: str | None = None, private: bool = False) -> Decided:
        """What to do about retrieval, from stored results; see `bench decide`.

        Raises:
            UsageError: the system in use is no system, or has no result.
            ConfigError: nothing says which system is in use.
        """
        from bench.project.decide import decided

        return Decided(decided(self.workspace, self.workspace.suite(suite), current=current, private=private))

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
        """Write the report of a suite from stored results; see `bench report`."""
        from bench.project.report import reported

        page, text, tables = (None if path is None else Path(path) for path in (out, markdown, latex))
        return reported(
            self.workspace, page, suite=suite, reference=reference, private=private, markdown=text, latex=tables
        )

    # --- training ---

    def finetune(
        self,
        name: str,
        *,
        suite: str | None = None,
        seeds: Sequence[int] | None = None,
        progress: Progress = no_progress,
    ) -> Told:
        """Train what a recipe says; see `bench finetune`."""
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
        """Fine-tune, evaluate beside the base model, compare and judge; see `bench loop`."""
        from bench.project.loop import loop

        return loop(self.workspace, self.workspace.suite(suite), name, shares=shares, seeds=seeds, progress=progress)

    # --- over time ---

    def history(self, **only: Any) -> OverTime:
        """Results over time; `only` may hold `suite`, `systems`, `measures`, `since` and `alpha`."""
        from bench.project.history import over_time

        return over_time(self.workspace.history, **only)

    def drift(self, *, suite: str | None = None, snapshot: Path | None = None, **options: Any) -> Drifted:
        """Whether documents, queries, the base model or recall have moved; see `bench.project.drift.drift`.

        Args:
            suite: which suite, where the config has several.
            snapshot: write the reference that was used, to be used again.
            options: `system`, `documents`, `queries`, `reference`, `alpha`, `seed`, `private`, `progress`.
        """
        from bench.project.drift import drift
        from bench.suites.snapshot import write_snapshot

        found = drift(self.workspace, self.workspace.suite(suite), **options)
        if snapshot is not None:
            write_snapshot(snapshot, found.reference)
        return found


# --- without a config ---------------------------------------------------------------------------------

read_run, read_qrels = as_run, as_qrels


def load_suite(source: Any, *, progress: Progress = no_progress) -> Suite:
    """A suite from its folder, a BEIR folder, or a bundled suite's name.

    Raises:
        SuiteError: what cannot be used; names file and line.
    """
    return source if isinstance(source, Suite) else suites.load(suites.find(str(source)), progress=progress)


def evaluate(
    suite: Any,
    systems: Mapping[str, SearchFunction | Mapping[str, Any]],
    *,
    query_sets: Iterable[str] | None = None,
    measures: str | Sequence[str] | None = None,
    depth: int | None = None,
    store: Path | str | None = None,
    progress: Progress = no_progress,
) -> Results:
    """Results of systems on a suite.

    Args:
        suite: a suite, its folder, or a bundled suite's name.
        systems: name → a search function, or a table as under `[systems]`.
        query_sets: held-out and out-of-distribution sets; all where None.
        measures: instead of, or beside, the suite's own.
        depth: documents asked of each system; the suite's where None.
        store: where encodings and rankings are kept; nothing is kept where None.
        progress: told of slow stages.

    Raises:
        SystemFailed: a system broke; names the query.
        ConfigError: a table that is wrong.
    """
    from bench.project.functions import evaluated

    return evaluated(load_suite(suite), systems, query_sets, measures, depth, store, progress)


def measure(run: Rankings, qrels: Judgements, measures: str | Iterable[str] | None = None, **options: Any) -> Measured:
    """Numbers of one run against judgements: files, frames, or mappings; see `bench.project.compare.measured`.

    Args:
        run: a `Run`, a TREC file, a frame, or query id → document id → score.
        qrels: a TREC or BEIR file, a frame, or query id → document id → grade.
        measures: names; recall@10, ndcg@10, mrr@10 and recall@100 where None.
        options: `depth`, `relevance_level`, `per_query`, `name`.

    Raises:
        RunError: no judged query is in the run, or no document of it is judged.
    """
    return files.measured(run, qrels, measures, **options)


def compare(baseline: Any, candidate: Any, *, qrels: Judgements | None = None, **options: Any) -> Judged:
    """Two results, or with judgements two runs, compared query by query; informs, and so never fails.

    Args:
        baseline: results (a `Results`, a list, a file), or a run.
        candidate: likewise.
        qrels: judgements, for runs.
        options: `measures`, `margin`, `alpha`, `config`, `suite`.

    Raises:
        NotComparable: results of different tasks.
    """
    return files.compared(baseline, candidate, qrels=qrels, **options)


def judge(
    candidate: Any,
    *,
    baseline: Any = None,
    suite: Any = None,
    qrels: Judgements | None = None,
    policy: Policy | None = None,
    query_sets: Iterable[str] | None = None,
    **policy_changes: Any,
) -> Judged:
    """The gate's verdict on a search function, on results, or on a run.

    Args:
        candidate: a search function, results or a file of them; with `qrels`, a run.
        baseline: results, a file of them, or another search function; the suite's accepted baseline where None. With
            `qrels`, a run.
        suite: what a search function is evaluated on: a suite, its folder, or a bundled suite's name.
        qrels: judgements, for runs.
        policy: rules; the default ones where None.
        query_sets: held-out and out-of-distribution sets; all where None.
        policy_changes: `measures`, `margin`, `alpha`, `on_inconclusive`.

    Raises:
        BaselineError: no accepted baseline.
        NotComparable: results of different tasks.
        UsageError: a search function without a suite.
    """
    if qrels is not None:
        if baseline is None:
            raise UsageError("judge: a run is judged against another one; give baseline=.")
        return files.judged_runs(baseline, candidate, qrels, **policy_changes)
    from bench.project.functions import judged

    loaded = None if suite is None else load_suite(suite)
    return judged(candidate, baseline, loaded, changed(policy or Policy(), **policy_changes), query_sets)


def calibrate(
    judged: Judged, *, repetitions: int = 2_000, seed: int = 0, progress: Progress = no_progress
) -> Calibrated:
    """How often the gate that gave a verdict would block a harmless change, and notice a drop.

    Args:
        judged: from `judge`, `compare` or a project's `gate`.
        repetitions: draws of the queries.
        seed: of the draws.
        progress: told of the draws.
    """
    return files.calibrated(judged, repetitions=repetitions, seed=seed, progress=progress)
