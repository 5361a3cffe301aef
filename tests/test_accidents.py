"""Claims that no gate passes by accident: each way is set up, judged, and held against docs/accidents.md.

The table there is written by this file: python tests/test_accidents.py
"""

from __future__ import annotations

import contextlib
import functools
import gzip
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.cli.main import main

PAGE = Path(__file__).parent.parent / "docs" / "accidents.md"
N_STAFF, N_PUBLIC, DEPTH = 80, 20, 20
RUNS_CALL = ("gate", "--qrels", "qrels.tsv", "--baseline-run", "old.run", "--candidate-run", "new.run")
STORED_CALL = ("gate", "--after", "run.json")
GIT_CALL = ("gate", "--after", "run.json", "--base-ref", "main")
BASELINE = "suite/baseline.json"

Step = Callable[[], object]

# --- three places where a gate works -----------------------------------------------------------------


def ranking(query: str, number: int, found: bool = True) -> list[str]:
    """A query's lines: its own page first, or nowhere; then pages that nobody judged relevant to it."""
    own = [f"d{number}"] if found else []
    others = [f"d{(number + k) % (N_STAFF + N_PUBLIC)}" for k in range(1, DEPTH + 1)]
    return [f"{query} Q0 {doc} {rank} {50 - rank} x\n" for rank, doc in enumerate((own + others)[:DEPTH], 1)]


def write_run(path: str, *, lost: Sequence[int] = (), sets: Sequence[str] = ("q",)) -> None:
    """A run over 80 queries of staff (q0 …) or 20 of the public (p0 …), which finds all pages but the lost ones."""
    lines = []
    for prefix in sets:
        for i in range(N_STAFF if prefix == "q" else N_PUBLIC):
            number = i if prefix == "q" else N_STAFF + i
            lines += ranking(f"{prefix}{i}", number, found=number not in lost)
    Path(path).write_text("".join(lines))


def write_runs() -> None:
    """Judgements and two runs; the candidate finds two pages more."""
    Path("qrels.tsv").write_text("".join(f"q{i}\td{i}\t2\n" for i in range(N_STAFF)))
    write_run("old.run", lost=[0, 10, 20, 30])
    write_run("new.run", lost=[20, 30])


SUITE = """\
name = "desk"
version = 1
measures = ["recall@10", "ndcg@10", "recall@20"]
depth = 20

[corpora.pages]
path = "corpus.jsonl"

[[query_sets]]
name = "staff"
role = "held-out"
corpus = "pages"
queries = "staff.jsonl"
qrels = "staff.tsv"

[[query_sets]]
name = "public"
role = "out-of-distribution"
corpus = "pages"
queries = "public.jsonl"
qrels = "public.tsv"
"""

CONFIG = """\
suites = ["suite"]

[systems.engine]
kind = "trec-run"
runs = { staff = "staff.run", public = "public.run" }

[systems.other]
kind = "trec-run"
runs = { staff = "other.run", public = "public.run" }

[gate]
system = "engine"

[[gate.rules]]
role = "held-out"
measures = ["recall@10", "ndcg@10"]
margin = 0.02

[[gate.rules]]
role = "out-of-distribution"
measures = ["recall@10"]
margin = 0.03
"""


def write_stored() -> None:
    """A suite, an engine's run files, an accepted baseline, and a candidate that finds two pages more."""
    Path("suite").mkdir()
    corpus = [{"_id": f"d{i}", "text": f"page {i} on subject {i % 7}"} for i in range(N_STAFF + N_PUBLIC)]
    staff: list[dict[str, Any]] = [{"_id": f"q{i}", "text": f"staff asks {i}", "slice": "desk"} for i in range(N_STAFF)]
    staff[1]["pinned"] = staff[2]["pinned"] = True
    public = [{"_id": f"p{i}", "text": f"the public asks {i}"} for i in range(N_PUBLIC)]
    for name, rows in (("corpus", corpus), ("staff", staff), ("public", public)):
        Path(f"suite/{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    Path("suite/staff.tsv").write_text("".join(f"q{i}\td{i}\t2\n" for i in range(N_STAFF)))
    Path("suite/public.tsv").write_text("".join(f"p{i}\td{N_STAFF + i}\t2\n" for i in range(N_PUBLIC)))
    Path("suite/suite.toml").write_text(SUITE)
    Path("bench.toml").write_text(CONFIG)
    Path(".gitignore").write_text(".bench/\n*.run\nrun.json\nresults/\nstart/\n")
    write_run("staff.run", lost=[0, 10, 20, 30])
    write_run("public.run", sets="p")
    write_run("other.run", lost=range(0, N_STAFF, 3))
    good("run", "--gated", "--out", "start")
    good("baseline", "accept", "--reason", "in use")
    write_run("staff.run", lost=[20, 30])
    good("run", "--gated", "--out", "results", "--json-out", "run.json")


def write_git() -> None:
    """The same in a repository, on a branch that starts from main."""
    write_stored()
    git("init", "-q", "-b", "main")
    commit()
    git("checkout", "-q", "-b", "change")


SETUPS = {"runs": (write_runs, RUNS_CALL), "stored": (write_stored, STORED_CALL), "git": (write_git, GIT_CALL)}

# --- steps that lead to an accident ------------------------------------------------------------------


def good(*arguments: str) -> None:
    assert main(list(arguments)) == 0, arguments


def git(*arguments: str) -> None:
    subprocess.run(["git", *arguments], check=True, capture_output=True)


def commit() -> None:
    git("add", "-A")
    git("-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-q", "-m", "state")


def again() -> None:
    """Evaluate once more, as a pipeline does, whose gate then hears how that went."""
    main(["run", "--gated", "--out", "results", "--json-out", "run.json"])


def accepted() -> None:
    """Accept what is now, whatever it is worth."""
    main(["baseline", "accept", "--reason", "trust me", "--allow-worse"])


def edited(path: str, old: str, new: str) -> Step:
    def step() -> None:
        text = Path(path).read_text()
        assert old in text, (path, old)
        Path(path).write_text(text.replace(old, new))

    return step


def appended(path: str, text: str) -> Step:
    return lambda: Path(path).write_text(Path(path).read_text() + text)


def written(path: str, content: str | bytes) -> Step:
    return lambda: Path(path).write_bytes(content.encode() if isinstance(content, str) else content)


def rewritten(path: str, change: Callable[[list[str]], Sequence[str]]) -> Step:
    """The file's lines, changed."""
    return lambda: Path(path).write_text("".join(change(Path(path).read_text().splitlines(keepends=True))))


def packed(path: str, change: Callable[[bytes], bytes]) -> Step:
    return lambda: Path(path).write_bytes(change(Path(path).read_bytes()))


def document(path: str, change: Callable[[Any], object]) -> Step:
    """The file's JSON document, changed in place, by somebody who knows nothing of a digest."""

    def step() -> None:
        for file in Path().glob(path):
            content = json.loads(file.read_text())
            change(content)
            file.write_text(json.dumps(content))

    return step


def removed(path: str) -> Step:
    return lambda: Path(path).unlink()


def run_file(path: str, **how: Any) -> Step:
    return lambda: write_run(path, **how)


def result(name: str = "staff") -> Callable[[Any], Any]:
    """A baseline's or gated.json's result on one query set."""
    return lambda content: next(r for r in content["results"] if r["query_set"]["name"] == name)


def set_values(content: Any, value: float, measure: str = "recall@10") -> None:
    """Every query's number, and the mean that goes with it."""
    content["queries"]["values"][measure] = [value] * len(content["queries"]["ids"])
    content["means"][measure] = value


def without_digest(content: Any) -> None:
    for one in content["results"]:
        del one["digest"]


def lower_baseline(content: Any) -> None:
    set_values(result()(content), 0.1)


def keep_only(name: str) -> Callable[[Any], None]:
    return lambda content: content.update(results=[r for r in content["results"] if r["query_set"]["name"] == name])


def ratio_without_number(content: Any) -> None:
    content["measured"] = {"latency_ms_p95 of other": dict.fromkeys(("ratio", "lower", "upper"), "1.0")}


def better_result(content: Any) -> None:
    if "queries" in content and content["query_set"]["name"] == "staff":
        set_values(content, 1.0)
        set_values(content, 1.0, "ndcg@10")


def swap_stored_results() -> None:
    """The accepted result's file in the place of the candidate's."""
    files = {}
    for file in Path(".bench/results").glob("*.json"):
        content = json.loads(file.read_text())
        if content["query_set"]["name"] == "staff":
            files[content["means"]["recall@10"]] = file
    files[min(files)].write_text(files[max(files)].read_text())


def alter_stored_rankings() -> None:
    """Two documents exchanged under every query, in rankings that have then to be measured anew."""
    for path in Path(".bench/runs").glob("*/arrays.npz"):
        with np.load(path) as stored_arrays:
            arrays = dict(stored_arrays)
        arrays["docs"][:, [0, 1]] = arrays["docs"][:, [1, 0]]
        np.savez(path, **arrays)
    shutil.rmtree(".bench/results")


def column(number: int, value: str, first: int = 1) -> Callable[[list[str]], list[str]]:
    """The first lines of a run with another word in one column."""

    def change(lines: list[str]) -> list[str]:
        fields = [line.split() for line in lines]
        for row in fields[:first]:
            row[number] = value
        return [" ".join(row) + "\n" for row in fields]

    return change


def every(number: int, change: Callable[[str], str]) -> Callable[[list[str]], list[str]]:
    """All lines with one column changed."""

    def changed(lines: list[str]) -> list[str]:
        rows = [re.split(r"[ \t]", line.rstrip("\n")) for line in lines]
        mark = "\t" if "\t" in lines[0] else " "
        return [mark.join([*row[:number], change(row[number]), *row[number + 1 :]]) + "\n" for row in rows]

    return changed


def rows_of(change: Callable[[dict[str, Any]], object]) -> Callable[[list[str]], list[str]]:
    """JSON lines, each changed in place."""

    def changed(lines: list[str]) -> list[str]:
        rows = [json.loads(line) for line in lines]
        for row in rows:
            change(row)
        return [json.dumps(row) + "\n" for row in rows]

    return changed


def own_page_late(lines: list[str]) -> list[str]:
    """Every query's own page between the ninth and the tenth of the others."""
    return [line.replace(" 49 x", " 40.5 x") for line in lines]


def pinned_page_late(lines: list[str]) -> list[str]:
    """The page of q1, which is pinned, at the fifteenth place."""
    return [line.replace(" 49 x", " 34.5 x") if line.startswith("q1 ") else line for line in lines]


def shrink(keep: int) -> Step:
    """The suite without its hard queries."""

    def step() -> None:
        for name in ("suite/staff.jsonl", "suite/staff.tsv"):
            rewritten(name, lambda lines: lines[:keep])()

    return step


LOSE = range(0, N_STAFF, 3)
"""Pages whose loss is a regression."""

worsen = run_file("staff.run", lost=LOSE)
SYSTEM = 'kind = "trec-run"\nruns = { staff = "staff.run", public = "public.run" }'


def python_system(body: str) -> Step:
    """The engine as a Python function."""

    def step() -> None:
        Path("engine_under_test.py").write_text(f"def search(text, k):\n    {body}\n")
        sys.modules.pop("engine_under_test", None)
        edited("bench.toml", SYSTEM, 'kind = "python"\nfunction = "engine_under_test:search"')()

    return step


def suite(old: str, new: str) -> tuple[Step, ...]:
    return edited("suite/suite.toml", old, new), again


def config(old: str, new: str) -> tuple[Step, ...]:
    return edited("bench.toml", old, new), again


CEILING = '[[gate.ceilings]]\nwhat = "latency_ms_p95"\nof = "other"\nat_most = 1.5\n'
HYBRID = '[systems.both]\nkind = "hybrid"\nof = ["engine", "bm25"]\nfusion = { method = "rrf" }\n'
STAFF_RULE = 'role = "held-out"\nmeasures = ["recall@10", "ndcg@10"]\nmargin = 0.02'


# --- the registry ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Accident:
    """One way in which a gate could pass by accident.

    `steps` lead to it in a copy of the set-up's folder; `call` is the command line where it is not the set-up's. The
    control is the same call without the steps; where the call itself is the accident, it is `control`, or the set-up's.
    """

    name: str
    setup: str
    code: int
    sentence: str
    steps: tuple[Step, ...] = ()
    call: tuple[str, ...] = ()
    control: tuple[str, ...] = ()

    @property
    def command(self) -> tuple[str, ...]:
        return self.call or SETUPS[self.setup][1]

    @property
    def right_command(self) -> tuple[str, ...]:
        return self.control or (self.command if self.steps else SETUPS[self.setup][1])


def runs(name: str, code: int, sentence: str, *steps: Step, **more: Any) -> Accident:
    return Accident(name, "runs", code, sentence, steps, **more)


def stored(name: str, code: int, sentence: str, *steps: Step, **more: Any) -> Accident:
    return Accident(name, "stored", code, sentence, steps, **more)


def in_git(name: str, code: int, sentence: str, *steps: Step, **more: Any) -> Accident:
    return Accident(name, "git", code, sentence, steps, **more)


def instead(old: str, new: str) -> tuple[str, ...]:
    """The call on run files with another word."""
    return tuple(new if word == old else word for word in RUNS_CALL)


# fmt: off
GROUPS: dict[str, list[Accident]] = {
    "Run files": [
        runs("The candidate lacks queries", 2, "the candidate run lacks 5 judged queries",
             rewritten("new.run", lambda lines: lines[: -5 * DEPTH])),
        runs("The baseline run lacks queries", 2, "the baseline run lacks 5 judged queries",
             rewritten("old.run", lambda lines: lines[: -5 * DEPTH])),
        runs("The engine crashed after half of the queries", 2, "lacks 40 judged queries",
             rewritten("new.run", lambda lines: lines[: len(lines) // 2])),
        runs("The run is cut in the middle of a line", 2, "fields; expected query, Q0",
             packed("new.run", lambda data: data[: len(data) // 2 + 7])),
        runs("A gzip run is cut off", 2, "the gzip stream ends early",
             packed("new.run", lambda data: gzip.compress(data)[:-300])),
        runs("The candidate file is empty", 2, "new.run holds no ranking", written("new.run", "")),
        runs("The candidate file is not there", 2, "new.run does not exist", removed("new.run")),
        runs("The candidate is a folder", 2, "is a folder; expected a file", call=instead("new.run", ".")),
        runs("The candidate finds nothing that is judged", 2, "none of its documents is judged",
             rewritten("new.run", every(2, lambda doc: f"x{doc}"))),
        runs("The candidate was made for another collection's queries", 2, "has none of the 80 judged queries",
             rewritten("new.run", every(0, lambda query: f"x{query}"))),
        runs("The candidate writes query ids in capitals", 2, "has none of the 80 judged queries",
             rewritten("new.run", every(0, str.upper))),
        runs("An accent is written in another Unicode form", 2, "lacks 1 judged queries",
             edited("qrels.tsv", "q7\t", "qé\t"), edited("old.run", "q7 ", "qé "),
             edited("new.run", "q7 ", unicodedata.normalize("NFD", "qé "))),
        runs("A score is not a number", 2, "score is nan; expected a finite number",
             rewritten("new.run", column(4, "nan"))),
        runs("A score is infinite", 2, "score is inf; expected a finite number",
             rewritten("new.run", column(4, "inf"))),
        runs("A score has a huge exponent", 2, "score is 1e400; expected a finite number",
             rewritten("new.run", column(4, "1e400"))),
        runs("A score is beyond single precision", 2, "too large for float32", rewritten("new.run", column(4, "1e39"))),
        runs("A score is a word", 2, 'score is "high"; expected a number', rewritten("new.run", column(4, "high"))),
        runs("All scores are equal", 2, "scores are constant", rewritten("new.run", every(4, lambda _: "1.0"))),
        runs("A document stands twice under a query", 2, "stands already under query",
             rewritten("new.run", lambda lines: [lines[0], *lines])),
        runs("Lines have no tag", 2, "5 fields; expected query, Q0",
             rewritten("new.run", lambda lines: [line.removesuffix(" x\n") + "\n" for line in lines])),
        runs("The run is in another encoding", 2, "not UTF-8",
             packed("new.run", lambda data: data.decode().encode("utf-16"))),
        runs("The run is damaged", 2, "a NUL byte", packed("new.run", lambda data: data[:50] + b"\0" + data[50:])),
        runs("The judgements are empty", 2, "qrels.tsv holds no judgement", written("qrels.tsv", "")),
        runs("All judgements are 0", 2, "nothing can be measured", rewritten("qrels.tsv", every(2, lambda _: "0"))),
        runs("All judgements are negative", 2, "nothing can be measured",
             rewritten("qrels.tsv", every(2, lambda _: "-1"))),
        runs("One pair is judged twice, differently", 2, "keep one line", appended("qrels.tsv", "q3\td3\t0\n")),
        runs("A grade is beyond all measure", 2, "expected at most", appended("qrels.tsv", f"q3\td9\t{10**30}\n")),
        runs("A grade is a fraction", 2, "expected a whole number", appended("qrels.tsv", "q3\td9\t0.5\n")),
        runs("The judgements have two columns", 2, "2 fields; expected query, document, grade",
             written("qrels.tsv", "q1\td1\n")),
        runs("A run stands for the judgements", 2, "6 fields; expected query, document, grade",
             call=instead("qrels.tsv", "old.run")),
        runs("The judgements stand for a run", 2, "3 fields; expected query, Q0", call=instead("new.run", "qrels.tsv")),
        runs("A table with commas stands for a run", 2, "1 fields; expected",
             rewritten("new.run", lambda lines: [line.replace(" ", ",") for line in lines])),
        runs("A header stands above the run", 2, 'score is "score"',
             rewritten("new.run", lambda lines: ["query Q0 document rank score tag\n", *lines])),
        runs("The judgements belong to other queries", 2, "has none of the",
             rewritten("qrels.tsv", every(0, lambda query: f"z{query}"))),
        runs("A third of the pages is lost", 1, "a regression", run_file("new.run", lost=LOSE)),
        runs("Pages are still found, but at the end", 1, "ndcg@10 on qrels",
             rewritten("new.run", own_page_late)),
        runs("A real loss among many measures", 1, "after Holm", run_file("new.run", lost=LOSE),
             call=(*RUNS_CALL, "--measures", "recall@1,recall@3,recall@5,recall@10,ndcg@5,ndcg@10,mrr@10,map,hit@3")),
        runs("Ranks stand in the place of scores", 1, "a regression",
             rewritten("new.run", lambda lines: [re.sub(r" (\d+) \d+ x$", r" \1 \1 x", line) for line in lines])),
    ],
    "The command line": [
        runs("A measure is misspelt", 2, 'Unknown measure "ndgc@10"', call=(*RUNS_CALL, "--measures", "ndgc@10")),
        runs("The list of measures is empty", 2, "No measure in", call=(*RUNS_CALL, "--measures", ",")),
        runs("A measure lacks its cutoff", 2, "needs a cutoff", call=(*RUNS_CALL, "--measures", "recall")),
        runs("The margin is 0", 2, "--margin is 0; expected", call=(*RUNS_CALL, "--margin", "0")),
        runs("The margin is negative", 2, "--margin is -0.1; expected", call=(*RUNS_CALL, "--margin", "-0.1")),
        runs("The margin is meant in per cent", 2, "--margin is 2; expected", call=(*RUNS_CALL, "--margin", "2")),
        runs("The margin is no number", 2, "--margin is nan; expected", call=(*RUNS_CALL, "--margin", "nan")),
        runs("Alpha is 0", 2, "--alpha is 0; expected", call=(*RUNS_CALL, "--alpha", "0")),
        runs("Alpha is a confidence level", 2, "--alpha is 0.95; expected", call=(*RUNS_CALL, "--alpha", "0.95")),
        runs("An option's value is misspelt", 2, '--on-inconclusive is "blok"; expected one of warn, block',
             call=(*RUNS_CALL, "--on-inconclusive", "blok"), control=(*RUNS_CALL, "--on-inconclusive", "block")),
        runs("An option is misspelt", 2, 'Did you mean "--margin"?', call=(*RUNS_CALL, "--margn", "0.02"),
             control=(*RUNS_CALL, "--margin", "0.02")),
        runs("One of the three files is not named", 2, "go together", call=RUNS_CALL[:-2]),
        runs("A variable of the pipeline is not set", 2, "candidate-run is empty", call=instead("new.run", "")),
        runs("Options of stored results beside run files", 2, "belongs to stored results",
             call=(*RUNS_CALL, "--system", "engine")),
        stored("The gated system is misspelt", 2, 'Did you mean "engine"?', call=("gate", "--system", "engin")),
        stored("The suite is misspelt", 2, 'Suite "suit"', call=("gate", "--suite", "suit")),
        stored("The name of the system is empty", 2, "system is empty", call=("gate", "--system", "")),
        stored("The file of the run before is named by an empty variable", 2, "after is empty",
             call=("gate", "--after", "")),
        stored("bench.toml is somewhere else", 2, "No bench.toml in", removed("bench.toml")),
        stored("The config is a folder without one", 2, "does not exist; expected a TOML file there",
             call=("gate", "--config", "suite")),
        stored("Two suites, and none is chosen", 2, "names several suites", lambda: shutil.copytree("suite", "second"),
             edited("second/suite.toml", '"desk"', '"second"'),
             edited("bench.toml", '["suite"]', '["suite", "second"]'), call=("gate",)),
    ],
    "Rules": [
        stored("A rule's measure is misspelt", 2, 'Unknown measure "recal@10"',
             *config('["recall@10"]', '["recal@10"]')),
        stored("A rule's measure is not measured", 2, "has no recall@100", *config('["recall@10"]', '["recall@100"]')),
        stored("A key of [gate] is misspelt", 2, "unknown key gate.aplha", *config("[gate]", "[gate]\naplha = 0.01")),
        stored("The table is misspelt", 2, "unknown key gaet", *config("[gate]\n", "[gaet]\n")),
        stored("A key of a rule is misspelt", 2, "unknown key gate.rules[0].margn",
             *config("margin = 0.02", "margn = 0.02")),
        stored("The list of rules is empty", 2, "gate.rules is empty",
             rewritten("bench.toml", lambda lines: [*"".join(lines).partition("[[gate.rules]]")[:1], "rules = []\n"]),
             again),
        stored("A rule has no threshold", 2, "exactly one of margin", *config("margin = 0.02\n", "\n")),
        stored("A rule's margin is 0", 2, "greater than 0", *config("margin = 0.02", "margin = 0.0")),
        stored("A rule's margin is negative", 2, "greater than 0", *config("margin = 0.02", "margin = -0.02")),
        stored("A rule's margin is 1", 2, "less than 1", *config("margin = 0.02", "margin = 1.0")),
        stored("A rule's margin is no number", 2, "gate.rules[0].margin", *config("margin = 0.02", "margin = nan")),
        stored("Alpha is one half", 2, "less than 0.5", *config("[gate]", "[gate]\nalpha = 0.5")),
        stored("A rule measures nothing", 2, "measures is empty", *config('["recall@10"]', "[]")),
        stored("A rule's role is misspelt", 2, 'is "heldout"',
             *config(STAFF_RULE, STAFF_RULE.replace("held-out", "heldout"))),
        stored("A rule names a query set that is not there", 2, 'Did you mean "staff"?',
             *config(STAFF_RULE, STAFF_RULE + '\nquery_set = "staf"')),
        stored("A rule names a query set of another role", 2, "it would gate nothing",
             *config(STAFF_RULE, STAFF_RULE + '\nquery_set = "public"')),
        stored("No query has the slice of a rule", 2, 'names slice "night"',
             *config(STAFF_RULE, STAFF_RULE + '\nslice = "night"')),
        stored("A rule asks for a dimension that nobody evaluated", 2, "dimension",
             *config(STAFF_RULE, STAFF_RULE + "\ndim = 128")),
        stored("A ceiling on a size that nobody measured", 2, "has a known size",
             appended("bench.toml", '[[gate.ceilings]]\nwhat = "index_bytes"\nat_most = 1000000\n'), again),
        stored("A ceiling on a time that nobody can take", 2, "has no latency",
             appended("bench.toml", '[[gate.ceilings]]\nwhat = "latency_ms_p95"\nof = "other"\nat_most = 1.5\n'),
             again),
        stored("A hybrid's part is not there", 2, "which is no system of this file",
             *config("[gate]\n", HYBRID + "\n[gate]\n")),
        stored("A key stands twice", 2, "not TOML", *config("margin = 0.02", "margin = 0.02\nmargin = 0.5")),
        stored("The gate's system is not in the config", 2, 'No system "engine"',
             *config("[systems.engine]", "[systems.motor]")),
    ],
    "The suite": [
        stored("A document is added", 2, "the corpus differs",
             rewritten("suite/corpus.jsonl", lambda lines: [*lines, '{"_id": "extra", "text": "a page"}\n']), again),
        stored("A document that is judged or ranked is removed", 2, "lacks",
             rewritten("suite/corpus.jsonl", lambda lines: lines[:-1]), again),
        stored("A document is edited", 2, "the corpus differs",
             edited("suite/corpus.jsonl", "page 5 on", "page five on"), again),
        stored("Queries are reworded", 2, "the queries differ",
             edited("suite/staff.jsonl", "staff asks 5", "staff ask 5"), again),
        stored("The suite is shrunk to its easy queries", 2, "the queries differ", shrink(40), again),
        stored("A judgement is changed", 2, "the judgements differ", edited("suite/staff.tsv", "q20\td20", "q20\td21"),
             again),
        stored("A lost page is no longer judged relevant", 2, "the judgements differ",
             edited("suite/staff.tsv", "q20\td20\t2", "q20\td20\t0"), again),
        stored("Two query sets have exchanged their judgements", 2, "judges 20 queries",
             *suite('qrels = "staff.tsv"', 'qrels = "public.tsv"')),
        stored("All judgements of the suite are 0", 2, "nothing can be measured",
             rewritten("suite/staff.tsv", every(2, lambda _: "0")), again),
        stored("All queries are marked unanswerable", 2, "No query of 80",
             rewritten("suite/staff.jsonl", rows_of(lambda row: row.update(answerable=False))),
             rewritten("suite/staff.tsv", every(2, lambda _: "0")), again),
        stored("Queries are no longer pinned", 2, "the judgements differ",
             edited("suite/staff.jsonl", ', "pinned": true', ""), again),
        stored("The relevance level is raised", 2, "relevance level",
             *suite("depth = 20", "depth = 20\nrelevance_level = 2")),
        stored("The depth is lowered", 2, "depth, relevance level", *suite("depth = 20", "depth = 10")),
        stored("drop_self is switched on", 2, "drop_self", *suite("depth = 20", "depth = 20\ndrop_self = true")),
        stored("A gated measure is dropped from the suite", 2, "has no recall@10",
             *suite('"recall@10", "ndcg@10"', '"ndcg@10"')),
        stored("A measure of the suite is misspelt", 2, 'Unknown measure "recal@10"',
             *suite('"recall@10"', '"recal@10"')),
        stored("A query set is taken out of the suite", 2, 'holds query set "public" and the candidate does not',
             rewritten("suite/suite.toml", lambda lines: "".join(lines).rpartition("[[query_sets]]")[0]),
             edited("bench.toml", ', public = "public.run"', ""), again),
        stored("A query set is added that the baseline lacks", 2, "and the baseline does not",
             appended("suite/suite.toml", SUITE[SUITE.rindex("[[query_sets]]") :].replace('"public"', '"visitors"')),
             edited("bench.toml", 'public = "public.run"', 'public = "public.run", visitors = "public.run"'), again),
        stored("A query set is renamed", 2, 'query set "staff"',
             edited("suite/suite.toml", 'name = "staff"', 'name = "desk"'), edited("bench.toml", "staff = ", "desk = "),
             again),
        stored("A query set becomes out-of-distribution", 2, "its role was held-out",
             *suite('"staff"\nrole = "held-out"', '"staff"\nrole = "out-of-distribution"')),
        stored("A query set becomes dev", 2, 'holds query set "staff" and the candidate does not',
             *suite('role = "held-out"', 'role = "dev"')),
        stored("The system is evaluated on one role only", 2, "and the candidate does not",
             *config(SYSTEM, SYSTEM + '\nroles = ["held-out"]')),
        stored("A query id stands twice", 2, "stands already in line",
             rewritten("suite/staff.jsonl", lambda lines: [*lines, lines[0]]), again),
        stored("A query id holds white space", 2, "expected an id without white space",
             edited("suite/staff.jsonl", '"q5"', '"q 5"'), again),
        stored("A query is judged nowhere", 2, "have no judgement",
             rewritten("suite/staff.tsv", lambda lines: lines[1:]), again),
        stored("The queries' file is cut off", 2, "not JSON",
             packed("suite/staff.jsonl", lambda data: data[:-30]), again),
        stored("A run file is of another collection", 2, 'documents that corpus "pages" lacks',
             rewritten("staff.run", every(2, lambda doc: f"x{doc}")), again),
        stored("A run file lacks queries", 2, "lacks 5 of 80 queries",
             rewritten("staff.run", lambda lines: lines[: -5 * DEPTH]), again),
    ],
    "The baseline": [
        stored("There is no baseline", 2, "No baseline at", removed(BASELINE)),
        stored("The baseline is cut off", 2, "may be cut off", packed(BASELINE, lambda data: data[: len(data) // 2])),
        stored("The baseline is empty", 2, "may be cut off", written(BASELINE, "")),
        stored("A merge left conflict marks in the baseline", 2, "is not JSON",
             rewritten(BASELINE, lambda lines: ["<<<<<<< HEAD\n", *lines])),
        stored("The baseline is of a newer format", 2, "has format 99",
             document(BASELINE, lambda d: d.update(format=99))),
        stored("A result in it is of a newer format", 2, "results[0] has format 99",
             document(BASELINE, lambda d: d["results"][0].update(format=99))),
        stored("The baseline holds no result", 2, "holds no result",
             document(BASELINE, lambda d: d.update(results=[]))),
        stored("A per-query list in it is cut short", 2, "per-query lists differ in length",
             document(BASELINE, lambda d: result()(d)["queries"]["values"]["recall@10"].pop())),
        stored("Its values are not numbers", 2, "NaN is no JSON number",
             document(BASELINE, lambda d: set_values(result()(d), float("nan")))),
        stored("Its values are infinite", 2, "-Infinity is no JSON number",
             document(BASELINE, lambda d: set_values(result()(d), float("-inf")))),
        stored("Its values are below 0", 2, "expected a number greater than or equal to 0",
             document(BASELINE, lambda d: set_values(result()(d), -1.0))),
        stored("A query set is deleted from it", 2, 'holds query set "public" and the baseline does not',
             document(BASELINE, keep_only("staff"))),
        stored("Its scores are lowered by hand", 2, "was changed after it was written",
             document(BASELINE, lower_baseline)),
        stored("Its scores are lowered in a file without a digest", 2, "was changed after it was written",
             document(BASELINE, without_digest),
             document(BASELINE, lambda d: result()(d)["queries"]["values"].update({"recall@10": [0.0] * N_STAFF}))),
        stored("A pinned query is unpinned in it", 2, "was changed after it was written",
             document(BASELINE, lambda d: result()(d)["queries"].update(pinned=[]))),
        stored("Its corpus digest is mended by hand", 2, "was changed after it was written",
             document(BASELINE, lambda d: result()(d)["query_set"].update(corpus_digest="0" * 32))),
        stored("It holds two results on one query set", 2, "holds two results on query set",
             document(BASELINE, lambda d: d["results"].append(d["results"][0]))),
        stored("It was made under another tie rule", 2, "under the tie rule", document(BASELINE, without_digest),
             document(BASELINE, lambda d: result()(d)["protocol"].update(tie_rule="first come"))),
        stored("A key of it holds something else", 2, "is not a whole result", document(BASELINE, without_digest),
             document(BASELINE, lambda d: result()(d).update(environment=None))),
        stored("It is of another suite", 2, "differ", edited("suite/staff.jsonl", "staff asks", "people ask"), again,
             accepted, edited("suite/staff.jsonl", "people ask", "staff asks"), again),
        stored("It is the list of another program", 2, "is not a baseline", written(BASELINE, "[]")),
        stored("It is a link that leads nowhere", 2, "No baseline at", removed(BASELINE),
             lambda: Path(BASELINE).symlink_to("gone.json")),
        stored("The config names another file", 2, "No baseline at",
             edited("bench.toml", "[gate]", '[gate]\nbaseline = "accepted.json"')),
    ],
    "Results": [
        stored("The engine changed after the last bench run", 2, "No stored result of system", worsen, call=("gate",)),
        stored("The suite changed after the last bench run", 2, "No stored result of system",
             edited("suite/staff.jsonl", "staff asks 5", "staff ask 5"), call=("gate",)),
        stored("The working folder was not restored", 2, "No stored result of system", lambda: shutil.rmtree(".bench"),
             call=("gate",)),
        stored("The working folder is of another version", 2, "has format 99",
             written(".bench/format.json", '{"format": 99}')),
        stored("bench run failed, and older results are stored", 2, "bench run failed before",
             removed("staff.run"), again),
        stored("bench run was killed", 2, "was the run killed?", written("run.json", "")),
        stored("bench run never started", 2, "was the run killed?", removed("run.json")),
        stored("bench run measured nothing", 2, "measured nothing",
             document("run.json", lambda d: d.update(results=[]))),
        stored("Another program's file stands for that of bench run", 2, "is not the JSON of a bench run",
             written("run.json", "{}")),
        stored("The system under test raises", 4, "ZeroDivisionError", python_system("return 1 / 0"), again),
        stored("The system gives every query the same answer", 4, "it ignores the query",
             python_system('return [f"d{i}" for i in range(k)]'), again),
        stored("The system answers nothing", 2, "no document", python_system("return []"), again),
        stored("The system invents documents", 2, "lacks", python_system('return [f"z{i}" for i in range(k)]'), again),
        stored("The merge base's results are not there", 2, "No results at", removed("start/gated.json"),
             call=(*STORED_CALL, "--merge-base-result", "start/gated.json")),
        stored("The merge base's results are damaged", 2, "may be cut off",
             packed("start/gated.json", lambda data: data[:-99]),
             call=(*STORED_CALL, "--merge-base-result", "start/gated.json")),
        stored("The merge base was evaluated on another suite", 2, "the queries differ",
             edited("suite/staff.jsonl", "staff asks", "people ask"), again,
             lambda: shutil.copy("results/gated.json", "start/gated.json"),
             edited("suite/staff.jsonl", "people ask", "staff asks"), again,
             call=(*STORED_CALL, "--merge-base-result", "start/gated.json")),
        stored("The merge base lacks a query set", 2, "the merge base does not",
             document("start/gated.json", keep_only("staff")),
             call=(*STORED_CALL, "--merge-base-result", "start/gated.json")),
        stored("The loss only uses up an earlier gain", 1, "against the merge base", run_file("staff.run"), again,
             lambda: shutil.copy("results/gated.json", "start/gated.json"),
             run_file("staff.run", lost=[0, 11, 12, 13, 14, 15, 16, 17, 18]), run_file("old.run"), again,
             call=(*STORED_CALL, "--merge-base-result", "start/gated.json")),
        stored("The candidate's file is that of an earlier suite", 2, "were not measured on suite",
             edited("suite/staff.jsonl", "staff asks 5", "staff ask 5"),
             call=("gate", "--candidate-result", "results/gated.json")),
        stored("The candidate's file holds no result", 2, "holds no result",
             document("results/gated.json", lambda d: d.update(results=[])),
             call=("gate", "--candidate-result", "results/gated.json")),
        stored("The candidate's file lacks a query set", 2, "and the candidate does not",
             document("results/gated.json", keep_only("staff")),
             call=("gate", "--candidate-result", "results/gated.json")),
        stored("The candidate's file mixes two gates' results", 2, "holds two results on query set",
             document("results/gated.json", lambda d: d["results"].append(d["results"][0])),
             call=("gate", "--candidate-result", "results/gated.json")),
        stored("A ratio in the candidate's file is not a number", 2, "holds something that is no number",
             appended("bench.toml", CEILING), document("results/gated.json", ratio_without_number),
             call=("gate", "--candidate-result", "results/gated.json")),
        stored("The candidate's file was made before there was a ceiling", 2, "ceiling for latency_ms_p95",
             appended("bench.toml", CEILING), call=("gate", "--candidate-result", "results/gated.json")),
        stored("The candidate's file is edited by hand", 2, "was changed after it was written", worsen, again,
             document("results/gated.json", lambda d: better_result(result()(d))),
             call=("gate", "--candidate-result", "results/gated.json")),
        stored("A stored result is edited by hand", 1, "a regression", worsen, again,
             document(".bench/results/*.json", better_result)),
        stored("A stored ranking is altered", 2, "No stored result of system", alter_stored_rankings),
        stored("A stored result lies under another's name", 1, "a regression", worsen, again, swap_stored_results),
    ],
    "What a mean hides": [
        stored("A small query set loses while the large one gains", 1, "recall@10 on public", run_file("staff.run"),
             run_file("public.run", sets="p", lost=range(N_STAFF, N_STAFF + 9)), again),
        stored("A pinned query is lost while the mean rises", 1, "1 of 2 pinned queries lost",
             run_file("staff.run", lost=[1]), again),
        stored("A pinned query is lost, and the suite's first measure looks deeper than before", 1,
             "1 of 2 pinned queries lost",
             edited("suite/suite.toml", '"recall@10", "ndcg@10", "recall@20"', '"recall@20", "ndcg@10", "recall@10"'),
             rewritten("staff.run", pinned_page_late), again),
        stored("The config gates a worse system than the accepted one", 1, "a regression", run_file("staff.run"), again,
             accepted, *config('system = "engine"', 'system = "other"')),
        stored("Nobody can tell, and the policy blocks that", 3, "neither shown nor ruled out",
             run_file("staff.run", lost=[40, 41, 42, 43, 44]), again,
             call=(*STORED_CALL, "--on-inconclusive", "block")),
    ],
    "Pull requests": [
        in_git("The change accepts its own baseline", 1, "a regression", worsen, again, accepted),
        in_git("The change weakens its own rules", 1, "a regression", worsen,
             edited("bench.toml", "margin = 0.02", "margin = 0.9"), again),
        in_git("The change takes its own rules out", 1, "a regression", worsen,
             rewritten("bench.toml", lambda lines: "".join(lines).partition("[[gate.rules]]")[0]),
             appended("bench.toml", '[[gate.rules]]\nrole = "out-of-distribution"\nmargin = 0.5\n'), again),
        in_git("The change names a baseline of its own", 1, "a regression", worsen,
             edited("bench.toml", "[gate]\n", '[gate]\nbaseline = "mine.json"\n'), again, accepted),
        in_git("The change brings a suite of its own", 1, "a regression",
             lambda: shutil.copytree("suite", "mine"), edited("bench.toml", '["suite"]', '["mine"]'), worsen, again,
             accepted),
        in_git("The change shrinks the suite, and accepts a baseline on it", 2, "the queries differ", shrink(40), again,
             accepted),
        in_git("The change no longer blocks what is inconclusive", 3, "neither shown nor ruled out",
             edited("bench.toml", "[gate]\n", '[gate]\non_inconclusive = "block"\n'), commit,
             functools.partial(git, "branch", "-f", "main"), edited("bench.toml", '"block"', '"warn"'),
             run_file("staff.run", lost=[40, 41, 42, 43, 44]), again),
        in_git("The target branch has no baseline", 2, "has no accepted baseline",
             functools.partial(git, "rm", "-q", "--cached", BASELINE), lambda: git("commit", "-q", "-m", "x"),
             functools.partial(git, "branch", "-f", "main"), functools.partial(git, "add", "-A")),
        in_git("The target branch was not fetched", 2, "git knows no commit",
             call=("gate", "--base-ref", "origin/main")),
        in_git("The target branch is an empty variable", 2, "base-ref is empty", call=("gate", "--base-ref", "")),
        in_git("The target branch has no config", 2, "has no mine.toml", lambda: shutil.copy("bench.toml", "mine.toml"),
             call=("gate", "--base-ref", "main", "--config", "mine.toml"), control=GIT_CALL),
        in_git("The baseline of the target branch is damaged", 2, "may be cut off",
             packed(BASELINE, lambda data: data[:999]), commit, functools.partial(git, "branch", "-f", "main")),
        in_git("The folder is no repository", 2, "git knows no commit", lambda: shutil.rmtree(".git")),
    ],
}
# fmt: on

ACCIDENTS = [accident for group in GROUPS.values() for accident in group]

# --- one run of one accident -------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """What a gate did: exit code, the JSON that it wrote, the JUnit that it wrote, what people read."""

    code: int
    document: dict[str, Any]
    junit: str
    text: str

    @property
    def sentence(self) -> str:
        """What it says first: the error, the lost pinned queries, or the first cell that does not pass."""
        if "error" in self.document:
            return str(self.document["error"]["message"])
        reasons = [
            cell["reason"]
            for outcome in ("fail", "inconclusive")
            for cell in self.document["cells"]
            if cell["outcome"] == outcome
        ]
        lost = [finding["message"] for finding in self.document["findings"] if finding["code"] == "pinned-lost"]
        return str([*lost, *reasons, ""][0])


def judge(command: Sequence[str]) -> Outcome:
    """One gate, in the folder at hand, over files that an earlier pass left behind."""
    for name in ("verdict.json", "junit.xml"):
        Path(name).write_text("pass")
    text = io.StringIO()
    with contextlib.redirect_stderr(text):
        code = main([*command, "--json-out", "verdict.json", "--junit", "junit.xml"])
    return Outcome(code, json.loads(Path("verdict.json").read_text()), Path("junit.xml").read_text(), text.getvalue())


@contextlib.contextmanager
def inside(template: Path, folder: Path):
    """A copy of a set-up's folder, as the working directory."""
    shutil.copytree(template, folder, symlinks=True)
    with contextlib.chdir(folder):
        yield


@functools.cache
def templates() -> dict[str, Path]:
    """Every set-up's folder, made once."""
    root = Path(tempfile.mkdtemp(prefix="accidents-"))
    for name, (write, _) in SETUPS.items():
        (root / name).mkdir()
        with contextlib.chdir(root / name), contextlib.redirect_stderr(io.StringIO()):
            write()
    return {name: root / name for name in SETUPS}


def happen(accident: Accident, folder: Path) -> Outcome:
    with inside(templates()[accident.setup], folder):
        with contextlib.redirect_stderr(io.StringIO()):
            for step in accident.steps:
                step()
        return judge(accident.command)


@functools.cache
def without_accident(setup: str, command: tuple[str, ...]) -> Outcome:
    with tempfile.TemporaryDirectory() as folder, inside(templates()[setup], Path(folder, "control")):
        return judge(command)


def shown(sentence: str) -> str:
    """A sentence as the page has it: digests, folders of this machine, and places that move with a time left out."""
    text = " ".join(sentence.split())
    text = re.sub(r"is not JSON \(.*\(char \d+\)\)", "is not JSON (…)", text)
    text = re.sub(r"early after line \d+", "early after line …", text)
    text = re.sub(r"\b([0-9a-f]{8}…|[0-9a-f]{32,40}\b)", "…", text)
    text = re.sub(r"/\S*/(?:control|accident)\b", "/…", text)
    return text.replace("|", r"\|").replace("<", r"\<")


def row(accident: Accident, outcome: Outcome) -> str:
    return f"| {accident.name} | {shown(outcome.sentence)} | {outcome.code} |"


# --- the claims --------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _no_pipeline(monkeypatch):
    for name in ("GITHUB_BASE_REF", "CI_MERGE_REQUEST_TARGET_BRANCH_NAME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module", autouse=True)
def _clean_up():
    yield
    shutil.rmtree(templates()["runs"].parent)
    templates.cache_clear()
    without_accident.cache_clear()


@pytest.mark.parametrize("accident", ACCIDENTS, ids=lambda accident: accident.name)
def test_accident_never_passes(accident, tmp_path):
    outcome = happen(accident, tmp_path / "accident")
    assert (outcome.code, outcome.document["exit_code"]) == (accident.code, accident.code), outcome.text
    assert accident.sentence in outcome.sentence
    # Several errors stand on lines of their own, and a long one is cut there.
    text = " ".join(outcome.text.split())
    assert all(" ".join(line.split())[:1900] in text for line in outcome.sentence.split("\n"))
    assert "Traceback" not in outcome.text
    assert outcome.document.get("outcome") not in ("pass", "improved")
    assert "<failure" in outcome.junit or "<error" in outcome.junit
    assert row(accident, outcome) in PAGE.read_text(encoding="utf-8").split("\n"), "python tests/test_accidents.py"
    right = without_accident(accident.setup, accident.right_command)
    assert right.code == 0, right.text
    assert right.document["outcome"] in ("pass", "improved")
    assert "<failure" not in right.junit
    assert "<error" not in right.junit


def test_page_holds_nothing_else():
    rows = [line for line in PAGE.read_text(encoding="utf-8").split("\n") if line.startswith("| ")]
    names = [line.split(" | ")[0].removeprefix("| ") for line in rows]
    assert [name for name in names if name not in ("accident", "---")] == [accident.name for accident in ACCIDENTS]
    assert len({accident.name for accident in ACCIDENTS}) == len(ACCIDENTS)


# --- what may be meant is said aloud -----------------------------------------------------------------


@pytest.fixture
def place(tmp_path, monkeypatch):
    """place(set-up) → the working directory is a copy of its folder."""

    def go(setup: str) -> None:
        shutil.copytree(templates()[setup], tmp_path / "place", symlinks=True)
        monkeypatch.chdir(tmp_path / "place")

    return go


def warned(outcome: Outcome) -> set[str]:
    """Codes of warnings and errors, each of which stands in the text for people too."""
    found = [f for f in outcome.document["findings"] if f["severity"] != "info"]
    assert outcome.code == 0, outcome.text
    # The text for people has plain spaces before "%".
    assert all(finding["message"].replace("\u202f", " ") in outcome.text for finding in found)
    return {finding["code"] for finding in found}


MEANT = {
    "same file twice": ("runs", (), instead("new.run", "old.run"), "same-file"),
    "same bytes twice": ("runs", (lambda: shutil.copy("old.run", "new.run"),), RUNS_CALL, "same-file"),
    "both runs cut off alike": (
        "runs",
        tuple(rewritten(name, lambda lines: lines[: len(lines) // 2]) for name in ("old.run", "new.run")),
        RUNS_CALL,
        "missing-queries",
    ),
    "baseline that finds nothing": (
        "runs",
        (run_file("old.run", lost=range(1, N_STAFF)),),
        (*RUNS_CALL, "--margin", "0.04"),
        "cannot-fail",
    ),
    "margin above all there is": ("runs", (), (*RUNS_CALL, "--margin", "0.99"), None),
    "baseline of five documents": (
        "runs",
        (rewritten("old.run", lambda lines: [line for i, line in enumerate(lines) if i % DEPTH < 5]),),
        RUNS_CALL,
        "shallow-reference",
    ),
    "pinned query that finds nothing": (
        "stored",
        (run_file("staff.run", lost=[2]), again, removed(BASELINE), accepted),
        STORED_CALL,
        "pinned-idle",
    ),
    "rules that are not about run files": (
        "runs",
        (written("bench.toml", CONFIG),),
        (*RUNS_CALL, "--config", "bench.toml"),
        "rule-unused",
    ),
    "margin on the command line": ("stored", (), (*STORED_CALL, "--margin", "0.5"), "policy-options"),
    "query set without a rule": (
        "stored",
        (rewritten("bench.toml", lambda lines: "".join(lines).rpartition("[[gate.rules]]")[0]),),
        STORED_CALL,
        "ungated",
    ),
    "another version of the suite": ("stored", suite("version = 1", "version = 2"), STORED_CALL, "suite-version"),
    "results of another system": (
        "stored",
        (run_file("other.run"), lambda: good("run", "--gated", "--system", "other", "--out", "results")),
        ("gate", "--candidate-result", "results/gated.json"),
        "other-system",
    ),
    "merge base that is the candidate": (
        "stored",
        (),
        ("gate", "--candidate-result", "results/gated.json", "--merge-base-result", "results/gated.json"),
        "same-file",
    ),
}


@pytest.mark.parametrize(("setup", "steps", "call", "code"), MEANT.values(), ids=MEANT)
def test_what_may_be_meant_is_a_warning(place, setup, steps, call, code):
    place(setup)
    for step in steps:
        step()
    outcome = judge(call)
    assert warned(outcome) == ({code} if code else set())
    assert not warned(without_accident(setup, SETUPS[setup][1]))


def test_suite_with_errors_is_told_beside_the_verdict(place):
    place("stored")
    edited("suite/staff.jsonl", "staff asks 5", "")()
    again()
    with contextlib.redirect_stderr(io.StringIO()):
        Path(BASELINE).unlink()
        accepted()
    assert "empty-queries" in warned(judge(STORED_CALL))


def test_base_ref_that_is_the_change_itself_is_told(place, monkeypatch):
    place("git")
    assert not warned(judge((*GIT_CALL[:-1], "HEAD"))), "a push to main is judged so"
    monkeypatch.setenv("GITHUB_BASE_REF", "main")
    assert warned(judge((*GIT_CALL[:-1], "HEAD"))) == {"baseline-from-head"}


# --- what makes no difference ------------------------------------------------------------------------

SAME = {
    "byte order mark": lambda data: b"\xef\xbb\xbf" + data,
    "Windows line ends": lambda data: data.replace(b"\n", b"\r\n"),
    "gzip": gzip.compress,
    "blank lines": lambda data: data.replace(b"\n", b"\n\n"),
    "no line end": lambda data: data.removesuffix(b"\n"),
    "lines in another order": lambda data: b"".join(reversed(data.splitlines(keepends=True))),
}


@pytest.mark.parametrize("change", SAME.values(), ids=SAME)
def test_form_of_a_file_makes_no_difference(place, change):
    place("runs")
    for name in ("qrels.tsv", "old.run", "new.run"):
        packed(name, change)()
    cells, right = (o.document["cells"] for o in (judge(RUNS_CALL), without_accident("runs", RUNS_CALL)))
    for key in ("outcome", "n", "wins", "losses"):
        assert [cell[key] for cell in cells] == [cell[key] for cell in right]
    assert [cell["lower"] for cell in cells] == pytest.approx([cell["lower"] for cell in right], abs=1e-12)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_judgements_from_a_pipe_are_read_from_their_first_line(place):
    place("runs")
    os.mkfifo("pipe")
    writer = threading.Thread(target=lambda: Path("pipe").write_bytes(Path("qrels.tsv").read_bytes()))
    writer.start()
    outcome = judge(instead("qrels.tsv", "pipe"))
    writer.join(10)
    assert [cell["n"] for cell in outcome.document["cells"]] == [N_STAFF, N_STAFF]


def shell(command: str) -> subprocess.CompletedProcess[str]:
    """A gate as a pipeline starts it: another process, with its own files for what it says."""
    gate = " ".join([sys.executable, "-m", "bench", *RUNS_CALL])
    environment = os.environ | {"PYTHONPATH": str(PAGE.parent.parent)}
    return subprocess.run(
        ["bash", "-c", command.replace("GATE", gate)], env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="no /dev/full here")
@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("GATE 2>&-", 1),
        ("GATE --json >&-", 1),
        ("GATE --json-out /dev/full", 2),
        ("GATE --json >/dev/full", 2),
        ("GATE --junit /proc/none/junit.xml", 2),
        ("set -o pipefail; GATE --json | true", 2),
        ("set -o pipefail; GATE --json-out /dev/stdout 2>/dev/null | grep -q fail", 1),
    ],
)
def test_regression_is_no_pass_where_nobody_can_read_it(place, command, code):
    place("runs")
    write_run("new.run", lost=LOSE)
    done = shell(command)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
    assert Path("/dev/full").is_char_device(), "a form never takes a device's place"


def test_form_that_cannot_be_written_does_not_leave_another_as_it_was(place, capsys):
    place("runs")
    Path("junit.xml").write_text("pass")
    Path("verdict.json").mkdir()
    assert main([*RUNS_CALL, "--json-out", "verdict.json", "--junit", "junit.xml"]) == 2
    assert "<error" in Path("junit.xml").read_text()


def test_mistake_of_our_own_leaves_no_form_as_it_was(place, capsys, monkeypatch):
    place("runs")
    Path("junit.xml").write_text("pass")
    monkeypatch.setattr("bench.project.compare.judge", lambda *a, **b: {}["nothing"])
    assert main([*RUNS_CALL, "--junit", "junit.xml"]) == 2
    assert "KeyError" in capsys.readouterr().err
    assert "bench itself failed" in Path("junit.xml").read_text()


def test_verdict_that_nobody_can_read_is_no_pass(place, capsys, monkeypatch):
    place("runs")

    class Closed(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

        def fileno(self):
            return os.open(os.devnull, os.O_WRONLY)

    monkeypatch.setattr(sys, "stdout", Closed())
    assert main([*RUNS_CALL, "--json"]) == 2


# --- the page ----------------------------------------------------------------------------------------

INTRODUCTION = """\
# No way to pass by accident

Each row is set up by a test (`tests/test_accidents.py`), which looks at exit code, sentence, JSON and JUnit, and
shows that the same call without the accident exits 0. The rows are written by `python tests/test_accidents.py`;
digests and folders are left out.

What may be meant is no error but a warning, in the log and in every form: two files that are one (`same-file`), a
query set without a rule (`ungated`), a reference so low that no loss can fail (`cannot-fail`), a reference that
ranks fewer documents (`shallow-reference`), thresholds from the command line (`policy-options`), results of another
system (`other-system`), another version of the suite (`suite-version`), pinned queries with nothing to lose
(`pinned-idle`), a suite with errors (the codes of `bench check`), baseline and rules from the change itself
(`baseline-from-head`), queries that both runs lack (`missing-queries`), rules that nothing answers (`rule-unused`).

The digest of a result tells a slip from a number that was measured. It is no signature: who wants to deceive can
compute it. Against that help `--base-ref`, and people who review `baseline.json`.
"""

HEAD = ("| accident | what the gate says | exit code |", "| --- | --- | --: |")


def write_page() -> None:
    parts = [INTRODUCTION]
    with tempfile.TemporaryDirectory() as root:
        for title, group in GROUPS.items():
            rows = [row(a, happen(a, Path(root, str(ACCIDENTS.index(a)), "accident"))) for a in group]
            parts.append("\n".join([f"\n## {title}\n", *HEAD, *rows, ""]))
    PAGE.write_text("".join(parts), encoding="utf-8")


if __name__ == "__main__":
    os.environ.pop("GITHUB_BASE_REF", None)
    write_page()
