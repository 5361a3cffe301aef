"""Which option each configured system is: derived from its table, or stated in `[decide]`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bench.base.errors import ConfigError, did_you_mean
from bench.base.names import table_of
from bench.config import DecideConfig, DecideOption
from bench.retrieval.precisions import PRECISIONS

RERANK = "+rerank"

LABELS = "collect-labels"
"""The option that is not a system and has no result."""


@dataclass(frozen=True)
class Kind:
    """An option in words: `label` names it, `work` says what it takes, `how` says how to measure it.

    `effort` ranks what has to be built and maintained; it defines "cheapest" where prices are missing. A convention of
    this project (docs/decisions/0010): a second index takes less than a model call per query, and that takes less than
    training and embedding for as long as the system lives. Only the order counts.
    """

    label: str
    work: str
    how: str
    effort: float


KINDS: Mapping[str, Kind] = {
    "stay": Kind("Leave it as it is", "nothing", "", 0),
    "smaller": Kind("Smaller vectors", "a new index from the vectors at hand",
                    "list more dims or precision in the table of the system in use", 1),
    "larger": Kind("Larger vectors", "a new index from the vectors at hand", "", 1),
    "bm25": Kind("BM25 alone", "a term index; no vectors", 'add a system of kind "bm25"', 2),
    "embedding": Kind("Embedding model alone", "embedding every document",
                      'add a system of kind "dense" with a public model', 4),
    "hybrid": Kind("Hybrid retrieval", "a term index beside the vectors, and fusion",
                   'add a system of kind "hybrid" of BM25 and the model', 3),
    "query-rewriting": Kind(
        "Query rewriting", "a language-model call before every search",
        'evaluate it as a system of kind "python" and state it: [decide] options = { NAME = "query-rewriting" }', 5),
    "contextual-chunks": Kind(
        "Contextual chunks", "a language-model call for every document, then embedding all of them",
        'evaluate it as a system of its own and state it: [decide] options = { NAME = "contextual-chunks" }', 6),
    "rerank": Kind("Reranking", "a reranker that reads every query's first documents",
                   'add a system of kind "rerank"; with a "late-interaction" reranker the model at hand serves', 5),
    "fine-tune": Kind(
        "Fine-tuning", "labelled pairs, training, embedding every document, and doing it again as documents change",
        "add a recipe [finetune.NAME] and a dense system with model finetune:NAME", 10),
    "fine-tune+hybrid": Kind("Fine-tuning and hybrid", "all of fine-tuning, and a term index with fusion",
                             'add a system of kind "hybrid" of BM25 and the fine-tuned model', 13),
    LABELS: Kind("More labels", "people's time", "", 8),
    "other": Kind("Another system", "depends on the system", "say which option it is: [decide] options", 7),
}  # fmt: skip
"""Options by name. A name with "+rerank" at its end is that option followed by a reranker."""


@dataclass(frozen=True)
class Facts:
    """What a configured system consists of, read from the config and the models' files; no model is loaded.

    `option` is the option that its kind stands for. `dim` and `precision` are those of its vectors; `weights`
    identifies its encoder, and `paid_by_token` is true where a server sells the vectors; `trained` names the recipes
    of its own model. `reorders` is a reranker's depth.
    """

    system: str
    option: DecideOption
    parts: tuple[str, ...] = ()
    dim: int | None = None
    precision: str | None = None
    paid_by_token: bool = False
    weights: str = ""
    trained: tuple[str, ...] = field(default=())
    reorders: int | None = None


def kinds_of(facts: Mapping[str, Facts]) -> dict[str, Kind]:
    """Options by name: those of KINDS, and those that kinds of systems define themselves."""
    options = [system.option for system in facts.values()]
    return {o.name: Kind(o.label or o.name, o.work, "", o.effort) for o in options} | dict(KINDS)


def kind_of(system: str, facts: Mapping[str, Facts], current: str, config: DecideConfig) -> tuple[str, str]:
    """A system's option, and where that is stated: "config" or "[decide] options".

    Raises:
        ConfigError: `[decide] options` names an unknown option.
    """
    if system == current:
        return "stay", "config"
    for name in (system, table_of(system)):
        if (kind := config.options.get(name)) is not None:
            names = [known for known in kinds_of(facts) if known != LABELS]
            if kind.removesuffix(RERANK) not in names or kind == LABELS:
                raise ConfigError(
                    f'decide.options.{name} is "{kind}"; expected one of {", ".join(names)}, or one of them with '
                    f"{RERANK} at its end.{did_you_mean(kind, names)}"
                )
            return kind, "[decide] options"
    return _derived(system, facts, current), "config"


def _derived(system: str, facts: Mapping[str, Facts], current: str) -> str:
    """The option that follows from the system's table."""
    row = facts[system]
    if row.option.name == "rerank" and row.parts:
        first = row.parts[0]
        reordered = "stay" if first == current else _derived(first, facts, current)
        return "rerank" if reordered == "stay" else reordered.removesuffix(RERANK) + RERANK
    if row.option.name == "hybrid":
        return "fine-tune+hybrid" if recipes(system, facts) else "hybrid"
    if row.option.name == "embedding":
        if table_of(system) == table_of(current):
            return "larger" if bits_of(row) > bits_of(facts[current]) else "smaller"
        return "fine-tune" if row.trained else "embedding"
    return row.option.name


def bits_of(facts: Facts) -> float:
    """Bits of one vector; 0 where the system has none."""
    return facts.dim * PRECISIONS[facts.precision].bits if facts.dim and facts.precision else 0


def recipes(system: str, facts: Mapping[str, Facts]) -> tuple[str, ...]:
    """Every recipe that the models of a system and of its parts came from."""
    names = dict.fromkeys(facts[system].trained)
    for part in facts[system].parts:
        names |= dict.fromkeys(recipes(part, facts))
    return tuple(names)


def label_of(kind: str, kinds: Mapping[str, Kind] = KINDS) -> str:
    """An option in words."""
    base = kind.removesuffix(RERANK)
    return kinds[base].label + (" and reranking" if base != kind else "")


def effort_of(kind: str, config: DecideConfig, kinds: Mapping[str, Kind] = KINDS) -> float:
    """An option's rank by effort; `[decide.effort]` overrides it.

    Raises:
        ConfigError: `[decide.effort]` names an unknown option.
    """
    for name in config.effort:
        if name.removesuffix(RERANK) not in kinds:
            raise ConfigError(
                f'decide.effort names "{name}"; expected one of {", ".join(kinds)}.{did_you_mean(name, kinds)}'
            )
    if kind in config.effort:
        return config.effort[kind]
    base = kind.removesuffix(RERANK)
    added = config.effort.get("rerank", kinds["rerank"].effort) if base != kind else 0.0
    return config.effort.get(base, kinds[base].effort) + added


def rivals(facts: Mapping[str, Facts], current: str, config: DecideConfig) -> list[str]:
    """One system of each table, to be compared with the current one, in the config's order.

    If a table has several sizes, the one of the current system's size, else the first. From the current system's own
    table, its largest float32 size if that is larger than the current one; smaller sizes are tested for a drop, not
    for a gain. `[decide] systems` names the systems instead.
    """
    if config.systems is not None:
        for name in config.systems:
            if name not in facts:
                raise ConfigError(
                    f'decide.systems names "{name}"; expected one of {", ".join(facts)}.{did_you_mean(name, facts)}'
                )
        return [name for name in dict.fromkeys(config.systems) if name != current]
    chosen: dict[str, str] = {}
    size = (facts[current].dim, facts[current].precision)
    own = [name for name in sizes_of(current, facts) if facts[name].precision == "float32"]
    largest = max(own, key=lambda name: bits_of(facts[name]), default=current)
    if bits_of(facts[largest]) > bits_of(facts[current]):
        chosen[table_of(current)] = largest
    for name, row in facts.items():
        table = table_of(name)
        same_size = row.dim is not None and (row.dim, row.precision) == size
        if table != table_of(current) and (table not in chosen or same_size):
            chosen[table] = name
    return list(chosen.values())


def sizes_of(system: str, facts: Mapping[str, Facts]) -> list[str]:
    """Other dimensions and precisions of a dense system's table."""
    if facts[system].dim is None:
        return []
    return [name for name in facts if table_of(name) == table_of(system) and name != system]
