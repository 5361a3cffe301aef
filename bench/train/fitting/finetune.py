"""From a recipe to a model folder with its lineage, or to the one that was made before. A broken training goes on."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from bench.base import git
from bench.base.errors import ConfigError
from bench.base.progress import Progress, no_progress
from bench.base.store import write_json
from bench.config import BenchConfig, FinetuneConfig
from bench.evaluation.evaluate import Evaluator, environment
from bench.records import digest_of
from bench.retrieval.embed import embed
from bench.retrieval.encoders import find_model, weights_digest
from bench.retrieval.encoders.local import Config as LocalConfig
from bench.retrieval.encoders.local import LocalEncoder, library_version
from bench.suites.snapshot import REFERENCE, of_suite, write_snapshot
from bench.train.fitting import workers
from bench.train.fitting.bi_encoder import BiEncoder
from bench.train.fitting.cross_encoder import CrossEncoder
from bench.train.fitting.dev import dev_measure
from bench.train.fitting.fit import Curves, fit
from bench.train.fitting.rows import Rows, build_rows
from bench.train.fitting.saving import whole_folder
from bench.train.fitting.trainee import libraries
from bench.train.loading import from_suite, load
from bench.train.mining import mine
from bench.train.models import lineage, model_folder, recipe_settings, set_current, write_lineage
from bench.train.negatives import Negatives
from bench.train.pairs import Pairs


@dataclass(frozen=True)
class Model:
    """A fine-tuned model: its folder, its lineage, and whether it was made now or found."""

    folder: Path
    lineage: Mapping[str, Any]
    made: bool


def finetune(
    name: str,
    recipe: FinetuneConfig,
    *,
    evaluator: Evaluator,
    base: Path,
    config: BenchConfig | None = None,
    progress: Progress = no_progress,
) -> list[Model]:
    """One model per seed of the recipe; a model whose inputs have not changed is not trained again.

    A sweep trains every combination with the first seed; the best on dev is the recipe of all seeds.

    Args:
        name: the recipe's name: its models are called `finetune:NAME` afterwards.
        recipe: what is trained on what.
        evaluator: the suite, the systems that negatives come from, and the store.
        base: folder that relative model paths start from.
        config: has the tables of `[pairs]`; needed where the recipe names pairs.
        progress: told of every step.

    Raises:
        HeldOutError: the recipe would train on held-out data.
        ConfigError: the base is no model, or dimensions exceed it.
    """
    workers.start(recipe.device)
    if recipe.sweep:
        recipe = _best(name, recipe, evaluator, base, config, progress)
    models = []
    stated = config.finetune[name].seeds if config and name in config.finetune else recipe.seeds
    for seed in recipe.seeds:
        model = _one(name, recipe, seed, evaluator, base, config, progress)
        if workers.rank() == 0:
            set_current(model.folder, seed=seed, first=seed == stated[0])
        models.append(model)
    return models


def _best(
    name: str,
    recipe: FinetuneConfig,
    evaluator: Evaluator,
    base: Path,
    config: BenchConfig | None,
    progress: Progress,
) -> FinetuneConfig:
    """The recipe with the combination of its sweep that is best on dev, the first of equals; all are written down."""
    tried = []
    for combination in recipe.combinations():
        one = recipe.model_copy(update=combination | {"sweep": {}})
        model = _one(name, one, recipe.seeds[0], evaluator, base, config, progress)
        tried.append((float(model.lineage["best"]["dev"]), combination, one, model.folder.name))
    dev, combination, chosen, _ = max(tried, key=lambda row: row[0])
    if workers.rank() == 0:
        rows = [{"dev": value, "folder": folder, **values} for value, values, _, folder in tried]
        document = {"format": 1, "measure": recipe.eval.measure if recipe.eval else None, "seed": recipe.seeds[0]}
        path = evaluator.store.path("models", name) / "sweep.json"
        write_json(path, document | {"tried": rows, "chosen": {"dev": dev, **combination}}, indent=1)
    return chosen


def _base_folder(base_name: str, evaluator: Evaluator, base: Path) -> Path:
    """The base model's folder: a dense system's encoder, or a model's own name."""
    system = evaluator.systems.get(base_name)
    if system is not None:
        encoder: Any = getattr(system, "encoder", None)
        if not hasattr(encoder, "folder"):
            raise ConfigError(f'finetune base "{base_name}" is a {system.kind} system; expected a dense one.')
        return Path(encoder.folder)
    return find_model(base_name, base=base, models=evaluator.store.root / "models")


def _pairs(
    recipe: FinetuneConfig, evaluator: Evaluator, base: Path, config: BenchConfig | None, progress: Progress
) -> Pairs:
    """The pairs that the recipe names; the suite's training sets where it names none.

    Raises:
        ConfigError: it would choose its step on queries that it trains on.
    """
    sets = evaluator.suite.query_sets
    learnt = [name for name in recipe.pairs or () if name in sets and sets[name].role == "dev"]
    if learnt and recipe.eval:
        raise ConfigError(
            f'The recipe trains on "{learnt[0]}", of role dev, and eval chooses the step by the dev sets: it would '
            "choose by what it has learnt. Leave one of the two out."
        )
    if recipe.pairs is None:
        return from_suite(evaluator.suite, progress=progress)
    if config is None:
        raise ConfigError("A recipe that names its pairs is trained from a config: bench finetune NAME.")
    return load(recipe.pairs, evaluator.suite, base=base, config=config, progress=progress)


def _prompts(base_name: str, folder: Path, evaluator: Evaluator) -> dict[str, str]:
    """What is put before queries and documents: as the base system of the config does, else as the model says."""
    encoder: Any = getattr(evaluator.systems.get(base_name), "encoder", None)
    if not hasattr(encoder, "prompts"):
        config = LocalConfig(kind="local", model=str(folder.absolute()))
        encoder = LocalEncoder(config, base=folder, models=folder)
    return dict(encoder.prompts)


@dataclass(frozen=True)
class _Prepared:
    """All that a training needs, made by the first process and handed to the others."""

    name: str
    recipe: FinetuneConfig
    seed: int
    base: Path
    inputs: Mapping[str, Any]
    data: Mapping[str, Any]
    rows: Rows = field(repr=False)
    prompts: Mapping[str, str]
    guide: Any = field(repr=False)

    @property
    def key(self) -> str:
        """Names the model's folder."""
        return digest_of(self.inputs)


def _prepare(
    name: str,
    recipe: FinetuneConfig,
    seed: int,
    evaluator: Evaluator,
    base: Path,
    config: BenchConfig | None,
    progress: Progress,
) -> _Prepared:
    folder = _base_folder(recipe.base, evaluator, base)
    everything = _pairs(recipe, evaluator, base, config, progress)
    pairs = everything if recipe.share == 1 else everything.part(recipe.share, seed=seed)
    negatives = mine(evaluator, pairs, recipe.negatives, seed=seed, progress=progress) if recipe.negatives else None
    rows = build_rows(recipe, pairs, negatives, seed)
    prompts = _prompts(recipe.base, folder, evaluator) if recipe.kind == "bi-encoder" else {}
    guide = _guide(recipe, rows, evaluator, base, progress)
    inputs = {
        "recipe": recipe_settings(recipe),
        "base": weights_digest(folder),
        "pairs": pairs.digest,
        "negatives": negatives.digest if negatives else None,
        "prompts": prompts,
        "guide": guide[0] if guide else None,
        "dev": evaluator.suite.digest if recipe.eval else None,
        "seed": seed,
        "processes": workers.world_size(),
        "libraries": {lib: library_version(lib) for lib in ("sentence-transformers", "transformers", "torch")},
    }
    return _Prepared(name, recipe, seed, folder, inputs, _data(pairs, negatives, rows), rows, prompts, guide)


def _guide(recipe: FinetuneConfig, rows: Rows, evaluator: Evaluator, base: Path, progress: Progress) -> Any:
    """The guide's weights digest and its vectors of all queries and documents, by the cache; None without a guide."""
    if recipe.guide is None:
        return None
    system = evaluator.systems.get(recipe.guide)
    encoder: Any = getattr(system, "encoder", None)
    if encoder is None:
        models = evaluator.store.root / "models"
        encoder = LocalEncoder(LocalConfig(kind="local", model=recipe.guide), base=base, models=models)
    options: dict[str, Any] = {"store": evaluator.store, "progress": progress}
    queries = embed(encoder, rows.queries, kind="query", **options).rows
    documents = embed(encoder, rows.documents, kind="document", **options).rows
    return digest_of(encoder.fingerprint()), (queries, documents)


def _data(pairs: Pairs, negatives: Negatives | None, rows: Rows) -> dict[str, Any]:
    return {
        "sources": list(pairs.sources),
        "origins": pairs.origins,
        "pairs": len(pairs.pairs),
        "pairs_digest": pairs.digest,
        "dropped_as_leaks": list(pairs.dropped),
        "negatives_digest": negatives.digest if negatives else None,
        "mining": negatives.report.to_json() if negatives else None,
        "trained_pairs": rows.n_pairs,
        "rows": len(rows),
    }


def _one(
    name: str,
    recipe: FinetuneConfig,
    seed: int,
    evaluator: Evaluator,
    base: Path,
    config: BenchConfig | None,
    progress: Progress,
) -> Model:
    """The model of one seed. The first process writes; the others train with it."""
    started = time.perf_counter()
    prepared = workers.main_alone(lambda: _prepare(name, recipe, seed, evaluator, base, config, progress))
    folder = model_folder(evaluator.store, name, prepared.key)
    first = workers.rank() == 0
    with contextlib.ExitStack() as held:
        if first:
            told = f"{name}: another process trains this model; waiting for it"
            waiting = partial(progress, told, 0, 0)
            held.enter_context(evaluator.store.prepare().lock(f"finetune-{folder.name}", waiting=waiting))
        found = workers.main_alone(lambda: lineage(folder))
        if found is not None:
            return Model(folder, found, made=False)
        scratch = folder.parent / f".training-{folder.name}"
        scratch.mkdir(parents=True, exist_ok=True)
        seconds = time.perf_counter() - started
        trainee, curves = _train(prepared, scratch, evaluator, progress if first else no_progress)
        document = workers.main_alone(lambda: _finish(prepared, trainee, curves, scratch, folder, evaluator, seconds))
    return Model(folder, document, made=True)


def _train(
    prepared: _Prepared, scratch: Path, evaluator: Evaluator, progress: Progress
) -> tuple[BiEncoder | CrossEncoder, Curves]:
    import torch

    recipe = prepared.recipe
    with libraries(recipe.kind):
        torch.manual_seed(prepared.seed)
        trainee: BiEncoder | CrossEncoder
        if recipe.kind == "bi-encoder":
            guide = prepared.guide[1] if prepared.guide else None
            trainee = BiEncoder(prepared.base, recipe, prepared.rows, prompts=prepared.prompts, guide=guide)
        else:
            trainee = CrossEncoder(prepared.base, recipe, prepared.rows)
        stage = "fine-tune bi-encoder" if recipe.kind == "bi-encoder" else "train reranker"
        dev = None
        if recipe.eval:
            dev = dev_measure(evaluator, recipe, trainee) if workers.rank() == 0 else float
        curves = fit(trainee, recipe, seed=prepared.seed, folder=scratch, stage=stage, dev=dev, progress=progress)
    return trainee, curves


def _finish(
    prepared: _Prepared,
    trainee: BiEncoder | CrossEncoder,
    curves: Curves,
    scratch: Path,
    folder: Path,
    evaluator: Evaluator,
    seconds: float,
) -> dict[str, Any]:
    """Save the model with its lineage, move it to its place, and leave nothing of the training behind."""
    with whole_folder(scratch / "model") as made:
        trainee.save(made / "model")
        for part in (made / "model").iterdir():
            part.replace(made / part.name)
        (made / "model").rmdir()
        if prepared.recipe.keep_checkpoints:
            (scratch / "checkpoints").replace(made / "checkpoints")
        document = _document(prepared, trainee, curves, evaluator, seconds)
        document["weights"] = weights_digest(made)
        # What the model knew, for bench drift: the suite moves on, and a digest alone cannot be compared with.
        known = of_suite(evaluator.suite, "train")
        write_snapshot(made / REFERENCE, known)
        document["data"]["reference"] = {"file": REFERENCE, "digest": known.digest}
        write_lineage(made, document)
    if folder.exists():
        shutil.rmtree(folder)
    (scratch / "model").replace(folder)
    shutil.rmtree(scratch, ignore_errors=True)
    return document


def _document(
    prepared: _Prepared, trainee: BiEncoder | CrossEncoder, curves: Curves, evaluator: Evaluator, seconds: float
) -> dict[str, Any]:
    """The lineage: base, recipe, data, seed, versions, curves, speed."""
    suite, recipe = evaluator.suite, prepared.recipe
    stages = {"prepare": seconds, **curves.seconds}
    padding = 1 - curves.tokens_seen / curves.tokens_padded if curves.tokens_padded else 0.0
    # The folder's own place is no property of the model; its last two names say enough to a reader.
    return {
        "name": prepared.name,
        "kind": recipe.kind,
        "base": {
            "name": recipe.base,
            "folder": "/".join(prepared.base.parts[-2:]),
            "weights": prepared.inputs["base"],
        },
        "recipe": prepared.inputs["recipe"],
        "seed": prepared.seed,
        "suite": {"name": suite.name, "version": suite.version, "digest": suite.digest},
        "data": dict(prepared.data),
        "prompts": dict(prepared.prompts),
        "parameters": trainee.parameters(),
        "history": curves.history,
        "steps": curves.step,
        "best": curves.best,
        "stopped_early": curves.stopped_early,
        "checkpoints": curves.kept,
        "resumed": curves.resumed,
        "seconds": round(sum(stages.values()), 3),
        "stages": {stage: round(value, 3) for stage, value in stages.items()},
        "rows_per_second": round(curves.rows_seen / max(curves.seconds["train"], 1e-9), 3),
        "padding": round(padding, 4),
        **_machine(trainee),
        "environment": environment(),
        "commit": git.commit(),
    }


def _machine(trainee: BiEncoder | CrossEncoder) -> dict[str, Any]:
    """Device, processes, threads, and the most memory that was held (this process; bytes)."""
    import resource

    import torch

    memory = {"process": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}
    if trainee.device.type == "cuda":
        memory["device"] = int(torch.cuda.max_memory_allocated(trainee.device))
    return {
        "device": str(trainee.device),
        "processes": workers.world_size(),
        "threads": torch.get_num_threads(),
        "peak_memory_bytes": memory,
    }
