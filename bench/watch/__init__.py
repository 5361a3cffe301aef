"""What changes over time: results (history) and documents, queries and models (drift).

In: the log of results, samples of texts.
Out: trends, steps, signals of drift.
Never imports a model library, and evaluates nothing.
"""
