"""The cells of a table: a constructor for each kind of value."""

from __future__ import annotations

from datetime import datetime

from bench.base import words
from bench.report.blocks import Datum
from bench.report.text import NAME_LIMIT, plain

LAST = -1e9
"""What a cell without a value is sorted by: below every number."""

DIGEST_LIMIT = 12
"""Digits of a digest that are shown; the result files hold all."""

MARKS = {"better": " ▲", "worse": " ▼"}


# --- words -------------------------------------------------------------------------------------------


def text(value: object, limit: int = NAME_LIMIT, *, note: str = "", tone: str = "") -> Datum:
    """A few words."""
    return Datum(plain(value, limit), note=note, tone=tone)


def name(value: object, limit: int = NAME_LIMIT, *, note: str = "") -> Datum:
    """A system, query set, id or other literal."""
    return Datum(plain(value, limit), kind="name", note=note)


def digest(value: str) -> Datum:
    """The first digits of a digest."""
    return Datum(plain(value[:DIGEST_LIMIT]), kind="name")


def sentence(value: object, limit: int = 600, *, note: str = "") -> Datum:
    """A text that may run over several lines."""
    return Datum(plain(value, limit), kind="sentence", note=note)


def outcome(value: str | None, *, note: str = "") -> Datum:
    """A verdict's outcome."""
    return Datum(words.OUTCOMES.get(value or "", "–"), kind="outcome", note=note, tone=value or "")


def time(value: datetime, pattern: str = "%Y-%m-%d") -> Datum:
    """A date, or a date with a time."""
    return Datum(f"{value:{pattern}}", value.timestamp())


# --- numbers -----------------------------------------------------------------------------------------


def number(value: float | None, shown: str = "", *, note: str = "", tone: str = "", label: str = "") -> Datum:
    """A number with three decimals, or as `shown` writes it; a dash where it is None."""
    if value is None:
        return Datum("–", LAST, "number", note)
    return Datum(shown or words.number(value), value, "number", note, tone, label)


def integer(value: float | None, *, note: str = "") -> Datum:
    """A whole number."""
    return number(value, words.integer(value or 0), note=note)


def percent(rate: float | None, digits: int = 0) -> Datum:
    """A share in per cent."""
    return number(rate, words.percent(rate, digits))


def size(n_bytes: float | None) -> Datum:
    """Bytes in the unit that fits."""
    return number(n_bytes, words.size(n_bytes))


def seconds(value: float | None) -> Datum:
    """A duration in the unit that fits."""
    return number(value, words.seconds(value))


def p_value(p: float | None, *, note: str = "") -> Datum:
    """A p-value; a missing one is sorted as the largest."""
    return Datum(words.p_value(p), 2.0 if p is None else p, "number", note)


def difference(delta: float | None, ci: tuple[float, float] | None = None, *, shown: str = "", mark: str = "") -> Datum:
    """A difference with its interval and a mark below; `shown` is "better" or "worse" where the test shows it."""
    return number(delta, words.signed(delta), note=words.interval(ci) + mark if delta is not None else "", tone=shown)


def mean(
    value: float | None, delta: float | None = None, ci: tuple[float, float] | None = None, shown: str = ""
) -> Datum:
    """A mean, and its difference to the reference below."""
    if value is None or delta is None:
        return number(value)
    note = f"{words.signed(delta)} {words.interval(ci)}{MARKS.get(shown, '')}"
    return number(value, note=note, tone=shown, label=f"shown to be {shown}" if shown else "not shown to differ")
