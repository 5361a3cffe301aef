"""Whether a base model has a newer revision: the declared one against that of the hub, its local copy or a folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.base.errors import BenchError
from bench.retrieval.encoders import find_model, weights_digest

SECONDS = 15


@dataclass(frozen=True)
class Revision:
    """The declared and the newest revision, None where unknown; `source` is where the newest was read, or why not."""

    model: str
    declared: str | None
    newest: str | None
    source: str

    @property
    def newer(self) -> bool | None:
        """Whether the newest differs from the declared one; None where either is unknown."""
        if self.declared is None or self.newest is None:
            return None
        return not (self.newest.startswith(self.declared) or self.declared.startswith(self.newest))


def base_revision(
    model: str,
    *,
    revision: str | None,
    folder: Path | None,
    lineage: Mapping[str, Any] | None,
    base: Path,
    models: Path,
    endpoint: str | None = None,
) -> Revision:
    """The revision of a model, or of the base of a fine-tuned one.

    Args:
        model: as in the config, or the base that the lineage names.
        revision: declared in the config.
        folder: of the model's files.
        lineage: of a fine-tuned model.
        base: folder that relative paths start from.
        models: the store's folder of models.
        endpoint: the hub's address; the library's own where None.
    """
    local = model.startswith((".", "/", "~", "package:", "finetune:")) or (base / model).is_dir()
    on_hub = not local and model.count("/") == 1
    # A folder in the hub's local copy has its commit as its name.
    declared = revision or (folder.name if folder is not None and folder.parent.name == "snapshots" else None)
    if lineage is not None:
        origin = lineage.get("base")
        origin = origin if isinstance(origin, Mapping) else {}
        place = str(origin.get("folder", ""))
        declared = place.removeprefix("snapshots/") if place.startswith("snapshots/") else None
        if declared is None and not on_hub:
            then = str(origin["weights"]) if origin.get("weights") else None
            try:
                now = weights_digest(find_model(model, base=base, models=models))
            except BenchError as error:
                return Revision(model, then, None, f"its files are not available: {error}")
            return Revision(model, then, now, "the weights in its folder")
    if not on_hub:
        return Revision(model, declared, None, "it is not a hub model, so it has no revisions")
    newest, source = hub_revision(model, endpoint=endpoint)
    return Revision(model, declared, newest, source)


def hub_revision(model: str, *, endpoint: str | None = None) -> tuple[str | None, str]:
    """(newest commit, where it was read) of a hub model's main branch; (None, why) where it is unknown.

    From the hub; offline from its local copy, which has the commit that was newest at the last download.
    """
    try:
        from huggingface_hub import HfApi, constants
    except ImportError:
        return None, "huggingface_hub is not installed (pip install 'retrieval-gate[hf]')"
    why = "offline (HF_HUB_OFFLINE)"
    if not constants.HF_HUB_OFFLINE:
        try:
            info = HfApi(endpoint=endpoint).model_info(model, revision="main", timeout=SECONDS)
            return (info.sha, "the hub") if info.sha else (None, "the hub names no commit")
        except Exception as error:  # the hub library raises a dozen kinds; each means "not available now"
            why = f"the hub did not answer ({type(error).__name__})"
    pointer = Path(constants.HF_HUB_CACHE) / f"models--{model.replace('/', '--')}" / "refs" / "main"
    try:
        commit = pointer.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return None, why
    when = datetime.fromtimestamp(pointer.stat().st_mtime, UTC)
    return commit or None, f"the local copy of {when:%Y-%m-%d}; {why}"
