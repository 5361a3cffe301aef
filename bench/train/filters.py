"""Which pairs are removed, by which rule, and why. A pair is removed by the first rule that it breaks."""

from __future__ import annotations

import re
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
    "verbatim": "its query stands word for word in its document",
    "overlap": "too many of its query's content words stand in its document",
    "duplicate": "another pair says the same",
    "near-duplicate": "another pair resembles it in query and document",
    **LEAK_RULES,
    "consistency": "its query does not find its document",
}
"""Rule → what it says of a pair, in the order in which they are tried."""


@dataclass(frozen=True)
class Removed:
    """A pair, the rule that removed it, and what the rule met."""

    pair: Pair
    rule: str
    why: str


def systems_of(filters: FiltersConfig) -> list[str]:
    """Systems of the config that the filters ask."""
    return list(dict.fromkeys(rule.system for rule in (filters.consistency, filters.paraphrase) if rule))


def filtered(
    pairs: Iterable[Pair],
    filters: FiltersConfig,
    *,
    suites: Sequence[Suite],
    evaluator: Evaluator,
    progress: Progress = no_progress,
) -> tuple[list[Pair], list[Removed], dict[str, int]]:
    """The pairs that stay, in their order; those removed; and counts of what could not be checked.

    Args:
        pairs: read once; what a rule about one pair removes is not held beside the rest.
        filters: limits and rules.
        suites: whose evaluation is protected; the first is the pairs' own.
        evaluator: of the first suite, with the systems that the filters name.
        progress: told of slow rules.

    Raises:
        ConfigError: a system that is none or of another kind, a depth beyond the suite's, an unknown language.
        MissingExtra: near-duplicates are wanted without datasketch.
    """
    _refuse(filters, evaluator)
    removed: list[Removed] = []
    unchecked: dict[str, int] = {}
    kept = []
    for pair in pairs:
        if broken := next(_alone(pair, filters), None):
            removed.append(Removed(pair, *broken))
        else:
            kept.append(pair)

    def apply(broken: Mapping[int, tuple[str, str]]) -> None:
        nonlocal kept
        removed.extend(Removed(kept[row], *broken[row]) for row in sorted(broken))
        kept = [pair for row, pair in enumerate(kept) if row not in broken]

    apply(_duplicates(kept))
    if filters.near_duplicates:
        apply(_near(kept, progress))
    apply(_leaks(kept, filters, suites, evaluator, progress))
    if filters.consistency:
        apply(_inconsistent(kept, filters.consistency, evaluator, unchecked))
    return kept, removed, unchecked


def _refuse(filters: FiltersConfig, evaluator: Evaluator) -> None:
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


def _alone(pair: Pair, filters: FiltersConfig) -> Iterator[tuple[str, str]]:
    """(rule, why) for what is wrong with one pair by itself."""
    for side, text in (("query", pair.query), ("document", pair.document)):
        for unit, n in (("characters", len(text.strip())), ("words", sum(1 for _ in WORD.finditer(text)))):
            low, high = getattr(filters, f"{side}_{unit}")
            if not low <= n <= high:
                yield f"{side}-length", f"{n} {unit}; allowed are {low} to {high}"
    if filters.languages:
        for side, text in (("document", pair.document), ("query", pair.query)):
            found = language(text)
            if found and found not in filters.languages:
                yield "language", f"the {side} is in {found}; wanted is {', '.join(filters.languages)}"
    if filters.verbatim:
        query = _words(pair.query)
        if len(query) >= filters.verbatim and f" {' '.join(query)} " in f" {' '.join(_words(pair.document))} ":
            yield "verbatim", f"all {len(query)} words of the query, in their order"
    if filters.overlap is not None:
        wanted = content_words(normalized(pair.query))
        shared = wanted & content_words(normalized(pair.document)) if wanted else set()
        if wanted and len(shared) > filters.overlap * len(wanted):
            yield "overlap", f"{len(shared)} of {len(wanted)} content words; allowed are {filters.overlap:.0%}"


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", normalized(text))


def _duplicates(pairs: Sequence[Pair]) -> dict[int, tuple[str, str]]:
    """All but the best-believed of pairs that are equal after levelling; of equals the first."""
    best: dict[tuple[str, str], int] = {}
    keys = [(normalized(pair.query), normalized(pair.document)) for pair in pairs]
    for row in sorted(range(len(pairs)), key=lambda row: (-pairs[row].weight, row)):
        best.setdefault(keys[row], row)
    return {
        row: ("duplicate", f"of a pair from {pairs[best[key]].origin}")
        for row, key in enumerate(keys)
        if best[key] != row
    }


def _near(pairs: Sequence[Pair], progress: Progress) -> dict[int, tuple[str, str]]:
    """Pairs that resemble a better-believed or earlier one that stays, in query and in document."""
    queries = near_duplicates([pair.query for pair in pairs], what="of queries", progress=progress)
    documents = near_duplicates([pair.document for pair in pairs], what="of documents", progress=progress)
    standing: dict[tuple[int, int], int] = {}
    broken = {}
    for row in sorted(range(len(pairs)), key=lambda row: (-pairs[row].weight, row)):
        query, document = int(queries.word_set[row]), int(documents.word_set[row])
        if query < 0 or document < 0:
            continue
        around = (
            standing.get((q, d))
            for q in (query, *queries.neighbours.get(query, ()))
            for d in (document, *documents.neighbours.get(document, ()))
        )
        other = next((found for found in around if found is not None), None)
        if other is None:
            standing[query, document] = row
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
        found = embed(self._system.encoder, texts, kind=kind, store=self._store, progress=self._progress)
        return truncated(found.rows, self._system.dim, normalize=True)


def _leaks(
    pairs: Sequence[Pair],
    filters: FiltersConfig,
    suites: Sequence[Suite],
    evaluator: Evaluator,
    progress: Progress,
) -> dict[int, tuple[str, str]]:
    found = leaks(
        suites,
        [pair.query for pair in pairs],
        [pair.document for pair in pairs],
        [(pair.corpus, pair.doc_id) for pair in pairs],
        dev=True,
        paraphrase=_Model(filters.paraphrase, evaluator, progress) if filters.paraphrase else None,
        progress=progress,
    )
    return {leak.row: (leak.rule, leak.of) for leak in found}


def _inconsistent(
    pairs: Sequence[Pair], settings: ConsistencyConfig, evaluator: Evaluator, unchecked: dict[str, int]
) -> dict[int, tuple[str, str]]:
    """Pairs whose document is not among the best `top` for its query; the ranking is kept like any other."""
    broken: dict[int, tuple[str, str]] = {}
    rows_of: dict[str, dict[str, list[int]]] = {}
    for row, pair in enumerate(pairs):
        if pair.origin not in settings.origins:
            continue
        if pair.doc_id and pair.corpus in evaluator.suite.corpora:
            rows_of.setdefault(pair.corpus, {}).setdefault(pair.query, []).append(row)
        else:
            name = "consistency not checked: the document stands in no corpus"
            unchecked[name] = unchecked.get(name, 0) + 1
    for corpus, asked in rows_of.items():
        queries = [(f"p{number}", text) for number, text in enumerate(asked)]
        run = evaluator.run(settings.system, QuerySet.build("pairs", "train", corpus, queries))
        for number, rows in enumerate(asked.values()):
            found = set(run.ranking(number, settings.top))
            broken |= {
                row: ("consistency", f"not among the first {settings.top} of {settings.system}")
                for row in rows
                if pairs[row].doc_id not in found
            }
    return broken
