"""Claims about steps: found where they were planted, and noise is not called one beyond the stated rate."""

from __future__ import annotations

import numpy as np
import pytest

from bench.base.errors import MissingExtra
from bench.stats import estimate
from bench.watch.steps import find_steps, reach

ALPHA = 0.05


def course(seed, *, n_points=20, n_queries=200, turnover=0.1, drifting=False, step=None, lost=0.0, clusters=1):
    """0/1 scores of the same queries at successive times: a share of them is decided anew at each.

    `drifting`: what was decided anew stays so; else every time starts from the same systems. From point `step` on, each
    query that is found is lost with the chance `lost`. `clusters`: queries in groups of so many with one fate.
    """
    rng = np.random.default_rng(seed)
    n = n_queries // clusters
    base = rng.random(n) < 0.7
    fate = rng.random(n) < lost
    rows = []
    for at in range(n_points):
        row = base.copy()
        anew = rng.random(n) < turnover
        row[anew] = rng.random(int(anew.sum())) < 0.7
        if drifting:
            base = row.copy()
        if step is not None and at >= step:
            row = row & ~fate
        rows.append(np.repeat(row, clusters))
    return np.asarray(rows, dtype=float)


def test_planted_step_is_found_where_it_is_and_as_large_as_it_is():
    places, sizes, covered = [], [], []
    for seed in range(40):
        table = course(seed, step=12, lost=0.15)
        (found,) = find_steps([table], [None], alpha=ALPHA, seed=seed)
        true = 0.7 * 0.15
        places += [step.at for step in found]
        sizes += [step.delta for step in found]
        covered += [step.ci[0] <= -true <= step.ci[1] for step in found]
    # One step each, at its place or one beside it; a loss of .105 on average.
    assert len(places) == 40
    assert sum(place == 12 for place in places) >= 38
    assert np.mean(sizes) == pytest.approx(-0.105, abs=0.01)
    # Of 40 intervals at 95 %, more than five that miss have a chance of 1.4 %.
    assert sum(covered) >= 35


def test_two_steps_are_both_found():
    table = course(1, n_points=30, step=10, lost=0.2)
    table[20:] = course(1, n_points=30)[20:]
    (found,) = find_steps([table], [None])
    assert [step.at for step in found] == [10, 20]
    assert found[0].delta < 0 < found[1].delta
    assert (found[0].start, found[0].end, found[1].start, found[1].end) == (0, 20, 10, 30)


@pytest.mark.parametrize("drifting", [False, True])
def test_noise_is_called_a_step_no_more_often_than_alpha_says(drifting):
    alarms = sum(bool(find_steps([course(s, drifting=drifting)], [None], alpha=ALPHA, seed=s)[0]) for s in range(200))
    # Binomial with n = 200 and p = .05: 18 or more have a chance of 1.3 %.
    assert alarms <= 17


def test_paraphrases_that_move_together_are_one():
    labels = [f"need {i // 5}" for i in range(200)]
    with_clusters = without = 0
    for seed in range(100):
        table = course(seed, clusters=5, n_points=8)
        with_clusters += bool(find_steps([table], [labels], alpha=ALPHA, seed=seed)[0])
        without += bool(find_steps([table], [None], alpha=ALPHA, seed=seed)[0])
    # Binomial with n = 100 and p = .05: 11 or more have a chance of 2.8 %, 20 or more of one in 10⁶.
    assert with_clusters <= 11
    assert without >= 20


def test_a_family_of_series_shares_one_rate():
    alarms = 0
    for seed in range(60):
        family = [course(100 * seed + i, n_points=8, n_queries=100) for i in range(6)]
        alarms += any(find_steps(family, [None] * 6, alpha=ALPHA, seed=seed))
    # Binomial with n = 60 and p = .05: 8 or more have a chance of 1.3 %; each alone it would be 16 of 60.
    assert alarms <= 7


def test_step_among_quiet_series_is_still_found_and_its_p_is_adjusted():
    family = [course(i, step=12 if i == 3 else None, lost=0.2) for i in range(6)]
    found = find_steps(family, [None] * 6)
    assert [len(steps) for steps in found] == [0, 0, 0, 1, 0, 0]
    assert 6 / 1000 <= found[3][0].p <= ALPHA


def test_same_queries_make_small_steps_visible_that_two_means_alone_would_hide():
    # Two systems that differ in 12 of 300 queries: the means' own intervals overlap widely, the differences do not.
    before = np.repeat([1.0, 0.0], [210, 90])
    after = before.copy()
    after[:12] = 0
    table = np.stack([before] * 3 + [after] * 3)
    (found,) = find_steps([table], [None])
    own = [estimate(row) for row in (before, after)]
    assert own[0].low < own[1].high
    assert [(step.at, round(step.delta, 4)) for step in found] == [(3, -0.04)]
    assert found[0].ci[1] < 0


def test_what_cannot_hold_a_step_holds_none():
    flat = np.ones((5, 50))
    one = course(0, n_points=1)
    few = course(0, n_queries=4)
    assert find_steps([flat, one, few], [None] * 3) == [[], [], []]
    assert find_steps([], []) == []


def test_two_points_are_a_comparison():
    better = np.stack([np.zeros(60), np.repeat([1.0, 0.0], [20, 40])])
    (found,) = find_steps([better], [None])
    assert [(step.at, step.delta) for step in found] == [(1, pytest.approx(1 / 3))]


def test_reach_is_the_penalty_at_which_ruptures_stops_cutting():
    ruptures = pytest.importorskip("ruptures")
    rng = np.random.default_rng(0)
    for n_points in (2, 3, 8, 20):
        for walk in (False, True):
            series = rng.normal(size=n_points)
            series = series.cumsum() if walk else series
            most = reach(series[None])[0]
            detector = ruptures.KernelCPD(kernel="linear", min_size=1, jump=1).fit(series[:, None])
            assert len(detector.predict(pen=most * 0.999)) > 1
            assert len(detector.predict(pen=most * 1.001)) == 1


def test_same_seed_gives_the_same_answer():
    tables = [course(0, step=5, lost=0.1), course(1)]
    assert find_steps(tables, [None, None], seed=4) == find_steps(tables, [None, None], seed=4)


def test_missing_library_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ruptures", None)
    with pytest.raises(MissingExtra, match=r"retrieval-gate\[history\]"):
        find_steps([course(0)], [None])
