"""What a verb works on: bench.toml, its suites, its systems and the working folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.base import git
from bench.base.errors import BenchError, ConfigError, UsageError, did_you_mean
from bench.base.names import table_of
from bench.base.progress import Progress, no_progress
from bench.base.store import Store
from bench.records import Finding, Policy, Result, Suite

if TYPE_CHECKING:
    from bench.config import BenchConfig, FinetuneConfig
    from bench.evaluation.evaluate import Evaluator

DEFAULT_CONFIG = "bench.toml"


@dataclass(frozen=True)
class Workspace:
    """A checked config with the folders it names."""

    path: Path
    config: BenchConfig
    store: Store
    base_ref: str | None = None
    commit: str | None = None
    notes: tuple[Finding, ...] = ()

    @classmethod
    def open(cls, path: Path | str | None = None, *, base_ref: str | None = None) -> Workspace:
        """The workspace of a config file.

        Args:
            path: the file; `bench.toml` here where None.
            base_ref: a git ref that says by what a change is judged: suites, store and gate are those of its config,
                and `notes` tell what the change edits of them. Systems and recipes are always those of the file.

        Raises:
            ConfigError: no such file, or what is wrong with it, here or at the ref.
            UsageError: git does not know the ref.
        """
        from bench.config import load_bench

        found = Path(path or DEFAULT_CONFIG)
        if path is None and not found.exists():
            raise ConfigError(
                f"No {DEFAULT_CONFIG} in {Path.cwd()}. Go to the folder that has one, or name it: --config F. "
                "(See a whole example at work with: bench demo)"
            )
        config = load_bench(found)
        opened = cls(found, config, Store(found.parent / config.store))
        return opened._judged_by(base_ref) if base_ref else opened

    def _judged_by(self, ref: str) -> Workspace:
        """The same systems under the demands of a git ref."""
        from bench.config import load_demands

        commit = git.resolve(ref, self.base)
        text = git.read(commit, self.path)
        if text is None:
            raise ConfigError(
                f"{ref} has no {self.path}, so nothing there says what is demanded. The first gate of a repository is "
                "reviewed by people and merged; from then on it judges."
            )
        demands = load_demands(text.decode("utf-8", "replace"), f"{ref}:{self.path}")
        config = self.config.model_copy(update=dict(demands))
        store = Store(self.base / config.store)
        if git.tracked(store.root):
            raise ConfigError(
                f"{store.root} is under version control: results in it may come from anywhere. Take it out "
                "(git rm -r --cached) and let git ignore it."
            )
        head, where = self.config, str(self.path)
        edits = []
        if demands.gate.policy() != head.gate.policy():
            edits.append(
                ("policy-changed", f"This change edits [gate] in {self.path.name}; judged by the rules of {ref}.")
            )
        if demands.gate.system != head.gate.system:
            sentence = (
                f'This change gates system "{head.gate.system}"; judged is "{demands.gate.system}", as {ref} has it. '
                f"To judge the other one as well: --system {head.gate.system}"
            )
            edits.append(("system-changed", sentence))
        for key in ("suites", "store"):
            if getattr(demands, key) != getattr(head, key):
                sentence = f"This change edits {key} in {self.path.name}; taken from {ref}: {getattr(demands, key)}."
                edits.append((f"{key}-changed", sentence))
        notes = tuple(Finding("warning", code, where, sentence) for code, sentence in edits)
        return replace(self, config=config, store=store, base_ref=ref, commit=commit, notes=notes)

    @property
    def base(self) -> Path:
        """The folder that the config's paths start from."""
        return self.path.parent

    @property
    def reports(self) -> Path:
        """Where reports go."""
        return self.base / self.config.reports

    @property
    def history(self) -> Path:
        """The log of results: as the config says, else `history.jsonl` among the reports."""
        named = self.config.history
        return self.base / named if named else self.reports / "history.jsonl"

    def suites(self, only: str | None = None) -> list[Suite]:
        """The config's suites, or the one that `only` names: by the suite's name, its path, or a bundled name.

        Raises:
            SuiteError: a suite that cannot be read.
        """
        found, failed = self.readable_suites(only)
        for error in failed.values():
            raise error
        return found

    def readable_suites(self, only: str | None = None) -> tuple[list[Suite], dict[str, BenchError]]:
        """The suites of `suites` that can be read, and of the others, by their names in the config, why they cannot.

        Raises:
            ConfigError: two suites have one name.
        """
        from bench.suites import suite as suites

        places: list[tuple[str, Path | None]] = [(name, self.base) for name in self.config.suites]
        if only is not None:
            places = [place for place in places if only in (place[0], Path(place[0]).name)][:1] or [(only, None)]
        found: list[tuple[str, Suite]] = []
        failed: dict[str, BenchError] = {}
        for place, base in places:
            try:
                loaded = suites.load(suites.find(place, relative_to=base))
            except BenchError as error:
                failed[place] = error
                continue
            for other, suite in found:
                if suite.name == loaded.name:
                    raise ConfigError(
                        f'{self.path}: suites "{other}" and "{place}" are both named "{loaded.name}"; results could '
                        "not be told apart. Give one another name."
                    )
            found.append((place, loaded))
        return [suite for _, suite in found], failed

    def suite(self, only: str | None = None) -> Suite:
        """The one suite meant.

        Raises:
            UsageError: the config names several, and `only` none of them.
        """
        if only is None and len(self.config.suites) > 1:
            names = ", ".join(self.config.suites)
            raise UsageError(f"The config names several suites ({names}); say which: --suite NAME.")
        return self.suites(only)[0]

    def evaluator(
        self, suite: Suite, only: Sequence[str] | None = None, *, make: bool = True, progress: Progress = no_progress
    ) -> Evaluator:
        """An evaluator of the named systems and their parts; of all where None."""
        from bench.evaluation.evaluate import Evaluator
        from bench.retrieval import systems

        built = systems.build(self.config, systems.Context(self.base, self.store), only=only)
        return Evaluator(suite, built, self.store, make=make, progress=progress)

    def trainer(self, suite: Suite, recipe: FinetuneConfig, *, progress: Progress = no_progress) -> Evaluator:
        """An evaluator of the systems that a recipe's training needs."""
        tables = {table_of(name) for name in recipe.systems} & set(self.config.systems)
        return self.evaluator(suite, sorted(tables), progress=progress)

    def gated_system(self, name: str | None) -> str:
        """The system under judgement: the one named, else the config's.

        Raises:
            UsageError: neither names one.
        """
        found = name or self.config.gate.system
        if found is None:
            names = ", ".join(self.config.systems)
            raise UsageError(f'Which system? Name it with --system, or in {self.path}: [gate] system = "…" ({names}).')
        return found

    def stored(self, suite: Suite, name: str) -> list[Result]:
        """The stored results of exactly one system on every evaluation query set it takes.

        Raises:
            Missing: there is none that fits; says how to make it.
            UsageError: no such system.
        """
        evaluator = self.evaluator(suite, [name], make=False)
        if name not in evaluator.systems:
            known = list(evaluator.systems)
            raise UsageError(f'No system "{name}"; expected one of {", ".join(known)}.{did_you_mean(name, known)}')
        return evaluator.results([name])

    def gated(self, suite: Suite, name: str, policy: Policy, evaluator: Evaluator | None = None) -> list[Result]:
        """Results of the gated system and of every variant that a rule names, each marked as what it is.

        Args:
            suite: what is measured.
            name: the gated system.
            policy: its rules name the variants.
            evaluator: one that may make results; only stored ones are taken where None.

        Raises:
            Missing: there is none that fits; says how to make it.
            UsageError: no such system.
            ConfigError: no such variant.
        """
        from bench.retrieval.systems import variant

        evaluator = evaluator or self.evaluator(suite, [name], make=False)
        if name not in evaluator.systems:
            known = list(evaluator.systems)
            raise UsageError(f'No system "{name}"; expected one of {", ".join(known)}.{did_you_mean(name, known)}')
        found = []
        for label, dim, precision in policy.variants:
            system = variant(evaluator.systems, name, dim, precision) if label else name
            found += [replace(result, variant=label) for result in evaluator.results([system])]
        return found

    def tables(self, name: str) -> list[str]:
        """Tables of the config that decide how a system ranks: its own, its parts', and the recipes of its models."""
        from bench.retrieval.systems import tables

        found = sorted(tables(self.config, [name]))
        recipes = [
            recipe for recipe in self.config.finetune if any(recipe in str(self.config.systems[t]) for t in found)
        ]
        return [*(f"systems.{table}" for table in found), *(f"finetune.{recipe}" for recipe in recipes)]

    def baseline_path(self, suite: Suite, given: str | None = None) -> Path:
        """Where the accepted baseline is: as given, else as the config says, else beside the suite."""
        if given:
            return Path(given)
        named = self.config.gate.baseline
        return self.base / named if named else Path(suite.path) / "baseline.json"
