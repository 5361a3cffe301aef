"""Systems run on a suite's query sets, and their rankings measured.

In: a suite and systems. Out: runs, scores and results. Never imports gate, train or report.
"""
