"""Where pairs come from: one file a kind, with `Config` (its table) and `pairs(config, context)`.

The file's name is the kind's name in a config, and its docstring's first line is its listing. An origin says what it
read and left out in `context.count`, and yields pairs in an order that the same input always gives; filters are not
its business.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.base.errors import ConfigError, did_you_mean, excerpt
from bench.base.progress import Progress, no_progress
from bench.base.registry import blamed, settled
from bench.base.store import Store
from bench.records import Corpus, Suite
from bench.train.pairs import Pair

__all__ = ["Context", "Pair", "estimate", "pairs"]


@dataclass
class Context:
    """What an origin works with.

    `suite` has the corpora that documents stand in; `base` is the folder that paths start from; `counts` is where an
    origin says what it read, left out and lost, by reason in words. `this_run` is for what another run may do otherwise
    and bring the same pairs: requests, tokens, money. It stands in no pair file.
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
        search: what is to be foreign is not to be learnt by accident.

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
        searched = self.suite.query_sets.values()
        abroad = {q.corpus for q in searched if q.role == "out-of-distribution"}
        abroad -= {q.corpus for q in searched if q.role != "out-of-distribution"}
        return [self.suite.corpora[name] for name in names or [c for c in self.suite.corpora if c not in abroad]]


def pairs(table: Mapping[str, Any], context: Context) -> Iterator[Pair]:
    """The pairs of one checked table under `from`, one at a time.

    Raises:
        PairsError: a file that cannot be read as what the table says; names file and line.
        HeldOutError: a file of evaluation data.
        ConfigError: a corpus or query set that the suite lacks.
    """
    module, config = settled("origins", table, "from")
    kind = str(table["kind"])
    with blamed("origins", kind, "failed when it made pairs"):
        for pair in module.pairs(config, context):
            if not isinstance(pair, Pair) or pair.origin != kind:
                raise TypeError(
                    f'pairs gave {excerpt(repr(pair))}; expected bench.train.origins.Pair of origin "{kind}"'
                )
            yield pair


def estimate(table: Mapping[str, Any], context: Context) -> dict[str, Any] | None:
    """What the pairs of one checked table would cost, as a JSON object, without paying; None where nothing."""
    module, config = settled("origins", table, "from")
    if not hasattr(module, "estimate"):
        return None
    with blamed("origins", str(table["kind"]), "failed when it was asked what its pairs cost"):
        found: dict[str, Any] = module.estimate(config, context).to_json()
    return found
