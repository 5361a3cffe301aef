"""One file a verb. Its docstring is its help; `options(parser)` adds what it takes; `run(options, progress)` asks
`bench.project` and returns an answer, which `bench.cli.main` prints or writes.

A new verb is this file, its name in `VERBS` of `bench.cli.main`, a question in `bench.project`, a method of `Project`
(tests/test_python.py says which verbs have none), and its line in the README's list of commands.

Every verb imports what it needs when it runs, so that judging run files loads no model library.
"""
