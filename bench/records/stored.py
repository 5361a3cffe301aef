"""A result as its file has it. Imported where one is read, so that records stay light."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired

from pydantic import BeforeValidator, Field
from typing_extensions import TypedDict

Count = Annotated[int, Field(ge=0)]
# A measure that is 1 by its formula may be a rounding above it.
Share = Annotated[float, Field(ge=0, le=1 + 1e-9)]
# No time or spread comes near a million; a number beyond it is damage, and its square would overflow.
Amount = Annotated[float, Field(ge=0, le=1e6)]
Score = Annotated[float, Field(ge=-3.4e38, le=3.4e38)]


def slice_names(names: Any) -> Any:
    """The slices of one query as a list: the file has null, one name, or a list of several."""
    return [] if names is None else [names] if isinstance(names, str) else names


class StoredSystem(TypedDict):
    """Which system."""

    name: str
    kind: str
    digest: str
    variant: NotRequired[str]
    recipe: dict[str, Any]


class StoredSuite(TypedDict):
    """Of which suite."""

    name: str
    version: Count
    digest: str


class StoredQuerySet(TypedDict):
    """On which query set."""

    name: str
    role: str
    digest: str
    corpus_digest: str
    labels_digest: str
    judged_negative_share: Share


class StoredProtocol(TypedDict):
    """How it was measured."""

    measures: Annotated[list[str], Field(min_length=1)]
    depth: Count
    relevance_level: Count
    drop_self: bool
    tie_rule: NotRequired[str]


class StoredQueries(TypedDict):
    """Lists of one length, an item per query; `pinned` holds rows, `condensed` is rows × measures."""

    ids: list[str]
    values: dict[str, list[Share]]
    judged: list[Share]
    condensed: NotRequired[list[list[Annotated[float, Field(allow_inf_nan=False)]]] | None]
    top_ids: list[list[str]]
    clusters: list[str | None]
    slices: list[Annotated[list[str], BeforeValidator(slice_names)]]
    pinned: list[Count]


class StoredNoAnswer(TypedDict):
    """What a score threshold does; see `NoAnswer`."""

    chosen_on: list[str]
    keeps: Share
    threshold: Score
    n_unanswerable: Count
    false_positive_rate: Share
    n_answerable: Count
    answered: Share
    measure: str
    value: Share
    value_at_threshold: Share


class StoredResult(TypedDict):
    """The whole file."""

    format: int
    system: StoredSystem
    suite: StoredSuite
    query_set: StoredQuerySet
    protocol: StoredProtocol
    run_digest: str
    means: NotRequired[dict[str, Score]]
    queries: StoredQueries
    lists: dict[str, str]
    left_out: Count
    missing: list[str]
    tie_spread: dict[str, Amount]
    seconds: dict[str, Amount]
    index_bytes: Count | None
    environment: dict[str, Any]
    no_answer: NotRequired[StoredNoAnswer]
    measured_by: NotRequired[dict[str, str]]
    digest: NotRequired[str]
