"""A cross-encoder in training: each (query, document) of a batch is read once, in passes of like length."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.config import FinetuneConfig
from bench.train.fitting.losses import build
from bench.train.fitting.rows import Rows
from bench.train.fitting.tokens import Tokens, tokenised
from bench.train.fitting.trainee import NO_EXAMPLES, ModelInTraining


class CrossEncoder(ModelInTraining):
    """A Sentence Transformers cross-encoder with one score, its rows' pairs tokenised.

    Args:
        base: the model's folder; where it has no head that scores, one is made from torch's seed.
        recipe: loss, length, dropout, device.
        rows: what it learns from.
    """

    output = "scores"

    def __init__(self, base: Path, recipe: FinetuneConfig, rows: Rows) -> None:
        from sentence_transformers import CrossEncoder as Library

        model = Library(str(base), num_labels=1, max_length=recipe.max_length, device="cpu", local_files_only=True)
        model.model_card_data.widget = NO_EXAMPLES
        number: dict[tuple[int, int], int] = {}
        self.numbers = np.asarray(
            [[number.setdefault((row[0], document), len(number)) for document in row[1:]] for row in rows.columns],
            dtype=np.int64,
        )
        self.tokens = tokenised(model, [(rows.queries[query], rows.documents[document]) for query, document in number])
        super().__init__(model, recipe, rows)
        self.loss = build(recipe)

    def lengths(self) -> NDArray[np.int64]:
        """Tokens of every row, all its pairs together."""
        summed: NDArray[np.int64] = self.tokens.lengths()[self.numbers].sum(axis=1)
        return summed

    def backward(self, rows: Sequence[int], *, seed: int, share: float) -> Any:
        """Add the gradients of the rows' mean loss times `share`; the loss, detached."""
        import torch

        pairs, place = np.unique(self.numbers[list(rows)], return_inverse=True)
        torch.manual_seed(seed)
        scores = self.forward_all(self.tokens, pairs).reshape(-1)
        scores = scores[torch.from_numpy(place.reshape(len(rows), -1)).to(self.device)]
        labels = None
        if self.rows.labels:
            labels = torch.tensor([self.rows.labels[row] for row in rows], device=self.device)
        loss = self.loss(scores, labels)
        (loss * share).backward()
        return loss.detach()

    def score(self, tokens: Tokens) -> NDArray[np.float32]:
        """float32[n_pairs] of tokenised pairs, by the model as it stands."""
        import torch

        order = np.argsort(tokens.lengths(), kind="stable")
        made = np.zeros(len(order), dtype=np.float32)
        with torch.inference_mode():
            for start in range(0, len(order), 32):
                part = order[start : start + 32]
                made[part] = self.forward(tokens, part.tolist()).reshape(-1).cpu().numpy()
        return made
