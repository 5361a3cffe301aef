"""Pairs in the file layouts of other training programs. A layout is data: what a row is, and its keys.

Sources: Sentence Transformers, "Training Overview", dataset format (columns in the order of the loss's inputs);
FlagEmbedding, examples/finetune, data format; LlamaIndex, `EmbeddingQAFinetuneDataset`; Cohere, "Preparing the Rerank
Fine-tuning Data".
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.base.errors import PairsError, UsageError, did_you_mean
from bench.base.store import write_text
from bench.records import digest_of
from bench.train.pairs import Pair, json_object, read_text

Negatives = Mapping[str, Sequence[str]]
"""Query text → texts of hard negatives, hardest first."""


@dataclass(frozen=True)
class Layout:
    """`row` is "pair" (a line for each pair), "query" (a line for each query, its documents as lists) or "whole" (one
    JSON document); the other fields are the layout's names of the parts. Without a name it has no place for negatives.
    """

    row: str
    query: str
    positives: str
    negatives: str = ""


LAYOUTS: Mapping[str, Layout] = {
    # One text a column; the order says which is which, so every line has as many negatives.
    "sentence-transformers": Layout("pair", "anchor", "positive", "negative"),
    "flagembedding": Layout("query", "query", "pos", "neg"),
    "cohere": Layout("query", "query", "relevant_passages", "hard_negatives"),
    "llamaindex": Layout("whole", "queries", "relevant_docs"),
}


def export(pairs: Sequence[Pair], layout_name: str, out: Path, *, negatives: Negatives | None = None) -> dict[str, int]:
    """Write the pairs in a layout; returns counts of rows, queries, negatives and what was left out.

    Args:
        pairs: those of one query text are one query; equal documents of it are written once.
        layout_name: a name of `LAYOUTS`.
        negatives: hard negatives by query text; a text that is a positive of the query is left out and counted.

    Raises:
        UsageError: an unknown layout, or negatives for a layout that has none.
        PairsError: no negative belongs to a query of these pairs.
    """
    layout = LAYOUTS.get(layout_name)
    if layout is None:
        hint = did_you_mean(layout_name, LAYOUTS)
        raise UsageError(f'No layout "{layout_name}"; expected one of {", ".join(LAYOUTS)}.{hint}')
    if negatives is not None and not layout.negatives:
        raise UsageError(f"The layout {layout_name} has no place for negatives; leave the file out.")
    positives: dict[str, dict[str, None]] = {}
    for pair in pairs:
        positives.setdefault(pair.query, {}).setdefault(pair.document)
    counts = {"queries": len(positives)}
    hard: dict[str, list[str]] = {query: [] for query in positives}
    if negatives is not None:
        offered = {query: list(dict.fromkeys(negatives.get(query, ()))) for query in positives}
        hard = {query: [text for text in offered[query] if text not in positives[query]] for query in positives}
        left_out = sum(map(len, offered.values())) - sum(map(len, hard.values()))
        counts["negatives left out: positives of their query"] = left_out
        if not any(hard.values()):
            raise PairsError("The negatives are of other queries: none of them belongs to a query of these pairs.")
    if layout.row == "whole":
        text, n_rows = _whole(layout, positives)
    else:
        rows = _by_pair(layout, positives, hard, counts) if layout.row == "pair" else []
        if layout.row == "query":
            counts["negatives"] = sum(map(len, hard.values()))
            for query, documents in positives.items():
                row = {layout.query: query, layout.positives: list(documents), layout.negatives: hard[query]}
                rows.append(row)
        text, n_rows = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), len(rows)
    write_text(out, text)
    return {"rows": n_rows, **counts}


def _by_pair(
    layout: Layout, positives: Mapping[str, Mapping[str, None]], hard: Mapping[str, list[str]], counts: dict[str, int]
) -> list[dict[str, Any]]:
    # A table has no empty cells: each line has as many negatives as the query with the fewest of those that have any.
    width = min((len(texts) for texts in hard.values() if texts), default=0)
    counts["negatives a row"] = width
    names = [layout.negatives if width == 1 else f"{layout.negatives}_{n}" for n in range(1, width + 1)]
    rows: list[dict[str, Any]] = []
    left_out = 0
    for query, documents in positives.items():
        if width and not hard[query]:
            left_out += len(documents)
            continue
        columns = dict(zip(names, hard[query], strict=False))
        rows += [{layout.query: query, layout.positives: document, **columns} for document in documents]
    if left_out:
        counts["pairs left out: their query has no negative"] = left_out
    return rows


def _whole(layout: Layout, positives: Mapping[str, Mapping[str, None]]) -> tuple[str, int]:
    queries = {f"q-{digest_of(query)[:16]}": query for query in positives}
    id_of = {document: f"d-{digest_of(document)[:16]}" for documents in positives.values() for document in documents}
    document = {
        layout.query: queries,
        "corpus": {doc_id: text for text, doc_id in id_of.items()},
        layout.positives: {query_id: [id_of[text] for text in positives[query]] for query_id, query in queries.items()},
        "mode": "text",
    }
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n", len(queries)


def read_negative_texts(path: Path) -> dict[str, list[str]]:
    """Hard negatives by query text, from JSON lines with "query" and "negatives" (texts), as `bench mine` writes them.

    Raises:
        PairsError: no such file, or a line of another form; names file and line.
    """
    negatives: dict[str, list[str]] = {}
    for number, line in enumerate(read_text(path, "Make it with: bench mine").split("\n"), 1):
        if not line.strip():
            continue
        row = json_object(path, number, line)
        if number == 1 and "format" in row and "query" not in row:
            continue
        query, texts = row.get("query"), row.get("negatives")
        if not isinstance(query, str) or not isinstance(texts, list) or not all(isinstance(t, str) for t in texts):
            raise PairsError(f'{path}, line {number}: expected "query", a text, and "negatives", a list of texts.')
        negatives[query] = list(dict.fromkeys([*negatives.get(query, ()), *texts]))
    return negatives
