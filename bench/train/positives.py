"""The positives of training queries: by id, by equal text, and by nearly equal text."""

from __future__ import annotations

import functools
from collections import Counter
from dataclasses import dataclass

from bench.base.errors import ConfigError, did_you_mean
from bench.records import Corpus, QuerySet, Suite
from bench.suites.checks.near import SIMILAR
from bench.suites.text import content_words, normalized
from bench.train.pairs import Pairs

# In whole numbers: .8 is no binary fraction, and 4 of 5 words must count.
_FIFTHS = round(SIMILAR * 5)


@dataclass(frozen=True)
class Positives:
    """A query's positives: ids of documents that answer it, and one (id, text) for each text."""

    ids: frozenset[str]
    texts: tuple[tuple[str, str], ...]


class KnownPositives:
    """Positives of training queries, from pairs and from training and dev judgements.

    Queries of the same normalised text share their positives, in any case and spacing.
    Judgements of held-out and out-of-distribution sets are not opened.
    """

    def __init__(self, suite: Suite, pairs: Pairs) -> None:
        self._ids: dict[tuple[str, str], set[str]] = {}
        self._texts: dict[str, dict[str, str]] = {}
        for pair in pairs.pairs:
            query = normalized(pair.query)
            self._ids.setdefault((pair.corpus, query), set()).add(pair.doc_id)
            self._texts.setdefault(query, {}).setdefault(pair.document, pair.doc_id)
        for query_set in suite.of_role("train", "dev"):
            corpus, qrels = suite.corpora[query_set.corpus], suite.qrels(query_set.name)
            for query_id, text in zip(query_set.ids, query_set.texts, strict=True):
                query = normalized(text)
                if query not in self._texts:
                    continue
                for doc_id, grade in qrels.get(query_id, {}).items():
                    if grade >= suite.protocol.relevance_level and doc_id in corpus.row_of:
                        self._ids.setdefault((corpus.name, query), set()).add(doc_id)
                        self._texts[query].setdefault(corpus.texts[corpus.row_of[doc_id]], doc_id)
        self._normalized = functools.lru_cache(maxsize=1 << 16)(normalized)
        self._words = functools.lru_cache(maxsize=1 << 16)(
            lambda text: frozenset(content_words(self._normalized(text)))
        )

    def of(self, query: str, corpus: Corpus) -> Positives:
        """The positives of a query; `ids` are those in the corpus that is searched."""
        query = normalized(query)
        texts = tuple((doc_id, text) for text, doc_id in self._texts[query].items() if text)
        return Positives(frozenset(self._ids.get((corpus.name, query), ())), texts)

    def reason(self, positives: Positives, doc_id: str, text: str) -> str | None:
        """Why a document answers the query (a name of `mining_report.REASONS`); None where nothing says so."""
        if doc_id in positives.ids:
            return "known_positives"
        if any(self._normalized(text) == self._normalized(positive) for _, positive in positives.texts):
            return "copies_of_positives"
        if any(_similar(self._words(text), self._words(positive)) for _, positive in positives.texts):
            return "near_copies"
        return None


def _similar(words: frozenset[str], others: frozenset[str]) -> bool:
    """Whether the Jaccard similarity of two sets of words is `SIMILAR` or more, as in `bench check`."""
    small, large = sorted((len(words), len(others)))
    if not small or 5 * small < _FIFTHS * large:
        return False
    shared = len(words & others)
    return 5 * shared >= _FIFTHS * (small + large - shared)


def corpora_of(suite: Suite, pairs: Pairs, chosen: str | None) -> dict[str, Corpus]:
    """A pair's corpus → the corpus of the suite that its negatives come from; `chosen` is for pairs of no corpus.

    Raises:
        ConfigError: an unknown corpus, or pairs without documents to choose negatives from.
    """
    known = suite.corpora
    if chosen is not None and chosen not in known:
        raise ConfigError(
            f'negatives.corpus is "{chosen}"; suite "{suite.name}" has {", ".join(known)}.{did_you_mean(chosen, known)}'
        )
    counts = Counter(pair.corpus for pair in pairs.pairs)
    lost = {} if chosen else {name: n for name, n in counts.items() if name not in known}
    if lost:
        names = ", ".join(f'{n} of corpus "{name}"' if name else f"{n} of no corpus" for name, n in lost.items())
        raise ConfigError(
            f'Pairs have no documents to mine negatives from: {names}; suite "{suite.name}" has '
            f'{", ".join(known)}. Say where their negatives come from (negatives.corpus = "{next(iter(known))}"), or '
            "leave the table negatives out."
        )
    return {name: known[name if name in known else str(chosen)] for name in counts}


def query_sets(pairs: Pairs) -> list[QuerySet]:
    """The pairs' queries, one set for each corpus: each text once, under its first id."""
    queries: dict[str, dict[str, str]] = {}
    for pair in pairs.pairs:
        queries.setdefault(pair.corpus, {}).setdefault(pair.query, pair.query_id)
    sets = []
    for corpus, id_of in queries.items():
        text_of: dict[str, str] = {}
        for number, (text, query_id) in enumerate(id_of.items()):
            text_of[query_id if query_id and query_id not in text_of else f"{query_id}#{number}"] = text
        sets.append(QuerySet.build("pairs", "train", corpus, text_of.items()))
    return sets
