"""Any system as an mteb model: mteb passes texts, and the evaluator ranks them as those of a suite."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from bench.base.errors import MissingExtra, SystemFailed, UsageError, did_you_mean
from bench.evaluation.evaluate import Evaluator
from bench.records import Corpus, EvalProtocol, QuerySet, Suite, System, document_text

# mteb's names of our kinds; the others have none.
_MODEL_TYPES = {"dense": ["dense"], "hybrid": ["hybrid"], "bm25": ["sparse"]}


def model_meta(name: str, kind: str, digest: str) -> Any:
    """mteb's ModelMeta of a system. Its revision is the system's digest, so that no cache confuses weights."""
    try:
        from mteb.models import ModelMeta
    except ImportError:
        raise MissingExtra("An mteb model", "mteb", "mteb") from None
    return ModelMeta.create_empty({"name": name, "revision": digest, "model_type": _MODEL_TYPES.get(kind, [])})


class Project(Protocol):
    """An opened config, as this module uses it."""

    def suite(self, only: str | None = None) -> Suite:
        """One of its suites."""

    def evaluator(self, suite: Suite, only: Sequence[str] | None = None) -> Evaluator:
        """An evaluator of the named systems."""


def to_mteb_model(source: Project | Evaluator, name: str, *, suite: str | None = None) -> MtebModel:
    """A system as an mteb model, for `mteb.evaluate(model, tasks=[…], cache=None)`.

    Args:
        source: a workspace, or an evaluator that has the system.
        name: the system's expanded name, such as "hybrid" or "minilm@128/int8".
        suite: the workspace's suite whose dev queries tune a fusion's weight; its only one where None.

    Raises:
        UsageError: no such system, or one that is another engine's run file.
        MissingExtra: mteb is not installed.
    """
    evaluator = source if isinstance(source, Evaluator) else source.evaluator(source.suite(suite), [name])
    if name not in evaluator.systems:
        known = list(evaluator.systems)
        raise UsageError(f'No system "{name}"; expected one of {", ".join(known)}.{did_you_mean(name, known)}')
    if evaluator.reads_run_files(name):
        raise UsageError(f'System "{name}" is made of run files, which hold no ranking of mteb\'s queries.')
    return MtebModel(evaluator, name)


class MtebModel:
    """mteb's SearchProtocol over one system. Rankings and vectors are kept in the evaluator's store."""

    def __init__(self, evaluator: Evaluator, name: str) -> None:
        self.name, self._evaluator = name, evaluator
        # The digest tunes weights on the evaluator's own suite; they are fixed from here on.
        self.mteb_model_meta = model_meta(
            f"retrieval-gate/{name}", evaluator.systems[name].kind, evaluator.system_digest(name)
        )
        self._systems = {n: copy.copy(evaluator.systems[n]) for n in _with_parts(evaluator.systems, name)}
        for system in self._systems.values():
            if getattr(system, "tunable", False):
                system.tunable = False  # type: ignore[attr-defined]
        self._corpus: Corpus | None = None

    def index(self, corpus: Any, *, task_metadata: Any, **_: Any) -> None:
        """Take the documents; `search` indexes them."""
        documents = [(row["id"], document_text(row.get("title") or "", row["text"])) for row in corpus]
        self._corpus = Corpus.build(task_metadata.name, documents)

    def search(
        self, queries: Any, *, task_metadata: Any, hf_subset: str, top_k: int, top_ranked: Any = None, **_: Any
    ) -> dict[str, dict[str, float]]:
        """Query id → document id → score, at most `top_k` documents each.

        Raises:
            UsageError: a task with given candidates, or whose queries are conversations.
            SystemFailed: the system broke.
        """
        if self._corpus is None:
            raise SystemFailed(f'Model "{self.name}" has no documents to search; call index first.')
        if top_ranked is not None:
            raise UsageError(
                f'Task "{task_metadata.name}" passes the documents to reorder; system "{self.name}" ranks a whole '
                "corpus. Evaluate it on a retrieval task."
            )
        drop_self = self._evaluator.suite.protocol.drop_self
        query_set = QuerySet.build(hf_subset, "held-out", self._corpus.name, _queries(queries, task_metadata.name))
        # mteb drops a query's own document afterwards, so its top_k is one more than it counts. A fusion must drop the
        # document before, because it would take a rank.
        protocol = EvalProtocol(self._evaluator.suite.protocol.measures, top_k - drop_self, drop_self=drop_self)
        suite = Suite(
            task_metadata.name, 1, "", protocol, {self._corpus.name: self._corpus}, {query_set.name: query_set}, {}
        )
        evaluator = Evaluator(suite, self._systems, self._evaluator.store, progress=self._evaluator.progress)
        run = evaluator.run(self.name, query_set)
        return {
            query_id: {run.doc_ids[doc]: float(score) for doc, score in zip(docs, scores, strict=True) if doc >= 0}
            for query_id, docs, scores in zip(run.query_ids, run.docs, run.scores, strict=True)
        }


def _with_parts(systems: Mapping[str, System], name: str) -> list[str]:
    return [*(n for part in systems[name].parts for n in _with_parts(systems, part)), name]


def _queries(rows: Iterable[Mapping[str, Any]], task: str) -> list[tuple[str, str]]:
    """(id, text) of each query, as by mteb's own loaders: the text, then its instruction."""
    queries = []
    for row in rows:
        if not isinstance(row["text"], str):
            raise UsageError(f'Task "{task}": query "{row["id"]}" is a conversation; systems take one text.')
        instruction = row.get("instruction")
        queries.append((row["id"], row["text"] if instruction is None else f"{row['text']} {instruction}"))
    return queries
