"""What several origins do: rows of a file that is no evaluation data, documents in a seeded choice, sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from bench.base.errors import HeldOutError, PairsError, SuiteError
from bench.base.files.rows import read_rows
from bench.records import EVALUATION_ROLES, digest_of
from bench.suites.sources.folder import WORD
from bench.suites.suite import refuse_evaluation_file
from bench.train.origins import Context

_SENTENCE = re.compile(r"(?<=[.!?…])[\"'”’)\]]*\s+|(?<=[。！？])|\n+")


def opened(context: Context, path: str, *, roles: Sequence[str] = EVALUATION_ROLES) -> Path:
    """A file named in a table, if it is there and holds no evaluation data.

    Raises:
        HeldOutError: a file of a query set of these roles, or a copy of one.
        PairsError: no such file.
    """
    found = context.base / path
    if not found.is_file():
        raise PairsError(f"{found} is no file; a table of [pairs] names it. Paths start at the config's folder.")
    refuse_evaluation_file(context.suite, found, roles=roles)
    return found


def rows(path: Path, part: str) -> Iterator[tuple[str, dict[str, str], dict[str, Any]]]:
    """(place, provenance, row) of a file of rows: JSON lines, CSV, TSV, Parquet, gzip told by content.

    Raises:
        PairsError: with file and line, for what is no such file.
    """
    with stated():
        for place, row in read_rows(path, part=part):
            # A place is path:line, or of Parquet path, row n.
            number = place.removeprefix(str(path)).removeprefix(":").removeprefix(", row ")
            yield place, {"file": path.name, "line": number}, row


@contextmanager
def stated() -> Iterator[None]:
    """Errors of sources, which are about suites, become errors of pairs; their sentence stays."""
    try:
        yield
    except HeldOutError:
        raise
    except SuiteError as error:
        raise PairsError(str(error)) from None


def chosen_documents(context: Context, corpora: Sequence[str], most: int | None) -> Iterator[tuple[str, str, str]]:
    """(corpus, document id, text) in the corpora's order; with `most`, that many of all, drawn by the seed.

    A document's place in the draw is the digest of seed and id, so a new document changes little of what is drawn.
    """
    named = context.corpora(corpora)
    keep: set[tuple[str, str]] | None = None
    if most is not None and sum(len(corpus.ids) for corpus in named) > most:
        every = [(corpus.name, doc_id) for corpus in named for doc_id in corpus.ids]
        keep = set(sorted(every, key=lambda one: digest_of([context.seed, *one]))[:most])
    for corpus in named:
        for doc_id, text in zip(corpus.ids, corpus.texts, strict=True):
            if keep is None or (corpus.name, doc_id) in keep:
                yield corpus.name, doc_id, text


def rng_of(context: Context, kind: str, corpus: str, doc_id: str) -> np.random.Generator:
    """A generator of one document's own: other documents do not move its draws."""
    return np.random.default_rng(int(digest_of([context.seed, kind, corpus, doc_id]), 16))


def sentences(text: str) -> list[tuple[int, int]]:
    """(start, end) of each sentence, told by its end mark or the end of a line; abbreviations cut one in two."""
    found, start = [], 0
    for gap in [*_SENTENCE.finditer(text), None]:
        end = gap.start() if gap else len(text)
        if gap and gap.group().strip():
            # Closing marks belong to the sentence, the white space behind them does not.
            end += len(gap.group().rstrip())
        if text[start:end].strip():
            found.append((start, end))
        start = gap.end() if gap else len(text)
    return found


def count_words(text: str) -> int:
    """Words; characters in scripts that do without spaces."""
    return sum(1 for _ in WORD.finditer(text))
