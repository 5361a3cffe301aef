"""The language of a text: by script, and among Latin scripts by its words of grammar.

It recognises the languages below; a text without enough of such words has no language here, and no rule counts that
against it. It does not distinguish languages that share another script (Bulgarian counts as Russian, Persian as
Arabic), nor the parts of a text in two languages.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

ENOUGH = 3
"""Fewest words of grammar that show a language; titles and keywords have fewer."""

_WORDS = {
    # With short words that other languages share ("a", "do", "i", "no"): without them, English questions were Polish.
    "en": "the of and to in is that it for was with as on be are this have from or by not but what you were which "
    "a i do how can my if at an there no me will so has when",
    "de": "der die das und ist nicht mit ein eine den von zu auf für im dem des sich auch werden wird sind bei wie",
    "fr": "le la les des et est une un dans que qui pour pas sur du au avec ce sont par plus vous ne se être cette",
    "es": "el la los las de y que en un una es por con para del se no al como más lo su sus está son este",
    "it": "il la le di e che è un una per con non del della si da in sono al come i gli nel più questo alla anche",
    "pt": "o a os as de e que em um uma é para com não do da no na por se mais como dos das ao são",
    "nl": "de het een en van is dat niet in op te met voor zijn er aan ook als bij door naar om of uit worden",
    "sv": "och att det som en på är av för med den till inte om ett har de vi kan ska eller från var",
    "pl": "i w na z się nie do to że jest jak o po od za dla przez przy są tym lub który może oraz",
    "ru": "и в не на что с по это как к из у за от для о так же но то или его при все",
}
LANGUAGES = (*_WORDS, "zh", "ja", "ko", "ar", "he", "el", "hi", "th")
"""Languages that are recognised."""

_GRAMMAR = {code: frozenset(words.split()) for code, words in _WORDS.items()}
_SCRIPTS = {
    "CJK": "zh",
    "HIRAGANA": "ja",
    "KATAKANA": "ja",
    "HANGUL": "ko",
    "ARABIC": "ar",
    "HEBREW": "he",
    "GREEK": "el",
    "DEVANAGARI": "hi",
    "THAI": "th",
    "CYRILLIC": "ru",
    "LATIN": "",
}


def language(text: str) -> str | None:
    """A code of `LANGUAGES`, from the first 4,000 characters; None where they do not show a language."""
    head = text[:4000]
    scripts = Counter(unicodedata.name(c, " ").split(" ")[0].split("-")[0] for c in head if c.isalpha())
    total = sum(scripts.values())
    if not total:
        return None
    # Kana means Japanese, however many characters are shared with Chinese.
    if scripts["HIRAGANA"] + scripts["KATAKANA"] >= 0.1 * total:
        return "ja"
    script, n = scripts.most_common(1)[0]
    if n < 0.6 * total or script not in _SCRIPTS:
        return None
    if script not in ("LATIN", "CYRILLIC"):
        return _SCRIPTS[script] if total >= ENOUGH else None
    words = Counter(re.findall(r"[^\W\d_]+", head.casefold()))
    hits = {code: sum(words[word] for word in grammar) for code, grammar in _GRAMMAR.items()}
    (best, most), (_, second) = sorted(hits.items(), key=lambda item: -item[1])[:2]
    # Neighbours share words ("de", "la", "e"): a small lead shows nothing.
    return best if most >= ENOUGH and most >= 1.25 * second else None
