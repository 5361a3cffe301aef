"""Records as plain blocks, for the terminal and a notebook: results, times, findings, error rates of a gate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.base import words
from bench.evaluation.latency import Latency
from bench.records import Finding, Result, Scores
from bench.report.blocks import Block, Column, Datum, Prose, Table
from bench.report.text import plain

if TYPE_CHECKING:
    from bench.gate.calibration import GateCalibration


def table(caption: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, text: int = 1) -> Table:
    """A table of texts; columns after the first `text` ones are numbers."""
    heads = [Column(plain(title, 60), numeric=place >= text) for place, title in enumerate(columns)]
    return Table(plain(caption, 200), heads, [[Datum(plain(cell, 400)) for cell in row] for row in rows])


def findings(every: Sequence[Finding]) -> list[Block]:
    """Findings, a line each."""
    styles = {"error": "error", "warning": "warning", "info": "note"}
    return [Prose([plain(f"{f.severity:7}  {f.where}: {f.message}")], styles.get(f.severity, "text")) for f in every]


def results(every: Sequence[Result]) -> list[Block]:
    """A table per query set: systems by measures; a second table if some queries have no answer."""
    several = len({result.suite for result in every}) > 1
    blocks: list[Block] = []
    for suite, query_set in dict.fromkeys((result.suite, result.query_set) for result in every):
        of_set = [result for result in every if (result.suite, result.query_set) == (suite, query_set)]
        rows = [[r.system, *map(words.number, r.scores.means().values()), words.size(r.index_bytes)] for r in of_set]
        n_queries = words.count(len(of_set[0].scores.query_ids), "query")
        caption = f"{suite + ': ' if several else ''}{query_set} ({of_set[0].role}, {n_queries})"
        blocks.append(table(caption, ["system", *of_set[0].scores.measures, "index"], rows))
        refusing = [(result.system, result.no_answer) for result in of_set if result.no_answer is not None]
        if refusing:
            first = refusing[0][1]
            columns = ["system", "false positives", "answered", f"{first.measure} without", "with threshold"]
            numbers = ((s, (n.false_positive_rate, n.answered, n.value, n.value_at_threshold)) for s, n in refusing)
            caption = (
                f"{query_set}: {words.count(first.n_unanswerable, 'query')} without an answer; the threshold is the "
                f"score that {first.keeps:.0%} of {', '.join(first.chosen_on)} reach"
            )
            blocks.append(table(caption, columns, [[system, *map(words.number, row)] for system, row in numbers]))
    return blocks


def latency(record: Latency) -> Table:
    """Milliseconds a query, and the ratio to the first system."""
    rows = []
    for timing, ratio in zip(record.systems, record.ratios(), strict=True):
        bounds = "–" if ratio.low is None else f"{ratio.low:.2f} … {ratio.high:.2f}"
        rows.append([timing.system, *(f"{number:.2f}" for number in (timing.p50, timing.p95, ratio.ratio)), bounds])
    caption = (
        f"Latency on {record.query_set} ({words.count(record.n_queries, 'query')}, median of {record.repetitions}, "
        f"{words.count(record.n_docs, 'document')})"
    )
    columns = ["system", "p50 ms", "p95 ms", f"p95 / {record.systems[0].system}", "bounds, 95 % each"]
    return table(caption, columns, rows)


def scores(record: Scores, run: str, *, per_query: bool = False) -> list[Block]:
    """Means of one run, and every query's numbers where `per_query`."""
    means = [[measure, words.number(mean, 4)] for measure, mean in record.means().items()]
    blocks: list[Block] = [table(f"{run}, {words.count(len(record.query_ids), 'query')}", ["measure", "mean"], means)]
    if per_query:
        values = zip(record.query_ids, record.values, strict=True)
        rows = [[query_id, *(words.number(value, 4) for value in row)] for query_id, row in values]
        blocks.insert(0, table("By query", ["query", *record.measures], rows))
    return blocks


def calibration(record: GateCalibration) -> list[Block]:
    """Error rates of a gate: a sentence, then the rates of the whole gate and of each comparison, in per cent."""
    harmless, rate = record.harmless, words.per_hundred
    sentence = (
        f"Of 100 harmless changes this gate would block about {rate(harmless.blocked)} and call "
        f"{rate(harmless.inconclusive)} inconclusive."
    )
    if record.drops:
        clear = next((rates for rates in record.drops if rates.failed >= 0.8), record.drops[-1])
        sentence += f" It would notice a drop of {clear.drop:g} on every query set {rate(clear.failed)} times in 100."
    gate = []
    for rates in (harmless, *record.drops):
        values = (rates.failed, rates.inconclusive, rates.passed, rates.improved, rates.blocked)
        cells_of = [f"{rate(value)} ± {rate(record.standard_error(value))}" for value in values]
        gate.append([f"{rates.drop:g}" if rates.drop else "none", *cells_of])
    cells = [
        [
            cell.name.partition(" on ")[2],
            cell.measure,
            str(cell.n) if cell.n_clusters is None else f"{cell.n} ({cell.n_clusters})",
            rate(cell.false_alarm),
            rate(cell.false_alarm_skewed),
            f"{cell.margin:g}",
            f"{rate(cell.at_margin)} / {rate(cell.at_margin_predicted)}",
            f"{rate(cell.at_twice)} / {rate(cell.at_twice_predicted)}",
        ]
        for cell in record.cells
    ]
    caption = f"The whole gate, % of {words.count(record.repetitions, 'draw')} (± Monte Carlo standard error)"
    columns = ["true drop", "fail", "inconclusive", "pass", "improved", "blocked"]
    blocks: list[Block] = [Prose([sentence], "answer"), table(caption, columns, gate)]
    if record.beyond_reach:
        drops = ", ".join(f"{drop:g}" for drop in record.beyond_reach)
        blocks.append(Prose([f"Too few queries changed in this comparison to draw a drop of: {drops}."], "warning"))
    columns = ["query set", "measure", "n", "alarm", "skewed", "margin m", "at m", "at 2m"]
    caption = "Each comparison alone, % failing: without a drop; at a drop of m and of 2m (seen / predicted)"
    return [*blocks, table(caption, columns, cells, text=2)]
