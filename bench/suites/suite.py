"""A suite from its folder: resolve its parts, digest them, hand out texts and judgements.

A folder with a `suite.toml` is a suite; so is a plain BEIR folder, whose splits train, dev and test take the roles
train, dev and held-out.
"""

from __future__ import annotations

import filecmp
import json
from collections.abc import Collection, Iterator
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
    """Suites that the package brings along, by name."""
    here = Path(__file__).parents[1]
    # The wheel carries them inside the package; a checkout has them beside it.
    for folder in (here / "_suites", here.parent / "suites"):
        found = {path.parent.name: path.parent for path in sorted(folder.glob("*/suite.toml"))}
        if found:
            return found
    return {}


def find(name: str, *, relative_to: Path | None = None) -> Path:
    """A suite's folder from a path, or from the name of a bundled suite.

    Raises:
        SuiteError: neither; says what was looked for and names the nearest bundled suite.
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
    beside = sorted(one.parent.name for one in path.parent.glob("*/suite.toml")) if path.parent.is_dir() else []
    raise SuiteError(
        f'Suite "{name}": {path} is no folder, and no bundled suite has that name '
        f"(bundled: {', '.join(known) or 'none'}).{did_you_mean(path.name, [*beside, *known])}"
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
    # A file that cannot be used does not hide what is wrong with the next.
    problems = []
    for name, corpus in config.corpora.items():
        try:
            corpora[name] = _read_corpus(name, folder, corpus, progress)
        except SuiteError as error:
            problems.append(str(error))
    for entry in config.query_sets:
        try:
            query_set, label, fields = _read_query_set(folder, config, entry)
            if entry.corpus in corpora:
                _check_documents(folder, query_set, label.qrels, corpora[entry.corpus])
                if config.slices:
                    derived = computed_slices(
                        config.slices,
                        query_set,
                        label.qrels,
                        corpora[entry.corpus],
                        fields=fields,
                        relevance_level=config.relevance_level,
                    )
                    label = replace(label, computed_slices=derived)
        except SuiteError as error:
            problems.append(str(error))
        else:
            query_sets[entry.name], labels[entry.name] = query_set, label
    if problems:
        # A BEIR folder's sets share one queries file.
        raise SuiteError("\n".join(dict.fromkeys(problems)))
    protocol = EvalProtocol(tuple(config.measures), config.depth, config.relevance_level, config.drop_self)
    why = {entry.name: entry.why for entry in config.query_sets}
    made_of = {entry.name: entry.derived_from for entry in config.query_sets if entry.derived_from is not None}
    return Suite(
        config.name,
        config.version,
        str(folder),
        protocol,
        corpora,
        query_sets,
        labels,
        why,
        share_documents=config.share_documents,
        derived=made_of,
        slices=tuple(config.slices),
    )


def declaration(folder: Path) -> SuiteConfig:
    """What a suite's folder says of itself: its `suite.toml`, or what a BEIR folder's files amount to.

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
    """The text of a `suite.toml`; keys that have their default are left out."""
    table = config.model_dump(exclude_defaults=True)
    corpora, query_sets = table.pop("corpora"), table.pop("query_sets")
    lines = [f"{key} = {_toml(value)}" for key, value in table.items()]
    for name, corpus in corpora.items():
        lines += ["", f"[corpora.{_toml(name)}]", *(f"{key} = {_toml(value)}" for key, value in corpus.items())]
    for entry in query_sets:
        lines += [
            "",
            "[[query_sets]]",
            *(f"{key} = {_toml(value)}" for key, value in entry.items() if value is not None),
        ]
    return "\n".join(lines) + "\n"


def _toml(value: str | int | bool | list[str] | dict[str, str]) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_toml(key)} = {_toml(text)}" for key, text in value.items()) + "}"
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
    """Refuse a file, or a copy of one, that holds queries or judgements of these roles.

    Raises:
        HeldOutError: it is one.
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
    """Titles of some documents, read from the suite's folder anew: a corpus keeps title and text as one.

    Documents without a title are left out; so is everything where the suite was not read from a folder.
    """
    return {
        row["_id"]: row["title"] for row in documents(suite, corpus) if row["_id"] in doc_ids and row["title"].strip()
    }


def documents(suite: Suite, corpus: str) -> Iterator[dict[str, Any]]:
    """The lines of a corpus' file as they stand there, `_id`, `title`, `text` and whatever else, one at a time.

    None where the suite was not read from a folder.
    """
    folder = Path(suite.path)
    if (folder / "suite.toml").exists():
        source = load_suite_config(folder / "suite.toml").corpora[corpus]
    elif (folder / "corpus.jsonl").exists():
        source = CorpusConfig(source="beir", path=".")
    else:
        return
    path = folder / source.path
    yield from jsonl.read_documents(path / "corpus.jsonl" if source.source == "beir" else path)


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
    path = folder / config.path
    if config.source == "beir":
        path = path / "corpus.jsonl"
    rows = jsonl.read_documents(path, progress=progress)
    # One at a time, so that a row as it was read is gone before the next: only ids and texts are kept.
    documents = ((row["_id"], document_text(row["title"], row["text"])) for row in rows)
    first = next(documents, None)
    if first is None:
        raise SuiteError(f"{path} holds no document.")
    return Corpus.build(name, chain([first], documents))


def _read_query_set(
    folder: Path, suite: SuiteConfig, config: QuerySetConfig
) -> tuple[QuerySet, Labels, dict[str, dict[str, Any]]]:
    """A query set, what people said about it, and each query's line by its id."""
    queries_path, qrels_path = (folder / part for part in files_of(suite, config))
    rows = list(jsonl.read_queries(queries_path))
    if not rows:
        raise SuiteError(
            f'{queries_path} holds no query; write one a line, {{"_id": "q1", "text": "…"}}, and what answers it into '
            f"{qrels_path}: query, document, grade, with tabs between them."
        )
    # Of queries that nothing answers, no document is judged.
    qrels = read_qrels(qrels_path, empty=all(row.get("answerable") is False for row in rows))
    known = {row["_id"] for row in rows}
    dangling = [query_id for query_id in qrels if query_id not in known]
    if dangling:
        raise SuiteError(
            f"{qrels_path}: judges {len(dangling)} queries that {queries_path} lacks (first: "
            f'"{excerpt(dangling[0])}").{did_you_mean(dangling[0], known)}'
        )
    # A BEIR folder keeps every split's queries in one file; those of this set are the judged ones.
    beir_layout = suite.corpora[config.corpus].source == "beir"
    kept = [row for row in rows if row["_id"] in qrels] if beir_layout else rows
    unjudged = [row["_id"] for row in kept if row["_id"] not in qrels and row.get("answerable") is not False]
    if unjudged:
        raise SuiteError(
            f"{queries_path}: {len(unjudged)} queries have no judgement in {qrels_path} (first: "
            f'"{excerpt(unjudged[0])}"); judge them, remove them, or mark them "answerable": false.'
        )
    query_set = QuerySet.build(config.name, config.role, config.corpus, ((r["_id"], r["text"]) for r in kept))
    labels = Labels(
        qrels=qrels,
        clusters={r["_id"]: r["cluster"] for r in kept if r.get("cluster")},
        slices={r["_id"]: _names(r["slice"]) for r in kept if r.get("slice")},
        pinned=frozenset(r["_id"] for r in kept if r.get("pinned")),
        unanswerable=frozenset(r["_id"] for r in kept if r.get("answerable") is False),
    )
    return query_set, labels, {row["_id"]: row for row in kept}


def _names(value: str | list[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(dict.fromkeys(value))


def _check_documents(folder: Path, query_set: QuerySet, qrels: Qrels, corpus: Corpus) -> None:
    dangling = [(q, d) for q, grades in qrels.items() for d in grades if d not in corpus.row_of]
    if dangling:
        query_id, doc_id = dangling[0]
        raise SuiteError(
            f'{folder}: query set "{query_set.name}" judges {len(dangling)} documents that corpus "{corpus.name}" '
            f'lacks (first: "{excerpt(doc_id)}" under query "{excerpt(query_id)}"). Remove the lines or '
            "restore the documents."
        )
