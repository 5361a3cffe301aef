"""Many questions to a server of chat completions: `batch` asks them within a budget, `ledger` keeps the answers.

`bench.retrieval.remote` sends the requests and decides when the next one may go.
"""
