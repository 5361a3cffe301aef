"""The suite's own training judgements.

Query sets of role train, or those named, of role train or dev.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from bench.config import Strict
from bench.train.origins import Context
from bench.train.pairs import Pair, judged_pairs


class Config(Strict):
    """Query sets; all of role train where none is named."""

    kind: Literal["judgements"]
    query_sets: list[str] = Field(default=[])


def pairs(config: Config, context: Context) -> Iterator[Pair]:
    """Every relevant document of every query.

    Raises:
        HeldOutError: a named set is held out.
        SuiteError: there is no such set.
    """
    for name in config.query_sets or [query_set.name for query_set in context.suite.of_role("train")]:
        yield from judged_pairs(context.suite, name)
