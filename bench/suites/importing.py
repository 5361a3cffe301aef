"""From a collection to a suite folder: documents streamed, queries split, every change counted and reported.

Memory holds ids, never texts. The folder appears whole or not at all.
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar, get_origin

from pydantic import ValidationError

from bench.base.errors import SuiteError, UsageError, did_you_mean
from bench.base.json_records import JsonRecord
from bench.base.progress import Progress, no_progress
from bench.base.registry import is_kind, listing, module_of, origin, plugin_errors, problems_of
from bench.base.store import json_text, replacing_folder
from bench.config import SuiteConfig
from bench.records import EVALUATION_ROLES, ROLES, digest_of
from bench.suites.sources import Collection, Part, Query
from bench.suites.sources.beir import ROLE_OF_SPLIT
from bench.suites.splits import DEV, HELD_OUT, TRAIN, SplitPlan, anchor, instant, place, separate
from bench.suites.suite import toml_lines
from bench.suites.text import normalized

WRITTEN = ("corpus.jsonl", "queries", "qrels", "suite.toml", "README.md")
"""Files that an import writes, and that the next one into the same folder replaces; other files there stay."""

PROGRESS_STEP = 10_000
"""Documents or queries between two calls of a progress callback."""

CHANGES = {
    "renamed-documents": "documents had white space in their ids; each run of it is now one underscore",
    "renamed-queries": "queries had white space in their ids; each run of it is now one underscore",
    "broken-characters": "documents or queries had half of a surrogate pair; each is now a question mark",
    "dangling-documents": "judgements named a document that is not there, and were dropped",
    "dangling-queries": "judgements named a query that is not there, and were dropped",
    "unjudged-queries": "queries have no judgement, and were left out",
    "sharing-queries": "queries share a judged document with another split, and were left out",
    "ungrouped-queries": "queries belong to no group, and were assigned by their own text",
    "empty-sets": "query sets would have had no query, and were left out",
}

Judgements = dict[str, dict[str, int]]

Row = TypeVar("Row")


def kinds() -> list[str]:
    """Kinds of source."""
    return listing("sources")


def open_source(kind: str, location: str, settings: Mapping[str, str] | None = None) -> Collection:
    """A collection from a source's kind, its location, and settings as text.

    Raises:
        UsageError: no such kind, no such setting, or an invalid value; names the nearest.
    """
    if not is_kind("sources", kind):
        kind = kind.replace("_", "-")
    if not is_kind("sources", kind):
        known = kinds()
        raise UsageError(f'No kind of source "{kind}"; expected one of {", ".join(known)}.{did_you_mean(kind, known)}')
    module = module_of("sources", kind)
    model = module.Options
    values: dict[str, Any] = dict(settings or {})
    for name, info in model.model_fields.items():
        if name in values and get_origin(info.annotation) in (list, tuple):
            values[name] = [part for part in values[name].split(",") if part]
    try:
        options = model.model_validate(values, strict=False)
    except ValidationError as error:
        raise UsageError("\n".join(problems_of(error, model, f"bench import {kind}: --set"))) from None
    with plugin_errors("sources", kind, f"failed when it opened {location}"):
        collection = module.collection(location, options)
        if not isinstance(collection, Collection):
            name = type(collection).__name__
            raise TypeError(f"collection returned a {name}; expected bench.suites.sources.Collection")
    guarded = functools.partial(functools.partial, _read, kind)
    package = origin("sources", kind)
    return replace(
        collection,
        documents=guarded(collection.documents),
        parts=tuple(
            replace(part, queries=guarded(part.queries), judgements=guarded(part.judgements))
            for part in collection.parts
        ),
        origin={**collection.origin, **({"package": package} if package else {})},
    )


def _read(kind: str, rows: Callable[[], Iterable[Row]]) -> Iterator[Row]:
    """The rows; a source of another package that breaks while it reads is reported in a sentence."""
    with plugin_errors("sources", kind, "failed while it was read"):
        yield from rows()


@dataclass(frozen=True)
class QuerySetCounts:
    """Counts of a query set; `n_sharing` queries of train or dev are judged on a document of an evaluation set."""

    name: str
    role: str
    n_queries: int
    n_judgements: int
    n_sharing: int = 0

    @property
    def note(self) -> str:
        """A sentence about shared documents; empty without any."""
        text = f"{self.n_sharing} of {self.n_queries} queries are judged on a document of an evaluation set"
        return f"{text}: gains may be memory." if self.n_sharing else ""


@dataclass(frozen=True)
class Imported(JsonRecord, format=1):
    """The suite that an import wrote, and how many things it changed, by their code in `CHANGES`."""

    folder: Path
    name: str
    n_docs: int
    query_sets: tuple[QuerySetCounts, ...]
    origin: Mapping[str, str]
    changes: Mapping[str, int]

    def sentences(self) -> list[str]:
        """One sentence for each kind of change."""
        return [f"{n} {CHANGES[code]}." for code, n in self.changes.items()]


@dataclass
class _QuerySet:
    """A query set to write: the queries of its parts, or those that `split_of` assigns to it."""

    name: str
    role: str
    parts: Sequence[Part]
    judgements: Judgements
    split_of: Mapping[str, str] | None = None
    ids: list[str] = field(default_factory=list)

    def judged(self) -> list[tuple[str, Mapping[str, int]]]:
        """Each query that was written, with its judgements."""
        return [(query_id, self.judgements.get(query_id, {})) for query_id in self.ids]


def write_suite(
    collection: Collection,
    folder: Path,
    *,
    name: str | None = None,
    roles: Mapping[str, str] | None = None,
    split: SplitPlan | None = None,
    force: bool = False,
    progress: Progress = no_progress,
) -> Path:
    """The folder of the suite that `import_collection` writes."""
    return import_collection(
        collection, folder, name=name, roles=roles, split=split, force=force, progress=progress
    ).folder


def import_collection(
    collection: Collection,
    folder: Path,
    *,
    name: str | None = None,
    roles: Mapping[str, str] | None = None,
    split: SplitPlan | None = None,
    force: bool = False,
    progress: Progress = no_progress,
) -> Imported:
    """Write a suite (documents, queries, judgements, suite.toml, a data card); return its counts and the changes.

    Args:
        collection: documents and judged queries of a source.
        folder: the suite's folder; it must not exist yet, or be empty.
        name: the suite's name; None takes the collection's.
        roles: split → role, for splits whose name does not say it.
        split: how to split all queries anew, except those of role out-of-distribution; None keeps the source's splits.
        force: replace the files of an earlier import. Other files of the folder, such as baseline.json, stay.
        progress: called with the number of documents and queries.

    Raises:
        SuiteError: no document, no judged query, a repeated id, one pair judged twice with different grades.
        UsageError: the folder is in use, or a name, split or role is invalid.
    """
    if name is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise UsageError(f'Suite name "{name}"; expected letters, digits, ".", "_" and "-", a letter or digit first.')
    suite_name = name or _file_name(collection.name).lstrip("._-") or "suite"
    role_of = _roles(collection, roles or {}, split)
    folder = folder.resolve()
    _check_target(folder, force)
    changes: Counter[str] = Counter()
    kept = [part for part in collection.parts if split is None or role_of[part.split] == "out-of-distribution"]
    pooled = [part for part in collection.parts if part not in kept]
    sets = [_QuerySet(_file_name(part.split), role_of[part.split], [part], _judgements([part])) for part in kept]
    passes = [[query_set] for query_set in sets]
    pool = _judgements(pooled)
    with replacing_folder(folder, written=WRITTEN) as scratch:
        (scratch / "queries").mkdir()
        (scratch / "qrels").mkdir()
        all_grades = [grades for each in (*(s.judgements for s in sets), pool) for grades in each.values()]
        judged_ids = {doc_id for grades in all_grades for doc_id in grades}
        doc_ids, group_or_time = _write_documents(collection, scratch, judged_ids, split, changes, progress)
        for grades in all_grades:
            for doc_id in [doc_id for doc_id in grades if doc_id not in doc_ids]:
                changes["dangling-documents"] += 1
                del grades[doc_id]
        clusters: Mapping[str, str] = {}
        if split is not None and pooled:
            split_of, clusters, split = _split(pooled, pool, split, group_or_time, changes)
            names = [TRAIN, *([DEV] if split.dev or split.dev_from else []), HELD_OUT]
            new = [_QuerySet(each, each, pooled, pool, split_of) for each in names]
            sets, passes = new + sets, [new, *passes]
        for repeated, n in Counter(query_set.name for query_set in sets).items():
            if n > 1:
                raise SuiteError(f'{n} query sets would be called "{repeated}"; expected a name each. Rename a split.')
        for same_parts in passes:
            _write_queries(same_parts, scratch, clusters, changes, progress)
        changes["empty-sets"] = sum(not query_set.ids for query_set in sets)
        sets = [query_set for query_set in sets if query_set.ids]
        if not sets:
            raise SuiteError(
                f"{_where(collection)}: no query has a judgement on a document that is there; expected at least one. "
                "Do the ids of queries, documents and judgements agree?"
            )
        for query_set in sets:
            with (scratch / "qrels" / f"{query_set.name}.tsv").open("w", encoding="utf-8", newline="\n") as stream:
                stream.write("query-id\tcorpus-id\tscore\n")
                for query_id, judged in query_set.judged():
                    stream.writelines(f"{query_id}\t{doc_id}\t{grade}\n" for doc_id, grade in judged.items())
        origin = dict(collection.origin) | ({"split": split.describe()} if split is not None else {})
        counted = {code: n for code in CHANGES if (n := changes[code])}
        written = Imported(folder, suite_name, len(doc_ids), _counts(sets), origin, counted)
        shared = split is not None and split.share_documents
        for file, lines in (("suite.toml", _suite_toml(written, shared)), ("README.md", _data_card(written))):
            (scratch / file).write_bytes(("\n".join(lines) + "\n").encode("utf-8", "replace"))
    return written


def _where(collection: Collection) -> str:
    return f"{collection.origin.get('kind', 'source')} {collection.origin.get('location', collection.name)}"


def _file_name(name: str) -> str:
    return "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in name).lstrip(".") or "set"


def _roles(collection: Collection, roles: Mapping[str, str], split: SplitPlan | None) -> dict[str, str]:
    """Split → role."""
    known = [part.split for part in collection.parts]
    for name, role in roles.items():
        if name not in known:
            raise UsageError(
                f'No split "{name}" in {_where(collection)}; it has {", ".join(known)}.{did_you_mean(name, known)}'
            )
        if role not in ROLES:
            raise UsageError(
                f'Role of split "{name}" is "{role}"; expected one of {", ".join(ROLES)}.{did_you_mean(role, ROLES)}'
            )
        if split is not None and role != "out-of-distribution":
            raise UsageError(
                f'Split "{name}" has the role {role}, but all queries are split anew by {split.by}; expected '
                "out-of-distribution, which is left as it is. Remove the role or the new split."
            )
    return {p.split: roles.get(p.split) or p.role or ROLE_OF_SPLIT.get(p.split, "held-out") for p in collection.parts}


def _check_target(folder: Path, force: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; expected the name of a new folder.")
    if folder.exists() and any(folder.iterdir()):
        if not force:
            raise UsageError(
                f"{folder} is not empty; expected a new folder. Name another, or replace an earlier import by --force."
            )
        if not (folder / "suite.toml").exists():
            raise UsageError(f"{folder} is not empty and has no suite.toml; --force replaces nothing but a suite.")


def _clean(identifier: str, what: str) -> str:
    """An id without white space, since run files and judgements separate their columns by it."""
    words = identifier.split()
    if not words:
        raise SuiteError(f"A {what} has an empty id; expected one that names it.")
    cleaned = words[0] if len(words) == 1 else "_".join(words)
    if "\0" in cleaned or (not cleaned.isascii() and any("\ud800" <= c <= "\udfff" for c in cleaned)):
        raise SuiteError(f"A {what} has the id {cleaned[:60]!r}; expected text that a file can hold.")
    return cleaned


def _judgements(parts: Iterable[Part]) -> Judgements:
    judgements: Judgements = {}
    for part in parts:
        for query_id, doc_id, grade in part.judgements():
            query_id, doc_id = _clean(query_id, "judged query"), _clean(doc_id, "judged document")
            first = judgements.setdefault(query_id, {}).setdefault(doc_id, grade)
            if first != grade:
                raise SuiteError(
                    f'Split "{part.split}": query "{query_id}", document "{doc_id}" is judged {first} and {grade}; '
                    "keep one judgement."
                )
    return judgements


def _drop_unknown(judgements: Judgements, known: set[str], changes: Counter[str]) -> None:
    for query_id in [query_id for query_id in judgements if query_id not in known]:
        changes["dangling-queries"] += len(judgements.pop(query_id))


def _write_documents(
    collection: Collection,
    folder: Path,
    judged_ids: set[str],
    split: SplitPlan | None,
    changes: Counter[str],
    progress: Progress,
) -> tuple[set[str], dict[str, str]]:
    """Ids of the documents that were written, and the group or time of judged documents that a split goes by."""
    doc_ids: set[str] = set()
    group_or_time: dict[str, str] = {}
    by = split.by if split is not None else ""
    progress("documents", 0, 0)
    with (folder / "corpus.jsonl").open("w", encoding="utf-8", newline="\n") as stream:
        for document in collection.documents():
            doc_id = _clean(document.doc_id, "document")
            changes["renamed-documents"] += doc_id != document.doc_id
            if doc_id in doc_ids:
                raise SuiteError(
                    f'{_where(collection)}: two documents have the id "{doc_id}" (white space in ids counts as one '
                    "underscore); ids must be unique."
                )
            doc_ids.add(doc_id)
            stream.write(_line({"_id": doc_id, "title": document.title, "text": document.text}, changes))
            if doc_id in judged_ids and by == "group" and document.group is not None:
                group_or_time[doc_id] = document.group
            if doc_id in judged_ids and by == "time" and document.time is not None:
                group_or_time[doc_id] = instant(document.time, f'Document "{doc_id}"')
            if len(doc_ids) % PROGRESS_STEP == 0:
                progress("documents", len(doc_ids), 0)
    progress("documents", len(doc_ids), len(doc_ids))
    if not doc_ids:
        raise SuiteError(f"{_where(collection)} holds no document; expected at least one.")
    return doc_ids, group_or_time


def _line(row: dict[str, Any], changes: Counter[str]) -> str:
    """A line of JSON in whole characters: a suite with half of a surrogate pair cannot be read."""
    text = json_text(row)
    whole = json_text({key: _whole(value) for key, value in row.items()})
    changes["broken-characters"] += whole != text
    return whole + "\n"


def _whole(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_whole(item) for item in value]
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def _queries(parts: Sequence[Part]) -> Iterator[tuple[Query, bool]]:
    """Each query under its cleaned id, and whether the id was changed; a query of several parts comes once.

    Raises:
        SuiteError: an id twice in one part, or in two with different texts.
    """
    seen: dict[str, tuple[int, int]] = {}
    for number, part in enumerate(parts):
        for query in part.queries():
            query_id = _clean(query.query_id, "query")
            here = (number, hash(query.text))  # a hash of this process alone: compared, never written
            first = seen.setdefault(query_id, here)
            if first is here:
                renamed = query_id != query.query_id
                yield replace(query, query_id=query_id) if renamed else query, renamed
            elif first[0] == number or first[1] != here[1]:
                raise SuiteError(
                    f'Split "{part.split}": two queries have the id "{query_id}" (white space in ids counts as one '
                    "underscore); ids must be unique."
                )


def _split(
    parts: Sequence[Part], judged: Judgements, plan: SplitPlan, group_or_time: Mapping[str, str], changes: Counter[str]
) -> tuple[dict[str, str], dict[str, str], SplitPlan]:
    """Query id → split, query id → its group where it has one, and the plan with the boundaries that were used."""
    keys: dict[str, str] = {}
    clusters: dict[str, str] = {}

    def key(query: Query, grades: Mapping[str, int]) -> str:
        """The key that decides a query's split; a group becomes the query's cluster too."""
        own = f"text {digest_of(normalized(query.text))}"  # queries of equal text stay together
        if plan.by == "time":
            where = f'Query "{query.query_id}"'
            times = [group_or_time[d] for d, grade in grades.items() if grade > 0 and d in group_or_time]
            if query.time is None and not times:
                raise SuiteError(f"{where} and its documents have no time. Name the field: --set time=FIELD.")
            return instant(query.time, where) if query.time is not None else max(times)
        document = anchor(grades, plan.seed) if plan.by != "query" else None
        if plan.by == "document" and document is not None:
            return f"document {document}"
        group = plan.group(query, document or "", group_or_time.get(document or "")) if plan.by == "group" else None
        if group is None:
            return own
        clusters[query.query_id] = group
        return f"group {group}"

    known: set[str] = set()
    for query, _ in _queries(parts):
        known.add(query.query_id)
        grades = judged.get(query.query_id, {})
        if grades or not query.answerable:
            keys[query.query_id] = key(query, grades)
        else:
            changes["unjudged-queries"] += 1
    _drop_unknown(judged, known, changes)
    if plan.by == "group":
        if keys and not clusters:
            raise SuiteError(
                f"Split by group: none of {len(keys)} queries has a group. Name its source: a pattern on ids "
                "(--group-by '^([^-]+)-'), or a field (--set group=FIELD)."
            )
        changes["ungrouped-queries"] = len(keys) - len(clusters)
    split_of, plan = place(keys, plan)
    if not plan.share_documents:
        split_of, dropped = separate(split_of, judged)
        changes["sharing-queries"] = len(dropped)
    return split_of, clusters, plan


def _write_queries(
    sets: Sequence[_QuerySet], folder: Path, clusters: Mapping[str, str], changes: Counter[str], progress: Progress
) -> None:
    """Write the queries of sets that have the same parts, in one pass over them."""
    by_name = {query_set.name: query_set for query_set in sets}
    first, known = sets[0], set[str]()
    stage = f"queries {', '.join(by_name)}"
    paths = {name: folder / "queries" / f"{name}.jsonl" for name in by_name}
    progress(stage, 0, 0)
    with contextlib.ExitStack() as stack:
        streams = {
            name: stack.enter_context(path.open("w", encoding="utf-8", newline="\n")) for name, path in paths.items()
        }
        for query, renamed in _queries(first.parts):
            known.add(query.query_id)
            if len(known) % PROGRESS_STEP == 0:
                progress(stage, len(known), 0)
            query_set = first if first.split_of is None else by_name.get(first.split_of.get(query.query_id, ""))
            if query_set is None:
                continue
            if query.answerable and not query_set.judgements.get(query.query_id):
                changes["unjudged-queries"] += 1
                continue
            changes["renamed-queries"] += renamed
            query_set.ids.append(query.query_id)
            row = {
                "_id": query.query_id,
                "text": query.text,
                "slice": query.slice,
                # Queries of one group are no independent observations: statistics must take it into account.
                "cluster": query.cluster or clusters.get(query.query_id),
                "pinned": query.pinned or None,
                "answerable": None if query.answerable else False,
            }
            row = {key: value for key, value in row.items() if value is not None}
            streams[query_set.name].write(_line(row, changes))
    progress(stage, len(known), len(known))
    if first.split_of is None:
        _drop_unknown(first.judgements, known, changes)
    for query_set in sets:
        if not query_set.ids:
            paths[query_set.name].unlink()


def _counts(sets: Sequence[_QuerySet]) -> tuple[QuerySetCounts, ...]:
    evaluated = {
        doc_id for each in sets if each.role in EVALUATION_ROLES for _, grades in each.judged() for doc_id in grades
    }
    counts = []
    for query_set in sets:
        judged = [grades for _, grades in query_set.judged()]
        n_sharing = sum(not evaluated.isdisjoint(grades) for grades in judged)
        if query_set.role in EVALUATION_ROLES:
            n_sharing = 0
        counts.append(QuerySetCounts(query_set.name, query_set.role, len(judged), sum(map(len, judged)), n_sharing))
    return tuple(counts)


def _suite_toml(suite: Imported, share_documents: bool) -> list[str]:
    fields = SuiteConfig.model_fields
    table = {
        "name": suite.name,
        "version": 1,
        "description": _description(suite),
        "license": suite.origin.get("license", ""),
        "measures": list(fields["measures"].default),
        "depth": fields["depth"].default,
        "share_documents": share_documents or None,
        "origin": dict(suite.origin),
        "corpora": {"documents": {"source": "jsonl", "path": "corpus.jsonl"}},
        "query_sets": [
            {
                "name": counts.name,
                "role": counts.role,
                "corpus": "documents",
                "queries": f"queries/{counts.name}.jsonl",
                "qrels": f"qrels/{counts.name}.tsv",
                "description": counts.note or None,
            }
            for counts in suite.query_sets
        ],
    }
    return toml_lines(table)


def _description(suite: Imported) -> str:
    text = f"Imported from {suite.origin.get('kind', 'a source')} {suite.origin.get('location', '')}".rstrip() + "."
    return f"{text} {suite.origin['split']}" if "split" in suite.origin else text


def _data_card(suite: Imported) -> list[str]:
    lines = [f"# {suite.name}", "", _description(suite), "", f"{suite.n_docs} documents.", ""]
    lines += ["| query set | role | queries | judgements |", "|---|---|--:|--:|"]
    lines += [f"| {q.name} | {q.role} | {q.n_queries} | {q.n_judgements} |" for q in suite.query_sets]
    lines += [f"\n{counts.name}: {counts.note}" for counts in suite.query_sets if counts.note]
    lines += ["", "## Origin", ""]
    lines += [f"- {key}: {' '.join(value.split())}" for key, value in suite.origin.items()]
    if "license" not in suite.origin:
        lines.append("- license: not stated by the source; add it here and in suite.toml before you share this folder")
    return [*lines, "", "## What the import changed", "", *([f"- {s}" for s in suite.sentences()] or ["Nothing."])]
