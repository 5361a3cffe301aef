"""Letters for groups of systems: what they mean, and which differences make them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from conftest import build_result
from hypothesis import given
from hypothesis import strategies as st

from bench.report import Material
from bench.report.groups import compact_letters, significance_groups
from bench.report.reading import Task, tasks


def a_task(columns: dict[str, list[float]], **more: object) -> Task:
    results = tuple(
        build_result({"recall@10": values}, system=system, **more)  # type: ignore[arg-type]
        for system, values in columns.items()
    )
    return tasks(Material(title="", results=results, reference=next(iter(columns))))[0]


def test_middle_system_shares_a_letter_with_both_ends() -> None:
    # Piepho's algorithm by hand: {A B C}; A ≠ C makes {B C} and {A B}; in order of the best: a = {A B}, b = {B C}.
    assert compact_letters(["A", "B", "C"], {("A", "C")}) == {"A": "a", "B": "ab", "C": "b"}


def test_letters_of_no_and_of_every_difference() -> None:
    ranked = ["A", "B", "C"]
    assert compact_letters(ranked, set()) == {"A": "a", "B": "a", "C": "a"}
    every = set(itertools.combinations(ranked, 2))
    assert compact_letters(ranked, every) == {"A": "a", "B": "b", "C": "c"}


def test_letters_do_not_end_at_z() -> None:
    ranked = [f"s{i:02}" for i in range(28)]
    letters = compact_letters(ranked, set(itertools.combinations(ranked, 2)))
    assert letters["s25"] == "z" and letters["s26"] == "a1" and letters["s27"] == "b1"


@given(st.integers(2, 7).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.sampled_from(range(n * (n - 1) // 2))))))
def test_systems_share_a_letter_exactly_where_they_do_not_differ(drawn: tuple[int, set[int]]) -> None:
    n, chosen = drawn
    ranked = [chr(ord("A") + i) for i in range(n)]
    pairs = list(itertools.combinations(ranked, 2))
    differ = {pairs[i] for i in chosen}
    letters = compact_letters(ranked, differ)
    for pair in pairs:
        assert bool(set(letters[pair[0]]) & set(letters[pair[1]])) == (pair not in differ)
    used = sorted(set("".join(letters.values())))
    held = {letter: {system for system in ranked if letter in letters[system]} for letter in used}
    assert not any(held[a] < held[b] for a in used for b in used), "a letter that says nothing"


def test_groups_follow_paired_tests_and_count_every_pair() -> None:
    # 6 of 40 queries lost and none won: McNemar mid-p, two-sided, 2 · 0.5⁷ = 0.0156. Alone that is shown;
    # as the smallest of the ten pairs of five systems (10 · 0.0156 = 0.156) it is not.
    def hits(n: int) -> list[float]:
        return [1.0] * n + [0.0] * (40 - n)

    two = a_task({"a": hits(26), "b": hits(20)})
    assert significance_groups(two, "recall@10", ["b", "a"], alpha=0.05) == {"a": "a", "b": "b"}
    five = a_task({"a": hits(26), **{f"b{i}": hits(20) for i in range(4)}})
    assert set(significance_groups(five, "recall@10", list(five.results), alpha=0.05).values()) == {"a"}
    # A family is what the table shows.
    assert significance_groups(five, "recall@10", ["a", "b0"], alpha=0.05) == {"a": "a", "b0": "b"}


def test_queries_of_one_cluster_are_not_independent() -> None:
    rng = np.random.default_rng(0)
    # Ten clusters of eight paraphrases: all of a cluster win or lose together.
    gains = np.repeat(rng.choice([0.0, 0.4, -0.2], 10, p=[0.4, 0.4, 0.2]), 8)
    columns = {"a": [0.5] * 80, "b": (0.5 + gains).tolist()}
    clusters = [f"c{i // 8}" for i in range(80)]
    alone = significance_groups(a_task(columns), "recall@10", ["a", "b"], alpha=0.05)
    clustered = significance_groups(a_task(columns, clusters=clusters), "recall@10", ["a", "b"], alpha=0.05)
    assert set(alone.values()) == {"a", "b"} and set(clustered.values()) == {"a"}


@pytest.mark.parametrize(
    "task",
    [a_task({"a": [1.0] * 4, "b": [0.0] * 4}), a_task({"a": [1.0] * 9})],
    ids=["under five queries", "one system"],
)
def test_there_are_no_letters_without_a_test(task: Task) -> None:
    assert significance_groups(task, "recall@10", list(task.results), alpha=0.05) == {}
