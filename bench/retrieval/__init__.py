"""Systems and what they are made of: text in, rankings out.

In: a corpus, queries, a config's table. Out: rankings.
Never imports suites, evaluation, gate or train: a system sees no judgement.
"""
