"""From a workspace to a pair file: a table of `[pairs]`, its suite, and the suites whose evaluation is kept clean."""

from __future__ import annotations

from bench.base.errors import PairsError
from bench.base.progress import Progress, no_progress
from bench.project.workspace import Workspace
from bench.records import Suite
from bench.train.loading import made
from bench.train.making import Made, make


def make_pairs(
    workspace: Workspace, name: str, *, suite: Suite | None = None, progress: Progress = no_progress
) -> Made:
    """Make the pairs of a table.

    Args:
        workspace: has the table.
        name: the table's.
        suite: instead of the table's.
        progress: told of every step.

    Raises:
        PairsError: what `bench.train.making.make` raises.
    """
    from bench.suites import suite as suites
    from bench.train.filters import systems_of

    table = workspace.config.pairs[name]
    suite = suite or workspace.suite(table.suite)
    others = table.filters.protect or workspace.config.suites
    protected = [suites.load(suites.find(other, relative_to=workspace.base)) for other in others]
    evaluator = workspace.evaluator(suite, systems_of(table.filters), progress=progress)
    return make(name, table, evaluator=evaluator, base=workspace.base, protected=protected, progress=progress)


def make_missing(
    workspace: Workspace, names: list[str], suite: Suite, *, progress: Progress = no_progress
) -> list[str]:
    """Make those of a recipe's pairs that are tables and not made from them as they are now; returns what was made."""
    tables = [name.removeprefix("pairs:") for name in names if name.startswith("pairs:")]
    missing = []
    for name in tables:
        if name in workspace.config.pairs:
            try:
                made(name, base=workspace.base, config=workspace.config, gated=False, suite=suite)
            except PairsError:
                make_pairs(workspace, name, progress=progress)
                missing.append(name)
    return missing
