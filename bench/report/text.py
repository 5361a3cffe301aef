"""Texts of a report: strings without invisible characters, and sentences as lists of parts.

Every string may be hostile, because ids, texts and names come from files of other people. Blocks have them unescaped,
and each form escapes them in one place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

NAME_LIMIT = 60
"""Characters of a name or an id; a longer one would push every other column off the page."""

TEXT_LIMIT = 2000
"""Characters of any one string on the page."""

# Not the narrow and the no-break space, which hold a number and its unit together.
_SPACE = re.compile("[ \t\n\r\f\v\x1c-\x1f\x85\u2028\u2029]+")
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)", re.DOTALL)
# C0, DEL, C1; bidirectional overrides, which let a name read as another one; lone surrogates, which UTF-8 refuses.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufffe\uffff\ud800-\udfff]"
)


def shortened(text: str, limit: int) -> str:
    """At most `limit` characters; a text that was cut ends in an ellipsis."""
    return text if len(text) <= limit else text[: max(0, limit - 1)].rstrip() + "…"


def visible(text: object, limit: int = TEXT_LIMIT) -> str:
    """Text on one line, without escape sequences, control or direction characters; spaces at its ends stay."""
    # A first, generous cut, so that a text of a gigabyte costs nothing.
    cleaned = _INVISIBLE.sub("", _SPACE.sub(" ", _ANSI.sub("", str(text)[: 4 * limit])))
    return shortened(cleaned, limit)


def plain(text: object, limit: int = TEXT_LIMIT) -> str:
    """As `visible`, without spaces at the ends; for names, ids and whole texts."""
    return visible(str(text).strip(), limit).strip(" ")


def written(value: object) -> str:
    """A value of a JSON document in one line: the keys and values of an object, the items of a list."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {written(part)}" for key, part in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(written, value))
    return "–" if value is None else str(value)


@dataclass(frozen=True)
class Span:
    """A part of a sentence; `kind` is "strong" or "name" (a system, query set, id or other literal)."""

    text: str
    kind: str


Text = Sequence["str | Span"]
"""A sentence in parts."""

Parts = list["str | Span"]
"""A sentence that is being put together."""


def name(text: str, limit: int = NAME_LIMIT) -> Span:
    """A name that people chose, set apart from the sentence."""
    return Span(plain(text, limit), "name")


def strong(text: str) -> Span:
    """Emphasised text."""
    return Span(text, "strong")


def fill(template: str, *values: str | Span | Text) -> Parts:
    """The template in parts, with a value for each {}: a text, a name, or a sentence in parts.

    Raises:
        ValueError: there are more or fewer values than {}.
    """
    first, *texts = template.split("{}")
    parts: Parts = [first]
    for value, text in zip(values, texts, strict=True):
        parts += [*([value] if isinstance(value, (str, Span)) else value), text]
    return [part for part in parts if part != ""]
