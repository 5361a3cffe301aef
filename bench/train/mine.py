"""Hard negatives: documents that rank high and do not answer. By id, from any system, from people, or from a file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.base.errors import ConfigError, did_you_mean
from bench.base.progress import Progress, no_progress
from bench.config import NegativesConfig
from bench.evaluation.evaluate import Evaluator
from bench.records import Corpus, QuerySet
from bench.train.answers import Answers, Known, corpora_of, positive_texts, query_sets
from bench.train.mining import EXAMPLES, MiningReport, Suspect
from bench.train.negatives import Negatives, read_negatives
from bench.train.pairs import Pairs
from bench.train.scoring import Judge, Similarity

BLOCK = 2048
"""Queries whose candidates are held at once."""

MANUAL, FILE = "manual", "file"
"""What the report calls negatives that people named, and those that a file holds."""

_TOO_GOOD = ("too_close", "over_max_score")
_SNIPPET = 300


@dataclass(frozen=True)
class _Candidate:
    """A document that no rule forbids: its row, the system that is credited, and its score or falling place."""

    row: int
    system: str
    hardness: float


@dataclass
class _Query:
    """A query at work: what answers it, its candidates in the order in which they are taken, and what was taken."""

    id: str
    text: str
    known: Known
    order: list[_Candidate]
    taken: list[_Candidate]


def mine(
    evaluator: Evaluator,
    pairs: Pairs,
    settings: NegativesConfig,
    *,
    seed: int = 0,
    base: Path | None = None,
    progress: Progress = no_progress,
) -> Negatives:
    """Hard negatives for every training query, or those that the settings' file holds.

    Candidates are the documents at ranks `skip` + 1 to `skip` + `depth` of each named system, and those that people
    named. Left out are all known positives of the query, and documents whose text equals or nearly equals a
    positive's (they answer just as well). A candidate that the reference model scores above (1 − relative_margin) ×
    or `margin` below the *weakest* positive, or above `max_score`, is left out too: it may well be an unjudged answer.
    So is one that a cross-encoder scores within `check.margin` of the weakest positive, or at `check.threshold` or
    more. Where too few remain, documents drawn at random fill up; these are no known positives, and held to no score.

    What is drawn depends on the seed and the query alone, so that another query changes nobody's negatives.
    Judgements of held-out and out-of-distribution sets are not opened; their documents may be negatives.

    Args:
        evaluator: the suite, the systems that rank, and the store.
        pairs: what is trained on.
        settings: see docs/mining.md.
        seed: of all that is drawn.
        base: folder that paths in the settings start from; the config's own where None.
        progress: told of slow stages.

    Raises:
        ConfigError: a named system is none, a margin without a model to score by, or pairs whose corpus the suite
            lacks.
        PairsError: a file of negatives that cannot be used.
    """
    miner = _Miner(evaluator, pairs, settings, seed, base if base is not None else settings.base, progress)
    return miner.run()


class _Miner:
    """One call of `mine`."""

    def __init__(
        self, evaluator: Evaluator, pairs: Pairs, settings: NegativesConfig, seed: int, base: Path, progress: Progress
    ) -> None:
        for name in settings.systems:
            if name not in evaluator.systems:
                key = "from" if name in settings.from_ else "reference"
                raise ConfigError(
                    f'negatives.{key} names "{name}"; expected one of {", ".join(evaluator.systems)}.'
                    f"{did_you_mean(name, evaluator.systems)}"
                )
        self.evaluator, self.pairs, self.settings, self.seed = evaluator, pairs, settings, seed
        self.base, self.progress = base, progress
        self.suite, self.report = evaluator.suite, MiningReport()
        self.corpora = corpora_of(self.suite, pairs, settings.corpus)
        self.answers = Answers(self.suite, pairs)
        self.reference = self._reference()
        self.report.reference = self.reference.name if self.reference else None
        self.manual = self._listed(settings.manual)
        self.filed = self._listed(settings.file)

    def run(self) -> Negatives:
        settings, found = self.settings, dict[tuple[str, str], tuple[str, ...]]()
        for query_set in query_sets(self.pairs):
            corpus = self.corpora[query_set.corpus]
            for query in self._filed(query_set, corpus) if settings.file else self._mined(query_set, corpus):
                rows = [candidate.row for candidate in query.taken]
                for candidate in query.taken:
                    self.report.chosen(candidate.system)
                rows += self._at_random(query, corpus, rows)
                found[query_set.corpus, query.text] = tuple(corpus.ids[row] for row in rows)
        self.report.queries = len(found)
        self._examples(found)
        return Negatives(found, self.report, self.corpora)

    # --- what there is to choose from ---

    def _reference(self) -> Any:
        """The dense system that margins go by: the one named, else the first among the sources and their parts."""
        settings, systems = self.settings, self.evaluator.systems
        names = [settings.reference] if settings.reference else list(settings.from_)
        while names:
            system = systems[names.pop(0)]
            if hasattr(system, "encoder"):
                return system
            names = [*system.parts, *names]
        wanted = [key for key in ("margin", "max_score") if getattr(settings, key) is not None]
        if settings.reference or wanted:
            raise ConfigError(
                f"negatives.{(['reference'] if settings.reference else wanted)[0]} asks for a model's similarity, and "
                f"{settings.reference or 'none of the systems named'} has one: expected a dense system, such as "
                'reference = "minilm".'
            )
        return None

    def _listed(self, name: str | None) -> dict[tuple[str, str], list[str]]:
        if not name:
            return {}
        found, strangers = read_negatives(self.base / Path(name).expanduser()).by_key(self.pairs, self.corpora)
        queries = {pair.key for pair in self.pairs.pairs}
        self.report.file = {
            "queries": len(found),
            "lines_of_no_query": strangers,
            "queries_without_line": len(queries - found.keys()),
        }
        return found

    def _filed(self, query_set: QuerySet, corpus: Corpus) -> Iterator[_Query]:
        """Queries with the negatives that the file holds, known positives left out."""
        for query_id, text in zip(query_set.ids, query_set.texts, strict=True):
            query = _Query(query_id, text, self.answers.of(text, corpus), [], [])
            for candidate in self._named(self.filed, FILE, query, query_set.corpus, corpus):
                query.taken.append(candidate)
            query.taken = query.taken[: self.settings.per_query]
            yield query

    def _named(
        self,
        listed: Mapping[tuple[str, str], Sequence[str]],
        source: str,
        query: _Query,
        pair_corpus: str,
        corpus: Corpus,
    ) -> Iterator[_Candidate]:
        """What people or a file named for a query, in their order; what answers it is refused whoever named it."""
        for doc_id in listed.get((pair_corpus, query.text), ()):
            row = corpus.row_of[doc_id]
            reason = self.answers.reason(query.known, doc_id, corpus.texts[row])
            self.report.looked_at(source, reason)
            if reason is None:
                yield _Candidate(row, source, np.inf)

    def _mined(self, query_set: QuerySet, corpus: Corpus) -> Iterator[_Query]:
        """Queries with their hard negatives."""
        settings = self.settings
        depth = self.suite.protocol.depth
        if settings.from_ and settings.skip >= depth:
            raise ConfigError(
                f'negatives.skip is {settings.skip}, and suite "{self.suite.name}" keeps {depth} ranks; expected less.'
            )
        lists = {name: self._ranked(name, query_set, corpus) for name in settings.from_}
        if lists:
            self.report.ranks = (settings.skip + 1, min(settings.skip + settings.depth, depth))
        known = [self.answers.of(text, corpus) for text in query_set.texts]
        similarity = self._similarity(query_set, corpus, lists, known)
        for start in range(0, len(known), BLOCK):
            block = []
            for row in range(start, min(start + BLOCK, len(known))):
                query = _Query(query_set.ids[row], query_set.texts[row], known[row], [], [])
                query.taken = list(self._named(self.manual, MANUAL, query, query_set.corpus, corpus))
                ranked = {name: rows[row][rows[row] >= 0].tolist() for name, rows in lists.items()}
                query.order = self._order(row, query, ranked, corpus, similarity)
                block.append(query)
            self._take(block, corpus)
            for i, query in enumerate(block):
                self._count_scores(start + i, query, corpus, similarity)
            self.progress("mine negatives", start + len(block), len(known))
            yield from block

    def _ranked(self, name: str, query_set: QuerySet, corpus: Corpus) -> NDArray[np.int64]:
        """int64[n_queries, depth] rows of the corpus at the ranks looked at, −1 padded."""
        wanted = QuerySet(query_set.name, query_set.role, corpus.name, query_set.ids, query_set.texts, query_set.digest)
        run = self.evaluator.run(name, wanted)
        rows = np.asarray([*(corpus.row_of[doc_id] for doc_id in run.doc_ids), -1], dtype=np.int64)
        found: NDArray[np.int64] = rows[run.docs[:, self.settings.skip : self.settings.skip + self.settings.depth]]
        return found

    def _similarity(
        self,
        query_set: QuerySet,
        corpus: Corpus,
        lists: Mapping[str, NDArray[np.int64]],
        known: Sequence[Known],
    ) -> Similarity | None:
        """Scores by the reference model, of the candidates and positives alone: not of a million documents."""
        if self.reference is None:
            return None
        rows = np.unique(np.concatenate([np.unique(ranked) for ranked in lists.values()] or [np.empty(0, np.int64)]))
        texts = dict.fromkeys([corpus.texts[row] for row in rows[rows >= 0].tolist()])
        texts |= dict.fromkeys(positive_texts(known))
        return Similarity(self.reference, query_set.texts, list(texts), self.evaluator, self.progress)

    # --- choosing ---

    def _order(
        self,
        number: int,
        query: _Query,
        ranked: Mapping[str, Sequence[int]],
        corpus: Corpus,
        similarity: Similarity | None,
    ) -> list[_Candidate]:
        """Candidates that no rule forbids, in the order in which they are taken."""
        rows = list(dict.fromkeys(row for listed in ranked.values() for row in listed))
        scores: dict[int, float] = {}
        weakest, allowed = np.inf, np.inf
        if similarity:
            scores = dict(zip(rows, similarity.scores(number, [corpus.texts[row] for row in rows]), strict=True))
            positives = similarity.scores(number, [text for _, text in query.known.texts])
            weakest = min(positives)
            allowed = self._allowed(weakest)
        reasons: dict[int, str | None] = {}
        for row in rows:
            reasons[row] = self.answers.reason(query.known, corpus.ids[row], corpus.texts[row])
            if reasons[row] is None and similarity:
                reasons[row] = self._too_good(query, corpus, row, scores[row], weakest, allowed)
        self.report.scores["rejected"].add(scores[row] for row in rows if reasons[row] in _TOO_GOOD)
        named = {candidate.row for candidate in query.taken}
        kept: dict[int, _Candidate] = {}
        for system, listed in ranked.items():
            for place, row in enumerate(listed):
                self.report.looked_at(system, reasons[row])
                hardness = scores[row] if similarity else -float(place)
                if reasons[row] is not None or row in named:
                    continue
                if row not in kept or hardness > kept[row].hardness:
                    kept[row] = _Candidate(row, system, hardness)
        found = sorted(kept.values(), key=lambda candidate: (-candidate.hardness, candidate.row))
        if self.settings.pick == "random":
            found = [found[i] for i in self._generator(query, "pick").permutation(len(found))]
        return found

    def _allowed(self, weakest: float) -> float:
        """The score from which on a candidate is too close to a positive.

        The margin goes by the weakest positive: against the best one, a second answer would pass as a negative.
        """
        ceiling = weakest - self.settings.relative_margin * abs(weakest)
        return ceiling if self.settings.margin is None else min(ceiling, weakest - self.settings.margin)

    def _too_good(
        self, query: _Query, corpus: Corpus, row: int, score: float, weakest: float, allowed: float
    ) -> str | None:
        most = self.settings.max_score
        if score > allowed:
            reason, excess = "too_close", score - allowed
        elif most is not None and score > most:
            reason, excess = "over_max_score", score - most
        else:
            return None
        self._suspect(query, corpus, row, reason, score, weakest, excess)
        return reason

    def _suspect(
        self, query: _Query, corpus: Corpus, row: int, reason: str, score: float, weakest: float, excess: float
    ) -> None:
        texts = (query.text, corpus.texts[row], query.known.texts[0][1])
        shown = [text if len(text) <= _SNIPPET else text[: _SNIPPET - 1] + "…" for text in texts]
        self.report.suspected(Suspect(float(excess), query.id, corpus.ids[row], reason, score, weakest, *shown))

    def _take(self, block: Sequence[_Query], corpus: Corpus) -> None:
        """As many candidates as are wanted of each query, in order; those that the cross-encoder passes, if asked."""
        wanted = self.settings.per_query
        for query in block:
            query.taken = query.taken[:wanted]
        if self.settings.check is None:
            for query in block:
                query.taken += query.order[: wanted - len(query.taken)]
            return
        judge = Judge(self.settings.check, self.evaluator, self.base, self.progress)
        judge.positives([(query.text, query.known) for query in block])
        place = dict.fromkeys(range(len(block)), 0)
        # In rounds: only what would be taken is read, and what takes a rejected one's place in the next round.
        while True:
            asked: list[tuple[int, _Candidate]] = []
            for i, query in enumerate(block):
                some = query.order[place[i] : place[i] + wanted - len(query.taken)]
                place[i] += len(some)
                asked += [(i, candidate) for candidate in some]
            if not asked:
                return
            scores = judge.scores([(block[i].text, corpus.texts[candidate.row]) for i, candidate in asked])
            for (i, candidate), score in zip(asked, scores, strict=True):
                query, excess = block[i], judge.excess(i, score)
                if excess is None:
                    query.taken.append(candidate)
                else:
                    self.report.rejected(candidate.system, "by_reranker")
                    self._suspect(query, corpus, candidate.row, "by_reranker", score, judge.weakest[i], excess)

    def _count_scores(self, number: int, query: _Query, corpus: Corpus, similarity: Similarity | None) -> None:
        """Positives, negatives and what was rejected as too good, by the reference model."""
        if similarity is None:
            return
        histograms = self.report.scores
        histograms["positives"].add(similarity.scores(number, [text for _, text in query.known.texts]))
        histograms["negatives"].add(c.hardness for c in query.taken if c.system != MANUAL)

    def _generator(self, query: _Query, purpose: str) -> np.random.Generator:
        """Draws for one query, whoever else is mined for."""
        state = hashlib.blake2b(
            f"{self.seed}\0{purpose}\0{query.text}".encode("utf-8", "surrogatepass"), digest_size=16
        )
        return np.random.default_rng(int.from_bytes(state.digest(), "little"))

    def _at_random(self, query: _Query, corpus: Corpus, rows: Sequence[int]) -> list[int]:
        """Rows of random documents that are no known positives: those asked for, and those that fill up."""
        settings, n_docs = self.settings, len(corpus.ids)
        missing = settings.per_query + settings.random_per_query - len(rows)
        if missing <= 0:
            return []
        generator = self._generator(query, "random")
        found: list[int] = []
        # A few documents of many, as a rule; all of them only where the few do not do.
        few = min(n_docs, 64 + 4 * missing)
        for size in dict.fromkeys((few, n_docs)):
            for row in generator.choice(n_docs, size=size, replace=False).tolist():
                if len(found) == missing:
                    break
                if row in rows or row in found:
                    continue
                if self.answers.reason(query.known, corpus.ids[row], corpus.texts[row]) is None:
                    found.append(row)
            if len(found) == missing:
                break
        if len(found) < missing:
            raise ConfigError(
                f"negatives: {settings.per_query + settings.random_per_query} a query are wanted, and "
                f'"{query.text[:60]}" has only {len(rows) + len(found)} documents in corpus "{corpus.name}" that do '
                "not answer it. Ask for fewer."
            )
        self.report.random += missing
        self.report.filled_at_random += max(0, settings.per_query - len(rows))
        return found

    def _examples(self, found: Mapping[tuple[str, str], Sequence[str]]) -> None:
        """Queries spread evenly over all, each with its first positive and its negatives."""
        first: dict[tuple[str, str], Any] = {}
        for pair in self.pairs.pairs:
            first.setdefault(pair.key, pair)
        keys = list(found)
        for key in keys[:: max(1, -(-len(keys) // EXAMPLES))]:
            corpus, pair = self.corpora[key[0]], first[key]
            negatives = [(d, corpus.texts[corpus.row_of[d]][:_SNIPPET]) for d in found[key]]
            self.report.example(pair.query_id, pair.query, (pair.doc_id, pair.document[:_SNIPPET]), negatives)
