"""Encoders, one file each. A file's name is the encoder's kind; listing them imports nothing.

Each file has a `Config` and `build(config, *, base, models)`, which returns an `Encoder`.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from bench.base.errors import ConfigError, MissingExtra
from bench.records import Encoder
from bench.retrieval.packaged import built

# Files that change what a model computes. A README, a card or another backend's export does not.
_WEIGHT_SUFFIXES = {".safetensors", ".bin", ".json", ".txt", ".model", ".py", ".npy"}
_IGNORED = {"data_config.json", "lineage.json", "README.md", "train_results.json"}
_OTHER_BACKENDS = {"onnx", "openvino", ".git", "checkpoints"}


def build(table: Mapping[str, Any], place: str, *, base: Path, models: Path) -> Encoder:
    """The encoder that a table describes.

    Args:
        table: `{ kind = …, model = … }`.
        place: the table's name in its file, for errors.
        base: folder of the file that names the model.
        models: the store's folder of fine-tuned models.

    Raises:
        ConfigError: the table has mistakes, or names no model.
    """
    encoder: Encoder = built(
        "encoders", table, place, lambda kind, config: kind.build(config, base=base, models=models)
    )
    return encoder


def find_model(model: str, *, base: Path, models: Path, revision: str | None = None) -> Path:
    """The folder of a model's files.

    Args:
        model: a folder (relative to `base`), `package:NAME` (a model inside an installed Python package),
            `finetune:NAME` or `finetune:NAME/seed-N` (the recipe's latest model, under `models`; with `@STEP` at the
            end a kept checkpoint), `promoted:NAME` (the model that `bench models promote` chose, by its weights), or
            a hub name.
        base: folder of the file that names the model.
        models: the store's folder of fine-tuned models.
        revision: a hub revision.

    Raises:
        ConfigError: no such model; names the command that makes or fetches it.
    """
    if model.startswith("package:"):
        name = model.removeprefix("package:")
        spec = importlib.util.find_spec(name.split(".")[0])
        for location in (spec.submodule_search_locations if spec else None) or []:
            for marker in ("modules.json", "config.json"):
                if paths := sorted(Path(location).rglob(marker)):
                    return paths[0].parent
        state = "has no model (no modules.json or config.json in it)" if spec else "is not installed"
        raise ConfigError(f'Model "package:{name}": the package {state}. Install it with: pip install {name}')
    if model.startswith("finetune:"):
        model, _, step = model.partition("@")
        name, _, seed = model.removeprefix("finetune:").partition("/")
        pointer = models / name / (seed or "current")
        if not pointer.exists():
            raise ConfigError(
                f'Model "{model}" has not been made yet. Make it with: bench finetune {name} '
                "(or evaluate other systems meanwhile: bench run --system NAME)"
            )
        folder = models / name / pointer.read_text(encoding="utf-8").strip()
        if not step:
            return folder
        checkpoints = {path.name.removeprefix("step-"): path for path in (folder / "checkpoints").glob("step-*")}
        if step not in checkpoints:
            steps = ", ".join(sorted(checkpoints, key=int)) or "none: the recipe needs keep_checkpoints = true"
            raise ConfigError(f'Model "{model}@{step}": no such checkpoint was kept; there are {steps}.')
        return checkpoints[step]
    if model.startswith("promoted:"):
        return _promoted(model.removeprefix("promoted:"), base, models)
    path = Path(model).expanduser()
    path = path if path.is_absolute() else base / path
    if path.is_dir():
        if not any((path / name).exists() for name in ("config.json", "modules.json")):
            raise ConfigError(f"{path} holds no model: expected config.json or modules.json in it.")
        return path
    if model.startswith((".", "/", "~")) or model.count("/") != 1:
        raise ConfigError(
            f'Model "{model}": {path} is no folder. Expected a folder, "package:NAME", "finetune:NAME", '
            '"promoted:NAME", or a hub name such as "sentence-transformers/all-MiniLM-L6-v2".'
        )
    return _from_hub(model, revision)


def _promoted(name: str, base: Path, models: Path) -> Path:
    """The folder of the promoted model, which must still have the promoted weights."""
    from bench.retrieval.promotions import PROMOTED, history, standing

    path = base / PROMOTED
    promotions = standing(history(path), name)
    if not promotions:
        raise ConfigError(
            f'Model "promoted:{name}": {path} promotes no model of that name. Promote one that passed the gate: '
            f'bench models promote {name} --reason "…"'
        )
    promoted = promotions[-1]
    folders = [models / name / promoted.folder, *sorted((models / name).glob("[!.]*/"))]
    for folder in dict.fromkeys(folders):
        # A folder of the same name may have other weights, trained on another machine; only the digest counts.
        if (folder / "lineage.json").is_file() and weights_digest(folder) == promoted.weights:
            return folder
    raise ConfigError(
        f'Model "promoted:{name}" (weights {promoted.weights[:12]}, promoted {promoted.when[:10]}) is not in '
        f"{models / name}. Copy its folder there, or train it again: bench finetune {name}"
        + (f" --seed {promoted.seed}" if promoted.seed is not None else "")
    )


def _from_hub(name: str, revision: str | None) -> Path:
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise MissingExtra(f'Hub model "{name}"', "huggingface_hub", "local") from None
    try:
        folder = snapshot_download(
            name, revision=revision, ignore_patterns=["onnx/*", "openvino/*", "*.h5", "*.ot", "*.msgpack"]
        )
    except Exception as error:  # the hub library raises a dozen kinds; each means "not available now"
        cause = str(error).splitlines()[0] if str(error) else ""
        raise ConfigError(
            f'Model "{name}" is neither a local folder nor available from the hub ({type(error).__name__}: {cause}). '
            f"With a network, fetch it with: hf download {name} --local-dir models/{name.split('/')[-1]}, "
            "then name that folder. The name of a model inside an installed package is package:NAME."
        ) from error
    return Path(folder)


def weights_digest(folder: Path) -> str:
    """32 hex digits over every file that changes what the model computes, in path order.

    Reading 90 MB takes about a tenth of a second, once in a process while the files do not change.
    """
    files = [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix in _WEIGHT_SUFFIXES
        and path.name not in _IGNORED
        and not _OTHER_BACKENDS & set(path.relative_to(folder).parts)
        and path.is_file()
    ]
    if not any(path.suffix in (".safetensors", ".bin", ".npy") for path in files):
        raise ConfigError(f"{folder} holds no weights: expected a .safetensors or .bin file in it.")
    stats = [path.stat() for path in files]
    return _digest(folder, tuple(files), tuple((s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for s in stats))


@lru_cache(maxsize=256)
def _digest(folder: Path, files: tuple[Path, ...], _stats: tuple[tuple[int, ...], ...]) -> str:
    state = hashlib.blake2b(digest_size=16)
    for path in files:
        state.update(path.relative_to(folder).as_posix().encode() + b"\0")
        with path.open("rb") as stream:
            state.update(hashlib.file_digest(stream, lambda: hashlib.blake2b(digest_size=16)).digest())
    return state.hexdigest()
