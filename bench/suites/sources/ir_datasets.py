"""Data sets of the library ir_datasets, by id: `beir/scifact/test`, `cranfield`, or several with commas between them.

Several ids must share their documents; each becomes a split named after its id's last word. The library downloads what
it lacks into IR_DATASETS_HOME and streams from there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from pydantic import Field

from bench.base.errors import MissingExtra, SuiteError, did_you_mean
from bench.config import Strict
from bench.suites.sources import Collection, Document, Judgement, Part, Query


class Options(Strict):
    """What may be said about data sets of ir_datasets."""

    query_field: str = Field(default="", description="such as description; the library's default text unless named")
    license: str = ""


def collection(location: str, options: Options) -> Collection:
    """The documents, queries and judgements of one or more ids; a title is kept apart where the text begins with it.

    Queries that nobody judged are left out. Where a document is judged for several parts of a topic, the best counts.

    Raises:
        MissingExtra: the library is not installed.
        SuiteError: an unknown id, one without documents or judgements, or ids that do not share their documents.
    """
    try:
        import ir_datasets
    except ImportError:
        raise MissingExtra("A data set of ir_datasets", "ir_datasets", "ir_datasets") from None
    ids = [part.strip() for part in location.split(",") if part.strip()]
    loaded = {}
    for dataset_id in ids or [location]:
        try:
            loaded[dataset_id] = ir_datasets.load(dataset_id)
        except KeyError:
            hint = did_you_mean(dataset_id, ir_datasets.registry)
            raise SuiteError(f'ir_datasets has no data set "{dataset_id}".{hint} See https://ir-datasets.com') from None
    for dataset_id, dataset in loaded.items():
        lacks = [part for part in ("docs", "queries", "qrels") if not dataset.has(part)]
        if lacks:
            below = [
                name
                for name in ir_datasets.registry
                if name.startswith(f"{dataset_id}/") and ir_datasets.load(name).has("qrels")
            ]
            hint = f" Judged: {', '.join(below[:6])}." if below else ""
            raise SuiteError(f'ir_datasets\' "{dataset_id}" has no {" and no ".join(lacks)}.{hint}')
    parents = {ir_datasets.docs_parent_id(dataset_id) for dataset_id in ids}
    if len(parents) > 1:
        raise SuiteError(
            f"{location}: documents of {' and '.join(sorted(parents))}; import them as suites of their own."
        )

    names = _split_names(ids)
    parts = tuple(
        Part(
            names[dataset_id],
            partial(_queries, dataset_id, dataset, options),
            partial(_judgements, dataset_id, dataset),
        )
        for dataset_id, dataset in loaded.items()
    )
    origin = {
        "kind": "ir_datasets",
        "location": ", ".join(ids),
        "revision": f"ir_datasets {ir_datasets.__version__}",
        "license": options.license,
    }
    if options.query_field:
        origin["query_field"] = options.query_field
    first = ids[0]
    return Collection(
        first.rsplit("/", 1)[0].replace("/", "-"), partial(_documents, first, loaded[first]), parts, origin
    )


def _split_names(ids: list[str]) -> dict[str, str]:
    last = {dataset_id: dataset_id.rsplit("/", 1)[-1] if "/" in dataset_id else "test" for dataset_id in ids}
    if len(set(last.values())) == len(last):
        return last
    return {dataset_id: dataset_id.replace("/", "-") for dataset_id in ids}


def _documents(dataset_id: str, dataset: Any) -> Iterator[Document]:
    for row in _got(dataset_id, dataset.docs_iter):
        if not hasattr(row, "default_text"):
            raise SuiteError(f'ir_datasets\' "{dataset_id}" has documents without text ({type(row).__name__}).')
        text, title = row.default_text(), getattr(row, "title", "")
        if not isinstance(title, str) or not text.startswith(title):
            title = ""
        yield Document(row.doc_id, text[len(title) :].strip(), title.strip())


def _queries(dataset_id: str, dataset: Any, options: Options) -> Iterator[Query]:
    judged = {row.query_id for row in _got(dataset_id, dataset.qrels_iter)}
    for row in _got(dataset_id, dataset.queries_iter):
        if options.query_field and not isinstance(getattr(row, options.query_field, None), str):
            fields = ", ".join(row._fields)
            raise SuiteError(
                f'ir_datasets\' "{dataset_id}" has queries without a text "{options.query_field}" (found: {fields}).'
                f"{did_you_mean(options.query_field, row._fields)}"
            )
        text = getattr(row, options.query_field) if options.query_field else row.default_text()
        if row.query_id in judged:
            yield Query(row.query_id, text.strip())


def _judgements(dataset_id: str, dataset: Any) -> Iterator[Judgement]:
    rows = _got(dataset_id, dataset.qrels_iter)
    if "subtopic_id" not in dataset.qrels_cls()._fields:
        for row in rows:
            yield row.query_id, row.doc_id, row.relevance
        return
    best: dict[tuple[str, str], int] = {}
    for row in rows:
        key = row.query_id, row.doc_id
        best[key] = max(row.relevance, best.get(key, row.relevance))
    for (query_id, doc_id), grade in best.items():
        yield query_id, doc_id, grade


def _got(dataset_id: str, rows: Callable[[], Iterable[Any]]) -> Iterator[Any]:
    """Rows from the library, whose many errors become one sentence."""
    try:
        yield from rows()
    # A download that fails raises what the network, the archive or the library's checks raise; each means the same.
    except Exception as error:
        cause = str(error).splitlines()[0][:200] if str(error) else ""
        raise SuiteError(
            f'ir_datasets\' "{dataset_id}" is not to be had here ({type(error).__name__}: {cause}). Where there is a '
            f"network, run: bench import ir_datasets {dataset_id} --out DIR, then copy DIR: a suite needs nothing "
            "else. Or copy that machine's IR_DATASETS_HOME (~/.ir_datasets)."
        ) from error
