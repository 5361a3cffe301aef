"""The command line: contracts, exit codes, and one clear sentence for bad input."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench.cli.main import main

RUN = "q1 Q0 d1 1 3 a\nq1 Q0 d2 2 2 a\nq2 Q0 d3 1 3 a\nq2 Q0 d1 2 1 a\n"
WORSE = "q1 Q0 d2 1 3 b\nq1 Q0 d9 2 2 b\nq2 Q0 d8 1 3 b\nq2 Q0 d1 2 1 b\n"
QRELS = "q1 0 d1 1\nq1 0 d2 0\nq2 0 d3 2\n"


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, text in (("a.run", RUN), ("b.run", WORSE), ("q.qrels", QRELS)):
        Path(name).write_text(text)
    return tmp_path


def _json(capsys, *arguments):
    code = main([*map(str, arguments)])
    out, err = capsys.readouterr()
    assert err == "", "--json leaves standard error alone"
    return code, json.loads(out)


def _error(capsys, *arguments):
    """Exit code and message of a call that must fail without a traceback, in both manners of speaking."""
    code = main([*map(str, arguments)])
    out, err = capsys.readouterr()
    assert out == ""
    assert "Traceback" not in err
    json_code, document = _json(capsys, *arguments, "--json")
    assert json_code == code
    assert document["format"] == 1
    assert set(document["error"]) == {"code", "message"}
    return code, document["error"]["message"]


# --- measure ---------------------------------------------------------------------------------------


def test_measure_prints_the_contract(files, capsys):
    code, document = _json(
        capsys, "measure", "--qrels", "q.qrels", "--run", "a.run", "--measures", "ndcg@10,mrr", "--per-query", "--json"
    )
    assert code == 0
    assert document["n_queries"] == 2
    assert document["measures"] == {"ndcg@10": 1.0, "mrr": 1.0}
    assert document["per_query"] == {"q1": {"ndcg@10": 1.0, "mrr": 1.0}, "q2": {"ndcg@10": 1.0, "mrr": 1.0}}


def test_measure_reads_gzip_by_content_and_counts_what_it_ignores(files, capsys):
    Path("packed.run").write_bytes(gzip.compress((RUN + "q9 Q0 d1 1 1 a\n").encode()))
    code, document = _json(capsys, "measure", "--qrels", "q.qrels", "--run", "packed.run", "--json")
    assert (code, document["ignored_queries"], document["n_queries"]) == (0, 1, 2)


def test_missing_query_counts_zero_in_measure(files, capsys):
    Path("half.run").write_text("q1 Q0 d1 1 3 a\n")
    _, document = _json(capsys, "measure", "--qrels", "q.qrels", "--run", "half.run", "--measures", "mrr", "--json")
    assert document["measures"]["mrr"] == 0.5
    assert document["missing_queries"] == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("q1 Q0 d1 1 nan a\n", "finite"),
        ("q1 Q0 d1 1 inf a\n", "finite"),
        ("q1 Q0 d1 1 x a\n", "expected a number"),
        ("q1 Q0 d1 1 3\n", "5 fields"),
        ("q1 Q0 d1 1 3 a\nq1 Q0 d1 2 2 a\n", "already"),
        ("", "no ranking"),
        ("q1 Q0 zz 1 3 a\n", "none of its documents is judged"),
        ("zz Q0 d1 1 3 a\n", "none of the 2 judged queries"),
    ],
)
def test_unusable_run_is_exit_2_and_says_why(files, capsys, text, expected):
    Path("bad.run").write_text(text)
    code, message = _error(capsys, "measure", "--qrels", "q.qrels", "--run", "bad.run")
    assert code == 2
    assert expected in message


def test_missing_file_and_misspelt_measure_are_exit_2(files, capsys):
    code, message = _error(capsys, "measure", "--qrels", "q.qrels", "--run", "nowhere.run")
    assert (code, "nowhere.run does not exist" in message) == (2, True)
    code, message = _error(capsys, "measure", "--qrels", "q.qrels", "--run", "a.run", "--measures", "ndgc@10")
    assert (code, 'Did you mean "ndcg@10"?' in message) == (2, True)


# --- compare and gate on run files -----------------------------------------------------------------


def _many(n, better):
    """A run on n queries, one relevant document each; the first `better` of them find it."""
    return "".join(f"q{i} Q0 {'r' if i < better else 'x'}{i} 1 2 t\nq{i} Q0 y{i} 2 1 t\n" for i in range(n))


@pytest.fixture
def hundred(files):
    Path("h.qrels").write_text("".join(f"q{i} 0 r{i} 1\nq{i} 0 y{i} 0\n" for i in range(100)))
    for name, better in (("good", 90), ("same", 90), ("worse", 60), ("best", 100), ("slightly", 88)):
        Path(f"{name}.run").write_text(_many(100, better))
    return files


GATE = ("gate", "--qrels", "h.qrels", "--baseline-run", "good.run", "--candidate-run")


@pytest.mark.parametrize(
    ("candidate", "outcome", "code"),
    [("same", "pass", 0), ("worse", "fail", 1), ("best", "improved", 0), ("slightly", "inconclusive", 0)],
)
def test_gate_on_run_files(hundred, capsys, candidate, outcome, code):
    found, document = _json(capsys, *GATE, f"{candidate}.run", "--json")
    assert (found, document["outcome"], document["exit_code"]) == (code, outcome, code)
    expected = {
        "query_set", "role", "slice", "measure", "n", "baseline", "candidate", "delta", "ci", "lower", "p",
        "p_adjusted", "test", "margin", "mde80", "wins", "ties", "losses", "outcome", "reason",
    }  # fmt: skip
    assert [cell["measure"] for cell in document["cells"]] == ["recall@10", "ndcg@10"]
    assert all(expected <= set(cell) for cell in document["cells"])
    assert {cell["role"] for cell in document["cells"]} == {"held-out"}


def test_compare_informs_and_says_what_the_gate_would_return(hundred, capsys):
    code, document = _json(capsys, "compare", "good.run", "worse.run", "--qrels", "h.qrels", "--json")
    assert (code, document["outcome"], document["exit_code"]) == (0, "fail", 1)
    _, gated = _json(capsys, *GATE, "worse.run", "--json")
    assert gated["cells"] == document["cells"]


def test_inconclusive_blocks_where_asked(hundred, capsys):
    code, document = _json(capsys, *GATE, "slightly.run", "--on-inconclusive", "block", "--json")
    assert (code, document["exit_code"]) == (3, 3)


def test_query_missing_from_one_run_is_not_comparable(hundred, capsys):
    Path("half.run").write_text(_many(50, 50))
    code, message = _error(capsys, *GATE, "half.run")
    assert code == 2
    assert "lacks 50 judged queries" in message


def test_gate_writes_junit_markdown_html_and_json(hundred, capsys):
    code = main(
        [*GATE, "worse.run", "--junit", "j.xml", "--markdown", "m.md", "--html", "v.html", "--json-out", "v.json"]
    )
    capsys.readouterr()
    assert code == 1
    suite = ElementTree.parse("j.xml").getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "2", "0")
    assert "recall@10" in Path("m.md").read_text()
    assert "<html" in Path("v.html").read_text()
    assert json.loads(Path("v.json").read_text())["exit_code"] == 1


def test_junit_of_an_unusable_input_is_an_error(hundred, capsys):
    assert main([*GATE, "nowhere.run", "--junit", "j.xml"]) == 2
    capsys.readouterr()
    suite = ElementTree.parse("j.xml").getroot()
    assert suite.get("errors") == "1"


def test_junit_inconclusive_is_skipped_or_failure(hundred, capsys):
    main([*GATE, "slightly.run", "--junit", "j.xml"])
    assert ElementTree.parse("j.xml").getroot().get("skipped") == "2"
    main([*GATE, "slightly.run", "--on-inconclusive", "block", "--junit", "j.xml"])
    assert ElementTree.parse("j.xml").getroot().get("failures") == "2"
    capsys.readouterr()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["mesure"], 'Did you mean "measure"?'),
        (["gate", "--systm", "x"], 'Did you mean "--system"?'),
        (["run", "--measures", "ndcg@10"], "--measures is an option of bench measure, bench compare, bench gate. See"),
        (
            ["models", "list", "--base-ref", "x"],
            "of bench run, bench gate, bench models promote. See: bench models list",
        ),
        (["gate", "--qrels", "q.qrels"], "go together"),
        (["run"], "No bench.toml"),
        (["compare", "a.run", "b.run"], "--qrels"),
        (["compare", "a.run", "b.run", "--qrels", "q.qrels", "--alpha", "2"], "--alpha"),
        (["measure", "--qrels", "q.qrels", "--run", "a.run", "--depth", "0"], "whole number above 0"),
    ],
)
def test_usage_errors_are_exit_2_with_a_hint(files, capsys, arguments, expected):
    code, message = _error(capsys, *arguments)
    assert code == 2
    assert expected in message


# --- check, run, baseline, gate, report on a suite -------------------------------------------------


CONFIG = """\
suites = ["tiny"]
[systems.bm25]
kind = "bm25"
[systems.flat]
kind = "bm25"
b = 0.0
[systems.both]
kind = "hybrid"
of = ["bm25", "flat"]
[systems.tuned]
kind = "hybrid"
of = ["bm25", "flat"]
fusion = { method = "convex", weight = "tune-on-dev" }
[gate]
system = "bm25"
"""


@pytest.fixture
def project(tiny_suite, tmp_path, monkeypatch):
    """A folder with bench.toml and the tiny suite beside it."""
    folder = tmp_path / "project"
    folder.mkdir()
    tiny_suite.folder.rename(folder / "tiny")
    (folder / "bench.toml").write_text(CONFIG)
    monkeypatch.chdir(folder)
    return folder


def test_check_prints_findings_and_exits_2_on_errors(project, capsys):
    code, document = _json(capsys, "check", "tiny", "--json")
    assert set(document["findings"][0]) == {"severity", "code", "where", "message", "value"}
    assert code == (2 if any(f["severity"] == "error" for f in document["findings"]) else 0)
    qrels = project / "tiny/qrels/shop.tsv"
    qrels.write_text(qrels.read_text() + "h1\tnowhere\t1\n")
    code, document = _json(capsys, "check", "tiny", "--json")
    assert code == 2
    assert '"nowhere"' in document["findings"][0]["message"]


def test_run_prints_the_contract_and_recomputes_nothing(project, capsys):
    code, document = _json(capsys, "run", "--json")
    assert code == 0
    assert {row["system"] for row in document["results"]} == {"bm25", "flat", "both", "tuned"}
    expected = {"system", "suite", "query_set", "role", "n_queries", "measures", "seconds", "index_bytes"}
    assert all(expected <= set(row) for row in document["results"])
    made = {path: path.stat().st_mtime_ns for path in (project / ".bench").rglob("*.npz")}
    again = _json(capsys, "run", "--json")[1]
    assert again == document
    assert {path: path.stat().st_mtime_ns for path in (project / ".bench").rglob("*.npz")} == made


@pytest.fixture
def three_suites(project):
    """A project of three suites that differ in their names alone, the middle one of which cannot be read."""
    for name in ("broken", "third"):
        shutil.copytree("tiny", name)
        path = Path(name, "suite.toml")
        path.write_text(path.read_text().replace('name = "tiny"', f'name = "{name}"'))
    path = Path("broken/qrels/shop.tsv")
    path.write_text(path.read_text() + "h1\tnowhere\t1\n")
    config = project / "bench.toml"
    config.write_text(config.read_text().replace('["tiny"]', '["tiny", "broken", "third"]'))
    return project


def test_one_suite_s_error_does_not_stop_the_others(three_suites, capsys):
    code, document = _json(capsys, "run", "--json", "--system", "bm25", "--json-out", "run.json", "--out", "results")
    assert (code, document["error"]["code"], list(document["failed_suites"])) == (2, "suite", ["broken"])
    assert document["error"]["message"].startswith('Suite "broken" was not evaluated: ')
    assert '"nowhere"' in document["failed_suites"]["broken"]["message"]
    assert [row["suite"] for row in document["results"]] == ["tiny", "tiny", "third", "third"]
    assert json.loads(Path("run.json").read_text()) == document | {"exit_code": 2}
    assert len(json.loads(Path("results/bm25.json").read_text())["results"]) == 4
    assert main(["run", "--system", "bm25"]) == 2
    shown = capsys.readouterr().err
    assert "tiny: shop" in shown and "third: shop" in shown and 'error: Suite "broken" was not evaluated' in shown
    # Asked for alone, each stands alone.
    assert main(["run", "--suite", "third", "--system", "bm25"]) == 0
    code, message = _error(capsys, "run", "--suite", "broken")
    assert (code, message.startswith("broken: ")) == (2, True), message


def test_the_gravest_error_of_several_suites_is_the_exit_code(three_suites, capsys, monkeypatch):
    from bench.retrieval.systems.bm25 import BM25

    real = BM25.search

    def breaks(self, corpus, queries, **options):
        if Path("breaks").exists() and queries.name == "phone":
            raise RuntimeError("out of memory")
        return real(self, corpus, queries, **options)

    monkeypatch.setattr(BM25, "search", breaks)
    assert _json(capsys, "run", "--suite", "tiny", "--system", "bm25", "--json")[0] == 0
    Path("breaks").touch()
    path = Path("third/queries/phone.jsonl")
    path.write_text(path.read_text().replace("dark", "broken"))
    code, document = _json(capsys, "run", "--json", "--system", "bm25")
    assert (code, document["error"]["code"]) == (4, "system-failed")
    assert {name: one["code"] for name, one in document["failed_suites"].items()} == {
        "broken": "suite",
        "third": "system-failed",
    }
    assert {row["suite"] for row in document["results"]} == {"tiny"}


def test_what_every_suite_says_alike_is_said_once(three_suites, capsys):
    shutil.rmtree("broken")
    config = three_suites / "bench.toml"
    config.write_text(config.read_text().replace('"broken", ', ""))
    code, message = _error(capsys, "run", "--system", "bm52")
    assert (code, "\n" in message, 'Did you mean "bm25"' in message) == (2, False, True), message


def test_run_times_systems_side_by_side_and_leaves_run_files_out(project, capsys):
    lines = "".join(f"h{i} Q0 d{j:02} 1 {20 - j} t\n" for i in range(1, 9) for j in range(1, 4))
    (project / "shop.run").write_text(lines)
    config = project / "bench.toml"
    engine = '[systems.engine]\nkind = "trec-run"\nroles = ["held-out"]\nruns = { shop = "shop.run" }\n'
    config.write_text(config.read_text().replace("[gate]", engine + "[gate]"))
    code, document = _json(capsys, "run", "--latency", "--json")
    assert code == 0
    (timed,) = document["latency"]
    assert (timed["query_set"], timed["n_docs"], len(timed["query_ids"])) == ("shop", 20, 8)
    assert [row["system"] for row in timed["systems"]] == ["bm25", "flat", "both", "tuned"]
    for row in timed["systems"]:
        assert 0 < row["p50"] <= row["p95"] and len(row["ms"]) == 8
        assert row["p95_ratio"]["to"] == "bm25"
    assert "latency" not in _json(capsys, "run", "--json")[1]
    assert main(["run", "--latency"]) == 0
    shown = capsys.readouterr().err
    assert "p95 / bm25" in shown and 'System "engine" has no latency on "shop"' in shown
    code, message = _error(capsys, "run", "--latency", "--system", "engine")
    assert (code, "has no latency" in message) == (2, True)


def test_gate_lifecycle(project, capsys):
    code, message = _error(capsys, "gate")
    assert (code, "bench baseline accept" in message) == (2, True)
    code, message = _error(capsys, "baseline", "accept", "--reason", "first")
    assert (code, "bench run" in message) == (2, True), "the gate and accept never evaluate"
    assert main(["run"]) == 0
    capsys.readouterr()
    code, message = _error(capsys, "baseline", "accept")
    assert (code, "reason" in message) == (2, True)
    assert main(["baseline", "accept", "--reason", "first baseline"]) == 0
    capsys.readouterr()
    code, document = _json(capsys, "gate", "--json")
    assert (code, document["outcome"]) == (0, "pass")
    assert {cell["test"] for cell in document["cells"]} == {"identical"}
    assert _json(capsys, "baseline", "list", "--json")[1]["baselines"][0]["reason"] == "first baseline"
    # A changed judgement: exit 2, and the sentence that says how to go on.
    qrels = project / "tiny/qrels/shop.tsv"
    qrels.write_text(qrels.read_text().replace("h7\td18\t1", "h7\td18\t2"))
    assert main(["run"]) == 0
    capsys.readouterr()
    code, message = _error(capsys, "gate")
    assert (code, "the judgements differ" in message) == (2, True)
    assert "bench baseline accept" in message


def test_report_is_written_from_stored_results(project, capsys):
    code, message = _error(capsys, "report")
    assert (code, "bench run" in message) == (2, True)
    assert main(["run"]) == 0
    assert main(["baseline", "accept", "--system", "flat", "--reason", "to have a verdict in the report"]) == 0
    assert main(["report"]) == 0
    assert main(["report", "--private", "--out", "private.html"]) == 0
    capsys.readouterr()
    page, private = (project / "reports/tiny.html").read_text(), Path("private.html").read_text()
    assert "bm25" in page
    assert "bm25" in private
    queries = [json.loads(line)["text"] for line in (project / "tiny/queries/shop.jsonl").read_text().splitlines()]
    assert any(text in page for text in queries)
    assert not [text for text in queries if text in private]


def test_report_comes_in_four_forms_and_without_texts_where_told(project, capsys):
    assert main(["run", "--latency"]) == 0
    assert main(["baseline", "accept", "--system", "flat", "--reason", "to have a verdict in the report"]) == 0
    capsys.readouterr()
    options = ("report", "--json", "--out", "r.html", "--markdown", "r.md", "--latex", "r.tex")
    code, document = _json(capsys, *options)
    assert code == 0 and (document["format"], document["report"], document["left_out"]) == (1, "r.html", [])
    names = [section["name"] for section in document["sections"]]
    # What only the store knows: weights tried on dev, whole runs, times.
    assert {"fusion", "depth", "pareto", "queries", "verdicts"} <= set(names)
    depth = next(section for section in document["sections"] if section["name"] == "depth")
    table = depth["blocks"][1]["table"]
    results = {(r["system"], r["query_set"]): r["measures"] for r in _json(capsys, "run", "--json")[1]["results"]}
    # Whole runs: the last depth is all that was retrieved. On "phone" nothing has a second document: no curve.
    deepest = {(row[0]["text"], row[1]["text"]): row[-1]["value"] for row in table["rows"]}
    assert deepest == pytest.approx({key: m["recall@100"] for key, m in results.items() if key[1] == "shop"}, abs=1e-6)
    pareto = next(section for section in document["sections"] if section["name"] == "pareto")
    assert "p95" in pareto["blocks"][0]["table"]["columns"]
    texts = [
        json.loads(line)[key]
        for path in (project / "tiny").rglob("*.jsonl")
        for line in path.read_text().splitlines()
        for key in ("text", "title")
        if json.loads(line).get(key)
    ]
    assert len(texts) > 50

    def held(document):
        forms = [(project / name).read_text() for name in ("r.html", "r.md", "r.tex")]
        return [[text for text in texts if text in form] for form in (*forms, json.dumps(document, ensure_ascii=False))]

    html, markdown, _, whole = held(document)
    # The page and its JSON carry evaluation queries and what was retrieved for them; Markdown what changed.
    assert len(html) > 30 and len(whole) > 30 and markdown
    code, document = _json(capsys, *options, "--private")
    assert code == 0 and held(document) == [[], [], [], []]


def test_report_loads_no_model_library(project):
    assert main(["run"]) == 0
    told = (
        "import sys; from bench.cli.main import main; code = main(['report']); "
        "print(code, sorted({'torch', 'transformers', 'sentence_transformers', 'mteb'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert done.stdout == "0 []\n"


def test_verdict_page_says_what_it_rests_on_and_how_to_come_to_it_again(project, capsys):
    assert main(["run"]) == 0
    assert main(["compare", "bm25", "flat", "--html", "c.html", "--markdown", "c.md"]) == 0
    page, text = (project / "c.html").read_text(), (project / "c.md").read_text()
    assert "bench compare bm25 flat" in page and 'id="provenance"' in page and 'id="explorer-data"' in page
    assert page.count('id="summary"') == 0 and "flat</code> against <code>bm25" in text


def test_compare_systems_by_name(project, capsys):
    assert main(["run"]) == 0
    capsys.readouterr()
    code, document = _json(capsys, "compare", "bm25", "flat", "--json")
    assert code == 0
    assert document["candidate"] == "flat"
    code, message = _error(capsys, "compare", "bm25", "flt")
    assert (code, 'Did you mean "flat"?' in message) == (2, True)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('kind = "bm25"\nb', 'kind = "bm52"\nb', 'Did you mean "bm25"?'),
        ("b = 0.0", "bb = 0.0", "unknown key bb"),
        ('of = ["bm25", "flat"]\n[', 'of = ["bm25", "fat"]\n[', 'Did you mean "flat"?'),
        ("[gate]", "[gaet]", 'Did you mean "gate"?'),
        ('system = "bm25"', "rules = []", "would pass everything"),
        ('suites = ["tiny"]', 'suites = ["tiny', "not TOML"),
    ],
)
def test_config_errors_are_exit_2_and_leave_nothing_behind(project, capsys, old, new, expected):
    text = Path("bench.toml").read_text()
    assert old in text
    Path("bench.toml").write_text(text.replace(old, new))
    code, message = _error(capsys, "run")
    assert code == 2
    assert expected in message
    assert not (project / ".bench").exists()


@pytest.mark.parametrize(
    ("part", "damage", "expected"),
    [
        ("corpus.jsonl", lambda text: text[:-30], "corpus.jsonl:20: not JSON"),
        ("corpus.jsonl", lambda text: text + text.splitlines()[0] + "\n", 'id "d01" stands already in line 1'),
        ("qrels/shop.tsv", lambda text: text + "h1\tzz\t1\n", '"zz"'),
        ("queries/shop.jsonl", lambda text: text.replace('"_id": "h2"', '"id": "h2"'), 'no "_id"'),
        ("suite.toml", lambda text: text.replace('role = "held-out"', 'role = "heldout"'), 'Did you mean "held-out"?'),
    ],
)
def test_suite_errors_are_exit_2_and_leave_nothing_behind(project, capsys, part, damage, expected):
    path = project / "tiny" / part
    path.write_text(damage(path.read_text(encoding="utf-8")), encoding="utf-8")
    code, message = _error(capsys, "run")
    assert code == 2
    assert expected in message
    assert not (project / ".bench").exists()


def test_system_that_breaks_is_exit_4_and_keeps_what_was_made(project, capsys, monkeypatch):
    from bench.retrieval.systems.bm25 import BM25

    real = BM25.search

    def breaks(self, *arguments, **options):
        if self.name == "flat":
            raise RuntimeError("out of memory")
        return real(self, *arguments, **options)

    monkeypatch.setattr(BM25, "search", breaks)
    code, message = _error(capsys, "run")
    assert code == 4
    assert '"flat"' in message
    assert "out of memory" in message
    assert list((project / ".bench/runs").iterdir())


def test_doctor_says_what_is_installed(project, capsys):
    code, document = _json(capsys, "doctor", "--json")
    assert code == 0
    assert {"numpy", "ranx", "torch"} <= {row["part"] for row in document["doctor"]}


# --- what a newcomer stumbled over -----------------------------------------------------------------


@pytest.fixture
def gated(project, capsys):
    """A project with bm25 accepted; `flat` orders a little worse, and eight queries cannot tell much."""
    assert main(["run"]) == 0
    assert main(["baseline", "accept", "--system", "bm25", "--reason", "for the test"]) == 0
    capsys.readouterr()
    return project


def test_gate_calibrate_draws_from_stored_results(gated, capsys):
    code, document = _json(capsys, "gate", "--system", "flat", "--calibrate", "20", "--json")
    assert code == 0
    assert (document["baseline"], document["candidate"], document["repetitions"]) == ("bm25", "flat", 20)
    _, judged = _json(capsys, "gate", "--system", "flat", "--json")
    places = [[(cell["query_set"], cell["measure"], cell["n"]) for cell in d["cells"]] for d in (document, judged)]
    assert places[0] == places[1]


def test_options_of_the_gate_hold_for_stored_results_too(gated, capsys):
    code, document = _json(capsys, "gate", "--system", "flat", "--json")
    assert (code, document["outcome"]) == (0, "inconclusive")
    code, document = _json(capsys, "gate", "--system", "flat", "--on-inconclusive", "block", "--json")
    assert (code, document["exit_code"]) == (3, 3)
    _, document = _json(
        capsys, "gate", "--system", "flat", "--margin", "0.5", "--alpha", "0.1", "--measures", "recall@100", "--json"
    )
    assert {cell["measure"] for cell in document["cells"]} == {"recall@100"}
    assert {cell["margin"] for cell in document["cells"]} == {0.5}
    assert document["policy"]["alpha"] == 0.1
    code, message = _error(capsys, "gate", "--system", "flat", "--alpha", "5")
    assert (code, "--alpha" in message) == (2, True)


@pytest.mark.parametrize("option", ["--system", "--suite", "--baseline"])
def test_options_of_stored_results_are_refused_beside_run_files(hundred, capsys, option):
    code, message = _error(capsys, *GATE, "same.run", option, "x")
    assert code == 2
    assert f"{option} belongs to stored results" in message


def test_check_names_a_misspelt_measure(project, capsys):
    path = project / "tiny/suite.toml"
    path.write_text(path.read_text().replace('"recall@10"', '"recall@ten"'))
    code, document = _json(capsys, "check", "tiny", "--json")
    assert code == 2
    assert [f["value"] for f in document["findings"] if f["code"] == "unknown-measure"] == ["recall@ten"]


def test_misspelt_measure_of_a_rule_is_a_config_error(project, capsys):
    path = Path("bench.toml")
    path.write_text(path.read_text() + '[[gate.rules]]\nrole = "held-out"\nmeasures = ["recal@10"]\nmargin = 0.02\n')
    code, message = _error(capsys, "run")
    assert code == 2
    assert 'gate.rules[0].measures: Unknown measure "recal@10"' in message
    assert 'Did you mean "recall@10"?' in message


def test_two_suites_of_one_name_are_refused(project, capsys):
    import shutil

    shutil.copytree("tiny", "other")
    path = Path("bench.toml")
    path.write_text(path.read_text().replace('suites = ["tiny"]', 'suites = ["tiny", "other"]'))
    code, message = _error(capsys, "run")
    assert code == 2
    assert 'are both named "tiny"' in message


def test_run_says_that_a_suite_has_errors(project, capsys):
    path = project / "tiny/queries/shop.jsonl"
    path.write_text(path.read_text().replace("oil the chain", ""))
    _, document = _json(capsys, "run", "--system", "bm25", "--json")
    assert [finding["code"] for finding in document["findings"]] == ["empty-queries"]


def test_interrupted_says_so_and_exits_130(project, capsys, monkeypatch):
    from bench.retrieval.systems.bm25 import BM25

    def stops(self, *arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(BM25, "search", stops)
    code, message = _error(capsys, "run")
    assert code == 130
    assert message.startswith("Interrupted.")
    assert not list((project / ".bench").rglob("record.json"))


def test_folder_where_a_file_is_to_be_written_is_exit_2(gated, capsys):
    code, message = _error(capsys, "report", "--out", ".")
    assert code == 2
    assert "is a folder; expected the name of a file" in message


def test_baseline_lies_where_the_config_says(project, capsys):
    path = Path("bench.toml")
    path.write_text(path.read_text() + 'baseline = "accepted.json"\n')
    assert main(["run"]) == 0
    assert main(["baseline", "accept", "--reason", "first"]) == 0
    capsys.readouterr()
    assert Path("accepted.json").exists()
    assert not Path("tiny/baseline.json").exists()
    assert _json(capsys, "gate", "--json")[0] == 0


def test_measures_may_stand_before_the_names_and_be_repeated(hundred, capsys):
    files = ("good.run", "worse.run", "--qrels", "h.qrels")
    code, document = _json(capsys, "compare", "--measures", "mrr@10", "--measures", "map,recall@1", *files, "--json")
    assert code == 0
    assert [cell["measure"] for cell in document["cells"]] == ["mrr@10", "map", "recall@1"]


def test_verdict_fits_a_terminal_of_eighty_columns(make_result, monkeypatch):
    import io

    from rich.console import Console

    from bench.gate.verdict import judge
    from bench.records import Policy
    from bench.report.forms import terminal
    from bench.report.sections.verdicts import verdict_blocks

    values = {"recall@10": [1.0, 0.0] * 10, "ndcg@10": [0.5, 0.0] * 10}
    verdict = judge([make_result(values)], [make_result(values, system="other")], Policy())
    said = io.StringIO()
    monkeypatch.setattr(
        terminal, "_console", lambda: Console(file=said, force_terminal=True, width=80, color_system=None, markup=False)
    )
    terminal.blocks(verdict_blocks(verdict))
    rows = [line for line in said.getvalue().splitlines() if "@10   " in line]
    assert [row.split()[1] for row in rows] == ["recall@10", "ndcg@10"], "no cell is folded"
    assert max(map(len, said.getvalue().splitlines())) <= 80


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--config", "x.toml", "run"], "--config stands before the verb; options follow it"),
        (["run", "bm25"], "unrecognized arguments: bm25. To name a system: --system bm25."),
    ],
)
def test_words_in_the_wrong_place_are_told_where_they_belong(capsys, words, sentence):
    assert main(words) == 2
    assert sentence in " ".join(capsys.readouterr().err.split())
