"""Options, evidence, rules and costs → one recommendation, from records alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from bench.base.errors import UsageError
from bench.decide import sentences
from bench.decide.case import Case
from bench.decide.costs import benefit
from bench.decide.evidence import Bound
from bench.decide.money import order_of, prices, scenarios
from bench.decide.options import (
    KINDS,
    LABELS,
    RERANK,
    bits_of,
    effort_of,
    kind_of,
    kinds_of,
    label_of,
    recipes,
    rivals,
    sizes_of,
)
from bench.decide.records import Option, Reason, Recommendation, Smaller
from bench.decide.rules import conditions, rules_of_thumb
from bench.gate.compare import Difference, corrected


def decide(case: Case) -> Recommendation:
    """The cheapest option that is shown to help without a drop; the current system where there is none.

    Raises:
        UsageError: the current system has no held-out result.
        ConfigError: `[decide]` names an unknown option, rule or system.
        NotComparable: results of different tasks.
    """
    if not case.sets("held-out"):
        raise UsageError(
            f'System "{case.current}" has no stored result on a held-out query set of suite "{case.suite}", so there '
            f"is nothing to compare other systems with. Make one: bench run --system {case.current}"
        )
    options = _options(case)
    order, cheapest_by = order_of(options, case.config)
    eligible = sorted((option for option in options if option.eligible), key=order)
    chosen = eligible[0] if eligible else next(option for option in options if option.name == "stay")
    reasons = [*rules_of_thumb(case, options), *(reason for option in options for reason in option.conditions)]
    recommendation = Recommendation(
        suite=case.suite,
        current=case.current,
        current_from=case.current_from,
        choice=chosen.name,
        system=chosen.system,
        outcome="recommended" if eligible else "not shown to help",
        sentences=(),
        measure=case.measure,
        alpha=case.config.alpha,
        minimum_gain=case.config.minimum_gain,
        family=max((option.gain.family for option in options if option.gain), default=0),
        cheapest_by=cheapest_by,
        n_held_out=case.n_held_out,
        options=tuple(options),
        reasons=tuple(reasons),
        smaller=smallest_size(case, chosen.system),
        upgrade=_upgrade(case, chosen, eligible),
        headroom=case.headroom,
        pairs=case.measured.pairs,
        vocabulary=case.vocabulary,
        curves=case.curves,
        plan={
            "documents": float(case.config.documents or case.measured.documents),
            "suite_documents": float(case.measured.documents),
            "queries_per_month": case.config.queries_per_month,
            "horizon_months": case.config.horizon_months,
        },
        prices=prices(case.config),
        scenarios=tuple(scenarios(case, options, chosen)),
        missing=case.missing,
        settle=tuple(option.settle for option in options if option.settle),
    )
    return replace(
        recommendation,
        sentences=sentences.answer(recommendation),
        doubts=(*case.doubts, *sentences.doubts(recommendation)),
    )


# --- options ---------------------------------------------------------------------------------------


def _options(case: Case) -> list[Option]:
    """Every option: the current system, its rivals, its smaller sizes, and options that are not configured."""
    names = rivals(case.facts, case.current, case.config)
    measured = {name: gain for name in names if (gain := case.gain(name, case.current)) is not None}
    gains = dict(zip(measured, corrected(list(measured.values())), strict=True))
    bounds = {name: case.bounds(name, case.current) for name in gains}
    reasons = conditions(case, gains, bounds)
    rows = [
        _option(case, case.current, bounds=[]),
        *(_option(case, name, gains.get(name), bounds.get(name), reasons.get(name, [])) for name in names),
        *_smaller_option(case),
    ]
    return [*rows, *_not_configured(case, {option.name for option in rows})]


def _new(case: Case, kind: str, system: str = "", **fields: Any) -> Option:
    """An option of this kind, with its label, work and effort."""
    kinds, base = kinds_of(case.facts), kind.removesuffix(RERANK)
    work = kinds[base].work + ("" if base == kind else ", and a reranker")
    return Option(kind, label_of(kind, kinds), system, work=work, effort=effort_of(kind, case.config, kinds), **fields)


def _option(
    case: Case,
    name: str,
    gain: Difference | None = None,
    bounds: list[Bound] | None = None,
    reasons: Sequence[Reason] = (),
) -> Option:
    """A configured system as an option."""
    kind, known_from = kind_of(name, case.facts, case.current, case.config)
    cost = case.cost(name, kind)
    current = case.cost(case.current, "stay")
    unmeasured = "" if gain or name == case.current else "not measured on every held-out query set"
    option = _new(
        case,
        kind,
        name,
        known_from=known_from,
        mean=case.mean(name),
        gain=gain,
        others=_other_measures(case, name) if gain else (),
        losses=None if bounds is None else tuple(bounds),
        conditions=tuple(reasons),
        eligible=bool(reasons) and all(reason.holds or not reason.asked for reason in reasons),
        trained=recipes(name, case.facts),
        cost=cost,
        benefit=benefit(cost, current, delta=gain.delta, ci=gain.ci, config=case.config) if gain else None,
        latency=case.latencies.get(name),
        todo=case.missing.get(name) or unmeasured,
    )
    return replace(option, settle=sentences.settle(option, case.config))


def _other_measures(case: Case, name: str) -> tuple[Difference, ...]:
    """Differences in the suite's other measures, which decide nothing."""
    ours, current, held_out = case.results[name], case.results[case.current], case.sets("held-out")
    measures = [
        measure
        for measure in current[held_out[0]].protocol.measures[1:]
        if all(measure in results[q].scores.measures for results in (ours, current) for q in held_out)
    ]
    return tuple(gain for measure in measures if (gain := case.gain(name, case.current, measure)))


def _smaller_option(case: Case) -> list[Option]:
    """Smaller vectors of the current system: the size without a drop, else the size with the best mean."""
    full = bits_of(case.facts[case.current])
    names = [name for name in sizes_of(case.current, case.facts) if name in case.results]
    names = [name for name in names if bits_of(case.facts[name]) < full]
    gains = [gain for name in names if (gain := case.gain(name, case.current)) is not None]
    if not gains:
        return []
    small = smallest_size(case, case.current)
    best = next(g for g in gains if g.system == small.system) if small else max(gains, key=lambda gain: gain.delta)
    bounds = case.bounds(best.system, case.current)
    return [
        _new(
            case,
            "smaller",
            best.system,
            known_from="config",
            mean=best.mean,
            gain=best,
            losses=None if bounds is None else tuple(bounds),
            cost=case.cost(best.system, "smaller"),
            latency=case.latencies.get(best.system),
        )
    ]


def smallest_size(case: Case, system: str) -> Smaller | None:
    """The smallest size of a dense system for which a drop of the margin is ruled out on every query set.

    The margin on held-out sets is the smallest gain that counts. The size is picked after its results are seen, so
    each bound is taken at alpha over the number of sizes (Bonferroni).
    """
    sizes = [name for name in sizes_of(system, case.facts) if name in case.results]
    full = case.cost(system, "stay").index_bytes
    if not sizes or not full:
        return None
    level = case.config.alpha / len(sizes)
    margins = dict.fromkeys(case.sets("held-out"), case.config.minimum_gain) | case.out_of_distribution
    fit = []
    for name in sizes:
        bounds = case.bounds(name, system, margins, level)
        size = case.cost(name, "smaller").index_bytes
        if bounds and size and size < full and all(bound.holds for bound in bounds):
            fit.append(Smaller(name, system, size, full, tuple(bounds), level, len(sizes)))
    return min(fit, key=lambda small: small.index_bytes, default=None)


def _not_configured(case: Case, names: set[str]) -> list[Option]:
    """Options that no system of the config is, each with how to measure it; more labels come last."""
    present = names | {name.removesuffix(RERANK) for name in names}
    present |= {"stay", "smaller", "larger", "other", "embedding", LABELS}
    if any(name.endswith(RERANK) for name in names):
        present.add("rerank")
    current = case.facts[case.current]
    if not sizes_of(case.current, case.facts) and current.dim is not None:
        present.discard("smaller")
    if current.option.name in ("bm25", "hybrid"):
        present.add(current.option.name)
    options = [
        _new(case, name, todo=f"to measure it, {kind.how}") for name, kind in KINDS.items() if name not in present
    ]
    todo = sentences.labels(case.measured.pairs, case.config, case.curves)
    return [*options, _new(case, LABELS, todo=todo)]


def _upgrade(case: Case, chosen: Option, eligible: Sequence[Option]) -> str:
    """The gain that the best of the more expensive eligible options is shown to add to the choice."""
    others = {option.system: option for option in eligible if option.system != chosen.system}
    gains = [gain for system in others if (gain := case.gain(system, chosen.system)) is not None]
    shown = [gain for gain in corrected(gains) if gain.shown == "better" and gain.delta >= case.config.minimum_gain]
    if not shown:
        return ""
    best = max(shown, key=lambda gain: gain.delta)
    return sentences.upgrade(best, others[best.system])
