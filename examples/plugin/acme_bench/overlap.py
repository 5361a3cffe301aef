"""The share of the query's words that stand in the document."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.config import Strict


class Config(Strict):
    """`reranker = { kind = "overlap" }`."""

    kind: str


def build(config: Config, *, base: Path, models: Path) -> Overlap:
    """The reranker that a table describes."""
    return Overlap()


class Overlap:
    """Scores pairs by their words."""

    def fingerprint(self) -> Mapping[str, Any]:
        """What changes a score, besides this package's version."""
        return {"kind": "overlap"}

    def score(self, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float32]:
        """float32[n_pairs]; higher is more relevant."""
        words = [[set(re.findall(r"\w+", text.lower())) for text in pair] for pair in pairs]
        return np.asarray([len(q & d) / max(1, len(q)) for q, d in words], dtype=np.float32)
