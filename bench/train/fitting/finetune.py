"""From a recipe to a model folder with its lineage, or to the model made before. An interrupted training continues."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
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
from bench.train.fitting.dev import dev_measure
from bench.train.fitting.fit import Curves, fit
from bench.train.fitting.rows import Rows, build_rows
from bench.train.fitting.trainee import BiEncoder, CrossEncoder, libraries
from bench.train.loading import from_suite, load
from bench.train.mining import mine
from bench.train.models import lineage, model_folder, recipe_settings, set_current, write_lineage
from bench.train.pairs import Pairs


@dataclass(frozen=True)
class Model:
    """A fine-tuned model: its folder, its lineage, and whether it was trained now."""

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
        name: the recipe's name; its models are called `finetune:NAME` afterwards.
        evaluator: the suite, the systems that negatives come from, and the store.
        base: folder that relative model paths start from.
        config: has the tables of `[pairs]`; needed where the recipe names pairs.

    Raises:
        HeldOutError: the recipe would train on held-out data.
        ConfigError: the base is no model, or dimensions exceed it.
    """
    workers.start(recipe.device)
    training = _Training(name, recipe, recipe.seeds[0], evaluator, base, config, progress)
    if recipe.sweep:
        recipe = _best(training)
    models = []
    first = (config.finetune[name] if config and name in config.finetune else recipe).seeds[0]
    for seed in recipe.seeds:
        model = replace(training, recipe=recipe, seed=seed).run()
        if workers.rank() == 0:
            set_current(model.folder, seed=seed, first=seed == first)
        models.append(model)
    return models


def _best(training: _Training) -> FinetuneConfig:
    """The recipe with the combination of its sweep that is best on dev, the first of equals; all are written down."""
    recipe = training.recipe
    tried = []
    for combination in recipe.combinations():
        candidate = recipe.model_copy(update=combination | {"sweep": {}})
        model = replace(training, recipe=candidate).run()
        tried.append((float(model.lineage["best"]["dev"]), combination, candidate, model.folder.name))
    dev, combination, best, _ = max(tried, key=lambda row: row[0])
    if workers.rank() == 0:
        rows = [{"dev": value, "folder": folder, **values} for value, values, _, folder in tried]
        document = {"format": 1, "measure": recipe.eval.measure if recipe.eval else None, "seed": training.seed}
        path = training.evaluator.store.path("models", training.name) / "sweep.json"
        write_json(path, document | {"tried": rows, "chosen": {"dev": dev, **combination}}, indent=1)
    return best


@dataclass(frozen=True)
class _Inputs:
    """The inputs of a training, prepared by the first process and sent to the others."""

    base: Path
    identity: Mapping[str, Any]
    data: Mapping[str, Any]
    rows: Rows = field(repr=False)
    prompts: Mapping[str, str]
    guide: Any = field(repr=False)


@dataclass(frozen=True)
class _Training:
    """The training of one model: a recipe with one seed."""

    name: str
    recipe: FinetuneConfig
    seed: int
    evaluator: Evaluator
    base: Path
    config: BenchConfig | None
    progress: Progress

    def run(self) -> Model:
        """The model. The first process writes; the others train with it."""
        started = time.perf_counter()
        inputs = workers.main_alone(self._prepare)
        store = self.evaluator.store
        folder = model_folder(store, self.name, digest_of(inputs.identity))
        first = workers.rank() == 0
        with contextlib.ExitStack() as stack:
            if first:
                text = f"{self.name}: another process trains this model; waiting for it"
                waiting = partial(self.progress, text, 0, 0)
                stack.enter_context(store.prepare().lock(f"finetune-{folder.name}", waiting=waiting))
            document = workers.main_alone(lambda: lineage(folder))
            if document is not None:
                return Model(folder, document, made=False)
            scratch = folder.parent / f".training-{folder.name}"
            scratch.mkdir(parents=True, exist_ok=True)
            seconds = time.perf_counter() - started
            trainee, curves = self._train(inputs, scratch, self.progress if first else no_progress)
            curves.seconds = {"prepare": seconds, **curves.seconds}
            document = workers.main_alone(lambda: self._finish(inputs, trainee, curves, scratch, folder))
        return Model(folder, document, made=True)

    def _prepare(self) -> _Inputs:
        recipe, evaluator, seed = self.recipe, self.evaluator, self.seed
        base = self._base_folder()
        pairs = self._pairs()
        pairs = pairs if recipe.share == 1 else pairs.part(recipe.share, seed=seed)
        negatives = None
        if recipe.negatives:
            negatives = mine(evaluator, pairs, recipe.negatives, seed=seed, progress=self.progress)
        rows = build_rows(recipe, pairs, negatives, seed)
        prompts = self._prompts(base) if recipe.kind == "bi-encoder" else {}
        guide = self._guide(recipe.guide, rows) if recipe.guide is not None else None
        identity = {
            "recipe": recipe_settings(recipe),
            "base": weights_digest(base),
            "pairs": pairs.digest,
            "negatives": negatives.digest if negatives else None,
            "prompts": prompts,
            "guide": guide[0] if guide else None,
            "dev": evaluator.suite.digest if recipe.eval else None,
            "seed": seed,
            "processes": workers.world_size(),
            "libraries": {lib: library_version(lib) for lib in ("sentence-transformers", "transformers", "torch")},
        }
        data = {
            "sources": list(pairs.sources),
            "origins": pairs.origins,
            "pairs": len(pairs.pairs),
            "pairs_digest": pairs.digest,
            "dropped_as_leaks": list(pairs.dropped),
            "negatives_digest": identity["negatives"],
            "mining": negatives.report.to_json() if negatives else None,
            "trained_pairs": rows.n_pairs,
            "rows": len(rows),
        }
        return _Inputs(base, identity, data, rows, prompts, guide[1] if guide else None)

    def _base_folder(self) -> Path:
        """The base model's folder: that of a dense system's encoder, or of a model by its own name."""
        system = self.evaluator.systems.get(self.recipe.base)
        if system is None:
            return find_model(self.recipe.base, base=self.base, models=self.evaluator.store.root / "models")
        encoder: Any = getattr(system, "encoder", None)
        if not hasattr(encoder, "folder"):
            raise ConfigError(f'finetune base "{self.recipe.base}" is a {system.kind} system; expected a dense one.')
        return Path(encoder.folder)

    def _pairs(self) -> Pairs:
        """The pairs that the recipe names; the suite's training sets where it names none.

        Raises:
            ConfigError: the recipe would choose its step on queries that it trains on.
        """
        suite, names = self.evaluator.suite, self.recipe.pairs
        trained = [name for name in names or () if name in suite.query_sets and suite.query_sets[name].role == "dev"]
        if trained and self.recipe.eval:
            raise ConfigError(
                f'The recipe trains on "{trained[0]}", of role dev, and eval chooses the step by the dev sets: the '
                "choice would follow the training data. Leave one of the two out."
            )
        if names is None:
            return from_suite(suite, progress=self.progress)
        if self.config is None:
            raise ConfigError("A recipe that names its pairs is trained from a config: bench finetune NAME.")
        return load(names, suite, base=self.base, config=self.config, progress=self.progress)

    def _prompts(self, folder: Path) -> dict[str, str]:
        """Prompts of queries and documents: of the config's base system, else the model's own."""
        encoder: Any = getattr(self.evaluator.systems.get(self.recipe.base), "encoder", None)
        if not hasattr(encoder, "prompts"):
            config = LocalConfig(kind="local", model=str(folder.absolute()))
            encoder = LocalEncoder(config, base=folder, models=folder)
        return dict(encoder.prompts)

    def _guide(self, guide: str, rows: Rows) -> tuple[str, Any]:
        """The guide's weights digest, and its vectors of all queries and documents, from the cache."""
        store = self.evaluator.store
        encoder: Any = getattr(self.evaluator.systems.get(guide), "encoder", None)
        if encoder is None:
            config = LocalConfig(kind="local", model=guide)
            encoder = LocalEncoder(config, base=self.base, models=store.root / "models")
        sides = (("query", rows.queries), ("document", rows.documents))
        vectors = tuple(
            embed(encoder, texts, kind=kind, store=store, progress=self.progress).rows for kind, texts in sides
        )
        return digest_of(encoder.fingerprint()), vectors

    def _train(self, inputs: _Inputs, scratch: Path, progress: Progress) -> tuple[BiEncoder | CrossEncoder, Curves]:
        import torch

        recipe = self.recipe
        with libraries(recipe.kind):
            torch.manual_seed(self.seed)
            trainee: BiEncoder | CrossEncoder
            if recipe.kind == "bi-encoder":
                stage = "fine-tune bi-encoder"
                trainee = BiEncoder(inputs.base, recipe, inputs.rows, prompts=inputs.prompts, guide=inputs.guide)
            else:
                stage = "train reranker"
                trainee = CrossEncoder(inputs.base, recipe, inputs.rows)
            dev = None
            if recipe.eval:
                dev = dev_measure(self.evaluator, recipe, trainee) if workers.rank() == 0 else float
            curves = fit(trainee, recipe, seed=self.seed, folder=scratch, stage=stage, dev=dev, progress=progress)
        return trainee, curves

    def _finish(
        self, inputs: _Inputs, trainee: BiEncoder | CrossEncoder, curves: Curves, scratch: Path, folder: Path
    ) -> dict[str, Any]:
        """Save the model with its lineage, move it to its place, and leave nothing of the training behind."""
        model, checkpoints = scratch / "model", scratch / "checkpoints"
        if (model / "checkpoints").exists():
            # A kill came between their move and the model's.
            (model / "checkpoints").replace(checkpoints)
        trainee.save(model)
        if self.recipe.keep_checkpoints:
            checkpoints.replace(model / "checkpoints")
        document = self._document(inputs, trainee, curves)
        document["weights"] = weights_digest(model)
        # For bench drift: the suite will change, and a digest alone cannot be compared with.
        reference = of_suite(self.evaluator.suite, "train")
        write_snapshot(model / REFERENCE, reference)
        document["data"]["reference"] = {"file": REFERENCE, "digest": reference.digest}
        write_lineage(model, document)
        if folder.exists():
            shutil.rmtree(folder)
        model.replace(folder)
        shutil.rmtree(scratch, ignore_errors=True)
        return document

    def _document(self, inputs: _Inputs, trainee: BiEncoder | CrossEncoder, curves: Curves) -> dict[str, Any]:
        """The lineage: base, recipe, data, seed, versions, curves, speed, and the peak memory in bytes."""
        import resource

        import torch

        suite, recipe = self.evaluator.suite, self.recipe
        memory = {"process": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}
        if trainee.device.type == "cuda":
            memory["device"] = int(torch.cuda.max_memory_allocated(trainee.device))
        padding = 1 - curves.tokens_seen / curves.tokens_padded if curves.tokens_padded else 0.0
        # The folder's path says where this machine keeps it; its last two names are enough for a reader.
        base = {"name": recipe.base, "folder": "/".join(inputs.base.parts[-2:]), "weights": inputs.identity["base"]}
        return {
            "name": self.name,
            "kind": recipe.kind,
            "base": base,
            "recipe": inputs.identity["recipe"],
            "seed": self.seed,
            "suite": {"name": suite.name, "version": suite.version, "digest": suite.digest},
            "data": dict(inputs.data),
            "prompts": dict(inputs.prompts),
            "parameters": trainee.parameters(),
            "history": curves.history,
            "steps": curves.step,
            "best": curves.best,
            "stopped_early": curves.stopped_early,
            "checkpoints": curves.kept,
            "resumed": curves.resumed,
            "seconds": round(sum(curves.seconds.values()), 3),
            "stages": {stage: round(value, 3) for stage, value in curves.seconds.items()},
            "rows_per_second": round(curves.rows_seen / max(curves.seconds["train"], 1e-9), 3),
            "padding": round(padding, 4),
            "device": str(trainee.device),
            "processes": workers.world_size(),
            "threads": torch.get_num_threads(),
            "peak_memory_bytes": memory,
            "environment": environment(),
            "commit": git.commit(),
        }
