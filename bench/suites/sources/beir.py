"""BEIR folders or archives: corpus.jsonl, queries.jsonl, qrels/<split>.tsv; or the name of a public BEIR set.

A BEIR folder has every split's queries in one file; a query set takes those that its judgements name.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import zipfile
from functools import partial
from pathlib import Path

from bench.base.errors import MissingExtra, SuiteError, did_you_mean
from bench.base.files.lines import Place
from bench.suites.sources import Collection, Part, jsonl

ROLE_OF_SPLIT = {"train": "train", "dev": "dev", "validation": "dev", "test": "held-out"}
"""Split → its default role in a suite."""

PUBLIC = """
arguana climate-fever cqadupstack dbpedia-entity fever fiqa hotpotqa msmarco nfcorpus nq quora scidocs scifact
trec-covid webis-touche2020
""".split()  # noqa: SIM905 (a list literal would take 15 lines)
"""Sets that BEIR's authors host; `cqadupstack` has one folder per forum, such as cqadupstack/android."""


class Options(jsonl.Fields):
    """The folder inside an archive; the address of public sets, and the folder of their downloads."""

    inside: str = ""
    url: str = "https://public.ukp.informatik.tu-darmstadt.de/thakur/BEIR/datasets"
    downloads: str = ""


def splits(folder: Place) -> list[str]:
    """Names of the splits that have judgements, `train` first.

    Raises:
        SuiteError: the folder is not in BEIR's layout; says what is missing.
    """
    for part in ("corpus.jsonl", "queries.jsonl", "qrels"):
        if not (folder / part).exists():
            raise SuiteError(
                f"{folder} has no {part}; expected a BEIR folder: corpus.jsonl, queries.jsonl, qrels/<split>.tsv."
            )
    names = [path.name.removesuffix(".tsv") for path in (folder / "qrels").iterdir() if path.name.endswith(".tsv")]
    if not names:
        raise SuiteError(f"{folder / 'qrels'} has no <split>.tsv; expected at least one.")
    order = list(ROLE_OF_SPLIT)
    return sorted(names, key=lambda name: (order.index(name) if name in order else len(order), name))


def collection(location: str, options: Options) -> Collection:
    """Every split of a BEIR folder, a .zip of one (read in place), or a public set, which is downloaded once.

    Raises:
        SuiteError: none of these, or no network for a download; says what to run where there is one.
        MissingExtra: a public set, and BEIR's own downloader is not installed.
    """
    name, _, inner = location.partition("/")
    local = Path(location).exists()
    unused, why = ["url", "downloads"], "is here already"
    if not local:
        unused, why = ["inside"], "is a public set; write its folder as NAME/FOLDER"
    for option in unused if local or name in PUBLIC else ():
        if option in options.model_fields_set:
            raise SuiteError(f"{location} {why}, so {option} says nothing; leave it out.")
    origin = {"kind": "beir", "location": location}
    if local:
        folder = _root(Path(location), options.inside)
        name = Path(location).resolve().name.removesuffix(".zip")
    elif name in PUBLIC:
        folder = _root(_download(name, options), inner)
        origin["url"] = f"{options.url}/{name}.zip"
        name = location.replace("/", "-")
    else:
        raise SuiteError(
            f"{location} does not exist and is no public BEIR set ({', '.join(PUBLIC)}); expected a BEIR folder, a "
            f".zip of one, or such a name.{did_you_mean(name, PUBLIC)}"
        )
    parts = []
    for split in splits(folder):
        qrels = folder / "qrels" / f"{split}.tsv"
        queries = partial(jsonl.judged_queries, folder / "queries.jsonl", qrels, options)
        parts.append(Part(split, queries, partial(jsonl.judgements, qrels)))
    return Collection(name, partial(jsonl.documents, folder / "corpus.jsonl", options), tuple(parts), origin)


def _root(path: Path, inside: str) -> Place:
    """The folder with corpus.jsonl: the path itself, or a folder in the archive."""
    if path.is_dir():
        return path / inside if inside else path
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise SuiteError(
            f"{path} is neither a folder nor a whole .zip ({error}); expected a BEIR folder or a .zip of one."
        ) from None
    if any(member.flag_bits & 1 for member in archive.infolist()):
        raise SuiteError(f"{path} is encrypted; unpack it and give the folder.")
    # macOS adds a shadow of every file under __MACOSX.
    names = [n for n in archive.namelist() if n.split("/")[-1] == "corpus.jsonl" and not n.startswith("__MACOSX/")]
    roots = [name.removesuffix("corpus.jsonl") for name in names]
    if inside:
        roots = [root for root in roots if f"/{root}".endswith(f"/{inside.strip('/')}/")]
    if len(roots) != 1:
        folders = ", ".join(root.rstrip("/") or "its top" for root in roots) or "none"
        raise SuiteError(
            f"{path} has {len(roots)} folders with a corpus.jsonl ({folders}); expected one. "
            "Name it: --set inside=FOLDER."
        )
    return zipfile.Path(archive, roots[0])


def _download(name: str, options: Options) -> Path:
    """The folder of a public set, fetched by BEIR's own downloader unless an earlier call did."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    downloads = Path(options.downloads) if options.downloads else cache / "retrieval-gate" / "beir"
    folder, url = downloads / name, f"{options.url}/{name}.zip"
    if folder.is_dir():
        return folder
    try:
        from beir.util import download_and_unzip
    except ImportError:
        raise MissingExtra("Downloading a public BEIR set", "beir", "beir") from None
    downloads.mkdir(parents=True, exist_ok=True)
    # The downloader takes any file that it finds there for a whole one: an interrupted download or an error page too.
    with tempfile.TemporaryDirectory(dir=downloads) as scratch:
        try:
            unpacked = Path(download_and_unzip(url, scratch))
        except (OSError, zipfile.BadZipFile) as error:  # errors of requests are OSErrors
            raise SuiteError(
                f'"{name}" is a public BEIR set, and {url} could not be fetched ({type(error).__name__}). Where there '
                f"is a network, run: bench import beir {name} --out DIR. Or fetch the file there, and here run: "
                f"bench import beir {name}.zip --out DIR."
            ) from error
        if not unpacked.is_dir():
            raise SuiteError(f"{url} holds no folder {name}; expected a BEIR folder of that name.")
        shutil.move(unpacked, folder)
    return folder
