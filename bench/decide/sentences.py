"""Sentences of a decision, each computed from its numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.base.words import count, integer, interval, number, signed
from bench.config import DecideConfig
from bench.decide.curve import Forecast
from bench.decide.evidence import queries_to_show, worst_of
from bench.decide.records import Option, Reason, Recommendation
from bench.decide.rules import threshold
from bench.gate.compare import Difference

MUCH_LARGER = 10
"""A corpus this many times larger than the suite's has another recall."""

OptionGain = tuple[Option, Difference]


# --- the answer ------------------------------------------------------------------------------------


def answer(rec: Recommendation) -> tuple[str, ...]:
    """What to do; whether fine-tuning helps; smaller vectors and a more expensive option where these are shown."""
    if rec.outcome == "recommended":
        sentences = [*_recommended(rec)]
    else:
        sentences = [_not_shown(rec)]
        good = _rule(rec, "base-is-good")
        if good is not None and good.holds:
            sentences.append(
                f"There is little room for improvement: recall@10 of {rec.current} is {number(good.value)}."
            )
    sentences += _fine_tuning(rec)
    if rec.smaller is not None:
        small = rec.smaller
        drop = -min(bound.lower for bound in small.bounds if bound.lower is not None)
        sentences.append(
            f"{small.of} can be stored as {small.system}, with an index {small.of_bytes / small.index_bytes:.1f} times "
            f"smaller: a drop of more than {number(max(0.0, drop))} in {rec.measure} is ruled out on every query set."
        )
    return (*sentences, rec.upgrade) if rec.upgrade else tuple(sentences)


def _measured(options: Iterable[Option]) -> list[OptionGain]:
    """Options with their gains, those of the current system and its smaller sizes left out."""
    return [(o, o.gain) for o in options if o.gain is not None and o.name not in ("stay", "smaller")]


def _best(measured: Sequence[OptionGain]) -> OptionGain:
    return max(measured, key=lambda pair: pair[1].delta)


def _recommended(rec: Recommendation) -> Iterable[str]:
    chosen, gain = _best(_measured([rec.chosen]))
    yield (
        f"Choose {_named(chosen)}: {rec.measure} rises from {number(gain.reference)} to {number(gain.mean)}, "
        f"{signed(gain.delta)} {interval(gain.ci)} over {integer(gain.n)} held-out queries."
    )
    n_eligible = sum(option.eligible for option in rec.options)
    which = "the only option" if n_eligible == 1 else f"the cheapest (by {rec.cheapest_by}) of {n_eligible} options"
    largest_drop = max(0.0, *(-(bound.lower or 0.0) for bound in chosen.losses)) if chosen.losses else 0.0
    drop = "a drop" if largest_drop < 0.0005 else f"a drop of more than {number(largest_drop)}"
    effect = f"{drop} is ruled out on every out-of-distribution query set"
    if not chosen.losses:
        effect = "its effect on out-of-distribution queries was not measured"
    yield f"It is {which} shown to help; {effect}."


def helps_but_may_drop(option: Option) -> bool:
    """Whether an option is shown to gain on held-out queries, and may drop on out-of-distribution queries."""
    failed, gain = option.failed, option.gain
    return gain is not None and gain.shown == "better" and failed is not None and failed.rule == "loss-is-bounded"


def _strongest(rec: Recommendation) -> OptionGain | None:
    """The measured option with the largest gain, among those that are shown to help where there are any."""
    measured = _measured(rec.options)
    helpful = [(option, gain) for option, gain in measured if helps_but_may_drop(option)]
    return _best(helpful or measured) if measured else None


def _not_shown(rec: Recommendation) -> str:
    strongest = _strongest(rec)
    if strongest is None:
        return (
            f"Leave {rec.current} as it is for now: no other option has been measured. The commands that measure them "
            "are listed below."
        )
    option, gain = strongest
    n, n_helpful = len(_measured(rec.options)), sum(map(helps_but_may_drop, rec.options))
    if n_helpful:
        shown = (
            f"{integer(n_helpful)} of {count(n, 'measured option')} {'is' if n_helpful == 1 else 'are'} shown to help, "
            "but a drop on out-of-distribution queries is not ruled out"
        )
    elif n == 1:
        shown = "the only measured option is not shown to help"
    else:
        shown = f"none of the {integer(n)} measured options is shown to help"
    reason = option.failed
    because = f", but {_why(reason, option)}" if gain.delta > 0 and reason is not None else ""
    return (
        f"Leave {rec.current} as it is: {shown}. The strongest option is {_named(option)}, "
        f"{signed(gain.delta)} {interval(gain.ci)} {rec.measure}{because}."
    )


def _named(option: Option) -> str:
    is_name = option.label[1:2].isupper()  # BM25, SPLADE
    label = option.label if is_name else option.label[:1].lower() + option.label[1:]
    return f"{label} ({option.system})"


def _why(reason: Reason, option: Option) -> str:
    """Why an option is not chosen, as the end of a sentence."""
    gain = option.gain
    if reason.rule == "gain-is-shown":
        if gain and gain.ci and gain.ci[0] > 0 and reason.value is not None:
            p = "p < 0.001" if reason.value < 0.001 else f"p = {reason.value:.3f}"
            return f"with {gain.family} options tested the gain may be chance ({p} after Holm)"
        return "the gain may be chance"
    if reason.rule == "gain-is-enough":
        return f"the gain is smaller than the {reason.threshold:g} that counts"
    if reason.rule == "loss-is-bounded":
        worst = worst_of(option.losses or ())
        if worst is None:
            return "its effect on out-of-distribution queries was not measured"
        if worst.lost:
            return f"a drop on out-of-distribution queries is shown ({signed(worst.delta)} on {worst.query_set})"
        return f"a drop of {worst.margin:g} on {worst.query_set} is not ruled out (difference {signed(worst.delta)})"
    rival = {"beats-its-parts": "its parts", "beats-what-it-reorders": "the list that it reorders"}
    return f"it is not shown to beat {rival.get(reason.rule, 'the best option without training')} ({reason.note})"


def _fine_tuning(rec: Recommendation) -> list[str]:
    """Whether fine-tuning helps, unless it is chosen or named already."""
    if rec.chosen.name.startswith("fine-tune"):
        return []
    options = [option for option in rec.options if option.name.startswith("fine-tune") and option.system]
    measured = _measured(options)
    if not measured:
        how = next((f" ({option.todo})" for option in options if option.todo), "")
        return [f"Whether fine-tuning helps is not known: no fine-tuned model has been measured{how}.{_thumbs(rec)}"]
    eligible = [(option, gain) for option, gain in measured if option.eligible]
    option, gain = _best(eligible or measured)
    numbers = f"({option.system}, {signed(gain.delta)} {interval(gain.ci)})"
    if eligible:
        return [f"Fine-tuning is shown to help too {numbers}, but it is not the cheapest option."]
    strongest = _strongest(rec)
    if rec.outcome != "recommended" and strongest is not None and option.system == strongest[0].system:
        return []
    because = f": {_why(option.failed, option)}" if option.failed else ""
    return [f"Fine-tuning is not shown to be worth it {numbers}{because}."]


def _rule(rec: Recommendation, name: str) -> Reason | None:
    return next((reason for reason in rec.reasons if reason.rule == name), None)


def _thumbs(rec: Recommendation) -> str:
    """The rules of thumb for and against fine-tuning, where no fine-tuned model has been measured."""
    sides: dict[str, list[str]] = {"for": [], "against": []}
    for name, holds, side, text in (
        ("room-to-gain", True, "for", "there is room to gain"),
        ("foreign-vocabulary", True, "for", "the model hardly knows the vocabulary"),
        ("few-pairs", False, "for", "there are enough labelled pairs"),
        ("few-pairs", True, "against", "there are few labelled pairs"),
        ("base-is-good", True, "against", "the base is good already"),
        ("fast-corpus", True, "against", "the corpus changes fast"),
    ):
        reason = _rule(rec, name)
        if reason is not None and reason.holds is holds:
            sides[side].append(text)
    return "".join(f" Rules of thumb {side} it: {', '.join(texts)}." for side, texts in sides.items() if texts)


def upgrade(best: Difference, option: Option) -> str:
    """The gain that a more expensive option adds."""
    return (
        f"For more money or effort, {_named(option)} is shown to add {signed(best.delta)} {interval(best.ci)} "
        f"{best.measure} to {best.against}."
    )


# --- what would make it conclusive -----------------------------------------------------------------


def settle(option: Option, config: DecideConfig) -> str:
    """How many queries would show whether an option helps, or why no number would; "" where nothing is open."""
    if option.gain is None or option.failed is None:
        return ""
    return f"{option.system}: {_settle(option, option.gain, option.failed, config)}."


def _settle(option: Option, gain: Difference, reason: Reason, config: DecideConfig) -> str:
    violated = [bound for bound in option.losses or () if not bound.holds]
    lost = [bound for bound in violated if bound.lost]
    if lost:
        worst = min(lost, key=lambda bound: bound.delta)
        return f"a drop on {worst.query_set} is shown ({signed(worst.delta)}); more queries would not change that"
    if gain.test == "identical":
        return "no query of the suite changes; queries on which the two systems differ are needed to compare them"
    if gain.ci is not None and gain.ci[1] < config.minimum_gain:
        return f"a gain of {config.minimum_gain:g} is ruled out; more queries would not change that"
    if reason.rule in ("gain-is-shown", "gain-is-enough"):
        effect = max(gain.delta, config.minimum_gain)
        needed = queries_to_show(gain, effect=effect)
        if needed is None:
            return "no query changed, so the number of queries needed is not known"
        if needed <= gain.n:
            return f"{integer(gain.n)} queries are enough to show a gain of {effect:.3f} four times in five"
        return (
            f"about {integer(needed)} held-out queries would show a gain of {effect:.3f} (there are {integer(gain.n)})"
        )
    if reason.rule == "loss-is-bounded":
        if option.losses is None:
            return "it was not measured on every out-of-distribution query set"
        known = [bound for bound in violated if bound.queries_needed]
        if not known:
            return "the number of out-of-distribution queries needed is not known"
        worst = max(known, key=lambda bound: (bound.queries_needed or 0) / max(1, bound.n))
        return (
            f"about {integer(worst.queries_needed or 0)} queries would show whether it drops by {worst.margin:g} on "
            f"{worst.query_set} (there are {integer(worst.n)})"
        )
    if reason.queries_needed and reason.queries_needed > gain.n:
        needed = reason.queries_needed
        return f"about {integer(needed)} held-out queries would show whether it is better (so far {reason.note})"
    return _why(reason, option)


def labels(pairs: int | None, config: DecideConfig, curves: Sequence[Forecast]) -> str:
    """The cost of more labels, and the gain that is forecast."""
    wanted = threshold("few-pairs", config).value
    short = max(0.0, wanted - (pairs or 0))
    parts = [count(pairs or 0, "labelled pair")]
    if short:
        price = config.prices.label
        cost = f", ${short * price.usd:,.0f}" if price else ""
        parts.append(f"{integer(wanted)} are the usual minimum: {integer(short)} more{cost}")
    for curve in curves:
        if curve.gain is not None and curve.interval is not None:
            gain = f"{signed(curve.gain)} {interval(curve.interval)}"
            parts.append(f"{integer(curve.pairs)} pairs are forecast to add {gain} ({curve.recipe})")
        else:
            refusal = curve.refusal[:1].lower() + curve.refusal[1:].rstrip(".")
            parts.append(f"no forecast for {curve.recipe}: {refusal}")
    if not curves:
        parts.append("no learning curve has been measured, so the gain from more labels is not known")
    return "; ".join(parts)


def doubts(rec: Recommendation) -> list[str]:
    """What would change this, the most important first."""
    sentences = []
    if rec.stay.system and not any(option.losses for option in rec.options if option.gain):
        sentences.append(
            "There is no out-of-distribution query set with results, so the effect of a change on such queries is not "
            "known. Add one (docs/suites-ood.md)."
        )
    planned, measured = rec.plan.get("documents") or 0, rec.plan.get("suite_documents") or 0
    if measured and planned >= MUCH_LARGER * measured:
        sentences.append(
            f"Recall was measured on {integer(measured)} documents, and the plan is for {integer(planned)}. Recall "
            "falls as documents are added, by a different amount for each option."
        )
    if rec.chosen.trained:
        sentences.append(
            "The fine-tuned model comes from one training run; another seed gives other numbers. Train several seeds "
            "(seeds = [0, 1, 2]) before you rely on the recipe."
        )
    unmeasured = [o.system for o in rec.options if o.system and not o.gain and o.name != "stay"]
    if unmeasured:
        sentences.append(f"Not measured, so not considered: {', '.join(unmeasured)}.")
    eligible = [option for option in rec.options if option.eligible]
    if rec.outcome == "recommended" and rec.cheapest_by == "effort" and len(eligible) > 1:
        unpriced = dict.fromkeys(key for option in eligible if option.cost for key in option.cost.missing)
        sentences.append(
            "The cheapest option was chosen by effort, not by cost, because these values are not stated: "
            f"{', '.join(list(unpriced)[:8])}."
        )
    others = [row for row in rec.scenarios if row.choice != rec.system]
    if others:
        names, rows = sorted({row.choice for row in others}), [row.what for row in others[:4]]
        sentences.append(f"Another option would be cheapest ({', '.join(names)}) with: {'; '.join(rows)}.")
    return [*sentences, *rec.settle]
