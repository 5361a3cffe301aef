"""What a decision costs, as blocks: what is paid for, when it pays, the prices, and other assumptions."""

from __future__ import annotations

from collections.abc import Sequence

from bench.base import words
from bench.decide.records import Option, Recommendation
from bench.report.blocks import Block, Bullets, Column, Datum, Heading, Prose, Span, Table, name, plain, strong

Parts = list[str | Span]


def build(found: Recommendation) -> list[Block]:
    """Everything about money, quantities where there is no price."""
    documents, suite = found.plan.get("documents") or 0, found.plan.get("suite_documents") or 0
    queries, months = found.plan.get("queries_per_month"), found.plan.get("horizon_months") or 0
    asked = f"{queries:,.0f} queries a month" if queries else "queries a month not stated"
    planned = f"For {documents:,.0f} documents (the suite has {suite:,.0f}), {asked}, over {months:g} months."
    blocks: list[Block] = [Prose([planned])]
    shown = [found.stay] if found.chosen.system == found.stay.system else [found.stay, found.chosen]
    shown += [option for option in found.options if option.eligible and option not in shown]
    if len(shown) == 1:
        tested = [option for option in found.options if option.gain and option.name != "smaller"]
        shown += sorted(tested, key=lambda option: -(option.gain.delta if option.gain else 0.0))[:1]
    blocks += [Heading(["What is paid for"], level=4), _lines(shown)]
    blocks += _payback(found, shown)
    blocks += _prices(found)
    if found.scenarios:
        blocks += [Heading(["Under other assumptions"], level=4), _sensitivity(found)]
    return blocks


def _lines(options: Sequence[Option]) -> Table:
    columns = [
        Column("System"), Column("What"), Column("When"), Column("Quantity", numeric=True),
        Column("US dollars", numeric=True), Column("How", minor=True),
    ]  # fmt: skip
    rows = []
    for option in options:
        for line in option.cost.lines if option.cost else ():
            quantity = "–" if line.quantity is None else f"{line.quantity:,.4g} {line.unit}"
            if line.quantity is not None and line.quantity >= 1000:
                quantity = f"{line.quantity:,.0f} {line.unit}"
            elif line.unit == "GiB" and line.quantity is not None and line.quantity >= 0.01:
                quantity = f"{line.quantity:,.2f} GiB"
            priced = "–" if line.usd is None else words.usd(line.usd)
            rows.append(
                [
                    Datum(plain(option.system, 60), kind="name"),
                    Datum(plain(line.what, 120)),
                    Datum({"once": "once", "monthly": "a month"}[line.when]),
                    Datum(quantity, line.quantity or 0, "number"),
                    Datum(priced, line.usd or 0, "number",
                          note=f"needs {', '.join(line.missing)}" if line.missing else ""),
                    Datum(plain(line.formula, 160)),
                ]
            )  # fmt: skip
    return Table("What is paid for", columns, rows)


def _payback(found: Recommendation, shown: Sequence[Option]) -> list[Block]:
    worth = [option for option in shown if option.benefit is not None and option.name != "stay"]
    if not worth:
        return [
            Prose(
                [
                    "No payback is told: that takes a value per answered query (or language-model tokens that an "
                    "answer saves), the queries a month, and a price for everything above."
                ],
                style="note",
            )
        ]
    items: list[Parts] = []
    for option in worth:
        held = option.benefit
        if held is None:
            continue
        best, worst = held.payback_range
        items.append(
            [
                name(option.system),
                f" is worth {words.usd(held.monthly_value)} a month, costs {words.usd(held.extra_once)} once and "
                f"{words.usd(held.extra_monthly)} a month beside what is in use, and pays for itself in ",
                strong(_months(held.payback)),
                f" ({_months(best)} to {_months(worst)} at the ends of the interval).",
            ]
        )
    return [Bullets(items)]


def _months(value: float | None) -> str:
    return "never" if value is None else "at once" if value == 0 else f"{value:,.1f} months"


def _prices(found: Recommendation) -> list[Block]:
    if not found.prices:
        text = "Nothing is priced: [decide.prices] takes prices, each with its source and date (docs/decide.md)."
        return [Prose([text], style="note")]
    columns = [Column("Price"), Column("US dollars", numeric=True), Column("Source"), Column("Date")]
    rows = [
        [
            Datum(key.replace("_", " ")),
            Datum(f"{price['usd']:,.6g}", float(price["usd"]), "number"),
            Datum(plain(str(price["source"]), 200)),
            Datum(str(price["date"])),
        ]
        for key, price in found.prices.items()
    ]
    return [Heading(["Prices"], level=4), Table("Prices, as stated in the config", columns, rows)]


def _sensitivity(found: Recommendation) -> Table:
    months = found.plan.get("horizon_months") or 0
    columns = [
        Column("If"),
        Column("Once", numeric=True),
        Column("A month", numeric=True),
        Column(f"Over {months:g} months", numeric=True),
        Column("Payback", numeric=True),
        Column("Cheapest that helps"),
    ]
    rows = [
        [
            Datum(row.what),
            Datum(words.usd(row.once), row.once, "number"),
            Datum(words.usd(row.monthly), row.monthly, "number"),
            Datum(words.usd(row.total), row.total, "number"),
            Datum(_months(row.payback) if found.chosen.benefit else "–", kind="number"),
            Datum(plain(row.choice, 60), kind="name"),
        ]
        for row in found.scenarios
    ]
    lacking = found.chosen.cost.missing if found.chosen.cost else ()
    note = f"Of what is priced; without {', '.join(lacking)}." if lacking else ""
    return Table(f"What {plain(found.system, 40)} costs under other assumptions", columns, rows, note=note)
