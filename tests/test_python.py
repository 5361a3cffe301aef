"""Claims about the package as Python users see it: the public names, docs/python.md, frames in place of files."""

from __future__ import annotations

import doctest
import inspect
import json
import os
import pkgutil
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bench
from bench.base.errors import BaselineError, BenchError, RunError, SuiteError, UsageError
from bench.cli.main import VERBS, main
from bench.project.loop import Point

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/python.md").read_text(encoding="utf-8")
CONFIG = re.search(r"```toml\n(.*?)```", PAGE, re.DOTALL)[1]


# --- the public names ------------------------------------------------------------------------------

# What is imported before the first public name is used; modules have names that were functions' names once.
IMPORTED_BEFORE = {
    "nothing": "",
    "modules": """
        from bench.evaluation import evaluate, measure
        from bench.gate import compare, verdict
        from bench.project import compare, gate, report, run
        import bench.cli.main, bench.pytest_plugin
    """,
    "star": "from bench import *",
    "everything": """
        import importlib, pkgutil
        for module in pkgutil.walk_packages(bench.__path__, "bench."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    """,
}

CALLS = """
import json, bench
{before}

def search(text):
    return [d for d, words in documents.items() if set(words.lower().split()) & set(text.lower().split())]

def backwards(text):
    return search(text)[::-1]

suite = bench.load_suite("suite")
documents = dict(zip(suite.corpora["manual"].ids, suite.corpora["manual"].texts))
run, qrels = {{"q1": {{"d1": 1.0}}, "q2": {{"d1": 2.0, "d2": 1.0}}}}, {{"q1": {{"d1": 1}}, "q2": {{"d2": 1}}}}
system = {{"mine": search}}
calls = {{
    "open": lambda: repr(bench.open("bench.toml")),
    "load_suite": lambda: bench.load_suite("suite").digest,
    "evaluate": lambda: bench.evaluate(suite, system).to_frame().to_csv(),
    "measure": lambda: bench.measure(run, qrels).to_json(),
    "compare": lambda: bench.compare(run, run, qrels=qrels).to_json(),
    "judge": lambda: bench.judge(search, baseline=search, suite=suite).to_json(),
    "calibrate": lambda: bench.calibrate(
        bench.judge(search, baseline=backwards, suite=suite, query_sets=["shop"]), repetitions=10
    ).to_json(),
    "read_run": lambda: bench.read_run(run).digest,
    "read_qrels": lambda: bench.read_qrels(qrels),
}}
if {mteb}:  # it takes seconds to import
    model = lambda: bench.to_mteb_model(bench.open("bench.toml").workspace, "bm25")
    calls |= {{
        "to_mteb_task": lambda: bench.to_mteb_task(suite).metadata.name,
        "to_mteb_model": lambda: model().mteb_model_meta.name,
    }}
print(json.dumps([{{name: call() for name, call in calls.items()}} for _ in range(2)]))
"""


@pytest.fixture(scope="module")
def calls_after_nothing(tmp_path_factory):
    return {}


@pytest.mark.parametrize("before", IMPORTED_BEFORE)
def test_public_functions_work_twice_whatever_was_imported_before(before, tiny_suite, tmp_path, calls_after_nothing):
    shutil.copytree(tiny_suite.folder, tmp_path / "suite")
    (tmp_path / "bench.toml").write_text('suites = ["suite"]\n[systems.bm25]\nkind = "bm25"\n')
    mteb = before in ("nothing", "everything")
    code = CALLS.format(before=textwrap.dedent(IMPORTED_BEFORE[before]), mteb=mteb)
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    first, second = json.loads(ran.stdout)
    assert first == second
    assert first.items() <= calls_after_nothing.setdefault("calls", first).items()
    functions = {name for name in bench.__all__ if inspect.isroutine(getattr(bench, name))}
    assert set(first) == functions - (set() if mteb else {"to_mteb_model", "to_mteb_task"})


def test_no_public_name_is_a_submodules():
    assert not set(bench.__all__) & {module.name for module in pkgutil.iter_modules(bench.__path__)}


@pytest.mark.parametrize("page", ["README.md", "docs/python.md", "docs/mteb.md"])
def test_pages_call_only_what_is_public(page):
    called = set(re.findall(r"\bbench\.(\w+)\(", (ROOT / page).read_text(encoding="utf-8")))
    assert called
    assert called <= set(bench.__all__)


def _public():
    functions = [getattr(bench, name) for name in bench.__all__ if inspect.isroutine(getattr(bench, name))]
    methods = [value for name, value in vars(bench.Project).items() if inspect.isfunction(value) and name[0] != "_"]
    return [*functions, *methods]


@pytest.mark.parametrize("function", _public(), ids=lambda function: function.__name__)
def test_public_functions_write_out_and_type_their_arguments(function):
    signature = inspect.signature(function)
    assert function.__doc__
    assert signature.return_annotation is not inspect.Signature.empty
    for parameter in signature.parameters.values():
        assert parameter.kind is not parameter.VAR_KEYWORD, parameter
        assert parameter.name == "self" or parameter.annotation is not parameter.empty, parameter


def test_every_verb_about_a_project_is_a_method_or_a_function():
    shell_alone = {"demo", "init", "import", "perturb", "comment", "doctor", "schema", "completion"}
    methods = {"baseline": "baselines"}
    for verb in set(VERBS) - shell_alone:
        assert hasattr(bench.Project, methods.get(verb, verb)) or verb in bench.__all__, verb
        assert f"`{methods.get(verb, verb)}(" in PAGE or f"`bench.{verb}(" in PAGE or f"{methods.get(verb)}()`" in PAGE


# --- docs/python.md --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the bundled suite and the config of the page."""
    folder = tmp_path_factory.mktemp("python")
    shutil.copytree(ROOT / "suites/clinic", folder / "suites/clinic")
    (folder / "bench.toml").write_text(CONFIG, encoding="utf-8")
    return folder


def test_examples_of_the_page_run_as_they_are_printed(folder, monkeypatch):
    monkeypatch.chdir(folder)
    blocks = re.findall(r"```pycon\n(.*?)```", PAGE, re.DOTALL)
    examples = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, "docs/python.md", "docs/python.md", 0)
    assert len(examples.examples) > 30
    said = []
    options = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL
    doctest.DocTestRunner(optionflags=options, verbose=False).run(examples, out=said.append)
    assert not said, "".join(said)


@pytest.fixture
def project(tiny_suite, tmp_path, monkeypatch):
    """A project with two systems and their results, in the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bench.toml").write_text(CONFIG.replace("suites/clinic", "tiny"), encoding="utf-8")
    project = bench.open()
    project.run()
    return project


def test_frames_have_the_columns_of_the_page(project):
    rows = re.findall(r"^\| (`.*?) \| [^|]* \| (`.*) \|$", PAGE, re.MULTILINE)
    columns = {name: re.findall(r"`(\w+)`", row) for names, row in rows for name in re.findall(r"`(\w+)`", names)}
    results = project.run()
    project.accept("a start", system="bm25")
    gate = project.gate()
    answers = {
        "run": results,
        "results": project.results("bm25"),
        "evaluate": bench.evaluate("tiny", {"mine": lambda text: ["d01", "d03", "d13"]}),
        "report": project.report("report.html"),
        "measure": bench.measure({"1": {"a": 1.0}}, {"1": {"a": 1}}),
        "gate": gate,
        "compare": project.compare("bm25", "no-length"),
        "judge": bench.judge(results["no-length"], baseline=results["bm25"]),
        "calibrate": bench.calibrate(gate, repetitions=20),
        "decide": project.decide(current="bm25"),
        "check": project.check(),
        "history": project.history(),
        "drift": project.drift(
            documents={"1": "a tram", "2": "a bus"}, queries=pd.DataFrame({"id": [1], "text": ["x"]})
        ),
        "mine": project.mine(settings={"from": ["bm25"]}, out="negatives.jsonl"),
    }
    assert {name: list(answer.to_frame().columns) for name, answer in answers.items()} == {
        name: columns[name] for name in answers
    }
    # The two that need a trained model: one has the rows of its verdicts.
    assert set(columns) - set(answers) == {"promote", "loop"}
    assert columns["loop"] == [field.name for field in fields(Point)]
    for answer in answers.values():
        assert len(repr(answer)) < 140
        assert "\n" not in repr(answer)
        assert "<table" in answer._repr_html_() or "<p" in answer._repr_html_()


def test_command_line_and_method_give_one_document(project, capsys):
    compared = ["compare", "bm25", "no-length", "--config", "bench.toml", "--margin", "0.1"]
    for line, answer in (
        (compared, project.compare("bm25", "no-length", margin=0.1)),
        (["check", "tiny"], project.check()),
        (["decide", "--current", "bm25"], project.decide(current="bm25")),
        (["history", "--measure", "ndcg@10"], project.history(measures="ndcg@10")),
    ):
        main([*line, "--json"])
        assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(answer.to_json())), line


# --- suites from frames and mappings ---------------------------------------------------------------


def _frames(suite, *names):
    """A suite's documents, queries and judgements as frames."""
    corpus = next(iter(suite.corpora.values()))
    documents = pd.DataFrame({"doc_id": corpus.ids, "text": corpus.texts})
    rows = [
        {"query_id": query_id, "text": text, "query_set": name, "role": suite.query_sets[name].role}
        | {"slice": list(suite.labels[name].slices.get(query_id, ())) or None}
        | {"cluster": suite.labels[name].clusters.get(query_id), "pinned": query_id in suite.labels[name].pinned}
        for name in names
        for query_id, text in zip(suite.query_sets[name].ids, suite.query_sets[name].texts, strict=True)
    ]
    grades = [
        {"query-id": query_id, "corpus-id": doc_id, "score": grade}
        for name in names
        for query_id, judged in suite.qrels(name).items()
        for doc_id, grade in judged.items()
    ]
    return documents, pd.DataFrame(rows), pd.DataFrame(grades)


def test_suite_of_frames_is_the_suite_of_files(tiny_suite):
    suite = tiny_suite.suite
    documents, queries, qrels = _frames(suite, "shop", "phone")
    made = bench.load_suite(documents=documents, queries=queries, qrels=qrels, name="tiny")
    assert made.corpora["documents"].digest == suite.corpora["manual"].digest
    for name in ("shop", "phone"):
        assert made.query_sets[name].digest == suite.query_sets[name].digest
        assert made.query_sets[name].role == suite.query_sets[name].role
        assert made.labels[name].digest == suite.labels[name].digest
    assert made.protocol == suite.protocol

    def search(text):
        return ["d01", "d03", "d13"]

    before, after = (bench.evaluate(one, {"mine": search}) for one in (suite, made))
    assert [one.scores.means() for one in before] == [one.scores.means() for one in after]


def test_suite_of_mappings_and_files_is_the_suite_of_frames(tiny_suite):
    folder, suite = tiny_suite
    documents, queries, qrels = _frames(suite, "phone")
    corpus = next(iter(suite.corpora.values()))
    texts = dict(zip(corpus.ids, corpus.texts, strict=True))
    asked = {row["query_id"]: {"text": row["text"], "query_set": "phone"} for row in queries.to_dict("records")}
    of_frames = bench.load_suite(documents=documents, queries=queries.drop(columns="role"), qrels=qrels)
    of_mappings = bench.load_suite(documents=texts, queries=asked, qrels=suite.qrels("phone"))
    assert of_frames.digest == of_mappings.digest
    assert of_mappings.query_sets["phone"].role == "held-out"
    of_files = bench.load_suite(
        documents=folder / "corpus.jsonl", queries=folder / "queries/phone.jsonl", qrels=str(folder / "qrels/phone.tsv")
    )
    assert of_files.corpora["documents"].digest == of_frames.corpora["documents"].digest
    assert of_files.query_sets["queries"].digest == of_frames.query_sets["phone"].digest


A, Q, R = {"a": "x"}, {"1": "q"}, {"1": {"a": 1}}
TWO_ROLES = {"1": {"text": "q", "role": "dev"}, "2": {"text": "r", "role": "train"}}
NO_ID = pd.DataFrame({"id": ["a", None], "text": ["x", "y"]})


@pytest.mark.parametrize(
    ("documents", "queries", "qrels", "error", "sentence"),
    [
        (A, None, None, UsageError, "expected a suite's folder or name, or documents=, queries= and qrels="),
        (A, Q, {"1": {"z": 1}}, SuiteError, r'lacks \(first: "z" under query "1"\)'),
        (A, {**Q, "2": "r"}, R, SuiteError, r'no judgement in .*first: "2"'),
        (A, Q, {**R, "9": R["1"]}, SuiteError, r'judges 1 queries .*first: "9"'),
        ({"a b": "x"}, Q, R, SuiteError, r'corpus\.jsonl:1: "_id" is "a b"; expected an id without white space'),
        ({"a": 3}, Q, R, SuiteError, r'corpus\.jsonl:1: "text" is 3; expected a string'),
        (["x"], Q, R, UsageError, "are a list; expected a file, a frame, or id → text"),
        ({}, Q, R, SuiteError, r"corpus\.jsonl holds no document"),
        (A, {"1": {"text": "q", "role": "heldout"}}, R, UsageError, 'role is "heldout".*Did you mean "held-out"'),
        (A, TWO_ROLES, R, UsageError, 'Query set "queries" has the roles dev, train; expected one'),
        (pd.DataFrame({"id": ["a"]}), Q, R, UsageError, "no column for the text"),
        (NO_ID, Q, R, SuiteError, r'corpus\.jsonl:2: "_id" is null; expected a string'),
    ],
)
def test_what_is_wrong_with_a_frame_or_mapping_is_said(documents, queries, qrels, error, sentence):
    with pytest.raises(error, match=sentence) as raised:
        bench.load_suite(documents=documents, queries=queries, qrels=qrels)
    assert tempfile.gettempdir() not in str(raised.value)


@pytest.mark.parametrize(
    ("option", "sentence"), [({"name": "a b"}, "name is 'a b'"), ({"measures": "ndgc@10"}, 'Did you mean "ndcg@10"')]
)
def test_a_wrong_option_of_a_suite_is_said(option, sentence):
    with pytest.raises(BenchError, match=sentence):
        bench.load_suite(documents=A, queries=Q, qrels=R, **option)


def test_frames_and_mappings_of_one_run_measure_alike():
    run = {"q1": {"d1": 2.0, "d2": 1.0}, "q2": {"d2": 0.5, "d1": 0.25}}
    qrels = {"q1": {"d1": 1}, "q2": {"d1": 2, "d2": 0}}
    rows = [(query, doc, score) for query, ranked in run.items() for doc, score in ranked.items()]
    scores = pd.DataFrame(rows, columns=["qid", "docno", "score"])
    ranks = scores.assign(rank=[1, 2, 1, 2]).drop(columns="score")
    grades = pd.DataFrame(
        [(query, doc, grade) for query, judged in qrels.items() for doc, grade in judged.items()],
        columns=["query_id", "doc_id", "relevance"],
    )
    means = bench.measure(run, qrels, "ndcg@10,mrr").means
    assert means == pytest.approx({"ndcg@10": (1 + 1 / 1.584962500721156) / 2, "mrr": 0.75})
    assert bench.measure(scores, grades, ["ndcg@10", "mrr"]).means == means
    assert bench.measure(ranks, grades, ["ndcg@10", "mrr"]).means == means
    assert bench.compare(scores, ranks, qrels=grades).outcome == bench.compare(run, run, qrels=qrels).outcome == "pass"
    with pytest.raises(UsageError, match='ranks document "d1" twice under query "q1"'):
        bench.measure(pd.concat([scores, scores]), grades)
    with pytest.raises(UsageError, match="no column for the document's id; expected one of doc_id"):
        bench.measure(scores.drop(columns="docno"), grades)
    with pytest.raises(UsageError, match=r"The frame's relevance is 1\.5; expected a whole number"):
        bench.measure(run, grades.assign(relevance=1.5))


# --- results and verdicts --------------------------------------------------------------------------


@pytest.fixture
def results(tiny_suite):
    systems = {"good": lambda text: ["d01", "d03", "d04", "d13"], "bad": lambda text: ["d20", "d04", "d01"]}
    return bench.evaluate(tiny_suite.suite, systems)


def test_results_of_one_system_by_name(results):
    assert {result.system for result in results["bad"]} == {"bad"}
    assert len(results["bad"]) + len(results["good"]) == len(results) == 4
    assert results[0] is results.results[0]
    with pytest.raises(UsageError, match=r'No results of "goof"; expected one of good, bad\. Did you mean "good"'):
        results["goof"]


def test_comparison_of_a_system_with_itself_finds_no_difference(results):
    compared = bench.compare(results["good"], results["good"])
    assert compared.outcome == "pass"
    assert compared.exit_code == 0
    assert set(compared.to_frame().delta) == {0}


def test_judge_measures_a_function_by_what_it_is_judged_by(tiny_suite, results):
    def search(text):
        return ["d01", "d03", "d04", "d13"]

    judged = bench.judge(search, baseline=search, suite=tiny_suite.suite, measures="map", query_sets="shop")
    assert [(cell.measure, cell.query_set, cell.delta) for cell in judged.verdict.cells] == [("map", "shop", 0)]


def test_judge_says_what_is_missing(tiny_suite, results):
    with pytest.raises(BaselineError, match=r"baseline\.json"):
        bench.judge(results["good"], suite=tiny_suite.folder)
    with pytest.raises(UsageError, match="nothing to judge against"):
        bench.judge(results["good"])
    with pytest.raises(UsageError, match="the candidate is a search function; say what it is evaluated on"):
        bench.judge(lambda text: [], baseline=results["good"])
    with pytest.raises(UsageError, match=r"a run is judged against another run; give baseline="):
        bench.judge({"1": {"a": 1.0}}, qrels=R)
    with pytest.raises(UsageError, match="leave out policy=, suite= and query_sets="):
        bench.judge({"1": {"a": 1.0}}, baseline={"1": {"a": 1.0}}, qrels=R, policy=bench.Policy())
    for function in (bench.compare, lambda before, after: bench.judge(after, baseline=before)):
        with pytest.raises(UsageError, match=r"Expected results or a file of them, found a dict; runs need qrels="):
            function({"1": {"a": 1.0}}, {"1": {"a": 1.0}})
        assert function(results["good"][0], results["good"][0]).outcome == "pass"
    with pytest.raises(RunError, match="none of the 1 judged queries"):
        bench.judge({"2": {"a": 1.0}}, baseline={"1": {"a": 1.0}}, qrels=R)


def test_records_are_short_on_one_line(results):
    compared = bench.compare(results["good"], results["bad"])
    for record in (compared.verdict, compared, results, *results):
        assert len(repr(record)) < 400, repr(record)
        assert "\n" not in repr(record)


# --- the notebook ----------------------------------------------------------------------------------


def test_notebook_runs(tmp_path):
    """In a kernel of its own; the last answer is the gate's."""
    shutil.copytree(ROOT / "suites", tmp_path / "suites")
    notebook = shutil.copy(ROOT / "examples/first_look.ipynb", tmp_path)
    places = {name: str(tmp_path / name) for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR")}
    execute = "from nbclient.cli import main; main()"
    command = [sys.executable, "-c", execute, "--inplace", "--kernel_name=python3", notebook]
    ran = subprocess.run(command, env=os.environ | places, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    document = json.loads(Path(notebook).read_text(encoding="utf-8"))
    outputs = [output for cell in document["cells"] for output in cell.get("outputs", ())]
    assert any("improved" in "".join(output.get("data", {}).get("text/html", "")) for output in outputs)
    assert any(output.get("text") == ["fail 1\n"] for output in outputs)


def test_a_word_that_is_no_answer_to_inconclusive_is_refused():
    for word in ("blok", "fail", ""):
        with pytest.raises(bench.UsageError, match=r"on_inconclusive is .*; expected warn or block"):
            bench.judge(RUN, baseline=RUN, qrels=QRELS, on_inconclusive=word)
    with pytest.raises(bench.UsageError, match="expected warn or block"):
        bench.Policy(on_inconclusive="blok")


RUN = {"q1": {"d1": 2.0, "d2": 1.0}}
QRELS = {"q1": {"d1": 1}}


@pytest.mark.parametrize(
    ("run", "qrels", "message"),
    [
        (RUN, {"q1": {"d1": 0.9}}, 'grade of query "q1", document "d1" is 0.9; expected a whole number'),
        (RUN, {"q1": {"d1": True}}, "is True; expected a whole number"),
        (RUN, {"q1": {"d1": "1"}}, "is '1'; expected a whole number"),
        (RUN, {"q1": ["d1"]}, r"Judgements of query \"q1\" are \['d1'\]; expected id → grade"),
        ({"q1": ["d1"]}, QRELS, r'query "q1": \[.d1.\]; expected document id → score'),
        ({"q1": {"d1": "hi"}}, QRELS, 'query "q1": .*; expected document id → score, a number'),
    ],
)
def test_a_mapping_that_is_no_run_or_no_judgements_is_refused_by_a_sentence(run, qrels, message):
    with pytest.raises(bench.BenchError, match=message):
        bench.measure(run, qrels)


def test_whole_grades_of_any_number_type_are_grades():
    for grade in (2, 2.0, np.int64(2), np.float32(2)):
        assert bench.measure(RUN, {"q1": {"d1": grade}}, "ndcg@10").scores.means() == {"ndcg@10": 1.0}


def test_systems_that_are_no_mapping_are_refused():
    with pytest.raises(bench.UsageError, match="Systems are a function; expected name → search function"):
        bench.evaluate("clinic", lambda text: [text])


@pytest.fixture
def numbers():
    documents = {f"d{i}": f"text number {i}" for i in range(60)}
    queries = {f"q{i}": f"number {i}" for i in range(20)}
    qrels = {f"q{i}": {f"d{i}": 1} for i in range(20)}
    return bench.load_suite(documents=documents, queries=queries, qrels=qrels, name="numbers")


def test_a_system_that_finds_no_judged_document_is_measured_and_fails_the_gate(numbers):
    def good(text):
        return [f"d{text.split()[1]}"]

    def bad(text):
        return [f"d{int(text.split()[1]) + 30}"]

    results = bench.evaluate(numbers, {"good": good, "bad": bad}, measures="recall@10")
    assert results["bad"][0].scores.means()["recall@10"] == 0
    verdict = bench.judge(results["bad"], baseline=results["good"])
    assert (verdict.outcome, verdict.exit_code) == ("fail", 1)


def test_functions_of_one_name_and_one_file_are_different_systems(numbers):
    def shifted(by):
        return lambda text: [f"d{int(text.split()[1]) + by}"]

    systems = {"right": shifted(0), "wrong": shifted(30), "wrong too": shifted(31)}
    results = bench.evaluate(numbers, systems, measures="recall@10")
    assert [result.scores.means()["recall@10"] for result in results] == [1, 0, 0]
    assert len({result.system_digest for result in results}) == len({result.run_digest for result in results}) == 3
    assert bench.judge(shifted(30), baseline=shifted(0), suite=numbers).outcome == "fail"


def test_methods_of_two_objects_are_different_systems_in_any_order(numbers):
    class Index:
        def __init__(self, by):
            self.by = by

        def search(self, text):
            return [f"d{int(text.split()[1]) + self.by}"]

    systems = {"right": Index(0).search, "wrong": Index(30).search}
    results = bench.evaluate(numbers, systems, measures="recall@10")
    again = bench.evaluate(numbers, dict(reversed(systems.items())), measures="recall@10")
    assert [result.scores.means()["recall@10"] for result in results] == [1, 0]
    for name in systems:
        assert results[name][0].system_digest == again[name][0].system_digest
        assert results[name][0].run_digest == again[name][0].run_digest
