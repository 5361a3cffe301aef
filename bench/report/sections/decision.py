"""What to do, for any reader: the answer, the options, the reasons, the costs, and what would change the answer."""

from __future__ import annotations

from collections.abc import Sequence

from bench.base import words
from bench.decide.costs import Line
from bench.decide.curve import Forecast
from bench.decide.records import Option, Reason, Recommendation
from bench.decide.sentences import helps_but_may_drop
from bench.report import Material, datum
from bench.report.blocks import Banner, Block, Bullets, Column, Columns, Datum, Folded, Head, Heading, Prose, Table
from bench.report.text import Parts, fill, name, plain, strong

ORDER = 5
TITLE = "Decision"

GIB = 2**30
LABELS = {
    "recommended": ("improved", "Recommended"),
    "not shown to help": ("inconclusive", "No option is shown to help"),
}
HOLDS = {True: "yes", False: "no", None: "not known"}
WHY_NOT = {
    "gain-is-shown": "gain not shown",
    "gain-is-enough": "gain too small",
    "loss-is-bounded": "drop not ruled out",
    "beats-its-parts": "no better than a part alone",
    "beats-what-it-reorders": "no better than without reranking",
    "beats-the-best-untrained": "no better than without training",
}


def build(material: Material) -> list[Block]:
    """The recommendation in full; nothing without one."""
    decision = material.recommendation
    if decision is None:
        return []
    tone, label = LABELS[decision.outcome]
    if decision.outcome != "recommended" and any(helps_but_may_drop(option) for option in decision.options):
        label = "Gain shown, but a drop is not ruled out"
    answer, *more = ([plain(sentence, 1000)] for sentence in decision.sentences)
    doubts = [[plain(sentence, 600)] for sentence in decision.doubts]
    conditions = [reason for option in decision.options for reason in option.conditions]
    named = {reason.rule for reason in conditions}
    rules_note = (
        "Rules of thumb only advise; the measurements decide. A table [decide.thresholds] changes a threshold and says "
        "where the number comes from."
    )
    return [
        Banner(tone, label, answer),
        *([Bullets(more, style="lead")] if more else []),
        Heading(["Options"]),
        _options(decision),
        _how_to_read(decision),
        *_unmeasured(decision),
        *_other_measures(decision),
        Heading(["Why"]),
        Heading(["Rules of thumb"], level=4),
        _reasons("Rules of thumb", [reason for reason in decision.reasons if reason.rule not in named], rules_note),
        Folded("Conditions of each option", [_reasons("Conditions", conditions)]),
        Bullets(_signs(decision)),
        Heading(["Cost"]),
        *_costs(decision),
        Heading(["What would change this"]),
        Bullets(doubts) if doubts else Prose(["Nothing known. More queries, documents or other prices may change it."]),
    ]


# --- options ---------------------------------------------------------------------------------------


def _options(decision: Recommendation) -> Table:
    """Every option with a system: its quality, its size, its costs and its verdict."""

    def gain(option: Option) -> Datum:
        d = option.gain
        # A smaller copy is not meant to gain.
        mark = datum.MARKS.get(d.shown, "") if d and option.name != "smaller" else ""
        return datum.difference(d.delta, d.ci, shown=d.shown, mark=mark) if d else datum.number(None)

    def largest_drop(option: Option) -> Datum:
        if not option.losses:
            return datum.number(None)
        worst = min(option.losses, key=lambda bound: -2.0 if bound.lower is None else bound.lower)
        note = f"{plain(worst.query_set, 30)}, ≥ {words.signed(worst.lower)}"
        return datum.number(worst.delta, words.signed(worst.delta), note=note, tone="worse" if worst.lost else "")

    def size(option: Option) -> Datum:
        n = option.cost.index_bytes if option.cost else None
        # In GiB from a tenth of one, as memory is rented.
        return datum.size(n) if n is None or n < GIB / 10 else datum.number(n, f"{n / GIB:,.2f}\u202fGiB")

    def time(option: Option) -> Datum:
        ratio = option.latency
        if ratio is None or ratio.ratio is None:
            return datum.number(None)
        ends = "" if ratio.low is None or ratio.high is None else f"{ratio.low:.2f} … {ratio.high:.2f}"
        return datum.number(ratio.ratio, f"× {ratio.ratio:.2f}", note=ends)

    def dollars(option: Option, when: str) -> Datum:
        if option.cost is None:
            return datum.number(None)
        amount = option.cost.sum(when)
        lacking = any(line.missing for line in option.cost.lines if line.when == when)
        return datum.number(amount, words.usd(amount) + " +" * lacking, note="not all priced" if lacking else "")

    priced: Columns[Option] = {
        Column("Once", "US dollars"): lambda option: dollars(option, "once"),
        Column("A month", "US dollars"): lambda option: dollars(option, "monthly"),
    }
    timed: Columns[Option] = {Column("Time", "95th percentile of a query's time, by that of the current system"): time}
    mean = Column(plain(decision.measure, 40), words.meaning(decision.measure))
    drop = Column("Largest drop", "On the out-of-distribution query set with the lowest one-sided bound (≥)")
    return Table.of(
        f"Options on {plain(decision.suite, 40)}",
        [option for option in decision.options if option.system],
        {
            "Option": lambda option: datum.text(option.label),
            "System": lambda option: datum.name(option.system),
            "Verdict": lambda option: _verdict(decision, option),
            mean: lambda option: datum.number(option.mean),
            Column("Gain", f"Over {decision.current}, on all held-out queries"): gain,
            drop: largest_drop,
            Column("Index", "At the planned number of documents"): size,
            **(priced if decision.prices else {}),
            **(timed if any(option.latency for option in decision.options) else {}),
        },
    )


def _verdict(decision: Recommendation, option: Option) -> Datum:
    if option.name == decision.choice and option.system == decision.system:
        return datum.text("chosen", tone="better")
    if option.name == "stay":
        return datum.text("in use")
    if option.name == "smaller":
        fits = decision.smaller is not None and decision.smaller.system == option.system
        return datum.text("drop within the margin" if fits else "drop not ruled out")
    if option.eligible:
        return datum.text("helps, but is not the cheapest")
    reason = option.failed
    if option.gain is None or reason is None:
        return datum.text("not measured")
    if reason.rule == "gain-is-shown" and option.gain.shown == "worse":
        return datum.text("shown to be worse", tone="worse")
    if any(bound.lost for bound in option.losses or ()):
        return datum.text("worse out of distribution", tone="worse")
    return datum.text(WHY_NOT.get(reason.rule, reason.rule))


def _how_to_read(decision: Recommendation) -> Prose:
    n, options = words.count(decision.n_held_out, "held-out query"), words.count(decision.family, "option")
    text = (
        f"A gain is the difference to {decision.current} ({decision.current_from}) over the same {n}. Brackets hold "
        f"{words.confidence(decision.alpha)} intervals, each taken alone. ▲ shown to be better, ▼ shown to be worse, "
        f"counting the {options} (two-sided, Holm). An option is eligible if its gain is shown and at least "
        f"{decision.minimum_gain:g}, and a drop beyond the margin is ruled out on every out-of-distribution query set. "
        f"Of the eligible options, the cheapest by {decision.cheapest_by} is recommended. "
    )
    drop = "Largest drop: on the out-of-distribution query set with the lowest one-sided bound (≥)."
    return Prose([text, drop], style="note")


def _unmeasured(decision: Recommendation) -> list[Block]:
    """Options without a result, and how to measure them."""
    items: list[Parts] = []
    for option in decision.options:
        if option.gain is None and option.todo and option.name != "stay":
            system: Parts = [" (", name(option.system), ")"] if option.system else []
            items.append([strong(option.label), *system, f": {plain(option.todo, 400)}."])
    return [Prose(["Not measured:"]), Bullets(items)] if items else []


def _other_measures(decision: Recommendation) -> list[Block]:
    options = [option for option in decision.options if option.others]
    if not options:
        return []
    measures = list(dict.fromkeys(d.measure for option in options for d in option.others))
    rows = []
    for option in options:
        by = {d.measure: datum.difference(d.delta, d.ci) for d in option.others}
        rows.append([datum.name(option.system), *(by.get(measure, datum.number(None)) for measure in measures)])
    columns: list[Head] = ["System", *(Column(plain(measure, 40), words.meaning(measure)) for measure in measures)]
    note = f"For information: the decision goes by {plain(decision.measure, 40)} alone."
    table = Table.grid(f"Gains over {plain(decision.current, 40)} by other measures", columns, rows, note=note)
    return [Heading(["By other measures"], level=4), table]


# --- reasons ---------------------------------------------------------------------------------------


def _reasons(caption: str, reasons: list[Reason], note: str = "") -> Table:
    def value(number: float | None, unit: str) -> Datum:
        texts = {"count": words.integer(number or 0), "share": words.percent(number), "p": words.p_value(number)}
        return datum.number(number, (texts | {"pieces": words.number(number, 2)}).get(unit, ""))

    def meaning(reason: Reason) -> Datum:
        return datum.sentence(f"{reason.says} [{reason.source}]", note=plain(reason.note, 160))

    return Table.of(
        caption,
        reasons,
        {
            "Rule": lambda reason: datum.text(reason.rule.replace("-", " "), note=plain(reason.subject, 60)),
            "Measured": lambda reason: value(reason.value, reason.unit),
            "Threshold": lambda reason: value(reason.threshold, reason.unit),
            "Holds": lambda reason: datum.text(HOLDS[reason.holds] if reason.asked else "not applicable"),
            "Meaning [source]": meaning,
        },
        note=note,
    )


def _signs(decision: Recommendation) -> list[Parts]:
    """Headroom, labels, vocabulary and learning curves: a sentence for each."""
    items: list[Parts] = []
    ten, more = decision.headroom.get("recall@10"), decision.headroom.get("between")
    if ten is not None and more is not None:
        text = (
            f" has {words.number(ten)} of the relevant documents among the first ten, and another {words.number(more)} "
            "down to rank 100. Reranking can add that much at most; the rest is not retrieved."
        )
        items.append([strong("Headroom: "), name(decision.current), text])
    pairs = "none in the suite" if decision.pairs is None else words.integer(decision.pairs)
    items.append([strong("Labelled pairs: "), f"{pairs}."])
    vocabulary = decision.vocabulary
    if isinstance(vocabulary, str):
        text = f"not known, because {plain(vocabulary, 200)}."
    else:
        text = (
            f"the model splits {100 * vocabulary.continued:.0f} % of the corpus' words into pieces "
            f"({100 * vocabulary.terms_split:.0f} % of its distinct words), {vocabulary.fertility:.2f} pieces a word "
            f"on average; {100 * vocabulary.unknown:.2g} % have a character that is unknown to it."
        )
        if vocabulary.examples:
            text += f" Most frequent words in pieces: {plain(', '.join(vocabulary.examples), 300)}."
    items.append([strong("Vocabulary: "), text])
    for curve in decision.curves:
        items.append([strong(f"Learning curve of {plain(curve.recipe, 40)}: "), _curve(curve)])
    if not decision.curves:
        items.append([strong("Learning curve: "), "not measured; bench loop measures it."])
    return items


def _curve(curve: Forecast) -> str:
    """The measured points of a learning curve, and what more pairs are forecast to bring."""
    points = ", ".join(f"{pairs:,}: {words.number(mean)}" for pairs, mean in curve.sizes.items())
    measured = f"{curve.measure} by pairs: {points}. " if points else ""
    if curve.gain is None:
        return f"{measured}No forecast: {plain(curve.refusal, 300)}"
    gain = f"{words.signed(curve.gain)} {words.interval(curve.interval)}"
    return f"{measured}With {curve.pairs:,} pairs, a further gain of {gain} is forecast ({curve.method})."


# --- costs -----------------------------------------------------------------------------------------


def _costs(decision: Recommendation) -> list[Block]:
    """What is paid for, the payback, the prices, and other assumptions; quantities where there is no price."""
    documents, suite = decision.plan.get("documents") or 0, decision.plan.get("suite_documents") or 0
    queries, months = decision.plan.get("queries_per_month"), decision.plan.get("horizon_months") or 0
    traffic = f"{queries:,.0f} queries a month" if queries else "no stated number of queries a month"
    planned = f"For {documents:,.0f} documents (the suite has {suite:,.0f}) and {traffic}, over {months:g} months."
    shown = [decision.stay] if decision.chosen.system == decision.stay.system else [decision.stay, decision.chosen]
    shown += [option for option in decision.options if option.eligible and option not in shown]
    if len(shown) == 1:
        tested = [option for option in decision.options if option.gain and option.name != "smaller"]
        shown += sorted(tested, key=lambda option: -(option.gain.delta if option.gain else 0.0))[:1]
    blocks: list[Block] = [Prose([planned]), Heading(["What is paid for"], level=4), _cost_lines(shown)]
    blocks += [_payback(shown), *_prices(decision)]
    other: list[Block] = [Heading(["Under other assumptions"], level=4), _scenarios(decision, months)]
    return [*blocks, *(other if decision.scenarios else [])]


def _cost_lines(options: Sequence[Option]) -> Table:
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
