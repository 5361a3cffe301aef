"""Rules of thumb, which only advise, and the conditions that an option must meet to be chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bench.base.errors import ConfigError, did_you_mean
from bench.base.words import interval, signed
from bench.config import DecideConfig
from bench.decide.case import Case
from bench.decide.evidence import Bound, queries_to_show, worst_of
from bench.decide.options import recipes
from bench.decide.records import Option, Reason
from bench.gate.compare import Difference, corrected
from bench.stats import holm

OURS = "convention of this project, docs/decisions/0010"


@dataclass(frozen=True)
class Threshold:
    """A rule's number, its source, and the advice that follows where the rule holds."""

    value: float
    source: str
    says: str
    unit: str = "measure"


THRESHOLDS: Mapping[str, Threshold] = {
    "few-pairs": Threshold(
        1000,
        "Zilliz AI FAQ (1,000 to 5,000 at least); Zhang, Yates & Lin 2020, doi 10.18653/v1/2020.sustainlp-1.14",
        "With fewer labelled pairs, prefer hybrid retrieval to fine-tuning.", "count"),
    "base-is-good": Threshold(
        0.90, OURS, "Where recall@10 of the system in use is at least this, leave the system as it is."),
    "room-to-gain": Threshold(
        0.70, OURS, "Where recall@10 of the system in use is below this, there is room to gain."),
    "little-headroom": Threshold(
        0.02, "arithmetic; the number: docs/decisions/0010",
        "Where recall@100 exceeds recall@10 by less than this, reordering cannot help."),
    "fast-corpus": Threshold(
        0.25, OURS, "Where more of the corpus changes between two trainings, prefer an option without training.",
        "share"),
    "hybrid-closes-the-gap": Threshold(
        0.02, "Weaviate, Why, When and How to Fine-Tune a Custom Embedding Model; the number: docs/decisions/0010",
        "Where fine-tuning adds less than this to the best untrained hybrid, prefer the hybrid."),
    "foreign-vocabulary": Threshold(
        1.2, "Rust et al. 2021, How Good is Your Tokenizer?; the number: docs/decisions/0010",
        "Where the tokenizer splits words into more pieces, the model hardly knows the vocabulary.", "pieces"),
    "enough-to-forecast": Threshold(
        1000, OURS, "With at least this many evaluation queries, a learning curve allows a forecast for more labels.",
        "count"),
}  # fmt: skip
"""The named rules. `[decide.thresholds.NAME]` gives another value, with its source."""


def threshold(name: str, config: DecideConfig) -> Threshold:
    """A rule's threshold: the config's where it states one, else the one of THRESHOLDS.

    Raises:
        ConfigError: the config states one for an unknown rule.
    """
    for rule in config.thresholds:
        if rule not in THRESHOLDS:
            raise ConfigError(
                f'decide.thresholds names "{rule}"; expected one of {", ".join(THRESHOLDS)}.'
                f"{did_you_mean(rule, THRESHOLDS)}"
            )
    stated = config.thresholds.get(name)
    return THRESHOLDS[name] if stated is None else replace(THRESHOLDS[name], value=stated.value, source=stated.source)


def rules_of_thumb(case: Case, options: Sequence[Option]) -> list[Reason]:
    """Every rule of thumb: measured value, threshold, source, and whether it holds (None: not known)."""
    config, vocabulary, over_hybrid = case.config, case.vocabulary, _over_hybrid(case, options)
    pairs, ten = case.measured.pairs, case.headroom["recall@10"]
    changed = None
    if config.changed_per_month is not None and config.retrain_months is not None:
        changed = min(1.0, config.changed_per_month * config.retrain_months)
    rows: list[tuple[str, float | None, str, str]] = [
        ("few-pairs", pairs, "below", "" if pairs is not None else "no query set of role train"),
        ("base-is-good", ten, "at least", ""),
        ("room-to-gain", ten, "below", ""),
        ("little-headroom", case.headroom["between"], "below", ""),
        ("fast-corpus", changed, "at least",
         "" if changed is not None else "state changed_per_month and retrain_months in [decide]"),
        ("hybrid-closes-the-gap", over_hybrid.delta if over_hybrid else None, "below",
         f"{over_hybrid.system} over {over_hybrid.against}" if over_hybrid
         else "no fine-tuned system and untrained hybrid to compare"),
        ("foreign-vocabulary", None if isinstance(vocabulary, str) else vocabulary.fertility, "at least",
         vocabulary if isinstance(vocabulary, str) else ""),
        ("enough-to-forecast", case.n_held_out, "at least", ""),
    ]  # fmt: skip
    reasons = []
    for name, value, side, note in rows:
        limit = threshold(name, config)
        holds = None if value is None else value < limit.value if side == "below" else value >= limit.value
        if name == "hybrid-closes-the-gap" and over_hybrid is not None and over_hybrid.shown != "better":
            holds = True  # a gain that is not shown is no reason to train either
        reasons.append(Reason(name, "", value, limit.value, limit.source, holds, limit.says, limit.unit, note))
    needed = None if ten is None else ten + config.minimum_gain
    source, says = "arithmetic; [decide] minimum_gain", "The list to rerank allows a gain in recall@10 that counts."
    for option in options:
        facts = case.facts.get(option.system)
        if facts is not None and facts.reorders and facts.parts:
            recall = case.recalls.get(facts.parts[0], {}).get(facts.reorders)
            if recall is not None:
                holds = None if needed is None else recall >= needed
                reasons.append(Reason("reranker-ceiling", option.system, recall, needed, source, holds, says))
    return reasons


def _over_hybrid(case: Case, options: Sequence[Option]) -> Difference | None:
    """The best fine-tuned system minus the best untrained hybrid; None where either is not measured."""
    measured = [option for option in options if option.mean is not None]
    trained = [option for option in measured if option.name.startswith("fine-tune")]
    hybrids = [
        option
        for option in measured
        if case.facts[option.system].option.name == "hybrid" and not recipes(option.system, case.facts)
    ]
    if not trained or not hybrids:
        return None
    best, hybrid = (max(group, key=lambda option: option.mean or 0.0) for group in (trained, hybrids))
    gain = case.gain(best.system, hybrid.system)
    return None if gain is None else corrected([gain])[0]


def conditions(
    case: Case, gains: Mapping[str, Difference], bounds: Mapping[str, list[Bound] | None]
) -> dict[str, list[Reason]]:
    """System → the conditions that it must meet to be chosen, for every measured system.

    All systems: a gain that is shown (Holm over all of them) and large enough, and a bounded drop on every
    out-of-distribution query set. A system made of others: better than every part, or than the first one where its kind
    says so, as a reranker's does. A trained one: better than the best untrained system whose drops are bounded. Each of
    these three comparisons is a family of its own (Holm).
    """
    facts, config = case.facts, case.config
    reasons = {name: [*_gain(gain, config), _bounded(name, bounds[name], config)] for name, gain in gains.items()}
    composed = [name for name in gains if facts[name].parts]
    best = _best_untrained(case, gains, bounds)
    families: dict[str, dict[str, list[str]]] = {
        "beats-its-parts": {n: list(facts[n].parts) for n in composed if facts[n].option.beats == "parts"},
        "beats-what-it-reorders": {n: list(facts[n].parts[:1]) for n in composed if facts[n].option.beats == "first"},
        "beats-the-best-untrained": {n: [best] for n in gains if recipes(n, facts)},
    }
    for rule, rivals in families.items():
        for name, reason in _family(case, rule, rivals).items():
            reasons[name].append(reason)
    return reasons


def _gain(gain: Difference, config: DecideConfig) -> list[Reason]:
    source = f"two-sided p by {gain.test}, Holm over {gain.family} options; [decide] alpha"
    shown, enough = gain.shown == "better", gain.delta >= config.minimum_gain - 1e-12
    says = f"The gain over {gain.against} on held-out queries must be shown."
    least, least_source = config.minimum_gain, "[decide] minimum_gain; docs/decisions/0010"
    counts = "The gain must be at least the smallest gain that counts."
    return [
        Reason("gain-is-shown", gain.system, gain.p_adjusted, config.alpha, source, shown, says, "p"),
        Reason("gain-is-enough", gain.system, gain.delta, least, least_source, enough, counts),
    ]


def _bounded(name: str, bounds: list[Bound] | None, config: DecideConfig) -> Reason:
    """The condition on the worst out-of-distribution query set."""
    source = f"one-sided {100 * (1 - config.alpha):g} % bound, the gate's margin; [decide] out_of_distribution_margin"
    reason = Reason(
        "loss-is-bounded",
        name,
        None,
        -config.out_of_distribution_margin,
        source,
        None,
        "A drop of the margin is ruled out on every out-of-distribution query set.",
    )
    if bounds is None:
        return replace(reason, note="not measured on every out-of-distribution query set")
    worst = worst_of(bounds)
    if worst is None:
        return replace(reason, note="not tested: the suite has no out-of-distribution query set", asked=False)
    note = f"{worst.query_set}: {signed(worst.delta)}" + (", drop shown" if worst.lost else "")
    holds = all(bound.holds for bound in bounds)
    return replace(reason, value=worst.lower, threshold=-worst.margin, holds=holds, note=note)


def _best_untrained(case: Case, gains: Mapping[str, Difference], bounds: Mapping[str, list[Bound] | None]) -> str:
    """The untrained system with the highest held-out mean whose drops are bounded; the current one always qualifies.

    A system that may drop on out-of-distribution queries is no alternative to training, so training need not beat it.
    """
    untrained = [case.current]
    for name in gains:
        rows = bounds[name]
        if not recipes(name, case.facts) and rows is not None and all(bound.holds for bound in rows):
            untrained.append(name)
    return max(untrained, key=lambda name: case.mean(name) or 0.0)


_SAYS = {
    "beats-its-parts": "A system made of others, such as a fusion, must beat each of them alone.",
    "beats-what-it-reorders": "A system that reorders another's list, such as a reranker, must beat that list.",
    "beats-the-best-untrained": "Training must beat the best option without training.",
}


def _family(case: Case, rule: str, rivals: Mapping[str, list[str]]) -> dict[str, Reason]:
    """One reason for each system: whether it beats all of its rivals, corrected for the number of systems.

    All comparisons of one system must succeed, so its p is the largest of them (Berger 1982, intersection-union).
    """
    closest: dict[str, Difference] = {}
    p_values: dict[str, float] = {}
    for name, against in rivals.items():
        gains = [case.gain(name, other) for other in against if other != name]
        measured = [gain for gain in gains if gain is not None]
        if measured and len(measured) == len(gains):
            closest[name] = min(measured, key=lambda gain: gain.delta)
            p_values[name] = max(_p_better(gain) for gain in measured)
    adjusted = dict(zip(p_values, holm(list(p_values.values())).tolist(), strict=True))
    source, says = f"two-sided p, Holm over {len(p_values)} options; docs/decisions/0010", _SAYS[rule]
    reasons = {}
    for name, against in rivals.items():
        if name not in closest:
            note = f"no result to compare with: {', '.join(against)}"
            reasons[name] = Reason(rule, name, None, 0.0, source, None, says, note=note)
            continue
        gain = closest[name]
        ends = f" {interval(gain.ci)}" if gain.ci else ""
        note = f"over {gain.against}{ends}, p = {adjusted[name]:.3f}"
        # Queries to show at least the smallest gain that counts; None where the interval rules that gain out.
        is_open = gain.ci is not None and gain.ci[1] >= case.config.minimum_gain
        effect = max(gain.delta, case.config.minimum_gain)
        needed = queries_to_show(replace(gain, family=len(p_values)), effect=effect) if is_open else None
        holds = bool(adjusted[name] < case.config.alpha)
        needed = None if holds else needed
        reasons[name] = Reason(rule, name, gain.delta, 0.0, source, holds, says, note=note, queries_needed=needed)
    return reasons


def _p_better(gain: Difference) -> float:
    """The two-sided p of a gain; 1 where it is none, or where its interval leaves both signs open."""
    return gain.p if gain.p is not None and gain.ci is not None and gain.ci[0] > 0 else 1.0
