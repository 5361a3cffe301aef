"""Rules of thumb with threshold and source, held against what was measured. They advise; they do not choose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bench.base.errors import ConfigError, did_you_mean
from bench.config import DecideConfig
from bench.decide.records import Reason
from bench.decide.vocabulary import Vocabulary
from bench.gate.compare import Difference

OURS = "convention of this project, docs/decisions/0010"


@dataclass(frozen=True)
class Threshold:
    """A rule's number, where it comes from, and what the rule says where it holds."""

    value: float
    source: str
    says: str
    unit: str = "measure"


THRESHOLDS: Mapping[str, Threshold] = {
    "few-pairs": Threshold(
        1000,
        "Zilliz AI FAQ (1,000 to 5,000 at least); Zhang, Yates & Lin 2020, doi 10.18653/v1/2020.sustainlp-1.14",
        "With fewer labelled pairs, prefer hybrid retrieval to fine-tuning.",
        "count",
    ),
    "base-is-good": Threshold(0.90, OURS, "Where the system in use finds this much (recall@10), leave it as it is."),
    "room-to-gain": Threshold(0.70, OURS, "Where the system in use finds less (recall@10), there is room to gain."),
    "little-headroom": Threshold(
        0.02,
        "arithmetic; the number: docs/decisions/0010",
        "With less between rank 10 and rank 100, reordering what is found cannot help.",
    ),
    "fast-corpus": Threshold(
        0.25,
        OURS,
        "Where more of the corpus changes between two trainings, prefer what needs no training.",
        "share",
    ),
    "hybrid-closes-the-gap": Threshold(
        0.02,
        "Weaviate, Why, When and How to Fine-Tune a Custom Embedding Model; the number: docs/decisions/0010",
        "Where fine-tuning adds less than this to the best untrained hybrid, the hybrid has closed the gap.",
    ),
    "foreign-vocabulary": Threshold(
        1.2,
        "Rust et al. 2021, How Good is Your Tokenizer?; the number: docs/decisions/0010",
        "Where the model breaks words into more pieces, terms are new to it.",
        "pieces",
    ),
    "enough-to-forecast": Threshold(
        1000,
        OURS,
        "From this many evaluation queries on, a learning curve may be drawn on to more labels.",
        "count",
    ),
}
"""The named rules. `[decide.thresholds.NAME]` gives another value, with its source."""


def threshold(name: str, config: DecideConfig) -> Threshold:
    """A rule's threshold, the config's where it states one.

    Raises:
        ConfigError: the config states one for a rule that is none.
    """
    for rule in config.thresholds:
        if rule not in THRESHOLDS:
            raise ConfigError(
                f'decide.thresholds names "{rule}"; expected one of {", ".join(THRESHOLDS)}.'
                f"{did_you_mean(rule, THRESHOLDS)}"
            )
    found = THRESHOLDS[name]
    stated = config.thresholds.get(name)
    return found if stated is None else Threshold(stated.value, stated.source, found.says, found.unit)


@dataclass(frozen=True)
class Signs:
    """What the rules look at; None where it was not measured.

    Attributes:
        pairs: labelled training pairs at hand.
        recall_10: of the system in use, over the held-out queries.
        recall_100: likewise.
        over_hybrid: the best fine-tuned system against the best untrained hybrid.
        vocabulary: or why it is not known.
        n_held_out: evaluation queries.
        ceilings: reranked system → recall of what it reorders, at its depth.
    """

    pairs: int | None
    recall_10: float | None
    recall_100: float | None
    over_hybrid: Difference | None
    vocabulary: Vocabulary | str
    n_held_out: int
    ceilings: Mapping[str, float]


def rules_of_thumb(signs: Signs, config: DecideConfig) -> list[Reason]:
    """Every rule: measured value, threshold, source, and whether it holds (None: not known)."""
    headroom = None
    if signs.recall_10 is not None and signs.recall_100 is not None:
        headroom = signs.recall_100 - signs.recall_10
    vocabulary, over = signs.vocabulary, signs.over_hybrid
    no_pairs = "" if signs.pairs is not None else "no query set of role train"
    no_change = "" if _changed(config) is not None else "state changed_per_month and retrain_months in [decide]"
    rows: list[tuple[str, float | None, str, str]] = [
        ("few-pairs", signs.pairs, "below", no_pairs),
        ("base-is-good", signs.recall_10, "at least", ""),
        ("room-to-gain", signs.recall_10, "below", ""),
        ("little-headroom", headroom, "below", ""),
        ("fast-corpus", _changed(config), "at least", no_change),
        ("hybrid-closes-the-gap", over.delta if over else None, "below", f"{over.system} over {over.against}" if over
         else "no fine-tuned system and untrained hybrid to compare"),
        ("foreign-vocabulary", None if isinstance(vocabulary, str) else vocabulary.fertility, "at least",
         vocabulary if isinstance(vocabulary, str) else ""),
        ("enough-to-forecast", signs.n_held_out, "at least", ""),
    ]  # fmt: skip
    found = []
    for name, value, side, note in rows:
        at = threshold(name, config)
        holds = None if value is None else value < at.value if side == "below" else value >= at.value
        if name == "hybrid-closes-the-gap" and over is not None and over.shown != "better":
            holds = True  # what is not shown to be left of the gap closes it as well
        found.append(Reason(name, "", value, at.value, at.source, holds, at.says, at.unit, note))
    return found + _ceilings(signs, config)


def _changed(config: DecideConfig) -> float | None:
    """The share of the corpus that changes between two trainings; None where that is not stated."""
    if config.changed_per_month is None or config.retrain_months is None:
        return None
    return min(1.0, config.changed_per_month * config.retrain_months)


def _ceilings(signs: Signs, config: DecideConfig) -> list[Reason]:
    """Whether each reranker is given enough to choose from."""
    needed = None if signs.recall_10 is None else signs.recall_10 + config.minimum_gain
    return [
        Reason(
            "reranker-ceiling",
            system,
            ceiling,
            needed,
            "arithmetic; [decide] minimum_gain",
            None if needed is None else ceiling >= needed,
            "What the reranker is given holds enough to lift recall@10 by the least gain that counts.",
        )
        for system, ceiling in signs.ceilings.items()
    ]
