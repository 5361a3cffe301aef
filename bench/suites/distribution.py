"""How far a query set is from the queries at home: what makes "out-of-distribution" more than a name."""

from __future__ import annotations

import re
import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.base.store import RowCache, Store
from bench.records import Finding, QuerySet, Suite

FEWEST = 10
"""Queries (of different clusters) on either side below which nothing is said to differ."""

MOST = 300
"""Queries of either side that the classifier looks at: its cost grows with the square."""

LONGEST = 1_000
"""Characters of a query that the classifier looks at."""

FOLDS, PERMUTATIONS, RIDGE = 10, 499, 0.3

TELLS_APART, STRONGLY = 0.60, 0.80
"""AUC from which two sets differ, and differ strongly. p holds chance off; this holds off what is there and too little
to matter: a test set from the source of its training set has .46 (banking77), a typing error in one word of five .64
(staff queries of the bundled suite), another field .85 (depot), another style 1 (patient, chart)."""

ALPHA = 0.01


@dataclass(frozen=True)
class Distance:
    """A query set against reference queries.

    `auc` is the chance that a classifier, which never saw the two, ranks a query of the set above one of the reference,
    and `p` that of such an AUC if both came from one source; None where either side has too few. `unseen` is the share
    of the set's words that no reference query has, `unseen_at_home` the same for a reference query and the others.
    `words` and `words_at_home` are median lengths.
    """

    n: int
    n_reference: int
    auc: float | None
    p: float | None
    unseen: float
    unseen_at_home: float
    words: float
    words_at_home: float

    @property
    def shown(self) -> bool:
        """Whether the two are shown to differ, by more than hair-splitting."""
        return self.auc is not None and self.p is not None and self.auc >= TELLS_APART and self.p < ALPHA

    @property
    def sentence(self) -> str:
        """The numbers in words."""
        told = f"too few queries to tell ({self.n} against {self.n_reference})"
        if self.auc is not None and self.p is not None:
            told = (
                f"a classifier of character n-grams tells them apart with an AUC of {self.auc:.2f} (p = {self.p:.3f})"
            )
        return (
            f"{told}; {self.unseen:.0%} of its words are in no reference query ({self.unseen_at_home:.0%} would be in "
            f"one more of those); {self.words:g} words in the median against {self.words_at_home:g}"
        )


def distribution_findings(suite: Suite) -> Iterator[Finding]:
    """What is out of distribution and what is not, measured on texts; says nothing of a suite without a reference."""
    for query_set in suite.of_role("out-of-distribution"):
        if not suite.why.get(query_set.name, "").strip():
            message = (
                f'The suite does not say why {query_set.name} is out of distribution; add why = "…" to its table, '
                "so that a reader knows what a loss there means."
            )
            yield Finding("warning", "no-why", query_set.name, message)
    for query_set in suite.of_role("out-of-distribution", "held-out"):
        roles = ("train", "held-out") if query_set.role == "out-of-distribution" else ("train",)
        # Topics that training does not touch set a held-out set apart as well; only what differs from both is far away.
        found = {role: distance(suite, query_set, suite.of_role(role)) for role in roles if suite.of_role(role)}
        if not found:
            continue
        role, nearest = min(found.items(), key=lambda item: -1.0 if item[1].auc is None else item[1].auc)
        head = f"{query_set.name} against {role} queries: {nearest.sentence}."
        value = None if nearest.auc is None else round(nearest.auc, 4)
        if query_set.role == "held-out":
            if nearest.shown and (nearest.auc or 0) >= STRONGLY:
                message = f"{head} Other topics than training's, or another style: more than fresh queries of one kind."
                yield Finding("info", "held-out-differs", query_set.name, message, value)
        elif nearest.shown:
            yield Finding("info", "out-of-distribution", query_set.name, f"It differs. {head}", value)
        else:
            message = (
                f"It is not shown to differ (wanted: an AUC of {TELLS_APART:.2f} with p < {ALPHA:g}). {head} "
                "A model that loses abroad would go unseen; name the role held-out, or take other queries."
            )
            yield Finding("warning", "not-out-of-distribution", query_set.name, message, value)


def distance(suite: Suite, query_set: QuerySet, reference: Sequence[QuerySet], *, seed: int = 0) -> Distance:
    """How far one query set is from the queries of others.

    Args:
        suite: says which queries are paraphrases of one another.
        query_set: what is looked at.
        reference: what it is held against.
        seed: of the queries drawn where there are many, the folds and the permutations.
    """
    texts, units = _queries(suite, [query_set])
    home, home_units = _queries(suite, reference)
    if suite.origin(query_set.name) not in {suite.origin(other.name) for other in reference}:
        # Equal ids mean one need only where one set was made of the other; clusters mean it everywhere.
        clustered = set(suite.labels[query_set.name].clusters.values())
        units = [unit if unit in clustered else f"{query_set.name} {unit}" for unit in units]
    auc, p = classifier_test(texts, home, units=units, reference_units=home_units, seed=seed)
    unseen, at_home = unseen_words(texts, home)
    return Distance(
        n=len(texts),
        n_reference=len(home),
        auc=auc,
        p=p,
        unseen=unseen,
        unseen_at_home=at_home,
        words=statistics.median([len(_words(text)) for text in texts] or [0]),
        words_at_home=statistics.median([len(_words(text)) for text in home] or [0]),
    )


def _queries(suite: Suite, query_sets: Sequence[QuerySet]) -> tuple[list[str], list[str]]:
    """Texts of answerable queries, and what each stands for: its cluster, or itself."""
    texts: list[str] = []
    units: list[str] = []
    for query_set in query_sets:
        labels = suite.labels[query_set.name]
        for query_id, text in zip(query_set.ids, query_set.texts, strict=True):
            # Queries without an answer are strange on purpose.
            if query_id not in labels.unanswerable:
                texts.append(text)
                units.append(labels.clusters.get(query_id, query_id))
    return texts, units


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def unseen_words(texts: Sequence[str], reference: Sequence[str]) -> tuple[float, float]:
    """The share of running words that no reference query has: of `texts`, and of each reference query by the others."""
    holders = Counter(word for text in reference for word in set(_words(text)))
    words = [word for text in texts for word in _words(text)]
    home = [word for text in reference for word in _words(text)]
    return (
        sum(word not in holders for word in words) / max(len(words), 1),
        sum(holders[word] == 1 for word in home) / max(len(home), 1),
    )


def classifier_test(
    texts: Sequence[str],
    reference: Sequence[str],
    *,
    units: Sequence[str] | None = None,
    reference_units: Sequence[str] | None = None,
    seed: int = 0,
) -> tuple[float | None, float | None]:
    """(AUC, p) of a classifier that is to tell two sets of texts apart; (None, None) with too few of either.

    A cross-validated ridge classifier on character n-grams of lengths 1 to 4 (TF-IDF, cosine; letters keep their case).
    p comes from permuted labels. Of texts that stand for one thing (a unit), each side keeps the first; a unit that
    is on both sides stays in one fold and swaps its sides, so that an altered copy is held against its original.

    Args:
        texts: one side.
        reference: the other.
        units: what each of `texts` stands for; itself where None.
        reference_units: likewise.
        seed: of the sample, folds and permutations.

    Source: Lopez-Paz & Oquab 2017, Revisiting classifier two-sample tests, section 3.
    """
    rng = np.random.default_rng(seed)
    sides = []
    for number, (given, names) in enumerate(((reference, reference_units), (texts, units))):
        named = names if names is not None else [f"{number} {i}" for i in range(len(given))]
        first: dict[str, str] = {}
        for name, text in zip(named, given, strict=True):
            first.setdefault(name, text)
        sides.append(first)
    if min(map(len, sides)) < FEWEST:
        return None, None
    home, away = sides
    # Where both sides hold the same units, only those: nothing but what was altered tells them apart then.
    kept_away = _drawn(list(away), rng)
    shared = [name for name in kept_away if name in home]
    kept_home = shared if len(shared) >= FEWEST else _drawn(list(home), rng)
    kernel = _kernel([home[name][:LONGEST] for name in kept_home] + [away[name][:LONGEST] for name in kept_away])
    side = np.repeat([0.0, 1.0], [len(kept_home), len(kept_away)])
    numbers = {name: i for i, name in enumerate(dict.fromkeys([*kept_home, *kept_away]))}
    unit = np.asarray([numbers[name] for name in [*kept_home, *kept_away]])
    labels = _permuted(side, unit, rng)
    fold = rng.permutation(np.arange(len(numbers)) % FOLDS)[unit]
    scores = np.empty_like(labels)
    for number in range(FOLDS):
        test, train = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
        inside = kernel[np.ix_(train, train)] + RIDGE * np.eye(len(train))
        known = labels[train] - labels[train].mean(axis=0)
        scores[test] = kernel[np.ix_(test, train)] @ np.linalg.solve(inside, known)
    found = _auc(scores, labels)
    return float(found[0]), float((found >= found[0] - 1e-12).mean())


def _drawn(names: list[str], rng: np.random.Generator) -> list[str]:
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
    holders = np.bincount(columns, minlength=len(column))
    table = table.multiply(np.log((1 + len(texts)) / (1 + holders)) + 1).tocsr()
    lengths = np.sqrt(np.asarray(table.multiply(table).sum(axis=1)).ravel())
    product: NDArray[np.float64] = (table @ table.T).toarray()
    return product / np.outer(lengths, lengths)


def _permuted(side: NDArray[np.float64], unit: NDArray[Any], rng: np.random.Generator) -> NDArray[np.float64]:
    """float64[n, 1 + PERMUTATIONS]: the sides as they are, then shuffled; a unit on both sides swaps or stays."""
    both = np.bincount(unit)[unit] == 2
    labels = np.repeat(side[:, None], 1 + PERMUTATIONS, axis=1)
    alone = np.flatnonzero(~both)
    for column in range(1, 1 + PERMUTATIONS):
        labels[alone, column] = rng.permutation(side[alone])
        swapped = rng.random(unit.max() + 1) < 0.5
        labels[both, column] = np.where(swapped[unit[both]], 1 - side[both], side[both])
    return labels


def _auc(scores: NDArray[np.float64], labels: NDArray[np.float64]) -> NDArray[np.float64]:
    """float64[n_columns]: the area under each column's ROC curve, ties counting half."""
    from scipy.stats import rankdata

    ranks = rankdata(scores, axis=0)
    n_positive = labels.sum(axis=0)
    above = (ranks * labels).sum(axis=0) - n_positive * (n_positive + 1) / 2
    result: NDArray[np.float64] = above / (n_positive * (len(labels) - n_positive))
    return result


# --- vectors ---------------------------------------------------------------------------------------


def embedding_findings(suite: Suite, store: Store) -> Iterator[Finding]:
    """How near each evaluation query is to its nearest training query, for models whose vectors are stored already.

    Nothing is encoded. A model that puts a prompt before its queries is not found: vectors are kept by the final text.
    """
    reference = suite.of_role("train") or suite.of_role("held-out")
    folder = store.root / "embeddings"
    if not reference or not folder.is_dir():
        return
    role = reference[0].role
    home_texts, _ = _queries(suite, reference)
    if not home_texts:
        return
    wanted = suite.of_role("out-of-distribution", *(["held-out"] if role == "train" else []))
    for place in sorted(path for path in folder.iterdir() if path.is_dir()):
        cache = RowCache.open(place)
        home_keys = [RowCache.key(text) for text in dict.fromkeys(home_texts)]
        if cache.missing(home_keys):
            continue
        home = cache.get(home_keys)
        at_home = nearest_similarity(home, None)
        for query_set in wanted:
            keys = [RowCache.key(text) for text in query_set.texts]
            if cache.missing(keys):
                continue
            near = nearest_similarity(cache.get(keys), home)
            message = (
                f"Stored vectors {place.name[:8]}: the nearest {role} query has a cosine of {near:.2f} on average "
                f"({at_home:.2f} between those themselves)."
            )
            yield Finding("info", "embedding-distance", query_set.name, message, round(at_home - near, 4))


def nearest_similarity(rows: NDArray[np.float32], reference: NDArray[np.float32] | None) -> float:
    """The mean cosine between each row and its nearest reference row; the nearest other row where `reference` is None.

    Args:
        rows: float32[n, dim].
        reference: float32[m, dim].
    """
    ours, theirs = _unit(rows), _unit(rows if reference is None else reference)
    best = []
    for start in range(0, len(ours), 1024):
        cosines = ours[start : start + 1024] @ theirs.T
        if reference is None:
            cosines[np.arange(len(cosines)), start + np.arange(len(cosines))] = -1
        best.append(cosines.max(axis=1))
    return float(np.concatenate(best).mean())


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    scaled: NDArray[np.float32] = (rows / np.where(lengths == 0, 1, lengths)).astype(np.float32)
    return scaled
