"""Findings about some of a set's queries or documents: what, how many, the first, why it matters, what to do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.base import words
from bench.records import Corpus, Finding, QuerySet


def noun_of(texts: Corpus | QuerySet) -> str:
    """What the texts are: "documents" or "queries"."""
    return "documents" if isinstance(texts, Corpus) else "queries"


def counted(
    severity: str | float,
    code: str,
    texts: Corpus | QuerySet,
    what: str,
    ids: Sequence[str],
    advice: str,
    *,
    as_share: bool = False,
) -> Iterator[Finding]:
    """One finding about some texts of a corpus or query set; none where `ids` is empty.

    Args:
        severity: "error", "warning" or "info"; a number is the share of the texts from which it is a warning.
        code: as in docs/checks.md.
        texts: the corpus or query set.
        what: what the texts have in common.
        ids: texts that have it; the message names the first.
        advice: why it matters and what to do.
        as_share: the finding's value is the share of the texts, rounded to four digits; else it is their number.
    """
    if ids:
        share = len(ids) / len(texts.ids)
        if not isinstance(severity, str):
            severity = "warning" if share >= severity else "info"
        amount = (
            f"{words.integer(len(ids))} of {words.integer(len(texts.ids))} {noun_of(texts)} ({words.percent(share, 1)}"
        )
        value = round(share, 4) if as_share else len(ids)
        yield Finding(severity, code, texts.name, f"{what}: {amount}, first: {ids[0]}). {advice}", value)
