"""Incomplete judgements: measures that pass over documents which nobody judged."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from bench.stats._inputs import Floats, require


def bpref(ranked_grades: ArrayLike, n_relevant: int, n_nonrelevant: int, *, relevance_level: int = 1) -> float:
    """Share of judged non-relevant documents that relevant ones are ranked above, 0 to 1; unjudged skipped.

    0 for a query without a relevant judgement, as in trec_eval.

    Args:
        ranked_grades: [n_ranked], grades in rank order; negative or NaN is unjudged.
        n_relevant: judged relevant documents of the query, retrieved or not.
        n_nonrelevant: judged non-relevant ones (grade 0 up to the relevance level).
        relevance_level: the least grade that counts as relevant.

    Source: Buckley and Voorhees 2004, as trec_eval's m_bpref.c has it: the first min(R, N) non-relevant
    documents count, and those of later ones change nothing.
    """
    grades = condense(ranked_grades)
    relevant = grades >= relevance_level
    if n_relevant == 0:
        return 0.0
    above = np.minimum(np.cumsum(~relevant)[relevant], n_relevant)
    return float((1 - above / max(1, min(n_nonrelevant, n_relevant))).sum() / n_relevant)


def condense(ranked_grades: ArrayLike) -> Floats:
    """The ranking without its unjudged documents (negative or NaN), order kept.

    A measure of it is the judged-only score of the ranking.

    Source: Sakai 2007, "Alternatives to bpref".
    """
    grades = np.asarray(ranked_grades, dtype=np.float64)
    require(grades.ndim == 1, f"Grades have shape {grades.shape}; expected one grade per ranked document.")
    return grades[grades >= 0]
