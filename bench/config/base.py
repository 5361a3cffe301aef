"""What every table of a config is made of."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict

from bench.records import ROLES

__all__ = ["Model", "Role", "Strict", "listing"]

Role = Literal["train", "dev", "held-out", "out-of-distribution"]
assert get_args(Role) == ROLES  # noqa: S101 (a mistake of ours, not the user's)

Model = TypeVar("Model", bound="Strict")


class Strict(BaseModel):
    """A model whose unknown keys are errors and whose values are not converted."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def listing(package: str) -> list[str]:
    """Kinds that a folder of the package offers: its files' names. Imports nothing."""
    folder = Path(__file__).parent.parent / package
    return sorted(path.stem.replace("_", "-") for path in folder.glob("*.py") if not path.stem.startswith("_"))
