"""A decision in plain sentences, each computed from its numbers."""

from __future__ import annotations

from collections.abc import Sequence

from bench.base.words import interval, number, signed, whole
from bench.config import DecideConfig
from bench.decide.curve import Forecast
from bench.decide.evidence import queries_to_show
from bench.decide.records import Option, Reason, Recommendation
from bench.gate.compare import Difference

FEW_PAIRS = "few-pairs"
MUCH_LARGER = 10
"""Times the suite's documents from which on its recall says little about the corpus that is planned for."""


# --- the answer ------------------------------------------------------------------------------------


def answer(found: Recommendation) -> tuple[str, ...]:
    """What to do, in one sentence; what that says about fine-tuning; what else can be had."""
    first = _recommended(found) if found.outcome == "recommended" else _not_shown(found)
    said = [first, _standing(found)] if found.outcome == "recommended" else [first]
    good = _rule(found, "base-is-good")
    if found.outcome != "recommended" and good is not None and good.holds and good.value is not None:
        said.append(f"There is little room: {found.current} already finds {number(good.value)} (recall@10).")
    said += _fine_tuning(found)
    if found.smaller is not None:
        said.append(_saves(found))
    if found.upgrade:
        said.append(found.upgrade)
    return tuple(said)


def _recommended(found: Recommendation) -> str:
    chosen = found.chosen
    held = chosen.gain
    assert held is not None  # noqa: S101 (nothing is recommended without a gain)
    return (
        f"Choose {_named(chosen)}: {found.measure} rises from {number(held.reference)} to {number(held.mean)}, "
        f"{signed(held.delta)} {interval(held.ci)} over {whole(held.n)} held-out queries."
    )


def _standing(found: Recommendation) -> str:
    """Beside which others, and what is known of other queries."""
    n_eligible = len([option for option in found.options if option.eligible])
    which = "the only option" if n_eligible == 1 else f"the cheapest (by {found.cheapest_by}) of {n_eligible} options"
    return f"It is {which} shown to help{_elsewhere(found.chosen)}."


def _elsewhere(chosen: Option) -> str:
    """What is known of other queries, as the end of a sentence."""
    if not chosen.losses:
        return "; what it does to queries of another kind was not measured"
    most = max(0.0, *(-(bound.lower or 0.0) for bound in chosen.losses))
    if most < 0.0005:
        return "; out of distribution no query set loses"
    return f"; out of distribution a loss beyond {number(most)} is ruled out on every query set"


def _not_shown(found: Recommendation) -> str:
    tested = [option for option in found.options if option.gain and option.name not in ("stay", "smaller")]
    stay = f"Leave {found.current} as it is"
    if not tested:
        return f"{stay} for now: no other option has been measured (see what to run below)."
    at_home = [option for option in tested if helps_at_home(option)]
    best = max(at_home or tested, key=lambda option: option.gain.delta if option.gain else 0.0)
    held = best.gain
    assert held is not None  # noqa: S101 (tested options have one)
    reason = best.failed
    because = f", but {_why(reason, best)}" if held.delta > 0 and reason is not None else ""
    shown = f"of {whole(len(tested))} measured options none is shown to help"
    if at_home:
        n = len(at_home)
        shown = (
            f"of {whole(len(tested))} measured options {whole(n)} {'is' if n == 1 else 'are'} shown to help, "
            f"but {'not' if n == 1 else 'none of them'} to lose nothing elsewhere"
        )
    return (
        f"{stay}: {shown}. The nearest is {_named(best)}, "
        f"{signed(held.delta)} {interval(held.ci)} {found.measure}{because}."
    )


def helps_at_home(option: Option) -> bool:
    """Whether it is shown to gain, and what is missing is that it loses nothing out of distribution."""
    failed = option.failed
    return (
        option.gain is not None
        and option.gain.shown == "better"
        and failed is not None
        and failed.rule == "loss-is-bounded"
    )


def _named(option: Option) -> str:
    name = option.label[1:2].isupper()  # BM25, SPLADE
    label = option.label if name else option.label[:1].lower() + option.label[1:]
    return f"{label} ({option.system})"


def _why(reason: Reason, option: Option) -> str:
    """Why an option is not chosen, as the end of a sentence."""
    held = option.gain
    if reason.rule == "gain-is-shown":
        if held and held.ci and held.ci[0] > 0:
            return (
                f"as one of {held.family} options that were tried, that may be chance (p {_p(reason.value)} after Holm)"
            )
        return "that may be chance"
    if reason.rule == "gain-is-enough":
        return f"that is less than the {reason.threshold:g} that counts"
    if reason.rule == "loss-is-bounded":
        worst = min(option.losses or (), key=lambda bound: -2.0 if bound.lower is None else bound.lower, default=None)
        if worst is None:
            return "nobody measured what it loses out of distribution"
        if worst.lost:
            return f"it is shown to lose out of distribution ({signed(worst.delta)} on {worst.query_set})"
        return f"a loss of {worst.margin:g} on {worst.query_set} is not ruled out ({signed(worst.delta)} there)"
    if reason.rule == "beats-its-parts":
        return f"it is not shown to beat its parts ({reason.note})"
    if reason.rule == "beats-what-it-reorders":
        return f"it is not shown to beat the list it reorders ({reason.note})"
    return f"it is not shown to beat the best option without training ({reason.note})"


def _p(value: float | None) -> str:
    return "unknown" if value is None else "under 0.001" if value < 0.001 else f"{value:.3f}"


def _fine_tuning(found: Recommendation) -> list[str]:
    """The question that is always asked."""
    if found.chosen.name.startswith("fine-tune"):
        return []
    trained = [option for option in found.options if option.name.startswith("fine-tune") and option.system]
    measured = [option for option in trained if option.gain]
    if not measured:
        how = next((option.todo for option in trained if option.todo), "")
        todo = f" ({how})" if how else ""
        return [
            f"Whether fine-tuning would help is not known: no fine-tuned model has been measured{todo}.{_thumbs(found)}"
        ]
    eligible = [option for option in measured if option.eligible]
    if eligible:
        best = max(eligible, key=lambda option: option.gain.delta if option.gain else 0.0)
        gain = best.gain
        assert gain is not None  # noqa: S101 (measured)
        return [f"Fine-tuning helps too ({best.system}, {signed(gain.delta)} {interval(gain.ci)}), but takes more."]
    best = max(measured, key=lambda option: option.gain.delta if option.gain else 0.0)
    gain, reason = best.gain, best.failed
    assert gain is not None  # noqa: S101 (measured)
    if found.outcome != "recommended" and best.system == _nearest(found):
        return []  # already said
    because = f": {_why(reason, best)}" if reason else ""
    return [
        f"Fine-tuning is not shown to be worth it ({best.system}, {signed(gain.delta)} {interval(gain.ci)}){because}."
    ]


def _rule(found: Recommendation, name: str) -> Reason | None:
    return next((reason for reason in found.reasons if reason.rule == name), None)


def _thumbs(found: Recommendation) -> str:
    """What the rules of thumb say about trying it, where nobody has."""
    sides: dict[str, list[str]] = {"for": [], "against": []}
    for name, wanted, side, words in (
        ("room-to-gain", True, "for", "there is room to gain"),
        ("foreign-vocabulary", True, "for", "many terms are new to the model"),
        ("few-pairs", False, "for", "there are enough labelled pairs"),
        ("few-pairs", True, "against", "there are few labelled pairs"),
        ("base-is-good", True, "against", "the base is good already"),
        ("fast-corpus", True, "against", "the corpus changes fast"),
    ):
        reason = _rule(found, name)
        if reason is not None and reason.holds is wanted:
            sides[side].append(words)
    said = [f"{side} it: {', '.join(words)}" for side, words in sides.items() if words]
    return f" Rules of thumb {'; '.join(said)}." if said else ""


def _nearest(found: Recommendation) -> str:
    tested = [option for option in found.options if option.gain and option.name not in ("stay", "smaller")]
    return max(tested, key=lambda option: option.gain.delta if option.gain else 0.0).system if tested else ""


def _saves(found: Recommendation) -> str:
    small = found.smaller
    assert small is not None  # noqa: S101 (asked for where there is one)
    worst = min(bound.lower for bound in small.bounds if bound.lower is not None)
    ratio = small.of_bytes / small.index_bytes
    return (
        f"{small.of} may be stored as {small.system}, an index {ratio:.1f} times smaller: a loss of {found.measure} "
        f"beyond {number(max(0.0, -worst))} is ruled out on every query set."
    )


def upgrade(best: Difference, option: Option) -> str:
    """What a dearer option adds."""
    return (
        f"If more may be spent: {_named(option)} is shown to add {signed(best.delta)} {interval(best.ci)} "
        f"{best.measure} to {best.against}."
    )


# --- what would settle it --------------------------------------------------------------------------


def settle(option: Option, config: DecideConfig) -> str:
    """How many queries would tell whether an option helps; why none would; "" where nothing is open."""
    held, reason = option.gain, option.failed
    if held is None or reason is None:
        return ""
    who = f"{option.system}: "
    if any(bound.lost for bound in option.losses or ()):
        return who + _settle_abroad(option)
    if held.ci is not None and held.ci[1] < config.minimum_gain:
        return who + f"a gain of {config.minimum_gain:g} is ruled out; more queries would not change that."
    if reason.rule in ("gain-is-shown", "gain-is-enough"):
        effect = max(held.delta, config.minimum_gain)
        needed = queries_to_show(held, effect=effect)
        if needed is None:
            return who + "no query changed, so how many would tell is not known."
        if needed <= held.n:
            return who + f"{whole(held.n)} queries would have shown a gain of {effect:.3f} four times in five."
        return (
            who
            + f"about {whole(needed)} held-out queries would show a gain of {effect:.3f} (there are {whole(held.n)})."
        )
    if reason.rule == "loss-is-bounded":
        return who + _settle_abroad(option)
    if reason.queries_needed and reason.queries_needed > held.n:
        many = whole(reason.queries_needed)
        return who + f"about {many} held-out queries would show a lead that counts (now {reason.note})."
    return who + _why(reason, option) + "."


def _settle_abroad(option: Option) -> str:
    open_ones = [bound for bound in option.losses or () if not bound.holds]
    lost = [bound for bound in open_ones if bound.lost]
    if lost:
        worst = min(lost, key=lambda bound: bound.delta)
        return f"shown to lose on {worst.query_set} ({signed(worst.delta)}); more queries would not change that."
    known = [bound for bound in open_ones if bound.queries_needed]
    if not known:
        return "its loss out of distribution was not measured."
    worst = max(known, key=lambda bound: (bound.queries_needed or 0) / max(1, bound.n))
    return (
        f"about {whole(worst.queries_needed or 0)} queries would tell whether it loses {worst.margin:g} on "
        f"{worst.query_set} (there are {whole(worst.n)})."
    )


def labels(pairs: int | None, config: DecideConfig, curves: Sequence[Forecast]) -> str:
    """What more labels would take and bring."""
    from bench.decide.rules import threshold

    wanted = threshold(FEW_PAIRS, config).value
    short = max(0.0, wanted - (pairs or 0))
    said = f"{whole(pairs or 0)} pairs at hand"
    said += f"; {whole(short)} are missing to {whole(wanted)}" if short else ""
    if short and config.prices.label:
        said += f", ${short * config.prices.label.usd:,.0f}"
    for curve in curves:
        if curve.gain is not None and curve.interval is not None:
            said += (
                f"; {whole(curve.pairs)} pairs are forecast to add {signed(curve.gain)} {interval(curve.interval)} "
                f"({curve.recipe})"
            )
        else:
            said += f"; no forecast for {curve.recipe}: {curve.refusal[:1].lower()}{curve.refusal[1:].rstrip('.')}"
    return said if curves else said + "; no learning curve has been measured, so what more labels bring is not known"


# --- doubt -----------------------------------------------------------------------------------------


def doubts(found: Recommendation) -> list[str]:
    """What would change this, the weightiest first."""
    said = []
    stay, chosen = found.stay, found.chosen
    if stay.system and not any(option.losses for option in found.options if option.gain):
        said.append(
            "The suite has no out-of-distribution query set that was measured: what a gain at home costs elsewhere is "
            "not known. Add one (docs/suites-ood.md)."
        )
    planned, measured = found.plan.get("documents") or 0, found.plan.get("suite_documents") or 0
    if measured and planned >= MUCH_LARGER * measured:
        said.append(
            f"Recall was measured among {whole(measured)} documents and is planned for {whole(planned)}: it falls as "
            "documents are added, and not alike for every option."
        )
    if chosen.trained:
        said.append(
            "The fine-tuned model is one training run: another seed gives other numbers. Train several (seeds = [0, 1, "
            "2]) before relying on the recipe."
        )
    unmeasured = [
        option.system for option in found.options if option.system and not option.gain and option.name != "stay"
    ]
    if unmeasured:
        said.append(f"Not measured, so not considered: {', '.join(unmeasured)}.")
    if found.outcome == "recommended" and found.cheapest_by == "effort":
        unpriced = dict.fromkeys(
            key for option in found.options if option.eligible and option.cost for key in option.cost.missing
        )
        if len([option for option in found.options if option.eligible]) > 1:
            said.append(
                "Which option is cheapest goes by effort, not by money, because these are not stated: "
                f"{', '.join(list(unpriced)[:8])}."
            )
    others = sorted({row.choice for row in found.scenarios if row.choice != found.system})
    if others:
        rows = [row.what for row in found.scenarios if row.choice != found.system]
        said.append(f"Another option would be cheapest ({', '.join(others)}) with: {'; '.join(rows[:4])}.")
    said += list(found.settle)
    return said
