"""What changes over time: the log of results and its steps (history), documents and queries that move away (drift)."""
