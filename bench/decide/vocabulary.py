"""How far the base model's tokenizer breaks the documents' words apart: a sign of a vocabulary that it hardly knows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.base.json_records import JsonRecord

SAMPLE = 1000
"""Texts that are looked at, evenly spaced: a mean over some hundred thousand words needs no more."""

EXAMPLES = 12


@dataclass(frozen=True)
class Vocabulary(JsonRecord):
    """Words of a corpus in the pieces of a tokenizer.

    Attributes:
        n_words: running words looked at; numbers and punctuation are none.
        fertility: pieces a running word; 1 where every word is whole.
        continued: share of running words in two or more pieces.
        unknown: share of running words with a piece that the tokenizer does not know at all.
        terms_split: share of different words in two or more pieces.
        examples: the most frequent words in two or more pieces.
        tokens_per_text: mean pieces of a whole text, uncut, punctuation included.

    Source: fertility and the share of continued words are those of Rust et al. 2021, "How Good is Your Tokenizer? On
    the Monolingual Performance of Multilingual Language Models" (ACL).
    """

    n_words: int
    fertility: float
    continued: float
    unknown: float
    terms_split: float
    examples: tuple[str, ...]
    tokens_per_text: float


def read_vocabulary(folder: Path, texts: Sequence[str], *, sample: int = SAMPLE) -> Vocabulary | str:
    """A corpus' words in the pieces of a model's tokenizer, or why that is not known, as the end of a sentence.

    Only the file `tokenizer.json` is read; the model is not.

    Args:
        folder: the model's.
        texts: documents or queries.
        sample: how many of them are looked at.
    """
    try:
        from tokenizers import Tokenizer
    except ImportError:
        return "the library tokenizers is not installed (it comes with the extra local)"
    path = folder / "tokenizer.json"
    if not path.is_file():
        return "the model's folder has no tokenizer.json"
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exceptions
        return f"its tokenizer.json cannot be read ({error})"
    # Left as it is, the file cuts every text where the model would.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    rows = np.unique(np.linspace(0, len(texts) - 1, min(sample, len(texts))).astype(int)).tolist() if texts else []
    chosen = [texts[row] for row in rows]
    words: Counter[tuple[str, int, bool]] = Counter()
    n_tokens = 0
    unknown_piece = _unknown_piece(path)
    for text, encoded in zip(chosen, tokenizer.encode_batch(chosen, add_special_tokens=False), strict=True):
        n_tokens += len(encoded.ids)
        _count(words, text, encoded, unknown_piece)
    return _summed(words, n_tokens, len(chosen))


def _unknown_piece(path: Path) -> str | None:
    import json

    model = json.loads(path.read_text(encoding="utf-8")).get("model", {})
    piece: str | None = model.get("unk_token")
    number, vocabulary = model.get("unk_id"), model.get("vocab")
    if piece is None and isinstance(number, int) and isinstance(vocabulary, list) and number < len(vocabulary):
        piece = vocabulary[number][0]
    return piece


def _count(words: Counter[tuple[str, int, bool]], text: str, encoded: Any, unknown_piece: str | None) -> None:
    """Add a text's words, each with its number of pieces and whether one of them is unknown."""
    # Each look at an attribute makes the whole list anew.
    offsets, tokens = encoded.offsets, encoded.tokens
    pieces: dict[int, list[int]] = {}
    for place, word in enumerate(encoded.word_ids):
        if word is not None:
            pieces.setdefault(word, []).append(place)
    for places in pieces.values():
        word = text[offsets[places[0]][0] : offsets[places[-1]][1]].strip().lower()
        if any(character.isalpha() for character in word):
            lost = unknown_piece is not None and any(tokens[place] == unknown_piece for place in places)
            words[word, len(places), lost] += 1


def _summed(words: Counter[tuple[str, int, bool]], n_tokens: int, n_texts: int) -> Vocabulary | str:
    n_words = sum(words.values())
    if not n_words:
        return "the texts hold no words"
    split = {word: n for (word, n_pieces, _), n in words.items() if n_pieces > 1}
    return Vocabulary(
        n_words=n_words,
        fertility=sum(n_pieces * n for (_, n_pieces, _), n in words.items()) / n_words,
        continued=sum(n for (_, n_pieces, _), n in words.items() if n_pieces > 1) / n_words,
        unknown=sum(n for (_, _, lost), n in words.items() if lost) / n_words,
        terms_split=len(split) / len({word for word, _, _ in words}),
        examples=tuple(sorted(split, key=lambda word: (-split[word], word))[:EXAMPLES]),
        tokens_per_text=n_tokens / n_texts,
    )
