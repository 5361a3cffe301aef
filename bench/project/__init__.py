"""A project's questions, one file for each (run, gate, decide, report, …): what Python and the command line call.

`api` has the methods of a project and the functions of `bench`, `answers` what they return; `workspace` and `material`
are what the questions share.

In: `bench.toml`, its suites and stored results.
Out: answers, each with its JSON document, its blocks and its exit code.
Never imports cli.
"""
