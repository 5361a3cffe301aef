"""Claims about bench.suites.suite: what does not hang together is refused, and a digest moves only with its part."""

import json
import shutil

import pytest

from bench.base.errors import HeldOutError, SuiteError
from bench.suites import suite as suite_module
from bench.suites.suite import bundled, find, load, training_set


def test_tiny_suite_is_read_whole(tiny_suite):
    suite = tiny_suite.suite
    assert len(suite.corpora["manual"].ids) == 20
    assert [(q.name, q.role, len(q.ids)) for q in suite.query_sets.values()] == [
        ("train", "train", 2), ("dev", "dev", 3), ("shop", "held-out", 8), ("phone", "out-of-distribution", 3),
    ]  # fmt: skip
    assert suite.qrels("shop")["h1"] == {"d01": 2, "d02": 0, "d18": 1}
    labels = suite.labels["shop"]
    assert labels.clusters == {"h4": "gears", "h5": "gears"}
    assert labels.slices["h2"] == ("brakes",)
    assert labels.pinned == {"h1"}
    assert suite.protocol.measures == ("recall@10", "ndcg@10", "mrr@10", "recall@100")


def test_document_text_is_title_and_text(tiny_suite):
    corpus = tiny_suite.suite.corpora["manual"]
    assert corpus.texts[corpus.row_of["d06"]].startswith("Chain oil Drip oil on every link")


def test_reading_twice_gives_equal_digests_wherever_the_folder_is(tiny_suite, tmp_path):
    copy = tmp_path / "elsewhere"
    shutil.copytree(tiny_suite.folder, copy)
    assert load(copy).digest == tiny_suite.suite.digest


def digests(suite):
    return {
        "suite": suite.digest,
        "corpus": suite.corpora["manual"].digest,
        **{f"queries {name}": q.digest for name, q in suite.query_sets.items()},
        **{f"labels {name}": label.digest for name, label in suite.labels.items()},
    }


@pytest.mark.parametrize(
    ("part", "old", "new", "changed"),
    [
        ("corpus.jsonl", "wipe the rest off", "wipe the rest of", {"suite", "corpus"}),
        ("corpus.jsonl", '"title": "Warranty"', '"title": "warranty"', {"suite", "corpus"}),
        ("queries/shop.jsonl", "oil the chain", "oil a chain", {"suite", "queries shop"}),
        ("qrels/shop.tsv", "h7\td18\t1", "h7\td18\t2", {"suite", "labels shop"}),
        ("qrels/shop.tsv", "h7\td05\t0\n", "", {"suite", "labels shop"}),
        ("queries/shop.jsonl", '"tyres", "pinned": true', '"tyres"', {"suite", "labels shop"}),
        ("queries/shop.jsonl", '"slice": "tyres"', '"slice": "brakes"', {"suite", "labels shop"}),
        ("queries/shop.jsonl", "\n", "\r\n", set()),
        ("suite.toml", "depth = 100", "depth = 50", {"suite"}),
        ("suite.toml", "version = 1", "version = 2", {"suite"}),
        ("suite.toml", '"recall@10", "ndcg@10"', '"ndcg@10", "recall@10"', {"suite"}),
        ("suite.toml", 'role = "out-of-distribution"', 'role = "held-out"', {"suite"}),
    ],
)
def test_one_change_moves_the_digests_of_its_part_and_no_other(tiny_suite, part, old, new, changed):
    before = digests(tiny_suite.suite)
    if not changed:
        # A file written anew with other line ends is the same suite.
        path = tiny_suite.folder / part
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
        after = digests(load(tiny_suite.folder))
    else:
        after = digests(tiny_suite.edit(part, old, new))
    assert {name for name in before if before[name] != after[name]} == changed


def test_a_changed_cluster_moves_the_digest_of_the_labels_only(tiny_suite):
    before = digests(tiny_suite.suite)
    path = tiny_suite.folder / "queries" / "shop.jsonl"
    path.write_text(path.read_text().replace('"cluster": "gears"', '"cluster": "gear"', 1))
    after = digests(load(tiny_suite.folder))
    assert {name for name in before if before[name] != after[name]} == {"suite", "labels shop"}


def test_order_of_documents_and_judgements_in_their_files_changes_no_digest(tiny_suite):
    before = digests(tiny_suite.suite)
    for part in ("corpus.jsonl", "qrels/shop.tsv"):
        path = tiny_suite.folder / part
        header, *lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        path.write_text(header + "".join(reversed(lines)), encoding="utf-8")
    assert digests(load(tiny_suite.folder)) == before


def test_a_baseline_file_is_no_part_of_the_digest(tiny_suite):
    (tiny_suite.folder / "baseline.json").write_text("{}")
    assert load(tiny_suite.folder).digest == tiny_suite.suite.digest


# --- what does not hang together ---


def test_judgement_of_an_unknown_query_is_refused_with_the_nearest(tiny_suite):
    with pytest.raises(SuiteError, match=r'judges 1 queries that .* lacks \(first: "h77"\).*Did you mean "h7"\?'):
        tiny_suite.edit("qrels/shop.tsv", "h7\td18", "h77\td18")


def test_judgement_of_an_unknown_document_is_refused(tiny_suite):
    with pytest.raises(
        SuiteError, match=r'judges 1 documents that corpus "manual" lacks \(first: "d99" under query "h7"'
    ):
        tiny_suite.edit("qrels/shop.tsv", "h7\td18", "h7\td99")


def test_query_without_a_judgement_is_refused(tiny_suite):
    with pytest.raises(
        SuiteError, match=r'1 queries have no judgement .*\(first: "h8"\); judge them, remove them, or mark'
    ):
        tiny_suite.edit("qrels/shop.tsv", "h8\td19\t1\n", "")


def test_query_marked_unanswerable_needs_no_judgement(tiny_suite):
    path = tiny_suite.folder / "queries" / "shop.jsonl"
    with path.open("a") as stream:
        stream.write('{"_id": "h9", "text": "price of a horse", "answerable": false}\n')
    suite = load(tiny_suite.folder)
    assert suite.labels["shop"].unanswerable == {"h9"}
    assert suite.query_sets["shop"].ids[-1] == "h9"


def test_unknown_role_names_the_nearest(tiny_suite):
    with pytest.raises(SuiteError, match=r'role is "heldout"; .* Did you mean "held-out"'):
        tiny_suite.edit("suite.toml", 'role = "held-out"', 'role = "heldout"')


def test_missing_part_is_named_with_its_path(tiny_suite):
    (tiny_suite.folder / "qrels" / "dev.tsv").unlink()
    with pytest.raises(SuiteError, match=r"dev\.tsv does not exist"):
        load(tiny_suite.folder)


def test_folder_that_is_no_suite_says_what_was_expected(tmp_path):
    with pytest.raises(SuiteError, match=r"has neither suite\.toml nor corpus\.jsonl"):
        load(tmp_path)


def test_empty_corpus_is_refused(tiny_suite):
    (tiny_suite.folder / "corpus.jsonl").write_text("\n")
    with pytest.raises(SuiteError, match="holds no document"):
        load(tiny_suite.folder)


# --- training opens train and dev only ---


@pytest.mark.parametrize("name", ["shop", "phone"])
def test_training_on_evaluation_data_is_refused(tiny_suite, name):
    with pytest.raises(HeldOutError, match=f'query set "{name}" has role .*; training opens only train and dev'):
        training_set(tiny_suite.suite, name)


@pytest.mark.parametrize("name", ["train", "dev"])
def test_training_opens_train_and_dev(tiny_suite, name):
    query_set, qrels = training_set(tiny_suite.suite, name)
    assert query_set.role == name
    assert set(qrels) == set(query_set.ids)


def test_training_set_that_is_none_names_the_nearest(tiny_suite):
    with pytest.raises(SuiteError, match=r'has no query set "trian". Did you mean "train"'):
        training_set(tiny_suite.suite, "trian")


# --- a BEIR folder is a suite ---


def beir_folder(folder):
    (folder / "qrels").mkdir(parents=True)
    docs = [{"_id": f"d{i}", "title": "T", "text": f"text {i}"} for i in range(4)]
    queries = [{"_id": f"q{i}", "text": f"query {i}"} for i in range(5)]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(d) + "\n" for d in docs))
    (folder / "queries.jsonl").write_text("".join(json.dumps(q) + "\n" for q in queries))
    for split, lines in {"train": "q0\td0\t1\n", "dev": "q1\td1\t1\n", "test": "q2\td2\t1\nq3\td3\t2\n"}.items():
        (folder / "qrels" / f"{split}.tsv").write_text("query-id\tcorpus-id\tscore\n" + lines)
    return folder


def test_beir_folder_is_a_suite_whose_splits_take_their_roles(tmp_path):
    suite = load(beir_folder(tmp_path / "sci-fact"))
    assert suite.name == "sci-fact"
    assert [(q.name, q.role, q.ids) for q in suite.query_sets.values()] == [
        ("train", "train", ("q0",)), ("dev", "dev", ("q1",)), ("test", "held-out", ("q2", "q3")),
    ]  # fmt: skip
    assert suite.corpora["sci-fact"].texts[0] == "T text 0"
    with pytest.raises(HeldOutError):
        training_set(suite, "test")


@pytest.mark.parametrize("name", ["données", "_draft", "two words", "日本"])
def test_beir_folder_of_any_name_is_a_suite(tmp_path, name):
    assert load(beir_folder(tmp_path / name)).name


def test_development_data_set_is_a_suite(bench_data):
    suite = load(bench_data / "cranfield")
    assert len(suite.query_sets["test"].ids) == 225
    assert len(suite.corpora["cranfield"].ids) == 1398
    assert max(grade for grades in suite.qrels("test").values() for grade in grades.values()) == 4


# --- finding ---


def test_bundled_suite_is_found_by_name_and_loads():
    assert "clinic" in bundled()
    suite = load(find("clinic"))
    assert {q.role for q in suite.query_sets.values()} == {"train", "dev", "held-out", "out-of-distribution"}


def test_suite_is_found_by_path_before_name(tiny_suite, tmp_path):
    assert find("tiny", relative_to=tmp_path) == tiny_suite.folder
    assert find("tiny/suite.toml", relative_to=tmp_path) == tiny_suite.folder
    assert find(str(tiny_suite.folder)) == tiny_suite.folder


def test_suite_that_is_none_names_the_nearest_bundled():
    with pytest.raises(SuiteError, match=r'Suite "clinc": .* Did you mean "clinic"'):
        find("clinc")


def test_package_without_bundled_suites_says_so(monkeypatch):
    monkeypatch.setattr(suite_module, "bundled", dict)
    with pytest.raises(SuiteError, match="bundled: none"):
        find("clinic")


def test_folder_that_is_no_suite_does_not_hide_a_bundled_one(tmp_path, monkeypatch):
    (tmp_path / "clinic").mkdir()
    monkeypatch.chdir(tmp_path)
    assert find("clinic") == bundled()["clinic"]
