"""The command line.

In: words of a shell.
Out: one call of project, its answer printed or written, an exit code.
Never imports anything heavy before a verb runs.
"""
