"""Hugging Face data sets in mteb's layout, by repository and revision, or a local folder of that layout.

Its configurations are `corpus`, `queries` and the judgements (`default` or `qrels`); in a data set of many languages
each name begins with the subset, as in `de-corpus`. Which files they are is told by the README's `configs`; without
one, by name: `corpus.jsonl` or `corpus/*.parquet`, `queries…`, `qrels/test.tsv`. Files are fetched once and then read
row by row.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatch
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from pydantic import Field

from bench.base.errors import MissingExtra, SuiteError, did_you_mean
from bench.base.files.rows import field_of, id_of, read_rows, text_of
from bench.config import Strict
from bench.suites.sources import Collection, Document, Judgement, Part, Query

READ = (".parquet", ".jsonl", ".jsonl.gz", ".tsv", ".csv")


class Options(Strict):
    """What may be said about a Hugging Face data set."""

    revision: str = Field(default="", description="commit, tag or branch; the resolved commit is recorded")
    subset: str = Field(default="", description="of a data set of many languages, such as de")
    splits: list[str] = Field(default=[], description="only these splits of the judgements; all unless named")
    license: str = ""


def collection(location: str, options: Options) -> Collection:
    """The data set's documents, and a part for each split of its judgements; queries that nobody judged are left out.

    An instruction, where the data set has one for a query, follows the query's text, as in mteb.

    Raises:
        MissingExtra: huggingface_hub or PyYAML is not installed.
        SuiteError: no such data set, not to be had offline, or of another layout; says what was found.
    """
    folder = Path(location)
    local = folder.is_dir()
    layout = _Layout(folder if local else _fetched(location, options), location, options.subset)
    found = layout.splits("qrels")
    wanted = options.splits or list(found)
    for split in wanted:
        if split not in found:
            raise SuiteError(
                f"{location}: no judgements for split {split!r} (found: {', '.join(found)})."
                f"{did_you_mean(split, found)}"
            )
    parts = tuple(Part(s, partial(_queries, layout, s), partial(_judgements, layout, s)) for s in wanted)
    origin = {
        "kind": "hf",
        "location": folder.resolve().name if local else location,
        # The hub's cache names a folder after the commit.
        "revision": options.revision if local else layout.folder.name,
        "license": options.license or _license(layout.card),
    }
    if options.subset:
        origin["subset"] = options.subset
    name = Path(location).resolve().name if local else location.rsplit("/", 1)[-1]
    name = f"{name}-{options.subset}" if options.subset else name
    return Collection(name, partial(_documents, layout, wanted), parts, origin)


def grade_of(place: str, value: Any) -> int:
    """A whole number from a grade as tables have it: 1, 1.0 or "1".

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


def _license(card: Mapping[str, Any]) -> str:
    stated = card.get("license") or ""
    return ", ".join(map(str, stated)) if isinstance(stated, list) else str(stated)


# --- where the rows are ------------------------------------------------------------------------------


class _Layout:
    """Which files of a folder hold corpus, queries and judgements, split by split."""

    def __init__(self, folder: Path, location: str, subset: str) -> None:
        self.folder, self.location, self.subset = folder, location, subset

    @cached_property
    def card(self) -> Mapping[str, Any]:
        """What stands between the dashes of README.md."""
        readme = self.folder / "README.md"
        return _card(readme) if readme.is_file() else {}

    def names(self, part: str) -> list[str]:
        """What a part's configuration may be called; mteb takes the first that is there."""
        if self.subset:
            return [f"{self.subset}-{part}"]
        return {"qrels": ["default", "qrels"], "queries": ["query", "queries"]}.get(part, [part])

    def splits(self, part: str, *, optional: bool = False) -> dict[str, list[Path]]:
        """Split → its files, of the first of the part's names that is there.

        Raises:
            SuiteError: there is none, and the part is not optional.
        """
        configs = {str(config.get("config_name")): config.get("data_files") for config in _configs(self.card)}
        for name in self.names(part):
            if configs.get(name):
                found = {s: self._files(patterns) for s, patterns in _patterns(configs[name]).items()}
                if missing := [s for s, files in found.items() if not files]:
                    raise SuiteError(
                        f"{self.location}: configuration {name!r} names files for split {missing[0]!r} that "
                        "are not there."
                    )
                return found
        if not configs and (found := self._by_name(part)):
            return found
        if optional:
            return {}
        known = ", ".join(configs) or ", ".join(sorted(p.name for p in self.folder.iterdir())) or "nothing"
        hint = " Name a language's with --set subset=…" if any(c.endswith(f"-{part}") for c in configs) else ""
        raise SuiteError(
            f"{self.location}: no configuration {' or '.join(map(repr, self.names(part)))} (found: {known[:300]}); "
            f"expected mteb's layout: corpus, queries, and judgements as default or qrels.{hint}"
        )

    def _files(self, patterns: Sequence[str]) -> list[Path]:
        names = sorted(p.relative_to(self.folder).as_posix() for p in self.folder.rglob("*") if p.is_file())
        return [self.folder / n for pattern in patterns for n in names if fnmatch(n, pattern.removeprefix("./"))]

    def _by_name(self, part: str) -> dict[str, list[Path]]:
        """Without a card: `corpus.jsonl`, or the files of the folder `corpus`, whose names begin with their split."""
        found: dict[str, list[Path]] = {}
        for name in [*self.names(part), *(["data"] if part == "qrels" and not self.subset else [])]:
            for file in sorted(self.folder.glob(f"{name}.*")):
                if file.name.endswith(READ):
                    return {name: [file]} if part != "qrels" else {"test": [file]}
            for file in sorted((self.folder / name).glob("*")):
                if file.name.endswith(READ):
                    found.setdefault(file.name.split(".")[0].split("-0")[0], []).append(file)
            if found:
                return found
        return {}


def _card(readme: Path) -> Mapping[str, Any]:
    text = readme.read_text(encoding="utf-8", errors="replace")
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


def _configs(card: Mapping[str, Any]) -> list[dict[str, Any]]:
    configs = card.get("configs")
    return [config for config in configs if isinstance(config, dict)] if isinstance(configs, list) else []


def _patterns(data_files: Any) -> dict[str, list[str]]:
    """Split → patterns, from each of the forms in which a card may say so."""
    if isinstance(data_files, dict):
        pairs = list(data_files.items())
    elif isinstance(data_files, list) and all(isinstance(entry, dict) for entry in data_files):
        pairs = [(entry.get("split"), entry.get("path")) for entry in data_files]
    else:
        pairs = [("train", data_files)]  # what the hub takes files for that name no split
    found: dict[str, list[str]] = {}
    for split, paths in pairs:
        found.setdefault(str(split), []).extend(map(str, paths if isinstance(paths, list) else [paths]))
    return found


def _fetched(repository: str, options: Options) -> Path:
    """The folder in the hub's cache with the files of one subset, fetched where they are not there."""
    try:
        import huggingface_hub
    except ImportError:
        raise MissingExtra(f'Data set "{repository}"', "huggingface_hub", "hf") from None
    if repository.count("/") != 1 or repository.startswith((".", "/", "~")):
        raise SuiteError(f'"{repository}" is no folder; expected one, or a data set\'s name such as "mteb/scifact".')

    def snapshot(patterns: list[str]) -> Path:
        return Path(
            huggingface_hub.snapshot_download(
                repository, repo_type="dataset", revision=options.revision or None, allow_patterns=patterns
            )
        )

    try:
        folder = snapshot(["README.md"])
        layout = _Layout(folder, repository, options.subset)
        wanted = [name for part in ("corpus", "queries", "qrels", "instruction") for name in layout.names(part)]
        configs = {str(config.get("config_name")): config.get("data_files") for config in _configs(layout.card)}
        # Of a data set of forty languages, one is fetched.
        chosen = [p for name in wanted if configs.get(name) for ps in _patterns(configs[name]).values() for p in ps]
        return snapshot(["README.md", *(chosen or [f"*{suffix}" for suffix in READ])])
    except SuiteError:
        raise
    except Exception as error:  # the hub library raises a dozen kinds; each means "not to be had now"
        cause = str(error).splitlines()[0][:200] if str(error) else ""
        revision = f" --revision {options.revision}" if options.revision else ""
        name = repository.rsplit("/", 1)[-1]
        raise SuiteError(
            f'Data set "{repository}" is neither a folder nor to be had from the hub '
            f"({type(error).__name__}: {cause}). Where there is a network, fetch it with: hf download {repository} "
            f"--repo-type dataset{revision} --local-dir {name}, copy that folder here, and import it: "
            f"bench import hf {name} --out DIR"
        ) from error


# --- the rows ----------------------------------------------------------------------------------------


def _rows(files: Sequence[Path]) -> Iterator[tuple[str, dict[str, Any]]]:
    for file in files:
        yield from read_rows(file, part="A Hugging Face data set", extra="hf")


def _files_for(found: Mapping[str, list[Path]], split: str) -> list[Path]:
    """The split's own files; all of them where none bears its name."""
    return found.get(split) or [file for files in found.values() for file in files]


def _documents(layout: _Layout, splits: Sequence[str]) -> Iterator[Document]:
    found = layout.splits("corpus")
    files = list(dict.fromkeys(file for split in splits for file in _files_for(found, split)))
    seen: dict[str, bytes] = {}
    for place, row in _rows(files):
        title = row.get("title")
        document = Document(
            id_of(place, row, "_id", "id", "corpus-id"),
            text_of(place, row, "text"),
            title if isinstance(title, str) else "",
        )
        # Splits may bring their own corpus, and a document may stand in several: the same one is told once.
        if len(files) > 1:
            digest = hashlib.blake2b(
                f"{document.title}\0{document.text}".encode("utf-8", "surrogatepass"), digest_size=8
            ).digest()
            if (first := seen.setdefault(document.doc_id, digest)) != digest:
                raise SuiteError(f'{place}: document "{document.doc_id}" stands above with another text.')
            if first is not digest:
                continue
        yield document


def _queries(layout: _Layout, split: str) -> Iterator[Query]:
    judged = {query_id for query_id, _, _ in _judgements(layout, split)}
    told = {
        id_of(place, row, "query-id", "_id", "id"): field_of(place, row, "instruction")
        for place, row in _rows(_files_for(layout.splits("instruction", optional=True), split))
    }
    for place, row in _rows(_files_for(layout.splits("queries"), split)):
        query_id = id_of(place, row, "_id", "id", "query-id")
        if query_id in judged:
            instruction = row.get("instruction") or told.get(query_id)
            text = text_of(place, row, "text", "query")
            yield Query(query_id, f"{text} {instruction}" if instruction else text)


def _judgements(layout: _Layout, split: str) -> Iterator[Judgement]:
    for place, row in _rows(layout.splits("qrels")[split]):
        yield (
            id_of(place, row, "query-id"),
            id_of(place, row, "corpus-id"),
            grade_of(place, field_of(place, row, "score")),
        )
