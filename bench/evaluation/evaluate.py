"""Runs and results of a suite's query sets. Equal stages are shared, and stored ones are reused.

A run's name is the digest of everything that can change it: the system with its parts, corpus, queries, depth and
the tie rule. A result's name adds judgements and measures. So one changed judgement costs a measuring, one changed
document an encoding and its rankings, one changed weight everything of that model, and nothing stale is ever read.
"""

from __future__ import annotations

import contextlib
import copy
import os
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.base.errors import BenchError, ConfigError, StoreError, SystemFailed, UsageError, did_you_mean
from bench.base.progress import Progress, no_progress
from bench.base.registry import origin, plugin_errors
from bench.base.store import Store, read_json, write_json
from bench.evaluation.measure import measure, packages_of, result
from bench.evaluation.no_answer import no_answer
from bench.records import EVALUATION_ROLES, TIE_RULE, Corpus, QuerySet, Ranked, Result, Run, Suite, System, digest_of
from bench.records.measures import parse_list
from bench.records.run import frozen
from bench.retrieval.search import convex

RUN_FORMAT = 1
WEIGHTS = tuple(round(0.05 * i, 2) for i in range(21))
"""Fusion weights tried on dev."""

ENOUGH_QUERIES, ENOUGH_RANKS = 20, 100
"""Queries and ranks from which on equal rankings are no accident."""


class Missing(BenchError):
    """A run or result is not stored, and the evaluator may not make it."""

    code = "missing-result"


def environment() -> dict[str, Any]:
    """Interpreter, machine, cores and library versions. Imports none of the libraries."""
    packages = {}
    for name in ("numpy", "torch", "sentence-transformers", "transformers", "bm25s", "PyStemmer", "ranx"):
        with contextlib.suppress(PackageNotFoundError):
            packages[name] = version(name)
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "packages": packages,
    }


@contextlib.contextmanager
def system_failures(system: System, query_set: str, failing_query: Callable[[], str] | None = None) -> Iterator[None]:
    """Turn any error inside into a SystemFailed that names the system and the package of its kind.

    `failing_query` returns the id of a query on which the system fails alone; "" where there is none.
    """
    try:
        yield
    except BenchError:
        raise
    except (Exception, SystemExit) as error:
        package, query = origin("systems", system.kind), failing_query() if failing_query else ""
        subject = f'System "{system.name}"' + (f" (kind {system.kind} of {package})" if package else "")
        where = f'query "{query}" of "{query_set}"' if query else f'query set "{query_set}"'
        raise SystemFailed(f"{subject} failed on {where}: {type(error).__name__}: {error}") from error


class Evaluator:
    """Runs and results of one suite; those that are not stored are made.

    Args:
        suite: what is measured.
        systems: what is under test, parts included, by name.
        store: keeps runs and results.
        make: whether missing ones are made; `Missing` is raised otherwise.
        progress: called during slow stages.
    """

    def __init__(
        self,
        suite: Suite,
        systems: Mapping[str, System],
        store: Store,
        *,
        make: bool = True,
        progress: Progress = no_progress,
    ) -> None:
        parse_list(suite.protocol.measures)  # a misspelt measure is an error now, not after an hour of encoding
        # Copies: a tuned weight belongs to this suite, and the caller may evaluate another with the same systems.
        self.suite, self.store = suite, store
        self.systems = {name: copy.copy(system) for name, system in systems.items()}
        self.make, self.progress = make, progress
        self._runs: dict[str, Run] = {}
        self._digests: dict[str, str] = {}

    def results(self, names: Sequence[str] | None = None, *, query_sets: Iterable[str] | None = None) -> list[Result]:
        """One result for each system and evaluation query set, in the order of the systems.

        Args:
            names: expanded system names; all where None.
            query_sets: names of held-out and out-of-distribution sets; all where None.

        Raises:
            SystemFailed: a system broke; results made before are kept.
            UsageError: no such query set, or none to evaluate on.
        """
        by_name = {query_set.name: query_set for query_set in self.suite.of_role(*EVALUATION_ROLES)}
        if not by_name:
            raise UsageError(
                f'Suite "{self.suite.name}" has no held-out and no out-of-distribution query set; '
                "nothing would be measured."
            )
        wanted = list(by_name if query_sets is None else query_sets)
        for name in wanted:
            if name not in by_name:
                raise UsageError(
                    f'Suite "{self.suite.name}" has no evaluation query set "{name}"; expected one of '
                    f"{', '.join(by_name)}.{did_you_mean(name, by_name)}"
                )
        systems = self.systems if names is None else names
        tasks = [(system, name) for system in systems for name in wanted if self.takes(system, by_name[name])]
        results = []
        for done, (system, name) in enumerate(tasks):
            self.progress("evaluate", done, len(tasks))
            results.append(self.result(system, name))
        self.progress("evaluate", len(tasks), len(tasks))
        return results

    def result(self, name: str, query_set_name: str) -> Result:
        """One system's result on one query set."""
        suite, system = self.suite, self.systems[name]
        query_set, labels, protocol = suite.query_sets[query_set_name], suite.labels[query_set_name], suite.protocol
        inputs: dict[str, Any] = {
            "run": self.run_key(name, query_set),
            "labels": labels.digest,
            "measures": protocol.measures,
            "protocol": protocol.digest,
        }
        if packages := packages_of(protocol.measures):
            inputs["packages"] = packages
        if labels.computed_slices:
            inputs["computed_slices"] = dict(labels.computed_slices)
        dev_sets = self._threshold_sets(name, query_set)
        if dev_sets:
            inputs["no_answer"] = [[self.run_key(name, dev), suite.labels[dev.name].digest] for dev in dev_sets]
        path = self.store.path("results", f"{digest_of(inputs)}.json")
        if path.exists() and not self._always_reruns(name):
            with contextlib.suppress(BenchError):
                stored = Result.from_json(read_json(path), where=str(path))
                task = (self.system_digest(name), query_set.digest, self._corpus(query_set).digest, labels.digest)
                if protocol == stored.protocol and task == (
                    stored.system_digest,
                    stored.query_set_digest,
                    stored.corpus_digest,
                    stored.labels_digest,
                ):
                    return replace(
                        stored,
                        system=name,
                        suite=suite.name,
                        suite_version=suite.version,
                        suite_digest=suite.digest,
                        query_set=query_set.name,
                        role=query_set.role,
                    )
            # A damaged, edited, misplaced or older file counts as absent.
            path.unlink(missing_ok=True)
        if not self.make and self._stored_run(name, query_set) is None:
            raise self._missing(name, query_set)
        run = self.run(name, query_set)
        measured = result(
            run,
            labels,
            protocol=protocol,
            query_set=query_set,
            suite=(suite.name, suite.version, suite.digest),
            kind=system.kind,
            recipe={**self._identity(system), "parts": list(system.parts)},
        )
        if dev_sets:
            if not self.make and not all(self._stored_run(name, dev) for dev in dev_sets):
                return measured  # incomplete, so not kept
            runs = [(self.run(name, dev), suite.labels[dev.name]) for dev in dev_sets]
            measured = replace(measured, no_answer=no_answer(run, labels, measured.scores, runs))
        write_json(path, measured.to_json())
        return measured

    def _always_reruns(self, name: str) -> bool:
        """Whether an evaluator that makes results never reuses a stored run of this system or of a part of it."""
        system = self.systems[name]
        return self.make and (getattr(system, "fresh", False) or any(map(self._always_reruns, system.parts)))

    def _threshold_sets(self, name: str, query_set: QuerySet) -> list[QuerySet]:
        """Dev sets that choose a threshold for this set's unanswerable queries; none where it has no such query."""
        if not self.suite.labels[query_set.name].unanswerable:
            return []
        # Another engine may have no run file for dev, and need not write one.
        return [
            dev
            for dev in self.suite.of_role("dev")
            if dev.corpus == query_set.corpus and all(dev.name in files for files in self._run_files(name))
        ]

    def _run_files(self, name: str) -> list[Mapping[str, Path]]:
        """The run files of a system and of its parts, by query set."""
        system = self.systems[name]
        own = [system.files] if hasattr(system, "files") else []
        return own + [files for part in system.parts for files in self._run_files(part)]

    def takes(self, name: str, query_set: QuerySet) -> bool:
        """Whether a system is evaluated on sets of this role."""
        roles = getattr(self.systems[name], "roles", None)
        return roles is None or query_set.role in roles

    def reads_run_files(self, name: str) -> bool:
        """Whether a system, or a part of it, is another engine's run file."""
        return bool(self._run_files(name))

    def run(self, name: str, query_set: QuerySet) -> Run:
        """One system's rankings for one query set of any role; made where they are not stored.

        Raises:
            SystemFailed: the system broke, or silently fell back to one of its parts.
            Missing: they are not stored, and `make` is False.
        """
        key = self.run_key(name, query_set)
        if key not in self._runs:
            run = None if self._always_reruns(name) else self._stored_run(name, query_set)
            if run is None and not self.make:
                raise self._missing(name, query_set)
            run = run or self._make(name, query_set, key)
            self._refuse_fallback(name, query_set, run)
            self._runs[key] = run
        return self._runs[key].renamed(name)

    def run_key(self, name: str, query_set: QuerySet) -> str:
        """The digest of everything that can change this run."""
        return digest_of(
            {
                "format": RUN_FORMAT,
                "system": self.system_digest(name),
                "corpus": self._corpus(query_set).digest,
                "queries": query_set.digest,
                "query_set": query_set.name if self.reads_run_files(name) else None,
                "depth": self.suite.protocol.depth,
                "drop_self": self.suite.protocol.drop_self,
                "ties": TIE_RULE,
            }
        )

    def system_digest(self, name: str) -> str:
        """The digest of a system's fingerprint and its parts'. Tunes the system's weight first where it is tunable."""
        if name not in self._digests:
            system = self.systems[name]
            if getattr(system, "tunable", False):
                system.weight = self._tuned_weight(name)  # type: ignore[attr-defined]
            parts = [self.system_digest(part) for part in system.parts]
            with plugin_errors("systems", system.kind, f'failed when it computed the fingerprint of "{name}"'):
                self._digests[name] = digest_of({**self._identity(system), "parts": parts})
        return self._digests[name]

    def _identity(self, system: System) -> dict[str, Any]:
        """A system's own fingerprint, without its parts, and the package of its kind."""
        package = origin("systems", system.kind)
        return {"fingerprint": dict(system.fingerprint()), **({"package": package} if package else {})}

    def _corpus(self, query_set: QuerySet) -> Corpus:
        return self.suite.corpora[query_set.corpus]

    def _stored_run(self, name: str, query_set: QuerySet) -> Run | None:
        stored = self.store.read_arrays("runs", self.run_key(name, query_set))
        if stored is None:
            return None
        record, arrays = stored
        try:
            more = {key: record[key] for key in ("doc_ids", "seconds", "index_bytes", "environment")}
            checked = self._build(name, query_set, arrays["docs"], arrays["scores"], **more)
            # The digest covers ids that the depth or `drop_self` has cut off, which no row points at any more.
            docs, scores = frozen(arrays["docs"], np.int32), frozen(arrays["scores"], np.float32)
            run = replace(checked, doc_ids=tuple(record["doc_ids"]), docs=docs, scores=scores)
        except (BenchError, KeyError, TypeError, ValueError, IndexError):
            return None
        # Arrays that were edited, or that another write left, count as absent.
        return run if record.get("digest", run.digest) == run.digest else None

    def _make(self, name: str, query_set: QuerySet, key: str) -> Run:
        """Let the system search, and store the run."""
        system = self.systems[name]
        parts = [self.run(part, query_set) for part in system.parts]
        with self.store.prepare().lock(key):
            # Another process may have made it while this one waited.
            stored = None if self._always_reruns(name) else self._stored_run(name, query_set)
            if stored is not None:
                return stored
            if hasattr(system, "progress"):
                label = f"{name} on {query_set.name}"
                system.progress = lambda stage, done, total: self.progress(f"{label}: {stage}", done, total)
            started = time.perf_counter()
            built_in = origin("systems", system.kind) is None
            with system_failures(
                system, query_set.name, None if built_in else lambda: self._failing_query(system, query_set, parts)
            ):
                ranked = self._search(system, query_set, parts)
                seconds = {stage: round(value, 6) for stage, value in ranked.seconds.items()}
                seconds["total"] = round(time.perf_counter() - started, 6)
                run = self.as_run(name, query_set, ranked, seconds=seconds, environment=environment())
            fields = ("system", "query_set", "doc_ids", "seconds", "index_bytes", "environment", "digest")
            record = {field: getattr(run, field) for field in fields}
            self.store.write_arrays("runs", key, record, docs=run.docs, scores=run.scores)
        return run

    def _search(self, system: System, query_set: QuerySet, parts: Sequence[Run]) -> Ranked:
        ranked = system.search(self._corpus(query_set), query_set, depth=self.search_depth, parts=parts)
        if not isinstance(ranked, Ranked):
            raise TypeError(f"search returned a {type(ranked).__name__}; expected bench.records.Ranked")
        return ranked

    def _failing_query(self, system: System, query_set: QuerySet, parts: Sequence[Run]) -> str:
        """The id of the first query that a failing search fails on alone, by bisection; "" where there is none."""

        def fails(rows: range) -> bool:
            queries = [(query_set.ids[row], query_set.texts[row]) for row in rows]
            subset = QuerySet.build(query_set.name, query_set.role, query_set.corpus, queries)
            try:
                self._search(system, subset, [part.of_rows(rows) for part in parts])
            except (Exception, SystemExit):
                return True
            return False

        rows = range(len(query_set.ids))
        while len(rows) > 1:
            half = rows[: len(rows) // 2]
            rows = half if fails(half) else rows[len(half) :]
        return query_set.ids[rows[0]] if fails(rows) else ""

    @property
    def search_depth(self) -> int:
        """Documents that a system must return: one more where the query's own document is dropped."""
        return self.suite.protocol.depth + (1 if self.suite.protocol.drop_self else 0)

    def as_run(self, name: str, query_set: QuerySet, ranked: Ranked, **more: Any) -> Run:
        """A system's rankings as a Run under the suite's rules; `more` goes to `Run.build`."""
        return self._build(name, query_set, ranked.docs, ranked.scores, index_bytes=ranked.index_bytes, **more)

    def _build(self, name: str, query_set: QuerySet, docs: Any, scores: Any, **more: Any) -> Run:
        """`Run.build` with what system, query set and suite give; `more` adds to it or stands in its place."""
        corpus, protocol = self._corpus(query_set), self.suite.protocol
        options: dict[str, Any] = {
            "query_set": query_set.name,
            "query_set_digest": query_set.digest,
            "corpus_digest": corpus.digest,
            "query_ids": query_set.ids,
            "doc_ids": corpus.ids,
            "depth": protocol.depth,
            "drop_self": protocol.drop_self,
        } | more
        if "system_digest" not in options:
            options["system_digest"] = self.system_digest(name)
        return Run.build(system=name, docs=docs, scores=scores, **options)

    def _refuse_fallback(self, name: str, query_set: QuerySet, run: Run) -> None:
        """Refuse rankings which show that the system, or a part of it, did no work.

        Stored runs are checked too, as far as the parts' runs are stored: making those may cost an encoding.
        """
        system, corpus = self.systems[name], self._corpus(query_set)
        if len(set(query_set.texts)) < ENOUGH_QUERIES:
            return
        rows = run.rows(corpus)
        where = f'on every one of {len(rows)} queries of "{query_set.name}"'
        if rows.shape[1] >= 10 and (rows[:, 9] >= 0).all() and (rows == rows[0]).all():
            raise SystemFailed(
                f'System "{name}" ranks the same documents in the same order {where}: it ignores the query. '
                "Look for an error that it answers with a default list, and run it again."
            )
        # A weight of 0 or 1 leaves one part out on purpose; a reranker reads only the head.
        head = min(getattr(system, "reorders", rows.shape[1]), rows.shape[1])
        n_ranks = np.maximum((rows[:, :head] >= 0).sum(axis=1) - 1, 0).sum()
        if getattr(system, "weight", None) in (0, 1) or n_ranks < ENOUGH_RANKS:
            return
        equal = []
        for part in system.parts:
            stored = self._runs.get(self.run_key(part, query_set)) or self._stored_run(part, query_set)
            if stored is None:
                return
            if _equal_rankings(rows, stored.rows(corpus)):
                equal.append(part)
        if not equal:
            return
        if len(system.parts) == 1:
            raise SystemFailed(
                f'System "{name}" ranks exactly as its part "{equal[0]}" {where}: it changed no order at all. '
                "Look for an error that it answers with its input, and run it again."
            )
        # Parts of one kind may agree (two precisions of one model); parts of two kinds may not.
        if len(equal) < len(system.parts) or len({self.systems[part].kind for part in system.parts}) > 1:
            others = [part for part in system.parts if part != equal[0]]
            raise SystemFailed(
                f'System "{name}" ranks exactly as its part "{equal[0]}" {where}: the other part'
                f"{'s' if len(others) > 1 else ''} contributed nothing. Check what "
                f"{', '.join(others)} ranks alone, correct it, or leave it out of the fusion."
            )

    def _missing(self, name: str, query_set: QuerySet) -> Missing:
        return Missing(
            f'No stored result of system "{name}" on query set "{query_set.name}" fits the suite, models and settings '
            f"as they are now. Make it with: bench run --suite {Path(self.suite.path).as_posix()} --system {name}"
        )

    def weights_tried(self, name: str) -> dict[float, float]:
        """Fusion weight → mean of the suite's first measure on dev, as stored; empty where no weight was tuned."""
        if not getattr(self.systems[name], "tunable", False) or not self.suite.of_role("dev"):
            return {}
        try:
            tried = read_json(self._weights_path(name))["tried"]
            return {float(weight): float(value) for weight, value in tried.items()}
        except (StoreError, KeyError, TypeError, ValueError, AttributeError):
            return {}

    def _weights_path(self, name: str) -> Path:
        """The file of the weights tried for a hybrid: its name covers the parts, the dev sets and the measure."""
        system, protocol = self.systems[name], self.suite.protocol
        key = digest_of(
            {
                "parts": [self.system_digest(part) for part in system.parts],
                "dev": [
                    [q.digest, self._corpus(q).digest, self.suite.labels[q.name].digest]
                    for q in self.suite.of_role("dev")
                ],
                "measure": protocol.measures[0],
                "protocol": protocol.digest,
                "weights": WEIGHTS,
            }
        )
        return self.store.path("results", f"weight-{key}.json")

    def _tuned_weight(self, name: str) -> float:
        """The convex fusion weight that is best on the suite's dev sets; among equals, the nearest to ½.

        Chosen by the mean of the suite's first measure over all dev queries. Held-out sets are not read.
        """
        system, protocol = self.systems[name], self.suite.protocol
        dev_sets = self.suite.of_role("dev")
        if not dev_sets:
            raise ConfigError(
                f'System "{name}" tunes its weight on dev, but suite "{self.suite.name}" has no query set of role dev. '
                "Add one to the suite, or state a number: fusion.weight = 0.5."
            )
        path = self._weights_path(name)
        if not self._always_reruns(name):
            with contextlib.suppress(StoreError, KeyError, TypeError, ValueError):
                return float(read_json(path)["weight"])
        try:
            runs = {q.name: [self.run(part, q) for part in system.parts] for q in dev_sets}
        except Missing:
            # The command that makes the hybrid's own run makes its parts' dev runs too.
            raise self._missing(name, dev_sets[0]) from None

        def mean_on_dev(weight: float) -> float:
            columns = []
            for q in dev_sets:
                docs, scores = convex(runs[q.name], self._corpus(q).row_of, weight=weight)
                fused = self._build(name, q, docs, scores, system_digest="")
                measured = measure(
                    fused,
                    self.suite.qrels(q.name),
                    protocol.measures[:1],
                    depth=protocol.depth,
                    relevance_level=protocol.relevance_level,
                    zero_if_unjudged=True,
                )
                columns.append(measured.values[:, 0])
            return float(np.concatenate(columns).mean())

        means = {weight: mean_on_dev(weight) for weight in WEIGHTS}
        best = max(means.values())
        weight = min((w for w, mean in means.items() if mean >= best - 1e-12), key=lambda w: abs(w - 0.5))
        write_json(path, {"format": RUN_FORMAT, "weight": weight, "tried": {str(w): mean for w, mean in means.items()}})
        return weight


def _equal_rankings(rows: NDArray[np.int64], others: NDArray[np.int64]) -> bool:
    """Whether two arrays of rankings, −1 padded to any width, are equal."""
    width = min(rows.shape[1], others.shape[1])
    padding = np.concatenate([rows[:, width:], others[:, width:]], axis=1)
    return bool((rows[:, :width] == others[:, :width]).all() and (padding < 0).all())
