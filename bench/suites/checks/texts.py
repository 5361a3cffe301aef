"""Faults of single texts: empty, repeated, cut off, wrongly decoded, longer than a model reads."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from bench.base import words
from bench.base.progress import Progress, no_progress
from bench.records import Corpus, Finding, QuerySet
from bench.suites.checks.counted import counted, noun_of
from bench.suites.text import normalized, text_hash

LEFTOVERS_SHARE = 0.01
"""Share of texts from which leftovers of a conversion are a warning; a few may be what the text is about."""

SNIPPETS_SHARE = 0.05
"""Share of texts that end in an ellipsis from which they look like search snippets; people write some."""

TOKENS_PER_WORD = 1.3
"""Word pieces per English word, roughly; enough to tell 200 words from 2,000."""

MIN_CUT = 5
"""Texts of exactly the greatest length, or with an ellipsis, below which neither looks like a cut."""

BLOCK_TEXTS = 20_000
"""Texts between two calls of a progress callback; fewer are read before anyone could follow."""

_HTML = re.compile(
    r"&(?:nbsp|amp|lt|gt|quot|apos|#x?[0-9a-f]+);"
    r"|</?(?:p|br|div|span|a|b|i|u|em|ul|ol|li|td|tr|th|table|strong|script|style|img|h[1-6])(?:\s[^<>]*)?/?>",
    re.IGNORECASE,
)
# code → (pattern, what it matches, what to do)
_LEFTOVERS = {
    "replacement-characters": (
        re.compile("\ufffd"),
        "U+FFFD, left where bytes could not be decoded",
        "Words with it match nothing. Decode the source with its own encoding.",
    ),
    "mojibake": (
        re.compile("[ÂÃ][\u0080-\u00bf€‚ƒ„…†‡ˆ‰Š‹Œ‘’“”•–—˜™š›œŸ]|â€[\u0080-\u00bf™œ\u02dc“”¦¢]"),
        "UTF-8 read as Latin-1 or Windows-1252, such as Ã©",
        "Such words match nothing. Decode the source as UTF-8.",
    ),
    "control-characters": (
        # Line breaks and tabs are text; the rest of C0 and C1, lone surrogates and noncharacters are not.
        re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]"),
        "Control characters or lone surrogates",
        "They are no text, and may split words. Strip them.",
    ),
    "invisible-characters": (
        # Joiners (U+200C, U+200D) are left out: Persian, Indic scripts and emoji need them.
        re.compile("[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]"),
        "Invisible characters (zero-width spaces, soft hyphens, direction marks)",
        "They split words that look whole. Strip them.",
    ),
    "html-remains": (
        _HTML,
        "HTML tags or entities",
        "A system searches them as words. Convert the source to text, unless the texts are about HTML.",
    ),
}
# A text without any of these characters matches none of the patterns: most texts are plain.
_SUSPECT = re.compile("[<&]|[^\t\n\r -~\u00a0-\u00c1\u00c4-\u00e1\u00e3-\u1fff\u2010-\u2027\u3000-\ud7ff]")


def check_texts(part: Corpus | QuerySet, progress: Progress = no_progress) -> Iterator[Finding]:
    """Faults of the texts of a corpus or query set, from one pass over them; findings in no order of severity.

    Args:
        part: the corpus or query set.
        progress: called with the number of texts that were read.
    """
    ids, n, kind = part.ids, len(part.ids), noun_of(part)
    hashes = np.empty(n, dtype=np.uint64)
    characters, n_words = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
    unfinished = np.zeros(n, dtype=bool)
    empty: list[str] = []
    snippets: list[str] = []
    leftovers: dict[str, list[str]] = {code: [] for code in _LEFTOVERS}
    for row, text in enumerate(part.texts):
        if row and row % BLOCK_TEXTS == 0:
            progress(f"check {part.name}", row, n)
        plain = normalized(text)
        if not plain:
            empty.append(ids[row])
        hashes[row] = int.from_bytes(text_hash(plain))
        characters[row], n_words[row] = len(text), plain.count(" ") + bool(plain)
        unfinished[row] = plain[-1:].isalnum() or plain[-1:] in (",", "-", "(")
        if plain.endswith(("...", "…")):
            snippets.append(ids[row])
        if _SUSPECT.search(text):
            for code, (pattern, *_) in _LEFTOVERS.items():
                if pattern.search(text):
                    leftovers[code].append(ids[row])
    if n >= BLOCK_TEXTS:
        progress(f"check {part.name}", n, n)
    severity, why = ("warning", "No query can find them.") if kind == "documents" else ("error", "They ask nothing.")
    what = f"{kind.capitalize()} without text"
    yield from counted(severity, f"empty-{kind}", part, what, empty, f"{why} Drop them, or mend the export.")
    yield from _copies(part, hashes)
    yield from _cut_off(part, characters, unfinished, "characters")
    if kind == "documents":
        yield from _cut_off(part, n_words, unfinished, "words")
        over = {limit: float((n_words * TOKENS_PER_WORD > limit).mean()) for limit in (256, 512)}
        if over[256] > 0:
            message = (
                f"Documents over 256 tokens: {words.percent(over[256], 1)}; over 512: {words.percent(over[512], 1)} "
                f"(words × {TOKENS_PER_WORD}). Models with these limits ignore the ends. Split such documents, or "
                "choose a model that reads more."
            )
            yield Finding("info", "long-documents", part.name, message, round(over[256], 4))
    if len(snippets) >= max(MIN_CUT, SNIPPETS_SHARE * n):
        what, advice = f"{kind.capitalize()} ending in an ellipsis", "They look like snippets. Import whole texts."
        yield from counted("warning", "ellipsis", part, what, snippets, advice)
    for code, having in leftovers.items():
        yield from counted(LEFTOVERS_SHARE, code, part, _LEFTOVERS[code][1], having, _LEFTOVERS[code][2])


def _copies(part: Corpus | QuerySet, hashes: NDArray[np.uint64]) -> Iterator[Finding]:
    """Texts equal to an earlier one; equal hashes propose them, the texts themselves decide."""
    order = np.argsort(hashes, kind="stable")
    pairs = []
    for place in np.flatnonzero(hashes[order[1:]] == hashes[order[:-1]]).tolist():
        earlier, row = int(order[place]), int(order[place + 1])
        text = normalized(part.texts[row])
        if text and text == normalized(part.texts[earlier]):
            pairs.append((row, earlier))
    kind = noun_of(part)
    advice = "They count twice in every mean. Keep one."
    if kind == "documents":
        advice = "They tie, and a judgement on one is missing on the other. Drop the copies, or judge them alike."
    copies = [f"{part.ids[row]}, equal to {part.ids[earlier]}" for row, earlier in sorted(pairs)]
    what = f"{kind.capitalize()} that repeat another's text"
    yield from counted("warning", f"duplicate-{kind}", part, what, copies, advice)


def _cut_off(
    part: Corpus | QuerySet, lengths: NDArray[np.int64], unfinished: NDArray[np.bool_], unit: str
) -> Iterator[Finding]:
    """Texts that pile up at the greatest length: twice as many as within a tenth below it. Lengths tail off."""
    longest = int(lengths.max(initial=0))
    cut = np.flatnonzero(lengths == longest)
    n_below = int((lengths >= 0.9 * longest).sum()) - len(cut)
    n_open = int(unfinished[cut].sum())
    if longest >= 20 and len(cut) >= max(MIN_CUT, 2 * n_below) and 2 * n_open > len(cut):
        message = (
            f"Cut-off texts: {words.integer(len(cut))} {noun_of(part)} have the greatest length, "
            f"{words.integer(longest)} {unit}, and {words.integer(n_open)} of them stop in mid-sentence (first: "
            f"{part.ids[int(cut[0])]}). Nothing finds the missing text. Import whole texts."
        )
        yield Finding("warning", "truncated", part.name, message, len(cut))
