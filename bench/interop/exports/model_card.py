"""Results as the evaluation part (`model-index`) of a Hugging Face model card; the rest of the card stays as it is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.base.errors import MissingExtra, UsageError, did_you_mean
from bench.base.store import write_text
from bench.interop.exports import Exported, Request
from bench.interop.mteb_task import score_name
from bench.records import Result

_FRONT = re.compile(r"\A(\ufeff?---[ \t]*\r?\n)(.*?)(^---[ \t]*(?:\r?\n|\Z))", re.DOTALL | re.MULTILINE)
# The key at the margin with what belongs to it: lines that are indented or items of a list, and what lies between them.
_INDEX = re.compile(
    r"^model-index[ \t]*:[^\n]*(?:\n|\Z)(?:(?:[ \t]*\r?\n|#[^\n]*\n)*(?:-|[ \t]+[^\s#])[^\n]*(?:\n|\Z))*", re.MULTILINE
)


WHAT = "results"


def export(request: Request) -> Exported:
    """The system's results in a model card."""
    results = chosen_results(request.results(), request.query_sets)
    return Exported([export_model_card(results, request.out, model_name=request.model_name)])


def export_model_card(results: Sequence[Result], path: Path, *, model_name: str | None = None) -> Path:
    """The card's file, with these results in it; made where there is none.

    Args:
        results: of one system.
        path: the card, such as README.md.
        model_name: in the card; the name that stands there where None, else the system's.

    Raises:
        UsageError: a card whose metadata cannot be read, or not be changed without touching the rest of it.
        MissingExtra: huggingface_hub is not installed.
    """
    if path.is_dir():
        path = path / "README.md"
    # Read as bytes: line ends are the card's own.
    old = path.read_bytes().decode("utf-8") if path.exists() else ""
    return write_text(path, with_results(old, results, model_name=model_name, where=str(path)))


def chosen_results(results: Sequence[Result], query_sets: Sequence[str] | None) -> list[Result]:
    """Those of the results that are on the named query sets; all where None.

    Raises:
        UsageError: a set that no result is on; names the nearest.
    """
    known = [result.query_set for result in results]
    for name in query_sets or ():
        if name not in known:
            raise UsageError(
                f'No result on a query set "{name}"; expected one of {", ".join(known)}.{did_you_mean(name, known)}'
            )
    return [result for result in results if query_sets is None or result.query_set in query_sets]


def eval_results(results: Sequence[Result]) -> list[Any]:
    """huggingface_hub's EvalResult for each query set and measure."""
    try:
        from huggingface_hub import EvalResult
    except ImportError:
        raise MissingExtra("A model card", "huggingface_hub", "local") from None
    return [
        EvalResult(
            task_type="text-retrieval",
            task_name="Retrieval",
            dataset_type=result.suite,
            dataset_name=f"{result.suite} {result.query_set} ({result.role})",
            dataset_config=result.query_set,
            dataset_split="test",
            dataset_revision=result.suite_digest,
            dataset_args={"n_queries": len(result.scores.query_ids), "role": result.role},
            metric_type=score_name(measure) or measure,
            metric_name=measure,
            metric_value=round(value, 5),
        )
        for result in results
        for measure, value in result.scores.means().items()
    ]


def with_results(card: str, results: Sequence[Result], *, model_name: str | None = None, where: str = "card") -> str:
    """A card's text with these results in its `model-index`, whose other results stay.

    A result replaces one on the same suite and query set. Every character outside of `model-index` is kept.

    Raises:
        UsageError: see `export_model_card`; names `where`.
    """
    made = eval_results(results)
    import yaml
    from huggingface_hub.repocard_data import eval_results_to_model_index

    found = _FRONT.match(card)
    opening, front, closing = found.groups() if found else ("---\n", "", "---\n")
    body = card[found.end() :] if found else card and f"\n{card}"
    data = _mapping(front, where)
    index = data.get("model-index") or []
    if not isinstance(index, list) or not all(isinstance(entry, Mapping) for entry in index):
        raise UsageError(f"{where}: model-index is no list of models; mend or remove it.")
    name = model_name or (index[0].get("name") if index else None) or results[0].system
    (ours,) = eval_results_to_model_index(name, made)
    replaced = {_about(entry) for entry in ours["results"]}
    mine = next((entry for entry in index if entry.get("name") == name), {"name": name})
    kept = [entry for entry in mine.get("results") or [] if _about(entry) not in replaced]
    merged = {**mine, "results": kept + ours["results"]}
    new = [merged if entry is mine else entry for entry in index] if mine in index else [*index, merged]

    line_end = "\r\n" if "\r\n" in opening else "\n"
    block = yaml.safe_dump({"model-index": new}, sort_keys=False, allow_unicode=True).replace("\n", line_end)
    if "model-index" in data:
        changed = _INDEX.sub(lambda _: block, front, count=1)
    else:
        changed = front + (line_end if front and not front.endswith("\n") else "") + block
    expected = {**data, "model-index": new}
    try:
        right = yaml.safe_load(changed) == expected
    except yaml.YAMLError:
        right = False
    if not right:
        raise UsageError(
            f"{where}: model-index is written in a way that cannot be changed in place. Write it as a block "
            "(one key or item a line), or remove it."
        )
    return opening + changed + closing + body


def _mapping(front: str, where: str) -> dict[str, Any]:
    import yaml

    try:
        data = yaml.safe_load(front) or {}
    except yaml.YAMLError as error:
        raise UsageError(f"{where}: its metadata is not YAML: {str(error).splitlines()[0]}.") from None
    if not isinstance(data, dict):
        raise UsageError(f"{where}: its metadata is no table of keys and values.")
    return data


def _about(entry: Any) -> tuple[Any, ...]:
    """What a result is of; the revision is left out, so that a newer one takes the older one's place."""
    task, dataset = entry.get("task") or {}, entry.get("dataset") or {}
    return task.get("type"), dataset.get("type"), dataset.get("config"), dataset.get("split")
