"""A project's questions, one file for each (run, gate, decide, report, …): what Python and the command line call.

In: `bench.toml`, its suites and stored results.
Out: answers (`answers`), each with its JSON document, its blocks and its exit code. `api` has the Python face;
`workspace` and `material` are what the questions share.
Never imports cli.
"""
