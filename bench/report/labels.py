"""Where the words of a chart go: at the ends of lines, beside points, and never on top of one another."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from bench.report.svg import COLOURS


def width_of(text: str) -> float:
    """Roughly how many units a label takes."""
    return 6.2 * len(text)


def apart(wanted: Sequence[float], *, gap: float, least: float, most: float) -> list[float]:
    """The places nearest to those wanted, ascending, that are a gap apart (pooled as in isotonic regression)."""
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
    axes: Any,
    named: Sequence[tuple[str, float, float, int]],
    front: Sequence[tuple[float, float]],
    *,
    left: float,
) -> None:
    """Write each name beside its point where nothing else is; those that find no room are left to the table.

    Args:
        axes: matplotlib's, with its limits set.
        named: (name, x, y, weight); the heaviest choose first, and a negative weight is a name that is not written.
        front: corners of a staircase that names keep off.
        left: units left of the axes.
    """
    # Display units are pixels of the figure's own resolution; labels are measured in units of 1/72 inch.
    scale = 72 / axes.figure.dpi
    width, height = axes.figure.get_size_inches() * 72
    points = [axes.transData.transform((x, y)) * scale for _, x, y, _ in named]
    taken: list[Box] = [(x - 4, y - 4, x + 4, y + 4) for x, y in points]
    taken += _steps([axes.transData.transform(corner) * scale for corner in front])
    for i in sorted((i for i, one in enumerate(named) if one[3] >= 0), key=lambda i: -named[i][3]):
        (label, at_x, at_y, _), (x, y) = named[i], points[i]
        long = width_of(label)
        for dx, dy in ((8, -5), (6, -15), (-8 - long, -5), (-8 - long, 4), (-long / 2, 8), (-long / 2, -17), (6, 6)):
            box = (x + dx, y + dy, x + dx + long, y + dy + 10)
            inside = box[0] >= left + 2 and box[2] <= width - 2 and box[1] >= 42 and box[3] <= height - 20
            if inside and not any(_overlap(box, other) for j, other in enumerate(taken) if j != i):
                taken.append(box)
                axes.annotate(
                    label,
                    (at_x, at_y),
                    xytext=(dx, dy + 2),
                    textcoords="offset points",
                    fontsize=10.5,
                    color=COLOURS["ink"],
                )
                break


def _steps(corners: Sequence[tuple[float, float]]) -> list[Box]:
    """The boxes of a staircase: flat to the next corner, then up."""
    found: list[Box] = []
    for (x, y), (next_x, next_y) in itertools.pairwise(corners):
        found += [(x + 5, y - 1, next_x - 5, y + 1), (next_x - 1, y + 5, next_x + 1, next_y - 5)]
    return found


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
