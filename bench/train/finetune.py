"""Fine-tuning with Sentence Transformers: a bi-encoder with MultipleNegativesRankingLoss inside MatryoshkaLoss,
or a cross-encoder with binary cross-entropy. Writes a model folder with its lineage, or finds the one it wrote.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import git
from bench.config import FinetuneConfig
from bench.encoders import find_model, weights_digest
from bench.encoders.local import library_version, quiet
from bench.errors import ConfigError, MissingExtra, SystemFailed
from bench.evaluate import Evaluator, environment
from bench.records import Progress, Suite, digest_of, no_progress
from bench.train.batches import sampler
from bench.train.mine import Negatives, mine
from bench.train.models import lineage, model_folder, set_current, write_lineage
from bench.train.pairs import Pairs, from_suite

__all__ = ["Model", "finetune"]


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
    progress: Progress = no_progress,
) -> list[Model]:
    """One model per seed of the recipe; a model whose inputs have not changed is not trained again.

    Args:
        name: the recipe's name: its models are called `finetune:NAME` afterwards.
        recipe: what is trained on what.
        evaluator: the suite, the systems that negatives come from, and the store.
        base: folder that relative model paths start from.
        progress: told of every step.

    Raises:
        HeldOutError: the recipe would train on held-out data.
        ConfigError: the base is no model, or dimensions exceed it.
    """
    folder = _base_folder(recipe.base, evaluator, base)
    everything = from_suite(evaluator.suite)
    models = []
    for seed in recipe.seeds:
        pairs = everything if recipe.share == 1 else everything.part(recipe.share, seed=seed)
        negatives = mine(evaluator, pairs, recipe.negatives, seed=seed, progress=progress) if recipe.negatives else None
        model = _one(name, recipe, seed, folder, pairs, negatives, evaluator, progress)
        set_current(model.folder, seed=seed, first=seed == recipe.seeds[0])
        models.append(model)
    return models


def _base_folder(base_name: str, evaluator: Evaluator, base: Path) -> Path:
    """The base model's folder: a dense system's encoder, or a model's own name."""
    system = evaluator.systems.get(base_name)
    if system is not None:
        encoder: Any = getattr(system, "encoder", None)
        if not hasattr(encoder, "folder"):
            raise ConfigError(f'finetune base "{base_name}" is a {system.kind} system; expected a dense one.')
        return Path(encoder.folder)
    return find_model(base_name, base=base, models=evaluator.store.root / "models")


def _one(
    name: str,
    recipe: FinetuneConfig,
    seed: int,
    base: Path,
    pairs: Pairs,
    negatives: Negatives | None,
    evaluator: Evaluator,
    progress: Progress,
) -> Model:
    settings = recipe.model_dump(mode="json", by_alias=True, exclude={"seeds"})
    libraries = {lib: library_version(lib) for lib in ("sentence-transformers", "transformers", "torch")}
    inputs = {
        "recipe": settings,
        "base": weights_digest(base),
        "pairs": pairs.digest,
        "negatives": negatives.digest if negatives else None,
        "seed": seed,
        "libraries": libraries,
    }
    folder = model_folder(evaluator.store, name, digest_of(inputs))
    with evaluator.store.prepare().lock(f"finetune-{folder.name}"):
        found = lineage(folder)
        if found is not None:
            return Model(folder, found, made=False)
        rows = _rows(recipe, pairs, negatives, seed, evaluator.suite)
        if folder.exists():
            shutil.rmtree(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".training-"))
        started = time.perf_counter()
        try:
            train = _train_cross_encoder if recipe.kind == "cross-encoder" else _train_bi_encoder
            history = train(recipe, base, rows, seed, scratch, progress)
            seconds = time.perf_counter() - started
            document = _document(name, recipe, inputs, base, pairs, negatives, evaluator, rows, history, seconds)
            document["weights"] = weights_digest(scratch)
            write_lineage(scratch, document)
            scratch.replace(folder)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return Model(folder, document, made=True)


def _document(
    name: str,
    recipe: FinetuneConfig,
    inputs: Mapping[str, Any],
    base: Path,
    pairs: Pairs,
    negatives: Negatives | None,
    evaluator: Evaluator,
    rows: Sequence[Mapping[str, Any]],
    history: Sequence[Mapping[str, float]],
    seconds: float,
) -> dict[str, Any]:
    """The lineage: base, recipe, data, seed, versions, loss, time."""
    suite = evaluator.suite
    # The folder's own place is no property of the model; its last two names say enough to a reader.
    return {
        "name": name,
        "kind": recipe.kind,
        "base": {"name": recipe.base, "folder": "/".join(base.parts[-2:]), "weights": inputs["base"]},
        "recipe": inputs["recipe"],
        "seed": inputs["seed"],
        "suite": {"name": suite.name, "version": suite.version, "digest": suite.digest},
        "data": {
            "sources": list(pairs.sources),
            "origins": pairs.origins,
            "pairs": len(pairs.pairs),
            "pairs_digest": pairs.digest,
            "dropped_as_leaks": list(pairs.dropped),
            "negatives_digest": negatives.digest if negatives else None,
            "mining": negatives.report.to_json() if negatives else None,
            "rows": len(rows),
        },
        "history": list(history),
        "seconds": round(seconds, 3),
        "rows_per_second": round(len(rows) * recipe.epochs / seconds, 3),
        "environment": environment(),
        "commit": git.commit(),
    }


def _negatives_per_query(recipe: FinetuneConfig) -> int:
    return recipe.negatives.per_query + recipe.negatives.random_per_query if recipe.negatives else 0


def _rows(
    recipe: FinetuneConfig, pairs: Pairs, negatives: Negatives | None, seed: int, suite: Suite
) -> list[dict[str, str | float]]:
    """Training rows: triples for a bi-encoder, labelled pairs for a cross-encoder."""
    import numpy as np

    chosen = list(pairs.pairs)
    share = 1 + _negatives_per_query(recipe) if recipe.kind == "cross-encoder" else 1
    if recipe.max_pairs is not None and len(chosen) * share > recipe.max_pairs:
        keep = np.random.default_rng(seed).permutation(len(chosen))[: max(1, recipe.max_pairs // share)]
        chosen = [chosen[i] for i in sorted(keep)]
    rows: list[dict[str, str | float]] = []
    for pair in chosen:
        wrong: list[str] = []
        if negatives:
            corpus = suite.corpora[pair.corpus]
            wrong = [corpus.texts[corpus.row_of[doc_id]] for doc_id in negatives.doc_ids[pair.key]]
        if recipe.kind == "cross-encoder":
            rows.append({"query": pair.query, "document": pair.document, "label": 1.0})
            rows += [{"query": pair.query, "document": document, "label": 0.0} for document in wrong]
        else:
            columns = {f"negative_{i}": document for i, document in enumerate(wrong, 1)}
            rows.append({"query": pair.query, "positive": pair.document, **columns})
    return rows


# Keeps the trainers from collecting examples for a model card, with a progress bar of their own.
NO_EXAMPLES = [{"text": ""}]

# --- the trainers ----------------------------------------------------------------------------------


@contextlib.contextmanager
def _libraries(recipe_kind: str) -> Iterator[None]:
    """Names the extra where a library is missing; turns a trainer's failure into ours."""
    try:
        import accelerate  # noqa: F401
        import datasets
        import sentence_transformers  # noqa: F401
    except ImportError as error:
        raise MissingExtra("Fine-tuning", str(error.name or "sentence-transformers"), "train") from None
    datasets.disable_progress_bars()
    quiet()
    try:
        yield
    except RuntimeError as error:
        raise SystemFailed(f"Training the {recipe_kind} failed: {error}") from error


def _arguments(recipe: FinetuneConfig, n_rows: int, seed: int, scratch: Path) -> dict[str, Any]:
    """Arguments that both trainers share."""
    steps = max(1, -(-n_rows // recipe.batch_size)) * recipe.epochs
    return {
        "output_dir": str(scratch / "checkpoints"),
        "num_train_epochs": recipe.epochs,
        "per_device_train_batch_size": recipe.batch_size,
        "learning_rate": recipe.learning_rate,
        "warmup_steps": int(steps * recipe.warmup_ratio),
        "seed": seed,
        "data_seed": seed,
        "save_strategy": "no",
        "logging_steps": max(1, steps // 40),
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
    }


def _callback(stage: str, history: list[dict[str, float]], progress: Progress) -> Any:
    from transformers import TrainerCallback

    class Told(TrainerCallback):
        """Passes steps to the progress callback and keeps the loss."""

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            progress(stage, state.global_step, state.max_steps)

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if logs and "loss" in logs:
                history.append({"step": int(state.global_step), "loss": float(logs["loss"])})

    return Told()


def _run(trainer: Any) -> None:
    from transformers.trainer_callback import PrinterCallback

    trainer.remove_callback(PrinterCallback)
    trainer.train()


def _set_dropout(model: Any, share: float | None) -> None:
    """Another dropout while training; the model's own where None. Its saved settings stay as they are.

    Without dropout a step takes about a fifth less time on a CPU: attention then takes its fused path.
    """
    if share is None:
        return
    import torch

    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = share
        if isinstance(getattr(module, "attention_dropout", None), float):
            module.attention_dropout = share


def _train_bi_encoder(
    recipe: FinetuneConfig, base: Path, rows: list[Any], seed: int, scratch: Path, progress: Progress
) -> list[dict[str, float]]:
    with _libraries(recipe.kind):
        import torch
        from datasets import Dataset
        from sentence_transformers import (
            SentenceTransformer,
            SentenceTransformerTrainer,
            SentenceTransformerTrainingArguments,
        )
        from sentence_transformers.sentence_transformer.losses import MatryoshkaLoss, MultipleNegativesRankingLoss

        torch.manual_seed(seed)
        model = SentenceTransformer(str(base), local_files_only=True)
        size = int(model.get_embedding_dimension() or 0)
        if recipe.matryoshka and recipe.matryoshka[0] > size:
            raise ConfigError(f"matryoshka: {recipe.matryoshka[0]} exceeds the base model's {size} dimensions.")
        _set_dropout(model, recipe.dropout)
        model.model_card_data.widget = NO_EXAMPLES
        own_length = model.max_seq_length
        model.max_seq_length = recipe.max_length or own_length
        loss: Any = MultipleNegativesRankingLoss(model)
        if recipe.matryoshka:
            loss = MatryoshkaLoss(model, loss, matryoshka_dims=recipe.matryoshka)
        history: list[dict[str, float]] = []
        trainer = SentenceTransformerTrainer(
            model=model,
            args=SentenceTransformerTrainingArguments(
                **_arguments(recipe, len(rows), seed, scratch),
                # Like lengths together; a document that stood twice in a batch would be its own negative.
                batch_sampler=sampler(distinct=True),
            ),
            train_dataset=Dataset.from_list(rows),
            loss=loss,
            callbacks=[_callback("fine-tune bi-encoder", history, progress)],
        )
        _run(trainer)
        # Training may cut texts shorter than the model does when it is used.
        model.max_seq_length = own_length
        model.save_pretrained(str(scratch), create_model_card=False)
    shutil.rmtree(scratch / "checkpoints", ignore_errors=True)
    return history


def _train_cross_encoder(
    recipe: FinetuneConfig, base: Path, rows: list[Any], seed: int, scratch: Path, progress: Progress
) -> list[dict[str, float]]:
    with _libraries(recipe.kind):
        import torch
        from datasets import Dataset
        from sentence_transformers import CrossEncoder, CrossEncoderTrainer, CrossEncoderTrainingArguments
        from sentence_transformers.cross_encoder.losses import BinaryCrossEntropyLoss

        torch.manual_seed(seed)
        model = CrossEncoder(str(base), num_labels=1, max_length=recipe.max_length, local_files_only=True)
        _set_dropout(model, recipe.dropout)
        model.model_card_data.widget = NO_EXAMPLES
        history: list[dict[str, float]] = []
        trainer = CrossEncoderTrainer(
            model=model,
            args=CrossEncoderTrainingArguments(
                **_arguments(recipe, len(rows), seed, scratch), batch_sampler=sampler(distinct=False)
            ),
            train_dataset=Dataset.from_list(rows),
            loss=BinaryCrossEntropyLoss(model),
            callbacks=[_callback("train reranker", history, progress)],
        )
        _run(trainer)
        model.save_pretrained(str(scratch))
    shutil.rmtree(scratch / "checkpoints", ignore_errors=True)
    return history
