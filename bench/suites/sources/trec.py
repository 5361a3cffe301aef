"""TREC files: runs (query, Q0, document, rank, score, tag), judgements, topics and documents."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from pydantic import Field

from bench.base.errors import SuiteError, did_you_mean
from bench.base.files.judgements import read_qrels
from bench.base.files.lines import read_lines
from bench.suites.sources import Collection, Document, Part, Query, jsonl


class Options(jsonl.Fields):
    """Files of the folder (empty for their usual names), and the elements that are read."""

    documents: str = ""
    topics: str = ""
    qrels: list[str] = Field(default=[])
    topic_field: str = "title"
    text_tags: list[str] = Field(default=["text"])
    title_tags: list[str] = Field(default=["title", "headline", "ti", "ttl", "hl", "h3"])
    split: str = "test"
    encoding: str = "utf-8"


def collection(location: str, options: Options) -> Collection:
    """A folder with documents, topics and judgements; each file of judgements is a split.

    Documents are TREC SGML or JSON lines, in one file or a folder of them; topics are TREC SGML, tab-separated or
    JSON lines. The content decides.

    Raises:
        SuiteError: a missing part, or several files that could be it.
    """
    folder = Path(location)
    if not folder.is_dir():
        raise SuiteError(f"{folder} is no folder; expected one with documents, topics and qrels.")
    documents = _file(folder, "documents", options.documents, ("documents*", "docs*", "corpus*"))
    topics = _file(folder, "topics", options.topics, ("topics*", "queries*"))
    qrels = [folder / name for name in options.qrels] or [_file(folder, "qrels", "", ("qrels*",))]

    def queries(path: Path) -> Iterator[Query]:
        judged = read_qrels(path, any_id=True)
        return (query for query in read_topics(topics, options) if query.query_id in judged)

    names = [options.split] if len(qrels) == 1 else [path.stem for path in qrels]
    parts = tuple(
        Part(name, partial(queries, path), partial(jsonl.judgements, path))
        for name, path in zip(names, qrels, strict=True)
    )
    origin = {"kind": "trec", "location": location}
    return Collection(folder.resolve().name, partial(_documents, documents, options), parts, origin)


def _file(folder: Path, part: str, name: str, patterns: tuple[str, ...]) -> Path:
    if name:
        return folder / name
    paths = sorted({path for pattern in patterns for path in folder.glob(pattern)})
    if len(paths) != 1:
        names = ", ".join(path.name for path in paths) or "none"
        raise SuiteError(
            f"{folder} has {len(paths)} files that could be its {part} ({names}); expected one of "
            f"{', '.join(patterns)}. Name it: --set {part}=FILE."
        )
    return paths[0]


def _first_character(path: Path, options: Options) -> str:
    _, first = next(read_lines(path, encoding=options.encoding, prose=True), (0, ""))
    return first.lstrip()[:1]


def _documents(path: Path, options: Options) -> Iterator[Document]:
    for file in sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]:
        read = jsonl.documents if _first_character(file, options) == "{" else read_sgml_documents
        yield from read(file, options)


_DOC = re.compile(r"(<DOC(?:\s[^>]*)?>|</DOC>)", re.IGNORECASE)
_TAG = re.compile(r"<[^>]*>")


def read_sgml_documents(path: Path, options: Options) -> Iterator[Document]:
    """Documents of a TREC file: the content between <DOC> and </DOC>, with its <DOCNO>.

    A document's text is that of its text elements; without any, everything but number and title. Tags are dropped and
    character references are decoded. Options may name the elements for group and time as well.

    Raises:
        SuiteError: with file and line: no <DOCNO>, a document that is not closed, or a file without any.
    """
    body: list[str] | None = None
    start = 0
    for number, line in read_lines(path, encoding=options.encoding, prose=True):
        # A line may close one document and open the next.
        for piece in _DOC.split(line) if "doc" in line.casefold() else (line,):
            if not _DOC.fullmatch(piece):
                if body is not None:
                    body.append(piece)
            elif piece[1] != "/":
                if body is not None:
                    raise SuiteError(f"{path}:{number}: <DOC> inside the <DOC> of line {start}; expected </DOC> first.")
                body, start = [], number
            elif body is None:
                raise SuiteError(f"{path}:{number}: </DOC> without <DOC>.")
            else:
                yield _document("".join(body), options, f"{path}:{start}")
                body = None
    if body is not None:
        raise SuiteError(f"{path}:{start}: <DOC> is never closed; the file may be cut off.")
    if not start:
        raise SuiteError(f"{path} holds no <DOC>; expected documents as TREC SGML or JSON lines.")


def _document(body: str, options: Options, where: str) -> Document:
    doc_id = _element(body, ["docno"])
    if not doc_id:
        raise SuiteError(f"{where}: a <DOC> without <DOCNO>; expected one with the document's id.")
    title = _element(body, options.title_tags)
    text = _element(body, options.text_tags)
    if not text:
        for tag in ("docno", *options.title_tags):
            body = re.sub(_pattern(tag), " ", body)
        text = _plain(body)
    group, time = ((_element(body, [tag]) or None) if tag else None for tag in (options.group, options.time))
    return Document(doc_id, text, title, group, time)


def _pattern(tag: str) -> re.Pattern[str]:
    return re.compile(rf"<{re.escape(tag)}(?:\s[^>]*)?>(.*?)</{re.escape(tag)}>", re.IGNORECASE | re.DOTALL)


def _element(body: str, tags: list[str]) -> str:
    """Plain text of the first tag that has any, its elements joined by a space."""
    for tag in tags:
        if text := _plain(" ".join(_pattern(tag).findall(body))):
            return text
    return ""


def _plain(markup: str) -> str:
    return " ".join(html.unescape(_TAG.sub(" ", markup)).split())


_TOPIC_PART = re.compile(r"<(\w+)[^>]*>([^<]*)")
# "Number:", "Topic:", "Description:" and "Narrative:" repeat what the tag says.
_LABEL = re.compile(r"^\s*(?:number|topic|description|narrative)\s*:", re.IGNORECASE)


def read_topics(path: Path, options: Options) -> Iterator[Query]:
    """Queries of a topics file: TREC SGML (its <title>, unless options name another field), tab-separated, JSON lines.

    Raises:
        SuiteError: with file and line: a topic without number or without the field, or a line of another shape.
    """
    first = _first_character(path, options)
    if first == "{":
        yield from (jsonl.as_query(row, options) for row in jsonl.read_queries(path, any_id=True))
        return
    for place, query_id, text in _sgml_topics(path, options) if first == "<" else _tab_topics(path, options):
        if not query_id or not text:
            raise SuiteError(f"{place}: a topic without {'text' if query_id else 'number'}; expected both.")
        yield jsonl.as_query({"_id": query_id, "text": text}, options)


def _tab_topics(path: Path, options: Options) -> Iterator[tuple[str, str, str]]:
    for number, line in read_lines(path, encoding=options.encoding):
        query_id, tab, text = line.partition("\t")
        if not tab:
            raise SuiteError(
                f"{path}:{number}: no tab; expected topics as TREC SGML, JSON lines, or number, tab, text."
            )
        yield f"{path}:{number}", query_id.strip(), text.strip()


def _sgml_topics(path: Path, options: Options) -> Iterator[tuple[str, str, str]]:
    """(place, number, text of the named field) of each topic."""
    body: list[str] = []
    start = 0
    for number, line in read_lines(path, encoding=options.encoding, prose=True):
        if "<top>" in line.casefold():
            if body:
                raise SuiteError(f"{path}:{number}: <top> inside the <top> of line {start}; expected </top> first.")
            start = number
        if start:
            body.append(line)
        if "</top>" in line.casefold():
            parts = {
                tag.casefold(): " ".join(html.unescape(_LABEL.sub("", text)).split())
                for tag, text in _TOPIC_PART.findall("".join(body))
            }
            field = options.topic_field
            if not parts.get(field):
                known = [tag for tag, text in parts.items() if text and tag != "num"]
                raise SuiteError(
                    f"{path}:{start}: the topic has no <{field}>; it has {', '.join(known) or 'no text'}. Name "
                    f"another: --set topic_field=NAME.{did_you_mean(field, known)}"
                )
            yield f"{path}:{start}", parts.get("num", ""), parts[field]
            body, start = [], 0
    if body:
        raise SuiteError(f"{path}:{start}: <top> is never closed; the file may be cut off.")
