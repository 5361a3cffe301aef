"""Results as the evaluation part (`model-index`) of a Hugging Face model card; the rest of the card stays as it is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.base.errors import MissingExtra, UsageError
from bench.base.store import write_text
from bench.interop.exports import Exported, Request, refuse_unknown
from bench.interop.mteb_task import score_name
from bench.records import Result

_FRONT = re.compile(r"\A(\ufeff?---[ \t]*\r?\n)(.*?)(^---[ \t]*(?:\r?\n|\Z))", re.DOTALL | re.MULTILINE)
# The key at the margin with its value: indented lines, items of a list, and empty lines or comments between them.
_INDEX = re.compile(
    r"^model-index[ \t]*:[^\n]*(?:\n|\Z)(?:(?:[ \t]*\r?\n|#[^\n]*\n)*(?:-|[ \t]+[^\s#])[^\n]*(?:\n|\Z))*", re.MULTILINE
)

WHAT = "results"


def export(request: Request) -> Exported:
    """The system's results in a model card."""
    results, names = request.results(), request.query_sets
    refuse_unknown(names, [result.query_set for result in results], "No result on a query set")
    results = [result for result in results if names is None or result.query_set in names]
    return Exported([export_model_card(results, request.out, model_name=request.model_name)])


def export_model_card(results: Sequence[Result], path: Path, *, model_name: str | None = None) -> Path:
    """Write the results into a card, and return its path; a new file where there is none.

    Args:
        results: of one system.
        path: the card, such as README.md.
        model_name: in the card; where None the name in the card, else the system's.

    Raises:
        UsageError: the card's metadata cannot be read, or not be changed without changing the rest of the card.
        MissingExtra: huggingface_hub is not installed.
    """
    if path.is_dir():
        path = path / "README.md"
    # Read as bytes: line ends are the card's own.
    old = path.read_bytes().decode("utf-8") if path.exists() else ""
    return write_text(path, with_results(old, results, model_name=model_name, where=str(path)))


def with_results(card: str, results: Sequence[Result], *, model_name: str | None = None, where: str = "card") -> str:
    """A card's text with these results in its `model-index`.

    A result replaces an earlier one on the same suite and query set; all else stays as it is.

    Raises:
        UsageError: see `export_model_card`; names `where`.
    """
    try:
        import yaml
        from huggingface_hub import EvalResult
        from huggingface_hub.repocard_data import eval_results_to_model_index
    except ImportError:
        raise MissingExtra("A model card", "huggingface_hub", "local") from None
    match = _FRONT.match(card)
    opening, front, closing = match.groups() if match else ("---\n", "", "---\n")
    body = card[match.end() :] if match else card and f"\n{card}"
    try:
        data = yaml.safe_load(front) or {}
    except yaml.YAMLError as error:
        raise UsageError(f"{where}: its metadata is not YAML: {str(error).splitlines()[0]}.") from None
    if not isinstance(data, dict):
        raise UsageError(f"{where}: its metadata is no table of keys and values.")
    index = data.get("model-index") or []
    if not isinstance(index, list) or not all(isinstance(entry, Mapping) for entry in index):
        raise UsageError(f"{where}: model-index is no list of models; correct or remove it.")
    name = model_name or (index[0].get("name") if index else None) or results[0].system
    new_results = [
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
    (ours,) = eval_results_to_model_index(name, new_results)
    replaced = {_task(entry) for entry in ours["results"]}
    model = next((entry for entry in index if entry.get("name") == name), {"name": name})
    others = [entry for entry in model.get("results") or [] if _task(entry) not in replaced]
    merged = {**model, "results": others + ours["results"]}
    new = [merged if entry is model else entry for entry in index] if model in index else [*index, merged]

    line_end = "\r\n" if "\r\n" in opening else "\n"
    block = yaml.safe_dump({"model-index": new}, sort_keys=False, allow_unicode=True).replace("\n", line_end)
    if "model-index" in data:
        changed = _INDEX.sub(lambda _: block, front, count=1)
    else:
        changed = front + (line_end if front and not front.endswith("\n") else "") + block
    try:
        valid = yaml.safe_load(changed) == {**data, "model-index": new}
    except yaml.YAMLError:
        valid = False
    if not valid:
        raise UsageError(
            f"{where}: model-index has a form that cannot be changed in place. Write it as a block "
            "(one key or item per line), or remove it."
        )
    return opening + changed + closing + body


def _task(entry: Any) -> tuple[Any, ...]:
    """The task of a result, without the revision, so that a newer result replaces the older one."""
    task, dataset = entry.get("task") or {}, entry.get("dataset") or {}
    return task.get("type"), dataset.get("type"), dataset.get("config"), dataset.get("split")
