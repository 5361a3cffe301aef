"""Making the pairs of a table: origins read, filters applied, the pair file and the list of removed pairs written.

Neither file has a time or the name of a machine: the same input gives the same bytes.
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
from bench.train.filters import filtered
from bench.train.loading import inputs_digest, table_digest
from bench.train.pairs import Pair, Pairs, write_pairs


@dataclass(frozen=True)
class PairFile:
    """A pair file that was made: its path, its pairs' digest, and the counts in its header.

    `this_run` has, by origin, the requests, tokens and money of this run: another run may make the same file for less.
    """

    path: Path
    digest: str
    counts: dict[str, Any] = field(repr=False)
    this_run: list[dict[str, Any]] = field(repr=False, default_factory=list)


def removed_path(path: Path) -> Path:
    """The path of a pair file's list of removed pairs."""
    return path.with_name(f"{path.stem}.removed.jsonl")


def make(
    name: str,
    table: PairsConfig,
    *,
    evaluator: Evaluator,
    base: Path,
    protected: Sequence[Suite] = (),
    progress: Progress = no_progress,
) -> PairFile:
    """Make the pairs of a table.

    Args:
        evaluator: of the suite that the pairs belong to, with the systems that the filters name.
        protected: further suites whose evaluation data is kept out.

    Raises:
        PairsError: a file that cannot be read, or nothing left; the list of removed pairs is written all the same.
        HeldOutError: an origin names evaluation data.
        ConfigError: a system, corpus or query set that a table names does not exist.
    """
    suite, path = evaluator.suite, table.path(name, base)
    counts: dict[str, Any] = {"read": []}
    this_run: list[dict[str, Any]] = []

    def read() -> Iterator[Pair]:
        for number, source in enumerate(table.from_):
            context = origins.Context(suite, base, evaluator.store, table.seed, progress)
            kind, n = str(source["kind"]), 0
            for n, pair in enumerate(origins.pairs(source, context), 1):
                if n % 1000 == 0:
                    progress(f"{name}: {kind}", n, n + 1)
                yield pair
            counts["read"].append({"from": number, "kind": kind, "pairs": n, "counts": context.counts})
            if context.this_run:
                this_run.append({"from": number, "kind": kind, **context.this_run})

    suites = [suite, *(other for other in protected if other.digest != suite.digest)]
    pairs, removed, unchecked = filtered(read(), table.filters, suites=suites, evaluator=evaluator, progress=progress)
    counts["kept"] = dict(sorted(Counter(pair.origin for pair in pairs).items()))
    counts["removed"] = dict(sorted(Counter(removal.rule for removal in removed).items()))
    counts["unchecked"] = unchecked
    rows = [{"format": 1, "kind": "removed-pairs", "name": name, "pairs": len(removed)}]
    rows += [{"rule": removal.rule, "why": removal.why, **asdict(removal.pair)} for removal in removed]
    write_text(removed_path(path), "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    if not pairs:
        reasons = ", ".join(f"{rule} {n}" for rule, n in counts["removed"].items()) or "the origins gave none"
        raise PairsError(f"pairs.{name}: no pair is left ({reasons}). Which and why: {removed_path(path)}")
    digest = Pairs(tuple(pairs), (), ()).digest
    header = {
        "name": name,
        "table": table_digest(table),
        "inputs": inputs_digest(suite),
        "suite": {"name": suite.name, "version": suite.version, "digest": suite.digest},
        "protected": [suite.name for suite in suites],
        "seed": table.seed,
        "digest": digest,
        **counts,
    }
    write_pairs(path, pairs, header)
    return PairFile(path, digest, counts, this_run)


def read_removed(path: Path) -> list[dict[str, Any]]:
    """The removed pairs of the pair file at `path`, with `rule` and `why`.

    Raises:
        PairsError: there is no list, or it cannot be read.
    """
    place = removed_path(path)
    try:
        header, *rows = [json.loads(line) for line in place.read_text(encoding="utf-8").split("\n") if line]
        if header["kind"] != "removed-pairs" or header["format"] != 1:
            raise ValueError("no list of removed pairs")
        return [{"rule": str(row["rule"]), "why": str(row["why"]), **row} for row in rows]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as problem:
        raise PairsError(f"{place} cannot be read ({problem}). Make it anew with: bench pairs") from None
