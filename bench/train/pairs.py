"""Training pairs: a query and a document that answers it, from a suite or from a pair file.

A pair file is JSON lines: a header `{"format": 1, "kind": "pairs", …}`, then one pair a line.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from bench.base.errors import PairsError, did_you_mean, excerpt
from bench.base.registry import is_kind, listing
from bench.base.store import write_text
from bench.records import Suite, digest_of
from bench.suites.suite import training_set

FORMAT = 1

ORIGINS = ("judgements", "expert", "clicks", "faq", "llm", "title", "heading", "cloze", "crop")
"""Where pairs come from, people's judgements first; other packages may add origins."""


@dataclass(frozen=True)
class Pair:
    """A query and a document that answers it.

    `corpus` and `doc_id` name the document; both are empty for a text of no corpus. `weight`, above 0 to 1, is how
    much the pair is trusted. `provenance` names its source: file and line, query set, model, prompt digest.
    """

    query_id: str
    query: str
    doc_id: str
    document: str
    corpus: str
    origin: str
    grade: int = 1
    weight: float = 1.0
    provenance: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str]:
        """(corpus, query text): pairs of one key are the same question, so each document is a positive of all."""
        return self.corpus, self.query


@dataclass(frozen=True)
class Pairs:
    """Training pairs in a fixed order; `dropped` names those that evaluation data has too, `sources` their origins."""

    pairs: tuple[Pair, ...] = field(repr=False)
    dropped: tuple[str, ...]
    sources: tuple[str, ...]

    @cached_property
    def digest(self) -> str:
        """32 hex digits over what training uses of every pair: texts, grade, weight."""
        return digest_of([[p.query, p.document, p.grade, p.weight] for p in self.pairs])

    def part(self, share: float, *, seed: int) -> Pairs:
        """The pairs of a random share of the queries; with one seed, a smaller share is part of a larger one."""
        import numpy as np

        keys = list(dict.fromkeys(pair.key for pair in self.pairs))
        order = np.random.default_rng(seed).permutation(len(keys))
        drawn = {keys[i] for i in order[: math.ceil(share * len(keys))]}
        return replace(self, pairs=tuple(pair for pair in self.pairs if pair.key in drawn))

    @cached_property
    def origins(self) -> dict[str, int]:
        """Pairs by origin."""
        counts = Counter(pair.origin for pair in self.pairs)
        return {origin: counts[origin] for origin in (*ORIGINS, *sorted(counts)) if origin in counts}


def judged_pairs(suite: Suite, name: str) -> Iterator[Pair]:
    """The pairs of one query set: for each query its relevant documents, best grade first.

    Raises:
        HeldOutError: the set is held out.
        SuiteError: there is no such set.
    """
    query_set, qrels = training_set(suite, name)
    corpus = suite.corpora[query_set.corpus]
    provenance = {"suite": suite.name, "query_set": name}
    for query_id, text in zip(query_set.ids, query_set.texts, strict=True):
        if not text.strip():
            continue
        for doc_id, grade in sorted(qrels.get(query_id, {}).items(), key=lambda item: (-item[1], item[0])):
            document = corpus.texts[corpus.row_of[doc_id]]
            if grade >= suite.protocol.relevance_level and document:
                yield Pair(
                    query_id, text, doc_id, document, query_set.corpus, "judgements", grade, provenance=provenance
                )


def write_pairs(path: Path, pairs: Iterable[Pair], header: Mapping[str, Any] | None = None) -> int:
    """Write a pair file, whole or not at all; returns the number of pairs.

    Args:
        pairs: in the order in which they will be read.
        header: more keys of the first line, such as the recipe or table they come from.
    """
    lines = [json.dumps(asdict(pair), ensure_ascii=False) for pair in pairs]
    first = json.dumps({"format": FORMAT, "kind": "pairs", "pairs": len(lines), **(header or {})}, ensure_ascii=False)
    write_text(path, "\n".join([first, *lines]) + "\n")
    return len(lines)


def read_pairs(path: Path) -> tuple[dict[str, Any], list[Pair]]:
    """A pair file's header and pairs.

    Raises:
        PairsError: not a pair file of this format, or a line that is not a pair; names file and line.
    """
    lines = read_text(path, "Make pairs with: bench pairs").split("\n")
    header = json_object(path, 1, lines[0])
    if header.get("kind") != "pairs" or header.get("format") != FORMAT:
        raise PairsError(
            f"{path}, line 1: expected the header of a pair file, "
            f'{{"format": {FORMAT}, "kind": "pairs"}}; found {excerpt(lines[0])}. Make pairs with: bench pairs'
        )
    return header, [_pair(path, number, line) for number, line in enumerate(lines[1:], 2) if line.strip()]


def read_text(path: Path, advice: str) -> str:
    """A file of pairs, negatives or answers, as text.

    Raises:
        PairsError: it cannot be read; ends with `advice`.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as problem:
        raise PairsError(f"{path} cannot be read: {getattr(problem, 'strerror', None) or problem}. {advice}") from None


def json_object(path: Path, number: int, line: str) -> dict[str, Any]:
    """One line of a file of pairs or negatives.

    Raises:
        PairsError: it is not a JSON object; names file and line.
    """
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        row = None
    if not isinstance(row, dict):
        raise PairsError(f"{path}, line {number}: expected a JSON object; found {excerpt(line)}.")
    return row


def refuse_unknown(row: Mapping[str, Any], known: Collection[str], where: str) -> None:
    """Refuse a row with a key that is not one of the known ones.

    Raises:
        PairsError: names the key and the nearest known one.
    """
    for key in row:
        if key not in known:
            raise PairsError(
                f'{where}: unknown key "{excerpt(key)}"; expected one of {", ".join(known)}.{did_you_mean(key, known)}'
            )


def _pair(path: Path, number: int, line: str) -> Pair:
    row = json_object(path, number, line)
    where = f"{path}, line {number}"
    for key in ("query", "document"):
        if not isinstance(row.get(key), str) or not row[key].strip():
            raise PairsError(f'{where}: "{key}" is {excerpt(str(row.get(key)))!r}; expected a text.')
    for key in ("query_id", "doc_id", "corpus"):
        if not isinstance(row.setdefault(key, ""), str):
            raise PairsError(f'{where}: "{key}" is {row[key]!r}; expected a text.')
    origin = row.get("origin")
    if origin not in ORIGINS and not is_kind("origins", origin):
        known = listing("origins")
        hint = did_you_mean(str(origin), known)
        raise PairsError(f'{where}: "origin" is {origin!r}; expected one of {", ".join(known)}.{hint}')
    grade, weight = row.setdefault("grade", 1), row.setdefault("weight", 1.0)
    if not isinstance(grade, int) or grade < 1:
        raise PairsError(f'{where}: "grade" is {grade!r}; expected a whole number above 0.')
    if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0 < weight <= 1:
        raise PairsError(f'{where}: "weight" is {weight!r}; expected a number above 0, at most 1.')
    provenance = row.setdefault("provenance", {})
    if not isinstance(provenance, dict) or any(not isinstance(value, str) for value in provenance.values()):
        raise PairsError(f'{where}: "provenance" is {excerpt(str(provenance))}; expected texts by name.')
    refuse_unknown(row, Pair.__dataclass_fields__, where)
    return Pair(**row | {"weight": float(weight)})
