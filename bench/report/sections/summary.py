"""The first page: the answer in one sentence, the verdicts, the main systems, then a few sentences with numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.base import words
from bench.gate.compare import Difference
from bench.records import EVALUATION_ROLES
from bench.report import Material, datum, sentences
from bench.report.blocks import Block, Bullets, Column, Datum, Head, Prose, Range, Table
from bench.report.reading import (
    Pooled,
    Task,
    by_mean,
    differences,
    is_smaller,
    main_systems,
    pooled,
    tasks,
    tasks_by_role,
)
from bench.report.text import Parts, fill, name, plain, strong

ORDER = 0
TITLE = "Summary"

MOST_ROWS = 10
"""Systems of the first table."""

TOLERABLE_DROP = 0.05
"""A smaller index is named where a larger drop is ruled out; the gate's margins are too narrow for 80 queries."""

WORTH_NAMING = 1.2
"""How many times smaller an index must be to be worth a sentence."""

Numbers = Mapping[str, Mapping[str, Pooled]]
"""Role → system → pooled numbers."""

Compared = Sequence[tuple[Task, Mapping[str, Difference]]]
"""Query sets with the difference of each system to the reference."""

Drop = tuple[str, Task, Difference]
"""A system, a query set on which it is shown to be worse than the reference, and the difference there."""


def build(material: Material) -> list[Block]:
    """The answer, a line per verdict, the table, at most five sentences, and how to read them."""
    if not material.results and len(material.verdicts) < 2:
        return []  # a page of one verdict begins with it
    banners = [sentences.verdict_banner(v, link=f"verdict-{i}") for i, v in enumerate(material.verdicts, start=1)]
    sets = tasks(material)
    if not sets:
        return list(banners)
    measure = sets[0].primary
    numbers = pooled(material, measure, material.reference)
    by_task = [(task, differences(material, task, material.reference, measures=[measure])) for task in sets]
    compared = [(task, {system: by[measure] for system, by in systems.items()}) for task, systems in by_task if systems]
    drops = [(system, task, d) for task, by in compared for system, d in by.items() if d.shown == "worse"]
    blocks: list[Block] = [*_answer(material, numbers, compared, drops, measure), *banners]
    blocks += _glance(material, numbers, drops, measure)
    errors = [finding for finding in material.findings if (finding.severity, finding.where) == ("error", "gate")]
    items: list[Parts] = [
        *(fill("{}{}", strong("There is no verdict: "), plain(error.message, 600)) for error in errors),
        *(_best(material, numbers[role], role, measure) for role in numbers if len(numbers[role]) > 1),
        *_drops(numbers, drops, any(task.role == "out-of-distribution" for task, _ in compared)),
        *_smaller_index(material, compared, measure),
    ]
    if items:
        blocks.append(Bullets(items, style="lead"))
    return [*blocks, _how_to_read(material, measure)]


def _answer(
    material: Material, numbers: Numbers, compared: Compared, drops: Sequence[Drop], measure: str
) -> list[Block]:
    """One sentence: what gains on held-out queries, and whether it is worse anywhere."""
    if errors := sum(finding.severity == "error" and finding.where != "gate" for finding in material.findings):
        why = f"the check of the suite found {words.count(errors, 'error')} (see Suite check)."
        return [Prose([strong("Do not rely on these numbers yet: "), why], style="answer")]
    held_out, reference = numbers.get("held-out", {}), name(material.reference)
    if material.reference not in held_out or len(held_out) < 2:
        return []
    gains = [system for system in by_mean(held_out) if held_out[system].shown == "better"]
    gains = [system for system in gains if not is_smaller(system, held_out)] or gains
    if not gains:
        worse = sum(pool.shown == "worse" for pool in held_out.values())
        also = f"; {words.count(worse, 'system')} {'is' if worse == 1 else 'are'} shown to be worse" if worse else ""
        text = "No system is shown to be better than {} on held-out queries{} ({})."
        return [Prose(fill(text, reference, also, plain(measure, 40)), style="answer")]

    def gain(system: str) -> Parts:
        d = held_out[system].difference
        return [f"{plain(measure, 40)} ", strong(words.signed(d.delta if d else None))]

    best = gains[0]
    parts = fill("{} is better than {} on held-out queries ({})", name(best), reference, gain(best))
    sets = [(task, by) for task, by in compared if task.role in EVALUATION_ROLES]
    worse_on = sorted((d.delta, task.name) for s, task, d in drops if s == best and task.role in EVALUATION_ROLES)
    unmeasured = [name(task.name) for task, by in sets if best not in by]
    if all(task.role == "held-out" for task, _ in sets):
        return [Prose([*parts, "; no out-of-distribution queries were measured."], style="answer")]
    if not worse_on and not unmeasured:
        return [Prose([*parts, " and is not shown to be worse on any query set."], style="answer")]
    for position, (delta, query_set) in enumerate(worse_on[:3]):
        before = ", " if position else ", but worse on "
        parts += fill("{}{} ({})", before, name(query_set), strong(words.signed(delta)))
    if len(worse_on) > 3:
        parts += [f" and {words.count(len(worse_on) - 3, 'more query set')}"]
    if not worse_on:
        parts += fill("; it was not measured on {}", words.join(unmeasured, most=3))
    worse_systems = {system for system, task, _ in drops if task.role in EVALUATION_ROLES}
    for system in gains:
        if system not in worse_systems and all(system in by for _, by in sets):
            text = ". {} is also better ({}) and not shown to be worse on any query set"
            parts += fill(text, name(system), gain(system))
            break
    return [Prose([*parts, "."], style="answer")]


def _glance(material: Material, numbers: Numbers, drops: Sequence[Drop], measure: str) -> list[Block]:
    """The main systems on all queries of each role: means, differences, drops, and the size of the index."""
    reference = plain(material.reference, 40)
    roles = {role: numbers[role] for role in words.ROLES if material.reference in numbers.get(role, {})}
    first = next(iter(roles.values()), {})
    main = main_systems(material, first)
    ranked = [system for system in by_mean(first) if system in main]
    if len(ranked) < 2:
        return []
    rows = list(dict.fromkeys([*ranked[:MOST_ROWS], material.reference]))
    differences = [pools[system].difference for pools in roles.values() for system in rows if system in pools]
    ends = [0.0, *(end for d in differences if d and d.ci for end in d.ci)]
    sizes = {s: max((r.index_bytes or -1 for r in material.results if r.system == s), default=-1) for s in rows}

    def cells(pool: Pooled | None) -> list[Datum]:
        """A mean with its difference, and the difference drawn."""
        d = pool.difference if pool else None
        if pool is None or d is None:
            return [datum.number(pool.mean if pool else None), Datum("", datum.LAST if pool is None else 0.0)]
        drawn = Range(d.ci[0], d.delta, d.ci[1], min(ends), max(ends)) if d.ci else None
        interval = Datum(words.interval(d.ci), d.delta, "range", tone=d.shown, range=drawn)
        return [datum.mean(pool.mean, d.delta, d.ci, d.shown), interval]

    def worse(system: str) -> Datum:
        sets = [task.name for worse, task, _ in drops if worse == system and task.role != "held-out"]
        more = f"and {len(sets) - 1} more" if len(sets) > 1 else ""
        return datum.text(sets[0] if sets else "", 20, note=more, tone="worse" if sets else "")

    columns: list[Head] = ["System"]
    for role, pools in roles.items():
        n = words.count(pools[material.reference].n, "query")
        columns += [Column(f"{words.ROLES[role].capitalize()} {plain(measure, 40)}", f"Mean over {n}")]
        columns += [Column("Difference", f"To {reference}; the line is zero", minor=True)]
    other = "out-of-distribution" in roles
    hint = "Out-of-distribution query sets on which it is shown to be worse, each taken alone"
    columns += [*([Column("Worse on", hint)] if other else []), Column("Index", "Size of its largest index")]
    table = []
    for system in rows:
        row = [datum.name(system, note="reference" if system == material.reference else "")]
        row += [cell for pools in roles.values() for cell in cells(pools.get(system))]
        row += [worse(system)] if other else []
        table.append([*row, datum.size(sizes[system] if sizes[system] >= 0 else None)])
    note = (
        f"Below each mean: the difference to {reference} with its {words.confidence(material.alpha)} interval. "
        "▲ shown to be better, ▼ shown to be worse, counting every system of both roles (two-sided, Holm)."
    )
    if len(ranked) > len(rows):
        note += f" These are the best {len(rows)}; Model comparison has all."
    return [Table.grid(f"At a glance: {plain(measure, 40)}", columns, table, sortable=True, note=note)]


def _best(material: Material, numbers: Mapping[str, Pooled], role: str, measure: str) -> Parts:
    """The best system of a role, and whether its difference to the reference is shown."""
    order = by_mean(numbers)
    best, first = order[0], numbers[order[0]]
    equal = sum(abs(pool.mean - first.mean) < 1e-12 for pool in numbers.values())
    sets = words.join([name(task.name) for task in tasks_by_role(material)[role]], most=4)
    parts = fill("On the {} {} queries ({}), ", f"{first.n:,}", words.ROLES[role], sets)
    highest = fill("highest {}, {}", plain(measure, 40), strong(words.number(first.mean)))
    if best == material.reference:
        parts += fill("the reference {} {} the {}; ", name(best), "shares" if equal > 1 else "has", highest)
        equals = [name(system) for system in order[1:] if not numbers[system].shown]
        if not equals:
            return [*parts, f"{'all others are' if len(order) > 2 else 'the other is'} shown to be worse."]
        verb = "is" if len(equals) == 1 else "are"
        return [*parts, *words.join(equals, most=4), f" {verb} not shown to differ from it."]
    text = "{} of {} systems, among them {}, share the {}"
    several = fill(text, str(equal), str(len(numbers)), name(best), highest)
    parts += several if equal > 1 else fill("{} has the {}", name(best), highest)
    d = first.difference
    if d is None:
        return [*parts, "."]
    verdict = fill("{} to be a gain.", strong("shown"))
    if not d.shown:
        alone = "alone it would be, but not among all systems compared here"
        verdict = fill("{} to be real: {}.", strong("not shown"), "the interval includes 0" if d.spans_zero else alone)
    text = " against {} for the reference {}. The difference, {} {}, is {}"
    delta, interval = strong(words.signed(d.delta)), words.interval(d.ci)
    return [*parts, *fill(text, words.number(d.reference), name(material.reference), delta, interval, verdict)]


def _drops(numbers: Numbers, drops: Sequence[Drop], others_measured: bool) -> list[Parts]:
    """Systems that are worse on held-out queries; then those that gain there and are worse on other queries."""
    held_out = numbers.get("held-out", {})
    gains = [system for system in by_mean(held_out) if held_out[system].shown == "better"]
    other = [drop for drop in drops if drop[1].role == "out-of-distribution"]
    items: list[Parts] = []
    if worst := _worst([drop for drop in drops if drop[1].role == "held-out"]):
        items.append([strong("Worse on held-out queries: "), *words.join(worst, most=4), "."])
    if not gains or not others_measured:
        return items
    places: dict[str, list[str]] = {}
    for system, task, d in other:
        place = f"{plain(task.name, 40)} ({words.signed(d.delta)} {words.interval(d.ci)})"
        places.setdefault(system, []).append(place)
    costly = [fill("{} on {}", name(s), words.join(places[s], most=3)) for s in gains if s in places]
    if costly:
        parts: Parts = [strong("Better on held-out queries, but worse out of distribution: "), *costly[0]]
        parts += [part for system in costly[1:4] for part in ("; ", *system)]
        parts += [f"; and {len(costly) - 4} more." if len(costly) > 4 else "."]
    else:
        text = "{} {} better on held-out queries and not shown to be worse on out-of-distribution queries."
        parts = fill(text, words.join(map(name, gains), most=4), "are" if len(gains) > 1 else "is")
    if worst := _worst([drop for drop in other if drop[0] not in gains]):
        parts += [
            " Worse out of distribution, and not shown to be better on held-out queries: ",
            *words.join(worst, most=4),
            ".",
        ]
    return [*items, parts]


def _worst(drops: Sequence[Drop]) -> list[str]:
    """Drops in words, the largest first, without smaller copies of a model."""
    ranked = sorted((d.delta, s, task.name) for s, task, d in drops if not is_smaller(s, task.results))
    return [f"{plain(s, 40)} on {plain(query_set, 40)} ({words.signed(delta)})" for delta, s, query_set in ranked]


def _smaller_index(material: Material, compared: Compared, measure: str) -> list[Parts]:
    """The smallest index for which a large drop is ruled out everywhere."""
    sizes: dict[str, int] = {}
    for system, result in ((s, result) for task, _ in compared for s, result in task.results.items()):
        if result.index_bytes is not None:
            sizes[system] = max(sizes.get(system, 0), result.index_bytes)
    reference = sizes.get(material.reference, 0)
    bounds: dict[str, float] = {}
    for system in (system for system, size in sizes.items() if size < reference / WORTH_NAMING):
        # A drop is not shown on any query set, and a large one is ruled out on each.
        open_to_zero = [d for _, by in compared if (d := by.get(system)) and d.ci and d.ci[1] >= 0]
        lower = [d.lower for d in open_to_zero if d.lower is not None]
        if len(lower) == len(compared) and min(lower) > -TOLERABLE_DROP:
            bounds[system] = min(lower)
    if not bounds:
        return []
    small = min(bounds, key=lambda system: sizes[system])
    text = "{} needs an index of {} instead of {}, and a drop in {} of more than {} is ruled out on {} ({})."
    where = "every query set" if len(compared) > 1 else plain(compared[0][0].name, 40)
    limit, how = words.number(max(0.0, -bounds[small])), f"one-sided {words.confidence(material.alpha)} bounds"
    bytes_of = map(words.size, (sizes[small], reference))
    return [fill(text, name(small), *bytes_of, plain(measure, 40), limit, where, how)]


def _how_to_read(material: Material, measure: str) -> Block:
    meaning = words.meaning(measure)
    parts: Parts = [strong(plain(measure, 40)), f" is {meaning}. "] if meaning else []
    parts += [
        "Held-out queries are of the kind that the systems are built for; out-of-distribution queries are of another "
        f"kind. Brackets hold {words.confidence(material.alpha)} intervals. An interval that includes 0 shows no "
        "difference, which does not prove that there is none. The glossary at the end explains the other words."
    ]
    return Prose(parts, style="note")
