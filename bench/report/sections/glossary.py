"""The words of a report: one word for one thing, here and in docs/glossary.md."""

from __future__ import annotations

from bench.base import words
from bench.report import Material
from bench.report.blocks import Block, Bullets, Folded, Heading
from bench.report.reading import tasks
from bench.report.text import plain, strong

ORDER = 110
TITLE = "Glossary"

TERMS = {
    "Data": {
        "Suite": "A corpus, query sets and judgements, with the measures that count.",
        "Query set": "Queries of one role and the judgements on them.",
        "Role": "What a query set is for: train, dev, held-out or out-of-distribution.",
        "Held-out": "Queries of the domain, not used in training or tuning. They measure how good a system is.",
        "Out-of-distribution": "Queries of another kind: other authors, topics or wording. They show whether a "
        "change makes such queries worse.",
        "Train, dev": "Queries that models are trained on; queries on which settings are chosen.",
        "Judgement": "A grade for a query and a document: 1 and above is relevant, 0 is not. A document without a "
        "grade is unjudged.",
        "Slice": "A part of a query set, such as its short queries.",
        "Pinned query": "A query that must keep its relevant documents, whatever the averages say.",
        "Cluster": "Queries that belong together, such as paraphrases of one question. They count as one observation.",
    },
    "Systems": {
        "System": "Anything that ranks documents for a query: BM25, an embedding model, a hybrid, a reranker.",
        "Variant": "A system at one dimension and precision: minilm@128/int8 has 128 numbers of 8 bits in a vector.",
        "Dimension": "Numbers in a vector. A Matryoshka model's vectors may be cut to fewer.",
        "Precision": "How each number is stored: float32, float16, int8, int4 or one bit.",
        "Run": "The ranking that a system gives for every query of a query set.",
        "Result": "A run's measures, query by query, with the digests of its inputs.",
        "Baseline": "The accepted result that a change is judged against.",
        "Candidate": "The system that is judged.",
        "Reference": "The system that others are compared with.",
    },
    "Statistics": {
        "Measure": "A number from 0 to 1 for a ranking. recall@10 is the share of relevant documents in the first ten.",
        "Difference": "The candidate's mean minus the baseline's, over the same queries.",
        "Interval": "A range that contains the true difference in 95 of 100 such evaluations (confidence interval).",
        "Shown": "The test rejects chance at the stated level, after correction for the number of tests.",
        "Ruled out": "The interval's one-sided bound excludes it.",
        "Margin": "The largest drop that is tolerated.",
        "Holm": "A correction that keeps the chance of one false alarm among several tests at the stated level.",
        "Pass": "A drop beyond the margin is ruled out.",
        "Improved": "A gain is shown, and every rule passes.",
        "Regression": "A drop is shown, the observed drop is at least half the margin, and a drop of the margin is "
        "not ruled out. The exit code is 1.",
        "Inconclusive": "A drop of the margin is neither shown nor ruled out: too few queries, or too much variation.",
    },
    "Training and decisions": {
        "Pair": "A query and a document that answers it.",
        "Hard negative": "A document that ranks high for a query and does not answer it.",
        "Recipe": "How a model is fine-tuned: base model, pairs, loss, seeds. A table [finetune.NAME].",
        "Seed": "The start of the random numbers. Several seeds show how much of a gain is luck.",
        "Option": "A possible change that a decision weighs: hybrid retrieval, a reranker, fine-tuning.",
        "Drift": "Documents or queries that have moved away from what a model was trained on.",
        "Digest": "A fingerprint of content. Equal content has an equal digest on every machine.",
    },
}


def build(material: Material) -> list[Block]:
    """The report's measures and every term, folded away."""
    if not material.results and not material.verdicts:
        return []
    measures = [m for m in dict.fromkeys(m for task in tasks(material) for m in task.measures) if words.meaning(m)]
    meanings = {plain(m, 40): f"{words.meaning(m)[:1].upper()}{words.meaning(m)[1:]}." for m in measures}
    blocks: list[Block] = []
    for group, terms in ({"Measures": meanings} | TERMS if meanings else TERMS).items():
        blocks += [Heading([group]), Bullets([[strong(term), f": {meaning}"] for term, meaning in terms.items()])]
    return [Folded("The words of this report", blocks)]
