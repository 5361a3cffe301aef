"""One file a verb. Its docstring is its help; `options(parser)` adds what it takes; `run(options, progress)` calls one
function of `bench.project` and returns its answer, which `bench.cli.main` prints.

Every verb imports what it needs when it runs, so that judging run files loads no model library.
"""
