"""A suite from its folder: a folder with a `suite.toml`, or a plain BEIR folder.

The splits train, dev and test of a BEIR folder take the roles train, dev and held-out.
"""

from __future__ import annotations

import filecmp
import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from bench.base.errors import HeldOutError, SuiteError, did_you_mean, excerpt
from bench.base.files.judgements import read_qrels
from bench.base.progress import Progress, no_progress
from bench.config import CorpusConfig, QuerySetConfig, SuiteConfig, load_suite_config
from bench.records import EVALUATION_ROLES, Corpus, EvalProtocol, Labels, Qrels, QuerySet, Suite, document_text
from bench.suites.slices import computed_slices
from bench.suites.sources import beir, jsonl


def bundled() -> dict[str, Path]:
    """Bundled suites: name → folder."""
    here = Path(__file__).parents[1]
    # The wheel carries them inside the package; a checkout has them beside it.
    for folder in (here / "_suites", here.parent / "suites"):
        if paths := sorted(folder.glob("*/suite.toml")):
            return {path.parent.name: path.parent for path in paths}
    return {}


def find(name: str, *, relative_to: Path | None = None) -> Path:
    """A suite's folder from a path, or from the name of a bundled suite.

    Raises:
        SuiteError: neither; names the nearest suite.
    """
    path = Path(name) if relative_to is None else relative_to / name
    if path.name == "suite.toml":
        path = path.parent
    known = bundled()
    # A folder that merely bears a bundled suite's name does not hide it.
    if path.is_dir() and (name not in known or any((path / p).exists() for p in ("suite.toml", "corpus.jsonl"))):
        return path
    if name in known:
        return known[name]
    nearby = sorted(file.parent.name for file in path.parent.glob("*/suite.toml")) if path.parent.is_dir() else []
    raise SuiteError(
        f'Suite "{name}": {path} is no folder, and no bundled suite has that name '
        f"(bundled: {', '.join(known) or 'none'}).{did_you_mean(path.name, [*nearby, *known])}"
    )


def load(path: Path | str, *, progress: Progress = no_progress) -> Suite:
    """A suite with all its parts read and digested.

    Raises:
        SuiteError: a declaration, corpus, query or judgement that cannot be used; names file and line.
    """
    folder = Path(path)
    config = declaration(folder)
    corpora: dict[str, Corpus] = {}
    query_sets: dict[str, QuerySet] = {}
    labels: dict[str, Labels] = {}
    # All problems are reported, not the first file's only.
    problems = []
    for name, corpus in config.corpora.items():
        try:
            corpora[name] = _read_corpus(name, folder, corpus, progress)
        except SuiteError as error:
            problems.append(str(error))
    for entry in config.query_sets:
        try:
            read = _read_query_set(folder, config, entry, corpora.get(entry.corpus))
            query_sets[entry.name], labels[entry.name] = read
        except SuiteError as error:
            problems.append(str(error))
    if problems:
        # A BEIR folder's sets share one queries file.
        raise SuiteError("\n".join(dict.fromkeys(problems)))
    return Suite(
        config.name,
        config.version,
        str(folder),
        EvalProtocol(tuple(config.measures), config.depth, config.relevance_level, config.drop_self),
        corpora,
        query_sets,
        labels,
        {entry.name: entry.why for entry in config.query_sets},
        share_documents=config.share_documents,
        derived={entry.name: entry.derived_from for entry in config.query_sets if entry.derived_from is not None},
        slices=tuple(config.slices),
    )


def declaration(folder: Path) -> SuiteConfig:
    """The declaration of a suite: its `suite.toml`, or one that follows from a BEIR folder's files.

    Raises:
        SuiteError: neither, or a declaration that cannot be used.
    """
    if (folder / "suite.toml").exists():
        return load_suite_config(folder / "suite.toml")
    if (folder / "corpus.jsonl").exists():
        return _beir_config(folder)
    raise SuiteError(
        f"{folder} has neither suite.toml nor corpus.jsonl; expected a suite or a BEIR folder "
        "(corpus.jsonl, queries.jsonl, qrels/<split>.tsv)."
    )


def files_of(config: SuiteConfig, entry: QuerySetConfig) -> tuple[str, str]:
    """A query set's queries and judgements, relative to the suite's folder."""
    corpus = config.corpora[entry.corpus]
    base = Path(corpus.path) if corpus.source == "beir" else Path()
    queries = entry.queries or (base / "queries.jsonl").as_posix()
    return queries, entry.qrels or (base / "qrels" / f"{entry.split}.tsv").as_posix()


def toml_of(config: SuiteConfig) -> str:
    """The text of a `suite.toml`; keys with their default are left out."""
    return "\n".join(toml_lines(config.model_dump(exclude_defaults=True))) + "\n"


def toml_lines(table: Mapping[str, Any], path: str = "") -> list[str]:
    """The lines of a TOML table: plain values, then tables, then arrays of tables; None is left out.

    Args:
        table: keys and values.
        path: the table's name, with a full stop behind it; empty for the whole document.
    """
    values, tables = [], []
    for key, value in table.items():
        name = key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _toml(key)
        if isinstance(value, dict):
            lines = toml_lines(value, f"{path}{name}.")
            tables += ["", f"[{path}{name}]", *lines] if lines and lines[0] else lines
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for row in value:
                tables += ["", f"[[{path}{name}]]", *toml_lines(row, f"{path}{name}.")]
        elif value is not None:
            values.append(f"{name} = {_toml(value)}")
    return values + tables


def _toml(value: str | int | bool | list[str]) -> str:
    # TOML's basic strings, whole numbers, booleans and arrays are written as JSON's are, but for DEL.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def training_set(suite: Suite, name: str) -> tuple[QuerySet, Qrels]:
    """A query set and its judgements for training.

    Raises:
        HeldOutError: the set's role is not train or dev.
    """
    query_set = suite.query_sets.get(name)
    if query_set is None:
        raise SuiteError(f'Suite "{suite.name}" has no query set "{name}".{did_you_mean(name, suite.query_sets)}')
    if query_set.role not in ("train", "dev"):
        raise HeldOutError(
            f'Suite "{suite.name}": query set "{name}" has role {query_set.role}; training opens only train and dev. '
            "A model judged on what it was trained on looks better than it is."
        )
    return query_set, suite.qrels(name)


def relevant_documents(suite: Suite, query_set: QuerySet) -> dict[str, list[str]]:
    """Query id → ids of the documents judged relevant, in the order of the judgements; an entry for every query."""
    level, qrels = suite.protocol.relevance_level, suite.qrels(query_set.name)
    return {q: [doc_id for doc_id, grade in qrels.get(q, {}).items() if grade >= level] for q in query_set.ids}


def refuse_evaluation_file(suite: Suite, path: Path, *, roles: Collection[str] = EVALUATION_ROLES) -> None:
    """Refuse a file with queries or judgements of these roles, or a copy of one.

    Raises:
        HeldOutError: the file is one.
    """
    folder = Path(suite.path)
    if not path.is_file() or not any((folder / name).exists() for name in ("suite.toml", "corpus.jsonl")):
        return
    config = declaration(folder)
    for entry in config.query_sets:
        for part in files_of(config, entry) if entry.role in roles else ():
            own = folder / part
            if own.is_file() and filecmp.cmp(own, path, shallow=own.resolve() == path.resolve()):
                raise HeldOutError(
                    f'{path} is a file of query set "{entry.name}" (role {entry.role}) of suite "{suite.name}", or a '
                    "copy of it. A model judged on what it was trained on looks better than it is; take other data."
                )


def titles(suite: Suite, corpus: str, doc_ids: Collection[str]) -> dict[str, str]:
    """Titles of some documents, read from the suite's folder anew, since a corpus joins title and text.

    Documents without a title are left out; a suite that was not read from a folder has none.
    """
    rows = documents(suite, corpus)
    return {row["_id"]: row["title"] for row in rows if row["_id"] in doc_ids and row["title"].strip()}


def documents(suite: Suite, corpus: str) -> Iterator[dict[str, Any]]:
    """The rows of a corpus' file, with `_id`, `title`, `text` and all other keys, one at a time.

    A suite that was not read from a folder has none.
    """
    folder = Path(suite.path)
    if any((folder / name).exists() for name in ("suite.toml", "corpus.jsonl")):
        yield from jsonl.read_documents(folder / corpus_file(declaration(folder).corpora[corpus]))


def corpus_file(config: CorpusConfig) -> Path:
    """A corpus' file, relative to the suite's folder."""
    return Path(config.path, "corpus.jsonl") if config.source == "beir" else Path(config.path)


def _beir_config(folder: Path) -> SuiteConfig:
    corpus_name = folder.resolve().name
    query_sets = [
        QuerySetConfig(name=split, role=beir.ROLE_OF_SPLIT.get(split, "held-out"), corpus=corpus_name, split=split)  # type: ignore[arg-type]
        for split in beir.splits(folder)
    ]
    name = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in corpus_name)
    name = name.lstrip("._-") or "suite"
    corpora = {corpus_name: CorpusConfig(source="beir", path=".")}
    return SuiteConfig(name=name, corpora=corpora, query_sets=query_sets)


def _read_corpus(name: str, folder: Path, config: CorpusConfig, progress: Progress) -> Corpus:
    path = folder / corpus_file(config)
    # One at a time, so that a row is gone before the next is read: only ids and texts are kept.
    rows = jsonl.read_documents(path, progress=progress)
    documents = ((row["_id"], document_text(row["title"], row["text"])) for row in rows)
    first = next(documents, None)
    if first is None:
        raise SuiteError(f"{path} holds no document.")
    return Corpus.build(name, chain([first], documents))


def _read_query_set(
    folder: Path, suite: SuiteConfig, config: QuerySetConfig, corpus: Corpus | None
) -> tuple[QuerySet, Labels]:
    """A query set and its labels; `corpus` is None where it cannot be read."""
    queries_path, qrels_path = (folder / part for part in files_of(suite, config))
    rows = list(jsonl.read_queries(queries_path))
    if not rows:
        raise SuiteError(
            f'{queries_path} holds no query. Write one a line, {{"_id": "q1", "text": "…"}}, and its judgements into '
            f"{qrels_path}: query, document, grade, with tabs between them."
        )
    # Unanswerable queries have no judgement.
    qrels = read_qrels(qrels_path, empty=all(row.get("answerable") is False for row in rows))
    known = {row["_id"] for row in rows}
    dangling = [query_id for query_id in qrels if query_id not in known]
    if dangling:
        raise SuiteError(
            f"{qrels_path}: judges {len(dangling)} queries that {queries_path} lacks (first: "
            f'"{excerpt(dangling[0])}").{did_you_mean(dangling[0], known)}'
        )
    # A BEIR folder has every split's queries in one file; those of this set are the judged ones.
    if suite.corpora[config.corpus].source == "beir":
        rows = [row for row in rows if row["_id"] in qrels]
    unanswerable = frozenset(row["_id"] for row in rows if row.get("answerable") is False)
    unjudged = [row["_id"] for row in rows if row["_id"] not in qrels and row["_id"] not in unanswerable]
    if unjudged:
        raise SuiteError(
            f"{queries_path}: {len(unjudged)} queries have no judgement in {qrels_path} (first: "
            f'"{excerpt(unjudged[0])}"); judge them, remove them, or mark them "answerable": false.'
        )
    query_set = QuerySet.build(config.name, config.role, config.corpus, ((r["_id"], r["text"]) for r in rows))
    slices = {row["_id"]: row["slice"] for row in rows if row.get("slice")}
    labels = Labels(
        qrels=qrels,
        clusters={row["_id"]: row["cluster"] for row in rows if row.get("cluster")},
        slices={q: (value,) if isinstance(value, str) else tuple(dict.fromkeys(value)) for q, value in slices.items()},
        pinned=frozenset(row["_id"] for row in rows if row.get("pinned")),
        unanswerable=unanswerable,
    )
    if corpus is None:
        return query_set, labels
    missing = [(q, doc_id) for q, grades in qrels.items() for doc_id in grades if doc_id not in corpus.row_of]
    if missing:
        query_id, doc_id = missing[0]
        raise SuiteError(
            f'{folder}: query set "{config.name}" judges {len(missing)} documents that corpus "{corpus.name}" '
            f'lacks (first: "{excerpt(doc_id)}" under query "{excerpt(query_id)}"). Remove the lines or '
            "restore the documents."
        )
    fields = {row["_id"]: row for row in rows}
    level = suite.relevance_level
    slices_of = computed_slices(suite.slices, query_set, qrels, corpus, fields=fields, relevance_level=level)
    return query_set, replace(labels, computed_slices=slices_of)
