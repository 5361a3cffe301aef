"""Claims about bench.decide.costs: every formula on numbers worked on paper, or on public examples."""

from __future__ import annotations

from datetime import date

import pytest

from bench.base.errors import ConfigError
from bench.config import DecideConfig, DecideOption, PriceConfig, PricesConfig
from bench.decide.costs import (
    GIB,
    Cost,
    Line,
    Quantities,
    benefit,
    cost_of,
    payback_months,
    scaled_index_bytes,
    value_of_answer,
    vector_bytes,
)
from bench.decide.options import Facts
from bench.retrieval.indexes.exact import DenseIndex
from bench.retrieval.precisions import PRECISIONS
from bench.retrieval.systems.rerank import Config as Rerank


def price(usd):
    return PriceConfig(usd=usd, source="a price list", date=date(2026, 1, 1))


def line(cost, what):
    return next(one for one in cost.lines if one.what.startswith(what))


# --- storage ---


@pytest.mark.parametrize(
    ("documents", "dim", "gib"),
    [
        # Shakir, Aarsen & Lee 2024, "Binary and Scalar Embedding Quantization", first table (huggingface.co/blog/
        # embedding-quantization): its GB are GiB. 250e6 · 1024 · 4 / 2³⁰ = 953.674.
        (250e6, 1024, 953.67),
        (100e6, 384, 143.05),
        (250e6, 384, 357.63),
        (1e9, 384, 1430.51),
        (100e6, 768, 286.10),
        (250e6, 768, 715.26),
    ],
)
def test_storage_agrees_with_the_public_table(documents, dim, gib):
    assert vector_bytes(documents, dim, "float32") / GIB == pytest.approx(gib, abs=0.0051)


def test_price_of_storage_agrees_with_the_public_table():
    # The same table: 250 million × 1024 float32 at $3.8 a GB and month are $3,623 (953.674 · 3.8 = 3623.96, cut).
    facts = {"m": Facts("m", DecideOption("embedding"), dim=1024, precision="float32", weights="w")}
    config = DecideConfig(documents=250_000_000, prices=PricesConfig(storage_gib_month=price(3.8)))
    cost = cost_of("m", "stay", current="m", facts=facts, config=config, measured=Quantities(documents=10))
    stored = line(cost, "vectors of m")
    assert int(stored.usd) == 3623
    assert stored.quantity == pytest.approx(953.674, abs=0.001)
    assert (stored.unit, stored.when, stored.price) == ("GiB", "monthly", "storage_gib_month")


def test_precisions_take_the_bytes_of_their_codes():
    # A document of 10 dimensions: 40, 20, 10, 5 and 2 bytes; rescoring keeps 40 beside 2. Ranges: 8 a dimension, once.
    sizes = {p: vector_bytes(100, 10, p) for p in PRECISIONS}
    assert sizes == {
        "float32": 4000, "float16": 2000, "int8": 1080, "int4": 580, "binary": 200, "binary-rescore": 4200,
    }  # fmt: skip
    with pytest.raises(ConfigError, match="int7"):
        vector_bytes(1, 1, "int7")


@pytest.mark.parametrize("precision", PRECISIONS)
def test_storage_is_what_the_index_says_of_itself(precision):
    import numpy as np

    rows = np.random.default_rng(0).normal(size=(17, 11)).astype(np.float32)
    assert vector_bytes(17, 11, precision) == DenseIndex.build(rows, precision).bytes


def test_graph_adds_its_bytes_to_each_document():
    # HNSW with M = 32 keeps 64 links of 4 bytes on its lowest layer: 256 bytes a document.
    assert vector_bytes(1000, 384, "int8", graph_bytes=256) == 1000 * (384 + 256) + 8 * 384


def test_term_index_grows_with_the_documents():
    assert scaled_index_bytes(231_000, measured_documents=719, documents=7190) == pytest.approx(2_310_000)


# --- a whole option ---

FACTS = {
    "base": Facts("base", DecideOption("embedding"), dim=100, precision="float32", weights="b"),
    "api": Facts("api", DecideOption("embedding"), dim=100, precision="float32", paid_by_token=True, weights="a"),
    "bm25": Facts("bm25", DecideOption("bm25", stores="term index")),
    "hybrid": Facts("hybrid", DecideOption("hybrid"), parts=("bm25", "base")),
    "tuned": Facts("tuned", DecideOption("embedding"), dim=100, precision="float32", weights="t", trained=("r",)),
    "reranked": Facts("reranked", Rerank.option, parts=("base",), reorders=50),
    "python": Facts("python", DecideOption("other")),
}
MEASURED = Quantities(
    documents=1000,
    index={"bm25": (2**20, 1000)},
    encode_rate={"b": 100.0, "t": 50.0},
    query_rate={"b": 200.0, "t": 100.0},
    stage_rate={("reranked", "rerank"): 20.0},
    training_seconds={"r": 7200.0},
    tokens_per_document=500.0,
    tokens_per_query=10.0,
    pairs=1200,
)


def cost(system, option="stay", current="base", **config):
    return cost_of(system, option, current=current, facts=FACTS, config=DecideConfig(**config), measured=MEASURED)


def test_embedding_anew_by_machine():
    # 3.6 million documents at 50 a second: 72,000 s, 20 hours; at $1.5 an hour $30.
    found = line(
        cost("tuned", "fine-tune", documents=3_600_000, prices=PricesConfig(machine_hour=price(1.5))), "embed every"
    )
    assert (found.when, found.quantity, found.usd) == ("once", pytest.approx(20), pytest.approx(30))


def test_embedding_anew_by_the_token():
    # 250 million documents of 500 tokens are 125,000 million tokens; at $0.02 a million $2,500.
    prices = PricesConfig(embedding_million_tokens=price(0.02))
    found = line(cost("api", "embedding", documents=250_000_000, prices=prices), "embed every")
    assert (found.quantity, found.usd) == (pytest.approx(125_000), pytest.approx(2500))


def test_stated_throughput_and_tokens_outrank_measured_ones():
    config = {"documents": 3_600_000, "documents_per_second": 1000.0, "tokens_per_document": 100.0}
    assert line(cost("tuned", "fine-tune", **config), "embed every").quantity == pytest.approx(1)
    assert line(cost("api", "embedding", **config), "embed every").quantity == pytest.approx(360)


def test_what_stands_already_is_not_built_again():
    assert not [one for one in cost("hybrid", "hybrid").lines if one.when == "once"]
    assert [one.what for one in cost("tuned", "fine-tune").lines if one.when == "once"] == [
        "embed every document with tuned",
        "train r",
    ]
    assert not [one for one in cost("tuned", "stay", current="tuned").lines if one.when == "once"]


def test_training_costs_its_measured_time():
    # 7,200 s are two hours; at $4 an hour $8.
    found = line(cost("tuned", "fine-tune", prices=PricesConfig(training_hour=price(4))), "train r")
    assert (found.quantity, found.usd) == (pytest.approx(2), pytest.approx(8))


def test_training_again_comes_with_embedding_again():
    # Every four months: 2/4 hours of training, and 1,000 documents / 4 at 50 a second a month.
    found = cost("tuned", "fine-tune", retrain_months=4)
    assert line(found, "train r again").quantity == pytest.approx(0.5)
    assert line(found, "embed every document again").quantity == pytest.approx(1000 / 4 / 50 / 3600)


def test_changed_documents_are_embedded_every_month():
    found = line(cost("base", changed_per_month=0.1), "embed documents that changed")
    assert (found.when, found.quantity) == ("monthly", pytest.approx(1000 * 0.1 / 100 / 3600))


def test_queries_cost_their_encoding_and_reranking():
    # A million queries: 200 encoded a second are 5,000 s; 20 reranked a second are 50,000 s.
    found = cost("reranked", "rerank", queries_per_month=1_000_000, prices=PricesConfig(machine_hour=price(0.9)))
    assert line(found, "encode queries").quantity == pytest.approx(5000 / 3600)
    assert line(found, "rerank the first 50").quantity == pytest.approx(50_000 / 3600)
    assert line(found, "rerank the first 50").usd == pytest.approx(12.5)


def test_reranker_may_be_priced_by_the_query():
    # $2 a thousand queries (a vendor's list price): a million queries are $2,000.
    prices = PricesConfig(rerank_thousand_queries=price(2))
    found = line(cost("reranked", "rerank", queries_per_month=1_000_000, prices=prices), "rerank the first 50")
    assert (found.quantity, found.usd) == (1000, 2000)


def test_queries_by_the_token():
    prices = PricesConfig(embedding_million_tokens=price(0.02))
    found = line(cost("api", "embedding", queries_per_month=1_000_000, prices=prices), "encode queries")
    assert (found.quantity, found.usd) == (pytest.approx(10), pytest.approx(0.2))


def test_hybrid_pays_for_both_indexes():
    found = cost("hybrid", "hybrid", documents=1_000_000)
    assert line(found, "term index").quantity == pytest.approx(2**20 * 1000 / GIB)
    assert found.index_bytes == pytest.approx(2**20 * 1000 + 1_000_000 * 400)


def test_language_model_work_is_counted_in_tokens():
    prices = PricesConfig(llm_million_tokens=price(1))
    rewriting = cost("base", "query-rewriting", queries_per_month=10_000, rewriting_tokens_per_query=300, prices=prices)
    assert line(rewriting, "rewrite queries").usd == pytest.approx(3)
    # Chunks with a context are other texts: all are embedded anew, though the model is the one in use.
    chunks = cost("base", "contextual-chunks", documents=1000, context_tokens_per_document=800, prices=prices)
    assert line(chunks, "a context for each").usd == pytest.approx(0.8)
    assert line(chunks, "embed every document").when == "once"


def test_what_is_not_stated_is_missing_and_never_zero():
    found = cost("tuned", "fine-tune")
    assert set(found.missing) == {
        "prices.storage_gib_month", "prices.machine_hour", "prices.training_hour", "queries_per_month",
    }  # fmt: skip
    document = found.to_json()
    assert (document["once_usd"], document["monthly_usd"]) == (None, None)
    unknown = cost("python", "other")
    assert unknown.index_bytes is None
    assert "a measured size" in unknown.missing


def test_untrained_recipe_says_how_to_train_it():
    measured = Quantities(documents=1000)
    found = cost_of("tuned", "fine-tune", current="base", facts=FACTS, config=DecideConfig(), measured=measured)
    assert line(found, "train r").missing == ("a trained model of r: bench finetune r", "prices.training_hour")
    assert "documents_per_second" in line(found, "embed every").missing


def test_sum_over_months():
    lines = (Line("a", "once", 1, "", "label", 100.0, ""), Line("b", "monthly", 1, "", "label", 7.5, ""))
    assert Cost(lines, None).total(12) == 190.0


# --- value ---


def test_payback():
    # $1,000 once and $50 a month against $150 a month: 1,000 / 100 = 10 months.
    assert payback_months(1000, 50, 150) == 10
    assert payback_months(1000, 150, 150) is None
    assert payback_months(1000, 200, 150) is None
    # Nothing to pay back; and an option that costs more than it brings, although nothing had to be built.
    assert payback_months(0, -5, 0) == 0
    assert payback_months(0, 5, 1) is None


def test_answer_is_worth_its_value_and_the_tokens_that_it_saves():
    prices = PricesConfig(answered_query=price(0.5), llm_million_tokens=price(2))
    assert value_of_answer(DecideConfig(prices=prices)) == 0.5
    # 10,000 tokens at $2 a million are two cents.
    saved = DecideConfig(prices=prices, llm_tokens_saved_per_answered_query=10_000)
    assert value_of_answer(saved) == pytest.approx(0.52)
    assert value_of_answer(DecideConfig(llm_tokens_saved_per_answered_query=10_000)) is None
    assert value_of_answer(DecideConfig()) is None


def costs(once, monthly):
    lines = (Line("a", "once", 1, "", "label", once, ""), Line("b", "monthly", 1, "", "label", monthly, ""))
    return Cost(lines, None)


def test_payback_at_the_gain_and_at_the_ends_of_its_interval():
    # +.05 of 10,000 queries at $1: $500 a month; $1,000 once and $100 a month more: 1,000 / 400 = 2.5 months.
    config = DecideConfig(queries_per_month=10_000, prices=PricesConfig(answered_query=price(1)))
    found = benefit(costs(1000, 300), costs(0, 200), delta=0.05, ci=(0.01, 0.09), config=config)
    assert (found.monthly_value, found.extra_once, found.extra_monthly) == (500, 1000, 100)
    assert found.payback == 2.5
    # At .09: 1,000 / 800; at .01 it brings what it costs, and never pays.
    assert found.payback_range == (1.25, None)


@pytest.mark.parametrize("lacking", ["value", "queries", "price"])
def test_without_value_queries_or_a_price_there_is_no_payback(lacking):
    prices = PricesConfig() if lacking == "value" else PricesConfig(answered_query=price(1))
    config = DecideConfig(queries_per_month=None if lacking == "queries" else 10, prices=prices)
    unpriced = Cost((Line("a", "once", 1, "", "label", None, "", ("prices.label",)),), None)
    cost = unpriced if lacking == "price" else costs(1, 1)
    assert benefit(cost, costs(0, 0), delta=0.1, ci=None, config=config) is None
