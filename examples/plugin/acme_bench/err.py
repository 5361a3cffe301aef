"""Expected reciprocal rank: how soon a reader stops who stops at a document the likelier, the better it is."""

from __future__ import annotations

from bench.evaluation.measures import JudgedRanking

ORDERED = True
NEEDS_CUTOFF = False
HIGHEST = 4
"""The best grade there is; one for all suites, so that numbers of two suites mean the same."""


def value(query: JudgedRanking, *, cutoff: int, relevance_level: int) -> float:
    """One query's ERR, between 0 and 1.

    Source: Chapelle, Metzler, Zhang & Grinspan 2009, "Expected reciprocal rank for graded relevance", eq. 4 and 5.
    """
    total, goes_on = 0.0, 1.0
    for rank, grade in enumerate(query.ranked[: cutoff or None].tolist(), 1):
        stops = (2 ** min(max(grade, 0), HIGHEST) - 1) / 2**HIGHEST
        total += goes_on * stops / rank
        goes_on *= 1 - stops
    return total
