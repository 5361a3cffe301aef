"""bpref: the share of judged non-relevant documents that relevant ones are ranked above; unjudged ones are skipped."""

from __future__ import annotations

import numpy as np

from bench.evaluation.measures import JudgedRanking

ORDERED = True
NEEDS_CUTOFF = False


def value(query: JudgedRanking, *, cutoff: int, relevance_level: int) -> float:
    """One query's bpref.

    Source: Buckley and Voorhees 2004, as in trec_eval's m_bpref.c: only the first min(R, N) non-relevant documents
    count.
    """
    ranked = query.ranked[: cutoff or None]
    relevant = ranked[ranked >= 0] >= relevance_level
    n_relevant = int((query.judged >= relevance_level).sum())
    n_others = int(((query.judged >= 0) & (query.judged < relevance_level)).sum())
    above = np.minimum(np.cumsum(~relevant)[relevant], n_relevant)
    return float((1 - above / max(1, min(n_others, n_relevant))).sum() / n_relevant)
