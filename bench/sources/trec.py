"""TREC files: runs (query, Q0, document, rank, score, tag) and judgements."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from bench.errors import RunError, SuiteError
from bench.records import Run, digest_texts
from bench.sources.jsonl import read_lines, read_qrels

__all__ = ["read_qrels", "read_run", "write_run"]


def _bad(path: Path, number: int, problem: str) -> RunError:
    return RunError(f"{path}:{number}: {problem}")


def read_run(path: Path, *, name: str | None = None, depth: int | None = None) -> Run:
    """A run from a TREC file, gzip told by content. The rank column is ignored, as trec_eval does.

    Args:
        path: the file.
        name: the system's name; the file's own tag where None.
        depth: documents kept per query after sorting by the tie rule; all where None.

    Returns:
        A run whose queries stand in the order in which the file first names them.

    Raises:
        RunError: with file and line: fewer than six fields, a score that is no finite number, a document twice
            under one query, an empty or missing file.
    """
    rows: dict[str, dict[str, float]] = {}
    tag = ""
    try:
        for number, line in read_lines(path):
            fields = line.split()
            if len(fields) < 6:
                raise _bad(path, number, f"{len(fields)} fields; expected query, Q0, document, rank, score, tag.")
            query_id, _, doc_id, _, score_text = fields[:5]
            tag = tag or fields[5]
            try:
                score = float(score_text)
            except ValueError:
                raise _bad(path, number, f'score is "{score_text[:40]}"; expected a number.') from None
            if not math.isfinite(score):
                raise _bad(path, number, f"score is {score_text}; expected a finite number.")
            if abs(score) > 3.4e38:
                raise _bad(path, number, f"score is {score_text}; too large for float32.")
            ranking = rows.setdefault(query_id, {})
            if doc_id in ranking:
                raise _bad(path, number, f'document "{doc_id}" stands already under query "{query_id}".')
            ranking[doc_id] = score
    except SuiteError as error:
        raise RunError(str(error)) from error
    if not rows:
        raise RunError(f"{path} holds no ranking; expected lines of query, Q0, document, rank, score, tag.")

    doc_ids = sorted({doc_id for ranking in rows.values() for doc_id in ranking})
    row_of = {doc_id: row for row, doc_id in enumerate(doc_ids)}
    width = max(map(len, rows.values()))
    docs = np.full((len(rows), width), -1, dtype=np.int32)
    scores = np.zeros((len(rows), width), dtype=np.float32)
    for row, ranking in enumerate(rows.values()):
        docs[row, : len(ranking)] = [row_of[doc_id] for doc_id in ranking]
        scores[row, : len(ranking)] = list(ranking.values())
    return Run.build(
        system=name or tag,
        system_digest="",
        query_set=path.stem,
        query_set_digest=digest_texts([list(rows)]),
        corpus_digest="",
        query_ids=list(rows),
        doc_ids=doc_ids,
        docs=docs,
        scores=scores,
        depth=depth or width,
    )


def write_run(run: Run) -> Iterable[str]:
    """Lines of a TREC file, best first. Scores are written so that float32 reads back equal."""
    tag = "".join(c if c.isprintable() and not c.isspace() else "_" for c in run.system) or "run"
    for row, query_id in enumerate(run.query_ids):
        for rank, (doc, score) in enumerate(zip(run.docs[row], run.scores[row], strict=True), 1):
            if doc >= 0:
                yield f"{query_id} Q0 {run.doc_ids[doc]} {rank} {float(score):.9g} {tag}\n"
