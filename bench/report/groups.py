"""Who cannot be told from whom: a letter for each group of systems between which no difference is shown."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence, Set

from bench import stats
from bench.base.errors import BenchError
from bench.gate.compare import check_comparable, corrected, difference
from bench.report.reading import Task

MOST_SYSTEMS = 24
"""Systems that get letters, the best ones: past it every pair is one test of hundreds, and letters fill the table."""


def significance_groups(task: Task, measure: str, systems: Sequence[str], *, alpha: float) -> dict[str, str]:
    """System → letters; two systems share one unless their difference is shown.

    Every pair is tested by the one method that fits the data, as everywhere in the report (cluster-robust t, McNemar's
    mid-p or paired t), two-sided, and Holm's correction counts all pairs; docs/decisions/0012 says why not by the
    randomised Tukey HSD. Empty under five queries, and where results cannot be compared.
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
    made = [difference([task.results[a]], [task.results[b]], measure, alpha=alpha) for a, b in pairs]
    tested = zip(pairs, corrected(made), strict=True)
    differ = {pair for pair, one in tested if one.p_adjusted is not None and one.p_adjusted < alpha}
    return compact_letters(ranked, differ)


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
        columns = _absorbed(split)
    place = {system: i for i, system in enumerate(ranked)}
    columns.sort(key=lambda column: sorted(place[system] for system in column))
    found: Mapping[str, list[str]] = {system: [] for system in ranked}
    for i, column in enumerate(columns):
        for system in column:
            found[system].append(_letter(i))
    return {system: "".join(letters) for system, letters in found.items()}


def _absorbed(columns: Sequence[frozenset[str]]) -> list[frozenset[str]]:
    """Columns that no other one contains, each once."""
    unique = list(dict.fromkeys(columns))
    return [one for one in unique if not any(one < other for other in unique)]


def _letter(i: int) -> str:
    """a … z, then a1 … z1, and so on."""
    turn, place = divmod(i, 26)
    return chr(ord("a") + place) + (str(turn) if turn else "")
