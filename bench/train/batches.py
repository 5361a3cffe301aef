"""Batches of like length without repeated texts: little padding, and no document as its own negative."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

__all__ = ["POOL", "length_batches", "sampler"]

POOL = 16
"""Batches' worth of rows sorted by length together: large enough to level padding, small enough to stay random."""


def length_batches(
    rows: Sequence[tuple[str, ...]], batch_size: int, generator: Any, *, distinct: bool = True
) -> Iterator[list[int]]:
    """Row numbers in batches; each row once, and no text twice within a batch where `distinct`.

    Rows are shuffled, taken in pools of `POOL` batches, and sorted by length within the pool; a row whose text
    stands already in the open batch waits for a later one. Batches of a pool come in random order, so that lengths do
    not rise and fall with the steps.

    Args:
        rows: each row's texts.
        batch_size: rows in a batch; the last ones may be smaller.
        generator: numpy Generator.
        distinct: a contrastive loss takes the batch's other documents as negatives, so none may stand twice.
    """
    order = [int(i) for i in generator.permutation(len(rows))]
    lengths = [sum(map(len, texts)) for texts in rows]
    waiting: list[int] = []
    for start in range(0, len(order), POOL * batch_size):
        pool = sorted([*waiting, *order[start : start + POOL * batch_size]], key=lambda i: lengths[i])
        last = start + POOL * batch_size >= len(order)
        batches: list[list[int]] = []
        while pool:
            batch: list[int] = []
            left: list[int] = []
            seen: set[str] = set()
            for row in pool:
                if len(batch) < batch_size and (not distinct or seen.isdisjoint(rows[row])):
                    batch.append(row)
                    seen.update(rows[row])
                else:
                    left.append(row)
            if len(batch) < batch_size and not last:
                # Too few to fill a batch: they go with the next pool.
                left = [*batch, *left]
                break
            batches.append(batch)
            pool = left
        waiting = [] if last else (left if pool else [])
        for i in generator.permutation(len(batches)):
            yield batches[i]


def sampler(*, distinct: bool) -> Callable[..., Any]:
    """What Sentence Transformers' trainers take as `batch_sampler`; `distinct` as in `length_batches`."""

    def build(dataset: Any, batch_size: int, drop_last: bool, seed: int = 0, **_: Any) -> Any:
        import numpy as np
        from sentence_transformers.base.sampler import DefaultBatchSampler

        rows = [tuple(value for value in row.values() if isinstance(value, str)) for row in dataset]

        class LengthBatchSampler(DefaultBatchSampler):
            """Draws anew for each epoch, the same for the same seed."""

            def _batches(self) -> list[list[int]]:
                generator = np.random.default_rng([self.seed, self.epoch])
                return list(length_batches(rows, self.batch_size, generator, distinct=distinct))

            def __iter__(self) -> Iterator[list[int]]:
                return iter(self._batches())

            def __len__(self) -> int:
                return len(self._batches())

        return LengthBatchSampler(dataset, batch_size=batch_size, drop_last=drop_last, seed=seed)

    return build
