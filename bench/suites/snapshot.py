"""What a model knew: a sample of documents and queries, and a digest of each document, as one file for later.

JSON lines: a header with a format number, then documents, queries and digests. What is sampled depends on the texts
alone, so the same corpus gives the same file on any machine, and a few documents more change few lines.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.base.errors import SuiteError, excerpt
from bench.base.files.lines import read_lines
from bench.base.files.rows import SUFFIXES, read_rows, text_of
from bench.base.store import json_text, write_text
from bench.records import Suite, digest_of, document_text
from bench.suites.sources import jsonl

FORMAT = 1
REFERENCE = "reference.jsonl"
"""Its name beside a fine-tuned model."""

MOST = 1_000
"""Documents, and queries, that are kept whole: what a two-sample test looks at."""

DIGESTS_A_LINE = 1_000
_QUERY_FIELDS = ("query", "text")


def text_digest(text: str) -> str:
    """12 hex digits of a text: of a million texts, two are taken for one with a chance of one in 500."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()


def levelled(query: str) -> str:
    """A query without what typing it twice may change: Unicode form, case, white space."""
    return " ".join(unicodedata.normalize("NFKC", query).casefold().split())


def sampled(texts: Iterable[str], most: int = MOST) -> list[str]:
    """At most so many of some different texts: those whose digests come first, in that order."""
    return sorted(texts, key=text_digest)[:most]


@dataclass(frozen=True)
class Snapshot:
    """Documents and queries of one time.

    `documents` and `queries` are samples; `digests` stands for every document. `header` says what it was made from.
    """

    documents: tuple[str, ...] = field(repr=False)
    queries: tuple[str, ...] = field(repr=False)
    digests: frozenset[str] = field(repr=False)
    header: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """32 hex digits of what is compared."""
        return digest_of([list(self.documents), list(self.queries), sorted(self.digests)])


def of_texts(documents: Iterable[str], queries: Iterable[str] = (), **header: Any) -> Snapshot:
    """A snapshot of texts; equal documents count once, and so do queries that differ in case and white space alone."""
    different = dict.fromkeys(documents)
    spelled: dict[str, str] = {}
    for query in queries:
        spelled.setdefault(levelled(query), query)
    kept = {"n_documents": len(different), "n_queries": len(spelled)}
    return Snapshot(
        tuple(sampled(different)),
        tuple(sampled(spelled.values())),
        frozenset(map(text_digest, different)),
        header | kept,
    )


def of_suite(suite: Suite, *roles: str) -> Snapshot:
    """A suite's documents, and its answerable queries of some roles; of paraphrases of one need, the first."""
    queries: dict[tuple[str, str], str] = {}
    for query_set in suite.of_role(*roles):
        labels = suite.labels[query_set.name]
        for query_id, text in zip(query_set.ids, query_set.texts, strict=True):
            if query_id not in labels.unanswerable:
                need = labels.clusters.get(query_id)
                queries.setdefault(("cluster", need) if need else (query_set.name, query_id), text)
    documents = (text for corpus in suite.corpora.values() for text in corpus.texts)
    return of_texts(
        documents,
        queries.values(),
        suite={"name": suite.name, "version": suite.version, "digest": suite.digest},
        corpora={name: corpus.digest for name, corpus in suite.corpora.items()},
        query_sets=[query_set.name for query_set in suite.of_role(*roles)],
    )


def write_snapshot(path: Path, snapshot: Snapshot) -> Path:
    """Write a snapshot whole or not at all."""
    digests = sorted(snapshot.digests)
    lines = [
        {"format": FORMAT, "snapshot": dict(snapshot.header), "digest": snapshot.digest},
        *({"document": text} for text in snapshot.documents),
        *({"query": text} for text in snapshot.queries),
        *({"digests": digests[i : i + DIGESTS_A_LINE]} for i in range(0, len(digests), DIGESTS_A_LINE)),
    ]
    return write_text(path, "".join(json_text(line, separators=(",", ":")) + "\n" for line in lines))


def read_snapshot(path: Path) -> Snapshot:
    """A snapshot from its file.

    Raises:
        SuiteError: no such file, another format, or content that does not fit its digest.
    """
    header: dict[str, Any] = {}
    documents, queries, digests, stated = [], [], set(), None
    for place, row in read_rows(path, part="A snapshot"):
        if not header and "snapshot" not in row:
            raise SuiteError(f'{place}: no snapshot; expected a first line with "snapshot", as bench drift writes it.')
        if "snapshot" in row:
            if row.get("format") != FORMAT:
                found = excerpt(repr(row.get("format")), 40)
                raise SuiteError(f"{place} has format {found}; this version reads format {FORMAT}. Write it anew.")
            header, stated = dict(row["snapshot"]), row.get("digest")
        elif "document" in row:
            documents.append(text_of(place, row, "document"))
        elif "query" in row:
            queries.append(text_of(place, row, "query"))
        elif isinstance(row.get("digests"), list) and all(isinstance(d, str) for d in row["digests"]):
            digests |= set(row["digests"])
        else:
            raise SuiteError(f"{place}: neither document, query nor digests; expected one of them.")
    read = Snapshot(tuple(documents), tuple(queries), frozenset(digests), header)
    if read.digest != stated:
        raise SuiteError(f"{path} was changed or cut off after it was written; restore it, or write it anew.")
    return read


# --- what is there now -----------------------------------------------------------------------------


def documents_of(path: Path) -> list[str]:
    """Texts of documents as every system sees them: of JSON lines, or of a suite's corpora.

    Raises:
        SuiteError: neither, or documents that cannot be read.
    """
    if path.is_dir():
        from bench.suites import suite as suites

        loaded = suites.load(path)
        return [text for corpus in loaded.corpora.values() for text in corpus.texts]
    found = [document_text(row["title"], row["text"]) for row in jsonl.read_documents(path)]
    if not found:
        raise SuiteError(f"{path} holds no document.")
    return found


@dataclass(frozen=True)
class QueryLog:
    """Different queries of a log with how often each was asked, however it was spelled; the first spelling is kept."""

    counts: Mapping[str, int] = field(repr=False)
    n_lines: int

    @property
    def queries(self) -> Sequence[str]:
        """The queries."""
        return list(self.counts)


def read_queries(path: Path) -> QueryLog:
    """The queries of a log: of rows (JSON lines, CSV, TSV, Parquet) those in "query" or "text", else a query a line.

    A click log is such rows. Memory grows with the different queries, not with the lines.

    Raises:
        SuiteError: no such file, a row without a query, or no query at all.
    """
    spelled: dict[str, str] = {}
    counts: dict[str, int] = {}
    n_lines = 0
    for text in _asked(path):
        key = levelled(text)
        if key:
            n_lines += 1
            counts[key] = counts.get(key, 0) + 1
            spelled.setdefault(key, " ".join(text.split()))
    if not counts:
        raise SuiteError(f"{path} holds no query; expected one a line, or rows with a query.")
    return QueryLog({spelled[key]: count for key, count in counts.items()}, n_lines)


def _asked(path: Path) -> Iterator[str]:
    name = path.name.removesuffix(".gz").lower()
    if not name.endswith((*SUFFIXES, ".json")):
        yield from (line for _, line in read_lines(path, prose=True))
        return
    for place, row in read_rows(path, part="A query log in Parquet"):
        wanted = next((field for field in _QUERY_FIELDS if field in row), None)
        if wanted is None:
            found = excerpt(json.dumps(sorted(map(str, row))), 80)
            raise SuiteError(f'{place}: no query (found: {found}); expected "query" or "text".')
        yield text_of(place, row, wanted)
