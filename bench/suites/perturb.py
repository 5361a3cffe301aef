"""Queries altered by named, seeded transformations: a substitute where no out-of-distribution queries exist.

Altered queries show what typing errors or shorthand do to a system. They do not represent other people with other
needs; replace them by such people's queries as soon as there are some.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from random import Random

from bench.base.errors import SuiteError, UsageError, did_you_mean, excerpt
from bench.base.files.judgements import read_qrels
from bench.base.files.lines import read_lines
from bench.base.json_records import JsonRecord
from bench.base.store import replacing_folder, write_text
from bench.config import QuerySetConfig, SuiteConfig
from bench.records import EVALUATION_ROLES
from bench.suites import suite as suites
from bench.suites.slices import STOP_WORDS
from bench.suites.sources import jsonl
from bench.suites.text import text_hash

Alter = Callable[[str, Random], str]
"""A text and a random number generator of its own → the altered text."""

TYPO_RATE = 0.2
"""Share of a query's words that get a typing error, at least one of them."""

SHORTENED_RATE = 0.5
"""Share of a query's long words that lose their inner vowels, at least one of them."""

_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
NEIGHBOURS = {
    letter: "".join(
        other
        for r, line in enumerate(_ROWS)
        for c, other in enumerate(line)
        # A row lies half a key to the right of the one above it.
        if 0 < abs((c + r / 2) - (column + row / 2)) + abs(r - row) <= 1.5
    )
    for row, keys in enumerate(_ROWS)
    for column, letter in enumerate(keys)
}


@dataclass(frozen=True)
class Transformation:
    """A way to alter a query; the new query set has `name` in its name and `description` in its `why`."""

    name: str
    description: str
    alter: Alter


@dataclass(frozen=True)
class Perturbed(JsonRecord):
    """A new query set: its number of queries, and of those that the transformation left as they were."""

    query_set: str
    transformation: str
    seed: int
    n_queries: int
    unchanged: int


# --- transformations -------------------------------------------------------------------------------


def _change_words(text: str, pattern: str, rate: float, rng: Random, change: Callable[[str], str]) -> str:
    """Change a share of the words that match, at least one of them."""
    parts = re.split(r"(\W+)", text)
    matching = [i for i, part in enumerate(parts) if re.fullmatch(pattern, part)]
    n_changed = min(len(matching), max(1, round(rate * len(matching))))
    for i in sorted(rng.sample(matching, n_changed)):
        parts[i] = change(parts[i])
    return "".join(parts)


def typos(text: str, rng: Random) -> str:
    """A neighbouring key, two letters swapped, one omitted or doubled; never the first letter, nor in codes."""

    def mistyped(word: str) -> str:
        place = rng.randrange(1, len(word))
        kinds = ["omit", "double"]
        kinds += ["swap"] if place + 1 < len(word) and word[place] != word[place + 1] else []
        kinds += ["neighbour"] if word[place].lower() in NEIGHBOURS else []
        kind = rng.choice(kinds)
        if kind == "swap":
            return word[:place] + word[place + 1] + word[place] + word[place + 2 :]
        if kind == "neighbour":
            key = rng.choice(NEIGHBOURS[word[place].lower()])
            return word[:place] + (key.upper() if word[place].isupper() else key) + word[place + 1 :]
        return word[:place] + (word[place] * 2 if kind == "double" else "") + word[place + 1 :]

    return _change_words(text, r"[^\W\d_]{4,}", TYPO_RATE, rng, mistyped)


def casing(text: str, rng: Random) -> str:
    """All capitals, no capitals, or Every Word With One: a form that differs from the text."""
    forms = [form for form in (text.upper(), text.lower(), text.title()) if form != text]
    return rng.choice(forms) if forms else text


def keywords(text: str, rng: Random) -> str:
    """Content words alone, as typed into a search box: without English stop words and punctuation at word ends."""
    words = [word.strip("?!.,;:\"'()[]…¿¡") for word in text.split()]
    return " ".join(word for word in words if word and word.casefold().replace("’", "'") not in STOP_WORDS) or text


def abbreviations(text: str, rng: Random) -> str:
    """Runs of capitalised words as their initials; half of the long words without their inner vowels."""
    text = re.sub(r"\b[A-Z][a-z]+(?: [A-Z][a-z]+)+\b", lambda run: "".join(w[0] for w in run[0].split()), text)

    def shortened(word: str) -> str:
        return word[0] + re.sub("[aeiouäöüéèAEIOU]", "", word[1:-1]) + word[-1]

    return _change_words(text, r"[^\W\d_]{6,}", SHORTENED_RATE, rng, shortened)


TRANSFORMATIONS = {
    transformation.name: transformation
    for transformation in (
        Transformation("typos", f"typing errors in one word of {round(1 / TYPO_RATE)}", typos),
        Transformation("casing", "all capitals, none, or every word with one", casing),
        Transformation("keywords", "content words alone, without question marks", keywords),
        Transformation("abbreviations", "initials, and half of the long words without vowels", abbreviations),
    )
}


def read_dictionary(path: Path) -> dict[str, str]:
    """Word or phrase → replacement, from a file of two tab-separated columns; words in lower case.

    Raises:
        SuiteError: a line of another shape, or no line.
    """
    shape = "expected a word or phrase, a tab, and what replaces it."
    replacements: dict[str, str] = {}
    for number, line in read_lines(path):
        fields = [field.strip() for field in line.rstrip("\r\n").split("\t")]
        if len(fields) != 2 or not all(fields):
            raise SuiteError(f"{path}:{number}: {shape}")
        replacements[fields[0].casefold()] = fields[1]
    if not replacements:
        raise SuiteError(f"{path} holds no line; {shape}")
    return replacements


def _from_dictionary(name: str, path: Path) -> Transformation:
    replacements = read_dictionary(path)
    longest_first = sorted(replacements, key=lambda phrase: (-len(phrase), phrase))
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)", re.IGNORECASE)

    def replaced(text: str, rng: Random) -> str:
        return pattern.sub(lambda match: replacements.get(match[0].casefold(), match[0]), text)

    digest = text_hash("\n".join(f"{a}\t{b}" for a, b in sorted(replacements.items())), 4).hex()
    return Transformation(name, f"words of {path.name} ({len(replacements)} entries, {digest})", replaced)


def _from_python(target: str) -> Transformation:
    module_name, _, attribute = target.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    try:
        function = getattr(import_module(module_name), attribute)
        if not callable(function):
            raise TypeError(f"{attribute} is a {type(function).__name__}")
    except Exception as error:  # importing the user's module may raise anything
        raise UsageError(
            f"bench perturb: python={target} cannot be loaded ({error}); expected python=module:function, which takes "
            "a text and a random.Random and returns a text."
        ) from None
    finally:
        sys.path.pop(0)
    return Transformation(attribute, f"the function {target}", function)


def parse_transformations(texts: Sequence[str]) -> list[Transformation]:
    """Transformations from a command line: names, `NAME=FILE` for dictionaries, `python=module:function`.

    Raises:
        UsageError: an unknown name; names the nearest.
        SuiteError: a dictionary that cannot be read.
    """
    transformations = []
    for text in [part.strip() for each in texts for part in each.split(",") if part.strip()]:
        name, _, value = text.partition("=")
        if name == "python" and value:
            transformations.append(_from_python(value))
        elif name in ("dictionary", "abbreviations") and value:
            transformations.append(_from_dictionary(Path(value).stem if name == "dictionary" else name, Path(value)))
        elif name in TRANSFORMATIONS and not value:
            transformations.append(TRANSFORMATIONS[name])
        else:
            known = [*TRANSFORMATIONS, "abbreviations=FILE", "dictionary=FILE", "python=module:function"]
            hint = did_you_mean(name, [*TRANSFORMATIONS, "dictionary", "python"])
            raise UsageError(f'bench perturb: no transformation "{text}"; expected {", ".join(known)}.{hint}')
    for name, n in Counter(transformation.name for transformation in transformations).items():
        if n > 1:
            raise UsageError(f'bench perturb: two transformations are named "{name}"; give the files other names.')
    if not transformations:
        raise UsageError(
            f"bench perturb: --with names no transformation; expected some of {', '.join(TRANSFORMATIONS)}."
        )
    return transformations


def altered(text: str, transformation: Transformation, *, query_id: str, seed: int) -> str:
    """The altered text; the text itself if the transformation leaves nothing of it.

    The random numbers depend on seed, transformation and query id: neither order nor other queries change anything.

    Raises:
        UsageError: the transformation failed, or returned no text that a file can hold.
    """
    # Seeding by a string goes through SHA-512, the same on every machine.
    rng = Random(f"{seed}\t{transformation.name}\t{query_id}")  # noqa: S311 (no secret depends on it)
    try:
        result = transformation.alter(text, rng)
        if not isinstance(result, str):
            raise TypeError(f"it returned a {type(result).__name__}")
        result.encode()
    except Exception as error:  # a function of the user's may raise anything
        cause = str(error) or type(error).__name__
        raise UsageError(
            f'bench perturb: {transformation.name} failed on query "{query_id}" ({excerpt(cause, 120)}); expected a '
            "function of a text and a random.Random that returns a text."
        ) from None
    return result if result.strip() else text


# --- a suite with more query sets ------------------------------------------------------------------


def perturb_suite(
    folder: Path, out: Path, *, query_set: str, transformations: Sequence[Transformation], seed: int = 0
) -> list[Perturbed]:
    """Write a copy of a suite that has one more out-of-distribution set for each transformation.

    An altered query keeps its id, judgements, cluster, slices and other fields; it is not pinned. `suite.toml` names
    the set that each new set is derived from. The folder appears whole or not at all.

    Args:
        folder: a suite or BEIR folder.
        out: the folder of the copy; must not exist, or be empty.
        query_set: the set whose queries are altered; held-out or out-of-distribution.
        transformations: from `parse_transformations`.
        seed: of all random numbers.

    Raises:
        UsageError: `out` is in use, there is no such evaluation set, or a transformation alters no query.
        SuiteError: the suite cannot be read.
    """
    config = suites.declaration(folder)
    entries = {entry.name: entry for entry in config.query_sets}
    entry = entries.get(query_set)
    names = [each.name for each in config.query_sets if each.role in EVALUATION_ROLES]
    if entry is None or query_set not in names:
        role = "" if entry is None else f" is for {entry.role}, and altered copies of it would leak into evaluation;"
        raise UsageError(
            f'bench perturb: suite "{config.name}" has {"no query set" if entry is None else "a query set"} '
            f'"{query_set}"{role or ";"} expected one of {", ".join(names) or "none"}.{did_you_mean(query_set, names)}'
        )
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"bench perturb: {out} exists already; name a new folder.")
    suites.load(folder)  # fails before anything is written
    queries, qrels = suites.files_of(config, entry)
    judged = read_qrels(folder / qrels)
    # A BEIR folder keeps every split's queries in one file.
    rows = [r for r in jsonl.read_queries(folder / queries) if r["_id"] in judged or r.get("answerable") is False]
    results, new = [], []
    files: dict[str, str] = {}
    for transformation in transformations:
        name = f"{query_set}-{transformation.name}"
        if name in entries:
            raise UsageError(f'bench perturb: suite "{config.name}" has a query set "{name}" already.')
        lines, unchanged = [], 0
        for row in rows:
            text = altered(row["text"], transformation, query_id=row["_id"], seed=seed)
            unchanged += text == row["text"]
            lines.append({key: value for key, value in row.items() if key != "pinned"} | {"text": text})
        if unchanged == len(rows):
            raise UsageError(
                f"bench perturb: {transformation.name} ({transformation.description}) alters none of {len(rows)} "
                f'queries of "{query_set}"; the new set would equal it.'
            )
        path = f"queries/{name}.jsonl"
        files[path] = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        why = f"Queries of {query_set} altered by {transformation.name}, seed {seed}: {transformation.description}"
        why += f"; {unchanged} of {len(rows)} stay as they were." if unchanged else "."
        table = {"name": name, "role": "out-of-distribution", "corpus": entry.corpus, "queries": path, "qrels": qrels}
        new.append(QuerySetConfig.model_validate(table | {"why": why, "derived_from": query_set}))
        results.append(Perturbed(name, transformation.name, seed, len(rows), unchanged))
    copied = config.model_copy(update={"name": f"{config.name}-perturbed", "query_sets": [*config.query_sets, *new]})
    with replacing_folder(out) as scratch:
        _copy(folder, scratch, config)
        for path, text in files.items():
            write_text(scratch / path, text)
        write_text(scratch / "suite.toml", suites.toml_of(copied))
        suites.load(scratch)
    return results


def _copy(folder: Path, out: Path, config: SuiteConfig) -> None:
    """The suite's files, at the same places; no baseline, since the copy is another suite."""
    parts = {path for entry in config.query_sets for path in suites.files_of(config, entry)}
    parts |= {suites.corpus_file(corpus).as_posix() for corpus in config.corpora.values()}
    root = folder.resolve()
    for part in sorted(parts):
        if not (root / part).resolve().is_relative_to(root):
            raise UsageError(
                f"bench perturb: the suite reads {part}, which lies outside of {folder}; a copy could not hold it. "
                "Move it into the suite's folder."
            )
    for part in sorted(parts):
        (out / part).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / part, out / part)
