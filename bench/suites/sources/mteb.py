"""Retrieval and reranking tasks of mteb, by name: `SciFact`, at the revision that mteb pins or another.

mteb itself loads the task, with whatever it changes on the way. Of a reranking task the candidates become the corpus:
what is measured here is retrieval from all of them, not the ordering of each query's own list.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache, partial
from typing import Any

from pydantic import Field

from bench.base.errors import MissingExtra, SuiteError, did_you_mean
from bench.config import Strict
from bench.suites.sources import Collection, Document, Judgement, Part, Query


class Options(Strict):
    """What may be said about a task of mteb."""

    revision: str = Field(default="", description="of the task's data; the one that mteb pins unless named")
    subset: str = Field(default="", description="of a task of many languages, such as de")
    splits: list[str] = Field(default=[], description="only these; those that mteb evaluates unless named")
    license: str = ""


def collection(location: str, options: Options) -> Collection:
    """The task's documents, and a part for each split; queries that nobody judged are left out.

    An instruction follows its query's text, which is what mteb gives to a model.

    Raises:
        MissingExtra: mteb is not installed.
        SuiteError: an unknown task, one that retrieves nothing, or an unknown subset or split.
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
    # The copy alone is changed: the task's class shares its metadata with every other user in this process.
    if options.revision:
        metadata.dataset["revision"] = options.revision
    task.metadata = metadata
    task.hf_subsets = [subset]
    splits = options.splits or list(task.eval_splits)
    task._eval_splits = splits

    loaded = cache(partial(_load, task, location, subset, splits))
    parts = tuple(
        Part(split, partial(_queries, loaded, split), partial(_judgements, loaded, split)) for split in splits
    )
    origin = {
        "kind": "mteb",
        "location": location,
        "dataset": str(metadata.dataset["path"]),
        "revision": str(metadata.dataset["revision"]),
        "license": options.license or str(metadata.license or ""),
        "task_type": str(metadata.type),
        "mteb": mteb.__version__,
    }
    if len(subsets) > 1:
        origin["subset"] = subset
    name = location if len(subsets) == 1 else f"{location}-{subset}"
    return Collection(name, partial(_documents, loaded, splits), parts, origin)


def _load(task: Any, location: str, subset: str, splits: Sequence[str]) -> Mapping[str, Any]:
    """Split → what mteb loaded: corpus, queries, relevant_docs."""
    try:
        task.load_data()
        task.convert_v1_dataset_format_to_v2(num_proc=None)
        found: Mapping[str, Any] = task.dataset[subset]
        missing = [split for split in splits if split not in found]
    # Each task loads in its own way, and each library below has errors of its own: all mean "not to be had now".
    except Exception as error:
        cause = str(error).splitlines()[0][:200] if str(error) else ""
        raise SuiteError(
            f'mteb\'s "{location}" is not to be had here ({type(error).__name__}: {cause}). Where there is a network, '
            f"run: bench import mteb {location} --out DIR, then copy DIR: a suite needs nothing else. Or fetch its "
            f"data with: hf download {task.metadata.dataset['path']} --repo-type dataset "
            f"--revision {task.metadata.dataset['revision']}, and copy that machine's HF_HOME."
        ) from error
    if missing:
        raise SuiteError(
            f'mteb\'s "{location}" has no split "{missing[0]}" (found: {", ".join(found)}).'
            f"{did_you_mean(missing[0], found)}"
        )
    return found


def _documents(loaded: Any, splits: Sequence[str]) -> Iterator[Document]:
    # Splits may bring a corpus each; mostly it is the same one, and a document is told once.
    seen: dict[str, int] = {}
    for split in splits:
        for row in loaded()[split]["corpus"]:
            document = Document(str(row["id"]), row["text"], row.get("title") or "")
            if document.doc_id not in seen:
                seen[document.doc_id] = hash(document)
                yield document
            elif len(splits) == 1 or seen[document.doc_id] != hash(document):
                raise SuiteError(f'Document "{document.doc_id}" stands twice in the corpus of split "{split}".')


def _queries(loaded: Any, split: str) -> Iterator[Query]:
    data = loaded()[split]
    for row in data["queries"]:
        query_id = str(row["id"])
        if data["relevant_docs"].get(query_id):
            text, instruction = row["text"], row.get("instruction")
            if not isinstance(text, str):
                raise SuiteError(f'Query "{query_id}" is a {type(text).__name__}; expected a text, not a conversation.')
            yield Query(query_id, f"{text} {instruction}" if instruction else text)


def _judgements(loaded: Any, split: str) -> Iterator[Judgement]:
    for query_id, grades in loaded()[split]["relevant_docs"].items():
        for doc_id, grade in grades.items():
            yield str(query_id), str(doc_id), int(grade)
