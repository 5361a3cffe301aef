"""Near-duplicate texts: MinHash signatures by datasketch, candidates from bands, exact Jaccard similarity to decide.

Source: Broder 1997 (resemblance); Leskovec, Rajaraman, Ullman, Mining of Massive Datasets, section 3.4 (bands).
"""

from __future__ import annotations

import functools
import hashlib
import tempfile
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.base.errors import MissingExtra
from bench.base.progress import Progress, no_progress
from bench.suites.checks.texts import BLOCK_TEXTS
from bench.suites.text import content_words, normalized, text_hash

SIMILAR = 0.8
"""Jaccard similarity of the content words from which two texts are near-duplicates."""

BANDS, ROWS = 24, 5
"""A pair at .8 shares a band with probability 1 − (1 − .8⁵)²⁴ = .99993; a pair at .4 with .22."""

ON_DISK = 200_000
"""Texts from which band keys and words are kept in files instead of memory."""

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

    Time grows in proportion to the texts; above 200,000 of them memory holds about 40 bytes a text, and files hold the
    rest. Where more than 50 texts share a bucket, each is compared with 50 of them, so that a pair, but hardly a
    text, may be missed.

    Raises:
        MissingExtra: datasketch is not installed.
    """
    try:
        import datasketch
    except ImportError:
        raise MissingExtra("The search for near-duplicates", "datasketch", "checks") from None
    n = len(texts)
    with tempfile.TemporaryDirectory(prefix="bench-check-") as folder:
        words = _WordHashes(Path(folder) / "words" if n > ON_DISK else None)
        set_hashes, hashes = np.zeros(n, dtype=np.uint64), np.zeros(n, dtype=np.uint64)
        for row, text in enumerate(texts):
            plain = normalized(text)
            set_hashes[row], hashes[row] = words.add(content_words(plain)), int.from_bytes(text_hash(plain), "little")
            if row and row % BLOCK_TEXTS == 0:
                progress(f"words {what}", row, n)
        words.close()
        if n >= BLOCK_TEXTS:
            progress(f"words {what}", n, n)
        # From here on, equal sets are one: a template's copies are compared once.
        with_words = np.flatnonzero(words.sizes > 0)
        _, first, numbers = np.unique(set_hashes[with_words], return_index=True, return_inverse=True)
        word_set = np.full(n, -1, dtype=np.int64)
        word_set[with_words] = numbers
        rows = with_words[first]
        keys = np.empty((BANDS, len(rows)), dtype=np.uint64)
        if n > ON_DISK and len(rows):
            keys = np.memmap(Path(folder) / "keys", dtype=np.uint64, mode="w+", shape=keys.shape)
        # Multipliers fold a band's values into one key; any odd numbers do, fixed ones give the same keys always.
        fold = np.random.default_rng(0).integers(1, 2**63, size=ROWS, dtype=np.uint64) | np.uint64(1)
        for start in range(0, len(rows), BLOCK):
            block = rows[start : start + BLOCK].tolist()
            # MinHash permutes 32 bits.
            low = ((words.of(row) & np.uint64(0xFFFFFFFF)).tolist() for row in block)
            hashed = datasketch.MinHash.generator(low, num_perm=BANDS * ROWS, seed=1, hashfunc=int)
            signatures = np.stack([minhash.hashvalues for minhash in hashed]).astype(np.uint64)
            keys[:, start : start + BLOCK] = (signatures.reshape(len(block), BANDS, ROWS) * fold).sum(axis=2).T
            if n >= BLOCK_TEXTS:
                progress(f"signatures {what}", min(start + BLOCK, len(rows)), len(rows))
        pairs = _similar_pairs(_candidates(keys, words.sizes[rows]), words, rows)
        # Files can be removed on every platform only when nothing maps them.
        del keys
        words.release()
    return Near(word_set, hashes, pairs, len(rows))


class _WordHashes:
    """64-bit hashes of every text's words in one flat array, in memory or in a file."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file = path.open("wb") if path else None
        self._flat: Any = array("Q")
        self._sizes = array("I")

    def add(self, words: set[str]) -> int:
        """Append one text's words; 64 bits that tell this set from others."""
        hashes = np.sort(np.fromiter(map(_word_hash, words), dtype=np.uint64, count=len(words)))
        if self._file:
            hashes.tofile(self._file)
        else:
            self._flat.frombytes(hashes.tobytes())
        self._sizes.append(len(hashes))
        return int.from_bytes(hashlib.blake2b(hashes.tobytes(), digest_size=8).digest(), "little")

    def close(self) -> None:
        self.sizes = np.asarray(self._sizes, dtype=np.int64)
        self._ends = np.cumsum(self.sizes)
        if self._file:
            self._file.close()
        if self._path and self.sizes.any():
            self._flat = np.memmap(self._path, dtype=np.uint64, mode="r")
        else:
            self._flat = np.asarray(self._flat, dtype=np.uint64)

    def release(self) -> None:
        self._flat = None

    def of(self, row: int) -> NDArray[np.uint64]:
        hashes: NDArray[np.uint64] = self._flat[self._ends[row] - self.sizes[row] : self._ends[row]]
        return hashes


@functools.lru_cache(maxsize=1 << 18)
def _word_hash(word: str) -> int:
    return int.from_bytes(text_hash(word), "little")


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


def _similar_pairs(
    candidates: Iterator[NDArray[np.int64]], words: _WordHashes, rows: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Candidates whose word sets overlap enough, each pair once."""
    n = np.int64(len(rows))

    @functools.lru_cache(maxsize=50_000)
    def hashes_of(number: int) -> frozenset[int]:
        return frozenset(words.of(int(rows[number])).tolist())

    def similar(first: int, second: int) -> bool:
        ours, theirs = hashes_of(first), hashes_of(second)
        shared = len(ours & theirs)
        # In whole numbers: .8 is no binary fraction, and 4 of 5 words must pass.
        return 5 * shared >= 4 * (len(ours) + len(theirs) - shared)

    waiting: list[NDArray[np.int64]] = []
    codes = np.empty(0, dtype=np.int64)
    for pairs in candidates:
        waiting.append(pairs[:, 0] * n + pairs[:, 1])
        if sum(map(len, waiting)) > 5_000_000:
            codes, waiting = np.unique(np.concatenate([codes, *waiting])), []
    codes = np.unique(np.concatenate([codes, *waiting]))
    # A code is a pair's two numbers; without rows there is none, and nothing is divided by zero.
    proposed: NDArray[np.int64] = np.stack(np.divmod(codes, max(n, np.int64(1))), axis=1)
    similar_rows = [row for row, pair in enumerate(proposed.tolist()) if similar(*pair)]
    return np.asarray(proposed[similar_rows], dtype=np.int64)
