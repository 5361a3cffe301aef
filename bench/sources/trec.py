"""TREC files: runs (query, Q0, document, rank, score, tag), judgements, topics and documents."""

from __future__ import annotations

import html
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import count, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bench.errors import RunError, SuiteError, did_you_mean, excerpt
from bench.records import Run, digest_texts
from bench.sources import Collection, Document, Part, Query, jsonl
from bench.sources.jsonl import read_lines, read_qrels

__all__ = [
    "Options",
    "collection",
    "read_qrels",
    "read_run",
    "read_sgml_documents",
    "read_topics",
    "write_run",
]

BLOCK_LINES = 256
"""Lines held as text at a time: so few stay in the processor's cache, and a block of thousands takes twice as long."""

LARGEST_SCORE = 3.4e38
"""Just under what float32 can hold."""


def _bad(path: Path, number: int, problem: str) -> RunError:
    return RunError(f"{path}:{number}: {problem}")


def read_run(path: Path, *, name: str | None = None, depth: int | None = None) -> Run:
    """A run from a TREC file, gzip told by content. The rank column is ignored, as trec_eval does.

    Args:
        path: the file.
        name: the system's name; the file's own tag where None.
        depth: documents kept per query after sorting by the tie rule; all where None.

    Returns:
        A run whose queries stand in the order in which the file first names them.

    Raises:
        RunError: with file and line: fewer than six fields, a score that is no finite number, a document twice
            under one query, an id with white space as far as it shows, an empty or missing file.
    """
    # Numbers in order of first appearance; columns are kept as arrays, because a dictionary per query costs seconds.
    row_of: defaultdict[str, int] = defaultdict(count().__next__)
    number_of: defaultdict[str, int] = defaultdict(count().__next__)
    parts: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]] = []
    tag = ""
    try:
        lines = read_lines(path)
        while block := list(islice(lines, BLOCK_LINES)):
            fields = [line.split() for _, line in block]
            lengths = set(map(len, fields))
            try:
                query_column, _, doc_column, _, score_column, *_ = zip(*fields, strict=False)
                part = (
                    np.fromiter(map(row_of.__getitem__, query_column), np.int64, len(fields)),
                    np.fromiter(map(number_of.__getitem__, doc_column), np.int64, len(fields)),
                    np.fromiter(map(float, score_column), np.float64, len(fields)),
                )
                joined = "".join(score_column)
                doubtful = (
                    lengths != {6}
                    or not (np.abs(part[2]) <= LARGEST_SCORE).all()
                    or "_" in joined
                    or not joined.isascii()
                )
            except ValueError:
                doubtful = True
            if doubtful:
                for number, line in block:
                    _check(path, number, line.split())
            parts.append(part)
            tag = tag or fields[0][5]
    except SuiteError as error:
        raise RunError(str(error)) from error
    if not parts:
        raise RunError(f"{path} holds no ranking; expected lines of query, Q0, document, rank, score, tag.")

    rows, numbers, values = (np.concatenate(column) for column in zip(*parts, strict=True))
    query_ids, doc_ids = list(row_of), list(number_of)
    # A query's lines need not stand together: sorted by row, each line's column is its place among its query's.
    order = np.argsort(rows, kind="stable")
    rows, numbers, values = rows[order], numbers[order], values[order]
    sizes = np.bincount(rows)
    columns = np.arange(len(rows)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    width = int(sizes.max())
    docs = np.full((len(query_ids), width), -1, dtype=np.int64)
    scores = np.zeros((len(query_ids), width), dtype=np.float32)
    docs[rows, columns] = numbers
    scores[rows, columns] = values
    ordered = np.sort(docs, axis=1)
    if ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any():
        raise _twice(path)
    return Run.build(
        system=name or tag,
        system_digest="",
        query_set=path.stem,
        query_set_digest=digest_texts([query_ids]),
        corpus_digest="",
        query_ids=query_ids,
        doc_ids=doc_ids,
        docs=docs,
        scores=scores,
        depth=depth or width,
    )


def _check(path: Path, number: int, fields: list[str]) -> None:
    """Pass if a line's fields are a ranked document; the slow way, which says what is wrong."""
    if len(fields) < 6:
        raise _bad(path, number, f"{len(fields)} fields; expected query, Q0, document, rank, score, tag.")
    # A tag may hold spaces. An id may not: its second word would be taken for the rank, and the rank for the score.
    if len(fields) > 6 and not _is_number(fields[3]) and _is_number(fields[4]) and _is_number(fields[5]):
        raise _bad(
            path,
            number,
            f'{len(fields)} fields, of which the rank is "{fields[3][:40]}" and the tag {fields[5][:40]}; expected '
            "query, Q0, document, rank, score, tag. An id with white space? Write it without, and in the judgements.",
        )
    if not _is_number(fields[4]):
        raise _bad(path, number, f'score is "{fields[4][:40]}"; expected a number.')
    score = float(fields[4])
    if not math.isfinite(score):
        raise _bad(path, number, f"score is {fields[4]}; expected a finite number.")
    if abs(score) > LARGEST_SCORE:
        raise _bad(path, number, f"score is {fields[4]}; too large for float32.")


def _is_number(text: str) -> bool:
    # `float` also reads "1_0" and the digits of other scripts, which no other engine does.
    if "_" in text or not text.isascii():
        return False
    try:
        float(text)
    except ValueError:
        return False
    return True


def _twice(path: Path) -> RunError:
    """The error for the first document that stands twice under one query."""
    seen: set[tuple[str, str]] = set()
    for number, line in read_lines(path):
        query_id, _, doc_id = line.split()[:3]
        if (query_id, doc_id) in seen:
            return _bad(path, number, f'document "{excerpt(doc_id)}" stands already under query "{excerpt(query_id)}".')
        seen.add((query_id, doc_id))
    return RunError(f"{path} changed while it was read; run this again.")


def write_run(run: Run) -> Iterable[str]:
    """Lines of a TREC file, best first. Scores are written so that float32 reads back equal."""
    tag = "".join(c if c.isprintable() and not c.isspace() else "_" for c in run.system) or "run"
    for row, query_id in enumerate(run.query_ids):
        for rank, (doc, score) in enumerate(zip(run.docs[row], run.scores[row], strict=True), 1):
            if doc >= 0:
                yield f"{query_id} Q0 {run.doc_ids[doc]} {rank} {float(score):.9g} {tag}\n"


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
