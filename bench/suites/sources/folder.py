"""A folder of text and Markdown files, cut into passages; queries and judgements are in files of their own.

The chunker `headings` (version 1) cuts a Markdown file at its headings, and each section into runs of whole paragraphs
of at most so many words, without overlap; a longer paragraph is cut between words. A text file is one section. A
passage's id is the file's path, `#` and the headings above it, then `:2`, `:3` … within its section: editing one
section leaves the ids of all others as they are.
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
from bench.suites.sources import Collection, Document, Part, judgements_of
from bench.suites.sources.jsonl import Fields, as_query, read_queries

CHUNKER = "headings 1"
"""Name and version; the version rises when the same file would be cut in another way."""

SUFFIXES = (".md", ".markdown", ".txt")

WORD = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]|[^\s\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]+")
"""A word: text between white space; in scripts without spaces, each character."""
_HEADING = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_RULE = re.compile(r" {0,3}([-*_])(?:[ \t]*\1){2,}[ \t]*$")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")


class Options(Strict):
    """How files are cut, and the files of queries and judgements."""

    queries: str = ""  # JSON lines with _id and text
    qrels: str = ""  # their judgements on passages
    split: str = "test"  # the split that the queries become
    chunker: Literal["headings"] = "headings"
    words: int = Field(default=200, ge=10, strict=False)  # the most words of a passage
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
    part = Part(
        options.split,
        lambda: (as_query(row, Fields()) for row in read_queries(Path(options.queries))),
        lambda: judgements_of(read_qrels(Path(options.qrels))),
    )
    return replace(passages(location, options), parts=(part,))


def passages(location: str, options: Options) -> Collection:
    """The folder's passages, in the order of paths, and no queries.

    A passage's title is its headings, its group the file's path. Hidden files and folders are skipped, and links to
    folders are not followed.

    Raises:
        SuiteError: no such folder, or no text or Markdown file in it.
    """
    folder = Path(location)
    if not folder.is_dir():
        raise SuiteError(f"{folder} is no folder; expected one with {', '.join(SUFFIXES)} files.")
    paths = {path.relative_to(folder): path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES}
    hidden = [path for path in paths if any(part.startswith(".") for part in path.parts)]
    files = sorted(path.as_posix() for path in paths.keys() - hidden if paths[path].is_file())
    if not files:
        beir = (folder / "corpus.jsonl").is_file()
        hint = f" It looks like a BEIR folder: bench import beir {folder} --out suites/{folder.name}" if beir else ""
        raise SuiteError(f"{folder} holds no file whose name ends in {', '.join(SUFFIXES)}.{hint}")

    def documents() -> Iterator[Document]:
        for file in files:
            yield from _cut(folder / file, file, options.words)

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
    # An id may hold no white space; its replacement must not stand for anything else.
    name = "".join(quote(c) if c.isspace() or c == "%" or not c.isprintable() else c for c in path)
    n_sections: Counter[str] = Counter()
    for headings, paragraphs in sections(_lines(file), markdown=file.suffix.lower() != ".txt"):
        # Letters and digits of any script in lower case, joined by hyphens.
        slugs = ["-".join(re.findall(r"\w+", heading.casefold())) or "-" for heading in headings]
        doc_id = f"{name}#{'/'.join(slugs)}" if slugs else name
        n_sections[doc_id] += 1
        if n_sections[doc_id] > 1:
            doc_id += f"~{n_sections[doc_id]}"
        title = " > ".join(headings) or file.stem
        for number, text in enumerate(packed(paragraphs, words), 1):
            yield Document(doc_id if number == 1 else f"{doc_id}:{number}", text, title, group=path)


def _lines(file: Path) -> Iterator[str]:
    """Every line without its end, blank lines too."""
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

    def end_paragraph() -> None:
        if text := "\n".join(current).strip("\n"):
            paragraphs.append(text)
        current.clear()

    for line in _without_front_matter(lines) if markdown else lines:
        if fence:
            current.append(line)
            if line.strip().startswith(fence) and not line.strip().strip(fence[0]):
                fence = ""
            continue
        if markdown and (opening := _FENCE.match(line)):
            fence = opening[1]
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
        elif line.strip() and not (markdown and _RULE.match(line)):
            current.append(line)
            continue
        else:
            end_paragraph()
            continue
        end_paragraph()
        if paragraphs:
            yield [above[key] for key in sorted(above)], paragraphs
        paragraphs = []
        above = {key: value for key, value in above.items() if key < level}
        if text:
            above[level] = text
    end_paragraph()
    if paragraphs:
        yield [above[key] for key in sorted(above)], paragraphs


def _without_front_matter(lines: Iterator[str]) -> Iterator[str]:
    """The lines after the settings that some programs keep between two dashed lines at a file's beginning."""
    settings: list[str] = []
    for line in lines:
        if not settings and line.rstrip() != "---":
            yield line
            break
        settings.append(line)
        if len(settings) > 1 and line.rstrip() in ("---", "..."):
            settings.clear()
            break
    # Without a second dashed line the first is a rule, and all of it is text.
    yield from settings
    yield from lines


def packed(paragraphs: list[str], words: int) -> Iterator[str]:
    """Runs of whole paragraphs of at most `words` words; a longer paragraph in pieces of its own."""
    run: list[str] = []
    n_words = 0
    for paragraph in paragraphs:
        starts = [match.start() for match in WORD.finditer(paragraph)]
        if run and n_words + len(starts) > words:
            yield "\n\n".join(run)
            run, n_words = [], 0
        while len(starts) > words:
            cut = starts[words]
            yield paragraph[:cut].strip()
            paragraph, starts = paragraph[cut:], [start - cut for start in starts[words:]]
        run.append(paragraph)
        n_words += len(starts)
    if run:
        yield "\n\n".join(run)
