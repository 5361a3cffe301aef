"""Claims about bench.suites.splits: disjoint, deterministic, stable under additions, of the size that was asked for."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.base.errors import SuiteError, UsageError
from bench.suites.sources import Query
from bench.suites.splits import DEV, HELD_OUT, TRAIN, SplitPlan, anchor, fraction, instant, place, separate

IDS = st.text(alphabet="abcdefgh0123-", min_size=1, max_size=6)
KEYS = st.dictionaries(IDS, st.text(max_size=5), max_size=40)
JUDGED = st.dictionaries(IDS, st.dictionaries(st.sampled_from([f"d{i}" for i in range(12)]), st.integers(0, 2)))


@given(KEYS, KEYS, st.integers(0, 5))
def test_added_queries_move_none_that_were_there(before, added, seed):
    plan = SplitPlan(seed=seed)
    placed, _ = place(before, plan)
    # A different order, too: the place is a matter of the key alone.
    more, _ = place({**{k: v for k, v in added.items() if k not in before}, **dict(reversed(before.items()))}, plan)
    assert {query_id: more[query_id] for query_id in before} == placed


@given(KEYS)
def test_equal_keys_are_never_divided(keys):
    placed, _ = place(keys, SplitPlan())
    assert len({(keys[query_id], split) for query_id, split in placed.items()}) == len(set(keys.values()))


@given(JUDGED, st.integers(0, 20))
def test_no_two_splits_share_a_judged_document(judged, seed):
    placed, _ = place({query_id: query_id for query_id in judged}, SplitPlan(held_out=0.4, dev=0.3, seed=seed))
    kept, gone = separate(placed, judged)
    documents = {s: {d for q, its in kept.items() if its == s for d in judged[q]} for s in (TRAIN, DEV, HELD_OUT)}
    assert not documents[TRAIN] & documents[DEV]
    assert not documents[TRAIN] & documents[HELD_OUT]
    assert not documents[DEV] & documents[HELD_OUT]
    # Held-out gives up nothing, and what stays has not moved.
    assert set(kept) | gone == set(placed)
    assert kept == {query_id: split for query_id, split in placed.items() if query_id not in gone}
    assert all(placed[query_id] != HELD_OUT for query_id in gone)


@settings(max_examples=25, derandomize=True)
@given(st.integers(0, 10**6), st.sampled_from([(0.15, 0.10), (0.2, 0.0), (0.1, 0.3)]))
def test_shares_are_as_asked_within_binomial_error(seed, shares):
    n = 3_000
    placed, _ = place({str(i): f"key {i}" for i in range(n)}, SplitPlan(held_out=shares[0], dev=shares[1], seed=seed))
    for split, share in ((HELD_OUT, shares[0]), (DEV, shares[1])):
        found = sum(its == split for its in placed.values())
        # 4.5 standard deviations: one false alarm in 150,000 looks.
        assert abs(found - n * share) <= 4.5 * math.sqrt(n * share * (1 - share))


def test_place_of_a_key_is_the_same_on_every_machine():
    # What GNU coreutils prints: printf '0\037key' | b2sum -l 64. Another hash would divide every suite anew.
    assert fraction("key", 0) == 0x94F6085FA3B29C73 / 2**64
    assert fraction("key", 0) != fraction("key", 1)


@given(st.dictionaries(IDS, st.integers(0, 2), min_size=1), st.dictionaries(IDS, st.just(0)), st.integers(0, 3))
def test_anchor_is_a_relevant_document_whatever_stands_beside_it(grades, others, seed):
    chosen = anchor(grades, seed)
    assert grades[chosen] > 0 or not any(grades.values())
    if any(grades.values()):
        assert anchor({**others, **grades}, seed) == chosen
    assert anchor({}, seed) is None


@pytest.mark.parametrize(
    ("pattern", "query_id", "doc_id", "group"),
    [
        (r"^([^-]+)-", "t0-q3", "t9-a1", "t0"),
        (r"^t\d+", "t0-q3", "t9-a1", "t0"),
        (r"^(.+)-\d+$", "q7f13", "card_arrival-11", "card_arrival"),
        (r"^x", "q", "d", None),
    ],
)
def test_pattern_finds_the_group_in_the_query_id_then_in_its_document(pattern, query_id, doc_id, group):
    plan = SplitPlan("group", group_by=pattern)
    assert plan.group(Query(query_id, "text", group="ignored"), doc_id, "ignored") == group


def test_group_without_pattern_is_the_query_s_own_then_its_cluster_then_its_document_s():
    plan = SplitPlan("group")
    assert plan.group(Query("q", "", group="g", cluster="c"), "d", "of document") == "g"
    assert plan.group(Query("q", "", cluster="c"), "d", "of document") == "c"
    assert plan.group(Query("q", ""), "d", "of document") == "of document"
    assert plan.group(Query("q", "")) is None


def times(*texts):
    return {f"q{i}": instant(text, "here") for i, text in enumerate(texts)}


def test_newest_are_held_out_and_those_just_before_them_are_for_dev():
    keys = times(*(f"2024-01-{day:02d}" for day in range(1, 21)))
    placed, plan = place(keys, SplitPlan("time", held_out=0.2, dev=0.1))
    assert [placed[f"q{i}"] for i in range(20)] == [TRAIN] * 14 + [DEV] * 2 + [HELD_OUT] * 4
    # The recorded boundaries make the same division of older queries, whatever is added.
    more, again = place({**keys, **{"new": instant("2025-06-01", "here")}}, plan)
    assert again == plan
    assert more == {**placed, "new": HELD_OUT}
    assert "held-out from 2024-01-17T" in plan.describe()


@given(st.lists(st.dates().map(str), min_size=2, max_size=30), st.sampled_from([0.1, 0.5, 0.9]))
def test_no_held_out_query_is_older_than_a_training_query(days, share):
    keys = times(*days)
    if len(set(days)) == 1:
        with pytest.raises(SuiteError, match="have one time"):
            place(keys, SplitPlan("time", held_out=share, dev=0.05))
        return
    placed, _ = place(keys, SplitPlan("time", held_out=share, dev=0.05))
    of = {split: [keys[q] for q, its in placed.items() if its == split] for split in (TRAIN, DEV, HELD_OUT)}
    assert of[TRAIN]
    assert of[HELD_OUT]
    assert max(of[TRAIN]) < min(of[DEV] or of[HELD_OUT])
    assert max(of[DEV] or of[TRAIN]) < min(of[HELD_OUT])


def test_times_sort_across_zones_and_precisions():
    assert instant("2024-05-31", "here") == instant("2024-05-31T00:00:00Z", "here")
    assert instant("2024-05-31T01:00+02:00", "here") < instant("2024-05-31", "here")
    with pytest.raises(SuiteError, match='row 3: time is "yesterday"; expected ISO 8601'):
        instant("yesterday", "row 3")
    with pytest.raises(SuiteError, match="expected ISO 8601"):
        instant("0001-01-01T00:00+05:00", "here")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"held_out": 0.0}, "held-out is 0"),
        ({"held_out": 0.9, "dev": 0.1}, "expected shares above 0 that leave something to train on"),
        ({"held_out": float("nan")}, "held-out is nan"),
        ({"by": "query", "group_by": "x"}, "belongs to a split by group"),
        ({"by": "group", "group_by": "("}, "is no regular expression"),
        ({"by": "query", "held_out_from": "2024"}, "belongs to a split by time"),
        ({"by": "time", "dev_from": "2024-01-01"}, "give both boundaries"),
    ],
)
def test_plan_that_makes_no_sense_is_refused(options, sentence):
    with pytest.raises(UsageError, match=sentence):
        SplitPlan(**options)
