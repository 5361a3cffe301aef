"""Advice, not a gate: which change is worth its cost (hybrid retrieval, a reranker, fine-tuning, or none).

In: stored results, measured quantities, prices.
Out: a `Recommendation` with a reason for every option.
Never imports a model library, and evaluates nothing.
"""
