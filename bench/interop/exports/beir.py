"""A suite as a BEIR folder: corpus.jsonl, queries.jsonl, qrels/<split>.tsv."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.base.errors import SuiteError, UsageError, did_you_mean
from bench.base.store import json_text, write_text
from bench.interop.exports import Exported, Request
from bench.records import QuerySet, Suite

# BEIR's words for the roles, the other way round.
_SPLIT_OF_ROLE = {"train": "train", "dev": "dev", "held-out": "test"}


WHAT = "suite"
WRITTEN = ("corpus.jsonl", "queries.jsonl", "qrels")


def export(request: Request) -> Exported:
    """The suite as BEIR folders."""
    suite, names = request.suite, request.query_sets
    written = export_beir(suite, request.out, query_sets=names, force=request.force)
    n = left_out(suite, names)
    notes = [f"{n} queries without an answer were left out: BEIR has no way to say so."] if n else []
    return Exported(written, notes)


def export_beir(
    suite: Suite, folder: Path, *, query_sets: Sequence[str] | None = None, force: bool = False
) -> list[Path]:
    """Folders written, one for each corpus: `folder` itself for a single one, else folders in it by their names.

    A document's title stays where every system sees it, in front of its text. Slices, clusters and pins are further
    keys of a query, which BEIR's loader passes over and a suite reads. Queries that have no answer are left out: BEIR
    has no way to say so.

    Args:
        suite: what is written.
        folder: created where there is none.
        query_sets: names; all sets of every role where None.
        force: replace a BEIR folder that is there, with all its splits.

    Raises:
        UsageError: no such query set, or a BEIR folder is there.
        SuiteError: one query id with two texts, in two sets over one corpus: BEIR keeps their queries in one file.
    """
    chosen = _chosen(suite, query_sets)
    splits = split_names(chosen)
    corpora = list(dict.fromkeys(q.corpus for q in chosen))
    queries = {name: _queries(suite, [q for q in chosen if q.corpus == name]) for name in corpora}
    places = {name: folder if len(corpora) == 1 else folder / name for name in corpora}
    for place in places.values():
        _check_target(suite, place, force)
    for name, place in places.items():
        corpus = suite.corpora[name]
        documents = ({"_id": i, "title": "", "text": t} for i, t in zip(corpus.ids, corpus.texts, strict=True))
        write_text(place / "corpus.jsonl", _lines(documents))
        write_text(place / "queries.jsonl", _lines(queries[name]))
        for q in chosen:
            if q.corpus == name:
                # BEIR's loader passes over the first line, whatever it holds.
                rows = ["query-id\tcorpus-id\tscore\n"]
                rows += [f"{i}\t{d}\t{g}\n" for i, grades in suite.qrels(q.name).items() for d, g in grades.items()]
                write_text(place / "qrels" / f"{splits[q.name]}.tsv", "".join(rows))
        # Splits of an earlier export would be read as this suite's.
        for path in (place / "qrels").glob("*.tsv"):
            if path.stem not in {splits[q.name] for q in chosen if q.corpus == name}:
                path.unlink()
    return list(places.values())


def left_out(suite: Suite, query_sets: Sequence[str] | None = None) -> int:
    """Queries that an export leaves out, since nothing answers them."""
    chosen = _chosen(suite, query_sets)
    return sum(query_id not in suite.qrels(q.name) for q in chosen for query_id in q.ids)


def _chosen(suite: Suite, query_sets: Sequence[str] | None) -> list[QuerySet]:
    for name in query_sets or ():
        if name not in suite.query_sets:
            raise UsageError(
                f'Suite "{suite.name}" has no query set "{name}"; expected one of {", ".join(suite.query_sets)}.'
                f"{did_you_mean(name, suite.query_sets)}"
            )
    return [q for q in suite.query_sets.values() if query_sets is None or q.name in query_sets]


def _check_target(suite: Suite, place: Path, force: bool) -> None:
    if suite.path and place.resolve() == Path(suite.path).resolve():
        raise UsageError(f"{place} is the suite's own folder; an export would overwrite it. Name another.")
    there = [name for name in WRITTEN if (place / name).exists()]
    if there and not force:
        raise UsageError(
            f"{place} holds {', '.join(there)} already; expected a folder without. Name another, or replace them by "
            "--force."
        )


def split_names(query_sets: Sequence[QuerySet]) -> dict[str, str]:
    """Query set → BEIR split: train, dev or test where it alone of its corpus has that role, else its own name."""
    named = {}
    for q in query_sets:
        alike = [other for other in query_sets if (other.corpus, other.role) == (q.corpus, q.role)]
        split = _SPLIT_OF_ROLE.get(q.role, q.name)
        taken = any(other.name == split for other in query_sets if other is not q)
        named[q.name] = split if len(alike) == 1 and not taken else q.name
    return named


def _queries(suite: Suite, query_sets: Sequence[QuerySet]) -> list[dict[str, Any]]:
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    for q in query_sets:
        labels = suite.labels[q.name]
        for query_id, text in zip(q.ids, q.texts, strict=True):
            if query_id not in labels.qrels:
                continue
            row: dict[str, Any] = {"_id": query_id, "text": text}
            row |= {"slice": labels.slices[query_id]} if query_id in labels.slices else {}
            row |= {"cluster": labels.clusters[query_id]} if query_id in labels.clusters else {}
            row |= {"pinned": True} if query_id in labels.pinned else {}
            first, known = found.setdefault(query_id, (q.name, row))
            if known != row:
                raise SuiteError(
                    f'Suite "{suite.name}": query "{query_id}" is one thing in "{first}" and another in "{q.name}"; a '
                    "BEIR folder has one file of queries. Write them to two folders, with --query-set."
                )
    return [row for _, row in found.values()]


def _lines(rows: Iterable[Mapping[str, Any]]) -> str:
    return "".join(json_text(row) + "\n" for row in rows)
