"""Into how many pieces a model's tokenizer splits the words of the documents: many pieces, unfamiliar vocabulary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.base.json_records import JsonRecord

SAMPLE = 1000
"""Texts that are read, evenly spaced: enough for a mean over some hundred thousand words."""

EXAMPLES = 12


@dataclass(frozen=True)
class Vocabulary(JsonRecord):
    """Words of a corpus, as a tokenizer splits them.

    Attributes:
        n_words: words read, each occurrence counted; numbers and punctuation are not words.
        fertility: mean pieces per word; 1 where every word is one piece.
        continued: share of words in two or more pieces.
        unknown: share of words with a piece that is unknown to the tokenizer.
        terms_split: share of different words in two or more pieces.
        examples: the most frequent words in two or more pieces.
        tokens_per_text: mean pieces of a complete text, punctuation included.

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
    """Words of the texts, as a model's tokenizer splits them; or why that is not known, as the end of a sentence.

    Only the file `tokenizer.json` of the model is read.

    Args:
        folder: the model's.
        texts: documents or queries.
        sample: how many of them are read.
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
    # Otherwise the tokenizer truncates every text at the model's limit.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    rows = np.unique(np.linspace(0, len(texts) - 1, min(sample, len(texts))).astype(int)).tolist() if texts else []
    chosen = [texts[row] for row in rows]
    encodings = tokenizer.encode_batch(chosen, add_special_tokens=False)
    words: Counter[tuple[str, int, bool]] = Counter()
    unknown_piece = _unknown_piece(path)
    for text, encoded in zip(chosen, encodings, strict=True):
        _count(words, text, encoded, unknown_piece)
    n_words = sum(words.values())
    if not n_words:
        return "the texts contain no words"
    split = {word: n for (word, n_pieces, _), n in words.items() if n_pieces > 1}
    return Vocabulary(
        n_words=n_words,
        fertility=sum(n_pieces * n for (_, n_pieces, _), n in words.items()) / n_words,
        continued=sum(n for (_, n_pieces, _), n in words.items() if n_pieces > 1) / n_words,
        unknown=sum(n for (_, _, has_unknown), n in words.items() if has_unknown) / n_words,
        terms_split=len(split) / len({word for word, _, _ in words}),
        examples=tuple(sorted(split, key=lambda word: (-split[word], word))[:EXAMPLES]),
        tokens_per_text=sum(len(encoded.ids) for encoded in encodings) / len(chosen),
    )


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
    # Each access to an attribute builds its list again.
    offsets, tokens = encoded.offsets, encoded.tokens
    pieces: dict[int, list[int]] = {}
    for place, word in enumerate(encoded.word_ids):
        if word is not None:
            pieces.setdefault(word, []).append(place)
    for places in pieces.values():
        word = text[offsets[places[0]][0] : offsets[places[-1]][1]].strip().lower()
        if any(character.isalpha() for character in word):
            has_unknown = unknown_piece is not None and any(tokens[place] == unknown_piece for place in places)
            words[word, len(places), has_unknown] += 1
