"""Blocks as GitHub's Markdown: for job summaries and sticky comments, where nothing of a corpus may come alive."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from bench.base import words
from bench.report.blocks import (
    Banner,
    Block,
    Bullets,
    Code,
    Datum,
    Explorer,
    Figure,
    Folded,
    Heading,
    Prose,
    QueryEntry,
    QueryList,
    Span,
    Table,
    Text,
    visible,
)

MOST_QUERIES = 20
"""Lost, and as many gained: a job summary is glanced at."""

MOST_ROWS = 60
MOST_DOCUMENTS = 3
"""Relevant documents of a query whose ranks are told."""

TEXT_LIMIT = 500

# Whatever Markdown, HTML or a workflow command begins with. As an entity each is only itself: GitHub's parser reads
# entities as text, never as syntax. A colon lives in "::error::", "https://" and ":tada:", not before a space; "-",
# "+", "=" and "1." live at the start of a line.
_LIVE = re.compile(r"[!\"#$&*<>\[\\\]^_`{|}~]|:(?![ ]|$)|^[-+=](?=[ =-]|$)")
_NUMBERED = re.compile(r"^(\d{1,9})([.)])(?= |$)")
# GitHub looks for mentions and e-mail addresses once more after entities are read; only a word joiner parts those.
_MENTION = re.compile(r"(?<!\w)@|@(?=[\w.-]*\.)")
_WEB = re.compile(r"(?i)\bwww\.")


def inert(text: object, limit: int = TEXT_LIMIT) -> str:
    """Text that Markdown shows as it is: one line, no syntax, no link, no mention, shortened."""
    cleaned = _LIVE.sub(lambda found: f"&#{ord(found[0])};", visible(text, limit))
    cleaned = _NUMBERED.sub(lambda found: f"{found[1]}&#{ord(found[2])};", cleaned)
    cleaned = _MENTION.sub("&#64;&#8288;", cleaned)
    return _WEB.sub(lambda found: found[0][:3] + "&#46;", cleaned)


def markdown(blocks: Sequence[Block]) -> str:
    """The blocks, one after the other, with an empty line between them."""
    parts = [_WRITERS[block.kind](block) for block in blocks]
    return "\n\n".join(part for part in parts if part) + "\n"


def _text(parts: Text) -> str:
    return "".join(_span(part) for part in parts)


def _span(part: str | Span) -> str:
    if isinstance(part, str):
        return inert(part)
    tag = {"strong": "strong", "name": "code"}.get(part.kind, "span")
    return f"<{tag}>{inert(part.text)}</{tag}>"


def _heading(block: Heading) -> str:
    return f"{'#' * block.level} {_text(block.text)}"


def _prose(block: Prose) -> str:
    text = _text(block.parts)
    return f"<sub>{text}</sub>" if block.style == "note" else text


def _bullets(block: Bullets) -> str:
    return "\n".join(f"- {_text(item)}" for item in block.items)


def _banner(block: Banner) -> str:
    title = f"### {inert(block.label)}: {_text(block.title)}"
    return f"{title}\n\n{_text(block.sentence)}" if block.sentence else title


def _code(block: Code) -> str:
    # No fence: a line of backticks would close it.
    return "<pre>" + "<br>".join(inert(line) for line in block.lines) + "</pre>"


def _folded(block: Folded) -> str:
    inner = markdown(block.blocks).strip()
    return f"<details><summary>{inert(block.summary)}</summary>\n\n{inner}\n\n</details>" if inner else ""


def _table(block: Table) -> str:
    kept = [place for place, column in enumerate(block.columns) if not column.minor]
    rows = [
        "| " + " | ".join(inert(block.columns[place].title) for place in kept) + " |",
        "| " + " | ".join("---:" if block.columns[place].numeric else "---" for place in kept) + " |",
    ]
    rows += ["| " + " | ".join(_datum(row[place]) for place in kept) + " |" for row in block.rows[:MOST_ROWS]]
    if len(block.rows) > MOST_ROWS:
        rows += ["", f"{words.count(len(block.rows) - MOST_ROWS, 'more row')} not shown."]
    if block.note:
        rows += ["", f"<sub>{inert(block.note, 1000)}</sub>"]
    return "\n".join(rows)


def _datum(datum: Datum) -> str:
    text = inert(datum.text, 200)
    text = {"name": f"<code>{text}</code>", "outcome": f"<strong>{text}</strong>"}.get(datum.kind, text)
    return f"{text} {inert(datum.note, 100)}" if datum.note else text


def _figure(block: Figure) -> str:
    """A chart has no place here; its numbers do."""
    return _table(block.table) if block.table else ""


def _queries(block: QueryList) -> str:
    parts = []
    for group in block.groups:
        for label, wanted, total in (("lost", True, group.n_lost), ("gained", False, group.n_gained)):
            entries = [entry for entry in group.entries if entry.lost is wanted][:MOST_QUERIES]
            if not entries:
                continue
            shown = f" (the largest {len(entries)})" if len(entries) < total else ""
            summary = f"{words.count(total, 'query')} {label}{shown}"
            items = "\n".join(f"- {_query(entry)}" for entry in entries)
            parts.append(f"<details><summary>{summary}</summary>\n\n{items}\n\n</details>")
    return "\n\n".join(parts)


def _explorer(block: Explorer) -> str:
    """What needs no script: the queries that mattered most."""
    return _queries(block.changes) if block.changes else ""


def _query(entry: QueryEntry) -> str:
    name = f"<code>{inert(entry.query_id, 60)}</code> on <code>{inert(entry.query_set, 40)}</code>"
    text = f" {inert(entry.text, 160)}" if entry.text else ""
    moves = ", ".join(
        f"{inert(measure, 40)} {words.number(before)} → {words.number(after)}"
        for measure, before, after in entry.changes
    )
    return f"{name}{' (pinned)' if entry.pinned else ''}:{text} ({moves}){_ranks(entry)}"


def _ranks(entry: QueryEntry) -> str:
    """Where its relevant documents stood and stand, those that moved."""
    if not entry.before and not entry.after:
        return ""
    places = [(d.doc_id, d.before, d.after) for d in entry.relevant if d.before != d.after][:MOST_DOCUMENTS]
    moves = [f"<code>{inert(doc, 40)}</code> {_rank(before)} → {_rank(after)}" for doc, before, after in places]
    return f"; rank of {', '.join(moves)}" if moves else ""


def _rank(place: int | None) -> str:
    return "below 10" if place is None else str(place)


_WRITERS: dict[str, Callable[[Any], str]] = {
    "heading": _heading,
    "prose": _prose,
    "bullets": _bullets,
    "banner": _banner,
    "code": _code,
    "folded": _folded,
    "table": _table,
    "figure": _figure,
    "queries": _queries,
    "explorer": _explorer,
}
