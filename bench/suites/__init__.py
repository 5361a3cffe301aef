"""What is measured: suites and their sources, checks, splits and slices.

In: folders and files. Out: a Suite, findings about one. Never imports evaluation, gate or train.
"""
