"""Batches of like length without repeated texts: little padding, and no document as its own negative."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import Any

POOL = 16
"""Batches' worth of rows sorted by length together: large enough to level padding, small enough to stay random."""


def length_batches(
    rows: Sequence[tuple[Hashable, ...]],
    batch_size: int,
    generator: Any,
    *,
    lengths: Sequence[int] | None = None,
    distinct: bool = True,
    among: Sequence[int] | None = None,
) -> Iterator[list[int]]:
    """Row numbers in batches; each row once, and no text twice within a batch where `distinct`.

    Rows are shuffled, taken in pools of `POOL` batches, and sorted by length within the pool; a row whose text
    stands already in the open batch waits for a later one. Batches of a pool come in random order, so that lengths do
    not rise and fall with the steps.

    Args:
        rows: each row's texts, or what stands for them.
        batch_size: rows in a batch; the last ones may be smaller.
        generator: numpy Generator.
        lengths: of every row, such as its tokens; the characters of its texts where None.
        distinct: a contrastive loss takes the batch's other documents as negatives, so none may stand twice.
        among: the rows to take; all where None.
    """
    taken = range(len(rows)) if among is None else among
    order = [int(taken[i]) for i in generator.permutation(len(taken))]
    if lengths is None:
        lengths = [sum(len(str(text)) for text in texts) for texts in rows]
    waiting: list[int] = []
    for start in range(0, len(order), POOL * batch_size):
        pool = sorted([*waiting, *order[start : start + POOL * batch_size]], key=lambda i: lengths[i])
        last = start + POOL * batch_size >= len(order)
        batches, waiting = _filled(pool, rows, batch_size, distinct=distinct, last=last)
        for i in generator.permutation(len(batches)):
            yield batches[i]


def _filled(
    pool: list[int], rows: Sequence[tuple[Hashable, ...]], batch_size: int, *, distinct: bool, last: bool
) -> tuple[list[list[int]], list[int]]:
    """Batches from a sorted pool, and the rows too few to fill one, which go with the next pool unless it is last."""
    batches: list[list[int]] = []
    while pool:
        batch: list[int] = []
        left: list[int] = []
        seen: set[Hashable] = set()
        for row in pool:
            if len(batch) < batch_size and (not distinct or seen.isdisjoint(rows[row])):
                batch.append(row)
                seen.update(rows[row])
            else:
                left.append(row)
        if len(batch) < batch_size and not last:
            return batches, [*batch, *left]
        batches.append(batch)
        pool = left
    return batches, []
