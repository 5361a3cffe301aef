"""Fine-tuned models: their origin, results and promotions, their cards, and manifests of indexes."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from bench.base import words
from bench.base.errors import BenchError, StoreError, UsageError, did_you_mean
from bench.config import load_suite_config
from bench.evaluation.evaluate import Missing
from bench.interop.exports._finetuned_card import write_card
from bench.project.answers import Reply
from bench.project.workspace import Workspace
from bench.records import ModelRecord, Result
from bench.report import tables
from bench.report.blocks import Block, Prose
from bench.report.text import shortened
from bench.retrieval import systems
from bench.retrieval.manifest import Manifest, read_manifest, write_manifest
from bench.retrieval.promotions import PROMOTED, history
from bench.train.models import (
    ancestors,
    begun_trainings,
    find_record,
    recipe_settings,
    records,
    target_name,
    uses,
    with_results,
)


def model_of(workspace: Workspace, target: str) -> tuple[ModelRecord, list[ModelRecord]]:
    """The model of a name or digest, with its results, and the fine-tuned models that it was trained from.

    Raises:
        UsageError: no such model, several, or one whose training was not finished.
    """
    known = records(workspace.store, workspace.base)
    name = target_name(target).recipe
    finished = any(record.name == name for record in known)
    if not finished and name in workspace.config.finetune and begun_trainings(workspace.store, name):
        raise UsageError(f"The training of {name} was not finished; it goes on with: bench finetune {name}")
    record = find_record(known, target)
    return with_results(workspace.store, [record])[0], ancestors(known, record)


def systems_of(workspace: Workspace, weights: str) -> list[str]:
    """Full-size systems of the config that work with these weights, themselves or through a part."""
    names = []
    for table in workspace.config.systems:
        try:
            built = systems.build(workspace.config, systems.Context(workspace.base, workspace.store), only=[table])
        except BenchError:
            # A model that has not been made yet, or a missing extra.
            continue
        name = systems.selected(built, [table])[0]
        if uses(built[name], built, weights):
            names.append(name)
    return names


def listed(workspace: Workspace) -> Reply:
    """Every fine-tuned model of the working folder."""
    models = with_results(workspace.store, records(workspace.store, workspace.base))
    rows = []
    for model in models:
        seed = "" if model.seed is None else str(model.seed)
        recipe = workspace.config.finetune.get(model.name)
        # Where a sweep chose the settings, the recipe does not say them.
        current = recipe is not None and not recipe.sweep and "current" in model.status
        changed = recipe is not None and current and recipe_settings(recipe) != model.recipe
        status = [*model.status, *(["recipe changed since"] if changed else [])]
        pairs = model.data.get("trained_pairs", model.data.get("pairs", ""))
        row = [model.name, seed, model.id[:12], model.base, ", ".join(status), model.kind]
        rows.append([*row, str(pairs), str(len(model.by_suite) or "")])
    columns = ["name", "seed", "weights", "base", "status", "kind", "pairs", "suites"]
    absent = Prose(["There is no fine-tuned model yet. Make one: bench finetune NAME"])
    shown = tables.table("Fine-tuned models", columns, rows, text=6) if rows else absent
    documents = [model.to_json() for model in models]
    return Reply({"format": 1, "models": documents}, [shown], table=documents)


def shown(workspace: Workspace, target: str) -> Reply:
    """One model: its origin, its results and its promotions."""
    model, chain = model_of(workspace, target)
    promotions = [entry for entry in history(workspace.base / PROMOTED) if entry.name == model.name]
    rows = [["weights", model.id], ["folder", model.folder], ["status", ", ".join(model.status) or "–"]]
    rows += [["kind", model.kind], ["base", f"{model.base} ({model.base_digest[:12]})"]]
    rows += [["made from", f"{parent.name}, seed {parent.seed} ({parent.id[:12]})"] for parent in chain]
    rows += [[f"data: {key.replace('_', ' ')}", _short(v)] for key, v in model.data.items() if v not in (None, [], {})]
    rows += [[f"recipe: {key}", _short(value)] for key, value in model.recipe.items() if value not in (None, [])]
    rows += [["versions", ", ".join(f"{name} {version}" for name, version in model.versions.items())]]
    rows += [["commit", model.commit or "–"], ["loss", words.number(model.loss, 4)]]
    blocks: list[Block] = [tables.table(f"{model.name}, seed {model.seed}", ["what", "value"], rows, text=2)]
    if model.results:
        columns = ["suite", "digest", "query set", "role", "system", "n", "measure", "mean"]
        results = [
            [r.suite, r.suite_digest[:8], r.query_set, r.role, r.system, str(r.n), measure, words.number(mean)]
            for r in model.results
            for measure, mean in r.means.items()
        ]
        blocks.append(tables.table("Results", columns, results, text=5))
    for entry in promotions:
        blocks.append(Prose([f"{entry.when[:10]} {entry.action} {entry.weights[:12]} by {entry.who}: {entry.reason}"]))
    document = {"format": 1, "model": model.to_json(), "ancestors": [parent.to_json() for parent in chain]}
    return Reply(document | {"promotions": [entry.to_json() for entry in promotions]}, blocks)


def _short(value: Any) -> str:
    if isinstance(value, list) and len(value) > 6:
        return f"{len(value)} values"
    return shortened(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), 100)


def card_written(workspace: Workspace, target: str, *, suite: str | None = None, system: str | None = None) -> Reply:
    """Write a model's card beside its weights, with results of `system`, or of all systems that work with the model.

    Raises:
        UsageError: no such model, or the system does not work with it.
    """
    model, chain = model_of(workspace, target)
    suites, names = workspace.suites(suite), [system] if system else systems_of(workspace, model.id)
    results: list[Result] = []
    for loaded in suites:
        for name in names:
            evaluator = workspace.evaluator(loaded, [name], make=False)
            if name not in evaluator.systems or not uses(evaluator.systems[name], evaluator.systems, model.id):
                raise UsageError(f'System "{name}" does not work with {model.name} (weights {model.id[:12]}).')
            with contextlib.suppress(Missing):
                results += evaluator.results([name])
    # The published name of the base: the model of a system's table, or the name itself.
    encoder = workspace.config.systems.get(model.base, {}).get("encoder")
    base = str(encoder.get("model", model.base)) if isinstance(encoder, dict) else model.base
    files = {loaded.name: Path(loaded.path) / "suite.toml" for loaded in suites}
    licenses = {name: load_suite_config(file).license if file.is_file() else "" for name, file in files.items()}
    path = write_card(model, results, licenses=licenses, base_model=base, ancestors=chain)
    text = f"Wrote {path}, with {words.count(len(results), 'result')}."
    return Reply({"format": 1, "written": str(path), "results": len(results)}, [Prose([text], "good")])


def manifest_written(
    workspace: Workspace, *, system: str, out: Path | str, suite: str | None = None, corpus: str | None = None
) -> Reply:
    """Write the manifest of an index of a system's vectors, with the digest of a suite's `corpus` where one is named.

    Raises:
        UsageError: no such system or corpus, or a system without vectors.
        NotComparable: a manifest of other vectors is there.
    """
    manifest = _manifest(workspace, system, suite, corpus)
    path = write_manifest(out, manifest)
    text = f"Wrote {path}. The indexing job checks it with: bench models check-manifest {path} --system NAME"
    return Reply({"format": 1, "written": str(path), "manifest": manifest.to_json()}, [Prose([text], "good")])


def manifest_checked(
    workspace: Workspace, path: Path | str, *, system: str, suite: str | None = None, corpus: str | None = None
) -> Reply:
    """Check that an index has vectors of a system's present model, of `corpus` or else the corpus of the manifest.

    Raises:
        StoreError: no manifest, or one that cannot be read.
        NotComparable: the index has other vectors; names the difference.
        UsageError: no such system or corpus, or a system without vectors.
    """
    path = Path(path)
    if not path.is_file():
        raise StoreError(
            f"{path} does not exist; expected a manifest, which says which model made the vectors of the index."
        )
    theirs = read_manifest(path)
    name = (theirs.corpus or {}).get("name")
    if corpus is None and name is not None and name in workspace.suite(suite).corpora:
        corpus = name
    theirs.require(_manifest(workspace, system, suite, corpus), where=path, corpus=corpus is not None)
    about = f"and with corpus {corpus} as it is now" if corpus else "but does not say of which corpus it is"
    text = f"{path} agrees with the model of {system} as it is now, {about}."
    return Reply({"format": 1, "same": True, "manifest": theirs.to_json()}, [Prose([text], "good")])


def _manifest(workspace: Workspace, name: str, suite: str | None, corpus: str | None) -> Manifest:
    built = systems.build(workspace.config, systems.Context(workspace.base, workspace.store), only=[name])
    if name not in built:
        raise UsageError(f'No system "{name}".{did_you_mean(name, built)}')
    system: Any = built[name]
    if not hasattr(system, "encoder"):
        raise UsageError(f'System "{name}" is of kind {system.kind}; only dense ones have vectors.')
    corpora = workspace.suite(suite).corpora if corpus else {}
    if corpus and corpus not in corpora:
        hint = did_you_mean(corpus, corpora)
        raise UsageError(f'No corpus "{corpus}" in the suite; expected one of {", ".join(corpora)}.{hint}')
    model = str(getattr(getattr(system.encoder, "config", None), "model", name))
    more: dict[str, Any] = {"precision": system.precision, "similarity": system.similarity}
    return Manifest.of(system.encoder, dim=system.dim, model=model, corpus=corpora.get(corpus or ""), **more)
