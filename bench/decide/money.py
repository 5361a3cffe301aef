"""Which eligible option is cheapest, and what the choice costs under other assumptions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from bench.config import DecideConfig, PriceConfig
from bench.decide.case import Case
from bench.decide.costs import benefit
from bench.decide.records import Option, Scenario

Order = Callable[[Option], tuple[float, ...]]

VALUE = "answered_query"
"""The one price that is an income."""


def order_of(options: Sequence[Option], config: DecideConfig) -> tuple[Order, str]:
    """The key that "cheapest" sorts by, and its name: "cost" where every eligible option is wholly priced.

    Cost is the sum over `horizon_months`. Else, and among equals, effort decides, then the larger gain.
    """

    def by_effort(option: Option) -> tuple[float, ...]:
        return (option.effort, -(option.gain.delta if option.gain else 0.0))

    def by_cost(option: Option) -> tuple[float, ...]:
        return (option.cost.total(config.horizon_months) if option.cost else 0.0, *by_effort(option))

    eligible = [option for option in options if option.eligible]
    whole = all(option.cost is not None and not option.cost.missing for option in eligible)
    return (by_cost, "cost") if eligible and whole else (by_effort, "effort")


def prices(config: DecideConfig) -> dict[str, dict[str, object]]:
    """The stated prices, each with its source and date."""
    stated = {name: getattr(config.prices, name) for name in type(config.prices).model_fields}
    return {
        name: {"usd": price.usd, "source": price.source, "date": price.date.isoformat()}
        for name, price in stated.items()
        if price is not None
    }


def scaled(case: Case, key: str, factor: float) -> DecideConfig:
    """The config with documents, queries or one price multiplied."""
    config = case.config
    if key == "documents":
        documents = max(1, round((config.documents or case.measured.documents) * factor))
        return config.model_copy(update={"documents": documents})
    if key == "queries_per_month":
        queries = max(1, round((config.queries_per_month or 0) * factor))
        return config.model_copy(update={"queries_per_month": queries})
    price: PriceConfig = getattr(config.prices, key)
    changed = price.model_copy(update={"usd": price.usd * factor})
    return config.model_copy(update={"prices": config.prices.model_copy(update={key: changed})})


def scenarios(case: Case, options: Sequence[Option], chosen: Option) -> list[Scenario]:
    """The choice's cost under other assumptions, one changed at a time; nothing where nothing has a price."""
    stated = prices(case.config)
    if not stated:
        return []
    wanted: list[tuple[str, float]] = [("documents", 0.1), ("documents", 10.0)]
    if case.config.queries_per_month:
        wanted += [("queries_per_month", 0.5), ("queries_per_month", 2.0)]
    wanted += [(name, factor) for name in stated for factor in (0.5, 2.0)]
    rows = [_scenario(case, options, chosen, "as planned", case.config)]
    for key, factor in wanted:
        label = key.replace("_", " ")
        what = f"value of an answer × {factor:g}" if key == VALUE else f"{label} × {factor:g}"
        what = f"price of {what}" if key in stated and key != VALUE else what
        rows.append(_scenario(case, options, chosen, what, scaled(case, key, factor)))
    if chosen.gain and chosen.gain.ci:
        for end, value in zip(("low", "high"), chosen.gain.ci, strict=True):
            what = f"gain at the {end} end of its interval ({value:+.3f})"
            rows.append(_scenario(case, options, chosen, what, case.config, delta=value))
    return rows


def _scenario(
    case: Case,
    options: Sequence[Option],
    chosen: Option,
    what: str,
    config: DecideConfig,
    *,
    delta: float | None = None,
) -> Scenario:
    """One row; `delta` instead of the gain that was measured."""
    eligible = [replace(o, cost=case.cost(o.system, o.name, config)) for o in options if o.eligible]
    order, _ = order_of(eligible, config)
    cost = case.cost(chosen.system, chosen.name, config)
    worth = None
    if chosen.gain is not None:
        gained = chosen.gain.delta if delta is None else delta
        standing = case.cost(case.current, "stay", config)
        worth = benefit(cost, standing, delta=gained, ci=None, config=config)
    return Scenario(
        what,
        cost.sum("once"),
        cost.sum("monthly"),
        cost.total(config.horizon_months),
        worth.payback if worth else None,
        min(eligible, key=order).system if eligible else case.current,
    )
