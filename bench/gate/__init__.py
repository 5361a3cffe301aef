"""Two results compared, and the verdict.

In: results and a policy. Out: comparisons, a verdict, a baseline's file. Never imports a model library.
"""
