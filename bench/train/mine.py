"""Hard negatives: documents that rank high and do not answer. By id, from BM25 and from the base model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.checks import normalized
from bench.config import NegativesConfig
from bench.embed import embed
from bench.errors import ConfigError
from bench.evaluate import Evaluator
from bench.records import Corpus, Progress, QuerySet, Run, Suite, digest_of, no_progress
from bench.search import truncated
from bench.train.pairs import Pairs

__all__ = ["MiningReport", "Negatives", "mine"]


@dataclass
class MiningReport:
    """What was mined: counts a reader can judge the negatives by."""

    queries: int = 0
    candidates: int = 0
    known_positives: int = 0
    copies_of_positives: int = 0
    too_close: int = 0
    filled_at_random: int = 0
    from_system: dict[str, int] = field(default_factory=dict)
    examples: list[dict[str, Any]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)


@dataclass(frozen=True)
class Negatives:
    """(corpus, query text) → document ids, hardest first; every query has as many as were asked for."""

    doc_ids: Mapping[tuple[str, str], tuple[str, ...]] = field(repr=False)
    report: MiningReport

    @property
    def digest(self) -> str:
        """32 hex digits over all of them."""
        return digest_of(sorted([*key, *ids] for key, ids in self.doc_ids.items()))


def mine(
    evaluator: Evaluator, pairs: Pairs, settings: NegativesConfig, *, seed: int = 0, progress: Progress = no_progress
) -> Negatives:
    """Hard negatives for every training query.

    Candidates are the best documents of each named system. Left out are all known positives of the query, and
    documents whose text equals a positive's (a copy under another id answers just as well). A candidate that the
    reference model, which is the first dense system named, scores above (1 − margin) × the *weakest* positive is
    left out too: it may well be an unjudged answer. Where too few remain, documents drawn at random fill up.

    Raises:
        ConfigError: a named system is none, or pairs are of a corpus that the suite lacks.
    """
    suite = evaluator.suite
    for name in settings.from_:
        if name not in evaluator.systems:
            raise ConfigError(f'negatives.from names "{name}"; expected one of {", ".join(evaluator.systems)}.')
    report, found = MiningReport(), {}
    rng = np.random.default_rng(seed)
    known = _known_positives(suite, pairs)
    for query_set in _as_query_sets(pairs):
        corpus = suite.corpora.get(query_set.corpus)
        if corpus is None:
            raise ConfigError(
                f'{len(query_set.ids)} pairs name corpus "{query_set.corpus}", which suite "{suite.name}" lacks; '
                f"expected one of {', '.join(suite.corpora)}. Negatives are mined from a corpus of the suite."
            )
        runs = {system: evaluator.run(system, query_set) for system in settings.from_}
        similarity = _similarity(evaluator, settings.from_, query_set, corpus, progress)
        texts = [normalized(text) for text in corpus.texts]
        for row, query in enumerate(query_set.texts):
            positives = sorted(corpus.row_of[d] for d in known[corpus.name, normalized(query)] if d in corpus.row_of)
            scores = similarity(row) if similarity else None
            rows = _for_query(row, runs, corpus, positives, texts, scores, settings, report)
            rows = _filled(rows, positives, settings, len(texts), rng, report)
            found[corpus.name, query] = tuple(corpus.ids[r] for r in rows)
            if len(report.examples) < 20 and row % max(1, len(query_set.ids) // 20) == 0:
                report.examples.append(
                    {
                        "query": query,
                        "positive": corpus.ids[positives[0]],
                        "negatives": list(found[corpus.name, query]),
                    }
                )
    report.queries = len(found)
    return Negatives(found, report)


def _as_query_sets(pairs: Pairs) -> list[QuerySet]:
    """The pairs' queries as one set a corpus: each text once, under the id that it bears first."""
    queries: dict[str, dict[str, str]] = {}
    for pair in pairs.pairs:
        queries.setdefault(pair.corpus, {}).setdefault(pair.query, pair.query_id)
    made = []
    for corpus, id_of in queries.items():
        taken: dict[str, str] = {}
        for number, (text, query_id) in enumerate(id_of.items()):
            taken[query_id if query_id and query_id not in taken else f"{query_id}#{number}"] = text
        made.append(QuerySet.build("pairs", "train", corpus, taken.items()))
    return made


def _known_positives(suite: Suite, pairs: Pairs) -> dict[tuple[str, str], set[str]]:
    """(corpus, normalised query) → ids that answer it, by any pair and by any training or dev judgement."""
    known: dict[tuple[str, str], set[str]] = {}
    for pair in pairs.pairs:
        known.setdefault((pair.corpus, normalized(pair.query)), set()).add(pair.doc_id)
    for query_set in suite.of_role("train", "dev"):
        for query_id, text in zip(query_set.ids, query_set.texts, strict=True):
            key = query_set.corpus, normalized(text)
            if key in known:
                grades = suite.qrels(query_set.name).get(query_id, {})
                known[key].update(d for d, grade in grades.items() if grade >= suite.protocol.relevance_level)
    return known


def _similarity(
    evaluator: Evaluator, names: Sequence[str], query_set: QuerySet, corpus: Corpus, progress: Progress
) -> Any:
    """Row of a query → float32[n_docs] by the first dense system named; None where there is none."""
    for name in names:
        system = evaluator.systems[name]
        if system.kind != "dense":
            continue
        encoder, dim = system.encoder, system.dim  # type: ignore[attr-defined]
        options: dict[str, Any] = {"store": evaluator.store, "progress": progress}
        documents = truncated(embed(encoder, corpus.texts, kind="document", **options).rows, dim, normalize=True)
        queries = truncated(embed(encoder, query_set.texts, kind="query", **options).rows, dim, normalize=True)
        return lambda row: documents @ queries[row]
    return None


def _for_query(
    row: int,
    runs: Mapping[str, Run],
    corpus: Corpus,
    positives: Sequence[int],
    texts: Sequence[str],
    scores: NDArray[np.float32] | None,
    settings: NegativesConfig,
    report: MiningReport,
) -> list[int]:
    """Corpus rows of the negatives of one query, hardest first."""
    positive_texts = {texts[p] for p in positives}
    ceiling = np.inf
    if scores is not None:
        # Margin against the weakest positive: against the best one, a second answer would pass as a negative.
        weakest = float(min(scores[p] for p in positives))
        ceiling = weakest - settings.relative_margin * abs(weakest)
    kept: dict[int, tuple[float, str]] = {}
    for system, run in runs.items():
        ranked = [corpus.row_of[doc_id] for doc_id in run.ranking(row, settings.skip + settings.depth)]
        for place, candidate in enumerate(ranked[settings.skip :]):
            report.candidates += 1
            if candidate in positives:
                report.known_positives += 1
            elif texts[candidate] in positive_texts:
                report.copies_of_positives += 1
            elif scores is not None and scores[candidate] > ceiling:
                report.too_close += 1
            else:
                hardness = float(scores[candidate]) if scores is not None else -float(place)
                kept.setdefault(candidate, (hardness, system))
    chosen = sorted(kept, key=lambda candidate: (-kept[candidate][0], candidate))[: settings.per_query]
    for candidate in chosen:
        system = kept[candidate][1]
        report.from_system[system] = report.from_system.get(system, 0) + 1
    return chosen


def _filled(
    rows: list[int],
    positives: Sequence[int],
    settings: NegativesConfig,
    n_docs: int,
    rng: np.random.Generator,
    report: MiningReport,
) -> list[int]:
    """The rows, filled up with random documents that are no known positives, and the random ones asked for."""
    count = settings.per_query + settings.random_per_query
    if len(rows) >= count:
        return rows
    allowed = np.setdiff1d(np.arange(n_docs), [*positives, *rows])
    if len(allowed) < count - len(rows):
        raise ConfigError(f"negatives: {count} a query are wanted, one has only {len(rows) + len(allowed)} others.")
    extra = rng.choice(allowed, size=count - len(rows), replace=False)
    report.filled_at_random += len(extra) - settings.random_per_query
    return [*rows, *(int(row) for row in extra)]
