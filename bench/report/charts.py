"""Charts as inline SVG: forest plots, lines and scatters. matplotlib is imported here and only inside functions.

Colours are placeholders that the page's style sheet replaces, so one drawing serves light and dark. Marks differ in
shape as well as in colour. Labels are next to the data; there are no legends.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bench.report.labels import apart, beside, width_of
from bench.report.svg import COLOURS, SERIES, inlined
from bench.report.text import plain

WIDTH = 380
"""Units of a panel's width: text of eleven units is then 11 px on a phone, and a little more on larger screens."""

LABEL_LIMIT = 24

LEFT = 48
"""Units left of a scatter's axes, for its numbers."""

_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "retrieval-gate",
    # A model's name may have dollar signs; it is no formula.
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 11,
    "text.color": COLOURS["ink"],
    "axes.labelcolor": COLOURS["quiet"],
    "axes.labelsize": 11,
    "axes.titlecolor": COLOURS["quiet"],
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.edgecolor": COLOURS["grid"],
    "axes.linewidth": 1,
    "axes.unicode_minus": True,
    **dict.fromkeys(("axes.spines.top", "axes.spines.right", "axes.spines.left"), False),
    "axes.axisbelow": True,
    **dict.fromkeys(("xtick.color", "ytick.color"), COLOURS["grid"]),
    **dict.fromkeys(("xtick.labelcolor", "ytick.labelcolor"), COLOURS["quiet"]),
    **dict.fromkeys(("xtick.labelsize", "ytick.labelsize"), 10.5),
    "xtick.major.size": 3,
    "ytick.major.size": 0,
    "grid.color": COLOURS["grid"],
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.8,
}

DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1, 2)))
SHAPES = ("o", "s", "D", "^", "v", "P", "X", "h")
_TONES = {
    "better": (COLOURS["better"], "^"),
    "worse": (COLOURS["worse"], "v"),
    "front": (SERIES[0], "o"),
    "reference": (COLOURS["ink"], "D"),
    "": (COLOURS["quiet"], "o"),
}


@dataclass(frozen=True)
class Mark:
    """A point with optional intervals. `tone` is "better", "worse", "front", "reference" or empty.

    `weight` ranks its label, which is left out where it is negative; `size` is the mark's width in units.
    """

    label: str
    x: float
    y: float
    x_range: tuple[float, float] | None = None
    y_range: tuple[float, float] | None = None
    tone: str = ""
    weight: int = 0
    size: float = 7.0


@dataclass(frozen=True)
class Line:
    """A series; `group` is its colour, `style` its dash and mark; the point at `chosen` is ringed.

    `end` is written at its right end instead of the label; nothing where empty.
    """

    label: str
    xs: Sequence[float]
    ys: Sequence[float]
    group: int = 0
    style: int = 0
    chosen: int | None = None
    end: str | None = None


@contextmanager
def canvas(height: float, width: float = WIDTH) -> Iterator[Any]:
    """Axes to draw on; `svg` must be called inside the block."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        # Text is only measured in this font; the reader's own fonts show it, with glyphs that this one lacks.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")
        figure = Figure(figsize=(width / 72, height / 72))
        axes = figure.add_subplot()
        figure.patch.set_visible(False)
        axes.patch.set_visible(False)
        yield axes


def svg(axes: Any, uid: str, title: str, description: str) -> str:
    """The drawing as SVG for HTML."""
    stream = io.StringIO()
    axes.figure.savefig(stream, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    return inlined(stream.getvalue(), uid=uid, title=title, description=description)


def inset(axes: Any, *, left: float, right: float, top: float = 4, bottom: float = 40) -> None:
    """Set the margins around the axes, in units."""
    width, height = axes.figure.get_size_inches() * 72
    axes.figure.subplots_adjust(
        left=left / width, right=1 - right / width, top=1 - top / height, bottom=bottom / height
    )


def few_ticks() -> Any:
    """A locator of at most five round ticks."""
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(5, steps=[1, 2, 5, 10])


# --- forest ----------------------------------------------------------------------------------------


def forest(uid: str, title: str, marks: Sequence[Mark], *, axis: str, limits: tuple[float, float]) -> str:
    """Intervals around points, one row each, zero as a line; `y` of the marks is not used.

    Args:
        uid: unique on the page.
        title: what the panel shows.
        marks: rows from top to bottom; without `x_range`, a bare point.
        axis: label of the axis.
        limits: ends of the axis, the same for panels side by side.
    """
    labels = [plain(mark.label, LABEL_LIMIT) for mark in marks]
    descriptions = []
    with canvas(17 * len(marks) + 48.0) as axes:
        inset(axes, left=10 + max(map(width_of, labels), default=20), right=12)
        axes.axvline(0, color=COLOURS["quiet"], linewidth=1)
        axes.grid(axis="x")
        for row, (mark, label) in enumerate(zip(marks, labels, strict=True)):
            colour, shape = _TONES[mark.tone]
            if mark.x_range:
                axes.plot(mark.x_range, (row, row), color=colour, linewidth=2, solid_capstyle="butt")
            axes.plot([mark.x], [row], shape, color=colour, markersize=6.5, linestyle="none")
            interval = " from {:+.3f} to {:+.3f}".format(*mark.x_range) if mark.x_range else ""
            descriptions.append(f"{label} {mark.x:+.3f}{interval}")
        axes.set_yticks(range(len(marks)), labels)
        axes.set_ylim(len(marks) - 0.4, -0.6)
        axes.set_xlim(*limits)
        axes.xaxis.set_major_locator(few_ticks())
        axes.set_xlabel(axis)
        return svg(axes, uid, title, "; ".join(descriptions))


# --- lines -----------------------------------------------------------------------------------------


def lines(
    uid: str, title: str, series: Sequence[Line], *, x_axis: str, y_axis: str, ticks: Sequence[float] = ()
) -> str:
    """Series with their names at the right end.

    Args:
        uid: unique on the page.
        title: what the panel shows.
        series: at least one line with at least one point.
        x_axis: label; logarithmic to the base two where `ticks` are given.
        y_axis: what is measured, written above the axis.
        ticks: marked places of the x axis.
    """
    labels = [plain(line.label, LABEL_LIMIT) for line in series]
    ends = [plain(line.label if line.end is None else line.end, LABEL_LIMIT) for line in series]
    with canvas(250.0) as axes:
        inset(axes, left=38, right=14 + max(map(width_of, ends)), top=28)
        axes.grid(axis="y")
        if ticks:
            axes.set_xscale("log", base=2)
        for line in series:
            colour, dashes = SERIES[line.group % len(SERIES)], DASHES[line.style % len(DASHES)]
            shape = SHAPES[line.style % len(SHAPES)] if len(line.xs) < 40 else None
            axes.plot(line.xs, line.ys, color=colour, linestyle=dashes, marker=shape, markersize=5)
            if line.chosen is not None:
                at = ([line.xs[line.chosen]], [line.ys[line.chosen]])
                axes.plot(*at, "o", markersize=11, markerfacecolor="none", color=COLOURS["ink"], markeredgewidth=1.5)
        if ticks:
            axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
            axes.minorticks_off()
        axes.set_xlabel(x_axis)
        axes.set_title(y_axis)
        end_labels(axes, ends, [line.ys[-1] for line in series], [line.group for line in series])
        numbers = (", ".join(f"{x:g} {y:.3f}" for x, y in list(zip(s.xs, s.ys, strict=True))[:12]) for s in series)
        return svg(axes, uid, title, "; ".join(map("{}: {}".format, labels, numbers)))


def end_labels(axes: Any, labels: Sequence[str], heights: Sequence[float], groups: Sequence[int]) -> None:
    """Write names at the lines' right ends, moved apart where they would overlap and no farther."""
    low, high = axes.get_ylim()
    right = axes.get_xlim()[1]
    shown = sorted((i for i, label in enumerate(labels) if label), key=lambda i: heights[i])
    places = apart([heights[i] for i in shown], gap=(high - low) * 13 / 182, least=low, most=high)
    offset = {"xytext": (6, 0), "textcoords": "offset points", "va": "center", "annotation_clip": False}
    for i, place in zip(shown, places, strict=True):
        axes.annotate(labels[i], (right, place), color=SERIES[groups[i] % len(SERIES)], **offset)


# --- scatter ---------------------------------------------------------------------------------------


def scatter(
    uid: str,
    title: str,
    marks: Sequence[Mark],
    *,
    x_axis: str,
    y_axis: str,
    x_ticks: Sequence[tuple[float, str]] = (),
    corner: str = "",
    front: Sequence[tuple[float, float]] = (),
    width: float = WIDTH,
    height: float = 300,
) -> str:
    """Points with names where there is room; the heaviest marks choose first.

    Args:
        uid: unique on the page.
        title: what the panel shows.
        marks: at least one.
        x_axis: label.
        y_axis: label, written above the axis.
        x_ticks: (place, text) on a logarithmic axis; a linear axis where empty.
        corner: words in the lower right quadrant, which is then shaded, with lines through zero.
        front: corners of the best attainable frontier, left to right.
        width: units, as `height`.
        height: units.
    """
    names = [(plain(mark.label, LABEL_LIMIT), mark.x, mark.y, mark.weight) for mark in marks]
    with canvas(height, width) as axes:
        inset(axes, left=LEFT, right=16, top=30)
        if x_ticks:
            axes.set_xscale("log")
        axes.grid(axis="y" if corner else "both")
        for mark in sorted(marks, key=lambda mark: mark.weight):
            colour, shape = _TONES[mark.tone]
            for xs, ys in ((mark.x_range, (mark.y, mark.y)), ((mark.x, mark.x), mark.y_range)):
                if xs and ys:
                    axes.plot(xs, ys, color=colour, linewidth=1, alpha=0.45)
            # Off the frontier, a mark says only where it is.
            style = {"markerfacecolor": "none" if front and not mark.tone else colour, "linestyle": "none", "zorder": 3}
            axes.plot([mark.x], [mark.y], shape, color=colour, markersize=mark.size, **style)
        _set_limits(axes, marks, logarithmic=bool(x_ticks), around_zero=bool(corner))
        axes.yaxis.set_major_locator(few_ticks())
        if x_ticks:
            axes.set_xticks([at for at, _ in x_ticks], [text for _, text in x_ticks])
            axes.minorticks_off()
        else:
            axes.xaxis.set_major_locator(few_ticks())
        if corner:
            right, bottom = axes.get_xlim()[1], axes.get_ylim()[0]
            axes.fill_between([0, right], bottom, 0, color=COLOURS["shade"], linewidth=0, zorder=0)
            axes.axvline(0, color=COLOURS["quiet"], linewidth=1, zorder=1)
            axes.axhline(0, color=COLOURS["quiet"], linewidth=1, zorder=1)
            place = {"xytext": (-6, 7), "textcoords": "offset points", "ha": "right", "fontsize": 10.5}
            axes.annotate(corner, (right, bottom), color=COLOURS["worse"], **place)
        if front:
            axes.step(*zip(*front, strict=True), where="post", color=SERIES[0], linewidth=1.5, zorder=1)
        axes.set_xlabel(x_axis)
        axes.set_title(y_axis)
        beside(axes, names, front, left=LEFT)
        return svg(axes, uid, title, "; ".join(f"{label} at {x:.6g}, {y:.3f}" for label, x, y, _ in names))


def _set_limits(axes: Any, marks: Sequence[Mark], *, logarithmic: bool, around_zero: bool) -> None:
    """Make room for every point, interval and name, and for zero where it matters."""
    for which, ranges in (
        ("x", [mark.x_range or (mark.x, mark.x) for mark in marks]),
        ("y", [mark.y_range or (mark.y, mark.y) for mark in marks]),
    ):
        low, high = min(r[0] for r in ranges), max(r[1] for r in ranges)
        if which == "x" and logarithmic:
            axes.set_xlim(low / 1.6, high * 2.6)
            continue
        if around_zero:
            low, high = min(low, -0.02), max(high, 0.02)
        room = 0.07 * (high - low) or 0.05
        getattr(axes, f"set_{which}lim")(low - room, high + room)
