"""Origins of pairs: one file a kind, with `Config` (its table) and `pairs(config, context)`.

The file's name is the kind's name in a config, and its docstring's first line is its listing. An origin counts what it
read and left out with `context.count`, and yields pairs in an order that depends on the input alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.base.errors import ConfigError, did_you_mean, excerpt
from bench.base.progress import Progress, no_progress
from bench.base.registry import load_kind, plugin_errors
from bench.base.store import Store
from bench.records import Corpus, Suite
from bench.train.pairs import Pair

__all__ = ["Context", "Pair", "estimate", "pairs"]


@dataclass
class Context:
    """The input of an origin, and its counts.

    `suite` has the corpora of the documents; `base` is the folder that paths start from; `counts` are what an origin
    read, left out and lost, by reason in words. `this_run` has the requests, tokens and money of this run, which may
    differ between runs that give the same pairs; it is in no pair file.
    """

    suite: Suite
    base: Path
    store: Store
    seed: int = 0
    progress: Progress = no_progress
    counts: dict[str, int] = field(default_factory=dict)
    this_run: dict[str, float] = field(default_factory=dict)

    def count(self, what: str, n: int = 1) -> None:
        """Add to a count."""
        self.counts[what] = self.counts.get(what, 0) + n

    def corpora(self, names: Sequence[str] = ()) -> list[Corpus]:
        """The suite's corpora of these names; where none is given, all but those that only out-of-distribution queries
        search: pairs from there would make them part of the distribution.

        Raises:
            ConfigError: a name that is none of the suite's.
        """
        for name in names:
            if name not in self.suite.corpora:
                known = list(self.suite.corpora)
                raise ConfigError(
                    f'A table of [pairs] names corpus "{name}", which suite "{self.suite.name}" lacks; expected one of '
                    f"{', '.join(known)}.{did_you_mean(name, known)}"
                )
        roles: dict[str, set[str]] = {name: set() for name in self.suite.corpora}
        for query_set in self.suite.query_sets.values():
            roles[query_set.corpus].add(query_set.role)
        default = [name for name in self.suite.corpora if roles[name] != {"out-of-distribution"}]
        return [self.suite.corpora[name] for name in names or default]


def pairs(table: Mapping[str, Any], context: Context) -> Iterator[Pair]:
    """The pairs of one checked table under `from`, one at a time.

    Raises:
        PairsError: a file that cannot be read as the table says; names file and line.
        HeldOutError: a file of evaluation data.
        ConfigError: a corpus or query set that the suite lacks.
    """
    module, config = load_kind("origins", table, "from")
    kind = str(table["kind"])
    with plugin_errors("origins", kind, "failed when it made pairs"):
        for pair in module.pairs(config, context):
            if not isinstance(pair, Pair) or pair.origin != kind:
                raise TypeError(
                    f'pairs gave {excerpt(repr(pair))}; expected bench.train.origins.Pair of origin "{kind}"'
                )
            yield pair


def estimate(table: Mapping[str, Any], context: Context) -> dict[str, Any] | None:
    """The likely cost of the pairs of one checked table, as a JSON object; None where they cost nothing."""
    module, config = load_kind("origins", table, "from")
    if not hasattr(module, "estimate"):
        return None
    with plugin_errors("origins", str(table["kind"]), "failed when it was asked what its pairs cost"):
        cost: dict[str, Any] = module.estimate(config, context).to_json()
    return cost
