"""Cost of an option, once and every month, from measured quantities and the prices of the config.

Nothing is priced by default. A quantity without a price is shown and left out of the sum, which then says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.base.errors import ConfigError
from bench.base.json_records import JsonRecord
from bench.config import DecideConfig, PriceConfig
from bench.decide.options import RERANK, Facts, recipes
from bench.retrieval.precisions import PRECISIONS

GIB = 2**30
HOUR = 3600.0


def vector_bytes(documents: float, dim: int, precision: str, *, graph_bytes: float = 0.0) -> float:
    """Bytes of an index of vectors.

    documents × (bytes of a vector + graph_bytes). A vector has 4 bytes a dimension as float32, 2 as float16, 1 as
    int8, half of one as int4, an eighth as binary, each rounded up to whole bytes; binary-rescore keeps float32 rows
    beside the bits, and int8 and int4 keep 8 bytes a dimension, once, for their ranges.

    Source: the rows of `bench.retrieval.precisions`; 250 million × 1024 float32 is 953.67 GiB, as in
    Shakir, Aarsen & Lee 2024, "Binary and Scalar Embedding Quantization" (huggingface.co/blog/embedding-quantization).
    """
    if precision not in PRECISIONS:
        raise ConfigError(f'Precision is "{precision}"; expected one of {", ".join(PRECISIONS)}.')
    return PRECISIONS[precision].index_bytes(documents, dim, beside=graph_bytes)


def scaled_index_bytes(measured: float, *, measured_documents: int, documents: float) -> float:
    """Bytes of an index, scaled from a measured one: a term index has a posting for each term of each document."""
    return measured * documents / measured_documents


def payback_months(once: float, monthly: float, monthly_value: float) -> float | None:
    """Months until the value has paid for the costs: once / (monthly_value − monthly).

    0 where nothing has to be paid back; None where a month costs at least what it brings.
    """
    net = monthly_value - monthly
    if once <= 0 and net >= 0:
        return 0.0
    return once / net if net > 0 else None


@dataclass(frozen=True)
class Quantities:
    """Quantities from stored results, models and texts; None or absent where not known.

    Attributes:
        documents: of the suite's largest corpus.
        index: bytes and documents of an index that holds no vectors, by system.
        encode_rate: documents a second, by an encoder's weights.
        query_rate: queries a second, by an encoder's weights.
        stage_rate: queries a second of a stage that every query costs, by system and stage.
        training_seconds: by recipe, all of its seeds together.
        tokens_per_document: by the base's tokenizer.
        tokens_per_query: likewise.
        pairs: labelled training pairs of the suite.
    """

    documents: int = 0
    index: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    encode_rate: Mapping[str, float] = field(default_factory=dict)
    query_rate: Mapping[str, float] = field(default_factory=dict)
    stage_rate: Mapping[tuple[str, str], float] = field(default_factory=dict)
    training_seconds: Mapping[str, float] = field(default_factory=dict)
    tokens_per_document: float | None = None
    tokens_per_query: float | None = None
    pairs: int | None = None


@dataclass(frozen=True)
class Line:
    """One cost: a quantity in the unit of its price, "once" or "monthly".

    `usd` is None where the quantity or its price is not known; `missing` then names the keys to state.
    """

    what: str
    when: str
    quantity: float | None
    unit: str
    price: str
    usd: float | None
    formula: str
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cost(JsonRecord, keys="index_bytes missing lines"):
    """All cost lines of an option. Sums leave out lines without a price; `missing` names what they lack."""

    lines: tuple[Line, ...]
    index_bytes: float | None

    def sum(self, when: str) -> float:
        """Dollars of all priced lines, once or monthly."""
        return sum(line.usd or 0.0 for line in self.lines if line.when == when)

    @property
    def missing(self) -> tuple[str, ...]:
        """Keys of `[decide]` that are missing for complete sums."""
        return tuple(dict.fromkeys(key for line in self.lines for key in line.missing))

    def total(self, months: float) -> float:
        """Dollars of all priced lines over a number of months."""
        return self.sum("once") + months * self.sum("monthly")

    def to_json(self) -> dict[str, Any]:
        """Sums and lines; a sum is null where part of it has no price."""
        unpriced = {line.when for line in self.lines if line.missing}
        sums = {when: self.sum(when) for when in ("once", "monthly")}
        return {
            **{f"{when}_usd": None if when in unpriced else usd for when, usd in sums.items()},
            **{f"priced_{when}_usd": usd for when, usd in sums.items()},
            **super().to_json(),
        }


UNITS = {
    "storage_gib_month": "GiB",
    "machine_hour": "machine hours",
    "training_hour": "training hours",
    "embedding_million_tokens": "million tokens",
    "llm_million_tokens": "million tokens",
    "rerank_thousand_queries": "thousand queries",
}
"""Price → the unit of the quantity that it is multiplied with."""


class _CostTable:
    """Collects the lines of one option, each with its price."""

    def __init__(self, config: DecideConfig, measured: Quantities, stages: Mapping[str, Facts]) -> None:
        self.config, self.measured, self.stages = config, measured, stages
        self.documents = float(config.documents or measured.documents)
        self.encoders = {stage.weights: stage for stage in stages.values() if stage.weights}
        self.lines: list[Line] = []

    def add(
        self,
        what: str,
        when: str,
        price: str,
        formula: str,
        inputs: Mapping[str, float | None],
        quantity: Callable[..., float],
    ) -> None:
        """Add a line for `quantity` of the inputs, unless it is 0. An input that is None makes the quantity unknown."""
        missing = [key for key, value in inputs.items() if value is None]
        amount = None if missing else quantity(*inputs.values())
        if amount == 0:
            return
        stated: PriceConfig | None = getattr(self.config.prices, price)
        missing += [] if stated else [f"prices.{price}"]
        usd = None if amount is None or stated is None else amount * stated.usd
        self.lines.append(Line(what, when, amount, UNITS[price], price, usd, formula, tuple(missing)))

    def add_embedding(self, what: str, when: str, stage: Facts, documents: float, formula: str = "{}") -> None:
        """Add a line for embedding this many documents: tokens of a server, else hours of a machine."""
        if stage.paid_by_token:
            tokens = self.config.tokens_per_document or self.measured.tokens_per_document
            formula = formula.format("documents × tokens a document / 1,000,000")
            inputs = {"tokens_per_document": tokens}
            self.add(what, when, "embedding_million_tokens", formula, inputs, lambda t: documents * t / 1e6)
        else:
            rate = self.config.documents_per_second or self.measured.encode_rate.get(stage.weights) or None
            formula = formula.format("documents / documents a second / 3,600")
            inputs = {"documents_per_second": rate}
            self.add(what, when, "machine_hour", formula, inputs, lambda r: documents / r / HOUR)

    def add_storage(self) -> float | None:
        """Add the indexes of all stages; their bytes, None where one of them is not known."""
        total: float | None = 0.0
        for name, stage in self.stages.items():
            if stage.dim and stage.precision:
                graph = self.config.graph_bytes_per_document
                size = vector_bytes(self.documents, stage.dim, stage.precision, graph_bytes=graph)
                formula = "documents × (bytes of a vector + graph_bytes_per_document) / 2³⁰"
                what = f"vectors of {name}: {stage.dim} dimensions, {stage.precision}"
            elif stage.parts:
                continue
            elif name in self.measured.index:
                n_bytes, n_documents = self.measured.index[name]
                size = scaled_index_bytes(n_bytes, measured_documents=n_documents, documents=self.documents)
                what = f"{stage.option.stores} of {name}"
                formula = "measured bytes × documents / measured documents / 2³⁰"
            else:
                inputs = {"a measured size": None}
                self.add(f"index of {name}", "monthly", "storage_gib_month", "not known", inputs, float)
                total = None
                continue
            total = None if total is None else total + size
            self.add(what, "monthly", "storage_gib_month", formula, {"size": size}, lambda n: n / GIB)
        return total

    def add_documents(self, present: set[str], *, contextual: bool) -> None:
        """Add embedding: all documents once with a model that is not `present`, and every month those that change."""
        for weights, stage in self.encoders.items():
            if weights not in present or contextual:
                self.add_embedding(f"embed every document with {stage.system}", "once", stage, self.documents)
            if self.config.changed_per_month:
                changed = self.documents * self.config.changed_per_month
                what = f"embed documents that changed with {stage.system}"
                self.add_embedding(what, "monthly", stage, changed, "changed_per_month × {}")
        if contextual:
            inputs = {"context_tokens_per_document": self.config.context_tokens_per_document}
            formula = "documents × context_tokens_per_document / 1,000,000"
            what = "a context for each document"
            self.add(what, "once", "llm_million_tokens", formula, inputs, lambda t: self.documents * t / 1e6)

    def add_training(self, present: Sequence[str]) -> None:
        """Add training once for a recipe that is not `present`, and every `retrain_months` training and embedding."""
        months = self.config.retrain_months
        trained = {recipe: stage for stage in self.stages.values() for recipe in stage.trained}
        for recipe, stage in trained.items():
            seconds = self.measured.training_seconds.get(recipe)
            inputs = {f"a trained model of {recipe}: bench finetune {recipe}": seconds}
            if recipe not in present:
                what, formula = f"train {recipe}", "measured seconds / 3,600"
                self.add(what, "once", "training_hour", formula, inputs, lambda s: s / HOUR)
            if months:
                what, formula = f"train {recipe} again", "measured seconds / 3,600 / retrain_months"
                self.add(what, "monthly", "training_hour", formula, inputs, lambda s: s / HOUR / months)
                if stage.weights:
                    what = f"embed every document again after training {recipe}"
                    self.add_embedding(what, "monthly", stage, self.documents / months, "{} / retrain_months")

    def add_queries(self, *, rewriting: bool) -> None:
        """Add the monthly cost of queries: encoding, reranking and the like, rewriting."""
        config, measured = self.config, self.measured
        monthly: dict[str, float | None] = {"queries_per_month": config.queries_per_month or None}
        for weights, stage in self.encoders.items():
            what = f"encode queries with {stage.system}"
            if stage.paid_by_token:
                inputs = monthly | {"tokens_per_query": config.tokens_per_query or measured.tokens_per_query}
                formula = "queries_per_month × tokens a query / 1,000,000"
                self.add(what, "monthly", "embedding_million_tokens", formula, inputs, lambda n, t: n * t / 1e6)
            else:
                rate = measured.query_rate.get(weights) or None
                inputs = monthly | {f"a measured time: bench run --system {stage.system}": rate}
                formula = "queries_per_month / queries a second / 3,600"
                self.add(what, "monthly", "machine_hour", formula, inputs, lambda n, r: n / r / HOUR)
        for name, stage in self.stages.items():
            for key, does in stage.option.per_query.items():
                what = f"rerank the first {stage.reorders} of each query" if stage.reorders else f"{does} with {name}"
                if stage.reorders and config.prices.rerank_thousand_queries:
                    formula = "queries_per_month / 1,000"
                    self.add(what, "monthly", "rerank_thousand_queries", formula, monthly, lambda n: n / 1000)
                else:
                    rate = measured.stage_rate.get((name, key)) or None
                    inputs = monthly | {f"a measured time: bench run --system {name}": rate}
                    formula = "queries_per_month × measured seconds a query / 3,600"
                    self.add(what, "monthly", "machine_hour", formula, inputs, lambda n, r: n / r / HOUR)
        if rewriting:
            inputs = monthly | {"rewriting_tokens_per_query": config.rewriting_tokens_per_query}
            formula = "queries_per_month × rewriting_tokens_per_query / 1,000,000"
            self.add("rewrite queries", "monthly", "llm_million_tokens", formula, inputs, lambda n, t: n * t / 1e6)


def cost_of(
    system: str, kind: str, *, current: str, facts: Mapping[str, Facts], config: DecideConfig, measured: Quantities
) -> Cost:
    """Cost of running a system as an option of this kind; parts of the `current` system need not be built again.

    Once: embedding every document with a model that is not in use yet, training, a language model's context for each
    document. Every month: storage, documents that changed, encoding queries, reranking, rewriting, and where
    `retrain_months` is given, training and embedding anew.
    """
    table = _CostTable(config, measured, _stages(system, facts))
    base = kind.removesuffix(RERANK)
    index_bytes = table.add_storage()
    present = {stage.weights for stage in _stages(current, facts).values()}
    table.add_documents(present, contextual=base == "contextual-chunks")
    table.add_training(recipes(current, facts))
    table.add_queries(rewriting=base == "query-rewriting")
    return Cost(tuple(table.lines), index_bytes)


def _stages(system: str, facts: Mapping[str, Facts]) -> dict[str, Facts]:
    """A system and all of its parts, by name."""
    stages = {system: facts[system]}
    for part in facts[system].parts:
        stages |= _stages(part, facts)
    return stages


@dataclass(frozen=True)
class Benefit(
    JsonRecord,
    keys="monthly_value_usd=monthly_value extra_once_usd=extra_once extra_monthly_usd=extra_monthly "
    "payback_months=payback payback_months_range=payback_range",
):
    """Value of a gain per month, and the months until an option has paid for itself compared with the current system.

    `payback` is None where the cost is never recovered. `payback_range` belongs to the ends of the gain's interval,
    the better end first. There is a Benefit only where the value of an answered query is stated.
    """

    monthly_value: float
    extra_once: float
    extra_monthly: float
    payback: float | None
    payback_range: tuple[float | None, float | None]


def value_of_answer(config: DecideConfig) -> float | None:
    """Value of one more answered query in dollars: its stated value, and the language-model tokens that it saves."""
    prices = config.prices
    value = prices.answered_query.usd if prices.answered_query else None
    tokens = config.llm_tokens_saved_per_answered_query
    if tokens is not None and prices.llm_million_tokens is not None:
        value = (value or 0.0) + tokens * prices.llm_million_tokens.usd / 1e6
    return value


def benefit(
    cost: Cost, current: Cost, *, delta: float, ci: tuple[float, float] | None, config: DecideConfig
) -> Benefit | None:
    """Benefit of an option over the current system; None unless a value, queries per month and every price are stated.

    A gain of 0.02 in the primary measure is read as 2 % of the queries answered in addition.
    """
    value, queries = value_of_answer(config), config.queries_per_month
    if value is None or queries is None or cost.missing or current.missing:
        return None
    once, monthly = cost.sum("once") - current.sum("once"), cost.sum("monthly") - current.sum("monthly")
    low, high = ci or (delta, delta)
    payback, shortest, longest = (payback_months(once, monthly, gain * queries * value) for gain in (delta, high, low))
    return Benefit(delta * queries * value, once, monthly, payback, (shortest, longest))
