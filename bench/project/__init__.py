"""A project as Python and the command line use it: one file a question.

In: bench.toml and what is stored. Out: answers. Imports every room but cli.
"""
