"""Pairs in the layouts that other programs train from. A layout is data: what one row is, and which keys it has.

Sources: Sentence Transformers, "Training Overview", dataset format (columns in the order of the loss's inputs);
FlagEmbedding, examples/finetune, data format; LlamaIndex, `EmbeddingQAFinetuneDataset`; Cohere, "Preparing the Rerank
Fine-tuning Data".
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.base.errors import PairsError, UsageError, did_you_mean, excerpt
from bench.base.store import write_text
from bench.records import digest_of
from bench.train.pairs import Pair

Negatives = Mapping[str, Sequence[str]]
"""Query text → texts of hard negatives, hardest first."""


@dataclass(frozen=True)
class Layout:
    """`row` is "pair" (one line for each), "query" (one line for each, its documents as lists) or "whole" (one document
    for all); the other fields are the names that its parts bear there. An empty name: it has no such part.
    """

    row: str
    query: str
    positives: str
    negatives: str
    corpus: str = ""
    relevant: str = ""
    constants: Mapping[str, str] = field(default_factory=dict)


LAYOUTS: Mapping[str, Layout] = {
    # One column a text; columns are told by their order, so every line has as many negatives.
    "sentence-transformers": Layout("pair", "anchor", "positive", "negative"),
    "flagembedding": Layout("query", "query", "pos", "neg"),
    "cohere": Layout("query", "query", "relevant_passages", "hard_negatives"),
    "llamaindex": Layout("whole", "queries", "", "", "corpus", "relevant_docs", {"mode": "text"}),
}


def export(pairs: Sequence[Pair], layout_name: str, out: Path, *, negatives: Negatives | None = None) -> dict[str, int]:
    """Write the pairs in a layout; returns counts of rows, queries, negatives and what was left out.

    Args:
        pairs: those of one query text are one query; equal documents of it are written once.
        layout_name: a name of `LAYOUTS`.
        out: the file.
        negatives: hard negatives by query text; a text that is a positive of the query is left out and counted.

    Raises:
        UsageError: an unknown layout, or negatives for one that has no place for them.
        PairsError: negatives of which none belongs to a query of these pairs.
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
        given = {query: list(dict.fromkeys(negatives.get(query, ()))) for query in positives}
        hard = {query: [text for text in given[query] if text not in positives[query]] for query in positives}
        counts["negatives left out: positives of their query"] = sum(map(len, given.values())) - sum(
            map(len, hard.values())
        )
        if not any(hard.values()):
            raise PairsError("The negatives are of other queries: none of them belongs to a query of these pairs.")
    if layout.row == "whole":
        text, rows = _whole(layout, positives)
    else:
        make = _by_pair if layout.row == "pair" else _by_query
        lines = [json.dumps(row, ensure_ascii=False) for row in make(layout, positives, hard, counts)]
        text, rows = "".join(line + "\n" for line in lines), len(lines)
    write_text(out, text)
    return {"rows": rows, **counts}


def _by_pair(
    layout: Layout, positives: Mapping[str, Mapping[str, None]], hard: Mapping[str, list[str]], counts: dict[str, int]
) -> Iterator[dict[str, Any]]:
    having = [len(found) for found in hard.values() if found]
    # A table has no holes: as many negatives a line as the query with the fewest has, none where there are none at all.
    width = min(having) if having else 0
    counts["negatives a row"] = width
    left_out = 0
    for query, documents in positives.items():
        if width and not hard[query]:
            left_out += len(documents)
            continue
        names = [layout.negatives if width == 1 else f"{layout.negatives}_{n}" for n in range(1, width + 1)]
        for document in documents:
            yield {layout.query: query, layout.positives: document, **dict(zip(names, hard[query], strict=False))}
    if left_out:
        counts["pairs left out: their query has no negative"] = left_out


def _by_query(
    layout: Layout, positives: Mapping[str, Mapping[str, None]], hard: Mapping[str, list[str]], counts: dict[str, int]
) -> Iterator[dict[str, Any]]:
    counts["negatives"] = sum(map(len, hard.values()))
    for query, documents in positives.items():
        yield {layout.query: query, layout.positives: list(documents), layout.negatives: hard[query]}


def _whole(layout: Layout, positives: Mapping[str, Mapping[str, None]]) -> tuple[str, int]:
    corpus: dict[str, str] = {}
    queries: dict[str, str] = {}
    relevant: dict[str, list[str]] = {}
    for query, documents in positives.items():
        query_id = f"q-{digest_of(query)[:16]}"
        queries[query_id] = query
        for document in documents:
            doc_id = f"d-{digest_of(document)[:16]}"
            corpus[doc_id] = document
            relevant.setdefault(query_id, []).append(doc_id)
    whole = {layout.query: queries, layout.corpus: corpus, layout.relevant: relevant, **layout.constants}
    return json.dumps(whole, ensure_ascii=False, indent=1) + "\n", len(queries)


def read_negatives(path: Path) -> dict[str, list[str]]:
    """Hard negatives by query text, from JSON lines with "query" and "negatives" (texts), as `bench mine` writes them.

    Raises:
        PairsError: no such file, or a line that is none; names file and line.
    """
    found: dict[str, list[str]] = {}
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as problem:
        raise PairsError(f"{path} cannot be read: {problem}. Make it with: bench mine") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict):
            raise PairsError(f"{path}, line {number}: expected a JSON object; found {excerpt(line)}.")
        if number == 1 and "format" in row and "query" not in row:
            continue
        query, texts = row.get("query"), row.get("negatives")
        if not isinstance(query, str) or not isinstance(texts, list) or not all(isinstance(t, str) for t in texts):
            raise PairsError(f'{path}, line {number}: expected "query", a text, and "negatives", a list of texts.')
        found[query] = list(dict.fromkeys([*found.get(query, ()), *texts]))
    return found
