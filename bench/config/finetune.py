"""`[finetune]`: recipes, their negatives, and what is looked at while training."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr, field_validator, model_validator

from bench.base.errors import did_you_mean
from bench.base.registry import KindTable
from bench.config.base import Strict


class CheckConfig(Strict):
    """A reranker that checks candidates: one that scores near the weakest positive is not used as a negative."""

    reranker: Annotated[dict[str, Any], KindTable("rerankers")]
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
        """Systems that mining needs: those that rank, and the one whose similarities the margins apply to."""
        return list(dict.fromkeys([*self.from_, *([self.reference] if self.reference else [])]))

    @property
    def base(self) -> Path:
        """The folder that `file`, `manual` and a checking model's path start from; the present folder by default."""
        return self._base

    def relative_to(self, base: Path) -> NegativesConfig:
        """A copy with paths that start from a folder."""
        copy = self.model_copy()
        copy._base = base
        return copy


class EvalConfig(Strict):
    """Evaluation on dev sets during training: how often, by which measure, and how long to wait for a better one."""

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
    *("loss", "scale", "margin", "batch_size", "learning_rate", "scheduler", "warmup_ratio", "weight_decay"),
    *("epochs", "max_length", "dropout"),
)
"""Keys of a recipe that a sweep may try several values of."""

BI_ENCODER_LOSSES = ("mnrl", "cached-mnrl", "gist", "triplet", "cosent")
CROSS_ENCODER_LOSSES = ("bce", "mnrl", "lambda")
_SCALE = {"mnrl": 20.0, "cached-mnrl": 20.0, "cosent": 20.0, "gist": 100.0}


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
            raise ValueError(f'loss "{self.loss}" has no scale; scale belongs to {", ".join(_SCALE)} of a bi-encoder')
        if self.margin is not None and self.loss != "triplet":
            raise ValueError('margin belongs to loss = "triplet"; leave it out')
        if self.mini_batch_size is not None and self.loss != "cached-mnrl":
            raise ValueError('mini_batch_size belongs to loss = "cached-mnrl"; leave it out')
        if self.negatives is None and self.loss_name in ("triplet", "cosent", "lambda", "cross-mnrl"):
            raise ValueError(
                f'loss "{self.loss}" compares a positive with negatives of the same query: add a table of negatives, '
                'such as negatives = { from = ["bm25"] }'
            )
        if self.accumulate > 1 and self.kind == "bi-encoder" and self.loss != "triplet":
            raise ValueError(
                f'accumulating gradients would split the batch, and loss "{self.loss}" compares each query with the '
                'whole batch: the parts would have fewer negatives. Use loss = "cached-mnrl", which gives the '
                "gradients of the whole batch in the memory of a part"
            )
        if self.accumulate > self.batch_size:
            raise ValueError("accumulate is larger than batch_size; each part needs a row")
        return self

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
        products = itertools.product(*self.sweep.values()) if self.sweep else ()
        return [dict(zip(self.sweep, values, strict=True)) for values in products]

    @property
    def systems(self) -> list[str]:
        """Names that may be systems of the config: the base, the guide, those that mine, the first stage on dev."""
        names = [self.base, self.guide, self.eval.first if self.eval else None]
        return list(dict.fromkeys([*(self.negatives.systems if self.negatives else ()), *filter(None, names)]))

    @property
    def loss_name(self) -> str:
        """The loss's name among those of both kinds."""
        return "cross-mnrl" if self.kind == "cross-encoder" and self.loss == "mnrl" else self.loss

    @property
    def loss_scale(self) -> float:
        """What similarities are multiplied with: 1 / temperature."""
        return self.scale or _SCALE.get(self.loss, 1.0)
