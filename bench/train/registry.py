"""The models of a working folder: their lineage, what was measured of them, and which one a name means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.base.errors import BenchError, UsageError, did_you_mean
from bench.base.names import ModelName
from bench.base.store import Store, json_text, read_json
from bench.records import Measured, ModelRecord, Result, System
from bench.retrieval.promotions import PROMOTED, history, standing
from bench.train.models import lineage

SHORTEST = 6
"""Hex digits of a weights digest that may stand for all of them."""


def records(store: Store, base: Path) -> list[ModelRecord]:
    """Every whole model of the store, by recipe, seed and age; without results.

    Args:
        store: the working folder.
        base: the config's folder, where the history of promotions stands.
    """
    folders = sorted(
        store.root.joinpath("models").glob("*/[!.]*/lineage.json"), key=lambda path: (path.stat().st_mtime, path)
    )
    found = [(path.parent, document) for path in folders if (document := lineage(path.parent)) is not None]
    ids = {document.get("weights") for _, document in found}
    promotions = history(base / PROMOTED)
    made = [_record(folder, document, ids, promotions) for folder, document in found]
    return sorted(made, key=lambda record: (record.name, record.seed if record.seed is not None else -1))


def _record(folder: Path, document: Mapping[str, Any], ids: set[Any], promotions: Sequence[Any]) -> ModelRecord:
    name, seed, digest = folder.parent.name, document.get("seed"), str(document.get("weights"))
    base, data = document.get("base") or {}, dict(document.get("data") or {})
    # Reports of what was mined are long, and stand in the lineage.
    data.pop("mining", None)
    status = [
        word
        for word, pointer in (("current", "current"), ("seed", f"seed-{seed}"))
        if (path := folder.parent / pointer).is_file() and path.read_text(encoding="utf-8").strip() == folder.name
    ]
    held = standing(promotions, name)
    if held and held[-1].weights == digest:
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


def begun_trainings(store: Store, name: str) -> list[Path]:
    """Folders of a recipe's trainings that were not finished."""
    return sorted(path for path in store.path("models", name).glob(".training-*") if path.is_dir())


def target_name(target: str) -> ModelName:
    """The model that a word means where a recipe's name alone, or with its seed, is one of `finetune:`."""
    return ModelName.parse(target if ":" in target else f"finetune:{target}")


def find_record(known: Sequence[ModelRecord], target: str) -> ModelRecord:
    """The model that a word means: a recipe's name, `finetune:NAME/seed-N`, `promoted:NAME`, or a digest's beginning.

    Raises:
        UsageError: none, or several.
    """
    name = target_name(target)
    status = "promoted" if name.scheme == "promoted" else "seed" if name.pointer else "current"
    named = [one for one in known if one.name == name.recipe and status in one.status and not name.step]
    named = [one for one in named if name.pointer in ("", f"seed-{one.seed}")]
    if not named and ":" not in target and len(target) >= SHORTEST:
        named = list({record.id: record for record in known if record.id.startswith(target.lower())}.values())
    if len(named) == 1:
        return named[0]
    if named:
        raise UsageError(f'"{target}" begins the digests of {len(named)} models; give more of it.')
    if not known:
        raise UsageError(f'No model "{target}": no fine-tuned model has been made yet. Make one: bench finetune NAME')
    names = sorted({record.name for record in known})
    listed = ", ".join(names)
    raise UsageError(
        f'No model "{target}" in the working folder; expected one of {listed}, '
        f"NAME/seed-N, promoted:NAME, or the beginning of a weights digest.{did_you_mean(name.name, names)}"
    )


def ancestors(known: Sequence[ModelRecord], record: ModelRecord) -> list[ModelRecord]:
    """The fine-tuned models that a model was made from, its own base first."""
    by_id = {one.id: one for one in known}
    found: list[ModelRecord] = []
    while record.parent in by_id and by_id[record.parent] not in found:
        record = by_id[record.parent]
        found.append(record)
    return found


def uses(system: System, systems: Mapping[str, System], weights: str) -> bool:
    """Whether a system, or a part of it, works with these weights."""
    if weights in json_text(dict(system.fingerprint())):
        return True
    return any(uses(systems[part], systems, weights) for part in system.parts)


def with_results(store: Store, known: Sequence[ModelRecord]) -> list[ModelRecord]:
    """The models with what stored results say of them: of systems that work with the weights themselves.

    A hybrid's result names its parts and not their weights; those are found by `bench run` and the report.
    """
    found: dict[str, list[Measured]] = {record.id: [] for record in known}
    for result, text in _stored(store, list(found)):
        recipe = json_text(dict(result.recipe))
        for digest in found:
            if digest in text and digest in recipe:
                found[digest].append(_measured(result))
    return [replace(record, results=tuple(_newest(found[record.id]))) for record in known]


def _stored(store: Store, digests: Sequence[str]) -> Iterator[tuple[Result, str]]:
    """Stored results that hold one of the digests, oldest first, with their text."""
    files = sorted(store.root.joinpath("results").glob("[0-9a-f]*.json"), key=lambda path: path.stat().st_mtime)
    for path in files:
        try:
            text = path.read_text(encoding="utf-8")
            if any(digest in text for digest in digests):
                yield Result.from_json(read_json(path), where=str(path)), text
        except (OSError, UnicodeDecodeError, BenchError):
            # A damaged file is as if it were not there, as it is to an evaluation.
            continue


def _measured(result: Result) -> Measured:
    return Measured(
        result.suite,
        result.suite_digest,
        result.query_set,
        result.role,
        result.system,
        len(result.scores.query_ids),
        {measure: round(value, 6) for measure, value in result.scores.means().items()},
    )


def _newest(measured: Sequence[Measured]) -> list[Measured]:
    """One for each system, suite and query set."""
    held = {(one.suite_digest, one.query_set, one.system): one for one in measured}
    return sorted(held.values(), key=lambda one: (one.suite, one.suite_digest, one.query_set, one.system))
