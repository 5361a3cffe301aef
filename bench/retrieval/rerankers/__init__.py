"""Scorers of (query, document) pairs, one file each. A file's name is the reranker's kind.

Each file has a `Config` and `build(config, base, models)`, which returns a `PairScorer`. Used by systems of kind
`rerank` and, where a recipe says so, by the check of mined negatives.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.records import PairScorer
from bench.retrieval.packaged import built


def build(table: Mapping[str, Any], place: str, *, base: Path, models: Path) -> PairScorer:
    """The reranker that a table describes.

    Args:
        table: `{ kind = …, model = … }`.
        place: the table's name in its file, for errors.
        base: folder of the file that names the model.
        models: the store's folder of fine-tuned models.

    Raises:
        ConfigError: the table has mistakes, or names no model.
    """
    scorer: PairScorer = built(
        "rerankers", table, place, lambda kind, config: kind.build(config, base=base, models=models)
    )
    return scorer
