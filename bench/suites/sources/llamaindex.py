"""LlamaIndex's QA data sets: one JSON file with `queries`, `corpus` and `relevant_docs`.

`EmbeddingQAFinetuneDataset.save_json` writes it: query id → text, document id → text, query id → document ids. JSON of
this shape cannot be read in parts, so the whole file is in memory while it is read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.base.errors import SuiteError
from bench.base.files.rows import read_json
from bench.config import Strict
from bench.suites.sources import Collection, Document, Judgement, Part, Query


class Options(Strict):
    """Settings of a LlamaIndex file."""

    split: str = "test"  # the split that the queries become
    license: str = ""


def collection(location: str, options: Options) -> Collection:
    """The file's documents and queries; all its judgements have grade 1."""
    path = Path(location)

    def judgements() -> Iterator[Judgement]:
        for query_id, doc_ids in _table(path, "relevant_docs").items():
            if not isinstance(doc_ids, list) or not all(isinstance(doc_id, str) for doc_id in doc_ids):
                raise SuiteError(
                    f'{path}: relevant_docs["{query_id}"] is {json.dumps(doc_ids)[:60]}; expected a list of ids.'
                )
            for doc_id in dict.fromkeys(doc_ids):
                yield query_id, doc_id, 1

    if not path.is_file():
        raise SuiteError(f"{path} is no file; expected a LlamaIndex QA data set (JSON).")
    part = Part(options.split, lambda: (Query(*item) for item in _texts(path, "queries")), judgements)
    origin = {"kind": "llamaindex", "location": path.name, "license": options.license}
    return Collection(path.stem, lambda: (Document(*item) for item in _texts(path, "corpus")), (part,), origin)


def _table(path: Path, name: str) -> dict[str, Any]:
    content = read_json(path)
    table = content.get(name) if isinstance(content, dict) else None
    if isinstance(table, dict):
        return table
    raise SuiteError(
        f'{path}: no object "{name}"; expected a LlamaIndex QA data set with "queries", "corpus" and "relevant_docs".'
    )


def _texts(path: Path, name: str) -> Iterator[tuple[str, str]]:
    for key, text in _table(path, name).items():
        if not isinstance(text, str):
            raise SuiteError(f'{path}: {name}["{key}"] is {json.dumps(text)[:60]}; expected a text.')
        yield key, text
