"""`bench.toml` (what is under test) and `suite.toml` (what is measured) as typed models.

All errors of a file come in one message, each with its key, what was found, what was expected, and the nearest
known name. Paths are relative to the file that names them. Secrets come from environment variables that the file
names, never from the file.
"""

from __future__ import annotations

import itertools
import re
import tomllib
import types
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, field_validator, model_validator

from bench.errors import BenchError, ConfigError, SuiteError, did_you_mean, excerpt
from bench.records import ROLES, Ceiling, Policy, Rule

__all__ = [
    "BenchConfig",
    "CheckConfig",
    "ConsistencyConfig",
    "CorpusConfig",
    "DecideConfig",
    "Demands",
    "EvalConfig",
    "FiltersConfig",
    "FinetuneConfig",
    "GateConfig",
    "LoraConfig",
    "NegativesConfig",
    "PairsConfig",
    "ParaphraseConfig",
    "PriceConfig",
    "PricesConfig",
    "QuerySetConfig",
    "RerankerConfig",
    "Strict",
    "SuiteConfig",
    "SystemConfig",
    "ThresholdConfig",
    "listing",
    "load_bench",
    "load_demands",
    "load_suite_config",
    "problems_of",
]

Role = Literal["train", "dev", "held-out", "out-of-distribution"]
assert get_args(Role) == ROLES  # noqa: S101 (a mistake of ours, not the user's)


Model = TypeVar("Model", bound="Strict")


class Strict(BaseModel):
    """A model whose unknown keys are errors and whose values are not converted."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


SLICES = ("length", "overlap", "judgements")
"""Slices that the program tells by itself; `field:NAME` goes by a key of the query's line."""

# --- suite.toml ------------------------------------------------------------------------------------


class CorpusConfig(Strict):
    """Where documents come from."""

    source: Literal["jsonl", "beir"] = "jsonl"
    path: str


class QuerySetConfig(Strict):
    """Queries of one role, and the judgements on them."""

    name: str
    role: Role
    corpus: str
    queries: str | None = None
    qrels: str | None = None
    split: str | None = None
    description: str = ""
    why: str = ""
    derived_from: str | None = None


class SuiteConfig(Strict):
    """`suite.toml`."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    version: int = Field(default=1, ge=1)
    description: str = ""
    license: str = ""
    origin: dict[str, str] = {}
    measures: list[str] = Field(default=["recall@10", "ndcg@10", "mrr@10", "recall@100"], min_length=1)
    depth: int = Field(default=100, ge=1)
    relevance_level: int = Field(default=1, ge=1)
    drop_self: bool = False
    share_documents: bool = False
    slices: list[str] = []
    corpora: dict[str, CorpusConfig] = Field(min_length=1)
    query_sets: list[QuerySetConfig] = Field(min_length=1)

    @field_validator("slices")
    @classmethod
    def _known_slices(cls, kinds: list[str]) -> list[str]:
        for kind in kinds:
            if kind not in SLICES and not re.fullmatch(r"field:\S+", kind):
                hint = did_you_mean(kind, SLICES)
                raise ValueError(f'"{kind}" is none of {", ".join(SLICES)}, field:NAME.{hint}')
        return kinds


# --- bench.toml ------------------------------------------------------------------------------------


class RerankerConfig(Strict):
    """The model that reads query and document together, as in a system of kind `rerank`."""

    kind: Literal["cross-encoder"]
    model: str
    revision: str | None = None
    max_length: int | None = None
    device: str | None = None
    batch_size: int = 32


class CheckConfig(Strict):
    """A cross-encoder's word on candidates: too good to be a negative is what it scores near the weakest positive."""

    reranker: RerankerConfig
    margin: float = Field(default=0.0, ge=0)
    threshold: float | None = None


class NegativesConfig(Strict):
    """Negatives: where hard ones are mined, which are kept, and how many random ones stand beside them."""

    from_: list[str] = Field(default=[], alias="from")
    manual: str | None = None
    file: str | None = None
    per_query: int = Field(default=1, ge=0)
    random_per_query: int = Field(default=0, ge=0)
    skip: int = Field(default=0, ge=0)
    depth: int = Field(default=50, ge=1)
    pick: Literal["top", "random"] = "top"
    reference: str | None = None
    margin: float | None = Field(default=None, ge=0)
    relative_margin: float = Field(default=0.05, ge=0, lt=1)
    max_score: float | None = None
    check: CheckConfig | None = None
    corpus: str | None = None
    _base: Path = PrivateAttr(default_factory=Path)

    @model_validator(mode="after")
    def _some(self) -> NegativesConfig:
        if self.file and (self.from_ or self.manual or self.check):
            raise ValueError("file holds negatives that are mined already; leave out from, manual and check")
        if self.per_query and not (self.from_ or self.manual or self.file):
            raise ValueError('hard negatives need systems to be mined from, such as from = ["bm25"], or a file')
        if not self.per_query + self.random_per_query:
            raise ValueError("per_query and random_per_query are both 0; leave the table out")
        return self

    @property
    def systems(self) -> list[str]:
        """Systems that mining needs: those that rank, and the one whose similarity the margins go by."""
        return list(dict.fromkeys([*self.from_, *([self.reference] if self.reference else [])]))

    @property
    def base(self) -> Path:
        """The folder that `file`, `manual` and a checking model's path start from; where it is run, if never told."""
        return self._base

    def relative_to(self, base: Path) -> NegativesConfig:
        """The same, with paths that start from a folder."""
        found = self.model_copy()
        found._base = base
        return found


class EvalConfig(Strict):
    """The dev sets' word while training: how often, by which measure, and how long to wait for a better one."""

    every: int = Field(ge=1)
    measure: str = "ndcg@10"
    patience: int | None = Field(default=None, ge=1)
    documents: int | None = Field(default=None, ge=1)
    first: str | None = None
    depth: int = Field(default=20, ge=1)


class LoraConfig(Strict):
    """Low-rank adapters, trained in place of the model's own weights and merged into them at the end."""

    r: int = Field(default=16, ge=1)
    alpha: int = Field(default=32, ge=1)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    targets: list[str] | str = "all-linear"
    keep: bool = False


SWEPT = (
    "loss",
    "scale",
    "margin",
    "batch_size",
    "learning_rate",
    "scheduler",
    "warmup_ratio",
    "weight_decay",
    "epochs",
    "max_length",
    "dropout",
)
"""Keys of a recipe that a sweep may try several values of."""

BI_ENCODER_LOSSES = ("mnrl", "cached-mnrl", "gist", "triplet", "cosent")
CROSS_ENCODER_LOSSES = ("bce", "mnrl", "lambda")
_SCALE = {"mnrl": 20.0, "cached-mnrl": 20.0, "cosent": 20.0, "gist": 100.0}


class ConsistencyConfig(Strict):
    """A pair is kept where this system, asked the query, finds the document among the best `top`.

    Pairs of other origins are not asked about: a search engine does not overrule people's word.
    """

    system: str
    top: int = Field(default=20, ge=1)
    origins: list[str] = ["llm", "title", "heading", "cloze", "crop"]

    @field_validator("origins")
    @classmethod
    def _known_origins(cls, kinds: list[str]) -> list[str]:
        known = listing("train/origins")
        for kind in kinds:
            if kind not in known:
                raise ValueError(f'"{excerpt(kind)}" is none of {", ".join(known)}.{did_you_mean(kind, known)}')
        return kinds


class ParaphraseConfig(Strict):
    """A text is a paraphrase where its cosine with an evaluation text, by this dense system, is as high as this."""

    system: str
    similarity: float = Field(default=0.9, gt=0, le=1)


class FiltersConfig(Strict):
    """Which pairs are removed. What evaluation holds always is, and so are pairs that are equal to another."""

    query_characters: list[int] = [1, 2_000]
    query_words: list[int] = [1, 400]
    document_characters: list[int] = [1, 1_000_000]
    document_words: list[int] = [1, 200_000]
    languages: list[str] = []
    near_duplicates: bool = False
    verbatim: int = Field(default=6, ge=0)
    overlap: float | None = Field(default=None, gt=0, le=1)
    consistency: ConsistencyConfig | None = None
    paraphrase: ParaphraseConfig | None = None
    protect: list[str] = []

    @field_validator("query_characters", "query_words", "document_characters", "document_words")
    @classmethod
    def _from_to(cls, limits: list[int]) -> list[int]:
        if len(limits) != 2 or not 0 <= limits[0] <= limits[1]:
            raise ValueError("expected the least and the most, such as [3, 200]")
        return limits

    @field_validator("languages")
    @classmethod
    def _codes(cls, codes: list[str]) -> list[str]:
        for code in codes:
            if not re.fullmatch(r"[a-z]{2}", code):
                raise ValueError('expected codes of two letters, such as ["en", "de"]')
        return codes


class PairsConfig(Strict):
    """One table of `[pairs]`: where training pairs come from, which are removed, where they go.

    Tables under `from` are checked by the file of their kind.
    """

    suite: str | None = None
    from_: list[dict[str, Any]] = Field(alias="from", min_length=1)
    filters: FiltersConfig = FiltersConfig()
    out: str | None = None
    seed: int = Field(default=0, ge=0)
    accept: float | None = Field(default=None, gt=0, lt=1)

    def path(self, name: str, base: Path) -> Path:
        """The pair file of the table of this name, `base` being the config's folder."""
        return base / (self.out or f"pairs/{name}.jsonl")


class FinetuneConfig(Strict):
    """One recipe: what is trained, on which pairs, with which loss."""

    kind: Literal["bi-encoder", "cross-encoder"] = "bi-encoder"
    base: str
    pairs: list[str] | None = Field(default=None, min_length=1)
    loss: Literal["mnrl", "cached-mnrl", "gist", "triplet", "cosent", "bce", "lambda"] = "mnrl"
    scale: float | None = Field(default=None, gt=0)
    margin: float | None = Field(default=None, gt=0)
    guide: str | None = None
    mini_batch_size: int | None = Field(default=None, ge=1)
    matryoshka: list[int] = []
    negatives: NegativesConfig | None = None
    epochs: int = Field(default=1, ge=1)
    batch_size: int = Field(default=32, ge=2)
    accumulate: int = Field(default=1, ge=1)
    learning_rate: float = Field(default=2e-5, gt=0)
    scheduler: Literal["linear", "cosine", "constant"] = "linear"
    warmup_ratio: float = Field(default=0.1, ge=0, le=1)
    weight_decay: float = Field(default=0.0, ge=0)
    max_grad_norm: float = Field(default=1.0, gt=0)
    max_length: int | None = Field(default=None, ge=8)
    max_pairs: int | None = Field(default=None, ge=1)
    share: float = Field(default=1.0, gt=0, le=1)
    dropout: float | None = Field(default=None, ge=0, lt=1)
    lora: LoraConfig | None = None
    precision: Literal["float32", "bf16"] = "float32"
    compile: bool = False
    device: str | None = None
    eval: EvalConfig | None = None
    checkpoint_every: int | None = Field(default=None, ge=1)
    keep_checkpoints: bool = False
    sweep: dict[str, list[Any]] = {}
    seeds: list[int] = Field(default=[0], min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _loss_of_kind(cls, table: Any) -> Any:
        if isinstance(table, dict) and "loss" not in table and table.get("kind") == "cross-encoder":
            return {**table, "loss": "bce"}
        return table

    @field_validator("matryoshka")
    @classmethod
    def _falling(cls, dims: list[int]) -> list[int]:
        if dims != sorted(set(dims), reverse=True) or any(dim < 1 for dim in dims):
            raise ValueError("expected falling dimensions, such as [384, 256, 128, 64]")
        return dims

    @model_validator(mode="after")
    def _fits_together(self) -> FinetuneConfig:
        known = BI_ENCODER_LOSSES if self.kind == "bi-encoder" else CROSS_ENCODER_LOSSES
        if self.loss not in known:
            raise ValueError(f'loss "{self.loss}" trains no {self.kind}; expected one of {", ".join(known)}')
        if self.kind == "cross-encoder" and self.matryoshka:
            raise ValueError("matryoshka cuts vectors, and a cross-encoder makes scores; leave it out")
        if (self.loss == "gist") != (self.guide is not None):
            raise ValueError('loss = "gist" and guide = "a model" go together; found one without the other')
        if self.scale is not None and (self.kind == "cross-encoder" or self.loss not in _SCALE):
            raise ValueError(f"scale has no place in this loss; it belongs to {', '.join(_SCALE)} of a bi-encoder")
        if self.margin is not None and self.loss != "triplet":
            raise ValueError('margin belongs to loss = "triplet"; leave it out')
        if self.mini_batch_size is not None and self.loss != "cached-mnrl":
            raise ValueError('mini_batch_size belongs to loss = "cached-mnrl"; leave it out')
        self._needs_negatives()
        self._can_accumulate()
        return self

    def _needs_negatives(self) -> None:
        if (self.loss in ("triplet", "cosent", "lambda") or self.loss_name == "cross-mnrl") and self.negatives is None:
            raise ValueError(
                f'loss "{self.loss}" compares a positive with negatives of the same query: add a table of negatives, '
                'such as negatives = { from = ["bm25"] }'
            )

    def _can_accumulate(self) -> None:
        if self.accumulate > 1 and self.kind == "bi-encoder" and self.loss != "triplet":
            raise ValueError(
                f'accumulating gradients would split the batch, and loss "{self.loss}" compares each query with the '
                'whole batch: the parts would have fewer negatives. Use loss = "cached-mnrl", which gives the '
                "gradients of the whole batch in the memory of a part"
            )
        if self.accumulate > self.batch_size:
            raise ValueError("accumulate is larger than batch_size; each part needs a row")

    @field_validator("sweep")
    @classmethod
    def _swept(cls, sweep: dict[str, list[Any]]) -> dict[str, list[Any]]:
        for key, values in sweep.items():
            if key not in SWEPT:
                hint = did_you_mean(key, SWEPT)
                raise ValueError(f'"{key}" cannot be swept; expected some of {", ".join(SWEPT)}.{hint}')
            if not values or any(value in values[:i] for i, value in enumerate(values)):
                raise ValueError(f"{key} is {values}; expected one or more different values")
        return sweep

    @model_validator(mode="after")
    def _every_combination(self) -> FinetuneConfig:
        if self.sweep and self.eval is None:
            raise ValueError("a sweep chooses by the dev sets: add eval = { every = STEPS }")
        for combination in self.combinations():
            type(self).model_validate(self.model_dump(by_alias=True) | combination | {"sweep": {}})
        return self

    def combinations(self) -> list[dict[str, Any]]:
        """Every combination of the sweep's values, the last key's changing fastest; none where nothing is swept."""
        if not self.sweep:
            return []
        return [dict(zip(self.sweep, values, strict=True)) for values in itertools.product(*self.sweep.values())]

    @property
    def systems(self) -> list[str]:
        """What training needs that may be a system of the config: the base, what mines, what dev reranks, the guide."""
        named = [self.base, self.guide, self.eval.first if self.eval else None]
        return list(dict.fromkeys([*(self.negatives.systems if self.negatives else ()), *(n for n in named if n)]))

    @property
    def loss_name(self) -> str:
        """The loss's name among those of both kinds."""
        return "cross-mnrl" if self.kind == "cross-encoder" and self.loss == "mnrl" else self.loss

    @property
    def loss_scale(self) -> float:
        """What similarities are multiplied with: 1 / temperature."""
        return self.scale or _SCALE.get(self.loss, 1.0)


class RuleConfig(Strict):
    """One gate rule: what it is for, and exactly one threshold."""

    role: Literal["held-out", "out-of-distribution"]
    measures: list[str] = Field(default=["recall@10", "ndcg@10"], min_length=1)
    query_set: str | None = None
    slice: str | None = None
    dim: int | None = Field(default=None, ge=1)
    precision: str | None = None
    margin: float | None = Field(default=None, gt=0, lt=1)
    relative_margin: float | None = Field(default=None, gt=0, lt=1)
    minimum: float | None = Field(default=None, gt=0, lt=1)
    keeps: float | None = Field(default=None, gt=0, le=1)
    floor: float | None = Field(default=None, gt=0, lt=1)

    @model_validator(mode="after")
    def _one_threshold(self) -> RuleConfig:
        given = [key for key in ("margin", "relative_margin", "minimum", "keeps") if getattr(self, key) is not None]
        if len(given) != 1:
            raise ValueError(
                f"a rule has exactly one of margin, relative_margin, minimum and keeps; found "
                f"{' and '.join(given) or 'none'}"
            )
        if self.keeps is not None and self.dim is None and self.precision is None:
            raise ValueError("keeps is about a smaller variant of the gated system: name its dim or precision")
        if self.floor is not None and given[0] not in ("margin", "relative_margin"):
            raise ValueError("floor is the least drop that may fail; it stands beside margin or relative_margin")
        if self.floor is not None and self.margin is not None and self.floor > self.margin:
            raise ValueError("floor is larger than margin; a drop beyond the margin could never fail")
        return self


class CeilingConfig(Strict):
    """One ceiling on what the candidate may cost."""

    what: Literal["index_bytes", "latency_ms_p95"]
    at_most: float = Field(gt=0)
    of: str = ""

    @model_validator(mode="after")
    def _relative(self) -> CeilingConfig:
        if self.what == "latency_ms_p95" and self.of in ("", "baseline"):
            raise ValueError(
                "a time from another machine or another day says nothing: at_most is a ratio, and of names the "
                "system that is timed beside the candidate"
            )
        return self


class GateConfig(Strict):
    """`[gate]`."""

    system: str | None = None
    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    on_inconclusive: Literal["warn", "block"] = "warn"
    baseline: str | None = None
    rules: list[RuleConfig] | None = None
    ceilings: list[CeilingConfig] = []

    def policy(self) -> Policy:
        """The policy that this table states, defaults filled in."""
        rules = Policy().rules
        if self.rules is not None:
            rules = tuple(Rule(**{**dict(rule), "measures": tuple(rule.measures)}) for rule in self.rules)
        ceilings = tuple(Ceiling(**dict(ceiling)) for ceiling in self.ceilings)
        return Policy(rules, self.alpha, self.on_inconclusive, self.system, ceilings)


class PriceConfig(Strict):
    """One price in US dollars, with where and when it was found: a price without them is a guess."""

    usd: float = Field(ge=0)
    source: str = Field(min_length=1)
    date: date


class PricesConfig(Strict):
    """Prices of `[decide]`, each for the unit that its name says; what has no price is not priced."""

    storage_gib_month: PriceConfig | None = None
    embedding_million_tokens: PriceConfig | None = None
    machine_hour: PriceConfig | None = None
    training_hour: PriceConfig | None = None
    label: PriceConfig | None = None
    rerank_thousand_queries: PriceConfig | None = None
    llm_million_tokens: PriceConfig | None = None
    answered_query: PriceConfig | None = None


class ThresholdConfig(Strict):
    """Another value for a named rule of `bench decide`, and why."""

    value: float
    source: str = Field(min_length=1)


class DecideConfig(Strict):
    """`[decide]`: what is in use, what is planned for, what things cost."""

    current: str | None = None
    systems: list[str] | None = Field(default=None, min_length=1)
    options: dict[str, str] = {}
    effort: dict[str, float] = {}
    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    minimum_gain: float = Field(default=0.02, gt=0, lt=1)
    out_of_distribution_margin: float = Field(default=0.03, gt=0, lt=1)
    documents: int | None = Field(default=None, ge=1)
    queries_per_month: int | None = Field(default=None, ge=1)
    horizon_months: float = Field(default=12, gt=0)
    retrain_months: float | None = Field(default=None, gt=0)
    changed_per_month: float | None = Field(default=None, ge=0, le=1)
    tokens_per_document: float | None = Field(default=None, gt=0)
    tokens_per_query: float | None = Field(default=None, gt=0)
    documents_per_second: float | None = Field(default=None, gt=0)
    graph_bytes_per_document: float = Field(default=0, ge=0)
    rewriting_tokens_per_query: float | None = Field(default=None, gt=0)
    context_tokens_per_document: float | None = Field(default=None, gt=0)
    llm_tokens_saved_per_answered_query: float | None = Field(default=None, ge=0)
    prices: PricesConfig = PricesConfig()
    thresholds: dict[str, ThresholdConfig] = {}


class Demands(BaseModel):
    """What of `bench.toml` says by what a change is judged; the rest says what the change is."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    suites: list[str] = Field(min_length=1)
    store: str = ".bench"
    gate: GateConfig = GateConfig()


class BenchConfig(Strict):
    """`bench.toml`. Tables under `systems`, and under `from` in `pairs`, are checked by the file of their kind."""

    suites: list[str] = Field(min_length=1)
    store: str = ".bench"
    reports: str = "reports"
    history: str | None = None
    systems: dict[str, dict[str, Any]] = Field(min_length=1)
    pairs: dict[str, PairsConfig] = {}
    finetune: dict[str, FinetuneConfig] = {}
    gate: GateConfig = GateConfig()
    decide: DecideConfig = DecideConfig()


# --- reading ---------------------------------------------------------------------------------------


def listing(package: str) -> list[str]:
    """Kinds that a folder of the package offers: its files' names. Imports nothing."""
    folder = Path(__file__).parent / package
    return sorted(path.stem.replace("_", "-") for path in folder.glob("*.py") if not path.stem.startswith("_"))


def load_demands(text: str, where: str) -> Demands:
    """What a config's text demands, whatever systems it has: the base branch's word on what a change must hold.

    Raises:
        ConfigError: not TOML, or what is wrong with these tables, one a line.
    """
    try:
        return Demands.model_validate(tomllib.loads(text.removeprefix("\ufeff")))
    except ValidationError as problem:
        raise ConfigError("\n".join(problems_of(problem, Demands, where))) from None
    except (ValueError, RecursionError) as problem:
        raise ConfigError(f"{where}: not TOML: {problem}.") from None


def _read_toml(path: Path, error: type[BenchError]) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise error(f"{path} does not exist; expected a TOML file there.") from None
    except IsADirectoryError:
        raise error(f"{path} is a folder; expected a TOML file.") from None
    except (ValueError, RecursionError) as problem:
        raise error(f"{path}: not TOML: {problem}.") from None
    except OSError as problem:
        raise error(f"{path} cannot be read: {problem.strerror}.") from None


def _place(location: tuple[int | str, ...]) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text or "the file"


def _known_keys(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Keys that the model at a location knows, to suggest the nearest."""
    current: Any = model
    for part in location[:-1]:
        if isinstance(current, type) and issubclass(current, BaseModel):
            by_name = {field.alias or name: field.annotation for name, field in current.model_fields.items()}
            current = by_name.get(str(part))
        elif get_args(current):
            current = get_args(current)[-1]
        if get_origin(current) in (Union, types.UnionType):
            current = next((a for a in get_args(current) if a is not type(None)), None)
    if isinstance(current, type) and issubclass(current, BaseModel):
        return [field.alias or name for name, field in current.model_fields.items()]
    return []


def problems_of(error: ValidationError, model: type[BaseModel], where: str) -> list[str]:
    """One sentence per error of a table: key, what was found, what was expected, the nearest known name."""
    sentences = []
    for item in error.errors():
        location, found = item["loc"], item["input"]
        place = _place(location)
        if item["type"] == "extra_forbidden":
            known = _known_keys(model, location)
            sentence = f"unknown key {place}; expected one of {', '.join(known)}."
            sentence += did_you_mean(str(location[-1]), known)
        elif item["type"] == "missing":
            sentence = f"{place} is missing."
        elif item["type"] == "literal_error":
            expected = item["ctx"]["expected"].replace("'", "").replace(" or ", ", ")
            sentence = f'{place} is "{excerpt(str(found))}"; expected one of {expected}.'
            sentence += did_you_mean(str(found), expected.split(", "))
        elif item["type"] == "too_short":
            sentence = f"{place} is empty; expected at least one."
        else:
            message = item["msg"].removeprefix("Value error, ")
            message = message[:1].lower() + message[1:]
            sentence = f"{place} is {str(found)[:60]!r}; {message}."
        sentences.append(f"{where}: {sentence}")
    return sentences


def _parse(path: Path, model: type[Model], error: type[BenchError]) -> tuple[dict[str, Any], Model | None, list[str]]:
    table = _read_toml(path, error)
    try:
        return table, model.model_validate(table), []
    except ValidationError as problem:
        return table, None, problems_of(problem, model, str(path))


def load_suite_config(path: Path) -> SuiteConfig:
    """A suite's declaration.

    Raises:
        SuiteError: all errors of the file, one a line.
    """
    _, suite, problems = _parse(path, SuiteConfig, SuiteError)
    if suite is not None:
        names = [query_set.name for query_set in suite.query_sets]
        for i, query_set in enumerate(suite.query_sets):
            if query_set.corpus not in suite.corpora:
                problems.append(
                    f'{path}: query_sets[{i}].corpus is "{query_set.corpus}"; expected one of '
                    f"{', '.join(suite.corpora)}.{did_you_mean(query_set.corpus, suite.corpora)}"
                )
            if names.index(query_set.name) != i:
                problems.append(f'{path}: query_sets[{i}].name is "{query_set.name}" again; names must be unique.')
            above = [other.name for other in suite.query_sets[:i] if other.corpus == query_set.corpus]
            if query_set.derived_from is not None and query_set.derived_from not in above:
                problems.append(
                    f'{path}: query_sets[{i}].derived_from is "{query_set.derived_from}"; expected a query set of the '
                    f"same corpus that stands above it ({', '.join(above) or 'none does'})."
                    f"{did_you_mean(query_set.derived_from, above)}"
                )
            beir = query_set.corpus in suite.corpora and suite.corpora[query_set.corpus].source == "beir"
            if not beir:
                problems += [
                    f"{path}: query_sets[{i}].{key} is missing."
                    for key in ("queries", "qrels")
                    if getattr(query_set, key) is None
                ]
            elif query_set.split is None and query_set.qrels is None:
                problems.append(f"{path}: query_sets[{i}].split is missing (a BEIR corpus has several).")
    if problems or suite is None:
        raise SuiteError("\n".join(problems))
    return suite


def load_bench(
    path: Path,
    *,
    check_system: Callable[[str, Mapping[str, Any], Path], list[str]] | None = None,
    check_origin: Callable[[str, Mapping[str, Any], Path], list[str]] | None = None,
) -> BenchConfig:
    """What is under test.

    Args:
        path: the TOML file.
        check_system: says what is wrong with one table of `systems`; given by the layer that knows the kinds.
        check_origin: the same of one table under `from` in a table of `pairs`, which it is told as `NAME.from[i]`.

    Raises:
        ConfigError: all errors of the file, one a line.
    """
    table, config, problems = _parse(path, BenchConfig, ConfigError)
    systems = table.get("systems", {})
    if isinstance(systems, dict):
        for name, system in systems.items():
            if not isinstance(system, dict):
                continue
            if "@" in name or "/" in name:
                problems.append(f'{path}: systems."{name}": "@" and "/" are kept for dimension and precision.')
            if check_system:
                problems += check_system(name, system, path)
            for part in [*_strings(system.get("of")), *_strings(system.get("first"))]:
                if part.split("@")[0].split("/")[0] not in systems:
                    problems.append(
                        f'{path}: systems.{name} is made of "{part}", which is no system of this file.'
                        f"{did_you_mean(part, systems)}"
                    )
    problems += _pairs_problems(path, table, systems, check_origin)
    for i, ceiling in enumerate(config.gate.ceilings if config else ()):
        if ceiling.of not in ("", "baseline") and ceiling.of.split("@")[0].split("/")[0] not in systems:
            problems.append(
                f'{path}: gate.ceilings[{i}].of is "{ceiling.of}", which is no system of this file.'
                f"{did_you_mean(ceiling.of, systems)}"
            )
    for place, name in _decided(config.decide) if config else ():
        if name.split("@")[0].split("/")[0] not in systems:
            problems.append(
                f'{path}: {place} names "{name}", which is no system of this file.{did_you_mean(name, systems)}'
            )
    if config is not None and config.gate.rules == []:
        problems.append(f"{path}: gate.rules is empty; a gate without a rule would pass everything. Leave it out.")
    if problems or config is None:
        raise ConfigError("\n".join(problems))
    for recipe in config.finetune.values():
        if recipe.negatives is not None:
            recipe.negatives._base = path.parent
    return config


def _pairs_problems(
    path: Path,
    table: Mapping[str, Any],
    systems: Any,
    check_origin: Callable[[str, Mapping[str, Any], Path], list[str]] | None,
) -> Iterator[str]:
    """What is wrong with `[pairs]` beyond the shape of each table."""
    tables = table.get("pairs", {})
    outs: dict[str, str] = {}
    for name, made in tables.items() if isinstance(tables, dict) else ():
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
            yield f'{path}: pairs."{excerpt(name)}": a name has letters, digits, ".", "_" and "-" alone.'
        if not isinstance(made, dict):
            continue
        origins = made.get("from")
        for i, origin in enumerate(origins if isinstance(origins, list) else ()):
            if isinstance(origin, dict) and check_origin:
                yield from check_origin(f"{name}.from[{i}]", origin, path)
        filters = made.get("filters")
        for key in ("consistency", "paraphrase"):
            rule = filters.get(key) if isinstance(filters, dict) else None
            system = rule.get("system") if isinstance(rule, dict) else None
            if isinstance(system, str) and system.split("@")[0].split("/")[0] not in systems:
                hint = did_you_mean(system, systems)
                yield f'{path}: pairs.{name}.filters.{key}.system is "{system}", no system of this file.{hint}'
        suites = table.get("suites")
        known = suites if isinstance(suites, list) else []
        if made.get("suite") is not None and made["suite"] not in [*known, *(Path(str(s)).name for s in known)]:
            listed, hint = ", ".join(map(str, known)), did_you_mean(str(made["suite"]), map(str, known))
            yield f'{path}: pairs.{name}.suite is "{made["suite"]}"; expected one of {listed}.{hint}'
        elif made.get("suite") is None and len(known) > 1:
            yield f"{path}: pairs.{name}.suite is missing; expected one of {', '.join(map(str, known))}."
        out = str(made.get("out") or f"pairs/{name}.jsonl")
        if (other := outs.setdefault(out, name)) != name:
            yield f'{path}: pairs.{name}.out is "{out}", which pairs.{other} writes too.'


def _decided(table: DecideConfig) -> list[tuple[str, str]]:
    """Systems that `[decide]` names, each with the key that names it."""
    named = [("decide.current", table.current)] if table.current is not None else []
    named += [("decide.systems", name) for name in table.systems or ()]
    return named + [(f"decide.options.{name}", name) for name in table.options]


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [v for v in value if isinstance(v, str)] if isinstance(value, list) else []


class SystemConfig(Strict):
    """Keys that every system knows beside its own. `roles`: query sets it is evaluated on; None means all."""

    kind: str
    roles: list[Literal["held-out", "out-of-distribution"]] | None = Field(default=None, min_length=1)
