"""Snapshots: a sample of documents and queries, and a digest of each document, in one file for a later comparison.

JSON lines: a header with a format number, then documents, queries and digests. The sample depends on the texts alone,
so the same corpus gives the same file on any machine, and a few more documents change few lines.
"""

from __future__ import annotations

import json
from collections import Counter
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
from bench.suites.text import normalized, text_hash

FORMAT = 1
REFERENCE = "reference.jsonl"
"""The file's name beside a fine-tuned model."""

MOST = 1_000
"""Most documents, and most queries, of the sample that a two-sample test compares."""

DIGESTS_A_LINE = 1_000


def text_digest(text: str) -> str:
    """12 hex digits of a text: among a million texts, two share them with a probability of one in 500."""
    return text_hash(text, 6).hex()


def levelled(query: str) -> str:
    """A query as counted: without differences of Unicode form, case and white space."""
    return normalized(query)


def sampled(texts: Iterable[str], most: int = MOST) -> list[str]:
    """At most `most` of some different texts: those with the lowest digests, in that order."""
    return sorted(texts, key=text_digest)[:most]


@dataclass(frozen=True)
class Snapshot:
    """Documents and queries of one time.

    `documents` and `queries` are samples; `digests` has every document. `header` names the sources.
    """

    documents: tuple[str, ...] = field(repr=False)
    queries: tuple[str, ...] = field(repr=False)
    digests: frozenset[str] = field(repr=False)
    header: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """32 hex digits of the texts and digests."""
        return digest_of([list(self.documents), list(self.queries), sorted(self.digests)])


def of_texts(documents: Iterable[str], queries: Iterable[str] = (), **header: Any) -> Snapshot:
    """A snapshot of texts; equal documents count once, and so do queries that differ only in case and white space."""
    texts = dict.fromkeys(documents)
    spellings: dict[str, str] = {}
    for query in queries:
        spellings.setdefault(levelled(query), query)
    counts = {"n_documents": len(texts), "n_queries": len(spellings)}
    samples = tuple(sampled(texts)), tuple(sampled(spellings.values()))
    return Snapshot(*samples, frozenset(map(text_digest, texts)), header | counts)


def of_suite(suite: Suite, *roles: str) -> Snapshot:
    """A suite's documents, and its answerable queries of some roles; of paraphrases of one need, the first."""
    queries: dict[tuple[str, str], str] = {}
    for query_set in suite.of_role(*roles):
        labels = suite.labels[query_set.name]
        for query_id, text in zip(query_set.ids, query_set.texts, strict=True):
            if query_id not in labels.unanswerable:
                need = labels.clusters.get(query_id)
                queries.setdefault(("cluster", need) if need else (query_set.name, query_id), text)
    return of_texts(
        (text for corpus in suite.corpora.values() for text in corpus.texts),
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
        SuiteError: no such file, another format, or content that does not match its digest.
    """
    header: dict[str, Any] = {}
    documents, queries, digests, digest = [], [], set(), None
    for place, row in read_rows(path, part="A snapshot"):
        if not header and "snapshot" not in row:
            raise SuiteError(f'{place}: no snapshot; expected a first line with "snapshot", as bench drift writes it.')
        if "snapshot" in row:
            if row.get("format") != FORMAT:
                number = excerpt(repr(row.get("format")), 40)
                raise SuiteError(f"{place} has format {number}; this version reads format {FORMAT}. Write it anew.")
            header, digest = dict(row["snapshot"]), row.get("digest")
        elif "document" in row:
            documents.append(text_of(place, row, "document"))
        elif "query" in row:
            queries.append(text_of(place, row, "query"))
        elif isinstance(row.get("digests"), list) and all(isinstance(d, str) for d in row["digests"]):
            digests |= set(row["digests"])
        else:
            raise SuiteError(f"{place}: neither document, query nor digests; expected one of them.")
    snapshot = Snapshot(tuple(documents), tuple(queries), frozenset(digests), header)
    if snapshot.digest != digest:
        raise SuiteError(f"{path} was changed or cut off after it was written; restore it, or write it anew.")
    return snapshot


# --- texts of today --------------------------------------------------------------------------------


def documents_of(path: Path) -> list[str]:
    """Texts of documents as systems get them: from JSON lines, or from a suite's corpora.

    Raises:
        SuiteError: neither, or documents that cannot be read.
    """
    if path.is_dir():
        from bench.suites import suite as suites

        return [text for corpus in suites.load(path).corpora.values() for text in corpus.texts]
    texts = [document_text(row["title"], row["text"]) for row in jsonl.read_documents(path)]
    if not texts:
        raise SuiteError(f"{path} holds no document.")
    return texts


@dataclass(frozen=True)
class QueryLog:
    """Query → its number of lines in a log; spellings are added up, and the first is kept."""

    counts: Mapping[str, int] = field(repr=False)
    n_lines: int

    @property
    def queries(self) -> Sequence[str]:
        """The different queries."""
        return list(self.counts)


def read_queries(path: Path) -> QueryLog:
    """The queries of a log: "query" or "text" of rows (JSON lines, CSV, TSV, Parquet), or else one query per line.

    A click log has such rows. Memory grows with the different queries, not with the lines.

    Raises:
        SuiteError: no such file, a row without a query, or no query at all.
    """
    spellings: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for text in _texts(path):
        if key := levelled(text):
            counts[key] += 1
            spellings.setdefault(key, " ".join(text.split()))
    if not counts:
        raise SuiteError(f"{path} holds no query; expected one a line, or rows with a query.")
    return QueryLog({spellings[key]: n for key, n in counts.items()}, counts.total())


def _texts(path: Path) -> Iterator[str]:
    if not path.name.removesuffix(".gz").lower().endswith((*SUFFIXES, ".json")):
        yield from (line for _, line in read_lines(path, prose=True))
        return
    for place, row in read_rows(path, part="A query log in Parquet"):
        name = next((name for name in ("query", "text") if name in row), None)
        if name is None:
            columns = excerpt(json.dumps(sorted(map(str, row))), 80)
            raise SuiteError(f'{place}: no query (found: {columns}); expected "query" or "text".')
        yield text_of(place, row, name)
