"""Numbers and outcomes in words, the same for the gate, the screen, the page and the decision."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

Part = TypeVar("Part")

OUTCOMES = {"pass": "Pass", "improved": "Improved", "fail": "Regression", "inconclusive": "Inconclusive"}
SEVERITIES = {"error": "Error", "warning": "Warning", "info": "Note"}
ROLES = {"held-out": "held-out", "out-of-distribution": "out-of-distribution", "train": "training", "dev": "tuning"}
_MEASURES = {
    "recall": "share of a query's relevant documents that are among the first {k}",
    "ndcg": "how close the first {k} are to the best possible order, 1 at best; higher grades and ranks count more",
    "mrr": "one divided by the rank of the first relevant document, 0 if none is among the first {k}",
    "map": "precision averaged over the ranks of the relevant documents, down to rank {k}",
    "precision": "share of the first {k} that is relevant",
    "hit": "share of queries with a relevant document among the first {k}",
    "success": "share of queries with a relevant document among the first {k}",
}


def explained(measure: str) -> str:
    """The meaning of a measure in a few words; empty for an unknown measure."""
    stem, _, cutoff = measure.partition("@")
    cutoff = {"1": "one", "3": "three", "5": "five", "10": "ten"}.get(cutoff, cutoff[:12] or "all")
    return _MEASURES.get(stem.lower(), "").format(k=cutoff)


def number(value: float | None, digits: int = 3) -> str:
    """Three decimals with a typographic minus, or a dash without a number."""
    if value is None:
        return "–"
    text = f"{value:.{digits}f}"
    return ("0" + text[2:] if float(text) == 0 and text.startswith("-") else text).replace("-", "−")


def signed(value: float | None, digits: int = 3) -> str:
    """As `number`, with its sign, even where all digits shown are zero; zero itself has no sign."""
    if value is None:
        return "–"
    sign = "+" if value > 0 else "−" if value < 0 else ""
    return sign + number(abs(value), digits)


def interval(ends: tuple[float, float] | None) -> str:
    """[low, high] with signs, or "no interval"."""
    return f"[{signed(ends[0])}, {signed(ends[1])}]" if ends else "no interval"


def level(alpha: float) -> str:
    """The coverage that goes with a level: 95 % for 0.05."""
    return f"{100 * (1 - alpha):g}\u202f%"


def p_value(p: float | None) -> str:
    """Three decimals; below 0.001 a bound, never zero."""
    return "–" if p is None else "<\u202f0.001" if p < 0.001 else number(p)


def count(n: int, noun: str, plural: str = "") -> str:
    """A number with its noun: 1 query, 2 queries, 1,204 queries."""
    several = plural or (noun[:-1] + "ies" if noun.endswith("y") else noun + "s")
    return f"{whole(n)} {noun if n == 1 else several}"


def size(n_bytes: float | None) -> str:
    """Bytes in a readable decimal unit."""
    if n_bytes is None:
        return "–"
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n_bytes >= factor:
            value = n_bytes / factor
            return f"{value:.{0 if value >= 100 else 1}f}\u202f{unit}"
    return f"{n_bytes:.0f}\u202fB"


def seconds(value: float | None) -> str:
    """A duration in a readable unit."""
    if value is None:
        return "–"
    if value >= 120:
        return f"{value / 60:.0f}\u202fmin"
    if value >= 10:
        return f"{value:.0f}\u202fs"
    return f"{value:.1f}\u202fs" if value >= 1 else f"{1000 * value:.{0 if value >= 0.01 else 1}f}\u202fms"


def whole(n: float) -> str:
    """A whole number with thousands separators: 1,204."""
    return f"{n:,.0f}"


def percent(rate: float | None, digits: int = 0) -> str:
    """A share in per cent, or a dash without a number."""
    return "–" if rate is None else f"{number(100 * rate, digits)}\u202f%"


def per_hundred(rate: float | None) -> str:
    """The number per hundred, with a decimal below ten."""
    return "–" if rate is None else number(100 * rate, 1 if rate < 0.0995 else 0)


def usd(amount: float) -> str:
    """Dollars, with cents below ten dollars."""
    text = f"${abs(amount):,.2f}" if amount and abs(amount) < 10 else f"${abs(amount):,.0f}"
    return f"−{text}" if amount < 0 and text != "$0" else text


def listed(items: Iterable[Part], *, most: int = 6) -> list[Part | str]:
    """The pieces of "a, b and c"; items after the first `most` are counted."""
    pieces: list[Part | str] = list(items)
    rest = len(pieces) - most
    pieces = [*pieces[:most], f"{rest} more"] if rest > 0 else pieces
    parts: list[Part | str] = []
    for piece in pieces:
        parts += [", ", piece]
    if len(pieces) > 1:
        parts[-2] = " and "
    return parts[1:]
