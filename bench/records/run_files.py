"""A run from a TREC file, and its lines."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from itertools import count, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.base.errors import RunError, SuiteError, excerpt
from bench.base.files.lines import read_lines
from bench.records.digests import digest_texts
from bench.records.run import Run

BLOCK_LINES = 256
"""Lines held as text at a time: so few stay in the processor's cache, and a block of thousands takes twice as long."""


LARGEST_SCORE = 3.4e38
"""Just under what float32 can hold."""


def _bad(path: Path, number: int, problem: str) -> RunError:
    return RunError(f"{path}:{number}: {problem}")


def read_run(path: Path, *, name: str | None = None, depth: int | None = None) -> Run:
    """A run from a TREC file, gzip recognised by content. The rank column is ignored, as trec_eval does.

    Args:
        path: the file.
        name: the system's name; the file's own tag where None.
        depth: documents kept per query after sorting by the tie rule; all where None.

    Returns:
        A run whose queries stand in the order in which the file first names them.

    Raises:
        RunError: with file and line: fewer than six fields, a score that is no finite number, a document twice
            under one query, an id with white space as far as it shows, an empty or missing file.
    """
    # Numbers in order of first appearance; columns are kept as arrays, because a dictionary per query costs seconds.
    row_of: defaultdict[str, int] = defaultdict(count().__next__)
    number_of: defaultdict[str, int] = defaultdict(count().__next__)
    parts: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]] = []
    tag = ""
    try:
        lines = read_lines(path)
        while block := list(islice(lines, BLOCK_LINES)):
            fields = [line.split() for _, line in block]
            lengths = set(map(len, fields))
            try:
                query_column, _, doc_column, _, score_column, *_ = zip(*fields, strict=False)
                part = (
                    np.fromiter(map(row_of.__getitem__, query_column), np.int64, len(fields)),
                    np.fromiter(map(number_of.__getitem__, doc_column), np.int64, len(fields)),
                    np.fromiter(map(float, score_column), np.float64, len(fields)),
                )
                joined = "".join(score_column)
                doubtful = (
                    lengths != {6}
                    or not (np.abs(part[2]) <= LARGEST_SCORE).all()
                    or "_" in joined
                    or not joined.isascii()
                )
            except ValueError:
                doubtful = True
            if doubtful:
                for number, line in block:
                    _check(path, number, line.split())
            parts.append(part)
            tag = tag or fields[0][5]
    except SuiteError as error:
        raise RunError(str(error)) from error
    if not parts:
        raise RunError(f"{path} holds no ranking; expected lines of query, Q0, document, rank, score, tag.")

    rows, numbers, values = (np.concatenate(column) for column in zip(*parts, strict=True))
    query_ids, doc_ids = list(row_of), list(number_of)
    # A query's lines need not stand together: sorted by row, each line's column is its place among its query's.
    order = np.argsort(rows, kind="stable")
    rows, numbers, values = rows[order], numbers[order], values[order]
    sizes = np.bincount(rows)
    columns = np.arange(len(rows)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    width = int(sizes.max())
    docs = np.full((len(query_ids), width), -1, dtype=np.int64)
    scores = np.zeros((len(query_ids), width), dtype=np.float32)
    docs[rows, columns] = numbers
    scores[rows, columns] = values
    ordered = np.sort(docs, axis=1)
    if ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any():
        raise _twice(path)
    return Run.build(
        system=name or tag,
        system_digest="",
        query_set=path.stem,
        query_set_digest=digest_texts([query_ids]),
        corpus_digest="",
        query_ids=query_ids,
        doc_ids=doc_ids,
        docs=docs,
        scores=scores,
        depth=depth or width,
    )


def _check(path: Path, number: int, fields: list[str]) -> None:
    """Pass if a line's fields are a ranked document; the slow way, which says what is wrong."""
    if len(fields) < 6:
        raise _bad(path, number, f"{len(fields)} fields; expected query, Q0, document, rank, score, tag.")
    # A tag may hold spaces. An id may not: its second word would be taken for the rank, and the rank for the score.
    if len(fields) > 6 and not _is_number(fields[3]) and _is_number(fields[4]) and _is_number(fields[5]):
        raise _bad(
            path,
            number,
            f'{len(fields)} fields, of which the rank is "{fields[3][:40]}" and the tag {fields[5][:40]}; expected '
            "query, Q0, document, rank, score, tag. An id with white space? Write it without, and in the judgements.",
        )
    if not _is_number(fields[4]):
        raise _bad(path, number, f'score is "{fields[4][:40]}"; expected a number.')
    score = float(fields[4])
    if not math.isfinite(score):
        raise _bad(path, number, f"score is {fields[4]}; expected a finite number.")
    if abs(score) > LARGEST_SCORE:
        raise _bad(path, number, f"score is {fields[4]}; too large for float32.")


def _is_number(text: str) -> bool:
    # `float` also reads "1_0" and the digits of other scripts, which no other engine does.
    if "_" in text or not text.isascii():
        return False
    try:
        float(text)
    except ValueError:
        return False
    return True


def _twice(path: Path) -> RunError:
    """The error for the first document that stands twice under one query."""
    seen: set[tuple[str, str]] = set()
    for number, line in read_lines(path):
        query_id, _, doc_id = line.split()[:3]
        if (query_id, doc_id) in seen:
            return _bad(path, number, f'document "{excerpt(doc_id)}" stands already under query "{excerpt(query_id)}".')
        seen.add((query_id, doc_id))
    return RunError(f"{path} changed while it was read; run this again.")


def write_run(run: Run) -> Iterable[str]:
    """Lines of a TREC file, best first. Scores are written so that float32 reads back equal."""
    tag = "".join(c if c.isprintable() and not c.isspace() else "_" for c in run.system) or "run"
    for row, query_id in enumerate(run.query_ids):
        for rank, (doc, score) in enumerate(zip(run.docs[row], run.scores[row], strict=True), 1):
            if doc >= 0:
                yield f"{query_id} Q0 {run.doc_ids[doc]} {rank} {float(score):.9g} {tag}\n"
