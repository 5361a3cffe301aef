"""Writes measure.json: what trec_eval's own code says of generated runs, for tests/test_measure.py.

Run by hand, in an environment of its own:

    pip install pytrec_eval-terrier==0.5.11
    python tests/golden/make_measure.py

Nothing of `bench` is imported: golden numbers come from other people's programs. The runs have few distinct scores
(ties are the normal case), graded judgements with grade 0, judged queries that the run lacks, queries without a
relevant document, ids that sort differently as text and as numbers, and rankings shorter and longer than cutoffs.
"""

import json
import random
from importlib.metadata import version
from pathlib import Path

import pytrec_eval

HEADER = {
    "tool": "trec_eval by way of pytrec_eval-terrier",
    "version": f"pytrec_eval-terrier {version('pytrec_eval-terrier')}",
    "command": "python tests/golden/make_measure.py",
    "date": "2026-11-20",
    "tolerance": 1e-6,
    "why": "trec_eval computes in float64; ours sums the same terms, ranx' kernels partly in another order",
}

MEASURES = {
    "ndcg@10": "ndcg_cut_10",
    "ndcg@100": "ndcg_cut_100",
    "ndcg": "ndcg",
    "recall@10": "recall_10",
    "recall@100": "recall_100",
    "precision@10": "P_10",
    "hit@10": "success_10",
    "map": "map",
    "map@10": "map_cut_10",
    "mrr": "recip_rank",
    "rprec": "Rprec",
}


def generated(seed, *, n_queries, n_docs, depth, levels, grades, level):
    """Judgements and a run, from Python's own generator, so that any version makes the same."""
    rng = random.Random(seed)
    ids = [str(i) if i % 3 else f"d{i:03}" for i in range(n_docs)]
    qrels, run = {}, {}
    for query in range(n_queries):
        judged = rng.sample(ids, rng.randint(1, min(30, n_docs)))
        qrels[f"q{query}"] = {doc_id: rng.choice(grades) for doc_id in judged}
        if query % 7 == 3:
            continue
        ranked = rng.sample(ids, rng.randint(1, depth))
        # Quarters are exact in float32, which is what pytrec_eval compares.
        run[f"q{query}"] = {doc_id: rng.randrange(levels) / 4 for doc_id in ranked}
    run["not judged"] = {ids[0]: 1.0}
    return {"relevance_level": level, "qrels": qrels, "run": run}


def expected(case):
    """Query → measure → value by trec_eval; a judged query that the run lacks counts 0, as trec_eval -c has it."""
    evaluator = pytrec_eval.RelevanceEvaluator(
        case["qrels"], set(MEASURES.values()), relevance_level=case["relevance_level"]
    )
    found = evaluator.evaluate(case["run"])
    return {
        query: {ours: found[query][theirs] if query in found else 0.0 for ours, theirs in MEASURES.items()}
        for query, judged in case["qrels"].items()
        if max(judged.values()) >= case["relevance_level"]
    }


def main():
    cases = {
        "binary, two scores": generated(1, n_queries=40, n_docs=60, depth=50, levels=2, grades=[0, 0, 1], level=1),
        "graded, five scores": generated(
            2, n_queries=60, n_docs=300, depth=250, levels=5, grades=[0, 1, 2, 3], level=1
        ),
        "graded, all tied": generated(3, n_queries=20, n_docs=40, depth=30, levels=1, grades=[0, 0, 1, 4], level=1),
        "graded, level 2": generated(4, n_queries=40, n_docs=80, depth=60, levels=4, grades=[0, 0, 1, 2], level=2),
        "short rankings": generated(5, n_queries=40, n_docs=50, depth=4, levels=3, grades=[0, 0, 0, 1], level=1),
        "few queries": generated(6, n_queries=3, n_docs=50, depth=40, levels=3, grades=[0, 1, 2], level=1),
    }
    document = {"header": HEADER, "cases": {name: case | {"expected": expected(case)} for name, case in cases.items()}}
    path = Path(__file__).with_name("measure.json")
    path.write_text(json.dumps(document, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
