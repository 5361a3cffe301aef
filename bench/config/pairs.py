"""`[pairs]`: where training pairs come from, and which are removed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator

from bench.base.errors import did_you_mean, excerpt
from bench.base.registry import KindTable, listing
from bench.config.base import Strict


class ConsistencyConfig(Strict):
    """A pair is kept where this system, asked the query, finds the document among the best `top`.

    Pairs of other origins are not asked about: a search engine does not overrule people's word.
    """

    system: str
    top: int = Field(default=20, ge=1)
    origins: list[str] = ["llm", "title", "heading", "cloze", "crop"]

    @field_validator("origins")
    @classmethod
    def _known_origins(cls, kinds: list[str]) -> list[str]:
        known = listing("origins")
        for kind in kinds:
            if kind not in known:
                raise ValueError(f'"{excerpt(kind)}" is none of {", ".join(known)}.{did_you_mean(kind, known)}')
        return kinds


class ParaphraseConfig(Strict):
    """A text is a paraphrase where its cosine with an evaluation text, by this dense system, is as high as this."""

    system: str
    similarity: float = Field(default=0.9, gt=0, le=1)


class FiltersConfig(Strict):
    """Which pairs are removed. What evaluation holds always is, and so are pairs that are equal to another."""

    query_characters: list[int] = [1, 2_000]
    query_words: list[int] = [1, 400]
    document_characters: list[int] = [1, 1_000_000]
    document_words: list[int] = [1, 200_000]
    languages: list[str] = []
    near_duplicates: bool = False
    verbatim: int = Field(default=6, ge=0)
    overlap: float | None = Field(default=None, gt=0, le=1)
    consistency: ConsistencyConfig | None = None
    paraphrase: ParaphraseConfig | None = None
    protect: list[str] = []

    @field_validator("query_characters", "query_words", "document_characters", "document_words")
    @classmethod
    def _from_to(cls, limits: list[int]) -> list[int]:
        if len(limits) != 2 or not 0 <= limits[0] <= limits[1]:
            raise ValueError("expected the least and the most, such as [3, 200]")
        return limits

    @field_validator("languages")
    @classmethod
    def _codes(cls, codes: list[str]) -> list[str]:
        for code in codes:
            if not re.fullmatch(r"[a-z]{2}", code):
                raise ValueError('expected codes of two letters, such as ["en", "de"]')
        return codes


class PairsConfig(Strict):
    """One table of `[pairs]`: where training pairs come from, which are removed, where they go.

    Tables under `from` are checked by the file of their kind.
    """

    suite: str | None = None
    from_: list[Annotated[dict[str, Any], KindTable("origins")]] = Field(alias="from", min_length=1)
    filters: FiltersConfig = FiltersConfig()
    out: str | None = None
    seed: int = Field(default=0, ge=0)
    accept: float | None = Field(default=None, gt=0, lt=1)

    def path(self, name: str, base: Path) -> Path:
        """The pair file of the table of this name, `base` being the config's folder."""
        return base / (self.out or f"pairs/{name}.jsonl")
