"""The costs of a decision, as blocks: what is paid for, the payback, the prices, and other assumptions."""

from __future__ import annotations

from collections.abc import Sequence

from bench.base import words
from bench.decide.costs import Line
from bench.decide.records import Option, Recommendation
from bench.report import datum
from bench.report.blocks import Block, Bullets, Column, Datum, Heading, Prose, Table
from bench.report.text import Parts, fill, name, plain, strong


def build(decision: Recommendation) -> list[Block]:
    """Everything about money, and quantities where there is no price."""
    documents, suite = decision.plan.get("documents") or 0, decision.plan.get("suite_documents") or 0
    queries, months = decision.plan.get("queries_per_month"), decision.plan.get("horizon_months") or 0
    traffic = f"{queries:,.0f} queries a month" if queries else "no stated number of queries a month"
    planned = f"For {documents:,.0f} documents (the suite has {suite:,.0f}) and {traffic}, over {months:g} months."
    shown = [decision.stay] if decision.chosen.system == decision.stay.system else [decision.stay, decision.chosen]
    shown += [option for option in decision.options if option.eligible and option not in shown]
    if len(shown) == 1:
        tested = [option for option in decision.options if option.gain and option.name != "smaller"]
        shown += sorted(tested, key=lambda option: -(option.gain.delta if option.gain else 0.0))[:1]
    blocks: list[Block] = [Prose([planned]), Heading(["What is paid for"], level=4), _lines(shown)]
    blocks += [_payback(shown), *_prices(decision)]
    other: list[Block] = [Heading(["Under other assumptions"], level=4), _scenarios(decision, months)]
    return [*blocks, *(other if decision.scenarios else [])]


def _lines(options: Sequence[Option]) -> Table:
    def quantity(line: Line) -> Datum:
        if line.quantity is None:
            return Datum("–", 0, "number")
        digits = ",.0f" if line.quantity >= 1000 else ",.2f" if line.unit == "GiB" and line.quantity >= 0.01 else ",.4g"
        return datum.number(line.quantity, f"{line.quantity:{digits}} {line.unit}")

    def dollars(line: Line) -> Datum:
        note = f"needs {', '.join(line.missing)}" if line.missing else ""
        return datum.number(line.usd, words.usd(line.usd or 0), note=note)

    return Table.of(
        "What is paid for",
        [(option.system, line) for option in options if option.cost for line in option.cost.lines],
        {
            "System": lambda row: datum.name(row[0]),
            "Item": lambda row: datum.text(row[1].what, 120),
            "When": lambda row: datum.text({"once": "once", "monthly": "a month"}[row[1].when]),
            "Quantity": lambda row: quantity(row[1]),
            "US dollars": lambda row: dollars(row[1]),
            Column("Formula", minor=True): lambda row: datum.text(row[1].formula, 160),
        },
    )


def _payback(options: Sequence[Option]) -> Block:
    items: list[Parts] = []
    for option in options:
        benefit = option.benefit
        if benefit is not None and option.name != "stay":
            best, worst = map(_months, benefit.payback_range)
            text = (
                "{} is worth {} a month. It costs {} once and {} a month more than what is in use. Payback: {} "
                "({} to {} at the ends of the interval)."
            )
            money = map(words.usd, (benefit.monthly_value, benefit.extra_once, benefit.extra_monthly))
            items.append(fill(text, name(option.system), *money, strong(_months(benefit.payback)), best, worst))
    if items:
        return Bullets(items)
    text = (
        "No payback is stated. It needs the value of an answered query (or the language-model tokens that an answer "
        "saves), the queries a month, and a price for everything above."
    )
    return Prose([text], style="note")


def _months(value: float | None) -> str:
    return "never" if value is None else "at once" if value == 0 else f"{value:,.1f} months"


def _prices(decision: Recommendation) -> list[Block]:
    if not decision.prices:
        text = "No price is stated. [decide.prices] takes prices, each with its source and date (docs/decide.md)."
        return [Prose([text], style="note")]
    table = Table.of(
        "Prices, as stated in the config",
        decision.prices.items(),
        {
            "Price": lambda row: datum.text(row[0].replace("_", " ")),
            "US dollars": lambda row: datum.number(float(row[1]["usd"]), f"{row[1]['usd']:,.6g}"),
            "Source": lambda row: datum.text(row[1]["source"], 200),
            "Date": lambda row: datum.text(row[1]["date"]),
        },
    )
    return [Heading(["Prices"], level=4), table]


def _scenarios(decision: Recommendation, months: float) -> Table:
    def dollars(amount: float) -> Datum:
        return datum.number(amount, words.usd(amount))

    def payback(months: float | None) -> Datum:
        return Datum(_months(months) if decision.chosen.benefit else "–", kind="number")

    missing = decision.chosen.cost.missing if decision.chosen.cost else ()
    return Table.of(
        f"What {plain(decision.system, 40)} costs under other assumptions",
        decision.scenarios,
        {
            "If": lambda scenario: datum.text(scenario.what, 200),
            "Once": lambda scenario: dollars(scenario.once),
            "A month": lambda scenario: dollars(scenario.monthly),
            f"Over {months:g} months": lambda scenario: dollars(scenario.total),
            "Payback": lambda scenario: payback(scenario.payback),
            "Cheapest that helps": lambda scenario: datum.name(scenario.choice),
        },
        note=f"Only items that have a price; missing are {', '.join(missing)}." if missing else "",
    )
