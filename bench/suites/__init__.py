"""Evaluation suites (documents, queries, judgements): read, imported from other formats, checked, altered.

In: folders, files, data sets of other programs.
Out: a `Suite`, a new suite folder, findings about one.
Never imports evaluation, gate or train.
"""
