"""Accepted baselines: `bench baseline accept`, `show` and `list`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from bench import __version__
from bench.base import git
from bench.base.errors import BaselineError
from bench.gate.verdict import baseline_document, read_baseline, write_baseline
from bench.project.answers import Reply
from bench.project.gate import succession
from bench.project.run import remember
from bench.project.workspace import Workspace
from bench.report import tables
from bench.report.blocks import Block, Prose


def accepted(
    workspace: Workspace,
    *,
    reason: str,
    suite: str | None = None,
    system: str | None = None,
    baseline: str | None = None,
    allow_worse: bool = False,
) -> Reply:
    """Make the stored results of a system the accepted baseline.

    The system is the gated one where None. `allow_worse` accepts a system that is not shown to be as good as the
    baseline that it replaces.

    Raises:
        BaselineError: no reason, or a system that is not shown to be as good.
        Missing: a result that is not stored.
    """
    if not reason.strip():
        raise BaselineError('A baseline changes only with a reason: bench baseline accept --reason "…"')
    loaded = workspace.suite(suite)
    name = workspace.gated_system(system)
    policy = workspace.config.gate.policy()
    results = workspace.gated(loaded, name, policy)
    path = workspace.baseline_path(loaded, baseline)
    outcome, problem = succession(workspace, loaded, name, policy, path, results)
    if outcome in ("fail", "inconclusive") and not allow_worse:
        raise BaselineError(
            f'"{name}" is not shown to be as good as the accepted baseline ({outcome}). See why with: '
            f"bench gate --system {name}. To accept it all the same: --allow-worse"
        )
    document = baseline_document(
        results,
        reason=reason,
        when=datetime.now(UTC).isoformat(timespec="seconds"),
        commit=git.commit(workspace.base),
        version=__version__,
        outcome=outcome or ("not compared" if problem else None),
    )
    before = read_baseline(path)[0].get("system") if path.exists() else None
    write_baseline(path, document)
    notes = remember(workspace, results, accepted=reason.strip())
    if problem:
        notes.insert(0, f"Not compared with the baseline that it replaces: {problem}")
    instead = f" in place of {before}" if before else ""
    text = f"Accepted {name} as the baseline of {loaded.name}{instead}: {path}. Commit this file."
    blocks = [*(Prose([note], "warning") for note in notes), Prose([text], "good")]
    return Reply({"format": 1, "baseline": document["baseline"] | {"path": str(path)}}, blocks)


def shown(workspace: Workspace, *, suite: str | None = None, baseline: str | None = None, whole: bool = True) -> Reply:
    """The accepted baselines of the config's suites, with their numbers where `whole`.

    Raises:
        BaselineError: a file that cannot be read; where `whole`, also a missing one.
    """
    documents: list[dict[str, Any]] = []
    blocks: list[Block] = []
    rows: list[list[str]] = []
    for loaded in workspace.suites(suite):
        path = workspace.baseline_path(loaded, baseline)
        if not whole and not path.exists():
            continue
        header, results = read_baseline(path)
        documents.append(header | {"path": str(path)})
        rows.append([loaded.name, header["system"], header["accepted"], header["reason"], str(path)])
        if whole:
            blocks.append(Prose([f"{header['system']}, accepted {header['accepted']}: {header['reason']}"]))
            blocks += tables.results(results)
    if not whole:
        absent = 'No suite of the config has a baseline. Accept one: bench baseline accept --reason "…"'
        columns = ["suite", "system", "accepted", "reason", "file"]
        blocks = [tables.table("Baselines", columns, rows, text=5)] if rows else [Prose([absent], "warning")]
    return Reply({"format": 1, "baselines": documents}, blocks, table=documents)
