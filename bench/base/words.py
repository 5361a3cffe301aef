"""How numbers, outcomes and measures are written, by the gate, the terminal, the report and the decision alike."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

Part = TypeVar("Part")

OUTCOMES = {"pass": "Pass", "improved": "Improved", "fail": "Regression", "inconclusive": "Inconclusive"}
SEVERITIES = {"error": "Error", "warning": "Warning", "info": "Note"}
ROLES = {"held-out": "held-out", "out-of-distribution": "out-of-distribution", "train": "training", "dev": "tuning"}
_MEASURES = {
    "recall": "the share of a query's relevant documents that are among the first {k}",
    "ndcg": "the gain of the first {k} as a share of the best possible gain; higher grades and ranks count more",
    "mrr": "1 divided by the rank of the first relevant document, 0 if none is among the first {k}",
    "map": "the precision averaged over the ranks of the relevant documents, down to rank {k}",
    "precision": "the share of the first {k} that is relevant",
    "hit": "the share of queries with a relevant document among the first {k}",
    "bpref": "how often relevant documents stand before documents that are judged irrelevant",
    "rprec": "the precision at the rank that equals the number of relevant documents",
}


def meaning(measure: str) -> str:
    """What a measure is, in a few words; empty for an unknown one."""
    stem, _, cutoff = measure.partition("@")
    cutoff = {"1": "one", "3": "three", "5": "five", "10": "ten"}.get(cutoff, cutoff[:12] or "all")
    return _MEASURES.get(stem.lower(), "").format(k=cutoff)


def number(value: float | None, digits: int = 3) -> str:
    """Three decimals with a minus sign, or a dash where there is no number."""
    if value is None:
        return "–"
    text = f"{value:.{digits}f}"
    return ("0" + text[2:] if float(text) == 0 and text.startswith("-") else text).replace("-", "−")


def signed(value: float | None, digits: int = 3) -> str:
    """As `number`, with a sign, even where all digits shown are 0. Zero itself has none."""
    if value is None:
        return "–"
    sign = "+" if value > 0 else "−" if value < 0 else ""
    return sign + number(abs(value), digits)


def interval(ends: tuple[float, float] | None) -> str:
    """[low, high] with signs, or "no interval"."""
    return f"[{signed(ends[0])}, {signed(ends[1])}]" if ends else "no interval"


def confidence(alpha: float) -> str:
    """The confidence level that goes with an error rate: 95 % for 0.05."""
    return f"{100 * (1 - alpha):g}\u202f%"


def p_value(p: float | None) -> str:
    """Three decimals, and never 0."""
    return "–" if p is None else "<\u202f0.001" if p < 0.001 else number(p)


def integer(n: float) -> str:
    """A whole number with commas between thousands: 1,204."""
    return f"{n:,.0f}"


def count(n: int, noun: str, plural: str = "") -> str:
    """A number with its noun: 1 query, 2 queries, 1,204 queries."""
    several = plural or (noun[:-1] + "ies" if noun.endswith("y") else noun + "s")
    return f"{integer(n)} {noun if n == 1 else several}"


def size(n_bytes: float | None) -> str:
    """Bytes in B, kB, MB or GB (powers of ten)."""
    if n_bytes is None:
        return "–"
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n_bytes >= factor:
            value = n_bytes / factor
            return f"{value:.{0 if value >= 100 else 1}f}\u202f{unit}"
    return f"{n_bytes:.0f}\u202fB"


def seconds(value: float | None) -> str:
    """A duration in ms, s or min."""
    if value is None:
        return "–"
    if value >= 120:
        return f"{value / 60:.0f}\u202fmin"
    if value >= 10:
        return f"{value:.0f}\u202fs"
    return f"{value:.1f}\u202fs" if value >= 1 else f"{1000 * value:.{0 if value >= 0.01 else 1}f}\u202fms"


def percent(rate: float | None, digits: int = 0) -> str:
    """A share in per cent, or a dash."""
    return "–" if rate is None else f"{number(100 * rate, digits)}\u202f%"


def per_hundred(rate: float | None) -> str:
    """How many of a hundred; with one decimal below ten."""
    return "–" if rate is None else number(100 * rate, 1 if rate < 0.0995 else 0)


def usd(amount: float) -> str:
    """US dollars; with cents below ten."""
    text = f"${abs(amount):,.2f}" if amount and abs(amount) < 10 else f"${abs(amount):,.0f}"
    return f"−{text}" if amount < 0 and text != "$0" else text


def join(items: Iterable[Part], *, most: int = 6) -> list[Part | str]:
    """The parts of "a, b and c"; after the first `most` items, "and 3 more"."""
    parts: list[Part | str] = list(items)
    if len(parts) > most:
        parts = [*parts[:most], f"{len(parts) - most} more"]
    joints = ["", *[", "] * (len(parts) - 2), " and "][: len(parts)]
    return [piece for pair in zip(joints, parts, strict=True) for piece in pair if piece != ""]
