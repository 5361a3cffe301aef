"""Which eligible option is cheapest, and what the choice costs under other assumptions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from bench.base.words import signed
from bench.config import DecideConfig, PriceConfig
from bench.decide.case import Case
from bench.decide.costs import benefit
from bench.decide.records import Option, Scenario

Order = Callable[[Option], tuple[float, ...]]


def order_of(options: Sequence[Option], config: DecideConfig) -> tuple[Order, str]:
    """The sort key for "cheapest", and its name: "cost" where every price of every eligible option is stated.

    Cost is the sum over `horizon_months`. Otherwise, and at equal cost, effort decides, then the larger gain.
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


def scenarios(case: Case, options: Sequence[Option], chosen: Option) -> list[Scenario]:
    """The choice's cost under other assumptions, one changed at a time; empty where no price is stated."""
    stated = prices(case.config)
    if not stated:
        return []

    def scenario(what: str, config: DecideConfig, delta: float | None = None) -> Scenario:
        """One row, with `delta` instead of the measured gain."""
        eligible = [replace(o, cost=case.cost(o.system, o.name, config)) for o in options if o.eligible]
        order, _ = order_of(eligible, config)
        cost, value = case.cost(chosen.system, chosen.name, config), None
        if chosen.gain is not None:
            gain = chosen.gain.delta if delta is None else delta
            current = case.cost(case.current, "stay", config)
            value = benefit(cost, current, delta=gain, ci=None, config=config)
        return Scenario(
            what,
            cost.sum("once"),
            cost.sum("monthly"),
            cost.total(config.horizon_months),
            value.payback if value else None,
            min(eligible, key=order).system if eligible else case.current,
        )

    config = case.config
    rows = [scenario("as planned", config)]
    documents, queries = config.documents or case.measured.documents, config.queries_per_month
    changes = [("documents", documents, factor) for factor in (0.1, 10.0)]
    changes += [("queries_per_month", queries, factor) for factor in (0.5, 2.0) if queries]
    for key, value, factor in changes:
        scaled = config.model_copy(update={key: max(1, round(value * factor))})
        rows.append(scenario(f"{key.replace('_', ' ')} × {factor:g}", scaled))
    for key in stated:
        label = "value of an answer" if key == "answered_query" else f"price of {key.replace('_', ' ')}"
        price: PriceConfig = getattr(config.prices, key)
        for factor in (0.5, 2.0):
            changed = {key: price.model_copy(update={"usd": price.usd * factor})}
            scaled = config.model_copy(update={"prices": config.prices.model_copy(update=changed)})
            rows.append(scenario(f"{label} × {factor:g}", scaled))
    if chosen.gain and chosen.gain.ci:
        for end, gain in zip(("low", "high"), chosen.gain.ci, strict=True):
            rows.append(scenario(f"gain at the {end} end of its interval ({signed(gain)})", case.config, gain))
    return rows
