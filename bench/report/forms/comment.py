"""A verdict as a pull-request comment: the outcome first, at most six rows, then the queries behind it, folded."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from bench.base import words
from bench.records import Cell, Verdict
from bench.report import Material, sentences
from bench.report.blocks import Banner, Block, Bullets, Column, Datum, Prose, QueryList, Table, Text, plain, strong
from bench.report.forms.markdown import markdown
from bench.report.sections import queries

MOST_ROWS = 6
MOST_WARNINGS = 5

LONGEST = 60_000
"""Characters; GitHub refuses a comment of more than 65,536."""

FEWER = (15, 8, 3, 0)
"""Lost and gained queries shown, the first that fits."""

_OUTCOME_ORDER = {"fail": 0, "inconclusive": 1, "improved": 2, "pass": 3}


def marker(key: str) -> str:
    """The invisible line by which a comment is found again; one per key."""
    kept = re.sub(r"[^A-Za-z0-9._/@]+", "-", key)[:80].strip("-")
    return f"<!-- retrieval-gate {kept} -->" if kept else "<!-- retrieval-gate -->"


def comment(material: Material, *, key: str = "", link: str = "") -> str:
    """The comment for a material with one verdict.

    Args:
        material: verdict, results of both sides, texts and judgements where they may be shown.
        key: tells apart the gates of one pull request.
        link: where the whole report is, an https address; left out where empty or anything else.
    """
    (verdict,) = material.verdicts
    head: list[Block] = [
        Banner(
            verdict.outcome,
            words.OUTCOMES.get(verdict.outcome, verdict.outcome),
            sentences.verdict_title(verdict),
            sentences.verdict_sentence(verdict),
        ),
        _table(verdict),
        *_checks(verdict),
        *_warnings(verdict),
    ]
    listed = queries.changes(material)
    explorers = [listed] if listed else []
    first = marker(key)
    text = ""
    for most in FEWER:
        shown = [_fewer(block, most) for block in explorers]
        text = f"{first}\n{markdown([*head, *shown, _small_print(verdict)])}{_more(link)}"
        if len(text) <= LONGEST:
            break
    return text


def error_comment(message: str, *, key: str = "") -> str:
    """The comment of a gate that could not judge."""
    sentences = [[plain(line, 1000)] for line in message.split("\n")[:10]]
    head = Banner("fail", "Not judged", ["nothing could be compared"], ["Nothing was shown to be good or bad."])
    return f"{marker(key)}\n{markdown([head, Bullets(sentences)])}"


def worst_first(cells: Sequence[Cell]) -> list[Cell]:
    """Cells by outcome, then by how much of the margin is used up."""
    return sorted(cells, key=lambda cell: (_OUTCOME_ORDER.get(cell.outcome or "", 4), cell.delta + cell.margin))


def _table(verdict: Verdict) -> Table:
    columns = [
        Column("Query set"),
        Column("Measure"),
        Column("Outcome"),
        Column("Before → after", numeric=True),
        Column(f"Difference, {words.level(verdict.policy.alpha)} interval", numeric=True),
        Column("Won / lost", numeric=True),
    ]
    rows = [
        [
            Datum(plain(cell.place, 60), kind="name", note="vs merge base" if cell.reference == "merge-base" else ""),
            Datum(plain(cell.measure, 40)),
            Datum(
                words.OUTCOMES.get(cell.outcome or "", "–"),
                kind="outcome",
                note="identical rankings" if cell.test == "identical" else "",
            ),
            Datum(f"{words.number(cell.baseline)} → {words.number(cell.candidate)}"),
            Datum(f"{words.signed(cell.delta)} {words.interval(cell.ci)}"),
            Datum(f"{cell.wins:,} / {cell.losses:,} of {cell.n:,}"),
        ]
        for cell in worst_first(verdict.cells)[:MOST_ROWS]
    ]
    left = len(verdict.cells) - len(rows)
    note = f"{words.count(left, 'more check')}, none worse than these, in the job summary." if left else ""
    return Table("", columns, rows, note=note)


def _checks(verdict: Verdict) -> list[Block]:
    """Other rules that cannot be told, and pinned queries that were lost."""
    items: list[Text] = [
        [strong(f"{words.OUTCOMES.get(check.outcome or '', '–')}: "), plain(check.reason, 300)]
        for check in verdict.checks
        if check.outcome == "inconclusive"  # what fails stands in the first sentence
    ]
    if verdict.pinned_lost:
        names = ", ".join(plain(change.query_id, 60) for _, change in verdict.pinned_lost[:5])
        more = ", …" if len(verdict.pinned_lost) > 5 else ""
        items.append([strong("Pinned queries lost: "), f"{names}{more}"])
    return [Bullets(items)] if items else []


def _warnings(verdict: Verdict) -> list[Block]:
    found = [finding for finding in verdict.findings if finding.severity == "warning"]
    items: list[Text] = [[strong("Warning: "), plain(finding.message, 400)] for finding in found[:MOST_WARNINGS]]
    if len(found) > MOST_WARNINGS:
        items.append([f"{words.count(len(found) - MOST_WARNINGS, 'more warning')} in the job summary."])
    return [Bullets(items)] if items else []


def _fewer(block: QueryList, most: int) -> QueryList:
    groups = [
        replace(
            group,
            entries=[
                *[entry for entry in group.entries if entry.lost][:most],
                *[entry for entry in group.entries if not entry.lost][:most],
            ],
        )
        for group in block.groups
    ]
    return replace(block, groups=groups)


def _small_print(verdict: Verdict) -> Block:
    """What it was judged against, and how sharp the gate is."""
    told = [plain(f.message, 300) for f in verdict.findings if f.code in ("baseline", "candidate-file")]
    parts = [sentence if sentence.endswith(".") else f"{sentence}." for sentence in told]
    if verdict.mde80 is not None:
        parts.append(f"This gate notices a drop of {verdict.mde80:.3f} four times in five.")
    parts.append(f"A drop counts as shown at p < {verdict.policy.alpha:g} after Holm over all checks.")
    return Prose([" ".join(parts)], style="note")


def _more(link: str) -> str:
    # An address with anything but these characters in it is not one of ours.
    return f"\n[Whole report]({link})\n" if re.fullmatch(r"https://[A-Za-z0-9._~/?=&%#-]+", link) else ""
