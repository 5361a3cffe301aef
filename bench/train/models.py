"""Fine-tuned models and where they come from: one folder each, with its lineage beside the weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.base.errors import StoreError
from bench.base.store import Store, read_json, write_json, write_text
from bench.config import FinetuneConfig

LINEAGE = "lineage.json"
FORMAT = 1


def model_folder(store: Store, name: str, key: str) -> Path:
    """Where the model of this recipe and key lives; nothing is made."""
    return store.path("models", name) / key[:16]


def lineage(folder: Path) -> dict[str, Any] | None:
    """A model's lineage; None where the folder holds no whole model (the lineage is written last)."""
    try:
        document = read_json(folder / LINEAGE)
    except StoreError:
        return None
    return document if isinstance(document, dict) and document.get("format") == FORMAT else None


def recipe_settings(recipe: FinetuneConfig) -> dict[str, Any]:
    """What of a recipe changes a model; how often a training is saved does not."""
    return recipe.model_dump(mode="json", by_alias=True, exclude={"seeds", "sweep", "checkpoint_every"})


def trained_pairs(document: Mapping[str, Any]) -> int:
    """Pairs that a model of this lineage was trained on: those at hand, cut to the recipe's `max_pairs`."""
    data = document["data"]
    return int(data.get("trained_pairs", data["pairs"]))


def write_lineage(folder: Path, document: Mapping[str, Any]) -> None:
    """Write a model's lineage: from here on the folder counts as whole."""
    write_json(folder / LINEAGE, {"format": FORMAT, **document}, indent=1)


def set_current(folder: Path, *, seed: int, first: bool) -> None:
    """Let `finetune:NAME/seed-N`, and `finetune:NAME` for the recipe's first seed, mean this folder.

    Another seed, tried once, does not change what `finetune:NAME` means; where that means nothing yet it does.
    """
    write_text(folder.parent / f"seed-{seed}", folder.name + "\n")
    if first or not (folder.parent / "current").exists():
        write_text(folder.parent / "current", folder.name + "\n")
