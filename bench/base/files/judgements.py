"""Judgements from TREC or BEIR files: query id → document id → grade."""

from __future__ import annotations

import re

from bench.base.errors import SuiteError, excerpt
from bench.base.files.lines import Place, read_lines

LARGEST_GRADE = 2**31 - 1
"""What an int32 holds; engines that read the same file may hold no more, and beyond it is a slip, such as an id."""


_GRADE = re.compile(r"[+-]?[0-9]+")


# Words for a grade, and no digits; NaN and infinity are neither.
_HEADER = re.compile(r"(?!(nan|inf|infinity)$)[^\W\d_][^\d]*", re.IGNORECASE)


def read_qrels(path: Place, *, empty: bool = False, any_id: bool = False) -> dict[str, dict[str, int]]:
    """Judgements: query id → document id → grade.

    Reads BEIR's three columns (query, document, grade; a header line recognised by its words, not by its place) and
    TREC's four (query, iteration, document, grade). `empty`: a file without any judgement is accepted. `any_id`: ids
    may hold white space where tabs separate the fields.

    Raises:
        SuiteError: with file and line, for a line of another shape, an id that is empty or holds white space, a grade
            that is no whole number, or one pair judged twice with different grades.
    """
    qrels: dict[str, dict[str, int]] = {}
    for number, line in read_lines(path):
        fields = [f.strip() for f in line.rstrip("\r\n").split("\t")] if "\t" in line else line.split()
        if len(fields) == 3:
            query_id, doc_id, grade_text = fields
        elif len(fields) == 4:
            query_id, _, doc_id, grade_text = fields
        else:
            raise SuiteError(
                f"{path}:{number}: {len(fields)} fields; expected query, document, grade "
                "(or TREC's query, iteration, document, grade)."
            )
        # Not `int` alone, which also reads "1_0" and the digits of other scripts, and no number of 5,000 digits.
        if not _GRADE.fullmatch(grade_text):
            # BEIR's own loader always drops the first line, header or not; we drop it only if it is one.
            if number == 1 and _HEADER.fullmatch(grade_text):
                continue
            raise SuiteError(f'{path}:{number}: grade is "{excerpt(grade_text, 40)}"; expected a whole number.')
        if len(grade_text) > 20 or abs(grade := int(grade_text)) > LARGEST_GRADE:
            raise SuiteError(
                f"{path}:{number}: grade is {excerpt(grade_text, 40)}; expected at most {LARGEST_GRADE}. Is it an id?"
            )
        for text_id in (query_id, doc_id):
            if not text_id:
                raise SuiteError(f"{path}:{number}: an empty id; expected query, document, grade.")
            if not any_id and text_id.split() != [text_id]:
                raise SuiteError(
                    f'{path}:{number}: id "{excerpt(text_id)}" holds white space; expected fields separated by tabs or '
                    "by spaces throughout, and ids without either."
                )
        if qrels.setdefault(query_id, {}).setdefault(doc_id, grade) != grade:
            raise SuiteError(
                f'{path}:{number}: query "{excerpt(query_id)}", document "{excerpt(doc_id)}" is judged {grade} here '
                f"and {qrels[query_id][doc_id]} above; keep one line."
            )
    if not qrels and not empty:
        raise SuiteError(f"{path} holds no judgement; expected lines of query, document, grade.")
    return qrels
