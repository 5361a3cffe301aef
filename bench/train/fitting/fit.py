"""The training loop: batches of like length, one optimiser step each, checkpoints that survive a kill.

The loop keeps no random state: batches follow from seed and epoch, dropout from seed and step, the learning rate from
the step. A state is therefore weights, the optimiser's moments and a number, and a training that continues from it ends
with the same weights as one that was never interrupted.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.base.progress import Progress
from bench.base.store import replacing
from bench.config import FinetuneConfig
from bench.records import digest_of
from bench.train.fitting import workers
from bench.train.fitting.losses import LOSSES
from bench.train.fitting.rows import Rows, length_batches
from bench.train.fitting.trainee import ModelInTraining

STATE = "state.pt"


@dataclass
class Curves:
    """The record of a training. Steps and losses are the same for the same seed; seconds are not.

    `history` has a row for each loss or dev measure taken: step, loss, learning_rate; step, dev.
    """

    step: int = 0
    steps: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    best: dict[str, float] | None = None
    stopped_early: bool = False
    resumed: int = 0
    rows_seen: int = 0
    tokens_seen: int = 0
    tokens_padded: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    kept: list[int] = field(default_factory=list)

    @contextlib.contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the seconds of a block to a stage."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - started


def plan(rows: Rows, lengths: NDArray[np.int64], recipe: FinetuneConfig, seed: int) -> list[list[int]]:
    """Every step's rows, all epochs in order. An epoch takes each row with the probability of its weight.

    Over several processes each batch is cut to a multiple of their number, since each takes an equal part.
    """
    batches: list[list[int]] = []
    keys = [(rows.queries[row[0]], *(rows.documents[document] for document in row[1:])) for row in rows.columns]
    distinct, world = LOSSES[recipe.loss_name].distinct, workers.world_size()
    weights = np.asarray(rows.weights)
    for epoch in range(recipe.epochs):
        rng = np.random.default_rng([seed, epoch])
        among = np.flatnonzero(rng.random(len(weights)) < weights).tolist() if (weights < 1).any() else None
        epoch_batches = length_batches(
            keys, recipe.batch_size, rng, lengths=lengths.tolist(), distinct=distinct, among=among
        )
        batches += [batch[: len(batch) // world * world] for batch in epoch_batches]
    return [batch for batch in batches if batch]


def rate(step: int, steps: int, recipe: FinetuneConfig) -> float:
    """The learning rate of a step (from 0): a linear rise, then the recipe's scheduler."""
    warmup = int(steps * recipe.warmup_ratio)
    if step < warmup:
        return recipe.learning_rate * step / warmup
    done = (step - warmup) / max(1, steps - warmup)
    share = {"linear": 1 - done, "cosine": 0.5 * (1 + math.cos(math.pi * done)), "constant": 1.0}
    return recipe.learning_rate * share[recipe.scheduler]


def fit(
    trainee: ModelInTraining,
    recipe: FinetuneConfig,
    *,
    seed: int,
    folder: Path,
    stage: str,
    dev: Callable[[], float] | None,
    progress: Progress,
) -> Curves:
    """Train to the end, from the last checkpoint where there is one; the model then has the best weights on dev.

    Args:
        seed: of batches and dropout.
        folder: for checkpoints.
        dev: the dev sets' measure of the model at that moment; None where the recipe has no eval.
    """
    return _Fit(trainee, recipe, seed, folder, dev).run(stage, progress)


class _Fit:
    """One call of `fit`."""

    def __init__(
        self, trainee: ModelInTraining, recipe: FinetuneConfig, seed: int, folder: Path, dev: Callable[[], float] | None
    ) -> None:
        import torch

        self.trainee, self.recipe, self.seed, self.folder, self.dev = trainee, recipe, seed, folder, dev
        self.module = trainee.module
        self.batches = plan(trainee.rows, trainee.lengths(), recipe, seed)
        self.parameters = [p for p in self.module.parameters() if p.requires_grad]
        self.optimizer = _optimizer(self.module, recipe)
        self.curves = Curves(steps=len(self.batches))
        self.every = recipe.checkpoint_every or max(1, len(self.batches) // 20)
        self.log_every = max(1, len(self.batches) // 50)
        self.window = torch.zeros((), dtype=torch.float64)
        self.losses: list[Any] = []
        self.key = digest_of([trainee.rows.digest, len(self.batches), workers.world_size()])

    def run(self, stage: str, progress: Progress) -> Curves:
        self._resume()
        curves = self.curves
        if curves.step:
            progress(f"{stage}: goes on from step {curves.step} of {curves.steps}", 0, 0)
        self.module.train()
        while curves.step < curves.steps and not curves.stopped_early:
            with curves.timed("train"):
                self._step()
            progress(stage, curves.step, curves.steps)
            last = curves.step == curves.steps
            if curves.step % self.log_every == 0 or last:
                self._log()
            if self.dev and self.recipe.eval and (curves.step % self.recipe.eval.every == 0 or last):
                with curves.timed("dev"):
                    self._evaluate(self.dev, self.recipe.eval.patience)
            if curves.step % self.every == 0 or last or curves.stopped_early:
                with curves.timed("checkpoint"):
                    self._checkpoint()
        if curves.best is not None:
            import torch

            path = self.folder / f"best-{int(curves.best['step'])}.pt"
            self.module.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        return curves

    def _step(self) -> None:
        import torch

        curves, recipe = self.curves, self.recipe
        batch = self.batches[curves.step]
        world, rank = workers.world_size(), workers.rank()
        own = batch[rank::world]
        for group in self.optimizer.param_groups:
            group["lr"] = rate(curves.step, curves.steps, recipe)
        parts = [part for i in range(recipe.accumulate) if (part := own[i :: recipe.accumulate])]
        for number, part in enumerate(parts):
            seed = int(np.random.SeedSequence([self.seed, curves.step, rank, number]).generate_state(1)[0])
            share = len(part) / len(own)
            self.losses.append(self.trainee.backward(part, seed=seed, share=share) * share)
        workers.average_gradients(self.parameters)
        torch.nn.utils.clip_grad_norm_(self.parameters, recipe.max_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        curves.step += 1
        curves.rows_seen += len(batch)

    def _add_losses(self) -> None:
        """Add up the losses of the last steps; reading each one would make a GPU wait."""
        import torch

        if self.losses:
            self.window += torch.stack(self.losses).double().sum().cpu()
            self.losses.clear()

    def _log(self) -> None:
        self._add_losses()
        curves = self.curves
        previous = max((int(row["step"]) for row in curves.history if "loss" in row), default=0)
        loss = workers.mean(float(self.window)) / (curves.step - previous)
        lr = rate(curves.step - 1, curves.steps, self.recipe)
        curves.history.append({"step": curves.step, "loss": loss, "learning_rate": lr})
        self.window.zero_()

    def _evaluate(self, dev: Callable[[], float], patience: int | None) -> None:
        curves = self.curves
        self.module.eval()
        value = workers.main_alone(dev)
        self.module.train()
        curves.history.append({"step": curves.step, "dev": value})
        if curves.best is None or value > curves.best["dev"]:
            curves.best = {"step": curves.step, "dev": value}
            if workers.rank() == 0:
                write_state(self.folder / f"best-{curves.step}.pt", self.module.state_dict())
            workers.barrier()
        since = [row for row in curves.history if "dev" in row and row["step"] > curves.best["step"]]
        if patience and len(since) >= patience:
            curves.stopped_early = True

    def _checkpoint(self) -> None:
        self._add_losses()
        curves = self.curves
        curves.tokens_seen, curves.tokens_padded = self.trainee.tokens_seen, self.trainee.tokens_padded
        if workers.rank() != 0:
            return
        if self.recipe.keep_checkpoints and curves.step not in curves.kept:
            self.trainee.save(self.folder / "checkpoints" / f"step-{curves.step}")
            curves.kept.append(curves.step)
        state = {
            "key": self.key,
            "curves": dict(vars(curves)),
            "window": self.window,
            "weights": self.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        write_state(self.folder / STATE, state)
        self._remove_weights(but=int(curves.best["step"]) if curves.best else None)

    def _resume(self) -> None:
        workers.barrier()
        state = read_state(self.folder / STATE, key=self.key)
        if state is None:
            self._remove_weights(but=None)
            return
        self.curves = Curves(**state["curves"])
        self.curves.resumed += 1
        self.window = state["window"]
        self.module.load_state_dict(state["weights"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.trainee.tokens_seen, self.trainee.tokens_padded = self.curves.tokens_seen, self.curves.tokens_padded

    def _remove_weights(self, *, but: int | None) -> None:
        """Remove the best weights of other steps, and files that a kill left half-written."""
        for path in [*self.folder.glob("best-*.pt"), *self.folder.glob(".best-*"), *self.folder.glob(f".{STATE}-*")]:
            if but is None or path.name != f"best-{but}.pt":
                with contextlib.suppress(OSError):
                    path.unlink()


def write_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write a state in the place of the last one, whole or not at all."""
    import torch

    with replacing(path) as stream:
        torch.save(dict(state), stream)


def read_state(path: Path, *, key: str) -> dict[str, Any] | None:
    """The last state written under this key; None where there is none, where it is damaged, or of another key."""
    import torch

    if not path.exists():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # torch raises half a dozen kinds for a damaged archive; each means that training starts anew
        return None
    return state if isinstance(state, dict) and state.get("key") == key else None


def _optimizer(module: Any, recipe: FinetuneConfig) -> Any:
    """AdamW as transformers' trainer sets it up: no decay of biases and of normalisation layers."""
    import torch

    norms = tuple(m for m in module.modules() if "norm" in type(m).__name__.lower())
    spared = {id(p) for m in norms for p in m.parameters(recurse=False)}
    decayed: list[Any] = []
    plain: list[Any] = []
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            (plain if id(parameter) in spared or name.endswith("bias") else decayed).append(parameter)
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=recipe.learning_rate, fused=True)
