"""Splits: assigning queries to train, dev and held-out. Deterministic, and never by a shuffle.

A query's split follows from one key alone (its text, a document, a group), hashed with the plan's seed, so that data
added later moves no earlier query. Only the boundaries of a split by time follow from all queries together; they are
recorded, and the next import can reuse them.
"""

from __future__ import annotations

import re
from collections.abc import Collection as Sized
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

from bench.base.errors import SuiteError, UsageError
from bench.records import digest_of
from bench.suites.sources import Query
from bench.suites.text import text_hash

TRAIN, DEV, HELD_OUT = "train", "dev", "held-out"


@dataclass(frozen=True)
class SplitPlan:
    """How queries are split into train, dev and held-out.

    Args:
        by: queries that stay together: those of equal text (`query`), of a `document`, of a `group`, or older than a
            `time`.
        held_out: share of keys for held-out, 0 < share < 1.
        dev: share of keys for dev, 0 ≤ share.
        seed: another seed gives another split.
        group_by: regular expression whose first group (or whole match) in a query's id is its group; without a match,
            in its document's id.
        share_documents: queries of different splits may be judged on one document.
        dev_from: start of dev, by time only; ISO 8601.
        held_out_from: start of held-out, by time only; ISO 8601.
    """

    by: Literal["query", "document", "group", "time"] = "query"
    held_out: float = 0.15
    dev: float = 0.10
    seed: int = 0
    group_by: str | None = None
    share_documents: bool = False
    dev_from: str | None = None
    held_out_from: str | None = None

    def __post_init__(self) -> None:
        """Check the options.

        Raises:
            UsageError: shares out of range, an invalid pattern, options of another kind of split.
        """
        if not (0 < self.held_out < 1 and 0 <= self.dev < 1 - self.held_out):
            raise UsageError(
                f"Split: held-out is {self.held_out:g} and dev {self.dev:g}; expected shares above 0 that leave "
                "something to train on, such as 0.15 and 0.1."
            )
        if self.group_by is not None and self.by != "group":
            raise UsageError(f"Split by {self.by}: a group pattern belongs to a split by group.")
        if (self.dev_from or self.held_out_from) and self.by != "time":
            raise UsageError(f"Split by {self.by}: a boundary in time belongs to a split by time.")
        if self.dev_from and not self.held_out_from:
            raise UsageError("Split by time: dev has a boundary and held-out has none; give both boundaries.")
        try:
            re.compile(self.group_by or "")
        except re.error as error:
            raise UsageError(f'Group pattern "{self.group_by}" is no regular expression ({error}).') from None

    def group(self, query: Query, doc_id: str = "", doc_group: str | None = None) -> str | None:
        """A query's group: by the pattern, or else its own `group` or `cluster`, or its document's group."""
        if not self.group_by:
            return query.group or query.cluster or doc_group
        for identifier in (query.query_id, doc_id):
            if match := re.search(self.group_by, identifier):
                return match[1] if match.re.groups else match[0]
        return None

    def describe(self) -> str:
        """The plan in a sentence, with everything needed to repeat it."""
        pattern = f" (pattern {self.group_by})" if self.group_by else ""
        text = f"Split by {self.by}{pattern}"
        if self.by == "time":
            text += f": dev from {self.dev_from}, held-out from {self.held_out_from}"
        else:
            text += f", seed {self.seed}: {self.held_out:.0%} held-out, {self.dev:.0%} dev, of keys"
        shared = (
            "splits may share judged documents" if self.share_documents else "no two splits share a judged document"
        )
        return f"{text}; {shared}."


def fraction(key: str, seed: int) -> float:
    """A key's position in [0, 1): uniform over keys, the same on any machine."""
    return int.from_bytes(text_hash(f"{seed}\x1f{key}"), "big") / 2**64


def anchor(grades: Mapping[str, int], seed: int) -> str | None:
    """The document that decides a query's split: of its relevant ones, that with the lowest digest."""
    candidates = [doc_id for doc_id, grade in grades.items() if grade > 0] or list(grades)
    return min(candidates, key=lambda doc_id: digest_of([seed, doc_id]), default=None)


def instant(text: str, where: str) -> str:
    """An ISO 8601 date or time as text that sorts by time; without a zone it is UTC.

    Raises:
        SuiteError: not ISO 8601.
    """
    try:
        when = datetime.fromisoformat(text.strip())
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).astimezone(UTC).isoformat(timespec="microseconds")
    except (ValueError, OverflowError):
        raise SuiteError(f'{where}: time is "{text[:40]}"; expected ISO 8601, such as 2024-05-31.') from None


def place(keys: Mapping[str, str], plan: SplitPlan) -> tuple[dict[str, str], SplitPlan]:
    """Query id → split from query id → key, and the plan with the boundaries that were used.

    Raises:
        SuiteError: by time, and all queries have one time.
    """
    if plan.by != "time":
        position = {query_id: fraction(key, plan.seed) for query_id, key in keys.items()}
        dev_end = plan.held_out + plan.dev
        return {q: HELD_OUT if x < plan.held_out else DEV if x < dev_end else TRAIN for q, x in position.items()}, plan
    if not plan.held_out_from:
        # The newest queries are held out, those just before them are for dev.
        times = sorted(keys.values())
        n = len(times)
        if not times or times[0] == times[-1]:
            raise SuiteError(f"Split by time: all {n} queries have one time; expected several. Split by group.")
        second = next(time for time in times if time > times[0])  # the oldest are for training, whatever the shares
        held_out_from = max(second, times[int(n * (1 - plan.held_out))])
        dev_from = max(second, times[int(n * (1 - plan.held_out - plan.dev))]) if plan.dev else None
        plan = replace(plan, held_out_from=held_out_from, dev_from=dev_from)
    held_out = instant(plan.held_out_from or "", "held_out_from")
    dev = instant(plan.dev_from, "dev_from") if plan.dev_from else held_out
    return {q: HELD_OUT if time >= held_out else DEV if time >= dev else TRAIN for q, time in keys.items()}, plan


def separate(split_of: Mapping[str, str], judged: Mapping[str, Sized[str]]) -> tuple[dict[str, str], set[str]]:
    """The queries such that no two splits share a judged document, with their splits, and the ids of dropped ones.

    Held-out keeps all its queries; dev drops those that share a document with it; train drops those that share one with
    either.
    """
    taken: set[str] = set()
    dropped: set[str] = set()
    for split in (HELD_OUT, DEV, TRAIN):
        documents: set[str] = set()
        for query_id in [query_id for query_id, its_split in split_of.items() if its_split == split]:
            if taken.isdisjoint(judged.get(query_id, ())):
                documents.update(judged.get(query_id, ()))
            else:
                dropped.add(query_id)
        taken |= documents
    return {query_id: split for query_id, split in split_of.items() if query_id not in dropped}, dropped
