"""What an option must hold to be chosen, each as a reason with its number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from bench.config import DecideConfig
from bench.decide.case import Case
from bench.decide.evidence import Bound, mean_of, queries_to_show
from bench.decide.options import recipes
from bench.decide.records import Reason
from bench.gate.compare import Difference
from bench.stats import holm

Losses = Mapping[str, list[Bound] | None]


def judge(case: Case, gains: Mapping[str, Difference], losses: Losses) -> dict[str, list[Reason]]:
    """The conditions of every measured system.

    All options: a gain that is shown (Holm over all of them) and large enough, and a loss out of distribution that is
    bounded. What is made of others: better than every part, or where its kind says so, such as a reranker, better than
    the first one. Trained ones: better than the
    best untrained option that is not ruled out by its own losses. Each of these three is a family of its own (Holm).
    """
    facts = case.facts
    found = {
        name: [*_gain(held, case.config), _abroad(name, losses[name], case.config)] for name, held in gains.items()
    }
    best = _best_untrained(case, gains, losses)
    composed = [name for name in gains if facts[name].parts]
    rivals: dict[str, dict[str, list[str]]] = {
        "beats-its-parts": {n: list(facts[n].parts) for n in composed if facts[n].option.beats == "parts"},
        "beats-what-it-reorders": {n: list(facts[n].parts[:1]) for n in composed if facts[n].option.beats == "first"},
        "beats-the-best-untrained": {n: [best] for n in gains if recipes(n, facts)},
    }
    for rule, wanted in rivals.items():
        for name, reason in _family(case, rule, wanted).items():
            found[name].append(reason)
    return found


def _gain(held: Difference, config: DecideConfig) -> list[Reason]:
    shown = held.shown == "better"
    return [
        Reason(
            "gain-is-shown",
            held.system,
            held.p_adjusted,
            config.alpha,
            f"two-sided p by {held.test}, Holm over {held.family} options; [decide] alpha",
            shown,
            f"The gain over {held.against} on held-out queries is no chance.",
            "p",
        ),
        Reason(
            "gain-is-enough",
            held.system,
            held.delta,
            config.minimum_gain,
            "[decide] minimum_gain; docs/decisions/0010",
            held.delta >= config.minimum_gain - 1e-12,
            "The gain is large enough to act upon.",
        ),
    ]


def _abroad(name: str, found: list[Bound] | None, config: DecideConfig) -> Reason:
    """The worst out-of-distribution set; without any set nothing can be asked, and the recommendation says so."""
    source = f"one-sided {100 * (1 - config.alpha):g} % bound, the gate's margin; [decide] out_of_distribution_margin"
    says = "A loss beyond the margin is ruled out on every out-of-distribution query set."
    if found is None:
        note = "not measured on every out-of-distribution query set"
        return Reason("loss-is-bounded", name, None, -config.out_of_distribution_margin, source, None, says, note=note)
    if not found:
        note = "the suite has no out-of-distribution query set, so this was not asked"
        return Reason(
            "loss-is-bounded",
            name,
            None,
            -config.out_of_distribution_margin,
            source,
            None,
            says,
            note=note,
            asked=False,
        )
    worst = min(found, key=lambda bound: -2.0 if bound.lower is None else bound.lower)
    holds = all(bound.holds for bound in found)
    note = f"{worst.query_set}: {worst.delta:+.3f}" + (", shown to lose" if worst.lost else "")
    return Reason("loss-is-bounded", name, worst.lower, -worst.margin, source, holds, says, note=note)


def _best_untrained(case: Case, gains: Mapping[str, Difference], losses: Losses) -> str:
    """The untrained system with the highest held-out mean whose losses are bounded; the current one is always allowed.

    One that loses elsewhere is no alternative to training, so training need not beat it.
    """
    allowed = [case.current]
    for name in gains:
        bounded = losses[name]
        if not recipes(name, case.facts) and bounded is not None and all(bound.holds for bound in bounded):
            allowed.append(name)
    held_out = case.sets("held-out")
    return max(allowed, key=lambda name: mean_of(case.results, name, case.measure, held_out) or 0.0)


_SAYS = {
    "beats-its-parts": "What is made of other systems, as a fusion is, must beat each of them alone.",
    "beats-what-it-reorders": "What starts from another system's list, as a reranker does, must beat that list.",
    "beats-the-best-untrained": "Training must beat the best option that needs none.",
}


def _family(case: Case, rule: str, wanted: Mapping[str, list[str]]) -> dict[str, Reason]:
    """One reason for each system: better than all of its rivals, corrected over the systems.

    All comparisons of one system must succeed, so its p is the largest of them (Berger 1982, intersection-union).
    """
    closest: dict[str, Difference | None] = {}
    p_values: dict[str, float] = {}
    for name, against in wanted.items():
        found = [case.gain(name, other) for other in against if other != name]
        held = [one for one in found if one is not None]
        if not held or len(held) < len(found):
            closest[name] = None
            continue
        closest[name] = min(held, key=lambda one: one.delta)
        p_values[name] = max(_p_better(one) for one in held)
    adjusted = dict(zip(p_values, holm(list(p_values.values())).tolist(), strict=True))
    reasons = {}
    for name, one in closest.items():
        source = f"two-sided p, Holm over {len(p_values)} options; docs/decisions/0010"
        if one is None:
            note = f"no result to compare with: {', '.join(wanted[name])}"
            reasons[name] = Reason(rule, name, None, 0.0, source, None, _SAYS[rule], note=note)
            continue
        ends = f" [{one.ci[0]:+.3f}, {one.ci[1]:+.3f}]" if one.ci else ""
        note = f"over {one.against}{ends}, p {adjusted[name]:.3f}"
        # A lead of the least gain that counts is worth more queries; where that is ruled out, none would show it.
        open_still = one.ci is not None and one.ci[1] >= case.config.minimum_gain
        effect = max(one.delta, case.config.minimum_gain)
        needed = queries_to_show(replace(one, family=len(p_values)), effect=effect) if open_still else None
        holds = bool(adjusted[name] < case.config.alpha)
        reasons[name] = Reason(
            rule, name, one.delta, 0.0, source, holds, _SAYS[rule], note=note, queries_needed=None if holds else needed
        )
    return reasons


def _p_better(one: Difference) -> float:
    """The two-sided p of a gain; 1 where it is none, or where its interval leaves both signs open."""
    return one.p if one.p is not None and one.ci is not None and one.ci[0] > 0 else 1.0
