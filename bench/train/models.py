"""Fine-tuned models: one folder each with its lineage beside the weights, what was measured, which one a name means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.base.errors import BenchError, StoreError, UsageError, did_you_mean
from bench.base.names import ModelName
from bench.base.store import Store, json_text, read_json, write_json, write_text
from bench.config import FinetuneConfig
from bench.records import ModelRecord, ModelScores, Result, System
from bench.retrieval.promotions import PROMOTED, history, standing

LINEAGE = "lineage.json"
FORMAT = 1
SHORTEST = 6
"""Hex digits of a weights digest that are enough to name a model."""


def model_folder(store: Store, name: str, key: str) -> Path:
    """The folder of this recipe's model with this key; nothing is created."""
    return store.path("models", name) / key[:16]


def lineage(folder: Path) -> dict[str, Any] | None:
    """A model's lineage; None where the folder has no complete model (the lineage is written last)."""
    try:
        document = read_json(folder / LINEAGE)
    except StoreError:
        return None
    return document if isinstance(document, dict) and document.get("format") == FORMAT else None


def write_lineage(folder: Path, document: Mapping[str, Any]) -> None:
    """Write a model's lineage: from here on the folder counts as complete."""
    write_json(folder / LINEAGE, {"format": FORMAT, **document}, indent=1)


def recipe_settings(recipe: FinetuneConfig) -> dict[str, Any]:
    """The settings of a recipe that change a model; how often a training is saved does not."""
    return recipe.model_dump(mode="json", by_alias=True, exclude={"seeds", "sweep", "checkpoint_every"})


def trained_pairs(document: Mapping[str, Any]) -> int:
    """Number of pairs that a model of this lineage was trained on, after the recipe's `max_pairs`."""
    data = document["data"]
    return int(data.get("trained_pairs", data["pairs"]))


def set_current(folder: Path, *, seed: int, first: bool) -> None:
    """Make `finetune:NAME/seed-N`, and for the recipe's first seed `finetune:NAME`, point to this folder.

    Another seed changes `finetune:NAME` only where that points nowhere yet.
    """
    write_text(folder.parent / f"seed-{seed}", folder.name + "\n")
    if first or not (folder.parent / "current").exists():
        write_text(folder.parent / "current", folder.name + "\n")


def begun_trainings(store: Store, name: str) -> list[Path]:
    """Folders of a recipe's trainings that were not finished."""
    return sorted(path for path in store.path("models", name).glob(".training-*") if path.is_dir())


def records(store: Store, base: Path) -> list[ModelRecord]:
    """Every complete model of the store, by recipe, seed and age; without results.

    Args:
        base: the config's folder, with the history of promotions.
    """
    paths = sorted(
        store.root.joinpath("models").glob("*/[!.]*/lineage.json"), key=lambda path: (path.stat().st_mtime, path)
    )
    lineages = [(path.parent, document) for path in paths if (document := lineage(path.parent)) is not None]
    ids = {document.get("weights") for _, document in lineages}
    promotions = history(base / PROMOTED)
    models = [_record(folder, document, ids, promotions) for folder, document in lineages]
    return sorted(models, key=lambda record: (record.name, record.seed if record.seed is not None else -1))


def _record(folder: Path, document: Mapping[str, Any], ids: set[Any], promotions: Sequence[Any]) -> ModelRecord:
    name, seed, digest = folder.parent.name, document.get("seed"), str(document.get("weights"))
    base, data = document.get("base") or {}, dict(document.get("data") or {})
    # A mining report is long; it stays in the lineage.
    data.pop("mining", None)
    status = [
        word
        for word, pointer in (("current", "current"), ("seed", f"seed-{seed}"))
        if (path := folder.parent / pointer).is_file() and path.read_text(encoding="utf-8").strip() == folder.name
    ]
    promoted = standing(promotions, name)
    if promoted and promoted[-1].weights == digest:
        status.append("promoted")
    losses = [point.get("loss") for point in document.get("history") or () if isinstance(point, Mapping)]
    return ModelRecord(
        id=digest,
        name=name,
        seed=seed,
        kind=str(document.get("kind")),
        base=str(base.get("name")),
        base_digest=str(base.get("weights")),
        parent=base.get("weights") if base.get("weights") in ids else None,
        recipe=document.get("recipe") or {},
        data=data,
        suite=document.get("suite") or {},
        versions=(document.get("environment") or {}).get("packages") or {},
        commit=document.get("commit"),
        seconds=document.get("seconds"),
        loss=losses[-1] if losses else None,
        folder=str(folder),
        status=tuple(status),
    )


def target_name(target: str) -> ModelName:
    """The model that a word means; a recipe's name, alone or with its seed, is one of `finetune:`."""
    return ModelName.parse(target if ":" in target else f"finetune:{target}")


def find_record(known: Sequence[ModelRecord], target: str) -> ModelRecord:
    """The model that a word means: a recipe's name, `finetune:NAME/seed-N`, `promoted:NAME`, or a digest's beginning.

    Raises:
        UsageError: no such model, or several.
    """
    name = target_name(target)
    status = "promoted" if name.scheme == "promoted" else "seed" if name.pointer else "current"
    matches = [
        record
        for record in known
        if record.name == name.recipe
        and status in record.status
        and not name.step
        and name.pointer in ("", f"seed-{record.seed}")
    ]
    if not matches and ":" not in target and len(target) >= SHORTEST:
        matches = list({record.id: record for record in known if record.id.startswith(target.lower())}.values())
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise UsageError(f'The digests of {len(matches)} models begin with "{target}"; give more digits.')
    if not known:
        raise UsageError(f'No model "{target}": there is no fine-tuned model yet. Make one: bench finetune NAME')
    names = sorted({record.name for record in known})
    raise UsageError(
        f'No model "{target}" in the working folder; expected one of {", ".join(names)}, '
        f"NAME/seed-N, promoted:NAME, or the beginning of a weights digest.{did_you_mean(name.name, names)}"
    )


def ancestors(known: Sequence[ModelRecord], record: ModelRecord) -> list[ModelRecord]:
    """The fine-tuned models that a model was made from, its own base first."""
    by_id = {model.id: model for model in known}
    chain: list[ModelRecord] = []
    while record.parent in by_id and by_id[record.parent] not in chain:
        record = by_id[record.parent]
        chain.append(record)
    return chain


def uses(system: System, systems: Mapping[str, System], weights: str) -> bool:
    """Whether a system, or a part of it, works with these weights."""
    if weights in json_text(dict(system.fingerprint())):
        return True
    return any(uses(systems[part], systems, weights) for part in system.parts)


def with_results(store: Store, known: Sequence[ModelRecord]) -> list[ModelRecord]:
    """The models with the stored results of systems that work with their weights: the last for each system and set.

    A hybrid's result names its parts and not their weights; `bench run` and the report find those.
    """
    results: dict[str, dict[tuple[str, str, str], ModelScores]] = {record.id: {} for record in known}
    for result, text in _stored(store, list(results)):
        recipe = json_text(dict(result.recipe))
        for digest in results:
            if digest in text and digest in recipe:
                results[digest][result.suite_digest, result.query_set, result.system] = ModelScores(
                    result.suite,
                    result.suite_digest,
                    result.query_set,
                    result.role,
                    result.system,
                    len(result.scores.query_ids),
                    {measure: round(value, 6) for measure, value in result.scores.means().items()},
                )

    def ordered(measured: Mapping[tuple[str, str, str], ModelScores]) -> tuple[ModelScores, ...]:
        return tuple(sorted(measured.values(), key=lambda m: (m.suite, m.suite_digest, m.query_set, m.system)))

    return [replace(record, results=ordered(results[record.id])) for record in known]


def _stored(store: Store, digests: Sequence[str]) -> Iterator[tuple[Result, str]]:
    """Stored results whose files have one of the digests, oldest first, with the file's text."""
    files = sorted(store.root.joinpath("results").glob("[0-9a-f]*.json"), key=lambda path: path.stat().st_mtime)
    for path in files:
        try:
            text = path.read_text(encoding="utf-8")
            if any(digest in text for digest in digests):
                yield Result.from_json(read_json(path), where=str(path)), text
        except (OSError, UnicodeDecodeError, BenchError):
            # An evaluation ignores a damaged file too.
            continue
