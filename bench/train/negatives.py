"""Negatives by id, and their file: JSON lines or a table of two columns, checked line by line.

What `bench mine` writes begins with a header, `{"format": 1, "kind": "negatives", …}`, that names the corpora by
digest; then comes a line per query. A file that people write needs no header and no texts.
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
from bench.train.pairs import Pairs, json_object

FORMAT = 1
KEYS = ("corpus", "query_id", "query", "negative_ids", "negative_id", "positive_ids", "positives", "negatives")
_HEADINGS = {("query-id", "corpus-id"), ("query_id", "doc_id"), ("query-id", "doc-id"), ("query_id", "negative_id")}


@dataclass(frozen=True)
class Negatives:
    """(corpus, query text) → document ids, hardest first; every query has as many as were asked for.

    `corpora` maps a pair's corpus to the one that its negatives are of: itself, but for pairs of no corpus.
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
        """32 hex digits over all of them, ids and texts: an edited document is another negative."""
        return digest_of(sorted([*key, *ids, *self.texts(key)] for key, ids in self.doc_ids.items()))


# --- reading ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Listed:
    """One line of a file: which query it means, by text or by id, and what is no answer to it."""

    line: int
    corpus: str | None
    query_id: str | None
    query: str | None
    doc_ids: tuple[str, ...]


@dataclass(frozen=True)
class NegativesFile:
    """A file's header, empty where it has none, and its lines."""

    path: Path
    header: Mapping[str, Any]
    lines: tuple[Listed, ...] = field(repr=False)

    def by_key(self, pairs: Pairs, corpora: Mapping[str, Corpus]) -> tuple[dict[tuple[str, str], list[str]], int]:
        """(corpus, query text) → ids of negatives, and how many lines are of no query of the pairs.

        Args:
            pairs: whose queries are meant.
            corpora: a pair's corpus → the one that negatives are of.

        Raises:
            PairsError: a document that the corpus lacks, a corpus that has changed since, an id that means several
                queries, or a file in which no line is of any query.
        """
        self._same_corpora(corpora)
        by_id: dict[str, dict[tuple[str, str], None]] = {}
        by_text: dict[str, dict[tuple[str, str], None]] = {}
        for pair in pairs.pairs:
            by_id.setdefault(pair.query_id, {})[pair.key] = None
            by_text.setdefault(pair.query, {})[pair.key] = None
        found: dict[tuple[str, str], list[str]] = {}
        strangers = 0
        for listed in self.lines:
            known = by_text.get(listed.query, {}) if listed.query is not None else by_id.get(listed.query_id or "", {})
            keys = [key for key in known if listed.corpus in (None, key[0], corpora[key[0]].name)]
            if len(keys) > 1:
                named = listed.query if listed.query is not None else listed.query_id
                raise PairsError(
                    f'{self.path}, line {listed.line}: "{excerpt(str(named))}" means {len(keys)} queries of the pairs; '
                    'name the query by its text ("query") and its corpus ("corpus").'
                )
            strangers += not keys
            for key in keys:
                self._known_documents(listed, corpora[key[0]])
                row = found.setdefault(key, [])
                row += [doc_id for doc_id in listed.doc_ids if doc_id not in row]
        if not found:
            raise PairsError(
                f"{self.path}: none of its {len(self.lines)} lines is of any of the {len(by_text)} training queries. "
                "Was it made for other pairs? Make it anew with: bench mine"
            )
        return found, strangers

    def _same_corpora(self, corpora: Mapping[str, Corpus]) -> None:
        then = self.header.get("corpora", {})
        for corpus in {corpus.name: corpus for corpus in corpora.values()}.values():
            if corpus.name in then and then[corpus.name] != corpus.digest:
                raise PairsError(
                    f'{self.path} was mined from another corpus "{corpus.name}" (digest {str(then[corpus.name])[:12]}, '
                    f"now {corpus.digest[:12]}): its ids may stand for other texts. Mine anew with: bench mine"
                )

    def _known_documents(self, listed: Listed, corpus: Corpus) -> None:
        for doc_id in listed.doc_ids:
            if doc_id not in corpus.row_of:
                raise PairsError(
                    f'{self.path}, line {listed.line}: document "{excerpt(doc_id)}" is not in corpus "{corpus.name}".'
                    f"{did_you_mean(doc_id, corpus.ids)}"
                )


def read_negatives(path: Path) -> NegativesFile:
    """A file of negatives by id: JSON lines, or `query_id<TAB>doc_id` in a `.tsv`.

    Raises:
        PairsError: it cannot be read, or a line that is none; names file and line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as problem:
        reason = getattr(problem, "strerror", None) or problem
        raise PairsError(f"{path} cannot be read: {reason}. Make negatives with: bench mine") from None
    rows = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not rows:
        raise PairsError(f"{path} is empty; expected a line per query. Make negatives with: bench mine")
    if path.suffix == ".tsv":
        lines = _table(path, rows)
        return NegativesFile(path, {}, tuple(lines))
    header = _header(path, rows[0][1])
    lines = [_line(path, number, line) for number, line in rows[1 if header else 0 :]]
    if not lines:
        raise PairsError(f"{path} has a header and no negatives; expected a line per query.")
    if header and header.get("queries") not in (None, len(lines)):
        raise PairsError(
            f"{path} announces {header['queries']!r} queries and holds {len(lines)}; it was cut off or edited. "
            "Make it anew with: bench mine"
        )
    return NegativesFile(path, header, tuple(lines))


def _header(path: Path, line: str) -> dict[str, Any]:
    found = json_object(path, 1, line)
    if "kind" not in found and "format" not in found:
        return {}
    if found.get("kind") != "negatives" or found.get("format") != FORMAT or isinstance(found["format"], bool):
        raise PairsError(
            f'{path}, line 1: expected the header of a file of negatives, {{"format": {FORMAT}, "kind": "negatives"}}; '
            f"found {excerpt(line)}. Make negatives with: bench mine"
        )
    if not isinstance(found.get("corpora", {}), dict):
        raise PairsError(f'{path}, line 1: "corpora" is {excerpt(str(found["corpora"]))}; expected digests by name.')
    return found


def _line(path: Path, number: int, line: str) -> Listed:
    row = json_object(path, number, line)
    where = f"{path}, line {number}"
    for key in row:
        if key not in KEYS:
            raise PairsError(
                f'{where}: unknown key "{excerpt(key)}"; expected one of {", ".join(KEYS)}.{did_you_mean(key, KEYS)}'
            )
    for key in ("corpus", "query_id", "query"):
        if row.get(key) is not None and not isinstance(row[key], str):
            raise PairsError(f'{where}: "{key}" is {excerpt(repr(row[key]))}; expected a text.')
    if not (row.get("query") or "").strip() and not row.get("query_id"):
        raise PairsError(f'{where}: names no query; expected "query", its text, or "query_id".')
    if ("negative_ids" in row) == ("negative_id" in row):
        raise PairsError(f'{where}: expected "negative_ids", a list of document ids, or "negative_id", one of them.')
    ids = row["negative_ids"] if "negative_ids" in row else [row["negative_id"]]
    if not isinstance(ids, list) or not ids or any(not isinstance(i, str) or not i for i in ids):
        raise PairsError(f'{where}: "negative_ids" is {excerpt(repr(ids))}; expected a list of document ids, as texts.')
    if len(set(ids)) < len(ids):
        twice = next(i for i in ids if ids.count(i) > 1)
        raise PairsError(f'{where}: document "{excerpt(twice)}" stands twice; expected each negative once.')
    query = row.get("query")
    return Listed(number, row.get("corpus") or None, row.get("query_id"), query if query else None, tuple(ids))


def _table(path: Path, rows: Sequence[tuple[int, str]]) -> list[Listed]:
    found = []
    for place, (number, line) in enumerate(rows):
        cells = [cell.strip() for cell in line.rstrip("\r").split("\t")]
        if place == 0 and tuple(cell.lower() for cell in cells[:2]) in _HEADINGS:
            continue
        if len(cells) != 2 or not all(cells):
            raise PairsError(
                f"{path}, line {number}: expected query_id and doc_id with one tab between; found {excerpt(line)}."
            )
        found.append(Listed(number, None, cells[0], None, (cells[1],)))
    if not found:
        raise PairsError(f"{path} has a heading and no negatives; expected query_id and doc_id, one pair a line.")
    return found


# --- writing ---------------------------------------------------------------------------------------


def write_negatives(path: Path, negatives: Negatives, pairs: Pairs, header: Mapping[str, Any] | None = None) -> int:
    """Write a file of negatives, whole or not at all; returns the number of queries.

    Args:
        path: the file; its folders are made.
        negatives: what was mined.
        pairs: the pairs that it was mined for; their positives stand beside the negatives.
        header: what made them; stands in the first line with the corpora's digests and the negatives' own.
    """
    positives: dict[tuple[str, str], list[tuple[str, str, str]]] = {}
    for pair in pairs.pairs:
        positives.setdefault(pair.key, []).append((pair.query_id, pair.doc_id, pair.document))
    lines = []
    for key, ids in negatives.doc_ids.items():
        right = positives[key]
        row = {
            "corpus": key[0],
            "query_id": right[0][0],
            "query": key[1],
            "positive_ids": [doc_id for _, doc_id, _ in right],
            "negative_ids": list(ids),
            "positives": [document for _, _, document in right],
            "negatives": negatives.texts(key),
        }
        lines.append(json.dumps(row, ensure_ascii=False))
    corpora = {corpus.name: corpus.digest for corpus in negatives.corpora.values()}
    first = {"format": FORMAT, "kind": "negatives", "queries": len(lines), "digest": negatives.digest}
    first |= {"corpora": corpora, "pairs": pairs.digest, **(header or {})}
    write_text(path, "\n".join([json.dumps(first, ensure_ascii=False), *lines]) + "\n")
    return len(lines)
