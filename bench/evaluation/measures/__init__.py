"""Measures that ranx lacks, one file each; a file's name is the measure's name.

Each has `ORDERED` (whether order within the cutoff counts), `NEEDS_CUTOFF`, and `value(query, *, cutoff,
relevance_level)`, which returns one number for one query, from 0 to 1; higher is better, as the gate takes it to be.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class JudgedRanking(NamedTuple):
    """One query's ranking as a measure sees it.

    `ranked` is int64[n_ranked]: the grade of each ranked document, best rank first, −1 where it is unjudged.
    `judged` is int64[n_judged]: every grade of the query's judgements, whether ranked or not.
    """

    ranked: NDArray[np.int64]
    judged: NDArray[np.int64]
