"""The material of a report, from records."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from bench import __version__
from bench.base.errors import BenchError
from bench.decide.records import Recommendation
from bench.evaluation.evaluate import Evaluator
from bench.evaluation.measure import recall_by_depth
from bench.records import EVALUATION_ROLES, Finding, Qrels, Result, Suite, Verdict
from bench.report import Fusion, Material, Times
from bench.report.reading import is_smaller


def assemble(
    suite: Suite | None,
    results: Sequence[Result],
    *,
    reference: str,
    verdicts: Sequence[Verdict] = (),
    baselines: Sequence[Result] = (),
    findings: Sequence[Finding] = (),
    training: Sequence[dict[str, Any]] = (),
    loops: Sequence[dict[str, Any]] = (),
    curves: Curves | None = None,
    times: Sequence[Times] = (),
    commands: Sequence[str] = (),
    private: bool = False,
    alpha: float = 0.05,
    title: str | None = None,
    qrels: Mapping[str, Qrels] | None = None,
) -> Material:
    """A report's material from records; without texts where `private`, or where there is no suite."""
    sets = suite.of_role(*EVALUATION_ROLES) if suite else []
    shown = [] if private else sets
    corpora = suite.corpora if suite else {}
    return Material(
        title=title or (f"Retrieval on {suite.name}" if suite else "Retrieval"),
        results=tuple(results),
        reference=reference,
        verdicts=tuple(verdicts),
        baselines=tuple(baselines),
        findings=tuple(findings),
        training=tuple(training),
        loops=tuple(loops),
        texts={q.name: dict(zip(q.ids, q.texts, strict=True)) for q in shown},
        documents={q.name: dict(zip(corpora[q.corpus].ids, corpora[q.corpus].texts, strict=True)) for q in shown},
        qrels=qrels or ({q.name: suite.qrels(q.name) for q in sets} if suite else {}),
        depths=curves.depths if curves else {},
        fusions=tuple(curves.fusions) if curves else (),
        times=tuple(times),
        commands=tuple(commands),
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        version=__version__,
        alpha=alpha,
    )


@dataclass
class Curves:
    """Recall at every depth, and the fusion weights that were tried on dev, from stored runs."""

    depths: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    fusions: list[Fusion] = field(default_factory=list)

    def add(self, evaluator: Evaluator, name: str) -> None:
        """Add a system whose runs are stored; smaller copies of a model have no curve of recall."""
        system, suite = evaluator.systems[name], evaluator.suite
        tried = evaluator.weights_tried(name)
        if tried:
            evaluator.system_digest(name)  # reads the weight that was chosen
            weight = float(getattr(system, "weight", 0.5))
            self.fusions.append(Fusion(name, tuple(system.parts), suite.protocol.measures[0], tried, weight))
        if is_smaller(name, evaluator.systems):
            return
        for query_set in suite.of_role(*EVALUATION_ROLES):
            if evaluator.takes(name, query_set):
                with contextlib.suppress(BenchError):
                    run = evaluator.run(name, query_set)
                    level = suite.protocol.relevance_level
                    curve = recall_by_depth(run, suite.qrels(query_set.name), relevance_level=level)
                    self.depths.setdefault(query_set.name, {})[name] = [round(float(value), 6) for value in curve]


def decision_page(recommendation: Recommendation) -> Material:
    """The material of a page with a decision and nothing else."""
    return Material(
        title=f"What to do about retrieval on {recommendation.suite}",
        results=(),
        reference=recommendation.current,
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        version=__version__,
        alpha=recommendation.alpha,
        recommendation=recommendation,
    )
