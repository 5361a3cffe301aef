"""Headings: the headings above a section of Markdown as the query, the section as the document.

Read from a file or a folder of Markdown files, or from the suite's documents where their text has headings. Sections
are those of the suite source `folder`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from bench.base.errors import PairsError
from bench.base.files.lines import read_lines
from bench.config import Strict
from bench.suites.sources.folder import packed, sections
from bench.train.origins import Context
from bench.train.origins._shared import chosen_lines, pairs_errors
from bench.train.pairs import Pair

SUFFIXES = (".md", ".markdown")


class Config(Strict):
    """A file or folder by `path`, or corpora; the innermost headings that make the query (0: all), and how joined."""

    kind: Literal["heading"]
    path: str | None = None
    corpora: list[str] = Field(default=[])
    most: int | None = Field(default=None, ge=1, description="documents of all corpora")
    headings: int = Field(default=0, ge=0)
    joined_by: str = " "
    words: int = Field(default=200, ge=10, description="the most that a document holds; longer sections are cut")
    weight: float = Field(default=1.0, gt=0, le=1)


def pairs(config: Config, context: Context) -> Iterator[Pair]:
    """A pair for each section, or piece of one, that stands under a heading.

    Raises:
        PairsError: no such file or folder, or no Markdown file in it.
    """
    if config.path is not None:
        place = context.base / config.path
        files = [place] if place.is_file() else sorted(p for s in SUFFIXES for p in place.rglob(f"*{s}") if p.is_file())
        if not files:
            raise PairsError(f"{place} is neither a file nor a folder with files named {', '.join(SUFFIXES)}.")
        for file in files:
            name = file.name if file == place else file.relative_to(place).as_posix()
            with pairs_errors():
                for query, text, span in _sections(_lines(file), config, context):
                    provenance = {"file": name, "lines": span, "rule": "headings → section"}
                    yield Pair("", query, "", text, "", "heading", weight=config.weight, provenance=provenance)
        return
    for corpus, row in chosen_lines(context, config.corpora, config.most):
        title = [row["title"].strip()] if row["title"].strip() else []
        for query, text, span in _sections(row["text"].splitlines(), config, context, above=title):
            provenance = {"document": row["_id"], "lines": span, "rule": "headings → section"}
            yield Pair("", query, row["_id"], text, corpus, "heading", weight=config.weight, provenance=provenance)


def _lines(file: Path) -> Iterator[str]:
    last = 0
    for number, line in read_lines(file, prose=True):
        yield from [""] * (number - last - 1)
        yield line.rstrip("\r\n")
        last = number


def _sections(
    lines: Iterable[str], config: Config, context: Context, above: Iterable[str] = ()
) -> Iterator[tuple[str, str, str]]:
    """(query, text, first and last line) of each section; sections under no heading are counted."""
    read = 0

    def counted() -> Iterator[str]:
        nonlocal read
        for line in lines:
            read += 1
            yield line

    first = 1
    for headings, paragraphs in sections(counted(), markdown=True):
        span, first = f"{first}-{read}", max(1, read)
        if not headings:
            context.count("sections left out: under no heading")
            continue
        path = [*above, *headings]
        query = config.joined_by.join(path[-config.headings :] if config.headings else path)
        for text in packed(paragraphs, config.words):
            yield query, text, span
