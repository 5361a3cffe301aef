"""`[decide]`: what is in use, what is planned for, what things cost."""

from __future__ import annotations

from datetime import date

from pydantic import Field

from bench.config.base import Strict


class PriceConfig(Strict):
    """One price in US dollars, with where and when it was found: a price without them is a guess."""

    usd: float = Field(ge=0)
    source: str = Field(min_length=1)
    date: date


class PricesConfig(Strict):
    """Prices of `[decide]`, each for the unit that its name says; what has no price is not priced."""

    storage_gib_month: PriceConfig | None = None
    embedding_million_tokens: PriceConfig | None = None
    machine_hour: PriceConfig | None = None
    training_hour: PriceConfig | None = None
    label: PriceConfig | None = None
    rerank_thousand_queries: PriceConfig | None = None
    llm_million_tokens: PriceConfig | None = None
    answered_query: PriceConfig | None = None


class ThresholdConfig(Strict):
    """Another value for a named rule of `bench decide`, and why."""

    value: float
    source: str = Field(min_length=1)


class DecideConfig(Strict):
    """`[decide]`: what is in use, what is planned for, what things cost."""

    current: str | None = None
    systems: list[str] | None = Field(default=None, min_length=1)
    options: dict[str, str] = {}
    effort: dict[str, float] = {}
    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    minimum_gain: float = Field(default=0.02, gt=0, lt=1)
    out_of_distribution_margin: float = Field(default=0.03, gt=0, lt=1)
    documents: int | None = Field(default=None, ge=1)
    queries_per_month: int | None = Field(default=None, ge=1)
    horizon_months: float = Field(default=12, gt=0)
    retrain_months: float | None = Field(default=None, gt=0)
    changed_per_month: float | None = Field(default=None, ge=0, le=1)
    tokens_per_document: float | None = Field(default=None, gt=0)
    tokens_per_query: float | None = Field(default=None, gt=0)
    documents_per_second: float | None = Field(default=None, gt=0)
    graph_bytes_per_document: float = Field(default=0, ge=0)
    rewriting_tokens_per_query: float | None = Field(default=None, gt=0)
    context_tokens_per_document: float | None = Field(default=None, gt=0)
    llm_tokens_saved_per_answered_query: float | None = Field(default=None, ge=0)
    prices: PricesConfig = PricesConfig()
    thresholds: dict[str, ThresholdConfig] = {}
