"""Whether a change may be merged: two results compared query by query, rules applied, a verdict.

In: results, a policy, an accepted baseline's file.
Out: differences, cells, a verdict; how often the gate would be wrong.
Never imports a model library.
"""
