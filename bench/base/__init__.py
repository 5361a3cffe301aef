"""Errors, files, the store and the registry of kinds: what every room stands on.

In: paths and names. Out: text, JSON, modules of kinds, sentences. Imports nothing of bench.
"""
