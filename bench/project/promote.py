"""Promotion of a fine-tuned model to the one that is served, if the gate passes it; and the way back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.base import git
from bench.base.errors import ConfigError, StoreError, UsageError
from bench.base.names import table_of
from bench.base.store import write_json
from bench.project.answers import Answer, Judged, Reply
from bench.project.gate import judged
from bench.project.models import model_of, systems_of
from bench.project.workspace import Workspace
from bench.records import ModelRecord, Suite, Verdict, digest_of
from bench.report.blocks import Block, Prose
from bench.retrieval.encoders import find_model, weights_digest
from bench.retrieval.promotions import PROMOTED, Promotion, append, history, standing

CELL = ("query_set", "role", "measure", "n", "baseline", "candidate", "delta", "outcome")
"""Keys of a verdict's cells that an entry has."""


@dataclass(frozen=True)
class Attempt(Answer):
    """The gate's verdicts on a model, one per suite, and the new entry; None where the model is refused."""

    model: ModelRecord
    system: str
    judged: tuple[Judged, ...] = field(repr=False)
    entry: Promotion | None
    place: Path

    @property
    def exit_code(self) -> int:  # type: ignore[override]
        """The gate's: 1 where any suite shows a regression, else 3 where any is inconclusive and that blocks."""
        return min((code for answer in self.judged if (code := answer.verdict.exit_code)), default=0)

    def to_json(self) -> dict[str, Any]:
        """The document of `bench models promote --json`."""
        entry = self.entry.to_json() if self.entry else None
        verdicts = [answer.to_json() for answer in self.judged]
        return {"format": 1, "promoted": entry, "exit_code": self.exit_code, "verdicts": verdicts}

    def blocks(self) -> list[Block]:
        """The verdicts, and whether the model is promoted."""
        blocks = [block for answer in self.judged for block in answer.blocks()]
        if self.entry is None:
            text = f"{self.model.name} ({self.model.id[:12]}) is not promoted: the gate does not pass {self.system}."
            return [*blocks, Prose([text], "error")]
        doubts = {
            "inconclusive": "The verdict is inconclusive, which [gate] on_inconclusive lets pass.",
            "pass": "Any drop is within the margins. A gain is not shown; see bench decide.",
        }
        blocks += [Prose([doubts[answer.outcome]], "warning") for answer in self.judged if answer.outcome in doubts]
        text = f"promoted:{self.entry.name} is now {self.entry.weights[:12]}. Commit {self.place}."
        return [*blocks, Prose([text], "good")]

    def rows(self) -> list[dict[str, Any]]:
        """A row per cell of every verdict."""
        return [row for answer in self.judged for row in answer.rows()]


def promoted(
    workspace: Workspace,
    target: str,
    *,
    reason: str,
    system: str | None = None,
    suite: str | None = None,
    baseline: Path | str | None = None,
) -> Attempt:
    """Make a model the promoted one of its name, if the gate passes it on every suite.

    The model is judged now, from stored results of its weights and the accepted baseline: an earlier verdict may be
    about another model, suite or baseline.

    Args:
        workspace: config and store; opened with a git ref, baseline and rules are that commit's.
        target: the model, as `bench.project.models.model_of` takes it.
        system: the judged system, which must work with the model; the gated one where None, or the only one.
        suite: one of the config's; all of them where None.

    Raises:
        UsageError: no reason, no such model or system, or the model is promoted already.
        StoreError: the folder holds other weights than were trained.
        Missing: its results are not stored.
        BaselineError, NotComparable: see `bench.project.gate.judged`.
    """
    model, _ = model_of(workspace, target)
    signature = _signature(workspace, reason)
    path = workspace.base / PROMOTED
    before = standing(history(path), model.name)
    if before and before[-1].weights == model.id:
        since = before[-1].when[:10]
        raise UsageError(f"{model.name} with weights {model.id[:12]} is promoted already, since {since}.")
    if weights_digest(Path(model.folder)) != model.id:
        raise StoreError(
            f"{model.folder} holds other weights than were trained there (digest {model.id[:12]} in its lineage). "
            f"Delete the folder and train again: bench finetune {model.name}"
        )
    name = _judged_system(workspace, model, system)
    suites = workspace.suites(suite)
    file = Path(baseline) if baseline else None
    answers = tuple(judged(workspace, loaded, system=name, baseline=file) for loaded in suites)
    attempt = Attempt(model, name, answers, None, path)
    if attempt.exit_code:
        return attempt
    rows = tuple(_summary(workspace, loaded, answer.verdict) for loaded, answer in zip(suites, answers, strict=True))
    folder = Path(model.folder).name
    entry = Promotion("promote", model.name, model.id, folder, model.seed, verdicts=rows, **signature)
    return replace(attempt, entry=append(path, entry))


def rolled_back(workspace: Workspace, name: str, *, reason: str) -> Reply:
    """Make `promoted:NAME` the model of before the last promotion again.

    Raises:
        UsageError: no reason, or nothing was promoted before.
    """
    signature = _signature(workspace, reason)
    name, path = name.removeprefix("promoted:"), workspace.base / PROMOTED
    before = standing(history(path), name)
    if len(before) < 2:
        state = "is the first that was promoted" if before else "was never promoted"
        raise UsageError(
            f'{path}: "{name}" {state}; there is none to go back to. To serve the base '
            f'model, name it in place of "promoted:{name}" in {workspace.path.name}; or promote another.'
        )
    entry = append(path, replace(before[-2], action="rollback", verdicts=(), **signature))
    missing = ""
    try:
        find_model(f"promoted:{name}", base=workspace.base, models=workspace.store.root / "models")
    except ConfigError as error:
        # A warning only: another machine may have the folder.
        missing = str(error)
    text = f"promoted:{name} is {entry.weights[:12]} again. Commit {path}."
    blocks = [Prose([text], "good"), *([Prose([missing], "warning")] if missing else [])]
    return Reply({"format": 1, "promoted": entry.to_json(), "missing": missing or None}, blocks)


def _signature(workspace: Workspace, reason: str) -> dict[str, Any]:
    """Reason, author, time and commit of an entry."""
    if not reason.strip():
        raise UsageError('The model that is served changes only with a reason: --reason "…"')
    return {
        "reason": reason.strip(),
        "who": git.author(workspace.base),
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": git.commit(workspace.base),
    }


def _judged_system(workspace: Workspace, model: ModelRecord, name: str | None) -> str:
    known = systems_of(workspace, model.id)
    gated = workspace.config.gate.system
    if name is not None and table_of(name) in set(map(table_of, known)):
        return name
    if name is None and gated in known:
        return str(gated)
    if name is None and len(known) == 1:
        return known[0]
    works = f"those that do: {', '.join(known)}" if known else "none of the config does"
    problem = f'System "{name}" does not work' if name else "Which system is to be judged? It must work"
    raise UsageError(
        f"{problem} with {model.name}, seed {model.seed} (weights {model.id[:12]}); {works}. A system works with it "
        f'where its model is "finetune:{model.name}/seed-{model.seed}" and means these weights.'
    )


def _summary(workspace: Workspace, suite: Suite, verdict: Verdict) -> Mapping[str, Any]:
    """A verdict in short, with the digest under which the store has all of it."""
    document = verdict.to_json()
    digest = digest_of(document)
    cells = [cell.to_json() for cell in verdict.cells if cell.slice is None and not cell.variant]
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
        "cells": [{name: cell[name] for name in CELL} for cell in cells],
    }
