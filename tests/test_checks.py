"""Claims about bench.suites.checks on data that nobody here wrote, and about near-duplicates against all pairs."""

from __future__ import annotations

import random
import time
from pathlib import Path

import numpy as np
import pytest

from bench.evaluation.measure import measure
from bench.records import Corpus, EvalProtocol, Finding, Labels, Suite
from bench.records.measures import parse
from bench.retrieval.systems.bm25 import BM25, Config
from bench.suites import suite as suite_module
from bench.suites.checks import check
from bench.suites.checks import near as near_module
from bench.suites.checks.judgements import ceiling, check_size, size_of
from bench.suites.checks.near import near_duplicates
from bench.suites.checks.saturation import bm25_docs, bm25_measures
from bench.suites.checks.texts import check_texts
from bench.suites.text import content_words, normalized

LONGEST = 30
"""Seconds that a check of a development data set may take."""


def _all_pairs(texts):
    sets = [content_words(normalized(text)) for text in texts]
    return {
        (i, j)
        for j, other in enumerate(sets)
        for i, one in enumerate(sets[:j])
        if one and 5 * len(one & other) >= 4 * len(one | other)
    }


def _pairs(near):
    """Pairs of rows, from sets and pairs of sets."""
    rows = range(len(near.word_set))
    together = {tuple(pair) for pair in near.pairs.tolist()}
    return {
        (i, j)
        for j in rows
        for i in rows[:j]
        if near.word_set[i] >= 0
        and (
            near.word_set[i] == near.word_set[j]
            or tuple(sorted((int(near.word_set[i]), int(near.word_set[j])))) in together
        )
    }


def _texts(n=250):
    rng = random.Random(3)
    words = [f"word{i}" for i in range(60)]
    texts = [" ".join(rng.sample(words, rng.randint(1, 12))) for _ in range(n // 2)]
    # Half of them change or drop a word of another: around the threshold.
    for text in list(texts):
        kept = text.split()
        kept[rng.randrange(len(kept))] = rng.choice(words)
        texts.append(" ".join(rng.sample(kept, len(kept))))
    return [*texts, "", "the of and", "What is the"]


@pytest.mark.parametrize("block", [near_module.BLOCK, 64])
def test_near_duplicates_are_those_that_comparing_all_pairs_finds(block, monkeypatch):
    monkeypatch.setattr(near_module, "BLOCK", block)
    texts = _texts()
    near = near_duplicates(texts)
    expected = _all_pairs(texts)
    assert len(expected) > 40
    assert _pairs(near) == expected
    rows = {row for pair in expected for row in pair}
    assert set(np.flatnonzero(near.similar_to(np.ones(len(texts), dtype=bool)))) == rows
    assert near.n_similar(list(range(len(texts)))) == len(rows)


def test_texts_without_content_words_resemble_nothing():
    near = near_duplicates(["", "the", "of", "..."])
    assert not near.similar_to(np.ones(4, dtype=bool)).any()
    assert near_duplicates([]).pairs.shape == (0, 2)


def test_resembling_leaves_out_what_is_only_equal():
    texts = ["red green blue black white", "Red  GREEN blue black white", "one two three", "one three two"]
    assert near_duplicates(texts).near_duplicates().tolist() == [False, False, True, True]


def test_a_thousand_copies_of_a_template_are_not_compared_one_by_one():
    stem = " ".join(f"word{i}" for i in range(20))
    texts = [f"{stem} number{i}" for i in range(4_000)]
    started = time.perf_counter()
    assert near_duplicates(texts).near_duplicates().all()
    assert time.perf_counter() - started < 20


def test_plain_words_of_many_languages_are_no_leftovers():
    texts = [
        "Größe, Ångström, naïve façade, São Paulo, ÂGE, Été",
        "if a < b && c > d then a <= b",
        "می‌خواهم 自転車 ग्राहक 👩‍🔧",
        "“quoted” – dash … 5 € ±2 °C §4",
    ]
    corpus = Corpus.build("kb", ((f"d{i}", text) for i, text in enumerate(texts)))
    assert list(check_texts(corpus)) == []


# --- numbers beside those of the measuring code --------------------------------------------------------


@pytest.mark.filterwarnings("ignore")
def test_bm25_numbers_are_those_of_measure(tiny_suite, make_run):
    suite, query_set = tiny_suite.suite, tiny_suite.suite.query_sets["shop"]
    corpus = suite.corpora["manual"]
    ranked = BM25("bm25", Config(kind="bm25")).warm(corpus)(query_set, depth=10, parts=[])
    found = bm25_measures(suite, query_set, ranked.docs, corpus)
    run = make_run(
        {
            query_id: [(corpus.ids[d], float(s)) for d, s in zip(docs, scores, strict=True) if d >= 0]
            for query_id, docs, scores in zip(query_set.ids, ranked.docs, ranked.scores, strict=True)
        }
    )
    expected = measure(run, suite.qrels("shop"), list(found)).means()
    assert found == pytest.approx(expected, abs=1e-9)


def test_a_query_that_is_a_document_does_not_find_itself(make_queries):
    texts = {"d1": "chain oil for the chain", "d2": "chain oil", "d3": "brake pads"}
    queries = {"d1": "chain oil for the chain", **{f"q{i}": "brake pads" for i in range(5)}}
    corpus, query_set = Corpus.build("corpus", texts.items()), make_queries(queries)
    labels = Labels({q: {"d2" if q == "d1" else "d3": 1} for q in queries})
    for drop_self, first in ((False, 5 / 6), (True, 1.0)):
        protocol = EvalProtocol(("recall@10",), drop_self=drop_self)
        suite = Suite("s", 1, "", protocol, {"corpus": corpus}, {"shop": query_set}, {"shop": labels})
        docs = bm25_docs(suite, query_set, BM25("bm25", Config(kind="bm25")).warm(corpus))
        assert bm25_measures(suite, query_set, docs, corpus)["recall@1"] == pytest.approx(first)


def test_ceiling_is_what_the_best_ranking_scores(tiny_suite, make_run):
    suite = tiny_suite.edit("suite.toml", "depth = 100", "depth = 1")
    qrels = suite.qrels("shop")
    best = make_run({q: [(d, float(g)) for d, g in sorted(grades.items()) if g] for q, grades in qrels.items()})
    names = ["recall@1", "recall@10", "precision@10", "ndcg@10", "ndcg@1", "mrr@10", "map", "hit@10"]
    expected = measure(best, qrels, names, depth=1).means()
    found = {name: ceiling(suite, suite.query_sets["shop"], parse(name)) for name in names}
    assert found == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("sizes", [[4] * 10, [1] * 60, [1] * 20 + [5] * 4 + [20], [2, 3]])
def test_power_counts_needs_where_clusters_are_declared(sizes, make_queries):
    """SciPy's noncentral t has the stated power at the stated drop, and with as many needs as are asked for."""
    from scipy.stats import nct, t

    owner = [need for need, size in enumerate(sizes) for _ in range(size)]
    n, needs = len(owner), len(sizes)
    query_set = make_queries({f"q{i}": f"number {i}" for i in range(n)})
    labels = Labels({q: {"d": 1} for q in query_set.ids}, {f"q{i}": f"c{c}" for i, c in enumerate(owner)})
    suite = Suite("s", 1, "", EvalProtocol(("mrr@10",)), {}, {"shop": query_set}, {"shop": labels})
    found = {f.code: f for f in check_size(size_of(suite, query_set), query_set)}
    # Where the queries of a need move together and one in ten changes by 1, each need's sum has variance m² · .1.
    variance_of_mean = sum(size**2 for size in sizes) * 0.1 / n**2

    def power(drop, variance, units):
        return nct.sf(t.ppf(0.95, units - 1), units - 1, drop / variance**0.5)

    assert power(found["power"].value, variance_of_mean, needs) == pytest.approx(0.8, abs=2e-3)
    wanted = needs + found["queries-needed"].value
    # With k times the needs of these sizes, the variance is a k-th.
    assert power(0.02, variance_of_mean * needs / wanted, wanted) >= 0.8
    assert power(0.02, variance_of_mean * needs / (wanted - 1), wanted - 1) < 0.8
    assert ("needs" in found["power"].message) == ("needs (clusters)" in found["queries-needed"].message) == (n > needs)
    assert f"({wanted:,} in all)" in found["queries-needed"].message


def test_rephrasings_are_worth_fewer_queries_and_the_sentence_has_both_ends(make_queries):
    # 40 queries of 10 needs: 40² / (10 · 4²) = 10 independent ones at worst, so a design effect of 4.
    query_set = make_queries({f"q{i}": f"number {i}" for i in range(40)})
    labels = Labels({q: {"d": 1} for q in query_set.ids}, {f"q{i}": f"c{i // 4}" for i in range(40)})
    suite = Suite("s", 1, "", EvalProtocol(("mrr@10",)), {}, {"shop": query_set}, {"shop": labels})
    size = size_of(suite, query_set)
    assert (size.n, size.needs, size.effective) == (40, 10, 10.0)
    (power, _) = check_size(size, query_set)
    assert power.message.startswith("40 queries of 10 needs: a drop of about 0.270 is detected ")
    assert "worth 10 queries (design effect 4.0)" in power.message
    assert power.message.endswith("If all 40 are independent, the drop is 0.127.")


# --- data sets that nobody here wrote --------------------------------------------------------------------


class Checked:
    """A data set's suite and findings, and how long they took."""

    def __init__(self, folder: Path) -> None:
        started = time.perf_counter()
        self.suite: Suite = suite_module.load(folder)
        self.findings = check(self.suite)
        self.seconds = time.perf_counter() - started

    def of(self, code: str) -> list[Finding]:
        return [finding for finding in self.findings if finding.code == code]

    def value(self, code: str, where: str = "test") -> float | int | str | None:
        (finding,) = [finding for finding in self.of(code) if finding.where == where]
        return finding.value


@pytest.fixture(scope="module")
def checked(bench_data):
    """checked("cacm") → that data set, checked once for all tests of this module."""
    known: dict[str, Checked] = {}

    def look(name: str) -> Checked:
        if name not in known:
            known[name] = Checked(bench_data / name)
        return known[name]

    return look


def test_banking77_s_near_duplicates_and_ceiling_are_found(checked):
    found = checked("banking77")
    (leak,) = [finding for finding in found.of("near-query-leak") if "train" in finding.message]
    assert 0.24 <= leak.value <= 0.25
    assert leak.severity == "warning"
    # Comparing all pairs finds 747 of 3051, too: see docs/checks.md.
    assert leak.value == round(747 / 3051, 4)
    assert found.value("ceiling") == pytest.approx(0.833, abs=0.0005)


def test_stackfaq_s_threads_are_found(checked):
    found = checked("stackfaq")
    threads = {query_id.split("-")[0] for query_id in found.suite.query_sets["test"].ids}
    assert found.value("undeclared-clusters") == len(threads) == 21


def test_medquad_s_saturation_is_found_with_measures_that_can_show_progress(checked):
    found = checked("medquad")
    assert found.value("saturated") == pytest.approx(0.948, abs=0.0005)
    message = found.of("saturated")[0].message
    assert all(name in message for name in ("recall@1", "recall@5", "ndcg@10", "mrr@10"))
    assert found.value("title-leak") > 0.95


def test_cacm_s_repeated_texts_are_found(checked):
    assert checked("cacm").value("duplicate-documents", "cacm") == 211


def test_cranfield_has_no_error(checked):
    assert [finding for finding in checked("cranfield").findings if finding.severity == "error"] == []


def test_covidqa_s_leaked_query_is_an_error(checked):
    assert checked("covidqa").value("query-leak", "train") == 1


@pytest.mark.parametrize("name", ["banking77", "medquad", "covidqa", "stackfaq", "cacm", "cranfield"])
def test_a_check_takes_seconds(name, checked):
    assert checked(name).seconds < LONGEST


@pytest.mark.parametrize("name", ["covidqa", "medquad", "banking77", "cacm", "cranfield"])
def test_only_stackfaq_has_clusters_by_id(name, checked):
    assert checked(name).of("undeclared-clusters") == []


@pytest.mark.parametrize("name", ["covidqa", "stackfaq", "banking77", "cacm", "cranfield"])
def test_only_medquad_is_saturated(name, checked):
    assert checked(name).of("saturated") == []
