"""Hard negatives: where they come from, how near they lie to the positives, and which candidates may be answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from bench.base import words
from bench.report import Material, charts
from bench.report.blocks import Block, Bullets, Column, Datum, Figure, Folded, Heading, Panel, Prose, Table, name, plain

ORDER = 79
TITLE = "Hard negatives"

REASONS = (
    ("known_positives", "Known", "positive of the query by a pair or a training judgement"),
    ("copies_of_positives", "Copies", "same text as a positive, under another id"),
    ("near_copies", "Near-copies", "nearly the same words as a positive"),
    ("too_close", "Too close", "scored within the margin of the weakest positive"),
    ("over_max_score", "Above maximum", "scored above the maximum"),
    ("by_reranker", "By reranker", "as good as a positive, says the cross-encoder"),
)
MOST_SUSPECTS, MOST_EXAMPLES = 50, 20


def build(material: Material) -> list[Block]:
    """For every model, or file, what was mined for it."""
    held = []
    for model in material.training:
        data = model.get("data") if isinstance(model, Mapping) else None
        mining = data.get("mining") if isinstance(data, Mapping) else None
        # Lineages from before 0.2 tell less.
        if isinstance(mining, Mapping) and isinstance(mining.get("by_system"), Mapping):
            seed = model.get("seed")
            title = plain(model.get("name") or "negatives", 60) + ("" if seed is None else f", seed {plain(seed, 12)}")
            held.append((title, mining))
    blocks: list[Block] = []
    for place, (title, mining) in enumerate(held):
        blocks += [Heading([title])] if len(held) > 1 else []
        blocks += [_lead(mining), _counts(title, mining), *_histogram(place, title, mining)]
        blocks += [*_suspects(mining), *_examples(mining)]
    return blocks


def _whole(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _lead(mining: Mapping[str, Any]) -> Block:
    items: list[Sequence[Any]] = []
    queries, filled = _whole(mining.get("queries")), _whole(mining.get("filled_at_random"))
    items.append([f"{words.count(queries, 'query')}; {_whole(mining.get('candidates')):,} candidates were looked at."])
    reference = mining.get("reference")
    if reference:
        items.append(["Margins go by the similarity of ", name(str(reference)), "."])
    else:
        items.append(["No model scored the candidates: no margin was applied, and unjudged answers may be among them."])
    if filled:
        items.append([f"{words.count(filled, 'place')} filled up with a random document: no candidate was left."])
    suspects = _whole(mining.get("suspects"))
    if suspects:
        items.append(
            [f"{words.count(suspects, 'candidate')} kept out as suspected false negatives: they may be answers."]
        )
    file = mining.get("file")
    if isinstance(file, Mapping) and file:
        text = ", ".join(f"{plain(key, 40).replace('_', ' ')} {plain(value, 20)}" for key, value in file.items())
        items.append([f"From a file: {text}."])
    return Bullets(items)


def _counts(title: str, mining: Mapping[str, Any]) -> Table:
    taken = mining.get("from_system")
    chosen = taken if isinstance(taken, Mapping) else {}
    columns = [Column("Source"), Column("Candidates", "ranks looked at", numeric=True)]
    columns += [Column(short, hint, numeric=True) for _, short, hint in REASONS]
    columns.append(Column("Taken", "as negatives", numeric=True))
    rows = []
    for system, counts in mining["by_system"].items():
        counts = counts if isinstance(counts, Mapping) else {}
        numbers = [_whole(counts.get(key)) for key in ("candidates", *(key for key, _, _ in REASONS))]
        numbers.append(_whole(chosen.get(system)))
        rows.append([Datum(plain(system, 60), kind="name"), *(Datum(f"{n:,}", n, "number") for n in numbers)])
    n_random = _whole(mining.get("random"))
    if n_random:
        rows.append(
            [Datum("at random"), *(Datum("–", -1, "number") for _ in columns[2:]), Datum(f"{n_random:,}", n_random)]
        )
    note = "A document that two sources find is counted for both, and taken once, from the first."
    return Table(f"Candidates of {title} by source and reason", columns, rows, note=note)


def _histogram(place: int, title: str, mining: Mapping[str, Any]) -> list[Block]:
    scores = mining.get("scores")
    edges = scores.get("edges") if isinstance(scores, Mapping) else None
    if not isinstance(scores, Mapping) or not isinstance(edges, Sequence) or len(edges) < 2:
        return []
    middles = [(low + high) / 2 for low, high in pairwise(edges)]
    series, rows = [], []
    for i, kind in enumerate(("positives", "negatives", "rejected")):
        counts = scores.get(kind) or []
        total = sum(counts)
        if total:
            series.append(charts.Line(kind, middles, [100 * n / total for n in counts], group=i, style=i))
            mean = sum(n * x for n, x in zip(counts, middles, strict=True)) / total
            rows.append([Datum(kind), Datum(f"{total:,}", total, "number"), Datum(words.number(mean), mean, "number")])
    if not series or len(middles) < 2:
        return []
    svg = charts.lines(
        f"mining-{place}", f"Scores of {title}", series, x_axis="similarity to the query", y_axis="% of each kind"
    )
    caption = (
        "Similarity by the reference model. Negatives to the left of the positives are easy; those among them hard, "
        "or answers that nobody judged. Rejected are candidates that came too close to the weakest positive."
    )
    columns = [Column("Kind"), Column("Scored", numeric=True), Column("Mean", "from the bins", numeric=True)]
    return [Figure([Panel("Scores", svg)], caption, Table(f"Scores of {title}", columns, rows))]


def _suspects(mining: Mapping[str, Any]) -> list[Block]:
    held = [row for row in mining.get("suspected") or () if isinstance(row, Mapping)][:MOST_SUSPECTS]
    if not held:
        return []
    labels = {key: short.lower() for key, short, _ in REASONS}
    columns = [
        Column("Query"),
        Column("Document"),
        Column("A positive", minor=True),
        Column("Why"),
        Column("Score", numeric=True),
        Column("Weakest positive", numeric=True),
    ]
    rows = [
        [
            Datum(plain(row.get("query") or row.get("query_id"), 200)),
            Datum(plain(row.get("text") or row.get("doc_id"), 300), note=plain(row.get("doc_id"), 40)),
            Datum(plain(row.get("positive") or "–", 300)),
            Datum(plain(labels.get(str(row.get("reason")), "–"), 40)),
            *(Datum(words.number(row.get(key)), row.get(key), "number") for key in ("score", "weakest_positive")),
        ]
        for row in held
    ]
    sentence = "Read these: where the document answers the query, the judgements have a hole that is worth filling."
    return [Folded("Suspected false negatives", [Prose([sentence]), Table("Suspected false negatives", columns, rows)])]


def _examples(mining: Mapping[str, Any]) -> list[Block]:
    rows = []
    for row in [row for row in mining.get("examples") or () if isinstance(row, Mapping)][:MOST_EXAMPLES]:
        texts = row.get("negative_texts") or row.get("negatives") or ()
        rows.append(
            [
                Datum(plain(row.get("query") or row.get("query_id"), 200)),
                Datum(plain(row.get("positive_text") or row.get("positive"), 300)),
                Datum(plain(" · ".join(str(text)[:200] for text in texts[:3]), 600)),
            ]
        )
    columns = [Column("Query"), Column("Positive"), Column("Negatives", "at most three")]
    return [Folded("Examples", [Table("Examples", columns, rows)])] if rows else []
