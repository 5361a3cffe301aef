"""Systems and their parts (encoders, indexes, rerankers, fusion), with clients of model servers.

In: a corpus, queries, a table of the config.
Out: rankings; manifests of indexes, and the record of which fine-tuned model is served.
Never imports suites, evaluation, gate or train: a system sees no judgement.
"""
