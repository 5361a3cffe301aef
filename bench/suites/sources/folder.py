"""A folder of text and Markdown files, cut into passages; queries and judgements stand in files of their own.

The chunker `headings` (version 1): a Markdown file is cut at its headings, and each section into runs of whole
paragraphs of at most so many words, without overlap; a longer paragraph is cut between words. A text file is one
section. A passage's id is the file's path, `#` and the headings above it, then `:2`, `:3` … within its section: editing
one section leaves the ids of all others as they are.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from pydantic import Field

from bench.base.errors import SuiteError
from bench.base.files.judgements import read_qrels
from bench.base.files.lines import read_lines
from bench.config import Strict
from bench.suites.sources import Collection, Document, Judgement, Part, Query
from bench.suites.sources.jsonl import read_queries

CHUNKER = "headings 1"
"""Name and version; the version rises whenever the same file would be cut in another way."""

SUFFIXES = (".md", ".markdown", ".txt")

WORD = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]|[^\s\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]+")
"""A word: what white space separates; in scripts that do without it, each character."""
_HEADING = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_RULE = re.compile(r" {0,3}([-*_])(?:[ \t]*\1){2,}[ \t]*$")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")


class Options(Strict):
    """How files are cut, and where the queries are."""

    queries: str = Field(default="", description="JSON lines with _id and text")
    qrels: str = Field(default="", description="their judgements on passages")
    split: str = Field(default="test", description="the split that the queries become")
    chunker: Literal["headings"] = "headings"
    words: int = Field(default=200, ge=10, strict=False, description="the most that a passage holds")
    license: str = ""


def collection(location: str, options: Options) -> Collection:
    """The folder's passages, and the queries that the options name.

    Raises:
        SuiteError: as `passages`, or no queries and judgements are named.
    """
    if not options.queries or not options.qrels:
        raise SuiteError(
            f"{location} is a folder of documents; name its queries and judgements with --set queries=… --set qrels=…, "
            f"or begin a suite whose queries are yet to be written: bench init DIR --from {location}"
        )
    found = passages(location, options)

    def queries() -> Iterator[Query]:
        for row in read_queries(Path(options.queries)):
            flags = {key: row[key] for key in ("slice", "cluster", "pinned", "answerable") if row.get(key) is not None}
            yield Query(row["_id"], row["text"], **flags)

    def judgements() -> Iterator[Judgement]:
        for query_id, grades in read_qrels(Path(options.qrels)).items():
            for doc_id, grade in grades.items():
                yield query_id, doc_id, grade

    return replace(found, parts=(Part(options.split, queries, judgements),))


def passages(location: str, options: Options) -> Collection:
    """The folder's passages, in the order of paths, and no queries.

    A passage's title is its headings, its group the file's path. Hidden files and folders are passed over, and links to
    folders not followed.

    Raises:
        SuiteError: no such folder, or no text or Markdown file in it.
    """
    folder = Path(location)
    if not folder.is_dir():
        raise SuiteError(f"{folder} is no folder; expected one with {', '.join(SUFFIXES)} files.")
    files = [
        path
        for path in sorted(folder.rglob("*"), key=lambda path: path.relative_to(folder).as_posix())
        if path.suffix.lower() in SUFFIXES
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    if not files:
        beir = (folder / "corpus.jsonl").is_file()
        hint = f" It looks like a BEIR folder: bench import beir {folder} --out suites/{folder.name}" if beir else ""
        raise SuiteError(f"{folder} holds no file whose name ends in {', '.join(SUFFIXES)}.{hint}")

    def documents() -> Iterator[Document]:
        for file in files:
            yield from _cut(file, file.relative_to(folder).as_posix(), options.words)

    origin = {
        "kind": "folder",
        "location": folder.resolve().name,
        "license": options.license,
        "chunker": CHUNKER,
        "words": str(options.words),
        "overlap": "0",
        "files": str(len(files)),
    }
    return Collection(folder.resolve().name, documents, (), origin)


def _cut(file: Path, path: str, words: int) -> Iterator[Document]:
    markdown = file.suffix.lower() != ".txt"
    # An id may hold no white space; what stands for it must not stand for anything else.
    name = "".join(quote(c) if c.isspace() or c == "%" or not c.isprintable() else c for c in path)
    told: Counter[str] = Counter()
    for headings, paragraphs in sections(_lines(file), markdown=markdown):
        slug = "/".join(_slug(heading) for heading in headings)
        place = f"{name}#{slug}" if slug else name
        told[place] += 1
        if told[place] > 1:
            place += f"~{told[place]}"
        title = " > ".join(headings) or file.stem
        for number, text in enumerate(packed(paragraphs, words), 1):
            yield Document(place if number == 1 else f"{place}:{number}", text, title, group=path)


def _lines(file: Path) -> Iterator[str]:
    """Every line without its end, blank ones too."""
    last = 0
    for number, line in read_lines(file, prose=True):
        yield from [""] * (number - last - 1)
        yield line.rstrip("\r\n")
        last = number


def sections(lines: Iterator[str], *, markdown: bool) -> Iterator[tuple[list[str], list[str]]]:
    """(headings above, outermost first; paragraphs) of each section that has text."""
    above: dict[int, str] = {}
    paragraphs: list[str] = []
    current: list[str] = []
    fence = ""

    def end() -> None:
        if text := "\n".join(current).strip("\n"):
            paragraphs.append(text)
        current.clear()

    for line in _without_front_matter(lines) if markdown else lines:
        if fence:
            current.append(line)
            if line.strip().startswith(fence) and not line.strip().strip(fence[0]):
                fence = ""
            continue
        if markdown and (opened := _FENCE.match(line)):
            fence = opened[1]
            current.append(line)
            continue
        heading = _HEADING.match(line) if markdown else None
        # A line under a line makes a heading of it, unless that one is a list, a quotation or a table.
        under = _UNDERLINE.match(line) if markdown and len(current) == 1 else None
        if under and (not current[0].strip() or current[0].lstrip()[0] in "-*+>|" or _HEADING.match(current[0])):
            under = None
        if under:
            level, text = 1 if under[1][0] == "=" else 2, current.pop().strip()
        elif heading:
            level, text = len(heading[1]), (heading[2] or "").strip()
        else:
            if not line.strip() or (markdown and _RULE.match(line)):
                end()
            else:
                current.append(line)
            continue
        end()
        if paragraphs:
            yield [above[key] for key in sorted(above)], paragraphs
        paragraphs = []
        above = {key: value for key, value in above.items() if key < level}
        if text:
            above[level] = text
    end()
    if paragraphs:
        yield [above[key] for key in sorted(above)], paragraphs


def _without_front_matter(lines: Iterator[str]) -> Iterator[str]:
    """The lines after the settings that some programs keep between two dashed lines at a file's beginning."""
    held: list[str] = []
    for line in lines:
        if not held and line.rstrip() != "---":
            yield line
            break
        held.append(line)
        if len(held) > 1 and line.rstrip() in ("---", "..."):
            held.clear()
            break
    # Never closed: it was a ruled line, and all of it is text.
    yield from held
    yield from lines


def packed(paragraphs: list[str], words: int) -> Iterator[str]:
    """Whole paragraphs together, at most `words` words; a longer paragraph in pieces of its own."""
    held: list[str] = []
    count = 0
    for paragraph in paragraphs:
        starts = [match.start() for match in WORD.finditer(paragraph)]
        if held and count + len(starts) > words:
            yield "\n\n".join(held)
            held, count = [], 0
        while len(starts) > words:
            cut = starts[words]
            yield paragraph[:cut].strip()
            paragraph, starts = paragraph[cut:], [start - cut for start in starts[words:]]
        held.append(paragraph)
        count += len(starts)
    if held:
        yield "\n\n".join(held)


def _slug(heading: str) -> str:
    """A heading as part of an id: letters and digits of any script in lower case, joined by hyphens."""
    return "-".join(re.findall(r"\w+", heading.casefold())) or "-"
