"""A fine-tuned model's card: README.md beside its weights, with lineage, results, limits, and how to load it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.base.errors import MissingExtra
from bench.base.store import write_text
from bench.interop.exports.model_card import with_results
from bench.records import ModelRecord, Result

_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")

_ENCODER = """from sentence_transformers import SentenceTransformer

model = SentenceTransformer("PATH")
queries = model.encode_query(["a question"])
documents = model.encode_document(["a document"])
scores = model.similarity(queries, documents)"""

_CROSS_ENCODER = """from sentence_transformers import CrossEncoder

model = CrossEncoder("PATH")
scores = model.predict([("a question", "a document")])"""


def write_card(record: ModelRecord, results: Sequence[Result], **more: Any) -> Path:
    """Write the card beside the weights; it is not part of their digest.

    Args:
        record: the model.
        results: of systems that use it, on evaluation sets; those of the model alone go into the metadata.
        more: see `card`.
    """
    return write_text(Path(record.folder) / "README.md", card(record, results, **more))


def card(
    record: ModelRecord,
    results: Sequence[Result],
    *,
    licenses: Mapping[str, str] | None = None,
    base_model: str | None = None,
    ancestors: Sequence[ModelRecord] = (),
) -> str:
    """The card's text, with metadata for a model hub.

    Args:
        record: the model.
        results: of its systems; those of one full-size system are the metadata's.
        licenses: suite → licence of its data, where stated.
        base_model: hub name of the base, where it has one.
        ancestors: fine-tuned models from which it was trained.

    Raises:
        MissingExtra: huggingface_hub or PyYAML is not installed.
    """
    try:
        import yaml
    except ImportError:
        raise MissingExtra("A model card", "PyYAML", "local") from None
    cross_encoder = record.kind == "cross-encoder"
    front: dict[str, Any] = {
        "library_name": "sentence-transformers",
        "pipeline_tag": "text-ranking" if cross_encoder else "sentence-similarity",
        "tags": [
            "sentence-transformers", "cross-encoder" if cross_encoder else "feature-extraction", "retrieval-gate"
        ],
    }  # fmt: skip
    if base_model and _HUB_NAME.fullmatch(base_model):
        front["base_model"] = base_model
    subject = "A cross-encoder that reranks" if cross_encoder else "An embedding model for retrieval,"
    origin = [("Weights", f"`{record.id}`"), ("Base weights", f"`{record.base_digest}`"), ("Seed", record.seed)]
    origin += [("Base of the base", f"{_plain(ancestor.name)} `{ancestor.id}`") for ancestor in ancestors]
    if record.commit:
        origin.append(("Commit", f"`{_plain(record.commit)}`"))
    dims = record.recipe.get("matryoshka") or []
    truncation = f"Trained to be cut to {', '.join(map(str, dims))} dimensions (`truncate_dim=…`); "
    truncation += "scale cut vectors to length one again."
    paragraphs = [
        f"# {_plain(record.name)}",
        f"{subject} fine-tuned from {_plain(base_model or record.base)} by retrieval-gate's `bench finetune`.",
        _table(origin),
        "## How to load it",
        f"```python\n{_CROSS_ENCODER if cross_encoder else _ENCODER}\n```",
        *([truncation] if len(dims) > 1 else []),
        "## Evaluation",
        *_evaluation(results),
        "## Training",
        _table(_training(record, licenses or {})),
        "## Limits",
        "\n".join(f"- {limit}" for limit in _limits(record, results)),
    ]
    metadata = yaml.safe_dump(front, sort_keys=False, allow_unicode=True)
    text = f"---\n{metadata}---\n\n" + "\n\n".join(paragraphs) + "\n"
    # The system with the shortest name is the model alone at full size.
    alone = min((result.system for result in results), key=lambda name: (len(name), name), default="")
    main = [result for result in results if result.system == alone]
    return with_results(text, main, model_name=record.name) if main else text


def _plain(value: object) -> str:
    """A value inside Markdown and its tables: on one line, without characters that end a cell or begin a tag."""
    return re.sub(r"([\\|<>`*_\[\]])", r"\\\1", " ".join(str(value).split()))


def _table(rows: Iterable[tuple[str, object]]) -> str:
    return "\n".join(["| | |", "| --- | --- |", *(f"| {key} | {value} |" for key, value in rows)])


def _evaluation(results: Sequence[Result]) -> list[str]:
    if not results:
        return ["None of its systems has been evaluated yet (`bench run`)."]
    lines = [
        "| Suite | Query set | Role | System | Queries | Measure | Mean | 95 % interval |",
        "| --- | --- | --- | --- | ---: | --- | ---: | --- |",
    ]
    for result in results:
        about = [_plain(value) for value in (result.suite, result.query_set, result.role, result.system)]
        for column, (measure, mean) in enumerate(result.scores.means().items()):
            row = [*about, str(len(result.scores.query_ids)), _plain(measure), f"{mean:.3f}", _interval(result, column)]
            lines.append(f"| {' | '.join(row)} |")
    return [
        "Means over queries that it was not trained on, with 95 % t intervals of the mean; cluster-robust where "
        "queries paraphrase one need.",
        "\n".join(lines),
    ]


def _interval(result: Result, column: int) -> str:
    """The interval of a mean, within 0 and 1; a dash for too few queries."""
    from bench.stats import MINIMUM_QUERIES, clustered_t, paired_t

    values = result.scores.values[:, column]
    if len(values) < MINIMUM_QUERIES:
        return "–"
    clusters = [cluster for cluster in result.clusters if cluster is not None]
    repeated = len(set(clusters)) < len(clusters)
    mean = clustered_t(values, list(result.clusters)) if repeated else paired_t(values)
    if mean.low is None or mean.high is None:
        return "–"
    return f"{max(0.0, mean.low):.3f} to {min(1.0, mean.high):.3f}"


def _training(record: ModelRecord, licenses: Mapping[str, str]) -> list[tuple[str, object]]:
    data, suite = record.data, record.suite
    origins = ", ".join(f"{n:,} by {_plain(origin)}" for origin, n in (data.get("origins") or {}).items())
    rows: list[tuple[str, object]] = [
        ("Pairs", f"{data.get('pairs', '–')}" + (f" ({origins})" if origins else "")),
        ("Rows, negatives included", data.get("rows", "–")),
        ("Left out because evaluation has them", len(data.get("dropped_as_leaks") or ())),
        ("Digest of the pairs", f"`{_plain(data.get('pairs_digest'))}`"),
        ("Digest of the negatives", f"`{_plain(data.get('negatives_digest'))}`"),
        ("Suite", f"{_plain(suite.get('name'))} version {_plain(suite.get('version'))}"),
        ("Licence of its data", _plain(licenses.get(str(suite.get("name"))) or "not stated by the suite")),
    ]
    rows += [(f"`{_plain(k)}`", _plain(value)) for k, value in record.recipe.items() if value not in (None, [])]
    if record.seconds is not None:
        rows.append(("Time", f"{record.seconds:.0f} s"))
    rows.append(("Libraries", ", ".join(f"{_plain(k)} {_plain(v)}" for k, v in record.versions.items())))
    return rows


def _limits(record: ModelRecord, results: Sequence[Result]) -> list[str]:
    limits = ["It was trained on one kind of query; it may be worse on others. Measure yours before you use it."]
    if all(result.role != "out-of-distribution" for result in results):
        limits.append("It was not measured on queries of another kind (no out-of-distribution set).")
    if record.kind != "cross-encoder":
        limits.append(
            "Its vectors do not compare with those of its base or of any other model: encode a whole collection anew."
        )
    limits.append("The numbers belong to these suites and their judgements; unjudged documents count as not relevant.")
    return limits
