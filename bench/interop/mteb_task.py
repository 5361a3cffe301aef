"""A suite as an mteb retrieval task: same texts, judgements and cutoffs, so that mteb measures the same numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.base.errors import MissingExtra, UsageError, did_you_mean
from bench.records import EVALUATION_ROLES, QuerySet, Suite, digest_of
from bench.records.measures import parse, relevant_queries

SCORE_NAMES = {
    "ndcg": "ndcg",
    "map": "map",
    "recall": "recall",
    "precision": "precision",
    "mrr": "mrr",
    "hit": "hit_rate",
}
"""Our measures → mteb's names of them; "_at_" and the cutoff follow."""

# mteb's own cutoffs; it takes no measure without a cutoff.
_CUTOFFS = (1, 3, 5, 10, 20, 100, 1000)


def score_name(measure: str) -> str | None:
    """mteb's name of a measure, such as "ndcg_at_10"; None where mteb has no such measure."""
    base, _, cutoff = measure.partition("@")
    return f"{SCORE_NAMES[base]}_at_{cutoff}" if cutoff and base in SCORE_NAMES else None


def cutoffs(suite: Suite) -> tuple[int, ...]:
    """mteb's cutoffs and those of the suite's measures, up to the suite's depth; the last one is the depth.

    The deepest cutoff is the number of documents that mteb searches for: a fusion of 1,000 is not a fusion of 100.
    """
    depth = suite.protocol.depth
    wanted = {*_CUTOFFS, *(parse(name).cutoff for name in suite.protocol.measures), depth}
    return tuple(sorted(k for k in wanted if 0 < k <= depth))


def _metadata(suite: Suite, query_sets: Sequence[QuerySet], languages: Sequence[str]) -> Any:
    """mteb's TaskMetadata. Each query set is a subset; the digest in the name covers everything a number depends on.

    mteb's result cache looks up the task's name alone: a changed judgement must change the name.
    """
    try:
        from mteb.abstasks.task_metadata import TaskMetadata
    except ImportError:
        raise MissingExtra("An mteb task", "mteb", "mteb") from None

    digest = digest_of(
        {
            "protocol": suite.protocol.digest,
            "query_sets": [
                [q.name, q.digest, suite.corpora[q.corpus].digest, suite.labels[q.name].digest] for q in query_sets
            ],
        }
    )
    whole = query_sets == suite.of_role(*EVALUATION_ROLES)
    parts = [suite.name, *(() if whole else (q.name for q in query_sets)), digest[:8]]
    ks = cutoffs(suite)
    mains = [score_name(name) for name in suite.protocol.measures if 0 < parse(name).cutoff <= ks[-1]]
    fallback = f"ndcg_at_{10 if 10 in ks else ks[-1]}"
    return TaskMetadata(
        name="-".join(parts),
        description=f'Query sets {", ".join(q.name for q in query_sets)} of the suite "{suite.name}".',
        dataset={"path": suite.name, "revision": digest},
        type="Retrieval",
        category="t2t",
        eval_splits=["test"],
        eval_langs={q.name: list(languages) for q in query_sets},
        main_score=next((name for name in mains if name), fallback),
        is_public=False,
    )


def to_mteb_task(suite: Suite, query_set: str | None = None, *, languages: Sequence[str] = ("und-Zyyy",)) -> Any:
    """A suite as an mteb retrieval task, for `mteb.evaluate(model, tasks=[…], cache=None)`; needs no network.

    Args:
        suite: what is measured.
        query_set: one query set of any role; all held-out and out-of-distribution sets where None. Each is a subset
            of the task. Queries without a relevant document are left out.
        languages: of the texts, as mteb writes them ("eng-Latn"); the default is "undetermined".

    Returns:
        An instance of a subclass of mteb's AbsTaskRetrieval.

    Raises:
        MissingExtra: mteb is not installed.
        UsageError: no such set, none to evaluate on, or a relevance level that mteb does not have.
    """
    if query_set is not None and query_set not in suite.query_sets:
        raise UsageError(
            f'Suite "{suite.name}" has no query set "{query_set}"; expected one of {", ".join(suite.query_sets)}.'
            f"{did_you_mean(query_set, suite.query_sets)}"
        )
    query_sets = suite.of_role(*EVALUATION_ROLES) if query_set is None else [suite.query_sets[query_set]]
    if not query_sets:
        raise UsageError(
            f'Suite "{suite.name}" has no held-out and no out-of-distribution query set; name one of '
            f"{', '.join(suite.query_sets)}."
        )
    if suite.protocol.relevance_level != 1:
        raise UsageError(
            f'Suite "{suite.name}" counts grades from {suite.protocol.relevance_level} as relevant; mteb counts every '
            "grade above 0, so its numbers would differ. Write judgements whose lower grades are 0, with level 1."
        )
    described = _metadata(suite, query_sets, languages)
    from datasets import Dataset
    from mteb.abstasks import AbsTaskRetrieval

    class SuiteTask(AbsTaskRetrieval):  # type: ignore[misc, unused-ignore]
        # On the class: mteb looks up a task's prompt among the subclasses, by their metadata.
        metadata = described
        ignore_identical_ids = suite.protocol.drop_self
        k_values = cutoffs(suite)
        data_loaded = False

        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            # mteb drops a query's own document after the search.
            self._top_k = max(self.k_values) + (1 if suite.protocol.drop_self else 0)

        def load_data(self, *_: Any, **__: Any) -> None:
            """Load corpora, queries and judgements from the suite."""
            if self.data_loaded:
                return
            corpora = {
                name: Dataset.from_dict({"id": list(corpus.ids), "text": list(corpus.texts)})
                for name, corpus in suite.corpora.items()
                if any(q.corpus == name for q in query_sets)
            }
            self.dataset = {}
            for q in query_sets:
                qrels = suite.qrels(q.name)
                judged = set(relevant_queries(qrels))
                rows = [(i, text) for i, text in zip(q.ids, q.texts, strict=True) if i in judged]
                self.dataset[q.name] = {
                    "test": {
                        "corpus": corpora[q.corpus],
                        "queries": Dataset.from_dict({"id": [i for i, _ in rows], "text": [t for _, t in rows]}),
                        # pytrec_eval takes a negative grade as a gain.
                        "relevant_docs": {i: {d: max(g, 0) for d, g in qrels[i].items()} for i, _ in rows},
                        "top_ranked": None,
                    }
                }
            self.data_loaded = True

    return SuiteTask()
