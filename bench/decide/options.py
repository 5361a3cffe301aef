"""Which configured system is which option: told by the config, overridden by `[decide]`, never guessed in silence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bench.base.errors import ConfigError, did_you_mean
from bench.base.names import table_of
from bench.config import DecideConfig, DecideOption
from bench.retrieval.precisions import PRECISIONS

RERANK = "+rerank"


@dataclass(frozen=True)
class Kind:
    """An option in words: `label` names it, `work` says what it takes, `how` how to put it under test.

    `effort` is what has to be built and kept running, as a rank: what "cheapest" means where prices are missing. A
    convention of this project (docs/decisions/0010): a second index is less than a model call per query, and that less
    than training and embedding anew for as long as the system lives. Only the order counts.
    """

    label: str
    work: str
    how: str
    effort: float


KINDS: Mapping[str, Kind] = {
    "stay": Kind("Leave it as it is", "nothing", "", 0),
    "smaller": Kind(
        "Smaller vectors",
        "a new index from the vectors at hand",
        "list more dims or precision in the table of the system in use",
        1,
    ),
    "larger": Kind("Larger vectors", "a new index from the vectors at hand", "", 1),
    "bm25": Kind("BM25 alone", "a term index; no vectors", 'add a system of kind "bm25"', 2),
    "embedding": Kind(
        "Embedding model alone", "embedding every document", 'add a system of kind "dense" with a public model', 4
    ),
    "hybrid": Kind(
        "Hybrid retrieval",
        "a term index beside the vectors, and fusion",
        'add a system of kind "hybrid" of BM25 and the model',
        3,
    ),
    "query-rewriting": Kind(
        "Query rewriting",
        "a language-model call before every search",
        'evaluate it as a system of kind "python" and say so: [decide] options = { NAME = "query-rewriting" }',
        5,
    ),
    "contextual-chunks": Kind(
        "Contextual chunks",
        "a language-model call for every document, then embedding all of them",
        'evaluate it as a system of its own and say so: [decide] options = { NAME = "contextual-chunks" }',
        6,
    ),
    "rerank": Kind(
        "Reranking",
        "a reranker that reads every query's first documents",
        'add a system of kind "rerank"; with a "late-interaction" reranker the model at hand serves',
        5,
    ),
    "fine-tune": Kind(
        "Fine-tuning",
        "labelled pairs, training, embedding every document, and doing it again as documents change",
        "add a recipe [finetune.NAME] and a dense system with model finetune:NAME",
        10,
    ),
    "fine-tune+hybrid": Kind(
        "Fine-tuning and hybrid",
        "all of fine-tuning, and a term index with fusion",
        'add a system of kind "hybrid" of BM25 and the fine-tuned model',
        13,
    ),
    "collect-labels": Kind("More labels", "people's time", "", 8),
    "other": Kind("Another system", "what that system takes", "say which option it is: [decide] options", 7),
}
"""Options by name. "+rerank" behind a name is that option with a reranker on top."""

UNMEASURED = ("collect-labels",)
"""Options that are no system and so have no result of their own."""


@dataclass(frozen=True)
class Facts:
    """What a configured system is made of, read from the config and the models' files; no model is loaded.

    `option` is what its kind says that it is. `dim` and `precision` are those of vectors; `weights` tells encoders
    apart, and `paid_by_token` says that theirs are bought from a server; `trained` names the recipes that its own model
    came from. `reorders` is a reranker's depth.
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


def known(facts: Mapping[str, Facts]) -> dict[str, Kind]:
    """Options by name: ours, and those of kinds of systems that say what they are in words of their own."""
    said = [one.option for one in facts.values()]
    return {o.name: Kind(o.label or o.name, o.work, "", o.effort) for o in said} | dict(KINDS)


def kind_of(system: str, facts: Mapping[str, Facts], current: str, config: DecideConfig) -> tuple[str, str]:
    """A system's option, and how that is known: "config" or "[decide] options".

    Raises:
        ConfigError: `[decide] options` names no option.
    """
    if system == current:
        return "stay", "config"
    for name in (system, table_of(system)):
        if name in config.options:
            return _option(config.options[name], f"decide.options.{name}", known(facts)), "[decide] options"
    return _derived(system, facts, current), "config"


def _derived(system: str, facts: Mapping[str, Facts], current: str) -> str:
    mine = facts[system]
    if mine.option.name == "rerank" and mine.parts:
        first = mine.parts[0]
        under = "stay" if first == current else _derived(first, facts, current)
        return "rerank" if under == "stay" else under + ("" if under.endswith(RERANK) else RERANK)
    if mine.option.name == "hybrid":
        return "fine-tune+hybrid" if recipes(system, facts) else "hybrid"
    if mine.option.name == "embedding":
        if table_of(system) == table_of(current):
            return "larger" if bits_of(mine) > bits_of(facts[current]) else "smaller"
        return "fine-tune" if mine.trained else "embedding"
    return mine.option.name


def bits_of(facts: Facts) -> float:
    """Bits of one vector; 0 where the system has none."""
    return facts.dim * PRECISIONS[facts.precision].bits if facts.dim and facts.precision else 0


def recipes(system: str, facts: Mapping[str, Facts]) -> tuple[str, ...]:
    """Every recipe that a system's models came from, its parts' included."""
    found = dict.fromkeys(facts[system].trained)
    for part in facts[system].parts:
        found |= dict.fromkeys(recipes(part, facts))
    return tuple(found)


def _option(kind: str, place: str, kinds: Mapping[str, Kind]) -> str:
    if kind.removesuffix(RERANK) not in kinds or kind in UNMEASURED:
        names = [name for name in kinds if name not in UNMEASURED]
        raise ConfigError(
            f'{place} is "{kind}"; expected one of {", ".join(names)}, or one of them with {RERANK} behind it.'
            f"{did_you_mean(kind, names)}"
        )
    return kind


def label_of(kind: str, kinds: Mapping[str, Kind] = KINDS) -> str:
    """An option in words."""
    base = kind.removesuffix(RERANK)
    return kinds[base].label + (" and reranking" if base != kind else "")


def work_of(kind: str, kinds: Mapping[str, Kind] = KINDS) -> str:
    """What an option takes, in words."""
    base = kind.removesuffix(RERANK)
    return kinds[base].work + ("" if base == kind else ", and a reranker")


def effort_of(kind: str, config: DecideConfig, kinds: Mapping[str, Kind] = KINDS) -> float:
    """An option's rank by effort; `[decide.effort]` may say otherwise.

    Raises:
        ConfigError: `[decide.effort]` names no option.
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
    """One system of each table that competes with the current one, in the config's order.

    Of a table with several sizes it is the one of the current system's size, so that like is compared with like; else
    the first. Of the current system's own table the largest float32 size competes where the current one is smaller;
    smaller ones are asked whether they lose, not whether they gain. `[decide] systems` names the rivals instead.
    """
    if config.systems is not None:
        return [name for name in _expanded(config.systems, facts) if name != current]
    chosen: dict[str, str] = {}
    wanted = (facts[current].dim, facts[current].precision)
    own = [name for name in sizes_of(current, facts) if facts[name].precision == "float32"]
    largest = max(own, key=lambda name: bits_of(facts[name]), default=current)
    if bits_of(facts[largest]) > bits_of(facts[current]):
        chosen[table_of(current)] = largest
    for name, mine in facts.items():
        table = table_of(name)
        if table == table_of(current):
            continue
        if table not in chosen or (mine.dim is not None and (mine.dim, mine.precision) == wanted):
            chosen[table] = name
    return list(chosen.values())


def _expanded(names: Sequence[str], facts: Mapping[str, Facts]) -> list[str]:
    found = []
    for name in names:
        if name not in facts:
            raise ConfigError(
                f'decide.systems names "{name}"; expected one of {", ".join(facts)}.{did_you_mean(name, facts)}'
            )
        found.append(name)
    return list(dict.fromkeys(found))


def sizes_of(system: str, facts: Mapping[str, Facts]) -> list[str]:
    """Other dimensions and precisions of a dense system's table."""
    if facts[system].dim is None:
        return []
    return [name for name in facts if table_of(name) == table_of(system) and name != system]
