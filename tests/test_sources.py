"""Claims about bench.suites.sources: every file as people write it, every damage with its file and line."""

import gzip
import json
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.base.errors import BenchError, RunError, SuiteError
from bench.base.files.judgements import read_qrels
from bench.base.files.lines import read_lines
from bench.records.run_files import read_run, write_run
from bench.suites.sources import beir
from bench.suites.sources.jsonl import read_documents, read_queries

GOOD = '{"_id": "a", "title": "A", "text": "one"}\n{"_id": "b", "text": "zwei ü"}\n'


def write(tmp_path, content, name="file"):
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def refused(read, path, *sentences, error=SuiteError):
    with pytest.raises(error) as found:
        list(read(path)) if read is not read_run else read(path)
    message = str(found.value)
    assert str(path) in message
    for sentence in sentences:
        assert sentence in message
    return message


# --- JSON lines ---


def test_documents_come_in_file_order_with_a_title_each(tmp_path):
    rows = list(read_documents(write(tmp_path, GOOD)))
    assert rows == [{"_id": "a", "title": "A", "text": "one"}, {"_id": "b", "text": "zwei ü", "title": ""}]


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + GOOD.encode(),
        GOOD.replace("\n", "\r\n").encode(),
        GOOD.replace("\n", "\n\n  \n").encode(),
        GOOD.rstrip("\n").encode(),
        gzip.compress(GOOD.encode(), mtime=0),
        gzip.compress(GOOD.encode()[:30], mtime=0) + gzip.compress(GOOD.encode()[30:], mtime=0),
    ],
    ids=["byte order mark", "CRLF", "blank lines", "no last newline", "gzip", "gzip of two members"],
)
def test_same_documents_however_the_file_was_saved(tmp_path, content):
    # The name says nothing: gzip is told by content.
    for name in ("corpus.jsonl", "corpus.jsonl.gz"):
        assert [row["_id"] for row in read_documents(write(tmp_path, content, name))] == ["a", "b"]


def test_truncated_line_is_named_with_file_and_line(tmp_path):
    path = write(tmp_path, GOOD[:-10])
    refused(read_documents, path, f"{path}:2: not JSON", "the line may be cut off")


def test_duplicate_id_is_named_with_both_lines(tmp_path):
    path = write(tmp_path, GOOD + '{"_id": "a", "text": "again"}\n')
    refused(read_documents, path, f'{path}:3: id "a" stands already in line 1')
    refused(read_queries, path, f'{path}:3: id "a" stands already in line 1')


def test_text_that_is_not_utf8_is_named_with_its_line(tmp_path):
    path = write(tmp_path, GOOD.encode() + '{"_id": "c", "text": "Größe"}\n'.encode("latin-1"))
    refused(read_documents, path, f"{path}:3: not UTF-8", "save the file as UTF-8")
    refused(read_documents, write(tmp_path, GOOD.encode("utf-16"), "utf16"), "not UTF-8")


def test_nul_byte_is_named_with_its_line(tmp_path):
    path = write(tmp_path, GOOD + "\x00\x00\x00\n")
    refused(read_documents, path, f"{path}:3: a NUL byte")


def test_gzip_that_ends_early_is_told_from_a_whole_one(tmp_path):
    data = gzip.compress(GOOD.encode() * 1, mtime=0)
    refused(read_documents, write(tmp_path, data[:-9]), "the gzip stream ends early", "copy it again")


def test_gzip_with_a_damaged_byte_is_an_error_and_no_traceback(tmp_path):
    body = "".join(json.dumps({"_id": str(i), "text": "text " * (i % 7)}) + "\n" for i in range(500))
    data = gzip.compress(body.encode(), mtime=0)
    n_zlib = 0
    for place in range(12, len(data), 97):
        broken = bytearray(data)
        broken[place] ^= 0xFF
        try:
            gzip.decompress(bytes(broken))
        except zlib.error:
            n_zlib += 1
        except (OSError, EOFError):
            pass
        refused(read_documents, write(tmp_path, bytes(broken)))
    # The case that this is about was among them.
    assert n_zlib > 0


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ('{"_id": 12, "text": "x"}', '"_id" is 12; expected a string. Put it in quotation marks.'),
        ('{"_id": "a b", "text": "x"}', '"_id" is "a b"; expected an id without white space'),
        ('{"_id": "a\\u00a0b", "text": "x"}', "expected an id without white space"),
        ('{"_id": "", "text": "x"}', "expected an id without white space"),
        ('{"_id": "a"}', 'no "text" (found: _id)'),
        ('{"id": "a", "text": "x"}', 'no "_id" (found: id, text)'),
        ("{}", 'no "_id" (found: nothing)'),
        ('{"_id": "a", "text": null}', '"text" is null; expected a string'),
        ('["a", "x"]', "a list; expected an object"),
        ("3", "a int; expected an object"),
        ("[" * 100_000, "nested too deeply"),
        ('{"_id": "a", "text": ' + "1" * 5000 + "}", ""),
    ],
)
def test_line_that_is_no_document_is_named(tmp_path, line, sentence):
    path = write(tmp_path, '{"_id": "first", "text": "x"}\n' + line + "\n")
    refused(read_documents, path, f"{path}:2", sentence)


def test_title_that_is_no_string_is_refused(tmp_path):
    path = write(tmp_path, '{"_id": "a", "text": "x", "title": 3}\n')
    refused(read_documents, path, f'{path}:1: "title" of "a" is 3; expected a string')


@pytest.mark.parametrize(
    ("key", "value"), [("slice", 3), ("cluster", ["x"]), ("pinned", "yes"), ("answerable", 0), ("pinned", 1)]
)
def test_query_with_a_field_of_the_wrong_type_is_refused(tmp_path, key, value):
    path = write(tmp_path, json.dumps({"_id": "q", "text": "x", key: value}) + "\n")
    refused(read_queries, path, f'{path}:1: "{key}" of "q" is {json.dumps(value)}; expected ')


def test_file_that_is_absent_or_a_folder_is_named(tmp_path):
    refused(read_documents, tmp_path / "none.jsonl", "does not exist; expected a file there")
    refused(read_documents, tmp_path, "is a folder; expected a file")
    refused(read_run, tmp_path / "none.run", "does not exist", error=RunError)


def test_line_numbers_count_blank_lines(tmp_path):
    assert list(read_lines(write(tmp_path, "a\n\n\nb\n"))) == [(1, "a\n"), (4, "b\n")]


# --- judgements ---


@pytest.mark.parametrize(
    "content",
    [
        "q1\td1\t2\nq1\td2\t0\nq2\td1\t1\n",
        "query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t0\nq2\td1\t1\n",
        "q1 0 d1 2\nq1 0 d2 0\nq2 Q0 d1 1\n",
        "q1\t0\td1\t2\nq1\t0\td2\t0\nq2\t0\td1\t1\n",
        "qid iter docno rel\nq1 0 d1 2\nq1 0 d2 0\nq2 0 d1 1\n",
        "q1 d1 2\r\nq1 d2 0\r\nq2 d1 1",
        "\ufeffq1\td1\t2\nq1\td2\t0\n\nq2\td1\t1\n",
        "q1\td1\t2\nq1\td2\t0\nq1\td1\t2\nq2\td1\t1\n",
    ],
    ids=["3", "3 with header", "4", "4 with tabs", "4 with header", "CRLF", "byte order mark", "repeated line"],
)
def test_same_judgements_from_three_and_four_columns_with_and_without_header(tmp_path, content):
    assert read_qrels(write(tmp_path, content)) == {"q1": {"d1": 2, "d2": 0}, "q2": {"d1": 1}}


def test_first_line_is_kept_where_it_is_no_header(tmp_path):
    # BEIR's own loader would drop it.
    assert read_qrels(write(tmp_path, "q1\td1\t1\n")) == {"q1": {"d1": 1}}


@pytest.mark.parametrize(
    ("content", "line", "sentence"),
    [
        ("q1\td1\n", 1, "2 fields; expected query, document, grade"),
        ("q1 0 d1 1 x\n", 1, "5 fields"),
        ("q1\td1\t1\nq1\td2\thigh\n", 2, 'grade is "high"; expected a whole number'),
        ("q1\td1\t1.5\n", 1, 'grade is "1.5"'),
        ("q1\td1\t1\nq1\td1\t2\n", 2, 'query "q1", document "d1" is judged 2 here and 1 above'),
        ("query-id\tcorpus-id\tscore\nquery-id\tcorpus-id\tscore\n", 2, 'grade is "score"'),
    ],
)
def test_line_that_is_no_judgement_is_named(tmp_path, content, line, sentence):
    path = write(tmp_path, content)
    refused(read_qrels, path, f"{path}:{line}: ", sentence)


@pytest.mark.parametrize("content", ["", "\n\n", "query-id\tcorpus-id\tscore\n"])
def test_file_without_a_judgement_is_refused(tmp_path, content):
    refused(read_qrels, write(tmp_path, content), "holds no judgement")


@pytest.mark.parametrize("content", ["\td1\t1\n", "q1\t\t1\n", "q1\t0\t \t1\n"])
def test_judgement_with_an_empty_id_is_refused(tmp_path, content):
    refused(read_qrels, write(tmp_path, content))


# --- runs ---

RUN = "q1 Q0 d1 1 3.5 tag\nq1 Q0 d2 2 2.5 tag\nq2 Q0 d1 1 1 tag\n"


def test_run_is_read_with_queries_in_file_order(tmp_path):
    run = read_run(write(tmp_path, RUN, "web.run"))
    assert run.system == "tag"
    assert run.query_set == "web"
    assert run.query_ids == ("q1", "q2")
    assert run.ranking(0) == ["d1", "d2"]
    assert run.scores[0].tolist() == [3.5, 2.5]
    assert read_run(write(tmp_path, RUN), name="mine").system == "mine"


def test_rank_column_is_ignored(tmp_path):
    run = read_run(write(tmp_path, "q Q0 a 1 1.0 t\nq Q0 b 2 3.0 t\nq Q0 c x 2.0 t\n"))
    assert run.ranking(0) == ["b", "c", "a"]


def test_tied_scores_are_ordered_by_descending_id(tmp_path):
    run = read_run(write(tmp_path, "q Q0 a 1 1.0 t\nq Q0 c 2 1.0 t\nq Q0 b 3 1.0 t\n"))
    assert run.ranking(0) == ["c", "b", "a"]


def test_depth_is_cut_after_sorting(tmp_path):
    path = write(tmp_path, "q Q0 a 1 1.0 t\nq Q0 b 2 3.0 t\nq Q0 c 3 2.0 t\n")
    assert read_run(path, depth=2).ranking(0) == ["b", "c"]


@pytest.mark.parametrize(
    "content",
    [b"\xef\xbb\xbf" + RUN.encode(), RUN.replace("\n", "\r\n").encode(), gzip.compress(RUN.encode(), mtime=0),
                RUN.replace(" ", "\t").encode(), RUN.replace("tag", "a tag of words").encode()],
)  # fmt: skip
def test_same_run_however_the_file_was_saved(tmp_path, content):
    assert read_run(write(tmp_path, content)).digest == read_run(write(tmp_path, RUN, "other")).digest


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("q1 Q0 d3 3 1.0", "5 fields; expected query, Q0, document, rank, score, tag"),
        ("q1 Q0 d3 3 nan tag", "score is nan; expected a finite number"),
        ("q1 Q0 d3 3 -inf tag", "score is -inf; expected a finite number"),
        ("q1 Q0 d3 3 1e400 tag", "expected a finite number"),
        ("q1 Q0 d3 3 1e39 tag", "too large for float32"),
        ("q1 Q0 d3 3 high tag", 'score is "high"; expected a number'),
        ("q1 Q0 d1 3 1.0 tag", 'document "d1" stands already under query "q1"'),
        ("q1 Q0 two words 3 1.0 tag", 'of which the rank is "words" and the tag 1.0'),
    ],
)
def test_line_that_is_no_ranked_document_is_named(tmp_path, line, sentence):
    path = write(tmp_path, RUN + line + "\n")
    refused(read_run, path, f"{path}:4: ", sentence, error=RunError)


def test_lines_of_a_query_need_not_stand_together(tmp_path):
    lines = [f"q{i % 7} Q0 d{i} 0 {-i} tag\n" for i in range(1000)]
    apart, together = write(tmp_path, "".join(lines)), write(tmp_path, "".join(sorted(lines, key=lambda s: s[:2])), "b")
    assert read_run(apart).digest == read_run(together).digest
    assert read_run(apart).ranking(6, 3) == ["d6", "d13", "d20"]


@pytest.mark.parametrize(
    ("line", "sentence"), [("q1 Q0 d3 3 x t", ":905: score is"), ("q1 Q0 d7 1 1 t", ":905: document")]
)
def test_line_far_down_is_named(tmp_path, line, sentence):
    path = write(tmp_path, "".join(f"q1 Q0 d{i} 0 {-i} tag\n\n" for i in range(452)) + line + "\n")
    refused(read_run, path, sentence, error=RunError)


@pytest.mark.parametrize("content", ["", "\n \n"])
def test_empty_run_is_refused(tmp_path, content):
    refused(read_run, write(tmp_path, content), "holds no ranking", error=RunError)


def test_run_reads_a_truncated_gzip_as_an_error(tmp_path):
    data = gzip.compress(RUN.encode(), mtime=0)
    refused(read_run, write(tmp_path, data[:-6]), "the gzip stream ends early", error=RunError)


def test_written_run_reads_back_equal(tmp_path, make_run):
    rng = np.random.default_rng(5)
    rankings = {
        f"q{i}": [(f"ü{d}", float(s)) for d, s in enumerate(rng.normal(size=20).astype(np.float32))] for i in range(9)
    }
    rankings["ties"] = [("a", 0.1), ("b", 0.1), ("c", 1e-30), ("d", -3.4e38)]
    run = make_run(rankings, system="two words\n")
    lines = list(write_run(run))
    assert lines[0].split()[-1] == "two_words_"
    back = read_run(write(tmp_path, "".join(lines)))
    assert back.digest == run.digest


# --- whatever the bytes ---

_JSONISH = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["_id", "text", "title", "slice"]), inner, max_size=3),
    ),
    max_leaves=5,
)
_BYTES = st.one_of(
    st.binary(max_size=120),
    st.binary(max_size=120).map(lambda b: b"\x1f\x8b\x08" + b),
    st.binary(max_size=120).map(gzip.compress),
    st.lists(_JSONISH.map(json.dumps), max_size=3).map(lambda lines: "\n".join(lines).encode()),
    st.lists(st.text("q1 \t.-naif\n\r0", max_size=30), max_size=4).map(lambda lines: "\n".join(lines).encode()),
)


@settings(max_examples=300)
@given(_BYTES)
def test_random_bytes_never_give_anything_but_a_bench_error(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "random"
    path.write_bytes(data)
    for read in (lambda p: list(read_documents(p)), lambda p: list(read_queries(p)), read_qrels, read_run):
        problem = None
        try:
            read(path)
        except BenchError as error:
            problem = str(error)
        assert problem is None or str(path) in problem


# --- BEIR folders ---


def test_beir_folder_lists_its_splits_train_first(tmp_path):
    (tmp_path / "qrels").mkdir()
    for name in ("corpus.jsonl", "queries.jsonl", "qrels/test.tsv", "qrels/extra.tsv", "qrels/train.tsv"):
        (tmp_path / name).touch()
    assert beir.splits(tmp_path) == ["train", "test", "extra"]


@pytest.mark.parametrize("lacking", ["corpus.jsonl", "queries.jsonl", "qrels"])
def test_beir_folder_says_what_it_lacks(tmp_path, lacking):
    for name in {"corpus.jsonl", "queries.jsonl"} - {lacking}:
        (tmp_path / name).touch()
    if lacking != "qrels":
        (tmp_path / "qrels").mkdir()
    with pytest.raises(SuiteError, match=f"has no {lacking}; expected a BEIR folder"):
        beir.splits(tmp_path)


def test_beir_folder_without_any_split_is_refused(tmp_path):
    for name in ("corpus.jsonl", "queries.jsonl"):
        (tmp_path / name).touch()
    (tmp_path / "qrels").mkdir()
    with pytest.raises(SuiteError, match="expected at least one"):
        beir.splits(tmp_path)


# Counts from the README of the data sets; ids as `sed -n 1p`, `10p` and `$p` show them.
DATA_SETS = {
    "medquad": (
        10199,
        [
            ("CancerGov_0000001_1_1", "Adult Acute Lymphoblastic Leukemia", "Key Points - Adult acute"),
            ("CancerGov_0000001_3_3", "Chronic Lymphocytic Leukemia", "Signs and symptoms of ch"),
            ("MPlusDrugs_0000553_Sec9", "Glimepiride", "Keep all appointments wi"),
        ],
        ["mq15181f2926", "mqa8c35558f7", "mq6bc66426ca"],
        {"train": 5648, "dev": 745, "test": 1522},
        1.1,
    ),
    "covidqa": (
        2061,
        [
            (
                "d630-0",
                "Functional Genetic Variants in DC-SIGNR Are Associated with Mother-to-Child Transmission of HIV-1",
                "Functional Genetic Varia",
            ),
            (
                "d630-9",
                "Functional Genetic Variants in DC-SIGNR Are Associated with Mother-to-Child Transmission of HIV-1",
                "Quantitative expression ",
            ),
            (
                "d776-10",
                "It is Unlikely That Influenza Viruses Will Cause a Pandemic Again Like What Happened in 1918 and 1919",
                "Emanuel Goldman for corr",
            ),
        ],
        ["q262", "q318", "q304"],
        {"train": 982, "dev": 135, "test": 263},
        1.0,
    ),
    "stackfaq": (
        719,
        [
            ("t0-a0", "", "Use ~~tildes around the "),
            ("t2-a3", "", "The gratis Google Docs e"),
            ("t124-a3", "", "On Mac, just hold fn + o"),
        ],
        ["t0-q0", "t0-q9", "t124-q10"],
        {"train": 1011, "dev": 120, "test": 210},
        7.4,
    ),
    "banking77": (
        924,
        [
            ("Refund_not_showing_up-0", "", "I requested a refund fro"),
            ("Refund_not_showing_up-9", "", "I returned something to "),
            ("wrong_exchange_rate_for_cash_withdrawal-11", "", "The wrong exchange rate "),
        ],
        ["q7f1380f5d3", "q90eb11c989", "t70db60c257"],
        {"train": 8181, "dev": 867, "test": 3051},
        12,
    ),
    "cranfield": (
        1398,
        [
            (
                "1",
                "experimental investigation of the aerodynamics of a wing in a slipstream .",
                "an experimental study of",
            ),
            ("10", "the theory of the impact tube at low pressure .", "a theoretical analysis h"),
            (
                "1400",
                "the buckling shear stress of simply-supported infinitely long plates with transverse stiffeners .",
                "this report is an extens",
            ),
        ],
        ["1", "10", "225"],
        {"test": 225},
        7.2,
    ),
    "cacm": (
        3204,
        [
            ("CACM-0001", "", "Preliminary Report-Inter"),
            ("CACM-0010", "", "Glossary of Computer Eng"),
            ("CACM-3204", "An On-Line Program for Non-Numerical Algebra", "The goal of this program"),
        ],
        ["1", "10", "64"],
        {"test": 52},
        15,
    ),
}


@pytest.mark.parametrize("name", list(DATA_SETS))
def test_data_set_has_its_counts_and_its_first_tenth_and_last_record(bench_data, name):
    n_docs, documents, queries, per_split, relevant = DATA_SETS[name]
    folder = bench_data / name
    rows = list(read_documents(folder / "corpus.jsonl"))
    assert len(rows) == n_docs
    for place, (doc_id, title, start) in zip((0, 9, -1), documents, strict=True):
        row = rows[place]
        assert (row["_id"], row["title"], row["text"][: len(start)]) == (doc_id, title, start)
    asked = list(read_queries(folder / "queries.jsonl"))
    assert [asked[i]["_id"] for i in (0, 9, -1)] == queries
    assert beir.splits(folder) == list(per_split)
    known_docs, known_queries = {row["_id"] for row in rows}, {row["_id"] for row in asked}
    for split, n_queries in per_split.items():
        qrels = read_qrels(folder / "qrels" / f"{split}.tsv")
        assert len(qrels) == n_queries
        assert qrels.keys() <= known_queries
        assert all(grades.keys() <= known_docs for grades in qrels.values())
    n_relevant = sum(grade > 0 for grades in qrels.values() for grade in grades.values())
    assert n_relevant / len(qrels) == pytest.approx(relevant, rel=0.05)


def test_out_of_scope_messages_have_their_count_and_records(bench_data):
    rows = list(read_queries(bench_data / "clinc-oos" / "queries.jsonl"))
    assert len(rows) == 1200
    assert [rows[i]["_id"] for i in (0, 9, -1)] == ["oos-train-0", "oos-train-9", "oos-test-999"]
    assert rows[0]["text"] == "how much is an overdraft fee for bank"
