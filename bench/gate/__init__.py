"""Two results compared, and the verdict.

In: results and a policy.
Out: differences, comparisons, a verdict, how often the gate would err.
Never imports a model library.
"""
