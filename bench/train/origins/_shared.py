"""Parts of several origins: rows of a file without evaluation data, documents drawn with a seed, sentences."""

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
from bench.suites.suite import documents, refuse_evaluation_file
from bench.train.origins import Context

_SENTENCE = re.compile(r"(?<=[.!?…])[\"'”’)\]]*\s+|(?<=[。！？])|\n+")


def opened(context: Context, path: str, *, roles: Sequence[str] = EVALUATION_ROLES) -> Path:
    """A file named in a table, if it exists and has no evaluation data.

    Raises:
        HeldOutError: a file of a query set of these roles, or a copy of one.
        PairsError: no such file.
    """
    file = context.base / path
    if not file.is_file():
        raise PairsError(f"{file} is no file; a table of [pairs] names it. Paths start at the config's folder.")
    refuse_evaluation_file(context.suite, file, roles=roles)
    return file


def rows(path: Path, part: str) -> Iterator[tuple[str, dict[str, str], dict[str, Any]]]:
    """(place, provenance, row) of a file of rows: JSON lines, CSV, TSV, Parquet; gzip is recognised by its content.

    Raises:
        PairsError: it cannot be read; names file and line.
    """
    with pairs_errors():
        for place, row in read_rows(path, part=part):
            # A place is path:line, or of Parquet path, row n.
            number = place.removeprefix(str(path)).removeprefix(":").removeprefix(", row ")
            yield place, {"file": path.name, "line": number}, row


@contextmanager
def pairs_errors() -> Iterator[None]:
    """Turn errors of sources, which are about suites, into errors of pairs with the same sentence."""
    try:
        yield
    except HeldOutError:
        raise
    except SuiteError as error:
        raise PairsError(str(error)) from None


def chosen_documents(context: Context, corpora: Sequence[str], most: int | None) -> Iterator[tuple[str, str, str]]:
    """(corpus, document id, text) in the corpora's order; at most `most` of all, drawn with the seed.

    A document's rank in the draw is the digest of seed and id, so a new document changes little of the draw.
    """
    named = context.corpora(corpora)
    drawn: set[tuple[str, str]] | None = None
    if most is not None and sum(len(corpus.ids) for corpus in named) > most:
        places = [(corpus.name, doc_id) for corpus in named for doc_id in corpus.ids]
        drawn = set(sorted(places, key=lambda place: digest_of([context.seed, *place]))[:most])
    for corpus in named:
        for doc_id, text in zip(corpus.ids, corpus.texts, strict=True):
            if drawn is None or (corpus.name, doc_id) in drawn:
                yield corpus.name, doc_id, text


def chosen_lines(context: Context, corpora: Sequence[str], most: int | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """(corpus, line of its file) of the documents of `chosen_documents`, with `_id`, `title` and `text`."""
    chosen = {(corpus, doc_id) for corpus, doc_id, _ in chosen_documents(context, corpora, most)}
    for corpus in context.corpora(corpora):
        for line in documents(context.suite, corpus.name):
            if (corpus.name, line["_id"]) in chosen:
                yield corpus.name, line


def rng_of(context: Context, kind: str, corpus: str, doc_id: str) -> np.random.Generator:
    """A generator of one document's own: other documents do not change its draws."""
    return np.random.default_rng(int(digest_of([context.seed, kind, corpus, doc_id]), 16))


def sentences(text: str) -> list[tuple[int, int]]:
    """(start, end) of each sentence, which ends at an end mark or a line's end; abbreviations cut a sentence in two."""
    spans, start = [], 0
    for gap in [*_SENTENCE.finditer(text), None]:
        # Closing marks belong to the sentence, the white space behind them does not.
        end = gap.start() + len(gap.group().rstrip()) if gap else len(text)
        if text[start:end].strip():
            spans.append((start, end))
        start = gap.end() if gap else len(text)
    return spans


def count_words(text: str) -> int:
    """Number of words; of characters in scripts without spaces."""
    return sum(1 for _ in WORD.finditer(text))
