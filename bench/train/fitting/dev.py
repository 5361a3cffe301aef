"""The dev measure of a model in training: exact search, the suite's own measures, dev judgements only."""

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
from bench.train.fitting.tokens import tokenised
from bench.train.fitting.trainee import BiEncoder, CrossEncoder


def dev_measure(evaluator: Evaluator, recipe: FinetuneConfig, trainee: BiEncoder | CrossEncoder) -> Callable[[], float]:
    """A function that returns the mean of the recipe's measure over all dev queries, of the model at that moment.

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
            "split one off. Training never opens held-out sets."
        )
    parse(settings.measure)
    sets = [_DevSet(evaluator, settings, name) for name in names]
    if isinstance(trainee, CrossEncoder):
        first = settings.first or next(iter(recipe.negatives.from_ if recipe.negatives else ()), None)
        if first not in evaluator.systems:
            raise ConfigError(
                f'eval.first is "{first}"; expected a system of the config, whose ranking the cross-encoder reorders.'
            )
        values = [dev.reranked(trainee, evaluator, first) for dev in sets]
    else:
        values = [dev.searched(trainee) for dev in sets]
    return lambda: float(np.concatenate([value() for value in values]).mean())


class _DevSet:
    """A dev set; `searched` and `reranked` return functions of float64[n_queries] of the measure."""

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
        level = protocol.relevance_level
        names = [self.settings.measure]
        measured = measure(run, self.qrels, names, depth=protocol.depth, relevance_level=level, zero_if_unjudged=True)
        return measured.values[:, 0]

    def searched(self, trainee: BiEncoder) -> Callable[[], NDArray[np.float64]]:
        """A bi-encoder's search in the corpus, or in a part of it that is drawn once."""
        n_docs, most = len(self.corpus.ids), self.settings.documents
        rows = list(range(n_docs))
        if most is not None and most < n_docs:
            judged = {self.corpus.row_of[doc] for grades in self.qrels.values() for doc in grades}
            others = np.random.default_rng(0).permutation(np.setdiff1d(np.arange(n_docs), sorted(judged)))
            rows = sorted(judged | {int(row) for row in others[: max(0, most - len(judged))]})
        doc_ids = [self.corpus.ids[row] for row in rows]
        queries = trainee.tokenise(trainee.model, self.query_set.texts, [])
        documents = trainee.tokenise(trainee.model, [], [self.corpus.texts[row] for row in rows])
        depth = self.suite.protocol.depth + int(self.suite.protocol.drop_self)

        def values() -> NDArray[np.float64]:
            index = DenseIndex.build(truncated(trainee.predict(documents), trainee.dim, normalize=True), "float32")
            return self.measured(
                doc_ids, *index.search(truncated(trainee.predict(queries), trainee.dim, normalize=True), depth)
            )

        return values

    def reranked(self, trainee: CrossEncoder, evaluator: Evaluator, first: str) -> Callable[[], NDArray[np.float64]]:
        """A cross-encoder's order of another system's first documents."""
        run = evaluator.run(first, self.query_set)
        docs = [
            np.asarray([self.corpus.row_of[doc] for doc in run.ranking(row, self.settings.depth)], dtype=np.int64)
            for row in range(len(self.query_set.ids))
        ]
        tokens = tokenised(
            trainee.model,
            [
                (query, self.corpus.texts[row])
                for query, ranked in zip(self.query_set.texts, docs, strict=True)
                for row in ranked.tolist()
            ],
        )
        ends = np.cumsum([len(ranked) for ranked in docs])[:-1]

        def values() -> NDArray[np.float64]:
            scores = np.split(trainee.predict(tokens).reshape(-1), ends)
            return self.measured(list(self.corpus.ids), *padded(list(zip(docs, scores, strict=True))))

        return values
