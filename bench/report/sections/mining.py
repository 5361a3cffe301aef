"""Hard negatives: where they come from, how close they are to the positives, and which candidates may be answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from bench.base import words
from bench.report import Material, charts, datum
from bench.report.blocks import Block, Bullets, Column, Datum, Figure, Folded, Head, Heading, Panel, Prose, Table
from bench.report.text import Parts, fill, name, plain

ORDER = 79
TITLE = "Hard negatives"

REASONS = (
    ("known_positives", "Known", "Positive of the query by a pair or a training judgement"),
    ("copies_of_positives", "Copies", "Same text as a positive, under another id"),
    ("near_copies", "Near-copies", "Nearly the same words as a positive"),
    ("too_close", "Too close", "Score within the margin of the weakest positive"),
    ("over_max_score", "Above maximum", "Score above the maximum"),
    ("by_reranker", "By reranker", "As good as a positive by the cross-encoder"),
)
MOST_SUSPECTS, MOST_EXAMPLES = 50, 20

Mining = Mapping[str, Any]
"""The counts and examples of mining in a lineage or from `bench mine`. Any key may be missing or of another type."""


def build(material: Material) -> list[Block]:
    """The mining of every model, or file of negatives."""
    mined: list[tuple[str, Mining]] = []
    for model in material.training:
        mining = _mapping(_mapping(_mapping(model).get("data")).get("mining"))
        # Lineages from before 0.2 have no counts by system.
        if isinstance(mining.get("by_system"), Mapping):
            seed = "" if model.get("seed") is None else f", seed {plain(model['seed'], 12)}"
            mined.append((plain(model.get("name") or "negatives", 60) + seed, mining))
    blocks: list[Block] = []
    for place, (title, mining) in enumerate(mined):
        blocks += [Heading([title])] if len(mined) > 1 else []
        blocks += [_lead(mining), _counts(title, mining), *_histogram(place, title, mining)]
        blocks += [*_suspects(mining), *_examples(mining)]
    return blocks


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _integer(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _rows(mining: Mining, key: str) -> list[Mapping[str, Any]]:
    return [row for row in mining.get(key) or () if isinstance(row, Mapping)]


def _lead(mining: Mining) -> Block:
    n = {key: _integer(mining.get(key)) for key in ("queries", "candidates", "filled_at_random", "suspects")}
    items: list[Parts] = [[f"{words.count(n['queries'], 'query')}, {words.count(n['candidates'], 'candidate')}."]]
    unscored: Parts = ["No model scored the candidates, so no margin was applied: unjudged answers may be among them."]
    reference = mining.get("reference")
    items.append(fill("Margins are differences in similarity by {}.", name(str(reference))) if reference else unscored)
    if filled := n["filled_at_random"]:
        items.append([f"{words.count(filled, 'negative')} drawn at random, because no candidate was left."])
    if n["suspects"]:
        suspects = words.count(n["suspects"], "candidate")
        items.append([f"{suspects} left out as suspected false negatives: they may be answers."])
    if file := _mapping(mining.get("file")):
        parts = ", ".join(f"{plain(key, 40).replace('_', ' ')} {plain(value, 20)}" for key, value in file.items())
        items.append([f"From a file: {parts}."])
    return Bullets(items)


def _counts(title: str, mining: Mining) -> Table:
    taken = _mapping(mining.get("from_system"))
    rows = []
    for system, value in mining["by_system"].items():
        counts = _mapping(value)
        numbers = [_integer(counts.get(key)) for key in ("candidates", *(key for key, _, _ in REASONS))]
        rows.append([datum.name(system), *map(datum.integer, [*numbers, _integer(taken.get(system))])])
    if n_random := _integer(mining.get("random")):
        rows.append([datum.text("at random"), *[datum.number(None)] * (len(REASONS) + 1), datum.integer(n_random)])
    reasons = [Column(short, hint) for _, short, hint in REASONS]
    columns: list[Head] = ["Source", Column("Candidates", "Ranks looked at"), *reasons, Column("Taken", "As negatives")]
    note = "A document from two sources is counted for both and taken once, from the first."
    return Table.grid(f"Candidates of {title} by source and reason", columns, rows, note=note)


def _histogram(place: int, title: str, mining: Mining) -> list[Block]:
    scores = _mapping(mining.get("scores"))
    edges = scores.get("edges")
    if not isinstance(edges, Sequence) or len(edges) < 3:
        return []
    middles = [(low + high) / 2 for low, high in pairwise(edges)]
    series, rows = [], []
    for i, kind in enumerate(("positives", "negatives", "rejected")):
        counts = scores.get(kind) or []
        if total := sum(counts):
            series.append(charts.Line(kind, middles, [100 * n / total for n in counts], group=i, style=i))
            mean = sum(n * x for n, x in zip(counts, middles, strict=True)) / total
            rows.append([datum.text(kind), datum.integer(total), datum.number(mean)])
    if not series:
        return []
    x_axis, y_axis = "similarity to the query", "% of each kind"
    svg = charts.lines(f"mining-{place}", f"Scores of {title}", series, x_axis=x_axis, y_axis=y_axis)
    caption = (
        "Similarity by the reference model. Negatives far to the left of the positives are easy. Negatives among the "
        "positives are hard, or answers without a judgement. Rejected candidates are too close to the weakest positive."
    )
    table = Table.grid(f"Scores of {title}", ["Kind", "Scored", Column("Mean", "From the bins")], rows)
    return [Figure([Panel("Scores", svg)], caption, table)]


def _suspects(mining: Mining) -> list[Block]:
    suspects = _rows(mining, "suspected")[:MOST_SUSPECTS]
    labels = {key: short.lower() for key, short, _ in REASONS}
    table = Table.of(
        "Suspected false negatives",
        suspects,
        {
            "Query": lambda row: datum.text(row.get("query") or row.get("query_id"), 200),
            "Document": lambda row: datum.text(
                row.get("text") or row.get("doc_id"), 300, note=plain(row.get("doc_id"), 40)
            ),
            Column("A positive", minor=True): lambda row: datum.text(row.get("positive") or "–", 300),
            "Reason": lambda row: datum.text(labels.get(str(row.get("reason")), "–"), 40),
            "Score": lambda row: datum.number(row.get("score")),
            "Weakest positive": lambda row: datum.number(row.get("weakest_positive")),
        },
    )
    sentence = "Read these. Where a document answers its query, a judgement is missing and worth adding."
    return [Folded("Suspected false negatives", [Prose([sentence]), table])] if suspects else []


def _examples(mining: Mining) -> list[Block]:
    def negatives(row: Mapping[str, Any]) -> Datum:
        texts = row.get("negative_texts") or row.get("negatives") or ()
        return datum.text(" · ".join(str(text)[:200] for text in texts[:3]), 600)

    examples = _rows(mining, "examples")[:MOST_EXAMPLES]
    table = Table.of(
        "Examples",
        examples,
        {
            "Query": lambda row: datum.text(row.get("query") or row.get("query_id"), 200),
            "Positive": lambda row: datum.text(row.get("positive_text") or row.get("positive"), 300),
            Column("Negatives", "At most three"): negatives,
        },
    )
    return [Folded("Examples", [table])] if examples else []
