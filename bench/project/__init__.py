"""A project as Python and the command line use it: one file a question.

In: `bench.toml`, its suites and what is stored.
Out: answers, each with its JSON document, its blocks and its exit code.
Never imports cli.
"""
