"""How long one query takes: systems timed against one another in one process.

A time in milliseconds belongs to one machine at one hour; the ratio of two times that were taken side by side
holds elsewhere too. So systems are timed together or not at all, and ratios are read from one document.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.base.errors import BenchError, SystemFailed, UsageError, did_you_mean
from bench.base.store import Store, read_json, write_json
from bench.evaluation.evaluate import Evaluator, environment, failing_as
from bench.records import EVALUATION_ROLES, QuerySet, Result, Run, Search, digest_of
from bench.stats import RatioInterval, percentile_ratio

LATENCY_FORMAT = 1

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Timing:
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
class Latency:
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

    def ratios(self, *, percentile: float = 95, alpha: float = 0.05, seed: int = 0) -> list[RatioInterval]:
        """Each system's percentile over the first system's, in order; bounds as in `percentile_ratio`."""
        rng = np.random.default_rng(seed)
        first = self.systems[0].ms
        return [percentile_ratio(t.ms, first, percentile=percentile, alpha=alpha, rng=rng) for t in self.systems]

    def to_json(self) -> dict[str, Any]:
        """The document that the store keeps; `from_json` reads it back without loss."""
        return {
            "format": LATENCY_FORMAT,
            **{name: getattr(self, name) for name in _HEADER},
            "query_ids": list(self.query_ids),
            "environment": dict(self.environment),
            "systems": [
                {"system": t.system, "digest": t.system_digest, "ms": t.ms.tolist(), "p50": t.p50, "p95": t.p95}
                for t in self.systems
            ],
        }

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
            header = {name: document[name] for name in _HEADER}
            query_ids, where = tuple(document["query_ids"]), dict(document["environment"])
        except (KeyError, TypeError, ValueError):
            return None
        if not query_ids or any(t.ms.shape != (len(query_ids),) or not (t.ms > 0).all() for t in timings):
            return None
        return cls(**header, query_ids=query_ids, environment=where, systems=timings)


_HEADER = (
    "suite", "suite_digest", "query_set", "query_set_digest", "corpus_digest", "n_docs", "depth", "repetitions", "seed",
    "torch_threads", "made_at",
)  # fmt: skip


def untimed(evaluator: Evaluator, names: Sequence[str], query_set: str) -> dict[str, str]:
    """Systems that have no latency on a query set → why, as the end of a sentence."""
    asked = evaluator.suite.query_sets[query_set]
    found = {}
    for name in names:
        if evaluator.reads_run_files(name):
            found[name] = "it is, or is made of, another engine's run file, which nobody can ask anything"
        elif not evaluator.takes(name, asked):
            found[name] = f"its roles leave out {asked.role} sets"
    return found


def timed_query_set(evaluator: Evaluator) -> str:
    """The query set that is timed where none is named: the first held-out one, else the first that is evaluated."""
    for role in EVALUATION_ROLES:
        for query_set in evaluator.suite.of_role(role):
            return query_set.name
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
    unmeasured. Then all queries are passed through once a repetition, and all systems answer each query before the
    next comes, in an order that is drawn anew each time: a machine that slows down slows all of them, and no system
    always runs behind the same other one. Queries are encoded and pairs are read anew each time. A composed
    system's time includes its parts', one after the other. Torch works on one thread meanwhile.

    All indexes are in memory at once.

    Args:
        evaluator: suite, systems and store.
        names: expanded system names; the first is what tables compare with.
        query_set: which queries are asked.
        n_queries: how many, drawn without replacement; all where there are fewer.
        repetitions: times that each query is asked; the median counts.
        seed: of the draw and of the order.

    Raises:
        UsageError: a name that is none, or that has no latency (a run file), or no name at all.
        SystemFailed: a system broke, or answers single queries otherwise than it did in evaluation.
    """
    if query_set not in evaluator.suite.query_sets:
        known = list(evaluator.suite.query_sets)
        raise UsageError(
            f'No query set "{query_set}" to time on; expected one of {", ".join(known)}.'
            f"{did_you_mean(query_set, known)}"
        )
    for name in names or [""]:
        if name not in evaluator.systems:
            known = list(evaluator.systems)
            raise UsageError(
                f'No system "{name}" to time; expected one of {", ".join(known)}.{did_you_mean(name, known)}'
            )
    for name, reason in untimed(evaluator, names, query_set).items():
        raise UsageError(f'System "{name}" has no latency on "{query_set}": {reason}. Leave it out.')
    if n_queries < 1 or repetitions < 1:
        raise UsageError(f"{n_queries} queries in {repetitions} repetitions were to be timed; expected 1 or more.")

    asked = evaluator.suite.query_sets[query_set]
    rng = np.random.default_rng(seed)
    n_queries = min(n_queries, len(asked.ids))
    drawn = np.sort(rng.choice(len(asked.ids), n_queries, replace=False)).tolist()
    queries = [
        QuerySet.build(asked.name, asked.role, asked.corpus, [(asked.ids[row], asked.texts[row])]) for row in drawn
    ]
    clock = _Clock(evaluator, asked)
    for name in names:
        clock.ask(name, queries[0])  # builds the index
    seconds = np.empty((len(names), n_queries, repetitions))
    answers: dict[tuple[str, int], Run] = {}
    with _one_torch_thread() as torch_threads:
        # Repetitions outside: a burst of other work then spoils one time of a query, not all of them.
        for repetition in range(repetitions):
            for i, query in enumerate(queries):
                evaluator.progress(f"time queries of {query_set}", repetition * n_queries + i, repetitions * n_queries)
                for place in rng.permutation(len(names)):
                    answers[names[place], i], seconds[place, i, repetition] = clock.ask(names[place], query)
    evaluator.progress(f"time queries of {query_set}", repetitions * n_queries, repetitions * n_queries)
    for name in names:
        _refuse_other_answers(evaluator, name, asked, [answers[name, i] for i in range(n_queries)])

    corpus = evaluator.suite.corpora[asked.corpus]
    made = Latency(
        suite=evaluator.suite.name,
        suite_digest=evaluator.suite.digest,
        query_set=query_set,
        query_set_digest=asked.digest,
        corpus_digest=corpus.digest,
        n_docs=len(corpus.ids),
        depth=evaluator.suite.protocol.depth,
        query_ids=tuple(asked.ids[row] for row in drawn),
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
    key = digest_of({"task": _task(evaluator, asked), "systems": sorted(t.system_digest for t in made.systems)})
    write_json(evaluator.store.prepare().path("latency", f"{key}.json"), made.to_json())
    return made


@contextlib.contextmanager
def _one_torch_thread() -> Iterator[int | None]:
    """Torch on one thread, where anything has loaded it: yields the threads in use, None without torch.

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
    """Times of candidate and reference, float64[n_queries] ms each, from the newest record that holds both.

    None where the two, as they are now, were never timed together on these queries and documents.
    """
    digests = [evaluator.system_digest(name) for name in (candidate, reference)]
    task = _task(evaluator, evaluator.suite.query_sets[query_set])
    newest, found = "", None
    for record in _records(evaluator.store):
        if [record.corpus_digest, record.query_set_digest, record.depth] != task:
            continue
        ms = {timing.system_digest: timing.ms for timing in record.systems}
        if record.made_at > newest and all(digest in ms for digest in digests):
            newest, found = record.made_at, (ms[digests[0]], ms[digests[1]])
    return found


def records_of(store: Store, results: Sequence[Result]) -> list[Latency]:
    """The record of each query set that times most of these systems as they are now, the newest of equals.

    Args:
        store: what was timed is kept there.
        results: they name systems, query sets and corpora by digest.
    """
    best: dict[tuple[str, str], tuple[int, str, Latency]] = {}
    for record in _records(store):
        task = (record.query_set_digest, record.corpus_digest)
        digests = {r.system_digest for r in results if (r.query_set_digest, r.corpus_digest) == task}
        fit = tuple(timing for timing in record.systems if timing.system_digest in digests)
        if fit and (len(fit), record.made_at) > best.get(task, (0, ""))[:2]:
            best[task] = (len(fit), record.made_at, replace(record, systems=fit))
    return [record for _, _, record in best.values()]


def _records(store: Store) -> Iterator[Latency]:
    """Every whole record of the store; a damaged one is as if it were not there."""
    for path in sorted(store.path("latency", "").glob("*.json")):
        with contextlib.suppress(BenchError):
            record = Latency.from_json(read_json(path))
            if record is not None:
                yield record


def _task(evaluator: Evaluator, query_set: QuerySet) -> list[Any]:
    """What must agree beside the systems. A changed judgement changes no time."""
    return [evaluator.suite.corpora[query_set.corpus].digest, query_set.digest, evaluator.suite.protocol.depth]


class _Clock:
    """Warm systems that answer one query at a time."""

    def __init__(self, evaluator: Evaluator, query_set: QuerySet) -> None:
        self.evaluator, self.query_set = evaluator, query_set
        self._searches: dict[str, Search] = {}

    def _search(self, name: str) -> Search:
        if name not in self._searches:
            self.evaluator.system_digest(name)  # tunes the weight where there is one to tune
            system, corpus = self.evaluator.systems[name], self.evaluator.suite.corpora[self.query_set.corpus]
            with failing_as(system, self.query_set.name):
                warm = getattr(system, "warm", None)
                self._searches[name] = functools.partial(system.search, corpus) if warm is None else warm(corpus)
        return self._searches[name]

    def ask(self, name: str, query: QuerySet, asked: dict[str, Run] | None = None) -> tuple[Run, float]:
        """One system's answer and its seconds, its parts' included.

        `asked` collects answers to this query: a part that is needed twice is asked once.
        """
        asked, total = {} if asked is None else asked, 0.0
        for part in self.evaluator.systems[name].parts:
            if part not in asked:
                total += self.ask(part, query, asked)[1]
        parts = [asked[part] for part in self.evaluator.systems[name].parts]
        search, depth = self._search(name), self.evaluator.search_depth
        with failing_as(self.evaluator.systems[name], self.query_set.name, lambda: query.ids[0]):
            started = time.perf_counter()
            ranked = search(query, depth=depth, parts=parts)
            total += time.perf_counter() - started
        # Not timed: a server would not turn its answer into one of our records.
        asked[name] = self.evaluator.as_run(name, query, ranked, empty=True)
        return asked[name], total


def _refuse_other_answers(evaluator: Evaluator, name: str, query_set: QuerySet, answers: Sequence[Run]) -> None:
    """Refuse times of a system that answered otherwise than in evaluation: what was timed is not what was measured.

    Half of the first ten documents must agree, over all queries: a vector made alone differs from one made in a
    batch in its last digits, which may swap neighbours.
    """
    evaluated = evaluator.run(name, query_set)
    row_of = {query_id: row for row, query_id in enumerate(evaluated.query_ids)}
    wanted = [evaluated.ranking(row_of[answer.query_ids[0]], 10) for answer in answers]
    held = sum(map(len, wanted))
    agreeing = sum(len(set(ids) & set(answer.ranking(0, 10))) for ids, answer in zip(wanted, answers, strict=True))
    if 2 * agreeing < held:
        raise SystemFailed(
            f'System "{name}" asked one query at a time finds {agreeing} of the {held} documents that it found among '
            f'its first ten on "{query_set.name}" in evaluation; its times would be those of another system. '
            "Does it fall back under load, or depend on the queries asked beside?"
        )
