"""A third party's package (examples/plugin), installed by pip, and used as it is: no line of ours knows its kinds.

What docs/plugins.md shows is what is installed here.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from conftest import write_tiny_suite

from bench.base.registry import GROUPS

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "examples" / "plugin"
PAGE = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")

KINDS = {
    "systems": "cascade",
    "encoders": "hashed",
    "indexes": "funnel",
    "rerankers": "overlap",
    "sources": "faq-text",
    "measures": "err",
    "sections": "no-hit",
    "exports": "scores-csv",
    "origins": "first-sentence",
}

CONFIG = """
suites = ["tiny"]

[systems.bm25]
kind = "bm25"

[systems.hashed]
kind = "dense"
encoder = { kind = "hashed", dim = 256 }

[systems.funnel]
kind = "dense"
encoder = { kind = "hashed", dim = 256 }
index = { kind = "funnel", lead = 64, keep = 5 }

[systems.routed]
kind = "cascade"
cheap = "hashed"
careful = "bm25"

[systems.overlapped]
kind = "rerank"
first = "bm25"
reranker = { kind = "overlap" }

[pairs.firsts]
from = [{ kind = "first-sentence" }]

[gate]
system = "routed"

[[gate.rules]]
role = "held-out"
measures = ["recall@10", "err@10"]
margin = 0.1

[decide]
current = "bm25"
"""


@pytest.fixture(scope="session")
def site(tmp_path_factory) -> Path:
    """The folder into which pip installed the package, from a copy: building leaves files behind."""
    copy = shutil.copytree(SOURCE, tmp_path_factory.mktemp("source") / "plugin")
    target = tmp_path_factory.mktemp("site")
    offline = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "--quiet"]
    subprocess.run([sys.executable, "-m", "pip", "install", *offline, "--target", target, copy], check=True)
    return target


class Project(NamedTuple):
    """A folder with a config, and the package on the path of what runs there."""

    folder: Path
    site: Path

    def python(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """What an interpreter did."""
        places = os.pathsep.join([str(ROOT), str(self.site)])
        settings = {"PYTHONPATH": places, "COLUMNS": "400", "HF_HUB_OFFLINE": "1"}
        return subprocess.run(
            [sys.executable, *arguments], cwd=self.folder, env=os.environ | settings, capture_output=True, text=True
        )

    def bench(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """What the command did; it ends with this code."""
        done = self.python("-m", "bench", *words)
        assert done.returncode == code, done.stderr
        return done

    def json(self, *words: str) -> Any:
        """The document that the command prints."""
        return json.loads(self.bench(*words, "--json").stdout)


@pytest.fixture(scope="module")
def project(tmp_path_factory, site) -> Project:
    """Five systems, four of them made of the package's kinds, evaluated by `bench run`."""
    folder = tmp_path_factory.mktemp("project")
    suite = write_tiny_suite(folder / "tiny") / "suite.toml"
    text = suite.read_text().replace('"recall@100"]', '"recall@100", "err@10"]')
    suite.write_text(text.replace("version = 1\n", "version = 1\nshare_documents = true\n"))
    with (folder / "tiny" / "corpus.jsonl").open("a") as corpus:
        corpus.write('{"_id": "d21", "title": "", "text": "Bells ring. Turn the cap until it sounds clear."}\n')
        corpus.write('{"_id": "d22", "title": "", "text": "Mudguards rattle. Bend the stays back by hand."}\n')
    (folder / "bench.toml").write_text(CONFIG)
    made = Project(folder, site)
    made.bench("run")
    return made


def _tables(blocks):
    for block in blocks:
        yield from [block] if block["kind"] == "table" else [block["table"]] if "table" in block else []
        yield from _tables(block.get("blocks", ()))


# --- the command line --------------------------------------------------------------------------------


def test_doctor_lists_every_kind_with_package_and_version(project):
    rows = {row["part"]: row["state"] for row in project.json("doctor")["doctor"]}
    for group, kind in KINDS.items():
        assert rows[f"{group}: {kind}"] == "from acme-bench 1.0; works"
    assert set(KINDS) == set(GROUPS)
    printed = project.bench("doctor").stderr
    assert re.search(r"systems: cascade +from acme-bench 1\.0; works", printed)


def test_run_evaluates_a_composite_system_by_its_measure(project):
    found = {
        (row["system"], row["query_set"]): row["measures"]
        for row in project.json("run", "--system", "routed")["results"]
    }
    assert set(found) == {("routed", "shop"), ("routed", "phone")}
    # One document of grade 1 a query, which stops a reader with (2¹ − 1) / 2⁴ at the rank that mrr goes by.
    assert found["routed", "phone"]["err@10"] == pytest.approx(found["routed", "phone"]["mrr@10"] / 16)


def test_run_gated_gate_and_a_regression(project):
    project.bench("run", "--gated")
    project.bench("baseline", "accept", "--reason", "in use")
    verdict = project.json("gate")
    assert {cell["measure"] for cell in verdict["cells"]} == {"recall@10", "err@10"}
    assert verdict["outcome"] == "pass"


def test_compare_by_the_measure(project):
    found = project.json("compare", "bm25", "routed", "--measures", "err@10")
    assert {(cell["query_set"], cell["measure"]) for cell in found["cells"]} == {
        ("shop", "err@10"),
        ("phone", "err@10"),
    }


def test_report_has_its_kinds_in_one_table_and_its_section(project):
    found = project.json("report")
    systems = {"bm25", "hashed", "funnel", "routed", "overlapped"}
    both = [
        table["caption"]
        for section in found["sections"]
        for table in _tables(section["blocks"])
        if systems <= {row[0]["text"] for row in table["rows"]} and any("err@10" in c for c in table["columns"])
    ]
    assert both
    (section,) = [section for section in found["sections"] if section["name"] == "no_hit"]
    assert section["title"] == "Nothing relevant"
    page = (project.folder / "reports" / "tiny.html").read_text(encoding="utf-8")
    assert "Nothing relevant" in page and "err@10" in page and "routed" in page


def test_measure_of_a_run_file(project):
    (project.folder / "a.qrels").write_text("q1 0 d1 2\nq1 0 d2 1\nq2 0 d3 4\n")
    (project.folder / "a.run").write_text("q1 Q0 d2 1 2.0 x\nq1 Q0 d1 2 1.0 x\nq2 Q0 d9 1 2.0 x\nq2 Q0 d3 2 1.0 x\n")
    found = project.json("measure", "--qrels", "a.qrels", "--run", "a.run", "--measures", "err,err@1", "--per-query")
    # R = 1/16, 3/16, 15/16 for grades 1, 2, 4. q1: 1/16 + 15/16 · 3/16 / 2; q2: (15/16) / 2.
    assert found["per_query"]["q1"] == pytest.approx({"err": 1 / 16 + 15 / 16 * 3 / 16 / 2, "err@1": 1 / 16})
    assert found["per_query"]["q2"] == pytest.approx({"err": 15 / 32, "err@1": 0.0})


def test_import_of_a_source(project):
    (project.folder / "faq.txt").write_text("Q: Who?\nA: Me.\n\nQ: Where?\nA: Here.\n")
    found = project.json("import", "faq-text", "faq.txt", "--out", "faq", "--set", "split=dev")
    assert [(q["name"], q["role"], q["n_queries"]) for q in found["query_sets"]] == [("dev", "dev", 2)]
    assert found["origin"] == {"kind": "faq-text", "location": "faq.txt", "package": "acme-bench 1.0"}
    assert 'package = "acme-bench 1.0"' in (project.folder / "faq" / "suite.toml").read_text()
    assert project.bench("import", "faq_text", "faq.txt", "--out", "again", "--set", "spilt=x", code=2).stderr.count(
        'Did you mean "split"?'
    )


def test_export_of_results(project):
    project.bench("export", "scores-csv", "--out", "scores.csv", "--system", "hashed")
    lines = (project.folder / "scores.csv").read_text().splitlines()
    assert lines[0] == "query_set,query,measure,value"
    assert len(lines) == 1 + (8 + 3) * 5


def test_pairs_are_made_and_read(project):
    project.bench("pairs", "firsts")
    assert project.json("pairs", "show", "firsts")["origins"] == {"first-sentence": 2}


def test_decide_has_the_composite_as_the_option_that_its_kind_says(project):
    found = project.json("decide")
    (option,) = [option for option in found["options"] if option["system"] == "routed"]
    assert (option["option"], option["label"]) == ("cascade", "Cascade")
    assert option["effort"] == {
        "rank": 3.5,
        "work": "both searches kept running, the careful one asked for unsure queries",
    }
    lines = [line["what"] for line in option["cost"]["lines"]]
    assert "choose a search for each query with routed" in lines
    assert "vectors of hashed: 256 dimensions, float32" in lines
    # It starts from its first part's list, and has to beat that one alone.
    assert [c["rule"] for c in option["conditions"]][-1] == "beats-what-it-reorders"
    assert "over hashed" in option["conditions"][-1]["note"]


def test_decide_takes_an_effort_and_an_option_of_that_name(project):
    config = CONFIG + '\noptions = { hashed = "cascade+rerank" }\neffort = { cascade = 1 }\n'
    (project.folder / "other.toml").write_text(config)
    found = project.json("decide", "--config", "other.toml")
    by_system = {option["system"]: option for option in found["options"]}
    assert by_system["routed"]["effort"]["rank"] == 1
    assert by_system["hashed"]["label"] == "Cascade and reranking"
    assert by_system["hashed"]["effort"]["rank"] == 6


def test_loop_finds_its_counterpart_on_the_base_model_through_its_parts(project, tiny_model, tmp_path):
    shutil.copytree(project.folder / "tiny", tmp_path / "tiny")
    (tmp_path / "bench.toml").write_text(f"""
suites = ["tiny"]

[systems.base]
kind = "dense"
encoder = {{ kind = "local", model = "{tiny_model}" }}

[systems.tuned]
kind = "dense"
encoder = {{ kind = "local", model = "finetune:tiny" }}

[systems.hashed]
kind = "dense"
encoder = {{ kind = "hashed" }}

[systems.routed]
kind = "cascade"
cheap = "hashed"
careful = "base"

[systems.tuned-routed]
kind = "cascade"
cheap = "hashed"
careful = "tuned"

[finetune.tiny]
base = "base"
batch_size = 2
learning_rate = 1e-3
""")
    done = Project(tmp_path, project.site).python("-m", "bench", "loop", "tiny", "--json")
    assert done.returncode in (0, 1), done.stderr
    compared = {one["system"]: one["against"] for one in json.loads(done.stdout)["compared"]}
    assert compared == {"tuned": "base", "tuned-routed": "routed"}


def test_latency_asks_it_one_query_at_a_time(project):
    found = project.json("run", "--latency", "--system", "routed", "bm25")
    assert [row["system"] for row in found["latency"][0]["systems"]] == ["routed", "bm25"]


# --- Python ------------------------------------------------------------------------------------------


def test_evaluate_takes_tables_of_its_kinds(project):
    code = """
import bench
systems = {
    "hashed": {"kind": "dense", "encoder": {"kind": "hashed"}},
    "short": {"kind": "dense", "encoder": {"kind": "hashed", "dim": 8}},
    "routed": {"kind": "cascade", "cheap": "short", "careful": "hashed"},
}
found = bench.evaluate("tiny", systems, measures="err")
print([(result.system, result.kind, "err" in result.scores.measures) for result in found if result.role == "held-out"])
"""
    done = project.python("-c", code)
    assert done.returncode == 0, done.stderr
    assert ast.literal_eval(done.stdout) == [
        ("hashed", "dense", True),
        ("short", "dense", True),
        ("routed", "cascade", True),
    ]


def test_results_name_the_package_and_its_version(project):
    stored = [json.loads(path.read_text()) for path in (project.folder / ".bench" / "results").glob("*.json")]
    recipes = {document["system"]["name"]: document["system"]["recipe"] for document in stored}
    assert recipes["routed"]["package"] == "acme-bench 1.0"
    assert recipes["hashed"]["fingerprint"]["encoder"]["package"] == "acme-bench 1.0"
    assert recipes["funnel"]["fingerprint"]["index"]["package"] == "acme-bench 1.0"
    assert recipes["overlapped"]["fingerprint"]["reranker"]["package"] == "acme-bench 1.0"
    assert "package" not in recipes["bm25"]
    assert all(document["measured_by"] == {"err@10": "acme-bench 1.0"} for document in stored)


# --- the page ----------------------------------------------------------------------------------------


def test_page_shows_the_files_as_they_are_installed():
    shown = re.findall(r"`examples/plugin/(\S+)`:\n\n```\w+\n(.*?)```", PAGE, flags=re.DOTALL)
    assert len(shown) >= 3
    for path, text in shown:
        assert text == (SOURCE / path).read_text(encoding="utf-8"), path


def test_page_says_what_each_group_asks_for():
    rows = re.findall(r"^\| `bench\.(\w+)` \| (.+?) \|", PAGE, flags=re.MULTILINE)
    asked = {group: re.findall(r"`([^`]+)`", needs) for group, needs in rows if group in GROUPS}
    assert asked == {group: GROUPS[group].shape.names() for group in GROUPS}


def test_package_imports_only_what_the_page_calls_stable():
    stable = {}
    for module, names in re.findall(r"^\| `(bench[\w.]*)` \| (.+?) \|", PAGE, flags=re.MULTILINE):
        stable.setdefault(module, set()).update(re.findall(r"`(\w+)`", names))
    for path in (SOURCE / "acme_bench").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "bench":
                names = {alias.name for alias in node.names}
                assert names <= stable.get(node.module, set()), f"{path.name} imports {names} from {node.module}"


def test_stable_names_are_there():
    import importlib

    for module, names in re.findall(r"^\| `(bench[\w.]*)` \| (.+?) \|", PAGE, flags=re.MULTILINE):
        if module.removeprefix("bench.") not in GROUPS:
            for name in re.findall(r"`(\w+)`", names):
                assert hasattr(importlib.import_module(module), name), f"{module}.{name}"
