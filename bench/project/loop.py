"""The fine-tune-then-evaluate loop: pairs → negatives → models → results beside the base model's → verdict.

What a recipe's models are worth is asked of the systems in the config that use them: each is compared, query by query,
with the same system built on the base model. More seeds say how much of a gain is luck of the training; smaller
shares of the pairs say what more pairs would bring.
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
from bench.project.answers import Answer, Told
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


@dataclass(frozen=True)
class Compared:
    """A system of the recipe against its counterpart on the base model; one cell a query set and measure."""

    system: str
    against: str
    cells: tuple[Cell, ...] = field(repr=False)


@dataclass(frozen=True)
class Point:
    """The mean of one model, trained on so many pairs with one seed, on one query set and measure."""

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
    """What a recipe gains over its base over several seeds; `ci` is None under five, where a claim would be luck."""

    query_set: str
    role: str
    measure: str
    n_seeds: int
    delta: float
    seed_sd: float | None
    ci: tuple[float, float] | None


@dataclass(frozen=True)
class Loop(Answer):
    """All that one loop found out.

    `left_out` are systems without a counterpart on the base model, each with why. `accepted`: the verdict is against
    the accepted baseline, not against a counterpart.
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
        blocks.append(self._comparisons(measure))
        blocks += [
            Prose([f"{system} is compared with nothing: {why.rstrip('.')}."], "warning")
            for system, why in self.left_out.items()
        ]
        against = "the accepted baseline" if self.accepted else "the counterpart"
        blocks += [*self._seeds(measure), *verdict_blocks(self.verdict)]
        blocks.append(Prose([f"{self.verdict.baseline} is {against}."]))
        if self.verdict.outcome == "pass":
            text = "Pass: no worse than the margins allow. That it is better is not shown (bench decide says more)."
            blocks.append(Prose([text]))
        return [*blocks, Prose([f"Report: bench report --config {self.config} --suite {self.suite}"])]

    def _comparisons(self, measure: str) -> Block:
        rows = [
            [
                one.system,
                one.against,
                cell.query_set,
                words.number(cell.baseline),
                words.number(cell.candidate),
                words.signed(cell.delta),
                words.interval(cell.ci),
            ]
            for one in self.compared
            for cell in one.cells
            if cell.measure == measure
        ]
        columns = ["system", "against", "query set", "base", "tuned", "difference", "95 % interval"]
        return tables.table(f"{measure}, each taken alone", columns, rows, text=3)

    def _seeds(self, measure: str) -> list[Block]:
        """What several seeds and several shares of the pairs show."""
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
                few = f"Under {stats.MINIMUM_SEEDS} seeds the spread is too poorly known for an interval of the recipe."
                blocks.append(Prose([few]))
        shares = sorted({point.share for point in self.points})
        if len(shares) > 1:
            rows = []
            for name in sorted({point.query_set for point in self.points}):
                for share in shares:
                    mine = [p for p in self.points if (p.share, p.query_set, p.measure) == (share, name, measure)]
                    mean = sum(point.mean for point in mine) / len(mine)
                    rows.append([name, f"{share:.0%}", f"{mine[0].pairs:,}", str(len(mine)), words.number(mean)])
            columns = ["query set", "share", "pairs", "seeds", measure]
            blocks.append(tables.table("Learning curve", columns, rows))
        return blocks

    def rows(self) -> list[dict[str, Any]]:
        """A row per point of the learning curve."""
        return [asdict(point) for point in self.points]

    def to_json(self) -> dict[str, Any]:
        """The document that `bench decide` and reports read; ids and texts of queries are left out."""
        return {
            "format": FORMAT,
            "recipe": self.recipe,
            "suite": self.suite,
            "suite_digest": self.suite_digest,
            "models": [
                {
                    "folder": model.folder.name,
                    "seed": model.lineage["seed"],
                    "pairs": trained_pairs(model.lineage),
                    "weights": model.lineage["weights"],
                    "seconds": model.lineage["seconds"],
                }
                for model in self.models
            ],
            "compared": [
                {"system": one.system, "against": one.against, "cells": [_numbers(cell) for cell in one.cells]}
                for one in self.compared
            ],
            "points": [asdict(point) for point in self.points],
            "gains": [asdict(gain) for gain in self.gains],
            "left_out": dict(self.left_out),
            "accepted": self.accepted,
            "verdict": self.verdict.to_json(),
        }


def loop(
    workspace: Workspace,
    suite: Suite,
    name: str,
    *,
    shares: Sequence[float] = (1.0,),
    seeds: Sequence[int] | None = None,
    progress: Progress = no_progress,
) -> Loop:
    """Train what a recipe says, evaluate what uses it beside the base, compare, judge, and keep the whole.

    Args:
        workspace: config and store.
        suite: what is trained and measured on.
        name: the recipe.
        shares: parts of the pairs, each above 0 to 1; smaller ones are nested in larger ones. 1 is always among them.
        seeds: instead of the recipe's.
        progress: told of every step.

    Raises:
        UsageError: no such recipe, or a share out of range.
        ConfigError: no system of the config uses the recipe's models.
    """
    recipe = recipe_of(workspace, name)
    recipe = recipe.model_copy(update={"seeds": list(seeds)}) if seeds else recipe
    if any(not 0 < share <= 1 for share in shares):
        raise UsageError(f"Shares of the pairs are {', '.join(map(str, shares))}; expected numbers above 0, at most 1.")
    users = systems_of(workspace, name)
    make_missing(workspace, recipe.pairs or [], suite, progress=progress)
    models = _train(workspace, suite, name, recipe, progress)
    tables, unmade = _buildable(workspace, suite, _tables(workspace, recipe, users))
    evaluator = workspace.evaluator(suite, tables, progress=progress)
    counterparts, left_out = _counterparts(workspace, name, recipe, evaluator, [u for u in users if u in tables])
    left_out |= {table: why for table, why in unmade.items() if table in users}
    if not counterparts:
        raise ConfigError(
            f'{workspace.path}: recipe "{name}" is based on "{recipe.base}", which is no system of the config, so '
            "there is nothing to compare its models with. Make the base a system, and let the recipe name it."
        )
    compared = tuple(_compared(evaluator, system, against) for system, against in counterparts.items())
    points, results, smaller = _curve(workspace, suite, name, recipe, sorted({*shares, 1.0}), models, progress)
    verdict, accepted = _verdict(workspace, suite, users, counterparts, evaluator)
    found = Loop(
        name,
        suite.name,
        suite.digest,
        (*models, *smaller),
        compared,
        points,
        _gains(evaluator, recipe, results),
        verdict,
        left_out,
        accepted,
        str(workspace.path),
    )
    write_json(workspace.store.path("loops", f"{name}.json"), found.to_json())
    return found


def _state(model: Model) -> str:
    state = f"trained in {model.lineage['seconds']:.0f} s" if model.made else "unchanged, not trained again"
    return f"{model.lineage['name']}, seed {model.lineage['seed']}: {state}"


def recipe_of(workspace: Workspace, name: str) -> FinetuneConfig:
    """A recipe of the config.

    Raises:
        UsageError: there is none of that name.
    """
    recipes = workspace.config.finetune
    if name not in recipes:
        known = ", ".join(recipes) or "none"
        raise UsageError(
            f'{workspace.path} has no recipe "{name}"; expected one of {known}.{did_you_mean(name, recipes)}'
        )
    return recipes[name]


def systems_of(workspace: Workspace, name: str) -> list[str]:
    """Tables of the config that use a recipe's models, themselves or through a part, in the config's order.

    Raises:
        ConfigError: there is none.
    """
    found: list[str] = []
    tables = workspace.config.systems
    parts = {table: _parts(workspace, table) for table in tables}
    while added := [t for t in tables if t not in found and (_uses(tables[t], name) or parts[t] & {*found})]:
        found += added
    if not found:
        raise ConfigError(
            f'{workspace.path}: no system uses the models of recipe "{name}", so nothing would be evaluated. Add one: '
            f'[systems.tuned] kind = "dense", encoder = {{ kind = "local", model = "finetune:{name}" }}'
        )
    return [table for table in tables if table in found]


def _uses(table: Mapping[str, Any], name: str) -> bool:
    """Whether a table names a recipe's model itself, not through a part."""
    models = [ModelName.parse(text) for text in texts(table)]
    return any((model.scheme, model.name) == ("finetune", name) for model in models)


def _parts(workspace: Workspace, table: str) -> set[str]:
    return {table_of(part) for part in workspace.config.system(table).parts}


def _tables(workspace: Workspace, recipe: FinetuneConfig, users: Sequence[str]) -> list[str]:
    """The recipe's systems, the base, and every table that may be a counterpart."""
    kinds = {workspace.config.systems[table]["kind"] for table in users}
    return [
        t for t, table in workspace.config.systems.items() if t in users or t == recipe.base or table["kind"] in kinds
    ]


def _buildable(workspace: Workspace, suite: Suite, tables: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """The tables whose models are there, and why the others are not: a reranker's recipe may not have been run yet."""
    found, unmade = [], {}
    for table in tables:
        try:
            workspace.evaluator(suite, [table], make=False)
        except ConfigError as problem:
            unmade[table] = str(problem)
        else:
            found.append(table)
    return found, unmade


def _train(
    workspace: Workspace, suite: Suite, name: str, recipe: FinetuneConfig, progress: Progress
) -> tuple[Model, ...]:
    evaluator = workspace.trainer(suite, recipe, progress=progress)
    return tuple(
        finetune(name, recipe, evaluator=evaluator, base=workspace.base, config=workspace.config, progress=progress)
    )


# --- what is compared with what --------------------------------------------------------------------


def _counterparts(
    workspace: Workspace, name: str, recipe: FinetuneConfig, evaluator: Evaluator, users: Sequence[str]
) -> tuple[dict[str, str], dict[str, str]]:
    """Expanded system → the same on the base model; and what has none, with why."""
    tables = workspace.config.systems
    base = recipe.base if recipe.base in tables else None
    stands_for: dict[str, str] = {}
    for table in users:
        parts = workspace.config.system(table).parts
        if _uses(tables[table], name):
            # What a reranker of this recipe is worth shows beside the ranking that it reorders.
            stands_for |= {table: parts[0]} if parts else {table: base} if base else {}
        else:
            wanted = _rebuilt(workspace, table, stands_for)
            twin = next((t for t in tables if t not in users and _rebuilt(workspace, t, {}) == wanted), base)
            stands_for |= {table: twin} if twin else {}
    found, left_out = {}, {}
    for system in selected(evaluator.systems, users):
        mine = SystemName.parse(system)
        twin = stands_for.get(mine.table)
        against = None if twin is None else _sized(twin, mine)
        if against in evaluator.systems:
            found[system] = str(against)
        else:
            left_out[system] = f'there is no system "{against}"' if against else f'"{recipe.base}" is no system'
    return found, left_out


def _sized(name: str, like: SystemName) -> str:
    """A system at another one's size; a name that has a size already keeps it."""
    own = SystemName.parse(name)
    return str(own if own.variant else like.of(own.table))


def _rebuilt(workspace: Workspace, table: str, stands_for: Mapping[str, str]) -> dict[str, Any]:
    """A table with its parts replaced by what stands for them."""

    def swap(part: str) -> str:
        own = SystemName.parse(part)
        return _sized(stands_for[own.table], own) if own.table in stands_for else part

    return workspace.config.system(table).rebuilt(swap)


def _compared(evaluator: Evaluator, system: str, against: str) -> Compared:
    before = {result.query_set: result for result in evaluator.results([against])}
    cells = [
        cell
        for result in evaluator.results([system])
        if result.query_set in before
        for cell in compare(before[result.query_set], result, margin=0.02).cells
    ]
    return Compared(system, against, tuple(cells))


def _verdict(
    workspace: Workspace,
    suite: Suite,
    users: Sequence[str],
    counterparts: Mapping[str, str],
    evaluator: Evaluator,
) -> tuple[Verdict, bool]:
    """The gate's: on the config's gated system against the accepted baseline where it is one of the recipe's; else on
    the first of the recipe's systems against its counterpart."""
    gated = workspace.config.gate.system
    if gated and table_of(gated) in users and workspace.baseline_path(suite).exists():
        workspace.gated(suite, gated, workspace.config.gate.policy(), evaluator)
        return judged(workspace, suite).verdict, True
    system = gated if gated is not None and gated in counterparts else next(iter(counterparts))
    policy = replace(workspace.config.gate.policy(), ceilings=(), system=system)
    policy = replace(policy, rules=tuple(rule for rule in policy.rules if not rule.variant and rule.slice is None))
    return judge(evaluator.results([counterparts[system]]), evaluator.results([system]), policy), False


# --- seeds and shares ------------------------------------------------------------------------------


def _curve(
    workspace: Workspace,
    suite: Suite,
    name: str,
    recipe: FinetuneConfig,
    shares: Sequence[float],
    models: Sequence[Model],
    progress: Progress,
) -> tuple[tuple[Point, ...], list[Result], list[Model]]:
    """Points of every share and seed, the results of all seeds on all pairs, and the models of smaller shares.

    The recipe's own dense system at full size stands for it; a reranker's recipe has the first system that uses it.
    """
    points: list[Point] = []
    whole: list[Result] = []
    smaller: list[Model] = []
    for share in shares:
        part = name if share == 1 else f"{name}~{share:g}"
        trained = models
        if share < 1:
            most = None if recipe.max_pairs is None else max(1, round(share * recipe.max_pairs))
            smaller_recipe = recipe.model_copy(update={"share": share, "max_pairs": most})
            trained = _train(workspace, suite, part, smaller_recipe, progress)
            smaller += trained
        for model in trained:
            seed = int(model.lineage["seed"])
            results = _with_model(workspace, suite, name, f"finetune:{part}/seed-{seed}", progress)
            whole += results if share == 1 else []
            points += [
                Point(
                    trained_pairs(model.lineage),
                    share,
                    seed,
                    result.query_set,
                    result.role,
                    measure,
                    mean,
                    len(result.scores.query_ids),
                    str(model.lineage["weights"]),
                )
                for result in results
                for measure, mean in result.scores.means().items()
            ]
    return tuple(points), whole, smaller


def _with_model(workspace: Workspace, suite: Suite, name: str, model: str, progress: Progress) -> list[Result]:
    """Results of the first system that uses the recipe itself, a dense one if any, with another of its models in it."""
    tables = workspace.config.systems
    users = [table for table in systems_of(workspace, name) if _uses(tables[table], name)]
    table = min(users, key=lambda user: bool(workspace.config.system(user).parts))

    def put(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: put(part) for key, part in value.items()}
        if isinstance(value, list):
            return [put(part) for part in value]
        return model if isinstance(value, str) and _uses({"model": value}, name) else value

    # At full size; a kind that demands a key of this name means something else by it.
    fields = type(workspace.config.system(table)).model_fields
    sizes = [key for key in ("dims", "precision") if key in fields and not fields[key].is_required()]
    made = {key: put(value) for key, value in workspace.config.systems[table].items() if key not in sizes}
    config = workspace.config.model_copy(update={"systems": {**workspace.config.systems, table: made}})
    changed = replace(workspace, config=config)
    evaluator = changed.evaluator(suite, [table], progress=progress)
    return evaluator.results([table])


def _gains(evaluator: Evaluator, recipe: FinetuneConfig, results: Sequence[Result]) -> tuple[RecipeGain, ...]:
    """Over seeds: mean gain against the base, its spread, and from five seeds on an interval for the recipe."""
    if recipe.base not in evaluator.systems or not results:
        return ()
    gains = []
    for before in evaluator.results([recipe.base]):
        mine = [result for result in results if result.query_set == before.query_set]
        averaged = _averaged(mine) if mine else before
        for measure in before.scores.measures if mine else ():
            one = difference([before], [averaged], measure, label="base")
            columns = np.stack([result.scores.column(measure) for result in mine])
            spread = float(columns.mean(axis=1).std(ddof=1)) if len(mine) > 1 else None
            interval, error = None, one.estimate.standard_error
            if spread is not None and len(mine) >= stats.MINIMUM_SEEDS and error is not None:
                units = one.estimate.n_clusters or one.n
                interval = stats.recipe_interval(
                    one.delta,
                    error * units**0.5,
                    n=units,
                    seed_sd=spread,
                    k_candidate=len(mine),
                    k_baseline=None,
                )
            gains.append(RecipeGain(before.query_set, before.role, measure, len(mine), one.delta, spread, interval))
    return tuple(gains)


def _averaged(results: Sequence[Result]) -> Result:
    """One result whose values are the means over these, which differ in their seed alone."""
    first = results[0]
    values = np.mean([result.scores.values for result in results], axis=0)
    return replace(first, scores=replace(first.scores, values=values, lists={}))


def trained(
    workspace: Workspace,
    name: str,
    *,
    suite: str | None = None,
    seeds: Sequence[int] | None = None,
    progress: Progress = no_progress,
) -> Told:
    """Train what a recipe says; models that are there and unchanged are not trained again.

    Args:
        workspace: config and store.
        name: the recipe.
        suite: which suite, where the config has several.
        seeds: instead of the recipe's.
        progress: told of steps.

    Raises:
        UsageError: no such recipe.
    """
    recipe = recipe_of(workspace, name)
    recipe = recipe.model_copy(update={"seeds": list(seeds)}) if seeds else recipe
    models = _train(workspace, workspace.suite(suite), name, recipe, progress)
    rows = [{"folder": str(m.folder), "made": m.made, "lineage": dict(m.lineage)} for m in models]
    blocks: list[Block] = [Prose([f"{_state(model)}. {model.folder}"]) for model in models]
    try:
        users = ", ".join(systems_of(workspace, name))
    except ConfigError as problem:
        blocks.append(Prose([str(problem)], "warning"))
    else:
        command = f"bench loop {name} --config {workspace.path}"
        blocks.append(Prose([f"Evaluate {users} beside the base model: {command}"]))
    return Told({"format": 1, "models": rows}, blocks)


def _numbers(cell: Cell) -> dict[str, Any]:
    return {
        "query_set": cell.query_set,
        "role": cell.role,
        "measure": cell.measure,
        "n": cell.n,
        "baseline": cell.baseline,
        "candidate": cell.candidate,
        "delta": cell.delta,
        "ci": cell.ci,
        "test": cell.test,
        "wins": cell.wins,
        "ties": cell.ties,
        "losses": cell.losses,
    }
