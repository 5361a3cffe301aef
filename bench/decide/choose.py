"""Options, evidence, rules and costs → one recommendation, from records alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bench.base.errors import UsageError
from bench.decide import conditions, sentences
from bench.decide.case import Case
from bench.decide.costs import benefit
from bench.decide.evidence import Bound, bounds, mean_of
from bench.decide.money import order_of, prices, scenarios
from bench.decide.options import KINDS, RERANK, effort_of, kind_of, known, label_of, recipes, rivals, sizes_of, work_of
from bench.decide.records import Option, Reason, Recommendation
from bench.decide.rules import Signs, rules_of_thumb
from bench.decide.sizes import smaller, smaller_option
from bench.gate.compare import Difference, corrected


def decide(case: Case) -> Recommendation:
    """The cheapest option that is shown to help by enough without losing elsewhere; else that none is.

    Raises:
        UsageError: the current system has no held-out result.
        ConfigError: `[decide]` names an option, rule or system that is none.
        NotComparable: results of different tasks.
    """
    if not case.sets("held-out"):
        raise UsageError(
            f'System "{case.current}" has no stored result on a held-out query set of suite "{case.suite}"; what '
            f"others gain over it cannot be told. Make one: bench run --system {case.current}"
        )
    options = _options(case)
    order, cheapest_by = order_of(options, case.config)
    eligible = sorted((option for option in options if option.eligible), key=order)
    chosen = eligible[0] if eligible else next(option for option in options if option.name == "stay")
    found = Recommendation(
        suite=case.suite,
        current=case.current,
        current_from=case.current_from,
        measure=case.measure,
        alpha=case.config.alpha,
        minimum_gain=case.config.minimum_gain,
        choice=chosen.name,
        system=chosen.system,
        outcome="recommended" if eligible else "not shown to help",
        sentences=(),
        options=tuple(options),
        reasons=(*_rules(case, options), *(reason for option in options for reason in option.conditions)),
        cheapest_by=cheapest_by,
        family=max((option.gain.family for option in options if option.gain), default=0),
        n_held_out=case.n_held_out,
        plan={
            "documents": float(case.config.documents or case.measured.documents),
            "suite_documents": float(case.measured.documents),
            "queries_per_month": case.config.queries_per_month,
            "horizon_months": case.config.horizon_months,
        },
        prices=prices(case.config),
        missing=case.missing,
        pairs=case.measured.pairs,
        headroom=_headroom(case),
        vocabulary=case.vocabulary,
        curves=case.curves,
        smaller=smaller(case, chosen.system),
        upgrade=_upgrade(case, chosen, eligible),
        scenarios=tuple(scenarios(case, options, chosen)),
        settle=tuple(option.settle for option in options if option.settle),
    )
    return replace(found, sentences=sentences.answer(found), doubts=(*case.doubts, *sentences.doubts(found)))


# --- options ---------------------------------------------------------------------------------------


def _options(case: Case) -> list[Option]:
    """Every option: the current system, its rivals, its own smaller sizes, and what is not configured."""
    names = rivals(case.facts, case.current, case.config)
    compared = {name: found for name in names if (found := case.gain(name, case.current)) is not None}
    gains = dict(zip(compared, corrected(list(compared.values())), strict=True))
    losses = {
        name: bounds(
            case.results, name, case.current, measure=case.measure, margins=case.abroad, alpha=case.config.alpha
        )
        for name in gains
    }
    judged = conditions.judge(case, gains, losses)
    made = [_option(case, name, gains.get(name), losses.get(name), judged.get(name, [])) for name in names]
    current = _option(case, case.current, None, [], [])
    rows = [current, *made, *smaller_option(case)]
    return [*rows, *_unmade(case, {option.name for option in rows})]


def _option(
    case: Case, name: str, held: Difference | None, losses: list[Bound] | None, judged: Sequence[Reason]
) -> Option:
    """One system as an option, with all that is known of it."""
    (kind, known_from), kinds = kind_of(name, case.facts, case.current, case.config), known(case.facts)
    cost = case.cost(name, kind)
    worth = None
    if held is not None:
        standing = case.cost(case.current, "stay")
        worth = benefit(cost, standing, delta=held.delta, ci=held.ci, config=case.config)
    unmeasured = "" if held or name == case.current else "not measured on every held-out query set"
    option = Option(
        name=kind,
        label=label_of(kind, kinds),
        system=name,
        known_from=known_from,
        work=work_of(kind, kinds),
        effort=effort_of(kind, case.config, kinds),
        mean=mean_of(case.results, name, case.measure, case.sets("held-out")),
        gain=held,
        others=_others(case, name) if held else (),
        losses=None if losses is None else tuple(losses),
        conditions=tuple(judged),
        eligible=bool(judged) and all(reason.holds or not reason.asked for reason in judged),
        trained=recipes(name, case.facts),
        cost=cost,
        benefit=worth,
        latency=case.latencies.get(name),
        todo=case.missing.get(name) or unmeasured,
    )
    return replace(option, settle=sentences.settle(option, case.config))


def _others(case: Case, name: str) -> tuple[Difference, ...]:
    """Gains by the suite's other measures: shown beside, they decide nothing."""
    held_out = case.sets("held-out")
    found = []
    for measure in case.results[case.current][held_out[0]].protocol.measures[1:]:
        if all(measure in case.results[who][q].scores.measures for who in (name, case.current) for q in held_out):
            one = case.gain(name, case.current, measure)
            found += [one] if one else []
    return tuple(found)


def _unmade(case: Case, made: set[str]) -> list[Option]:
    """Options that no system of the config stands for, and collecting labels."""
    made = made | {name.removesuffix(RERANK) for name in made} | {"stay", "smaller", "larger", "other", "embedding"}
    if any(name.endswith(RERANK) for name in made):
        made.add("rerank")
    if not sizes_of(case.current, case.facts) and case.facts[case.current].dim is not None:
        made.discard("smaller")
    if (standing := case.facts[case.current].option.name) in ("bm25", "hybrid"):
        made.add(standing)
    kinds = known(case.facts)
    found = [
        Option(
            name,
            kind.label,
            "",
            work=kind.work,
            effort=effort_of(name, case.config, kinds),
            todo=f"to measure it, {kind.how}",
        )
        for name, kind in KINDS.items()
        if name not in made and name != "collect-labels"
    ]
    todo = sentences.labels(case.measured.pairs, case.config, case.curves)
    effort = effort_of("collect-labels", case.config, kinds)
    labels = Option(
        "collect-labels", label_of("collect-labels"), "", work=work_of("collect-labels"), effort=effort, todo=todo
    )
    return [*found, labels]


def _upgrade(case: Case, chosen: Option, eligible: Sequence[Option]) -> str:
    """What the best of the dearer eligible options is shown to add to the choice."""
    others = [option for option in eligible if option.system != chosen.system]
    gains = [one for option in others if (one := case.gain(option.system, chosen.system)) is not None]
    shown = [one for one in corrected(gains) if one.shown == "better" and one.delta >= case.config.minimum_gain]
    if not shown:
        return ""
    best = max(shown, key=lambda one: one.delta)
    return sentences.upgrade(best, next(option for option in eligible if option.system == best.system))


# --- reasons ---------------------------------------------------------------------------------------


def _rules(case: Case, options: Sequence[Option]) -> list[Reason]:
    recalls = case.recalls.get(case.current, {})
    signs = Signs(
        pairs=case.measured.pairs,
        recall_10=recalls.get(10),
        recall_100=recalls.get(100),
        over_hybrid=_over_hybrid(case, options),
        vocabulary=case.vocabulary,
        n_held_out=case.n_held_out,
        ceilings=_ceilings(case, options),
    )
    return rules_of_thumb(signs, case.config)


def _ceilings(case: Case, options: Sequence[Option]) -> dict[str, float]:
    """Reranked system → recall of the list that it is given, at its depth."""
    found = {}
    for option in options:
        facts = case.facts.get(option.system)
        if facts is not None and facts.reorders and facts.parts:
            ceiling = case.recalls.get(facts.parts[0], {}).get(facts.reorders)
            if ceiling is not None:
                found[option.system] = ceiling
    return found


def _over_hybrid(case: Case, options: Sequence[Option]) -> Difference | None:
    """The best fine-tuned system against the best untrained hybrid; None where either is not measured."""
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
    one = case.gain(best.system, hybrid.system)
    return None if one is None else corrected([one])[0]


def _headroom(case: Case) -> dict[str, float | None]:
    recalls = case.recalls.get(case.current, {})
    ten, hundred = recalls.get(10), recalls.get(100)
    between = None if ten is None or hundred is None else hundred - ten
    return {"recall@10": ten, "recall@100": hundred, "between": between}
