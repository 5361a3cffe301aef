"""Texts as token ids, tokenised once before training, and forward passes of sequences of like length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.base.errors import ConfigError

PASS_TOKENS = {"cpu": 96, "cuda": 8192}
"""The cost of one more forward pass, in padded tokens that take as long: on a GPU it is mostly the launch."""

_CHUNK = 512


@dataclass(frozen=True)
class Tokens:
    """Token ids of texts, or of pairs of texts, without padding; `types` are token types where the model has them."""

    ids: tuple[NDArray[np.int32], ...] = field(repr=False)
    types: tuple[NDArray[np.int32], ...] | None = field(repr=False)
    pad: int
    pad_left: bool

    def lengths(self) -> NDArray[np.int64]:
        """Tokens of every text, special ones among them."""
        return np.fromiter((len(ids) for ids in self.ids), dtype=np.int64, count=len(self.ids))

    def batch(self, rows: Sequence[int], device: Any) -> dict[str, Any]:
        """Input of a model's forward pass: int64[n, longest] each, padded on the tokenizer's side."""
        import torch

        width = max(len(self.ids[row]) for row in rows)
        ids = np.full((len(rows), width), self.pad, dtype=np.int64)
        features = {"input_ids": ids, "attention_mask": np.zeros_like(ids)}
        if self.types is not None:
            features["token_type_ids"] = np.zeros_like(ids)
        for place, row in enumerate(rows):
            length = len(self.ids[row])
            where = slice(width - length, width) if self.pad_left else slice(0, length)
            ids[place, where], features["attention_mask"][place, where] = self.ids[row], 1
            if self.types is not None:
                features["token_type_ids"][place, where] = self.types[row]
        return {name: torch.from_numpy(array).to(device, non_blocking=True) for name, array in features.items()}


def tokenised(model: Any, texts: Sequence[Any]) -> Tokens:
    """Token ids of texts or pairs, exactly as the model itself tokenises and truncates them.

    Raises:
        ConfigError: the model takes other input than token ids.
    """
    tokenizer = getattr(model, "tokenizer", None)
    ids: list[NDArray[np.int32]] = [np.zeros(0, dtype=np.int32)] * len(texts)
    types: list[NDArray[np.int32]] = list(ids)
    typed = False
    order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
    for start in range(0, len(order), _CHUNK):
        rows = order[start : start + _CHUNK]
        features = model.preprocess([texts[row] for row in rows])
        known = {"input_ids", "attention_mask", "token_type_ids", "modality"}
        if not {"input_ids", "attention_mask"} <= set(features) <= known or features["input_ids"].ndim != 2:
            raise ConfigError(
                f"The base model takes {', '.join(sorted(features))}; expected input_ids and attention_mask. Only "
                "models that read tokenised text are fine-tuned here."
            )
        mask = features["attention_mask"].numpy().astype(bool)
        typed = "token_type_ids" in features
        for name, arrays in (("input_ids", ids), ("token_type_ids", types)):
            for place, row in enumerate(rows if name in features else ()):
                arrays[row] = features[name][place].numpy()[mask[place]].astype(np.int32)
    pad, side = getattr(tokenizer, "pad_token_id", None), getattr(tokenizer, "padding_side", "right")
    return Tokens(tuple(ids), tuple(types) if typed else None, int(pad or 0), side == "left")


def like_lengths(lengths: NDArray[np.int64], *, pass_tokens: int, most: int | None = None) -> list[list[int]]:
    """The split of sequences into forward passes with the least padding and the fewest passes.

    A pass costs its padded tokens and `pass_tokens`. The cheapest split of sequences sorted by length is exact, over
    the distinct lengths.

    Args:
        lengths: of every sequence.
        pass_tokens: the cost of one more pass, in tokens.
        most: sequences in a pass; None for any number.

    Returns:
        Places in `lengths`, shortest pass first; the same for the same lengths.
    """
    order = np.argsort(lengths, kind="stable")
    distinct, counts = np.unique(lengths, return_counts=True)
    until = np.concatenate([[0], np.cumsum(counts)])
    best = np.zeros(len(distinct) + 1)
    came_from = np.zeros(len(distinct) + 1, dtype=np.int64)
    for end in range(1, len(distinct) + 1):
        cost = best[:end] + (until[end] - until[:end]) * distinct[end - 1] + pass_tokens
        came_from[end] = int(np.argmin(cost))
        best[end] = cost[came_from[end]]
    passes: list[list[int]] = []
    end = len(distinct)
    while end:
        start = int(came_from[end])
        rows = [int(row) for row in order[until[start] : until[end]]]
        step = most or len(rows)
        passes += [rows[first : first + step] for first in range(0, len(rows), step)][::-1]
        end = start
    return passes[::-1]
