"""Filters of pairs: each rule, and why it removes a pair. A pair is removed by the first rule that it breaks."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.base.errors import ConfigError, did_you_mean
from bench.base.progress import Progress, no_progress
from bench.config import ConsistencyConfig, FiltersConfig, ParaphraseConfig
from bench.evaluation.evaluate import Evaluator
from bench.records import QuerySet, Suite
from bench.retrieval.embed import embed
from bench.retrieval.search import truncated
from bench.suites.checks import LEAK_RULES, leaks, near_duplicates
from bench.suites.sources.folder import WORD
from bench.suites.text import content_words, normalized
from bench.train.language import LANGUAGES, language
from bench.train.pairs import Pair

RULES: Mapping[str, str] = {
    "query-length": "its query is shorter or longer than allowed",
    "document-length": "its document is shorter or longer than allowed",
    "language": "it is in another language",
    "verbatim": "its document has its query word for word",
    "overlap": "its document has too many of its query's content words",
    "duplicate": "another pair has the same query and document",
    "near-duplicate": "another pair has a similar query and document",
    **LEAK_RULES,
    "consistency": "its query does not find its document",
}
"""Rule → what it says of a pair, in the order in which they are applied."""

Broken = dict[int, tuple[str, str]]
"""Row of a pair → (rule, why)."""


@dataclass(frozen=True)
class Removed:
    """A pair, the rule that removed it, and why."""

    pair: Pair
    rule: str
    why: str


def systems_of(filters: FiltersConfig) -> list[str]:
    """Systems of the config that the filters need."""
    return list(dict.fromkeys(rule.system for rule in (filters.consistency, filters.paraphrase) if rule))


def filtered(
    pairs: Iterable[Pair],
    filters: FiltersConfig,
    *,
    suites: Sequence[Suite],
    evaluator: Evaluator,
    progress: Progress = no_progress,
) -> tuple[list[Pair], list[Removed], dict[str, int]]:
    """The pairs that stay, in their order; the removed ones; and counts of pairs that could not be checked.

    Args:
        pairs: read once.
        suites: their evaluation data is protected; the first is the pairs' own.
        evaluator: of the first suite, with the systems that the filters name.

    Raises:
        ConfigError: an unknown system or one of another kind, a depth beyond the suite's, an unknown language.
        MissingExtra: the rule near-duplicates without datasketch.
    """
    for code in filters.languages:
        if code not in LANGUAGES:
            raise ConfigError(f'filters.languages names "{code}"; expected some of {", ".join(LANGUAGES)}.')
    for name in systems_of(filters):
        if name not in evaluator.systems:
            known = list(evaluator.systems)
            raise ConfigError(f'filters: no system "{name}"; expected one of {known}.{did_you_mean(name, known)}')
    depth = evaluator.suite.protocol.depth
    if filters.consistency and filters.consistency.top > depth:
        raise ConfigError(f"filters.consistency.top is {filters.consistency.top}; the suite ranks to depth {depth}.")
    removed: list[Removed] = []
    unchecked: Counter[str] = Counter()
    left = []
    for pair in pairs:
        if broken := next(_broken_alone(pair, filters), None):
            removed.append(Removed(pair, *broken))
        else:
            left.append(pair)

    def apply(broken: Broken) -> None:
        nonlocal left
        removed.extend(Removed(left[row], *broken[row]) for row in sorted(broken))
        left = [pair for row, pair in enumerate(left) if row not in broken]

    apply(_duplicates(left))
    if filters.near_duplicates:
        apply(_near_duplicates(left, progress))
    queries, documents = [pair.query for pair in left], [pair.document for pair in left]
    places = [(pair.corpus, pair.doc_id) for pair in left]
    model = _Model(filters.paraphrase, evaluator, progress) if filters.paraphrase else None
    leaked = leaks(suites, queries, documents, places, dev=True, paraphrase=model, progress=progress)
    apply({leak.row: (leak.rule, leak.of) for leak in leaked})
    if filters.consistency:
        apply(_inconsistent(left, filters.consistency, evaluator, unchecked))
    return left, removed, dict(unchecked)


def _broken_alone(pair: Pair, filters: FiltersConfig) -> Iterator[tuple[str, str]]:
    """(rule, why) of the rules about one pair that it breaks."""
    for side, text in (("query", pair.query), ("document", pair.document)):
        for unit, n in (("characters", len(text.strip())), ("words", sum(1 for _ in WORD.finditer(text)))):
            low, high = getattr(filters, f"{side}_{unit}")
            if not low <= n <= high:
                yield f"{side}-length", f"{n} {unit}; allowed are {low} to {high}"
    if filters.languages:
        for side, text in (("document", pair.document), ("query", pair.query)):
            code = language(text)
            if code and code not in filters.languages:
                yield "language", f"the {side} is in {code}; wanted is {', '.join(filters.languages)}"
    if filters.verbatim:
        query, document = (re.findall(r"\w+", normalized(text)) for text in (pair.query, pair.document))
        if len(query) >= filters.verbatim and f" {' '.join(query)} " in f" {' '.join(document)} ":
            yield "verbatim", f"all {len(query)} words of the query, in their order"
    if filters.overlap is not None and (wanted := content_words(normalized(pair.query))):
        shared = wanted & content_words(normalized(pair.document))
        if len(shared) > filters.overlap * len(wanted):
            yield "overlap", f"{len(shared)} of {len(wanted)} content words; allowed are {filters.overlap:.0%}"


def _by_weight(pairs: Sequence[Pair]) -> list[int]:
    """Rows, the largest weight first; of equals the first."""
    return sorted(range(len(pairs)), key=lambda row: (-pairs[row].weight, row))


def _duplicates(pairs: Sequence[Pair]) -> Broken:
    """Of pairs with the same normalised texts, all but the one with the largest weight."""
    best: dict[tuple[str, str], int] = {}
    keys = [(normalized(pair.query), normalized(pair.document)) for pair in pairs]
    for row in _by_weight(pairs):
        best.setdefault(keys[row], row)
    return {
        row: ("duplicate", f"of a pair from {pairs[best[key]].origin}")
        for row, key in enumerate(keys)
        if best[key] != row
    }


def _near_duplicates(pairs: Sequence[Pair], progress: Progress) -> Broken:
    """Pairs similar in query and in document to one that stays, of larger weight or earlier."""
    queries = near_duplicates([pair.query for pair in pairs], what="of queries", progress=progress)
    documents = near_duplicates([pair.document for pair in pairs], what="of documents", progress=progress)
    row_of: dict[tuple[int, int], int] = {}
    broken = {}
    for row in _by_weight(pairs):
        query, document = int(queries.word_set[row]), int(documents.word_set[row])
        if query < 0 or document < 0:
            continue
        similar = (
            row_of[q, d]
            for q in (query, *queries.neighbours.get(query, ()))
            for d in (document, *documents.neighbours.get(document, ()))
            if (q, d) in row_of
        )
        other = next(similar, None)
        if other is None:
            row_of[query, document] = row
        else:
            broken[row] = ("near-duplicate", f'of "{pairs[other].query[:80]}" from {pairs[other].origin}')
    return broken


class _Model:
    """A dense system's encoder as a measure of similarity."""

    def __init__(self, settings: ParaphraseConfig, evaluator: Evaluator, progress: Progress) -> None:
        system: Any = evaluator.systems[settings.system]
        if not hasattr(system, "encoder"):
            raise ConfigError(
                f'filters.paraphrase.system "{settings.system}" is of kind {system.kind}; expected a dense system.'
            )
        self.threshold = settings.similarity
        self._system, self._store, self._progress = system, evaluator.store, progress

    def rows(self, texts: Sequence[str], kind: str) -> NDArray[np.float32]:
        embedded = embed(self._system.encoder, texts, kind=kind, store=self._store, progress=self._progress)
        return truncated(embedded.rows, self._system.dim, normalize=True)


def _inconsistent(
    pairs: Sequence[Pair], settings: ConsistencyConfig, evaluator: Evaluator, unchecked: Counter[str]
) -> Broken:
    """Pairs whose document is not among the first `top` for its query."""
    broken: Broken = {}
    rows_of: dict[str, dict[str, list[int]]] = {}
    for row, pair in enumerate(pairs):
        if pair.origin not in settings.origins:
            continue
        if pair.doc_id and pair.corpus in evaluator.suite.corpora:
            rows_of.setdefault(pair.corpus, {}).setdefault(pair.query, []).append(row)
        else:
            unchecked["consistency not checked: the document stands in no corpus"] += 1
    why = f"not among the first {settings.top} of {settings.system}"
    for corpus, rows_of_query in rows_of.items():
        queries = [(f"p{number}", text) for number, text in enumerate(rows_of_query)]
        run = evaluator.run(settings.system, QuerySet.build("pairs", "train", corpus, queries))
        for number, rows in enumerate(rows_of_query.values()):
            first = set(run.ranking(number, settings.top))
            broken |= {row: ("consistency", why) for row in rows if pairs[row].doc_id not in first}
    return broken
