"""How long one query takes: systems timed against one another in one process.

A time in milliseconds belongs to one machine at one hour; the ratio of two times taken side by side holds on other
machines too. So systems are timed together or not at all, and ratios are read from one document.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.base.errors import BenchError, SystemFailed, UsageError, did_you_mean
from bench.base.json_records import JsonRecord
from bench.base.store import Store, read_json, write_json
from bench.evaluation.evaluate import Evaluator, environment, system_failures
from bench.records import EVALUATION_ROLES, QuerySet, Result, Run, Search, digest_of
from bench.stats import RatioInterval, percentile_ratio

LATENCY_FORMAT = 1

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Timing(JsonRecord, keys="system digest=system_digest ms p50 p95"):
    """One system's times: `ms` is float64[n_queries], the median over repetitions of each query."""

    system: str
    system_digest: str
    ms: Floats = field(repr=False)

    def __post_init__(self) -> None:
        self.ms.flags.writeable = False

    @property
    def p50(self) -> float:
        """Median over queries, in ms."""
        return float(np.percentile(self.ms, 50))

    @property
    def p95(self) -> float:
        """95th percentile over queries, in ms; interpolated between two queries."""
        return float(np.percentile(self.ms, 95))


@dataclass(frozen=True)
class Latency(
    JsonRecord,
    keys="suite suite_digest query_set query_set_digest corpus_digest n_docs depth repetitions seed torch_threads "
    "made_at query_ids environment systems",
    format=1,
):
    """Systems timed side by side in one process, query by query. A JSON document."""

    suite: str
    suite_digest: str
    query_set: str
    query_set_digest: str
    corpus_digest: str
    n_docs: int
    depth: int
    query_ids: tuple[str, ...] = field(repr=False)
    repetitions: int
    seed: int
    systems: tuple[Timing, ...]
    environment: Mapping[str, Any] = field(repr=False)
    torch_threads: int | None
    made_at: str

    @property
    def n_queries(self) -> int:
        """Queries that were timed."""
        return len(self.query_ids)

    def ratios(self) -> list[RatioInterval]:
        """Each system's 95th percentile over the first system's, in order; bounds as in `percentile_ratio`."""
        rng = np.random.default_rng(0)
        first = self.systems[0].ms
        return [percentile_ratio(t.ms, first, rng=rng) for t in self.systems]

    @classmethod
    def from_json(cls, document: Any) -> Latency | None:
        """A record from its document; None where it is damaged or of another format."""
        try:
            if document["format"] != LATENCY_FORMAT:
                return None
            timings = tuple(
                Timing(row["system"], row["digest"], np.asarray(row["ms"], dtype=np.float64))
                for row in document["systems"]
            )
            parts = ("query_ids", "environment", "systems")
            header = {field.name: document[field.name] for field in fields(cls) if field.name not in parts}
            query_ids, environment = tuple(document["query_ids"]), dict(document["environment"])
        except (KeyError, TypeError, ValueError):
            return None
        if not query_ids or any(t.ms.shape != (len(query_ids),) or not (t.ms > 0).all() for t in timings):
            return None
        return cls(**header, query_ids=query_ids, environment=environment, systems=timings)


def untimed(evaluator: Evaluator, names: Sequence[str], query_set: str) -> dict[str, str]:
    """Systems that have no latency on a query set → why, as the end of a sentence."""
    reasons = {}
    for name in names:
        if evaluator.reads_run_files(name):
            reasons[name] = "it is, or is made of, another engine's run file, which cannot answer a query"
        elif not evaluator.takes(name, evaluator.suite.query_sets[query_set]):
            reasons[name] = f"its roles leave out {evaluator.suite.query_sets[query_set].role} sets"
    return reasons


def timed_query_set(evaluator: Evaluator) -> str:
    """The query set that is timed by default: the first held-out one, else the first out-of-distribution one."""
    for role in EVALUATION_ROLES:
        if query_sets := evaluator.suite.of_role(role):
            return query_sets[0].name
    raise UsageError(f'Suite "{evaluator.suite.name}" has no held-out and no out-of-distribution query set to time on.')


def measure_latency(
    evaluator: Evaluator,
    names: Sequence[str],
    *,
    query_set: str,
    n_queries: int = 50,
    repetitions: int = 3,
    seed: int = 0,
) -> Latency:
    """Time single queries, systems side by side, and keep the record in the store.

    Every system is built once (documents come from the cache, the index stays in memory) and answers one query
    untimed. In each repetition every query is answered by all systems before the next query comes, in a random order:
    a machine that slows down slows all of them, and no system always runs behind the same other one. Queries are
    encoded and pairs are scored anew each time. A composed system's time includes its parts', one after the other.
    Torch runs on one thread. All indexes are in memory at once.

    Args:
        evaluator: suite, systems and store.
        names: expanded system names; tables compare with the first.
        query_set: its name.
        n_queries: queries drawn without replacement; all where there are fewer.
        repetitions: times that each query is answered; the median counts.
        seed: of the draw and of the order.

    Raises:
        UsageError: an unknown name, a system without latency (a run file), or no name at all.
        SystemFailed: a system broke, or its answers to single queries differ from those in evaluation.
    """
    suite = evaluator.suite
    for subject, name, known in (
        ("query set", query_set, list(suite.query_sets)),
        *(("system", name, list(evaluator.systems)) for name in names or [""]),
    ):
        if name not in known:
            listed = ", ".join(known)
            raise UsageError(f'No {subject} "{name}" to time; expected one of {listed}.{did_you_mean(name, known)}')
    for name, reason in untimed(evaluator, names, query_set).items():
        raise UsageError(f'System "{name}" has no latency on "{query_set}": {reason}. Leave it out.')
    if n_queries < 1 or repetitions < 1:
        raise UsageError(f"{n_queries} queries in {repetitions} repetitions cannot be timed; expected 1 or more.")

    timed = suite.query_sets[query_set]
    rng = np.random.default_rng(seed)
    n_queries = min(n_queries, len(timed.ids))
    drawn = np.sort(rng.choice(len(timed.ids), n_queries, replace=False)).tolist()
    queries = [
        QuerySet.build(timed.name, timed.role, timed.corpus, [(timed.ids[row], timed.texts[row])]) for row in drawn
    ]
    clock = _Clock(evaluator, timed)
    for name in names:
        clock.answer(name, queries[0])  # builds the index
    seconds = np.empty((len(names), n_queries, repetitions))
    answers: dict[tuple[str, int], Run] = {}
    with _one_torch_thread() as torch_threads:
        # Repetitions outside: a burst of other work then spoils one time of a query, not all of them.
        for repetition in range(repetitions):
            for i, query in enumerate(queries):
                evaluator.progress(f"time queries of {query_set}", repetition * n_queries + i, repetitions * n_queries)
                for place in rng.permutation(len(names)):
                    answers[names[place], i], seconds[place, i, repetition] = clock.answer(names[place], query)
    evaluator.progress(f"time queries of {query_set}", repetitions * n_queries, repetitions * n_queries)
    for name in names:
        _refuse_other_answers(evaluator, name, timed, [answers[name, i] for i in range(n_queries)])

    corpus = suite.corpora[timed.corpus]
    latency = Latency(
        suite=suite.name,
        suite_digest=suite.digest,
        query_set=query_set,
        query_set_digest=timed.digest,
        corpus_digest=corpus.digest,
        n_docs=len(corpus.ids),
        depth=suite.protocol.depth,
        query_ids=tuple(timed.ids[row] for row in drawn),
        repetitions=repetitions,
        seed=seed,
        systems=tuple(
            Timing(name, evaluator.system_digest(name), ms)
            for name, ms in zip(names, 1000 * np.median(seconds, axis=2), strict=True)
        ),
        environment=environment(),
        torch_threads=torch_threads,
        made_at=datetime.now(UTC).isoformat(),
    )
    key = digest_of({"task": _task(evaluator, timed), "systems": sorted(t.system_digest for t in latency.systems)})
    write_json(evaluator.store.prepare().path("latency", f"{key}.json"), latency.to_json())
    return latency


@contextlib.contextmanager
def _one_torch_thread() -> Iterator[int | None]:
    """Limit torch to one thread, where it is loaded: yields the threads in use, None without torch.

    On busy cores its threads wait for one another, and a query takes 8 ms in one run and 45 in the next.
    """
    torch = sys.modules.get("torch")
    if torch is None:
        yield None
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield 1
    finally:
        torch.set_num_threads(before)


def stored_latency(
    evaluator: Evaluator, candidate: str, reference: str, query_set: str
) -> tuple[Floats, Floats] | None:
    """Times of candidate and reference, float64[n_queries] ms each, from the newest record that has both.

    None where the two, as they are now, were never timed together on these queries and documents.
    """
    digests = [evaluator.system_digest(name) for name in (candidate, reference)]
    task = _task(evaluator, evaluator.suite.query_sets[query_set])
    newest, times = "", None
    for record in _records(evaluator.store):
        ms = {timing.system_digest: timing.ms for timing in record.systems}
        same_task = [record.corpus_digest, record.query_set_digest, record.depth] == task
        if same_task and record.made_at > newest and all(digest in ms for digest in digests):
            newest, times = record.made_at, (ms[digests[0]], ms[digests[1]])
    return times


def records_of(store: Store, results: Sequence[Result]) -> list[Latency]:
    """For each query set the record that times most of these systems as they are now; the newest among equals.

    Args:
        store: has the records.
        results: name systems, query sets and corpora by digest.
    """
    best: dict[tuple[str, str], tuple[int, str, Latency]] = {}
    for record in _records(store):
        task = (record.query_set_digest, record.corpus_digest)
        digests = {r.system_digest for r in results if (r.query_set_digest, r.corpus_digest) == task}
        current = tuple(timing for timing in record.systems if timing.system_digest in digests)
        if current and (len(current), record.made_at) > best.get(task, (0, ""))[:2]:
            best[task] = (len(current), record.made_at, replace(record, systems=current))
    return [record for _, _, record in best.values()]


def _records(store: Store) -> Iterator[Latency]:
    """Every complete record of the store; a damaged one counts as absent."""
    for path in sorted(store.path("latency", "").glob("*.json")):
        with contextlib.suppress(BenchError):
            record = Latency.from_json(read_json(path))
            if record is not None:
                yield record


def _task(evaluator: Evaluator, query_set: QuerySet) -> list[Any]:
    """What must agree besides the systems; judgements need not."""
    return [evaluator.suite.corpora[query_set.corpus].digest, query_set.digest, evaluator.suite.protocol.depth]


class _Clock:
    """Warm systems that answer one query at a time."""

    def __init__(self, evaluator: Evaluator, query_set: QuerySet) -> None:
        self.evaluator, self.query_set = evaluator, query_set
        self._searches: dict[str, Search] = {}

    def answer(self, name: str, query: QuerySet, answers: dict[str, Run] | None = None) -> tuple[Run, float]:
        """One system's answer and its seconds, its parts' included.

        `answers` collects the parts' answers to this query: a part that is needed twice answers once.
        """
        answers, total = {} if answers is None else answers, 0.0
        system = self.evaluator.systems[name]
        for part in system.parts:
            if part not in answers:
                total += self.answer(part, query, answers)[1]
        parts = [answers[part] for part in system.parts]
        if name not in self._searches:
            self.evaluator.system_digest(name)  # tunes the weight of a tunable system
            corpus = self.evaluator.suite.corpora[self.query_set.corpus]
            with system_failures(system, self.query_set.name):
                warm = getattr(system, "warm", None)
                self._searches[name] = functools.partial(system.search, corpus) if warm is None else warm(corpus)
        search, depth = self._searches[name], self.evaluator.search_depth
        with system_failures(system, self.query_set.name, lambda: query.ids[0]):
            started = time.perf_counter()
            ranked = search(query, depth=depth, parts=parts)
            total += time.perf_counter() - started
        # Not timed: a server would not turn its answer into one of our records.
        answers[name] = self.evaluator.as_run(name, query, ranked, empty=True)
        return answers[name], total


def _refuse_other_answers(evaluator: Evaluator, name: str, query_set: QuerySet, answers: Sequence[Run]) -> None:
    """Refuse times of a system whose answers differ from those in evaluation.

    Half of the first ten documents must agree, over all queries: a vector made alone differs from one made in a
    batch in its last digits, which may swap neighbours.
    """
    evaluated = evaluator.run(name, query_set)
    row_of = {query_id: row for row, query_id in enumerate(evaluated.query_ids)}
    expected = [evaluated.ranking(row_of[answer.query_ids[0]], 10) for answer in answers]
    n_expected = sum(map(len, expected))
    n_equal = sum(len(set(ids) & set(answer.ranking(0, 10))) for ids, answer in zip(expected, answers, strict=True))
    if 2 * n_equal < n_expected:
        raise SystemFailed(
            f'System "{name}", given one query at a time, returns {n_equal} of the {n_expected} documents that were '
            f'its first ten on "{query_set.name}" in evaluation; its times would be those of another system. '
            "Does it fall back under load, or depend on the other queries of a batch?"
        )
