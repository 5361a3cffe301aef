"""What to do, for a reader who is no specialist: the answer, the options, why, what it costs, what would change it."""

from __future__ import annotations

from bench.base import words
from bench.decide.curve import Forecast
from bench.decide.records import Option, Reason, Recommendation
from bench.decide.sentences import helps_but_may_drop
from bench.report import Material, costs
from bench.report.blocks import (
    Banner,
    Block,
    Bullets,
    Column,
    Datum,
    Folded,
    Heading,
    Prose,
    Span,
    Table,
    name,
    plain,
    strong,
)

ORDER = 5
TITLE = "Decision"

GIB = 2**30
LABELS = {"recommended": ("improved", "Recommended"), "not shown to help": ("inconclusive", "Nothing is shown to help")}
HOLDS = {True: "yes", False: "no", None: "not known"}
WHY = {
    "gain-is-shown": "gain not shown",
    "gain-is-enough": "gain too small",
    "loss-is-bounded": "may lose elsewhere",
    "beats-its-parts": "no better than a part alone",
    "beats-what-it-reorders": "no better than unreranked",
    "beats-the-best-untrained": "no better than without training",
}

Parts = list[str | Span]


def build(material: Material) -> list[Block]:
    """Nothing without a recommendation."""
    found = material.recommendation
    if found is None:
        return []
    tone, label = LABELS[found.outcome]
    if found.outcome != "recommended" and any(helps_but_may_drop(option) for option in found.options):
        label = "Helps here, not shown safe elsewhere"
    blocks: list[Block] = [Banner(tone, label, [plain(found.sentences[0], 1000)])]
    if found.sentences[1:]:
        blocks.append(Bullets([[plain(sentence, 1000)] for sentence in found.sentences[1:]], style="lead"))
    blocks += [Heading(["Options"]), _options(found), _how(found), *_unmeasured(found), *_other_measures(found)]
    blocks += [
        Heading(["Why"]),
        Heading(["Rules of thumb"], level=4),
        _rules(found),
        Folded("What each option had to hold", [_conditions(found)]),
    ]
    blocks.append(Bullets(_signs(found)))
    blocks += [Heading(["Cost"]), *costs.build(found)]
    blocks += [Heading(["What would change this"]), _doubts(found)]
    return blocks


# --- options ---------------------------------------------------------------------------------------


def _options(found: Recommendation) -> Table:
    """Every option, with what is known of it."""
    priced = bool(found.prices)
    timed = any(option.latency for option in found.options)
    columns = [
        Column("Option"),
        Column("System"),
        Column("Verdict"),
        Column(plain(found.measure, 40), words.explained(found.measure), numeric=True),
        Column("Gain", f"Against {found.current}, over all held-out queries", numeric=True),
        Column("Elsewhere", "The out-of-distribution query set that may lose most, with its bound", numeric=True),
        Column("Index", "At the number of documents that is planned for", numeric=True),
    ]
    if priced:
        columns += [Column("Once", "US dollars", numeric=True), Column("A month", "US dollars", numeric=True)]
    if timed:
        columns.append(Column("Time", "95th percentile of a query's time over the current system's", numeric=True))
    rows = []
    for option in found.options:
        if not option.system:
            continue
        row = [
            Datum(plain(option.label, 60)),
            Datum(plain(option.system, 60), kind="name"),
            _verdict(found, option),
            Datum(words.number(option.mean), -1 if option.mean is None else option.mean, "number"),
            _gain(option),
            _elsewhere(option),
            _size(option),
        ]
        row += [_dollars(option, "once"), _dollars(option, "monthly")] if priced else []
        row += [_time(option)] if timed else []
        rows.append(row)
    return Table(f"Options on {plain(found.suite, 40)}", columns, rows)


def _gain(option: Option) -> Datum:
    held = option.gain
    if held is None:
        return Datum("–", -1, "number")
    mark = {"better": " ▲", "worse": " ▼"}.get(held.shown, "") if option.name != "smaller" else ""
    return Datum(words.signed(held.delta), held.delta, "number", note=words.interval(held.ci) + mark, tone=held.shown)


def _elsewhere(option: Option) -> Datum:
    if not option.losses:
        return Datum("–", -1, "number")
    worst = min(option.losses, key=lambda bound: -2.0 if bound.lower is None else bound.lower)
    note = f"{plain(worst.query_set, 30)}, ≥ {words.signed(worst.lower)}"
    return Datum(words.signed(worst.delta), worst.delta, "number", note=note, tone="worse" if worst.lost else "")


def _size(option: Option) -> Datum:
    size = option.cost.index_bytes if option.cost else None
    return Datum(_bytes(size), -1 if size is None else size, "number")


def _bytes(size: float | None) -> str:
    """In GiB from a tenth of one on, as memory is rented; below, in the report's units."""
    return words.size(size) if size is None or size < GIB / 10 else f"{size / GIB:,.2f}\u202fGiB"


def _dollars(option: Option, when: str) -> Datum:
    if option.cost is None:
        return Datum("–", -1, "number")
    amount = option.cost.sum(when)
    lacking = any(line.missing for line in option.cost.lines if line.when == when)
    return Datum(
        words.usd(amount) + (" +" if lacking else ""), amount, "number", note="not all priced" if lacking else ""
    )


def _time(option: Option) -> Datum:
    ratio = option.latency
    if ratio is None or ratio.ratio is None:
        return Datum("–", -1, "number")
    ends = "" if ratio.low is None or ratio.high is None else f"{ratio.low:.2f} … {ratio.high:.2f}"
    return Datum(f"× {ratio.ratio:.2f}", ratio.ratio, "number", note=ends)


def _verdict(found: Recommendation, option: Option) -> Datum:
    if option.name == found.choice and option.system == found.system:
        return Datum("chosen", tone="better")
    if option.name == "stay":
        return Datum("in use")
    if option.name == "smaller":
        fits = found.smaller is not None and found.smaller.system == option.system
        return Datum("loses no more than the margin" if fits else "loss not ruled out")
    if option.eligible:
        return Datum("helps, takes more")
    reason = option.failed
    if option.gain is not None and reason is not None:
        if reason.rule == "gain-is-shown" and option.gain.shown == "worse":
            return Datum("shown to hurt", tone="worse")
        if any(bound.lost for bound in option.losses or ()):
            return Datum("loses elsewhere", tone="worse")
        return Datum(WHY.get(reason.rule, reason.rule))
    return Datum("not measured")


def _how(found: Recommendation) -> Prose:
    """The small print of the table."""
    return Prose(
        [
            f"Gains are over {found.current} ({found.current_from}), paired by query, over {found.n_held_out:,} "
            f"held-out queries, with {words.level(found.alpha)} intervals, each taken alone. ▲ ▼: shown, counting all "
            f"{found.family} options tried (Holm, two-sided). To be chosen, a gain must be shown and at least "
            f"{found.minimum_gain:g}, a larger loss out of distribution ruled out, and the cheapest such option wins "
            f"(by {found.cheapest_by}).",
        ],
        style="note",
    )


def _unmeasured(found: Recommendation) -> list[Block]:
    """Options without a result, and what gives them one."""
    items: list[Parts] = [
        [
            strong(option.label),
            *_in_brackets(option.system),
            f": {plain(option.todo, 400)}.",
        ]
        for option in found.options
        if option.gain is None and option.todo and option.name != "stay"
    ]
    return [Prose(["Not measured:"]), Bullets(items)] if items else []


def _in_brackets(system: str) -> Parts:
    return [" (", name(system), ")"] if system else []


def _other_measures(found: Recommendation) -> list[Block]:
    options = [option for option in found.options if option.others]
    if not options:
        return []
    measures = list(dict.fromkeys(one.measure for option in options for one in option.others))
    columns = [Column("System"), *(Column(plain(m, 40), words.explained(m), numeric=True) for m in measures)]
    rows = []
    for option in options:
        by_measure = {one.measure: one for one in option.others}
        row = [Datum(plain(option.system, 60), kind="name")]
        for measure in measures:
            one = by_measure.get(measure)
            row.append(
                Datum("–", -1, "number")
                if one is None
                else Datum(words.signed(one.delta), one.delta, "number", note=words.interval(one.ci))
            )
        rows.append(row)
    table = Table(
        f"Gains over {plain(found.current, 40)} by other measures",
        columns,
        rows,
        note="Shown beside; they decide nothing.",
    )
    return [Heading(["By other measures"], level=4), table]


# --- reasons ---------------------------------------------------------------------------------------


def _condition_names(found: Recommendation) -> set[str]:
    return {reason.rule for option in found.options for reason in option.conditions}


def _rules(found: Recommendation) -> Table:
    """The rules of thumb, and whether each holds here."""
    conditions = _condition_names(found)
    rows = [_reason_row(reason) for reason in found.reasons if reason.rule not in conditions]
    note = (
        "Rules of thumb advise; what was measured decides. [decide.thresholds] gives another number, with its source."
    )
    return Table("Rules of thumb", _REASON_COLUMNS, rows, note=note)


def _conditions(found: Recommendation) -> Table:
    rows = [_reason_row(reason) for option in found.options for reason in option.conditions]
    return Table("Conditions", _REASON_COLUMNS, rows)


_REASON_COLUMNS = [
    Column("Rule"),
    Column("Measured", numeric=True),
    Column("Threshold", numeric=True),
    Column("Holds"),
    Column("It says, by which source"),
]


def _reason_row(reason: Reason) -> list[Datum]:
    title = reason.rule.replace("-", " ")
    holds = "not asked" if not reason.asked else HOLDS[reason.holds]
    return [
        Datum(title, note=plain(reason.subject, 60)),
        Datum(_value(reason.value, reason.unit), -9 if reason.value is None else reason.value, "number"),
        Datum(_value(reason.threshold, reason.unit), kind="number"),
        Datum(holds),
        Datum(plain(f"{reason.says} [{reason.source}]", 600), kind="sentence", note=plain(reason.note, 160)),
    ]  # fmt: skip


def _value(value: float | None, unit: str) -> str:
    if value is None:
        return "–"
    if unit == "count":
        return f"{value:,.0f}"
    if unit == "share":
        return f"{100 * value:.0f}\u202f%"
    if unit == "p":
        return words.p_value(value)
    return words.number(value, 2 if unit == "pieces" else 3)


def _signs(found: Recommendation) -> list[Parts]:
    """Headroom, labels, vocabulary and learning curves in a sentence each."""
    items: list[Parts] = []
    ten, between = found.headroom.get("recall@10"), found.headroom.get("between")
    if ten is not None and between is not None:
        items.append(
            [
                strong("Headroom: "),
                name(found.current),
                f" finds {words.number(ten)} of what is relevant among the first ten, and {words.number(between)} more "
                "down to rank 100: that is the most that reordering can add. The rest it does not find at all.",
            ]
        )
    pairs = "none in the suite" if found.pairs is None else f"{found.pairs:,}"
    items.append([strong("Labelled pairs at hand: "), f"{pairs}."])
    vocabulary = found.vocabulary
    if isinstance(vocabulary, str):
        items.append([strong("Vocabulary: "), f"not known, because {plain(vocabulary, 200)}."])
    else:
        items.append(
            [
                strong("Vocabulary: "),
                f"the model breaks {100 * vocabulary.continued:.0f} % of the corpus' words into pieces, "
                f"{vocabulary.fertility:.2f} a word, and {100 * vocabulary.terms_split:.0f} % of its different words; "
                f"{100 * vocabulary.unknown:.2g} % hold a character that it does not know.",
                *(
                    [f" Most frequent in pieces: {plain(', '.join(vocabulary.examples), 300)}."]
                    if vocabulary.examples
                    else []
                ),
            ]
        )
    for curve in found.curves:
        items.append([strong(f"Learning curve of {plain(curve.recipe, 40)}: "), _curve(curve)])
    if not found.curves:
        items.append([strong("Learning curve: "), "not measured. It is measured by bench loop."])
    return items


def _curve(curve: Forecast) -> str:
    points = ", ".join(f"{pairs:,}: {words.number(mean)}" for pairs, mean in curve.sizes.items())
    measured = f"{curve.measure} by pairs: {points}. " if points else ""
    if curve.gain is None:
        return f"{measured}No forecast: {plain(curve.refusal, 300)}"
    return (
        f"{measured}With {curve.pairs:,} pairs {words.signed(curve.gain)} {words.interval(curve.interval)} more is "
        f"forecast ({curve.method})."
    )


# --- doubt ------------------------------------------------------------------------------------------


def _doubts(found: Recommendation) -> Block:
    if not found.doubts:
        return Prose(["Nothing known. More queries, other documents or another price may still change it."])
    return Bullets([[plain(sentence, 600)] for sentence in found.doubts])
