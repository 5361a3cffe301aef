"""Retrieval and reranking tasks of mteb, by name: `SciFact`, at the revision that mteb pins or another.

mteb itself loads the task and applies its own changes. The candidates of a reranking task become the corpus: this
measures retrieval from all of them, not the ordering of each query's own list.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache, partial
from typing import Any

from pydantic import Field

from bench.base.errors import MissingExtra, SuiteError, did_you_mean
from bench.config import Strict
from bench.suites.sources import Collection, Document, Judgement, Part, Query, distinct


class Options(Strict):
    """Settings of a task of mteb."""

    revision: str = ""  # of the task's data; empty for the one that mteb pins
    subset: str = ""  # of a task of many languages, such as de
    splits: list[str] = Field(default=[])  # empty for those that mteb evaluates
    license: str = ""


def collection(location: str, options: Options) -> Collection:
    """The task's documents, and a part for each split; unjudged queries are left out.

    An instruction follows its query's text, as mteb gives it to a model.

    Raises:
        MissingExtra: mteb is not installed.
        SuiteError: an unknown task, one that is neither retrieval nor reranking, or an unknown subset or split.
    """
    try:
        import mteb
        from mteb.abstasks.retrieval import AbsTaskRetrieval
    except ImportError:
        raise MissingExtra(f'Task "{location}"', "mteb", "mteb") from None
    try:
        task = mteb.get_task(location)
    except KeyError:
        known = [each.metadata.name for each in mteb.get_tasks()]
        raise SuiteError(f'mteb has no task "{location}".{did_you_mean(location, known)}') from None
    metadata = task.metadata.model_copy(deep=True)
    if not isinstance(task, AbsTaskRetrieval):
        raise SuiteError(f'mteb\'s "{location}" is a task of {metadata.type}; expected retrieval or reranking.')
    if "text" not in metadata.modalities:
        raise SuiteError(f'mteb\'s "{location}" is about {", ".join(metadata.modalities)}; expected text.')
    subsets = list(metadata.hf_subsets)
    subset = options.subset or subsets[0]
    if subset not in subsets or (len(subsets) > 1 and not options.subset):
        raise SuiteError(
            f'mteb\'s "{location}" has the subsets {", ".join(subsets)}; expected one of them: --set subset=…'
            f"{did_you_mean(subset, subsets) if options.subset else ''}"
        )
    # Only the copy is changed: the task's class shares its metadata with every other user in this process.
    if options.revision:
        metadata.dataset["revision"] = options.revision
    splits = options.splits or list(task.eval_splits)
    task.metadata, task.hf_subsets, task._eval_splits = metadata, [subset], splits
    load = cache(partial(_load, task, location, subset, splits))
    origin = {
        "kind": "mteb",
        "location": location,
        "dataset": str(metadata.dataset["path"]),
        "revision": str(metadata.dataset["revision"]),
        "license": options.license or str(metadata.license or ""),
        "task_type": str(metadata.type),
        "mteb": mteb.__version__,
        **({"subset": subset} if len(subsets) > 1 else {}),
    }
    parts = tuple(Part(split, partial(_queries, load, split), partial(_judgements, load, split)) for split in splits)
    name = location if len(subsets) == 1 else f"{location}-{subset}"
    return Collection(name, partial(_documents, load, splits), parts, origin)


def _load(task: Any, location: str, subset: str, splits: Sequence[str]) -> Mapping[str, Any]:
    """Split → corpus, queries and relevant_docs as mteb loads them."""
    try:
        task.load_data()
        task.convert_v1_dataset_format_to_v2(num_proc=None)
        data: Mapping[str, Any] = task.dataset[subset]
        missing = [split for split in splits if split not in data]
    # Each task loads in its own way, and each library below has errors of its own: all mean "not available now".
    except Exception as error:
        cause = str(error).splitlines()[0][:200] if str(error) else ""
        raise SuiteError(
            f'mteb\'s "{location}" is not available here ({type(error).__name__}: {cause}). Where there is a network, '
            f"run: bench import mteb {location} --out DIR, then copy DIR: a suite needs nothing else. Or fetch its "
            f"data with: hf download {task.metadata.dataset['path']} --repo-type dataset "
            f"--revision {task.metadata.dataset['revision']}, and copy that machine's HF_HOME."
        ) from error
    if missing:
        raise SuiteError(
            f'mteb\'s "{location}" has no split "{missing[0]}" (found: {", ".join(data)}).'
            f"{did_you_mean(missing[0], data)}"
        )
    return data


def _documents(load: Any, splits: Sequence[str]) -> Iterator[Document]:
    rows = ((f'split "{split}"', row) for split in splits for row in load()[split]["corpus"])
    documents = ((place, Document(str(row["id"]), row["text"], row.get("title") or "")) for place, row in rows)
    # Each split may have a corpus of its own; mostly it is the same one.
    return distinct(documents) if len(splits) > 1 else (document for _, document in documents)


def _queries(load: Any, split: str) -> Iterator[Query]:
    data = load()[split]
    for row in data["queries"]:
        query_id = str(row["id"])
        if data["relevant_docs"].get(query_id):
            text, instruction = row["text"], row.get("instruction")
            if not isinstance(text, str):
                raise SuiteError(f'Query "{query_id}" is a {type(text).__name__}; expected a text, not a conversation.')
            yield Query(query_id, f"{text} {instruction}" if instruction else text)


def _judgements(load: Any, split: str) -> Iterator[Judgement]:
    for query_id, grades in load()[split]["relevant_docs"].items():
        yield from ((str(query_id), str(doc_id), int(grade)) for doc_id, grade in grades.items())
