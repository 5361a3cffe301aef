"""Names of measures and what they mean; the numbers are computed by `bench.evaluation.measure`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bench.base.errors import MeasureError, PluginError, did_you_mean
from bench.base.registry import is_kind, listing, module_of
from bench.records.suite import Qrels

DEFAULT_MEASURES = ("recall@10", "ndcg@10", "mrr@10", "recall@100")


@dataclass(frozen=True)
class Measure:
    """A measure as the literature writes it, such as ndcg@10, and what computes it.

    `engine` is ranx's name, "" where a kind of `bench.evaluation.measures` or of another package computes it. `cutoff`
    0 means the whole ranking; `ordered` is False where only the set of retrieved documents counts.
    """

    name: str
    engine: str
    cutoff: int
    ordered: bool

    @property
    def kind(self) -> str:
        """The name without its cutoff."""
        return self.name.partition("@")[0]


BY_RANX: Mapping[str, tuple[str, bool, bool]] = {
    "recall": ("recall", False, True),
    "precision": ("precision", False, True),
    "hit": ("hit_rate", False, True),
    "mrr": ("mrr", True, False),
    "map": ("map", True, False),
    # trec_eval's ndcg (Järvelin & Kekäläinen 2002, gain = grade); ranx' ndcg_burges is another measure.
    "ndcg": ("ndcg", True, False),
    "rprec": ("r-precision", False, False),
}
"""Name → (ranx's name, whether order within the cutoff counts, whether a cutoff is demanded)."""


def parse(name: str) -> Measure:
    """A measure from its name.

    Raises:
        MeasureError: unknown, without the cutoff it needs, or another package's that cannot be used; names the nearest.
    """
    base, at, cutoff = name.strip().partition("@")
    if at and not re.fullmatch("[1-9][0-9]*", cutoff):
        base = ""
    if base in BY_RANX:
        engine, ordered, needs_cutoff = BY_RANX[base]
    elif is_kind("measures", base):
        try:
            module = module_of("measures", base)
        except PluginError as problem:
            raise MeasureError(str(problem)) from problem
        engine, ordered, needs_cutoff = "", bool(module.ORDERED), bool(module.NEEDS_CUTOFF)
    else:
        examples = ["recall@10", "recall@100", "ndcg@10", "mrr@10", "map", "mrr", "ndcg", "precision@10", "hit@10"]
        hint = did_you_mean(name.lower(), [*examples, *listing("measures")])
        hint = hint or did_you_mean(name.partition("@")[0], BY_RANX)
        raise MeasureError(f'Unknown measure "{name}"; expected one such as {", ".join(examples)}.{hint}')
    if needs_cutoff and not cutoff:
        raise MeasureError(f'Measure "{name}" needs a cutoff, such as "{base}@10".')
    if base == "rprec" and cutoff:
        raise MeasureError('Measure "rprec" takes no cutoff: it is cut at the number of relevant documents.')
    return Measure(name.strip(), engine, int(cutoff or 0), ordered)


def parse_list(names: Iterable[str] | None) -> tuple[str, ...]:
    """Names from repeated or comma-separated options, checked, without repetition; the defaults without any.

    Raises:
        MeasureError: an unknown measure, or a text that names none.
    """
    given = list(names or ())
    names = [part.strip() for name in given for part in name.split(",") if part.strip()]
    if not names and given:
        raise MeasureError(f'No measure in "{",".join(given)}"; expected one such as ndcg@10.')
    for name in names:
        parse(name)
    return tuple(dict.fromkeys(names)) or DEFAULT_MEASURES


def relevant_queries(qrels: Qrels, *, relevance_level: int = 1) -> list[str]:
    """Queries with at least one relevant document: those for which recall is defined."""
    return [q for q, grades in qrels.items() if any(grade >= relevance_level for grade in grades.values())]
