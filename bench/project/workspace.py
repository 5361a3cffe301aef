"""The workspace of every question: bench.toml, its suites, its systems and the working folder."""

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
    """A checked config with the folders it names; `notes` are findings on changes since the git ref."""

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
            base_ref: a git ref that suites, store and gate are taken from, so that a change does not choose its own
                rules. Systems and recipes are always those of the file.

        Raises:
            ConfigError: no such file, or all errors in it, here or at the ref.
            UsageError: git does not know the ref.
        """
        from bench.config import load_bench

        file = Path(path or DEFAULT_CONFIG)
        if path is None and not file.exists():
            raise ConfigError(
                f"No {DEFAULT_CONFIG} in {Path.cwd()}. Go to the folder that has one, or name it: --config F. "
                "(See a whole example at work with: bench demo)"
            )
        config = load_bench(file)
        workspace = cls(file, config, Store(file.parent / config.store))
        return workspace._at_ref(base_ref) if base_ref else workspace

    def _at_ref(self, ref: str) -> Workspace:
        """The same systems under the suites, store and gate of a git ref."""
        from bench.config import load_demands

        commit = git.resolve(ref, self.base)
        text = git.read(commit, self.path)
        if text is None:
            raise ConfigError(
                f"{ref} has no {self.path}, and so no rules for this change. Merge {self.path} first, in a change that "
                "people review; the gate judges the changes after it."
            )
        demands = load_demands(text.decode("utf-8", "replace"), f"{ref}:{self.path}")
        config = self.config.model_copy(update=dict(demands))
        store = Store(self.base / config.store)
        if git.tracked(store.root):
            raise ConfigError(
                f"{store.root} is under version control: results in it may come from anywhere. Take it out "
                "(git rm -r --cached) and let git ignore it."
            )
        head, name = self.config, self.path.name
        edits = {}
        if demands.gate.policy() != head.gate.policy():
            edits["policy"] = f"This change edits [gate] in {name}; judged by the rules of {ref}."
        if demands.gate.system != head.gate.system:
            edits["system"] = (
                f'This change gates system "{head.gate.system}"; the gate judges "{demands.gate.system}", as on {ref}. '
                f"To judge the other one as well: --system {head.gate.system}"
            )
        for key in ("suites", "store"):
            if getattr(demands, key) != getattr(head, key):
                edits[key] = f"This change edits {key} in {name}; taken from {ref}: {getattr(demands, key)}."
        notes = tuple(Finding("warning", f"{key}-changed", str(self.path), text) for key, text in edits.items())
        return replace(self, config=config, store=store, base_ref=ref, commit=commit, notes=notes)

    @property
    def base(self) -> Path:
        """The folder that the config's paths start from."""
        return self.path.parent

    @property
    def reports(self) -> Path:
        """The folder of reports."""
        return self.base / self.config.reports

    @property
    def history(self) -> Path:
        """The log of results: as the config says, else `history.jsonl` among the reports."""
        file = self.config.history
        return self.base / file if file else self.reports / "history.jsonl"

    def suites(self, only: str | None = None) -> list[Suite]:
        """The config's suites, or one of them: `only` is its name, its path, or a bundled name.

        Raises:
            SuiteError: a suite that cannot be read.
        """
        suites, failed = self.readable_suites(only)
        for error in failed.values():
            raise error
        return suites

    def readable_suites(self, only: str | None = None) -> tuple[list[Suite], dict[str, BenchError]]:
        """The suites that can be read, and the errors of the others by their names in the config.

        Raises:
            ConfigError: two suites have one name.
        """
        from bench.suites import suite as suites

        places: list[tuple[str, Path | None]] = [(name, self.base) for name in self.config.suites]
        if only is not None:
            places = [place for place in places if only in (place[0], Path(place[0]).name)][:1] or [(only, None)]
        loaded: dict[str, Suite] = {}
        failed: dict[str, BenchError] = {}
        for place, base in places:
            try:
                suite = suites.load(suites.find(place, relative_to=base))
            except BenchError as error:
                failed[place] = error
                continue
            other = next((other for other, known in loaded.items() if known.name == suite.name), None)
            if other is not None:
                raise ConfigError(
                    f'{self.path}: suites "{other}" and "{place}" are both named "{suite.name}"; results could not be '
                    "told apart. Give one another name."
                )
            loaded[place] = suite
        return list(loaded.values()), failed

    def suite(self, only: str | None = None) -> Suite:
        """The named suite, or the only one.

        Raises:
            UsageError: the config has several, and `only` is None.
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

    def buildable(self, suite: Suite, names: Sequence[str] | None = None) -> tuple[list[str], dict[str, str]]:
        """Tables whose systems can be built, and the errors of the others, such as a model that is not trained yet.

        All tables of the config where `names` is None.
        """
        names, errors = list(self.config.systems if names is None else names), {}
        try:
            self.evaluator(suite, names, make=False)
            return names, {}
        except ConfigError:
            pass
        for name in names:
            try:
                self.evaluator(suite, [name], make=False)
            except ConfigError as error:
                errors[name] = str(error)
        return [name for name in names if name not in errors], errors

    def trainer(self, suite: Suite, recipe: FinetuneConfig, *, progress: Progress = no_progress) -> Evaluator:
        """An evaluator of the systems that a recipe's training needs."""
        tables = {table_of(name) for name in recipe.systems} & set(self.config.systems)
        return self.evaluator(suite, sorted(tables), progress=progress)

    def gated_system(self, name: str | None) -> str:
        """The gated system: the named one, else the config's.

        Raises:
            UsageError: there is neither.
        """
        system = name or self.config.gate.system
        if system is None:
            names = ", ".join(self.config.systems)
            raise UsageError(f'Which system? Name it with --system, or in {self.path}: [gate] system = "…" ({names}).')
        return system

    def stored(self, suite: Suite, name: str) -> list[Result]:
        """The stored results of exactly one system on every evaluation query set that it takes.

        Raises:
            Missing: no results that fit; says how to make them.
            UsageError: no such system.
        """
        return self._evaluator_of(suite, name).results([name])

    def _evaluator_of(self, suite: Suite, name: str, evaluator: Evaluator | None = None) -> Evaluator:
        evaluator = evaluator or self.evaluator(suite, [name], make=False)
        if name not in evaluator.systems:
            known = list(evaluator.systems)
            raise UsageError(f'No system "{name}"; expected one of {", ".join(known)}.{did_you_mean(name, known)}')
        return evaluator

    def gated(self, suite: Suite, name: str, policy: Policy, evaluator: Evaluator | None = None) -> list[Result]:
        """Results of the gated system and of every variant that a rule names, marked with the variant.

        The rules of `policy` name the variants. Without an `evaluator`, only stored results are taken.

        Raises:
            Missing: no results that fit; says how to make them.
            UsageError: no such system.
            ConfigError: no such variant.
        """
        from bench.retrieval.systems import variant

        evaluator = self._evaluator_of(suite, name, evaluator)
        results = []
        for label, dim, precision in policy.variants:
            system = variant(evaluator.systems, name, dim, precision) if label else name
            results += [replace(result, variant=label) for result in evaluator.results([system])]
        return results

    def tables(self, name: str) -> list[str]:
        """Tables of the config that decide how a system ranks: its own, its parts', and the recipes of its models."""
        from bench.retrieval.systems import tables

        systems = sorted(tables(self.config, [name]))
        texts = [str(self.config.systems[table]) for table in systems]
        recipes = [recipe for recipe in self.config.finetune if any(recipe in text for text in texts)]
        return [*(f"systems.{table}" for table in systems), *(f"finetune.{recipe}" for recipe in recipes)]

    def baseline_path(self, suite: Suite, file: str | None = None) -> Path:
        """The path of the accepted baseline: `file`, else the config's, else beside the suite."""
        if file:
            return Path(file)
        named = self.config.gate.baseline
        return self.base / named if named else Path(suite.path) / "baseline.json"
