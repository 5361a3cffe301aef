"""Training pairs that overlap with evaluation: rows that `train` must drop, and the rule for each.

`train` passes texts and gets row numbers back, so evaluation queries and judgements never reach it. The rules:

- *equal*: the same normalized text. Certain.
- *near*: Jaccard similarity of the content words of `SIMILAR` or more. Detects added, missing and reordered words; also
  drops questions that differ in one word of five. In scripts without spaces a sentence is one word, so the rule
  detects little more than equality.
- *part*: at least half of the shorter text's runs of five words occur in the other text. Detects excerpts and crops.
- *paraphrase*: cosine similarity by a named model at or above a threshold. The only rule that detects other words for
  the same thing, as far as the model does. It also drops other texts on the topic: look at what it removed.

Source: Broder 1997 (resemblance, and containment by runs of words); Chaudhuri, Ganti & Kaushik 2006, "A Primitive
Operator for Similarity Joins in Data Cleaning" (prefix filter: the join is exact and misses no pair).
"""

from __future__ import annotations

import functools
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bench.base.progress import Progress, no_progress
from bench.records import EVALUATION_ROLES, Suite
from bench.suites.checks.near import SIMILAR
from bench.suites.suite import relevant_documents
from bench.suites.text import content_words, normalized

LEAK_RULES = {
    "judged-document": "its document is judged relevant in an evaluation set",
    "evaluation-query": "its query is an evaluation query",
    "evaluation-query-near": f"its query is similar to an evaluation query (Jaccard of content words ≥ {SIMILAR})",
    "evaluation-query-part": "its query contains an evaluation query, or is part of one",
    "judged-passage": "its query or document equals a judged passage",
    "judged-passage-near": f"its document is similar to a judged passage (Jaccard of content words ≥ {SIMILAR})",
    "judged-passage-part": "its query or document shares half of its runs of five words with a judged passage",
    "evaluation-query-paraphrase": "its query is close to an evaluation query by the named model",
    "judged-passage-paraphrase": "its document is close to a judged passage by the named model",
}
"""Rule → why the pair is dropped; the first rule that applies is reported."""

RUN = 5
"""Words of a run. Two texts on one topic seldom share one; copies share nearly all."""

ENOUGH_RUNS = 8
"""Runs that a passage's excerpt must have: one sentence, which may be a phrase that all documents share, has fewer."""

ENOUGH_QUERY_RUNS = 2
"""Runs that an excerpt of a query must have: six words."""

BLOCK = 1024


class Similarity(Protocol):
    """A model whose vectors say how similar texts are."""

    threshold: float

    def rows(self, texts: Sequence[str], kind: str) -> NDArray[np.float32]:
        """Unit vectors, float32[n_texts, dim]; `kind` is "query" or "document"."""


@dataclass(frozen=True)
class Leak:
    """Row of a pair that must be dropped, the rule, and the id of the evaluation text that it overlaps with."""

    row: int
    rule: str
    of: str


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
    """Pairs that overlap with evaluation, at most one entry per row, ascending.

    Args:
        suites: suites whose evaluation is protected; `places` refer to the first. Of a suite with `share_documents`,
            the queries are protected and the judged documents are not.
        queries: each pair's query.
        documents: each pair's document, as it will be trained on.
        places: each pair's (corpus, document id); empty strings for a document of no corpus.
        dev: protect queries of role dev too, since they choose the model.
        paraphrase: the model that detects paraphrases; None skips these rules.
        progress: called with the number of rules applied.
    """
    # text, or corpus and document id → name of the evaluation text
    protected_queries: dict[str, str] = {}
    protected_passages: dict[str, str] = {}
    protected_ids: dict[tuple[str, str], str] = {}
    for number, suite in enumerate(suites):
        for query_set in suite.of_role(*EVALUATION_ROLES, *(["dev"] if dev else [])):
            for query_id, text in zip(query_set.ids, query_set.texts, strict=True):
                protected_queries.setdefault(text, f"{suite.name}/{query_set.name}: {query_id}")
        for query_set in suite.of_role(*EVALUATION_ROLES) if not suite.share_documents else ():
            corpus = suite.corpora[query_set.corpus]
            for doc_id in (doc_id for docs in relevant_documents(suite, query_set).values() for doc_id in docs):
                name = f"{suite.name}/{query_set.name}: {doc_id}"
                protected_passages.setdefault(corpus.texts[corpus.row_of[doc_id]], name)
                if number == 0:
                    protected_ids.setdefault((corpus.name, doc_id), name)
    by_row: dict[int, Leak] = {}
    for row, place in enumerate(places):
        if place in protected_ids:
            by_row[row] = Leak(row, "judged-document", protected_ids[place])
    query_rows, document_rows = _rows_of(queries), _rows_of(documents)
    parts_of_queries = functools.partial(sharing_runs, enough=ENOUGH_QUERY_RUNS, share=1.0)
    Matcher = Callable[[Sequence[str], Sequence[str]], dict[int, int]]
    steps: list[tuple[str, Mapping[str, list[int]], Mapping[str, str], Matcher]] = [
        ("evaluation-query", query_rows, protected_queries, _equal),
        ("evaluation-query-near", query_rows, protected_queries, resembling),
        ("evaluation-query-part", query_rows, protected_queries, parts_of_queries),
        ("judged-passage", query_rows, protected_passages, _equal),
        ("judged-passage", document_rows, protected_passages, _equal),
        ("judged-passage-near", document_rows, protected_passages, resembling),
        ("judged-passage-part", document_rows, protected_passages, sharing_runs),
        ("judged-passage-part", query_rows, protected_passages, sharing_runs),
    ]
    if paraphrase is not None:
        close = functools.partial(_close, paraphrase)
        steps += [
            ("evaluation-query-paraphrase", query_rows, protected_queries, functools.partial(close, "query")),
            ("judged-passage-paraphrase", document_rows, protected_passages, functools.partial(close, "document")),
        ]
    for n_done, (rule, rows_of, protected, match) in enumerate(steps):
        progress("compare pairs with evaluation data", n_done, len(steps))
        rows, names = list(rows_of.values()), list(protected.values())
        for number, other in sorted(match(list(rows_of), list(protected)).items()):
            for row in rows[number]:
                by_row.setdefault(row, Leak(row, rule, names[other]))
    progress("compare pairs with evaluation data", len(steps), len(steps))
    return [by_row[row] for row in sorted(by_row)]


def _rows_of(texts: Sequence[str]) -> dict[str, list[int]]:
    """Text → its rows, in the order of first appearance."""
    rows_of: defaultdict[str, list[int]] = defaultdict(list)
    for row, text in enumerate(texts):
        rows_of[text].append(row)
    return rows_of


# Each rule: row of a text → row of the protected text that it overlaps with.


def _equal(texts: Sequence[str], protected: Sequence[str]) -> dict[int, int]:
    number_of = {normalized(text): number for number, text in reversed(list(enumerate(protected)))}
    number_of.pop("", None)
    return {row: number_of[plain] for row, text in enumerate(texts) if (plain := normalized(text)) in number_of}


def resembling(texts: Sequence[str], protected: Sequence[str]) -> dict[int, int]:
    """Row of a text → row of the most similar protected text, where the Jaccard similarity is `SIMILAR` or more.

    Exact: of two sets with a similarity of .8, the rarest fifth of one (and a word) has a word of the other's.
    """
    protected_words = [content_words(normalized(text)) for text in protected]
    n_texts_with = Counter(word for words in protected_words for word in words)

    def rarest(words: set[str]) -> list[str]:
        # 4 of 5 in whole numbers: .8 is no binary fraction.
        most = len(words) - -(-4 * len(words) // 5) + 1 if words else 0
        return sorted(words, key=lambda word: (n_texts_with[word], word))[:most]

    numbers_with: defaultdict[str, list[int]] = defaultdict(list)
    for number, words in enumerate(protected_words):
        for word in rarest(words):
            numbers_with[word].append(number)
    best = {}
    for row, text in enumerate(texts):
        words = content_words(normalized(text))
        similar = []
        for number in {number for word in rarest(words) for number in numbers_with.get(word, ())}:
            shared = len(words & protected_words[number])
            union = len(words) + len(protected_words[number]) - shared
            if 5 * shared >= 4 * union:
                similar.append((-shared / union, number))
        if similar:
            best[row] = min(similar)[1]
    return best


def sharing_runs(
    texts: Sequence[str], protected: Sequence[str], *, enough: int = ENOUGH_RUNS, share: float = 0.5
) -> dict[int, int]:
    """Row of a text → row of the protected text that shares most runs of words: `share` of the shorter's at least.

    Texts of fewer than `enough` different runs share none.
    """
    numbers_with: defaultdict[int, list[int]] = defaultdict(list)
    sizes = []
    for number, text in enumerate(protected):
        runs = _runs(text)
        sizes.append(len(runs))
        for run in runs if len(runs) >= enough else ():
            numbers_with[run].append(number)
    best = {}
    for row, text in enumerate(texts):
        runs = _runs(text)
        if len(runs) >= enough:
            shared = Counter(number for run in runs for number in numbers_with.get(run, ()))
            fit = [(-n, number) for number, n in shared.items() if n >= share * min(len(runs), sizes[number])]
            if fit:
                best[row] = min(fit)[1]
    return best


def _runs(text: str) -> set[int]:
    words = re.findall(r"\w+", normalized(text))
    return {hash(tuple(words[start : start + RUN])) for start in range(len(words) - RUN + 1)}


def _close(model: Similarity, kind: str, texts: Sequence[str], protected: Sequence[str]) -> dict[int, int]:
    if not texts or not protected:
        return {}
    left, right = model.rows(texts, kind), model.rows(protected, kind)
    best = {}
    for start in range(0, len(left), BLOCK):
        cosine = left[start : start + BLOCK] @ right.T
        nearest = cosine.argmax(axis=1)
        for row in np.flatnonzero(cosine[np.arange(len(nearest)), nearest] >= model.threshold).tolist():
            best[start + row] = int(nearest[row])
    return best
