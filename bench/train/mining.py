"""Mining of hard negatives: documents that rank high for a training query and do not answer it.

`mine` chooses them by id: from the rankings of systems, from documents that people named, or from a file.
`mining_report` counts what was chosen and rejected; `negatives` has the result and its file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.base.errors import ConfigError, did_you_mean
from bench.base.progress import Progress, no_progress
from bench.config import CheckConfig, NegativesConfig
from bench.evaluation.evaluate import Evaluator
from bench.records import Corpus, QuerySet
from bench.retrieval import rerankers
from bench.retrieval.embed import embed, score_pairs
from bench.retrieval.search import truncated
from bench.train.mining_report import EXAMPLES, MiningReport, Suspect
from bench.train.negatives import Negatives, read_negatives
from bench.train.pairs import Pair, Pairs
from bench.train.positives import KnownPositives, Positives, corpora_of, query_sets

BLOCK = 2048
"""Queries whose candidates are in memory at the same time."""

MANUAL, FILE = "manual", "file"
"""Sources in the report: negatives that people named, and negatives read from a file."""

_TOO_GOOD = ("too_close", "over_max_score")
_EXCERPT = 300


@dataclass(frozen=True)
class _Candidate:
    """A document that no rule forbids: its row, the system that is credited, and its score or minus its rank."""

    row: int
    system: str
    hardness: float


@dataclass
class _Query:
    """A training query: its positives, a model's scores of texts for it, its candidates in order, its negatives."""

    id: str
    key: tuple[str, str]
    corpus: Corpus
    positives: Positives
    scores: Callable[[Sequence[str]], list[float]] | None = None
    candidates: list[_Candidate] = field(default_factory=list)
    negatives: list[_Candidate] = field(default_factory=list)

    @property
    def text(self) -> str:
        return self.key[1]


def mine(
    evaluator: Evaluator,
    pairs: Pairs,
    settings: NegativesConfig,
    *,
    seed: int = 0,
    progress: Progress = no_progress,
) -> Negatives:
    """Hard negatives for every training query, or those in the settings' file.

    Candidates are the documents at ranks `skip` + 1 to `skip` + `depth` of each named system, and those that people
    named. Left out are all known positives of the query, and documents whose text equals or nearly equals a
    positive's, since they answer just as well. A candidate that the reference model scores above (1 − relative_margin)
    × or `margin` below the *weakest* positive, or above `max_score`, is left out too: it may be an unjudged answer.
    So is one that a cross-encoder scores within `check.margin` of the weakest positive, or at `check.threshold` or
    more. Where too few remain, random documents fill up; they are no known positives, and no score is asked of them.

    Draws depend on the seed and the query alone: another query changes no negatives of this one.
    Judgements of held-out and out-of-distribution sets are not opened; their documents may be negatives.

    Args:
        evaluator: the suite, the systems that rank, and the store.
        settings: see docs/mining.md.

    Raises:
        ConfigError: an unknown system, a margin without a model to score by, or pairs whose corpus the suite lacks.
        PairsError: a file of negatives that cannot be used.
    """
    return _Miner(evaluator, pairs, settings, seed, progress).run()


class _Miner:
    """One call of `mine`."""

    def __init__(
        self, evaluator: Evaluator, pairs: Pairs, settings: NegativesConfig, seed: int, progress: Progress
    ) -> None:
        for name in settings.systems:
            if name not in evaluator.systems:
                key = "from" if name in settings.from_ else "reference"
                raise ConfigError(
                    f'negatives.{key} names "{name}"; expected one of {", ".join(evaluator.systems)}.'
                    f"{did_you_mean(name, evaluator.systems)}"
                )
        self.evaluator, self.pairs, self.settings, self.seed = evaluator, pairs, settings, seed
        self.progress, self.suite, self.report = progress, evaluator.suite, MiningReport()
        self.corpora = corpora_of(self.suite, pairs, settings.corpus)
        self.positives = KnownPositives(self.suite, pairs)
        self.reference = self._reference_system()
        self.report.reference = self.reference.name if self.reference else None
        self.manual = self._read(settings.manual)
        self.file = self._read(settings.file)

    def run(self) -> Negatives:
        doc_ids = dict[tuple[str, str], tuple[str, ...]]()
        for query_set in query_sets(self.pairs):
            for query in self._mined(query_set):
                for candidate in query.negatives:
                    self.report.count_negative(candidate.system)
                if query.scores:
                    self.report.scores["negatives"].add(c.hardness for c in query.negatives if c.system != MANUAL)
                rows = [candidate.row for candidate in query.negatives]
                rows += self._random_rows(query, rows)
                doc_ids[query.key] = tuple(query.corpus.ids[row] for row in rows)
        self.report.queries = len(doc_ids)
        self._add_examples(doc_ids)
        return Negatives(doc_ids, self.report, self.corpora)

    def _reference_system(self) -> Any:
        """The dense system whose scores the margins use: the named one, else the first of the sources' parts."""
        settings, systems = self.settings, self.evaluator.systems
        names = [settings.reference] if settings.reference else list(settings.from_)
        while names:
            system = systems[names.pop(0)]
            if hasattr(system, "encoder"):
                return system
            names = [*system.parts, *names]
        keys = ["reference"] if settings.reference else []
        keys += [key for key in ("margin", "max_score") if getattr(settings, key) is not None]
        if keys:
            raise ConfigError(
                f"negatives.{keys[0]} needs a model's similarity, and "
                f"{settings.reference or 'none of the systems named'} has one: expected a dense system, such as "
                'reference = "minilm".'
            )
        return None

    def _read(self, name: str | None) -> dict[tuple[str, str], list[str]]:
        if not name:
            return {}
        listed, unknown = read_negatives(self.settings.base / Path(name).expanduser()).by_key(self.pairs, self.corpora)
        queries = {pair.key for pair in self.pairs.pairs}
        self.report.file = {
            "queries": len(listed),
            "lines_of_no_query": unknown,
            "queries_without_line": len(queries - listed.keys()),
        }
        return listed

    def _query(self, query_set: QuerySet, number: int) -> _Query:
        corpus, text = self.corpora[query_set.corpus], query_set.texts[number]
        return _Query(query_set.ids[number], (query_set.corpus, text), corpus, self.positives.of(text, corpus))

    def _named(self, listed: Mapping[tuple[str, str], Sequence[str]], source: str, query: _Query) -> list[_Candidate]:
        """Candidates that people or a file named for a query, in their order, without known positives."""
        named = []
        for doc_id in listed.get(query.key, ()):
            row = query.corpus.row_of[doc_id]
            reason = self.positives.reason(query.positives, doc_id, query.corpus.texts[row])
            self.report.count_candidate(source, reason)
            if reason is None:
                named.append(_Candidate(row, source, np.inf))
        return named

    def _mined(self, query_set: QuerySet) -> Iterator[_Query]:
        """Queries with their hard negatives, from the settings' file or mined."""
        settings, depth = self.settings, self.suite.protocol.depth
        queries = [self._query(query_set, number) for number in range(len(query_set.ids))]
        if settings.file:
            for query in queries:
                query.negatives = self._named(self.file, FILE, query)[: settings.per_query]
            yield from queries
            return
        if settings.from_ and settings.skip >= depth:
            raise ConfigError(
                f'negatives.skip is {settings.skip}, and suite "{self.suite.name}" keeps {depth} ranks; expected less.'
            )
        corpus = self.corpora[query_set.corpus]
        ranked = {name: self._ranked(name, query_set, corpus) for name in settings.from_}
        if ranked:
            self.report.ranks = (settings.skip + 1, min(settings.skip + settings.depth, depth))
        if self.reference is not None:
            # Candidates and positives alone are embedded: not a million documents.
            rows = np.unique(np.concatenate([np.unique(r) for r in ranked.values()] or [np.empty(0, np.int64)]))
            texts = dict.fromkeys(corpus.texts[row] for row in rows[rows >= 0].tolist())
            texts |= dict.fromkeys(text for query in queries for _, text in query.positives.texts)
            similarity = self._similarity(query_set.texts, list(texts))
            for number, query in enumerate(queries):
                query.scores = partial(similarity, number)
        for start in range(0, len(queries), BLOCK):
            block = queries[start : start + BLOCK]
            for number, query in enumerate(block, start):
                query.negatives = self._named(self.manual, MANUAL, query)
                rows_of = {name: rows[number][rows[number] >= 0].tolist() for name, rows in ranked.items()}
                query.candidates = self._ordered(query, rows_of)
            self._choose(block)
            self.progress("mine negatives", start + len(block), len(queries))
            yield from block
            for query in block:
                query.candidates = []

    def _ranked(self, name: str, query_set: QuerySet, corpus: Corpus) -> NDArray[np.int64]:
        """int64[n_queries, depth] rows of the corpus at the ranks of the settings, padded with −1."""
        wanted = QuerySet(query_set.name, query_set.role, corpus.name, query_set.ids, query_set.texts, query_set.digest)
        run = self.evaluator.run(name, wanted)
        rows = np.asarray([*(corpus.row_of[doc_id] for doc_id in run.doc_ids), -1], dtype=np.int64)
        ranked: NDArray[np.int64] = rows[run.docs[:, self.settings.skip : self.settings.skip + self.settings.depth]]
        return ranked

    def _similarity(self, queries: Sequence[str], texts: Sequence[str]) -> Callable[[int, Sequence[str]], list[float]]:
        """A function of a query's number and some of the texts: their scores by the reference model."""
        system, store, progress = self.reference, self.evaluator.store, self.progress

        def vectors(texts: Sequence[str], kind: str) -> NDArray[np.float32]:
            rows = embed(system.encoder, texts, kind=kind, store=store, progress=progress).rows
            return truncated(rows, system.dim, normalize=system.similarity == "cosine")

        row_of = {text: row for row, text in enumerate(texts)}
        text_vectors, query_vectors = vectors(texts, "document"), vectors(queries, "query")

        def scores(number: int, texts: Sequence[str]) -> list[float]:
            products: list[float] = (text_vectors[[row_of[text] for text in texts]] @ query_vectors[number]).tolist()
            return products

        return scores

    def _ordered(self, query: _Query, rows_of: Mapping[str, Sequence[int]]) -> list[_Candidate]:
        """Candidates that no rule forbids, in the order in which they are taken; `rows_of` is ranked, by system."""
        corpus, scores = query.corpus, dict[int, float]()
        rows = list(dict.fromkeys(row for ranked in rows_of.values() for row in ranked))
        reasons = {row: self.positives.reason(query.positives, corpus.ids[row], corpus.texts[row]) for row in rows}
        if query.scores:
            scores = dict(zip(rows, query.scores([corpus.texts[row] for row in rows]), strict=True))
            positive_scores = query.scores([text for _, text in query.positives.texts])
            weakest = min(positive_scores)
            for row in rows:
                reasons[row] = reasons[row] or self._too_good(query, row, scores[row], weakest)
            self.report.scores["positives"].add(positive_scores)
            self.report.scores["rejected"].add(scores[row] for row in rows if reasons[row] in _TOO_GOOD)
        named = {candidate.row for candidate in query.negatives}
        hardest: dict[int, _Candidate] = {}
        for system, ranked in rows_of.items():
            for rank, row in enumerate(ranked):
                self.report.count_candidate(system, reasons[row])
                hardness = scores[row] if query.scores else -float(rank)
                if reasons[row] is not None or row in named:
                    continue
                if row not in hardest or hardness > hardest[row].hardness:
                    hardest[row] = _Candidate(row, system, hardness)
        ordered = sorted(hardest.values(), key=lambda candidate: (-candidate.hardness, candidate.row))
        if self.settings.pick == "random":
            ordered = [ordered[i] for i in self._generator(query, "pick").permutation(len(ordered))]
        return ordered

    def _too_good(self, query: _Query, row: int, score: float, weakest: float) -> str | None:
        """Why a candidate scores too high to be a negative; None where it does not.

        The margin starts at the weakest positive: from the best one, a second answer would pass as a negative.
        """
        settings = self.settings
        allowed = weakest - settings.relative_margin * abs(weakest)
        if settings.margin is not None:
            allowed = min(allowed, weakest - settings.margin)
        for reason, limit in (("too_close", allowed), ("over_max_score", settings.max_score)):
            if limit is not None and score > limit:
                self._add_suspect(query, row, reason, score, weakest, score - limit)
                return reason
        return None

    def _add_suspect(self, query: _Query, row: int, reason: str, score: float, weakest: float, excess: float) -> None:
        texts = (query.text, query.corpus.texts[row], query.positives.texts[0][1])
        excerpts = [text if len(text) <= _EXCERPT else text[: _EXCERPT - 1] + "…" for text in texts]
        doc_id = query.corpus.ids[row]
        self.report.add_suspect(Suspect(float(excess), query.id, doc_id, reason, score, weakest, *excerpts))

    def _choose(self, block: Sequence[_Query]) -> None:
        """Add candidates to each query's negatives, in order, up to `per_query`."""
        wanted = self.settings.per_query
        for query in block:
            query.negatives = query.negatives[:wanted]
        if self.settings.check:
            self._choose_checked(block, self.settings.check)
            return
        for query in block:
            query.negatives += query.candidates[: wanted - len(query.negatives)]

    def _choose_checked(self, block: Sequence[_Query], check: CheckConfig) -> None:
        """The same, without candidates that a cross-encoder scores like a positive: raw scores, on its own scale."""
        models, store = self.evaluator.store.root / "models", self.evaluator.store
        scorer = rerankers.build(check.reranker, "negatives.check.reranker", base=self.settings.base, models=models)

        def scores(pairs: Sequence[tuple[str, str]]) -> list[float]:
            return score_pairs(scorer, pairs, store=store, progress=self.progress).rows[:, 0].tolist() if pairs else []

        positives = [(i, query.text, text) for i, query in enumerate(block) for _, text in query.positives.texts]
        weakest = [np.inf] * len(block)
        for (i, _, _), score in zip(positives, scores([(query, text) for _, query, text in positives]), strict=True):
            weakest[i] = min(weakest[i], score)
        position = [0] * len(block)
        # In rounds: a round reads only what would be taken, the next one what takes the place of the rejected ones.
        while True:
            read: list[tuple[int, _Candidate]] = []
            for i, query in enumerate(block):
                missing = self.settings.per_query - len(query.negatives)
                read += [(i, candidate) for candidate in query.candidates[position[i] : position[i] + missing]]
                position[i] += missing
            if not read:
                return
            texts = [(block[i].text, block[i].corpus.texts[candidate.row]) for i, candidate in read]
            for (i, candidate), score in zip(read, scores(texts), strict=True):
                limit = weakest[i] - check.margin
                if check.threshold is not None:
                    limit = min(limit, check.threshold)
                if score < limit:
                    block[i].negatives.append(candidate)
                else:
                    self.report.count_rejected(candidate.system, "by_reranker")
                    self._add_suspect(block[i], candidate.row, "by_reranker", score, weakest[i], score - limit)

    def _generator(self, query: _Query, purpose: str) -> np.random.Generator:
        """A generator of this query's own."""
        state = hashlib.blake2b(
            f"{self.seed}\0{purpose}\0{query.text}".encode("utf-8", "surrogatepass"), digest_size=16
        )
        return np.random.default_rng(int.from_bytes(state.digest(), "little"))

    def _random_rows(self, query: _Query, taken: Sequence[int]) -> list[int]:
        """Rows of random documents that are no known positives: those of the settings, and those that fill up."""
        settings, corpus, n_docs = self.settings, query.corpus, len(query.corpus.ids)
        missing = settings.per_query + settings.random_per_query - len(taken)
        if missing <= 0:
            return []
        generator = self._generator(query, "random")
        drawn: list[int] = []
        # A few documents are usually enough; all of them are drawn where the few are not.
        for size in dict.fromkeys((min(n_docs, 64 + 4 * missing), n_docs)):
            for row in generator.choice(n_docs, size=size, replace=False).tolist() if len(drawn) < missing else ():
                if row in taken or row in drawn:
                    continue
                if self.positives.reason(query.positives, corpus.ids[row], corpus.texts[row]) is None:
                    drawn.append(row)
                if len(drawn) == missing:
                    break
        if len(drawn) < missing:
            raise ConfigError(
                f"negatives: {settings.per_query + settings.random_per_query} a query are wanted, and "
                f'"{query.text[:60]}" has only {len(taken) + len(drawn)} documents in corpus "{corpus.name}" that do '
                "not answer it. Ask for fewer."
            )
        self.report.random += missing
        self.report.filled_at_random += max(0, settings.per_query - len(taken))
        return drawn

    def _add_examples(self, doc_ids: Mapping[tuple[str, str], Sequence[str]]) -> None:
        """Queries spread evenly over all, each with its first positive and its negatives."""
        first: dict[tuple[str, str], Pair] = {}
        for pair in self.pairs.pairs:
            first.setdefault(pair.key, pair)
        for key in list(doc_ids)[:: max(1, -(-len(doc_ids) // EXAMPLES))]:
            corpus, pair = self.corpora[key[0]], first[key]
            self.report.examples.append(
                {
                    "query_id": pair.query_id,
                    "positive": pair.doc_id,
                    "negatives": list(doc_ids[key]),
                    "query": pair.query,
                    "positive_text": pair.document[:_EXCERPT],
                    "negative_texts": [corpus.texts[corpus.row_of[doc_id]][:_EXCERPT] for doc_id in doc_ids[key]],
                }
            )
