"""Two searches, the second asked where the first is not sure: its best document leads by too little."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from bench.config import DecideOption, Part, SystemConfig
from bench.records import Corpus, QuerySet, Ranked, Run
from bench.retrieval.search import padded
from bench.retrieval.systems import Context


class Config(SystemConfig):
    """`kind = "cascade"`: `sure` is the lead of the first document, as a share of its score, that is enough."""

    option = DecideOption(
        "cascade",
        label="Cascade",
        work="both searches kept running, the careful one asked for unsure queries",
        effort=3.5,
        per_query={"route": "choose a search for each query"},
        beats="first",
    )

    cheap: Part
    careful: Part
    sure: float = Field(default=0.2, ge=0)


def build(name: str, config: Config, context: Context) -> list[Cascade]:
    """One system."""
    return [Cascade(name, config)]


class Cascade:
    """Each query's ranking is that of one of the two parts."""

    kind = "cascade"

    def __init__(self, name: str, config: Config) -> None:
        self.name, self.sure = name, config.sure
        self.parts, self.roles = config.parts, config.roles

    def fingerprint(self) -> Mapping[str, Any]:
        """What changes a ranking, besides the parts and this package's version."""
        return {"sure": self.sure}

    def search(self, corpus: Corpus, queries: QuerySet, *, depth: int, parts: Sequence[Run]) -> Ranked:
        """The parts' rankings come in the order of the keys that name them."""
        started = time.perf_counter()
        cheap, careful = parts
        rankings = []
        for query in range(len(queries.ids)):
            run = cheap if self._is_sure(cheap, query) else careful
            held = run.docs[query] >= 0
            rankings.append((run.rows(corpus)[query][held], run.scores[query][held]))
        docs, scores = padded(rankings)
        return Ranked(docs, scores, {"route": time.perf_counter() - started})

    def _is_sure(self, run: Run, query: int) -> bool:
        found = run.scores[query][run.docs[query] >= 0]
        return len(found) == 1 or (len(found) > 1 and found[0] - found[1] >= self.sure * abs(found[0]))
