"""What an option takes, once and every month, from measured quantities and prices that the config names.

Every formula is a function of its own. What has no price is told as a quantity and is missing from the sum, which
then says so; nothing is priced by default.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.base.errors import ConfigError
from bench.config import DecideConfig, PriceConfig
from bench.decide.options import RERANK, Facts, recipes
from bench.retrieval.precisions import PRECISIONS

GIB = 2**30
HOUR = 3600.0


# --- formulas --------------------------------------------------------------------------------------


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
    """Months until value has paid for what was spent: once / (monthly_value − monthly).

    0 where nothing has to be paid back, None where it never is: a month costs at least what it brings.
    """
    net = monthly_value - monthly
    if once <= 0 and net >= 0:
        return 0.0
    return once / net if net > 0 else None


# --- what was measured -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Measured:
    """Quantities that stored results, models and texts tell; None or absent where they do not.

    Attributes:
        documents: of the suite's largest corpus.
        index: bytes and documents of an index that holds no vectors, by system.
        encode_rate: documents a second, by an encoder's weights.
        query_rate: queries a second, by an encoder's weights.
        stage_rate: queries a second of a stage that every query costs, by system and stage.
        training_seconds: by recipe, all of its seeds together.
        tokens_per_document: by the base's tokenizer.
        tokens_per_query: likewise.
        pairs: labelled training pairs at hand.
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


# --- a cost ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """One thing that is paid for: a quantity in units of its price, "once" or "monthly".

    `usd` is None where the quantity or its price is not known; `missing` then names what would have to be stated.
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
class Cost:
    """All lines of an option. Sums leave out what has no price, and `missing` says what that is."""

    lines: tuple[Line, ...]
    index_bytes: float | None

    def sum(self, when: str) -> float:
        """Dollars of all priced lines, once or monthly."""
        return sum(line.usd or 0.0 for line in self.lines if line.when == when)

    @property
    def missing(self) -> tuple[str, ...]:
        """Keys of `[decide]` without which the sums are not whole."""
        return tuple(dict.fromkeys(key for line in self.lines for key in line.missing))

    def total(self, months: float) -> float:
        """Dollars over a number of months, of what is priced."""
        return self.sum("once") + months * self.sum("monthly")

    def to_json(self) -> dict[str, Any]:
        """Sums and lines; a sum is null where part of it has no price."""
        whole = {
            when: not any(line.missing for line in self.lines if line.when == when) for when in ("once", "monthly")
        }
        return {
            "once_usd": self.sum("once") if whole["once"] else None,
            "monthly_usd": self.sum("monthly") if whole["monthly"] else None,
            "priced_once_usd": self.sum("once"),
            "priced_monthly_usd": self.sum("monthly"),
            "index_bytes": self.index_bytes,
            "missing": list(self.missing),
            "lines": [vars(line) | {"missing": list(line.missing)} for line in self.lines],
        }


class _Till:
    """Writes lines with their prices."""

    def __init__(self, config: DecideConfig) -> None:
        self.config = config
        self.lines: list[Line] = []

    def add(
        self,
        what: str,
        when: str,
        quantity: float | None,
        unit: str,
        price: str,
        formula: str,
        lacking: Sequence[str | None] = (),
    ) -> None:
        """A line; `lacking` names parameters without which there is no quantity."""
        if quantity == 0:
            return
        found: PriceConfig | None = getattr(self.config.prices, price)
        missing = [key for key in lacking if key] if quantity is None else []
        missing += [] if found else [f"prices.{price}"]
        usd = None if quantity is None or found is None else quantity * found.usd
        self.lines.append(Line(what, when, quantity, unit, price, usd, formula, tuple(missing)))


@dataclass(frozen=True)
class _Plan:
    """What every formula needs: what is planned for, and what was measured."""

    config: DecideConfig
    measured: Measured
    facts: Mapping[str, Facts]

    @property
    def documents(self) -> float:
        """Documents to plan for: the config's, else the suite's."""
        return float(self.config.documents or self.measured.documents)

    def embedding(self, stage: Facts, documents: float) -> tuple[float | None, str, str, str, list[str]]:
        """(quantity, unit, price key, formula, parameters lacking) of embedding so many documents."""
        if stage.paid_by_token:
            tokens = self.config.tokens_per_document or self.measured.tokens_per_document
            quantity = None if tokens is None else documents * tokens / 1e6
            lacking = ["tokens_per_document"] if tokens is None else []
            return (
                quantity,
                "million tokens",
                "embedding_million_tokens",
                "documents × tokens a document / 1,000,000",
                lacking,
            )
        rate = self.config.documents_per_second or self.measured.encode_rate.get(stage.weights)
        quantity = None if not rate else documents / rate / HOUR
        lacking = [] if rate else ["documents_per_second"]
        return quantity, "machine hours", "machine_hour", "documents / documents a second / 3,600", lacking


def cost_of(system: str, kind: str, *, current: str, facts: Mapping[str, Facts], config: DecideConfig,
            measured: Measured) -> Cost:  # fmt: skip
    """What an option takes; `current` is what stands already and costs nothing to build.

    Once: embedding every document with a model that is not in use yet, training, a language model's context for each
    document. Every month: storage, documents that changed, encoding queries, reranking, rewriting, and where
    `retrain_months` is given, training and embedding anew.
    """
    plan, till = _Plan(config, measured, facts), _Till(config)
    stages = _stages(system, facts)
    size = _storage(plan, till, stages)
    _documents(plan, till, stages, _stages(current, facts), kind)
    _training(plan, till, stages, standing=recipes(current, facts))
    _queries(plan, till, stages, kind)
    return Cost(tuple(till.lines), size)


def _stages(system: str, facts: Mapping[str, Facts]) -> dict[str, Facts]:
    """A system and all that it is made of, by name."""
    found = {system: facts[system]}
    for part in facts[system].parts:
        found |= _stages(part, facts)
    return found


def _storage(plan: _Plan, till: _Till, stages: Mapping[str, Facts]) -> float | None:
    total: float | None = 0.0
    for name, stage in stages.items():
        if stage.dim and stage.precision:
            graph = plan.config.graph_bytes_per_document
            size = vector_bytes(plan.documents, stage.dim, stage.precision, graph_bytes=graph)
            formula = "documents × (bytes of a vector + graph_bytes_per_document) / 2³⁰"
            what = f"vectors of {name}: {stage.dim} dimensions, {stage.precision}"
        elif stage.parts:
            continue
        elif name in plan.measured.index:
            held, n = plan.measured.index[name]
            size = scaled_index_bytes(held, measured_documents=n, documents=plan.documents)
            what, formula = f"{stage.option.stores} of {name}", "measured bytes × documents / measured documents / 2³⁰"
        else:
            till.add(f"index of {name}", "monthly", None, "GiB", "storage_gib_month", "not known", ("a measured size",))
            total = None
            continue
        total = None if total is None else total + size
        till.add(what, "monthly", size / GIB, "GiB", "storage_gib_month", formula)
    return total


def _documents(plan: _Plan, till: _Till, stages: Mapping[str, Facts], standing: Mapping[str, Facts], kind: str) -> None:
    """Embedding: all documents once with a new model, and those that change every month."""
    config = plan.config
    present = {stage.weights for stage in standing.values() if stage.weights}
    contextual = kind.removesuffix(RERANK) == "contextual-chunks"
    for weights, stage in {stage.weights: stage for stage in stages.values() if stage.weights}.items():
        what = f"with {stage.system}"
        if weights not in present or contextual:
            quantity, unit, price, formula, lacking = plan.embedding(stage, plan.documents)
            till.add(f"embed every document {what}", "once", quantity, unit, price, formula, lacking)
        if config.changed_per_month:
            changed = plan.documents * config.changed_per_month
            quantity, unit, price, formula, lacking = plan.embedding(stage, changed)
            formula = f"changed_per_month × {formula}"
            till.add(f"embed documents that changed {what}", "monthly", quantity, unit, price, formula, lacking)
    if contextual:
        tokens = config.context_tokens_per_document
        quantity = None if tokens is None else plan.documents * tokens / 1e6
        formula = "documents × context_tokens_per_document / 1,000,000"
        lacking = ["context_tokens_per_document"] if tokens is None else []
        till.add("a context for each document", "once", quantity, "million tokens", "llm_million_tokens", formula,
                 lacking)  # fmt: skip


def _training(plan: _Plan, till: _Till, stages: Mapping[str, Facts], *, standing: Sequence[str]) -> None:
    """Training once, and with embedding again every `retrain_months`."""
    config = plan.config
    trained = {recipe: stage for stage in stages.values() for recipe in stage.trained}
    for recipe, stage in trained.items():
        seconds = plan.measured.training_seconds.get(recipe)
        hours = None if seconds is None else seconds / HOUR
        lacking = [] if seconds is not None else [f"a trained model of {recipe}: bench finetune {recipe}"]
        if recipe not in standing:
            formula = "measured seconds / 3,600"
            till.add(f"train {recipe}", "once", hours, "training hours", "training_hour", formula, lacking)
        if config.retrain_months:
            again = None if hours is None else hours / config.retrain_months
            formula = "measured seconds / 3,600 / retrain_months"
            till.add(f"train {recipe} again", "monthly", again, "training hours", "training_hour", formula, lacking)
            if stage.weights:
                again_each = plan.documents / config.retrain_months
                quantity, unit, price, formula, lacking = plan.embedding(stage, again_each)
                formula += " / retrain_months"
                what = f"embed every document again after training {recipe}"
                till.add(what, "monthly", quantity, unit, price, formula, lacking)


def _queries(plan: _Plan, till: _Till, stages: Mapping[str, Facts], kind: str) -> None:
    """What every query costs: encoding it, reranking what it found, rewriting it."""
    config, measured = plan.config, plan.measured
    monthly = config.queries_per_month
    asked = [] if monthly else ["queries_per_month"]
    for weights, stage in {stage.weights: stage for stage in stages.values() if stage.weights}.items():
        what = f"encode queries with {stage.system}"
        if stage.paid_by_token:
            tokens = config.tokens_per_query or measured.tokens_per_query
            quantity = None if not monthly or tokens is None else monthly * tokens / 1e6
            lacking = asked + ([] if tokens else ["tokens_per_query"])
            formula = "queries_per_month × tokens a query / 1,000,000"
            till.add(what, "monthly", quantity, "million tokens", "embedding_million_tokens", formula, lacking)
        else:
            rate = measured.query_rate.get(weights)
            quantity = None if not monthly or not rate else monthly / rate / HOUR
            lacking = asked + ([] if rate else [f"a measured time: bench run --system {stage.system}"])
            formula = "queries_per_month / queries a second / 3,600"
            till.add(what, "monthly", quantity, "machine hours", "machine_hour", formula, lacking)
    for name, stage in stages.items():
        for key, does in stage.option.per_query.items():
            what = f"rerank the first {stage.reorders} of each query" if stage.reorders else f"{does} with {name}"
            if stage.reorders and config.prices.rerank_thousand_queries:
                quantity = None if not monthly else monthly / 1000
                formula = "queries_per_month / 1,000"
                till.add(what, "monthly", quantity, "thousand queries", "rerank_thousand_queries", formula, asked)
            else:
                rate = measured.stage_rate.get((name, key))
                quantity = None if not monthly or not rate else monthly / rate / HOUR
                lacking = asked + ([] if rate else [f"a measured time: bench run --system {name}"])
                formula = "queries_per_month × measured seconds a query / 3,600"
                till.add(what, "monthly", quantity, "machine hours", "machine_hour", formula, lacking)
    if kind.removesuffix(RERANK) == "query-rewriting":
        tokens = config.rewriting_tokens_per_query
        quantity = None if not monthly or tokens is None else monthly * tokens / 1e6
        lacking = asked + ([] if tokens else ["rewriting_tokens_per_query"])
        formula = "queries_per_month × rewriting_tokens_per_query / 1,000,000"
        till.add("rewrite queries", "monthly", quantity, "million tokens", "llm_million_tokens", formula, lacking)


# --- value -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Benefit:
    """What a gain is worth a month, and after how many months an option has paid for itself beside the current one.

    `payback` is None where it never does. `payback_range` belongs to the ends of the gain's interval, the better end
    first. Only where a value was stated; otherwise there is no Benefit.
    """

    monthly_value: float
    extra_once: float
    extra_monthly: float
    payback: float | None
    payback_range: tuple[float | None, float | None]

    def to_json(self) -> dict[str, Any]:
        """The benefit as numbers."""
        return {
            "monthly_value_usd": self.monthly_value,
            "extra_once_usd": self.extra_once,
            "extra_monthly_usd": self.extra_monthly,
            "payback_months": self.payback,
            "payback_months_range": list(self.payback_range),
        }


def value_of_answer(config: DecideConfig) -> float | None:
    """Dollars that one more answered query is worth: its value, and the language model's tokens that it saves."""
    prices = config.prices
    value = prices.answered_query.usd if prices.answered_query else None
    tokens = config.llm_tokens_saved_per_answered_query
    if tokens is not None and prices.llm_million_tokens is not None:
        value = (value or 0.0) + tokens * prices.llm_million_tokens.usd / 1e6
    return value


def benefit(
    cost: Cost, standing: Cost, *, delta: float, ci: tuple[float, float] | None, config: DecideConfig
) -> Benefit | None:
    """What an option brings beside the current one; None unless a value, queries and every price are stated.

    A gain in the primary measure is read as that share of queries answered in addition.
    """
    value, queries = value_of_answer(config), config.queries_per_month
    if value is None or queries is None or cost.missing or standing.missing:
        return None
    once, monthly = cost.sum("once") - standing.sum("once"), cost.sum("monthly") - standing.sum("monthly")
    low, high = ci or (delta, delta)
    paid = [payback_months(once, monthly, gain * queries * value) for gain in (delta, high, low)]
    return Benefit(delta * queries * value, once, monthly, paid[0], (paid[1], paid[2]))
