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

SEVERITY_STYLES = {"error": "error", "warning": "warning", "info": "note"}


def table(caption: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, text: int = 1) -> Table:
    """A table of texts; columns after the first `text` ones are numbers."""
    heads = [Column(plain(title, 60), numeric=place >= text) for place, title in enumerate(columns)]
    return Table(plain(caption, 200), heads, [[Datum(plain(cell, 400)) for cell in row] for row in rows])


def findings(found: Sequence[Finding]) -> list[Block]:
    """Findings, a line each."""
    return [
        Prose([plain(f"{f.severity:7}  {f.where}: {f.message}")], SEVERITY_STYLES.get(f.severity, "text"))
        for f in found
    ]


def results(found: Sequence[Result]) -> list[Block]:
    """A table per query set: systems by measures; another one where some queries have no answer."""
    several = len({result.suite for result in found}) > 1
    blocks: list[Block] = []
    for suite, query_set in dict.fromkeys((result.suite, result.query_set) for result in found):
        of_set = [result for result in found if (result.suite, result.query_set) == (suite, query_set)]
        rows = [[r.system, *map(words.number, r.scores.means().values()), words.size(r.index_bytes)] for r in of_set]
        n_queries = words.count(len(of_set[0].scores.query_ids), "query")
        caption = f"{suite + ': ' if several else ''}{query_set} ({of_set[0].role}, {n_queries})"
        blocks += [
            table(caption, ["system", *of_set[0].scores.measures, "index"], rows),
            *_no_answers(query_set, of_set),
        ]
    return blocks


def _no_answers(query_set: str, found: Sequence[Result]) -> list[Block]:
    rows = [(result.system, result.no_answer) for result in found if result.no_answer is not None]
    if not rows:
        return []
    first = rows[0][1]
    columns = ["system", "false positives", "answered", f"{first.measure} without", "with threshold"]
    cells = [
        [system, *map(words.number, (n.false_positive_rate, n.answered, n.value, n.value_at_threshold))]
        for system, n in rows
    ]
    caption = (
        f"{query_set}: {words.count(first.n_unanswerable, 'query')} without an answer; the threshold is the score that "
        f"{first.keeps:.0%} of {', '.join(first.chosen_on)} reach"
    )
    return [table(caption, columns, cells)]


def latency(record: Latency) -> Table:
    """Milliseconds a query, and the ratio to the first system."""
    rows = [
        [
            timing.system,
            f"{timing.p50:.2f}",
            f"{timing.p95:.2f}",
            f"{ratio.ratio:.2f}",
            "–" if ratio.low is None else f"{ratio.low:.2f} … {ratio.high:.2f}",
        ]
        for timing, ratio in zip(record.systems, record.ratios(), strict=True)
    ]
    caption = (
        f"Latency on {record.query_set} ({words.count(record.n_queries, 'query')}, median of {record.repetitions}, "
        f"{words.count(record.n_docs, 'document')})"
    )
    columns = ["system", "p50 ms", "p95 ms", f"p95 / {record.systems[0].system}", "bounds, 95 % each"]
    return table(caption, columns, rows)


def scores(found: Scores, run: str, *, per_query: bool = False) -> list[Block]:
    """Means of one run, and every query's numbers where `per_query`."""
    means = [[name, words.number(value, 4)] for name, value in found.means().items()]
    caption = f"{run}, {words.count(len(found.query_ids), 'query')}"
    blocks: list[Block] = [table(caption, ["measure", "mean"], means)]
    if per_query:
        values = zip(found.query_ids, found.values, strict=True)
        rows = [[query_id, *(words.number(value, 4) for value in row)] for query_id, row in values]
        blocks.insert(0, table("By query", ["query", *found.measures], rows))
    return blocks


def calibration(found: GateCalibration) -> list[Block]:
    """Error rates of a gate: a sentence, then the rates of the whole gate and of each comparison, in per cent."""
    harmless, rate = found.harmless, words.per_hundred
    sentence = (
        f"Of 100 harmless changes this gate would block about {rate(harmless.blocked)} and call "
        f"{rate(harmless.inconclusive)} inconclusive."
    )
    if found.drops:
        clear = next((rates for rates in found.drops if rates.failed >= 0.8), found.drops[-1])
        sentence += f" It would notice a drop of {clear.drop:g} on every query set {rate(clear.failed)} times in 100."
    gate = [
        [
            f"{rates.drop:g}" if rates.drop else "none",
            *(
                f"{rate(value)} ± {rate(found.standard_error(value))}"
                for value in (rates.failed, rates.inconclusive, rates.passed, rates.improved, rates.blocked)
            ),
        ]
        for rates in (harmless, *found.drops)
    ]
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
        for cell in found.cells
    ]
    caption = f"The whole gate, % of {words.count(found.repetitions, 'draw')} (± Monte Carlo standard error)"
    columns = ["true drop", "fail", "inconclusive", "pass", "improved", "blocked"]
    blocks: list[Block] = [Prose([sentence], "answer"), table(caption, columns, gate)]
    if found.beyond_reach:
        drops = ", ".join(f"{drop:g}" for drop in found.beyond_reach)
        blocks.append(Prose([f"No such drop can be drawn from these differences: {drops}."], "warning"))
    columns = ["query set", "measure", "n", "alarm", "skewed", "margin m", "at m", "at 2m"]
    caption = "Each comparison alone, % failing: without a drop; at a drop of m and of 2m (seen / predicted)"
    return [*blocks, table(caption, columns, cells, text=2)]
