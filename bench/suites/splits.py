"""Splits: which queries train, which choose, which are held out. Deterministic, and never by a shuffle.

A query's place follows from one key alone (its text, a document, a group), hashed with the plan's seed, so that data
added later moves no query that was there. Only a split by time has boundaries that follow from all queries together;
they are recorded, and can be given to the next import.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection as Sized
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Literal

from bench.base.errors import SuiteError, UsageError
from bench.records import digest_of
from bench.suites.sources import Query

TRAIN, DEV, HELD_OUT = "train", "dev", "held-out"


@dataclass(frozen=True)
class SplitPlan:
    """How queries are divided into train, dev and held-out.

    Args:
        by: what stays together: a `query` (equal texts), a `document`, a `group`, or what is older than a `time`.
        held_out: share of keys that are held out, 0 < share < 1.
        dev: share that is for choosing, 0 ≤ share.
        seed: another seed, another split.
        group_by: regular expression whose first group (or whole match) in a query's id is its group; where it
            does not match, in the id of its document.
        share_documents: queries of different splits may be judged on one document.
        dev_from: dev begins here, by time only; ISO 8601.
        held_out_from: held-out begins here, by time only; ISO 8601.
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
        """Refuse what makes no sense.

        Raises:
            UsageError: shares out of range, a pattern that is none, options of another kind of split.
        """
        if not (0 < self.held_out < 1 and 0 <= self.dev < 1 - self.held_out):
            raise UsageError(
                f"Split: held-out is {self.held_out:g} and dev {self.dev:g}; expected shares above 0 that leave "
                "something to train on, such as 0.15 and 0.1."
            )
        if self.group_by is not None and self.by != "group":
            raise UsageError(f"Split by {self.by}: a group pattern was given; it belongs to a split by group.")
        if (self.dev_from or self.held_out_from) and self.by != "time":
            raise UsageError(f"Split by {self.by}: a boundary in time was given; it belongs to a split by time.")
        if self.dev_from and not self.held_out_from:
            raise UsageError("Split by time: dev begins somewhere, held-out does not; give both boundaries.")
        try:
            re.compile(self.group_by or "")
        except re.error as error:
            raise UsageError(f'Group pattern "{self.group_by}" is no regular expression ({error}).') from None

    @cached_property
    def _pattern(self) -> re.Pattern[str] | None:
        return re.compile(self.group_by) if self.group_by else None

    def group(self, query: Query, doc_id: str = "", doc_group: str | None = None) -> str | None:
        """A query's group: by the pattern, in its own words (`group`, then `cluster`), or its document's."""
        if self._pattern is not None:
            for identifier in (query.query_id, doc_id):
                if found := self._pattern.search(identifier):
                    return found[1] if self._pattern.groups else found[0]
            return None
        return query.group or query.cluster or doc_group

    def describe(self) -> str:
        """The plan in a sentence, with all that makes it again."""
        how = f"Split by {self.by}"
        if self.group_by:
            how += f" (pattern {self.group_by})"
        if self.by == "time":
            how += f": dev from {self.dev_from}, held-out from {self.held_out_from}"
        else:
            how += f", seed {self.seed}: {self.held_out:.0%} held-out, {self.dev:.0%} dev, of keys"
        return how + (
            "; splits may share judged documents."
            if self.share_documents
            else "; no two splits share a judged document."
        )


def fraction(key: str, seed: int) -> float:
    """Where a key falls in [0, 1): uniform over keys, the same on any machine."""
    data = f"{seed}\x1f{key}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big") / 2**64


def anchor(grades: Mapping[str, int], seed: int) -> str | None:
    """The document that a query of several goes by: of its relevant ones, that with the least digest."""
    chosen = [doc_id for doc_id, grade in grades.items() if grade > 0] or list(grades)
    return min(chosen, key=lambda doc_id: digest_of([seed, doc_id]), default=None)


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
        SuiteError: by time, where all queries have one time.
    """
    if plan.by == "time":
        plan = _bounded(keys, plan)
        dev_from = instant(plan.dev_from or "", "dev_from") if plan.dev_from else ""
        held_out_from = instant(plan.held_out_from or "", "held_out_from")
        return {
            query_id: HELD_OUT if key >= held_out_from else DEV if dev_from and key >= dev_from else TRAIN
            for query_id, key in keys.items()
        }, plan
    placed = {}
    for query_id, key in keys.items():
        at = fraction(key, plan.seed)
        placed[query_id] = HELD_OUT if at < plan.held_out else DEV if at < plan.held_out + plan.dev else TRAIN
    return placed, plan


def _bounded(keys: Mapping[str, str], plan: SplitPlan) -> SplitPlan:
    """The plan with its boundaries: the newest queries are held out, those just before them are for dev."""
    if plan.held_out_from:
        return plan
    times = sorted(keys.values())
    if not times or times[0] == times[-1]:
        raise SuiteError(f"Split by time: all {len(times)} queries have one time; expected several. Split by group.")
    n = len(times)
    second = next(time for time in times if time > times[0])  # the oldest remain for training, whatever the shares
    held_out_from = max(second, times[int(n * (1 - plan.held_out))])
    dev_from = max(second, times[int(n * (1 - plan.held_out - plan.dev))]) if plan.dev else None
    return replace(plan, held_out_from=held_out_from, dev_from=dev_from)


def separate(placed: Mapping[str, str], judged: Mapping[str, Sized[str]]) -> tuple[dict[str, str], set[str]]:
    """Placed queries of which no two splits share a judged document, and the ids that had to go.

    Held-out keeps all its queries; dev gives up those that share a document with it; train those that share one with
    either. A query that stays keeps its place.
    """
    taken: set[str] = set()
    gone: set[str] = set()
    for split in (HELD_OUT, DEV, TRAIN):
        own: set[str] = set()
        for query_id, its_split in placed.items():
            if its_split != split:
                continue
            documents = judged.get(query_id, ())
            if taken.isdisjoint(documents):
                own.update(documents)
            else:
                gone.add(query_id)
        taken |= own
    return {query_id: split for query_id, split in placed.items() if query_id not in gone}, gone
