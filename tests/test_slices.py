"""Slices that follow from texts and judgements, worked out on paper."""

from __future__ import annotations

import pytest

from bench.base.errors import SuiteError
from bench.evaluation.evaluate import Evaluator
from bench.records import QuerySet
from bench.suites.slices import computed_slices, content_words

TEXTS = {
    "d1": "Oil the chain and wipe the rest off.",
    "d2": "Patch the tube.",
    **{f"x{i}": "other" for i in range(6)},
}
QUERIES = {
    "q1": "oil the chain",  # 3 words; both content words stand in d1
    "q2": "which oil is best for the old rusty chain now",  # 10 words; of oil best old rusty chain now, two in d1
    "q3": "patch a flat tyre tube",  # 5 words; of patch flat tyre tube, two in d2
    "q4": "nothing judged",
}
QRELS = {"q1": {"d1": 2, "d2": 0}, "q2": {"d1": 1, "d2": 1}, "q3": {"d2": 1, **{f"x{i}": 1 for i in range(6)}}}
FIELDS = {"q1": {"lang": "en"}, "q2": {"lang": ["en", "de"]}, "q3": {"lang": None}, "q4": {}}


@pytest.fixture
def tell(make_corpus):
    queries = QuerySet.build("shop", "held-out", "corpus", QUERIES.items())
    return lambda *kinds, level=1: computed_slices(
        kinds, queries, QRELS, make_corpus(TEXTS), fields=FIELDS, relevance_level=level
    )


def test_slices_by_length(tell):
    assert tell("length") == {
        "q1": ("length:short",),
        "q2": ("length:long",),
        "q3": ("length:medium",),
        "q4": ("length:short",),
    }


def test_slices_by_overlap_take_the_best_relevant_document(tell):
    # q2: 2 of 6 is a third, no less.
    assert tell("overlap") == {"q1": ("overlap:high",), "q2": ("overlap:medium",), "q3": ("overlap:medium",)}


def test_slices_by_judgement_count(tell):
    assert tell("judgements") == {"q1": ("judgements:one",), "q2": ("judgements:few",), "q3": ("judgements:many",)}
    assert tell("judgements", level=2) == {"q1": ("judgements:one",)}


def test_slices_by_a_field_of_the_line(tell):
    assert tell("field:lang") == {"q1": ("lang:en",), "q2": ("lang:en", "lang:de")}


def test_query_of_stop_words_alone_keeps_them():
    assert content_words("who is it") == {"who", "is", "it"}
    assert content_words("Who is the mechanic") == {"mechanic"}


def test_suite_computes_the_slices_it_declares(tiny_suite):
    found = tiny_suite.edit("suite.toml", "depth = 100", 'depth = 100\nslices = ["length", "judgements"]')
    assert found.digest == tiny_suite.suite.digest
    assert found.labels["shop"].slices_of("h2") == ("brakes", "length:short", "judgements:few")
    assert found.labels["shop"].slices_of("h8") == ("length:short", "judgements:one")


def test_stored_result_is_not_used_for_other_slices(tiny_suite, store, dense_system, hash_encoder):
    def found(suite):
        return Evaluator(suite, {"hash": dense_system(hash_encoder, store)}, store).result("hash", "shop").slices

    before = found(tiny_suite.suite)
    after = found(tiny_suite.edit("suite.toml", "depth = 100", 'depth = 100\nslices = ["judgements"]'))
    assert before[1] == ("brakes",)
    assert after[1] == ("brakes", "judgements:few")


def test_query_line_may_name_several_slices(tiny_suite):
    several = tiny_suite.edit("queries/shop.jsonl", '"slice": "tyres"', '"slice": ["tyres", "summer", "tyres"]')
    assert several.labels["shop"].slices["h1"] == ("tyres", "summer")
    assert several.digest != tiny_suite.suite.digest


@pytest.mark.parametrize("value", ['["tyres", 3]', '{"a": "b"}', '[""]'])
def test_slice_that_is_no_name_is_refused(tiny_suite, value):
    with pytest.raises(SuiteError, match=r':1: "slice" of "h1" is .*; expected one name or a list'):
        tiny_suite.edit("queries/shop.jsonl", '"slice": "tyres"', f'"slice": {value}')


def test_unknown_kind_of_slice_is_refused_with_the_nearest(tiny_suite):
    with pytest.raises(SuiteError, match=r'"lenght" is none of length, overlap, judgements, field:NAME.*"length"'):
        tiny_suite.edit("suite.toml", "depth = 100", 'depth = 100\nslices = ["lenght"]')
