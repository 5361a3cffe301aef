"""Smaller vectors: which dimension and precision of a system saves room without a loss that counts."""

from __future__ import annotations

from bench.decide.case import Case
from bench.decide.evidence import bounds
from bench.decide.options import bits_of, effort_of, known, label_of, sizes_of, work_of
from bench.decide.records import Option, Smaller


def smaller(case: Case, system: str) -> Smaller | None:
    """The smallest size of a dense system that is shown to lose no more than the margins, on every query set.

    On held-out sets the margin is the least gain that counts. Of several sizes one is picked after looking, so each
    bound is taken at alpha over their number (Bonferroni).
    """
    config = case.config
    sizes = [name for name in sizes_of(system, case.facts) if name in case.results]
    whole = case.cost(system, "stay").index_bytes
    if not sizes or not whole:
        return None
    level = config.alpha / len(sizes)
    margins = dict.fromkeys(case.sets("held-out"), config.minimum_gain) | case.abroad
    fit = []
    for name in sizes:
        held = bounds(case.results, name, system, measure=case.measure, margins=margins, alpha=level)
        size = case.cost(name, "smaller").index_bytes
        if held and size and size < whole and all(bound.holds for bound in held):
            fit.append(Smaller(name, system, size, whole, tuple(held), level, len(sizes)))
    return min(fit, key=lambda one: one.index_bytes, default=None)


def smaller_option(case: Case) -> list[Option]:
    """Smaller vectors of the current system as one option: the size that fits, else the one that loses least."""
    whole = bits_of(case.facts[case.current])
    names = [
        name
        for name in sizes_of(case.current, case.facts)
        if name in case.results and bits_of(case.facts[name]) < whole
    ]
    gains = [one for name in names if (one := case.gain(name, case.current)) is not None]
    if not gains:
        return []
    fit = smaller(case, case.current)
    best = next(one for one in gains if one.system == fit.system) if fit else max(gains, key=lambda one: one.delta)
    held = bounds(
        case.results, best.system, case.current, measure=case.measure, margins=case.abroad, alpha=case.config.alpha
    )
    return [
        Option(
            name="smaller",
            label=label_of("smaller"),
            system=best.system,
            known_from="config",
            work=work_of("smaller"),
            effort=effort_of("smaller", case.config, known(case.facts)),
            mean=best.mean,
            gain=best,
            losses=None if held is None else tuple(held),
            cost=case.cost(best.system, "smaller"),
            latency=case.latencies.get(best.system),
        )
    ]
