"""What a project's methods and the public functions return: a document, blocks, an exit code, and a frame for pandas.

The command line prints the document or the blocks and ends with the exit code; a notebook shows the blocks; Python
works with the records and the frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from bench.base.errors import UsageError, did_you_mean
from bench.records import Finding, Qrels, Result, Scores, Suite, Verdict
from bench.report import Material, tables
from bench.report.blocks import Block, Prose
from bench.report.text import visible

__all__ = ["Answer", "Calibrated", "Decided", "Judged", "Measured", "Results"]

if TYPE_CHECKING:
    import pandas as pd

    from bench.decide.records import Recommendation
    from bench.evaluation.latency import Latency
    from bench.gate.calibration import GateCalibration
    from bench.report.forms.github import Place


class Answer:
    """What a method or function returns. It shows itself in a notebook; `to_frame` has its numbers."""

    exit_code: int = 0
    """The exit code of the command line."""
    output: str = ""
    """What goes to standard output, for another program; most answers have none."""

    def __init_subclass__(cls) -> None:
        # Set before `dataclass` would add one that prints every field.
        if "__repr__" not in vars(cls):
            cls.__repr__ = Answer.__repr__  # type: ignore[method-assign]

    def __repr__(self) -> str:
        first = next(iter(self.blocks()), None)
        text = getattr(first, "caption", "") or getattr(first, "parts", "") or getattr(first, "title", "")
        return f"{type(self).__name__}({visible(''.join(getattr(part, 'text', part) for part in text), 80)})"

    def to_json(self) -> dict[str, Any]:
        """The document that `--json` prints."""
        raise NotImplementedError

    def blocks(self) -> list[Block]:
        """What people read."""
        raise NotImplementedError

    def rows(self) -> list[dict[str, Any]]:
        """The rows of `to_frame`."""
        return []

    def html(self) -> str:
        """A page of its own."""
        from bench.report.forms.html import page_of

        return page_of(repr(self), self.blocks())

    def markdown(self) -> str:
        """The blocks as Markdown."""
        from bench.report.forms.markdown import markdown

        return markdown(self.blocks())

    def to_frame(self) -> pd.DataFrame:
        """The numbers as a pandas frame in long form; docs/python.md has the columns."""
        import pandas as pd

        return pd.DataFrame(self.rows())

    def _repr_html_(self) -> str:
        from bench.report.forms.html import fragment

        return fragment(self.blocks())


@dataclass(frozen=True)
class Reply(Answer):
    """An answer without a record of its own: a document and its blocks."""

    document: Mapping[str, Any]
    shown: Sequence[Block] = ()
    exit_code: int = 0
    table: Sequence[Mapping[str, Any]] = ()
    output: str = ""

    def to_json(self) -> dict[str, Any]:
        """The document."""
        return dict(self.document)

    def blocks(self) -> list[Block]:
        """The blocks."""
        return list(self.shown)

    def rows(self) -> list[dict[str, Any]]:
        """The rows."""
        return [dict(row) for row in self.table]


def query_rows(result: Result) -> Iterator[dict[str, Any]]:
    """One row for each query and measure of a result."""
    for row, query_id in enumerate(result.scores.query_ids):
        for column, measure in enumerate(result.scores.measures):
            yield {
                "system": f"{result.system}{result.variant}",
                "suite": result.suite,
                "query_set": result.query_set,
                "role": result.role,
                "slice": ", ".join(result.slices[row]),
                "query_id": query_id,
                "measure": measure,
                "value": float(result.scores.values[row, column]),
            }


@dataclass(frozen=True)
class Results(Answer, Sequence[Result]):
    """Results of systems on query sets; a sequence of `Result`."""

    results: tuple[Result, ...]
    findings: tuple[Finding, ...] = ()
    latency: tuple[Latency, ...] = ()
    notes: tuple[str, ...] = ()
    timed: bool = False

    def __getitem__(self, place: Any) -> Any:
        """A result by its place; by a system's name, the `Results` of that system."""
        if not isinstance(place, str):
            return self.results[place]
        chosen = tuple(result for result in self.results if result.system == place)
        if not chosen:
            names = list(dict.fromkeys(result.system for result in self.results))
            hint = did_you_mean(place, names)
            raise UsageError(f'No results of "{place}"; expected one of {", ".join(names)}.{hint}')
        return replace(self, results=chosen)

    def __len__(self) -> int:
        return len(self.results)

    def __repr__(self) -> str:
        systems = dict.fromkeys(result.system for result in self.results)
        sets = dict.fromkeys(result.query_set for result in self.results)
        return f"Results({', '.join(systems)} on {', '.join(sets)})"

    def to_json(self) -> dict[str, Any]:
        """The document of `bench run --json`."""
        document: dict[str, Any] = {
            "format": 1,
            "results": [result_row(result) for result in self.results],
            "findings": [finding.to_json() for finding in self.findings],
        }
        if self.latency or self.timed:
            document["latency"] = [_latency_row(record) for record in self.latency]
        return document | ({"notes": list(self.notes)} if self.notes else {})

    def blocks(self) -> list[Block]:
        """A table per query set, times, and what makes the numbers doubtful."""
        doubt = "The suite has errors; do not rely on these numbers (bench check):"
        return [
            *tables.results(self.results),
            *(Prose([note], "warning") for note in self.notes),
            *map(tables.latency, self.latency),
            *([Prose([doubt], "error"), *tables.findings(self.findings)] if self.findings else []),
        ]

    def rows(self) -> list[dict[str, Any]]:
        """A row per system, query and measure."""
        return [row for result in self.results for row in query_rows(result)]


def result_row(result: Result) -> dict[str, Any]:
    """A result in `bench run --json`."""
    no_answer = {} if result.no_answer is None else {"no_answer": asdict(result.no_answer)}
    return {
        "system": result.system,
        "suite": result.suite,
        "query_set": result.query_set,
        "role": result.role,
        "n_queries": len(result.scores.query_ids),
        "measures": result.scores.means(),
        "seconds": dict(result.seconds),
        "index_bytes": result.index_bytes,
        "judged@10": float(result.scores.judged.mean()),
        "system_digest": result.system_digest,
        "suite_digest": result.suite_digest,
    } | no_answer


def _latency_row(record: Latency) -> dict[str, Any]:
    """The record's document, with each system's ratio to the first."""
    document = record.to_json()
    for row, ratio in zip(document["systems"], record.ratios(), strict=True):
        row["p95_ratio"] = {"to": record.systems[0].system, **vars(ratio)}
    return document


@dataclass(frozen=True)
class Measured(Answer):
    """One run's numbers; `ignored` counts queries of the run that have no judgement."""

    run: str
    scores: Scores
    ignored: int = 0
    per_query: bool = False

    def __repr__(self) -> str:
        means = ", ".join(f"{name} {value:.4f}" for name, value in self.means.items())
        return f"Measured({self.run}: {means})"

    @property
    def means(self) -> dict[str, float]:
        """Measure → mean over queries."""
        return self.scores.means()

    def to_json(self) -> dict[str, Any]:
        """The document of `bench measure --json`."""
        scores = self.scores
        document: dict[str, Any] = {
            "format": 1,
            "n_queries": len(scores.query_ids),
            "measures": scores.means(),
            "missing_queries": len(scores.missing),
            "ignored_queries": self.ignored,
            "queries_without_positives": scores.left_out,
            "judged@10": float(scores.judged.mean()),
            "tie_spread": dict(scores.tie_spread),
        }
        if self.per_query:
            document["per_query"] = {
                query_id: dict(zip(scores.measures, row, strict=True))
                for query_id, row in zip(scores.query_ids, scores.values.tolist(), strict=True)
            }
        return document

    def blocks(self) -> list[Block]:
        """Means, and what was counted besides."""
        counted = (
            (len(self.scores.missing), "judged queries are missing from the run and count 0"),
            (self.ignored, "queries of the run have no judgement and are ignored"),
            (self.scores.left_out, "judged queries have no relevant document and are left out"),
        )
        notes = [Prose([f"{count} {text}."], "warning") for count, text in counted if count]
        return [*tables.scores(self.scores, self.run, per_query=self.per_query), *notes]

    def rows(self) -> list[dict[str, Any]]:
        """A row per query and measure."""
        return [
            {"system": self.run, "query_id": query_id, "measure": measure, "value": float(value)}
            for query_id, values in zip(self.scores.query_ids, self.scores.values, strict=True)
            for measure, value in zip(self.scores.measures, values, strict=True)
        ]


CELL_COLUMNS = (
    *("system", "against", "suite", "query_set", "role", "slice", "variant", "reference", "measure", "n"),
    *("baseline", "candidate", "delta", "low", "high", "lower", "p", "p_adjusted", "test", "margin", "outcome"),
)


@dataclass(frozen=True)
class Judged(Answer):
    """A verdict, and what it was drawn from. Where it only informs, the exit code is 0 whatever the outcome."""

    verdict: Verdict
    baseline: Sequence[Result] = field(repr=False)
    candidate: Sequence[Result] = field(repr=False)
    merge_base: Sequence[Result] = field(default=(), repr=False)
    accepted: Mapping[str, Any] = field(default_factory=dict, repr=False)
    suite: Suite | None = field(default=None, repr=False)
    qrels: Mapping[str, Qrels] | None = field(default=None, repr=False)
    commands: Sequence[str] = field(default=(), repr=False)
    find_place: Callable[[], Place | None] = field(default=lambda: None, repr=False)
    private: bool = False
    informs: bool = False

    def __repr__(self) -> str:
        suite = f" on {self.verdict.suite}" if self.verdict.suite else ""
        return f"Judged({self.verdict.outcome}: {self.verdict.candidate} against {self.verdict.baseline}{suite})"

    @property
    def place(self) -> Place | None:
        """The line of the config that the change touched, where that is known."""
        return self.find_place()

    @property
    def outcome(self) -> str:
        """ "pass", "improved", "inconclusive" or "fail"."""
        return self.verdict.outcome

    @property
    def exit_code(self) -> int:  # type: ignore[override]
        """0 where it only informs, else the verdict's."""
        return 0 if self.informs else self.verdict.exit_code

    def to_json(self) -> dict[str, Any]:
        """The document of `bench gate --json`."""
        return self.verdict.to_json()

    def blocks(self) -> list[Block]:
        """The verdict as a report has it."""
        from bench.report.sections.verdicts import verdict_blocks

        return verdict_blocks(self.verdict)

    def rows(self) -> list[dict[str, Any]]:
        """A row per cell."""
        verdict = self.verdict
        names = {"system": verdict.candidate, "against": verdict.baseline, "suite": verdict.suite}
        rows = []
        for cell in verdict.cells:
            low, high = cell.ci or (None, None)
            values = {**names, **vars(cell), "slice": cell.slice or "", "low": low, "high": high}
            rows.append({column: values[column] for column in CELL_COLUMNS})
        return rows

    def material(self) -> Material:
        """What the forms of this verdict may show."""
        from bench.project.material import assemble

        verdict = self.verdict
        return assemble(
            self.suite,
            (),
            reference=verdict.baseline,
            verdicts=(verdict,),
            baselines=[*self.baseline, *self.merge_base, *self.candidate],
            alpha=verdict.policy.alpha,
            title=f"{verdict.candidate} against {verdict.baseline}",
            private=self.private,
            qrels=self.qrels,
            commands=self.commands,
        )

    def html(self) -> str:
        """The verdict's page, with the queries that changed."""
        from bench.report.forms.html import render

        return render(self.material())

    def markdown(self) -> str:
        """The verdict and the queries that changed, for a job summary."""
        from bench.report.forms.html import markdown

        return markdown(self.material())


@dataclass(frozen=True)
class Decided(Answer):
    """A recommendation."""

    recommendation: Recommendation

    def __repr__(self) -> str:
        advice = self.recommendation
        instead = "" if advice.system == advice.current else f" instead of {advice.current}"
        return f"Decided({advice.choice}: {advice.system}{instead} on {advice.suite})"

    @property
    def choice(self) -> str:
        """The chosen option's name."""
        return self.recommendation.choice

    def to_json(self) -> dict[str, Any]:
        """The document of `bench decide --json`."""
        return self.recommendation.to_json()

    def blocks(self) -> list[Block]:
        """The decision as a report has it."""
        from bench.project.material import decision_page
        from bench.report.sections import decision

        return decision.build(decision_page(self.recommendation))

    def html(self) -> str:
        """The decision's page."""
        from bench.project.material import decision_page
        from bench.report.forms.html import render

        return render(decision_page(self.recommendation))

    def rows(self) -> list[dict[str, Any]]:
        """A row per option."""
        return [
            {
                "option": option.name,
                "system": option.system or None,
                "mean": option.mean,
                "delta": option.gain.delta if option.gain else None,
                "low": option.gain.ci[0] if option.gain and option.gain.ci else None,
                "high": option.gain.ci[1] if option.gain and option.gain.ci else None,
                "eligible": option.eligible,
                "index_bytes": option.cost.index_bytes if option.cost else None,
                "chosen": option is self.recommendation.chosen,
            }
            for option in self.recommendation.options
        ]


@dataclass(frozen=True)
class Calibrated(Answer):
    """How often a gate would err."""

    calibration: GateCalibration

    def to_json(self) -> dict[str, Any]:
        """The document of `bench gate --calibrate --json`."""
        return self.calibration.to_json()

    def blocks(self) -> list[Block]:
        """Rates in a sentence and two tables."""
        return tables.calibration(self.calibration)

    def rows(self) -> list[dict[str, Any]]:
        """A row per true drop."""
        calibration = self.calibration
        return [
            {"drop": rates.drop, "fail": rates.failed, "inconclusive": rates.inconclusive, "pass": rates.passed,
             "improved": rates.improved, "blocked": rates.blocked}
            for rates in (calibration.harmless, *calibration.drops)
        ]  # fmt: skip
