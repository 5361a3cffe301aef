"""Is it worth it? Options, evidence, costs and one recommendation.

In: stored results, measured quantities, prices.
Out: a `Recommendation` with a reason for every option.
Never imports a model library, and evaluates nothing.
"""
