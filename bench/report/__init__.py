"""Records as people read them: blocks, sections, charts, and the forms that show them.

In: records.
Out: HTML, Markdown, JSON, LaTeX, JUnit, comments, lines of a terminal.
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
    """A hybrid's weights as they were tried on dev: `tried` maps the second part's share to the measure's mean."""

    system: str
    parts: tuple[str, ...]
    measure: str
    tried: Mapping[float, float]
    chosen: float


@dataclass(frozen=True)
class Times:
    """Systems that were timed side by side in one process: name → (median, 95th percentile) over queries, in ms."""

    query_set: str
    n_queries: int
    ms: Mapping[str, tuple[float, float]]
    made: str = ""


@dataclass(frozen=True)
class Material:
    """All that a report may show. Sections take what they need and vanish where there is nothing.

    `reference` names the system that others are compared with. `texts` maps query set → query id → text, and
    `documents` maps query set → document id → text; both are empty where texts must not leave the house. `baselines`
    holds the accepted results that verdicts were judged against, where they are none of `results`. `training` holds
    one lineage document per model made, `loops` what training at several seeds and shares of the pairs found out
    (documents of `bench loop`). `depths` maps query set → system → mean recall among the first 1, 2, 3 …
    documents. `commands` are the lines that make the numbers again.
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
