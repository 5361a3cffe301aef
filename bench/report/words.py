"""Numbers and outcomes in words, the same wherever a report states them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.records import Cell, Verdict
from bench.report.blocks import Span, name, plain, strong

OUTCOMES = {"pass": "Pass", "improved": "Improved", "fail": "Regression", "inconclusive": "Cannot tell"}
SEVERITIES = {"error": "Error", "warning": "Warning", "info": "Note"}
ROLES = {"held-out": "held-out", "out-of-distribution": "out-of-distribution", "train": "training", "dev": "tuning"}

_MEASURES = {
    "recall": "share of a query's relevant documents that are among the first {k}",
    "ndcg": "how close the first {k} are to the best possible order, 1 at best; higher grades and ranks count more",
    "mrr": "one divided by the rank of the first relevant document, 0 if none is among the first {k}",
    "map": "precision averaged over the ranks of the relevant documents, down to rank {k}",
    "precision": "share of the first {k} that is relevant",
    "hit": "share of queries with a relevant document among the first {k}",
    "success": "share of queries with a relevant document among the first {k}",
}


def explained(measure: str) -> str:
    """What a measure means in a few words; empty for one we do not know."""
    stem, _, cutoff = measure.partition("@")
    cutoff = {"1": "one", "3": "three", "5": "five", "10": "ten"}.get(cutoff, plain(cutoff, 12) or "all")
    return _MEASURES.get(stem.lower(), "").format(k=cutoff)


def number(value: float | None, digits: int = 3) -> str:
    """Three decimals with a proper minus, or a dash where there is no number."""
    if value is None:
        return "–"
    text = f"{value:.{digits}f}"
    return ("0" + text[2:] if float(text) == 0 and text.startswith("-") else text).replace("-", "−")


def signed(value: float | None, digits: int = 3) -> str:
    """As `number`, with its sign, also where only the digits left out tell it; zero itself has none."""
    if value is None:
        return "–"
    sign = "+" if value > 0 else "−" if value < 0 else ""
    return sign + number(abs(value), digits)


def interval(ends: tuple[float, float] | None) -> str:
    """[low, high] with signs, or a word where there is none."""
    return f"[{signed(ends[0])},\u00a0{signed(ends[1])}]" if ends else "no interval"


def level(alpha: float) -> str:
    """The coverage that goes with a level: 95 % for 0.05."""
    return f"{100 * (1 - alpha):g}\u202f%"


def p_value(p: float | None) -> str:
    """Three decimals, and never a zero that nobody can know."""
    return "–" if p is None else "<\u202f0.001" if p < 0.001 else number(p)


def count(n: int, noun: str, plural: str = "") -> str:
    """A number with its noun: 1 query, 2 queries, 1,204 queries."""
    several = plural or (noun[:-1] + "ies" if noun.endswith("y") else noun + "s")
    return f"{n:,} {noun if n == 1 else several}"


def size(n_bytes: float | None) -> str:
    """Bytes in the unit a person would choose, decimal as disks are sold."""
    if n_bytes is None:
        return "–"
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n_bytes >= factor:
            value = n_bytes / factor
            return f"{value:.{0 if value >= 100 else 1}f}\u202f{unit}"
    return f"{n_bytes:.0f}\u202fB"


def seconds(value: float | None) -> str:
    """A duration in the unit a person would choose."""
    if value is None:
        return "–"
    if value >= 120:
        return f"{value / 60:.0f}\u202fmin"
    if value >= 10:
        return f"{value:.0f}\u202fs"
    return f"{value:.1f}\u202fs" if value >= 1 else f"{1000 * value:.{0 if value >= 0.01 else 1}f}\u202fms"


def listed(items: Iterable[str | Span], *, most: int = 6) -> list[str | Span]:
    """a, b and c; past `most`, the rest is a number."""
    found = list(items)
    shown, rest = found[:most], len(found) - most
    tail: list[str | Span] = [f"{rest} more"] if rest > 0 else []
    everything = shown + tail
    parts: list[str | Span] = []
    for position, item in enumerate(everything):
        if position:
            parts.append(" and " if position == len(everything) - 1 else ", ")
        parts.append(item)
    return parts


# --- verdicts --------------------------------------------------------------------------------------


def verdict_title(verdict: Verdict) -> list[str | Span]:
    """Who was judged against what."""
    if verdict.candidate == verdict.baseline:
        which = "its accepted baseline" if verdict.suite else "the run it is compared with"
        return [name(verdict.candidate), f" against {which}"]
    return [name(verdict.candidate), " against ", name(verdict.baseline)]


def verdict_sentence(verdict: Verdict) -> list[str | Span]:
    """What a verdict says, in one or two plain sentences computed from its cells."""
    cells = verdict.cells
    of = {outcome: [cell for cell in cells if cell.outcome == outcome] for outcome in OUTCOMES}
    pinned: list[str | Span] = []
    if verdict.pinned_lost:
        lost = f"{len(verdict.pinned_lost)} of {count(verdict.n_pinned, 'pinned query')}"
        pinned = [f"{lost} lost relevant documents."]
    broken: list[str | Span] = [f"{plain(check.reason, 300)} " for check in verdict.checks if check.outcome == "fail"]
    if of["fail"]:
        parts: list[str | Span] = [f"Worse in {_of_checks(of['fail'], cells)}"]
        parts += [", most on ", *_largest(of["fail"]), *_whose(verdict), ". "]
        return [*parts, *broken, *pinned]
    if pinned:
        return [*broken, *pinned, " Any such loss fails, whatever the averages say."]
    if broken:
        return broken
    unclear = [check for check in verdict.checks if check.outcome == "inconclusive"]
    if unclear and not of["inconclusive"]:
        return [f"No regression is shown. {plain(unclear[0].reason, 300)}"]
    if of["inconclusive"]:
        softened = any(cell.softened for cell in of["inconclusive"])
        why = (
            "documents that nobody judged may explain the drop"
            if softened
            else "neither a drop beyond the margin nor its absence is shown"
        )
        return [
            f"No regression is shown, but in {_of_checks(of['inconclusive'], cells)} {why}.",
            *_would_settle(of["inconclusive"]),
        ]
    if cells and all(cell.test == "identical" for cell in cells):
        return ["Every ranking is identical to the baseline's down to the cutoffs that are checked."]
    better = f" {_of_checks(of['improved'], cells).capitalize()} improved." if of["improved"] else ""
    return [f"A drop beyond the margin is ruled out in all {count(len(cells), 'check')}.{better}"]


def _would_settle(cells: Sequence[Cell]) -> list[str | Span]:
    """How many queries the cell that is farthest from an answer would need."""
    open_cells = [cell for cell in cells if (cell.queries_for_margin or 0) > cell.n]
    if not open_cells:
        return []
    worst = max(open_cells, key=lambda cell: (cell.queries_for_margin or 0) / cell.n)
    needed = f"{worst.queries_for_margin or 0:,}".replace(",", "\u202f")
    return [
        " About ",
        strong(needed),
        f" queries would settle {plain(worst.measure, 40)} on ",
        name(worst.place),
        f" (it has {worst.n}).",
    ]


def _whose(verdict: Verdict) -> list[str | Span]:
    """Whose loss it is, where the merge base tells: this change's, or that of changes before it."""
    failed = {cell.reference for cell in verdict.cells if cell.outcome == "fail"}
    if verdict.merge_base is None or failed != {"baseline"}:
        return []
    return ["; not shown for this change alone, but for all changes since the baseline together"]


def _of_checks(some: Sequence[Cell], cells: Sequence[Cell]) -> str:
    return f"{len(some)} of {count(len(cells), 'check')}"


def _largest(cells: Sequence[Cell]) -> list[str | Span]:
    worst = min(cells, key=lambda cell: cell.delta)
    return [
        name(worst.place),
        f": {plain(worst.measure, 40)} ",
        strong(signed(worst.delta)),
        f" {interval(worst.ci)}",
    ]
