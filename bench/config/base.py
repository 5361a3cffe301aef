"""The base class of every table of a config."""

from __future__ import annotations

from typing import Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict

from bench.records import ROLES

Role = Literal["train", "dev", "held-out", "out-of-distribution"]
assert get_args(Role) == ROLES  # noqa: S101 (a mistake of ours, not the user's)

Model = TypeVar("Model", bound="Strict")


class Strict(BaseModel):
    """A model whose unknown keys are errors and whose values are not converted."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
