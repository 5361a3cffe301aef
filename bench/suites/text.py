"""Texts as checks, splits and sources compare them: normalized, as content words, as digests."""

from __future__ import annotations

import hashlib
import re
import unicodedata

LONG_TEXT = 10_000
"""Characters from which most words of a text occur in it several times."""

# Words that carry grammar, not content: articles, pronouns, prepositions, conjunctions, auxiliaries. Negations and
# "how", "why", "when", "where" are not among them: they turn one question into another. The number of near-duplicates
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


def normalized(text: str) -> str:
    """Text as compared for equality: compatibility forms and case folded, one space between words."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def content_words(text: str) -> set[str]:
    """The words of a normalized text without `STOP_WORDS`: near-duplicates are texts that share most of these."""
    if len(text) > LONG_TEXT:
        # A repeated word is split once: 50 MB hold 25 million words.
        text = " ".join(set(text.split()))
    return set(re.findall(r"\w+", text)) - STOP_WORDS


def text_hash(text: str, n_bytes: int = 8) -> bytes:
    """`n_bytes` of a text, the same on any machine; lone surrogates have a hash too."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=n_bytes).digest()
