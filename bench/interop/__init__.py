"""Suites, systems and results in the formats of other programs.

In: a suite, a system, stored results.
Out: mteb's tasks and models, BEIR folders, model cards.
Never imports project or cli.
"""
