"""Pairs in other programs' layouts, read back by those programs where they are installed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.base.errors import PairsError, UsageError
from bench.cli.main import main
from bench.cli.verbs.pairs import FORMATS
from bench.train.layouts import LAYOUTS, export, read_negative_texts
from bench.train.pairs import Pair


def _pair(query, document):
    return Pair("", query, "", document, "", "expert")


PAIRS = [
    _pair("wie groß", "Größe 自転車"),
    _pair("chain", "oil it"),
    _pair("chain", "twelve\nlinks"),
    _pair("chain", "oil it"),
]
NEGATIVES = {"wie groß": ["n1", "n2", "n3"], "chain": ["n4", "oil it", "n5"]}


def _lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_verb_offers_the_layouts_that_there_are():
    assert set(FORMATS) == set(LAYOUTS)


@pytest.mark.parametrize("negatives", [None, NEGATIVES])
def test_sentence_transformers_table_loads_and_trains(tmp_path, negatives):
    out = tmp_path / "a.jsonl"
    counts = export(PAIRS, "sentence-transformers", out, negatives=negatives)
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    table = datasets.load_dataset("json", data_files=str(out), split="train", cache_dir=str(tmp_path / "cache"))
    columns = ["anchor", "positive"] + (["negative_1", "negative_2"] if negatives else [])
    # The loss takes columns by their order.
    assert table.column_names == columns
    rows = [("wie groß", "Größe 自転車"), ("chain", "oil it"), ("chain", "twelve\nlinks")]
    assert list(zip(table["anchor"], table["positive"], strict=True)) == rows
    assert counts["rows"] == 3
    if negatives:
        assert [list(row) for row in zip(table["negative_1"], table["negative_2"], strict=True)] == [
            ["n1", "n2"], ["n4", "n5"], ["n4", "n5"],
        ]  # fmt: skip
        assert counts["negatives left out: positives of their query"] == 1
        assert counts["negatives a row"] == 2


def test_table_leaves_out_queries_without_negatives_and_says_so(tmp_path):
    counts = export(PAIRS, "sentence-transformers", tmp_path / "a", negatives={"chain": ["n4"]})
    assert counts["pairs left out: their query has no negative"] == 1
    assert _lines(tmp_path / "a")[0] == {"anchor": "chain", "positive": "oil it", "negative": "n4"}


@pytest.mark.parametrize(
    ("layout", "keys"),
    [("flagembedding", ["query", "pos", "neg"]), ("cohere", ["query", "relevant_passages", "hard_negatives"])],
)
def test_layouts_by_query_hold_lists_of_texts(tmp_path, layout, keys):
    export(PAIRS, layout, tmp_path / "a", negatives=NEGATIVES)
    assert [list(row) for row in _lines(tmp_path / "a")] == [keys, keys]
    assert [list(row.values()) for row in _lines(tmp_path / "a")] == [
        ["wie groß", ["Größe 自転車"], ["n1", "n2", "n3"]],
        ["chain", ["oil it", "twelve\nlinks"], ["n4", "n5"]],
    ]
    export(PAIRS, layout, tmp_path / "b")
    assert [row[keys[2]] for row in _lines(tmp_path / "b")] == [[], []]


def test_llamaindex_dataset_has_every_relevant_document(tmp_path):
    out = tmp_path / "a.json"
    export(PAIRS, "llamaindex", out)
    whole = json.loads(out.read_text(encoding="utf-8"))
    assert set(whole) == {"queries", "corpus", "relevant_docs", "mode"}
    assert whole["mode"] == "text"
    assert set(whole["relevant_docs"]) == set(whole["queries"])
    told = {whole["queries"][q]: [whole["corpus"][d] for d in docs] for q, docs in whole["relevant_docs"].items()}
    assert told == {"wie groß": ["Größe 自転車"], "chain": ["oil it", "twelve\nlinks"]}


def test_llamaindex_file_is_a_suite_source_that_we_read_too(tmp_path):
    from bench.suites.sources import llamaindex

    export(PAIRS, "llamaindex", tmp_path / "a.json")
    found = llamaindex.collection(str(tmp_path / "a.json"), llamaindex.Options())
    assert {query.text for part in found.parts for query in part.queries()} == {"wie groß", "chain"}


def test_layout_without_a_place_for_negatives_refuses_them(tmp_path):
    with pytest.raises(UsageError, match="no place for negatives"):
        export(PAIRS, "llamaindex", tmp_path / "a", negatives=NEGATIVES)
    with pytest.raises(UsageError, match='Did you mean "cohere"'):
        export(PAIRS, "coher", tmp_path / "a")
    with pytest.raises(PairsError, match="of other queries"):
        export(PAIRS, "cohere", tmp_path / "a", negatives={"x": ["y"]})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nonsense\n", "line 1: expected a JSON object"),
        ('{"query": "q", "negatives": ["n"]}\n[]\n', "line 2: expected a JSON object"),
        ('{"query": "q", "negatives": "n"}\n', "line 1: expected"),
        ('{"query": 1, "negatives": []}\n', "line 1: expected"),
        ('{"negatives": ["n"]}\n', "line 1: expected"),
    ],
)
def test_negatives_that_are_none_are_refused_with_their_line(tmp_path, text, says):
    (tmp_path / "n").write_text(text)
    with pytest.raises(PairsError, match=r"^[^\n]+$") as caught:
        read_negative_texts(tmp_path / "n")
    assert says in str(caught.value)


def test_negatives_of_bench_mine_are_exported_with_made_pairs(tiny_suite, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("bench.toml").write_text(
        'suites = ["tiny"]\n[systems.bm25]\nkind = "bm25"\n[pairs.p]\nfrom = [{kind = "judgements"}]\n'
    )
    assert main(["mine", "--from", "bm25", "--per-query", "2", "--json"]) == 0
    assert main(["pairs", "--json"]) == 0
    arguments = ["--format", "sentence-transformers", "--out", "x.jsonl", "--negatives", "negatives.jsonl"]
    assert main(["pairs", "export", "p", *arguments, "--json"]) == 0
    rows = _lines(Path("x.jsonl"))
    assert [list(row) for row in rows] == [["anchor", "positive", "negative_1", "negative_2"]] * 2
    assert all(len(set(row.values())) == 4 for row in rows)
