"""Systems and what they are made of: encoders, indexes, rerankers, fusion.

In: a corpus, queries, a table of the config.
Out: rankings.
Never imports suites, evaluation, gate or train: a system sees no judgement.
"""
