"""Suite × systems → runs and results. Equal stages are shared, what exists is not made again, a kill costs little.

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
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.base.errors import BenchError, ConfigError, StoreError, SystemFailed, UsageError, did_you_mean
from bench.base.progress import Progress, no_progress
from bench.base.registry import blamed, origin
from bench.base.store import Store, read_json, write_json
from bench.evaluation.measure import measure, packages_of, result
from bench.evaluation.no_answer import no_answer
from bench.records import EVALUATION_ROLES, TIE_RULE, Corpus, QuerySet, Ranked, Result, Run, Suite, System, digest_of
from bench.records.measures import parse_list
from bench.retrieval.search import convex

RUN_FORMAT = 1
WEIGHTS = tuple(round(0.05 * i, 2) for i in range(21))
"""Fusion weights tried on dev."""

ENOUGH_QUERIES, ENOUGH_PLACES = 20, 100
"""Queries and ranks from which on equal rankings are no accident."""


class Missing(BenchError):
    """A run or result that would have to be made, where only stored ones are wanted."""

    code = "missing-result"


def environment() -> dict[str, Any]:
    """Where a run was made: interpreter, machine, cores and library versions. Imports none of them."""
    packages = {}
    for name in ("numpy", "torch", "sentence-transformers", "transformers", "bm25s", "PyStemmer", "ranx"):
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "packages": packages,
    }


@contextlib.contextmanager
def failing_as(system: System, query_set: str, culprit: Callable[[], str] | None = None) -> Iterator[None]:
    """Whatever breaks inside becomes a SystemFailed that names the system, and the package of its kind.

    `culprit` looks for the query that it breaks on; "" where none alone does.
    """
    try:
        yield
    except BenchError:
        raise
    except (Exception, SystemExit) as error:
        package, query = origin("systems", system.kind), culprit() if culprit else ""
        who = f'System "{system.name}"' + (f" (kind {system.kind} of {package})" if package else "")
        where = f'query "{query}" of "{query_set}"' if query else f'query set "{query_set}"'
        raise SystemFailed(f"{who} failed on {where}: {type(error).__name__}: {error}") from error


@dataclass(frozen=True)
class _Wanted:
    system: System
    query_set: QuerySet
    key: str


class Evaluator:
    """Runs and results of one suite, made where they are missing.

    Args:
        suite: what is measured.
        systems: what is under test, parts included, by name.
        store: where runs and results are kept.
        make: whether missing ones are made; `Missing` is raised otherwise.
        progress: told of slow stages.
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
        parse_list(suite.protocol.measures)  # a misspelt measure is told now, not after an hour of encoding
        # Copies: a tuned weight belongs to this suite, and the caller may evaluate another with the same systems.
        self.suite, self.store = suite, store
        self.systems = {name: copy.copy(system) for name, system in systems.items()}
        self.make, self.progress = make, progress
        self._runs: dict[str, Run] = {}
        self._digests: dict[str, str] = {}
        self._weights: dict[str, float] = {}

    # --- results ---

    def results(self, names: Sequence[str] | None = None, *, query_sets: Iterable[str] | None = None) -> list[Result]:
        """One result for each system and evaluation query set, systems in order.

        Args:
            names: expanded system names; all where None.
            query_sets: names of held-out and out-of-distribution sets; all where None.

        Raises:
            SystemFailed: a system broke; what was made before is kept.
            UsageError: a query set that is none.
        """
        wanted_sets = self._query_sets(query_sets)
        pairs = [
            (name, query_set)
            for name in (names if names is not None else list(self.systems))
            for query_set in wanted_sets
            if self.takes(name, query_set)
        ]
        found = []
        for done, (name, query_set) in enumerate(pairs):
            self.progress("evaluate", done, len(pairs))
            found.append(self.result(name, query_set.name))
        self.progress("evaluate", len(pairs), len(pairs))
        return found

    def result(self, name: str, query_set_name: str) -> Result:
        """One system's result on one query set."""
        query_set = self.suite.query_sets[query_set_name]
        labels = self.suite.labels[query_set_name]
        protocol = self.suite.protocol
        system = self.systems[name]
        made_of: dict[str, Any] = {
            "run": self.run_key(name, query_set),
            "labels": labels.digest,
            "measures": protocol.measures,
            "protocol": protocol.digest,
        }
        if packages := packages_of(protocol.measures):
            made_of["packages"] = packages
        if labels.computed_slices:
            made_of["computed_slices"] = dict(labels.computed_slices)
        dev = self._dev_of(name, query_set)
        if dev:
            made_of["no_answer"] = [[self.run_key(name, one), self.suite.labels[one.name].digest] for one in dev]
        key = digest_of(made_of)
        path = self.store.path("results", f"{key}.json")
        header: dict[str, Any] = {
            "system": name,
            "suite": self.suite.name,
            "suite_version": self.suite.version,
            "suite_digest": self.suite.digest,
            "query_set": query_set.name,
            "role": query_set.role,
        }
        if path.exists() and not self._anew(name):
            try:
                found = Result.from_json(read_json(path), where=str(path))
            except BenchError:
                found = None
            if found is not None and self._fits(found, name, query_set):
                return replace(found, **header)
            # A damaged, edited, misplaced or older file is as if it were not there.
            path.unlink(missing_ok=True)
        if not self.make and self._stored_run(name, query_set) is None:
            raise self._missing(name, query_set)
        run = self.run(name, query_set)
        made = result(
            run,
            labels,
            protocol=protocol,
            query_set=query_set,
            suite=(self.suite.name, self.suite.version, self.suite.digest),
            kind=system.kind,
            recipe={**self._own(system), "parts": list(system.parts)},
        )
        if dev and (self.make or all(self._stored_run(name, one) for one in dev)):
            runs = [(self.run(name, one), self.suite.labels[one.name]) for one in dev]
            made = replace(made, no_answer=no_answer(run, labels, made.scores, runs))
        elif dev:
            return replace(made, **header)  # not whole, so not kept
        write_json(path, made.to_json())
        return replace(made, **header)

    def _anew(self, name: str) -> bool:
        """Whether this system, or a part of it, is asked anew by every evaluator that makes results."""
        system = self.systems[name]
        return self.make and (getattr(system, "fresh", False) or any(self._anew(part) for part in system.parts))

    def _fits(self, found: Result, name: str, query_set: QuerySet) -> bool:
        """Whether a stored result is of this task, whatever its file is called."""
        ours = (
            self.system_digest(name),
            query_set.digest,
            self._corpus(query_set).digest,
            self.suite.labels[query_set.name].digest,
            self.suite.protocol,
        )
        theirs = (
            found.system_digest,
            found.query_set_digest,
            found.corpus_digest,
            found.labels_digest,
            found.protocol,
        )
        return ours == theirs

    def _dev_of(self, name: str, query_set: QuerySet) -> list[QuerySet]:
        """Dev sets on which a threshold for this set's unanswerable queries is chosen; none where there are none."""
        if not self.suite.labels[query_set.name].unanswerable:
            return []
        files = self._run_files(name)
        return [
            one
            for one in self.suite.of_role("dev")
            # Another engine's run file for dev may not exist, and nobody is made to write one.
            if one.corpus == query_set.corpus and all(one.name in known for known in files)
        ]

    def _run_files(self, name: str) -> list[Mapping[str, Path]]:
        """The run files of a system and its parts, by query set."""
        system = self.systems[name]
        own = [system.files] if hasattr(system, "files") else []
        return own + [files for part in system.parts for files in self._run_files(part)]

    def _query_sets(self, names: Iterable[str] | None) -> list[QuerySet]:
        known = self.suite.of_role(*EVALUATION_ROLES)
        if not known:
            raise UsageError(
                f'Suite "{self.suite.name}" has no held-out and no out-of-distribution query set; '
                "nothing would be measured."
            )
        if names is None:
            return known
        by_name = {query_set.name: query_set for query_set in known}
        for name in names:
            if name not in by_name:
                raise UsageError(
                    f'Suite "{self.suite.name}" has no evaluation query set "{name}"; expected one of '
                    f"{', '.join(by_name)}.{did_you_mean(name, by_name)}"
                )
        return [by_name[name] for name in names]

    def takes(self, name: str, query_set: QuerySet) -> bool:
        """Whether a system is evaluated on sets of this role."""
        roles = getattr(self.systems[name], "roles", None)
        return roles is None or query_set.role in roles

    # --- runs ---

    def run(self, name: str, query_set: QuerySet) -> Run:
        """One system's rankings for one query set of any role, made where there is none.

        Raises:
            SystemFailed: the system broke, or fell back to one of its parts in silence.
            Missing: there is none and `make` is False.
        """
        key = self.run_key(name, query_set)
        if key not in self._runs:
            stored = None if self._anew(name) else self._stored_run(name, query_set)
            if stored is None and not self.make:
                raise self._missing(name, query_set)
            found = stored or self._make(_Wanted(self.systems[name], query_set, key))
            self._refuse_fallback(name, query_set, found)
            self._runs[key] = found
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

    def reads_run_files(self, name: str) -> bool:
        """Whether a system, or a part of it, is another engine's run file."""
        system = self.systems[name]
        return hasattr(system, "files") or any(self.reads_run_files(part) for part in system.parts)

    def system_digest(self, name: str) -> str:
        """The digest of a system's fingerprint and its parts'."""
        if name not in self._digests:
            system = self.systems[name]
            if getattr(system, "tunable", False):
                system.weight = self._tuned_weight(name)  # type: ignore[attr-defined]
            parts = [self.system_digest(part) for part in system.parts]
            with blamed("systems", system.kind, f'failed when "{name}" was asked for its fingerprint'):
                self._digests[name] = digest_of({**self._own(system), "parts": parts})
        return self._digests[name]

    def _own(self, system: System) -> dict[str, Any]:
        """What a system is made of besides its parts: its fingerprint, and the package that its kind comes from."""
        package = origin("systems", system.kind)
        return {"fingerprint": dict(system.fingerprint()), **({"package": package} if package else {})}

    def _corpus(self, query_set: QuerySet) -> Corpus:
        return self.suite.corpora[query_set.corpus]

    def _stored_run(self, name: str, query_set: QuerySet) -> Run | None:
        key = self.run_key(name, query_set)
        found = self.store.read_arrays("runs", key)
        if found is None:
            return None
        document, arrays = found
        try:
            run = Run.build(
                system=name,
                system_digest=self.system_digest(name),
                query_set=query_set.name,
                query_set_digest=query_set.digest,
                corpus_digest=self._corpus(query_set).digest,
                query_ids=query_set.ids,
                doc_ids=document["doc_ids"],
                docs=arrays["docs"],
                scores=arrays["scores"],
                depth=self.suite.protocol.depth,
                seconds=document["seconds"],
                index_bytes=document["index_bytes"],
                environment=document["environment"],
            )
        except (BenchError, KeyError, TypeError, ValueError, IndexError):
            return None
        # Arrays of another writing, or edited ones, are as if they were not there.
        return run if document.get("digest", run.digest) == run.digest else None

    def _make(self, wanted: _Wanted) -> Run:
        system, query_set = wanted.system, wanted.query_set
        parts = [self.run(part, query_set) for part in system.parts]
        with self.store.prepare().lock(wanted.key):
            # Another process may have made it while we waited.
            stored = None if self._anew(system.name) else self._stored_run(system.name, query_set)
            if stored is not None:
                return stored
            if hasattr(system, "progress"):
                label = f"{system.name} on {query_set.name}"
                system.progress = lambda stage, done, total: self.progress(f"{label}: {stage}", done, total)
            started = time.perf_counter()
            ours = origin("systems", system.kind) is None
            with failing_as(system, query_set.name, None if ours else lambda: self._culprit(system, query_set, parts)):
                ranked = self._ranked(system, query_set, parts)
                seconds = {stage: round(value, 6) for stage, value in ranked.seconds.items()}
                run = self.as_run(
                    system.name,
                    query_set,
                    ranked,
                    seconds=seconds | {"total": round(time.perf_counter() - started, 6)},
                    environment=environment(),
                )
            self.store.write_arrays(
                "runs",
                wanted.key,
                {
                    "system": system.name,
                    "query_set": query_set.name,
                    "doc_ids": list(run.doc_ids),
                    "seconds": run.seconds,
                    "index_bytes": run.index_bytes,
                    "environment": run.environment,
                    "digest": run.digest,
                },
                docs=run.docs,
                scores=run.scores,
            )
        return run

    def _ranked(self, system: System, query_set: QuerySet, parts: Sequence[Run]) -> Ranked:
        ranked = system.search(self._corpus(query_set), query_set, depth=self.search_depth, parts=parts)
        if not isinstance(ranked, Ranked):
            raise TypeError(f"search returned a {type(ranked).__name__}; expected bench.records.Ranked")
        return ranked

    def _culprit(self, system: System, query_set: QuerySet, parts: Sequence[Run]) -> str:
        """The first query that a failing search fails on alone, looked for by halves; "" where there is none."""

        def fails(rows: range) -> bool:
            queries = [(query_set.ids[row], query_set.texts[row]) for row in rows]
            some = QuerySet.build(query_set.name, query_set.role, query_set.corpus, queries)
            try:
                self._ranked(system, some, [part.of_rows(rows) for part in parts])
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
        """Documents that systems are asked for: one more where the query's own document is dropped."""
        return self.suite.protocol.depth + (1 if self.suite.protocol.drop_self else 0)

    def as_run(self, name: str, query_set: QuerySet, ranked: Ranked, **more: Any) -> Run:
        """What a system returned, as a Run under the suite's rules; `more` goes to `Run.build`."""
        return Run.build(
            system=name,
            system_digest=self.system_digest(name),
            query_set=query_set.name,
            query_set_digest=query_set.digest,
            corpus_digest=self._corpus(query_set).digest,
            query_ids=query_set.ids,
            doc_ids=self._corpus(query_set).ids,
            docs=ranked.docs,
            scores=ranked.scores,
            depth=self.suite.protocol.depth,
            drop_self=self.suite.protocol.drop_self,
            index_bytes=ranked.index_bytes,
            **more,
        )

    # --- silent fallback ---

    def _refuse_fallback(self, name: str, query_set: QuerySet, run: Run) -> None:
        """Refuse rankings that show that the system, or a part of it, did no work.

        Looked at on stored runs too, as far as the parts' runs are stored: making them may cost an encoding.
        """
        system, n_queries = self.systems[name], len(set(query_set.texts))
        if n_queries < ENOUGH_QUERIES:
            return
        rows = run.rows(self._corpus(query_set))
        where = f'on every one of {len(rows)} queries of "{query_set.name}"'
        if rows.shape[1] >= 10 and (rows[:, 9] >= 0).all() and (rows == rows[0]).all():
            raise SystemFailed(
                f'System "{name}" ranks the same documents in the same order {where}: it does not look at the query. '
                "Look for an error that it answers with a default list, and run it again."
            )
        # A weight of 0 or 1 says outright that one part is not wanted; a reranker reads only the head.
        if getattr(system, "weight", None) in (0, 1):
            return
        head = min(getattr(system, "reorders", rows.shape[1]), rows.shape[1])
        if np.maximum((rows[:, :head] >= 0).sum(axis=1) - 1, 0).sum() < ENOUGH_PLACES:
            return
        parts = {}
        for part in system.parts:
            stored = self._runs.get(self.run_key(part, query_set)) or self._stored_run(part, query_set)
            if stored is None:
                return
            parts[part] = stored.rows(self._corpus(query_set))
        equal = [part for part, found in parts.items() if _same(rows, found)]
        if not equal:
            return
        if len(system.parts) == 1:
            raise SystemFailed(
                f'System "{name}" ranks exactly as its part "{equal[0]}" {where}: it changed no order at all. '
                "Look for an error that it answers with its input, and run it again."
            )
        # Parts of one kind may well agree (two precisions of one model); of two kinds, one stands in for the other.
        if len(equal) < len(parts) or len({self.systems[part].kind for part in parts}) > 1:
            others = [part for part in parts if part != equal[0]]
            raise SystemFailed(
                f'System "{name}" ranks exactly as its part "{equal[0]}" {where}: the other part'
                f"{'s' if len(others) > 1 else ''} contributed nothing. See what "
                f"{', '.join(others)} ranks alone, mend it, or leave it out of the fusion."
            )

    def _missing(self, name: str, query_set: QuerySet) -> Missing:
        return Missing(
            f'No stored result of system "{name}" on query set "{query_set.name}" fits the suite, models and settings '
            f"as they are now. Make it with: bench run --suite {Path(self.suite.path).as_posix()} --system {name}"
        )

    # --- tuning on dev ---

    def weights_tried(self, name: str) -> dict[float, float]:
        """Fusion weight → mean of the suite's first measure on dev, as stored when tuned; empty where none was."""
        if not getattr(self.systems[name], "tunable", False) or not self.suite.of_role("dev"):
            return {}
        try:
            tried = read_json(self._weights_path(name))["tried"]
            return {float(weight): float(value) for weight, value in tried.items()}
        except (StoreError, KeyError, TypeError, ValueError, AttributeError):
            return {}

    def _weights_path(self, name: str) -> Path:
        """Where the weights tried for a hybrid are kept: its parts, the dev sets and the measure decide."""
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

        Chosen by the mean of the suite's first measure over all dev queries. Held-out sets are not looked at.
        """
        system, protocol = self.systems[name], self.suite.protocol
        dev_sets = self.suite.of_role("dev")
        if not dev_sets:
            raise ConfigError(
                f'System "{name}" tunes its weight on dev, but suite "{self.suite.name}" has no query set of role dev. '
                "Give the suite one, or state a number: fusion.weight = 0.5."
            )
        path = self._weights_path(name)
        if not self._anew(name):
            with contextlib.suppress(StoreError, KeyError, TypeError, ValueError):
                return float(read_json(path)["weight"])
        try:
            runs = {q.name: [self.run(part, q) for part in system.parts] for q in dev_sets}
        except Missing:
            # Only the hybrid's own run makes its parts' dev runs.
            raise self._missing(name, dev_sets[0]) from None
        values = []
        for weight in WEIGHTS:
            columns = []
            for q in dev_sets:
                corpus = self._corpus(q)
                docs, scores = convex(runs[q.name], corpus.row_of, weight=weight)
                fused = Run.build(
                    system=name,
                    system_digest="",
                    query_set=q.name,
                    query_set_digest=q.digest,
                    corpus_digest=corpus.digest,
                    query_ids=q.ids,
                    doc_ids=corpus.ids,
                    docs=docs,
                    scores=scores,
                    depth=protocol.depth,
                    drop_self=protocol.drop_self,
                )
                columns.append(
                    measure(
                        fused,
                        self.suite.qrels(q.name),
                        protocol.measures[:1],
                        depth=protocol.depth,
                        relevance_level=protocol.relevance_level,
                    ).values[:, 0]
                )
            values.append(float(np.concatenate(columns).mean()))
        best = max(values)
        weight = min((w for w, v in zip(WEIGHTS, values, strict=True) if v >= best - 1e-12), key=lambda w: abs(w - 0.5))
        write_json(
            path, {"format": RUN_FORMAT, "weight": weight, "tried": dict(zip(map(str, WEIGHTS), values, strict=True))}
        )
        return weight


def _same(rows: NDArray[np.int64], others: NDArray[np.int64]) -> bool:
    """Whether two arrays of rankings, −1 padded to any width, are equal."""
    width = min(rows.shape[1], others.shape[1])
    return bool(
        (rows[:, :width] == others[:, :width]).all() and (rows[:, width:] < 0).all() and (others[:, width:] < 0).all()
    )
