"""Negatives by id, and their file: JSON lines or a table of two columns, checked line by line.

The file of `bench mine` begins with a header, `{"format": 1, "kind": "negatives", …}`, with the digests of the corpora;
then comes a line for each query. A file that people write needs no header and no texts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from bench.base.errors import PairsError, did_you_mean, excerpt
from bench.base.store import write_text
from bench.records import Corpus, digest_of
from bench.train.mining_report import MiningReport
from bench.train.pairs import Pairs, json_object, read_text, refuse_unknown

FORMAT = 1
KEYS = ("corpus", "query_id", "query", "negative_ids", "negative_id", "positive_ids", "positives", "negatives")
_HEADINGS = {("query-id", "corpus-id"), ("query_id", "doc_id"), ("query-id", "doc-id"), ("query_id", "negative_id")}


@dataclass(frozen=True)
class Negatives:
    """(corpus, query text) → document ids, hardest first; every query has the number that the settings ask for.

    `corpora` maps a pair's corpus to the corpus of its negatives: another one only for pairs of no corpus.
    """

    doc_ids: Mapping[tuple[str, str], tuple[str, ...]] = field(repr=False)
    report: MiningReport
    corpora: Mapping[str, Corpus] = field(repr=False)

    def texts(self, key: tuple[str, str]) -> list[str]:
        """The texts of a query's negatives, hardest first."""
        corpus = self.corpora[key[0]]
        return [corpus.texts[corpus.row_of[doc_id]] for doc_id in self.doc_ids[key]]

    @cached_property
    def digest(self) -> str:
        """32 hex digits over ids and texts of all: an edited document is another negative."""
        return digest_of(sorted([*key, *ids, *self.texts(key)] for key, ids in self.doc_ids.items()))


@dataclass(frozen=True)
class Line:
    """One line of a file: a query, by text or by id, and documents that do not answer it."""

    number: int
    corpus: str | None
    query_id: str | None
    query: str | None
    doc_ids: tuple[str, ...]


@dataclass(frozen=True)
class NegativesFile:
    """A file's header, empty where it has none, and its lines."""

    path: Path
    header: Mapping[str, Any]
    lines: tuple[Line, ...] = field(repr=False)

    def by_key(self, pairs: Pairs, corpora: Mapping[str, Corpus]) -> tuple[dict[tuple[str, str], list[str]], int]:
        """(corpus, query text) → ids of negatives, and the number of lines of no query of the pairs.

        Args:
            pairs: their queries are looked up.
            corpora: a pair's corpus → the corpus of its negatives.

        Raises:
            PairsError: a document that the corpus lacks, a corpus that has changed since, an id that means several
                queries, or a file in which no line is of any query.
        """
        for corpus in corpora.values():
            then = self.header.get("corpora", {}).get(corpus.name, corpus.digest)
            if then != corpus.digest:
                raise PairsError(
                    f'{self.path} was mined from another corpus "{corpus.name}" (digest {str(then)[:12]}, '
                    f"now {corpus.digest[:12]}): its ids may stand for other texts. Mine anew with: bench mine"
                )
        by_id: dict[str | None, dict[tuple[str, str], None]] = {}
        by_text: dict[str, dict[tuple[str, str], None]] = {}
        for pair in pairs.pairs:
            by_id.setdefault(pair.query_id, {})[pair.key] = None
            by_text.setdefault(pair.query, {})[pair.key] = None
        negatives: dict[tuple[str, str], list[str]] = {}
        unknown = 0
        for line in self.lines:
            matches = by_id.get(line.query_id or "", {}) if line.query is None else by_text.get(line.query, {})
            keys = [key for key in matches if line.corpus in (None, key[0], corpora[key[0]].name)]
            if len(keys) > 1:
                raise PairsError(
                    f'{self.path}, line {line.number}: "{excerpt(str(line.query or line.query_id))}" means {len(keys)} '
                    'queries of the pairs; name the query by its text ("query") and its corpus ("corpus").'
                )
            unknown += not keys
            for key in keys:
                corpus, row = corpora[key[0]], negatives.setdefault(key, [])
                for doc_id in line.doc_ids:
                    if doc_id not in corpus.row_of:
                        raise PairsError(
                            f'{self.path}, line {line.number}: document "{excerpt(doc_id)}" is not in corpus '
                            f'"{corpus.name}".{did_you_mean(doc_id, corpus.ids)}'
                        )
                row += [doc_id for doc_id in line.doc_ids if doc_id not in row]
        if not negatives:
            raise PairsError(
                f"{self.path}: none of its {len(self.lines)} lines is of any of the {len(by_text)} training queries. "
                "Was it mined for other pairs? Make it anew with: bench mine"
            )
        return negatives, unknown


def read_negatives(path: Path) -> NegativesFile:
    """A file of negatives by id: JSON lines, or `query_id<TAB>doc_id` in a `.tsv`.

    Raises:
        PairsError: it cannot be read, or a line of another form; names file and line.
    """
    text = read_text(path, "Make negatives with: bench mine")
    rows = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not rows:
        raise PairsError(f"{path} is empty; expected a line per query. Make negatives with: bench mine")
    if path.suffix == ".tsv":
        return NegativesFile(path, {}, tuple(_table(path, rows)))
    header = _header(path, rows[0][1])
    lines = [_line(path, number, line) for number, line in rows[1 if header else 0 :]]
    if not lines:
        raise PairsError(f"{path} has a header and no negatives; expected a line per query.")
    if header.get("queries") not in (None, len(lines)):
        raise PairsError(
            f"{path} announces {header['queries']!r} queries and holds {len(lines)}; it was cut off or edited. "
            "Make it anew with: bench mine"
        )
    return NegativesFile(path, header, tuple(lines))


def _header(path: Path, line: str) -> dict[str, Any]:
    """The header; empty where the first line is not one."""
    header = json_object(path, 1, line)
    if "kind" not in header and "format" not in header:
        return {}
    if header.get("kind") != "negatives" or header.get("format") != FORMAT or isinstance(header["format"], bool):
        raise PairsError(
            f'{path}, line 1: expected the header of a file of negatives, {{"format": {FORMAT}, "kind": "negatives"}}; '
            f"found {excerpt(line)}. Make negatives with: bench mine"
        )
    if not isinstance(header.get("corpora", {}), dict):
        raise PairsError(f'{path}, line 1: "corpora" is {excerpt(str(header["corpora"]))}; expected digests by name.')
    return header


def _line(path: Path, number: int, line: str) -> Line:
    row, where = json_object(path, number, line), f"{path}, line {number}"
    refuse_unknown(row, KEYS, where)
    for key in ("corpus", "query_id", "query"):
        if row.get(key) is not None and not isinstance(row[key], str):
            raise PairsError(f'{where}: "{key}" is {excerpt(repr(row[key]))}; expected a text.')
    query = row.get("query")
    if not (query or "").strip() and not row.get("query_id"):
        raise PairsError(f'{where}: names no query; expected "query", its text, or "query_id".')
    if ("negative_ids" in row) == ("negative_id" in row):
        raise PairsError(f'{where}: expected "negative_ids", a list of document ids, or "negative_id", one of them.')
    ids = row["negative_ids"] if "negative_ids" in row else [row["negative_id"]]
    if not isinstance(ids, list) or not ids or any(not isinstance(i, str) or not i for i in ids):
        raise PairsError(f'{where}: "negative_ids" is {excerpt(repr(ids))}; expected a list of document ids, as texts.')
    if len(set(ids)) < len(ids):
        twice = next(i for i in ids if ids.count(i) > 1)
        raise PairsError(f'{where}: document "{excerpt(twice)}" is listed twice; expected each negative once.')
    return Line(number, row.get("corpus") or None, row.get("query_id"), query or None, tuple(ids))


def _table(path: Path, rows: Sequence[tuple[int, str]]) -> list[Line]:
    lines = []
    for number, text in rows:
        cells = [cell.strip() for cell in text.rstrip("\r").split("\t")]
        if number == rows[0][0] and tuple(cell.lower() for cell in cells[:2]) in _HEADINGS:
            continue
        if len(cells) != 2 or not all(cells):
            raise PairsError(
                f"{path}, line {number}: expected query_id and doc_id with one tab between; found {excerpt(text)}."
            )
        lines.append(Line(number, None, cells[0], None, (cells[1],)))
    if not lines:
        raise PairsError(f"{path} has a heading and no negatives; expected query_id and doc_id, one pair a line.")
    return lines


def write_negatives(path: Path, negatives: Negatives, pairs: Pairs, header: Mapping[str, Any] | None = None) -> int:
    """Write a file of negatives, whole or not at all; returns the number of queries.

    Args:
        pairs: the pairs that it was mined for; their positives are written beside the negatives.
        header: more keys of the first line, beside the digests of corpora, pairs and negatives.
    """
    pairs_of: dict[tuple[str, str], list[tuple[str, str, str]]] = {}
    for pair in pairs.pairs:
        pairs_of.setdefault(pair.key, []).append((pair.query_id, pair.doc_id, pair.document))
    corpora = {corpus.name: corpus.digest for corpus in negatives.corpora.values()}
    first = {"format": FORMAT, "kind": "negatives", "queries": len(negatives.doc_ids), "digest": negatives.digest}
    rows: list[dict[str, Any]] = [first | {"corpora": corpora, "pairs": pairs.digest, **(header or {})}]
    for key, ids in negatives.doc_ids.items():
        query_ids, positive_ids, positives = zip(*pairs_of[key], strict=True)
        rows.append(
            {
                "corpus": key[0],
                "query_id": query_ids[0],
                "query": key[1],
                "positive_ids": positive_ids,
                "negative_ids": ids,
                "positives": positives,
                "negatives": negatives.texts(key),
            }
        )
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return len(negatives.doc_ids)
