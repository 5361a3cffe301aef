"""Trends and drift, from stored results and samples of texts; nothing runs in the background.

In: the log of results, documents, queries and models of then and now.
Out: trends, steps, signals of drift.
Never imports a model library, and evaluates nothing.
"""
