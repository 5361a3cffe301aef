"""Places of a chart's labels: at the ends of lines, beside points, and never on top of one another."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from bench.report.svg import COLOURS


def width_of(text: str) -> float:
    """The approximate width of a label, in units."""
    return 6.2 * len(text)


def apart(wanted: Sequence[float], *, gap: float, least: float, most: float) -> list[float]:
    """The ascending places closest to those wanted that are a gap apart (pooled as in isotonic regression)."""
    blocks: list[list[float]] = []
    for i, value in enumerate(wanted):
        blocks.append([value - i * gap])
        while len(blocks) > 1 and sum(blocks[-2]) / len(blocks[-2]) > sum(blocks[-1]) / len(blocks[-1]):
            last = blocks.pop()
            blocks[-1] += last
    levels = [sum(block) / len(block) for block in blocks for _ in block]
    highest = most - (len(wanted) - 1) * gap
    return [max(min(least, highest), min(highest, level)) + i * gap for i, level in enumerate(levels)]


Box = tuple[float, float, float, float]


def beside(
    axes: Any, named: Sequence[tuple[str, float, float, int]], front: Sequence[tuple[float, float]], *, left: float
) -> None:
    """Write each name beside its point if there is room; leave it out otherwise.

    Args:
        axes: matplotlib's, with its limits set.
        named: (name, x, y, weight); the heaviest choose first, and a name with a negative weight is not written.
        front: corners of a staircase; no name crosses it.
        left: units left of the axes.
    """
    # Display units are pixels of the figure's own resolution; labels are measured in units of 1/72 inch.
    scale = 72 / axes.figure.dpi
    width, height = axes.figure.get_size_inches() * 72
    points = [axes.transData.transform((x, y)) * scale for _, x, y, _ in named]
    taken: list[Box] = [(x - 4, y - 4, x + 4, y + 4) for x, y in points]
    # The boxes of the staircase: flat to the next corner, then up.
    for (x, y), (next_x, next_y) in itertools.pairwise(axes.transData.transform(corner) * scale for corner in front):
        taken += [(x + 5, y - 1, next_x - 5, y + 1), (next_x - 1, y + 5, next_x + 1, next_y - 5)]
    place = {"textcoords": "offset points", "fontsize": 10.5, "color": COLOURS["ink"]}
    for i in sorted((i for i, (*_, weight) in enumerate(named) if weight >= 0), key=lambda i: -named[i][3]):
        (label, at_x, at_y, _), (x, y) = named[i], points[i]
        long = width_of(label)
        for dx, dy in ((8, -5), (6, -15), (-8 - long, -5), (-8 - long, 4), (-long / 2, 8), (-long / 2, -17), (6, 6)):
            box = (x + dx, y + dy, x + dx + long, y + dy + 10)
            inside = box[0] >= left + 2 and box[2] <= width - 2 and box[1] >= 42 and box[3] <= height - 20
            if inside and not any(_overlap(box, other) for j, other in enumerate(taken) if j != i):
                taken.append(box)
                axes.annotate(label, (at_x, at_y), xytext=(dx, dy + 2), **place)
                break


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
