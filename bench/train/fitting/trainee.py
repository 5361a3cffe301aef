"""What both kinds of model share while they are trained: passes of like length, dropout, adapters, precision."""

from __future__ import annotations

import contextlib
import copy
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.base.errors import ConfigError, MissingExtra, SystemFailed
from bench.config import FinetuneConfig, LoraConfig
from bench.retrieval.encoders.local import quiet
from bench.train.fitting import workers
from bench.train.fitting.rows import Rows
from bench.train.fitting.tokens import PASS_TOKENS, Tokens, like_lengths

# Keeps the libraries from collecting examples for a model card, with a progress bar of their own.
NO_EXAMPLES = [{"text": ""}]


@contextlib.contextmanager
def libraries(kind: str) -> Iterator[None]:
    """Names the extra where a library is missing; turns a failure of torch into ours."""
    try:
        import sentence_transformers  # noqa: F401
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingExtra("Fine-tuning", str(error.name or "sentence-transformers"), "train") from None
    quiet()
    try:
        yield
    except RuntimeError as error:
        # Interrupted while it writes, torch raises an error of its own over the interruption.
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from error
        raise SystemFailed(f"Training the {kind} failed: {error}") from error


class ModelInTraining:
    """A model of Sentence Transformers with its texts tokenised; subclasses say what a row's loss is."""

    output: str

    def __init__(self, model: Any, recipe: FinetuneConfig, rows: Rows) -> None:
        self.model, self.recipe, self.rows = model, recipe, rows
        self.device = workers.device_of(recipe.device)
        model.to(self.device)
        self._set_dropout(recipe.dropout)
        if recipe.lora:
            _add_adapters(model, recipe.lora)
        self.module: Any = model
        if recipe.compile:
            import torch

            model[0].model = torch.compile(model[0].model, dynamic=True)
        self.tokens_seen = self.tokens_padded = 0

    def parameters(self) -> dict[str, int]:
        """How many numbers are trained, and how many there are."""
        held = list(self.module.parameters())
        return {"trained": sum(p.numel() for p in held if p.requires_grad), "all": sum(p.numel() for p in held)}

    def passes(self, lengths: NDArray[np.int64], *, most: int | None = None) -> list[list[int]]:
        """Forward passes of like length."""
        made = like_lengths(lengths, pass_tokens=PASS_TOKENS.get(self.device.type, PASS_TOKENS["cuda"]), most=most)
        self.tokens_seen += int(lengths.sum())
        self.tokens_padded += sum(len(rows) * int(lengths[rows].max()) for rows in made)
        return made

    def forward(self, tokens: Tokens, numbers: Sequence[int]) -> Any:
        """float32[n, …] of texts, by one pass."""
        import torch

        features = tokens.batch(numbers, self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.precision == "bf16"):
            found = self.model(features)[self.output]
        return found.float()

    def forward_all(self, tokens: Tokens, numbers: NDArray[np.int64]) -> Any:
        """float32[n, …] of texts, in passes of like length, in the order asked for."""
        import torch

        lengths = tokens.lengths()[numbers]
        passes = self.passes(lengths)
        made = torch.cat([self.forward(tokens, numbers[rows].tolist()) for rows in passes])
        back = np.argsort(np.concatenate(passes), kind="stable")
        return made[torch.from_numpy(back).to(made.device)]

    def save(self, folder: Path) -> None:
        """Write the model as it stands, adapters merged; plain Sentence Transformers loads it."""
        import torch

        from bench.train.fitting.saving import whole_folder

        model = self.model
        if self.recipe.compile or self.recipe.lora:
            model = copy.copy(model)
            model._modules = dict(model._modules)
            first = model._modules["0"] = copy.copy(model[0])
            first._modules = dict(first._modules)
            inner = getattr(first.model, "_orig_mod", first.model)
            first.model = copy.deepcopy(inner).merge_and_unload() if self.recipe.lora else inner
        with whole_folder(folder) as scratch, torch.no_grad():
            model.save_pretrained(str(scratch), **self.save_options())
            if self.recipe.lora and self.recipe.lora.keep:
                inner = getattr(self.model[0].model, "_orig_mod", self.model[0].model)
                inner.save_pretrained(str(scratch / "adapters"))

    def save_options(self) -> Mapping[str, Any]:
        """What `save_pretrained` is told."""
        return {}

    def _set_dropout(self, share: float | None) -> None:
        """Another dropout while training; the model's own where None. Its saved settings stay as they are.

        Without dropout a step takes about a fifth less time on a CPU: attention then takes its fused path.
        """
        if share is None:
            return
        import torch

        for module in self.model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = share
            if isinstance(getattr(module, "attention_dropout", None), float):
                module.attention_dropout = share


def _add_adapters(model: Any, settings: LoraConfig) -> None:
    """Low-rank adapters in place of the weights they stand beside, which no longer learn."""
    try:
        import peft
    except ImportError:
        raise MissingExtra("Training of adapters (lora)", "peft", "lora") from None
    config = peft.LoraConfig(
        r=settings.r, lora_alpha=settings.alpha, lora_dropout=settings.dropout, target_modules=settings.targets
    )
    try:
        with warnings.catch_warnings():
            # peft 0.21 asks transformers 5 for a property by its old name.
            warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing", category=FutureWarning)
            model[0].model = peft.get_peft_model(model[0].model, config)
    except ValueError as error:
        raise ConfigError(f"lora.targets is {settings.targets!r}; {error}") from None
