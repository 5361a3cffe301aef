"""A verdict as a pull-request comment: the outcome, at most six comparisons, then the queries behind it, folded."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from bench.base import words
from bench.records import Cell, Verdict
from bench.report import Material, datum, sentences
from bench.report.blocks import Banner, Block, Bullets, Column, Head, Prose, QueryEntry, QueryGroup, QueryList, Table
from bench.report.forms.markdown import markdown
from bench.report.sections import queries
from bench.report.text import Text, plain, strong

MOST_ROWS = 6
MOST_WARNINGS = 5
MOST_PINNED = 5

LONGEST = 60_000
"""Characters; GitHub refuses a comment of more than 65,536."""

FEWER = (15, 8, 3, 0)
"""Lost and gained queries shown; the first number that fits is taken."""

_OUTCOME_ORDER = {"fail": 0, "inconclusive": 1, "improved": 2, "pass": 3}


def marker(key: str) -> str:
    """The invisible first line by which a comment is recognised; each key has its own."""
    cleaned = re.sub(r"[^A-Za-z0-9._/@]+", "-", key)[:80].strip("-")
    return f"<!-- retrieval-gate {cleaned} -->" if cleaned else "<!-- retrieval-gate -->"


def comment(material: Material, *, key: str = "", link: str = "") -> str:
    """The comment for a material with one verdict.

    Args:
        material: verdict, results of both sides, texts and judgements where they may be shown.
        key: tells apart the gates of one pull request.
        link: https address of the whole report; left out where it is empty or anything else.
    """
    (verdict,) = material.verdicts
    head: list[Block] = [sentences.verdict_banner(verdict), _table(verdict), *_notes(verdict)]
    changed = queries.changes(material)
    # An address with other characters than these is not one of ours.
    safe = re.fullmatch(r"https://[A-Za-z0-9._~/?=&%#-]+", link)
    more = f"\n[Whole report]({link})\n" if safe else ""
    text = ""
    for most in FEWER:
        shown = [_fewer(changed, most)] if changed else []
        text = f"{marker(key)}\n{markdown([*head, *shown, _small_print(verdict)])}{more}"
        if len(text) <= LONGEST:
            break
    return text


def error_comment(message: str, *, key: str = "") -> str:
    """The comment of a gate that could not compare."""
    lines = [[plain(line, 1000)] for line in message.split("\n")[:10]]
    sentence = ["This is no result about their quality."]
    head = Banner("fail", "No verdict", ["the systems could not be compared"], sentence)
    return f"{marker(key)}\n{markdown([head, Bullets(lines)])}"


def worst_first(cells: Sequence[Cell]) -> list[Cell]:
    """Cells by outcome, then by how much of the margin is used up."""
    return sorted(cells, key=lambda cell: (_OUTCOME_ORDER.get(cell.outcome or "", 4), cell.delta + cell.margin))


def _table(verdict: Verdict) -> Table:
    rows = [
        [
            datum.name(cell.place, note="vs merge base" if cell.reference == "merge-base" else ""),
            datum.text(cell.measure, 40),
            datum.outcome(cell.outcome, note="identical rankings" if cell.test == "identical" else ""),
            datum.text(f"{words.number(cell.baseline)} → {words.number(cell.candidate)}"),
            datum.text(f"{words.signed(cell.delta)} {words.interval(cell.ci)}"),
            datum.text(f"{cell.wins:,} / {cell.losses:,} of {cell.n:,}"),
        ]
        for cell in worst_first(verdict.cells)[:MOST_ROWS]
    ]
    change = f"Difference, {words.confidence(verdict.policy.alpha)} interval"
    numbers = [Column(title, numeric=True) for title in ("Before → after", change, "Won / lost")]
    left_out = len(verdict.cells) - MOST_ROWS
    more = f"{words.count(left_out, 'more comparison')}, none of them worse than these, in the job summary."
    columns: list[Head] = ["Query set", "Measure", "Outcome", *numbers]
    return Table.grid("", columns, rows, note=more if left_out > 0 else "")


def _notes(verdict: Verdict) -> list[Block]:
    """Inconclusive rules, lost pinned queries and warnings; a rule that fails is in the verdict's sentence."""
    items: list[Text] = [
        [strong(f"{words.OUTCOMES['inconclusive']}: "), plain(check.reason, 300)]
        for check in verdict.limits
        if check.outcome == "inconclusive"
    ]
    if verdict.pinned_lost:
        names = ", ".join(plain(change.query_id, 60) for _, change in verdict.pinned_lost[:MOST_PINNED])
        more = ", …" if len(verdict.pinned_lost) > MOST_PINNED else ""
        items.append([strong("Pinned queries lost: "), f"{names}{more}"])
    warnings = [finding.message for finding in verdict.findings if finding.severity == "warning"]
    items += [[strong("Warning: "), plain(message, 400)] for message in warnings[:MOST_WARNINGS]]
    if len(warnings) > MOST_WARNINGS:
        items.append([f"{words.count(len(warnings) - MOST_WARNINGS, 'more warning')} in the job summary."])
    return [Bullets(items)] if items else []


def _fewer(block: QueryList, most: int) -> QueryList:
    def largest(group: QueryGroup) -> list[QueryEntry]:
        sides = ([entry for entry in group.entries if entry.lost is lost] for lost in (True, False))
        return [entry for side in sides for entry in side[:most]]

    return QueryList([replace(group, entries=largest(group)) for group in block.groups])


def _small_print(verdict: Verdict) -> Block:
    """What the verdict rests on, and what the gate can notice."""
    lines = [plain(f.message, 300) for f in verdict.findings if f.code in ("baseline", "candidate-file")]
    lines = [line if line.endswith(".") else f"{line}." for line in lines]
    if verdict.mde80 is not None:
        lines.append(f"This gate notices a drop of {verdict.mde80:.3f} four times in five.")
    lines.append(f"A drop is shown at p < {verdict.policy.alpha:g} after Holm over all comparisons.")
    return Prose([" ".join(lines)], style="note")
