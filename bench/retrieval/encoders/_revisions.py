"""Whether a base model has a newer revision: what is declared against what the hub, its local copy or a folder says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.base.errors import BenchError
from bench.retrieval.encoders import find_model, weights_digest

SECONDS = 15
_SHORT = 12


@dataclass(frozen=True)
class Revision:
    """What is declared, what is newest, and where that was read; None where it is not known, with the reason."""

    model: str
    declared: str | None
    newest: str | None
    source: str

    @property
    def newer(self) -> bool | None:
        """Whether there is another one than the declared; None where either is not known."""
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
    """The revision of a model, or of what a fine-tuned one was made from.

    Args:
        model: as in the config, or the base that the lineage names.
        revision: declared in the config.
        folder: where the model's files are.
        lineage: of a fine-tuned model.
        base: folder that relative paths start from.
        models: the store's folder of models.
        endpoint: the hub's address; the library's own where None.
    """
    declared = revision or _snapshot(folder)
    if lineage is not None:
        made_from = lineage.get("base")
        origin: Mapping[str, Any] = made_from if isinstance(made_from, Mapping) else {}
        place = str(origin.get("folder", ""))
        declared = place.removeprefix("snapshots/") if place.startswith("snapshots/") else None
        if declared is None and not _is_hub_name(model, base):
            return _folder_revision(model, origin, base, models)
    if not _is_hub_name(model, base):
        return Revision(model, declared, None, "it is no hub model; its files are what they are")
    newest, source = hub_revision(model, endpoint=endpoint)
    return Revision(model, declared, newest, source)


def _snapshot(folder: Path | None) -> str | None:
    """The commit of a folder in the hub's local copy, which is its name."""
    return folder.name if folder is not None and folder.parent.name == "snapshots" else None


def _is_hub_name(model: str, base: Path) -> bool:
    outside = model.startswith((".", "/", "~", "package:", "finetune:"))
    return not outside and model.count("/") == 1 and not (base / model).is_dir()


def _folder_revision(model: str, origin: Mapping[str, Any], base: Path, models: Path) -> Revision:
    """The weights that a model was made from against those that stand there now."""
    then = origin.get("weights")
    try:
        now = weights_digest(find_model(model, base=base, models=models))
    except BenchError as error:
        return Revision(model, str(then) if then else None, None, f"its files are not to be had: {error}")
    return Revision(model, str(then) if then else None, now, "the weights in its folder")


def hub_revision(model: str, *, endpoint: str | None = None) -> tuple[str | None, str]:
    """(newest commit, where that was read) of a hub model's main branch; (None, why) where nobody can say.

    Asks the hub; offline, its local copy, which knows what was newest when it was last asked.
    """
    try:
        from huggingface_hub import HfApi, constants
    except ImportError:
        return None, "huggingface_hub is not installed (pip install 'retrieval-gate[hf]')"
    why = "offline (HF_HUB_OFFLINE)"
    if not constants.HF_HUB_OFFLINE:
        try:
            found = HfApi(endpoint=endpoint).model_info(model, revision="main", timeout=SECONDS)
            return (found.sha, "the hub") if found.sha else (None, "the hub names no commit")
        except Exception as error:  # the hub library raises a dozen kinds; each means "not to be had now"
            why = f"the hub cannot be asked ({type(error).__name__})"
    pointer = Path(constants.HF_HUB_CACHE) / f"models--{model.replace('/', '--')}" / "refs" / "main"
    try:
        commit = pointer.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return None, why
    when = datetime.fromtimestamp(pointer.stat().st_mtime, UTC)
    return commit or None, f"the local copy of {when:%Y-%m-%d}; {why}"
