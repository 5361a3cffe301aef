"""Training texts that evaluation holds: what `train` must drop, and by which rule.

`train` hands over its texts and gets row numbers back; evaluation queries and judgements stay on this side. What each
rule can do:

- *equal*: the same text after levelling case, width and white space. Certain.
- *near*: Jaccard similarity of the content words at or above `SIMILAR`. Finds words added, left out or in another
  order; takes two questions that differ in a word of five for one. In scripts without spaces a sentence is one word, so
  there it finds little more than equality.
- *part*: at least half of the shorter text's runs of five words stand in the other one. Finds excerpts and crops.
- *paraphrase*: cosine by a named model at or above a threshold. The only rule that sees other words for one thing, as
  far as this model does, and it also takes texts on one topic for one another: look at what it removed.

Source: Broder 1997 (resemblance, and containment by runs of words); Chaudhuri, Ganti & Kaushik 2006, "A Primitive
Operator for Similarity Joins in Data Cleaning" (prefix filter: the join is exact, no pair is missed).
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bench.base.progress import Progress, no_progress
from bench.records import EVALUATION_ROLES, Suite
from bench.suites.checks.near import SIMILAR
from bench.suites.checks.texts import content_words, normalized

LEAK_RULES = {
    "judged-document": "its document is judged relevant in an evaluation set",
    "evaluation-query": "its query is an evaluation query",
    "evaluation-query-near": f"its query resembles an evaluation query (Jaccard of content words ≥ {SIMILAR})",
    "evaluation-query-part": "an evaluation query stands in its query, or the other way round",
    "judged-passage": "a text of it is a judged passage's",
    "judged-passage-near": f"its document resembles a judged passage (Jaccard of content words ≥ {SIMILAR})",
    "judged-passage-part": "a text of it shares half of its runs of five words with a judged passage",
    "evaluation-query-paraphrase": "its query is close to an evaluation query by the named model",
    "judged-passage-paraphrase": "its document is close to a judged passage by the named model",
}
"""Rule → what it says of a pair; the first that holds is the one that is told."""

RUN = 5
"""Words of a run. Two texts on one topic seldom share one; copies share nearly all."""

ENOUGH_RUNS = 8
"""Runs that a passage's excerpt must have: one sentence, which may be a phrase that all documents share, has fewer."""

ENOUGH_QUERY_RUNS = 2
"""Runs that an excerpt of a query must have: six words."""

BLOCK = 1024


class Similarity(Protocol):
    """A model that says how alike texts are."""

    threshold: float

    def rows(self, texts: Sequence[str], kind: str) -> NDArray[np.float32]:
        """Unit vectors, float32[n_texts, dim]; `kind` is "query" or "document"."""


@dataclass(frozen=True)
class Leak:
    """Row of a pair that must be dropped, the rule, and the evaluation text that it meets, by its id."""

    row: int
    rule: str
    of: str


@dataclass
class _Protected:
    """Texts of evaluation with their names, each text once."""

    queries: dict[str, str] = field(default_factory=dict)
    passages: dict[str, str] = field(default_factory=dict)
    documents: dict[tuple[str, str], str] = field(default_factory=dict)


def leaks(
    suites: Sequence[Suite],
    queries: Sequence[str],
    documents: Sequence[str],
    places: Sequence[tuple[str, str]],
    *,
    dev: bool = False,
    paraphrase: Similarity | None = None,
    progress: Progress = no_progress,
) -> list[Leak]:
    """Pairs that evaluation holds a part of, one entry a row, ascending.

    Args:
        suites: whose evaluation is protected; ids are those of the first. A suite that says `share_documents` has its
            queries protected, not its judged documents.
        queries: each pair's query.
        documents: each pair's document, as it will be trained on.
        places: each pair's (corpus, document id), empty strings where it stands in no corpus.
        dev: protect queries of role dev too: they choose the model.
        paraphrase: the model that tells paraphrases; they are not looked for where None.
        progress: told of the stages.
    """
    held = _protected(suites, dev)
    found: dict[int, Leak] = {}
    for row, place in enumerate(places):
        if place in held.documents:
            found[row] = Leak(row, "judged-document", held.documents[place])
    asked, shown = _Texts(queries), _Texts(documents)
    steps: list[tuple[str, _Texts, Mapping[str, str], Callable[[Sequence[str], Sequence[str]], dict[int, int]]]] = [
        ("evaluation-query", asked, held.queries, _equal),
        ("evaluation-query-near", asked, held.queries, resembling),
        ("evaluation-query-part", asked, held.queries, _within_queries),
        ("judged-passage", asked, held.passages, _equal),
        ("judged-passage", shown, held.passages, _equal),
        ("judged-passage-near", shown, held.passages, resembling),
        ("judged-passage-part", shown, held.passages, sharing_runs),
        ("judged-passage-part", asked, held.passages, sharing_runs),
    ]
    if paraphrase is not None:
        steps += [
            ("evaluation-query-paraphrase", asked, held.queries, _close(paraphrase, "query")),
            ("judged-passage-paraphrase", shown, held.passages, _close(paraphrase, "document")),
        ]
    for done, (rule, texts, protected, meets) in enumerate(steps):
        progress("look for evaluation data in the pairs", done, len(steps))
        names = list(protected.values())
        for number, other in sorted(meets(texts.texts, list(protected)).items()):
            for row in texts.rows[number]:
                found.setdefault(row, Leak(row, rule, names[other]))
    progress("look for evaluation data in the pairs", len(steps), len(steps))
    return [found[row] for row in sorted(found)]


class _Texts:
    """Different texts of a column, and the rows of each."""

    def __init__(self, column: Sequence[str]) -> None:
        number: dict[str, int] = {}
        self.rows: list[list[int]] = []
        for row, text in enumerate(column):
            at = number.setdefault(text, len(number))
            if at == len(self.rows):
                self.rows.append([])
            self.rows[at].append(row)
        self.texts = list(number)


def _protected(suites: Sequence[Suite], dev: bool) -> _Protected:
    held = _Protected()
    for place, suite in enumerate(suites):
        for query_set in suite.of_role(*EVALUATION_ROLES, *(["dev"] if dev else [])):
            where = f"{suite.name}/{query_set.name}"
            for query_id, text in zip(query_set.ids, query_set.texts, strict=True):
                held.queries.setdefault(text, f"{where}: {query_id}")
        for query_set in suite.of_role(*EVALUATION_ROLES) if not suite.share_documents else ():
            where, corpus = f"{suite.name}/{query_set.name}", suite.corpora[query_set.corpus]
            for grades in suite.qrels(query_set.name).values():
                for doc_id, grade in grades.items():
                    if grade >= suite.protocol.relevance_level:
                        held.passages.setdefault(corpus.texts[corpus.row_of[doc_id]], f"{where}: {doc_id}")
                        if place == 0:
                            held.documents.setdefault((corpus.name, doc_id), f"{where}: {doc_id}")
    return held


def _equal(texts: Sequence[str], protected: Sequence[str]) -> dict[int, int]:
    number_of = {normalized(text): number for number, text in reversed(list(enumerate(protected)))}
    number_of.pop("", None)
    return {row: number_of[plain] for row, text in enumerate(texts) if (plain := normalized(text)) in number_of}


def resembling(texts: Sequence[str], protected: Sequence[str]) -> dict[int, int]:
    """Row of a text → row of the protected text it resembles most, where the Jaccard similarity is `SIMILAR` or more.

    Exact: of two sets that are .8 alike, the rarest fifth of one (and a word) holds a word of the other's.
    """
    left = [content_words(normalized(text)) for text in texts]
    right = [content_words(normalized(text)) for text in protected]
    common = Counter(word for words in right for word in words)

    def rarest(words: set[str]) -> list[str]:
        # 4 of 5 in whole numbers: .8 is no binary fraction.
        return sorted(words, key=lambda word: (common[word], word))[: len(words) - -(-4 * len(words) // 5) + 1]

    having: defaultdict[str, list[int]] = defaultdict(list)
    for number, words in enumerate(right):
        for word in rarest(words) if words else ():
            having[word].append(number)
    found = {}
    for row, words in enumerate(left):
        best: tuple[float, int] | None = None
        for number in {n for word in (rarest(words) if words else ()) for n in having.get(word, ())}:
            shared = len(words & right[number])
            union = len(words) + len(right[number]) - shared
            if 5 * shared >= 4 * union and (best is None or (-shared / union, number) < best):
                best = (-shared / union, number)
        if best:
            found[row] = best[1]
    return found


def sharing_runs(
    texts: Sequence[str], protected: Sequence[str], *, enough: int = ENOUGH_RUNS, share: float = 0.5
) -> dict[int, int]:
    """Row of a text → row of the protected text that shares most runs of words: `share` of the shorter's at least.

    Texts of fewer than `enough` different runs share none.
    """
    having: defaultdict[int, list[int]] = defaultdict(list)
    sizes = []
    for number, text in enumerate(protected):
        runs = set(_runs(text))
        sizes.append(len(runs))
        for run in runs if len(runs) >= enough else ():
            having[run].append(number)
    found = {}
    for row, text in enumerate(texts):
        runs = set(_runs(text))
        if len(runs) < enough:
            continue
        together = Counter(number for run in runs for number in having.get(run, ()))
        fit = [(-n, number) for number, n in together.items() if n >= share * min(len(runs), sizes[number])]
        if fit:
            found[row] = min(fit)[1]
    return found


def _within_queries(texts: Sequence[str], protected: Sequence[str]) -> dict[int, int]:
    return sharing_runs(texts, protected, enough=ENOUGH_QUERY_RUNS, share=1.0)


def _runs(text: str) -> Iterator[int]:
    words = re.findall(r"\w+", normalized(text))
    for start in range(len(words) - RUN + 1):
        yield hash(tuple(words[start : start + RUN]))


def _close(model: Similarity, kind: str) -> Callable[[Sequence[str], Sequence[str]], dict[int, int]]:
    def meets(texts: Sequence[str], protected: Sequence[str]) -> dict[int, int]:
        if not texts or not protected:
            return {}
        left, right = model.rows(texts, kind), model.rows(protected, kind)
        found = {}
        for start, stop in pairwise([*range(0, len(left), BLOCK), len(left)]):
            cosine = left[start:stop] @ right.T
            best = cosine.argmax(axis=1)
            for row in np.flatnonzero(cosine[np.arange(len(best)), best] >= model.threshold).tolist():
                found[start + row] = int(best[row])
        return found

    return meets
