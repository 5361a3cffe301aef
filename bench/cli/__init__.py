"""The command line: options in, one call of project, an answer out."""
