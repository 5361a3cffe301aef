"""Systems run on a suite's query sets, and their rankings measured.

In: a suite and systems.
Out: runs, scores, results, times.
Never imports gate, train or report; `measure` is the only user of ranx and sees no model.
"""
