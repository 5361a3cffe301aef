"""Letters for systems: two systems share a letter where no difference between them is shown."""

from __future__ import annotations

import itertools
from collections.abc import Sequence, Set

from bench import stats
from bench.base.errors import BenchError
from bench.gate.compare import check_comparable, corrected, difference
from bench.report.reading import Task

MOST_SYSTEMS = 24
"""Only the best systems get letters: with more, there are hundreds of tests, and letters fill the table."""


def significance_groups(task: Task, measure: str, systems: Sequence[str], *, alpha: float) -> dict[str, str]:
    """System → letters; two systems share one unless their difference is shown.

    Every pair is tested by the method that fits the data (cluster-robust t, McNemar's mid-p or paired t, as in the rest
    of the report), two-sided, with Holm's correction over all pairs; docs/decisions/0012 says why the randomised
    Tukey HSD is not used. Empty under five queries, and where results cannot be compared.
    """
    means = {system: task.mean(system, measure) for system in systems}
    ranked = sorted((s for s in means if means[s] is not None), key=lambda s: -(means[s] or 0.0))[:MOST_SYSTEMS]
    if len(ranked) < 2 or task.n < stats.MINIMUM_QUERIES:
        return {}
    first = task.results[ranked[0]]
    try:
        for system in ranked[1:]:
            check_comparable(first, task.results[system])
    except BenchError:
        return {}
    pairs = list(itertools.combinations(ranked, 2))
    family = corrected([difference([task.results[a]], [task.results[b]], measure, alpha=alpha) for a, b in pairs])
    tested = zip(pairs, (d.p_adjusted for d in family), strict=True)
    return compact_letters(ranked, {pair for pair, p in tested if p is not None and p < alpha})


def compact_letters(ranked: Sequence[str], differ: Set[tuple[str, str]]) -> dict[str, str]:
    """A compact letter display: systems share a letter exactly where their pair is not in `differ`.

    Args:
        ranked: systems, the best first: "a" holds the best.
        differ: pairs in the order of `ranked`.

    Source: Piepho 2004, "An algorithm for a letter-based representation of all-pairwise comparisons", JCGS 13(2):
    insert a column for each difference, absorb columns that another one contains.
    """
    columns: list[frozenset[str]] = [frozenset(ranked)]
    for a, b in sorted(differ, key=lambda pair: (ranked.index(pair[0]), ranked.index(pair[1]))):
        split: list[frozenset[str]] = []
        for column in columns:
            split += [column - {a}, column - {b}] if {a, b} <= column else [column]
        unique = list(dict.fromkeys(split))
        columns = [column for column in unique if not any(column < other for other in unique)]
    place = {system: i for i, system in enumerate(ranked)}
    columns.sort(key=lambda column: sorted(place[system] for system in column))
    # a … z, then a1 … z1, and so on.
    letters = [chr(ord("a") + i % 26) + (str(i // 26) if i >= 26 else "") for i in range(len(columns))]
    return {
        system: "".join(letter for letter, column in zip(letters, columns, strict=True) if system in column)
        for system in ranked
    }
