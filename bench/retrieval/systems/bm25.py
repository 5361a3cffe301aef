"""BM25 by bm25s: Lucene's variant, English stop words and Snowball stems unless the config says otherwise."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bench.base.errors import ConfigError, MissingExtra, did_you_mean, excerpt
from bench.config import DecideOption, SystemConfig
from bench.records import Corpus, QuerySet, Ranked, Run, Search
from bench.retrieval.search import padded, top_k
from bench.retrieval.systems import Context


class Config(SystemConfig):
    """`kind = "bm25"`."""

    option = DecideOption("bm25", stores="term index")

    k1: float = Field(default=1.5, gt=0)
    b: float = Field(default=0.75, ge=0, le=1)
    variant: Literal["lucene", "robertson", "atire", "bm25+", "bm25l"] = "lucene"
    language: str | None = "english"


def build(name: str, config: Config, context: Context) -> list[BM25]:
    """One system."""
    return [BM25(name, config)]


class BM25:
    """Term matching. A document that shares no term with the query is not ranked."""

    kind = "bm25"
    parts: tuple[str, ...] = ()

    def __init__(self, name: str, config: Config) -> None:
        self.name, self.config, self.roles = name, config, config.roles

    def fingerprint(self) -> Mapping[str, Any]:
        """Parameters and library versions; the stemmer decides what a term is."""
        settings = self.config.model_dump(exclude={"roles"})
        return settings | {"libraries": [_version("bm25s"), _version("PyStemmer")]}

    def _tokens(self, texts: Sequence[str]) -> Any:
        import bm25s
        import Stemmer

        language = self.config.language
        try:
            stemmer = Stemmer.Stemmer(language) if language else None
        except KeyError:
            known = Stemmer.algorithms()
            raise ConfigError(
                f'systems.{self.name}.language is "{excerpt(str(language))}"; expected one of {", ".join(known)}.'
                f"{did_you_mean(str(language), known)}"
            ) from None
        return bm25s.tokenize(
            list(texts),
            stopwords=language if language else None,
            stemmer=stemmer,
            return_ids=False,
            show_progress=False,
        )

    def _index(self, corpus: Corpus) -> Any:
        """The finished index; None where no document has a term."""
        try:
            import bm25s
            import Stemmer  # noqa: F401 (so that the message names the extra)
        except ImportError:
            raise MissingExtra('System kind "bm25"', "bm25s and PyStemmer", "bm25") from None
        # By default the library takes JAX where that happens to be installed.
        index = bm25s.BM25(k1=self.config.k1, b=self.config.b, method=self.config.variant, backend="numpy")
        tokens = self._tokens(corpus.texts)
        if not any(tokens):
            # bm25s would divide by a mean length of 0.
            return None
        index.index(tokens, show_progress=False)
        return index

    def search(self, corpus: Corpus, queries: QuerySet, *, depth: int, parts: Sequence[Run]) -> Ranked:
        """Best documents by BM25."""
        started = time.perf_counter()
        index = self._index(corpus)
        indexed = time.perf_counter()
        docs, scores = self._ranked(index, queries.texts, depth)
        arrays = index.scores.values() if index is not None else ()
        size = sum(int(array.nbytes) for array in arrays if isinstance(array, np.ndarray))
        return Ranked(docs, scores, {"index": indexed - started, "search": time.perf_counter() - indexed}, size)

    def warm(self, corpus: Corpus) -> Search:
        """Search over the finished index."""
        index = self._index(corpus)
        return lambda queries, *, depth, parts: Ranked(*self._ranked(index, queries.texts, depth))

    def _ranked(self, index: Any, texts: Sequence[str], depth: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        if index is None:
            return np.full((len(texts), 1), -1), np.zeros((len(texts), 1), dtype=np.float32)
        vocabulary = index.vocab_dict
        rankings = []
        for tokens in self._tokens(texts):
            known = [token for token in tokens if token in vocabulary]
            if not known:
                rankings.append((np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32)))
                continue
            values = np.asarray(index.get_scores(known), dtype=np.float32)
            # bm25+ and bm25l give a document a score for each term that it lacks: the zero of these variants.
            if index.nonoccurrence_array is not None:
                zero = index.nonoccurrence_array[[vocabulary[token] for token in known]].sum(dtype=np.float32)
                values = np.where(values > zero * (1 + 1e-6), values, 0)
            docs, scores = top_k(values[None, :], depth)
            matching = scores[0] > 0
            rankings.append((docs[0][matching], scores[0][matching]))
        return padded(rankings)


def _version(name: str) -> str | None:
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return None
