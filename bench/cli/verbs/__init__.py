"""One file a verb: `HELP`, its line in the listing; `options(parser)`; `run(options)`, which calls one function of
the work below, prints, and returns the exit code.

Output for people goes to standard error; `--json` prints one JSON document on standard output and nothing else.
Every verb imports what it needs when it runs, so that judging run files loads no model library.
"""
