"""A fine-tuned model's card: README.md beside its weights, with lineage, results, limits, and how to load it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.base.errors import MissingExtra
from bench.base.store import write_text
from bench.interop.exports.model_card import with_results
from bench.records import ModelRecord, Result

_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_INTERVAL_FROM = 5

_ENCODER = (
    "from sentence_transformers import SentenceTransformer",
    "",
    'model = SentenceTransformer("PATH")',
    'queries = model.encode_query(["a question"])',
    'documents = model.encode_document(["a document"])',
    "scores = model.similarity(queries, documents)",
)
_READER = (
    "from sentence_transformers import CrossEncoder",
    "",
    'model = CrossEncoder("PATH")',
    'scores = model.predict([("a question", "a document")])',
)


def write_card(record: ModelRecord, results: Sequence[Result], **more: Any) -> Path:
    """Write the card beside the weights; it is no part of their digest.

    Args:
        record: the model.
        results: of systems that work with it, on evaluation sets; the model alone comes into the metadata.
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
    """The card's text, with metadata that a model hub reads.

    Args:
        record: the model.
        results: its results; one full-size system's are the metadata's.
        licenses: suite → licence of its data, where stated.
        base_model: hub name of the base, where it has one.
        ancestors: fine-tuned models that it was made from.

    Raises:
        MissingExtra: huggingface_hub or PyYAML is not installed.
    """
    try:
        import yaml
    except ImportError:
        raise MissingExtra("A model card", "PyYAML", "local") from None
    reader = record.kind == "cross-encoder"
    front: dict[str, Any] = {
        "library_name": "sentence-transformers",
        "pipeline_tag": "text-ranking" if reader else "sentence-similarity",
        "tags": ["sentence-transformers", "cross-encoder" if reader else "feature-extraction", "retrieval-gate"],
    }
    if base_model and _HUB_NAME.fullmatch(base_model):
        front["base_model"] = base_model
    text = f"---\n{yaml.safe_dump(front, sort_keys=False, allow_unicode=True)}---\n\n" + "\n".join(
        [
            f"# {_plain(record.name)}",
            "",
            *_about(record, base_model, ancestors),
            *_how_to_load(record, reader),
            *_measured(results),
            *_training(record, licenses or {}),
            *_limits(record, results),
        ]
    )
    main = _main(results)
    return with_results(text.rstrip() + "\n", main, model_name=record.name) if main else text.rstrip() + "\n"


def _plain(value: object) -> str:
    """A value inside Markdown and its tables: on one line, without what would end a cell or begin a tag."""
    text = " ".join(str(value).split())
    return re.sub(r"([\\|<>`*_\[\]])", r"\\\1", text)


def _main(results: Sequence[Result]) -> list[Result]:
    """Results of the one system that is the model alone at full size: the shortest name stands for it."""
    names = sorted({result.system for result in results}, key=lambda name: (len(name), name))
    return [result for result in results if names and result.system == names[0]]


def _about(record: ModelRecord, base_model: str | None, ancestors: Sequence[ModelRecord]) -> list[str]:
    what = "A cross-encoder that reranks" if record.kind == "cross-encoder" else "An embedding model for retrieval,"
    lines = [f"{what} fine-tuned from {_plain(base_model or record.base)} by retrieval-gate's `bench finetune`.", ""]
    rows = [("Weights", f"`{record.id}`"), ("Base weights", f"`{record.base_digest}`"), ("Seed", record.seed)]
    rows += [("Base of the base", f"{_plain(one.name)} `{one.id}`") for one in ancestors]
    if record.commit:
        rows.append(("Commit", f"`{_plain(record.commit)}`"))
    return [*lines, "| | |", "| --- | --- |", *(f"| {key} | {value} |" for key, value in rows), ""]


def _how_to_load(record: ModelRecord, reader: bool) -> list[str]:
    lines = ["## How to load it", "", "```python", *(_READER if reader else _ENCODER), "```", ""]
    dims = record.recipe.get("matryoshka") or []
    if len(dims) > 1:
        listed = ", ".join(map(str, dims))
        lines += [
            f"Trained to be cut to {listed} dimensions (`truncate_dim=…`); scale cut vectors to length one again.",
            "",
        ]
    return lines


def _measured(results: Sequence[Result]) -> list[str]:
    lines = ["## Evaluation", ""]
    if not results:
        return [*lines, "None of its systems has been evaluated yet (`bench run`).", ""]
    lines += [
        "Means over queries that it was not trained on, with 95 % t intervals of the mean; cluster-robust where "
        "queries paraphrase one need.",
        "",
        "| Suite | Query set | Role | System | Queries | Measure | Mean | 95 % interval |",
        "| --- | --- | --- | --- | ---: | --- | ---: | --- |",
    ]
    for result in results:
        about = [_plain(value) for value in (result.suite, result.query_set, result.role, result.system)]
        for place, (measure, mean) in enumerate(result.scores.means().items()):
            interval = _interval(result, place)
            row = [*about, str(len(result.scores.query_ids)), _plain(measure), f"{mean:.3f}", interval]
            lines.append(f"| {' | '.join(row)} |")
    return [*lines, ""]


def _interval(result: Result, column: int) -> str:
    """The interval of a mean, within 0 and 1; a dash for fewer than five queries."""
    from bench.stats import clustered_t, paired_t

    values = result.scores.values[:, column]
    if len(values) < _INTERVAL_FROM:
        return "–"
    known = [cluster for cluster in result.clusters if cluster is not None]
    repeated = len(set(known)) < len(known)
    found = clustered_t(values, list(result.clusters)) if repeated else paired_t(values)
    if found.low is None or found.high is None:
        return "–"
    return f"{max(0.0, found.low):.3f} to {min(1.0, found.high):.3f}"


def _training(record: ModelRecord, licenses: Mapping[str, str]) -> list[str]:
    data, suite = record.data, record.suite
    lines = ["## Training", ""]
    origins = ", ".join(f"{n:,} by {_plain(origin)}" for origin, n in (data.get("origins") or {}).items())
    rows: list[tuple[str, object]] = [
        ("Pairs", f"{data.get('pairs', '–')}" + (f" ({origins})" if origins else "")),
        ("Rows, negatives included", data.get("rows", "–")),
        ("Left out because evaluation holds them", len(data.get("dropped_as_leaks") or ())),
        ("Digest of the pairs", f"`{_plain(data.get('pairs_digest'))}`"),
        ("Digest of the negatives", f"`{_plain(data.get('negatives_digest'))}`"),
        ("Suite", f"{_plain(suite.get('name'))} version {_plain(suite.get('version'))}"),
        ("Licence of its data", _plain(licenses.get(str(suite.get("name"))) or "not stated by the suite")),
    ]
    settings = {key: value for key, value in record.recipe.items() if value not in (None, [])}
    rows += [(f"`{_plain(key)}`", _plain(value)) for key, value in settings.items()]
    if record.seconds is not None:
        rows.append(("Time", f"{record.seconds:.0f} s"))
    rows.append(("Libraries", ", ".join(f"{_plain(k)} {_plain(v)}" for k, v in record.versions.items())))
    return [*lines, "| | |", "| --- | --- |", *(f"| {key} | {value} |" for key, value in rows), ""]


def _limits(record: ModelRecord, results: Sequence[Result]) -> list[str]:
    roles = {result.role for result in results}
    items = ["It was trained on one kind of question; others may have become worse. Measure yours before you use it."]
    if "out-of-distribution" not in roles:
        items.append("It has not been measured on questions of another kind (no out-of-distribution set).")
    if record.kind != "cross-encoder":
        items.append(
            "Its vectors do not compare with those of its base or of any other model: encode a whole collection anew."
        )
    items.append(
        "Numbers hold for the suites named, with the judgements that they have; unjudged documents count as wrong."
    )
    return ["## Limits", "", *(f"- {item}" for item in items)]
