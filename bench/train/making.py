"""A table of `[pairs]` made: origins read, filters applied, the pair file and the list of removed pairs written.

Nothing in either file tells the time or the machine, so that the same input gives the same bytes.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.base.errors import PairsError
from bench.base.progress import Progress, no_progress
from bench.base.store import write_text
from bench.config import PairsConfig
from bench.evaluation.evaluate import Evaluator
from bench.records import Suite
from bench.train import origins
from bench.train.filters import Removed, filtered
from bench.train.loading import inputs_digest, table_digest
from bench.train.pairs import Pair, Pairs, write_pairs


@dataclass(frozen=True)
class Made:
    """What was made: the file, its pairs' digest, and the counts that its header holds.

    `this_run` has, by origin, what another run may do otherwise and make the same file: requests, tokens, money.
    """

    path: Path
    digest: str
    counts: dict[str, Any] = field(repr=False)
    this_run: list[dict[str, Any]] = field(repr=False, default_factory=list)


def removed_path(path: Path) -> Path:
    """Where the list of removed pairs of a pair file stands."""
    return path.with_name(f"{path.stem}.removed.jsonl")


def make(
    name: str,
    table: PairsConfig,
    *,
    evaluator: Evaluator,
    base: Path,
    protected: Sequence[Suite] = (),
    progress: Progress = no_progress,
) -> Made:
    """Make the pairs of a table.

    Args:
        name: the table's.
        table: origins and filters.
        evaluator: of the suite that the pairs belong to, with the systems that the filters name.
        base: folder that paths start from.
        protected: further suites whose evaluation is kept out.
        progress: told of every stage.

    Raises:
        PairsError: a file that cannot be read, or nothing left; the list of removed pairs is written all the same.
        HeldOutError: an origin names evaluation data.
        ConfigError: what a table names is not there.
    """
    suite, path = evaluator.suite, table.path(name, base)
    told: list[dict[str, Any]] = []
    this_run: list[dict[str, Any]] = []

    def read() -> Iterator[Pair]:
        for number, one in enumerate(table.from_):
            context = origins.Context(suite, base, evaluator.store, table.seed, progress)
            n = 0
            for n, pair in enumerate(origins.pairs(one, context), 1):
                if n % 1000 == 0:
                    progress(f"{name}: {one['kind']}", n, n + 1)
                yield pair
            told.append({"from": number, "kind": str(one["kind"]), "pairs": n, "counts": context.counts})
            if context.this_run:
                this_run.append({"from": number, "kind": str(one["kind"]), **context.this_run})

    suites = [suite, *(other for other in protected if other.digest != suite.digest)]
    kept, removed, unchecked = filtered(read(), table.filters, suites=suites, evaluator=evaluator, progress=progress)
    counts: dict[str, Any] = {
        "read": told,
        "kept": dict(sorted(Counter(pair.origin for pair in kept).items())),
        "removed": dict(sorted(Counter(one.rule for one in removed).items())),
        "unchecked": unchecked,
    }
    _write_removed(removed_path(path), name, removed)
    if not kept:
        reasons = ", ".join(f"{rule} {n}" for rule, n in counts["removed"].items()) or "the origins gave none"
        raise PairsError(f"pairs.{name}: no pair is left ({reasons}). Which and why: {removed_path(path)}")
    digest = Pairs(tuple(kept), (), ()).digest
    header = {
        "name": name,
        "table": table_digest(table),
        "inputs": inputs_digest(suite),
        "suite": {"name": suite.name, "version": suite.version, "digest": suite.digest},
        "protected": [one.name for one in suites],
        "seed": table.seed,
        "digest": digest,
        **counts,
    }
    write_pairs(path, kept, header)
    return Made(path, digest, counts, this_run)


def _write_removed(path: Path, name: str, removed: Sequence[Removed]) -> None:
    header = {"format": 1, "kind": "removed-pairs", "name": name, "pairs": len(removed)}
    rows = [{"rule": one.rule, "why": one.why, **asdict(one.pair)} for one in removed]
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in (header, *rows)))


def read_removed(path: Path) -> list[dict[str, Any]]:
    """The removed pairs of the pair file at `path`, with `rule` and `why`.

    Raises:
        PairsError: there is no list, or one that cannot be read.
    """
    place = removed_path(path)
    try:
        header, *rows = [json.loads(line) for line in place.read_text(encoding="utf-8").split("\n") if line]
        if header["kind"] != "removed-pairs" or header["format"] != 1:
            raise ValueError("not such a list")
        return [{"rule": str(row["rule"]), "why": str(row["why"]), **row} for row in rows]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as problem:
        raise PairsError(f"{place} cannot be read ({problem}). Make it anew with: bench pairs") from None
