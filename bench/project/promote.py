"""From a fine-tuned model to the one that is served: only past the gate, and back again with a reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.base import git
from bench.base.errors import BenchError, StoreError, UsageError
from bench.base.names import table_of
from bench.base.store import write_json
from bench.project.gate import Judged, judged
from bench.project.workspace import Workspace
from bench.records import ModelRecord, digest_of
from bench.retrieval.encoders import weights_digest
from bench.retrieval.promotions import PROMOTED, Promotion, append, history, standing
from bench.train.registry import uses


@dataclass(frozen=True)
class Attempt:
    """What the gate said of a model, and the entry that followed; None where it was refused."""

    system: str
    judged: tuple[Judged, ...]
    entry: Promotion | None

    @property
    def exit_code(self) -> int:
        """The gate's: 1 where any suite shows a regression, else 3 where any is inconclusive and that blocks."""
        codes = {one.verdict.exit_code for one in self.judged}
        return min(codes - {0}, default=0)


def systems_of(workspace: Workspace, weights: str) -> list[str]:
    """Full-size systems of the config that work with these weights, themselves or through a part."""
    from bench.retrieval import systems

    found = []
    for table in workspace.config.systems:
        try:
            built = systems.build(workspace.config, systems.Context(workspace.base, workspace.store), only=[table])
        except BenchError:
            # A model that has not been made yet, or a missing extra: it does not work with these weights.
            continue
        name = systems.selected(built, [table])[0]
        if uses(built[name], built, weights):
            found.append(name)
    return found


def promote(
    workspace: Workspace,
    record: ModelRecord,
    *,
    reason: str,
    system: str | None = None,
    suite: str | None = None,
    baseline: Path | None = None,
) -> Attempt:
    """Make a model the promoted one of its name, if the gate passes it on every suite.

    The verdict is drawn now, from stored results of the model's weights and the accepted baseline: a verdict from
    before the model, the suite or the baseline changed promotes nothing.

    Args:
        workspace: opened with a git ref, baseline and rules are that commit's.
        record: the model.
        reason: why; kept with the entry.
        system: the system that is judged, which must work with the model; the gated one where None, or the only one.
        suite: one of the config's; all of them where None.
        baseline: the accepted baseline's file.

    Raises:
        UsageError: no reason, no such system, or the model is promoted already.
        StoreError: the folder holds other weights than were trained.
        Missing: its results are not stored.
        BaselineError, NotComparable: see `bench.project.gate.judged`.
    """
    _reasoned(reason)
    path = workspace.base / PROMOTED
    held = standing(history(path), record.name)
    if held and held[-1].weights == record.id:
        raise UsageError(
            f"{record.name} with weights {record.id[:12]} is promoted already, since {held[-1].when[:10]}."
        )
    if weights_digest(Path(record.folder)) != record.id:
        raise StoreError(
            f"{record.folder} holds other weights than were trained there (digest {record.id[:12]} in its lineage). "
            f"Delete the folder and train again: bench finetune {record.name}"
        )
    name = _judged_system(workspace, record, system)
    found = [judged(workspace, one, system=name, baseline=baseline) for one in workspace.suites(suite)]
    attempt = Attempt(name, tuple(found), None)
    if attempt.exit_code:
        return attempt
    entry = Promotion(
        "promote",
        record.name,
        record.id,
        Path(record.folder).name,
        record.seed,
        reason.strip(),
        git.author(workspace.base),
        datetime.now(UTC).isoformat(timespec="seconds"),
        git.commit(workspace.base),
        tuple(_kept(workspace, one) for one in found),
    )
    return Attempt(name, tuple(found), append(path, entry))


def rollback(workspace: Workspace, name: str, *, reason: str) -> Promotion:
    """Let `promoted:NAME` mean what it meant before the last promotion.

    Raises:
        UsageError: no reason, or nothing was promoted before.
    """
    _reasoned(reason)
    path = workspace.base / PROMOTED
    held = standing(history(path), name)
    if len(held) < 2:
        what = "is the first that was promoted" if held else "was never promoted"
        raise UsageError(
            f'{path}: "{name}" {what}; there is none to go back to. To serve the base '
            f'model, name it in place of "promoted:{name}" in {workspace.path.name}; or promote another.'
        )
    before = held[-2]
    entry = Promotion(
        "rollback",
        name,
        before.weights,
        before.folder,
        before.seed,
        reason.strip(),
        git.author(workspace.base),
        datetime.now(UTC).isoformat(timespec="seconds"),
        git.commit(workspace.base),
    )
    return append(path, entry)


def _reasoned(reason: str) -> None:
    if not reason.strip():
        raise UsageError('The model that is served changes only with a reason: --reason "…"')


def _judged_system(workspace: Workspace, record: ModelRecord, given: str | None) -> str:
    known = systems_of(workspace, record.id)
    gated = workspace.config.gate.system
    table = table_of(given or "")
    if given is not None and table in set(map(table_of, known)):
        return given
    if given is None and gated in known:
        return str(gated)
    if given is None and len(known) == 1:
        return known[0]
    works = f"those that do: {', '.join(known)}" if known else "none of the config does"
    asked = f'System "{given}" does not work' if given else "Which system is to be judged? It must work"
    raise UsageError(
        f"{asked} with {record.name}, seed {record.seed} (weights {record.id[:12]}); {works}. A system works with it "
        f'where its model is "finetune:{record.name}/seed-{record.seed}" and means these weights.'
    )


def _kept(workspace: Workspace, found: Judged) -> Mapping[str, Any]:
    """A verdict in short, with the digest under which the store keeps it whole."""
    verdict, suite = found.verdict, found.suite
    document = verdict.to_json()
    digest = digest_of(document)
    write_json(workspace.store.prepare().path("results", f"verdict-{digest}.json"), document)
    return {
        "suite": suite.name,
        "version": suite.version,
        "suite_digest": suite.digest,
        "system": verdict.candidate,
        "baseline": verdict.baseline,
        "outcome": verdict.outcome,
        "policy": verdict.policy.digest,
        "digest": digest,
        "cells": [_cell(cell) for cell in verdict.cells if cell.slice is None and not cell.variant],
    }


def _cell(cell: Any) -> dict[str, Any]:
    names: Sequence[str] = ("query_set", "role", "measure", "n", "baseline", "candidate", "delta", "outcome")
    held = cell.to_json()
    return {name: held[name] for name in names}
