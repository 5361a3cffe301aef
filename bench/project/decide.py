"""From a workspace to a decision: stored results, what systems are made of, times, quantities. No model is loaded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bench import stats
from bench.base.errors import BenchError, ConfigError, UsageError, did_you_mean
from bench.base.names import table_of
from bench.base.store import read_json
from bench.decide.case import Case
from bench.decide.choose import decide
from bench.decide.costs import Measured
from bench.decide.curve import Forecast, Point, forecast, read_points
from bench.decide.options import Facts
from bench.decide.records import Recommendation
from bench.decide.rules import threshold
from bench.decide.vocabulary import Vocabulary, read_vocabulary
from bench.evaluation.evaluate import Evaluator, Missing
from bench.evaluation.latency import stored_latency, timed_query_set
from bench.evaluation.measure import measure
from bench.gate.verdict import read_baseline
from bench.project.workspace import Workspace
from bench.records import Corpus, Result, Suite, digest_of
from bench.suites import checks
from bench.train.models import lineage


def decided(workspace: Workspace, suite: Suite, *, current: str | None = None, private: bool = False) -> Recommendation:
    """The recommendation for a suite, from what is stored.

    Args:
        workspace: config and store.
        suite: what is measured.
        current: the system in use; the config's, else the accepted baseline's, where None.
        private: leave out the words of the documents that would be shown.

    Raises:
        UsageError: the system in use is no system, or has no result.
        ConfigError: nothing says which system is in use; or what `[decide]` says is wrong.
    """
    gathered = _Gathered(workspace, suite)
    name, known_from = _current(workspace, suite, current, gathered.facts)
    results = gathered.results
    if name not in results:
        line = gathered.missing.get(name, f"bench run --system {name}")
        raise UsageError(
            f'System "{name}" is the one in use ({known_from}) and has no stored result on suite "{suite.name}". '
            f"Make it with: {line}"
        )
    case = Case(
        suite=suite.name,
        current=name,
        current_from=known_from,
        results=results,
        facts=gathered.facts,
        config=workspace.config.decide,
        recalls=gathered.recalls(name),
        latencies=gathered.latencies(name),
        missing=gathered.missing,
        doubts=tuple(_suite_errors(suite)),
    )
    vocabulary, query_tokens = gathered.vocabulary(name)
    if private and not isinstance(vocabulary, str):
        vocabulary = replace(vocabulary, examples=())
    case = replace(
        case,
        vocabulary=vocabulary,
        measured=gathered.measured(vocabulary, query_tokens),
        curves=tuple(_curves(workspace, case, gathered.held_out_values(), suite.digest)),
    )
    return decide(case)


def _current(workspace: Workspace, suite: Suite, given: str | None, facts: Mapping[str, Facts]) -> tuple[str, str]:
    """The system in use, and how that is known: said, or the accepted baseline; never guessed."""
    path = workspace.baseline_path(suite)
    if given is not None:
        name, source = given, "--current"
    elif workspace.config.decide.current is not None:
        name, source = workspace.config.decide.current, "[decide] current"
    elif path.exists():
        name, source = read_baseline(path)[0]["system"], f"the accepted baseline {path.name}"
    else:
        raise ConfigError(
            f'Which system is in use is not said. Add to {workspace.path}: [decide] current = "NAME" (one of '
            f"{', '.join(workspace.config.systems)}), or give --current NAME."
        )
    if name not in facts:
        raise UsageError(
            f'The system in use is "{name}" ({source}), which is no system of {workspace.path}; expected one of '
            f"{', '.join(list(facts)[:12])}.{did_you_mean(name, facts)} Say which: --current NAME."
        )
    return name, source


def _suite_errors(suite: Suite) -> Iterable[str]:
    errors = [finding for finding in checks.check(suite, thorough=False) if finding.severity == "error"]
    if errors:
        yield (
            f"bench check finds errors in the suite ({len(errors)}); do not rely on these numbers before they are "
            f"mended (first: {errors[0].message})"
        )


class _Gathered:
    """What the config's systems are made of, and what is stored about them."""

    def __init__(self, workspace: Workspace, suite: Suite) -> None:
        self.workspace, self.suite = workspace, suite
        self.facts: dict[str, Facts] = {}
        self.results: dict[str, dict[str, Result]] = {}
        self.missing: dict[str, str] = {}
        self.folders: dict[str, Path] = {}
        self.evaluator = self._evaluator()
        for table in workspace.config.systems:
            self._read(table)
        for facts in list(self.facts.values()):
            for part in facts.parts:
                if part not in self.facts:
                    self.facts[part] = self._unmade(table_of(part), part)

    def _evaluator(self) -> Evaluator:
        """One of all systems that can be built; of the others, `missing` says why not."""
        tables = list(self.workspace.config.systems)
        try:
            return self.workspace.evaluator(self.suite, tables, make=False)
        except ConfigError:
            for table in tables:
                try:
                    self.workspace.evaluator(self.suite, [table], make=False)
                except ConfigError as error:
                    # A model that has not been made or fetched yet.
                    self.missing[table] = str(error)
        built = [table for table in tables if table not in self.missing]
        if not built:
            raise UsageError(f"No system of {self.workspace.path} can be built: {next(iter(self.missing.values()))}")
        return self.workspace.evaluator(self.suite, built, make=False)

    def _read(self, table: str) -> None:
        """A table's systems: what they are made of, and their stored results."""
        if table in self.missing:
            # What it would be is known from its table all the same.
            self.facts[table] = self._unmade(table, table)
            return
        for name in [name for name in self.evaluator.systems if table_of(name) == table]:
            self.facts[name] = self._facts(self.evaluator.systems[name])
            try:
                self.results[name] = {result.query_set: result for result in self.evaluator.results([name])}
            except Missing:
                self.missing[name] = f"bench run --suite {Path(self.suite.path).as_posix()} --system {name}"
            except BenchError as error:
                self.missing[name] = str(error)

    def _facts(self, system: Any) -> Facts:
        encoder = getattr(system, "encoder", None)
        fingerprint = dict(encoder.fingerprint()) if encoder is not None else {}
        if encoder is not None and hasattr(encoder, "folder"):
            self.folders[system.name] = Path(encoder.folder)
        config = self.workspace.config.system(table_of(system.name))
        return Facts(
            system=system.name,
            option=config.option,
            parts=tuple(system.parts),
            dim=getattr(system, "dim", None),
            precision=getattr(system, "precision", None),
            paid_by_token=getattr(encoder, "paid_by_token", False),
            weights=_weights(fingerprint),
            trained=config.recipes,
            reorders=getattr(system, "reorders", None),
        )

    def _unmade(self, table: str, name: str) -> Facts:
        """A system from its table alone; a model to be trained is as large as its base."""
        settings, config = self.workspace.config.systems[table], self.workspace.config.system(table)
        trained, base = config.recipes, None
        if trained and config.option.name == "embedding" and trained[0] in self.workspace.config.finetune:
            base = self.facts.get(self.workspace.config.finetune[trained[0]].base)
        return Facts(
            system=name,
            option=config.option,
            parts=config.parts,
            dim=base.dim if base else None,
            precision="float32" if base else None,
            paid_by_token=bool(base and base.paid_by_token),
            weights=f"{base.weights} trained by {trained[0]}" if base else "",
            trained=trained,
            reorders=settings.get("depth") if config.option.name == "rerank" else None,
        )

    # --- recall at depths ---

    def recalls(self, current: str) -> dict[str, dict[int, float]]:
        """System → k → recall@k over all held-out queries, from stored rankings, for systems that have them all."""
        depths = {10, 100} | {facts.reorders for facts in self.facts.values() if facts.reorders}
        wanted = {current} | {part for facts in self.facts.values() if facts.reorders for part in facts.parts}
        recalls = {name: self._recall(name, sorted(k for k in depths if k)) for name in wanted if name in self.results}
        return {name: values for name, values in recalls.items() if values}

    def _recall(self, name: str, depths: list[int]) -> dict[int, float]:
        protocol = self.suite.protocol
        columns: dict[int, list[np.ndarray[Any, Any]]] = {k: [] for k in depths if k <= protocol.depth}
        measures = [f"recall@{k}" for k in columns]
        for query_set in self.suite.of_role("held-out"):
            result = self.results[name].get(query_set.name)
            if result is None:
                return {}
            if all(m in result.scores.measures for m in measures):
                scores = result.scores
            else:
                try:
                    run = self.evaluator.run(name, query_set)
                except BenchError:
                    return {}
                scores = measure(
                    run,
                    self.suite.qrels(query_set.name),
                    measures,
                    depth=protocol.depth,
                    relevance_level=protocol.relevance_level,
                )
            for k in columns:
                columns[k].append(scores.column(f"recall@{k}"))
        return {k: float(np.concatenate(parts).mean()) for k, parts in columns.items() if parts}

    # --- times ---

    def latencies(self, current: str) -> dict[str, stats.RatioInterval]:
        """System → its 95th percentile over the current system's, where both were timed together."""
        found: dict[str, stats.RatioInterval] = {}
        timed = timed_query_set(self.evaluator)
        rng = np.random.default_rng(0)
        for name in self.results:
            if name == current:
                continue
            times = stored_latency(self.evaluator, name, current, timed)
            if times is not None:
                found[name] = stats.percentile_ratio(*times, percentile=95, alpha=0.05, rng=rng)
        return found

    # --- quantities ---

    def measured(self, vocabulary: Vocabulary | str, tokens_per_query: float | None) -> Measured:
        """Quantities for the costs."""
        sizes = {corpus.digest: len(corpus.ids) for corpus in self.suite.corpora.values()}
        index: dict[str, tuple[int, int]] = {}
        encode: dict[str, float] = {}
        query: dict[str, float] = {}
        stages: dict[tuple[str, str], float] = {}
        for name, results in self.results.items():
            facts = self.facts[name]
            for result in results.values():
                n_docs, n_queries = sizes[result.corpus_digest], len(result.scores.query_ids)
                if not facts.dim and not facts.parts and result.index_bytes and n_docs >= index.get(name, (0, 0))[1]:
                    index[name] = (result.index_bytes, n_docs)
                # The slowest seen: vectors that were in the cache already took no time, and would look fast.
                if facts.weights:
                    _slowest(encode, facts.weights, n_docs, result.seconds.get("encode_documents"))
                    _slowest(query, facts.weights, n_queries, result.seconds.get("encode_queries"))
                for stage in facts.option.per_query:
                    _slowest(stages, (name, stage), n_queries, result.seconds.get(stage))
        for facts in self.facts.values():
            base = facts.weights.partition(" trained by ")[0]
            if base != facts.weights:
                for rates in (encode, query):
                    if base in rates:
                        rates.setdefault(facts.weights, rates[base])
        return Measured(
            documents=max(len(corpus.ids) for corpus in self._home()),
            index=index,
            encode_rate=encode,
            query_rate=query,
            stage_rate=stages,
            training_seconds=self._training(),
            tokens_per_document=None if isinstance(vocabulary, str) else vocabulary.tokens_per_text,
            tokens_per_query=tokens_per_query,
            pairs=self._pairs(),
        )

    def _training(self) -> dict[str, float]:
        """Recipe → seconds that all its current models took to train."""
        found = {}
        for name in self.workspace.config.finetune:
            folder = self.workspace.store.path("models", name)
            made = [
                document
                for pointer in sorted(folder.glob("seed-*"))
                if pointer.is_file()
                and (document := lineage(folder / pointer.read_text(encoding="utf-8").strip())) is not None
            ]
            if made:
                found[name] = float(sum(document["seconds"] for document in made))
        return found

    def _pairs(self) -> int | None:
        """Labelled training pairs at hand: relevant documents of the training queries; None without such queries."""
        sets = self.suite.of_role("train")
        if not sets:
            return None
        level = self.suite.protocol.relevance_level
        return sum(
            grade >= level for q in sets for grades in self.suite.qrels(q.name).values() for grade in grades.values()
        )

    # --- texts ---

    def _home(self) -> list[Corpus]:
        """Corpora that held-out queries search; all where there are no such queries."""
        names = {self.suite.query_sets[q.name].corpus for q in self.suite.of_role("held-out")}
        return [corpus for name, corpus in self.suite.corpora.items() if name in names or not names]

    def vocabulary(self, current: str) -> tuple[Vocabulary | str, float | None]:
        """The largest corpus of held-out queries in the base's pieces, and pieces a held-out query."""
        folder = self.folders.get(current) or next(
            (self.folders[name] for name, f in self.facts.items() if name in self.folders and not f.trained), None
        )
        if folder is None:
            return "no system of the config has a model with files of its own", None
        corpus = max(self._home(), key=lambda one: len(one.ids))
        found = read_vocabulary(folder, corpus.texts)
        queries = read_vocabulary(folder, [text for q in self.suite.of_role("held-out") for text in q.texts])
        return found, None if isinstance(queries, str) else queries.tokens_per_text

    # --- learning curve ---

    def held_out_values(self) -> dict[tuple[str, str, str], Any]:
        """(weights, query set, measure) → float64[n_queries], from stored results at full size."""
        found: dict[tuple[str, str, str], Any] = {}
        sizes: dict[tuple[str, str], int] = {}
        if not self.workspace.store.path("loops", "").is_dir():
            return found
        for path in self.workspace.store.path("results", "").glob("*.json"):
            try:
                result = Result.from_json(read_json(path), where=str(path))
            except BenchError:
                continue
            fingerprint = result.recipe.get("fingerprint", {})
            weights = (fingerprint.get("encoder") or {}).get("weights") if isinstance(fingerprint, Mapping) else None
            full = isinstance(fingerprint, Mapping) and fingerprint.get("precision") == "float32"
            if not weights or not full or result.suite_digest != self.suite.digest:
                continue
            dim = int(fingerprint.get("dim") or 0)
            if dim >= sizes.get((weights, result.query_set), 0):
                sizes[weights, result.query_set] = dim
                for name in result.scores.measures:
                    found[weights, result.query_set, name] = result.scores.column(name)
        return found


def _slowest(rates: dict[Any, float], key: Any, n: int, seconds: float | None) -> None:
    if seconds:
        rates[key] = min(rates.get(key, float("inf")), n / seconds)


def _weights(fingerprint: Mapping[str, Any]) -> str:
    return digest_of(fingerprint) if fingerprint else ""


def _curves(
    workspace: Workspace, case: Case, values: Mapping[tuple[str, str, str], Any], digest: str
) -> Iterable[Forecast]:
    """A forecast, or a refusal, for every loop that was run on this suite."""
    least = int(threshold("enough-to-forecast", case.config).value)
    for path in sorted(workspace.store.path("loops", "").glob("*.json")):
        document = read_json(path)
        if isinstance(document, dict) and document.get("suite") not in (None, case.suite):
            continue
        if isinstance(document, dict) and document.get("suite_digest") not in (None, digest):
            why = f"The suite has changed since it was measured; run it anew: bench loop {path.stem}"
            yield Forecast(path.stem, case.measure, "", {}, 0, refusal=why)
            continue
        points: list[Point] = [
            replace(point, values=values.get((point.weights, point.query_set, point.measure)))
            for point in read_points(document, where=str(path))
        ]
        yield forecast(path.stem, points, measure=case.measure, least_queries=least)
