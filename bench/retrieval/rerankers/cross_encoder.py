"""A cross-encoder: one model reads query and document together and scores the pair."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench.base.errors import ConfigError, MissingExtra
from bench.retrieval.encoders.local import quiet
from bench.retrieval.rerankers import LocalConfig, LocalScorer

HEADLESS = ("Model", "ForMaskedLM", "ForPreTraining")
"""Endings of architecture names without a head that scores a pair."""


class Config(LocalConfig):
    """`reranker = { kind = "cross-encoder", model = … }`."""

    kind: Literal["cross-encoder"]


class CrossEncoderScorer(LocalScorer):
    """Scores (query, document) pairs; the model is loaded when the first pair is scored."""

    def __init__(self, config: Config, *, base: Path, models: Path) -> None:
        super().__init__(config, base=base, models=models)
        architectures = self.settings("config.json").get("architectures") or []
        if architectures and all(str(name).endswith(HEADLESS) for name in architectures):
            raise ConfigError(
                f"{self.folder} ({', '.join(architectures)}) has no head that scores pairs: a cross-encoder made of it "
                'would score at random. Train one from it (kind = "cross-encoder" in a recipe), or use its token '
                'vectors: reranker = { kind = "late-interaction", … }.'
            )

    @cached_property
    def _model(self) -> Any:
        try:
            import torch
            from sentence_transformers import CrossEncoder
        except ImportError:
            raise MissingExtra('Reranker "cross-encoder"', "sentence-transformers", "local") from None
        quiet()
        # Raw logits: a sigmoid saturates in float32 and would tie the highest scores.
        return CrossEncoder(
            str(self.folder),
            device=self.config.device,
            max_length=self.config.max_length,
            local_files_only=True,
            activation_fn=torch.nn.Identity(),
        )

    def score(self, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float32]:
        """float32[n_pairs]; higher is more relevant."""
        scores = self._model.predict(
            [list(pair) for pair in pairs], batch_size=self.config.batch_size, show_progress_bar=False
        )
        return np.asarray(scores, dtype=np.float32).reshape(len(pairs))


build = CrossEncoderScorer
