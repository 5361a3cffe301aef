"""A client for any server that speaks OpenAI's chat completions: paced, within a budget, its answers kept.

`client` reads one answer (`bench.retrieval.remote` sends requests, and says when the next may go); `budget` says
whether it may go at all; `answers` keeps what was paid for; `batch` asks many things at once.
"""

from __future__ import annotations

from bench.retrieval.remote import Endpoint, Fault, Pace, api_key
from bench.train.llm.answers import Answers
from bench.train.llm.batch import Batch, Job, Outcome, Unusable
from bench.train.llm.budget import Budget, Price, Spent, estimated_tokens
from bench.train.llm.client import Answer

__all__ = [
    "Answer",
    "Answers",
    "Batch",
    "Budget",
    "Endpoint",
    "Fault",
    "Job",
    "Outcome",
    "Pace",
    "Price",
    "Spent",
    "Unusable",
    "api_key",
    "estimated_tokens",
]
