"""What a model in training is worth on the suite's dev sets: exact search, our own measures, dev judgements only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.base.errors import ConfigError, SuiteError
from bench.config import EvalConfig, FinetuneConfig
from bench.evaluation.evaluate import Evaluator
from bench.evaluation.measure import measure
from bench.records import Run
from bench.records.measures import parse
from bench.retrieval.indexes.exact import DenseIndex
from bench.retrieval.search import padded, truncated
from bench.suites.suite import training_set
from bench.train.fitting.bi_encoder import BiEncoder
from bench.train.fitting.cross_encoder import CrossEncoder
from bench.train.fitting.tokens import tokenised


def dev_measure(evaluator: Evaluator, recipe: FinetuneConfig, trainee: Any) -> Callable[[], float]:
    """The mean of the recipe's measure over all dev queries, of the model as it stands when asked.

    A bi-encoder ranks the dev set's corpus, or its judged documents and as many others as `eval.documents` allows; a
    cross-encoder reorders the first `eval.depth` documents of the system that the recipe names.

    Raises:
        SuiteError: the suite has no dev set.
        ConfigError: a cross-encoder's recipe names no system to rerank.
    """
    settings = recipe.eval
    names = [query_set.name for query_set in evaluator.suite.of_role("dev")]
    if settings is None or not names:
        raise SuiteError(
            f'Suite "{evaluator.suite.name}" has no query set of role dev, which eval needs: leave eval out, or '
            "split one off. Held-out sets are never looked at while training."
        )
    parse(settings.measure)
    make = _Reranked if isinstance(trainee, CrossEncoder) else _Searched
    parts = [make(evaluator, recipe, settings, trainee, name) for name in names]

    def value() -> float:
        return float(np.concatenate([part.values() for part in parts]).mean())

    return value


class _DevSet:
    """A dev set, and what turns a ranking of it into numbers."""

    def __init__(self, evaluator: Evaluator, settings: EvalConfig, name: str) -> None:
        self.query_set, self.qrels = training_set(evaluator.suite, name)
        self.suite, self.settings = evaluator.suite, settings
        self.corpus = evaluator.suite.corpora[self.query_set.corpus]

    def measured(self, doc_ids: list[str], docs: NDArray[Any], scores: NDArray[Any]) -> NDArray[np.float64]:
        """float64[n_queries] of the measure."""
        protocol, query_set = self.suite.protocol, self.query_set
        run = Run.build(
            system="in training",
            system_digest="",
            query_set=query_set.name,
            query_set_digest=query_set.digest,
            corpus_digest=self.corpus.digest,
            query_ids=query_set.ids,
            doc_ids=doc_ids,
            docs=docs,
            scores=scores,
            depth=protocol.depth,
            drop_self=protocol.drop_self,
        )
        found = measure(
            run,
            self.qrels,
            [self.settings.measure],
            depth=protocol.depth,
            relevance_level=protocol.relevance_level,
            zero_if_unjudged=True,
        )
        return found.values[:, 0]


class _Searched(_DevSet):
    """A bi-encoder's ranking of the corpus, or of a part of it drawn once."""

    def __init__(
        self, evaluator: Evaluator, recipe: FinetuneConfig, settings: EvalConfig, trainee: BiEncoder, name: str
    ) -> None:
        super().__init__(evaluator, settings, name)
        self.trainee = trainee
        rows = self._documents(settings.documents)
        self.doc_ids = [self.corpus.ids[row] for row in rows]
        self.queries = trainee.tokenise(trainee.model, self.query_set.texts, [])
        self.documents = trainee.tokenise(trainee.model, [], [self.corpus.texts[row] for row in rows])

    def _documents(self, most: int | None) -> list[int]:
        n_docs = len(self.corpus.ids)
        if most is None or most >= n_docs:
            return list(range(n_docs))
        judged = {self.corpus.row_of[doc] for grades in self.qrels.values() for doc in grades}
        others = np.random.default_rng(0).permutation(np.setdiff1d(np.arange(n_docs), sorted(judged)))
        return sorted(judged | {int(row) for row in others[: max(0, most - len(judged))]})

    def values(self) -> NDArray[np.float64]:
        """float64[n_queries] of the measure."""
        embed, dim = self.trainee.embed, self.trainee.dim
        index = DenseIndex.build(truncated(embed(self.documents), dim, normalize=True), "float32")
        depth = self.suite.protocol.depth + int(self.suite.protocol.drop_self)
        docs, scores = index.search(truncated(embed(self.queries), dim, normalize=True), depth)
        return self.measured(self.doc_ids, docs, scores)


class _Reranked(_DevSet):
    """A cross-encoder's order of what another system found."""

    def __init__(
        self, evaluator: Evaluator, recipe: FinetuneConfig, settings: EvalConfig, trainee: CrossEncoder, name: str
    ) -> None:
        super().__init__(evaluator, settings, name)
        first = settings.first or next(iter(recipe.negatives.from_ if recipe.negatives else ()), None)
        if first not in evaluator.systems:
            raise ConfigError(
                f'eval.first is "{first}"; a cross-encoder reorders what a system of the config finds: name one there.'
            )
        self.trainee = trainee
        run = evaluator.run(first, self.query_set)
        self.ranked = [
            [self.corpus.row_of[doc] for doc in run.ranking(row, settings.depth)]
            for row in range(len(self.query_set.ids))
        ]
        pairs = [
            (text, self.corpus.texts[row])
            for text, ranked in zip(self.query_set.texts, self.ranked, strict=True)
            for row in ranked
        ]
        self.tokens = tokenised(trainee.model, pairs)

    def values(self) -> NDArray[np.float64]:
        """float64[n_queries] of the measure."""
        scores = np.split(self.trainee.score(self.tokens), np.cumsum([len(ranked) for ranked in self.ranked])[:-1])
        docs = [np.asarray(ranked, dtype=np.int64) for ranked in self.ranked]
        return self.measured(list(self.corpus.ids), *padded(list(zip(docs, scores, strict=True))))
