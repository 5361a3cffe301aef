"""Claims about two-sample tests: agreement with dcor, chance called chance, a part that moved found."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bench.watch.shift import PERMUTATIONS, _distances, embedding_shift, energy, new_words

GOLDEN = json.loads((Path(__file__).parent / "golden" / "energy.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: case["name"])
def test_energy_and_its_p_agree_with_dcor(case):
    sample, reference = (np.asarray(case[side], dtype=np.float32) for side in ("sample", "reference"))
    sides = np.zeros((len(sample) + len(reference), 1), dtype=bool)
    sides[: len(sample)] = True
    (found,) = energy(_distances(np.concatenate([sample, reference])), sides)
    assert found == pytest.approx(case["energy_distance"] / (2 * case["mean_distance_across"]), rel=1e-5)
    shift = embedding_shift(sample, reference, rng=np.random.default_rng(0))
    assert shift.energy == pytest.approx(found, rel=1e-5)
    p = case["p"]
    # An early end leaves fewer permutations where p is large.
    error = np.sqrt(p * (1 - p) * (1 / 100 + 1 / GOLDEN["header"]["resamples"]))
    assert abs(shift.energy_p - p) <= 3 * error + 1 / PERMUTATIONS


def test_energy_of_two_points_worked_out_on_paper():
    # Distances: 0 within {a, b} (equal) and within {c}, 1 across: E = 2, H = 2 / (2 · 1) = 1; {a, c} against {b}:
    # across (0 + 1) / 2 = .5, within (0 + 1 + 1 + 0) / 4 = .5, so E = 1 − .5 − 0 = .5 and H = .5.
    distances = np.asarray([[0, 0, 1], [0, 0, 1], [1, 1, 0]], dtype=np.float32)
    sides = np.asarray([[1, 1], [1, 0], [0, 1]], dtype=bool)
    assert energy(distances, sides) == pytest.approx([1.0, 0.5])


def clouds(rng, n, m, *, moved=0, dim=16):
    sample, reference = (rng.normal(size=(k, dim)).astype(np.float32) + 2 for k in (n, m))
    sample[:moved] -= 4
    return sample, reference


def test_samples_of_one_source_differ_no_more_often_than_alpha_says():
    found = [
        embedding_shift(*clouds(np.random.default_rng(s), 40, 60), rng=np.random.default_rng(s)) for s in range(100)
    ]
    # Binomial with n = 100 and p = .05: 11 or more have a chance of 2.8 %.
    assert sum(shift.energy_p <= 0.05 for shift in found) <= 10
    assert sum(shift.far_p <= 0.05 for shift in found) <= 10
    assert 0.4 < np.mean([shift.energy_p for shift in found]) < 0.6


def test_small_part_that_is_very_different_is_found_by_its_neighbours():
    for seed in range(10):
        rng = np.random.default_rng(seed)
        shift = embedding_shift(*clouds(rng, 150, 150, moved=15), rng=rng)
        assert shift.far_p <= 0.01
        assert shift.far == pytest.approx(0.1, abs=0.06)
        assert set(shift.farthest[:15]) == set(range(15))


def test_whole_that_moved_a_little_is_found_by_its_energy():
    rng = np.random.default_rng(0)
    sample, reference = clouds(rng, 150, 150)
    sample[:, 0] += 1
    assert embedding_shift(sample, reference, rng=rng).energy_p <= 0.01


def test_length_of_a_vector_says_nothing():
    rng = np.random.default_rng(0)
    sample, reference = clouds(rng, 30, 30)
    plain = embedding_shift(sample, reference, rng=np.random.default_rng(1))
    scaled = embedding_shift(3 * sample, reference / 2, rng=np.random.default_rng(1))
    assert (scaled.energy_p, scaled.far) == (plain.energy_p, plain.far)
    assert scaled.energy == pytest.approx(plain.energy, abs=1e-6)


def test_empty_and_equal_vectors_are_no_shift():
    same = np.ones((20, 4), dtype=np.float32)
    shift = embedding_shift(same, same, rng=np.random.default_rng(0))
    assert (shift.energy, shift.energy_p, shift.far, shift.far_p) == (0, 1, 0, 1)
    zero = np.zeros((20, 4), dtype=np.float32)
    assert embedding_shift(zero, zero, rng=np.random.default_rng(0)).energy_p == 1


def test_too_few_texts_are_not_tested():
    rows = np.ones((30, 4), dtype=np.float32)
    assert embedding_shift(rows[:9], rows, rng=np.random.default_rng(0)) is None
    assert embedding_shift(rows, rows[:9], rng=np.random.default_rng(0)) is None
    assert new_words(["a"] * 9, ["b"] * 30, rng=np.random.default_rng(0)) is None


# --- words -----------------------------------------------------------------------------------------


def texts(rng, n, words):
    return [" ".join(rng.choice(words, 8)) for _ in range(n)]


def test_new_words_are_counted_as_on_paper():
    # 10 texts of "a b" against 10 of "a": b is new, half of the sample's 20 running words.
    found = new_words(["a b"] * 10, ["a"] * 10, rng=np.random.default_rng(0))
    assert found.share == 0.5
    assert found.words == (("b", 10),)
    # A permuted sample has a word of its own only where all ten "b" fall into it: one in 184,756.
    assert found.p == pytest.approx(1 / (1 + PERMUTATIONS))


def test_rare_words_that_every_sample_brings_along_are_no_finding():
    words = np.asarray([f"w{i}" for i in range(2_000)])
    alarms = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        found = new_words(texts(rng, 30, words), texts(rng, 60, words), rng=rng)
        assert found.share > 0.5
        alarms += found.p <= 0.05
    # Binomial with n = 60 and p = .05: 8 or more have a chance of 1.3 %.
    assert alarms <= 7


def test_another_subject_has_new_words_with_the_commonest_named_first():
    rng = np.random.default_rng(0)
    ours = np.asarray([f"w{i}" for i in range(50)])
    theirs = np.asarray([*ours, "kubernetes", "helm"])
    found = new_words([*texts(rng, 50, theirs), *["kubernetes it is"] * 20], texts(rng, 50, ours), rng=rng)
    assert found.p <= 0.01
    assert found.words[0][0] == "kubernetes"


def test_case_and_punctuation_make_no_new_word():
    found = new_words(["Oil THE chain!"] * 10, ["oil the (chain)"] * 10, rng=np.random.default_rng(0))
    assert (found.share, found.p, found.words) == (0, 1, ())


def test_texts_without_words_are_not_tested():
    assert new_words(["…"] * 10, ["!"] * 10, rng=np.random.default_rng(0)) is None
    assert new_words(["…"] * 10, ["word"] * 10, rng=np.random.default_rng(0)).share == 0
