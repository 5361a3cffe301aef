"""Words hashed into a vector: an encoder without a model, for tests."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bench.config import Strict


class Config(Strict):
    """`encoder = { kind = "hashed", dim = 64 }`."""

    kind: str
    dim: int = Field(default=64, ge=1)


def build(config: Config, *, base: Path, models: Path) -> Hashed:
    """The encoder that a table describes."""
    return Hashed(config.dim)


class Hashed:
    """Each word adds 1 to one number of the vector, or takes 1 away."""

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def fingerprint(self) -> Mapping[str, Any]:
        """What changes a vector, besides this package's version."""
        return {"kind": "hashed", "dim": self.dim}

    def prompted(self, texts: Sequence[str], kind: str) -> list[str]:
        """Queries and documents are encoded alike."""
        return list(texts)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """float32[n_texts, dim]."""
        rows = np.zeros((len(texts), self.dim), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in re.findall(r"\w+", text.lower()):
                number = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest())
                rows[row, number // 2 % self.dim] += 1 if number % 2 else -1
        return rows
