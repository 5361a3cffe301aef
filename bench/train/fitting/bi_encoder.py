"""A bi-encoder in training: each text of a batch is encoded once, in passes of like length whatever its column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.base.errors import ConfigError
from bench.config import FinetuneConfig
from bench.train.fitting.losses import LOSSES, build
from bench.train.fitting.rows import Rows
from bench.train.fitting.tokens import Tokens, tokenised
from bench.train.fitting.trainee import NO_EXAMPLES, ModelInTraining

MINI_BATCH = 32
"""Texts that a pass of `cached-mnrl` holds unless the recipe says otherwise."""


class BiEncoder(ModelInTraining):
    """A Sentence Transformers model, its rows' texts tokenised with the prompts that it is used with.

    Args:
        base: the model's folder.
        recipe: loss, length, dropout, device.
        rows: what it learns from.
        prompts: put before queries and documents, as when the model is used.
        guide: vectors of the rows' texts by the guide of `gist`: queries, documents.
    """

    output = "sentence_embedding"

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
        size = int(model.get_embedding_dimension() or 0)
        if recipe.matryoshka and recipe.matryoshka[0] > size:
            raise ConfigError(f"matryoshka: {recipe.matryoshka[0]} exceeds the base model's {size} dimensions.")
        model.model_card_data.widget = NO_EXAMPLES
        self.own_length, self.prompts = model.max_seq_length, prompts
        model.max_seq_length = recipe.max_length or self.own_length
        self.tokens = self.tokenise(model, rows.queries, rows.documents)
        # Training may cut texts shorter than the model does when it is used.
        model.max_seq_length = self.own_length
        super().__init__(model, recipe, rows)
        # Text numbers: queries first, then documents.
        shift = np.asarray([0] + [len(rows.queries)] * (len(rows.columns[0]) - 1))
        self.numbers = np.asarray(rows.columns, dtype=np.int64) + shift
        self.loss = build(recipe)
        self.guide = torch.from_numpy(np.concatenate(guide)).to(self.device) if guide is not None else None

    def tokenise(self, model: Any, queries: Sequence[str], documents: Sequence[str]) -> Tokens:
        """Queries, then documents, with their prompts."""
        texts = [self.prompts.get("query", "") + text for text in queries]
        return tokenised(model, texts + [self.prompts.get("document", "") + text for text in documents])

    @property
    def dim(self) -> int:
        """Columns of a full-size vector."""
        return int(self.model.get_embedding_dimension() or 0)

    def lengths(self) -> NDArray[np.int64]:
        """Tokens of every row, all its texts together."""
        summed: NDArray[np.int64] = self.tokens.lengths()[self.numbers].sum(axis=1)
        return summed

    def backward(self, rows: Sequence[int], *, seed: int, share: float) -> Any:
        """Add the gradients of the rows' mean loss times `share`; the loss, detached."""
        import torch

        texts, places = np.unique(self.numbers[list(rows)], return_inverse=True)
        place = torch.from_numpy(places.reshape(len(rows), -1)).to(self.device)
        if LOSSES[self.recipe.loss_name].cached:
            return self._backward_cached(rows, texts, place, seed, share)
        torch.manual_seed(seed)
        loss = self._loss(self.forward_all(self.tokens, texts), rows, place)
        (loss * share).backward()
        return loss.detach()

    def _loss(self, embeddings: Any, rows: Sequence[int], place: Any) -> Any:
        import torch

        columns = [embeddings[place[:, column]] for column in range(place.shape[1])]
        labels = guide = None
        if self.rows.labels:
            labels = torch.tensor([self.rows.labels[row] for row in rows], device=self.device)
        if self.guide is not None:
            numbers = torch.from_numpy(self.numbers[list(rows)]).to(self.device)
            guide = [self.guide[numbers[:, column]] for column in range(numbers.shape[1])]
        return self.loss(columns, labels, guide)

    def _backward_cached(
        self, rows: Sequence[int], texts: NDArray[np.int64], place: Any, seed: int, share: float
    ) -> Any:
        """The same gradients in the memory of one pass: every pass is made twice, with the same dropout.

        Source: Gao et al. 2021, "Scaling deep contrastive learning batch size under memory limited setup", section 3.
        """
        import torch

        lengths = self.tokens.lengths()[texts]
        passes = self.passes(lengths, most=self.recipe.mini_batch_size or MINI_BATCH)

        def forward(number: int) -> Any:
            torch.manual_seed(seed + number)
            return self.forward(self.tokens, texts[passes[number]].tolist())

        with torch.no_grad():
            made = [forward(number) for number in range(len(passes))]
        back = torch.from_numpy(np.argsort(np.concatenate(passes), kind="stable")).to(self.device)
        leaves = [part.requires_grad_() for part in made]
        loss = self._loss(torch.cat(leaves)[back], rows, place)
        (loss * share).backward()
        for number, leaf in enumerate(leaves):
            torch.autograd.backward(forward(number), leaf.grad)
        return loss.detach()

    def embed(self, tokens: Tokens) -> NDArray[np.float32]:
        """float32[n_texts, dim] of tokenised texts, by the model as it stands."""
        import torch

        order = np.argsort(tokens.lengths(), kind="stable")
        made = np.zeros((len(order), self.dim), dtype=np.float32)
        with torch.inference_mode():
            for start in range(0, len(order), 64):
                part = order[start : start + 64]
                made[part] = self.forward(tokens, part.tolist()).cpu().numpy()
        return made

    def save_options(self) -> Mapping[str, Any]:
        """No card: ours is written beside the weights."""
        return {"create_model_card": False}
