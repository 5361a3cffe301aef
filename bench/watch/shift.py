"""Tests of whether two samples of texts come from one source: arrays and texts in, statistics and p-values out.

p comes from permuted labels, so it is valid for every distribution. A size stands beside it, because with many texts
any difference is significant.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FEWEST = 10
"""Fewest texts of each sample that are tested."""

PERMUTATIONS = 1_999
"""The smallest p is .0005: seven tests that share a rate of .01 can each be shown."""

BLOCK = 100
EXCEEDED = 50
"""Permutations that reach the observed value, after which the test stops: it is chance (Besag & Clifford 1991)."""

NEAREST = 0.99
"""The share of the reference's own texts whose nearest neighbour is nearer than the distance that counts as far."""

MOST_WORDS = 12

Rows = NDArray[np.float32]
Floats = NDArray[np.float64]
Sides = NDArray[np.bool_]


@dataclass(frozen=True)
class Shift:
    """Vectors of one sample against those of a reference, by two tests.

    Attributes:
        n: texts of the sample.
        n_reference: texts of the reference.
        energy: coefficient of inhomogeneity; 0 where the two are alike, 1 where each is one point of its own.
        energy_expected: its mean over permutations: samples of this size have some by chance.
        energy_p: chance of such an energy if both came from one source.
        far: share of the sample farther from its nearest reference text than all but one in a hundred of the
            reference's own are from theirs.
        far_expected: its mean over permutations.
        far_p: chance of such a share if both came from one source.
        farthest: rows of the sample, the farthest from the reference first.
    """

    n: int
    n_reference: int
    energy: float
    energy_expected: float
    energy_p: float
    far: float
    far_expected: float
    far_p: float
    farthest: tuple[int, ...] = ()


@dataclass(frozen=True)
class NewWords:
    """Words of one sample that its reference lacks.

    Attributes:
        n: texts of the sample.
        n_reference: texts of the reference.
        share: running words of the sample that no reference text has.
        expected: the same share if the sample were drawn from both together; the mean over permutations.
        p: chance of such a share if both came from one source.
        words: the new words that most texts of the sample have, with the number of texts.
    """

    n: int
    n_reference: int
    share: float
    expected: float
    p: float
    words: tuple[tuple[str, int], ...] = ()


def embedding_shift(sample: Rows, reference: Rows, *, rng: np.random.Generator) -> Shift | None:
    """The distance of a sample's vectors from a reference's; None with too few of either.

    The energy detects any difference between two distributions, but barely a small part that is very different; the
    share of texts without a near one in the reference detects just that.

    Args:
        sample: float32[n, dim]; scaled to unit length, so that distance follows the cosine.
        reference: float32[m, dim]; independent of the sample: a text of both is no evidence and belongs in one of them.
        rng: of the permutations.

    Source: Székely & Rizzo 2013, Energy statistics, sections 4 and 6; nearest neighbours, a one-sided form of the
    two-sample tests of Henze 1988, which counts neighbours of the sample's texts only.
    """
    if min(len(sample), len(reference)) < FEWEST:
        return None
    n = len(sample)
    distances = _distances(np.concatenate([sample, reference]))
    neighbours, lengths = _neighbours(distances, n / len(distances))
    energies = _permuted(lambda sides: energy(distances, sides), len(distances), n, rng)
    shares = _permuted(lambda sides: _far(neighbours, lengths, sides), len(distances), n, rng)
    nearest = distances[:n, n:].min(axis=1)
    farthest = tuple(np.argsort(-nearest, kind="stable").tolist())
    total = float(max(energies[0], 0.0)), float(energies[1:].mean()), _p(energies)
    return Shift(n, len(reference), *total, float(shares[0]), float(shares[1:].mean()), _p(shares), farthest)


def _permuted(statistic: Callable[[Sides], Floats], total: int, n: int, rng: np.random.Generator) -> Floats:
    """float64[1 + permutations]: a statistic of the first n of `total` texts, then of n drawn at random.

    Stops early where enough permutations reach the first value: it is chance then, and p is no smaller for the stop.
    """
    values = np.empty(0)
    while len(values) < 1 + PERMUTATIONS:
        sides = np.zeros((total, min(BLOCK, 1 + PERMUTATIONS - len(values))), dtype=np.bool_)
        for column in range(sides.shape[1]):
            sides[rng.permutation(total)[:n] if len(values) + column else slice(n), column] = True
        values = np.concatenate([values, statistic(sides)])
        if (values >= _slack(values[0])).sum() > EXCEEDED:
            break
    return values


def _slack(value: float) -> float:
    """The smallest value that counts as equal: sums in another order differ in their last digits."""
    return float(value - 1e-6 * max(abs(float(value)), 1e-9))


def _p(values: NDArray[np.float64]) -> float:
    """The share of values that reach the first, itself among them."""
    return float((values >= _slack(values[0])).mean())


def energy(distances: NDArray[Any], sides: Sides) -> Floats:
    """float64[n_columns]: the coefficient of inhomogeneity of each division of some points into two samples.

    Args:
        distances: float[n_points, n_points], between all points.
        sides: bool[n_points, n_columns], true for points of the first sample.

    Source: Székely & Rizzo 2013: E = 2 E|X−Y| − E|X−X'| − E|Y−Y'|, H = E / 2 E|X−Y|; means over all pairs, those of
    a point with itself included. Checked against the package dcor in tests/golden/energy.json.
    """
    labels = sides.astype(distances.dtype)
    # With s the labels: s'Ds within the sample, s'D1 − s'Ds across, and the rest within the reference.
    inside = (labels * (distances @ labels)).sum(axis=0, dtype=np.float64)
    row_sums = distances.sum(axis=1, dtype=np.float64)
    touching = sides.T @ row_sums
    n = sides.sum(axis=0)
    m = len(distances) - n
    across = (touching - inside) / (n * m)
    others = (row_sums.sum() - 2 * touching + inside) / m**2
    values = 2 * across - inside / n**2 - others
    coefficients: Floats = np.divide(values, 2 * across, out=np.zeros_like(values), where=across > 0)
    return coefficients


def _neighbours(distances: NDArray[Any], share: float) -> tuple[NDArray[np.intp], NDArray[Any]]:
    """Every point's nearest others, nearest first, and their distances.

    As many as leave, in one of ten thousand divisions, a point without a reference point among them.
    """
    total = len(distances)
    most = min(total - 1, max(8, math.ceil(math.log(1e-4 / total) / math.log(share))))
    apart = distances.copy()
    np.fill_diagonal(apart, np.inf)
    near = np.argpartition(apart, most - 1, axis=1)[:, :most]
    near = np.take_along_axis(near, np.argsort(np.take_along_axis(apart, near, axis=1), axis=1), axis=1)
    return near, np.take_along_axis(apart, near, axis=1)


def _far(near: NDArray[np.intp], lengths: NDArray[Any], sides: Sides) -> Floats:
    """float64[n_columns]: the far share of each division."""
    shares = np.empty(sides.shape[1])
    rows = np.arange(len(near))
    for column, side in enumerate(sides.T):
        in_reference = ~side[near]
        nearest = np.where(in_reference.any(axis=1), lengths[rows, in_reference.argmax(axis=1)], np.inf)
        own = np.sort(nearest[~side])
        border = own[math.ceil(NEAREST * len(own)) - 1]
        shares[column] = (nearest[side] > border).mean()
    return shares


def _distances(rows: Rows) -> NDArray[np.float32]:
    """float32[n, n]: Euclidean distances at unit length."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit = rows / np.where(lengths > 0, lengths, 1)
    own = (unit * unit).sum(axis=1)  # 0 for a vector of zeros, so that two of them are at distance 0
    squares = np.maximum(own[:, None] + own[None] - 2 * (unit @ unit.T), 0)
    np.fill_diagonal(squares, 0)
    distances: NDArray[np.float32] = np.sqrt(squares)
    return distances


def new_words(sample: Sequence[str], reference: Sequence[str], *, rng: np.random.Generator) -> NewWords | None:
    """The share of a sample's words that no reference text has; None with too few texts, or without words.

    Words are runs of letters and digits, case folded. Each permutation draws as many texts as the sample has from both
    together, so that new words which any sample of this size has (names, typing errors) are expected, not a finding.

    Args:
        sample: texts.
        reference: texts, independent of the sample.
        rng: of the permutations.
    """
    if min(len(sample), len(reference)) < FEWEST:
        return None
    counts = [Counter(re.findall(r"\w+", text.casefold())) for text in (*sample, *reference)]
    column: dict[str, int] = {}
    for count in counts:
        for word in count:
            column.setdefault(word, len(column))
    if not column:
        return None
    from scipy.sparse import csr_matrix

    rows = np.repeat(np.arange(len(counts)), [len(count) for count in counts])
    columns = np.fromiter((column[word] for count in counts for word in count), dtype=np.int64, count=len(rows))
    times = np.fromiter((k for count in counts for k in count.values()), dtype=np.float32, count=len(rows))
    # float32[n_texts, n_words]: whether a text has a word, and how often.
    has, running = (
        csr_matrix((values, (rows, columns)), shape=(len(counts), len(column)))
        for values in (np.ones_like(times), times)
    )
    n_texts = np.asarray(has.sum(axis=0)).ravel()
    lengths = np.asarray(running.sum(axis=1)).ravel()
    n_running = np.asarray(running.sum(axis=0)).ravel()

    def share_new(sides: Sides) -> Floats:
        labels = sides.astype(np.float32)
        # A word is new where all texts that have it are in the sample; so are all its occurrences then.
        new = (has.T @ labels) == n_texts[:, None]
        share: Floats = (n_running @ new) / np.maximum(lengths @ labels, 1)
        return share

    n = len(sample)
    shares = _permuted(share_new, len(counts), n, rng)
    new = np.flatnonzero(np.asarray(has[:n].sum(axis=0)).ravel() == n_texts)
    names = list(column)
    ranked = sorted(((names[i], int(n_texts[i])) for i in new), key=lambda pair: (-pair[1], pair[0]))
    mean = float(shares[1:].mean())
    return NewWords(n, len(reference), float(shares[0]), mean, _p(shares), tuple(ranked[:MOST_WORDS]))
