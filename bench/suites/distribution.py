"""How far a query set is from training and held-out queries: whether it is out-of-distribution, by measurement."""

from __future__ import annotations

import re
import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.base import words
from bench.base.store import RowCache, Store
from bench.records import Finding, QuerySet, Suite

FEWEST = 10
"""Queries (of different clusters) that either set needs before the two are compared."""

MOST = 300
"""Most queries of either set that the classifier uses: its cost grows with the square."""

LONGEST = 1_000
"""Characters of a query that the classifier reads."""

FOLDS, PERMUTATIONS, RIDGE = 10, 499, 0.3

DIFFERENT, VERY_DIFFERENT = 0.60, 0.80
"""AUC from which two sets differ, and differ strongly. p excludes chance; the AUC excludes differences too small to
matter: a test set from the source of its training set has .46 (banking77), a typing error in one word of five .64
(staff queries of the bundled suite), another field .85 (depot), another style 1 (patient, chart)."""

ALPHA = 0.01


@dataclass(frozen=True)
class Distance:
    """A query set compared with reference queries.

    `auc` is the probability that a classifier, which saw neither, ranks a query of the set above a reference query, and
    `p` that of such an AUC if both came from one source; None where either has too few. `unseen` is the share of the
    set's words that no reference query has, `unseen_reference` the share of a reference query's words that no other
    reference query has. `words` and `words_reference` are median lengths.
    """

    n: int
    n_reference: int
    auc: float | None
    p: float | None
    unseen: float
    unseen_reference: float
    words: float
    words_reference: float

    @property
    def shown(self) -> bool:
        """Whether the two are shown to differ, by enough to matter."""
        return self.auc is not None and self.p is not None and self.auc >= DIFFERENT and self.p < ALPHA

    @property
    def sentence(self) -> str:
        """The numbers in words."""
        if self.auc is None or self.p is None:
            test = f"too few queries to tell ({self.n} against {self.n_reference})"
        else:
            test = f"a classifier of character n-grams separates them with an AUC of {self.auc:.2f} (p = {self.p:.3f})"
        return (
            f"{test}; {words.percent(self.unseen)} of its words occur in no reference query (of a reference query, "
            f"{words.percent(self.unseen_reference)} occur in no other); median length {self.words:g} words, of "
            f"reference queries {self.words_reference:g}"
        )


def distribution_findings(suite: Suite) -> Iterator[Finding]:
    """Which evaluation sets differ from the reference queries, measured on texts; none without reference queries."""
    for query_set in suite.of_role("out-of-distribution"):
        if not suite.why.get(query_set.name, "").strip():
            message = (
                f'The suite does not say why {query_set.name} is out-of-distribution. Add why = "…" to its table, so '
                "that a reader knows what a drop there means."
            )
            yield Finding("warning", "no-why", query_set.name, message)
    for query_set in suite.of_role("out-of-distribution", "held-out"):
        roles = ("train", "held-out") if query_set.role == "out-of-distribution" else ("train",)
        # Topics that training lacks also set a held-out set apart, so an out-of-distribution set must differ from both.
        distances = {role: distance(suite, query_set, suite.of_role(role)) for role in roles if suite.of_role(role)}
        if not distances:
            continue
        role, nearest = min(distances.items(), key=lambda item: -1.0 if item[1].auc is None else item[1].auc)
        numbers = f"{query_set.name} against {role} queries: {nearest.sentence}."
        value = None if nearest.auc is None else round(nearest.auc, 4)
        if query_set.role == "held-out":
            if nearest.shown and (nearest.auc or 0) >= VERY_DIFFERENT:
                message = f"{numbers} It has other topics or another style than training, and is not just newer."
                yield Finding("info", "held-out-differs", query_set.name, message, value)
        elif nearest.shown:
            yield Finding("info", "out-of-distribution", query_set.name, f"It differs. {numbers}", value)
        else:
            message = (
                f"Its queries are not shown to differ from the others (that takes an AUC of {DIFFERENT:.2f} with p < "
                f"{ALPHA:g}). {numbers} It cannot show a drop out of distribution. Give it the role held-out, or other "
                "or more queries."
            )
            yield Finding("warning", "not-out-of-distribution", query_set.name, message, value)


def distance(suite: Suite, query_set: QuerySet, reference: Sequence[QuerySet], *, seed: int = 0) -> Distance:
    """How far one query set is from the queries of others.

    Args:
        suite: its clusters say which queries are paraphrases.
        query_set: the query set to compare.
        reference: the query sets to compare it with.
        seed: of the sample, the folds and the permutations.
    """
    texts, units = _queries(suite, [query_set])
    reference_texts, reference_units = _queries(suite, reference)
    if suite.origin(query_set.name) not in {suite.origin(other.name) for other in reference}:
        # Equal ids mean one need only where one set is derived from the other; clusters mean it everywhere.
        clustered = set(suite.labels[query_set.name].clusters.values())
        units = [unit if unit in clustered else f"{query_set.name} {unit}" for unit in units]
    auc, p = classifier_test(texts, reference_texts, units=units, reference_units=reference_units, seed=seed)
    unseen, unseen_reference = unseen_words(texts, reference_texts)
    lengths = (statistics.median([len(_words(text)) for text in each] or [0]) for each in (texts, reference_texts))
    return Distance(len(texts), len(reference_texts), auc, p, unseen, unseen_reference, *lengths)


def _queries(suite: Suite, query_sets: Sequence[QuerySet]) -> tuple[list[str], list[str]]:
    """Texts of answerable queries, and the unit that each stands for: its cluster, or itself."""
    texts: list[str] = []
    units: list[str] = []
    for query_set in query_sets:
        labels = suite.labels[query_set.name]
        for query_id, text in zip(query_set.ids, query_set.texts, strict=True):
            # Queries without an answer differ on purpose.
            if query_id not in labels.unanswerable:
                texts.append(text)
                units.append(labels.clusters.get(query_id, query_id))
    return texts, units


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def unseen_words(texts: Sequence[str], reference: Sequence[str]) -> tuple[float, float]:
    """The share of words that no reference query has: of `texts`, and of each reference query by the others."""
    n_queries_with = Counter(word for text in reference for word in set(_words(text)))
    all_words = [word for text in texts for word in _words(text)]
    reference_words = [word for text in reference for word in _words(text)]
    return (
        sum(word not in n_queries_with for word in all_words) / max(len(all_words), 1),
        sum(n_queries_with[word] == 1 for word in reference_words) / max(len(reference_words), 1),
    )


def classifier_test(
    texts: Sequence[str],
    reference: Sequence[str],
    *,
    units: Sequence[str] | None = None,
    reference_units: Sequence[str] | None = None,
    seed: int = 0,
) -> tuple[float | None, float | None]:
    """(AUC, p) of a classifier that separates two sets of texts; (None, None) with too few of either.

    A cross-validated ridge classifier on character n-grams of lengths 1 to 4 (TF-IDF, cosine; letters keep their case).
    p comes from permuted labels. Of texts with one unit, each set keeps the first; a unit in both sets stays in one
    fold and swaps its labels, so that an altered copy is compared with its original.

    Args:
        texts: one set.
        reference: the other set.
        units: the unit that each of `texts` stands for; None for one unit per text.
        reference_units: likewise.
        seed: of the sample, folds and permutations.

    Source: Lopez-Paz & Oquab 2017, Revisiting classifier two-sample tests, section 3.
    """
    from scipy.stats import rankdata

    rng = np.random.default_rng(seed)
    known, new = dict[str, str](), dict[str, str]()  # unit → its first text
    for first, some_texts, names in ((known, reference, reference_units), (new, texts, units)):
        for number, text in enumerate(some_texts):
            first.setdefault(names[number] if names is not None else f"{first is new:d} {number}", text)
    if min(len(known), len(new)) < FEWEST:
        return None, None
    # Where both sets have the same units, only those: then nothing but the alteration separates them.
    new_units = _sample(list(new), rng)
    shared = [unit for unit in new_units if unit in known]
    known_units = shared if len(shared) >= FEWEST else _sample(list(known), rng)
    kernel = _kernel([known[unit][:LONGEST] for unit in known_units] + [new[unit][:LONGEST] for unit in new_units])
    side = np.repeat([0.0, 1.0], [len(known_units), len(new_units)])
    number_of = {unit: number for number, unit in enumerate(dict.fromkeys([*known_units, *new_units]))}
    unit_numbers = np.asarray([number_of[unit] for unit in [*known_units, *new_units]])
    labels = _permuted(side, unit_numbers, rng)
    fold = rng.permutation(np.arange(len(number_of)) % FOLDS)[unit_numbers]
    scores = np.empty_like(labels)
    for number in range(FOLDS):
        test, train = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
        inside = kernel[np.ix_(train, train)] + RIDGE * np.eye(len(train))
        centred = labels[train] - labels[train].mean(axis=0)
        scores[test] = kernel[np.ix_(test, train)] @ np.linalg.solve(inside, centred)
    # The area under each column's ROC curve, ties counting half.
    ranks, n_positive = rankdata(scores, axis=0), labels.sum(axis=0)
    above = (ranks * labels).sum(axis=0) - n_positive * (n_positive + 1) / 2
    auc = above / (n_positive * (len(labels) - n_positive))
    return float(auc[0]), float((auc >= auc[0] - 1e-12).mean())


def _sample(names: list[str], rng: np.random.Generator) -> list[str]:
    return names if len(names) <= MOST else [names[i] for i in sorted(rng.choice(len(names), MOST, replace=False))]


def _kernel(texts: Sequence[str]) -> NDArray[np.float64]:
    """float64[n, n]: cosines between TF-IDF vectors of character n-grams."""
    from scipy.sparse import csr_matrix

    column: dict[str, int] = {}
    rows, columns, weights = [], [], []
    for row, text in enumerate(texts):
        padded = f" {' '.join(text.split())} "
        counts = Counter(padded[i : i + n] for n in range(1, 5) for i in range(len(padded) - n + 1))
        rows += [row] * len(counts)
        columns += [column.setdefault(gram, len(column)) for gram in counts]
        weights += [1 + np.log(count) for count in counts.values()]
    table: Any = csr_matrix((weights, (rows, columns)), shape=(len(texts), len(column)))
    n_texts_with = np.bincount(columns, minlength=len(column))
    table = table.multiply(np.log((1 + len(texts)) / (1 + n_texts_with)) + 1).tocsr()
    lengths = np.sqrt(np.asarray(table.multiply(table).sum(axis=1)).ravel())
    product: NDArray[np.float64] = (table @ table.T).toarray()
    return product / np.outer(lengths, lengths)


def _permuted(side: NDArray[np.float64], unit: NDArray[Any], rng: np.random.Generator) -> NDArray[np.float64]:
    """float64[n, 1 + PERMUTATIONS]: the labels, then permutations of them; a unit in both sets swaps or stays."""
    both = np.bincount(unit)[unit] == 2
    labels = np.repeat(side[:, None], 1 + PERMUTATIONS, axis=1)
    alone = np.flatnonzero(~both)
    for column in range(1, 1 + PERMUTATIONS):
        labels[alone, column] = rng.permutation(side[alone])
        swapped = rng.random(unit.max() + 1) < 0.5
        labels[both, column] = np.where(swapped[unit[both]], 1 - side[both], side[both])
    return labels


def embedding_findings(suite: Suite, store: Store) -> Iterator[Finding]:
    """How near each evaluation query is to its nearest training query, for models whose vectors are stored already.

    Nothing is encoded. Vectors are stored by the final text, so a model that puts a prompt before queries is left out.
    """
    reference = suite.of_role("train") or suite.of_role("held-out")
    folder = store.root / "embeddings"
    reference_texts, _ = _queries(suite, reference)
    if not reference_texts or not folder.is_dir():
        return
    role = reference[0].role
    reference_keys = [RowCache.key(text) for text in dict.fromkeys(reference_texts)]
    for path in sorted(path for path in folder.iterdir() if path.is_dir()):
        cache = RowCache.open(path)
        if cache.missing(reference_keys):
            continue
        rows = cache.get(reference_keys)
        within = nearest_similarity(rows, None)
        for query_set in suite.of_role("out-of-distribution", *(["held-out"] if role == "train" else [])):
            keys = [RowCache.key(text) for text in query_set.texts]
            if not cache.missing(keys):
                similarity = nearest_similarity(cache.get(keys), rows)
                message = (
                    f"Stored vectors {path.name[:8]}: the mean cosine to the nearest {role} query is {similarity:.2f} "
                    f"(among {role} queries {within:.2f})."
                )
                yield Finding("info", "embedding-distance", query_set.name, message, round(within - similarity, 4))


def nearest_similarity(rows: NDArray[np.float32], reference: NDArray[np.float32] | None) -> float:
    """The mean cosine between each row and its nearest reference row; the nearest other row where `reference` is None.

    Args:
        rows: float32[n, dim].
        reference: float32[m, dim].
    """
    unit = []
    for vectors in (rows, rows if reference is None else reference):
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit.append((vectors / np.where(lengths == 0, 1, lengths)).astype(np.float32))
    ours, theirs = unit
    best = []
    for start in range(0, len(ours), 1024):
        cosines = ours[start : start + 1024] @ theirs.T
        if reference is None:
            cosines[np.arange(len(cosines)), start + np.arange(len(cosines))] = -1
        best.append(cosines.max(axis=1))
    return float(np.concatenate(best).mean())
