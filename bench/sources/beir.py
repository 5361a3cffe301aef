"""BEIR folders: corpus.jsonl, queries.jsonl, qrels/<split>.tsv.

A BEIR folder's queries file holds every split's queries; a query set takes those that its judgements name.
"""

from __future__ import annotations

from pathlib import Path

from bench.errors import SuiteError
from bench.sources import jsonl

__all__ = ["ROLE_OF_SPLIT", "read_documents", "splits"]

ROLE_OF_SPLIT = {"train": "train", "dev": "dev", "validation": "dev", "test": "held-out"}
"""What a split becomes in a suite unless its owner says otherwise."""

read_documents = jsonl.read_documents


def splits(folder: Path) -> list[str]:
    """Names of the splits that have judgements, `train` first.

    Raises:
        SuiteError: the folder is not in BEIR's layout; says what is missing.
    """
    for part in ("corpus.jsonl", "queries.jsonl", "qrels"):
        if not (folder / part).exists():
            raise SuiteError(
                f"{folder} has no {part}; expected a BEIR folder: corpus.jsonl, queries.jsonl, qrels/<split>.tsv."
            )
    found = sorted(path.stem for path in (folder / "qrels").glob("*.tsv"))
    if not found:
        raise SuiteError(f"{folder / 'qrels'} has no <split>.tsv; expected at least one.")
    order = list(ROLE_OF_SPLIT)
    return sorted(found, key=lambda name: (order.index(name) if name in order else len(order), name))
