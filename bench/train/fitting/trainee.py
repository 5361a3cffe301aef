"""Models in training, a bi-encoder or a cross-encoder: forward passes of like length, dropout, adapters, precision.

Each text (or pair of texts) of a batch is encoded once, in whichever columns it is.
"""

from __future__ import annotations

import contextlib
import copy
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.base.errors import ConfigError, MissingExtra, SystemFailed
from bench.config import FinetuneConfig, LoraConfig
from bench.retrieval.encoders.local import quiet
from bench.train.fitting import workers
from bench.train.fitting.losses import LOSSES, build
from bench.train.fitting.rows import Rows
from bench.train.fitting.tokens import PASS_TOKENS, Tokens, like_lengths, tokenised

MINI_BATCH = 32
"""Texts in a pass of `cached-mnrl` unless the recipe says otherwise."""

# Keeps the libraries from collecting examples for a model card, with a progress bar of their own.
_NO_EXAMPLES = [{"text": ""}]


@contextlib.contextmanager
def libraries(kind: str) -> Iterator[None]:
    """Name the extra where a library is missing; turn a failure of torch into `SystemFailed`."""
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
    """A model of Sentence Transformers with the texts of its rows tokenised.

    `numbers` are int64[n_rows, n_columns], the numbers of the rows' texts (or pairs) in `tokens`.
    """

    output: str
    predict_batch: int
    save_options: ClassVar[Mapping[str, Any]] = {}

    def __init__(
        self, model: Any, recipe: FinetuneConfig, rows: Rows, tokens: Tokens, numbers: NDArray[np.int64]
    ) -> None:
        import torch

        self.model, self.recipe, self.rows, self.tokens, self.numbers = model, recipe, rows, tokens, numbers
        self.device = workers.device_of(recipe.device)
        model.to(self.device)
        if recipe.dropout is not None:
            # The saved settings stay the same. Without dropout a step takes about a fifth less time on a CPU: attention
            # then takes its fused path.
            for module in model.modules():
                if isinstance(module, torch.nn.Dropout):
                    module.p = recipe.dropout
                if isinstance(getattr(module, "attention_dropout", None), float):
                    module.attention_dropout = recipe.dropout
        if recipe.lora:
            _add_adapters(model, recipe.lora)
        self.module: Any = model
        if recipe.compile:
            model[0].model = torch.compile(model[0].model, dynamic=True)
        self.tokens_seen = self.tokens_padded = 0
        self.loss = build(recipe)

    def parameters(self) -> dict[str, int]:
        """Number of trained parameters, and of all."""
        parameters = list(self.module.parameters())
        trained = sum(p.numel() for p in parameters if p.requires_grad)
        return {"trained": trained, "all": sum(p.numel() for p in parameters)}

    def lengths(self) -> NDArray[np.int64]:
        """Tokens of every row, all its texts together."""
        lengths: NDArray[np.int64] = self.tokens.lengths()[self.numbers].sum(axis=1)
        return lengths

    def passes(self, lengths: NDArray[np.int64], *, most: int | None = None) -> list[list[int]]:
        """Forward passes of like length."""
        pass_tokens = PASS_TOKENS.get(self.device.type, PASS_TOKENS["cuda"])
        passes = like_lengths(lengths, pass_tokens=pass_tokens, most=most)
        self.tokens_seen += int(lengths.sum())
        self.tokens_padded += sum(len(rows) * int(lengths[rows].max()) for rows in passes)
        return passes

    def forward(self, tokens: Tokens, numbers: Sequence[int]) -> Any:
        """float32[n, …] of texts, by one pass."""
        import torch

        features = tokens.batch(numbers, self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.precision == "bf16"):
            outputs = self.model(features)[self.output]
        return outputs.float()

    def forward_all(self, numbers: NDArray[np.int64]) -> Any:
        """float32[n, …] of the rows' texts with these numbers, in passes of like length, in the order of `numbers`."""
        import torch

        passes = self.passes(self.tokens.lengths()[numbers])
        outputs = torch.cat([self.forward(self.tokens, numbers[rows].tolist()) for rows in passes])
        return outputs[self._order_of(passes)]

    def _order_of(self, passes: Sequence[Sequence[int]]) -> Any:
        import torch

        return torch.from_numpy(np.argsort(np.concatenate(passes), kind="stable")).to(self.device)

    def backward(self, rows: Sequence[int], *, seed: int, share: float) -> Any:
        """Add the gradients of the rows' mean loss times `share`; returns the loss, detached."""
        import torch

        texts, places = np.unique(self.numbers[list(rows)], return_inverse=True)
        place = torch.from_numpy(places.reshape(len(rows), -1)).to(self.device)
        if LOSSES[self.recipe.loss_name].cached:
            return self._backward_cached(rows, texts, place, seed, share)
        torch.manual_seed(seed)
        loss = self._loss(self.forward_all(texts), rows, place)
        (loss * share).backward()
        return loss.detach()

    def _backward_cached(
        self, rows: Sequence[int], texts: NDArray[np.int64], place: Any, seed: int, share: float
    ) -> Any:
        """The same gradients in the memory of one pass: every pass runs twice, with the same dropout.

        Source: Gao et al. 2021, "Scaling deep contrastive learning batch size under memory limited setup", section 3.
        """
        import torch

        passes = self.passes(self.tokens.lengths()[texts], most=self.recipe.mini_batch_size or MINI_BATCH)

        def forward(number: int) -> Any:
            torch.manual_seed(seed + number)
            return self.forward(self.tokens, texts[passes[number]].tolist())

        with torch.no_grad():
            leaves = [forward(number) for number in range(len(passes))]
        leaves = [leaf.requires_grad_() for leaf in leaves]
        loss = self._loss(torch.cat(leaves)[self._order_of(passes)], rows, place)
        (loss * share).backward()
        for number, leaf in enumerate(leaves):
            torch.autograd.backward(forward(number), leaf.grad)
        return loss.detach()

    def _loss(self, outputs: Any, rows: Sequence[int], place: Any) -> Any:
        """The mean loss of rows; `place` is int64[n_rows, n_columns], the places of their texts in `outputs`."""
        raise NotImplementedError

    def _labels(self, rows: Sequence[int]) -> Any:
        import torch

        labels = self.rows.labels
        return torch.tensor([labels[row] for row in rows], device=self.device) if labels else None

    def predict(self, tokens: Tokens) -> NDArray[np.float32]:
        """float32[n, …] of tokenised texts or pairs, by the model in its present state."""
        import torch

        order = np.argsort(tokens.lengths(), kind="stable")
        starts = range(0, len(order), self.predict_batch)
        with torch.inference_mode():
            parts = [self.forward(tokens, order[i : i + self.predict_batch].tolist()).cpu().numpy() for i in starts]
        outputs: NDArray[np.float32] = np.concatenate(parts)[np.argsort(order)] if parts else np.zeros(0, np.float32)
        return outputs

    def save(self, folder: Path) -> None:
        """Write the model, adapters merged; plain Sentence Transformers loads it."""
        import torch

        model = self.model
        if self.recipe.compile or self.recipe.lora:
            model = copy.copy(model)
            model._modules = dict(model._modules)
            first = model._modules["0"] = copy.copy(model[0])
            first._modules = dict(first._modules)
            inner = getattr(first.model, "_orig_mod", first.model)
            first.model = copy.deepcopy(inner).merge_and_unload() if self.recipe.lora else inner
        shutil.rmtree(folder, ignore_errors=True)
        with torch.no_grad():
            model.save_pretrained(str(folder), **self.save_options)
            if self.recipe.lora and self.recipe.lora.keep:
                inner = getattr(self.model[0].model, "_orig_mod", self.model[0].model)
                inner.save_pretrained(str(folder / "adapters"))


class BiEncoder(ModelInTraining):
    """A Sentence Transformers model, its texts tokenised with the prompts that it is used with.

    Args:
        prompts: put before queries and documents, as when the model is used.
        guide: vectors of the rows' texts by the guide of `gist`: queries, documents.
    """

    output, predict_batch = "sentence_embedding", 64
    # Our card is written beside the weights.
    save_options: ClassVar[Mapping[str, Any]] = {"create_model_card": False}

    def __init__(
        self,
        base: Path,
        recipe: FinetuneConfig,
        rows: Rows,
        *,
        prompts: Mapping[str, str],
        guide: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None,
    ) -> None:
        import torch
        from sentence_transformers import SentenceTransformer

        model = SentenceTransformer(str(base), device="cpu", local_files_only=True)
        self.dim = int(model.get_embedding_dimension() or 0)
        if recipe.matryoshka and recipe.matryoshka[0] > self.dim:
            raise ConfigError(f"matryoshka: {recipe.matryoshka[0]} exceeds the base model's {self.dim} dimensions.")
        model.model_card_data.widget = _NO_EXAMPLES
        self.prompts = prompts
        # Training may cut texts shorter than the model does when it is used.
        own_length = model.max_seq_length
        model.max_seq_length = recipe.max_length or own_length
        tokens = self.tokenise(model, rows.queries, rows.documents)
        model.max_seq_length = own_length
        # Text numbers: queries first, then documents.
        shift = np.asarray([0] + [len(rows.queries)] * (len(rows.columns[0]) - 1))
        super().__init__(model, recipe, rows, tokens, np.asarray(rows.columns, dtype=np.int64) + shift)
        self.guide = torch.from_numpy(np.concatenate(guide)).to(self.device) if guide is not None else None

    def tokenise(self, model: Any, queries: Sequence[str], documents: Sequence[str]) -> Tokens:
        """Queries, then documents, with their prompts."""
        texts = [self.prompts.get("query", "") + text for text in queries]
        return tokenised(model, texts + [self.prompts.get("document", "") + text for text in documents])

    def _loss(self, outputs: Any, rows: Sequence[int], place: Any) -> Any:
        import torch

        guide = None
        if self.guide is not None:
            numbers = torch.from_numpy(self.numbers[list(rows)]).to(self.device)
            guide = [self.guide[column] for column in numbers.T]
        return self.loss([outputs[column] for column in place.T], self._labels(rows), guide)


class CrossEncoder(ModelInTraining):
    """A Sentence Transformers cross-encoder with one score, its rows' pairs tokenised.

    Args:
        base: the model's folder; where it has no head that scores, torch's seed makes one.
    """

    output, predict_batch = "scores", 32

    def __init__(self, base: Path, recipe: FinetuneConfig, rows: Rows) -> None:
        from sentence_transformers import CrossEncoder as Library

        model = Library(str(base), num_labels=1, max_length=recipe.max_length, device="cpu", local_files_only=True)
        model.model_card_data.widget = _NO_EXAMPLES
        number: dict[tuple[int, int], int] = {}
        numbers = [[number.setdefault((row[0], document), len(number)) for document in row[1:]] for row in rows.columns]
        tokens = tokenised(model, [(rows.queries[query], rows.documents[document]) for query, document in number])
        super().__init__(model, recipe, rows, tokens, np.asarray(numbers, dtype=np.int64))

    def _loss(self, outputs: Any, rows: Sequence[int], place: Any) -> Any:
        return self.loss(outputs.reshape(-1)[place], self._labels(rows))


def _add_adapters(model: Any, settings: LoraConfig) -> None:
    """Low-rank adapters beside the weights, which are no longer trained."""
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
