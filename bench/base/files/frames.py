"""Judgements, runs, documents and queries in pandas frames, read like files. Pandas itself is not imported."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.base.errors import UsageError

QUERY_ID = ("query_id", "query-id", "qid", "query", "q_id", "_id")
DOC_ID = ("doc_id", "corpus-id", "document_id", "docno", "document", "docid")
GRADE = ("grade", "relevance", "label", "rel", "score")
SCORE = ("score", "similarity", "value")
TEXT_ID = ("_id", "id", "doc_id", "corpus-id", "document_id", "docno", "docid", "query_id", "query-id", "qid")
TEXT = ("text", "query", "question", "document", "body")


def is_frame(value: Any) -> bool:
    """Whether a value is a pandas frame, or looks like one."""
    return hasattr(value, "columns") and hasattr(value, "to_dict") and hasattr(value, "itertuples")


def column_of(frame: Any, names: Sequence[str], what: str) -> str:
    """The first of these names that is a column.

    Raises:
        UsageError: none is; says which columns there are.
    """
    columns = list(map(str, frame.columns))
    column = next((name for name in names if name in columns), None)
    if column is None:
        raise UsageError(f"The frame has no column for the {what}; expected one of {', '.join(names)}, found "
                         f"{', '.join(columns) or 'none'}.")  # fmt: skip
    return column


def rows_of(frame: Any) -> Iterator[dict[str, Any]]:
    """Rows as mappings, with None where a value is absent."""
    for row in frame.to_dict("records"):
        yield {str(key): None if value is None or value != value else value for key, value in row.items()}


def qrels_of(frame: Any) -> dict[str, dict[str, int]]:
    """Judgements: query id → document id → grade; 1 where there is no column of grades.

    Raises:
        UsageError: a column that is absent, a grade that is no whole number, or a pair judged twice differently.
    """
    query_id, doc_id = column_of(frame, QUERY_ID, "query's id"), column_of(frame, DOC_ID, "document's id")
    grade_column = next((name for name in GRADE if name in frame.columns), None)
    qrels: dict[str, dict[str, int]] = {}
    for row in rows_of(frame):
        value = 1 if grade_column is None else row[grade_column]
        if not isinstance(value, int | float) or value != int(value):
            raise UsageError(f"The frame's {grade_column} is {value!r}; expected a whole number as the grade.")
        known = qrels.setdefault(str(row[query_id]), {})
        if known.setdefault(str(row[doc_id]), int(value)) != int(value):
            raise UsageError(
                f'The frame judges query "{row[query_id]}", document "{row[doc_id]}" twice, differently; keep one row.'
            )
    return qrels


def run_of(frame: Any) -> dict[str, dict[str, float]]:
    """Rankings: query id → document id → score; where there are only ranks, their order.

    Raises:
        UsageError: a column that is absent, a score that is no number, or a document twice under one query.
    """
    query_id, doc_id = column_of(frame, QUERY_ID, "query's id"), column_of(frame, DOC_ID, "document's id")
    by_rank = not set(SCORE) & set(map(str, frame.columns)) and "rank" in frame.columns
    score = "rank" if by_rank else column_of(frame, SCORE, "score")
    run: dict[str, dict[str, float]] = {}
    for row in rows_of(frame):
        ranked = run.setdefault(str(row[query_id]), {})
        if str(row[doc_id]) in ranked:
            raise UsageError(f'The frame ranks document "{row[doc_id]}" twice under query "{row[query_id]}".')
        try:
            value = float(row[score])
        except (TypeError, ValueError):
            raise UsageError(f"The frame's {score} is {row[score]!r}; expected a number.") from None
        ranked[str(row[doc_id])] = -value if by_rank else value
    return run


def texts_of(value: Any) -> Iterator[dict[str, Any]]:
    """Documents or queries, of a frame, id → text or id → {"text", …}, as JSON lines have them: {"_id", "text", …}.

    Raises:
        UsageError: a column that is absent, or another type.
    """
    if isinstance(value, Mapping):
        for key, row in value.items():
            yield {**(row if isinstance(row, Mapping) else {"text": row}), "_id": str(key)}
        return
    if not is_frame(value):
        raise UsageError(f"Documents or queries are a {type(value).__name__}; expected a file, a frame, or id → text.")
    text_id, text = column_of(value, TEXT_ID, "id"), column_of(value, TEXT, "text")
    for row in rows_of(value):
        more = {key: field for key, field in row.items() if key not in (text_id, text) and field is not None}
        yield {"_id": None if row[text_id] is None else str(row[text_id]), "text": row[text], **more}
