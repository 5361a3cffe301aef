"""Errors, words, files, the store and the registry of kinds: what every other package stands on.

In: paths, names, numbers.
Out: text, JSON, modules of kinds, sentences.
Never imports any other package of bench.
"""
