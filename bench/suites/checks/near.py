"""Near-duplicate texts: MinHash signatures by datasketch, candidates from bands, exact Jaccard for the verdict.

Source: Broder 1997 (resemblance); Leskovec, Rajaraman, Ullman, Mining of Massive Datasets, section 3.4 (bands).
"""

from __future__ import annotations

import functools
import hashlib
import tempfile
from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.base.errors import MissingExtra
from bench.base.progress import Progress, no_progress
from bench.suites.checks.texts import BLOCK_TEXTS, content_words, normalized, text_print

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
    """Which of n texts resemble which.

    `word_set` int64[n] is the number, under `n_sets`, of a text's set of content words, −1 where it has none;
    `prints` uint64[n] tells normalized texts apart; `pairs` int64[n_pairs, 2] holds numbers of two sets whose
    Jaccard similarity is `SIMILAR` or more.
    """

    word_set: NDArray[np.int64]
    prints: NDArray[np.uint64]
    pairs: NDArray[np.int64]
    n_sets: int

    def part(self, rows: slice) -> Near:
        """The same of some of the texts."""
        return Near(self.word_set[rows], self.prints[rows], self.pairs, self.n_sets)

    def beside(self, chosen: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """bool[n]: texts that resemble another text among the chosen."""
        counts = self._around(np.bincount(self.word_set[chosen & (self.word_set >= 0)], minlength=self.n_sets))
        return np.asarray((self.word_set >= 0) & (counts[self.word_set] - chosen > 0))

    @cached_property
    def neighbours(self) -> dict[int, list[int]]:
        """Number of a word set → numbers of the others that resemble it."""
        found: dict[int, list[int]] = defaultdict(list)
        for one, other in self.pairs.tolist():
            found[one].append(other)
            found[other].append(one)
        return dict(found)

    def alike(self, rows: list[int]) -> int:
        """How many of these texts resemble another of them."""
        counts = Counter(number for number in self.word_set[rows].tolist() if number >= 0)
        return sum(
            count
            for number, count in counts.items()
            if count > 1 or any(other in counts for other in self.neighbours.get(number, ()))
        )

    def resembling(self) -> NDArray[np.bool_]:
        """bool[n]: texts that resemble another without being equal to it."""
        # One row stands for each text: what is equal word for word is another finding.
        texts = self.word_set[np.unique(self.prints, return_index=True)[1]]
        counts = self._around(np.bincount(texts[texts >= 0], minlength=self.n_sets))
        return np.asarray((self.word_set >= 0) & (counts[self.word_set] > 1))

    def _around(self, counts: NDArray[np.int64]) -> NDArray[np.int64]:
        """Per set, its count and those of the sets that resemble it; one more entry, 0, for number −1."""
        total = np.append(counts, 0)
        np.add.at(total, self.pairs[:, 0], counts[self.pairs[:, 1]])
        np.add.at(total, self.pairs[:, 1], counts[self.pairs[:, 0]])
        return total


def near_duplicates(texts: Sequence[str], *, what: str = "", progress: Progress = no_progress) -> Near:
    """Every text's near-duplicates; texts with equal content words among them.

    Time grows in proportion to the texts; above 200,000 of them memory holds about 40 bytes a text, and files the
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
        words = _Words(Path(folder) / "words" if n > ON_DISK else None)
        full, prints = np.zeros(n, dtype=np.uint64), np.zeros(n, dtype=np.uint64)
        for row, text in enumerate(texts):
            plain = normalized(text)
            full[row], prints[row] = words.add(content_words(plain)), text_print(plain)
            if row and row % BLOCK_TEXTS == 0:
                progress(f"words {what}", row, n)
        words.close()
        if n >= BLOCK_TEXTS:
            progress(f"words {what}", n, n)
        # Equal sets are one from here on: a template's copies are compared once.
        held = np.flatnonzero(words.sizes > 0)
        _, first, numbers = np.unique(full[held], return_index=True, return_inverse=True)
        word_set = np.full(n, -1, dtype=np.int64)
        word_set[held] = numbers
        rows = held[first]
        keys = _array((BANDS, len(rows)), Path(folder) / "keys" if n > ON_DISK else None)
        # Multipliers fold a band's values into one key; any odd numbers do, fixed ones give the same keys always.
        fold = np.random.default_rng(0).integers(1, 2**63, size=ROWS, dtype=np.uint64) | np.uint64(1)
        for start in range(0, len(rows), BLOCK):
            some = rows[start : start + BLOCK]
            made = datasketch.MinHash.generator(
                (words.low(row) for row in some.tolist()), num_perm=BANDS * ROWS, seed=1, hashfunc=int
            )
            signatures = np.stack([minhash.hashvalues for minhash in made]).astype(np.uint64)
            keys[:, start : start + BLOCK] = (signatures.reshape(len(some), BANDS, ROWS) * fold).sum(axis=2).T
            if n >= BLOCK_TEXTS:
                progress(f"signatures {what}", min(start + BLOCK, len(rows)), len(rows))
        pairs = _verified(_candidates(keys, words.sizes[rows]), words, rows)
        del keys
        words.release()
    return Near(word_set, prints, pairs, len(rows))


class _Words:
    """Word hashes of every text in one flat array, in memory or in a file."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file = path.open("wb") if path else None
        self._flat: Any = array("Q")
        self._sizes = array("I")

    def add(self, words: set[str]) -> int:
        """Append one text's set; 64 bits that tell it from other sets."""
        hashes = np.sort(np.fromiter((_hash(word) for word in words), dtype=np.uint64, count=len(words)))
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
        """Let go of the file, so that it can be removed on every platform."""
        self._flat = None

    def of(self, row: int) -> NDArray[np.uint64]:
        found: NDArray[np.uint64] = self._flat[self._ends[row] - self.sizes[row] : self._ends[row]]
        return found

    def low(self, row: int) -> list[int]:
        """The lower 32 bits: what MinHash permutes."""
        return list((self.of(row) & np.uint64(0xFFFFFFFF)).tolist())


@functools.lru_cache(maxsize=1 << 18)
def _hash(word: str) -> int:
    data = word.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


def _array(shape: tuple[int, int], path: Path | None) -> NDArray[np.uint64]:
    if path is None or 0 in shape:
        return np.empty(shape, dtype=np.uint64)
    return np.memmap(path, dtype=np.uint64, mode="w+", shape=shape)


def _candidates(keys: NDArray[np.uint64], sizes: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Per band, pairs (lower, higher) that share its key and whose sizes allow the similarity."""
    for band in keys:
        order = np.argsort(band, kind="stable")
        ordered = np.asarray(band)[order]
        for step in range(1, min(NEIGHBOURS, len(order) - 1) + 1):
            together = np.flatnonzero(ordered[step:] == ordered[:-step])
            if not len(together):
                break
            first, second = order[together], order[together + step]
            small, large = np.minimum(sizes[first], sizes[second]), np.maximum(sizes[first], sizes[second])
            fit = small >= SIMILAR * large
            yield np.stack([np.minimum(first, second)[fit], np.maximum(first, second)[fit]], axis=1)


def _verified(candidates: Iterator[NDArray[np.int64]], words: _Words, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Candidates whose word sets overlap enough, each pair once."""
    n = np.int64(len(rows))

    @functools.lru_cache(maxsize=50_000)
    def content(number: int) -> frozenset[int]:
        return frozenset(words.of(int(rows[number])).tolist())

    waiting: list[NDArray[np.int64]] = []
    codes = np.empty(0, dtype=np.int64)
    for pairs in candidates:
        waiting.append(pairs[:, 0] * n + pairs[:, 1])
        if sum(map(len, waiting)) > 5_000_000:
            codes, waiting = np.unique(np.concatenate([codes, *waiting])), []
    codes = np.unique(np.concatenate([codes, *waiting]))
    first, second = (codes // n).tolist(), (codes % n).tolist()
    kept = np.fromiter(map(functools.partial(_similar, content), first, second), dtype=bool, count=len(codes))
    codes = codes[kept]
    return np.stack([codes // n, codes % n], axis=1) if len(codes) else np.empty((0, 2), dtype=np.int64)


def _similar(content: Callable[[int], frozenset[int]], first: int, second: int) -> bool:
    one, other = content(first), content(second)
    shared = len(one & other)
    # In whole numbers: .8 is no binary fraction, and 4 of 5 words must pass.
    return 5 * shared >= 4 * (len(one) + len(other) - shared)
