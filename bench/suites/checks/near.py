"""Near-duplicate texts: MinHash signatures by datasketch, candidates from bands, exact Jaccard similarity to decide.

Source: Broder 1997 (resemblance); Leskovec, Rajaraman, Ullman, Mining of Massive Datasets, section 3.4 (bands).
"""

from __future__ import annotations

import functools
import hashlib
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.base.errors import MissingExtra
from bench.base.progress import Progress, no_progress
from bench.suites.checks.texts import BLOCK_TEXTS
from bench.suites.text import content_words, normalized

SIMILAR = 0.8
"""Jaccard similarity of the content words from which two texts are near-duplicates."""

BANDS, ROWS = 24, 5
"""A pair at .8 shares a band with probability 1 − (1 − .8⁵)²⁴ = .99993; a pair at .4 with .22."""

NEIGHBOURS = 50
"""Texts of one bucket that each is compared with: a template's thousand copies need no million comparisons."""

BLOCK = 4096


@dataclass(frozen=True)
class Near:
    """Near-duplicates among n texts.

    `word_set` int64[n] numbers a text's set of content words, from 0 to `n_sets` − 1, or −1 where it has none;
    `hashes` uint64[n] tell normalized texts apart; `pairs` int64[n_pairs, 2] has the numbers of two sets whose
    Jaccard similarity is `SIMILAR` or more.
    """

    word_set: NDArray[np.int64]
    hashes: NDArray[np.uint64]
    pairs: NDArray[np.int64]
    n_sets: int

    def part(self, rows: slice) -> Near:
        """The same of some of the texts."""
        return Near(self.word_set[rows], self.hashes[rows], self.pairs, self.n_sets)

    def similar_to(self, chosen: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """bool[n]: texts that are near-duplicates of, or equal to, another text among the chosen."""
        counts = self._counts(self.word_set[chosen & (self.word_set >= 0)])
        return np.asarray((self.word_set >= 0) & (counts[self.word_set] - chosen > 0))

    @functools.cached_property
    def neighbours(self) -> dict[int, list[int]]:
        """Number of a word set → numbers of the others that are similar to it."""
        neighbours: dict[int, list[int]] = defaultdict(list)
        for first, second in self.pairs.tolist():
            neighbours[first].append(second)
            neighbours[second].append(first)
        return dict(neighbours)

    def n_similar(self, rows: list[int]) -> int:
        """How many of these texts are similar to another of them."""
        counts = Counter(number for number in self.word_set[rows].tolist() if number >= 0)
        return sum(
            count
            for number, count in counts.items()
            if count > 1 or any(other in counts for other in self.neighbours.get(number, ()))
        )

    def near_duplicates(self) -> NDArray[np.bool_]:
        """bool[n]: texts that are similar to another without being equal to it."""
        # One row of equal texts stands for all: equal texts are another finding.
        texts = self.word_set[np.unique(self.hashes, return_index=True)[1]]
        return np.asarray((self.word_set >= 0) & (self._counts(texts[texts >= 0])[self.word_set] > 1))

    def _counts(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Per set, how many of `numbers` are its own or a similar set's; one more entry, 0, for number −1."""
        counts = np.bincount(numbers, minlength=self.n_sets)
        total = np.append(counts, 0)
        np.add.at(total, self.pairs[:, 0], counts[self.pairs[:, 1]])
        np.add.at(total, self.pairs[:, 1], counts[self.pairs[:, 0]])
        return total


def near_duplicates(texts: Sequence[str], *, what: str = "", progress: Progress = no_progress) -> Near:
    """Every text's near-duplicates; texts with equal content words among them.

    Time grows in proportion to the texts. Memory holds about 40 bytes a text, temporary files hold the rest. Where more
    than 50 texts share a bucket, each is compared with 50 of them, so that a pair, but hardly a text, may be missed.

    Raises:
        MissingExtra: datasketch is not installed.
    """
    try:
        import datasketch  # noqa: F401 (used below; a missing library is reported before the texts are read)
    except ImportError:
        raise MissingExtra("The search for near-duplicates", "datasketch", "checks") from None
    n = len(texts)
    hashes, set_hashes, sizes = np.zeros(n, dtype=np.uint64), np.zeros(n, dtype=np.uint64), np.zeros(n, dtype=np.int64)
    with tempfile.TemporaryDirectory(prefix="bench-check-") as folder:
        with Path(folder, "words").open("wb") as file:
            for row, text in enumerate(texts):
                plain = normalized(text)
                words = content_words(plain)
                data = np.sort(np.fromiter(map(_word_hash, words), dtype=np.uint64, count=len(words))).tobytes()
                file.write(data)
                sizes[row], set_hashes[row] = len(words), _hash(data)
                hashes[row] = _hash(plain.encode("utf-8", "surrogatepass"))
                if row and row % BLOCK_TEXTS == 0:
                    progress(f"words {what}", row, n)
        if n >= BLOCK_TEXTS:
            progress(f"words {what}", n, n)
        # From here on, equal sets are one: a template's copies are compared once.
        with_words = np.flatnonzero(sizes)
        _, first, numbers = np.unique(set_hashes[with_words], return_index=True, return_inverse=True)
        word_set = np.full(n, -1, dtype=np.int64)
        word_set[with_words] = numbers
        rows = with_words[first]
        pairs = np.empty((0, 2), dtype=np.int64)
        if len(rows):
            pairs = _similar_pairs(Path(folder), sizes, rows, f"signatures {what}", progress)
    return Near(word_set, hashes, pairs, len(rows))


def _similar_pairs(
    folder: Path, sizes: NDArray[np.int64], rows: NDArray[np.int64], stage: str, progress: Progress
) -> NDArray[np.int64]:
    """int64[n_pairs, 2]: pairs of similar word sets, from the file of all texts' word hashes.

    Args:
        folder: has the file `words`, and gets one for the band keys; no file is mapped any more on return, since some
            platforms remove none that is.
        sizes: int64[n_texts], number of words.
        rows: the text of each word set.
        stage: for progress.
        progress: called with the number of word sets.
    """
    import datasketch

    n = len(rows)
    flat = np.asarray(np.memmap(folder / "words", dtype=np.uint64, mode="r"))
    starts = (np.cumsum(sizes) - sizes)[rows]

    def words_of(number: int) -> NDArray[np.uint64]:
        return flat[starts[number] : starts[number] + sizes[rows[number]]]

    @functools.lru_cache(maxsize=50_000)
    def hashes_of(number: int) -> frozenset[int]:
        return frozenset(words_of(number).tolist())

    def similar(first: int, second: int) -> bool:
        shared = len(hashes_of(first) & hashes_of(second))
        # In whole numbers: .8 is no binary fraction, and 4 of 5 words must pass.
        return 5 * shared >= 4 * (len(hashes_of(first)) + len(hashes_of(second)) - shared)

    keys = np.memmap(folder / "keys", dtype=np.uint64, mode="w+", shape=(BANDS, n))
    # Multipliers fold a band's values into one key; any odd numbers do, fixed ones give the same keys always.
    fold = np.random.default_rng(0).integers(1, 2**63, size=ROWS, dtype=np.uint64) | np.uint64(1)
    for start in range(0, n, BLOCK):
        stop = min(start + BLOCK, n)
        # MinHash permutes 32 bits.
        low = ((words_of(number) & np.uint64(0xFFFFFFFF)).tolist() for number in range(start, stop))
        hashed = datasketch.MinHash.generator(low, num_perm=BANDS * ROWS, seed=1, hashfunc=int)
        signatures = np.stack([minhash.hashvalues for minhash in hashed]).astype(np.uint64)
        keys[:, start:stop] = (signatures.reshape(stop - start, BANDS, ROWS) * fold).sum(axis=2).T
        if len(sizes) >= BLOCK_TEXTS:
            progress(stage, stop, n)
    waiting: list[NDArray[np.int64]] = []
    codes = np.empty(0, dtype=np.int64)
    for pairs in _candidates(keys, sizes[rows]):
        waiting.append(pairs[:, 0] * n + pairs[:, 1])
        if sum(map(len, waiting)) > 5_000_000:
            codes, waiting = np.unique(np.concatenate([codes, *waiting])), []
    codes = np.unique(np.concatenate([codes, *waiting]))
    similar_codes = [code for code in codes.tolist() if similar(*divmod(code, n))]
    return np.stack(np.divmod(np.asarray(similar_codes, dtype=np.int64), n), axis=1)


def _hash(data: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


@functools.lru_cache(maxsize=1 << 18)
def _word_hash(word: str) -> int:
    return _hash(word.encode("utf-8", "surrogatepass"))


def _candidates(keys: NDArray[np.uint64], sizes: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Per band, pairs (lower, higher) that share its key and whose sizes allow the similarity."""
    for band in keys:
        order = np.argsort(band, kind="stable")
        ordered = np.asarray(band)[order]
        for step in range(1, min(NEIGHBOURS, len(order) - 1) + 1):
            together = np.flatnonzero(ordered[step:] == ordered[:-step])
            if not len(together):
                break
            pairs = np.sort(np.stack([order[together], order[together + step]], axis=1), axis=1)
            both = np.sort(sizes[pairs], axis=1)
            yield pairs[both[:, 0] >= SIMILAR * both[:, 1]]
