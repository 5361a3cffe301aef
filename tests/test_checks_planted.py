"""Faults planted one by one in a generated suite: each is found under its code, and nothing else is."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bench.cli.main import main
from bench.records import Finding, Suite
from bench.suites import suite as suite_module
from bench.suites.checks import check, contamination

DOCUMENTS = 240
SYLLABLES = [c + v for c in "bdfgklmnprstvz" for v in "aeiou"]


@dataclass
class Parts:
    """A suite before it is written: rows by id, judgements by set, and the head of its declaration."""

    documents: dict[str, dict[str, Any]]
    queries: dict[str, dict[str, dict[str, Any]]]
    qrels: dict[str, dict[str, dict[str, int]]]
    roles: dict[str, str]
    measures: list[str] = field(default_factory=lambda: ["recall@10", "ndcg@10", "mrr@10"])
    head: str = ""

    def write(self, folder: Path) -> Path:
        (folder / "queries").mkdir(parents=True)
        (folder / "qrels").mkdir()
        _write(folder / "corpus.jsonl", self.documents)
        tables = []
        for name, role in self.roles.items():
            _write(folder / "queries" / f"{name}.jsonl", self.queries[name])
            lines = [f"{q}\t{d}\t{g}\n" for q, grades in self.qrels[name].items() for d, g in grades.items()]
            (folder / "qrels" / f"{name}.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(lines))
            tables.append(
                f'[[query_sets]]\nname = "{name}"\nrole = "{role}"\ncorpus = "kb"\n'
                f'queries = "queries/{name}.jsonl"\nqrels = "qrels/{name}.tsv"\n'
            )
        declaration = f'name = "planted"\nmeasures = {json.dumps(self.measures)}\n{self.head}\n'
        declaration += '[corpora.kb]\nsource = "jsonl"\npath = "corpus.jsonl"\n' + "\n".join(tables)
        (folder / "suite.toml").write_text(declaration)
        return folder

    def load(self, folder: Path) -> Suite:
        return suite_module.load(self.write(folder))

    def positive(self, name: str, number: int) -> tuple[str, str]:
        """Id of a set's query, and of the document that answers it."""
        query_id = list(self.queries[name])[number]
        return query_id, next(d for d, g in self.qrels[name][query_id].items() if g)


def _write(path: Path, rows: dict[str, dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps({"_id": i, **row}) + "\n" for i, row in rows.items()))


def _generated() -> Parts:
    """240 documents of 25 to 45 invented words; four sets of queries that share few words with their answers."""
    rng = random.Random(7)
    vocabulary = sorted({"".join(rng.choices(SYLLABLES, k=3)) for _ in range(500)})
    documents, words_of = {}, {}
    for number in range(DOCUMENTS):
        words = rng.choices(vocabulary, k=rng.randint(25, 45))
        words_of[f"d{number:03}"] = words
        title = " ".join(rng.sample(vocabulary, 3)).capitalize()
        documents[f"d{number:03}"] = {"title": title, "text": " ".join(words).capitalize() + "."}
    queries, qrels, taken = {}, {}, iter(sorted(documents))
    for name, size in (("train", 60), ("dev", 20), ("shop", 60), ("phone", 40)):
        queries[name], qrels[name] = {}, {}
        for number in range(size):
            doc_id = next(taken)
            words = rng.sample(words_of[doc_id], 2) + rng.sample(vocabulary, rng.randint(4, 8))
            rng.shuffle(words)
            queries[name][f"{name}{number}"] = {"text": " ".join(words) + "?"}
            qrels[name][f"{name}{number}"] = {doc_id: 1}
    roles = {"train": "train", "dev": "dev", "shop": "held-out", "phone": "out-of-distribution"}
    return Parts(documents, queries, qrels, roles)


@pytest.fixture(scope="module")
def clean() -> Parts:
    return _generated()


@pytest.fixture(scope="module")
def at_rest(clean: Parts, tmp_path_factory: pytest.TempPathFactory) -> list[Finding]:
    return check(clean.load(tmp_path_factory.mktemp("clean") / "suite"))


def test_nothing_is_found_in_the_clean_suite_but_its_size(at_rest):
    assert {finding.severity for finding in at_rest} == {"info"}
    assert {finding.code for finding in at_rest} == {"pool", "power", "queries-needed"}


# --- the faults: each changes the parts and says what must be found, as code and place ---------------


Found = set[tuple[str, str]]
FAULTS: dict[str, Callable[[Parts], Found]] = {}


def fault(plant: Callable[[Parts], Found]) -> Callable[[Parts], Found]:
    FAULTS[plant.__name__] = plant
    return plant


SPARE = "d239", "d238", "d237", "d236", "d235"
"""Documents that no query is answered by."""


def _last_word_changed(text: str) -> str:
    return text.rsplit(" ", 1)[0] + " bababa."


@fault
def a_document_without_text(parts):
    parts.documents[SPARE[0]] = {"title": "", "text": "  "}
    return {("empty-documents", "kb")}


@fault
def a_query_without_text(parts):
    parts.queries["dev"]["dev3"]["text"] = ""
    return {("empty-queries", "dev")}


@fault
def a_document_twice_in_other_case(parts):
    row = parts.documents[SPARE[0]]
    parts.documents[SPARE[1]] = {key: text.upper() for key, text in row.items()}
    return {("duplicate-documents", "kb")}


@fault
def a_query_twice_in_other_spacing(parts):
    parts.queries["train"]["train1"]["text"] = parts.queries["train"]["train2"]["text"].replace(" ", "  ")
    parts.qrels["train"]["train1"] = parts.qrels["train"]["train2"]
    return {("duplicate-queries", "train")}


@fault
def a_document_with_one_word_changed(parts):
    row = parts.documents[SPARE[0]]
    parts.documents[SPARE[1]] = row | {"text": _last_word_changed(row["text"])}
    return {("near-duplicate-documents", "kb")}


@fault
def documents_from_a_template(parts):
    text = parts.documents[SPARE[0]]["text"]
    for number, doc_id in enumerate(SPARE[1:]):
        parts.documents[doc_id] = {"title": f"Nr{number}", "text": _last_word_changed(text)}
    return {("near-duplicate-documents", "kb")}


@fault
def a_query_that_adds_only_stop_words(parts):
    parts.queries["train"]["train1"]["text"] = "what is the " + parts.queries["train"]["train2"]["text"]
    return {("near-duplicate-queries", "train")}


@fault
def documents_cut_at_a_number_of_characters(parts):
    for row in parts.documents.values():
        row["title"], row["text"] = "", row["text"][:180]
    return {("truncated", "kb")}


@fault
def documents_cut_at_a_number_of_words(parts):
    for row in parts.documents.values():
        row["title"], row["text"] = "", " ".join(row["text"].split()[:30])
    return {("truncated", "kb")}


@fault
def queries_cut_at_a_number_of_characters(parts):
    for row in parts.queries["phone"].values():
        row["text"] = row["text"][:45]
    return {("truncated", "phone")}


@fault
def documents_that_are_search_snippets(parts):
    for row in list(parts.documents.values())[:40]:
        row["text"] = row["text"].rstrip(".") + " ..."
    return {("ellipsis", "kb")}


@fault
def a_document_decoded_with_losses(parts):
    parts.documents[SPARE[0]]["text"] += " caf\ufffd"
    return {("replacement-characters", "kb")}


@fault
def a_document_decoded_as_latin_1(parts):
    parts.documents[SPARE[0]]["text"] += " " + "café".encode().decode("latin-1")
    return {("mojibake", "kb")}


@fault
def a_query_with_an_apostrophe_decoded_as_windows_1252(parts):
    parts.queries["shop"]["shop4"]["text"] += " it" + "’".encode().decode("cp1252") + "s"
    return {("mojibake", "shop")}


@fault
def a_document_with_a_bell(parts):
    parts.documents[SPARE[0]]["text"] += " \x07"
    return {("control-characters", "kb")}


@fault
def a_document_with_zero_width_spaces(parts):
    parts.documents[SPARE[0]]["text"] += " ba\u200bda"
    return {("invisible-characters", "kb")}


@fault
def a_document_with_tags(parts):
    parts.documents[SPARE[0]]["text"] += " <br/>"
    return {("html-remains", "kb")}


@fault
def a_document_with_entities(parts):
    parts.documents[SPARE[0]]["text"] += "&nbsp;&amp;"
    return {("html-remains", "kb")}


@fault
def a_document_longer_than_a_model_reads(parts):
    rng = random.Random(1)
    parts.documents[SPARE[0]]["text"] = " ".join("".join(rng.choices(SYLLABLES, k=4)) for _ in range(300)) + "."
    return {("long-documents", "kb")}


@fault
def a_training_query_that_is_an_evaluation_query(parts):
    parts.queries["train"]["train5"]["text"] = parts.queries["shop"]["shop5"]["text"].upper()
    return {("query-leak", "train")}


@fault
def a_dev_query_that_is_an_out_of_distribution_query(parts):
    parts.queries["dev"]["dev5"]["text"] = parts.queries["phone"]["phone5"]["text"]
    return {("query-leak", "dev")}


@fault
def a_training_query_that_resembles_an_evaluation_query(parts):
    parts.queries["train"]["train5"]["text"] = "what is the " + parts.queries["shop"]["shop5"]["text"]
    return {("near-query-leak", "shop")}


@fault
def a_document_that_answers_training_and_evaluation(parts):
    _, doc_id = parts.positive("train", 3)
    parts.qrels["shop"]["shop3"] = {doc_id: 1}
    return {("shared-documents", "shop")}


@fault
def a_copy_of_a_training_document_that_answers_evaluation(parts):
    _, trained = parts.positive("train", 3)
    _, judged = parts.positive("shop", 3)
    row = parts.documents[trained]
    parts.documents[judged] = row | {"text": _last_word_changed(row["text"])}
    # The query's only answer has an unjudged copy, which is true as well.
    return {("near-shared-documents", "shop"), ("near-duplicate-documents", "kb"), ("unjudged-copies", "shop")}


@fault
def a_cluster_that_is_trained_on_and_judged_by(parts):
    parts.queries["train"]["train7"]["cluster"] = parts.queries["shop"]["shop7"]["cluster"] = "c1"
    return {("cluster-leak", "shop")}


@fault
def a_query_that_two_evaluation_sets_ask(parts):
    parts.queries["phone"]["phone1"]["text"] = parts.queries["shop"]["shop1"]["text"]
    return {("repeated-across-sets", "phone")}


@fault
def a_query_taken_from_its_document(parts):
    query_id, doc_id = parts.positive("shop", 9)
    parts.queries["shop"][query_id]["text"] = " ".join(parts.documents[doc_id]["text"].split()[3:9])
    return {("verbatim-queries", "shop")}


@fault
def a_query_that_holds_its_document_s_title(parts):
    query_id, doc_id = parts.positive("shop", 9)
    parts.queries["shop"][query_id]["text"] = f"What are the symptoms of {parts.documents[doc_id]['title']}?"
    return {("title-leak", "shop")}


@fault
def a_query_without_a_relevant_document(parts):
    query_id, doc_id = parts.positive("shop", 2)
    parts.qrels["shop"][query_id] = {doc_id: 0}
    return {("no-positives", "shop")}


@fault
def a_pinned_query_that_nothing_answers(parts):
    query_id, doc_id = parts.positive("shop", 2)
    parts.qrels["shop"][query_id] = {doc_id: 0}
    parts.queries["shop"][query_id] |= {"pinned": True, "answerable": False}
    return {("pinned-without-positives", "shop"), ("pinned", "shop")}


@fault
def a_query_marked_unanswerable_that_is_answered(parts):
    parts.queries["shop"]["shop2"]["answerable"] = False
    return {("answerable-after-all", "shop")}


@fault
def one_text_with_two_judgements(parts):
    parts.queries["shop"]["shop2"]["text"] = parts.queries["shop"]["shop3"]["text"]
    return {("contradicting-judgements", "shop"), ("duplicate-queries", "shop")}


@fault
def a_document_that_answers_a_third_of_the_queries(parts):
    for number in range(20):
        parts.qrels["shop"][f"shop{number}"] = {**parts.qrels["shop"][f"shop{number}"], SPARE[0]: 1}
    return {("dominant-document", "shop")}


@fault
def an_answer_with_a_copy_that_nobody_judged(parts):
    _, doc_id = parts.positive("shop", 2)
    parts.documents[SPARE[0]] = dict(parts.documents[doc_id])
    return {("unjudged-copies", "shop"), ("duplicate-documents", "kb")}


@fault
def shallow_pools(parts):
    for grades in parts.qrels["shop"].values():
        grades[SPARE[0]] = 0
    return {("judgement-holes", "shop")}


@fault
def four_queries(parts):
    for number in range(4, 60):
        del parts.queries["shop"][f"shop{number}"], parts.qrels["shop"][f"shop{number}"]
    return {("too-few-queries", "shop")}


@fault
def more_relevant_documents_than_the_cutoff(parts):
    parts.qrels["shop"]["shop0"] |= dict.fromkeys(sorted(parts.documents)[-40:], 1)
    return {("ceiling", "shop")}


@fault
def a_depth_under_the_cutoff(parts):
    parts.head = "depth = 5"
    for name in ("shop", "phone"):
        parts.qrels[name][f"{name}0"] |= dict.fromkeys(sorted(parts.documents)[-8:], 1)
    return {("ceiling", "shop"), ("ceiling", "phone")}


@fault
def a_precision_that_one_answer_cannot_fill(parts):
    parts.measures.append("precision@10")
    return {("ceiling", "shop"), ("ceiling", "phone")}


@fault
def a_cutoff_that_takes_half_the_corpus(parts):
    parts.measures.append("recall@200")
    parts.head = "depth = 200"
    return {("small-corpus", "shop"), ("small-corpus", "phone")}


@fault
def pinned_queries(parts):
    parts.queries["shop"]["shop0"]["pinned"] = True
    return {("pinned", "shop")}


@fault
def declared_clusters(parts):
    for number in range(10):
        parts.queries["shop"][f"shop{number}"]["cluster"] = "c1"
    return {("clusters", "shop")}


@fault
def queries_of_one_need_alone(parts):
    for row in parts.queries["shop"].values():
        row["cluster"] = "c1"
    return {("clusters", "shop"), ("too-few-queries", "shop")}


@fault
def judgements_that_call_nothing_relevant(parts):
    for name in ("shop", "phone"):
        parts.qrels[name] = {query_id: dict.fromkeys(grades, 0) for query_id, grades in parts.qrels[name].items()}
    return {(code, name) for code in ("no-positives", "nothing-to-measure") for name in ("shop", "phone")}


@fault
def a_set_of_queries_that_nothing_answers(parts):
    parts.qrels["phone"] = {}
    for row in parts.queries["phone"].values():
        row["answerable"] = False
    return {("nothing-to-measure", "phone")}


@fault
def a_slice_by_a_field_that_is_nowhere(parts):
    parts.head = 'slices = ["length", "field:topic", "field:language"]'
    parts.queries["phone"]["phone3"]["language"] = "de"
    parts.queries["train"]["train3"]["topic"] = "training queries have no slices in any table"
    return {("absent-field", "planted")}


@fault
def rephrasings_told_by_their_ids(parts):
    _renamed(parts, "shop", lambda number: f"t{number // 5}-q{number % 5}")
    rows = list(parts.qrels["shop"])
    for number, query_id in enumerate(rows):
        parts.qrels["shop"][query_id] = dict(parts.qrels["shop"][rows[number - number % 5]])
    return {("undeclared-clusters", "shop")}


@fault
def answers_shared_by_threes(parts):
    rows = list(parts.qrels["shop"])
    for number, query_id in enumerate(rows):
        parts.qrels["shop"][query_id] = dict(parts.qrels["shop"][rows[number - number % 3]])
    return {("shared-answers", "shop")}


@fault
def queries_that_bm25_solves(parts):
    for number, row in enumerate(parts.queries["shop"].values()):
        words = parts.documents[parts.positive("shop", number)[1]]["text"].rstrip(".").split()
        row["text"] = " ".join(words[::3])
    return {("saturated", "shop")}


@fault
def judgements_of_other_documents(parts):
    ids = list(parts.qrels["shop"])
    answers = [parts.qrels["shop"][query_id] for query_id in ids]
    for query_id, grades in zip(ids, answers[11:] + answers[:11], strict=True):
        parts.qrels["shop"][query_id] = grades
    for row in parts.queries["shop"].values():
        row["text"] = " ".join(word[::-1] + "x" for word in row["text"].rstrip("?").split()) + "?"
    return {("no-shared-words", "shop")}


@fault
def a_measure_that_nobody_knows(parts):
    parts.measures.append("ndgc@10")
    return {("unknown-measure", "planted")}


@fault
def no_held_out_set(parts):
    del parts.roles["shop"]
    return {("no-held-out", "planted")}


@fault
def no_out_of_distribution_set(parts):
    del parts.roles["phone"]
    return {("no-out-of-distribution", "planted")}


@fault
def no_dev_set(parts):
    del parts.roles["dev"]
    return {("no-dev", "planted")}


def _renamed(parts: Parts, name: str, new: Callable[[int], str]) -> None:
    ids = {old: new(number) for number, old in enumerate(parts.queries[name])}
    parts.queries[name] = {ids[old]: row for old, row in parts.queries[name].items()}
    parts.qrels[name] = {ids[old]: grades for old, grades in parts.qrels[name].items()}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found_and_nothing_else(name, clean, at_rest, tmp_path):
    parts = deepcopy(clean)
    expected = FAULTS[name](parts)
    found = {(finding.code, finding.where) for finding in check(parts.load(tmp_path / "suite"))}
    assert found - {(finding.code, finding.where) for finding in at_rest} == expected


# --- what keeps a suite from being read -----------------------------------------------------------------


def _appended(part: str, line: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        path = folder / part
        path.write_text(path.read_text() + line)

    return spoil


UNREADABLE = {
    "a judgement of a query that is not there": (_appended("qrels/shop.tsv", "nobody\td001\t1\n"), "nobody"),
    "a judgement of a document that is not there": (_appended("qrels/shop.tsv", "shop1\td999\t1\n"), "d999"),
    "a query without a judgement": (_appended("queries/shop.jsonl", '{"_id": "new", "text": "x"}\n'), "new"),
    "a document id twice": (_appended("corpus.jsonl", '{"_id": "d001", "text": "x"}\n'), "d001"),
    "a query id twice": (_appended("queries/dev.jsonl", '{"_id": "dev1", "text": "x"}\n'), "dev1"),
    "an id with a space": (_appended("corpus.jsonl", '{"_id": "d 1", "text": "x"}\n'), "d 1"),
    "half a surrogate pair": (_appended("corpus.jsonl", '{"_id": "d9", "text": "a \\ud83d"}\n'), "surrogate"),
    "a line cut off": (_appended("corpus.jsonl", '{"_id": "d9'), "not JSON"),
    "two grades for one pair": (_appended("qrels/dev.tsv", "dev0\td060\t2\n"), "dev0"),
    "a grade that is no number": (_appended("qrels/dev.tsv", "dev1\td001\tyes\n"), "yes"),
    "a file that is not there": (lambda folder: (folder / "queries" / "dev.jsonl").unlink(), "dev.jsonl"),
    "a role that nobody knows": (
        lambda folder: (folder / "suite.toml").write_text(
            (folder / "suite.toml").read_text().replace('"held-out"', '"heldout"')
        ),
        "held-out",
    ),
}


def _told(folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[dict[str, Any]]]:
    code = main(["check", str(folder), "--json"])
    return code, json.loads(capsys.readouterr().out)["findings"]


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_cannot_be_read_is_one_finding_and_exit_2(name, clean, tmp_path, capsys):
    spoil, word = UNREADABLE[name]
    spoil(clean.write(tmp_path / "suite"))
    code, findings = _told(tmp_path / "suite", capsys)
    assert (code, [finding["code"] for finding in findings]) == (2, ["unreadable"])
    assert word in findings[0]["message"]


def test_faults_of_several_files_are_told_together(clean, tmp_path, capsys):
    folder = clean.write(tmp_path / "suite")
    for name in ("a document id twice", "a query id twice", "a judgement of a query that is not there"):
        UNREADABLE[name][0](folder)
    code, findings = _told(folder, capsys)
    assert code == 2
    assert [word for word in ("d001", "dev1", "nobody") if any(word in f["message"] for f in findings)] == [
        "d001", "dev1", "nobody",
    ]  # fmt: skip


# --- what was not looked for ------------------------------------------------------------------------------


def _without(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    monkeypatch.setitem(__import__("sys").modules, module, None)


def test_without_datasketch_the_check_says_what_it_did_not_look_for(clean, at_rest, tmp_path, monkeypatch):
    _without(monkeypatch, "datasketch")
    found = check(clean.load(tmp_path / "suite"))
    (said,) = [finding for finding in found if finding not in at_rest]
    assert said.code == "near-duplicates-not-checked"
    assert "pip install 'retrieval-gate[checks]'" in said.message


@pytest.mark.parametrize("reason", ["no bm25s", "large corpus"])
def test_without_bm25_the_check_says_what_it_did_not_look_for(reason, clean, at_rest, tmp_path, monkeypatch):
    if reason == "no bm25s":
        _without(monkeypatch, "bm25s")
    else:
        monkeypatch.setattr("bench.suites.checks.saturation.LARGEST", 100)
    found = check(clean.load(tmp_path / "suite"))
    (said,) = [finding for finding in found if finding not in at_rest]
    assert said.code == "saturation-not-checked"
    assert ("retrieval-gate[bm25]" if reason == "no bm25s" else "240 documents") in said.message


# --- contamination ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("location", "model", "code"),
    [
        ("mteb/nq", "sentence-transformers/all-MiniLM-L6-v2", "contaminated"),
        ("https://example.org/msmarco.zip", "sentence-transformers/all-MiniLM-L6-v2", "contaminated"),
        ("/data/tickets", "sentence-transformers/all-MiniLM-L6-v2", "not-contaminated"),
        ("mteb/nq", "nobody/nothing", "training-data-unknown"),
    ],
)
def test_a_model_s_declared_training_data_is_held_against_the_origin(location, model, code, clean, tmp_path):
    pytest.importorskip("mteb")
    suite = clean.load(tmp_path / "suite")
    toml = tmp_path / "suite" / "suite.toml"
    toml.write_text(toml.read_text() + f'\n[origin]\nkind = "beir"\nlocation = "{location}"\n')
    assert [finding.code for finding in contamination(suite, [model])] == [code]


def test_the_command_line_asks_what_a_model_was_trained_on(clean, tmp_path, capsys):
    pytest.importorskip("mteb")
    folder = clean.write(tmp_path / "suite")
    code = main(["check", str(folder), "--json", "--model", "nobody/nothing", "--model", "nobody/else"])
    found = json.loads(capsys.readouterr().out)["findings"]
    assert code == 0
    assert [(f["code"], f["where"]) for f in found][-2:] == [
        ("training-data-unknown", "nobody/nothing"), ("training-data-unknown", "nobody/else"),
    ]  # fmt: skip


def test_a_quick_check_finds_the_same_errors(clean, tmp_path):
    parts = deepcopy(clean)
    for name in ("a_query_without_text", "a_training_query_that_is_an_evaluation_query", "queries_that_bm25_solves"):
        FAULTS[name](parts)
    suite = parts.load(tmp_path / "suite")
    quick, whole = check(suite, thorough=False), check(suite)
    assert [f for f in quick if f.severity == "error"] == [f for f in whole if f.severity == "error"] != []
    assert {f.code for f in whole} - {f.code for f in quick} >= {"saturated"}


# --- the list of codes ----------------------------------------------------------------------------------------


def test_every_code_is_seen_in_a_test_and_explained_and_every_explained_code_is_seen(clean, at_rest):
    table = (Path(__file__).parent.parent / "docs" / "checks.md").read_text(encoding="utf-8")
    seen = {code for plant in FAULTS.values() for code, _ in plant(deepcopy(clean))}
    seen |= {finding.code for finding in at_rest} | {"unreadable", "near-duplicates-not-checked"}
    seen |= {"saturation-not-checked", "contaminated", "not-contaminated", "training-data-unknown"}
    assert sorted(seen) == sorted(re.findall(r"^\| `([a-z-]+)` \|", table, flags=re.MULTILINE))
    assert len(FAULTS) + len(UNREADABLE) >= 30
