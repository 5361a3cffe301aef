"""Everything that people read: blocks, sections, charts, and the forms that write them.

In: records, comparisons and recommendations.
Out: HTML, Markdown, JSON, LaTeX, JUnit, comments, metrics, lines of a terminal.
Never imports a model library, and computes no verdict.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.decide.records import Recommendation
from bench.records import Finding, Qrels, Result, Verdict

__all__ = ["Fusion", "Material", "Times"]


@dataclass(frozen=True)
class Fusion:
    """A hybrid's weights on dev; `tried` maps the second part's share to the measure's mean."""

    system: str
    parts: tuple[str, ...]
    measure: str
    tried: Mapping[float, float]
    chosen: float


@dataclass(frozen=True)
class Times:
    """Systems timed side by side in one process: name → (median, 95th percentile) over queries, in ms."""

    query_set: str
    n_queries: int
    ms: Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class Material:
    """All that a report may show. A section takes what it needs, and is left out if it has no content.

    Attributes:
        title: the report's.
        results: of all systems on all query sets.
        reference: the system that others are compared with.
        verdicts: of the gate.
        baselines: accepted results behind the verdicts, where they are not among `results`.
        findings: of the check of the suite.
        training: a lineage document for each model that was trained.
        loops: documents of `bench loop`.
        texts: query set → query id → text; empty if texts must stay private.
        documents: query set → document id → text; empty if texts must stay private.
        qrels: query set → judgements.
        depths: query set → system → mean recall among the first 1, 2, 3 … documents.
        fusions: weights of hybrids that were tried on dev.
        times: of systems, for each query set.
        commands: command lines that produce the numbers again.
        made: time of the report.
        version: of this package.
        alpha: error rate of tests and intervals.
        recommendation: a decision.
    """

    title: str
    results: tuple[Result, ...]
    reference: str
    verdicts: tuple[Verdict, ...] = ()
    baselines: tuple[Result, ...] = field(default=(), repr=False)
    findings: tuple[Finding, ...] = ()
    training: tuple[Mapping[str, Any], ...] = ()
    loops: tuple[Mapping[str, Any], ...] = ()
    texts: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)
    documents: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)
    qrels: Mapping[str, Qrels] = field(default_factory=dict, repr=False)
    depths: Mapping[str, Mapping[str, Sequence[float]]] = field(default_factory=dict, repr=False)
    fusions: tuple[Fusion, ...] = ()
    times: tuple[Times, ...] = ()
    commands: tuple[str, ...] = ()
    made: str = ""
    version: str = ""
    alpha: float = 0.05
    recommendation: Recommendation | None = None
