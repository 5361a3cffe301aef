"""A suite as a BEIR folder: corpus.jsonl, queries.jsonl, qrels/<split>.tsv."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.base.errors import SuiteError, UsageError
from bench.base.store import json_text, write_text
from bench.interop.exports import Exported, Request, refuse_unknown
from bench.records import QuerySet, Suite

_SPLIT_OF_ROLE = {"train": "train", "dev": "dev", "held-out": "test"}

WHAT = "suite"
FILES = ("corpus.jsonl", "queries.jsonl", "qrels")


def export(request: Request) -> Exported:
    """The suite as BEIR folders."""
    suite = request.suite
    query_sets = _chosen(suite, request.query_sets)
    written = export_beir(suite, request.out, query_sets=request.query_sets, force=request.force)
    n = sum(query_id not in suite.qrels(q.name) for q in query_sets for query_id in q.ids)
    notes = [f"{n} queries without an answer were left out: BEIR cannot express them."] if n else []
    return Exported(written, notes)


def export_beir(
    suite: Suite, folder: Path, *, query_sets: Sequence[str] | None = None, force: bool = False
) -> list[Path]:
    """Write one folder for each corpus, and return them: `folder` itself for a single one, else folders in it.

    A document's title stays in front of its text, as every system reads it. Slices, clusters and pins are further keys
    of a query, which BEIR's loader ignores and a suite reads. Queries without an answer are left out: BEIR cannot
    express them.

    Args:
        suite: to write.
        folder: a new one where it does not exist.
        query_sets: names; all sets of every role where None.
        force: replace an existing BEIR folder, with all its splits.

    Raises:
        UsageError: no such query set, or the folder has BEIR files already.
        SuiteError: one query id with two texts, in two sets over one corpus: BEIR keeps their queries in one file.
    """
    chosen = _chosen(suite, query_sets)
    splits = split_names(chosen)
    corpora = list(dict.fromkeys(q.corpus for q in chosen))
    queries = {name: _queries(suite, [q for q in chosen if q.corpus == name]) for name in corpora}
    folders = {name: folder if len(corpora) == 1 else folder / name for name in corpora}
    for place in folders.values():
        if suite.path and place.resolve() == Path(suite.path).resolve():
            raise UsageError(f"{place} is the suite's own folder; an export would overwrite it. Name another.")
        existing = [name for name in FILES if (place / name).exists()]
        if existing and not force:
            raise UsageError(
                f"{place} has {', '.join(existing)} already; expected a folder without. Name another, or replace them "
                "by --force."
            )
    for name, place in folders.items():
        corpus = suite.corpora[name]
        documents = ({"_id": i, "title": "", "text": t} for i, t in zip(corpus.ids, corpus.texts, strict=True))
        write_text(place / "corpus.jsonl", _lines(documents))
        write_text(place / "queries.jsonl", _lines(queries[name]))
        qrels = {splits[q.name]: suite.qrels(q.name) for q in chosen if q.corpus == name}
        for split, grades_of in qrels.items():
            # BEIR's loader skips the first line.
            rows = ["query-id\tcorpus-id\tscore\n"]
            rows += [f"{i}\t{d}\t{g}\n" for i, grades in grades_of.items() for d, g in grades.items()]
            write_text(place / "qrels" / f"{split}.tsv", "".join(rows))
        # Splits of an earlier export would be read as this suite's.
        for path in (place / "qrels").glob("*.tsv"):
            if path.stem not in qrels:
                path.unlink()
    return list(folders.values())


def _chosen(suite: Suite, query_sets: Sequence[str] | None) -> list[QuerySet]:
    refuse_unknown(query_sets, suite.query_sets, f'Suite "{suite.name}" has no query set')
    return [q for q in suite.query_sets.values() if query_sets is None or q.name in query_sets]


def split_names(query_sets: Sequence[QuerySet]) -> dict[str, str]:
    """Query set → BEIR split: train, dev or test for the only set of that role over its corpus, else its own name."""
    names = {}
    for q in query_sets:
        alike = [other for other in query_sets if (other.corpus, other.role) == (q.corpus, q.role)]
        split = _SPLIT_OF_ROLE.get(q.role, q.name)
        taken = any(other.name == split for other in query_sets if other is not q)
        names[q.name] = split if len(alike) == 1 and not taken else q.name
    return names


def _queries(suite: Suite, query_sets: Sequence[QuerySet]) -> list[dict[str, Any]]:
    rows: dict[str, tuple[str, dict[str, Any]]] = {}
    for q in query_sets:
        labels = suite.labels[q.name]
        for query_id, text in zip(q.ids, q.texts, strict=True):
            if query_id not in labels.qrels:
                continue
            row: dict[str, Any] = {"_id": query_id, "text": text}
            row |= {"slice": labels.slices[query_id]} if query_id in labels.slices else {}
            row |= {"cluster": labels.clusters[query_id]} if query_id in labels.clusters else {}
            row |= {"pinned": True} if query_id in labels.pinned else {}
            first, known = rows.setdefault(query_id, (q.name, row))
            if known != row:
                raise SuiteError(
                    f'Suite "{suite.name}": query "{query_id}" differs between "{first}" and "{q.name}"; a '
                    "BEIR folder has one file of queries. Write them to two folders, with --query-set."
                )
    return [row for _, row in rows.values()]


def _lines(rows: Iterable[Mapping[str, Any]]) -> str:
    return "".join(json_text(row) + "\n" for row in rows)
