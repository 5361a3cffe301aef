"""Query sets held against training queries: what differs is seen, what does not is found out."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from bench.base.store import RowCache, Store
from bench.records import EvalProtocol, Labels, QuerySet, Suite
from bench.suites import suite as suites
from bench.suites.distribution import (
    classifier_test,
    distance,
    distribution_findings,
    embedding_findings,
    nearest_similarity,
    unseen_words,
)

THINGS = ["chain", "tyre", "saddle", "brake", "gear", "light", "lock", "wheel", "pedal", "spoke", "rim", "hub"]
DEEDS = ["clean", "fit", "mend", "oil", "replace", "check", "adjust", "buy", "store", "paint"]


def asked(n, seed, form="how do I {deed} the {thing} of a {other}"):
    """n different questions of one form."""
    rng = random.Random(seed)
    return [
        form.format(deed=rng.choice(DEEDS), thing=rng.choice(THINGS), other=rng.choice(THINGS)) + f" number {i}"
        for i in range(n)
    ]


def a_suite(make_corpus, sets, *, clusters=None, why=None):
    """Query sets {name: (role, texts)} on one corpus of one document."""
    corpus = make_corpus({"d1": "text"})
    query_sets = {
        name: QuerySet.build(name, role, "corpus", ((f"{name}{i}", text) for i, text in enumerate(texts)))
        for name, (role, texts) in sets.items()
    }
    labels = {
        name: Labels({q: {"d1": 1} for q in query_set.ids}, clusters=(clusters or {}).get(name, {}))
        for name, query_set in query_sets.items()
    }
    protocol = EvalProtocol(("recall@10",))
    return Suite("made", 1, ".", protocol, {"corpus": corpus}, query_sets, labels, why or {})


def codes(suite):
    return {(finding.code, finding.where) for finding in distribution_findings(suite)}


def test_set_of_the_same_kind_is_found_out(make_corpus):
    sets = {"train": ("train", asked(120, 1)), "away": ("out-of-distribution", asked(80, 2))}
    found = {f.code: f for f in distribution_findings(a_suite(make_corpus, sets, why={"away": "another shop"}))}
    assert set(found) == {"not-out-of-distribution"}
    assert found["not-out-of-distribution"].severity == "warning"
    assert "AUC of 0." in found["not-out-of-distribution"].message
    assert found["not-out-of-distribution"].value < 0.6


def test_set_of_another_kind_is_told_with_its_numbers(make_corpus):
    other = asked(80, 2, "{thing} kaputt, was kostet {deed}?")
    sets = {"train": ("train", asked(120, 1)), "away": ("out-of-distribution", other)}
    (found,) = distribution_findings(a_suite(make_corpus, sets, why={"away": "German"}))
    assert (found.severity, found.code) == ("info", "out-of-distribution")
    assert found.value > 0.95


def test_set_that_differs_from_training_but_not_from_held_out_is_found_out(make_corpus):
    form = "{thing} kaputt, was kostet {deed}?"
    sets = {
        "train": ("train", asked(120, 1)),
        "home": ("held-out", asked(80, 2, form)),
        "away": ("out-of-distribution", asked(80, 3, form)),
    }
    suite = a_suite(make_corpus, sets, why={"away": "other queries"})
    assert codes(suite) == {("held-out-differs", "home"), ("not-out-of-distribution", "away")}


def test_reason_that_is_missing_is_asked_for(make_corpus):
    sets = {"train": ("train", asked(30, 1)), "away": ("out-of-distribution", asked(30, 2, "{thing}?"))}
    assert ("no-why", "away") in codes(a_suite(make_corpus, sets))
    assert ("no-why", "away") in codes(a_suite(make_corpus, sets, why={"away": " "}))
    assert ("no-why", "away") not in codes(a_suite(make_corpus, sets, why={"away": "single words"}))


def test_too_few_queries_are_not_called_different(make_corpus):
    sets = {"train": ("train", asked(120, 1)), "away": ("out-of-distribution", asked(9, 2, "{thing}?"))}
    (found,) = distribution_findings(a_suite(make_corpus, sets, why={"away": "single words"}))
    assert found.code == "not-out-of-distribution"
    assert "too few queries to tell (9 against 120)" in found.message


def test_altered_copies_are_held_against_their_originals(make_corpus):
    texts = asked(80, 1)
    clusters = {"away": {f"away{i}": f"home{i}" for i in range(80)}}
    for altered, expected in (([t.upper() for t in texts], "out-of-distribution"), (texts, "not-out-of-distribution")):
        sets = {"home": ("held-out", texts), "away": ("out-of-distribution", altered)}
        (found,) = distribution_findings(a_suite(make_corpus, sets, clusters=clusters, why={"away": "shouted"}))
        assert found.code == expected


def test_paraphrases_of_one_need_count_once(make_corpus):
    sets = {"train": ("train", asked(60, 1)), "away": ("out-of-distribution", asked(60, 2, "{thing}?"))}
    few = {"away": {f"away{i}": f"need{i % 6}" for i in range(60)}}
    suite = a_suite(make_corpus, sets, clusters=few)
    assert distance(suite, suite.query_sets["away"], suite.of_role("train")).auc is None


def test_samples_of_one_source_differ_no_more_often_than_alpha_says():
    texts = asked(1_600, 5)
    random.Random(0).shuffle(texts)  # their numbers rise, and a classifier sees that
    p_values = []
    for i in range(40):
        part = texts[40 * i : 40 * i + 40]
        p_values.append(classifier_test(part[:20], part[20:], seed=i)[1])
    # Binomial with n = 40 and p = .05: six or more have a chance of 1.4 %.
    assert sum(p <= 0.05 for p in p_values) <= 5
    assert 0.3 < np.mean(p_values) < 0.7


def test_same_seed_gives_the_same_answer():
    ours, theirs = asked(50, 1), asked(50, 2, "a {thing} to {deed}")
    assert classifier_test(ours, theirs, seed=3) == classifier_test(ours, theirs, seed=3)


def test_unseen_words_are_counted_on_both_sides():
    # Of "oil the fork" one word of three is new; at home "flat" and "chain" stand once among five words.
    assert unseen_words(["oil the fork"], ["oil the flat", "Oil chain"]) == pytest.approx((1 / 3, 3 / 5))
    assert unseen_words(["the"], ["the", "the"]) == (0, 0)


def test_nearest_similarity_leaves_a_row_itself_out():
    rows = np.asarray([[1, 0], [2, 0], [0, 1]], dtype=np.float32)
    # Nearest others: 1, 1 and 0.
    assert nearest_similarity(rows, None) == pytest.approx(2 / 3)
    assert nearest_similarity(rows[2:], rows[:2]) == pytest.approx(0)


def test_stored_vectors_are_used_and_none_is_made(make_corpus, tmp_path):
    home, away = asked(5, 1), asked(4, 2)
    suite = a_suite(make_corpus, {"train": ("train", home), "away": ("out-of-distribution", away)})
    store = Store(tmp_path / "store")
    assert list(embedding_findings(suite, store)) == []
    cache = RowCache(store.path("embeddings", "f" * 32))
    cache.put([RowCache.key(text) for text in home], np.eye(5, 9, dtype=np.float32) + 1)
    assert list(embedding_findings(suite, store)) == []
    cache.put([RowCache.key(text) for text in away], np.eye(9, dtype=np.float32)[5:])
    (found,) = embedding_findings(suite, store)
    # Cosines: at home (9 + 2) / (8 + 4) = 11 / 12 of the squared length, abroad 1 / √12.
    assert found.value == pytest.approx(11 / 12 - 1 / np.sqrt(12), abs=1e-4)


def test_bundled_sets_differ_and_an_impostor_does_not():
    clinic = suites.load(suites.find("clinic"))
    assert codes(clinic) == {("out-of-distribution", name) for name in ("patient", "chart", "depot")}
    staff = clinic.query_sets["staff"]
    sides = {
        name: QuerySet.build(name, role, staff.corpus, list(zip(staff.ids, staff.texts, strict=True))[part::2])
        for name, role, part in (("home", "held-out", 0), ("away", "out-of-distribution", 1))
    }
    impostor = replace(
        clinic,
        query_sets={"train": clinic.query_sets["train"], **sides},
        labels={"train": clinic.labels["train"], "home": clinic.labels["staff"], "away": clinic.labels["staff"]},
        why={"away": "it says so"},
    )
    assert codes(impostor) == {("not-out-of-distribution", "away")}


@pytest.mark.parametrize("name", ["banking77", "stackfaq", "medquad", "covidqa"])
def test_half_of_a_real_test_set_is_no_other_distribution(bench_data, name):
    suite = suites.load(bench_data / name)
    test = suite.query_sets["test"]
    order = list(zip(test.ids, test.texts, strict=True))
    random.Random(0).shuffle(order)
    sides = {
        made: QuerySet.build(made, role, test.corpus, order[part::2])
        for made, role, part in (("home", "held-out", 0), ("away", "out-of-distribution", 1))
    }
    labels = {"train": suite.labels["train"], "home": suite.labels["test"], "away": suite.labels["test"]}
    split = replace(suite, query_sets={"train": suite.query_sets["train"], **sides}, labels=labels)
    assert ("not-out-of-distribution", "away") in codes(split)
