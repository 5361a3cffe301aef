"""Numbers and outcomes in words: the one voice of the gate, the screen, the page and the decision."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

Part = TypeVar("Part")

OUTCOMES = {"pass": "Pass", "improved": "Improved", "fail": "Regression", "inconclusive": "Cannot tell"}
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
    """What a measure means in a few words; empty for one we do not know."""
    stem, _, cutoff = measure.partition("@")
    cutoff = {"1": "one", "3": "three", "5": "five", "10": "ten"}.get(cutoff, cutoff[:12] or "all")
    return _MEASURES.get(stem.lower(), "").format(k=cutoff)


def number(value: float | None, digits: int = 3) -> str:
    """Three decimals with a proper minus, or a dash where there is no number."""
    if value is None:
        return "–"
    text = f"{value:.{digits}f}"
    return ("0" + text[2:] if float(text) == 0 and text.startswith("-") else text).replace("-", "−")


def signed(value: float | None, digits: int = 3) -> str:
    """As `number`, with its sign, also where only the digits left out tell it; zero itself has none."""
    if value is None:
        return "–"
    sign = "+" if value > 0 else "−" if value < 0 else ""
    return sign + number(abs(value), digits)


def interval(ends: tuple[float, float] | None) -> str:
    """[low, high] with signs, or a word where there is none."""
    return f"[{signed(ends[0])}, {signed(ends[1])}]" if ends else "no interval"


def level(alpha: float) -> str:
    """The coverage that goes with a level: 95 % for 0.05."""
    return f"{100 * (1 - alpha):g}\u202f%"


def p_value(p: float | None) -> str:
    """Three decimals, and never a zero that nobody can know."""
    return "–" if p is None else "<\u202f0.001" if p < 0.001 else number(p)


def count(n: int, noun: str, plural: str = "") -> str:
    """A number with its noun: 1 query, 2 queries, 1,204 queries."""
    several = plural or (noun[:-1] + "ies" if noun.endswith("y") else noun + "s")
    return f"{whole(n)} {noun if n == 1 else several}"


def size(n_bytes: float | None) -> str:
    """Bytes in the unit a person would choose, decimal as disks are sold."""
    if n_bytes is None:
        return "–"
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n_bytes >= factor:
            value = n_bytes / factor
            return f"{value:.{0 if value >= 100 else 1}f}\u202f{unit}"
    return f"{n_bytes:.0f}\u202fB"


def seconds(value: float | None) -> str:
    """A duration in the unit a person would choose."""
    if value is None:
        return "–"
    if value >= 120:
        return f"{value / 60:.0f}\u202fmin"
    if value >= 10:
        return f"{value:.0f}\u202fs"
    return f"{value:.1f}\u202fs" if value >= 1 else f"{1000 * value:.{0 if value >= 0.01 else 1}f}\u202fms"


def whole(n: float) -> str:
    """A whole number with its thousands apart: 1,204."""
    return f"{n:,.0f}"


def percent(rate: float | None, digits: int = 0) -> str:
    """A share in per cent, or a dash where there is none."""
    return "–" if rate is None else f"{number(100 * rate, digits)}\u202f%"


def per_hundred(rate: float | None) -> str:
    """How many of a hundred, with a decimal where they are few."""
    return "–" if rate is None else number(100 * rate, 1 if rate < 0.0995 else 0)


def usd(amount: float) -> str:
    """Dollars, with cents where they are few."""
    text = f"${abs(amount):,.2f}" if amount and abs(amount) < 10 else f"${abs(amount):,.0f}"
    return f"−{text}" if amount < 0 and text != "$0" else text


def listed(items: Iterable[Part], *, most: int = 6) -> list[Part | str]:
    """a, b and c, in pieces; past `most`, the rest is a number."""
    everything: list[Part | str] = list(items)
    rest = len(everything) - most
    if rest > 0:
        everything = [*everything[:most], f"{rest} more"]
    parts: list[Part | str] = []
    for position, item in enumerate(everything):
        if position:
            parts.append(" and " if position == len(everything) - 1 else ", ")
        parts.append(item)
    return parts
