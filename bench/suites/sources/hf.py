"""Hugging Face data sets in mteb's layout, by repository and revision, or a local folder of that layout.

Their configurations are `corpus`, `queries` and the judgements (`default` or `qrels`); in a data set of many languages
each name begins with the subset, as in `de-corpus`. The README's `configs` name the files; without them the files'
names count: `corpus.jsonl` or `corpus/*.parquet`, `queries…`, `qrels/test.tsv`. Files are downloaded once and then read
row by row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatch
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from pydantic import Field

from bench.base.errors import MissingExtra, SuiteError, did_you_mean
from bench.base.files.rows import field_of, id_of, read_rows, text_of
from bench.config import Strict
from bench.suites.sources import Collection, Document, Judgement, Part, Query, distinct

SUFFIXES = (".parquet", ".jsonl", ".jsonl.gz", ".tsv", ".csv")


class Options(Strict):
    """Settings of a Hugging Face data set."""

    revision: str = ""  # commit, tag or branch; the resolved commit is recorded
    subset: str = ""  # of a data set of many languages, such as de
    splits: list[str] = Field(default=[])  # of the judgements; empty for all
    license: str = ""


def collection(location: str, options: Options) -> Collection:
    """The data set's documents, and a part for each split of its judgements; unjudged queries are left out.

    An instruction for a query follows the query's text, as in mteb.

    Raises:
        MissingExtra: huggingface_hub or PyYAML is not installed.
        SuiteError: no such data set, not available offline, or another layout; says what was found.
    """
    local = Path(location).is_dir()
    layout = _Layout(Path(location) if local else _download(location, options), location, options.subset)
    name = Path(location).resolve().name if local else location.rsplit("/", 1)[-1]
    known = layout.splits("qrels")
    for split in options.splits:
        if split not in known:
            hint = did_you_mean(split, known)
            raise SuiteError(f"{location}: no judgements for split {split!r} (found: {', '.join(known)}).{hint}")
    splits = options.splits or list(known)
    stated = layout.card.get("license") or ""
    origin = {
        "kind": "hf",
        "location": name if local else location,
        # The hub's cache names a folder after the commit.
        "revision": options.revision if local else layout.folder.name,
        "license": options.license or (", ".join(map(str, stated)) if isinstance(stated, list) else str(stated)),
        **({"subset": options.subset} if options.subset else {}),
    }
    name += f"-{options.subset}" if options.subset else ""
    parts = tuple(Part(s, partial(_queries, layout, s), partial(_judgements, layout, s)) for s in splits)
    return Collection(name, partial(_documents, layout, splits), parts, origin)


def grade_of(place: str, value: Any) -> int:
    """A whole number from a grade in a table: 1, 1.0 or "1".

    Raises:
        SuiteError: anything else.
    """
    try:
        number = float(value)
        if number == int(number) and not isinstance(value, bool):
            return int(number)
    except (TypeError, ValueError, OverflowError):
        pass
    raise SuiteError(f'{place}: "score" is {str(value)[:40]!r}; expected a whole number.')


class _Layout:
    """The files of a folder with corpus, queries and judgements, split by split."""

    def __init__(self, folder: Path, location: str, subset: str) -> None:
        self.folder, self.location, self.subset = folder, location, subset

    @cached_property
    def card(self) -> Mapping[str, Any]:
        """The settings between dashed lines at the top of README.md."""
        readme = self.folder / "README.md"
        text = readme.read_text(encoding="utf-8", errors="replace") if readme.is_file() else ""
        if not text.startswith("---"):
            return {}
        try:
            import yaml
        except ImportError:
            raise MissingExtra(f"The card {readme}", "PyYAML", "hf") from None
        try:
            card = yaml.safe_load(text.removeprefix("---").split("\n---", 1)[0])
        except yaml.YAMLError as error:
            cause = str(error).splitlines()[0]
            raise SuiteError(f"{readme}: the lines between the dashes are not YAML ({cause}).") from None
        return card if isinstance(card, dict) else {}

    @cached_property
    def configs(self) -> dict[str, dict[str, list[str]]]:
        """Configuration → split → patterns of its files, as the card has them."""
        configs = self.card.get("configs")
        rows = [row for row in configs if isinstance(row, dict)] if isinstance(configs, list) else []
        patterns: dict[str, dict[str, list[str]]] = {}
        for row in rows:
            files, by_split = row.get("data_files"), patterns.setdefault(str(row.get("config_name")), {})
            if isinstance(files, dict):
                pairs = list(files.items())
            elif isinstance(files, list) and all(isinstance(entry, dict) for entry in files):
                pairs = [(entry.get("split"), entry.get("path")) for entry in files]
            else:
                pairs = [("train", files)] if files else []  # the hub's split for files that name none
            for split, paths in pairs:
                by_split.setdefault(str(split), []).extend(map(str, paths if isinstance(paths, list) else [paths]))
        return patterns

    def names(self, part: str) -> list[str]:
        """Names that a part's configuration may have; mteb takes the first that exists."""
        if self.subset:
            return [f"{self.subset}-{part}"]
        return {"qrels": ["default", "qrels"], "queries": ["query", "queries"]}.get(part, [part])

    def splits(self, part: str, *, optional: bool = False) -> dict[str, list[Path]]:
        """Split → its files, of the first of the part's configurations that exists.

        Raises:
            SuiteError: there is none, and the part is not optional.
        """
        for name in self.names(part):
            if patterns := self.configs.get(name):
                files = {split: self._matching(each) for split, each in patterns.items()}
                if missing := [split for split, paths in files.items() if not paths]:
                    raise SuiteError(
                        f"{self.location}: configuration {name!r} names files for split {missing[0]!r} that do not "
                        "exist."
                    )
                return files
        if not self.configs and (files := self._by_name(part)):
            return files
        if optional:
            return {}
        names = ", ".join(self.configs) or ", ".join(sorted(p.name for p in self.folder.iterdir())) or "nothing"
        hint = " Name a language's with --set subset=…" if any(c.endswith(f"-{part}") for c in self.configs) else ""
        raise SuiteError(
            f"{self.location}: no configuration {' or '.join(map(repr, self.names(part)))} (found: {names[:300]}); "
            f"expected mteb's layout: corpus, queries, and judgements as default or qrels.{hint}"
        )

    def _matching(self, patterns: Sequence[str]) -> list[Path]:
        names = sorted(p.relative_to(self.folder).as_posix() for p in self.folder.rglob("*") if p.is_file())
        return [self.folder / n for pattern in patterns for n in names if fnmatch(n, pattern.removeprefix("./"))]

    def _by_name(self, part: str) -> dict[str, list[Path]]:
        """Without a card: `corpus.jsonl`, or the files of the folder `corpus`, whose names begin with their split."""
        files: dict[str, list[Path]] = {}
        for name in [*self.names(part), *(["data"] if part == "qrels" and not self.subset else [])]:
            for file in sorted(self.folder.glob(f"{name}.*")):
                if file.name.endswith(SUFFIXES):
                    return {name if part != "qrels" else "test": [file]}
            for file in sorted((self.folder / name).glob("*")):
                if file.name.endswith(SUFFIXES):
                    files.setdefault(file.name.split(".")[0].split("-0")[0], []).append(file)
            if files:
                return files
        return {}

    def rows(self, part: str, split: str, *, optional: bool = False) -> Iterator[tuple[str, dict[str, Any]]]:
        """(place, row) of the split's own files, or of all files if none bears its name."""
        files = self.splits(part, optional=optional)
        return _rows(files.get(split) or [file for each in files.values() for file in each])


def _download(repository: str, options: Options) -> Path:
    """The folder in the hub's cache with the files of one subset; missing files are downloaded."""
    try:
        import huggingface_hub
    except ImportError:
        raise MissingExtra(f'Data set "{repository}"', "huggingface_hub", "hf") from None
    if repository.count("/") != 1 or repository.startswith((".", "/", "~")):
        raise SuiteError(f'"{repository}" is no folder; expected one, or a data set\'s name such as "mteb/scifact".')
    snapshot = partial(
        huggingface_hub.snapshot_download, repository, repo_type="dataset", revision=options.revision or None
    )
    try:
        layout = _Layout(Path(snapshot(allow_patterns=["README.md"])), repository, options.subset)
        names = [name for part in ("corpus", "queries", "qrels", "instruction") for name in layout.names(part)]
        # Of a data set of forty languages, one is downloaded.
        patterns = [p for name in names for each in layout.configs.get(name, {}).values() for p in each]
        return Path(snapshot(allow_patterns=["README.md", *(patterns or [f"*{suffix}" for suffix in SUFFIXES])]))
    except SuiteError:
        raise
    except Exception as error:  # the hub library raises a dozen kinds; each means "not available now"
        cause = str(error).splitlines()[0][:200] if str(error) else ""
        revision = f" --revision {options.revision}" if options.revision else ""
        name = repository.rsplit("/", 1)[-1]
        raise SuiteError(
            f'Data set "{repository}" is no folder, and the hub does not give it ({type(error).__name__}: {cause}). '
            f"Where there is a network, fetch it with: hf download {repository} --repo-type dataset{revision} "
            f"--local-dir {name}, copy that folder here, and import it: bench import hf {name} --out DIR"
        ) from error


def _rows(files: Sequence[Path]) -> Iterator[tuple[str, dict[str, Any]]]:
    for file in files:
        yield from read_rows(file, part="A Hugging Face data set", extra="hf")


def _documents(layout: _Layout, splits: Sequence[str]) -> Iterator[Document]:
    by_split = layout.splits("corpus")
    every = [file for files in by_split.values() for file in files]
    files = list(dict.fromkeys(file for split in splits for file in by_split.get(split) or every))

    def documents() -> Iterator[tuple[str, Document]]:
        for place, row in _rows(files):
            title = row.get("title")
            doc_id, text = id_of(place, row, "_id", "id", "corpus-id"), text_of(place, row, "text")
            yield place, Document(doc_id, text, title if isinstance(title, str) else "")

    # Each split may have a corpus of its own, and a document may occur in several.
    return distinct(documents()) if len(files) > 1 else (document for _, document in documents())


def _queries(layout: _Layout, split: str) -> Iterator[Query]:
    judged = {query_id for query_id, _, _ in _judgements(layout, split)}
    instructions = {
        id_of(place, row, "query-id", "_id", "id"): field_of(place, row, "instruction")
        for place, row in layout.rows("instruction", split, optional=True)
    }
    for place, row in layout.rows("queries", split):
        query_id = id_of(place, row, "_id", "id", "query-id")
        if query_id in judged:
            instruction = row.get("instruction") or instructions.get(query_id)
            text = text_of(place, row, "text", "query")
            yield Query(query_id, f"{text} {instruction}" if instruction else text)


def _judgements(layout: _Layout, split: str) -> Iterator[Judgement]:
    for place, row in _rows(layout.splits("qrels")[split]):
        grade = grade_of(place, field_of(place, row, "score"))
        yield id_of(place, row, "query-id"), id_of(place, row, "corpus-id"), grade
