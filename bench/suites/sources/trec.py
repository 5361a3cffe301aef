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

# --- topics and documents --------------------------------------------------------------------------


class Options(jsonl.Fields):
    """Files of the folder (found by their usual names where not said), and which of their elements are read."""

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
    JSON lines, told by content.

    Raises:
        SuiteError: a part that is not there, or that several files could be.
    """
    folder = Path(location)
    if not folder.is_dir():
        raise SuiteError(f"{folder} is no folder; expected one with documents, topics and qrels.")
    documents = _named(folder, "documents", options.documents, ("documents*", "docs*", "corpus*"))
    topics = _named(folder, "topics", options.topics, ("topics*", "queries*"))
    qrels = [folder / name for name in options.qrels] or [_named(folder, "qrels", "", ("qrels*",))]

    def queries(judged_in: Path) -> Iterator[Query]:
        judged = read_qrels(judged_in, any_id=True)
        return (query for query in read_topics(topics, options) if query.query_id in judged)

    parts = tuple(
        Part(options.split if len(qrels) == 1 else path.stem, partial(queries, path), partial(jsonl.judgements, path))
        for path in qrels
    )
    return Collection(
        folder.resolve().name,
        partial(_documents, documents, options),
        parts,
        {"kind": "trec", "location": location},
    )


def _named(folder: Path, part: str, given: str, patterns: tuple[str, ...]) -> Path:
    if given:
        return folder / given
    found = sorted({path for pattern in patterns for path in folder.glob(pattern)})
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise SuiteError(
            f"{folder} has {len(found)} files that could be its {part} ({names}); expected one of "
            f"{', '.join(patterns)}. Name it: --set {part}=FILE."
        )
    return found[0]


def _documents(place: Path, options: Options) -> Iterator[Document]:
    paths = sorted(path for path in place.rglob("*") if path.is_file()) if place.is_dir() else [place]
    for path in paths:
        _, first = next(read_lines(path, encoding=options.encoding, prose=True), (0, ""))
        if first.lstrip().startswith("{"):
            for row in jsonl.read_documents(path, any_id=True):
                yield jsonl.as_document(row, options)
        else:
            yield from read_sgml_documents(path, options)


_DOC = re.compile(r"(<DOC(?:\s[^>]*)?>|</DOC>)", re.IGNORECASE)
_TAG = re.compile(r"<[^>]*>")


def read_sgml_documents(path: Path, options: Options) -> Iterator[Document]:
    """Documents of a TREC file: what stands between <DOC> and </DOC>, with its <DOCNO>.

    A document's text is that of its text elements; where it has none, everything but number and title. Tags are
    dropped and character references read. Options may name the elements for group and time as well.

    Raises:
        SuiteError: with file and line: no <DOCNO>, a document that is not closed, or a file without any.
    """
    inside: list[str] | None = None
    began = 0
    for number, line in read_lines(path, encoding=options.encoding, prose=True):
        # A line may close one document and open the next.
        for piece in _DOC.split(line) if "doc" in line.casefold() else (line,):
            if not _DOC.fullmatch(piece):
                if inside is not None:
                    inside.append(piece)
            elif piece[1] != "/":
                if inside is not None:
                    raise SuiteError(f"{path}:{number}: <DOC> inside the <DOC> of line {began}; expected </DOC> first.")
                inside, began = [], number
            elif inside is None:
                raise SuiteError(f"{path}:{number}: </DOC> without <DOC>.")
            else:
                yield _document("".join(inside), options, f"{path}:{began}")
                inside = None
    if inside is not None:
        raise SuiteError(f"{path}:{began}: <DOC> is never closed; the file may be cut off.")
    if not began:
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
    return Document(
        doc_id,
        text,
        title,
        group=(_element(body, [options.group]) or None) if options.group else None,
        time=(_element(body, [options.time]) or None) if options.time else None,
    )


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
    _, first = next(read_lines(path, encoding=options.encoding, prose=True), (0, ""))
    if first.lstrip().startswith("{"):
        for row in jsonl.read_queries(path, any_id=True):
            yield jsonl.as_query(row, options)
        return
    sgml = first.lstrip().startswith("<")
    for where, query_id, text in _sgml_topics(path, options) if sgml else _tab_topics(path, options):
        if not query_id or not text:
            raise SuiteError(f"{where}: a topic without {'text' if query_id else 'number'}; expected both.")
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
    body: list[str] = []
    began = 0
    for number, line in read_lines(path, encoding=options.encoding, prose=True):
        if "<top>" in line.casefold():
            if body:
                raise SuiteError(f"{path}:{number}: <top> inside the <top> of line {began}; expected </top> first.")
            began = number
        if began:
            body.append(line)
        if "</top>" in line.casefold():
            yield _topic("".join(body), options.topic_field, f"{path}:{began}")
            body, began = [], 0
    if body:
        raise SuiteError(f"{path}:{began}: <top> is never closed; the file may be cut off.")


def _topic(body: str, field: str, where: str) -> tuple[str, str, str]:
    found = {
        tag.casefold(): " ".join(html.unescape(_LABEL.sub("", text)).split()) for tag, text in _TOPIC_PART.findall(body)
    }
    if not found.get(field):
        have = [tag for tag, text in found.items() if text and tag != "num"]
        raise SuiteError(
            f"{where}: the topic has no <{field}>; it has {', '.join(have) or 'no text'}. Name another: "
            f"--set topic_field=NAME.{did_you_mean(field, have)}"
        )
    return where, found.get("num", ""), found[field]
