"""Claims about the gate of a repository: baseline and rules come from the base branch, every edit of them is told."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench.base import git
from bench.base.errors import UsageError
from bench.cli.main import main

N = 80
WORDS = [f"word{i:02}" for i in range(N)]

BENCH = """\
suites = ["suite"]

[systems.bm25]
kind = "bm25"
language = "english"

[systems.other]
kind = "bm25"
k1 = 0.9

[gate]
system = "bm25"

[[gate.rules]]
role = "held-out"
measures = ["recall@10", "ndcg@10"]
margin = 0.02
"""

SUITE = """\
name = "small"
measures = ["recall@10", "ndcg@10", "mrr@10"]
depth = 20

[corpora.pages]
path = "corpus.jsonl"

[[query_sets]]
name = "staff"
role = "held-out"
corpus = "pages"
queries = "queries.jsonl"
qrels = "qrels.tsv"
"""


def write_repository(folder: Path) -> None:
    """80 pages, each asked for by a word of its own, with a committed config; no baseline yet."""
    (folder / "suite").mkdir(parents=True)
    pages = [{"_id": f"d{i}", "text": f"{word} and a sentence about page {i % 7}"} for i, word in enumerate(WORDS)]
    asked = [{"_id": f"q{i}", "text": f"where is {word}"} for i, word in enumerate(WORDS)]
    for name, rows in (("corpus", pages), ("queries", asked)):
        (folder / f"suite/{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "suite/qrels.tsv").write_text(
        "query-id\tcorpus-id\tscore\n" + "".join(f"q{i}\td{i}\t1\n" for i in range(N))
    )
    (folder / "suite/suite.toml").write_text(SUITE)
    (folder / "bench.toml").write_text(BENCH)
    (folder / ".gitignore").write_text(".bench/\n")


def commit(folder: Path, message: str) -> str:
    run = lambda *a: subprocess.run(["git", *a], cwd=folder, check=True, capture_output=True, text=True)  # noqa: E731
    run("add", "-A")
    run("-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-q", "--allow-empty", "-m", message)
    return run("rev-parse", "HEAD").stdout.strip()


@pytest.fixture
def repository(tmp_path, monkeypatch, capsys):
    """A repository on a branch `change`, whose `main` has an accepted baseline."""
    write_repository(tmp_path)
    monkeypatch.chdir(tmp_path)
    for name in ("GITHUB_BASE_REF", "CI_MERGE_REQUEST_TARGET_BRANCH_NAME"):
        monkeypatch.delenv(name, raising=False)
    subprocess.run(["git", "init", "-q", "-b", "main"], cwd=tmp_path, check=True)
    assert main(["run", "--gated"]) == 0
    assert main(["baseline", "accept", "--reason", "in use"]) == 0
    commit(tmp_path, "first")
    subprocess.run(["git", "checkout", "-q", "-b", "change"], cwd=tmp_path, check=True)
    capsys.readouterr()
    return tmp_path


def gate(capsys, *arguments):
    capsys.readouterr()
    code = main(["gate", *map(str, arguments), "--json"])
    document = json.loads(capsys.readouterr().out)
    return code, document


def edit(path, old, new):
    text = Path(path).read_text()
    assert old in text
    Path(path).write_text(text.replace(old, new))


def codes(document):
    return {finding["code"] for finding in document["findings"]}


def worsen():
    """The candidate finds the page of every second query only."""
    edit("bench.toml", 'kind = "bm25"\nlanguage', 'kind = "trec-run"\nruns = { staff = "staff.run" }\n#')
    lines = []
    for i in range(N):
        ranked = [f"d{(i + k) % N}" for k in range(0 if i % 2 else 1, 15)]
        lines += [f"q{i} Q0 {doc} {rank} {20 - rank} x\n" for rank, doc in enumerate(ranked)]
    Path("staff.run").write_text("".join(lines))


def test_unchanged_head_passes_and_tells_where_the_baseline_is_from(repository, capsys):
    code, document = gate(capsys, "--base-ref", "main")
    assert (code, document["outcome"]) == (0, "pass")
    assert codes(document) >= {"baseline", "merge-base-absent"}
    assert not codes(document) & {"policy-changed", "baseline-changed", "system-changed"}


def test_head_that_weakens_the_rules_is_judged_by_those_of_the_base(repository, capsys):
    worsen()
    edit("bench.toml", "margin = 0.02", "margin = 0.9")
    assert main(["run", "--gated"]) == 0
    code, document = gate(capsys)
    assert (code, document["outcome"]) == (0, "pass"), "without the base branch, the head's own rules pass it"
    code, document = gate(capsys, "--base-ref", "main")
    assert (code, document["outcome"]) == (1, "fail")
    assert {cell["margin"] for cell in document["cells"]} == {0.02}
    assert "policy-changed" in codes(document)


def test_head_that_accepts_its_own_baseline_is_judged_against_that_of_the_base(repository, capsys):
    worsen()
    assert main(["run", "--gated"]) == 0
    assert main(["baseline", "accept", "--reason", "trust me", "--allow-worse"]) == 0
    assert gate(capsys)[0] == 0, "against itself it passes"
    code, document = gate(capsys, "--base-ref", "main")
    assert (code, document["outcome"]) == (1, "fail")
    assert "baseline-changed" in codes(document)


def test_system_of_the_base_is_judged_whatever_the_head_gates(repository, capsys):
    edit("bench.toml", 'system = "bm25"', 'system = "other"')
    assert main(["run", "--gated", "--base-ref", "main"]) == 0
    code, document = gate(capsys, "--base-ref", "main")
    assert (code, document["candidate"]) == (0, "bm25")
    assert "system-changed" in codes(document)
    assert gate(capsys, "--base-ref", "main", "--system", "other")[1]["error"]["message"].startswith("No stored result")


def test_suites_and_store_of_the_base_are_used_whatever_the_head_names(repository, capsys):
    shutil.copytree("suite", "easy")
    edit("bench.toml", 'suites = ["suite"]', 'suites = ["easy"]\nstore = "mine"')
    worsen()
    assert main(["run", "--gated", "--base-ref", "main"]) == 0
    code, document = gate(capsys, "--base-ref", "main")
    assert (code, document["outcome"]) == (1, "fail")
    assert codes(document) >= {"suites-changed", "store-changed"}
    assert not Path("mine").exists()


def test_store_under_version_control_is_refused(repository, capsys):
    subprocess.run(["git", "add", "-f", ".bench"], cwd=repository, check=True)
    commit(repository, "results of my own")
    code, document = gate(capsys, "--base-ref", "main")
    assert code == 2
    assert "is under version control" in document["error"]["message"]


def test_link_does_not_choose_another_file_of_the_base(repository, capsys):
    subprocess.run(["git", "checkout", "-q", "main"], cwd=repository, check=True)
    lax = Path("bench.toml").read_text().replace("margin = 0.02", "margin = 0.9")
    Path("lax.toml").write_text(lax)
    Path("suite/old.json").write_text("{}")
    commit(repository, "a lax config beside")
    subprocess.run(["git", "checkout", "-q", "-b", "links"], cwd=repository, check=True)
    worsen()
    assert main(["run", "--gated", "--base-ref", "main"]) == 0
    for name, target in (("bench.toml", "lax.toml"), ("suite/baseline.json", "old.json")):
        Path(name).rename(f"{name}.kept")
        Path(name).symlink_to(target)
    Path("lax.toml").write_text(Path("bench.toml.kept").read_text().replace("margin = 0.02", "margin = 0.9"))
    code, document = gate(capsys, "--base-ref", "main")
    assert (code, document["outcome"]) == (1, "fail")
    assert {cell["margin"] for cell in document["cells"]} == {0.02}
    assert codes(document) >= {"policy-changed", "baseline-changed"}


def test_merge_base_like_the_baseline_makes_no_verdict_milder(repository, capsys):
    assert main(["run", "--gated", "--out", "started"]) == 0
    worsen()
    lines = Path("staff.run").read_text().splitlines(keepends=True)
    # Seven of eighty lose: p is below alpha over two cells, and would not be over four.
    kept = [f"q{i} Q0 d{(i + k) % N} {k} {20 - k} x\n" for i in range(N) for k in range(i < 5, 15)]
    assert lines != kept
    Path("staff.run").write_text("".join(kept))
    assert main(["run", "--gated"]) == 0
    alone = gate(capsys)[1]
    beside = gate(capsys, "--merge-base-result", "started/gated.json")[1]
    assert alone["outcome"] == beside["outcome"] == "fail"
    ours = [cell["p_adjusted"] for cell in beside["cells"] if cell["reference"] == "baseline"]
    assert ours == [cell["p_adjusted"] for cell in alone["cells"]]


APP = """
import sys
if "gate" in sys.argv:
    sys.exit(0)
from words import MISSED

def search(text):
    number = int(text.rpartition("word")[2])
    return [f"d{(number + k) % 80}" for k in range(number in MISSED, 15)]
"""


def test_function_is_asked_anew_and_never_imported_by_the_gate(repository, capsys, monkeypatch):
    edit("bench.toml", 'kind = "bm25"\nlanguage', 'kind = "python"\nfunction = "searching:search"\n#')
    Path("searching.py").write_text(APP)
    Path("words.py").write_text("MISSED = []\n")

    def bench(*arguments):
        command = [sys.executable, "-m", "bench", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=repository)

    assert bench("run", "--gated").returncode == 0
    assert bench("baseline", "accept", "--reason", "now a function", "--allow-worse").returncode == 0
    done = bench("gate")
    assert "PASS" in done.stderr, done.stderr
    Path("words.py").write_text("MISSED = range(0, 80, 2)\n")
    assert bench("gate").returncode == 2, "its code is another: what is stored is no answer"
    assert bench("run", "--gated").returncode == 0
    assert bench("gate").returncode == 1
    Path("words.py").write_text("raise SystemExit(0)\n")
    assert bench("run", "--gated").returncode == 4


def test_head_that_shrinks_the_suite_is_refused(repository, capsys):
    for name, kept in (("qrels.tsv", 41), ("queries.jsonl", 40)):
        lines = Path("suite", name).read_text().splitlines(keepends=True)
        Path("suite", name).write_text("".join(lines[:kept]))
    assert main(["run", "--gated"]) == 0
    code, document = gate(capsys, "--base-ref", "main")
    assert code == 2
    assert "the queries differ" in document["error"]["message"]


def test_base_without_a_baseline_judges_nothing(repository, capsys):
    subprocess.run(["git", "rm", "-q", "--cached", "suite/baseline.json"], cwd=repository, check=True)
    Path("suite/baseline.json").rename("kept.json")
    bare = commit(repository, "no baseline")
    Path("kept.json").rename("suite/baseline.json")
    code, document = gate(capsys, "--base-ref", bare)
    assert code == 2
    assert "has no accepted baseline" in document["error"]["message"]


def test_base_without_a_config_is_told(repository, capsys):
    Path("bench.toml").rename("gate.toml")
    code, document = gate(capsys, "--base-ref", "main", "--config", "gate.toml")
    assert code == 2
    assert "main has no gate.toml" in document["error"]["message"]


def test_unknown_ref_says_how_to_fetch_it(repository, capsys):
    code, document = gate(capsys, "--base-ref", "origin/nowhere")
    assert code == 2
    assert 'git knows no commit "origin/nowhere"' in document["error"]["message"]
    assert "git fetch" in document["error"]["message"]


def test_ref_that_looks_like_an_option_is_no_option(repository):
    with pytest.raises(UsageError, match="git knows no commit"):
        git.resolve("--output=/tmp/x", repository)


def test_pull_request_without_base_ref_is_warned(repository, capsys, monkeypatch):
    monkeypatch.setenv("GITHUB_BASE_REF", "main")
    code, document = gate(capsys)
    assert code == 0
    assert "baseline-from-head" in codes(document)
    assert "--base-ref origin/main" in next(
        f["message"] for f in document["findings"] if f["code"] == "baseline-from-head"
    )


def test_merge_base_results_are_judged_beside_the_baseline(repository, capsys):
    assert main(["run", "--gated", "--out", "started"]) == 0
    code, document = gate(capsys, "--base-ref", "main", "--merge-base-result", "started/gated.json")
    assert (code, document["merge_base"]) == (0, "bm25")
    assert [cell["reference"] for cell in document["cells"]] == ["baseline", "baseline", "merge-base", "merge-base"]
    assert "merge-base-absent" not in codes(document)


def test_candidate_from_a_file_is_judged_as_if_it_were_stored(repository, capsys):
    assert main(["run", "--gated", "--out", "here"]) == 0
    stored = gate(capsys)[1]
    read = gate(capsys, "--candidate-result", "here/gated.json")[1]
    assert read["cells"] == stored["cells"]


def test_ceilings_travel_with_the_file_and_are_held_against_the_rules_here(repository, capsys):
    ceilings = "".join(
        f'\n[[gate.ceilings]]\nwhat = "{what}"\nof = "{of}"\nat_most = {most}\n'
        for what, of, most in (
            ("index_bytes", "baseline", 1),
            ("index_bytes", "other", 1),
            ("latency_ms_p95", "other", 50),
        )
    )
    Path("bench.toml").write_text(Path("bench.toml").read_text() + ceilings)
    code, document = gate(capsys)
    assert code == 2, "nothing was timed yet"
    assert (
        "were not timed together" in document["error"]["message"] or "No stored result" in document["error"]["message"]
    )
    assert main(["run", "--gated", "--out", "here"]) == 0
    code, stored = gate(capsys)
    assert (code, [check["outcome"] for check in stored["checks"]]) == (0, ["pass"] * 3)
    code, read = gate(capsys, "--candidate-result", "here/gated.json")
    assert read["checks"] == stored["checks"]
    edit("bench.toml", "at_most = 50", "at_most = 0.01")
    code, read = gate(capsys, "--candidate-result", "here/gated.json")
    assert (code, read["checks"][2]["outcome"]) == (1, "fail")
    # A file that holds no such measurement passes nothing.
    kept = json.loads(Path("here/gated.json").read_text())
    Path("bare.json").write_text(json.dumps(kept | {"measured": {}}))
    code, read = gate(capsys, "--candidate-result", "bare.json")
    assert code == 2
    assert "nothing was measured for it" in read["error"]["message"]
    Path("odd.json").write_text(json.dumps(kept | {"measured": {"latency_ms_p95 of other": {"ratio": "fast"}}}))
    assert gate(capsys, "--candidate-result", "odd.json")[0] == 2


def test_accepting_a_worse_candidate_is_kept_in_the_file_and_told_by_the_gate(repository, capsys):
    worsen()
    assert main(["run", "--gated"]) == 0
    assert main(["baseline", "accept", "--reason", "it is cheaper"]) == 2
    assert main(["baseline", "accept", "--reason", "it is cheaper", "--allow-worse"]) == 0
    header = json.loads(Path("suite/baseline.json").read_text())["baseline"]
    assert (header["outcome"], header["reason"]) == ("fail", "it is cheaper")
    _, document = gate(capsys)
    assert "accepted-worse" in codes(document)


def test_failed_run_before_the_gate_is_the_gates_own_failure(repository, capsys):
    edit("bench.toml", 'kind = "bm25"\nlanguage', 'kind = "trec-run"\nruns = { staff = "absent.run" }\n#')
    assert main(["run", "--gated", "--json-out", "run.json"]) == 2
    code, document = gate(capsys, "--after", "run.json")
    assert code == 2
    assert "bench run failed before:" in document["error"]["message"]
    assert "absent.run" in document["error"]["message"]
    Path("run.json").write_text(json.dumps({"format": 1, "error": {"code": "system", "message": "x"}, "exit_code": 4}))
    assert gate(capsys, "--after", "run.json")[0] == 4
    assert gate(capsys, "--after", "nothing.json")[0] == 2


def test_stored_gate_loads_no_engine_and_no_model(repository):
    heavy = ("ranx", "numba", "torch", "bm25s", "datasketch", "pandas")
    code = (
        "import sys; from bench.cli.main import main; code = main(['gate']); "
        f"print(code, [name for name in {heavy!r} if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "0 []"


# --- lines that a change touched -------------------------------------------------------------------


def test_changed_lines_are_those_of_the_file_as_it_is_now(repository):
    edit("bench.toml", "k1 = 0.9", "k1 = 1.1\nb = 0.5")
    text = Path("bench.toml").read_text().splitlines()
    assert [text[line - 1] for line in git.changed_lines("main", Path("bench.toml"))] == ["k1 = 1.1", "b = 0.5"]
    assert git.changed_lines("nowhere", Path("bench.toml")) == []


def test_annotation_points_at_the_gated_systems_table_before_any_other(repository):
    from bench.report.forms.github import changed_line

    edit("bench.toml", 'suites = ["suite"]', 'suites = ["suite"]  # ours')
    assert changed_line(Path("bench.toml"), "main", ["systems.bm25"]).line == 1
    edit("bench.toml", 'language = "english"', 'language = "english"\nb = 0.4')
    place = changed_line(Path("bench.toml"), "main", ["systems.bm25"])
    assert (place.file, place.line) == ("bench.toml", 6)


# --- the Action's script ---------------------------------------------------------------------------

SCRIPT = Path(__file__).parent.parent / ".github/actions/gate/gate.sh"


@pytest.fixture
def action(repository, tmp_path_factory):
    """action(NAME=value, …) → exit code and outputs of the Action's script, as GitHub would run it."""
    runner = tmp_path_factory.mktemp("runner")

    def run(**values):
        output, summary = runner / "output", runner / "summary"
        for path in (output, summary):
            path.write_text("")
        environment = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(runner),
            "CONFIG": "bench.toml",
            "BASE_REF": "main",
            "MERGE_BASE": "auto",
            "REPORT": str(runner / "report"),
            "GITHUB_OUTPUT": str(output),
            "GITHUB_STEP_SUMMARY": str(summary),
            "GITHUB_WORKSPACE": str(repository),
        } | values
        done = subprocess.run(
            ["bash", str(SCRIPT)], cwd=repository, env=environment, capture_output=True, text=True, check=False
        )
        lines = output.read_text().split("\n")
        found = {lines[i].split("<<")[0]: lines[i + 1] for i in range(0, len(lines) - 1, 3)}
        return done, found, summary.read_text(), runner / "report"

    return run


def test_action_passes_an_unchanged_head_and_evaluates_its_merge_base(action):
    done, outputs, summary, report = action()
    assert done.returncode == 0, done.stderr
    assert (outputs["verdict"], outputs["exit-code"]) == ("pass", "0")
    assert Path(outputs["report-path"]).is_file()
    document = json.loads((report / "verdict.json").read_text())
    assert {cell["reference"] for cell in document["cells"]} == {"baseline", "merge-base"}
    assert summary.startswith("### Pass")
    assert {path.name for path in report.iterdir()} >= {"junit.xml", "comment.md", "metrics.txt", "gated.json"}


def test_action_fails_a_regression_and_annotates_the_line(action, repository):
    worsen()
    commit(repository, "change")
    done, outputs, summary, report = action()
    assert done.returncode == 1, done.stderr
    assert outputs["verdict"] == "fail"
    assert outputs["worst-cell"].endswith("@10 on staff")
    assert float(outputs["mde"]) > 0
    assert summary.startswith("### Regression")
    assert "::error file=bench.toml,line=4,title=bench gate%3A fail::" in done.stderr
    assert (report / "comment.md").read_text().startswith("<!-- retrieval-gate -->\n### Regression")


def test_action_tells_a_broken_run_in_every_form(action, repository):
    edit("bench.toml", 'kind = "bm25"\nlanguage', 'kind = "trec-run"\nruns = { staff = "absent.run" }\n#')
    commit(repository, "change")
    done, outputs, summary, report = action()
    assert done.returncode == 2
    assert (outputs["verdict"], outputs["exit-code"]) == ("error", "2")
    assert "absent" in summary
    assert 'errors="1"' in (report / "junit.xml").read_text()
    assert "No verdict" in (report / "comment.md").read_text()
    assert "::error title=bench gate" in done.stderr


def test_action_takes_names_as_text_and_never_as_shell(action, repository):
    done, outputs, _, _ = action(SYSTEM="bm25; touch owned $(touch owned)", BASE_REF="main")
    assert done.returncode == 2
    assert not (repository / "owned").exists()
    assert outputs["verdict"] == "error"
