"""Digests: equal values, equal 32 hex digits, on any machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any


def digest_of(value: Any) -> str:
    """32 hex digits of the canonical JSON of `value`: equal values, equal digests, on any machine."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def digest_texts(rows: Iterable[Sequence[str]]) -> str:
    """32 hex digits of rows of strings, each length-prefixed so that no two splits look alike."""
    state = hashlib.blake2b(digest_size=16)
    for row in rows:
        parts = [len(row).to_bytes(8, "little")]
        for text in row:
            data = text.encode("utf-8", "surrogatepass")
            parts += (len(data).to_bytes(8, "little"), data)
        # One call a row: a call costs more than hashing a short text.
        state.update(b"".join(parts))
    return state.hexdigest()
