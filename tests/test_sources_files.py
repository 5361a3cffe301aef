"""Claims about sources that are files: click logs, LlamaIndex, AutoRAG."""

import gzip
import json
from datetime import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from bench.base.errors import MissingExtra, SuiteError
from bench.base.files.rows import read_json, read_rows
from bench.suites.sources import Document, Query, autorag, clicks, llamaindex


def write(path, content):
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def refused(call, *sentences):
    with pytest.raises(SuiteError) as found:
        list(call())
    for sentence in sentences:
        assert sentence in str(found.value)


# --- rows of a file ---


def test_rows_are_alike_in_every_format_and_say_where_they_stand(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = [{"id": "a", "text": "one, two"}, {"id": "b", "text": 'zwei\n"ü"'}]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "rows.parquet")
    write(tmp_path / "rows.jsonl", lines(rows))
    table = 'id,text\n\na,"one, two"\nb,"zwei\n""ü"""\n'
    write(tmp_path / "rows.csv", b"\xef\xbb\xbf" + table.encode())
    write(tmp_path / "rows.csv.gz", gzip.compress(table.replace("\n", "\r\n").encode()))
    write(tmp_path / "rows.tsv", 'id\ttext\na\t"one, two"\nb\t"zwei\n""ü"""\n')
    for name, places in (
        ("rows.parquet", [", row 1", ", row 2"]),
        ("rows.jsonl", [":1", ":2"]),
        ("rows.csv", [":3", ":5"]),
        ("rows.tsv", [":2", ":4"]),
    ):
        path = tmp_path / name
        found = list(read_rows(path, part="A test"))
        assert [row for _, row in found] == rows
        assert [place for place, _ in found] == [f"{path}{place}" for place in places]
    packed = [row for _, row in read_rows(tmp_path / "rows.csv.gz", part="A test")]
    assert packed == [rows[0], {"id": "b", "text": 'zwei\r\n"ü"'}]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.csv", "id,text\na\n", "a.csv:2: 1 fields; expected 2: id, text"),
        ("a.csv", "id,id\na,b\n", 'a.csv:1: column "id" stands twice'),
        ("a.csv", 'id,text\na,"b"c\n', "a.csv:2: not such a table"),
        ("a.csv", "id,text\na,\xff\n".encode("latin-1"), "not UTF-8"),
        ("a.csv", gzip.compress(b"id,text\n" + b"a,b\n" * 99, mtime=0)[:-9], "the gzip stream ends early"),
        ("a.jsonl", '{"id": "a"}\n{"id"\n', "a.jsonl:2: not JSON"),
        ("a.jsonl", "[1]\n", "a.jsonl:1: a list; expected an object"),
        ("a.parquet", b"PAR1 no more", "not a Parquet file that can be read"),
        ("a.xlsx", b"", 'found ".xlsx"'),
    ],
)
def test_file_of_rows_that_cannot_be_read_is_named_with_its_line(tmp_path, name, content, sentence):
    path = write(tmp_path / name, content)
    refused(lambda: read_rows(path, part="A test"), str(path), sentence)


def test_missing_file_of_rows_is_one_sentence(tmp_path):
    for name in ("a.csv", "a.jsonl", "a.parquet"):
        refused(lambda name=name: read_rows(tmp_path / name, part="A test"), "does not exist")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('{"a": 1,\n"a": 2}', 'key "a" stands twice'),
        ('{"a":\n}', ":2: not JSON"),
        (b'{"a": "\xff"}', ":1: not UTF-8"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_json_document_that_cannot_be_read_is_one_sentence(tmp_path, content, sentence):
    path = write(tmp_path / "a.json", content)
    refused(lambda: read_json(path), str(path), sentence)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(["jsonl", "csv", "tsv", "parquet"]),
    st.lists(st.tuples(st.integers(0, 4000), st.binary(min_size=1, max_size=4)), min_size=1, max_size=4),
    st.booleans(),
)
def test_damaged_file_of_rows_is_read_or_refused_in_one_sentence(tmp_path_factory, suffix, damage, packed):
    rows = [{"id": f"{i}", "text": f'zwei "ü", {i}', "n": i, "list": [str(i)]} for i in range(40)]
    folder = tmp_path_factory.mktemp("rows")
    if suffix == "parquet":
        pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        parquet.write_table(pyarrow.Table.from_pylist(rows), folder / "whole")
        data = bytearray((folder / "whole").read_bytes())
    elif suffix == "jsonl":
        data = bytearray(lines(rows).encode())
    else:
        separator = "," if suffix == "csv" else "\t"
        data = bytearray("".join(f'{r["id"]}{separator}"{r["n"]}"\n' for r in [{"id": "id", "n": "n"}, *rows]).encode())
    if packed and suffix != "parquet":
        data = bytearray(gzip.compress(bytes(data)))
    for place, value in damage:
        at = place % len(data)
        data[at : at + len(value)] = value
    path = write(folder / f"rows.{suffix}", bytes(data))
    sentence = str(path)
    try:
        assert all(isinstance(row, dict) for _, row in read_rows(path, part="A test"))
    except SuiteError as error:
        sentence = str(error)
    assert str(path) in sentence


# --- LlamaIndex ---

QA = {
    "queries": {f"q{i}": f"question {i}" for i in range(12)},
    "corpus": {f"node-{i}": f"passage {i}" for i in range(20)},
    "relevant_docs": {f"q{i}": [f"node-{i}"] for i in range(12)},
    "mode": "text",
}


def test_llamaindex_file_gives_its_counts_and_its_first_tenth_and_last_record(tmp_path):
    path = write(tmp_path / "val_dataset.json", json.dumps(QA))
    found = llamaindex.collection(str(path), llamaindex.Options())
    documents, (part,) = list(found.documents()), found.parts
    assert found.name == "val_dataset"
    assert part.split == "test"
    assert len(documents) == 20
    assert [documents[i] for i in (0, 9, -1)] == [Document(f"node-{i}", f"passage {i}") for i in (0, 9, 19)]
    queries, judgements = list(part.queries()), list(part.judgements())
    assert [queries[i] for i in (0, 9, -1)] == [Query(f"q{i}", f"question {i}") for i in (0, 9, 11)]
    assert [judgements[i] for i in (0, 9, -1)] == [(f"q{i}", f"node-{i}", 1) for i in (0, 9, 11)]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"corpus": None}, 'no object "corpus"'),
        ({"queries": {"q0": 3}}, 'queries["q0"] is 3; expected a text'),
        ({"relevant_docs": {"q0": "node-1"}}, 'relevant_docs["q0"] is "node-1"; expected a list of ids'),
    ],
)
def test_llamaindex_file_of_another_shape_is_one_sentence(tmp_path, change, sentence):
    path = write(tmp_path / "qa.json", json.dumps(QA | change))
    found = llamaindex.collection(str(path), llamaindex.Options())
    part = found.parts[0]
    refused(lambda: [*found.documents(), *part.queries(), *part.judgements()], str(path), sentence)


# --- AutoRAG ---


@pytest.fixture
def autorag_folder(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    corpus = [
        {
            "doc_id": f"d{i}",
            "contents": f"passage {i}",
            "path": f"manual-{i // 5}.pdf",
            "metadata": {"last_modified_datetime": datetime(2024, 1, 1 + i)},
        }
        for i in range(15)
    ]
    truth = [[["d0"]], [["d1", "d2"], ["d3", "d1"]], *([[f"d{i}"]] for i in range(4, 13)), [[]]]
    qa = [
        {"qid": f"q{i}", "query": f"question {i}", "retrieval_gt": value, "generation_gt": ["x"]}
        for i, value in enumerate(truth)
    ]
    parquet.write_table(pyarrow.Table.from_pylist(corpus), tmp_path / "corpus.parquet")
    parquet.write_table(pyarrow.Table.from_pylist(qa), tmp_path / "qa.parquet")
    return tmp_path


def test_autorag_folder_gives_its_counts_and_its_first_tenth_and_last_record(autorag_folder):
    found = autorag.collection(str(autorag_folder), autorag.Options())
    documents, (part,) = list(found.documents()), found.parts
    assert len(documents) == 15
    assert documents[0] == Document("d0", "passage 0", group="manual-0.pdf", time="2024-01-01T00:00:00")
    assert documents[9] == Document("d9", "passage 9", group="manual-1.pdf", time="2024-01-10T00:00:00")
    assert documents[-1] == Document("d14", "passage 14", group="manual-2.pdf", time="2024-01-15T00:00:00")
    queries = list(part.queries())
    assert len(queries) == 12
    assert [queries[i] for i in (0, 9)] == [Query(f"q{i}", f"question {i}") for i in (0, 9)]
    assert queries[-1] == Query("q11", "question 11", answerable=False)


def test_autorag_groups_are_flattened_and_a_document_in_two_of_them_is_judged_once(autorag_folder):
    found = autorag.collection(str(autorag_folder), autorag.Options())
    judgements = list(found.parts[0].judgements())
    assert judgements[:4] == [("q0", "d0", 1), ("q1", "d1", 1), ("q1", "d2", 1), ("q1", "d3", 1)]
    assert judgements[-1] == ("q10", "d12", 1)


def test_autorag_without_its_files_says_which_and_without_pyarrow_what_to_install(
    autorag_folder, tmp_path, monkeypatch
):
    refused(
        lambda: autorag.collection(str(autorag_folder), autorag.Options(qa="q.parquet")), "q.parquet does not exist"
    )
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match=r"AutoRAG.*pyarrow.*retrieval-gate\[parquet\]"):
        list(autorag.collection(str(autorag_folder), autorag.Options()).documents())


# --- click logs ---

CORPUS = lines({"_id": f"d{i}", "title": "", "text": f"passage {i}"} for i in range(12))


def clicked(tmp_path, log, name="log.jsonl", **options):
    write(tmp_path / "corpus.jsonl", CORPUS)
    path = write(tmp_path / name, log)
    return clicks.collection(str(path), clicks.Options(corpus=str(tmp_path / "corpus.jsonl"), **options))


def test_click_estimate_is_what_paper_and_pencil_give(tmp_path):
    # d1 stands at rank 1 on all 4 pages and is clicked twice: 2/4. d2 stands at rank 2 and is clicked once: 1 * 2 / 4.
    # d3 stands at rank 3, never clicked: 0, and by expectation it was looked at 4/3 times. d4 at rank 5: 4/5 looks.
    pages = [{"query": "tyre", "shown": ["d1", "d2", "d3", "d5", "d4"], "clicked": []} for _ in range(4)]
    pages[0]["clicked"], pages[1]["clicked"] = ["d1", "d2"], ["d1"]
    options = clicks.Options(corpus="", min_impressions=4)
    found = clicks.asked_for(write(tmp_path / "log.jsonl", lines(pages)), options)
    assert found == {"tyre": {"d1": 0.5, "d2": 0.5, "d3": 0.0, "d5": 0.0}}
    flat = clicks.asked_for(tmp_path / "log.jsonl", clicks.Options(corpus="", min_impressions=4, eta=0))
    assert flat == {"tyre": {"d1": 0.5, "d2": 0.25, "d3": 0.0, "d5": 0.0, "d4": 0.0}}
    # A click at rank 4 counts 4; three at most where the weight is cut.
    pages[2]["clicked"] = ["d5"]
    write(tmp_path / "log.jsonl", lines(pages))
    assert clicks.asked_for(tmp_path / "log.jsonl", options)["tyre"]["d5"] == 1.0
    cut = clicks.Options(corpus="", min_impressions=4, max_weight=3)
    assert clicks.asked_for(tmp_path / "log.jsonl", cut)["tyre"]["d5"] == 0.75


def test_click_log_gives_graded_judgements_and_leaves_out_queries_that_nobody_clicked(tmp_path):
    pages = [
        *(
            {"query": "Flat  tyre", "shown": ["d1", "d2", "d3"], "clicked": ["d1"], "time": f"2024-05-0{i}"}
            for i in (3, 1)
        ),
        *({"query": "flat tyre", "shown": ["d1", "d2", "d3"], "clicked": ["d2"]} for _ in range(1)),
        *({"query": "FLAT TYRE ", "shown": ["d1", "d2", "d3"], "clicked": []} for _ in range(7)),
        *({"query": "no luck", "shown": ["d4"], "clicked": []} for _ in range(9)),
        {"query": "seen once", "shown": ["d5"], "clicked": ["d5"]},
    ]
    found = clicked(tmp_path, lines(pages))
    (part,) = found.parts
    assert part.role == "held-out"
    # Three spellings, one query under its commonest: d1 2/10, d2 1 * 2 / 10, d3 nothing.
    (query,) = part.queries()
    assert (query.text, query.time) == ("FLAT TYRE", "2024-05-01")
    assert list(part.judgements()) == [(query.query_id, "d1", 1), (query.query_id, "d2", 1), (query.query_id, "d3", 0)]
    finer = clicked(tmp_path, lines(pages), grades=[0.05, 0.15, 0.2], role="dev")
    assert [grade for _, _, grade in finer.parts[0].judgements()] == [3, 3, 0]
    assert finer.parts[0].role == "dev"
    assert len(list(found.documents())) == 12
    assert found.origin["eta"] == "1"
    refused(lambda: clicked(tmp_path, lines(pages[-1:])).parts[0].queries(), "Take a longer log")


def test_click_log_is_the_same_in_csv_and_in_any_order_of_its_lines(tmp_path):
    rng = np.random.default_rng(3)
    pages = []
    for _ in range(300):
        shown = [f"d{i}" for i in rng.permutation(12)[:6]]
        pages.append({"query": f"query {rng.integers(5)}", "shown": shown, "clicked": shown[: rng.integers(3)]})
    table = "query,shown,clicked\n" + "".join(
        f"{p['query']},{'|'.join(p['shown'])},{'|'.join(p['clicked'])}\n" for p in pages
    )
    first = clicked(tmp_path, lines(pages)).parts[0]
    first = list(first.queries()), list(first.judgements())
    assert len(first[0]) == 5
    rng.shuffle(pages)
    second = clicked(tmp_path, lines(pages)).parts[0]
    assert first == (list(second.queries()), list(second.judgements()))
    third = clicked(tmp_path, table, "log.csv", separator="|").parts[0]
    assert first == (list(third.queries()), list(third.judgements()))


@pytest.mark.parametrize(
    ("page", "sentence"),
    [
        (
            {"query": "x", "shown": ["d1"], "clicked": ["d2"]},
            ':2: document "d2" was clicked but is not among those shown',
        ),
        ({"query": "x", "shown": ["d1", "d1"], "clicked": []}, ':2: document "d1" is shown twice on one page'),
        ({"query": "x", "clicked": []}, ':2: no "shown" (found: query, clicked)'),
        ({"query": " ", "shown": [], "clicked": []}, ':2: "query" is empty'),
        ({"query": 3, "shown": [], "clicked": []}, ':2: "query" is 3; expected a text'),
        ({"query": "x", "shown": [1], "clicked": []}, ':2: "shown" is [1]; expected a list of ids'),
    ],
)
def test_page_that_cannot_be_is_named_with_its_line(tmp_path, page, sentence):
    good = {"query": "x", "shown": ["d1"], "clicked": []}
    refused(lambda: clicked(tmp_path, lines([good, page])).parts[0].queries(), sentence)


def test_options_of_a_click_log_are_checked():
    for wrong in ({"grades": [0.3, 0.1]}, {"grades": [0.0]}, {"role": "train"}, {"eta": -1}, {"min_impression": 3}):
        with pytest.raises(ValidationError):
            clicks.Options(corpus="c", **wrong)


def _simulated(rng, *, eta):
    """(pages, truth): a log whose readers look at rank r with probability r^-eta and click what attracts them.

    The engine that was logged ranks by noise of its own, the same on every page but for a little, so that position and
    relevance are confounded as in a real log.
    """
    pages, truth = [], {}
    for q in range(30):
        attraction = rng.choice([0.0, 0.1, 0.5, 0.9], size=10, p=[0.4, 0.2, 0.2, 0.2])
        truth[f"query {q}"] = {f"d{i}": float(a) for i, a in enumerate(attraction)}
        taste = rng.normal(size=10)
        for _ in range(300):
            order = np.argsort(-(taste + rng.normal(size=10)), kind="stable")
            looked = rng.random(10) < np.arange(1, 11) ** -eta
            taken = looked & (rng.random(10) < attraction[order])
            shown = [f"d{i}" for i in order]
            pages.append(
                {"query": f"query {q}", "shown": shown, "clicked": [d for d, t in zip(shown, taken, strict=True) if t]}
            )
    return pages, truth


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_relevance_is_recovered_better_with_the_correction_than_without(tmp_path, seed):
    from scipy.stats import kendalltau

    pages, truth = _simulated(np.random.default_rng(seed), eta=1.0)
    path = write(tmp_path / "log.jsonl", lines(pages))
    errors, orders = {}, {}
    for eta in (0.0, 1.0):
        found = clicks.asked_for(path, clicks.Options(corpus="", eta=eta))
        pairs = [
            ([truth[q][d] for d in sorted(estimates)], [estimates[d] for d in sorted(estimates)])
            for q, estimates in found.items()
        ]
        errors[eta] = np.mean([abs(t - e) for true, got in pairs for t, e in zip(true, got, strict=True)])
        orders[eta] = np.mean([kendalltau(true, got).statistic for true, got in pairs])
    print(f"seed {seed}: mean error {errors}, Kendall's tau {orders}")
    assert errors[1.0] < 0.5 * errors[0.0]
    assert orders[1.0] > orders[0.0]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.permutations(range(5)), st.sets(st.integers(0, 4))), min_size=1, max_size=8))
def test_every_estimate_is_a_share(tmp_path_factory, drawn):
    pages = [
        {"query": "x", "shown": [f"d{i}" for i in order], "clicked": [f"d{i}" for i in sorted(taken)]}
        for order, taken in drawn
    ]
    path = write(tmp_path_factory.mktemp("log") / "log.jsonl", lines(pages))
    found = clicks.asked_for(path, clicks.Options(corpus="", min_impressions=1, min_looks=0))
    assert all(0 <= estimate <= 1 for estimate in found["x"].values())


def test_field_longer_than_the_librarys_limit_is_read(tmp_path):
    path = tmp_path / "long.csv"
    path.write_text("id,text\na," + "word " * 40_000 + "\n", encoding="utf-8")
    ((_, row),) = read_rows(path, part="A test")
    assert len(row["text"]) == 200_000
