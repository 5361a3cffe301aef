"""Blocks as JSON: what a page says, for programs. Charts are left out, their numbers are not."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from bench.report import blocks as kinds
from bench.report.text import Text, visible


def blocks(content: Sequence[kinds.Block]) -> list[dict[str, Any]]:
    """One object a block: its "kind" and what it says; strings without control characters.

    Raises:
        TypeError: something is no block of `bench.report.blocks`.
    """
    return [{"kind": block.kind, **_fields(block)} for block in content]


def _fields(block: kinds.Block) -> dict[str, Any]:
    match block:
        case kinds.Heading():
            return {"text": _text(block.text), "level": block.level}
        case kinds.Prose():
            return {"text": _text(block.parts), "style": block.style}
        case kinds.Bullets():
            return {"items": [_text(item) for item in block.items]}
        case kinds.Banner():
            title, sentence = _text(block.title), _text(block.sentence)
            return {"tone": block.tone, "label": block.label, "title": title, "sentence": sentence}
        case kinds.Code():
            return {"lines": [visible(line) for line in block.lines]}
        case kinds.Folded():
            return {"summary": visible(block.summary), "blocks": blocks(block.blocks)}
        case kinds.Table():
            return {
                "caption": visible(block.caption),
                "columns": [visible(column.title) for column in block.columns],
                "rows": [[_datum(datum) for datum in row] for row in block.rows],
                "note": visible(block.note),
            }
        case kinds.Figure():
            table = {"table": _fields(block.table)} if block.table else {}
            panels = [visible(panel.title) for panel in block.panels]
            return {"panels": panels, "caption": visible(block.caption), **table}
        case kinds.QueryList():
            return {"groups": [_visible(asdict(group)) for group in block.groups]}
        case kinds.Explorer():
            return {"data": block.document(), **({"changes": _fields(block.changes)} if block.changes else {})}
    raise TypeError(f"A section returned {type(block).__name__}; expected a block of bench.report.blocks.")


def _text(parts: Text) -> str:
    return "".join(visible(part if isinstance(part, str) else part.text) for part in parts)


def _datum(datum: kinds.Datum) -> dict[str, Any]:
    """The text of a cell, and what else it has: number, note, tone, label, interval."""
    fields: dict[str, Any] = {"text": visible(datum.text)}
    # A dash has a place in the order of its column, and no value.
    if isinstance(datum.sort, (int, float)) and datum.text != "–" and math.isfinite(datum.sort):
        fields["value"] = datum.sort
    fields |= {key: visible(value) for key in ("note", "tone", "label") if (value := getattr(datum, key))}
    if datum.range:
        fields["range"] = {key: getattr(datum.range, key) for key in ("low", "middle", "high")}
    return fields


def _visible(value: Any) -> Any:
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, Mapping):
        return {key: _visible(part) for key, part in value.items()}
    return [_visible(part) for part in value] if isinstance(value, (list, tuple)) else value
