"""The fine-tune-then-evaluate loop: pairs → negatives → models → results beside the base model's → verdict.

Each system of the config that uses the recipe's models is compared, query by query, with the same system on the base
model. Several seeds show how much of a gain is luck of the training; smaller shares of the pairs show what more pairs
would bring.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from bench import stats
from bench.base import words
from bench.base.errors import ConfigError, UsageError, did_you_mean
from bench.base.names import ModelName, SystemName, table_of
from bench.base.progress import Progress, no_progress
from bench.base.store import write_json
from bench.config import FinetuneConfig, texts
from bench.evaluation.evaluate import Evaluator
from bench.gate.compare import compare, difference
from bench.gate.verdict import judge
from bench.project.answers import Answer, Reply
from bench.project.gate import judged
from bench.project.pairs import make_missing
from bench.project.workspace import Workspace
from bench.records import Cell, Result, Suite, Verdict
from bench.report import tables
from bench.report.blocks import Block, Prose
from bench.report.sections.verdicts import verdict_blocks
from bench.retrieval.systems import selected
from bench.train.fitting.finetune import Model, finetune
from bench.train.models import trained_pairs

FORMAT = 1
_CELL = ["query_set", "role", "measure", "n", "baseline", "candidate", "delta", "ci", "test", "wins", "ties", "losses"]
"""What the loop's document has of a cell: no ids and texts of queries."""


@dataclass(frozen=True)
class Compared:
    """A system of the recipe against its counterpart on the base model; one cell per query set and measure."""

    system: str
    against: str
    cells: tuple[Cell, ...] = field(repr=False)


@dataclass(frozen=True)
class Point:
    """The mean of one model on one query set and measure; `pairs` is the number of pairs that it was trained on."""

    pairs: int
    share: float
    seed: int
    query_set: str
    role: str
    measure: str
    mean: float
    n_queries: int
    weights: str


@dataclass(frozen=True)
class RecipeGain:
    """The gain of a recipe over its base, averaged over seeds; `ci` is None under five seeds, which show too little."""

    query_set: str
    role: str
    measure: str
    n_seeds: int
    delta: float
    seed_sd: float | None
    ci: tuple[float, float] | None


@dataclass(frozen=True)
class Loop(Answer):
    """The result of one loop.

    `left_out`: system without a counterpart on the base model → why. `accepted`: the verdict is against the accepted
    baseline, not against a counterpart.
    """

    recipe: str
    suite: str
    suite_digest: str
    models: tuple[Model, ...]
    compared: tuple[Compared, ...]
    points: tuple[Point, ...]
    gains: tuple[RecipeGain, ...]
    verdict: Verdict
    left_out: Mapping[str, str] = field(default_factory=dict)
    accepted: bool = False
    config: str = ""

    @property
    def exit_code(self) -> int:  # type: ignore[override]
        """The verdict's."""
        return self.verdict.exit_code

    def blocks(self) -> list[Block]:
        """Models, comparisons, seeds and shares, the verdict."""
        measure = self.compared[0].cells[0].measure
        blocks: list[Block] = [Prose([_state(model)]) for model in self.models]
        rows = [
            [pair.system, pair.against, cell.query_set, words.number(cell.baseline), words.number(cell.candidate),
             words.signed(cell.delta), words.interval(cell.ci)]
            for pair in self.compared
            for cell in pair.cells
            if cell.measure == measure
        ]  # fmt: skip
        columns = ["system", "against", "query set", "base", "tuned", "difference", "95 % interval"]
        blocks.append(tables.table(f"{measure}, each taken alone", columns, rows, text=3))
        for system, why in self.left_out.items():
            blocks.append(Prose([f"{system} has no counterpart to compare with: {why.rstrip('.')}."], "warning"))
        against = "accepted baseline" if self.accepted else "counterpart on the base model"
        blocks += [*self._seeds(measure), *verdict_blocks(self.verdict)]
        blocks.append(Prose([f"The verdict compares with {self.verdict.baseline}, the {against}."]))
        if self.verdict.outcome == "pass":
            blocks.append(Prose(["Pass: any drop is within the margins. A gain is not shown; see bench decide."]))
        return [*blocks, Prose([f"Report: bench report --config {self.config} --suite {self.suite}"])]

    def _seeds(self, measure: str) -> list[Block]:
        """Tables of several seeds and of several shares of the pairs."""
        blocks: list[Block] = []
        rows = [
            [g.query_set, str(g.n_seeds), words.signed(g.delta), words.number(g.seed_sd), words.interval(g.ci)]
            for g in self.gains
            if g.measure == measure and g.n_seeds > 1
        ]
        if rows:
            columns = ["query set", "seeds", "gain", "spread between seeds", "95 % interval"]
            blocks.append(tables.table(f"{measure}: the recipe against its base, over seeds", columns, rows))
            if any(g.ci is None for g in self.gains if g.n_seeds > 1):
                blocks.append(Prose([f"An interval for the recipe needs {stats.MINIMUM_SEEDS} seeds or more."]))
        curve: dict[tuple[str, float], list[Point]] = {}
        for point in sorted(self.points, key=lambda point: (point.query_set, point.share)):
            if point.measure == measure:
                curve.setdefault((point.query_set, point.share), []).append(point)
        if len({share for _, share in curve}) > 1:
            rows = []
            for (query_set, share), points in curve.items():
                mean = words.number(sum(point.mean for point in points) / len(points))
                rows.append([query_set, f"{share:.0%}", f"{points[0].pairs:,}", str(len(points)), mean])
            blocks.append(tables.table("Learning curve", ["query set", "share", "pairs", "seeds", measure], rows))
        return blocks

    def rows(self) -> list[dict[str, Any]]:
        """A row per point of the learning curve."""
        return [asdict(point) for point in self.points]

    def to_json(self) -> dict[str, Any]:
        """The document that `bench decide` and reports read; ids and texts of queries are left out."""
        models = [
            {"folder": model.folder.name, "seed": model.lineage["seed"], "pairs": trained_pairs(model.lineage)}
            | {key: model.lineage[key] for key in ("weights", "seconds")}
            for model in self.models
        ]
        compared = [
            {"system": pair.system, "against": pair.against}
            | {"cells": [{name: getattr(cell, name) for name in _CELL} for cell in pair.cells]}
            for pair in self.compared
        ]
        return {
            "format": FORMAT,
            "recipe": self.recipe,
            "suite": self.suite,
            "suite_digest": self.suite_digest,
            "models": models,
            "compared": compared,
            "points": self.rows(),
            "gains": [asdict(gain) for gain in self.gains],
            "left_out": dict(self.left_out),
            "accepted": self.accepted,
            "verdict": self.verdict.to_json(),
        }


def _state(model: Model) -> str:
    state = f"trained in {model.lineage['seconds']:.0f} s" if model.made else "unchanged, not trained again"
    return f"{model.lineage['name']}, seed {model.lineage['seed']}: {state}"


def loop(
    workspace: Workspace,
    suite: Suite,
    name: str,
    *,
    shares: Sequence[float] = (1.0,),
    seeds: Sequence[int] | None = None,
    progress: Progress = no_progress,
) -> Loop:
    """Train a recipe's models, evaluate the systems that use them beside the base, compare, judge; store the result.

    `shares` are parts of the pairs, each above 0 to 1; smaller ones are nested in larger ones, and 1 is always among
    them. `seeds` replace the recipe's.

    Raises:
        UsageError: no such recipe, or a share out of range.
        ConfigError: no system of the config uses the recipe's models.
    """
    task = _Task(workspace, suite, name, recipe_of(workspace, name, seeds), progress)
    if any(not 0 < share <= 1 for share in shares):
        raise UsageError(f"Shares of the pairs are {', '.join(map(str, shares))}; expected numbers above 0, at most 1.")
    users = systems_of(workspace, name)
    make_missing(workspace, task.recipe.pairs or [], suite, progress=progress)
    models = task.train()
    tables = workspace.config.systems
    kinds = {tables[user]["kind"] for user in users}
    # The recipe's systems, the base and every possible counterpart.
    related = [t for t in tables if t in users or t == task.recipe.base or tables[t]["kind"] in kinds]
    names, missing = workspace.buildable(suite, related)
    evaluator = workspace.evaluator(suite, names, progress=progress)
    counterparts, left_out = task.counterparts(evaluator, [user for user in users if user in names])
    left_out |= {table: why for table, why in missing.items() if table in users}
    if not counterparts:
        raise ConfigError(
            f'{workspace.path}: recipe "{name}" is based on "{task.recipe.base}", which is no system of the config, so '
            "there is nothing to compare its models with. Make the base a system, and let the recipe name it."
        )
    compared = tuple(_compared(evaluator, system, against) for system, against in counterparts.items())
    points, results, smaller = task.curve(sorted({*shares, 1.0}), models)
    verdict, accepted = task.verdict(users, counterparts, evaluator)
    answer = Loop(
        name,
        suite.name,
        suite.digest,
        (*models, *smaller),
        compared,
        points,
        _gains(evaluator, task.recipe, results),
        verdict,
        left_out,
        accepted,
        str(workspace.path),
    )
    write_json(workspace.store.path("loops", f"{name}.json"), answer.to_json())
    return answer


def recipe_of(workspace: Workspace, name: str, seeds: Sequence[int] | None = None) -> FinetuneConfig:
    """A recipe of the config, with other seeds where given.

    Raises:
        UsageError: the config has no such recipe.
    """
    recipes = workspace.config.finetune
    if name not in recipes:
        known = ", ".join(recipes) or "none"
        raise UsageError(
            f'{workspace.path} has no recipe "{name}"; expected one of {known}.{did_you_mean(name, recipes)}'
        )
    return recipes[name].model_copy(update={"seeds": list(seeds)}) if seeds else recipes[name]


def systems_of(workspace: Workspace, name: str) -> list[str]:
    """Tables of the config that use a recipe's models, themselves or through a part, in the config's order.

    Raises:
        ConfigError: there is none.
    """
    users: set[str] = set()
    tables = workspace.config.systems
    parts = {table: {table_of(part) for part in workspace.config.system(table).parts} for table in tables}
    while added := {t for t in tables if t not in users and (_names_model(tables[t], name) or parts[t] & users)}:
        users |= added
    if not users:
        raise ConfigError(
            f'{workspace.path}: no system uses the models of recipe "{name}", so nothing would be evaluated. Add one: '
            f'[systems.tuned] kind = "dense", encoder = {{ kind = "local", model = "finetune:{name}" }}'
        )
    return [table for table in tables if table in users]


def _names_model(table: Mapping[str, Any], name: str) -> bool:
    """Whether a table names a recipe's model itself, not through a part."""
    models = [ModelName.parse(text) for text in texts(table)]
    return any((model.scheme, model.name) == ("finetune", name) for model in models)


@dataclass(frozen=True)
class _Task:
    """A recipe in a workspace, trained and measured on a suite."""

    workspace: Workspace
    suite: Suite
    name: str
    recipe: FinetuneConfig
    progress: Progress

    def train(self) -> tuple[Model, ...]:
        """One model per seed; those that are there and unchanged are not trained again."""
        evaluator = self.workspace.trainer(self.suite, self.recipe, progress=self.progress)
        base, config = self.workspace.base, self.workspace.config
        models = finetune(self.name, self.recipe, evaluator=evaluator, base=base, config=config, progress=self.progress)
        return tuple(models)

    def counterparts(self, evaluator: Evaluator, users: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
        """System of the recipe → the same system on the base model; and the systems that have none, with why."""
        config, base = self.workspace.config, self.recipe.base
        twins: dict[str, str | None] = {}

        def rebuilt(table: str, twins: Mapping[str, str | None]) -> dict[str, Any]:
            """A table with its parts replaced by their counterparts."""

            def swap(part: str) -> str:
                own = SystemName.parse(part)
                twin = twins.get(own.table)
                return _sized(twin, own) if twin else part

            return config.system(table).rebuilt(swap)

        fallback = base if base in config.systems else None
        for table in users:
            if _names_model(config.systems[table], self.name):
                # The gain of a reranker of this recipe shows beside the ranking that it reorders.
                twins[table] = next(iter(config.system(table).parts), fallback)
            else:
                wanted = rebuilt(table, twins)
                others = (name for name in config.systems if name not in users)
                twins[table] = next((name for name in others if rebuilt(name, {}) == wanted), fallback)
        counterparts, left_out = {}, {}
        for system in selected(evaluator.systems, users):
            own = SystemName.parse(system)
            twin = twins.get(own.table)
            against = _sized(twin, own) if twin else None
            if against is not None and against in evaluator.systems:
                counterparts[system] = against
            else:
                left_out[system] = f'there is no system "{against}"' if against else f'"{base}" is no system'
        return counterparts, left_out

    def verdict(
        self, users: Sequence[str], counterparts: Mapping[str, str], evaluator: Evaluator
    ) -> tuple[Verdict, bool]:
        """The gate's verdict, and whether it is against the accepted baseline.

        It is where the config gates a system of the recipe and has a baseline; else the first of the recipe's systems
        is judged against its counterpart.
        """
        gated, policy = self.workspace.config.gate.system, self.workspace.config.gate.policy()
        if gated and table_of(gated) in users and self.workspace.baseline_path(self.suite).exists():
            self.workspace.gated(self.suite, gated, policy, evaluator)
            return judged(self.workspace, self.suite).verdict, True
        system = gated if gated is not None and gated in counterparts else next(iter(counterparts))
        rules = tuple(rule for rule in policy.rules if not rule.variant and rule.slice is None)
        policy = replace(policy, ceilings=(), system=system, rules=rules)
        return judge(evaluator.results([counterparts[system]]), evaluator.results([system]), policy), False

    def curve(
        self, shares: Sequence[float], models: Sequence[Model]
    ) -> tuple[tuple[Point, ...], list[Result], list[Model]]:
        """Points of every share and seed, the results of all seeds on all pairs, and the models of smaller shares."""
        points: list[Point] = []
        full: list[Result] = []
        smaller: list[Model] = []
        for share in shares:
            name, trained = self.name, models
            if share < 1:
                name = f"{name}~{share:g}"
                most = None if self.recipe.max_pairs is None else max(1, round(share * self.recipe.max_pairs))
                recipe = self.recipe.model_copy(update={"share": share, "max_pairs": most})
                trained = replace(self, name=name, recipe=recipe).train()
                smaller += trained
            for model in trained:
                seed, weights = int(model.lineage["seed"]), str(model.lineage["weights"])
                results = self.results_with(f"finetune:{name}/seed-{seed}")
                full += results if share == 1 else []
                for r in results:
                    head, n_queries = (trained_pairs(model.lineage), share, seed), len(r.scores.query_ids)
                    for measure, mean in r.scores.means().items():
                        points.append(Point(*head, r.query_set, r.role, measure, mean, n_queries, weights))
        return tuple(points), full, smaller

    def results_with(self, model: str) -> list[Result]:
        """Results of the first system that names the recipe's model, a dense one if any, with `model` in its place.

        The system is evaluated at full size.
        """
        config = self.workspace.config
        users = [t for t in systems_of(self.workspace, self.name) if _names_model(config.systems[t], self.name)]
        table = min(users, key=lambda user: bool(config.system(user).parts))

        def put(value: Any) -> Any:
            if isinstance(value, Mapping):
                return {key: put(part) for key, part in value.items()}
            if isinstance(value, list):
                return [put(part) for part in value]
            return model if isinstance(value, str) and _names_model({"model": value}, self.name) else value

        # A kind that requires a key of this name means something else by it.
        fields = type(config.system(table)).model_fields
        sizes = [key for key in ("dims", "precision") if key in fields and not fields[key].is_required()]
        changed = {key: put(value) for key, value in config.systems[table].items() if key not in sizes}
        config = config.model_copy(update={"systems": {**config.systems, table: changed}})
        workspace = replace(self.workspace, config=config)
        return workspace.evaluator(self.suite, [table], progress=self.progress).results([table])


def _sized(name: str, like: SystemName) -> str:
    """A system at another one's size; a name that has a size already keeps it."""
    own = SystemName.parse(name)
    return str(own if own.variant else like.of(own.table))


def _compared(evaluator: Evaluator, system: str, against: str) -> Compared:
    before = {result.query_set: result for result in evaluator.results([against])}
    cells = [
        cell
        for result in evaluator.results([system])
        if result.query_set in before
        for cell in compare(before[result.query_set], result, margin=0.02).cells
    ]
    return Compared(system, against, tuple(cells))


def _gains(evaluator: Evaluator, recipe: FinetuneConfig, results: Sequence[Result]) -> tuple[RecipeGain, ...]:
    """Mean gain over the base, its spread between seeds, and from five seeds on an interval for the recipe."""
    if recipe.base not in evaluator.systems:
        return ()
    gains = []
    for base in evaluator.results([recipe.base]):
        seeds = [result for result in results if result.query_set == base.query_set]
        if not seeds:
            continue
        values = np.mean([result.scores.values for result in seeds], axis=0)
        averaged = replace(seeds[0], scores=replace(seeds[0].scores, values=values, lists={}))
        for measure in base.scores.measures:
            gain = difference([base], [averaged], measure, label="base")
            means = np.stack([result.scores.column(measure) for result in seeds]).mean(axis=1)
            spread = float(means.std(ddof=1)) if len(seeds) > 1 else None
            interval, error = None, gain.estimate.standard_error
            if spread is not None and len(seeds) >= stats.MINIMUM_SEEDS and error is not None:
                units = gain.estimate.n_clusters or gain.n
                scale = error * units**0.5
                interval = stats.recipe_interval(
                    gain.delta, scale, n=units, seed_sd=spread, k_candidate=len(seeds), k_baseline=None
                )
            gains.append(RecipeGain(base.query_set, base.role, measure, len(seeds), gain.delta, spread, interval))
    return tuple(gains)


def trained(
    workspace: Workspace,
    name: str,
    *,
    suite: str | None = None,
    seeds: Sequence[int] | None = None,
    progress: Progress = no_progress,
) -> Reply:
    """Train a recipe's models; models that are there and unchanged are not trained again.

    Raises:
        UsageError: no such recipe.
    """
    recipe = recipe_of(workspace, name, seeds)
    models = _Task(workspace, workspace.suite(suite), name, recipe, progress).train()
    rows = [{"folder": str(m.folder), "made": m.made, "lineage": dict(m.lineage)} for m in models]
    blocks: list[Block] = [Prose([f"{_state(model)}. {model.folder}"]) for model in models]
    try:
        users = ", ".join(systems_of(workspace, name))
    except ConfigError as problem:
        blocks.append(Prose([str(problem)], "warning"))
    else:
        command = f"bench loop {name} --config {workspace.path}"
        blocks.append(Prose([f"Evaluate {users} beside the base model: {command}"]))
    return Reply({"format": 1, "models": rows}, blocks)
