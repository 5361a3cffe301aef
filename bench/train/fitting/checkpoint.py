"""A training's state on disk: written whole or not at all, read back after a kill."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.base.store import replacing

STATE = "state.pt"


def write_state(folder: Path, state: Mapping[str, Any]) -> None:
    """Put a state in the place of the last one."""
    import torch

    with replacing(folder / STATE) as stream:
        torch.save(dict(state), stream)


def read_state(folder: Path, *, key: str) -> dict[str, Any] | None:
    """The last state written under this key; None where there is none, where it is damaged, or of another key."""
    import torch

    if not (folder / STATE).exists():
        return None
    try:
        state = torch.load(folder / STATE, map_location="cpu", weights_only=True)
    except Exception:  # torch raises half a dozen kinds for a damaged archive; each means that training starts anew
        return None
    return state if isinstance(state, dict) and state.get("key") == key else None


def write_weights(folder: Path, step: int, weights: Mapping[str, Any]) -> None:
    """Keep the weights of a step."""
    import torch

    with replacing(folder / f"best-{step}.pt") as stream:
        torch.save(dict(weights), stream)


def read_weights(folder: Path, step: int) -> dict[str, Any]:
    """The weights kept of a step."""
    import torch

    found: dict[str, Any] = torch.load(folder / f"best-{step}.pt", map_location="cpu", weights_only=True)
    return found


def forget(folder: Path, *, but: int | None) -> None:
    """Remove weights kept of other steps, and what a kill left half-written."""
    for path in [*folder.glob("best-*.pt"), *folder.glob(".best-*"), *folder.glob(f".{STATE}-*")]:
        if but is None or path.name != f"best-{but}.pt":
            with contextlib.suppress(OSError):
                path.unlink()
