"""What the verbs print as JSON is what they printed before the package changed its shape.

`golden/documents/commands.toml` says what is run, `golden/documents/*/printed` holds what it printed then;
`golden/make_documents.py` writes that anew, by hand, where a document is meant to change.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import math
import os
import shlex
import shutil
import sys
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from model_server import ModelServer, _ModelHandler, relevance

from bench.cli.main import main

GOLDEN = Path(__file__).parent / "golden" / "documents"
CLINIC = Path(__file__).parent.parent / "suites" / "clinic"
COMMANDS = tomllib.loads((GOLDEN / "commands.toml").read_text(encoding="utf-8"))

CORRECTED: set[tuple[str, str]] = set()
"""(document, path) of values that are changed on purpose, such as ("default/gate-*", "/cells/*/mde80"); none yet."""

VARIES = {
    "seconds",  # measured anew
    "latency.made_at",  # when
    "systems.ms",  # a query's time in milliseconds
    "systems.p50",  # likewise
    "systems.p95",  # likewise
    "p95_ratio",  # of two times
    "latency_p95_ratio",  # likewise
    "points.time",  # when a result was made
    "steps.time",  # likewise
    "baseline.accepted",  # when
    "baselines.accepted",  # when
    "baseline.bench",  # this package's version
    "baselines.bench",  # likewise
    "environment",  # of the machine
    "torch_threads",  # whether something had imported torch by then
}
"""A key, or its parent's and it: what is another in every run."""

WORDS = {
    "message",  # an error's or a finding's sentence
    "reason",  # why a cell or a check came out so; what people said who accepted a baseline
    "sentences",  # a decision in words
    "says",  # what a rule or a condition asks
    "note",  # beside a rule
    "source",  # where a rule's number comes from
    "settle",  # what would tell
    "doubts",  # what would change a decision
    "todo",  # what to do where there is no result
    "upgrade",  # what more money would bring
    ".missing",  # system → the line that makes what is missing
    "options.label",  # an option in words
    "effort.work",  # what it takes, in words
    "lines.what",  # what is paid for
    "lines.formula",  # how a quantity comes about
    "sensitivity.what",  # the assumption that is changed
    "learning_curves.refusal",  # why nothing is forecast
    "learning_curves.method",  # how an interval was made
    "vocabulary.unknown_because",  # why it is not known
}
"""Likewise: sentences for people, which may be put better. Whether there is one still counts, and how many."""

DIGESTS = {"digest", "system_digest"}
"""Likewise, in the model's part: the libraries' versions and the weights are in them."""

CLOSE = {"model": 1e-6, "default": 1e-10}
"""Of a number. An encoder's sums are rounded otherwise on another machine. In the default part a number is the same to
the last bit wherever NumPy and SciPy multiply with the same kernels as then, and as close as this elsewhere; nothing
else in it was found to depend on the processor."""


# --- running -----------------------------------------------------------------------------------------


class Printed(NamedTuple):
    """What one command line came to."""

    line: str
    exit: int
    out: str
    err: str


def printed(part: str, folder: Path) -> dict[str, Printed]:
    """Document → what its command line prints; all of a part, in order, in a folder that is still empty."""
    prepare(part, folder)
    found = {}
    with contextlib.chdir(folder), Models() as models, pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.upper().endswith("_PROXY")]:
            patch.delenv(name)
        # The address in the configs is the same everywhere, and so the digests; this is where it leads.
        patch.setenv("HTTP_PROXY", models.base_url.removesuffix("/v1"))
        # What a build server says of its branch would be told as a finding.
        for name in ("GITHUB_BASE_REF", "CI_MERGE_REQUEST_TARGET_BRANCH_NAME"):
            patch.delenv(name, raising=False)
        patch.delitem(sys.modules, "shared_words", raising=False)
        for name, line in COMMANDS[part].items():
            out, err = io.StringIO(), io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                exit_code = main([*shlex.split(line), "--json"])
            found[name] = Printed(line, exit_code, out.getvalue(), err.getvalue())
        sys.modules.pop("shared_words", None)
    return found


def prepare(part: str, folder: Path) -> None:
    """The files that a part works on."""
    shutil.copytree(GOLDEN / part, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("printed"))
    for name, parts in COMMANDS["configs"][part].items():
        (folder / name).write_text("\n".join((GOLDEN / part / f"{one}.toml").read_text() for one in parts))
    shutil.copytree(CLINIC, folder / "clinic", ignore=shutil.ignore_patterns("baseline.json", "bench.toml"))
    if part == "default":
        for name, n in (("dev", 60), ("staff", 90)):
            desk(folder, name, n)
        (folder / ".bench" / "loops").mkdir(parents=True)
        shutil.copy(folder / "clinic.loop.json", folder / ".bench" / "loops" / "clinic.json")


def desk(folder: Path, name: str, n: int) -> None:
    """One query set of the suite `desk`: n of the clinic's queries, and ten of the depot's, which nothing answers."""
    lines = (CLINIC / "queries" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()[:n]
    depot = (CLINIC / "queries" / "depot.jsonl").read_text(encoding="utf-8").splitlines()[:10]
    lines += [json.dumps(json.loads(line) | {"answerable": False}) for line in depot]
    (folder / "desk" / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    ids = {json.loads(line)["_id"] for line in lines}
    head, *rows = (CLINIC / "qrels" / f"{name}.tsv").read_text(encoding="utf-8").splitlines()
    kept = [head, *(row for row in rows if row.split("\t")[0] in ids)]
    (folder / "desk" / f"{name}.tsv").write_text("\n".join(kept) + "\n", encoding="utf-8")


SIZE = 128
LOW, HIGH = -512, 508
"""Of a number in a vector, times 512. Where documents reach both ends, a step of int8 is 4/512 to the last bit."""


def vector(text: str) -> list[float]:
    """Beginnings of words hashed into 128 numbers of so few digits that float32 sums products without rounding."""
    row = [0] * SIZE
    for word in {word.strip(".,;?")[:5] for word in text.lower().split() if len(word) > 3}:
        place, weight, sign = hashlib.blake2b(word.encode(), digest_size=3).digest()
        row[place % SIZE] += (257 + 2 * weight) * (1 if sign % 2 else -1)
    return [min(HIGH, max(LOW, value)) / 512 for value in row]


class Models(ModelServer):
    """The stand-in server with these vectors, asked as a proxy: a path is a whole address."""

    def __init__(self):
        super().__init__()
        self.RequestHandlerClass = _Handler


class _Handler(_ModelHandler):
    def good(self, asked):
        if self.path.endswith("/embeddings"):
            rows = [vector(text) for text in asked["input"]]
            self.answer({"data": [{"index": i, "embedding": row} for i, row in enumerate(rows)]})
        else:
            scores = [relevance(asked["query"], text) for text in asked["documents"]]
            self.answer({"results": [{"index": i, "relevance_score": score} for i, score in enumerate(scores)]})


# --- comparing ---------------------------------------------------------------------------------------


def normalised(value: Any, without: set[str], key: str = "", parent: str = "") -> Any:
    """A document with "…" in place of everything under the keys of `without`; null and "" stay what they are."""
    if key in without or f"{parent}.{key}" in without:
        return "…" if key in ("environment", "torch_threads") else _hidden(value)
    if isinstance(value, dict):
        return {k: normalised(v, without, k, key) for k, v in value.items()}
    return [normalised(v, without, key, parent) for v in value] if isinstance(value, list) else value


def _hidden(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _hidden(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_hidden(v) for v in value]
    return value if value in (None, "") else "…"


def differences(before: Any, after: Any, *, close: float = 0.0, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(path, value before, value after) wherever two documents would not be written alike."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted(before.keys() | after.keys()):
            if key not in before or key not in after:
                yield f"{path}/{key}", before.get(key, "no such key"), after.get(key, "no such key")
        common = [[key for key in one if key in other] for one, other in ((before, after), (after, before))]
        if common[0] != common[1]:
            yield path, *common
        for key in common[0]:
            yield from differences(before[key], after[key], close=close, path=f"{path}/{key}")
    elif isinstance(before, list) and isinstance(after, list):
        if len(before) != len(after):
            yield path, f"{len(before)} items", f"{len(after)} items"
        for i, (one, other) in enumerate(zip(before, after, strict=False)):
            yield from differences(one, other, close=close, path=f"{path}/{i}")
    elif isinstance(before, float) and isinstance(after, float) and close:
        if not math.isclose(before, after, rel_tol=close, abs_tol=close):
            yield path, before, after
    elif repr(before) != repr(after):
        yield path, before, after


def golden(document: str) -> str:
    """What was printed then."""
    part, name = document.split("/")
    path = GOLDEN / part / "printed" / f"{name}.json"
    return path.read_text(encoding="utf-8") if path.exists() else gzip.open(f"{path}.gz", "rt", encoding="utf-8").read()


def kernels() -> list[str]:
    """What the libraries that multiply chose for this processor, such as Haswell."""
    from threadpoolctl import threadpool_info

    return sorted({one["architecture"] for one in threadpool_info() if one["user_api"] == "blas"})


def header(part: str) -> dict[str, Any]:
    """How a part's documents were made."""
    return json.loads((GOLDEN / "header.json").read_text(encoding="utf-8"))[part]


def compared(document: str, found: Printed) -> list[tuple[str, Any, Any]]:
    """How a document differs from what it was, but for what may."""
    part = document.split("/")[0]
    without = VARIES | WORDS | (DIGESTS if part == "model" else set())
    before, after = (normalised(json.loads(text), without) for text in (golden(document), found.out))
    exact = part == "default" and kernels() == header(part)["kernels"]
    return [
        one
        for one in differences(before, after, close=0.0 if exact else CLOSE[part])
        if not any(fnmatchcase(document, name) and fnmatchcase(one[0], path) for name, path in CORRECTED)
    ]


# --- claims ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def default(tmp_path_factory):
    return printed("default", tmp_path_factory.mktemp("documents"))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return printed("model", tmp_path_factory.mktemp("documents"))


@pytest.mark.parametrize("name", COMMANDS["default"])
def test_the_same_document_is_printed(default, name):
    _same("default", name, default[name])


@pytest.mark.model
@pytest.mark.parametrize("name", COMMANDS["model"])
def test_the_same_document_is_printed_of_the_packaged_model(model, name):
    _same("model", name, model[name])


def _same(part: str, name: str, found: Printed) -> None:
    assert found.err == "", "--json leaves standard error alone"
    assert found.out == json.dumps(json.loads(found.out), ensure_ascii=False) + "\n", "one line, one document"
    different = compared(f"{part}/{name}", found)
    assert not different, f"bench {found.line}: {len(different)} differences, first {different[:8]}"
    assert found.exit == header(part)["documents"][name]["exit"]


@pytest.mark.parametrize("part", ["default", "model"])
def test_every_golden_document_has_its_command(part):
    documents = header(part)["documents"]
    assert {name: one["command"] for name, one in documents.items()} == COMMANDS[part]
    assert {path.name.split(".")[0] for path in (GOLDEN / part / "printed").iterdir()} == set(documents)


def test_the_comparison_sees_a_number_a_key_an_order_and_a_type():
    before = {"p": 0.25, "n": 1, "reason": "", "cells": [{"a": 1, "b": None}], "seconds": {"index": 0.5}}
    assert not list(differences(before, json.loads(json.dumps(before))))
    for changed, path in (
        ({"p": 0.25 + 2**-54}, "/p"),
        ({"n": 1.0}, "/n"),
        ({"cells": [{"b": None, "a": 1}]}, "/cells/0"),
        ({"cells": [{"a": 1}]}, "/cells/0/b"),
        ({"cells": []}, "/cells"),
        ({"seconds": {}}, "/seconds/index"),
        ({"reason": "one more"}, "/reason"),
    ):
        one, other = (normalised(document, VARIES | WORDS) for document in (before, before | changed))
        assert [found[0] for found in differences(one, other)] == [path]
    other = normalised(before | {"seconds": {"index": 0.75}}, VARIES | WORDS)
    assert not list(differences(normalised(before, VARIES | WORDS), other))


def test_a_listed_correction_is_let_through_and_nothing_else(monkeypatch):
    document = json.loads(golden("default/gate-flat"))
    for cell in document["cells"]:
        cell["mde80"] = 0.5
    changed = Printed("", 0, json.dumps(document), "")
    assert len(compared("default/gate-flat", changed)) == len(document["cells"])
    monkeypatch.setattr(sys.modules[__name__], "CORRECTED", {("default/gate-*", "/cells/*/mde80")})
    assert compared("default/gate-flat", changed) == []
    assert compared("default/gate-same", changed) != []
