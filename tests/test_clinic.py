"""The bundled suite is what its data card says."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict

import pytest

from bench.suites import checks, suite

SHINGLE = 6
MOST = 3


@pytest.fixture(scope="module")
def clinic():
    return suite.load(suite.bundled()["clinic"])


def _rows(clinic, name):
    path = f"{clinic.path}/{name}"
    with open(path, encoding="utf-8") as stream:  # noqa: PTH123
        return [json.loads(line) for line in stream]


def test_no_six_words_stand_in_more_than_three_texts(clinic):
    texts = {}
    for corpus in clinic.corpora.values():
        texts |= {("doc", i): t for i, t in zip(corpus.ids, corpus.texts, strict=True)}
    for query_set in clinic.query_sets.values():
        texts |= {(query_set.name, i): t for i, t in zip(query_set.ids, query_set.texts, strict=True)}
    seen = defaultdict(set)
    for key, text in texts.items():
        words = re.findall(r"[a-z0-9']+", text.lower())
        for start in range(len(words) - SHINGLE + 1):
            seen[tuple(words[start : start + SHINGLE])].add(key)
    repeated = {" ".join(words): len(keys) for words, keys in seen.items() if len(keys) > MOST}
    assert not repeated


def test_passages_are_forty_to_a_hundred_and_twenty_words(clinic):
    rows = _rows(clinic, "corpus.jsonl")
    assert len(rows) >= 400
    assert not [row["_id"] for row in rows if not 40 <= len(row["text"].split()) <= 120]


def test_sizes_are_what_the_suite_promises(clinic):
    sizes = {name: len(query_set.ids) for name, query_set in clinic.query_sets.items()}
    assert sizes["train"] >= 1000
    assert sizes["dev"] >= 120
    assert sizes["staff"] >= 250
    assert sizes["patient"] + sizes["chart"] + sizes["depot"] >= 200
    assert len(clinic.corpora["depot"].ids) >= 60


def test_families_belong_to_one_split(clinic):
    family = {row["_id"]: row["family"] for row in _rows(clinic, "corpus.jsonl")}
    roles = defaultdict(set)
    for query_set in clinic.query_sets.values():
        if query_set.corpus == "procedures":
            split = "evaluation" if query_set.role in ("held-out", "out-of-distribution") else query_set.role
            for grades in clinic.qrels(query_set.name).values():
                for doc_id in grades:
                    roles[family[doc_id]].add(split)
    assert {name: splits for name, splits in roles.items() if len(splits) > 1} == {}


def test_half_of_the_staff_queries_judge_a_neighbour_not_relevant(clinic):
    qrels = clinic.qrels("staff")
    assert sum(0 in grades.values() for grades in qrels.values()) >= len(qrels) / 2
    assert sum(sum(grade > 0 for grade in grades.values()) > 1 for grades in qrels.values()) >= 60
    assert {grade for grades in qrels.values() for grade in grades.values()} == {0, 1, 2}


def test_queries_are_pinned_sliced_and_clustered(clinic):
    labels = clinic.labels["staff"]
    assert len(labels.pinned) >= 20
    assert len(set(labels.slices.values())) == 9
    clusters = Counter(labels.clusters.values())
    assert min(clusters.values()) >= 2
    assert len(clusters) >= 30


def test_paraphrases_of_one_need_are_judged_alike(clinic):
    qrels, clusters = clinic.qrels("staff"), clinic.labels["staff"].clusters
    judged = defaultdict(set)
    for query_id, cluster in clusters.items():
        judged[cluster].add(tuple(sorted(qrels[query_id].items())))
    assert [cluster for cluster, found in judged.items() if len(found) > 1] == []


def test_check_finds_nothing_to_warn_of(clinic):
    assert [finding.message for finding in checks.check(clinic) if finding.severity != "info"] == []
