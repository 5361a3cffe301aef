"""Data sets of the library ir_datasets, by id: `beir/scifact/test`, `cranfield`, or several separated by commas.

Several ids must share their documents; each becomes a split named after the last part of its id. The library downloads
missing files into IR_DATASETS_HOME and streams from there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from bench.base.errors import MissingExtra, SuiteError, did_you_mean
from bench.config import Strict
from bench.suites.sources import Collection, Document, Judgement, Part, Query


class Options(Strict):
    """Settings of data sets of ir_datasets."""

    query_field: str = ""  # such as description; empty for the library's default text
    license: str = ""


def collection(location: str, options: Options) -> Collection:
    """The documents, queries and judgements of one or more ids; a title that begins the text is kept apart.

    Unjudged queries are left out. A document judged for several parts of a topic gets the best grade.

    Raises:
        MissingExtra: the library is not installed.
        SuiteError: an unknown id, one without documents or judgements, or ids that do not share their documents.
    """
    try:
        import ir_datasets
    except ImportError:
        raise MissingExtra("A data set of ir_datasets", "ir_datasets", "ir_datasets") from None
    ids = [part.strip() for part in location.split(",") if part.strip()] or [location]
    loaded = {}
    for dataset_id in ids:
        try:
            loaded[dataset_id] = ir_datasets.load(dataset_id)
        except KeyError:
            hint = did_you_mean(dataset_id, ir_datasets.registry)
            raise SuiteError(f'ir_datasets has no data set "{dataset_id}".{hint} See https://ir-datasets.com') from None
    for dataset_id, dataset in loaded.items():
        missing = [part for part in ("docs", "queries", "qrels") if not dataset.has(part)]
        if missing:
            below = [name for name in ir_datasets.registry if name.startswith(f"{dataset_id}/")]
            complete = [name for name in below if ir_datasets.load(name).has("qrels")]
            hint = f" Judged: {', '.join(complete[:6])}." if complete else ""
            raise SuiteError(f'ir_datasets\' "{dataset_id}" has no {" and no ".join(missing)}.{hint}')
    parents = {ir_datasets.docs_parent_id(dataset_id) for dataset_id in ids}
    if len(parents) > 1:
        raise SuiteError(
            f"{location}: documents of {' and '.join(sorted(parents))}; import them as suites of their own."
        )
    names = {dataset_id: dataset_id.rsplit("/", 1)[-1] if "/" in dataset_id else "test" for dataset_id in ids}
    if len(set(names.values())) < len(names):
        names = {dataset_id: dataset_id.replace("/", "-") for dataset_id in ids}
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
        **({"query_field": options.query_field} if options.query_field else {}),
    }
    name = ids[0].rsplit("/", 1)[0].replace("/", "-")
    return Collection(name, partial(_documents, ids[0], loaded[ids[0]]), parts, origin)


def _documents(dataset_id: str, dataset: Any) -> Iterator[Document]:
    for row in _read(dataset_id, dataset.docs_iter):
        if not hasattr(row, "default_text"):
            raise SuiteError(f'ir_datasets\' "{dataset_id}" has documents without text ({type(row).__name__}).')
        text, title = row.default_text(), getattr(row, "title", "")
        if not isinstance(title, str) or not text.startswith(title):
            title = ""
        yield Document(row.doc_id, text[len(title) :].strip(), title.strip())


def _queries(dataset_id: str, dataset: Any, options: Options) -> Iterator[Query]:
    query_ids = {row.query_id for row in _read(dataset_id, dataset.qrels_iter)}
    for row in _read(dataset_id, dataset.queries_iter):
        text = getattr(row, options.query_field, None) if options.query_field else row.default_text()
        if not isinstance(text, str):
            raise SuiteError(
                f'ir_datasets\' "{dataset_id}" has queries without a text "{options.query_field}" (found: '
                f"{', '.join(row._fields)}).{did_you_mean(options.query_field, row._fields)}"
            )
        if row.query_id in query_ids:
            yield Query(row.query_id, text.strip())


def _judgements(dataset_id: str, dataset: Any) -> Iterator[Judgement]:
    rows = _read(dataset_id, dataset.qrels_iter)
    if "subtopic_id" not in dataset.qrels_cls()._fields:
        yield from ((row.query_id, row.doc_id, row.relevance) for row in rows)
        return
    best: dict[tuple[str, str], int] = {}
    for row in rows:
        key = row.query_id, row.doc_id
        best[key] = max(row.relevance, best.get(key, row.relevance))
    yield from ((query_id, doc_id, grade) for (query_id, doc_id), grade in best.items())


def _read(dataset_id: str, rows: Callable[[], Iterable[Any]]) -> Iterator[Any]:
    """Rows from the library, whose many errors become one sentence."""
    try:
        yield from rows()
    # A failed download raises errors of the network, the archive or the library's checks; each means the same.
    except Exception as error:
        cause = str(error).splitlines()[0][:200] if str(error) else ""
        raise SuiteError(
            f'ir_datasets\' "{dataset_id}" is not available here ({type(error).__name__}: {cause}). Where there is a '
            f"network, run: bench import ir_datasets {dataset_id} --out DIR, then copy DIR: a suite needs nothing "
            "else. Or copy that machine's IR_DATASETS_HOME (~/.ir_datasets)."
        ) from error
