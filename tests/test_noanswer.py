"""Queries without an answer, at a threshold chosen on dev: worked out on paper, and on real out-of-scope messages."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from bench.base.files.judgements import read_qrels
from bench.evaluation.evaluate import Evaluator
from bench.evaluation.measure import measure
from bench.evaluation.no_answer import chosen_threshold, no_answer
from bench.records import Labels, NoAnswer, Result
from bench.report import Material
from bench.report.sections import no_answer as section
from bench.suites import suite as suites
from bench.suites.sources.jsonl import read_queries


def tops(*scores):
    return np.asarray(scores, dtype=np.float32)


def test_threshold_is_the_highest_that_keeps_the_share():
    scores = tops(*range(1, 21))  # 20 queries: 19 of them, from 2 on, are 95 %
    assert chosen_threshold(scores) == 2
    assert chosen_threshold(scores, keeps=1.0) == 1
    assert chosen_threshold(scores, keeps=0.96) == 1
    assert chosen_threshold(tops(3, 3, 1), keeps=2 / 3) == 3


def test_there_is_no_threshold_where_dev_gives_none():
    assert chosen_threshold(tops()) is None
    assert chosen_threshold(tops(1, -np.inf), keeps=1.0) is None


@pytest.fixture
def answered(make_run):
    """Test: a and b answered at 5 and 1, c and d without an answer at 4 and 2; dev: three queries at 9, 3, 2."""
    run = make_run({"a": [("d1", 5.0)], "b": [("d1", 1.0)], "c": [("d2", 4.0)], "d": [("d2", 2.0)]})
    dev = make_run({"v1": [("d1", 9.0)], "v2": [("d1", 3.0)], "v3": [("d1", 2.0)], "v4": [("d1", 0.5)]})
    labels = Labels({"a": {"d1": 1}, "b": {"d1": 1}}, unanswerable=frozenset("cd"))
    dev_labels = Labels({"v1": {"d1": 1}, "v2": {"d1": 1}, "v3": {"d1": 1}}, unanswerable=frozenset(["v4"]))
    return run, labels, dev, dev_labels


def test_rates_and_cost_are_those_on_paper(answered):
    run, labels, dev, dev_labels = answered
    scores = measure(run, labels.qrels, ["mrr@10", "recall@10"])
    found = no_answer(run, labels, scores, [(dev, dev_labels)], keeps=2 / 3)
    # Two of dev's three answerable queries reach 3; of c and d one does; b, at 1, is not answered any more.
    assert asdict(found) == {
        "chosen_on": (dev.query_set,),
        "keeps": 2 / 3,
        "threshold": 3.0,
        "n_unanswerable": 2,
        "false_positive_rate": 0.5,
        "n_answerable": 2,
        "answered": 0.5,
        "measure": "recall@10",
        "value": 1.0,
        "value_at_threshold": 0.5,
    }


def test_nothing_is_said_without_unanswerable_queries_or_without_dev(answered):
    run, labels, dev, dev_labels = answered
    scores = measure(run, labels.qrels, ["recall@10"])
    assert no_answer(run, replace(labels, unanswerable=frozenset()), scores, [(dev, dev_labels)]) is None
    assert no_answer(run, labels, scores, []) is None


@pytest.fixture
def with_unanswerable(tiny_suite):
    """`tiny_suite` with a held-out query that no document answers."""
    path = tiny_suite.folder / "queries" / "shop.jsonl"
    line = {"_id": "h9", "text": "what is the capital of France", "answerable": False}
    path.write_text(path.read_text(encoding="utf-8") + json.dumps(line) + "\n", encoding="utf-8")
    return suites.load(tiny_suite.folder)


def test_evaluator_measures_it_where_dev_has_the_same_corpus(with_unanswerable, store, dense_system, hash_encoder):
    system = dense_system(hash_encoder, store)
    found = Evaluator(with_unanswerable, {"hash": system}, store).result("hash", "shop")
    assert found.no_answer.n_unanswerable == 1
    assert found.no_answer.chosen_on == ("dev",)
    assert found.no_answer.n_answerable == 8
    again = Evaluator(with_unanswerable, {"hash": system}, store, make=False).result("hash", "shop")
    assert again.to_json() == found.to_json()
    assert Result.from_json(json.loads(json.dumps(found.to_json()))).no_answer == found.no_answer


def test_result_that_lacks_dev_runs_is_not_kept(with_unanswerable, store, dense_system, hash_encoder):
    systems = {"hash": dense_system(hash_encoder, store)}
    Evaluator(with_unanswerable, systems, store).run("hash", with_unanswerable.query_sets["shop"])
    assert Evaluator(with_unanswerable, systems, store, make=False).result("hash", "shop").no_answer is None
    assert Evaluator(with_unanswerable, systems, store).result("hash", "shop").no_answer is not None


def test_suite_without_such_queries_has_the_documents_it_had(tiny_suite, store, dense_system, hash_encoder):
    found = Evaluator(tiny_suite.suite, {"hash": dense_system(hash_encoder, store)}, store).result("hash", "shop")
    assert found.no_answer is None
    assert "no_answer" not in found.to_json()


def test_section_shows_a_row_per_system(make_result):
    measured = NoAnswer(("dev",), 0.95, 3.0, 20, 0.25, 40, 0.9, "recall@10", 0.8, 0.75)
    result = make_result({"recall@10": [1, 0]}, system="new")
    assert section.build(Material("t", (result,), "new")) == []
    prose, table = section.build(Material("t", (result, replace(result, no_answer=measured)), "new"))
    assert "95%" in str(prose.parts[0])
    assert [datum.text for datum in table.rows[0]][2:] == [
        "20",
        "25.0\u202f%",
        "90.0\u202f%",
        "recall@10",
        "0.800",
        "0.750",
    ]


def test_out_of_scope_messages_beside_real_ones(bench_data, tmp_path, store):
    from bench.retrieval.systems.bm25 import BM25, Config

    bank = bench_data / "banking77"
    messages = list(read_queries(bench_data / "clinc-oos" / "queries.jsonl"))
    lines = {row["_id"]: row for row in read_queries(bank / "queries.jsonl")}
    declaration = f'name = "bank"\n[corpora.bank]\npath = "{bank}/corpus.jsonl"\n'
    for split, role in (("dev", "dev"), ("test", "held-out")):
        mine = [lines[query_id] for query_id in read_qrels(bank / "qrels" / f"{split}.tsv")]
        mine += [row | {"answerable": False} for row in messages] if split == "test" else []
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in mine), encoding="utf-8")
        declaration += f'[[query_sets]]\nname = "{split}"\nrole = "{role}"\ncorpus = "bank"\n'
        declaration += f'queries = "{split}.jsonl"\nqrels = "{bank}/qrels/{split}.tsv"\n'
    (tmp_path / "suite.toml").write_text(declaration, encoding="utf-8")
    found = Evaluator(suites.load(tmp_path), {"bm25": BM25("bm25", Config(kind="bm25"))}, store).result("bm25", "test")
    measured = found.no_answer
    assert (measured.n_unanswerable, measured.n_answerable) == (1_200, 3_051)
    assert measured.answered == pytest.approx(0.95, abs=0.015)  # as on dev, within sampling error
    assert 0.40 < measured.false_positive_rate < 0.55
    assert measured.value == pytest.approx(0.297, abs=0.002)  # the data set's own figure for BM25
    assert measured.value - 0.02 < measured.value_at_threshold < measured.value
