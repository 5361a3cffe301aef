"""Blocks as JSON: what a page says, for programs. Charts are left out, their numbers are not."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from bench.report import embedded
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
    QueryList,
    Table,
    Text,
    visible,
)


def blocks(held: Sequence[Block]) -> list[dict[str, Any]]:
    """One object a block: its "kind" and what it says; strings without control characters."""
    return [{"kind": block.kind, **_WRITERS[block.kind](block)} for block in held]


def _text(parts: Text) -> str:
    return "".join(visible(part if isinstance(part, str) else part.text) for part in parts)


def _heading(block: Heading) -> dict[str, Any]:
    return {"text": _text(block.text), "level": block.level}


def _prose(block: Prose) -> dict[str, Any]:
    return {"text": _text(block.parts), "style": block.style}


def _bullets(block: Bullets) -> dict[str, Any]:
    return {"items": [_text(item) for item in block.items]}


def _banner(block: Banner) -> dict[str, Any]:
    return {"tone": block.tone, "label": block.label, "title": _text(block.title), "sentence": _text(block.sentence)}


def _code(block: Code) -> dict[str, Any]:
    return {"lines": [visible(line) for line in block.lines]}


def _folded(block: Folded) -> dict[str, Any]:
    return {"summary": visible(block.summary), "blocks": blocks(block.blocks)}


def _table(block: Table) -> dict[str, Any]:
    return {
        "caption": visible(block.caption),
        "columns": [visible(column.title) for column in block.columns],
        "rows": [[_datum(datum) for datum in row] for row in block.rows],
        "note": visible(block.note),
    }


def _datum(datum: Datum) -> dict[str, Any]:
    """The text that is read, and beside it what is not empty: the number, the small print, the interval."""
    found: dict[str, Any] = {"text": visible(datum.text)}
    # A dash sorts below every number; it is none itself.
    if isinstance(datum.sort, (int, float)) and datum.text != "–" and math.isfinite(datum.sort):
        found["value"] = datum.sort
    for key, value in (("note", datum.note), ("tone", datum.tone), ("label", datum.label)):
        if value:
            found[key] = visible(value)
    if datum.range:
        found["range"] = {"low": datum.range.low, "middle": datum.range.middle, "high": datum.range.high}
    return found


def _figure(block: Figure) -> dict[str, Any]:
    panels = [visible(panel.title) for panel in block.panels]
    table = {"table": _table(block.table)} if block.table else {}
    return {"panels": panels, "caption": visible(block.caption), **table}


def _queries(block: QueryList) -> dict[str, Any]:
    return {"groups": [_inert(asdict(group)) for group in block.groups]}


def _explorer(block: Explorer) -> dict[str, Any]:
    """As the page's script reads it; `bench.report.embedded` says how rankings and values are packed."""
    return {"data": embedded.document(block), **({"changes": _queries(block.changes)} if block.changes else {})}


def _inert(value: Any) -> Any:
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, Mapping):
        return {key: _inert(held) for key, held in value.items()}
    return [_inert(held) for held in value] if isinstance(value, (list, tuple)) else value


_WRITERS: dict[str, Callable[[Any], dict[str, Any]]] = {
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
