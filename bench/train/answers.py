"""What training queries ask, of which corpus, and what answers them under any id: positives, copies, near-copies."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

from bench.base.errors import ConfigError, did_you_mean
from bench.records import Corpus, QuerySet, Suite
from bench.suites.checks.near import SIMILAR
from bench.suites.text import content_words, normalized
from bench.train.pairs import Pairs

# In whole numbers: .8 is no binary fraction, and 4 of 5 words must count.
_PARTS = round(SIMILAR * 5)


@dataclass(frozen=True)
class Known:
    """A query's positives: ids that answer it, and one (id, text) for each text."""

    ids: frozenset[str]
    texts: tuple[tuple[str, str], ...]


class Answers:
    """Positives of training queries, by any pair and any training or dev judgement.

    A query is known by its normalised text: what answers it once answers it in every spelling of case and spaces.
    Judgements of held-out and out-of-distribution sets are not opened.
    """

    def __init__(self, suite: Suite, pairs: Pairs) -> None:
        self._ids: dict[tuple[str, str], set[str]] = {}
        self._texts: dict[str, dict[str, str]] = {}
        for pair in pairs.pairs:
            plain = normalized(pair.query)
            self._ids.setdefault((pair.corpus, plain), set()).add(pair.doc_id)
            self._texts.setdefault(plain, {}).setdefault(pair.document, pair.doc_id)
        for query_set in suite.of_role("train", "dev"):
            corpus, qrels = suite.corpora[query_set.corpus], suite.qrels(query_set.name)
            for query_id, text in zip(query_set.ids, query_set.texts, strict=True):
                plain = normalized(text)
                if plain not in self._texts:
                    continue
                for doc_id, grade in qrels.get(query_id, {}).items():
                    if grade >= suite.protocol.relevance_level and doc_id in corpus.row_of:
                        self._ids.setdefault((corpus.name, plain), set()).add(doc_id)
                        self._texts[plain].setdefault(corpus.texts[corpus.row_of[doc_id]], doc_id)
        self._plain = functools.lru_cache(maxsize=1 << 16)(normalized)
        self._words = functools.lru_cache(maxsize=1 << 16)(lambda text: frozenset(content_words(self._plain(text))))

    def of(self, query: str, corpus: Corpus) -> Known:
        """What answers a query; `ids` are those of the corpus that is searched."""
        plain = normalized(query)
        texts = tuple((doc_id, text) for text, doc_id in self._texts[plain].items() if text)
        return Known(frozenset(self._ids.get((corpus.name, plain), ())), texts)

    def reason(self, known: Known, doc_id: str, text: str) -> str | None:
        """Why a document answers the query (a name of `REASONS`), or None where nothing says so."""
        if doc_id in known.ids:
            return "known_positives"
        if any(self._plain(text) == self._plain(positive) for _, positive in known.texts):
            return "copies_of_positives"
        if any(_alike(self._words(text), self._words(positive)) for _, positive in known.texts):
            return "near_copies"
        return None


def _alike(one: frozenset[str], other: frozenset[str]) -> bool:
    """Whether the Jaccard similarity of two sets of words is `SIMILAR` or more, as in `bench check`."""
    small, large = sorted((len(one), len(other)))
    if not small or 5 * small < _PARTS * large:
        return False
    shared = len(one & other)
    return 5 * shared >= _PARTS * (small + large - shared)


def positive_texts(known: Sequence[Known]) -> list[str]:
    """Every text of some queries' positives, each once."""
    return list(dict.fromkeys(text for one in known for _, text in one.texts))


def corpora_of(suite: Suite, pairs: Pairs, chosen: str | None) -> dict[str, Corpus]:
    """A pair's corpus → the corpus of the suite that its negatives are of."""
    known = suite.corpora
    if chosen is not None and chosen not in known:
        raise ConfigError(
            f'negatives.corpus is "{chosen}"; suite "{suite.name}" has {", ".join(known)}.{did_you_mean(chosen, known)}'
        )
    found, lost = {}, dict[str, int]()
    for pair in pairs.pairs:
        if pair.corpus in known:
            found[pair.corpus] = known[pair.corpus]
        elif chosen is not None:
            found[pair.corpus] = known[chosen]
        else:
            lost[pair.corpus] = lost.get(pair.corpus, 0) + 1
    if lost:
        names = ", ".join(f'{n} of corpus "{name}"' if name else f"{n} of no corpus" for name, n in lost.items())
        raise ConfigError(
            f'Pairs have no documents to mine negatives from: {names}; suite "{suite.name}" has '
            f'{", ".join(known)}. Say where their negatives come from (negatives.corpus = "{next(iter(known))}"), or '
            "leave the table negatives out."
        )
    return found


def query_sets(pairs: Pairs) -> list[QuerySet]:
    """The pairs' queries as one set a corpus: each text once, under the id that it bears first."""
    queries: dict[str, dict[str, str]] = {}
    for pair in pairs.pairs:
        queries.setdefault(pair.corpus, {}).setdefault(pair.query, pair.query_id)
    made = []
    for corpus, id_of in queries.items():
        taken: dict[str, str] = {}
        for number, (text, query_id) in enumerate(id_of.items()):
            taken[query_id if query_id and query_id not in taken else f"{query_id}#{number}"] = text
        made.append(QuerySet.build("pairs", "train", corpus, taken.items()))
    return made
