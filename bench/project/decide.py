"""From a workspace to a decision: stored results, parts of systems, times, quantities. No model is loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
from bench.decide.costs import Quantities
from bench.decide.curve import Forecast, forecast, read_points
from bench.decide.options import Facts
from bench.decide.records import Recommendation
from bench.decide.rules import threshold
from bench.decide.vocabulary import Vocabulary, read_vocabulary
from bench.evaluation.evaluate import Missing
from bench.evaluation.latency import stored_latency, timed_query_set
from bench.evaluation.measure import measure
from bench.gate.verdict import read_baseline
from bench.project.workspace import Workspace
from bench.records import Result, Suite, digest_of
from bench.suites import checks
from bench.train.models import lineage


def decided(workspace: Workspace, suite: Suite, *, current: str | None = None, private: bool = False) -> Recommendation:
    """The recommendation for a suite, from stored results.

    `current` is the system in use; the config's, else the accepted baseline's, where None. `private` leaves out the
    words of documents that the recommendation shows.

    Raises:
        UsageError: the system in use is no system, or has no result.
        ConfigError: nothing says which system is in use; or `[decide]` is wrong.
    """
    evidence = _Evidence(workspace, suite)
    name, source = _current(workspace, suite, current, evidence.facts)
    if name not in evidence.results:
        raise UsageError(
            f'System "{name}" is the one in use ({source}) and has no stored result on suite "{suite.name}". '
            f"Make it with: {evidence.missing.get(name, f'bench run --system {name}')}"
        )
    doubts = []
    if errors := [finding for finding in checks.check(suite, thorough=False) if finding.severity == "error"]:
        doubts.append(
            f"bench check finds errors in the suite ({len(errors)}); do not rely on these numbers before they are "
            f"mended (first: {errors[0].message})"
        )
    vocabulary, query_tokens = evidence.vocabulary(name)
    if private and not isinstance(vocabulary, str):
        vocabulary = replace(vocabulary, examples=())
    case = Case(
        suite=suite.name,
        current=name,
        current_from=source,
        results=evidence.results,
        facts=evidence.facts,
        config=workspace.config.decide,
        recalls=evidence.recalls(name),
        latencies=evidence.latencies(name),
        missing=evidence.missing,
        doubts=tuple(doubts),
        vocabulary=vocabulary,
        measured=evidence.quantities(vocabulary, query_tokens),
    )
    return decide(replace(case, curves=tuple(evidence.curves(case))))


def _current(workspace: Workspace, suite: Suite, name: str | None, facts: Mapping[str, Facts]) -> tuple[str, str]:
    """The system in use, and its source: an option, the config or the accepted baseline; never a guess."""
    path, source = workspace.baseline_path(suite), "--current"
    if name is None:
        name, source = workspace.config.decide.current, "[decide] current"
    if name is None and path.exists():
        name, source = str(read_baseline(path)[0]["system"]), f"the accepted baseline {path.name}"
    if name is None:
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


class _Evidence:
    """The parts of the config's systems, and the stored results about them."""

    def __init__(self, workspace: Workspace, suite: Suite) -> None:
        self.workspace, self.suite = workspace, suite
        self.facts: dict[str, Facts] = {}
        self.results: dict[str, dict[str, Result]] = {}
        self.folders: dict[str, Path] = {}
        built, self.missing = workspace.buildable(suite)
        if not built:
            raise UsageError(f"No system of {workspace.path} can be built: {next(iter(self.missing.values()))}")
        self.evaluator = workspace.evaluator(suite, built, make=False)
        for table in workspace.config.systems:
            self._read(table)
        for facts in list(self.facts.values()):
            for part in facts.parts:
                if part not in self.facts:
                    self.facts[part] = self._planned(table_of(part), part)
        names = {query_set.corpus for query_set in suite.of_role("held-out")}
        self.corpora = [corpus for name, corpus in suite.corpora.items() if name in names or not names]
        """The corpora that held-out queries search; all where there are no such queries."""

    def _read(self, table: str) -> None:
        """Read the facts and the stored results of a table's systems."""
        if table in self.missing:
            self.facts[table] = self._planned(table, table)
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
            weights=digest_of(fingerprint) if fingerprint else "",
            trained=config.recipes,
            reorders=getattr(system, "reorders", None),
        )

    def _planned(self, table: str, name: str) -> Facts:
        """The facts of a system that cannot be built, from its table; a model to be trained is as large as its base."""
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
            scores = result.scores
            if not set(measures) <= set(scores.measures):
                try:
                    run = self.evaluator.run(name, query_set)
                except BenchError:
                    return {}
                qrels, level = self.suite.qrels(query_set.name), protocol.relevance_level
                scores = measure(run, qrels, measures, depth=protocol.depth, relevance_level=level)
            for k in columns:
                columns[k].append(scores.column(f"recall@{k}"))
        return {k: float(np.concatenate(parts).mean()) for k, parts in columns.items() if parts}

    def latencies(self, current: str) -> dict[str, stats.RatioInterval]:
        """System → its 95th percentile over the current system's, where both were timed together."""
        ratios: dict[str, stats.RatioInterval] = {}
        timed = timed_query_set(self.evaluator)
        rng = np.random.default_rng(0)
        for name in self.results:
            times = None if name == current else stored_latency(self.evaluator, name, current, timed)
            if times is not None:
                ratios[name] = stats.percentile_ratio(*times, percentile=95, alpha=0.05, rng=rng)
        return ratios

    def quantities(self, vocabulary: Vocabulary | str, tokens_per_query: float | None) -> Quantities:
        """Quantities for the costs."""
        sizes = {corpus.digest: len(corpus.ids) for corpus in self.suite.corpora.values()}
        index: dict[str, tuple[int, int]] = {}
        encode: dict[str, float] = {}
        query: dict[str, float] = {}
        stages: dict[tuple[str, str], float] = {}

        def slowest(rates: dict[Any, float], key: Any, n: int, seconds: float | None) -> None:
            """Keep the lowest rate: vectors that came from the cache took no time, and would look fast."""
            if seconds:
                rates[key] = min(rates.get(key, float("inf")), n / seconds)

        for name, results in self.results.items():
            facts = self.facts[name]
            for result in results.values():
                n_docs, n_queries = sizes[result.corpus_digest], len(result.scores.query_ids)
                if not facts.dim and not facts.parts and result.index_bytes and n_docs >= index.get(name, (0, 0))[1]:
                    index[name] = (result.index_bytes, n_docs)
                if facts.weights:
                    slowest(encode, facts.weights, n_docs, result.seconds.get("encode_documents"))
                    slowest(query, facts.weights, n_queries, result.seconds.get("encode_queries"))
                for stage in facts.option.per_query:
                    slowest(stages, (name, stage), n_queries, result.seconds.get(stage))
        for facts in self.facts.values():
            base = facts.weights.partition(" trained by ")[0]
            for rates in (encode, query):
                if base != facts.weights and base in rates:
                    rates.setdefault(facts.weights, rates[base])
        return Quantities(
            documents=max(len(corpus.ids) for corpus in self.corpora),
            index=index,
            encode_rate=encode,
            query_rate=query,
            stage_rate=stages,
            training_seconds=self._training_seconds(),
            tokens_per_document=None if isinstance(vocabulary, str) else vocabulary.tokens_per_text,
            tokens_per_query=tokens_per_query,
            pairs=self._pairs(),
        )

    def _training_seconds(self) -> dict[str, float]:
        """Recipe → seconds that all its current models took to train."""
        seconds = {}
        for name in self.workspace.config.finetune:
            folder = self.workspace.store.path("models", name)
            targets = [p.read_text(encoding="utf-8").strip() for p in sorted(folder.glob("seed-*")) if p.is_file()]
            models = [document for target in targets if (document := lineage(folder / target)) is not None]
            if models:
                seconds[name] = float(sum(document["seconds"] for document in models))
        return seconds

    def _pairs(self) -> int | None:
        """The number of relevant documents of the training queries; None without such queries."""
        sets, level = self.suite.of_role("train"), self.suite.protocol.relevance_level
        grades = [grade for q in sets for row in self.suite.qrels(q.name).values() for grade in row.values()]
        return sum(grade >= level for grade in grades) if sets else None

    def vocabulary(self, current: str) -> tuple[Vocabulary | str, float | None]:
        """The vocabulary of the largest corpus of held-out queries, and the mean number of tokens of such a query."""
        others = (name for name, facts in self.facts.items() if not facts.trained)
        folder = next((self.folders[name] for name in (current, *others) if name in self.folders), None)
        if folder is None:
            return "no system of the config has a model with files of its own", None
        corpus = max(self.corpora, key=lambda corpus: len(corpus.ids))
        documents = read_vocabulary(folder, corpus.texts)
        queries = read_vocabulary(folder, [text for q in self.suite.of_role("held-out") for text in q.texts])
        return documents, None if isinstance(queries, str) else queries.tokens_per_text

    def curves(self, case: Case) -> Iterator[Forecast]:
        """A forecast, or a refusal, for every loop on this suite."""
        least = int(threshold("enough-to-forecast", case.config).value)
        paths = sorted(self.workspace.store.path("loops", "").glob("*.json"))
        values = self._held_out_values() if paths else {}
        for path in paths:
            document = read_json(path)
            if isinstance(document, dict):
                if document.get("suite") not in (None, case.suite):
                    continue
                if document.get("suite_digest") not in (None, self.suite.digest):
                    why = f"The suite has changed since it was measured; run it anew: bench loop {path.stem}"
                    yield Forecast(path.stem, case.measure, "", {}, 0, refusal=why)
                    continue
            points = [
                replace(point, values=values.get((point.weights, point.query_set, point.measure)))
                for point in read_points(document, where=str(path))
            ]
            yield forecast(path.stem, points, measure=case.measure, least_queries=least)

    def _held_out_values(self) -> dict[tuple[str, str, str], Any]:
        """(weights, query set, measure) → float64[n_queries], from stored results at the largest size."""
        values: dict[tuple[str, str, str], Any] = {}
        sizes: dict[tuple[str, str], int] = {}
        for path in self.workspace.store.path("results", "").glob("*.json"):
            try:
                result = Result.from_json(read_json(path), where=str(path))
            except BenchError:
                continue
            fingerprint = result.recipe.get("fingerprint")
            if not isinstance(fingerprint, Mapping) or fingerprint.get("precision") != "float32":
                continue
            weights = (fingerprint.get("encoder") or {}).get("weights")
            if not weights or result.suite_digest != self.suite.digest:
                continue
            dim = int(fingerprint.get("dim") or 0)
            if dim >= sizes.get((weights, result.query_set), 0):
                sizes[weights, result.query_set] = dim
                for name in result.scores.measures:
                    values[weights, result.query_set, name] = result.scores.column(name)
        return values
