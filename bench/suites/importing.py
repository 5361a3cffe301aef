"""From a collection to a suite folder: documents streamed, queries divided, all that was changed counted and told.

Only ids are held in memory, texts never. The folder appears whole or not at all.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar, get_origin

from pydantic import ValidationError

from bench.base.errors import SuiteError, UsageError, did_you_mean
from bench.base.progress import Progress, no_progress
from bench.base.registry import blamed, is_kind, listing, module_of, origin, problems_of
from bench.base.store import json_text, replacing_folder
from bench.config import SuiteConfig
from bench.records import EVALUATION_ROLES, ROLES, digest_of
from bench.suites.sources import Collection, Part, Query
from bench.suites.sources.beir import ROLE_OF_SPLIT
from bench.suites.splits import DEV, HELD_OUT, TRAIN, SplitPlan, anchor, instant, place, separate
from bench.suites.text import normalized

WRITTEN = ("corpus.jsonl", "queries", "qrels", "suite.toml", "README.md")
"""What an import writes, and what the next one into the same folder replaces; anything else there is kept."""

PROGRESS_STEP = 10_000
"""Documents or queries between two words of progress."""

CHANGES = {
    "renamed-documents": "documents had white space in their ids; each run of it is now one underscore",
    "renamed-queries": "queries had white space in their ids; each run of it is now one underscore",
    "broken-characters": "documents or queries held half of a surrogate pair; each is now a question mark",
    "dangling-documents": "judgements named a document that is not there, and were dropped",
    "dangling-queries": "judgements named a query that is not there, and were dropped",
    "unjudged-queries": "queries have no judgement, and were left out",
    "sharing-queries": "queries share a judged document with a split that they must not touch, and were left out",
    "ungrouped-queries": "queries belong to no group, and were placed by their own text",
    "empty-sets": "query sets would have had no query, and were left out",
}

Judged = dict[str, dict[str, int]]

Row = TypeVar("Row")


# --- sources by kind -------------------------------------------------------------------------------


def kinds() -> list[str]:
    """Kinds of source on offer."""
    return listing("sources")


def open_source(kind: str, location: str, settings: Mapping[str, str] | None = None) -> Collection:
    """A collection from a source's kind, its place, and settings as text.

    Raises:
        UsageError: no such kind, no such setting, or a value that is none; names the nearest.
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
    with blamed("sources", kind, f"failed when it opened {location}"):
        made = module.collection(location, options)
        if not isinstance(made, Collection):
            raise TypeError(f"collection returned a {type(made).__name__}; expected bench.suites.sources.Collection")
    parts = [
        replace(part, queries=_reading(kind, part.queries), judgements=_reading(kind, part.judgements))
        for part in made.parts
    ]
    package = origin("sources", kind)
    return replace(
        made,
        documents=_reading(kind, made.documents),
        parts=tuple(parts),
        origin={**made.origin, **({"package": package} if package else {})},
    )


def _reading(kind: str, rows: Callable[[], Iterable[Row]]) -> Callable[[], Iterator[Row]]:
    """The same rows; another package's source that breaks while it reads says so in a sentence."""

    def read() -> Iterator[Row]:
        with blamed("sources", kind, "failed while it was read"):
            yield from rows()

    return read


# --- what comes back -------------------------------------------------------------------------------


@dataclass(frozen=True)
class QuerySetCounts:
    """What a query set holds. `n_sharing` of train or dev are judged on a document that evaluation is judged on."""

    name: str
    role: str
    n_queries: int
    n_judgements: int
    n_sharing: int = 0


@dataclass(frozen=True)
class Imported:
    """What an import wrote, and how many things it changed on the way, by their code in `CHANGES`."""

    folder: Path
    name: str
    n_docs: int
    query_sets: tuple[QuerySetCounts, ...]
    origin: Mapping[str, str]
    changes: Mapping[str, int]

    def sentences(self) -> list[str]:
        """What was changed, a sentence each."""
        return [f"{n} {CHANGES[code]}." for code, n in self.changes.items()]

    def to_json(self) -> dict[str, Any]:
        """The document that `bench import --json` prints."""
        return {"format": 1, **asdict(self), "folder": str(self.folder)}


@dataclass
class _Set:
    """A query set in the making: its parts' queries, or those of them that were placed here."""

    name: str
    role: str
    parts: Sequence[Part]
    judged: Judged
    placed: Mapping[str, str] | None = None
    ids: list[str] = field(default_factory=list)

    def documents(self) -> Iterator[tuple[str, Mapping[str, int]]]:
        """Each query that was written, with its judgements."""
        return ((query_id, self.judged.get(query_id, {})) for query_id in self.ids)


# --- writing ---------------------------------------------------------------------------------------


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
    """The folder of the suite that `import_collection` makes."""
    made = import_collection(collection, folder, name=name, roles=roles, split=split, force=force, progress=progress)
    return made.folder


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
    """Write a suite (documents, queries, judgements, suite.toml, a data card) and say what was written and changed.

    Args:
        collection: what a source offers.
        folder: where the suite goes; it does not exist yet, or is empty.
        name: the suite's name; the collection's where None.
        roles: split → role, where a split's name does not say it.
        split: divides all queries anew but those of role out-of-distribution; None keeps the source's splits.
        force: replace what an earlier import wrote there. Other files of the folder, such as baseline.json, are kept.
        progress: told of documents and queries.

    Raises:
        SuiteError: no document, no judged query, an id twice, one pair judged twice with different grades.
        UsageError: the folder is taken, or a name, split or role makes no sense.
    """
    suite_name = _suite_name(name, collection.name)
    role_of = _roles(collection, roles or {}, split)
    folder = folder.resolve()
    _check_target(folder, force)
    changes: Counter[str] = Counter()
    apart = [part for part in collection.parts if split is None or role_of[part.split] == "out-of-distribution"]
    pooled = [part for part in collection.parts if part not in apart]
    sets = [_Set(_file_name(part.split), role_of[part.split], [part], _judgements([part])) for part in apart]
    passes = [[one] for one in sets]
    pool = _judgements(pooled)
    with replacing_folder(folder, written=WRITTEN) as scratch:
        (scratch / "queries").mkdir()
        (scratch / "qrels").mkdir()
        every = [one.judged for one in sets] + [pool]
        wanted = {doc_id for judged in every for grades in judged.values() for doc_id in grades}
        doc_ids, of_document = _write_documents(collection, scratch, wanted, split, changes, progress)
        for judged in every:
            _drop_dangling(judged, doc_ids, changes)
        clusters: Mapping[str, str] = {}
        if split is not None and pooled:
            placed, clusters, split = _divide(pooled, pool, split, of_document, changes)
            divided = [_Set(name, name, pooled, pool, placed) for name in _names(split)]
            sets, passes = divided + sets, [divided, *passes]
        _check_names(sets)
        for same_parts in passes:
            _write_queries(same_parts, scratch, clusters, changes, progress)
        for one in sets:
            _write_judgements(one, scratch)
        changes["empty-sets"] = sum(not one.ids for one in sets)
        sets = [one for one in sets if one.ids]
        if not sets:
            raise SuiteError(
                f"{_where(collection)}: no query has a judgement on a document that is there; expected at least one. "
                "Do the ids of queries, documents and judgements agree?"
            )
        origin = dict(collection.origin) | ({"split": split.describe()} if split is not None else {})
        made = Imported(
            folder,
            suite_name,
            len(doc_ids),
            _counts(sets),
            origin,
            {code: n for code in CHANGES if (n := changes[code])},
        )
        shared = split is not None and split.share_documents
        (scratch / "suite.toml").write_text(_suite_toml(made, shared), encoding="utf-8", newline="\n")
        (scratch / "README.md").write_text(_data_card(made), encoding="utf-8", newline="\n")
    return made


def _where(collection: Collection) -> str:
    return f"{collection.origin.get('kind', 'source')} {collection.origin.get('location', collection.name)}"


def _suite_name(name: str | None, found: str) -> str:
    if name is None:
        return _file_name(found).lstrip("._-") or "suite"
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise UsageError(f'Suite name "{name}"; expected letters, digits, ".", "_" and "-", a letter or digit first.')
    return name


def _file_name(name: str) -> str:
    return "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in name).lstrip(".") or "set"


def _roles(collection: Collection, given: Mapping[str, str], split: SplitPlan | None) -> dict[str, str]:
    known = [part.split for part in collection.parts]
    for name, role in given.items():
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
                f'Split "{name}" was given the role {role}, but all queries are divided anew by {split.by}; expected '
                "out-of-distribution, which stays apart, or no new division."
            )
    return {p.split: given.get(p.split) or p.role or ROLE_OF_SPLIT.get(p.split, "held-out") for p in collection.parts}


def _names(split: SplitPlan) -> list[str]:
    return [name for name in (TRAIN, DEV, HELD_OUT) if name != DEV or split.dev or split.dev_from]


def _check_names(sets: Sequence[_Set]) -> None:
    for name, n in Counter(one.name for one in sets).items():
        if n > 1:
            raise SuiteError(f'{n} query sets would be called "{name}"; expected a name each. Rename a split.')


def _check_target(folder: Path, force: bool) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UsageError(f"{folder} is a file; expected the name of a new folder.")
    if any(folder.iterdir()):
        if not force:
            raise UsageError(
                f"{folder} is not empty; expected a new folder. Name another, or replace an earlier import by --force."
            )
        if not (folder / "suite.toml").exists():
            raise UsageError(f"{folder} is not empty and holds no suite.toml; --force replaces nothing but a suite.")


# --- ids and judgements ----------------------------------------------------------------------------


def _clean(identifier: str, what: str) -> str:
    """An id without white space, which neither run files nor judgements could hold."""
    words = identifier.split()
    if not words:
        raise SuiteError(f"A {what} has an empty id; expected one that names it.")
    cleaned = words[0] if len(words) == 1 else "_".join(words)
    if "\0" in cleaned or (not cleaned.isascii() and any("\ud800" <= c <= "\udfff" for c in cleaned)):
        raise SuiteError(f"A {what} has the id {cleaned[:60]!r}; expected text that a file can hold.")
    return cleaned


def _judgements(parts: Iterable[Part]) -> Judged:
    found: Judged = {}
    for part in parts:
        for query_id, doc_id, grade in part.judgements():
            query_id, doc_id = _clean(query_id, "judged query"), _clean(doc_id, "judged document")
            known = found.setdefault(query_id, {}).setdefault(doc_id, grade)
            if known != grade:
                raise SuiteError(
                    f'Split "{part.split}": query "{query_id}", document "{doc_id}" is judged {known} and {grade}; '
                    "keep one judgement."
                )
    return found


def _drop_dangling(judged: Judged, doc_ids: set[str], changes: Counter[str]) -> None:
    for grades in judged.values():
        lost = [doc_id for doc_id in grades if doc_id not in doc_ids]
        changes["dangling-documents"] += len(lost)
        for doc_id in lost:
            del grades[doc_id]


def _drop_unknown(judged: Judged, known: set[str], changes: Counter[str]) -> None:
    for query_id in [query_id for query_id in judged if query_id not in known]:
        changes["dangling-queries"] += len(judged.pop(query_id))


# --- documents -------------------------------------------------------------------------------------


def _write_documents(
    collection: Collection,
    folder: Path,
    wanted: set[str],
    split: SplitPlan | None,
    changes: Counter[str],
    progress: Progress,
) -> tuple[set[str], dict[str, str]]:
    """Ids of the documents that were written, and the group or time of the wanted ones that have it."""
    doc_ids: set[str] = set()
    of_document: dict[str, str] = {}
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
            if doc_id in wanted:
                if by == "group" and document.group is not None:
                    of_document[doc_id] = document.group
                elif by == "time" and document.time is not None:
                    of_document[doc_id] = instant(document.time, f'Document "{doc_id}"')
            if len(doc_ids) % PROGRESS_STEP == 0:
                progress("documents", len(doc_ids), 0)
    progress("documents", len(doc_ids), len(doc_ids))
    if not doc_ids:
        raise SuiteError(f"{_where(collection)} holds no document; expected at least one.")
    return doc_ids, of_document


def _line(row: dict[str, Any], changes: Counter[str]) -> str:
    """One line of JSON in whole characters: no suite is read with half of a surrogate pair."""
    given, mended = json_text(row), json_text({key: _whole(value) for key, value in row.items()})
    changes["broken-characters"] += mended != given
    return mended + "\n"


def _whole(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_whole(item) for item in value]
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


# --- queries ---------------------------------------------------------------------------------------


def _queries(parts: Sequence[Part]) -> Iterator[tuple[Query, bool]]:
    """Each query under its cleaned id, and whether that is another; what stands in several parts comes once.

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


def _divide(
    parts: Sequence[Part], judged: Judged, plan: SplitPlan, of_document: Mapping[str, str], changes: Counter[str]
) -> tuple[dict[str, str], dict[str, str], SplitPlan]:
    """Query id → split, query id → its group where it has one, and the plan with the boundaries that were used."""
    keys: dict[str, str] = {}
    clusters: dict[str, str] = {}
    known: set[str] = set()
    for query, _ in _queries(parts):
        known.add(query.query_id)
        grades = judged.get(query.query_id, {})
        if not grades and query.answerable:
            changes["unjudged-queries"] += 1
            continue
        keys[query.query_id] = _key(query, grades, plan, of_document, clusters)
    _drop_unknown(judged, known, changes)
    if plan.by == "group":
        if keys and not clusters:
            raise SuiteError(
                f"Split by group: none of {len(keys)} queries has a group. Say where groups are found: a pattern on "
                "ids (--group-by '^([^-]+)-'), or a field of the source (--set group=FIELD)."
            )
        changes["ungrouped-queries"] = len(keys) - len(clusters)
    placed, plan = place(keys, plan)
    if not plan.share_documents:
        placed, gone = separate(placed, judged)
        changes["sharing-queries"] = len(gone)
    return placed, clusters, plan


def _key(
    query: Query,
    grades: Mapping[str, int],
    plan: SplitPlan,
    of_document: Mapping[str, str],
    clusters: dict[str, str],
) -> str:
    """What decides a query's place; a group is noted as its cluster too."""
    own = f"text {digest_of(normalized(query.text))}"  # queries of equal text stay together
    if plan.by == "query":
        return own
    if plan.by == "time":
        where = f'Query "{query.query_id}"'
        times = [of_document[doc_id] for doc_id, grade in grades.items() if grade > 0 and doc_id in of_document]
        if query.time is None and not times:
            raise SuiteError(
                f"{where} has no time, and neither have its documents. Say which field holds it: --set time=FIELD."
            )
        return instant(query.time, where) if query.time is not None else max(times)
    document = anchor(grades, plan.seed)
    if plan.by == "document":
        return f"document {document}" if document is not None else own
    group = plan.group(query, document or "", of_document.get(document or ""))
    if group is None:
        return own
    clusters[query.query_id] = group
    return f"group {group}"


def _write_queries(
    sets: Sequence[_Set], folder: Path, clusters: Mapping[str, str], changes: Counter[str], progress: Progress
) -> None:
    """Write the queries of sets that have the same parts, in one pass over them."""
    by_name = {one.name: one for one in sets}
    first, known = sets[0], set[str]()
    stage = f"queries {', '.join(by_name)}"
    progress(stage, 0, 0)
    with contextlib.ExitStack() as stack:
        streams = {
            name: stack.enter_context((folder / "queries" / f"{name}.jsonl").open("w", encoding="utf-8", newline="\n"))
            for name in by_name
        }
        for query, renamed in _queries(first.parts):
            known.add(query.query_id)
            if len(known) % PROGRESS_STEP == 0:
                progress(stage, len(known), 0)
            one = first if first.placed is None else by_name.get(first.placed.get(query.query_id, ""))
            if one is None:
                continue
            if query.answerable and not one.judged.get(query.query_id):
                changes["unjudged-queries"] += 1
                continue
            changes["renamed-queries"] += renamed
            one.ids.append(query.query_id)
            row = {
                "_id": query.query_id,
                "text": query.text,
                "slice": query.slice,
                # Queries of one group are no independent witnesses: statistics must know.
                "cluster": query.cluster or clusters.get(query.query_id),
                "pinned": query.pinned or None,
                "answerable": None if query.answerable else False,
            }
            streams[one.name].write(_line({key: value for key, value in row.items() if value is not None}, changes))
    progress(stage, len(known), len(known))
    if first.placed is None:
        _drop_unknown(first.judged, known, changes)
    for one in sets:
        if not one.ids:
            (folder / "queries" / f"{one.name}.jsonl").unlink()


def _write_judgements(one: _Set, folder: Path) -> None:
    if not one.ids:
        return
    with (folder / "qrels" / f"{one.name}.tsv").open("w", encoding="utf-8", newline="\n") as stream:
        stream.write("query-id\tcorpus-id\tscore\n")
        for query_id, grades in one.documents():
            stream.writelines(f"{query_id}\t{doc_id}\t{grade}\n" for doc_id, grade in grades.items())


def _counts(sets: Sequence[_Set]) -> tuple[QuerySetCounts, ...]:
    judged_by = {
        doc_id for one in sets if one.role in EVALUATION_ROLES for _, grades in one.documents() for doc_id in grades
    }
    return tuple(
        QuerySetCounts(
            one.name,
            one.role,
            len(one.ids),
            sum(len(grades) for _, grades in one.documents()),
            0
            if one.role in EVALUATION_ROLES
            else sum(not judged_by.isdisjoint(grades) for _, grades in one.documents()),
        )
        for one in sets
    )


# --- suite.toml and the data card ------------------------------------------------------------------


def _quoted(text: str) -> str:
    """A TOML basic string."""
    plain = json.dumps(text.encode("utf-8", "replace").decode(), ensure_ascii=False)
    return plain.replace("\x7f", "\\u007f")  # JSON allows it bare, TOML does not


def _bare(key: str) -> str:
    """A TOML key, in quotation marks only where it needs them."""
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _quoted(key)


def _set_description(counts: QuerySetCounts) -> str:
    if not counts.n_sharing:
        return ""
    return (
        f"{counts.n_sharing} of {counts.n_queries} queries are judged on a document that an evaluation set is judged "
        "on too: gains may be memory."
    )


def _suite_toml(made: Imported, share_documents: bool) -> str:
    fields = SuiteConfig.model_fields
    lines = [
        f"name = {_quoted(made.name)}",
        "version = 1",
        f"description = {_quoted(_description(made))}",
        f"license = {_quoted(made.origin.get('license', ''))}",
        f"measures = [{', '.join(map(_quoted, fields['measures'].default))}]",
        f"depth = {fields['depth'].default}",
        *(["share_documents = true"] if share_documents else []),
        "",
        "[origin]",
        *(f"{_bare(key)} = {_quoted(value)}" for key, value in made.origin.items()),
        "",
        "[corpora.documents]",
        'source = "jsonl"',
        'path = "corpus.jsonl"',
    ]
    for counts in made.query_sets:
        lines += [
            "",
            "[[query_sets]]",
            f"name = {_quoted(counts.name)}",
            f"role = {_quoted(counts.role)}",
            'corpus = "documents"',
            f"queries = {_quoted(f'queries/{counts.name}.jsonl')}",
            f"qrels = {_quoted(f'qrels/{counts.name}.tsv')}",
        ]
        if description := _set_description(counts):
            lines.append(f"description = {_quoted(description)}")
    return "\n".join(lines) + "\n"


def _description(made: Imported) -> str:
    text = f"Imported from {made.origin.get('kind', 'a source')} {made.origin.get('location', '')}".rstrip() + "."
    return f"{text} {made.origin['split']}" if "split" in made.origin else text


def _data_card(made: Imported) -> str:
    lines = [f"# {made.name}", "", _description(made), "", f"{made.n_docs} documents.", ""]
    lines += ["| query set | role | queries | judgements |", "|---|---|--:|--:|"]
    lines += [f"| {q.name} | {q.role} | {q.n_queries} | {q.n_judgements} |" for q in made.query_sets]
    lines += [f"\n{q.name}: {text}" for q in made.query_sets if (text := _set_description(q))]
    lines += ["", "## Origin", ""]
    lines += [f"- {key}: {' '.join(value.split())}" for key, value in made.origin.items()]
    if "license" not in made.origin:
        lines.append("- license: not stated by the source; say it here and in suite.toml before you share this folder")
    lines += ["", "## What the import changed", ""]
    lines += [f"- {sentence}" for sentence in made.sentences()] or ["Nothing."]
    return "\n".join(lines).encode("utf-8", "replace").decode() + "\n"
