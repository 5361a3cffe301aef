"""What is measured: suites, where they come from, and what is wrong with them.

In: folders, files, data sets of other programs.
Out: a `Suite`, a new suite folder, findings about one.
Never imports evaluation, gate or train.
"""
