"""The records, in the order in which they are made: Suite → Run → Scores → Comparison → Verdict.

In: plain values, arrays, files of runs.
Out: frozen records, each with the digests of what made it. A `Result` is the scores with what they were measured on:
the form in which they are stored and compared.
Never imports what computes them: no package above.
"""

from __future__ import annotations

from bench.base.progress import Progress, no_progress
from bench.records.comparison import Cell, Change, Comparison, Limit
from bench.records.digests import digest_of, digest_texts
from bench.records.model import ModelRecord, ModelScores
from bench.records.policy import Ceiling, Policy, Rule
from bench.records.protocols import Encoder, PairScorer, Ranked, Search, System
from bench.records.result import Result
from bench.records.run import Run
from bench.records.scores import NoAnswer, Scores
from bench.records.suite import (
    EVALUATION_ROLES,
    ROLES,
    TIE_RULE,
    Corpus,
    EvalProtocol,
    Labels,
    Qrels,
    QuerySet,
    Suite,
    document_text,
)
from bench.records.verdict import Finding, Verdict

__all__ = [
    "EVALUATION_ROLES",
    "ROLES",
    "TIE_RULE",
    "Ceiling",
    "Cell",
    "Change",
    "Comparison",
    "Corpus",
    "Encoder",
    "EvalProtocol",
    "Finding",
    "Labels",
    "Limit",
    "ModelRecord",
    "ModelScores",
    "NoAnswer",
    "PairScorer",
    "Policy",
    "Progress",
    "Qrels",
    "QuerySet",
    "Ranked",
    "Result",
    "Rule",
    "Run",
    "Scores",
    "Search",
    "Suite",
    "System",
    "Verdict",
    "digest_of",
    "digest_texts",
    "document_text",
    "no_progress",
]
