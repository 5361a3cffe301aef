"""Faults of single texts: empty, repeated, cut off, wrongly decoded, longer than a model reads."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from bench.base.progress import Progress, no_progress
from bench.records import Finding

NOTEWORTHY = 0.01
"""Share of texts from which leftovers of a conversion are a warning; a few may be what the text is about."""

TEASERS = 0.05
"""Share of texts that end in an ellipsis from which they look like search snippets; people write some."""

TOKENS_PER_WORD = 1.3
"""Word pieces per English word, roughly; enough to tell 200 words from 2,000."""

PILED_UP = 5
"""Texts of exactly the greatest length from which it looks like a cut."""

BLOCK_TEXTS = 20_000
"""Texts between two words to a progress callback; fewer are looked at before anyone could read them."""

LONG_TEXT = 10_000
"""Characters from which most words of a text stand in it several times."""

# Words that carry grammar, not content: articles, pronouns, prepositions, conjunctions, auxiliaries. Negations and
# "how", "why", "when", "where" stay: they turn one question into another. How many near-duplicates are found
# depends on this list; docs/checks.md says by how much.
STOP_WORDS = frozenset(
    """
    a an the this that these those there here
    i me my mine myself we us our ours you your yours he him his she her hers it its they them their theirs
    what which who whom whose
    about at by for from in into of off on onto out over to under up with
    and or but if as so than then because
    am is are was were be been being do does did have has had having
    can could may might must shall should will would
    """.split()  # noqa: SIM905 (a list literal would run over a page)
)

_MOJIBAKE = re.compile("[ÂÃ][\u0080-\u00bf€‚ƒ„…†‡ˆ‰Š‹Œ‘’“”•–—˜™š›œŸ]|â€[\u0080-\u00bf™œ\u02dc“”¦¢]")
_HTML = re.compile(
    r"&(?:nbsp|amp|lt|gt|quot|apos|#x?[0-9a-f]+);"
    r"|</?(?:p|br|div|span|a|b|i|u|em|ul|ol|li|td|tr|th|table|strong|script|style|img|h[1-6])(?:\s[^<>]*)?/?>",
    re.IGNORECASE,
)
# Line breaks and tabs are text; the rest of C0 and C1, lone surrogates and noncharacters are not.
_CONTROL = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")
# Joiners (U+200C, U+200D) stay out: Persian, Indic scripts and emoji need them.
_INVISIBLE = re.compile("[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
_LEFTOVERS = {
    "replacement-characters": (re.compile("\ufffd"), "hold U+FFFD, left where bytes could not be decoded"),
    "mojibake": (_MOJIBAKE, "look like UTF-8 read as Latin-1 (such as Ã©)"),
    "control-characters": (_CONTROL, "hold control characters or lone surrogates"),
    "invisible-characters": (_INVISIBLE, "hold invisible characters (zero-width, soft hyphens, direction marks)"),
    "html-remains": (_HTML, "hold HTML tags or entities"),
}
# Whatever none of them could match is passed over at once: most texts are plain.
_SUSPECT = re.compile("[<&]|[^\t\n\r -~\u00a0-\u00c1\u00c4-\u00e1\u00e3-\u1fff\u2010-\u2027\u3000-\ud7ff]")


def normalized(text: str) -> str:
    """Text as compared for equality: compatibility forms folded, case and white space levelled."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def content_words(text: str) -> set[str]:
    """The words of a normalized text without `STOP_WORDS`: what near-duplicates are told by."""
    if len(text) > LONG_TEXT:
        # What stands between blanks is looked at once, however often it stands there: 50 MB hold 25 million words.
        text = " ".join(set(text.split()))
    return set(re.findall(r"\w+", text)) - STOP_WORDS


def check_texts(
    where: str, kind: str, ids: Sequence[str], texts: Sequence[str], progress: Progress = no_progress
) -> Iterator[Finding]:
    """What is wrong with texts by themselves, from one pass over them.

    Args:
        where: the corpus or query set.
        kind: "documents" or "queries".
        ids: their ids.
        texts: the texts in the same order.
        progress: told how many texts are read.

    Yields:
        Findings in no order of severity.
    """
    n = len(ids)
    empty: list[int] = []
    prints = np.empty(n, dtype=np.uint64)
    characters, words = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
    unfinished = np.zeros(n, dtype=bool)
    trailing: list[int] = []
    leftovers: dict[str, list[int]] = {code: [] for code in _LEFTOVERS}
    for row, text in enumerate(texts):
        if row and row % BLOCK_TEXTS == 0:
            progress(f"look at {where}", row, n)
        plain = normalized(text)
        if not plain:
            empty.append(row)
        prints[row] = text_print(plain)
        characters[row], words[row] = len(text), plain.count(" ") + bool(plain)
        unfinished[row] = plain[-1:].isalnum() or plain[-1:] in (",", "-", "(")
        if plain.endswith(("...", "…")):
            trailing.append(row)
        if _SUSPECT.search(text):
            for code, (pattern, _) in _LEFTOVERS.items():
                if pattern.search(text):
                    leftovers[code].append(row)
    if n >= BLOCK_TEXTS:
        progress(f"look at {where}", n, n)
    yield from _empty(where, kind, ids, empty)
    yield from _copies(where, kind, ids, texts, prints)
    yield from _cut(where, kind, ids, characters, unfinished, "characters")
    if kind == "documents":
        yield from _cut(where, kind, ids, words, unfinished, "words")
        yield from _long(where, words)
    if len(trailing) >= max(PILED_UP, TEASERS * n):
        message = f"{len(trailing)} {kind} of {n} end in an ellipsis (first: {ids[trailing[0]]}): teasers, not texts?"
        yield Finding("warning", "ellipsis", where, message, len(trailing))
    for code, rows in leftovers.items():
        if rows:
            severity = "warning" if len(rows) >= NOTEWORTHY * n else "info"
            message = f"{len(rows)} {kind} of {n} {_LEFTOVERS[code][1]} (first: {ids[rows[0]]}). Clean the source."
            yield Finding(severity, code, where, message, len(rows))


def text_print(text: str) -> int:
    """64 bits that tell one text from another."""
    data = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


def _empty(where: str, kind: str, ids: Sequence[str], rows: list[int]) -> Iterator[Finding]:
    if rows and kind == "documents":
        message = f"{len(rows)} documents of {len(ids)} have no text (first: {ids[rows[0]]}); nothing finds them."
        yield Finding("warning", "empty-documents", where, message, len(rows))
    elif rows:
        yield Finding(
            "error", "empty-queries", where, f"{len(rows)} queries have no text (first: {ids[rows[0]]}).", len(rows)
        )


def _copies(
    where: str, kind: str, ids: Sequence[str], texts: Sequence[str], prints: NDArray[np.uint64]
) -> Iterator[Finding]:
    """Texts that repeat an earlier one; found by 64-bit prints, settled by the texts themselves."""
    order = np.argsort(prints, kind="stable")
    same = np.flatnonzero(prints[order[1:]] == prints[order[:-1]]) + 1
    copies = []
    for place in same.tolist():
        row, earlier = int(order[place]), int(order[place - 1])
        text = normalized(texts[row])
        if text and text == normalized(texts[earlier]):
            copies.append((row, earlier))
    if not copies:
        return
    row, earlier = min(copies)
    if kind == "documents":
        message = (
            f"{len(copies)} documents repeat another's text (first: {ids[row]} is {ids[earlier]}); "
            "they tie, and a judgement on one is missing on the other."
        )
    else:
        message = f"{len(copies)} queries repeat another's text (first: {ids[row]}); they count twice."
    code = "duplicate-documents" if kind == "documents" else "duplicate-queries"
    yield Finding("warning", code, where, message, len(copies))


def _cut(
    where: str, kind: str, ids: Sequence[str], lengths: NDArray[np.int64], unfinished: NDArray[np.bool_], unit: str
) -> Iterator[Finding]:
    """Texts that pile up at the greatest length: twice as many as within a tenth below it. Lengths tail off."""
    longest = int(lengths.max(initial=0))
    if longest < 20:
        return
    at_most = lengths == longest
    below = int(((lengths < longest) & (lengths >= 0.9 * longest)).sum())
    n_cut, n_open = int(at_most.sum()), int((at_most & unfinished).sum())
    if n_cut >= PILED_UP and n_cut >= 2 * below and 2 * n_open > n_cut:
        first = ids[int(np.flatnonzero(at_most)[0])]
        message = (
            f"{n_cut} {kind} are exactly {longest} {unit} long, none is longer, and {n_open} of them stop in "
            f"the middle of a sentence (first: {first}): a cut-off. Import the whole texts."
        )
        yield Finding("warning", "truncated", where, message, n_cut)


def _long(where: str, words: NDArray[np.int64]) -> Iterator[Finding]:
    over = {limit: float((words * TOKENS_PER_WORD > limit).mean()) for limit in (256, 512)}
    if over[256] > 0:
        message = (
            f"{over[256]:.1%} of documents exceed 256 tokens and {over[512]:.1%} exceed 512 (words × "
            f"{TOKENS_PER_WORD}); a model with that limit never sees their ends. Split them into passages, or take a "
            "model that reads more."
        )
        yield Finding("info", "long-documents", where, message, round(over[256], 4))
