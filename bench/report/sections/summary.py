"""What a boss reads: the verdicts, then a few sentences computed from the numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.base import words
from bench.gate.compare import Difference
from bench.records import EVALUATION_ROLES
from bench.report import Material, sentences
from bench.report.blocks import (
    Banner,
    Block,
    Bullets,
    Folded,
    Prose,
    Span,
    name,
    plain,
    strong,
)
from bench.report.glance import glance
from bench.report.reading import (
    Pooled,
    Task,
    differences,
    is_smaller,
    leaders,
    pooled,
    roles,
    tasks,
)

ORDER = 0
TITLE = "Summary"

TOLERABLE_LOSS = 0.05
"""A smaller index is named where a loss beyond this is ruled out; the gate's margins are too narrow for 80 queries."""

WORTH_NAMING = 1.2
"""How many times smaller an index must be for that to be worth a sentence."""

Parts = list[str | Span]
Compared = Sequence[tuple[Task, Mapping[str, Difference]]]


def build(material: Material) -> list[Block]:
    """The answer in a sentence, verdicts in a line each, at most seven sentences more, and the words explained."""
    if not material.results and len(material.verdicts) < 2:
        # A page of one verdict begins with it.
        return []
    banners = [
        Banner(
            verdict.outcome,
            words.OUTCOMES.get(verdict.outcome, verdict.outcome),
            sentences.verdict_title(verdict),
            sentences.verdict_sentence(verdict),
            link=f"verdict-{position}",
        )
        for position, verdict in enumerate(material.verdicts, start=1)
    ]
    held = tasks(material)
    if not held:
        return list(banners)
    measure = held[0].primary
    numbers = pooled(material, measure, material.reference)
    compared: Compared = [
        (task, {system: by[measure] for system, by in found.items()})
        for task in held
        if (found := differences(material, task, material.reference, measures=[measure]))
    ]
    blocks: list[Block] = [*_answer(material, numbers, compared, measure), *banners]
    blocks += glance(material, numbers, measure, losses=lambda system: list(_losses(system, compared, abroad=True)))
    items = [
        *_believable(material),
        *(_best(material, numbers[role], role, measure) for role in numbers if len(numbers[role]) > 1),
        *_at_home(compared),
        *_abroad(material, numbers, compared),
        *_smaller(material, compared, measure),
    ]
    if items:
        blocks.append(Bullets(items[:7], style="lead"))
    meaning = words.explained(measure)
    if meaning:
        about = (
            f" is the {meaning}. Brackets hold {words.level(material.alpha)} intervals; where one spans 0, these "
            "queries do not show a difference, which is not the same as showing that there is none."
        )
        blocks.append(Prose([strong(plain(measure, 40)), about], style="note"))
    blocks.append(_terms(held, material))
    return blocks


def _answer(
    material: Material, numbers: Mapping[str, Mapping[str, Pooled]], compared: Compared, measure: str
) -> list[Block]:
    """What a reader takes away who reads one sentence: who gains at home, and whether that costs anything abroad."""
    if any(finding.severity == "error" and finding.where != "gate" for finding in material.findings):
        return [Prose(["Nothing can be concluded yet: the check of the suite found errors."], style="answer")]
    home, reference = numbers.get("held-out", {}), material.reference
    if reference not in home or len(home) < 2:
        return []
    gains = [system for system in leaders(home) if _shown(home[system]) == "better"]
    gains = [system for system in gains if not is_smaller(system, home)] or gains
    if gains:
        return [Prose(_gain(material, home, gains, compared, measure), style="answer")]
    worse = sum(_shown(one) == "worse" for one in home.values())
    parts: Parts = ["Nothing measured here is shown to do better than ", name(reference), " on held-out queries"]
    if worse:
        parts += [f"; {words.count(worse, 'system')} {'are' if worse > 1 else 'is'} shown to do worse"]
    return [Prose([*parts, f" ({plain(measure, 40)})."], style="answer")]


def _gain(
    material: Material, home: Mapping[str, Pooled], gains: Sequence[str], compared: Compared, measure: str
) -> Parts:
    """The largest gain at home; where it loses somewhere, the largest gain that is measured and not shown to."""
    best = gains[0]
    parts: Parts = [name(best), " does better than ", name(material.reference), " on held-out queries ("]
    parts += [*_delta(home[best], measure), ")"]
    sets = [(task, found) for task, found in compared if task.role in EVALUATION_ROLES]
    if all(task.role == "held-out" for task, _ in sets):
        return [*parts, "; no out-of-distribution queries were measured."]
    lost = _losses(best, sets)
    if not lost:
        unseen = [task.name for task, found in sets if best not in found]
        if not unseen:
            return [*parts, ", and is not shown to lose anywhere."]
        parts += ["; it was not measured on ", *words.listed(map(name, unseen), most=3)]
    else:
        parts += [", but worse on ", *_places(lost)]
    safe = next((s for s in gains if not _losses(s, sets) and all(s in found for _, found in sets)), None)
    if safe is not None:
        parts += ["; ", name(safe), " gains too (", *_delta(home[safe], measure), ") and is not shown to lose anywhere"]
    return [*parts, "."]


def _delta(one: Pooled, measure: str) -> Parts:
    delta = one.difference.delta if one.difference else None
    return [f"{plain(measure, 40)} ", strong(words.signed(delta))]


def _losses(system: str, compared: Compared, *, abroad: bool = False) -> dict[str, float]:
    """Query set → difference, where a system is shown to lose; out-of-distribution sets alone where `abroad`."""
    return {
        task.name: found[system].delta
        for task, found in compared
        if system in found and found[system].shown == "worse" and (task.role != "held-out" or not abroad)
    }


def _places(losses: Mapping[str, float]) -> Parts:
    """Query sets with what is lost there, the largest loss first; past three, the rest is a number."""
    parts: Parts = []
    ranked = sorted(losses, key=lambda where: losses[where])
    for position, where in enumerate(ranked[:3]):
        parts += [", " if position else "", name(where), " (", strong(words.signed(losses[where])), ")"]
    return [*parts, f" and {len(ranked) - 3} more sets" if len(ranked) > 3 else ""]


def _believable(material: Material) -> list[Parts]:
    """A warning first, where the suite itself is in doubt."""
    errors = [finding for finding in material.findings if finding.severity == "error"]
    if not errors:
        return []
    what = words.count(len(errors), "error")
    return [[strong("Do not rely on these numbers yet: "), f"the check of the suite found {what} (see Suite check)."]]


def _best(material: Material, numbers: Mapping[str, Pooled], role: str, measure: str) -> Parts:
    """The highest system of a role, and how far that can be believed."""
    order = leaders(numbers)
    best, first = order[0], numbers[order[0]]
    sets = words.listed([name(task.name) for task in roles(material)[role]], most=4)
    start: Parts = [f"On the {first.n:,} {words.ROLES[role]} queries (", *sets, "), "]
    mean = strong(words.number(first.mean))
    if best == material.reference:
        rivals = [system for system in order[1:] if not _shown(numbers[system])]
        share = any(abs(numbers[system].mean - first.mean) < 1e-12 for system in order[1:])
        verb = "shares" if share else "has"
        start += ["the reference ", name(best), f" {verb} the highest {measure}, ", mean, "; "]
        return [*start, *_rivals(rivals, len(order) - 1), "."]
    equal = sum(abs(one.mean - first.mean) < 1e-12 for one in numbers.values())
    if equal > 1:
        start += [
            f"{equal} of {len(numbers)} systems share the highest {measure}, ",
            mean,
            ", ",
            name(best),
            " among them,",
        ]
    else:
        start += [name(best), f" has the highest {measure}, ", mean]
    difference = first.difference
    if difference is None or difference.delta is None or material.reference not in numbers:
        return [*start, "."]
    before = words.number(numbers[material.reference].mean)
    start += [" against ", before, " for the reference ", name(material.reference), ". The difference, "]
    return [
        *start,
        strong(words.signed(difference.delta)),
        f" {words.interval(difference.ci)}, ",
        *_standing(difference),
        ".",
    ]


def _standing(difference: Difference) -> Parts:
    """What a difference amounts to, and not a word more."""
    if difference.shown:
        return ["is ", strong("shown"), f" to be {'a gain' if difference.shown == 'better' else 'a loss'}"]
    if difference.spans_zero:
        return ["is ", strong("not shown"), " to be real: the interval spans 0"]
    return ["would be shown by itself, but ", strong("not"), " as one of all that were compared here"]


def _shown(one: Pooled) -> str:
    return one.difference.shown if one.difference else ""


def _rivals(rivals: Sequence[str], n_others: int) -> Parts:
    if not rivals:
        return [f"all {n_others} others are shown to be worse"] if n_others > 1 else ["the other is shown to be worse"]
    return [
        *words.listed(map(name, rivals), most=4),
        " are" if len(rivals) > 1 else " is",
        " not shown to differ from it",
    ]


def _at_home(compared: Compared) -> list[Parts]:
    """What is shown to lose on held-out queries."""
    lost = _losers([(task, found) for task, found in compared if task.role == "held-out"], ())
    return [[strong("What hurts on held-out queries: "), *words.listed(lost, most=4), "."]] if lost else []


def _abroad(material: Material, numbers: Mapping[str, Mapping[str, Pooled]], compared: Compared) -> list[Parts]:
    """Systems that gain at home and lose somewhere else, which a single average hides; then the other losers."""
    home, abroad = numbers.get("held-out", {}), [(t, d) for t, d in compared if t.role == "out-of-distribution"]
    winners = [system for system in leaders(home) if _shown(home[system]) == "better"]
    if not winners or not abroad:
        return []
    hurt = {
        system: [(task, d[system]) for task, d in abroad if system in d and d[system].shown == "worse"]
        for system in winners
    }
    losers = [system for system in winners if hurt[system]]
    others = _other_losers(abroad, winners)
    if not losers:
        who = words.listed(map(name, winners), most=4)
        return [
            [
                *who,
                " gain on held-out queries, and no loss out of distribution is shown."
                if len(winners) > 1
                else " gains on held-out queries, and no loss out of distribution is shown.",
                *others,
            ]
        ]
    parts: Parts = [strong("What hurts out of distribution: ")]
    if len(losers) == 1:
        parts += [name(losers[0]), " gains on held-out queries but is shown to lose on "]
        return [[*parts, *words.listed(_where(hurt[losers[0]]), most=3), ".", *others]]
    parts += ["these gain on held-out queries but are shown to lose elsewhere: "]
    for position, system in enumerate(losers[:4]):
        parts += ["; " if position else "", name(system), " on ", *words.listed(_where(hurt[system]), most=3)]
    if len(losers) > 4:
        parts += [f"; and {len(losers) - 4} more"]
    return [[*parts, ".", *others]]


def _where(hurt: Sequence[tuple[Task, Difference]]) -> list[str | Span]:
    return [f"{plain(task.name, 40)} ({words.signed(d.delta)} {words.interval(d.ci)})" for task, d in hurt]


def _other_losers(abroad: Compared, winners: Sequence[str]) -> Parts:
    """Systems without a gain at home that are shown to lose abroad."""
    lost = _losers(abroad, winners)
    return [" Without such a gain, shown to lose there: ", *words.listed(lost, most=4), "."] if lost else []


def _losers(compared: Compared, but: Sequence[str]) -> list[str]:
    """Systems shown to lose, and where, the worst first; smaller copies of one encoder are passed over."""
    lost = sorted(
        (d.delta or 0.0, system, task.name)
        for task, found in compared
        for system, d in found.items()
        if d.shown == "worse" and system not in but and not is_smaller(system, task.results)
    )
    return [f"{plain(system, 40)} on {plain(where, 40)} ({words.signed(delta)})" for delta, system, where in lost]


def _smaller(material: Material, compared: Compared, measure: str) -> list[Parts]:
    """The smallest index for which a large loss is ruled out everywhere. Absence of proof would choose the riskiest."""
    sizes: dict[str, int] = {}
    for task, _ in compared:
        for system, result in task.results.items():
            if result.index_bytes is not None:
                sizes[system] = max(sizes.get(system, 0), result.index_bytes)
    reference = sizes.get(material.reference)
    if reference is None or not compared:
        return []
    bounds = {system: _worst_bound(system, compared) for system in sizes if sizes[system] < reference / WORTH_NAMING}
    fit = {system: bound for system, bound in bounds.items() if bound is not None and bound > -TOLERABLE_LOSS}
    if not fit:
        return []
    small = min(fit, key=lambda system: sizes[system])
    where = "on every query set" if len(compared) > 1 else f"on {plain(compared[0][0].name, 40)}"
    parts: Parts = [name(small), f" needs an index of {words.size(sizes[small])} instead of {words.size(reference)}"]
    parts += [f", and {where} a loss of {measure} above {words.number(max(0.0, -fit[small]))} is ruled out"]
    return [[*parts, f" (one-sided {words.level(material.alpha)} bounds, taken one by one)."]]


def _worst_bound(system: str, compared: Compared) -> float | None:
    """The lowest bound of a system's differences; None where one is missing or lies wholly below zero."""
    held = [found.get(system) for _, found in compared]
    bounds = []
    for difference in held:
        if difference is None or difference.lower is None or difference.ci is None or difference.ci[1] < 0:
            return None
        bounds.append(difference.lower)
    return min(bounds)


def _terms(held: Sequence[Task], material: Material) -> Block:
    """The words of the report, for a reader who is new to them."""
    measures = dict.fromkeys(measure for task in held for measure in task.measures)
    items: list[Parts] = [
        [strong(plain(measure, 40)), f": {words.explained(measure)}."]
        for measure in measures
        if words.explained(measure)
    ]
    items += [
        [strong("Held-out"), ": queries of the kind the systems were built or trained for, kept apart until now."],
        [
            strong("Out-of-distribution"),
            ": queries of another kind or field, to see what a gain at home costs elsewhere.",
        ],
        [strong("Interval"), ": the differences that fit what these queries show. More queries make it narrower."],
        [
            strong("Shown"),
            f": would be seen by chance alone in fewer than {material.alpha:.0%} of such reports, counting all the "
            "systems compared (two-sided, after Holm).",
        ],
        [strong("Reference"), ": ", name(material.reference), ", the system that all others are compared with."],
    ]
    return Folded("Words used here", [Bullets(items)])
