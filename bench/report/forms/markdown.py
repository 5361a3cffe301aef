"""Blocks as GitHub's Markdown, for job summaries and comments; no text of a corpus becomes syntax."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from bench.base import words
from bench.report import blocks as kinds
from bench.report.text import Text, visible

MOST_QUERIES = 20
"""Lost queries, and as many gained ones."""

MOST_ROWS = 60
MOST_DOCUMENTS = 3
"""Relevant documents of a query whose ranks are listed."""

TEXT_LIMIT = 500

# Characters that begin syntax of Markdown, HTML or a workflow command. GitHub's parser reads an entity as text, never
# as syntax. A colon means something in "::error::", "https://" and ":tada:", not before a space; "-", "+", "=" and
# "1." mean something at the start of a line.
_LIVE = re.compile(r"[!\"#$&*<>\[\\\]^_`{|}~]|:(?![ ]|$)|^[-+=](?=[ =-]|$)")
_NUMBERED = re.compile(r"^(\d{1,9})([.)])(?= |$)")
# GitHub looks for mentions and e-mail addresses again after it has read entities; only a word joiner separates those.
_MENTION = re.compile(r"(?<!\w)@|@(?=[\w.-]*\.)")
_WEB = re.compile(r"(?i)\bwww\.")


def inert(text: object, limit: int = TEXT_LIMIT) -> str:
    """Text that Markdown shows literally: one line, no syntax, no link, no mention, shortened."""
    cleaned = _LIVE.sub(lambda match: f"&#{ord(match[0])};", visible(text, limit))
    cleaned = _NUMBERED.sub(lambda match: f"{match[1]}&#{ord(match[2])};", cleaned)
    cleaned = _MENTION.sub("&#64;&#8288;", cleaned)
    return _WEB.sub(lambda match: match[0][:3] + "&#46;", cleaned)


def markdown(blocks: Sequence[kinds.Block]) -> str:
    """The blocks with an empty line between them.

    Raises:
        TypeError: something is no block of `bench.report.blocks`.
    """
    return "\n\n".join(text for text in map(_written, blocks) if text) + "\n"


def _written(block: kinds.Block) -> str:
    match block:
        case kinds.Heading():
            return f"{'#' * block.level} {_text(block.text)}"
        case kinds.Prose():
            return f"<sub>{_text(block.parts)}</sub>" if block.style == "note" else _text(block.parts)
        case kinds.Bullets():
            return "\n".join(f"- {_text(item)}" for item in block.items)
        case kinds.Banner():
            title = f"### {inert(block.label)}: {_text(block.title)}"
            return f"{title}\n\n{_text(block.sentence)}" if block.sentence else title
        case kinds.Code():
            # No fence: a line of backticks would close it.
            return "<pre>" + "<br>".join(map(inert, block.lines)) + "</pre>"
        case kinds.Folded():
            return _details(inert(block.summary), markdown(block.blocks).strip())
        case kinds.Table():
            return _table(block)
        case kinds.Figure():  # a chart has no place here, its numbers do
            return _table(block.table) if block.table else ""
        case kinds.QueryList():
            return _queries(block)
        case kinds.Explorer():
            return _queries(block.changes) if block.changes else ""
    raise TypeError(f"A section returned {type(block).__name__}; expected a block of bench.report.blocks.")


def _details(summary: str, inner: str) -> str:
    return f"<details><summary>{summary}</summary>\n\n{inner}\n\n</details>" if inner else ""


def _text(parts: Text) -> str:
    tags = {"strong": "strong", "name": "code"}
    return "".join(
        inert(part) if isinstance(part, str) else f"<{(tag := tags.get(part.kind, 'span'))}>{inert(part.text)}</{tag}>"
        for part in parts
    )


def _table(block: kinds.Table) -> str:
    def line(cells: Iterable[str]) -> str:
        return f"| {' | '.join(cells)} |"

    columns = [(place, column) for place, column in enumerate(block.columns) if not column.minor]
    lines = [line(inert(column.title) for _, column in columns)]
    lines.append(line("---:" if column.numeric else "---" for _, column in columns))
    lines += [line(_datum(row[place]) for place, _ in columns) for row in block.rows[:MOST_ROWS]]
    if len(block.rows) > MOST_ROWS:
        lines += ["", f"{words.count(len(block.rows) - MOST_ROWS, 'more row')} not shown."]
    if block.note:
        lines += ["", f"<sub>{inert(block.note, 1000)}</sub>"]
    return "\n".join(lines)


def _datum(datum: kinds.Datum) -> str:
    text = inert(datum.text, 200)
    text = {"name": f"<code>{text}</code>", "outcome": f"<strong>{text}</strong>"}.get(datum.kind, text)
    text = f"<ins>{text}</ins>" if "best" in datum.tone.split() else text
    return f"{text} {inert(datum.note, 100)}" if datum.note else text


def _queries(block: kinds.QueryList) -> str:
    lists = []
    for group in block.groups:
        for label, lost, total in (("lost", True, group.n_lost), ("gained", False, group.n_gained)):
            entries = [entry for entry in group.entries if entry.lost is lost][:MOST_QUERIES]
            largest = f" (the largest {len(entries)})" if len(entries) < total else ""
            items = "\n".join(f"- {_query(entry)}" for entry in entries)
            lists.append(_details(f"{words.count(total, 'query')} {label}{largest}", items))
    return "\n\n".join(filter(None, lists))


def _query(entry: kinds.QueryEntry) -> str:
    """A query with its values, and the ranks of its relevant documents that moved."""
    moves = ", ".join(
        f"{inert(measure, 40)} {words.number(before)} → {words.number(after)}"
        for measure, before, after in entry.changes
    )
    documents = [doc for doc in entry.relevant if doc.before != doc.after][:MOST_DOCUMENTS]
    ranks = ", ".join(
        f"<code>{inert(doc.doc_id, 40)}</code> {doc.before or 'below 10'} → {doc.after or 'below 10'}"
        for doc in documents
        if entry.before or entry.after
    )
    name = f"<code>{inert(entry.query_id, 60)}</code> on <code>{inert(entry.query_set, 40)}</code>"
    text = f" {inert(entry.text, 160)}" if entry.text else ""
    return f"{name}{' (pinned)' if entry.pinned else ''}:{text} ({moves}){f'; rank of {ranks}' if ranks else ''}"
